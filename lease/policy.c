/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/policy.h"

#include <string.h>

#define POLICY_V4_BITS 96 /* of ::ffff:0:0/96 */
#define POLICY_FIRST_PORT 1024

bool policy_privileged(int lan, const struct lease_request *req)
{
	return lan < 0 && (req->by == LEASE_BY_ADMIN || req->by == LEASE_BY_STATIC);
}

/* Neither none, multicast, reserved, loopback nor everybody. */
static bool policy_unicast(const struct in6_addr *a)
{
	uint8_t first = a->s6_addr[12];

	return addr_is_v4(a) && first != 0 && first != 127 && first < 224;
}

/* The first and the last address of a network are nobody's, but for /31 and /32 (RFC 3021). */
static bool policy_is_edge(const struct prefix *net, const struct in6_addr *a)
{
	unsigned int host_bits = 128U - net->len;
	uint32_t mask, host;

	if (net->len < POLICY_V4_BITS || host_bits < 2)
		return false;
	mask = host_bits == 32 ? UINT32_MAX : (1U << host_bits) - 1;
	host = ntohl(addr_to_v4(a).s_addr) & mask;
	return host == 0 || host == mask;
}

static bool policy_lan_has(const struct lease_lan *lan, const struct in6_addr *a)
{
	bool inside = false;

	if (!lan->used || !policy_unicast(a))
		return false;
	for (size_t i = 0; i < lan->n_nets; i++)
		if (prefix_has(&lan->nets[i], a))
			inside = inside || !policy_is_edge(&lan->nets[i], a);
	for (size_t i = 0; i < lan->n_own; i++)
		if (addr_equal(&lan->own[i], a))
			return false;
	return inside;
}

enum lease_reason policy_internal(const struct lease_policy *p, const struct in6_addr *a)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		if (policy_lan_has(&p->lan[i], a))
			return LEASE_OK;
	return LEASE_NOT_LAN;
}

enum lease_reason policy_host(const struct lease_policy *p, int lan,
			      const struct lease_request *req)
{
	bool owns = req->op == LEASE_OP_MAP || req->op == LEASE_OP_UNMAP ||
		    req->op == LEASE_OP_UNMAP_ALL;

	if (policy_privileged(lan, req)) {
		if (req->op != LEASE_OP_MAP)
			return LEASE_OK;
		/* A static forward may lead where the admin wants, a lease only into a LAN. */
		if (req->by == LEASE_BY_STATIC)
			return policy_unicast(&req->internal) ? LEASE_OK : LEASE_NOT_LAN;
		return policy_internal(p, &req->internal);
	}
	if (lan < 0 || lan >= LEASE_LANS_MAX ||
	    !policy_lan_has(&p->lan[lan], &req->client))
		return LEASE_NOT_LAN;
	if (owns && !addr_equal(&req->client, &req->internal))
		return LEASE_THIRD_PARTY;
	/* The admin's name in the mouth of a host. */
	return req->by == LEASE_BY_ADMIN || req->by == LEASE_BY_STATIC ? LEASE_ACCESS
								       : LEASE_OK;
}

enum lease_reason policy_protocol(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ? LEASE_OK
								  : LEASE_PROTOCOL;
}

const struct portset *policy_reserved(const struct lease_policy *p, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? &p->reserved_tcp : &p->reserved_udp;
}

static enum lease_reason policy_in_use(const struct lease_policy *p, uint8_t protocol,
				       uint16_t port)
{
	return p->in_use ? p->in_use(p->in_use_arg, protocol, port) : LEASE_OK;
}

enum lease_reason policy_int_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port)
{
	if (port == 0)
		return LEASE_PORT;
	switch (by) {
	case LEASE_BY_STATIC:
	case LEASE_BY_ADMIN:
	case LEASE_BY_TRIGGER: /* its rule is the admin's */
		return LEASE_OK;
	case LEASE_BY_OPEN_NAT: /* nobody asked: a reserved port may have been moved */
		if (portset_has(policy_reserved(p, protocol), port))
			return LEASE_RESERVED;
		break;
	case LEASE_BY_PCP:
	case LEASE_BY_NATPMP:
	case LEASE_BY_UPNP:
	case LEASE_BY_END:
		break;
	}
	return port < POLICY_FIRST_PORT ? LEASE_ACCESS : LEASE_OK;
}

enum lease_reason policy_ext_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port)
{
	enum lease_reason used;

	if (port == 0)
		return LEASE_PORT;
	if (by == LEASE_BY_STATIC) {
		/* Its own forward is what the callback tells of. */
		used = policy_in_use(p, protocol, port);
		return used == LEASE_STATIC ? LEASE_OK : used;
	}
	if (by != LEASE_BY_ADMIN) {
		/* Triggers may open what the reserved list leaves out below 1024. */
		if (port < POLICY_FIRST_PORT && by != LEASE_BY_TRIGGER)
			return LEASE_ACCESS;
		if (portset_has(policy_reserved(p, protocol), port))
			return LEASE_RESERVED;
	}
	return policy_in_use(p, protocol, port);
}

bool policy_may_choose(const struct lease_policy *p, uint8_t protocol, uint16_t port)
{
	return port >= POLICY_FIRST_PORT &&
	       !portset_has(policy_reserved(p, protocol), port) &&
	       policy_in_use(p, protocol, port) == LEASE_OK;
}

enum lease_reason policy_remote(struct in6_addr *remote, uint8_t *len)
{
	size_t whole = *len / 8;

	if (*len && (*len < POLICY_V4_BITS || *len > 128 || !addr_is_v4(remote)))
		return LEASE_REMOTE;
	if (*len <= POLICY_V4_BITS) {
		*remote = (struct in6_addr)IN6ADDR_ANY_INIT;
		*len = 0;
		return LEASE_OK;
	}
	if (whole < 16) {
		remote->s6_addr[whole] &= (uint8_t)(0xff00 >> (*len % 8));
		memset(&remote->s6_addr[whole + 1], 0, 15 - whole);
	}
	return LEASE_OK;
}
