/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin's access rules: which ports some hosts may open, and how many. The first rule
 * that names a host holds for it; hosts that none names may open ports from 1024 up, as many
 * as `per-host` says. Knows nothing of leases.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"

#define LEASE_ACCESS_MAX 64
#define LEASE_ACCESS_NETS 8
#define LEASE_ACCESS_PORTS 16

struct lease_access {
	char name[32];
	size_t n_nets;
	struct prefix nets[LEASE_ACCESS_NETS];
	size_t n_ports; /* 0: those that every host may open */
	struct port_range ports[LEASE_ACCESS_PORTS];
	bool has_leases;
	uint32_t leases; /* at a time */
	/* May ports open to it that it did not ask for: open NAT, triggers? */
	enum access_open_nat {
		ACCESS_OPEN_NAT_AS_LAN, /* as its LAN says */
		ACCESS_OPEN_NAT_ON,
		ACCESS_OPEN_NAT_OFF,
	} open_nat;
};

/* The rule of that host; NULL: none names it. */
const struct lease_access *access_of(const struct lease_access *rules, size_t n,
				     const struct in6_addr *host);
/* May it open that port? Without ports in the rule, or without a rule: from 1024 up. */
bool access_port(const struct lease_access *rule, uint8_t protocol, uint16_t port);
