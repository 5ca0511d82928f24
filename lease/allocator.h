/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chooses an external port where the server may choose. Bounded: a full table costs two walks
 * over a bitmap. Knows nothing of requests or claims.
 */
#pragma once

#include "lease/released.h"
#include "lease/table.h"

struct hosts;
struct lease_policy;

struct allocator {
	const struct lease_table *table;
	const struct released *released;
	const struct hosts *hosts;
	const struct lease_policy *policy;
	uint64_t seed;
	uint64_t drawn; /* random numbers so far */
};

/*
 * The wanted port, else the inside port, else one of the same parity nearby, else a random
 * one; for that host (of hosts.h). 0: none is free.
 */
uint16_t allocator_choose(struct allocator *a, uint8_t protocol, uint32_t host,
			  uint16_t wanted, uint16_t int_port);
