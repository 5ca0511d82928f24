/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * External ports whose lease has ended and which only their former owner may have back for
 * two minutes (RFC 6887 section 15). Knows nothing of leases.
 */
#pragma once

#include <stdint.h>

#include "base/portset.h"

struct hosts;

#define RELEASED_MS 120000
#define RELEASED_PER_HOST 256 /* beyond them a port of that host is free at once */

struct released_port {
	uint64_t until_ms;
	uint32_t host;
	uint32_t prev; /* released earlier, and later */
	uint32_t next;
};

struct released {
	struct released_port *port; /* by protocol and port; [0] is the list's head */
	struct portset set[2];
	struct hosts *hosts;
};

int released_init(struct released *rel, struct hosts *hosts);
void released_fini(struct released *rel);

void released_add(struct released *rel, uint8_t protocol, uint16_t port, uint32_t host,
		  uint64_t now_ms);
void released_del(struct released *rel, uint8_t protocol, uint16_t port);
/* Whose port it still is; 0: nobody's. */
uint32_t released_host(const struct released *rel, uint8_t protocol, uint16_t port);
/* Lets go of those whose time has come. */
void released_expire(struct released *rel, uint64_t now_ms);
/* The port of that protocol that was released first, after the one given (0: from the
 * start); 0: there is none among the next `tries`. */
uint16_t released_oldest(const struct released *rel, uint8_t protocol, uint16_t after,
			 unsigned int tries);
