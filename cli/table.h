/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables for terminals: columns as wide as what is in them, the last one cut to the width
 * there is. Knows how wide UTF-8 text is, and nothing of what it says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS 12

struct table {
	const char *const *heading; /* borrowed */
	size_t n_columns;           /* at most TABLE_COLUMNS */
	size_t max
		[TABLE_COLUMNS]; /* longer ones are cut; 0: never. Not of the last one. */
	size_t width[TABLE_COLUMNS];
	bool hidden[TABLE_COLUMNS]; /* not printed; not the last one */
};

/* The columns a text takes on a terminal. */
size_t text_width(const char *text);
/* Copies as much as fits into so many columns, with … at the end if that is not all. */
const char *text_cut(const char *text, size_t columns, char *buf, size_t size);
/* Text from the network for a terminal: control characters escaped (log_escape), and the
 * invisible ones that turn the direction of writing, or hide, as U+FFFD. */
const char *text_safe(const char *text, char *buf, size_t size);
/* The same with quotation marks as they are: not for what stands in quotes. */
const char *text_quoted(const char *text, char *buf, size_t size);

void table_init(struct table *t, const char *const *heading, size_t n_columns);
/* First every row is measured, then every row printed: rows need not be kept. */
void table_measure(struct table *t, const char *const *cell);
/* Where that column begins. */
size_t table_start(const struct table *t, size_t column);
/* `columns`: the width there is. `bold` for the heading, if it is coloured. */
void table_print_heading(const struct table *t, FILE *out, size_t columns, bool bold);
void table_print(const struct table *t, FILE *out, size_t columns,
		 const char *const *cell);
