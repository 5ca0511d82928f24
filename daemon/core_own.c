/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ports on which the router's own programs can be reached from the WAN: no LAN host leaves
 * from one of them. The kernel does not tell of sockets that come, so it is asked.
 */
#include <errno.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"

#define OWN_EVERY_S 10

void core_own_look(struct core *c)
{
	static const struct timeval next = {.tv_sec = OWN_EVERY_S};
	const struct portset *tcp, *udp;
	int err;

	sockets_ports(c->sockets, c->topology.wan_index, &c->topology.wan4, clock_ms(),
		      &tcp, &udp);
	err = firewall_set_own(c->firewall, tcp, udp);
	if (err && err != -ENOENT) { /* without the table: it comes back with them */
		errno = -err;
		log_error("the router's own ports could not be told to the kernel: %m");
	}
	event_add(c->own_due, &next);
}

void core_own_due(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	core_own_look(arg);
}
