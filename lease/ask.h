/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request on its way through the registry: what the files that answer it share. Each
 * handler fills in the reply, appends the steps and returns 0, -EAGAIN or -ENOMEM, as
 * registry_ask().
 */
#pragma once

#include "lease/book.h"

struct ask {
	struct registry *r;
	const struct lease_request *req;
	struct in6_addr remote; /* of the request, in its only form */
	uint8_t remote_len;
	bool privileged;
	bool pinhole; /* about an IPv6 host */
	bool over;    /* the host asks too often */
	uint32_t host;
	uint32_t who;
	struct lease_reply *reply;
	struct lease_changes *out;
};

static inline int ask_refuse(const struct ask *a, enum lease_reason reason)
{
	a->reply->reason = (uint8_t)reason;
	return 0;
}

static inline struct lease *ask_lease(const struct ask *a, uint32_t id)
{
	return &table_node(&a->r->table, id)->lease;
}

static inline uint32_t ask_ring_next(const struct ask *a, uint32_t id)
{
	return table_node(&a->r->table, id)->ring_next;
}

static inline uint32_t ask_ring(const struct ask *a)
{
	return table_ring(&a->r->table, a->req->protocol, &a->req->internal,
			  a->req->int_port);
}

static inline bool ask_inside_pending(const struct ask *a)
{
	return pending_has(&a->r->pending, a->req->protocol, &a->req->internal,
			   a->req->int_port);
}

/* Tells the asker of a lease. The nonce is for PCP only: it is what guards the lease. */
int ask_answer(const struct ask *a, const struct lease *l, uint32_t seconds);
/* The PCP claim of another nonce is not to be touched (RFC 6887 section 11.3). */
bool ask_nonce_differs(const struct ask *a, const struct lease *l);
int ask_refuse_nonce(const struct ask *a, const struct lease *l);
/* The lease whose key a request names, by an external port or as a pinhole. */
uint32_t ask_named(const struct ask *a);
/* The request as a MAP of that lease, which is there. */
int ask_renew(const struct ask *a, uint32_t id);

/* unmap.c */
int ask_unmap(const struct ask *a);
int ask_unmap_all(const struct ask *a);
int ask_unmap_port(const struct ask *a);
int ask_unmap_range(const struct ask *a);
/* lookup.c: GET_PORT and GET_INDEX; GET_NEXT. */
int ask_get(const struct ask *a);
int ask_get_next(const struct ask *a);
/* numbered.c: PIN_RENEW, PIN_END, PIN_GET. */
int ask_numbered(const struct ask *a);
/* Takes the claims off that the request may take off. There is room for its steps. */
void ask_unmap_one(const struct ask *a, uint32_t id);
/* Those claims, as bits. */
unsigned int ask_unmap_bits(const struct ask *a, const struct lease *l);

/* forwarded.c. Does a static forward for everybody lead to the inside port of the request? */
bool ask_is_forwarded(const struct ask *a);
/* Then that is the answer to who asks for it: the forward stays as it is (RFC 6887 section
 * 11.3), for ever or as long as NAT-PMP asked. */
int ask_forwarded(const struct ask *a);
/* Does one for everybody lead to any port of its inside address, by its protocol? */
bool ask_has_forward(const struct ask *a);
/* Does the request name the external port of a static forward? */
bool ask_names_forward(const struct ask *a);
/* GET_PORT and GET_INDEX where no lease is meant; `passed` leases stand before the forwards. */
int ask_get_forward(const struct ask *a, size_t passed);
/* GET_NEXT: the forward to the client that comes before all others and `best` (or NULL). */
bool ask_next_forward(const struct ask *a,
		      bool (*before)(const struct ask *a, const struct lease *l,
				     const struct lease *than),
		      const struct lease *best, struct lease *out);
