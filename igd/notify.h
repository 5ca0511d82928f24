/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivers events: to each subscriber over one connection at a time, within a deadline, and
 * none waits for another. Knows nothing of who may subscribe (gena.h) or of when something
 * has changed (events.h).
 */
#pragma once

#include "igd/gena.h"

#define NOTIFY_MS 5000 /* to connect, to take the event and to answer it (row U22) */

struct event_base;
struct notify;

struct notify_config {
	char ifname[16]; /* events leave there and nowhere else */
	uint32_t ifindex;
	const struct description *description;
	const struct record_state *state; /* as it is whenever something is sent */
};

/* What the configuration points to, and the subscriptions, are borrowed. NULL: no memory. */
struct notify *notify_new(struct event_base *base, struct gena *g,
			  const struct notify_config *config);
void notify_free(struct notify *n);

/* The first event of a subscription, with all variables. */
void notify_welcome(struct notify *n, struct gena_subscription *s);
/* Tells all who had their first event of these variables: now, or together with all that
 * changes meanwhile once the event that is on its way has arrived. */
void notify_all(struct notify *n, unsigned int bits);
/* Drops what is on its way to a subscription that ended or whose place is another's now. */
void notify_forget(struct notify *n, const struct gena_subscription *s);
