/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status page: what the router's internet side is and which ports are open, for people.
 * Writes HTML out of the core's records; everything that a client said is escaped. Knows
 * nothing of connections. It changes nothing and loads nothing from elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/record.h"
#include "igd/text.h"

#define PAGE_PATH "/"
#define PAGE_TYPE "text/html; charset=utf-8"
#define PAGE_ROWS 1000 /* at most so many leases are shown */
/* No page is larger: 1.5 KB a row, mostly a description of 128 quotes. */
#define PAGE_SIZE(rows) (8192 + (size_t)(rows)*1536)

/* What can be said of the external address alone. */
enum page_nat {
	PAGE_NAT_DOWN,    /* there is none */
	PAGE_NAT_PUBLIC,  /* one of the internet's */
	PAGE_NAT_PRIVATE, /* RFC 1918 and the like: behind another router */
	PAGE_NAT_CARRIER, /* RFC 6598, RFC 6333: behind the provider's */
	PAGE_NAT_SPECIAL, /* reserved for something else */
};
enum page_nat page_nat(const struct record_state *s);

/* Is it one that page_write() can show? */
bool page_row_valid(const struct record_row *row);

/* Writes the page; `more`: there are more leases than those. */
void page_write(struct text *t, const struct record_state *s,
		const struct record_row *rows, size_t n, bool more, uint64_t now_ms);

/* Its own headers: nothing is kept, and nothing runs or loads but what it brings. */
extern const char page_headers[];

/* What it brings, in page_parts.c. */
extern const char page_style[];
extern const char page_script[];
