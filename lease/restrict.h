/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the leases that there are leave to a new one: shares of the table, and who has a
 * port already. Changes nothing.
 */
#pragma once

#include "lease/book.h"

/* The kernel's map of these costs time by its size (design 5). */
#define RESTRICTED_MAX 1024
#define RESTRICTED_PER_HOST 16

/* One more lease of that host, by that origin? */
enum lease_reason restrict_quota(const struct registry *r, uint32_t host,
				 enum lease_by origin, uint8_t remote_len);

/* May `l` have its external port beside those that are there? One port leads to one host;
 * different leases of it are for remotes that do not overlap, or one is for everybody. */
enum lease_reason restrict_port(const struct registry *r, uint32_t host,
				const struct lease *l);
