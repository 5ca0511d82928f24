/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside addresses and ports whose leases have steps that are neither confirmed nor taken
 * back: whoever touches one of these has to wait. Counts them; knows nothing of the steps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lease/lease.h"

struct pending {
	struct pending_entry {
		struct in6_addr internal;
		uint16_t int_port;
		uint8_t protocol;
		uint32_t count;
		uint32_t next; /* in its bucket; of free ones: the next free one */
	} * entry;             /* from 1 up */
	size_t room;
	size_t used;
	size_t n;
	uint32_t free;
	uint64_t seed;
	uint32_t bucket[1024];
};

void pending_init(struct pending *p, uint64_t seed);
void pending_fini(struct pending *p);

/* Makes room for n more, so that pending_add() cannot fail. -ENOMEM. */
int pending_reserve(struct pending *p, size_t n);
void pending_add(struct pending *p, const struct lease *l);
void pending_del(struct pending *p, const struct lease *l);
bool pending_has(const struct pending *p, uint8_t protocol,
		 const struct in6_addr *internal, uint16_t int_port);
