/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that write rules share: one rule at a time, from rules_begin() to
 * rules_end(), into the batch of the table's installation.
 */
#pragma once

#include "firewall/expr.h"
#include "firewall/kernel.h"

/* Flows that have to move leave from a port from this one on. */
#define RULES_MOVED_FIRST 32768

struct rules {
	struct firewall *fw;
	uint32_t next_set; /* ids of sets within this batch */
	size_t n;          /* so many rules */
	struct expr e;
	int err;
};

struct expr *rules_begin(struct rules *r, const char *chain);
void rules_end(struct rules *r);

/* An anonymous set of single bytes (KERNEL_TYPE_*) for a lookup of this rule; its id. */
uint32_t rules_bytes(struct rules *r, uint32_t type, const uint8_t *bytes, size_t n);
/* meta l4proto { tcp, udp }, or none of them */
void rules_tcp_udp(struct rules *r, bool is);

/* What comes in by the WAN, or leaves by it, goes to that chain; NULL: leaves this one. */
void rules_wan_goto(struct rules *r, const char *chain, enum expr_name which,
		    const char *to);

/* What is not IPv4 leaves the chain. */
void rules_only_ipv4(struct rules *r, const char *chain);

/* proto . port at the fields 0 and 1 */
void rules_proto_port(struct expr *e, enum expr_port which);
/* saddr . proto . port from the field `at` on */
void rules_saddr_proto_port(struct expr *e, enum expr_port which, unsigned int at);

/* Does the packet's host have the claim on its port, the field of which `put_host` loads? Else the
 * rule ends. Then that it has: kept alive, or made. */
void rules_claimed_by(struct rules *r, void (*put_host)(struct expr *e, unsigned int at));
void rules_claim(struct rules *r, void (*put_host)(struct expr *e, unsigned int at));

/* Static forwards: their DNAT, whose way back leads through the router, and with which ports
 * their hosts go out. */
void forwards_fill_pre(struct rules *r);
void forwards_fill_src(struct rules *r);
void forwards_fill_own(struct rules *r);
void forwards_fill_held(struct rules *r);

/* What leaves by the WAN: which claims, leases and flows it keeps alive or makes known. */
void learn_fill(struct rules *r, const struct firewall_learn *l);
/* Of the packet that makes a claim its remote is noted, and not told of. */
void learn_fill_first(struct rules *r, const struct firewall_learn *l, uint8_t protocol);
/* The way there, and of what passes from LAN to LAN. */
void learn_fill_hook(struct rules *r, const struct firewall_learn *l);

/* What goes to the ports that trigger rules watch: the jump there, and the chain. */
void watched_fill_out(struct rules *r, const struct firewall_learn *l);
void watched_fill(struct rules *r, const struct firewall_learn *l);

/* Router mode's chains, as far as it is on. */
void router_fill(struct rules *r, const struct firewall_router *router);
