/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes by each lease: its connections of now, and their packets, bytes and last use, as the
 * kernel's connection tracking counts them. Looked for when somebody asks, in pieces between
 * which others are served, and as rarely as the length of the kernel's table asks for; the
 * packets' own way costs nothing more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct check_settings;
struct conntrack_flow;
struct event_base;
struct lease;
struct lease_policy;
struct ledger;
struct traffic;

/* Of the connections there are, both ways. */
struct traffic_sum {
	uint32_t connections;
	uint32_t counted;  /* of which the kernel counts packets and bytes */
	uint64_t packets;  /* of those */
	uint64_t in_bytes; /* towards the inside host */
	uint64_t out_bytes;
	int64_t idle_s; /* since the last packet of all of them; -1: not known */
};
#define TRAFFIC_NONE ((struct traffic_sum){.idle_s = -1})

/* One more connection, whose f->idle_s is known or -1. */
void traffic_add(struct traffic_sum *sum, const struct conntrack_flow *f);
/* For how many seconds nothing has come by it; -1: that cannot be told. */
int64_t traffic_idle(const struct check_settings *s, const struct conntrack_flow *f);

/* Keeps pointers to the ledger and the policy. NULL: no memory. */
struct traffic *traffic_new(struct event_base *base, const struct ledger *ledger,
			    const struct lease_policy *policy);
void traffic_free(struct traffic *t); /* who waits is not answered; NULL is fine */
/* The WAN's address from now on; :: if there is none. */
void traffic_set_wan(struct traffic *t, const struct in6_addr *wan4);

/* Looks at the connections now, or if that has been too much of late, leaves it at the last
 * look. `done` comes exactly once, perhaps before this returns. */
void traffic_look(struct traffic *t, void (*done)(void *arg), void *arg);
/* What that look has found of a lease, or of a static forward's entry. false: nothing is known,
 * as the connections could not be read. */
bool traffic_of(const struct traffic *t, const struct lease *l, struct traffic_sum *out);
