/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/book.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/room.h"
#include "lease/claims.h"
#include "lease/filters.h"

#define BOOK_RETRY_MS 1000

static struct lease_node *node_of(const struct registry *r, uint32_t id)
{
	return table_node(&r->table, id);
}

static bool same_inside(const struct lease *a, const struct lease *b)
{
	return a->int_port == b->int_port && a->protocol == b->protocol &&
	       addr_equal(&a->internal, &b->internal);
}

bool book_port_pending(const struct registry *r, uint8_t protocol, uint16_t port)
{
	uint32_t id = table_port_first(&r->table, protocol, port);

	while (id && !node_of(r, id)->pending)
		id = node_of(r, id)->port_next;
	return id != 0;
}

bool book_pending(const struct registry *r, uint32_t id)
{
	const struct lease *l = &node_of(r, id)->lease;

	return pending_has(&r->pending, l->protocol, &l->internal, l->int_port);
}

int book_reserve(struct registry *r, struct lease_changes *out, size_t steps)
{
	struct lease_change *more;

	if (pending_reserve(&r->pending, 2 * steps))
		return -ENOMEM;
	more = room_for(out->step, &out->room, out->n + steps, sizeof(*more));
	if (!more)
		return -ENOMEM;
	out->step = more;
	return 0;
}

uint32_t book_alloc(struct registry *r)
{
	uint32_t id = table_alloc(&r->table);

	if (id && deadlines_reserve(&r->deadlines, table_room(&r->table))) {
		table_free(&r->table, id);
		return 0;
	}
	return id;
}

void book_schedule(struct registry *r, uint32_t id, uint64_t not_before_ms)
{
	const struct lease_node *n = node_of(r, id);
	uint64_t at = n->pending || n->gone ? LEASE_NO_DEADLINE : claim_next(&n->lease);

	deadlines_set(&r->deadlines, id, at > not_before_ms ? at : not_before_ms);
}

/* Appends a step; the lease waits for the kernel from now on. */
static void book_step(struct registry *r, uint32_t id, const struct lease_change *step,
		      struct lease_changes *out)
{
	assert(out->n < out->room);
	out->step[out->n++] = *step;
	node_of(r, id)->pending++;
	if (step->had)
		pending_add(&r->pending, &step->before);
	if (step->has && !(step->had && same_inside(&step->before, &step->after)))
		pending_add(&r->pending, &step->after);
	book_schedule(r, id, 0);
}

static void book_unstep(struct registry *r, struct lease_node *n,
			const struct lease_change *s)
{
	assert(n->pending);
	n->pending--;
	if (s->had)
		pending_del(&r->pending, &s->before);
	if (s->has && !(s->had && same_inside(&s->before, &s->after)))
		pending_del(&r->pending, &s->after);
}

static void host_link(struct registry *r, uint32_t id)
{
	struct lease_node *n = node_of(r, id);
	struct host *h = hosts_at(&r->hosts, n->host);

	n->host_prev = 0;
	n->host_next = h->first;
	if (h->first)
		node_of(r, h->first)->host_prev = id;
	h->first = id;
}

static void host_unlink(struct registry *r, uint32_t id)
{
	struct lease_node *n = node_of(r, id);

	if (n->host_prev)
		node_of(r, n->host_prev)->host_next = n->host_next;
	else
		hosts_at(&r->hosts, n->host)->first = n->host_next;
	if (n->host_next)
		node_of(r, n->host_next)->host_prev = n->host_prev;
}

/* What the admin made does not use up the host's share. */
static bool counts(const struct lease *l)
{
	return l->origin != LEASE_BY_ADMIN;
}

/* Into all indexes but that of external ports. */
static void book_enter(struct registry *r, uint32_t id)
{
	struct lease_node *n = node_of(r, id);
	struct host *h = hosts_at(&r->hosts, n->host);

	n->gone = false;
	table_ring_link(&r->table, id);
	table_number_set(&r->table, n->lease.number, id);
	table_list(&r->table, id, table_shows(&n->lease));
	host_link(r, id);
	r->table.count++;
	if (counts(&n->lease))
		h->leases++;
	if (n->lease.origin == LEASE_BY_OPEN_NAT)
		h->open_nat++;
	h->restricted += filters_elements(&n->lease);
	r->restricted += filters_elements(&n->lease);
	if (lease_is_pinhole(&n->lease))
		r->pinholes++;
}

static void book_leave(struct registry *r, uint32_t id)
{
	struct lease_node *n = node_of(r, id);
	struct host *h = hosts_at(&r->hosts, n->host);

	n->gone = true;
	table_ring_unlink(&r->table, id);
	table_number_set(&r->table, n->lease.number, 0);
	table_list(&r->table, id, false);
	host_unlink(r, id);
	r->table.count--;
	if (counts(&n->lease))
		h->leases--;
	if (n->lease.origin == LEASE_BY_OPEN_NAT)
		h->open_nat--;
	h->restricted -= filters_elements(&n->lease);
	r->restricted -= filters_elements(&n->lease);
	if (lease_is_pinhole(&n->lease))
		r->pinholes--;
}

