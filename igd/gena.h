/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscriptions: checks SUBSCRIBE and UNSUBSCRIBE, keeps who has which, and writes the
 * NOTIFYs. Pure: no sockets, no clock.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "igd/events.h"
#include "igd/http.h"
#include "igd/text.h"

#define GENA_SUBSCRIPTIONS 64 /* of all hosts together */
#define GENA_PER_HOST 8
#define GENA_SID_TEXT 42 /* "uuid:", 36 characters, NUL */
#define GENA_PATH_MAX 255
#define GENA_SECONDS 1800 /* every subscription, whatever was asked (row U19) */
#define GENA_NOTIFY_MAX 2048

/* Where events go: to the subscriber itself, whose address is known. */
struct gena_callback {
	uint16_t port;
	char path[GENA_PATH_MAX + 1];
};

struct gena_subscription {
	bool taken;
	bool welcomed; /* its first event was sent: it is told of changes */
	bool failed;   /* the latest event did not arrive */
	uint8_t face;
	uint8_t service;          /* enum igd_service */
	uint32_t seq;             /* of the next event */
	unsigned int bits;        /* what it has to be told: enum events_bit */
	struct record_state told; /* what it knows, unless the latest event failed */
	uint64_t until_ms;
	uint64_t number; /* lower is older */
	struct in6_addr client;
	struct gena_callback callback;
	char sid[GENA_SID_TEXT];
};

struct gena {
	uint64_t count; /* of all that ever were */
	struct gena_subscription subscriptions[GENA_SUBSCRIPTIONS];
};

enum gena_kind {
	GENA_SUBSCRIBE,
	GENA_RENEW,
	GENA_UNSUBSCRIBE,
};

/* Rows U19-U21. 0, or the status to refuse with: 400, 412. With GENA_SUBSCRIBE the callback
 * is filled in, else *s is the subscription that is meant. */
int gena_check(struct gena *g, const struct http_request *req,
	       const struct in6_addr *client, uint64_t now_ms, enum gena_kind *kind,
	       struct gena_callback *callback, struct gena_subscription **s);

/* A new subscription; random makes its name. A host that has all of its places loses one to
 * it; when all are taken, somebody whose latest event did not arrive does. NULL: everybody's
 * arrive. */
struct gena_subscription *gena_subscribe(struct gena *g, const struct in6_addr *client,
					 const struct gena_callback *callback,
					 unsigned int face, enum igd_service service,
					 const uint8_t random[16], uint64_t now_ms);
void gena_renew(struct gena_subscription *s, uint64_t now_ms);
void gena_end(struct gena_subscription *s);
bool gena_alive(const struct gena_subscription *s, uint64_t now_ms);

/* Reads the first URL of a CALLBACK header that leads to this very host, by its address, an
 * IPv6 one in brackets and with or without a zone. False: none does (CVE-2020-12695). */
bool gena_callback(const char *header, const struct in6_addr *client,
		   struct gena_callback *out);

/* Writes the next NOTIFY of a subscription, and counts it. */
void gena_write_notify(struct gena_subscription *s, const struct events_set *set,
		       struct text *t);
