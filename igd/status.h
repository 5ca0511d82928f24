/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps the status page of one LAN: gathers the leases from the core, part by part, at most
 * once a second however often the page is wanted, and lends what was made of them. Knows
 * nothing of who wants it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/record.h"
#include "igd/front.h"

#define STATUS_FRESH_MS 1000

struct channel;
struct status;

struct status *status_new(struct channel *channel); /* NULL: no memory */

/* Fills the answer with the page, lent; -EAGAIN: the core was asked, and status_listed()
 * will tell; else -errno: it cannot be had now. */
int status_page(struct status *st, uint64_t now_ms, struct front_answer *out);

/* The core's answers. True: everything is here, and so is a page (or no memory for one). */
void status_rows(struct status *st, const struct record_row *rows, size_t n);
bool status_listed(struct status *st, const struct record_list *next,
		   const struct record_state *state, uint64_t now_ms);
