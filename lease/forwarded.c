/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What requests are told of static forwards, which are no leases but are shown among them. */
#include <string.h>

#include "base/addr.h"
#include "lease/ask.h"
#include "lease/claims.h"

static const struct lease_forward *forward_of(const struct ask *a)
{
	const struct lease_policy *p = a->r->policy;

	return a->privileged
		       ? NULL
		       : forward_inside(p->forwards, p->n_forwards, a->req->protocol,
					&a->req->internal, a->req->int_port);
}

bool ask_is_forwarded(const struct ask *a)
{
	const struct lease_forward *f = forward_of(a);

	return f && !f->n_from && !a->remote_len && !a->req->n_filters;
}

bool ask_has_forward(const struct ask *a)
{
	const struct lease_policy *p = a->r->policy;

	for (size_t i = 0; i < p->n_forwards && !a->privileged; i++) {
		const struct lease_forward *f = &p->forwards[i];

		if (f->protocol == a->req->protocol && !f->n_from &&
		    addr_equal(&f->internal, &a->req->internal))
			return true;
	}
	return false;
}

int ask_forwarded(const struct ask *a)
{
	const struct lease_forward *f = forward_of(a);
	struct lease l;

	forward_lease(f, (uint16_t)(f->first + (a->req->int_port - f->int_first)), 0, &l);
	if ((a->req->flags & LEASE_EXACT) && a->req->ext_port != l.ext_port)
		return ask_refuse(a, LEASE_TAKEN);
	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	return ask_answer(a, &l,
			  a->req->by == LEASE_BY_PCP
				  ? CLAIM_FOREVER
				  : claim_granted(a->r->policy, a->req));
}

static const struct lease_forward *forward_named(const struct ask *a)
{
	const struct lease_policy *p = a->r->policy;

	return a->pinhole ? NULL
			  : forward_find(p->forwards, p->n_forwards, a->req->protocol,
					 a->req->ext_port, &a->remote, a->remote_len);
}

bool ask_names_forward(const struct ask *a)
{
	return forward_named(a) != NULL;
}

/* The entry behind so many others, of the client's own if only those are asked for. */
static bool entry_at(const struct ask *a, size_t index, struct lease *l)
{
	const struct lease_policy *p = a->r->policy;
	uint16_t last;

	if (!(a->req->flags & LEASE_OWN))
		return forward_entry(p->forwards, p->n_forwards, index, l, &last);
	for (size_t i = 0; forward_entry(p->forwards, p->n_forwards, i, l, &last); i++)
		if (addr_equal(&l->internal, &a->req->client) && !index--)
			return true;
	return false;
}

int ask_get_forward(const struct ask *a, size_t passed)
{
	const struct lease_forward *f;
	size_t from = 0;
	struct lease l;

	if (a->req->op == LEASE_OP_GET_INDEX) {
		if (a->req->index < passed || !entry_at(a, a->req->index - passed, &l))
			return ask_refuse(a, LEASE_NOT_FOUND);
		return ask_answer(a, &l, CLAIM_FOREVER);
	}
	f = forward_named(a);
	if (!f)
		return ask_refuse(a, LEASE_NOT_FOUND);
	if ((a->req->flags & LEASE_OWN) && !addr_equal(&f->internal, &a->req->client))
		return ask_refuse(a, LEASE_NOT_OWNER);
	while (a->remote_len && !(f->from[from].len == a->remote_len &&
				  addr_equal(&f->from[from].addr, &a->remote)))
		from++;
	forward_lease(f, a->req->ext_port, from, &l);
	return ask_answer(a, &l, CLAIM_FOREVER);
}

bool ask_next_forward(const struct ask *a,
		      bool (*before)(const struct ask *a, const struct lease *l,
				     const struct lease *than),
		      const struct lease *best, struct lease *out)
{
	const struct lease_policy *p = a->r->policy;
	bool found = false;
	struct lease l;
	uint16_t last;

	for (size_t i = 0; forward_entry(p->forwards, p->n_forwards, i, &l, &last); i++) {
		if (l.protocol != a->req->protocol ||
		    !addr_equal(&l.internal, &a->req->client) || !before(a, &l, best))
			continue;
		*out = l;
		best = out;
		found = true;
	}
	return found;
}
