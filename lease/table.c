/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "lease/hash.h"

#define TABLE_CHUNK 256
#define TABLE_BUCKETS 131072 /* untouched pages of calloc() cost nothing */

int table_init(struct lease_table *t, uint64_t seed)
{
	*t = (struct lease_table){.seed = seed, .last_number = (uint16_t)seed};
	t->port[0] = calloc(TABLE_PORTS, sizeof(*t->port[0]));
	t->port[1] = calloc(TABLE_PORTS, sizeof(*t->port[1]));
	t->bucket = calloc(TABLE_BUCKETS, sizeof(*t->bucket));
	t->pinhole = calloc(TABLE_PORTS, sizeof(*t->pinhole));
	t->number = calloc(TABLE_PORTS, sizeof(*t->number));
	if (t->port[0] && t->port[1] && t->bucket && t->pinhole && t->number)
		return 0;
	table_fini(t);
	return -ENOMEM;
}

void table_fini(struct lease_table *t)
{
	for (size_t i = 0; i < t->n_chunks; i++)
		free(t->chunk[i]);
	free(t->chunk);
	free(t->port[0]);
	free(t->port[1]);
	free(t->bucket);
	free(t->pinhole);
	free(t->number);
	free(t->listing);
	*t = (struct lease_table){0};
}

size_t table_room(const struct lease_table *t)
{
	return t->n_chunks * TABLE_CHUNK + 1;
}

struct lease_node *table_node(const struct lease_table *t, uint32_t id)
{
	assert(id && id < table_room(t));
	return &t->chunk[(id - 1) / TABLE_CHUNK][(id - 1) % TABLE_CHUNK];
}

