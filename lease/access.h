/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin's access rules: which ports some hosts may open, and how many. The first rule
 * that names a host holds for it; hosts that none names may open ports from 1024 up, as many
 * as `per-host` says. Knows nothing of leases, nor where a host's MAC address comes from.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"

#define LEASE_ACCESS_MAX 64
#define LEASE_ACCESS_NETS 8
#define LEASE_ACCESS_MACS 8
#define LEASE_ACCESS_PORTS 16

struct lease_access {
	char name[32];
	/* Networks, MAC addresses, or both: then both have to be the host's. */
	size_t n_nets;
	struct prefix nets[LEASE_ACCESS_NETS];
	size_t n_macs;
	uint8_t macs[LEASE_ACCESS_MACS][MAC_LEN];
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

/* What is known of a host. */
struct access_host {
	struct in6_addr addr;
	enum access_mac {
		ACCESS_MAC_NONE,    /* it has none that we could ever know */
		ACCESS_MAC_UNKNOWN, /* not now: it has been silent, or we have just begun */
		ACCESS_MAC_KNOWN,
	} has_mac;
	uint8_t mac[MAC_LEN];
};

/* Does the rule name that host? ACCESS_MAYBE: with its MAC address we should know. */
enum access_named { ACCESS_NO, ACCESS_MAYBE, ACCESS_YES };
enum access_named access_names(const struct lease_access *rule,
			       const struct access_host *host);
/* The rule of that host; NULL: none names it for sure. */
const struct lease_access *access_of(const struct lease_access *rules, size_t n,
				     const struct access_host *host);
/* May it open that port? Without ports in the rule, or without a rule: from 1024 up. */
bool access_port(const struct lease_access *rule, uint8_t protocol, uint16_t port);
