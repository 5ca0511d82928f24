/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between libupnp and the kernel: this program defines bind, setsockopt,
 * select, accept, recvfrom, sendto, usleep and nanosleep, and libupnp's calls of them come
 * here. They keep its sockets on the LAN or on loopback, hand it nothing that we did not write
 * ourselves, and let nobody connect to it. Everybody else's calls pass through.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "igd/description.h"

struct hooks_config {
	char ifname[16];
	uint32_t ifindex;
	size_t n_nets; /* a search must come from one of them */
	struct prefix nets[16];
	bool v6;                               /* libupnp answers over IPv6 too */
	const struct description *description; /* borrowed for good */
};

/* Before libupnp is started, once. -errno. */
int hooks_init(const struct hooks_config *config);

/* Says good-bye for all devices by libupnp's socket, so that nobody goes on with what a
 * worker before this one has said (row U4). From libupnp's start on; before that nothing. */
void hooks_goodbye(void);

/* Did libupnp answer the search that the last call of this has handed it? Hands it the next
 * one. Always from the same thread. */
bool hooks_lives(void);
