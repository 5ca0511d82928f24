/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thin face to libupnp: registration, advertisement and discovery, on a thread of its
 * own that alone calls libupnp. HTTP and events are not libupnp's (front.h, notify.h).
 */
#pragma once

#include "igd/description.h"

struct engine;

enum engine_state {
	ENGINE_STARTING,
	ENGINE_RUNNING, /* discovery answers */
	ENGINE_STOPPED, /* it has said good-bye */
	ENGINE_FAILED,
};

/* Can this libupnp answer searches over IPv6? 1.8 does not. */
int engine_has_v6(void);

/* Starts the thread; it fetches its description from url_base ("http://a.b.c.d:port"), and
 * from url_base6 if that is not NULL, so the caller's loop must serve those. wake_fd, an eventfd, is written at each change of
 * state. NULL: no memory, no thread. */
struct engine *engine_start(const char *ifname, const char *url_base,
			    const char *url_base6, uint16_t port, int wake_fd);
enum engine_state engine_state(struct engine *e);
/* Why it failed, for people. */
const char *engine_error(struct engine *e);

/* Says good-bye, then ENGINE_STOPPED. libupnp itself is left running: exit. */
void engine_stop(struct engine *e);
