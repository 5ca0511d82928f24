/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that read leases. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "lease/ask.h"
#include "lease/claims.h"

/* The index-th of the host's own leases that lists show. */
static uint32_t get_own(const struct ask *a)
{
	uint32_t id = hosts_at(&a->r->hosts, a->host)->first, left = a->req->index;

	for (; id; id = table_node(&a->r->table, id)->host_next)
		if (table_node(&a->r->table, id)->listed && !left--)
			break;
	return id;
}

int ask_get(const struct ask *a)
{
	const struct lease_table *t = &a->r->table;
	bool own = a->req->flags & LEASE_OWN;
	uint32_t id = 0;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (a->req->op == LEASE_OP_GET_PORT)
		id = ask_named(a);
	else if (own)
		id = get_own(a);
	else if (a->req->index < t->n_listed)
		id = t->listing[a->req->index];
	if (id && table_node(t, id)->pending)
		return -EAGAIN;
	/* WANIPConnection:2 2.5.14: no lists of what triggers opened. */
	if (!id || table_node(t, id)->gone ||
	    (table_hides(ask_lease(a, id)) && !a->privileged))
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

static bool next_in_range(const struct ask *a, const struct lease_node *n)
{
	const struct lease *l = &n->lease;

	if (!n->listed || l->protocol != a->req->protocol ||
	    l->ext_port < a->req->ext_port || l->ext_port > a->req->last_port)
		return false;
	return !a->req->index || next_order(l, a->req->ext_port, &a->remote) > 0;
}

int ask_get_next(const struct ask *a)
{
	uint32_t id = hosts_at(&a->r->hosts, a->host)->first, best = 0;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (a->req->ext_port > a->req->last_port)
		return ask_refuse(a, LEASE_PORT);
	for (; id; id = table_node(&a->r->table, id)->host_next) {
		const struct lease *b = best ? ask_lease(a, best) : NULL;

		if (next_in_range(a, table_node(&a->r->table, id)) &&
		    (!b || next_order(ask_lease(a, id), b->ext_port, &b->remote) < 0))
			best = id;
	}
	if (!best)
		return ask_refuse(a, LEASE_NOT_FOUND);
	if (table_node(&a->r->table, best)->pending)
		return -EAGAIN;
	return ask_answer(a, ask_lease(a, best),
			  claim_left(ask_lease(a, best)->deadline_ms, a->r->now_ms));
}
