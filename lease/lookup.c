/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that read leases. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "lease/ask.h"
#include "lease/claims.h"

/* The index-th of the host's own leases that lists show; if there is none, how many there are
 * is in *n. */
static uint32_t get_own(const struct ask *a, size_t *n)
{
	uint32_t id = hosts_at(&a->r->hosts, a->host)->first;

	for (*n = 0; id; id = table_node(&a->r->table, id)->host_next)
		if (table_node(&a->r->table, id)->listed && (*n)++ == a->req->index)
			break;
	return id;
}

int ask_get(const struct ask *a)
{
	const struct lease_table *t = &a->r->table;
	bool own = a->req->flags & LEASE_OWN;
	size_t passed = t->n_listed;
	uint32_t id = 0;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (a->req->op == LEASE_OP_GET_PORT)
		id = ask_named(a);
	else if (own)
		id = get_own(a, &passed);
	else if (a->req->index < t->n_listed)
		id = t->listing[a->req->index];
	if (id && table_node(t, id)->pending)
		return -EAGAIN;
	if (!id)
		return ask_get_forward(a, passed);
	/* WANIPConnection:2 2.5.14: no lists of what triggers opened. */
	if (table_node(t, id)->gone || (table_hides(ask_lease(a, id)) && !a->privileged))
		return ask_refuse(a, LEASE_NOT_FOUND);
	if (own && table_node(t, id)->host != a->host)
		return ask_refuse(a, LEASE_NOT_OWNER);
	return ask_answer(a, ask_lease(a, id),
			  claim_left(ask_lease(a, id)->deadline_ms, a->r->now_ms));
}

/* By external port, then by remote: the order in which GET_NEXT goes. */
static int next_order(const struct lease *l, uint16_t port, const struct in6_addr *remote)
{
	return l->ext_port != port ? l->ext_port - port
				   : memcmp(&l->remote, remote, sizeof(*remote));
}

/* Is it in the range, not told of yet, and before that other one (or NULL)? */
static bool next_before(const struct ask *a, const struct lease *l,
			const struct lease *than)
{
	if (l->protocol != a->req->protocol || l->ext_port < a->req->ext_port ||
	    l->ext_port > a->req->last_port ||
	    (a->req->index && next_order(l, a->req->ext_port, &a->remote) <= 0))
		return false;
	return !than || next_order(l, than->ext_port, &than->remote) < 0;
}

int ask_get_next(const struct ask *a)
{
	uint32_t id = hosts_at(&a->r->hosts, a->host)->first, best = 0;
	struct lease forward;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (a->req->ext_port > a->req->last_port)
		return ask_refuse(a, LEASE_PORT);
	for (; id; id = table_node(&a->r->table, id)->host_next) {
		const struct lease *b = best ? ask_lease(a, best) : NULL;

		if (table_node(&a->r->table, id)->listed &&
		    next_before(a, ask_lease(a, id), b))
			best = id;
	}
	if (ask_next_forward(a, next_before, best ? ask_lease(a, best) : NULL, &forward))
		return ask_answer(a, &forward, CLAIM_FOREVER);
	if (!best)
		return ask_refuse(a, LEASE_NOT_FOUND);
	if (table_node(&a->r->table, best)->pending)
		return -EAGAIN;
	return ask_answer(a, ask_lease(a, best),
			  claim_left(ask_lease(a, best)->deadline_ms, a->r->now_ms));
}
