/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscriptions: checks SUBSCRIBE and UNSUBSCRIBE, writes what libupnp is given instead,
 * and keeps who has which. Pure: no sockets, no clock.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "igd/http.h"
#include "igd/text.h"

#define GENA_SUBSCRIPTIONS 32 /* of all hosts together */
#define GENA_PER_HOST 8
#define GENA_SID_MAX 63
#define GENA_SECONDS 1800 /* every subscription, whatever was asked (row U19) */
#define GENA_REQUEST_MAX 1024

struct gena {
	struct gena_subscription {
		char sid[GENA_SID_MAX + 1]; /* empty until the engine gave one */
		bool taken;
		struct in6_addr client;
		uint64_t until_ms;
	} subscriptions[GENA_SUBSCRIPTIONS];
};

enum gena_kind {
	GENA_SUBSCRIBE,
	GENA_RENEW,
	GENA_UNSUBSCRIBE,
};

/* Rows U19-U21. Writes into t the request for the engine on 127.0.0.1. 0, or the status to
 * refuse with: 400, 412. */
int gena_check(struct gena *g, const struct http_request *req,
	       const struct in6_addr *client, uint64_t now_ms, enum gena_kind *kind,
	       struct text *t);

/* Keeps a place while the engine is asked for a new subscription. NULL: none is left of
 * all, or of this host. */
struct gena_subscription *gena_reserve(struct gena *g, const struct in6_addr *client,
				       uint64_t now_ms);
/* The engine took it, or not. */
void gena_subscribed(struct gena_subscription *s, const char *sid, uint64_t now_ms);
void gena_release(struct gena_subscription *s);
void gena_renewed(struct gena *g, const char *sid, uint64_t now_ms);
void gena_unsubscribed(struct gena *g, const char *sid);

/* Reads the first URL of a CALLBACK header that leads to this very host and writes it anew:
 * "http://a.b.c.d:port/path". False: none does. */
bool gena_callback(const char *header, const struct in6_addr *client, struct text *t);
