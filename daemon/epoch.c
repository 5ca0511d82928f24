/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/epoch.h"

bool epoch_follow(struct firewall_epoch *e, const struct in6_addr *wan4, uint64_t now_ms)
{
	if (addr_is_none(wan4) || addr_equal(&e->wan4, wan4))
		return false;
	if (!addr_is_none(&e->wan4))
		e->since_ms = now_ms;
	e->wan4 = *wan4;
	return true;
}
