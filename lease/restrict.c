/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/restrict.h"

#include "lease/claims.h"
#include "lease/filters.h"
#include "lease/policy.h"

bool restrict_elements(const struct registry *r, uint32_t host, uint32_t more)
{
	return hosts_at(&r->hosts, host)->restricted + more <= RESTRICTED_PER_HOST &&
	       r->restricted + more <= RESTRICTED_MAX;
}

enum lease_reason restrict_quota(const struct registry *r, uint32_t host,
				 const struct lease *l, uint32_t quota)
{
	const struct host *h = hosts_at(&r->hosts, host);
	uint32_t elements = filters_elements(l);

	if (l->origin != LEASE_BY_ADMIN) {
		if (h->leases >= quota)
			return LEASE_QUOTA_HOST;
		if (l->origin == LEASE_BY_OPEN_NAT &&
		    h->open_nat >= r->policy->open_nat_per_host)
			return LEASE_QUOTA_HOST;
		if (r->table.count >= r->policy->max_leases ||
		    (lease_is_pinhole(l) &&
		     r->pinholes >= (r->policy->max_leases + 1) / 2))
			return LEASE_QUOTA_TABLE;
	}
	if (elements && !restrict_elements(r, host, elements))
		return l->n_filters ? LEASE_FILTERS : LEASE_REMOTE;
	return LEASE_OK;
}

/* Is it on the port of `l`? A bucket of pinholes may hold others. */
static bool same_port(const struct lease *a, const struct lease *l)
{
	return !lease_is_pinhole(l) ||
	       (a->protocol == l->protocol && a->int_port == l->int_port &&
		addr_equal(&a->internal, &l->internal));
}

bool restrict_overlap(const struct registry *r, const struct lease *l)
{
	uint32_t id = table_first_like(&r->table, l);

	for (; id; id = table_node(&r->table, id)->port_next) {
		const struct lease *other = &table_node(&r->table, id)->lease;

		if (same_port(other, l) && !lease_same_key(other, l) &&
		    filters_overlap(other, l))
			return true;
	}
	return false;
}

enum lease_reason restrict_port(const struct registry *r, uint32_t host,
				const struct lease *l)
{
	uint32_t owner = lease_is_pinhole(l)
				 ? 0
				 : released_host(&r->released, l->protocol, l->ext_port);
	uint32_t id = table_first_like(&r->table, l);

	for (; id; id = table_node(&r->table, id)->port_next) {
		const struct lease_node *n = table_node(&r->table, id);

		if (!same_port(&n->lease, l))
			continue;
		if (n->host != host)
			return LEASE_TAKEN;
		if (lease_same_key(&n->lease, l))
			return LEASE_TAKEN;
		if (filters_overlap(&n->lease, l))
			return l->n_filters ? LEASE_FILTERS : LEASE_REMOTE;
	}
	if (owner && owner != host && !claim_has(l, LEASE_BY_ADMIN))
		return LEASE_TAKEN;
	return LEASE_OK;
}
