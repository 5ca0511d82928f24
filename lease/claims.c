/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/claims.h"

#include <string.h>

#define CLAIM_WEEK_S 604800U

static uint32_t clamp_u32(uint32_t v, uint32_t low, uint32_t high)
{
	return v > high ? high : v < low ? low : v;
}

uint32_t claim_granted(const struct lease_policy *p, const struct lease_request *req)
{
	uint32_t asked = req->lifetime;

	switch ((enum lease_by)req->by) {
	case LEASE_BY_PCP: /* RFC 6887 section 15 */
		return clamp_u32(asked, p->pcp_min_s, p->pcp_max_s);
	case LEASE_BY_NATPMP: /* RFC 6886 section 3.3: never above what was asked */
		return clamp_u32(asked, 1, p->pcp_max_s);
	case LEASE_BY_UPNP: /* WANIPConnection:2 section 2.3.16; of IGD:1: 7 days at most */
		return asked && !(req->flags & LEASE_UNTIL_GONE)
			       ? clamp_u32(asked, 1, CLAIM_WEEK_S)
			       : CLAIM_WEEK_S;
	case LEASE_BY_ADMIN:
		return asked ? asked : CLAIM_FOREVER;
	case LEASE_BY_TRIGGER: /* the idle time of the rule */
	case LEASE_BY_OPEN_NAT:
	case LEASE_BY_STATIC: /* no lease is */
	case LEASE_BY_END:
		break;
	}
	return clamp_u32(asked, 1, CLAIM_WEEK_S);
}

/* Without the flag it stays what it was: RFC 7220 section 3, a renewal need not repeat it. */
static void claim_describe(struct lease *l, const struct lease_request *req)
{
	if (!(req->flags & LEASE_DESCRIBE))
		return;
	memset(l->description, 0, sizeof(l->description));
	memcpy(l->description, req->description,
	       strnlen(req->description, LEASE_DESCRIPTION_MAX));
}

uint64_t claim_silence(const struct lease_policy *p)
{
	return p->silence_ms ? p->silence_ms : LEASE_SILENCE_MS;
}

void claim_put(struct lease *l, const struct lease_policy *p,
	       const struct lease_request *req, uint32_t seconds, uint64_t now_ms)
{
	unsigned int bit = 1U << req->by;

	l->claims = (uint8_t)(l->claims | bit);
	l->until_ms[req->by] = seconds == CLAIM_FOREVER ? LEASE_NO_DEADLINE
							: now_ms + seconds * 1000ULL;
	l->until_gone = (uint8_t)(l->until_gone & ~bit);
	if (bit & LEASE_IDLE_CLAIMS && l->idle_s < seconds)
		l->idle_s = seconds;
	l->elsewhere = req->by == LEASE_BY_TRIGGER;
	if (req->flags & LEASE_UNTIL_GONE) {
		l->until_gone = (uint8_t)(l->until_gone | bit);
		l->gone_ms = now_ms + claim_silence(p);
		l->look_ms = now_ms + claim_silence(p) / 2;
	}
	/* Others that keep the lease were promised that it works. */
	l->enabled = !(req->flags & LEASE_DISABLED) || l->claims != bit;
	if (req->by == LEASE_BY_PCP && (req->flags & LEASE_NONCE)) {
		l->has_nonce = true;
		memcpy(l->nonce, req->nonce, sizeof(l->nonce));
	}
	claim_describe(l, req);
	claim_settle(l, now_ms);
}

void claim_drop(struct lease *l, unsigned int bits)
{
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (bits >> by & 1)
			l->until_ms[by] = 0;
	l->claims = (uint8_t)(l->claims & ~bits);
	l->until_gone = (uint8_t)(l->until_gone & ~bits);
	if (!(l->claims & LEASE_IDLE_CLAIMS))
		l->idle_s = 0;
	if (bits >> LEASE_BY_UPNP & 1)
		l->number = 0;
	if (bits >> LEASE_BY_PCP & 1) {
		/* The nonce guards the PCP claim and goes with it; else a program that lost
		 * its nonce could not get its port back as long as UPnP keeps the lease. */
		l->has_nonce = false;
		memset(l->nonce, 0, sizeof(l->nonce));
	}
}

unsigned int claim_expired(const struct lease *l, uint64_t now_ms)
{
	unsigned int bits = 0;

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1 && l->until_ms[by] <= now_ms)
			bits |= 1U << by;
	return bits;
}

/* Does a claim last for ever? */
static bool claim_forever(const struct lease *l)
{
	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1 && l->until_ms[by] == LEASE_NO_DEADLINE)
			return true;
	return false;
}

void claim_settle(struct lease *l, uint64_t now_ms)
{
	uint64_t kernel = 0, latest = 0;

	for (unsigned int by = 0; by < LEASE_BY_END; by++) {
		uint64_t until = l->until_ms[by];

		if (!(l->claims >> by & 1))
			continue;
		if (until > latest)
			latest = until;
		if (l->until_gone >> by & 1)
			until = l->gone_ms;
		else if (until == LEASE_NO_DEADLINE)
			until = now_ms + LEASE_SILENCE_MS;
		if (until > kernel)
			kernel = until;
	}
	if (!l->until_gone)
		l->gone_ms = l->look_ms = 0;
	l->deadline_ms = latest;
	l->kernel_ms = kernel > latest ? latest : kernel;
}

uint64_t claim_next(const struct lease *l)
{
	uint64_t next = LEASE_NO_DEADLINE, half = LEASE_SILENCE_MS / 2;

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1 && l->until_ms[by] < next)
			next = l->until_ms[by];
	if (l->until_gone && l->look_ms < next)
		next = l->look_ms;
	if (claim_forever(l) && (l->kernel_ms < half || l->kernel_ms - half < next))
		next = l->kernel_ms > half ? l->kernel_ms - half : 0;
	return next;
}

uint32_t claim_left(uint64_t until_ms, uint64_t now_ms)
{
	uint64_t left = until_ms > now_ms ? (until_ms - now_ms + 999) / 1000 : 0;

	return until_ms == LEASE_NO_DEADLINE || left >= CLAIM_FOREVER ? CLAIM_FOREVER
								      : (uint32_t)left;
}
