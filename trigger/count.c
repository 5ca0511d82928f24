/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trigger/count.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT16_MAX /* no place; also that of the ring's head */
#define OLD_PER_ADD 2   /* so that the work of one packet is bounded */

static_assert(COUNT_PORTS < NONE, "a place has 16 bits");

struct candidate {
	uint8_t protocol;
	uint8_t n;
	uint16_t port;
	/* In the order of their latest packets; of free places `next` alone. */
	uint16_t prev;
	uint16_t next;
	struct in_addr remote[COUNT_REMOTES];
	uint64_t at_ms[COUNT_REMOTES];
	uint64_t last_ms;
};

struct count {
	uint32_t window_ms;
	uint16_t newest; /* place, or NONE */
	uint16_t oldest;
	uint16_t free;
	uint16_t used; /* places that were taken at least once */
	size_t n;
	uint16_t place[2 * 65536]; /* by protocol and port: 1 + its place; 0: none */
	struct candidate port[COUNT_PORTS];
};

struct count *count_new(uint32_t window_ms)
{
	struct count *c = calloc(1, sizeof(*c)); /* what is not used stays untouched */

	if (!c)
		return NULL;
	c->window_ms = window_ms;
	c->newest = c->oldest = c->free = NONE;
	return c;
}

void count_free(struct count *c)
{
	free(c);
}

size_t count_ports(const struct count *c)
{
	return c->n;
}

static uint16_t *place_of(struct count *c, uint8_t protocol, uint16_t port)
{
	return &c->place[(protocol == IPPROTO_UDP ? 65536U : 0U) + port];
}

static void unlink_place(struct count *c, uint16_t at)
{
	struct candidate *p = &c->port[at];

	if (p->prev == NONE)
		c->newest = p->next;
	else
		c->port[p->prev].next = p->next;
	if (p->next == NONE)
		c->oldest = p->prev;
	else
		c->port[p->next].prev = p->prev;
}

static void link_newest(struct count *c, uint16_t at)
{
	struct candidate *p = &c->port[at];

	p->prev = NONE;
	p->next = c->newest;
	if (c->newest == NONE)
		c->oldest = at;
	else
		c->port[c->newest].prev = at;
	c->newest = at;
}

static void drop(struct count *c, uint16_t at)
{
	struct candidate *p = &c->port[at];

	*place_of(c, p->protocol, p->port) = 0;
	unlink_place(c, at);
	p->next = c->free;
	c->free = at;
	c->n--;
}

static bool is_old(const struct count *c, uint64_t at_ms, uint64_t now_ms)
{
	return now_ms - at_ms > c->window_ms;
}

/* A place for a port that has none. */
static uint16_t take_place(struct count *c, uint64_t now_ms)
{
	uint16_t at;

	for (int i = 0; i < OLD_PER_ADD && c->oldest != NONE; i++)
		if (is_old(c, c->port[c->oldest].last_ms, now_ms))
			drop(c, c->oldest);
	if (c->free == NONE && c->used < COUNT_PORTS)
		return c->used++;
	if (c->free == NONE)
		drop(c, c->oldest);
	at = c->free;
	c->free = c->port[at].next;
	return at;
}

static struct candidate *candidate(struct count *c, uint8_t protocol, uint16_t port,
				   uint64_t now_ms)
{
	uint16_t *place = place_of(c, protocol, port);
	uint16_t at;

	if (*place) {
		at = (uint16_t)(*place - 1);
		unlink_place(c, at);
		link_newest(c, at);
		return &c->port[at];
	}
	at = take_place(c, now_ms);
	c->port[at] = (struct candidate){.protocol = protocol, .port = port};
	*place = (uint16_t)(at + 1);
	link_newest(c, at);
	c->n++;
	return &c->port[at];
}

/* Those within the window move to the front. */
static void forget_old(const struct count *c, struct candidate *p, uint64_t now_ms)
{
	uint8_t n = 0;

	for (uint8_t i = 0; i < p->n; i++) {
		if (is_old(c, p->at_ms[i], now_ms))
			continue;
		p->remote[n] = p->remote[i];
		p->at_ms[n++] = p->at_ms[i];
	}
	p->n = n;
}

unsigned int count_add(struct count *c, uint8_t protocol, uint16_t port,
		       struct in_addr remote, uint64_t now_ms)
{
	struct candidate *p = candidate(c, protocol, port, now_ms);
	uint8_t at = 0, oldest = 0;

	p->last_ms = now_ms;
	forget_old(c, p, now_ms);
	for (; at < p->n && p->remote[at].s_addr != remote.s_addr; at++)
		if (p->at_ms[at] < p->at_ms[oldest])
			oldest = at;
	if (at == COUNT_REMOTES)
		at = oldest;
	else if (at == p->n)
		p->n++;
	p->remote[at] = remote;
	p->at_ms[at] = now_ms;
	return p->n;
}

size_t count_remotes(struct count *c, uint8_t protocol, uint16_t port,
		     struct in_addr remote[COUNT_REMOTES])
{
	uint16_t place = *place_of(c, protocol, port);
	const struct candidate *p = place ? &c->port[place - 1] : NULL;

	if (p)
		memcpy(remote, p->remote, p->n * sizeof(*remote));
	return p ? p->n : 0;
}

void count_forget(struct count *c, uint8_t protocol, uint16_t port)
{
	uint16_t place = *place_of(c, protocol, port);

	if (place)
		drop(c, (uint16_t)(place - 1));
}
