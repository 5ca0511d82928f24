/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's network interfaces, their addresses and the one that the default route leaves
 * by, kept up to date from rtnetlink. Needs no privilege. Knows nothing of WAN and LAN.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_ADDRS 16 /* further ones are left out */

struct link_addr {
	struct in6_addr addr; /* our end of a point-to-point link */
	uint8_t len;          /* of the network, of 128 bits */
	bool usable;          /* neither tentative, deprecated nor a temporary one */
};

struct link {
	char name[IFNAMSIZ];
	uint32_t index;
	bool up;      /* by the admin */
	bool running; /* and has a carrier */
	bool loopback;
	bool has_mac;
	uint8_t mac[6];
	size_t n_addrs;
	struct link_addr
		addrs[LINK_ADDRS]; /* sorted, so that two states can be compared */
};

struct link_counters {
	uint64_t rx_bytes;
	uint64_t tx_bytes;
	uint64_t rx_packets;
	uint64_t tx_packets;
};

struct links;

int links_open(struct links **out);
void links_close(struct links *l); /* NULL is fine */

/* To be watched for reading; then call links_read(). */
int links_fd(const struct links *l);
/* Takes in what has happened. 1: something of what this module knows has changed, and
 * pointers to links are no longer valid; 0: nothing; -errno: the old state stays. */
int links_read(struct links *l);

void links_each(const struct links *l, void (*each)(void *arg, const struct link *link),
		void *arg);
const struct link *links_find(const struct links *l, const char *name); /* or NULL */
/* Of the IPv4 default route with the lowest metric in the main table; NULL: there is none. */
const struct link *links_default_route(const struct links *l);
/* The next hop of that route; 0.0.0.0: it has none, as on a point-to-point link. */
struct in_addr links_gateway(const struct links *l);

/* The kernel's counters of now. -ENODEV. */
int links_counters(struct links *l, const char *name, struct link_counters *out);