/* One more chunk of nodes, with room for all of them in listings. */
static int table_grow(struct lease_table *t)
{
	size_t n = t->n_chunks;
	struct lease_node *nodes;
	void *more;

	if ((n & (n - 1)) == 0) { /* full at each power of two */
		size_t room = n ? n * 2 : 1;

		more = realloc(t->chunk, room * sizeof(struct lease_node *));
		if (!more)
			return -ENOMEM;
		t->chunk = more;
		more = realloc(t->listing, room * TABLE_CHUNK * sizeof(*t->listing));
		if (!more)
			return -ENOMEM;
		t->listing = more;
	}
	nodes = malloc(TABLE_CHUNK * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	t->chunk[t->n_chunks++] = nodes;
	for (size_t i = TABLE_CHUNK; i-- > 0;) {
		nodes[i].port_next = t->free;
		t->free = (uint32_t)(n * TABLE_CHUNK + i) + 1;
	}
	return 0;
}

uint32_t table_alloc(struct lease_table *t)
{
	uint32_t id;

	if (!t->free && table_grow(t))
		return 0;
	id = t->free;
	t->free = table_node(t, id)->port_next;
	memset(table_node(t, id), 0, sizeof(struct lease_node));
	return id;
}

void table_free(struct lease_table *t, uint32_t id)
{
	table_node(t, id)->port_next = t->free;
	t->free = id;
}

static uint32_t *table_port_slot(const struct lease_table *t, uint8_t protocol,
				 uint16_t port)
{
	return &t->port[protocol_index(protocol)][port];
}

uint32_t table_port_first(const struct lease_table *t, uint8_t protocol, uint16_t port)
{
	return *table_port_slot(t, protocol, port);
}

static uint32_t *table_pinhole_slot(const struct lease_table *t, uint8_t protocol,
				    const struct in6_addr *internal, uint16_t port)
{
	uint64_t beside = (uint64_t)protocol << 16 | port;

	return &t->pinhole[hash_addr(~t->seed, internal, beside) % TABLE_PORTS];
}

/* Where the chain of that lease begins. */
static uint32_t *table_slot(const struct lease_table *t, const struct lease *l)
{
	return lease_is_pinhole(l)
		       ? table_pinhole_slot(t, l->protocol, &l->internal, l->int_port)
		       : table_port_slot(t, l->protocol, l->ext_port);
}

uint32_t table_first_like(const struct lease_table *t, const struct lease *l)
{
	return *table_slot(t, l);
}

void table_port_link(struct lease_table *t, uint32_t id)
{
	struct lease_node *n = table_node(t, id);
	const struct lease *l = &n->lease;
	uint32_t *slot = table_slot(t, l);

	n->port_next = *slot;
	*slot = id;
	if (lease_is_pinhole(l))
		t->n_pinholes++;
	else
		portset_add(&t->busy[protocol_index(l->protocol)], l->ext_port,
			    l->ext_port);
}

void table_port_unlink(struct lease_table *t, uint32_t id)
{
	struct lease_node *n = table_node(t, id);
	const struct lease *l = &n->lease;
	uint32_t *first = table_slot(t, l);
	uint32_t *slot = first;

	while (*slot != id)
		slot = &table_node(t, *slot)->port_next;
	*slot = n->port_next;
	if (lease_is_pinhole(l))
		t->n_pinholes--;
	else if (!*first)
		portset_del(&t->busy[protocol_index(l->protocol)], l->ext_port,
			    l->ext_port);
}

uint32_t table_find(const struct lease_table *t, uint8_t protocol, uint16_t port,
		    const struct in6_addr *remote, uint8_t remote_len)
{
	uint32_t id = table_port_first(t, protocol, port);

	while (id) {
		const struct lease_node *n = table_node(t, id);

		if (n->lease.remote_len == remote_len &&
		    addr_equal(&n->lease.remote, remote))
			break;
		id = n->port_next;
	}
	return id;
}

uint32_t table_find_pinhole(const struct lease_table *t, uint8_t protocol,
			    const struct in6_addr *internal, uint16_t port,
			    const struct in6_addr *remote, uint8_t remote_len,
			    uint16_t remote_port)
{
	uint32_t id = *table_pinhole_slot(t, protocol, internal, port);

	while (id) {
		const struct lease *l = &table_node(t, id)->lease;

		if (l->protocol == protocol && l->int_port == port &&
		    addr_equal(&l->internal, internal) && l->remote_len == remote_len &&
		    l->remote_port == remote_port && addr_equal(&l->remote, remote))
			break;
		id = table_node(t, id)->port_next;
	}
	return id;
}

uint32_t table_find_same(const struct lease_table *t, const struct lease *l)
{
	return lease_is_pinhole(l)
		       ? table_find_pinhole(t, l->protocol, &l->internal, l->int_port,
					    &l->remote, l->remote_len, l->remote_port)
		       : table_find(t, l->protocol, l->ext_port, &l->remote,
				    l->remote_len);
}

uint16_t table_number_new(struct lease_table *t)
{
	uint16_t n = t->last_number;

	do {
		n = (uint16_t)(n + 1);
		if (n && !t->number[n]) {
			t->last_number = n;
			return n;
		}
	} while (n != t->last_number);
	return 0;
}

uint32_t table_number(const struct lease_table *t, uint32_t number)
{
	return number < TABLE_PORTS ? t->number[number] : 0;
}

void table_number_set(struct lease_table *t, uint16_t number, uint32_t id)
{
	if (number)
		t->number[number] = id;
}

static uint32_t *table_bucket(const struct lease_table *t, uint8_t protocol,
			      const struct in6_addr *internal, uint16_t int_port)
{
	uint64_t beside = (uint64_t)protocol << 16 | int_port;

	return &t->bucket[hash_addr(t->seed, internal, beside) % TABLE_BUCKETS];
}

/* Where the head of that ring hangs, or the 0 where it would. */
static uint32_t *table_ring_slot(const struct lease_table *t, uint8_t protocol,
				 const struct in6_addr *internal, uint16_t int_port)
{
	uint32_t *slot = table_bucket(t, protocol, internal, int_port);

	while (*slot) {
		struct lease_node *n = table_node(t, *slot);

		if (n->lease.int_port == int_port && n->lease.protocol == protocol &&
		    addr_equal(&n->lease.internal, internal))
			break;
		slot = &n->bucket_next;
	}
	return slot;
}

uint32_t table_ring(const struct lease_table *t, uint8_t protocol,
		    const struct in6_addr *internal, uint16_t int_port)
{
	return *table_ring_slot(t, protocol, internal, int_port);
}

void table_ring_link(struct lease_table *t, uint32_t id)
{
	struct lease_node *n = table_node(t, id);
	uint32_t *slot = table_ring_slot(t, n->lease.protocol, &n->lease.internal,
					 n->lease.int_port);
	uint32_t head = *slot;
	struct lease_node *h;

	if (!head) {
		n->ring_next = n->ring_prev = id;
		n->bucket_next = 0;
		*slot = id;
		return;
	}
	h = table_node(t, head);
	n->ring_next = head;
	n->ring_prev = h->ring_prev;
	table_node(t, h->ring_prev)->ring_next = id;
	h->ring_prev = id;
	if (n->lease.twin) {
		n->bucket_next = h->bucket_next;
		*slot = id;
	}
}

void table_ring_unlink(struct lease_table *t, uint32_t id)
{
	struct lease_node *n = table_node(t, id);
	uint32_t *slot = table_ring_slot(t, n->lease.protocol, &n->lease.internal,
					 n->lease.int_port);

	if (*slot == id) {
		if (n->ring_next == id) {
			*slot = n->bucket_next;
		} else {
			table_node(t, n->ring_next)->bucket_next = n->bucket_next;
			*slot = n->ring_next;
		}
	}
	table_node(t, n->ring_next)->ring_prev = n->ring_prev;
	table_node(t, n->ring_prev)->ring_next = n->ring_next;
}

bool table_hides(const struct lease *l)
{
	return (l->claims & ~LEASE_IDLE_CLAIMS) == 0;
}

/* UPnP's lists of port mappings have no place for an IPv6 address. */
bool table_shows(const struct lease *l)
{
	return !table_hides(l) && !lease_is_pinhole(l);
}

void table_list(struct lease_table *t, uint32_t id, bool shown)
{
	struct lease_node *n = table_node(t, id);
	uint32_t last;

	if (shown == (n->listed != 0))
		return;
	if (shown) {
		t->listing[t->n_listed++] = id;
		n->listed = (uint32_t)t->n_listed;
		return;
	}
	last = t->listing[--t->n_listed];
	t->listing[n->listed - 1] = last;
	table_node(t, last)->listed = n->listed;
	n->listed = 0;
}
