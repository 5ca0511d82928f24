/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between libupnp and the kernel: this program defines bind, setsockopt,
 * select, accept, recvfrom and sendto, and libupnp's calls of them come here. They keep its
 * sockets on the LAN or on loopback, and hand it nothing that we did not write ourselves.
 * Everybody else's calls pass through.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "igd/description.h"

struct hooks_config {
	char ifname[16];
	uint32_t ifindex;
	size_t n_nets; /* a search must come from one of them */
	struct hooks_net {
		struct in_addr addr;
		struct in_addr mask;
	} nets[16];
	const struct description *description; /* borrowed for good */
};

/* Before libupnp is started, once. -errno. */
int hooks_init(const struct hooks_config *config);

/* Connects, without waiting, to libupnp's HTTP listener on loopback, on behalf of a client
 * whose address libupnp is to see. The descriptor, or -errno. *port identifies it. */
int hooks_connect(struct in_addr client, uint16_t *port);
/* The connection is over, also if libupnp never took it. */
void hooks_forget(uint16_t port);
