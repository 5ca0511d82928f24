/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/restrict.h"

#include "lease/claims.h"

enum lease_reason restrict_quota(const struct registry *r, uint32_t host,
				 enum lease_by origin, uint8_t remote_len)
{
	const struct host *h = hosts_at(&r->hosts, host);

	if (origin != LEASE_BY_ADMIN && origin != LEASE_BY_STATIC) {
		if (h->leases >= r->policy->per_host)
			return LEASE_QUOTA_HOST;
		if (r->table.count >= r->policy->max_leases)
			return LEASE_QUOTA_TABLE;
	}
	if (remote_len &&
	    (h->restricted >= RESTRICTED_PER_HOST || r->restricted >= RESTRICTED_MAX))
		return LEASE_REMOTE;
	return LEASE_OK;
}

static bool overlap(const struct lease *a, const struct lease *b)
{
	const struct lease *wide = a->remote_len < b->remote_len ? a : b;
	struct prefix p = {wide->remote, wide->remote_len};

	return prefix_has(&p, wide == a ? &b->remote : &a->remote);
}

enum lease_reason restrict_port(const struct registry *r, uint32_t host,
				const struct lease *l)
{
	uint32_t owner = released_host(&r->released, l->protocol, l->ext_port);
	uint32_t id = table_port_first(&r->table, l->protocol, l->ext_port);

	for (; id; id = table_node(&r->table, id)->port_next) {
		const struct lease_node *n = table_node(&r->table, id);

		if (claim_has(&n->lease, LEASE_BY_STATIC))
			return LEASE_STATIC;
		if (n->host != host)
			return LEASE_TAKEN;
		if (lease_same_key(&n->lease, l))
			return LEASE_TAKEN;
		if (n->lease.remote_len && l->remote_len && overlap(&n->lease, l))
			return LEASE_REMOTE;
	}
	if (owner && owner != host && !claim_has(l, LEASE_BY_ADMIN) &&
	    !claim_has(l, LEASE_BY_STATIC))
		return LEASE_TAKEN;
	return LEASE_OK;
}
