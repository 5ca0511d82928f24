/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/released.h"

#include <errno.h>
#include <stdlib.h>

#include "lease/hosts.h"
#include "lease/table.h"

#define RELEASED_PORTS 65536

/* The place of a port. Port 0 of TCP is never leased: the list's head sits there. */
static uint32_t released_key(uint8_t protocol, uint16_t port)
{
	return protocol_index(protocol) * RELEASED_PORTS + port;
}

int released_init(struct released *rel, struct hosts *hosts)
{
	*rel = (struct released){.hosts = hosts};
	rel->port = calloc(2 * RELEASED_PORTS, sizeof(*rel->port));
	return rel->port ? 0 : -ENOMEM;
}

void released_fini(struct released *rel)
{
	free(rel->port);
	*rel = (struct released){0};
}

uint32_t released_host(const struct released *rel, uint8_t protocol, uint16_t port)
{
	if (!portset_has(&rel->set[protocol_index(protocol)], port))
		return 0;
	return rel->port[released_key(protocol, port)].host;
}

void released_del(struct released *rel, uint8_t protocol, uint16_t port)
{
	struct released_port *e = &rel->port[released_key(protocol, port)];

	if (!portset_has(&rel->set[protocol_index(protocol)], port))
		return;
	portset_del(&rel->set[protocol_index(protocol)], port, port);
	rel->port[e->prev].next = e->next;
	rel->port[e->next].prev = e->prev;
	hosts_at(rel->hosts, e->host)->released--;
	hosts_unref(rel->hosts, e->host);
}

void released_add(struct released *rel, uint8_t protocol, uint16_t port, uint32_t host,
		  uint64_t now_ms)
{
	uint32_t key = released_key(protocol, port);
	struct released_port *head = &rel->port[0];

	released_del(rel, protocol, port);
	if (hosts_at(rel->hosts, host)->released >= RELEASED_PER_HOST)
		return;
	hosts_ref(rel->hosts, host);
	hosts_at(rel->hosts, host)->released++;
	rel->port[key] = (struct released_port){
		.until_ms = now_ms + RELEASED_MS, .host = host, .prev = head->prev};
	rel->port[head->prev].next = key;
	head->prev = key;
	portset_add(&rel->set[protocol_index(protocol)], port, port);
}

void released_expire(struct released *rel, uint64_t now_ms)
{
	for (uint32_t key = rel->port[0].next; key && rel->port[key].until_ms <= now_ms;
	     key = rel->port[0].next)
		released_del(rel, key < RELEASED_PORTS ? IPPROTO_TCP : IPPROTO_UDP,
			     (uint16_t)(key % RELEASED_PORTS));
}

uint16_t released_oldest(const struct released *rel, uint8_t protocol, uint16_t after,
			 unsigned int tries)
{
	uint32_t base = released_key(protocol, 0);
	uint32_t key = rel->port[after ? base + after : 0].next;

	for (; key && tries; key = rel->port[key].next, tries--)
		if (key / RELEASED_PORTS == base / RELEASED_PORTS)
			return (uint16_t)(key % RELEASED_PORTS);
	return 0;
}
