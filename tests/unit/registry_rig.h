/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A book with one LAN, 192.168.1.0/24, 2001:db8:1::/64 and fd00:1::/64 with the router at 1,
 * and short words to ask it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lease/book.h"
#include "lease/policy.h"

struct rig {
	struct lease_policy policy;
	struct registry *book;
	struct lease_changes out;
	struct lease_reply reply;
	uint64_t now;
	enum lease_reason used; /* what in_use says of port 4500 */
	bool claimed;           /* by another host: port 4500 */
	unsigned int asked;     /* so often who claims a port */
};

static inline struct in6_addr host(unsigned int n)
{
	return addr_from_v4((struct in_addr){htonl(0xc0a80100 + n)});
}

/* The same host's other address. */
static inline struct in6_addr host6(unsigned int n)
{
	return (struct in6_addr){
		.s6_addr = {0x20, 0x01, 0x0d, 0xb8, 0, 1, [15] = (uint8_t)n}};
}

static inline enum lease_reason rig_in_use(void *arg, uint8_t protocol, uint16_t port)
{
	const struct rig *g = arg;

	(void)protocol;
	return port == 4500 ? g->used : LEASE_OK;
}

static inline bool rig_claimed(void *arg, uint8_t protocol, uint16_t port,
			       const struct in6_addr *internal)
{
	struct rig *g = arg;

	(void)protocol;
	(void)internal;
	g->asked++;
	return port == 4500 && g->claimed;
}

static inline int rig_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->now = 5000000;
	g->policy = (struct lease_policy){
		.max_leases = 131072,
		.per_host = 64,
		.open_nat_per_host = 16,
		.requests_per_second = 1000000,
		.pcp_min_s = 120,
		.pcp_max_s = 86400,
		.in_use = rig_in_use,
		.claimed = rig_claimed,
		.in_use_arg = g,
		.seed = 42,
	};
	g->policy.lan[0] = (struct lease_lan){
		.used = true, .open_nat = true, .n_nets = 3, .n_own = 2};
	g->policy.lan[0].nets[0] = (struct prefix){host(1), 120};
	g->policy.lan[0].nets[1] = (struct prefix){host6(1), 64};
	addr_parse("fd00:1::1", &g->policy.lan[0].nets[2].addr);
	g->policy.lan[0].nets[2].len = 64;
	g->policy.lan[0].own[0] = host(1);
	g->policy.lan[0].own[1] = host6(1);
	portset_add(&g->policy.reserved_tcp, 8080, 8080);
	portset_add(&g->policy.reserved_udp, 8080, 8080);
	g->book = registry_new(&g->policy);
	*state = g;
	return g->book ? 0 : -1;
}

static inline int rig_down(void **state)
{
	struct rig *g = *state;

	registry_free(g->book);
	lease_changes_free(&g->out);
	free(g);
	return 0;
}

static inline struct lease_request map(enum lease_by by, unsigned int who,
				       uint8_t protocol, uint16_t int_port,
				       uint16_t ext_port, uint32_t lifetime)
{
	return (struct lease_request){
		.op = LEASE_OP_MAP,
		.by = (uint8_t)by,
		.protocol = protocol,
		.int_port = int_port,
		.ext_port = ext_port,
		.lifetime = lifetime,
		.client = host(who),
		.internal = host(who),
	};
}

static inline struct lease_request pcp(unsigned int who, uint16_t int_port,
				       uint16_t ext_port)
{
	struct lease_request req = map(LEASE_BY_PCP, who, IPPROTO_UDP, int_port, ext_port,
				       3600);

	req.flags = LEASE_NONCE;
	memset(req.nonce, 7, sizeof(req.nonce));
	return req;
}

static inline struct lease_request pmp(unsigned int who, uint16_t int_port,
				       uint16_t ext_port)
{
	return map(LEASE_BY_NATPMP, who, IPPROTO_UDP, int_port, ext_port, 3600);
}

