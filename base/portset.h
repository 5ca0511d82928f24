/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of ports, and port ranges as people write them. Ports are in host order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Which of the 65,536 ports of one protocol; {0} is the empty set. */
struct portset {
	uint64_t word[1024];
};

static inline bool portset_has(const struct portset *s, uint16_t port)
{
	return s->word[port / 64] >> (port % 64) & 1;
}

void portset_add(struct portset *s, uint16_t first, uint16_t last);
void portset_del(struct portset *s, uint16_t first, uint16_t last);

/* "udp/3074", "3074/udp", "tcp/8000-8100", "3074" (both protocols). */
struct port_range {
	bool tcp;
	bool udp;
	uint16_t first;
	uint16_t last;
};

/* -EINVAL: not a range as above; nothing else is accepted around it. */
int port_range_parse(const char *text, struct port_range *out);
