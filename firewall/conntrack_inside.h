/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the kernel's messages about its connections are read. Knows neither sockets nor leases. */
#pragma once

#include <linux/netlink.h>

#include "firewall/conntrack.h"

/* What names an entry, as it came. */
struct conntrack_entry {
	uint8_t family;
	bool has_zone;
	uint16_t zone; /* network order */
	struct flow flow;
};

/* false: no TCP or UDP flow, or not whole. */
bool conntrack_entry_read(const struct nlmsghdr *nlh, struct conntrack_entry *e);
/* The rest of such a message; f->inbound says already which way is in. */
void conntrack_details(const struct nlmsghdr *nlh, struct conntrack_flow *f);
