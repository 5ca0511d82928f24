/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What surrounds the book of leases that is fuzzed: a LAN of a few hosts, remotes that lie
 * within each other or apart, a policy by bits, and what the kernel would say.
 */
#pragma once

#include "base/addr.h"
#include "lease/registry.h"
#include "tests/fuzz/fuzz.h"

#define PER_HOST 8
#define HOSTS 4

/* Bits of the circumstances. */
enum set_up {
	FEW_LEASES = 1,
	SLOW_HOSTS = 2,
	LIST_TOO = 128 | 4, /* both: it takes a while */
	OTHERS_USE = 8,     /* ports that the router, or flows, have */
	THIRD_PARTY = 16,
	SAME_SOURCE = 32,
	FEW_PORTS = 64,
	ADMIN_RULES = 128, /* static forwards and access rules */
};

static const struct lease_forward forwards[] = {
	{.name = "web",
	 .protocol = IPPROTO_TCP,
	 .internal = {.s6_addr = {[10] = 0xff, 0xff, 192, 168, 1, 21}},
	 .first = 7001,
	 .last = 7001,
	 .int_first = 7002},
	{.name = "some",
	 .protocol = IPPROTO_UDP,
	 .internal = {.s6_addr = {[10] = 0xff, 0xff, 192, 168, 1, 22}},
	 .first = 7008,
	 .last = 7009,
	 .int_first = 7008,
	 .n_from = 2,
	 .from = {{{.s6_addr = {[10] = 0xff, 0xff, 11, 0, 0, 0}}, 127},
		  {{.s6_addr = {[10] = 0xff, 0xff, 11, 0, 0, 3}}, 128}}},
};
#define N_FORWARDS (sizeof(forwards) / sizeof(*forwards))
static const struct lease_access access_rules[] = {
	{.name = "few",
	 .n_nets = 1,
	 .nets = {{{.s6_addr = {[10] = 0xff, 0xff, 192, 168, 1, 22}}, 128}},
	 .n_ports = 1,
	 .ports = {{.udp = true, .first = 7000, .last = 7004}},
	 .has_leases = true,
	 .leases = 2},
};

static inline struct in6_addr host(unsigned int n)
{
	return addr_from_v4((struct in_addr){htonl(0xc0a80114 + n)});
}

/* The same host's other address; the last one has a local one only. */
static inline struct in6_addr host6(unsigned int n)
{
	struct in6_addr a = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8, 0, 1}};

	if (n == HOSTS - 1)
		a = (struct in6_addr){.s6_addr = {0xfd, 0, 0, 1}};
	a.s6_addr[15] = (uint8_t)(0x20 + n);
	return a;
}

static inline enum lease_reason in_use(void *arg, uint8_t protocol, uint16_t port)
{
	must(!arg && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP));
	return port == 7005 ? LEASE_ROUTER : LEASE_OK;
}

static inline bool claimed(void *arg, uint8_t protocol, uint16_t port,
			   const struct in6_addr *internal)
{
	must(!arg && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP));
	must(addr_is_v4(internal)); /* a pinhole takes no port of the router's */
	return port == 7006;
}

static inline uint32_t flows(void *arg, uint8_t protocol, uint16_t port,
			     const struct in6_addr *internal)
{
	return !in_use(arg, protocol, port) && !claimed(arg, protocol, port, internal)
		       ? port & 1
		       : 0;
}

static inline uint16_t outside(void *arg, uint8_t protocol, uint16_t int_port,
			       const struct in6_addr *internal)
{
	if (!flows(arg, protocol, int_port, internal))
		return 0;
	return int_port & 2 ? int_port : (uint16_t)(int_port + 49152);
}

/* The second host has left, the others are there. */
static inline uint64_t heard(void *arg, const struct in6_addr *internal, uint64_t at_ms)
{
	must(!arg);
	return internal->s6_addr[15] & 1 ? 0 : at_ms;
}

/* Prefixes of a few hosts each, that lie within each other or apart; of 16 one is of the
 * other family. */
static inline struct in6_addr read_prefix(uint8_t bits, bool v6, uint8_t *len)
{
	struct in6_addr a = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8, 0, 2}};

	*len = (uint8_t)(128 - (bits >> 2 & 3));
	if ((bits & 15 << 4) == 15 << 4)
		v6 = !v6;
	if ((bits & 15 << 4) == 14 << 4) /* everybody, and half of them */
		*len = (uint8_t)((v6 ? 0 : 96) + (bits >> 2 & 3));
	if (!v6)
		return addr_from_v4((struct in_addr){htonl(0x0b000000U + (bits & 3))});
	a.s6_addr[15] = bits & 3;
	return a;
}

static inline struct lease_lan lan_of(bool third_party)
{
	struct lease_lan lan = {.used = true, .open_nat = true, .n_nets = 4, .n_own = 1};

	lan.nets[0] = (struct prefix){host(0), 120};
	lan.nets[1] = (struct prefix){host6(0), 64};
	lan.nets[2] = (struct prefix){host6(HOSTS - 1), 64};
	lan.nets[3] = (struct prefix){host6(0), 64};
	lan.nets[3].addr.s6_addr[7] = 1;
	lan.own[0] = addr_from_v4((struct in_addr){htonl(0xc0a80101)});
	if (third_party) {
		lan.n_third = 2;
		lan.third[0] = (struct prefix){host(1), 128};
		lan.third[1] = (struct prefix){host6(1), 127};
	}
	return lan;
}

static inline void set_policy(struct lease_policy *policy, uint8_t bits)
{
	memset(policy, 0, sizeof(*policy));
	policy->max_leases = bits & FEW_LEASES ? 10 : 131072;
	policy->per_host = PER_HOST;
	policy->open_nat_per_host = PER_HOST;
	policy->requests_per_second = bits & SLOW_HOSTS ? 4 : 1000000;
	policy->pcp_min_s = 120;
	policy->pcp_max_s = 86400;
	policy->nonce_same_source = bits & SAME_SOURCE;
	policy->seed = 42;
	policy->lan[0] = lan_of(bits & THIRD_PARTY);
	if (bits & OTHERS_USE) {
		policy->in_use = in_use;
		policy->claimed = claimed;
		policy->flows = flows;
		policy->outside = outside;
		policy->heard = heard;
	}
	if (bits & ADMIN_RULES) {
		policy->access = access_rules;
		policy->n_access = 1;
		policy->forwards = forwards;
		policy->n_forwards = N_FORWARDS;
		portset_add(&policy->forwarded_tcp, 7001, 7001);
		portset_add(&policy->forwarded_udp, 7008, 7009);
	}
	portset_add(&policy->reserved_udp, 7003, 7004);
	if (bits & FEW_PORTS) {
		portset_add(&policy->reserved_udp, 1024, 6999);
		portset_add(&policy->reserved_udp, 7010, 65535);
	}
}
