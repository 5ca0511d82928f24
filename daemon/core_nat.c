/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which NAT the hosts of the LANs see, and which profiles are on: what the control socket asks. */
#include <string.h>

#include "daemon/core_inside.h"
#include "lease/policy.h"

static bool core_lan_has(const struct lease_lan *lan, const struct in6_addr *host)
{
	for (size_t i = 0; lan->used && i < lan->n_nets; i++)
		if (prefix_has(&lan->nets[i], host))
			return true;
	return false;
}

/* May ports open to that host of that LAN (NULL: any) that it did not ask for? */
static bool core_open_nat_on(const struct core *c, uint16_t lan,
			     const struct in6_addr *host, bool *by_access)
{
	const struct lease_access *rule = host ? policy_access(&c->policy, host) : NULL;

	*by_access = rule && rule->open_nat != ACCESS_OPEN_NAT_AS_LAN;
	return host ? policy_unasked(&c->policy, host) : c->topology.lan[lan].open_nat;
}

struct core_owned {
	const struct in6_addr *host;
	uint32_t n;
	uint32_t open_nat;
};

static void core_count_owned(void *arg, const struct lease *l)
{
	struct core_owned *o = arg;

	if (!addr_equal(&l->internal, o->host))
		return;
	o->n++;
	o->open_nat += l->origin == LEASE_BY_OPEN_NAT;
}

static void core_judge_nat(struct core *c, uint16_t lan, const struct in6_addr *host,
			   struct nat_type *out)
{
	const struct topology_lan *l = &c->topology.lan[lan];
	struct core_owned owned = {.host = host};
	char text[ADDR_TEXT];
	struct nat_type_facts facts = {
		.lan = l->name,
		.host = host ? addr_text(host, text) : NULL,
		.own_masquerade = c->config.own_masquerade,
		.may_ask = l->upnp || l->pcp || l->nat_pmp,
		.quota = host ? policy_quota(&c->policy, host) : c->policy.per_host,
		.config = &c->config.open_nat,
		.check = core_check(c),
	};

	facts.open_nat = core_open_nat_on(c, lan, host, &facts.by_access);
	if (host)
		registry_each(ledger_book(c->ledger), core_count_owned, &owned);
	facts.leases = owned.n;
	facts.openings = owned.open_nat;
	nat_type_judge(&facts, out);
}

bool core_nat_type(void *arg, const struct in6_addr *host,
		   void (*each)(void *each_arg, const char *lan,
				const struct nat_type *type),
		   void *each_arg)
{
	struct core *c = arg;
	struct nat_type type;
	bool any = false;

	for (uint16_t i = 0; i < LEASE_LANS_MAX; i++) {
		if (!c->topology.lan[i].name[0] ||
		    (host && !core_lan_has(&c->policy.lan[i], host)))
			continue;
		core_judge_nat(c, i, host, &type);
		each(each_arg, c->topology.lan[i].name, &type);
		any = true;
		if (host)
			break;
	}
	return any;
}

const struct config *core_config(void *arg)
{
	const struct core *c = arg;

	return &c->config;
}
