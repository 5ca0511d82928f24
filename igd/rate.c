/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/rate.h"

#include <string.h>

#include "base/addr.h"

void rate_init(struct rate *r, uint32_t per_second, uint32_t burst)
{
	memset(r, 0, sizeof(*r));
	r->per_second = per_second;
	r->burst = burst;
}

/* The host's bucket, or the one that was quiet for longest, made its own. */
static struct rate_host *rate_find(struct rate *r, const struct in6_addr *addr,
				   uint64_t now_ms)
{
	struct rate_host *set, *oldest;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < sizeof(addr->s6_addr); i++)
		hash = (hash ^ addr->s6_addr[i]) * 16777619u;
	set = r->hosts[(hash ^ hash >> 16) % RATE_SETS];
	oldest = set;
	for (size_t i = 0; i < RATE_WAYS; i++) {
		if (addr_equal(&set[i].addr, addr))
			return &set[i];
		if (set[i].last_ms < oldest->last_ms)
			oldest = &set[i];
	}
	*oldest = (struct rate_host){
		.addr = *addr, .last_ms = now_ms, .milli = (uint64_t)r->burst * 1000};
	return oldest;
}

bool rate_take(struct rate *r, const struct in6_addr *addr, uint64_t now_ms)
{
	struct rate_host *h = rate_find(r, addr, now_ms);
	uint64_t most = (uint64_t)r->burst * 1000;
	uint64_t passed = now_ms - h->last_ms;

	/* A thousandth of a token per millisecond and token a second. */
	if (passed > most)
		passed = most;
	h->milli += passed * r->per_second;
	if (h->milli > most)
		h->milli = most;
	h->last_ms = now_ms;
	if (h->milli < 1000)
		return false;
	h->milli -= 1000;
	return true;
}
