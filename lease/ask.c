/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request, from policy to steps. The order of questions is that of the design: host,
 * third party, protocol, access, reserved, in use, quota, rate, and then the port. What is
 * done with leases that are there: unmap.c, lookup.c, numbered.c.
 */
#include "lease/ask.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "lease/claims.h"
#include "lease/filters.h"
#include "lease/policy.h"
#include "lease/restrict.h"

/* How many leases of one inside port are looked at for the one that is meant. */
#define RING_LOOK 64

/* These may give a lease another inside port, or a second external port to an inside port. */
static bool ask_overwrites(const struct ask *a)
{
	return (a->req->flags & LEASE_EXACT) &&
	       (a->req->by == LEASE_BY_UPNP || a->privileged);
}

/* Does it insist on another external port? A pinhole has but one, and need not name it. */
static bool ask_other_port(const struct ask *a, const struct lease *l)
{
	return (a->req->flags & LEASE_EXACT) && a->req->ext_port != l->ext_port &&
	       !(a->pinhole && !a->req->ext_port);
}

/* Tells the asker of a lease. The nonce is for PCP only: it is what guards the lease. */
int ask_answer(const struct ask *a, const struct lease *l, uint32_t seconds)
{
	struct lease_reply *reply = a->reply;

	reply->reason = LEASE_OK;
	reply->protocol = l->protocol;
	reply->flags = (uint8_t)((l->enabled ? 0 : LEASE_DISABLED) |
				 (l->until_gone ? LEASE_UNTIL_GONE : 0));
	reply->int_port = l->int_port;
	reply->ext_port = l->ext_port;
	reply->lifetime = seconds;
	reply->internal = l->internal;
	reply->remote = l->remote;
	reply->remote_len = l->remote_len;
	reply->remote_port = l->remote_port;
	reply->claims = l->claims;
	reply->number = l->number;
	if (l->has_nonce && a->req->by == LEASE_BY_PCP) {
		reply->flags |= LEASE_NONCE;
		memcpy(reply->nonce, l->nonce, sizeof(reply->nonce));
	}
	memcpy(reply->description, l->description, sizeof(reply->description));
	return 0;
}

/* ---- MAP: a lease that is there ---- */

/* RFC 6887 section 11.3: the PCP claim of another nonce is not to be touched. NAT-PMP and
 * UPnP claims have none, so the first nonce that comes is adopted. */
bool ask_nonce_differs(const struct ask *a, const struct lease *l)
{
	if (a->r->policy->nonce_same_source &&
	    addr_equal(&a->req->client, &a->req->internal))
		return false; /* of clients that forget theirs, by the admin's choice */
	return a->req->by == LEASE_BY_PCP && (a->req->flags & LEASE_NONCE) &&
	       claim_has(l, LEASE_BY_PCP) && l->has_nonce &&
	       memcmp(l->nonce, a->req->nonce, sizeof(l->nonce)) != 0;
}

int ask_refuse_nonce(const struct ask *a, const struct lease *l)
{
	a->reply->lifetime = claim_left(l->until_ms[LEASE_BY_PCP], a->r->now_ms);
	return ask_refuse(a, LEASE_NONCE_MISMATCH);
}

/*
 * UPnP may lead its port elsewhere (WANIPConnection:2 2.5.16). What another protocol was
 * promised for the former inside port is kept, though; what nobody asked for is not.
 */
static enum lease_reason map_move(const struct ask *a, struct lease *l)
{
	if (l->claims & ~(LEASE_IDLE_CLAIMS | 1U << a->req->by))
		return LEASE_TAKEN;
	claim_drop(l, LEASE_IDLE_CLAIMS);
	l->int_port = a->req->int_port;
	l->twin = !ask_ring(a);
	return policy_int_port(a->r->policy, a->req->by, l->protocol, l->int_port,
			       &l->internal);
}

/*
 * The claims that filters must leave alone: UPnP cannot say who may come in, and the admin
 * has said it. PCP is told that there is no filter (13), UPnP that the port is taken, and gets
 * one of its own for the same inside port.
 */
#define MAP_UNFILTERED (1U << LEASE_BY_UPNP | 1U << LEASE_BY_ADMIN)

static bool map_filtered_for_others(const struct ask *a, const struct lease *l)
{
	unsigned int bit = 1U << a->req->by;

	return l->n_filters && (bit & MAP_UNFILTERED) && !(l->claims & bit);
}

static enum lease_reason map_filters(const struct ask *a, struct lease *l)
{
	uint32_t had = filters_elements(l), has;
	enum lease_reason reason;

