/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core_history.h"

#include <string.h>

#include "base/addr.h"

static void history_add(struct core_history *h, const struct store_event *e)
{
	if (h->n == HISTORY_WAITING) {
		if (!h->lost)
			h->lost_ms = e->time_ms;
		h->lost++;
		return;
	}
	h->waiting[(h->first + h->n++) % HISTORY_WAITING] = *e;
}

/* Seconds from then to now; UINT32_MAX: never, or longer. */
static uint32_t seconds_to(uint64_t then_ms, uint64_t until_ms)
{
	uint64_t s = (until_ms - then_ms + 500) / 1000;

	return until_ms == LEASE_NO_DEADLINE || s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

void core_history_event(const struct lease_change *s, uint64_t now_ms,
			struct store_event *e)
{
	const struct lease *l = s->has ? &s->after : &s->before;

	*e = (struct store_event){
		.time_ms = now_ms,
		.times = 1,
		.what = s->has ? STORE_GRANTED : STORE_ENDED,
		.reason = s->has ? 0 : (uint8_t)s->end,
		.by = l->origin,
		.protocol = l->protocol,
		.ext_port = l->ext_port,
		.int_port = l->int_port,
		.internal = l->internal,
		.remote = l->remote,
		.remote_len = l->remote_len,
	};

	if (!s->has)
		e->seconds = seconds_to(l->created_ms, now_ms);
	else
		e->seconds = l->until_gone ? UINT32_MAX
					   : seconds_to(now_ms, l->deadline_ms);
	memcpy(e->description, l->description,
	       strnlen(l->description, LEASE_DESCRIPTION_MAX));
}

void core_history_step(struct core_history *h, const struct lease_change *s,
		       uint64_t now_ms)
{
	struct store_event e;

	if (s->had && s->has)
		return;
	core_history_event(s, now_ms, &e);
	history_add(h, &e);
}

static bool same_refusal(const struct store_event *a, const struct store_event *b)
{
	return a->reason == b->reason && a->by == b->by && a->protocol == b->protocol &&
	       a->ext_port == b->ext_port && a->int_port == b->int_port &&
	       addr_equal(&a->internal, &b->internal);
}

static void refusal_tell(struct core_history *h, struct history_refusal *r,
			 uint64_t now_ms)
{
	r->event.time_ms = now_ms;
	r->told_ms = now_ms;
	if (r->event.times)
		history_add(h, &r->event);
	r->event.times = 0;
}

static struct history_refusal *refusal_slot(struct core_history *h,
					    const struct store_event *e)
{
	uint32_t word[4], mix = e->ext_port * 2654435761U ^ e->int_port ^ e->reason;

	memcpy(word, &e->internal, sizeof(word));
	mix ^= (word[0] ^ word[1] ^ word[2] ^ word[3]) * 2246822519U;
	return &h->refusal[(mix ^ mix >> 16) % HISTORY_REFUSALS];
}

void core_history_refusal(const struct lease_request *req, enum lease_reason reason,
			  uint64_t now_ms, struct store_event *e)
{
	*e = (struct store_event){
		.time_ms = now_ms,
		.times = 1,
		.what = STORE_REFUSED,
		.reason = (uint8_t)reason,
		.by = req->by,
		.protocol = req->protocol,
		.ext_port = req->ext_port,
		.int_port = req->int_port,
		.internal = req->internal,
		.remote = req->remote,
		.remote_len = req->remote_len,
		.seconds = req->lifetime,
	};
	memcpy(e->description, req->description,
	       strnlen(req->description, LEASE_DESCRIPTION_MAX));
}

bool core_history_refused(struct core_history *h, const struct lease_request *req,
			  enum lease_reason reason, uint64_t now_ms)
{
	struct history_refusal *r;
	struct store_event e;

	core_history_refusal(req, reason, now_ms, &e);
	r = refusal_slot(h, &e);
	if (r->told_ms && same_refusal(&r->event, &e) &&
	    now_ms - r->told_ms < HISTORY_REPEAT_MS) {
		r->event.times++;
		return false;
	}
	if (r->told_ms && r->event.times)
		refusal_tell(h, r, now_ms); /* another one takes its place */
	*r = (struct history_refusal){.event = e};
	refusal_tell(h, r, now_ms);
	return true;
}

void core_history_restored(struct core_history *h, uint32_t leases, uint64_t now_ms)
{
	const struct store_event e = {
		.time_ms = now_ms, .what = STORE_RESTORED, .times = leases};

	if (leases)
		history_add(h, &e);
}

bool core_history_gather(struct core_history *h, uint64_t now_ms, bool all)
{
	bool more = false;

	for (size_t i = 0; i < HISTORY_REFUSALS; i++) {
		struct history_refusal *r = &h->refusal[i];

		if (!r->told_ms)
			continue;
		if (all || now_ms - r->told_ms >= HISTORY_REPEAT_MS) {
			if (r->event.times)
				refusal_tell(h, r, now_ms);
			else
				r->told_ms = 0; /* it has stopped */
		}
		more = more || r->told_ms;
	}
	return more;
}

bool core_history_waits(const struct core_history *h)
{
	return h->n || h->lost;
}

const struct store_event *core_history_next(struct core_history *h)
{
	if (!h->n && h->lost) {
		const struct store_event e = {
			.time_ms = h->lost_ms, .what = STORE_LOST, .times = h->lost};

		h->lost = 0;
		history_add(h, &e);
	}
	return h->n ? &h->waiting[h->first] : NULL;
}

void core_history_took(struct core_history *h)
{
	h->first = (h->first + 1) % HISTORY_WAITING;
	h->n--;
}
