/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/access.h"

#include <string.h>

#define ACCESS_FIRST_PORT 1024

static bool access_net(const struct lease_access *rule, const struct in6_addr *host)
{
	for (size_t i = 0; i < rule->n_nets; i++)
		if (prefix_has(&rule->nets[i], host))
			return true;
	return !rule->n_nets;
}

enum access_named access_names(const struct lease_access *rule,
			       const struct access_host *host)
{
	if (!access_net(rule, &host->addr))
		return ACCESS_NO;
	if (!rule->n_macs)
		return ACCESS_YES;
	if (host->has_mac == ACCESS_MAC_UNKNOWN)
		return ACCESS_MAYBE;
	for (size_t i = 0; i < rule->n_macs && host->has_mac == ACCESS_MAC_KNOWN; i++)
		if (memcmp(rule->macs[i], host->mac, MAC_LEN) == 0)
			return ACCESS_YES;
	return ACCESS_NO;
}

const struct lease_access *access_of(const struct lease_access *rules, size_t n,
				     const struct access_host *host)
{
	for (size_t i = 0; i < n; i++)
		if (access_names(&rules[i], host) == ACCESS_YES)
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
