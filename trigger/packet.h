/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's packet log (NFLOG) says: the first bytes of packets as they left. Knows
 * nothing of what they are counted for.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct packet {
	uint16_t group; /* of the log */
	uint8_t protocol;
	uint16_t port; /* external, of our host */
	uint16_t remote_port;
	struct in_addr external;
	struct in_addr remote;
	uint8_t mac
		[MAC_LEN]; /* of who sent it, as far as the WAN's kind of link shows; or 0 */
};

/* Calls `each` for the TCP and UDP packets over IPv4 of one datagram of netlink, aligned as a
 * header of it is; what is not whole, or of another kind, is passed over. */
void packet_read(const void *buf, size_t len,
		 void (*each)(void *arg, const struct packet *p), void *arg);