/* Another state; the rings follow. */
static void book_set(struct registry *r, uint32_t id, const struct lease *l)
{
	struct lease_node *n = node_of(r, id);
	bool moves = !same_inside(&n->lease, l) || n->lease.twin != l->twin;
	uint32_t more = filters_elements(l) - filters_elements(&n->lease);

	assert(lease_same_key(&n->lease, l) && n->lease.origin == l->origin);
	if (moves)
		table_ring_unlink(&r->table, id);
	table_number_set(&r->table, n->lease.number, 0);
	n->lease = *l;
	table_number_set(&r->table, l->number, id);
	hosts_at(&r->hosts, n->host)->restricted += more;
	r->restricted += more;
	if (moves)
		table_ring_link(&r->table, id);
	table_list(&r->table, id, table_shows(l));
}

static void book_set_step(struct registry *r, uint32_t id, const struct lease *after,
			  uint32_t who, struct lease_changes *out)
{
	struct lease_change step = {
		.had = true, .has = true, .who = who, .before = node_of(r, id)->lease};

	step.after = *after;
	book_set(r, id, after);
	book_step(r, id, &step, out);
}

/* The first of that ring gets the twin that another one had. */
static void book_pass_twin(struct registry *r, const struct lease *from, uint32_t who,
			   struct lease_changes *out)
{
	uint32_t id = table_ring(&r->table, from->protocol, &from->internal,
				 from->int_port);
	struct lease heir;

	if (!from->twin || !id)
		return;
	heir = node_of(r, id)->lease;
	heir.twin = true;
	book_set_step(r, id, &heir, who, out);
}

void book_give_twin(struct registry *r, uint32_t id)
{
	struct lease l = node_of(r, id)->lease;
	uint32_t head = table_ring(&r->table, l.protocol, &l.internal, l.int_port);

	if (head != id) {
		struct lease other = node_of(r, head)->lease;

		other.twin = false;
		book_set(r, head, &other);
	}
	l.twin = true;
	book_set(r, id, &l);
}

void book_grant(struct registry *r, uint32_t id, const struct lease *l, uint32_t host,
		uint32_t who, struct lease_changes *out)
{
	struct lease_node *n = node_of(r, id);

	n->lease = *l;
	n->host = host;
	hosts_ref(&r->hosts, host);
	table_port_link(&r->table, id);
	book_enter(r, id);
	if (out)
		book_step(r, id,
			  &(struct lease_change){.has = true, .who = who, .after = *l},
			  out);
	else
		book_schedule(r, id, 0);
}

void book_change(struct registry *r, uint32_t id, const struct lease *after, uint32_t who,
		 struct lease_changes *out)
{
	struct lease before = node_of(r, id)->lease;

	book_set_step(r, id, after, who, out);
	if (!same_inside(&before, after))
		book_pass_twin(r, &before, who, out);
}

void book_end(struct registry *r, uint32_t id, enum lease_end end, uint32_t who,
	      struct lease_changes *out)
{
	struct lease before = node_of(r, id)->lease;
	struct lease_change step = {
		.had = true, .end = end, .who = who, .before = before};

	book_leave(r, id);
	book_step(r, id, &step, out);
	book_pass_twin(r, &before, who, out);
}

static uint32_t book_find(const struct registry *r, const struct lease_change *step)
{
	const struct lease *l = step->has ? &step->after : &step->before;
	uint32_t id = table_find_same(&r->table, l);

	assert(id);
	return id;
}

/* The node of a lease that is in no index but that of ports. */
static void book_discard(struct registry *r, uint32_t id)
{
	table_port_unlink(&r->table, id);
	hosts_unref(&r->hosts, node_of(r, id)->host);
	table_free(&r->table, id);
}

void registry_confirm(struct registry *r, const struct lease_change *step)
{
	uint32_t id = book_find(r, step);
	struct lease_node *n = node_of(r, id);
	const struct lease *l = &n->lease;

	book_unstep(r, n, step);
	if (!step->had && !lease_is_pinhole(l))
		released_del(&r->released, l->protocol, l->ext_port);
	if (!step->has) {
		uint32_t host = n->host;
		uint8_t protocol = l->protocol;
		uint16_t port = l->ext_port;
		/* Of a trigger's the next in line waits for it; a pinhole's is its own. */
		bool hold = counts(l) && table_shows(l);

		hosts_ref(&r->hosts, host);
		book_discard(r, id);
		if (hold && !table_port_first(&r->table, protocol, port))
			released_add(&r->released, protocol, port, host, r->now_ms);
		hosts_unref(&r->hosts, host);
		return;
	}
	book_schedule(r, id, 0);
}

void registry_revert(struct registry *r, const struct lease_change *step)
{
	uint32_t id = book_find(r, step);
	struct lease_node *n = node_of(r, id);

	book_unstep(r, n, step);
	if (!step->had) {
		book_leave(r, id);
		deadlines_set(&r->deadlines, id, LEASE_NO_DEADLINE);
		book_discard(r, id);
		return;
	}
	if (!step->has) {
		n->lease = step->before;
		book_enter(r, id);
	} else {
		book_set(r, id, &step->before);
	}
	book_schedule(r, id, r->now_ms + BOOK_RETRY_MS);
}
