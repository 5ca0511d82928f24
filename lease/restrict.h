/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the leases that there are leave to a new one: shares of the table, and who has a
 * port already. Changes nothing.
 */
#pragma once

#include "lease/book.h"

/* The kernel's map of these costs time by its size: to delete the newest element of n takes it
 * 2 us * n, so 128 that go in one commit take 11 ms, and 1,024 would take a second. */
#define RESTRICTED_MAX 128
#define RESTRICTED_PER_HOST 16

/* One more lease like this, of that host that may have `quota` of them? Pinholes take half of the table at most: whoever is
 * in an IPv6 network has as many addresses, each with a share of its own, as he likes. */
enum lease_reason restrict_quota(const struct registry *r, uint32_t host,
				 const struct lease *l, uint32_t quota);
/* So many more restricted elements? */
bool restrict_elements(const struct registry *r, uint32_t host, uint32_t more);

/* May `l` have its external port beside those that are there? One port leads to one host;
 * different leases of it are for remotes that do not overlap, or one is for everybody. */
enum lease_reason restrict_port(const struct registry *r, uint32_t host,
				const struct lease *l);
/* Do the remotes of another lease overlap those that `l`, which is there, is to have? */
bool restrict_overlap(const struct registry *r, const struct lease *l);
