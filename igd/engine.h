/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thin face to libupnp: discovery, advertisement, registration and delivery of events,
 * on a thread of its own that alone calls libupnp. Knows nothing of our connections.
 */
#pragma once

#include "igd/description.h"
#include "igd/events.h"

struct engine;

enum engine_state {
	ENGINE_STARTING,
	ENGINE_RUNNING, /* discovery and events answer */
	ENGINE_STOPPED, /* it has said good-bye */
	ENGINE_FAILED,
};

/* Starts the thread; it fetches its description from url_base ("http://a.b.c.d:port"), so
 * the caller's loop must serve that. wake_fd, an eventfd, is written at each change of
 * state. Description and strings are borrowed for good. NULL: no memory, no thread. */
struct engine *engine_start(const char *ifname, const char *url_base, uint16_t port,
			    const struct description *d, int wake_fd);
enum engine_state engine_state(struct engine *e);
/* Why it failed, for people. */
const char *engine_error(struct engine *e);

/* Sends a new subscriber its first event, once its 200 is on the way. */
void engine_welcome(struct engine *e, unsigned int face, enum igd_service service,
		    const char *sid, const struct events_set *set);
/* Tells all subscribers of a service. */
void engine_notify(struct engine *e, unsigned int face, enum igd_service service,
		   const struct events_set *set);
/* Says good-bye, then ENGINE_STOPPED. libupnp itself is left running: exit. */
void engine_stop(struct engine *e);
