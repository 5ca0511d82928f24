/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the admin wrote, as plain values. Knows the grammar and what each key allows;
 * nothing of interfaces that exist or of who uses the values. In conf/ and elsewhere it is
 * included as "conf/config.h"; "config.h" is the build's.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/portset.h"
#include "lease/access.h"
#include "lease/forward.h"
#include "lease/trigger.h"

#define CONFIG_ERROR 512
#define CONFIG_LANS 16
#define CONFIG_ALSO 8
#define CONFIG_PATH 256
#define CONFIG_PORTS 16   /* in one list of a forward or an open-nat block */
#define CONFIG_INSTANT 28 /* of the open-nat block and of profiles: each may be two */
#define CONFIG_PROFILES 32
#define CONFIG_PROFILE_NAME 32
#define CONFIG_DEFAULT_FILE SYSCONFDIR "/portreeve/portreeve.conf"
#define CONFIG_PROFILES_DIR PKGDATADIR "/profiles.d"
#define CONFIG_RESERVED_FILE PKGDATADIR "/reserved.conf"

struct config_lan {
	char name[IFNAMSIZ];
	bool trusted; /* router mode: may reach the other LANs and the router */
	bool upnp;
	bool pcp;
	bool nat_pmp;       /* shares PCP's port */
	bool open_nat;      /* ports open to its hosts without being asked for */
	uint16_t http_port; /* 0: chosen by the daemon */
	size_t n_also;
	struct prefix also[CONFIG_ALSO]; /* IPv4 networks behind a switch of that LAN */
	size_t n_third;
	struct prefix third[CONFIG_ALSO]; /* hosts that may ask for others: THIRD_PARTY */
};

/* The router block: what we do as the machine's only firewall. All off without one. */
struct config_router {
	bool on;
	bool masquerade;
	bool filter;
	bool clamp_mss;
	bool antispoof;
	bool log;           /* what is dropped */
	bool allow_icmp;    /* of wan-allow: the router answers pings from the WAN */
	struct portset tcp; /* and its ports that the WAN may reach */
	struct portset udp;
};

/* What opens a port without being asked: distinct remote addresses in a window. */
struct config_open_nat {
	uint32_t udp_remotes;
	uint32_t tcp_remotes;
	uint32_t window_s; /* at most idle_s */
	uint32_t idle_s;
	uint32_t per_host; /* such openings at a time; 0: none */
	size_t n_instant;
	struct port_range instant[CONFIG_INSTANT]; /* one remote is enough */
	size_t n_quiet;
	struct port_range quiet[CONFIG_PORTS]; /* destinations that do not count */
};

struct config {
	char wan[IFNAMSIZ]; /* "": the interface of the default route */
	size_t n_lans;      /* 0: every other interface with a private address */
	struct config_lan lan[CONFIG_LANS];
	uint32_t leases;
	uint32_t per_host;
	uint32_t requests_per_second;
	uint32_t min_lifetime_s; /* of PCP, as max_lifetime_s, which is NAT-PMP's too */
	uint32_t max_lifetime_s;
	uint32_t gone_after_s; /* of a host's silence: it has left the LAN */
	bool own_masquerade;   /* choose the source ports of LAN hosts */
	size_t n_access;
	struct lease_access access[LEASE_ACCESS_MAX];
	size_t n_forwards;
	struct lease_forward forward[LEASE_FORWARDS_MAX];
	struct config_router router;
	struct config_open_nat open_nat;
	size_t n_triggers;
	struct lease_trigger trigger[LEASE_TRIGGERS_MAX];
	size_t n_profiles; /* that are switched on, in their order */
	char profile[CONFIG_PROFILES][CONFIG_PROFILE_NAME];
	uint32_t history_days;
	uint32_t history_rows;
	bool pcp_nonce_same_source; /* else RFC 6887 11.3 as it is written */
	bool cut_expired;           /* also flows of a lease that ran out by itself */
	char reserved_file[CONFIG_PATH]; /* "": none */
	char profiles_dir[CONFIG_PATH];  /* "": none */
	/* The file's ports and those of `reserved`, without those of `allow-reserved`. */
	struct portset reserved_tcp;
	struct portset reserved_udp;
};

/* What holds with no file at all; the reserved list is not read yet. */
void config_defaults(struct config *c);

/*
 * Both return 0, or a negative errno with one line in err, "file:line: key: what is wrong,
 * what is allowed"; then *c holds the defaults.
 *
 * config_load reads the file, the reserved list and the profiles; optional: that there is no such
 * file is fine. config_read reads the keys only; name stands for the file in errors.
 */
int config_load(struct config *c, const char *path, bool optional,
		char err[CONFIG_ERROR]);
int config_read(struct config *c, FILE *f, const char *name, char err[CONFIG_ERROR]);