	if (a->req->n_filters && (l->claims & MAP_UNFILTERED & ~(1U << a->req->by)))
		return LEASE_FILTERS;
	reason = filters_apply(l, a->req);
	has = filters_elements(l);
	if (!reason && has > had && !restrict_elements(a->r, a->host, has - had))
		reason = LEASE_FILTERS;
	if (!reason && a->req->n_filters)
		reason = restrict_overlap(a->r, l) ? LEASE_FILTERS : LEASE_OK;
	return reason;
}

/* UPnP names its pinholes by number. */
static enum lease_reason map_number(const struct ask *a, struct lease *l)
{
	if (!a->pinhole || a->req->by != LEASE_BY_UPNP || l->number)
		return LEASE_OK;
	l->number = table_number_new(&a->r->table);
	return l->number ? LEASE_OK : LEASE_QUOTA_TABLE;
}

int ask_renew(const struct ask *a, uint32_t id)
{
	struct lease l = *ask_lease(a, id);
	uint32_t seconds = claim_granted(a->r->policy, a->req);
	enum lease_reason reason = LEASE_OK;

	if (!a->privileged &&
	    (policy_denies(a->r->policy, l.protocol, l.ext_port, &l.internal) ||
	     policy_denies(a->r->policy, l.protocol, a->req->int_port, &l.internal)))
		return ask_refuse(a, LEASE_DENIED); /* the admin has opened it */
	if (ask_nonce_differs(a, &l))
		return ask_refuse_nonce(a, &l);
	if ((!ask_overwrites(a) || a->pinhole) && ask_other_port(a, &l))
		return ask_refuse(a, LEASE_TAKEN);
	if (map_filtered_for_others(a, &l))
		return ask_refuse(a, LEASE_TAKEN);
	if (l.int_port != a->req->int_port)
		reason = map_move(a, &l);
	if (!reason)
		reason = map_filters(a, &l);
	if (!reason && a->over)
		reason = LEASE_RATE;
	if (!reason)
		reason = map_number(a, &l);
	if (reason)
		return ask_refuse(a, reason);
	if (book_pending(a->r, id))
		return -EAGAIN;
	claim_put(&l, a->r->policy, a->req, seconds, a->r->now_ms);
	if (memcmp(&l, ask_lease(a, id), sizeof(l)) == 0)
		return ask_answer(a, &l, seconds); /* said twice within a millisecond */
	if (book_reserve(a->r, a->out, BOOK_STEPS))
		return -ENOMEM;
	book_change(a->r, id, &l, a->who, a->out);
	return ask_answer(a, &l, seconds);
}

/*
 * The lease that a request without a port of its own means: same inside port, same remote.
 * PCP and NAT-PMP always get the port that is there (RFC 6887 11.3, RFC 6886 3.3), UPnP the
 * one it names if that is its own.
 */
static uint32_t map_existing(const struct ask *a)
{
	uint32_t head = ask_ring(a), id = head;

	if (head && a->req->by == LEASE_BY_UPNP) {
		uint32_t named = table_find(&a->r->table, a->req->protocol,
					    a->req->ext_port, &a->remote, a->remote_len);

		if (named && table_node(&a->r->table, named)->host == a->host &&
		    ask_lease(a, named)->int_port == a->req->int_port &&
		    !map_filtered_for_others(a, ask_lease(a, named)))
			return named;
	}
	for (int i = 0; id && i < RING_LOOK; i++) {
		const struct lease *l = ask_lease(a, id);

		if (l->remote_len == a->remote_len &&
		    l->remote_port == a->req->remote_port &&
		    addr_equal(&l->remote, &a->remote) && !map_filtered_for_others(a, l))
			return id;
		id = ask_ring_next(a, id) == head ? 0 : ask_ring_next(a, id);
	}
	return 0;
}

/* ---- MAP: a new lease ---- */

static enum lease_reason map_policy(const struct ask *a, const struct lease *l)
{
	const struct lease_policy *p = a->r->policy;
	const struct lease_request *req = a->req;
	enum lease_reason reason;

	if (a->pinhole)
		reason = policy_pinhole(p, req->by, req->protocol, req->int_port,
					&req->internal);
	else
		reason = policy_int_port(p, req->by, req->protocol, req->int_port,
					 &req->internal);
	if (!reason && !a->pinhole && (req->flags & LEASE_EXACT))
		reason = policy_ext_port(p, req->by, req->protocol, req->ext_port,
					 &req->internal);
	if (!reason)
		reason = restrict_quota(a->r, a->host, l,
					policy_quota(p, &req->internal));
	return reason || !a->over ? reason : LEASE_RATE;
}

