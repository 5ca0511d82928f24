/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/policy.h"

#include <string.h>

#define POLICY_V4_BITS 96 /* of ::ffff:0:0/96 */
#define POLICY_FIRST_PORT 1024

bool policy_owns(const struct lease_request *req)
{
	return req->op == LEASE_OP_MAP || req->op == LEASE_OP_UNMAP ||
	       req->op == LEASE_OP_UNMAP_ALL;
}

bool policy_privileged(int lan, const struct lease_request *req)
{
	return lan < 0 && req->by == LEASE_BY_ADMIN;
}

/* fc00::/7, which is not to cross the WAN (RFC 6092 REC-7). */
static bool policy_is_ula(const struct in6_addr *a)
{
	return (a->s6_addr[0] & 0xfe) == 0xfc;
}

/* An address of one host: of IPv4 neither none, multicast, reserved, loopback nor everybody;
 * of IPv6 global unicast, which is 2000::/3, or unique local. Link-local ones lead nowhere
 * from outside and mean nothing without an interface. */
static bool policy_unicast(const struct in6_addr *a)
{
	uint8_t first = a->s6_addr[12];

	if (!addr_is_v4(a))
		return (a->s6_addr[0] & 0xe0) == 0x20 || policy_is_ula(a);
	return first != 0 && first != 127 && first < 224;
}

/* The first and the last address of a network are nobody's, but for /31 and /32 (RFC 3021);
 * of IPv6 the first is the routers' anycast address (RFC 4291 section 2.6.1). */
static bool policy_is_edge(const struct prefix *net, const struct in6_addr *a)
{
	unsigned int host_bits = 128U - net->len;
	uint32_t mask, host;

	if (!addr_is_v4(a)) {
		struct in6_addr first = *a;

		for (unsigned int bit = net->len; bit < 128; bit++)
			first.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
		return host_bits >= 2 && addr_equal(&first, a);
	}
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
			return policy_is_ula(a) ? LEASE_ACCESS : LEASE_OK;
	return LEASE_NOT_LAN;
}

/* RFC 6887 section 13.1: on behalf of a host of the same LAN, where the admin says so. */
static bool policy_third_party(const struct lease_lan *lan,
			       const struct lease_request *req)
{
	for (size_t i = 0; i < lan->n_third; i++)
		if (prefix_has(&lan->third[i], &req->client))
			return policy_lan_has(lan, &req->internal);
	return false;
}

