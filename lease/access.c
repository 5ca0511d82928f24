/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/access.h"

#define ACCESS_FIRST_PORT 1024

const struct lease_access *access_of(const struct lease_access *rules, size_t n,
				     const struct in6_addr *host)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < rules[i].n_nets; k++)
			if (prefix_has(&rules[i].nets[k], host))
				return &rules[i];
	return NULL;
}

bool access_port(const struct lease_access *rule, uint8_t protocol, uint16_t port)
{
	if (!rule || !rule->n_ports)
		return port >= ACCESS_FIRST_PORT;
	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct port_range *r = &rule->ports[i];

		if (port >= r->first && port <= r->last &&
		    (protocol == IPPROTO_TCP ? r->tcp : r->udp))
			return true;
	}
	return false;
}
