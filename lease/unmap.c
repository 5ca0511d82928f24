/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that take claims off leases. */
#include <errno.h>

#include "base/addr.h"
#include "lease/ask.h"
#include "lease/claims.h"

/* The claims that this request takes off: its own; the admin's word ends the lease. */
unsigned int ask_unmap_bits(const struct ask *a, const struct lease *l)
{
	return a->req->by == LEASE_BY_ADMIN ? l->claims : l->claims & 1U << a->req->by;
}

/* Nobody but the admin ends what is his. */
static bool unmap_kept(const struct ask *a, const struct lease *l)
{
	return a->req->by != LEASE_BY_ADMIN && claim_has(l, LEASE_BY_ADMIN);
}

/* There is room for its steps. */
void ask_unmap_one(const struct ask *a, uint32_t id)
{
	struct lease l = *ask_lease(a, id);
	unsigned int bits = ask_unmap_bits(a, &l);

	if (!bits)
		return;
	if (bits == l.claims) {
		book_end(a->r, id, LEASE_END_DELETED, a->who, a->out);
		return;
	}
	claim_drop(&l, bits);
	claim_settle(&l, a->r->now_ms);
	book_change(a->r, id, &l, a->who, a->out);
}

/* RFC 6887 section 15: for how long the host's own packets keep the external port theirs,
 * seconds; nobody else gets it for so long. NAT-PMP answers 0 (RFC 6886 section 3.4). */
static uint32_t unmap_left(const struct ask *a, const struct lease *l)
{
	const struct lease_policy *p = a->r->policy;

	if (a->req->by != LEASE_BY_PCP || !p->flows || lease_is_pinhole(l))
		return 0;
	return p->flows(p->in_use_arg, l->protocol, l->ext_port, &l->internal);
}

/* Of one inside port. What is not there, or was never claimed, is deleted with success (RFC
 * 6887 section 15.1, RFC 6886 section 3.4). */
int ask_unmap(const struct ask *a)
{
	enum lease_reason reason = LEASE_OK;
	uint32_t head = ask_ring(a), id = head;
	size_t n = 0, touched = 0;

	a->reply->lifetime = 0;
	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (ask_inside_pending(a))
		return -EAGAIN;
	if (!head)
		return ask_refuse(a, ask_is_forwarded(a) ? LEASE_STATIC : LEASE_OK);
	do {
		const struct lease *l = ask_lease(a, id);

		if (ask_nonce_differs(a, l))
			return ask_refuse_nonce(a, l);
		if (ask_unmap_bits(a, l) && book_pending(a->r, id))
			return -EAGAIN;
		if (unmap_kept(a, l))
			reason = LEASE_STATIC;
		touched += ask_unmap_bits(a, l) != 0;
		n++;
		id = ask_ring_next(a, id);
	} while (id != head);
	if (book_reserve(a->r, a->out, touched * BOOK_STEPS))
		return -ENOMEM;
	for (; n; n--) {
		uint32_t next = ask_ring_next(a, id), left = 0;

		if (ask_unmap_bits(a, ask_lease(a, id)))
			left = unmap_left(a, ask_lease(a, id));
		if (left > a->reply->lifetime)
			a->reply->lifetime = left;
		ask_unmap_one(a, id);
		id = next;
	}
	return ask_refuse(a, reason);
}

/* Of all inside ports of the host, of one protocol; the others go even if one is kept. */
int ask_unmap_all(const struct ask *a)
{
	enum lease_reason reason = LEASE_OK;
	size_t touched = 0;
	uint32_t id;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	for (id = hosts_at(&a->r->hosts, a->host)->first; id;
	     id = table_node(&a->r->table, id)->host_next) {
		const struct lease *l = ask_lease(a, id);

		if (l->protocol != a->req->protocol)
			continue;
		if (unmap_kept(a, l))
			reason = LEASE_STATIC;
		if (!ask_unmap_bits(a, l))
			continue;
		if (book_pending(a->r, id))
			return -EAGAIN;
		touched++;
	}
	if (ask_has_forward(a))
		reason = LEASE_STATIC;
	if (book_reserve(a->r, a->out, touched * BOOK_STEPS))
		return -ENOMEM;
	for (id = hosts_at(&a->r->hosts, a->host)->first; id;) {
		uint32_t next = table_node(&a->r->table, id)->host_next;

		if (ask_lease(a, id)->protocol == a->req->protocol)
			ask_unmap_one(a, id);
		id = next;
	}
	return ask_refuse(a, reason);
}

/*
 * UPnP's delete. A lease of the same host that only PCP or NAT-PMP keep is "not found": it is
 * no UPnP mapping, PCP guards it with a nonce, and clients take 714 as done (libtorrent
 * deletes by both protocols at exit and loses nothing by it).
 */
int ask_unmap_port(const struct ask *a)
{
	uint32_t id = ask_named(a);
	const struct lease *l = id ? ask_lease(a, id) : NULL;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (!l)
		return ask_refuse(a,
				  ask_names_forward(a) ? LEASE_STATIC : LEASE_NOT_FOUND);
	if (book_pending(a->r, id))
		return -EAGAIN;
	if (!a->privileged && !addr_equal(&l->internal, &a->req->client))
		return ask_refuse(a, LEASE_NOT_OWNER);
	if (!ask_unmap_bits(a, l))
		return ask_refuse(a, unmap_kept(a, l) ? LEASE_STATIC : LEASE_NOT_FOUND);
	if (book_reserve(a->r, a->out, BOOK_STEPS))
		return -ENOMEM;
	ask_answer(a, l, 0);
	ask_unmap_one(a, id);
	return 0;
}

/* Is it of the range that the request names, and not the admin's? */
static bool unmap_in_range(const struct ask *a, const struct lease *l)
{
	return l->protocol == a->req->protocol && !lease_is_pinhole(l) &&
	       l->ext_port >= a->req->ext_port && l->ext_port <= a->req->last_port &&
	       ask_unmap_bits(a, l) && !unmap_kept(a, l);
}

/* WANIPConnection:2 section 2.5.19: the client's own, all or none; others are passed over. */
int ask_unmap_range(const struct ask *a)
{
	uint32_t id = hosts_at(&a->r->hosts, a->host)->first;
	size_t touched = 0;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (a->req->ext_port > a->req->last_port)
		return ask_refuse(a, LEASE_PORT);
	for (; id; id = table_node(&a->r->table, id)->host_next) {
		if (!unmap_in_range(a, ask_lease(a, id)))
			continue;
		if (book_pending(a->r, id))
			return -EAGAIN;
		touched++;
	}
	if (!touched)
		return ask_refuse(a, LEASE_NOT_FOUND);
	if (book_reserve(a->r, a->out, touched * BOOK_STEPS))
		return -ENOMEM;
	for (id = hosts_at(&a->r->hosts, a->host)->first; id;) {
		uint32_t next = table_node(&a->r->table, id)->host_next;

		if (unmap_in_range(a, ask_lease(a, id)))
			ask_unmap_one(a, id);
		id = next;
	}
	return ask_refuse(a, LEASE_OK);
}
