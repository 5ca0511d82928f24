/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests about a pinhole by the number that UPnP gave it; only its own host may. */
#include <errno.h>

#include "base/addr.h"
#include "lease/ask.h"
#include "lease/claims.h"

/* As if its host had asked for it again. */
static int numbered_renew(const struct ask *a, uint32_t id)
{
	const struct lease *l = ask_lease(a, id);
	struct lease_request req = *a->req;
	struct ask again = *a;

	req.op = LEASE_OP_MAP;
	req.protocol = l->protocol;
	req.int_port = req.ext_port = l->int_port;
	req.internal = l->internal;
	req.flags = 0;
	req.n_filters = 0;
	again.req = &req;
	again.pinhole = true;
	return ask_renew(&again, id);
}

static int numbered_end(const struct ask *a, uint32_t id)
{
	if (book_reserve(a->r, a->out, BOOK_STEPS))
		return -ENOMEM;
	ask_answer(a, ask_lease(a, id), 0);
	ask_unmap_one(a, id);
	return 0;
}

int ask_numbered(const struct ask *a)
{
	uint32_t id = table_number(&a->r->table, a->req->index);
	const struct lease *l = id ? ask_lease(a, id) : NULL;

	if (a->over)
		return ask_refuse(a, LEASE_RATE);
	if (!l || a->req->by != LEASE_BY_UPNP)
		return ask_refuse(a, LEASE_NOT_FOUND);
	if (book_pending(a->r, id))
		return -EAGAIN;
	if (!addr_equal(&l->internal, &a->req->client))
		return ask_refuse(a, LEASE_NOT_OWNER);
	if (a->req->op == LEASE_OP_PIN_RENEW)
		return numbered_renew(a, id);
	if (a->req->op == LEASE_OP_PIN_END)
		return numbered_end(a, id);
	return ask_answer(a, l, claim_left(l->until_ms[LEASE_BY_UPNP], a->r->now_ms));
}
