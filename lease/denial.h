/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the admin denies until he allows it again: hosts, ports, or ports of hosts. Holds for all
 * that hosts ask for and for what opens unasked; not for what the admin opens himself. Knows
 * nothing of leases that are there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"
#include "lease/access.h"

#define LEASE_DENIALS_MAX 256
#define DENIAL_TEXT (PREFIX_TEXT + 16)

struct lease_denial {
	struct prefix host; /* length 0: every host, or that with the MAC address */
	bool has_mac;
	uint8_t mac[MAC_LEN];
	/* Outside as well as inside; first 0: every port, then of both protocols. */
	struct port_range ports;
	int64_t since_s; /* since 1970 */
};

/* The denial of that port of that host; NULL: there is none for sure, as one by a MAC address that
 * is not known is not. Port 0 is in those of every port alone. */
const struct lease_denial *denial_of(const struct lease_denial *d, size_t n,
				     uint8_t protocol, uint16_t port,
				     const struct access_host *host);
/* Do both deny the same? */
bool denial_same(const struct lease_denial *a, const struct lease_denial *b);

/* "192.168.1.20", "a4:c0:e1:00:00:01", "udp/3074", "3074-3076", or both with a blank between, the host first. What is
 * none: -EINVAL; since_s is left alone. */
int denial_parse(const char *text, struct lease_denial *out);
const char *denial_text(const struct lease_denial *d, char buf[DENIAL_TEXT]);
