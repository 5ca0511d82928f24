/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/pending.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/room.h"
#include "lease/hash.h"

#define PENDING_BUCKETS 1024

void pending_init(struct pending *p, uint64_t seed)
{
	*p = (struct pending){.seed = seed, .used = 1};
}

void pending_fini(struct pending *p)
{
	free(p->entry);
	p->entry = NULL;
}

int pending_reserve(struct pending *p, size_t n)
{
	struct pending_entry *more = room_for(p->entry, &p->room, p->n + 1 + n,
					      sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->entry = more;
	return 0;
}

/* Where that entry hangs, or the 0 where it would. */
static uint32_t *pending_slot(const struct pending *p, uint8_t protocol,
			      const struct in6_addr *internal, uint16_t int_port)
{
	uint64_t hash = hash_addr(p->seed, internal, (uint64_t)protocol << 16 | int_port);
	uint32_t *slot = (uint32_t *)&p->bucket[hash % PENDING_BUCKETS];

	while (*slot) {
		struct pending_entry *e = &p->entry[*slot];

		if (e->int_port == int_port && e->protocol == protocol &&
		    addr_equal(&e->internal, internal))
			break;
		slot = &e->next;
	}
	return slot;
}

void pending_add(struct pending *p, const struct lease *l)
{
	uint32_t *slot = pending_slot(p, l->protocol, &l->internal, l->int_port);
	uint32_t id = *slot;

	if (id) {
		p->entry[id].count++;
		return;
	}
	assert(p->n + 1 < p->room);
	id = p->free ? p->free : (uint32_t)p->used++;
	if (p->free)
		p->free = p->entry[id].next;
	p->n++;
	p->entry[id] = (struct pending_entry){.internal = l->internal,
					      .int_port = l->int_port,
					      .protocol = l->protocol,
					      .count = 1};
	*slot = id;
}

void pending_del(struct pending *p, const struct lease *l)
{
	uint32_t *slot = pending_slot(p, l->protocol, &l->internal, l->int_port);
	uint32_t id = *slot;

	assert(id);
	if (--p->entry[id].count)
		return;
	*slot = p->entry[id].next;
	p->entry[id].next = p->free;
	p->free = id;
	p->n--;
}

bool pending_has(const struct pending *p, uint8_t protocol,
		 const struct in6_addr *internal, uint16_t int_port)
{
	return p->n && *pending_slot(p, protocol, internal, int_port);
}
