/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which interface is the WAN, which are LANs, and their addresses now: the configuration
 * held against what the kernel has. Changes nothing.
 */
#pragma once

#include "conf/config.h"
#include "firewall/links.h"
#include "lease/registry.h"

#define HTTP_PORT_FIRST 49152 /* of LAN 0; libupnp 1.8 takes none below */

/* A LAN keeps its number as long as we run, also while it has no address. */
struct topology_lan {
	char name[IFNAMSIZ]; /* "": the number is free */
	uint32_t ifindex;    /* 0: not there */
	bool trusted;
	bool upnp;
	bool pcp;
	bool nat_pmp;
	bool open_nat;
	uint16_t http_port;
	size_t n_addrs; /* 0: no IPv4 address, nothing is served */
	struct record_prefix addrs[RECORD_LAN_ADDRS]; /* the first is IPv4 */
	size_t n_also;
	struct prefix also[CONFIG_ALSO];
	size_t n_third;
	struct prefix third[CONFIG_ALSO];
};

struct topology {
	const struct config *config;
	char wan[IFNAMSIZ];   /* "": none yet */
	uint32_t wan_index;   /* 0: not there */
	bool wan_up;          /* up, with an address */
	struct in6_addr wan4; /* :: while there is none */
	struct topology_lan lan[LEASE_LANS_MAX];
};

void topology_init(struct topology *t, const struct config *config);
/* Another configuration: LANs of the same name keep their number, new ones take the first
 * free one. Then topology_read(). */
void topology_configure(struct topology *t, const struct config *config);
/* Brings it up to date. */
void topology_read(struct topology *t, const struct links *links);

/* Did the addresses of that LAN change? */
bool topology_lan_differs(const struct topology_lan *a, const struct topology_lan *b);
/* Is another LAN served, or served otherwise? */
bool topology_lan_serves_else(const struct topology_lan *a, const struct topology_lan *b);
/* What policy must know of it. */
void topology_lan_policy(const struct topology_lan *lan, struct lease_lan *policy);
