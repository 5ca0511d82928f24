/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a ruleset does to one packet: walks its chains as the kernel would. What cannot be
 * known from here (a rate, a mark, a set that is too long, an extension of iptables) is
 * neither true nor false, and so the answer has three values too.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "firewall/foreign.h"

/* The first packet of a flow. */
struct walk_packet {
	bool ipv6;
	uint8_t protocol; /* IPPROTO_TCP: a SYN; IPPROTO_UDP */
	const char *iif;  /* names of interfaces */
	const char *oif;  /* NULL: none yet */
	bool to_router;   /* dst is an address of the router's own */
	struct in6_addr src;
	struct in6_addr dst; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t sport;
	uint16_t dport;
	bool dnat;     /* a destination NAT has been at it */
	uint32_t mark; /* of conntrack: these bits are set, nothing is known of others */
};

enum walk_fate {
	WALK_ACCEPT, /* goes on to the next chain */
	WALK_DROP,   /* or is rejected */
	WALK_DNAT,   /* gets another destination */
	WALK_MAYBE,  /* may be dropped, by the rule that is named */
};

/* Where it ended: a rule of a chain, or with handle 0 the policy of a base chain. */
struct walk_end {
	enum walk_fate fate;
	const struct foreign_chain *base;
	const struct foreign_chain *chain;
	uint64_t handle;
};

/* One base chain. A packet that one rule may have accepted before another drops it, and one
 * that may have been dropped before it is accepted, are both WALK_MAYBE. */
struct walk_end walk_chain(struct foreign *f, const struct foreign_chain *base,
			   const struct walk_packet *p);

/*
 * All base chains of a hook (NF_INET_*) for this family in order of priority, from `first` to
 * `last`, those of type nat or the others. The first end that is not WALK_ACCEPT; a certain one
 * goes before an uncertain one. `base` is NULL where there is no such chain.
 */
struct walk_end walk_hook(struct foreign *f, uint32_t hook, bool nat, int32_t first,
			  int32_t last, const struct walk_packet *p);
