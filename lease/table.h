/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leases and the ways to find one: by external port, by inside address and port, by host
 * and by place in listings. Knows nothing of who may have a lease or of times.
 *
 * Leases have ids, from 1 up; 0 is "none". A pointer to a node stays good until the node is
 * freed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/portset.h"
#include "lease/lease.h"

#define TABLE_PORTS 65536

struct lease_node {
	struct lease lease;
	/* Same protocol and external port, other remote; of pinholes: same bucket. */
	uint32_t port_next;
	uint32_t bucket_next; /* of a ring's head: the next head in its bucket */
	uint32_t ring_next;   /* same protocol, inside address and port: a ring ... */
	uint32_t ring_prev;   /* ... whose head has the twin */
	uint32_t host;        /* its inside host's id, see hosts.h */
	uint32_t host_next;   /* leases of that host */
	uint32_t host_prev;
	uint32_t listed;  /* place in listings + 1; 0: not shown */
	uint32_t pending; /* steps neither confirmed nor taken back */
	bool gone;        /* ended, but not confirmed: only its port is still taken */
};

struct lease_table {
	struct lease_node **chunk;
	size_t n_chunks;
	uint32_t free;  /* chained by port_next */
	uint32_t count; /* live leases */
	uint64_t seed;
	uint32_t *port[2];      /* by protocol and port: the first lease there */
	struct portset busy[2]; /* the same as bits */
	/* Pinholes take no external port of the router's: a hash of TABLE_PORTS buckets by
	 * protocol, inside address and port stands in for `port`. */
	uint32_t *pinhole;
	uint32_t n_pinholes; /* in it, gone ones too */
	uint32_t *number;    /* by UniqueID: the pinhole that has it */
	uint16_t last_number;
	uint32_t *bucket; /* heads of rings */
	uint32_t *listing;
	size_t n_listed;
};

/* 0: TCP, 1: UDP. */
static inline unsigned int protocol_index(uint8_t protocol)
{
	return protocol == IPPROTO_UDP;
}

/* -ENOMEM leaves nothing to release. */
int table_init(struct lease_table *t, uint64_t seed);
void table_fini(struct lease_table *t);

/* A node that is in no index yet. 0: no memory. */
uint32_t table_alloc(struct lease_table *t);
void table_free(struct lease_table *t, uint32_t id);
/* All ids are below this. */
size_t table_room(const struct lease_table *t);
struct lease_node *table_node(const struct lease_table *t, uint32_t id);

/* Takes the external port of node->lease, and gives it back; of a pinhole the inside one. */
void table_port_link(struct lease_table *t, uint32_t id);
void table_port_unlink(struct lease_table *t, uint32_t id);
/* The first lease on a port (the others by port_next), gone ones too. */
uint32_t table_port_first(const struct lease_table *t, uint8_t protocol, uint16_t port);
/* The lease of that key, gone ones too. */
uint32_t table_find(const struct lease_table *t, uint8_t protocol, uint16_t port,
		    const struct in6_addr *remote, uint8_t remote_len);
uint32_t table_find_pinhole(const struct lease_table *t, uint8_t protocol,
			    const struct in6_addr *internal, uint16_t port,
			    const struct in6_addr *remote, uint8_t remote_len,
			    uint16_t remote_port);
/* The lease of the same key as this one, of either kind. */
uint32_t table_find_same(const struct lease_table *t, const struct lease *l);
/* Where leases of the same key but for the remote hang, perhaps among others. */
uint32_t table_first_like(const struct lease_table *t, const struct lease *l);

/* A number for a pinhole, from 1 up: the next one that is free, so that one that was given
 * back is not handed out again soon. 0: all are taken. */
uint16_t table_number_new(struct lease_table *t);
/* The pinhole of that number. */
uint32_t table_number(const struct lease_table *t, uint32_t number);
/* That number is now this lease's (0: nobody's). A number of 0 is no matter. */
void table_number_set(struct lease_table *t, uint16_t number, uint32_t id);

/* Into the ring of its inside address and port: first if it has the twin or nobody else is
 * there, else last. Unlinking the head makes the next one head. */
void table_ring_link(struct lease_table *t, uint32_t id);
void table_ring_unlink(struct lease_table *t, uint32_t id);
/* The head of a ring. */
uint32_t table_ring(const struct lease_table *t, uint8_t protocol,
		    const struct in6_addr *internal, uint16_t int_port);

/* Listings show all but pinholes and what triggers and open-nat alone keep; call when claims
 * changed. */
void table_list(struct lease_table *t, uint32_t id, bool shown);
bool table_shows(const struct lease *l);
/* Do triggers and open-nat alone keep it? */
bool table_hides(const struct lease *l);
