/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/announce.h"

#include "base/addr.h"
#include "pcp/epoch.h"
#include "pcp/natpmp.h"
#include "pcp/pcp.h"

void announce_init(struct announce *a, bool natpmp, bool pcp)
{
	*a = (struct announce){.natpmp = natpmp, .pcp = pcp};
}

void announce_state(struct announce *a, const struct in6_addr *wan, uint64_t epoch_ms,
		    uint64_t now_ms)
{
	/* An address that went is nothing to be told: no mapping got another one by it. */
	bool news = !a->known || a->epoch_ms != epoch_ms ||
		    (!addr_is_none(wan) && !addr_equal(&a->wan, wan));

	a->known = true;
	a->wan = *wan;
	a->epoch_ms = epoch_ms;
	if (!news || !(a->natpmp || a->pcp))
		return;
	a->left = ANNOUNCE_TIMES;
	a->due_ms = now_ms;
	a->gap_ms = ANNOUNCE_GAP_MS;
	a->put_ms = 0;
}

uint64_t announce_next(const struct announce *a)
{
	return a->left ? a->due_ms : ANNOUNCE_NEVER;
}

bool announce_due(struct announce *a, uint64_t now_ms)
{
	if (!a->left || now_ms < a->due_ms)
		return false;
	a->left--;
	/* From when it was sent: "at least" is a MUST in RFC 6887, and a loop may be late. */
	a->due_ms = now_ms + a->gap_ms;
	a->gap_ms *= 2;
	a->put_ms = now_ms;
	return true;
}

void announce_sent(struct announce *a, uint64_t now_ms)
{
	if (a->put_ms)
		a->due_ms += now_ms - a->put_ms;
	a->put_ms = 0;
}

size_t announce_natpmp(const struct announce *a, uint64_t now_ms, void *out, size_t room)
{
	if (!a->natpmp || !addr_is_v4(&a->wan) || addr_is_none(&a->wan))
		return 0;
	return natpmp_write_address(out, room, NATPMP_SUCCESS,
				    epoch_at(a->epoch_ms, now_ms), addr_to_v4(&a->wan));
}

size_t announce_pcp(const struct announce *a, uint64_t now_ms, void *out, size_t room)
{
	return a->pcp ? pcp_write_announce(out, room, epoch_at(a->epoch_ms, now_ms)) : 0;
}