/* PCP's own demand for a port shares it with no other inside port. */
static bool map_port_shared(const struct ask *a, const struct lease *l)
{
	return !ask_overwrites(a) &&
	       table_port_first(&a->r->table, l->protocol, l->ext_port) != 0;
}

/* The external port of a new lease: what the flows of that inside port already have outside
 * goes before what is suggested (P20, C46). Who suggests the inside port itself and gets it
 * needs no question: his flows can be nowhere else. */
static uint16_t map_choose(const struct ask *a)
{
	const struct lease_policy *p = a->r->policy;
	const struct lease_request *req = a->req;
	bool same = req->ext_port == req->int_port;
	uint16_t port = 0, outside;

	if (same)
		port = allocator_choose(&a->r->allocator, req->protocol, a->host,
					req->ext_port, req->int_port);
	if (port == req->int_port)
		return port;
	outside = p->outside ? p->outside(p->in_use_arg, req->protocol, req->int_port,
					  &req->internal)
			     : 0;
	if (!outside && same)
		return port;
	return allocator_choose(&a->r->allocator, req->protocol, a->host,
				outside ? outside : req->ext_port, req->int_port);
}

/* Finds the external port of a new lease. -EAGAIN. */
static int map_port(const struct ask *a, struct lease *l, enum lease_reason *reason)
{
	uint32_t head = ask_ring(a);

	*reason = LEASE_OK;
	if (a->pinhole) { /* C27: there is no other port than the inside one */
		l->ext_port = l->int_port;
		*reason = ask_other_port(a, l) ? LEASE_TAKEN
					       : restrict_port(a->r, a->host, l);
		return 0;
	}
	if (a->req->flags & LEASE_EXACT) {
		l->ext_port = a->req->ext_port;
		if (book_port_pending(a->r, l->protocol, l->ext_port))
			return -EAGAIN;
		*reason = restrict_port(a->r, a->host, l);
		if (!*reason && map_port_shared(a, l))
			*reason = LEASE_TAKEN;
		return 0;
	}
	if (head && a->remote_len && a->req->by == LEASE_BY_PCP) {
		/* A filter beside an open lease would filter nothing; two are one too many. */
		*reason = LEASE_REMOTE;
		return 0;
	}
	/* That inside port is open to other remotes: by the same port. */
	if (head && !table_find(&a->r->table, l->protocol, ask_lease(a, head)->ext_port,
				&a->remote, a->remote_len)) {
		l->ext_port = ask_lease(a, head)->ext_port;
		if (book_port_pending(a->r, l->protocol, l->ext_port))
			return -EAGAIN;
		*reason = restrict_port(a->r, a->host, l);
		return 0;
	}
	l->ext_port = map_choose(a);
	*reason = l->ext_port ? LEASE_OK : LEASE_NO_PORT;
	return 0;
}

static int map_new(const struct ask *a)
{
	uint32_t seconds = claim_granted(a->r->policy, a->req);
	enum lease_reason reason;
	struct lease l = {
		.protocol = a->req->protocol,
		.remote_len = a->remote_len,
		.remote_port = a->req->remote_port,
		.remote = a->remote,
		.int_port = a->req->int_port,
		.internal = a->req->internal,
		.twin = !a->pinhole && !ask_ring(a),
		.origin = a->req->by,
		.created_ms = a->r->now_ms,
	};
	uint32_t id;

	reason = filters_apply(&l, a->req);
	if (!reason)
		reason = map_policy(a, &l);
	if (reason)
		return ask_refuse(a, reason);
	claim_put(&l, a->r->policy, a->req, seconds, a->r->now_ms);
	if (map_port(a, &l, &reason))
		return -EAGAIN;
	if (!reason)
		reason = map_number(a, &l);
	if (reason)
		return ask_refuse(a, reason);
	if (book_reserve(a->r, a->out, 1))
		return -ENOMEM;
	id = book_alloc(a->r);
	if (!id)
		return -ENOMEM;
	book_grant(a->r, id, &l, a->host, a->who, a->out);
	return ask_answer(a, &l, seconds);
}

/* The lease whose key a request names, by an external port or as a pinhole. */
uint32_t ask_named(const struct ask *a)
{
	const struct lease_request *req = a->req;

	return a->pinhole ? table_find_pinhole(&a->r->table, req->protocol,
					       &req->internal, req->int_port, &a->remote,
					       a->remote_len, req->remote_port)
			  : table_find(&a->r->table, req->protocol, req->ext_port,
				       &a->remote, a->remote_len);
}