enum lease_reason policy_host(const struct lease_policy *p, int lan,
			      const struct lease_request *req)
{
	bool owns = policy_owns(req);

	if (policy_privileged(lan, req))
		return req->op == LEASE_OP_MAP ? policy_internal(p, &req->internal)
					       : LEASE_OK;
	if (lan < 0 || lan >= LEASE_LANS_MAX ||
	    !policy_lan_has(&p->lan[lan], &req->client))
		return LEASE_NOT_LAN;
	if (owns && !addr_equal(&req->client, &req->internal) &&
	    !policy_third_party(&p->lan[lan], req))
		return LEASE_THIRD_PARTY;
	if (req->op == LEASE_OP_MAP && policy_is_ula(&req->internal))
		return LEASE_ACCESS;
	/* The admin's or the configuration's name in the mouth of a host. */
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

const struct portset *policy_forwarded(const struct lease_policy *p, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? &p->forwarded_tcp : &p->forwarded_udp;
}

static bool policy_names_macs(const struct lease_policy *p)
{
	for (size_t i = 0; i < p->n_access; i++)
		if (p->access[i].n_macs)
			return true;
	for (size_t i = 0; i < p->n_denials; i++)
		if (p->denials[i].has_mac)
			return true;
	return false;
}

/* Only a rule that names a MAC address is worth the question for it. */
static struct access_host policy_known(const struct lease_policy *p,
				       const struct in6_addr *internal)
{
	struct access_host host = {.addr = *internal, .has_mac = ACCESS_MAC_NONE};

	if (p->mac && policy_names_macs(p))
		host.has_mac = p->mac(p->in_use_arg, internal, host.mac);
	return host;
}

const struct lease_access *policy_access(const struct lease_policy *p,
					 const struct in6_addr *internal)
{
	struct access_host host = policy_known(p, internal);

	return access_of(p->access, p->n_access, &host);
}

/*
 * Asks for each rule that may be the host's, and at last for the one that is it for sure, or
 * NULL: does it allow that? Of a host whose MAC address is known, or no matter, that is one
 * question.
 */
static bool policy_any(const struct lease_policy *p, const struct in6_addr *internal,
		       bool (*allows)(void *arg, const struct lease_access *rule),
		       void *arg)
{
	struct access_host host = policy_known(p, internal);

	for (size_t i = 0; i < p->n_access; i++) {
		enum access_named named = access_names(&p->access[i], &host);

		if (named != ACCESS_NO && allows(arg, &p->access[i]))
			return true;
		if (named == ACCESS_YES)
			return false;
	}
	return allows(arg, NULL);
}

bool policy_undecided(const struct lease_policy *p, const struct in6_addr *internal)
{
	struct access_host host = policy_known(p, internal);
	enum access_named named = ACCESS_NO;

	for (size_t i = 0; i < p->n_access && named == ACCESS_NO; i++)
		named = access_names(&p->access[i], &host);
	for (size_t i = 0; i < p->n_denials && host.has_mac == ACCESS_MAC_UNKNOWN; i++)
		if (p->denials[i].has_mac)
			return true;
	return named == ACCESS_MAYBE;
}

static uint32_t policy_quota_by(const struct lease_policy *p,
				const struct lease_access *rule)
{
	return rule && rule->has_leases ? rule->leases : p->per_host;
}

const struct lease_denial *policy_denial(const struct lease_policy *p, uint8_t protocol,
					 uint16_t port, const struct in6_addr *internal)
{
	struct access_host host;

	if (!p->n_denials)
		return NULL;
	host = policy_known(p, internal);
	return denial_of(p->denials, p->n_denials, protocol, port, &host);
}

bool policy_denies(const struct lease_policy *p, uint8_t protocol, uint16_t port,
		   const struct in6_addr *internal)
{
	return policy_denial(p, protocol, port, internal);
}

uint32_t policy_quota(const struct lease_policy *p, const struct in6_addr *internal)
{
	return policy_quota_by(p, policy_access(p, internal));
}

struct policy_quota {
	const struct lease_policy *p;
	uint32_t most;
};

static bool policy_quota_more(void *arg, const struct lease_access *rule)
{
	struct policy_quota *q = arg;
	uint32_t leases = policy_quota_by(q->p, rule);

	if (leases > q->most)
		q->most = leases;
	return false;
}

uint32_t policy_quota_kept(const struct lease_policy *p, const struct in6_addr *internal)
{
	struct policy_quota q = {.p = p};

	policy_any(p, internal, policy_quota_more, &q);
	return q.most;
}

static bool policy_unasked_by(const struct lease_policy *p,
			      const struct lease_access *rule,
			      const struct in6_addr *internal)
{
	if (policy_denies(p, IPPROTO_UDP, 0, internal))
		return false;
	if (rule && rule->open_nat != ACCESS_OPEN_NAT_AS_LAN)
		return rule->open_nat == ACCESS_OPEN_NAT_ON;
	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		if (policy_lan_has(&p->lan[i], internal))
			return p->lan[i].open_nat;
	return false;
}

bool policy_unasked(const struct lease_policy *p, const struct in6_addr *internal)
{
	return policy_unasked_by(p, policy_access(p, internal), internal);
}

static enum lease_reason policy_in_use(const struct lease_policy *p, uint8_t protocol,
				       uint16_t port)
{
	return p->in_use ? p->in_use(p->in_use_arg, protocol, port) : LEASE_OK;
}

static bool policy_claimed(const struct lease_policy *p, uint8_t protocol, uint16_t port,
			   const struct in6_addr *internal)
{
	return p->claimed && p->claimed(p->in_use_arg, protocol, port, internal);
}

/* Whose exact port is given even while flows of another host leave from it: they are cut
 * (opennat.md 8.2). */
static bool policy_cuts(enum lease_by by)
{
	return by == LEASE_BY_UPNP || by == LEASE_BY_ADMIN;
}

static enum lease_reason int_port_by(const struct lease_policy *p,
				     const struct lease_access *rule, enum lease_by by,
				     uint8_t protocol, uint16_t port,
				     const struct in6_addr *internal)
{
	bool own = by == LEASE_BY_STATIC || by == LEASE_BY_ADMIN;

	if (port == 0)
		return LEASE_PORT;
	if (!own && policy_denies(p, protocol, port, internal))
		return LEASE_DENIED;
	switch (by) {
	case LEASE_BY_ADMIN:
	case LEASE_BY_TRIGGER: /* its rule is the admin's */
		return LEASE_OK;
	case LEASE_BY_OPEN_NAT: /* nobody asked: a reserved port may have been moved */
		if (!policy_unasked_by(p, rule, internal))
			return LEASE_ACCESS;
		if (portset_has(policy_reserved(p, protocol), port))
			return LEASE_RESERVED;
		break;
	case LEASE_BY_PCP:
	case LEASE_BY_NATPMP:
	case LEASE_BY_UPNP:
	case LEASE_BY_STATIC: /* no lease is */
	case LEASE_BY_END:
		break;
	}
	if (port >= POLICY_FIRST_PORT)
		return LEASE_OK;
	return access_port(rule, protocol, port) ? LEASE_OK : LEASE_ACCESS;
}

enum lease_reason policy_int_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port,
				  const struct in6_addr *internal)
{
	return int_port_by(p, policy_access(p, internal), by, protocol, port, internal);
}

