/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hosts ask over HTTP: routes each request, keeps those that wait for the core,
 * answers, and tells subscribers of changes. Knows nothing of how the worker
 * starts and ends.
 */
#pragma once

#include "base/channel.h"
#include "igd/description.h"

struct requests;

/* Serves at once. Takes the listening sockets over, also on failure; the rest is borrowed for
 * good. NULL: no memory. */
struct requests *requests_new(struct event_base *base, struct channel *channel,
			      const struct record_setup *setup,
			      const struct description *description, const int *listeners,
			      size_t n_listeners);

void requests_state(struct requests *r, const struct record_state *s);
void requests_reply(struct requests *r, const struct lease_reply *reply);

/* Leases for the status page. */
void requests_rows(struct requests *r, const struct record_row *rows, size_t n);
void requests_listed(struct requests *r, const struct record_list *next);
