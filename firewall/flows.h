/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which running flows the leases still allow. The NAT looks at the first packet of a flow only;
 * what has become of the leases since is judged here. Pure; knows neither netlink nor clocks.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"
#include "lease/lease.h"

/* An entry of the kernel's connection tracking. Ports are in host order. */
struct flow_end {
	struct in6_addr src;
	struct in6_addr dst;
	uint16_t sport;
	uint16_t dport;
};

struct flow {
	uint8_t protocol;
	bool dnat;
	bool snat;
	struct flow_end original; /* the first packet, as it came */
	struct flow_end reply;    /* what answers look like */
};

/* An external port whose leases have changed. */
struct flow_port {
	uint8_t protocol;
	uint16_t ext_port;
	uint16_t int_port; /* where its flows led, or lead from now on */
	struct in6_addr internal;
	bool fresh;     /* a lease begins there: what is in its way goes */
	bool contested; /* perhaps flows of others leave from that port */
};

struct flows {
	struct flow_port *port;
	size_t n_ports;
	size_t port_room;
	struct portset tcp; /* of external ports */
	struct portset udp;
	bool pinholes; /* some of them are of IPv6 hosts */
	bool all;      /* every port: nobody knows what has changed */
	bool contested;

	/* The leases of those ports as they are now. */
	struct lease *lease;
	size_t n_leases;
	size_t lease_room;

	/* With `all`: may a lease have led that flow, as no rule of others explains it? */
	bool (*ours)(void *arg, const struct flow *flow);
	void *ours_arg;

	struct in6_addr wan4;
	struct in6_addr former; /* a WAN address that is no more; :: if there is none */
};

void flows_fini(struct flows *f);
/* Nothing changed, no leases; the memory is kept. */
void flows_reset(struct flows *f);

/* Something may be different at every port. */
void flows_everything(struct flows *f);
/* Something is different at that port. -ENOMEM. */
int flows_add(struct flows *f, const struct flow_port *p);
/* What one step of a lease means for running flows; nothing, as a rule. -ENOMEM. */
int flows_step(struct flows *f, const struct lease_change *step, bool contested);
/* Are the leases of that port asked for? */
bool flows_wants(const struct flows *f, const struct lease *l);
/* One of them. -ENOMEM. */
int flows_lease(struct flows *f, const struct lease *l);
/* After the last one, and before the first question. */
void flows_sort(struct flows *f);

/* Does that lease let this remote in? */
bool flows_lets_in(const struct lease *l, const struct in6_addr *remote,
		   uint16_t remote_port);
/* Does that flow have to go? */
bool flows_must_go(const struct flows *f, const struct flow *flow);
