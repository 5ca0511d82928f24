/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's connection tracking (ctnetlink): finds flows and ends them. Each question walks
 * the kernel's whole table, about 30 ms at 100,000 entries: who asks has to be sparing. Knows
 * no policy; flows.h judges.
 */
#pragma once

#include "firewall/flows.h"

struct conntrack;
struct firewall;

/* -EPERM, -EPROTONOSUPPORT: no ctnetlink in this kernel; else -errno. */
int conntrack_open(struct conntrack **out);
void conntrack_close(struct conntrack *ct); /* NULL is fine */

/* Ends the flows that have to go. How many, or -errno. */
long conntrack_cut(struct conntrack *ct, const struct flows *f);

/* The external port from which flows of that inside host and port leave towards anybody by the
 * WAN's address; 0: there are none. Or -errno. */
long conntrack_port(struct conntrack *ct, uint8_t protocol, struct in_addr internal,
		    uint16_t int_port, struct in_addr wan4);

/* The inside host and port of a flow that leaves from that external one to that remote.
 * -ENOENT: there is no such flow. One look, however many flows there are. */
int conntrack_origin(struct conntrack *ct, uint8_t protocol, struct in_addr external,
		     uint16_t ext_port, struct in_addr remote, uint16_t remote_port,
		     struct in_addr *internal, uint16_t *int_port);

/* Calls `each` for the flows that leave by that WAN address with the source port of the host
 * itself: those by which hosts have claimed it. */
int conntrack_claims(struct conntrack *ct, struct in_addr wan4,
		     void (*each)(void *arg, uint8_t protocol, uint16_t port,
				  struct in_addr internal),
		     void *arg);

/* A flow that goes by a lease, in or out, as the kernel knows it now. */
struct conntrack_flow {
	struct flow flow;
	bool inbound;     /* the remote has begun it */
	bool answered;    /* packets have gone both ways */
	bool closing;     /* TCP, and one side has ended it */
	bool assured;     /* more than a question and an answer */
	bool established; /* TCP */
	bool offloaded;   /* a flowtable passes its packets by the rules */
	int64_t idle_s; /* since the last packet; -1: not known. Not by conntrack_lease(). */
	uint32_t left_s; /* so long it is kept if nothing more comes */
	/* The kernel counts (nf_conntrack_acct), and not only what no flowtable passes. */
	bool counted;
	uint64_t packets;  /* both ways */
	uint64_t in_bytes; /* towards the inside host */
	uint64_t out_bytes;
	uint64_t began_ns; /* since 1970; 0: the kernel does not note it (_timestamp) */
};

/* Calls `each` for the flows of that lease; wan4 is not needed for a pinhole. -errno. */
int conntrack_lease(struct conntrack *ct, const struct lease *l, struct in_addr wan4,
		    void (*each)(void *arg, const struct conntrack_flow *f), void *arg);

/* One message of a dump. false: no TCP or UDP flow, or not whole. */
bool conntrack_read(const void *nlh, struct flow *out);