static int ask_map(const struct ask *a)
{
	uint32_t id;

	if (a->pinhole && (a->req->flags & LEASE_DISABLED))
		return ask_refuse(a, LEASE_PROTOCOL);
	if (ask_inside_pending(a))
		return -EAGAIN;
	if (!ask_overwrites(a)) {
		if (ask_is_forwarded(a))
			return ask_forwarded(a);
		id = map_existing(a);
		return id ? ask_renew(a, id) : map_new(a);
	}
	id = ask_named(a);
	if (!id || table_node(&a->r->table, id)->host != a->host)
		return map_new(a);
	return book_pending(a->r, id) ? -EAGAIN : ask_renew(a, id);
}

/* ---- */

static int ask_dispatch(struct ask *a)
{
	enum lease_reason reason = LEASE_OK;
	enum lease_op op = a->req->op;
	bool numbered = op == LEASE_OP_PIN_RENEW || op == LEASE_OP_PIN_END ||
			op == LEASE_OP_PIN_GET;

	if (op != LEASE_OP_GET_INDEX && !numbered)
		reason = policy_protocol(a->req->protocol);
	if (!reason)
		reason = policy_remote(&a->remote, &a->remote_len, a->pinhole);
	if (!reason && a->req->remote_port && !a->pinhole)
		reason = LEASE_REMOTE;
	if (reason)
		return ask_refuse(a, reason);
	switch (op) {
	case LEASE_OP_MAP:
		return ask_map(a);
	case LEASE_OP_UNMAP:
		return ask_unmap(a);
	case LEASE_OP_UNMAP_ALL:
		return ask_unmap_all(a);
	case LEASE_OP_UNMAP_PORT:
		return ask_unmap_port(a);
	case LEASE_OP_GET_PORT:
	case LEASE_OP_GET_INDEX:
		return ask_get(a);
	case LEASE_OP_UNMAP_RANGE:
		return ask_unmap_range(a);
	case LEASE_OP_GET_NEXT:
		return ask_get_next(a);
	case LEASE_OP_PIN_RENEW:
	case LEASE_OP_PIN_END:
	case LEASE_OP_PIN_GET:
		return ask_numbered(a);
	case LEASE_OP_END:
		break;
	}
	return ask_refuse(a, LEASE_PROTOCOL);
}

int registry_ask(struct registry *r, int lan, const struct lease_request *req,
		 uint64_t now_ms, uint32_t who, struct lease_reply *reply,
		 struct lease_changes *out)
{
	struct ask a = {.r = r,
			.req = req,
			.remote = req->remote,
			.remote_len = req->remote_len,
			.privileged = policy_privileged(lan, req),
			.pinhole = !addr_is_v4(&req->internal) &&
				   !addr_is_none(&req->internal),
			.who = who,
			.reply = reply,
			.out = out};
	/* The rest of a list is paid for with its beginning; unasked for comes what the kernel
	 * tells, at its own pace. */
	bool free = a.privileged || (req->op == LEASE_OP_GET_NEXT && req->index) ||
		    1U << req->by & LEASE_IDLE_CLAIMS;
	enum lease_reason reason;
	uint32_t asker;
	int err;

	if (now_ms > r->now_ms)
		r->now_ms = now_ms;
	released_expire(&r->released, r->now_ms);
	*reply = (struct lease_reply){.tag = req->tag,
				      .op = req->op,
				      .protocol = req->protocol,
				      .int_port = req->int_port,
				      .ext_port = req->ext_port,
				      .index = req->index,
				      .internal = req->internal,
				      .remote = req->remote,
				      .remote_len = req->remote_len,
				      .remote_port = req->remote_port};
	reason = policy_host(r->policy, lan, req);
	if (reason && reason != LEASE_ACCESS && reason != LEASE_THIRD_PARTY)
		return ask_refuse(&a, reason);
	/* From here on the host is known to be one of ours: its request counts. */
	asker = a.host = hosts_get(&r->hosts,
				   a.privileged ? &req->internal : &req->client);
	if (!asker)
		return -ENOMEM;
	if (!free)
		a.over = !hosts_take(&r->hosts, asker, r->policy->requests_per_second,
				     r->now_ms);
	if (reason)
		return ask_refuse(&a, reason);
	/* A third party asks at its own rate, for a lease of the other's share. */
	if (policy_owns(req) && !addr_equal(&req->client, &req->internal))
		a.host = hosts_get(&r->hosts, &req->internal);
	err = a.host ? ask_dispatch(&a) : -ENOMEM;
	if (err && !free && !a.over)
		hosts_give_back(&r->hosts, asker);
	return err;
}
