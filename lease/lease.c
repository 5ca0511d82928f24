/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/lease.h"

#include "base/addr.h"

const char *lease_end_name(enum lease_end end)
{
	switch (end) {
	case LEASE_END_NONE:
		break;
	case LEASE_END_DELETED:
		return "deleted";
	case LEASE_END_EXPIRED:
		return "expired";
	case LEASE_END_POLICY:
		return "policy";
	case LEASE_END_GONE:
		return "gone";
	case LEASE_END_MOVED:
		return "moved";
	case LEASE_END_DENIED:
		return "denied";
	}
	return "none";
}

bool lease_same_key(const struct lease *a, const struct lease *b)
{
	bool pinhole = lease_is_pinhole(a);

	return a->protocol == b->protocol && a->ext_port == b->ext_port &&
	       a->remote_len == b->remote_len && a->remote_port == b->remote_port &&
	       addr_equal(&a->remote, &b->remote) && pinhole == lease_is_pinhole(b) &&
	       (!pinhole || addr_equal(&a->internal, &b->internal));
}
