/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes text into a buffer of fixed size. Sticky: write straight through and ask for
 * `bad` once. What is written is always terminated. Knows of XML only how to escape.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *buf;
	size_t len;
	size_t size;
	bool bad; /* sticky: the buffer was too small */
};

struct text text_in(char *buf, size_t size); /* size > 0 */
void text_put(struct text *t, const char *s);
void text_bytes(struct text *t, const char *s, size_t n);
void text_printf(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* As text of HTML or XML, or inside quotes there: what is no character becomes U+FFFD. */
void text_escape(struct text *t, const char *s);

/* The length of the UTF-8 character at s, 0 if there is none that XML 1.0 can hold. */
size_t text_char(const char *s, size_t n);

/* Copies at most max bytes of what XML can hold, whole characters only, without control
 * characters; dst has room for max + 1. */
void text_clean(char *dst, size_t max, const char *src);
