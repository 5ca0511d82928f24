/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/allocator.h"

#include "lease/hash.h"
#include "lease/hosts.h"
#include "lease/policy.h"

#define NEARBY 32          /* steps of two, up and down */
#define TRIES 64           /* ports that the router itself may turn out to have */
#define COMPANIONS 256     /* ports whose companion's owner is looked up */
#define ALLOWED_TRIES 1024 /* ports of an access rule that are looked at */
#define FIRST_PORT 1024
/* From here up masquerading moves flows to; a moved flow does not look whose port it is
 * (opennat.md 8.3), so these come last. */
#define FIRST_CROWDED 32768

/*
 * RFC 6886 section 3.3, the companion port: while one host has a port of TCP, no other is
 * given that port of UDP, and the reverse.
 */
static bool companion_free(const struct allocator *a, uint8_t protocol, uint32_t host,
			   uint16_t port)
{
	uint8_t other = protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
	uint32_t id = table_port_first(a->table, other, port);

	return !id || table_node(a->table, id)->host == host;
}

static bool port_ok(const struct allocator *a, uint8_t protocol, uint32_t host,
		    uint32_t port)
{
	uint32_t owner;

	if (!port || port > UINT16_MAX ||
	    table_port_first(a->table, protocol, (uint16_t)port))
		return false;
	owner = released_host(a->released, protocol, (uint16_t)port);
	return (!owner || owner == host) &&
	       companion_free(a, protocol, host, (uint16_t)port) &&
	       policy_may_choose(a->policy, protocol, (uint16_t)port,
				 &hosts_at(a->hosts, host)->addr);
}

/* The same parity, as RTP and its RTCP companion want it (RFC 4787 REQ-4). */
static uint16_t choose_nearby(const struct allocator *a, uint8_t protocol, uint32_t host,
			      uint32_t near)
{
	if (near < FIRST_PORT || near >= FIRST_CROWDED)
		return 0;
	for (uint32_t step = 2; step <= 2 * NEARBY; step += 2) {
		if (near + step < FIRST_CROWDED &&
		    port_ok(a, protocol, host, near + step))
			return (uint16_t)(near + step);
		if (near > step && port_ok(a, protocol, host, near - step))
			return (uint16_t)(near - step);
	}
	return 0;
}

static uint64_t draw(struct allocator *a)
{
	return hash_words(a->seed, ++a->drawn, 0, 0x706f7274);
}

/* 64 ports of which those with a set bit are free. */
static uint64_t word_free(const struct allocator *a, uint8_t protocol, uint32_t w,
			  bool strict)
{
	unsigned int p = protocol_index(protocol);
	uint64_t busy = a->table->busy[p].word[w] | a->released->set[p].word[w] |
			policy_reserved(a->policy, protocol)->word[w] |
			policy_forwarded(a->policy, protocol)->word[w];
	uint64_t companion = a->table->busy[!p].word[w];

	return ~busy & (strict ? ~companion : companion);
}

/*
 * A random free port from `first` on, below `end`, both multiples of 64. Strict: nobody has
 * its companion; else only those whose companion somebody has, perhaps this host.
 */
static uint16_t choose_random(struct allocator *a, uint8_t protocol, uint32_t host,
			      uint32_t first, uint32_t end, bool strict)
{
	uint32_t n = (end - first) / 64;
	uint64_t random = draw(a);
	uint32_t start = (uint32_t)((random >> 32) % n);
	unsigned int turn = random & 63;
	unsigned int tries = strict ? TRIES : COMPANIONS;

	for (uint32_t i = 0; i <= n; i++) { /* the first word comes last again */
		uint32_t w = first / 64 + (start + i) % n;
		uint64_t bits = word_free(a, protocol, w, strict);

		if (i == 0)
			bits &= UINT64_MAX << turn;
		for (; bits; bits &= bits - 1) {
			uint32_t port = w * 64 + (uint32_t)__builtin_ctzll(bits);

			if (port_ok(a, protocol, host, port))
				return (uint16_t)port;
			if (--tries == 0)
				return 0;
		}
	}
	return 0;
}

/* With nothing else left, what was given back longest ago goes to another host before its
 * time: RFC 6887 section 15 only says SHOULD NOT, RFC 6886 section 3.3 wants an answer. */
static uint16_t choose_released(const struct allocator *a, uint8_t protocol,
				uint32_t host)
{
	uint16_t port = 0;

	for (unsigned int i = 0; i < TRIES; i++) {
		port = released_oldest(a->released, protocol, port, TRIES);
		if (!port)
			return 0;
		if (!table_port_first(a->table, protocol, port) &&
		    companion_free(a, protocol, host, port) &&
		    policy_may_choose(a->policy, protocol, port,
				      &hosts_at(a->hosts, host)->addr))
			return port;
	}
	return 0;
}

/* The first free port of those that a rule leaves the host. */
static uint16_t choose_allowed(const struct allocator *a, uint8_t protocol, uint32_t host,
			       const struct lease_access *rule)
{
	unsigned int tries = ALLOWED_TRIES;

	for (size_t i = 0; i < rule->n_ports; i++) {
		const struct port_range *r = &rule->ports[i];

		if (!(protocol == IPPROTO_TCP ? r->tcp : r->udp))
			continue;
		for (uint32_t port = r->first; port <= r->last && tries; port++, tries--)
			if (port_ok(a, protocol, host, port))
				return (uint16_t)port;
	}
	return 0;
}

uint16_t allocator_choose(struct allocator *a, uint8_t protocol, uint32_t host,
			  uint16_t wanted, uint16_t int_port)
{
	const struct lease_access *rule = policy_access(a->policy,
							&hosts_at(a->hosts, host)->addr);
	uint16_t port;

	if (port_ok(a, protocol, host, wanted))
		return wanted;
	if (port_ok(a, protocol, host, int_port))
		return int_port;
	port = choose_nearby(a, protocol, host, wanted ? wanted : int_port);
	if (rule && rule->n_ports)
		return port ? port : choose_allowed(a, protocol, host, rule);
	for (int strict = 1; strict >= 0 && !port; strict--) {
		port = choose_random(a, protocol, host, FIRST_PORT, FIRST_CROWDED,
				     strict);
		if (!port)
			port = choose_random(a, protocol, host, FIRST_CROWDED, 65536,
					     strict);
	}
	return port ? port : choose_released(a, protocol, host);
}
