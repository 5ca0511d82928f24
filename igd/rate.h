/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often each host may ask: a token bucket per address in a table of fixed size. Pure.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define RATE_SETS 64
#define RATE_WAYS 4

struct rate {
	uint32_t per_second;
	uint32_t burst;
	struct rate_host {
		struct in6_addr addr;
		uint64_t last_ms;
		uint64_t milli; /* thousandths of a token */
	} hosts[RATE_SETS][RATE_WAYS];
};

void rate_init(struct rate *r, uint32_t per_second, uint32_t burst);
/* Takes one token; false: it had none left. When a set is full its quietest host makes
 * room, so many addresses at once can only be treated too well. */
bool rate_take(struct rate *r, const struct in6_addr *addr, uint64_t now_ms);
