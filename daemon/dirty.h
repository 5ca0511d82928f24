/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of leases that have changed, each once however often it did. Knows nothing of who
 * wants to know.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lease/lease.h"

/* Names a lease. */
struct dirty_key {
	struct in6_addr remote;
	struct in6_addr internal; /* of a pinhole, else :: */
	uint16_t ext_port;
	uint16_t remote_port;
	uint8_t protocol;
	uint8_t remote_len;
	uint8_t zero[2]; /* keys are compared as bytes */
};

void dirty_key_of(const struct lease *l, struct dirty_key *key);

struct dirty {
	struct dirty_slot *slot;
	size_t room; /* a power of two, or 0 */
	size_t n;
	size_t max;
	size_t next; /* where to look for the next one */
	uint64_t seed;
};

void dirty_init(struct dirty *d, size_t max, uint64_t seed);
void dirty_fini(struct dirty *d);

/* Notes a lease; `born`: it was not there before. false: there are `max`, or no memory. */
bool dirty_add(struct dirty *d, const struct dirty_key *key, bool born);
/* Takes one out. *born: it had not been there before its first change. false: none is left. */
bool dirty_take(struct dirty *d, struct dirty_key *key, bool *born);
/* Forgets all, and gives the memory back. */
void dirty_clear(struct dirty *d);
