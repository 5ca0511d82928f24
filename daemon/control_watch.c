/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The methods Watch and Metrics: what happens, and how often it has. The last events are kept
 * once for all who watch; each has its place among them, and takes the next one when it has
 * read the one before.
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/control_inside.h"
#include "daemon/core_history.h"

struct control_watcher {
	struct control *control;
	struct varlink_call *call;
	struct control_watcher *next;
	uint64_t at; /* the number of the event that it gets next */
};

/* ---- Watch ---- */

static void event_put(struct control *c, const struct store_event *e, bool renewed)
{
	struct control_event *at = &c->events[c->n_events % CONTROL_EVENTS];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*at = (struct control_event){.event = *e, .renewed = renewed};
	at->event.time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	at->event.id = ++c->n_events;
	for (struct control_watcher *w = c->watchers; w; w = w->next)
		if (w->at + 1 == c->n_events) /* it had nothing to do */
			varlink_ready(w->call);
}

void control_step(struct control *c, const struct lease_change *step)
{
	bool renewed = step->had && step->has;
	struct store_event e;

	if (!c->watchers ||
	    (renewed && step->before.deadline_ms == step->after.deadline_ms))
		return;
	core_history_event(step, clock_ms(), &e);
	event_put(c, &e, renewed);
}

void control_refused(struct control *c, const struct lease_request *req,
		     enum lease_reason reason)
{
	struct store_event e;

	if (!c->watchers)
		return;
	core_history_refusal(req, reason, clock_ms(), &e);
	event_put(c, &e, false);
}

static bool watcher_ready(void *arg)
{
	const struct control_watcher *w = arg;

	return w->at < w->control->n_events;
}

static json_t *watcher_next(void *arg, bool *last)
{
	struct control_watcher *w = arg;
	const struct control *c = w->control;
	const struct control_event *e;

	(void)last; /* there is none */
	if (c->n_events - w->at > CONTROL_EVENTS) {
		const struct store_event lost = {
			.id = c->n_events - CONTROL_EVENTS,
			.time_ms = c->events[c->n_events % CONTROL_EVENTS].event.time_ms,
			.what = STORE_LOST,
			.times = (uint32_t)(c->n_events - CONTROL_EVENTS - w->at),
		};

		w->at = c->n_events - CONTROL_EVENTS;
		return json_pack("{s:o}", "event", control_event_json(&lost, false));
	}
	e = &c->events[w->at++ % CONTROL_EVENTS];
	return json_pack("{s:o}", "event", control_event_json(&e->event, e->renewed));
}

static void watcher_free(void *arg)
{
	struct control_watcher *w = arg, **at = &w->control->watchers;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->control->n_watchers--;
	free(w);
}

static const struct varlink_stream watch_stream = {
	.ready = watcher_ready, .next = watcher_next, .free = watcher_free};

void control_watch(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	struct control_watcher *w;

	if (!control_has_only(call, NULL, 0))
		return;
	if (!varlink_more(call)) {
		varlink_error(call, "org.varlink.service.ExpectedMore", NULL);
		return;
	}
	if (!c->events)
		c->events = calloc(CONTROL_EVENTS, sizeof(*c->events));
	w = c->events && c->n_watchers < CONTROL_WATCHERS ? malloc(sizeof(*w)) : NULL;
	if (!w) {
		varlink_error(call, "org.portreeve.Failed",
			      json_pack("{s:s,s:s}", "reason", "busy", "text",
					"too many watch already"));
		return;
	}
	*w = (struct control_watcher){
		.control = c, .call = call, .next = c->watchers, .at = c->n_events};
	c->watchers = w;
	c->n_watchers++;
	varlink_stream(call, &watch_stream, w);
}

/* ---- Metrics ---- */

static void count_add(json_t *list, const char *label, uint64_t n)
{
	json_array_append_new(
		list, json_pack("{s:s,s:I}", "label", label, "count", (json_int_t)n));
}

static json_t *by_json(const uint64_t n[LEASE_BY_END])
{
	json_t *list = json_array();

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (by != LEASE_BY_STATIC) /* those are no leases */
			count_add(list, lease_by_name((enum lease_by)by), n[by]);
	return list;
}

void control_metrics(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	const struct control_counts *n;
	json_t *ended, *refused;

	if (!control_has_only(call, NULL, 0))
		return;
	n = c->ops->counts(c->core);
	ended = json_array();
	for (int end = LEASE_END_DELETED; end <= LEASE_END_DENIED; end++)
		count_add(ended, lease_end_name((enum lease_end)end), n->ended[end]);
	refused = json_array();
	for (int reason = LEASE_OK + 1; reason < LEASE_REASON_END; reason++)
		count_add(refused, lease_reason_name((enum lease_reason)reason),
			  n->refused[reason]);
	varlink_reply(call, json_pack("{s:o,s:o,s:o,s:o}", "granted", by_json(n->granted),
				      "renewed", by_json(n->renewed), "ended", ended,
				      "refused", refused));
}
