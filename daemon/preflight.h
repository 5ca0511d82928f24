/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parent looks at before it starts anything: is another portreeved here, are the
 * ports free and if not, who has them. Changes nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Holds the name that one portreeved per network namespace has; open until exit. The
 * descriptor, -EADDRINUSE with *holder (0: unknown), or -errno. */
int preflight_alone(pid_t *holder);

struct preflight_port {
	int type; /* SOCK_DGRAM or SOCK_STREAM */
	uint16_t port;
	int shared; /* others may listen too if they share it (SSDP) */
};

/* Could we listen there on that interface? 0, or -EADDRINUSE with the program in `who`
 * ("miniupnpd (pid 123)", or "another program"), or -errno. */
int preflight_port(const char *ifname, const struct preflight_port *p, char *who,
		   size_t size);
