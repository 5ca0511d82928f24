/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of a conversation on port 5351.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

/* Who asks, and the address that it asked: answers leave from there (RFC 6887 8.3). */
struct server_peer {
	struct in6_addr addr;
	struct in6_addr local;
	uint16_t port;
};