static enum lease_reason ext_port_by(const struct lease_policy *p,
				     const struct lease_access *rule, enum lease_by by,
				     uint8_t protocol, uint16_t port,
				     const struct in6_addr *internal)
{
	if (port == 0)
		return LEASE_PORT;
	if (portset_has(policy_forwarded(p, protocol), port))
		return LEASE_STATIC;
	if (by != LEASE_BY_ADMIN) {
		/* Triggers may open what the reserved list leaves out below 1024. */
		bool low = by == LEASE_BY_TRIGGER && !(rule && rule->n_ports);

		if (policy_denies(p, protocol, port, internal))
			return LEASE_DENIED;
		if (!low && !access_port(rule, protocol, port))
			return LEASE_ACCESS;
		if (portset_has(policy_reserved(p, protocol), port))
			return LEASE_RESERVED;
	}
	return policy_in_use(p, protocol, port);
}

enum lease_reason policy_ext_port(const struct lease_policy *p, enum lease_by by,
				  uint8_t protocol, uint16_t port,
				  const struct in6_addr *internal)
{
	enum lease_reason reason = ext_port_by(p, policy_access(p, internal), by,
					       protocol, port, internal);

	if (!reason && policy_claimed(p, protocol, port, internal) && !policy_cuts(by))
		return LEASE_TAKEN;
	return reason;
}

/* A pinhole leads past the router, so its own ports are no matter, but the reserved list is
 * for every path. */
static enum lease_reason pinhole_by(const struct lease_policy *p,
				    const struct lease_access *rule, enum lease_by by,
				    uint8_t protocol, uint16_t port,
				    const struct in6_addr *internal)
{
	bool admin = by == LEASE_BY_ADMIN;
	enum lease_reason reason = int_port_by(p, rule, by, protocol, port, internal);

	if (!reason && !admin && rule && rule->n_ports &&
	    !access_port(rule, protocol, port))
		reason = LEASE_ACCESS;
	if (!reason && !admin && portset_has(policy_reserved(p, protocol), port))
		reason = LEASE_RESERVED;
	return reason;
}

enum lease_reason policy_pinhole(const struct lease_policy *p, enum lease_by by,
				 uint8_t protocol, uint16_t port,
				 const struct in6_addr *internal)
{
	return pinhole_by(p, policy_access(p, internal), by, protocol, port, internal);
}

struct policy_kept {
	const struct lease_policy *p;
	enum lease_by by;
	const struct lease *l;
	enum lease_reason reason;
};

static bool policy_keeps(void *arg, const struct lease_access *rule)
{
	struct policy_kept *k = arg;
	const struct lease *l = k->l;

	if (lease_is_pinhole(l)) {
		k->reason = pinhole_by(k->p, rule, k->by, l->protocol, l->int_port,
				       &l->internal);
		return !k->reason;
	}
	k->reason = int_port_by(k->p, rule, k->by, l->protocol, l->int_port,
				&l->internal);
	/* It has the port already, whatever flows of others there were before. */
	if (!k->reason)
		k->reason = ext_port_by(k->p, rule, k->by, l->protocol, l->ext_port,
					&l->internal);
	return !k->reason;
}

enum lease_reason policy_kept(const struct lease_policy *p, enum lease_by by,
			      const struct lease *l)
{
	struct policy_kept k = {.p = p, .by = by, .l = l};

	policy_any(p, &l->internal, policy_keeps, &k);
	return k.reason;
}

bool policy_may_choose(const struct lease_policy *p, uint8_t protocol, uint16_t port,
		       const struct in6_addr *internal)
{
	return access_port(policy_access(p, internal), protocol, port) &&
	       !policy_denies(p, protocol, port, internal) &&
	       !portset_has(policy_forwarded(p, protocol), port) &&
	       !portset_has(policy_reserved(p, protocol), port) &&
	       policy_in_use(p, protocol, port) == LEASE_OK &&
	       !policy_claimed(p, protocol, port, internal);
}

enum lease_reason policy_remote(struct in6_addr *remote, uint8_t *len, bool v6)
{
	uint8_t least = v6 ? 0 : POLICY_V4_BITS;
	size_t whole = *len / 8;

	if (*len && (*len < least || *len > 128 ||
		     v6 == (addr_is_v4(remote) && *len >= POLICY_V4_BITS)))
		return LEASE_REMOTE;
	if (*len <= least) {
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
