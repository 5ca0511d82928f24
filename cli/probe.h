/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether somebody listens on a port of a host next to us: one connection that is closed at
 * once, or one empty datagram. Reads nothing that comes back.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

enum probe_result {
	PROBE_UNTRIED, /* that address is not ours: this is another machine */
	PROBE_LISTENS,
	PROBE_REFUSED, /* the host says that nobody does */
	PROBE_SILENT,
};

/* `protocol`: IPPROTO_TCP or IPPROTO_UDP. Goes out from our own address `from`, and nowhere
 * if we do not have it. */
enum probe_result probe_listener(uint8_t protocol, const struct in6_addr *to,
				 uint16_t port, const struct in6_addr *from,
				 int timeout_ms);
