/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/rate.h"

#include "base/addr.h"

#define RATE_BURST_US (2 * 1000 * 1000ULL)

static uint32_t rate_hash(const struct in6_addr *host)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (unsigned int i = 0; i < sizeof(host->s6_addr); i++)
		h = (h ^ host->s6_addr[i]) * 16777619U;
	return h;
}

/* The host's slot, or the one near its place that has the least to remember. Chosen
 * collisions gain nothing: who can send from many addresses has no one rate anyway. */
static struct rate_slot *rate_find(struct rate *r, const struct in6_addr *host)
{
	uint32_t at = rate_hash(host);
	struct rate_slot *least = &r->slot[at % RATE_SLOTS];

	for (unsigned int i = 0; i < RATE_PROBES; i++) {
		struct rate_slot *s = &r->slot[(at + i) % RATE_SLOTS];

		if (addr_equal(&s->host, host))
			return s;
		if (s->until_us < least->until_us)
			least = s;
	}
	*least = (struct rate_slot){.host = *host};
	return least;
}

bool rate_admit(struct rate *r, const struct in6_addr *host, uint64_t now_ms)
{
	uint64_t now_us = now_ms * 1000;
	struct rate_slot *s;

	if (!r->per_second)
		return true;
	s = rate_find(r, host);
	if (s->until_us < now_us)
		s->until_us = now_us;
	if (s->until_us + 1000000 / r->per_second > now_us + RATE_BURST_US)
		return false;
	s->until_us += 1000000 / r->per_second;
	return true;
}
