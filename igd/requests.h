/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hosts ask over HTTP: routes each request, keeps those that wait for the core or for
 * libupnp, answers, and tells subscribers of changes. Knows nothing of how the worker
 * starts and ends.
 */
#pragma once

#include <stdbool.h>

#include "base/channel.h"
#include "igd/description.h"
#include "igd/engine.h"

struct requests;

/* Serves at once. Takes the listening socket over, also on failure; the rest is borrowed for
 * good. NULL: no memory. */
struct requests *requests_new(struct event_base *base, struct channel *channel,
			      const struct record_setup *setup,
			      const struct description *description, int listener);
/* From here on subscriptions are taken, once it runs. */
void requests_set_engine(struct requests *r, struct engine *e);

void requests_state(struct requests *r, const struct record_state *s);
void requests_reply(struct requests *r, const struct lease_reply *reply);

/* Does libupnp still give signs of life? Asks it for the next one. */
bool requests_engine_lives(struct requests *r);
