/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks libupnp's own HTTP on loopback what only it can answer: subscriptions, and whether
 * it still lives. A few at a time, the rest waits.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "igd/gena.h"

#define RELAY_ACTIVE 10 /* of libupnp's 12 threads */
#define RELAY_QUEUE 32
#define RELAY_TIMEOUT_MS 3000

struct event_base;
struct relay;

struct relay_answer {
	int status; /* of HTTP; 0: none came */
	char sid[GENA_SID_MAX + 1];
};

struct relay *relay_new(struct event_base *base); /* NULL: no memory */
void relay_free(struct relay *r);

/* Sends a whole request without a body. `done`, if not NULL, is called once, never from
 * inside this call. False: too many wait already, or no memory. */
bool relay_ask(struct relay *r, struct in_addr client, const char *request,
	       void (*done)(void *arg, const struct relay_answer *a), void *arg);