static inline struct lease_request upnp(unsigned int who, uint16_t int_port,
					uint16_t ext_port)
{
	struct lease_request req = map(LEASE_BY_UPNP, who, IPPROTO_UDP, int_port,
				       ext_port, 3600);

	req.flags = LEASE_EXACT;
	return req;
}

/* PCP of an IPv6 host. */
static inline struct lease_request pin(unsigned int who, uint16_t port)
{
	struct lease_request req = pcp(who, port, port);

	req.client = req.internal = host6(who);
	return req;
}

/* One more filter, "11.0.0.0/24" or "2001:db8::/32", from a port or any (0). */
static inline struct lease_request filter(struct lease_request req, const char *text,
					  uint16_t port)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	assert_true(req.n_filters < LEASE_FILTERS_MAX);
	req.filters[req.n_filters++] = (struct lease_filter){
		.addr = p.addr, .len = p.len, .port = port};
	return req;
}

static inline struct lease_request as(struct lease_request req, enum lease_op op)
{
	req.op = (uint8_t)op;
	if (op != LEASE_OP_MAP)
		req.flags &= LEASE_NONCE;
	return req;
}

/* Asks, with steps left unconfirmed. */
static inline int rig_ask(struct rig *g, int lan, struct lease_request req)
{
	assert_true(lease_request_valid(&req));
	return registry_ask(g->book, lan, &req, g->now, 1, &g->reply, &g->out);
}

static inline void rig_confirm(struct rig *g)
{
	for (size_t i = 0; i < g->out.n; i++)
		registry_confirm(g->book, &g->out.step[i]);
}

static inline void rig_revert(struct rig *g)
{
	while (g->out.n)
		registry_revert(g->book, &g->out.step[--g->out.n]);
}

/* Asks and confirms; the steps can be looked at until the next question. */
static inline enum lease_reason ask_lan(struct rig *g, int lan, struct lease_request req)
{
	g->out.n = 0;
	assert_int_equal(rig_ask(g, lan, req), 0);
	rig_confirm(g);
	return g->reply.reason;
}

static inline enum lease_reason ask(struct rig *g, struct lease_request req)
{
	return ask_lan(g, 0, req);
}

static inline void rig_due(struct rig *g, uint64_t now)
{
	g->now = now;
	g->out.n = 0;
	registry_due(g->book, now, 1000, &g->out);
	rig_confirm(g);
}

static inline const struct lease *pinhole(const struct rig *g, unsigned int who,
					  uint16_t port)
{
	static const struct in6_addr anybody = IN6ADDR_ANY_INIT;
	struct in6_addr in = host6(who);

	return registry_find_pinhole(g->book, IPPROTO_UDP, &in, port, &anybody, 0, 0);
}

static inline const struct lease *at(const struct rig *g, uint16_t port)
{
	static const struct in6_addr anybody = IN6ADDR_ANY_INIT;

	return registry_find(g->book, IPPROTO_UDP, port, &anybody, 0);
}

static inline uint16_t port_of(struct rig *g, struct lease_request req)
{
	assert_int_equal(ask(g, req), LEASE_OK);
	return g->reply.ext_port;
}

static inline struct lease_request nonce(struct lease_request req, uint8_t fill)
{
	memset(req.nonce, fill, sizeof(req.nonce));
	return req;
}

static inline struct lease_request flag(struct lease_request req, uint8_t flags)
{
	req.flags |= flags;
	return req;
}

static inline struct lease_request of_remote(struct lease_request req, const char *remote,
					     uint8_t len)
{
	assert_int_equal(addr_parse(remote, &req.remote), 0);
	req.remote_len = len;
	return req;
}

static inline const struct lease *at_from(const struct rig *g, uint16_t port,
					  const char *remote, uint8_t len)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(remote, &a), 0);
	return registry_find(g->book, IPPROTO_UDP, port, &a, len);
}
