/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often each host may ask, in constant memory. Knows no protocol and no clock: callers
 * pass the time, in milliseconds.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define RATE_SLOTS 1024
#define RATE_PROBES 8

struct rate {
	uint32_t per_second; /* burst twice that; 0: no limit */
	struct rate_slot {
		struct in6_addr host;
		uint64_t
			until_us; /* the time up to which its requests are accounted for */
	} slot[RATE_SLOTS];
};

/* May this host have one more answered? Counts it if so. */
bool rate_admit(struct rate *r, const struct in6_addr *host, uint64_t now_ms);
