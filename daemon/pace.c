/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/pace.h"

static void give_back(struct pace *p, uint64_t now_ms)
{
	uint64_t n = p->every_ms ? (now_ms - p->since_ms) / p->every_ms : p->used;

	if (n >= p->used) {
		p->used = 0;
		p->since_ms = now_ms;
		return;
	}
	p->used -= (uint32_t)n;
	p->since_ms += n * p->every_ms;
}

uint64_t pace_wait(struct pace *p, uint64_t now_ms)
{
	uint64_t until = 0;

	give_back(p, now_ms);
	if (p->rest_until_ms > p->spare_ms)
		until = p->rest_until_ms - p->spare_ms;
	if (p->used >= p->burst && p->since_ms + p->every_ms > until)
		until = p->since_ms + p->every_ms;
	return until > now_ms ? until - now_ms : 0;
}

void pace_done(struct pace *p, uint64_t now_ms, uint64_t took_us)
{
	give_back(p, now_ms);
	if (p->used < p->burst)
		p->used++;
	if (p->rest_until_ms < now_ms)
		p->rest_until_ms = now_ms;
	p->rest_until_ms += (took_us * p->share + 999) / 1000;
}

bool pace_is_slow(const struct pace *p)
{
	return p->used >= p->burst;
}
