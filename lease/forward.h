/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin's static forwards: ports of the WAN that lead to an inside address for good. A
 * range is one of them, however many ports it has. They are no leases: nobody asks for them,
 * renews or ends them; leases give way. Knows nothing of the configuration or the kernel.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "lease/lease.h"

#define LEASE_FORWARDS_MAX 256
#define LEASE_FORWARD_NAME 32
#define LEASE_FORWARD_FROM 8

struct lease_forward {
	char name[LEASE_FORWARD_NAME];
	struct in6_addr internal; /* IPv4, anywhere that the router has a route to */
	uint16_t first;           /* external ports */
	uint16_t last;
	uint16_t int_first; /* the inside port of `first`; of a range the same as first */
	uint8_t protocol;   /* IPPROTO_TCP, IPPROTO_UDP */
	bool return_via_router; /* the inside host sees the router as the sender */
	uint8_t n_from;         /* 0: everybody may come in */
	uint8_t zero[7];
	struct prefix from[LEASE_FORWARD_FROM]; /* IPv4, host bits zero */
};

/* Could one packet from outside belong to both? */
bool forward_overlaps(const struct lease_forward *a, const struct lease_forward *b);

/* Listings show a forward once for each network that may come in, a range by its first port
 * and its name: how many entries that makes. */
size_t forward_entries(const struct lease_forward *f, size_t n);
/* The entry with that number, as the lease it looks like: origin and claim static, no
 * deadline; *last is the end of its range. false: there are not so many. */
bool forward_entry(const struct lease_forward *f, size_t n, size_t index, struct lease *l,
		   uint16_t *last);

/* The forward that has an external port, for that remote prefix or, with length 0, for
 * whomever; NULL: none. */
const struct lease_forward *forward_find(const struct lease_forward *f, size_t n,
					 uint8_t protocol, uint16_t port,
					 const struct in6_addr *remote,
					 uint8_t remote_len);
/* The forward that leads to an inside port; NULL: none. */
const struct lease_forward *forward_inside(const struct lease_forward *f, size_t n,
					   uint8_t protocol,
					   const struct in6_addr *internal,
					   uint16_t int_port);
/* One port of a forward as the lease that it looks like, for its from[which]. */
void forward_lease(const struct lease_forward *f, uint16_t port, size_t which,
		   struct lease *l);
