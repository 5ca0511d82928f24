/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The book, one sentence of the protocols a test; rows are those of the conformance list. */
#include "registry_rig.h"

#include <errno.h>

#include "lease/restrict.h"

#define DAY_MS (86400 * 1000ULL)
#define WEEK_S 604800U

static uint16_t port_of(struct rig *g, struct lease_request req)
{
	assert_int_equal(ask(g, req), LEASE_OK);
	return g->reply.ext_port;
}

static struct lease_request nonce(struct lease_request req, uint8_t fill)
{
	memset(req.nonce, fill, sizeof(req.nonce));
	return req;
}

static struct lease_request flag(struct lease_request req, uint8_t flags)
{
	req.flags |= flags;
	return req;
}

static struct lease_request from(struct lease_request req, const char *remote,
				 uint8_t len)
{
	assert_int_equal(addr_parse(remote, &req.remote), 0);
	req.remote_len = len;
	return req;
}

static const struct lease *at_from(const struct rig *g, uint16_t port, const char *remote,
				   uint8_t len)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(remote, &a), 0);
	return registry_find(g->book, IPPROTO_UDP, port, &a, len);
}

/* ---- PCP and NAT-PMP ---- */

static void a_grant_says_what_it_granted(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7200);
	const struct lease *l;

	req.tag = 99;
	strcpy(req.description, "xbox");
	req.flags |= LEASE_DESCRIBE;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.tag, 99);
	assert_int_equal(g->reply.ext_port, 7200);
	assert_int_equal(g->reply.int_port, 7100);
	assert_int_equal(g->reply.lifetime, 3600);
	assert_int_equal(g->reply.claims, 1 << LEASE_BY_PCP);
	assert_int_equal(g->reply.flags, LEASE_NONCE);
	assert_memory_equal(g->reply.nonce, req.nonce, sizeof(req.nonce));
	assert_string_equal(g->reply.description, "xbox");
	l = at(g, 7200);
	assert_non_null(l);
	assert_true(l->twin && l->enabled && l->has_nonce);
	assert_int_equal(l->origin, LEASE_BY_PCP);
	assert_int_equal(l->deadline_ms, g->now + 3600000);
	assert_int_equal(l->kernel_ms, l->deadline_ms);
	assert_int_equal(g->out.n, 1);
	assert_false(g->out.step[0].had);
	assert_int_equal(g->out.step[0].who, 1);
	assert_memory_equal(&g->out.step[0].after, l, sizeof(*l));
	assert_int_equal(registry_count(g->book), 1);
}

/* P9, C8 */
static void another_suggestion_does_not_move_a_mapping(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pmp(20, 7100, 7100)), 7100);
	assert_int_equal(port_of(g, pmp(20, 7100, 9000)), 7100);
	assert_int_equal(port_of(g, pcp(20, 7101, 7101)), 7101);
	g->now += 1000;
	assert_int_equal(port_of(g, pcp(20, 7101, 9001)), 7101);
	assert_int_equal(at(g, 7101)->deadline_ms, g->now + 3600000);
	assert_int_equal(registry_count(g->book), 2);
}

/* C53: a retransmission changes nothing and costs no commit. */
static void the_same_twice_at_once_is_one_step(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pcp(20, 7100, 7100)), 7100);
	assert_int_equal(port_of(g, pcp(20, 7100, 7100)), 7100);
	assert_int_equal(g->out.n, 0);
	assert_int_equal(g->reply.lifetime, 3600);
}

/* C9 */
static void another_nonce_is_refused_and_touches_nothing(void **state)
{
	struct rig *g = *state;
	struct lease before;

	ask(g, pcp(20, 7100, 7100));
	before = *at(g, 7100);
	g->now += 600500;
	assert_int_equal(ask(g, nonce(pcp(20, 7100, 7100), 8)), LEASE_NONCE_MISMATCH);
	assert_int_equal(g->reply.lifetime, 3000);
	assert_int_equal(g->out.n, 0);
	assert_int_equal(ask(g, nonce(as(pcp(20, 7100, 0), LEASE_OP_UNMAP), 8)),
			 LEASE_NONCE_MISMATCH);
	assert_int_equal(g->out.n, 0);
	assert_memory_equal(&before, at(g, 7100), sizeof(before));
	for (size_t i = 0; i < sizeof(g->reply.nonce); i++)
		assert_int_equal(g->reply.nonce[i], 0); /* and gives no nonce away */
}

/* C9, C32, C57 */
static void a_mapping_without_a_nonce_adopts_the_first(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pmp(20, 7100, 7200)), 7200);
	assert_int_equal(port_of(g, nonce(pcp(20, 7100, 7100), 0)), 7200);
	assert_true(at(g, 7200)->has_nonce);
	assert_int_equal(at(g, 7200)->claims, 1 << LEASE_BY_PCP | 1 << LEASE_BY_NATPMP);
	assert_int_equal(ask(g, nonce(pcp(20, 7100, 7100), 8)), LEASE_NONCE_MISMATCH);
	assert_int_equal(ask(g, nonce(pcp(20, 7100, 7100), 0)), LEASE_OK);
	assert_int_equal(port_of(g, pmp(20, 7100, 7100)), 7200); /* and back, C32 */
}

/* The nonce guards the PCP claim and ends with it. */
static void a_mapping_that_pcp_has_left_takes_a_new_nonce(void **state)
{
	struct rig *g = *state;

	ask(g, pcp(20, 7100, 7100));
	ask(g, upnp(20, 7100, 7100));
	assert_int_equal(ask(g, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_false(at(g, 7100)->has_nonce);
	assert_int_equal(port_of(g, nonce(pcp(20, 7100, 7100), 8)), 7100);
	assert_int_equal(at(g, 7100)->nonce[0], 8);
}

/* C18, C44 */
static void prefer_failure_wants_that_port_or_none(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, flag(pcp(20, 7100, 7200), LEASE_EXACT)), 7200);
	assert_int_equal(ask(g, flag(pcp(20, 7100, 7300), LEASE_EXACT)), LEASE_TAKEN);
	assert_int_equal(port_of(g, flag(pcp(20, 7100, 7200), LEASE_EXACT)), 7200);
	assert_int_equal(ask(g, flag(pcp(21, 7100, 7200), LEASE_EXACT)), LEASE_TAKEN);
	assert_int_equal(ask(g, flag(pcp(20, 7101, 7200), LEASE_EXACT)), LEASE_TAKEN);
	assert_int_equal(ask(g, flag(pcp(21, 7100, 8080), LEASE_EXACT)), LEASE_RESERVED);
	assert_int_equal(ask(g, flag(pcp(21, 7100, 80), LEASE_EXACT)), LEASE_ACCESS);
	assert_int_equal(ask(g, flag(pcp(21, 7100, 0), LEASE_EXACT)), LEASE_PORT);
	g->used = LEASE_ROUTER;
	assert_int_equal(ask(g, flag(pcp(21, 7100, 4500), LEASE_EXACT)), LEASE_ROUTER);
	assert_int_equal(registry_count(g->book), 1);
}

/* P8, C17, C50, X1 */
static void a_suggestion_that_cannot_be_is_answered_with_another_port(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pmp(20, 7100, 7100)), 7100);
	assert_int_equal(port_of(g, pmp(21, 7200, 7100)), 7200);
	assert_int_equal(port_of(g, pmp(22, 7100, 7100)), 7102);
	assert_int_equal(port_of(g, pcp(23, 7300, 8080)), 7300);
	assert_true(port_of(g, pcp(23, 7301, 80)) >= 1024);
	assert_int_equal(ask(g, upnp(23, 7100, 7100)), LEASE_TAKEN);
}

/* P16 */
static void tcp_and_udp_of_one_port_go_to_one_host_where_we_choose(void **state)
{
	struct rig *g = *state;
	struct lease_request tcp = map(LEASE_BY_NATPMP, 20, IPPROTO_TCP, 6000, 6000, 60);

	assert_int_equal(port_of(g, tcp), 6000);
	assert_int_not_equal(port_of(g, pmp(21, 6000, 6000)), 6000);
	assert_int_equal(port_of(g, pmp(20, 6000, 6000)), 6000);
	/* W2: protocols are independent for UPnP */
	assert_int_equal(
		port_of(g, map(LEASE_BY_NATPMP, 20, IPPROTO_TCP, 6100, 6100, 60)), 6100);
	assert_int_equal(port_of(g, upnp(21, 6000, 6100)), 6100);
}

/* P22, C39 */
static void a_udp_mapping_is_no_tcp_mapping(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pmp(20, 7100, 7200)), 7200);
	assert_int_equal(
		port_of(g, map(LEASE_BY_NATPMP, 20, IPPROTO_TCP, 7100, 7300, 60)), 7300);
}

/* C13, P10 and W3 */
static void lifetimes_are_clamped_by_protocol(void **state)
{
	static const struct {
		enum lease_by by;
		uint32_t asked;
		uint32_t granted;
	} rows[] = {
		{LEASE_BY_PCP, 1, 120},
		{LEASE_BY_PCP, 3600, 3600},
		{LEASE_BY_PCP, UINT32_MAX, 86400},
		{LEASE_BY_NATPMP, 1, 1},
		{LEASE_BY_NATPMP, UINT32_MAX, 86400},
		{LEASE_BY_UPNP, 1, 1},
		{LEASE_BY_UPNP, 0, WEEK_S},
		{LEASE_BY_UPNP, UINT32_MAX, WEEK_S},
	};
	struct rig *g = *state;

	for (uint16_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lease_request req = map(rows[i].by, 20, IPPROTO_UDP,
					       (uint16_t)(7100 + i), 0, rows[i].asked);

		assert_int_equal(port_of(g, req), 7100 + i);
		assert_int_equal(g->reply.lifetime, rows[i].granted);
		assert_int_equal(at(g, (uint16_t)(7100 + i))->deadline_ms,
				 g->now + rows[i].granted * 1000ULL);
	}
}

/* P13, C14 */
static void deleting_what_is_not_there_succeeds(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, as(pmp(20, 7100, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(ask(g, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(ask(g, as(pmp(20, 0, 0), LEASE_OP_UNMAP_ALL)), LEASE_OK);
	ask(g, pmp(20, 7100, 7100));
	assert_int_equal(ask(g, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->out.n, 0);
	assert_int_equal(ask(g, as(pmp(20, 7100, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 0);
	assert_int_equal(g->out.n, 1);
	assert_int_equal(g->out.step[0].end, LEASE_END_DELETED);
	assert_int_equal(registry_count(g->book), 0);
}

/* P14 */
static void delete_all_takes_one_protocol_of_one_host(void **state)
{
	struct rig *g = *state;

	ask(g, pmp(20, 7100, 7100));
	ask(g, pmp(20, 7101, 7101));
	ask(g, map(LEASE_BY_NATPMP, 20, IPPROTO_TCP, 7102, 7102, 60));
	ask(g, pmp(21, 7103, 7103));
	ask(g, pcp(20, 7104, 7104));
	assert_int_equal(ask(g, as(pmp(20, 0, 0), LEASE_OP_UNMAP_ALL)), LEASE_OK);
	assert_int_equal(g->out.n, 2);
	assert_null(at(g, 7100));
	assert_null(at(g, 7101));
	assert_non_null(at(g, 7103));
	assert_non_null(at(g, 7104)); /* X2: claimed by PCP */
	assert_int_equal(registry_count(g->book), 3);
}

/* C37 */
static void a_released_port_waits_two_minutes_for_its_owner(void **state)
{
	struct rig *g = *state;

	ask(g, pmp(20, 7100, 7100));
	ask(g, as(pmp(20, 7100, 0), LEASE_OP_UNMAP));
	assert_int_equal(port_of(g, pmp(21, 7200, 7100)), 7200);
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	assert_int_equal(port_of(g, pmp(20, 7100, 7100)), 7100);
	ask(g, as(pmp(20, 7100, 0), LEASE_OP_UNMAP));
	g->now += 119999;
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	g->now += 1;
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_OK);
}

/* P23, W4 */
static void a_mapping_ends_when_its_time_has_come_not_before(void **state)
{
	struct rig *g = *state;
	uint64_t end = g->now + 2000;

	ask(g, map(LEASE_BY_NATPMP, 20, IPPROTO_UDP, 7100, 7100, 2));
	assert_int_equal(registry_next(g->book), end);
	rig_due(g, end - 1);
	assert_int_equal(g->out.n, 0);
	rig_due(g, end);
	assert_int_equal(g->out.n, 1);
	assert_int_equal(g->out.step[0].end, LEASE_END_EXPIRED);
	assert_null(at(g, 7100));
	assert_true(registry_next(g->book) == LEASE_NO_DEADLINE);
	assert_int_equal(port_of(g, pmp(20, 7100, 7300)), 7300);
}

/* C40, C28 */
static void at_the_quota_renewals_and_deletes_are_served(void **state)
{
	struct rig *g = *state;

	g->policy.per_host = 2;
	ask(g, pcp(20, 7100, 7100));
	ask(g, pcp(20, 7101, 7101));
	assert_int_equal(ask(g, pcp(20, 7102, 7102)), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, upnp(20, 7102, 7102)), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, pcp(20, 7101, 7101)), LEASE_OK);
	assert_int_equal(ask(g, pcp(21, 7102, 7102)), LEASE_OK);
	assert_int_equal(ask(g, as(pcp(20, 7101, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7103, 7103)), LEASE_OK);
	g->policy.per_host = 64;
	g->policy.max_leases = 3;
	assert_int_equal(ask(g, pcp(22, 7104, 7104)), LEASE_QUOTA_TABLE);
	assert_int_equal(ask(g, pcp(20, 7103, 7103)), LEASE_OK);
}

static void who_asks_too_often_gets_no_answer(void **state)
{
	struct rig *g = *state;

	g->policy.requests_per_second = 2;
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_RATE);
	assert_int_equal(ask(g, pcp(20, 7101, 7101)), LEASE_RATE);
	assert_int_equal(ask(g, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), LEASE_RATE);
	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_GET_PORT)), LEASE_RATE);
	assert_int_equal(ask(g, pcp(21, 7101, 7101)), LEASE_OK);
	g->now += 500;
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_RATE);
}

static void the_first_refusal_wins(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(20, 80, 8080);

	g->policy.per_host = 0;
	g->policy.requests_per_second = 0;
	req.client = host(1);
	req.internal = host(30);
	req.protocol = 33;
	assert_int_equal(ask(g, req), LEASE_NOT_LAN);
	req.client = host(20);
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	req.internal = host(20);
	assert_int_equal(ask(g, req), LEASE_PROTOCOL);
	req.protocol = IPPROTO_UDP;
	assert_int_equal(ask(g, req), LEASE_ACCESS);
	req.int_port = 7100;
	assert_int_equal(ask(g, req), LEASE_RESERVED);
	req.ext_port = 4500;
	g->used = LEASE_ROUTER;
	assert_int_equal(ask(g, req), LEASE_ROUTER);
	g->used = LEASE_OK;
	assert_int_equal(ask(g, req), LEASE_QUOTA_HOST);
	g->policy.per_host = 1;
	g->policy.max_leases = 0;
	assert_int_equal(ask(g, req), LEASE_QUOTA_TABLE);
	g->policy.max_leases = 1;
	assert_int_equal(ask(g, req), LEASE_RATE);
	g->policy.requests_per_second = 1;
	g->now += 2000;
	assert_int_equal(ask(g, req), LEASE_OK);
}

/* ---- UPnP ---- */

/* W2 */
static void the_same_host_overwrites_its_mapping(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(20, 7100, 7100);

	strcpy(req.description, "one");
	req.flags |= LEASE_DESCRIBE;
	assert_int_equal(ask(g, req), LEASE_OK);
	req.lifetime = 60;
	strcpy(req.description, "two");
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "two");
	assert_int_equal(at(g, 7100)->deadline_ms, g->now + 60000);
	req.description[0] = '\0';
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "");
	assert_int_equal(registry_count(g->book), 1);
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
}

/* W2: the inside port too; the twin of the former one passes on. */
static void an_overwritten_inside_port_moves_the_lease(void **state)
{
	struct rig *g = *state;

	ask(g, upnp(20, 7100, 7100));
	ask(g, upnp(20, 7100, 7200));
	assert_true(at(g, 7100)->twin);
	assert_false(at(g, 7200)->twin);
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_OK);
	assert_int_equal(g->out.n, 2);
	assert_int_equal(g->out.step[0].before.int_port, 7100);
	assert_int_equal(g->out.step[0].after.int_port, 7101);
	assert_true(g->out.step[0].after.twin);
	assert_int_equal(g->out.step[1].after.ext_port, 7200);
	assert_true(!g->out.step[1].before.twin && g->out.step[1].after.twin);
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK); /* and back: no twin */
	assert_false(at(g, 7100)->twin);
	assert_true(at(g, 7200)->twin);
	assert_int_equal(ask(g, upnp(20, 80, 7100)), LEASE_ACCESS);
	assert_int_equal(at(g, 7100)->int_port, 7100);
}

static void upnp_does_not_move_what_pcp_was_promised(void **state)
{
	struct rig *g = *state;

	ask(g, pcp(20, 7100, 7100));
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_TAKEN);
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_TAKEN);
	assert_int_equal(at(g, 7100)->int_port, 7100);
	/* What nobody asked for gives way. */
	ask(g, map(LEASE_BY_OPEN_NAT, 20, IPPROTO_UDP, 7200, 7200, 120));
	assert_int_equal(ask(g, upnp(20, 7201, 7200)), LEASE_OK);
	assert_int_equal(at(g, 7200)->claims, 1 << LEASE_BY_UPNP);
}

/* X2: libtorrent */
static void one_port_by_two_protocols_is_one_lease_until_both_have_gone(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pcp(20, 6881, 6881)), 6881);
	assert_int_equal(port_of(g, upnp(20, 6881, 6881)), 6881);
	assert_int_equal(registry_count(g->book), 1);
	assert_int_equal(at(g, 6881)->origin, LEASE_BY_PCP);
	assert_int_equal(ask(g, as(pcp(20, 6881, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(at(g, 6881)->claims, 1 << LEASE_BY_UPNP);
	assert_int_equal(ask(g, as(upnp(20, 0, 6881), LEASE_OP_UNMAP_PORT)), LEASE_OK);
	assert_null(at(g, 6881));
	assert_int_equal(g->out.step[0].end, LEASE_END_DELETED);
	/* In the other order, the second delete finds nothing of its own. */
	ask(g, pcp(20, 6881, 6881));
	assert_int_equal(ask(g, as(upnp(20, 0, 6881), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_FOUND);
	assert_non_null(at(g, 6881));
}

/* X2: the later end counts; each claim ends by itself. */
static void the_lease_lives_as_long_as_its_latest_claim(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	ask(g, pcp(20, 6881, 6881));
	ask(g, map(LEASE_BY_NATPMP, 20, IPPROTO_UDP, 6881, 0, 600));
	assert_int_equal(at(g, 6881)->deadline_ms, start + 3600000);
	assert_int_equal(registry_next(g->book), start + 600000);
	rig_due(g, start + 600000);
	assert_int_equal(g->out.n, 1);
	assert_true(g->out.step[0].has);
	assert_int_equal(g->out.step[0].after.claims, 1 << LEASE_BY_PCP);
	/* A renewal may shorten its own claim. */
	ask(g, map(LEASE_BY_PCP, 20, IPPROTO_UDP, 6881, 0, 120));
	assert_int_equal(at(g, 6881)->deadline_ms, g->now + 120000);
	rig_due(g, g->now + 120000);
	assert_null(at(g, 6881));
}

/* X2: Debian's Syncthing */
static void two_external_ports_of_one_inside_port_both_work(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pmp(20, 22000, 22000)), 22000);
	assert_int_equal(port_of(g, upnp(20, 22000, 31234)), 31234);
	assert_true(at(g, 22000)->twin);
	assert_false(at(g, 31234)->twin);
	assert_int_equal(port_of(g, pmp(20, 22000, 22000)), 22000);
	assert_int_equal(port_of(g, upnp(20, 22000, 31234)), 31234);
	assert_int_equal(registry_count(g->book), 2);
	assert_int_equal(ask(g, as(pmp(20, 22000, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->out.n, 2); /* the end first, then the heir */
	assert_false(g->out.step[0].has);
	assert_true(!g->out.step[1].before.twin && g->out.step[1].after.twin);
	assert_true(at(g, 31234)->twin);
}

/* W2, W10 */
static void one_host_may_have_one_port_for_several_remotes(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, from(upnp(20, 7100, 7100), "11.0.0.2", 128)), LEASE_OK);
	assert_int_equal(ask(g, from(upnp(20, 7100, 7100), "11.0.0.3", 128)), LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_OK); /* and everybody else */
	assert_int_equal(registry_count(g->book), 3);
	assert_int_equal(ask(g, from(upnp(21, 7100, 7100), "11.0.0.4", 128)),
			 LEASE_TAKEN);
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	/* The kernel's intervals cannot overlap. */
	assert_int_equal(ask(g, from(upnp(20, 7100, 7100), "11.0.0.0", 120)),
			 LEASE_REMOTE);
	assert_int_equal(ask(g, from(upnp(20, 7100, 7100), "fe80::1", 128)),
			 LEASE_REMOTE);
	/* W18: everybody's entry is not that of one remote. */
	assert_int_equal(
		ask(g, from(as(upnp(20, 0, 7100), LEASE_OP_GET_PORT), "11.0.0.9", 128)),
		LEASE_NOT_FOUND);
	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_GET_PORT)), LEASE_OK);
	assert_int_equal(g->reply.int_port, 7101);
	assert_int_equal(at_from(g, 7100, "11.0.0.3", 128)->int_port, 7100);
	assert_int_equal(
		ask(g, from(as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT), "11.0.0.3", 128)),
		LEASE_OK);
	assert_int_equal(registry_count(g->book), 2);
	/* While one is left the port is nobody else's. */
	ask(g, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT));
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	g->now += 120000;
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
}

static void pcp_opens_to_everybody_beside_a_restricted_mapping(void **state)
{
	struct rig *g = *state;

	ask(g, from(upnp(20, 7100, 7200), "11.0.0.2", 128));
	assert_int_equal(port_of(g, pcp(20, 7100, 7100)), 7200);
	assert_int_equal(registry_count(g->book), 2);
	assert_int_equal(port_of(g, pcp(20, 7100, 7100)), 7200);
	assert_int_equal(registry_count(g->book), 2);
	/* C20: a filter beside it would filter nothing. */
	assert_int_equal(ask(g, from(pcp(20, 7100, 0), "11.0.0.9", 128)), LEASE_REMOTE);
}

static void restricted_mappings_have_their_own_caps(void **state)
{
	struct rig *g = *state;

	for (uint16_t i = 0; i < RESTRICTED_PER_HOST; i++)
		assert_int_equal(ask(g, from(upnp(20, 7100, (uint16_t)(7100 + i)),
					     "11.0.0.2", 128)),
				 LEASE_OK);
	assert_int_equal(ask(g, from(upnp(20, 7100, 7300), "11.0.0.2", 128)),
			 LEASE_REMOTE);
	assert_int_equal(ask(g, upnp(20, 7100, 7300)), LEASE_OK);
	assert_int_equal(
		ask(g, from(as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT), "11.0.0.2", 128)),
		LEASE_OK);
	assert_int_equal(ask(g, from(upnp(20, 7100, 7301), "11.0.0.2", 128)), LEASE_OK);
	assert_int_equal(g->book->restricted, RESTRICTED_PER_HOST);
}

/* W13: AddAnyPortMapping */
static void any_port_gives_the_own_one_again_or_another(void **state)
{
	struct rig *g = *state;
	struct lease_request any = upnp(20, 7100, 7200);

	any.flags = 0;
	assert_int_equal(port_of(g, any), 7200);
	assert_int_equal(port_of(g, any), 7200);
	any.ext_port = 9999;
	assert_int_equal(port_of(g, any), 7200); /* X2: same inside port, same port */
	any = upnp(21, 7100, 7200);
	any.flags = 0;
	assert_int_equal(port_of(g, any), 7100);
	/* Of two own ones the one that is named. */
	ask(g, upnp(20, 7100, 7300));
	any = upnp(20, 7100, 7300);
	any.flags = 0;
	assert_int_equal(port_of(g, any), 7300);
	any.int_port = 7101; /* W5: any port */
	any.ext_port = 0;
	assert_int_equal(port_of(g, any), 7101);
}

/* W14 */
static void deleting_by_port_names_what_is_absent_or_anothers(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_FOUND);
	ask(g, upnp(21, 7100, 7100));
	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_OWNER);
	assert_non_null(at(g, 7100));
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_UNMAP_PORT)), LEASE_OK);
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_FOUND);
}

/* W11 */
static void a_disabled_entry_is_kept_and_counted(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, flag(upnp(20, 7100, 7100), LEASE_DISABLED)), LEASE_OK);
	assert_int_equal(g->reply.flags, LEASE_DISABLED);
	assert_false(at(g, 7100)->enabled);
	assert_int_equal(registry_listed(g->book), 1);
	/* PCP knows no such thing: its claim opens the port and keeps it open. */
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_true(at(g, 7100)->enabled);
	assert_int_equal(ask(g, flag(upnp(20, 7100, 7100), LEASE_DISABLED)), LEASE_OK);
	assert_true(at(g, 7100)->enabled);
}

/* W3: IGD:1 lease 0 */
static void a_lease_without_a_clock_is_rearmed_at_half_for_a_week(void **state)
{
	struct rig *g = *state;
	struct lease_request req = flag(upnp(20, 7100, 7100), LEASE_UNTIL_GONE);
	uint64_t start = g->now, half = LEASE_SILENCE_MS / 2;
	int n = 0;

	req.lifetime = 0;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.flags, LEASE_UNTIL_GONE);
	assert_int_equal(at(g, 7100)->kernel_ms, start + LEASE_SILENCE_MS);
	assert_int_equal(at(g, 7100)->deadline_ms, start + WEEK_S * 1000ULL);
	assert_int_equal(registry_next(g->book), start + half);
	rig_due(g, start + half);
	assert_int_equal(g->out.n, 1);
	assert_true(g->out.step[0].had && g->out.step[0].has);
	assert_int_equal(g->out.step[0].after.kernel_ms, g->now + LEASE_SILENCE_MS);
	g->out.step[0].before.kernel_ms = g->out.step[0].after.kernel_ms;
	g->out.step[0].before.gone_ms = g->out.step[0].after.gone_ms;
	g->out.step[0].before.look_ms = g->out.step[0].after.look_ms;
	assert_memory_equal(&g->out.step[0].before, &g->out.step[0].after,
			    sizeof(struct lease));
	while (at(g, 7100)) {
		assert_true(++n < 1000);
		assert_true(at(g, 7100)->kernel_ms > g->now);
		rig_due(g, registry_next(g->book));
	}
	assert_int_equal(g->now, start + WEEK_S * 1000ULL);
	assert_int_equal(g->out.step[0].end, LEASE_END_EXPIRED);
}

static void a_clock_beside_no_clock_is_kept_in_the_kernel(void **state)
{
	struct rig *g = *state;
	struct lease_request req = flag(upnp(20, 7100, 7100), LEASE_UNTIL_GONE);
	uint64_t start = g->now;

	ask(g, req);
	assert_int_equal(ask(g, pcp(20, 7100, 0)), LEASE_OK);
	assert_int_equal(at(g, 7100)->kernel_ms, start + 3600000);
	rig_due(g, start + 3600000);
	assert_int_equal(at(g, 7100)->claims, 1 << LEASE_BY_UPNP);
	assert_int_equal(at(g, 7100)->kernel_ms, g->now + LEASE_SILENCE_MS);
	/* A clocked request takes the place of the former one. */
	ask(g, upnp(20, 7100, 7100));
	assert_int_equal(at(g, 7100)->until_gone, 0);
	assert_int_equal(at(g, 7100)->kernel_ms, g->now + 3600000);
}

/* W17 */
static void listings_leave_out_what_only_triggers_opened(void **state)
{
	struct rig *g = *state;
	struct lease_request get = as(upnp(20, 0, 0), LEASE_OP_GET_INDEX);
	unsigned int seen = 0;

	ask(g, upnp(20, 7100, 7100));
	ask(g, map(LEASE_BY_TRIGGER, 21, IPPROTO_UDP, 7101, 7101, 60));
	ask(g, map(LEASE_BY_OPEN_NAT, 22, IPPROTO_UDP, 7102, 7102, 60));
	ask(g, pcp(23, 7103, 7103));
	assert_int_equal(registry_count(g->book), 4);
	assert_int_equal(registry_listed(g->book), 2);
	for (get.index = 0; ask(g, get) == LEASE_OK; get.index++)
		seen |= 1U << (g->reply.ext_port - 7100);
	assert_int_equal(g->reply.reason, LEASE_NOT_FOUND);
	assert_int_equal(get.index, 2);
	assert_int_equal(seen, 0x9);
	assert_int_equal(ask(g, as(upnp(20, 0, 7101), LEASE_OP_GET_PORT)),
			 LEASE_NOT_FOUND);
	/* opennat.md 8.4: the same host's request adopts it, and then it shows. */
	assert_int_equal(port_of(g, pcp(22, 7102, 9000)), 7102);
	assert_int_equal(registry_listed(g->book), 3);
	assert_int_equal(ask(g, as(pcp(22, 7102, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(registry_listed(g->book), 2);
	assert_non_null(at(g, 7102));
}

/* W4, and RFC 6887's nonce is nobody else's business */
static void reading_tells_what_is_left_but_no_nonce(void **state)
{
	struct rig *g = *state;

	ask(g, pcp(20, 7100, 7100));
	g->now += 500;
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_GET_PORT)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 3600);
	assert_int_equal(g->reply.flags, 0);
	assert_int_equal(g->reply.nonce[0], 0);
	g->now += 600;
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_GET_PORT)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 3599);
}

/* ---- The admin ---- */

static void the_admin_opens_reserved_and_low_ports_beyond_quotas(void **state)
{
	struct rig *g = *state;
	struct lease_request req = map(LEASE_BY_ADMIN, 20, IPPROTO_UDP, 80, 8080, 0);

	g->policy.per_host = 0;
	req.flags = LEASE_EXACT;
	assert_int_equal(ask_lan(g, -1, req), LEASE_OK);
	req.ext_port = 80;
	assert_int_equal(ask_lan(g, -1, req), LEASE_OK);
	assert_true(at(g, 80)->deadline_ms == LEASE_NO_DEADLINE);
	assert_int_equal(at(g, 80)->kernel_ms,
			 g->now + LEASE_SILENCE_MS); /* never alone */
	assert_int_equal(registry_next(g->book), g->now + LEASE_SILENCE_MS / 2);
	g->policy.per_host = 1;
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	/* His are not the host's to end; P15. */
	assert_int_equal(ask(g, as(pmp(20, 80, 0), LEASE_OP_UNMAP)), LEASE_STATIC);
	assert_int_equal(ask(g, as(upnp(20, 0, 80), LEASE_OP_UNMAP_PORT)), LEASE_STATIC);
	assert_int_equal(ask_lan(g, 0, req), LEASE_ACCESS);
}

static void the_admins_delete_ends_the_lease_whoever_keeps_it(void **state)
{
	struct rig *g = *state;
	struct lease_request del = map(LEASE_BY_ADMIN, 0, IPPROTO_UDP, 0, 7100, 0);

	ask(g, pcp(20, 7100, 7100));
	ask(g, upnp(20, 7100, 7100));
	del.op = LEASE_OP_UNMAP_PORT;
	assert_int_equal(ask_lan(g, -1, del), LEASE_OK);
	assert_null(at(g, 7100));
	assert_int_equal(ask_lan(g, -1, del), LEASE_NOT_FOUND);
}

/* ---- Steps ---- */

static void a_lease_with_an_open_step_makes_others_wait(void **state)
{
	struct rig *g = *state;

	assert_int_equal(rig_ask(g, 0, pcp(20, 7100, 7100)), 0);
	assert_int_equal(rig_ask(g, 0, pcp(20, 7100, 7100)), -EAGAIN);
	assert_int_equal(rig_ask(g, 0, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), -EAGAIN);
	assert_int_equal(rig_ask(g, 0, as(pmp(20, 0, 0), LEASE_OP_UNMAP_ALL)), 0);
	assert_int_equal(rig_ask(g, 0, upnp(20, 7101, 7100)), -EAGAIN);
	assert_int_equal(rig_ask(g, 0, upnp(21, 7100, 7100)), -EAGAIN);
	assert_int_equal(rig_ask(g, 0, upnp(20, 7100, 7300)), -EAGAIN);
	assert_int_equal(rig_ask(g, 0, as(upnp(20, 0, 7100), LEASE_OP_GET_PORT)),
			 -EAGAIN);
	assert_int_equal(rig_ask(g, 0, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 -EAGAIN);
	assert_int_equal(rig_ask(g, 0, pcp(21, 7101, 7100)), 0); /* takes another */
	assert_int_equal(g->reply.ext_port, 7101);
	assert_int_equal(g->out.n, 2);
	rig_confirm(g);
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
}

/* Leases of one external port are each for themselves. */
static void an_end_does_not_wait_for_others_on_the_port(void **state)
{
	struct rig *g = *state;
	struct lease_request other = from(upnp(20, 7101, 7100), "11.0.0.2", 128);

	ask(g, pcp(20, 7100, 7100));
	ask(g, other);
	g->out.n = 0;
	other.lifetime = 60;
	assert_int_equal(rig_ask(g, 0, other), 0);
	assert_int_equal(rig_ask(g, 0, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), 0);
	assert_int_equal(g->out.n, 2);
	assert_int_equal(rig_ask(g, 0, upnp(20, 7102, 7100)), -EAGAIN);
	rig_revert(g);
	assert_true(at(g, 7100)->twin);
	assert_int_equal(registry_count(g->book), 2);
}

static void a_request_that_was_put_off_costs_no_token(void **state)
{
	struct rig *g = *state;

	g->policy.requests_per_second = 1;
	assert_int_equal(rig_ask(g, 0, pcp(20, 7100, 7100)), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_ask(g, 0, pcp(20, 7100, 7100)), -EAGAIN);
	rig_confirm(g);
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_RATE);
}

static void the_port_of_an_end_that_is_not_confirmed_is_in_use(void **state)
{
	struct rig *g = *state;

	ask(g, pcp(20, 7100, 7100));
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, as(pcp(20, 7100, 0), LEASE_OP_UNMAP)), 0);
	assert_null(at(g, 7100));
	assert_int_equal(rig_ask(g, 0, pcp(20, 7100, 7100)), -EAGAIN);
	assert_int_equal(rig_ask(g, 0, pcp(20, 7102, 7100)), 0);
	assert_int_equal(g->reply.ext_port, 7102);
	assert_int_equal(rig_ask(g, 0, upnp(20, 7103, 7100)), -EAGAIN);
	rig_confirm(g);
	assert_int_equal(ask(g, upnp(20, 7103, 7100)), LEASE_OK);
}

static void what_the_kernel_refuses_never_was(void **state)
{
	struct rig *g = *state;
	struct lease a, b;

	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, pcp(20, 7100, 7100)), 0);
	rig_revert(g);
	assert_null(at(g, 7100));
	assert_int_equal(registry_count(g->book), 0);
	assert_true(registry_next(g->book) == LEASE_NO_DEADLINE);
	assert_int_equal(port_of(g, pcp(21, 7100, 7100)), 7100); /* nothing held back */
	ask(g, upnp(21, 7100, 7200));
	a = *at(g, 7100);
	b = *at(g, 7200);
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, as(pcp(21, 7100, 0), LEASE_OP_UNMAP)), 0);
	assert_int_equal(g->out.n, 2);
	rig_revert(g);
	assert_memory_equal(&a, at(g, 7100), sizeof(a));
	assert_memory_equal(&b, at(g, 7200), sizeof(b));
	assert_int_equal(registry_count(g->book), 2);
	assert_int_equal(registry_listed(g->book), 2);
	assert_int_equal(port_of(g, pcp(21, 7100, 0)), 7100);
}

static void an_end_that_the_kernel_refuses_is_tried_again_a_second_later(void **state)
{
	struct rig *g = *state;
	uint64_t end = g->now + 3600000;

	ask(g, pcp(20, 7100, 7100));
	g->out.n = 0;
	assert_int_equal(registry_due(g->book, end, 10, &g->out), 1);
	assert_true(registry_next(g->book) == LEASE_NO_DEADLINE);
	rig_revert(g);
	assert_int_equal(registry_next(g->book), end + 1000);
	rig_due(g, end + 999);
	assert_int_equal(g->out.n, 0);
	rig_due(g, end + 1000);
	assert_int_equal(g->out.n, 1);
	assert_null(at(g, 7100));
}

/* The caller tells by `who` which steps of the clock belong together. */
static void leases_that_are_due_together_have_their_own_marks(void **state)
{
	struct rig *g = *state;
	struct lease_request later = upnp(22, 7102, 7103);

	later.lifetime = 3601;
	ask(g, pcp(20, 7100, 7100));
	ask(g, pcp(21, 7101, 7101));
	ask(g, upnp(22, 7102, 7102));
	ask(g, later);
	g->out.n = 0;
	g->now += DAY_MS;
	/* Two leases of one inside port: the second waits until the first is settled. */
	assert_int_equal(registry_due(g->book, g->now, 100, &g->out), 4);
	for (size_t i = 1; i < g->out.n; i++)
		if (g->out.step[i].had && g->out.step[i].has)
			assert_int_equal(g->out.step[i].who, g->out.step[i - 1].who);
		else
			assert_int_not_equal(g->out.step[i].who, g->out.step[i - 1].who);
	rig_confirm(g);
	assert_int_equal(registry_count(g->book), 1);
	assert_true(registry_next(g->book) <= g->now);
	rig_due(g, g->now);
	assert_int_equal(registry_count(g->book), 0);
}

static void due_does_no_more_than_it_may(void **state)
{
	struct rig *g = *state;

	for (uint16_t i = 0; i < 50; i++)
		ask(g, pcp(20, (uint16_t)(7100 + i), 0));
	g->out.n = 0;
	assert_int_equal(registry_due(g->book, g->now + DAY_MS, 20, &g->out), 20);
	rig_confirm(g);
	assert_int_equal(registry_count(g->book), 30);
	rig_due(g, g->now + DAY_MS);
	assert_int_equal(registry_count(g->book), 0);
}

/* ---- Start-up ---- */

static void found_leases_go_on_as_they_were(void **state)
{
	struct rig *g = *state, *h;
	void *other = NULL;
	struct lease found;

	ask(g, pcp(20, 7100, 7200));
	ask(g, upnp(20, 7100, 7300));
	assert_int_equal(rig_up(&other), 0);
	h = other;
	/* In the order that gives the wrong one the twin at first. */
	found = *at(g, 7300);
	assert_int_equal(registry_adopt(h->book, &found, h->now), LEASE_OK);
	assert_true(at(h, 7300)->twin);
	found = *at(g, 7200);
	assert_int_equal(registry_adopt(h->book, &found, h->now), LEASE_OK);
	assert_memory_equal(at(h, 7200), at(g, 7200), sizeof(struct lease));
	assert_memory_equal(at(h, 7300), at(g, 7300), sizeof(struct lease));
	assert_int_equal(registry_next(h->book), registry_next(g->book));
	assert_int_equal(port_of(h, pcp(20, 7100, 7100)), 7200);
	assert_int_equal(registry_adopt(h->book, &found, h->now), LEASE_TAKEN);
	rig_down(&other);
}

/* The kernel's clock of a lease without one ran on while nobody re-armed it. */
static void found_leases_without_a_clock_are_rearmed_in_time(void **state)
{
	struct rig *g = *state, *h;
	void *other = NULL;
	struct lease found;

	ask(g, flag(upnp(20, 7100, 7100), LEASE_UNTIL_GONE));
	found = *at(g, 7100);
	assert_int_equal(rig_up(&other), 0);
	h = other;
	h->now = g->now + LEASE_SILENCE_MS - 60000;
	assert_int_equal(registry_adopt(h->book, &found, h->now), LEASE_OK);
	assert_int_equal(at(h, 7100)->kernel_ms, found.kernel_ms);
	assert_true(registry_next(h->book) <= h->now);
	rig_due(h, h->now);
	assert_int_equal(at(h, 7100)->kernel_ms, h->now + LEASE_SILENCE_MS);
	assert_int_equal(at(h, 7100)->deadline_ms, found.deadline_ms);
	rig_down(&other);
}

static void found_leases_are_judged_by_the_present_policy(void **state)
{
	struct rig *g = *state;
	struct lease good, l;

	ask(g, pcp(20, 7100, 7100));
	good = *at(g, 7100);
	ask(g, as(pcp(20, 7100, 0), LEASE_OP_UNMAP));
	l = good;
	l.internal = host(1);
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_NOT_LAN);
	l = good;
	l.protocol = 33;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_PROTOCOL);
	l = good;
	l.ext_port = 8080;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_RESERVED);
	l.ext_port = 80;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_ACCESS);
	l.ext_port = 4500;
	g->used = LEASE_ROUTER;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_ROUTER);
	l = good;
	l.claims |= 1 << LEASE_BY_STATIC; /* forwards are no leases */
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_NOT_FOUND);
	l = good;
	l.claims = 0;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_NOT_FOUND);
	l = good;
	l.until_ms[LEASE_BY_PCP] = g->now;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_NOT_FOUND);
	l = good;
	l.internal = host(21); /* the port is still held for host 20 */
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_TAKEN);
	g->policy.per_host = 0;
	assert_int_equal(registry_adopt(g->book, &good, g->now), LEASE_QUOTA_HOST);
	g->policy.per_host = 1;
	l = good;
	l.until_ms[LEASE_BY_PCP] = UINT64_MAX - 5;
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_OK);
	assert_int_equal(at(g, 7100)->deadline_ms, g->now + WEEK_S * 1000ULL);
	assert_int_equal(registry_count(g->book), 1);
}

static void count_one(void *arg, const struct lease *l)
{
	assert_non_null(l);
	++*(int *)arg;
}

static void each_sees_every_live_lease_once(void **state)
{
	struct rig *g = *state;
	int n = 0;

	ask(g, pcp(20, 7100, 7100));
	ask(g, from(upnp(20, 7100, 7100), "11.0.0.2", 128));
	ask(g, map(LEASE_BY_NATPMP, 20, IPPROTO_TCP, 7100, 7100, 60));
	ask(g, pcp(20, 7101, 7101));
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, as(pcp(20, 7101, 0), LEASE_OP_UNMAP)), 0);
	registry_each(g->book, count_one, &n);
	assert_int_equal(n, 3);
	rig_confirm(g);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(a_grant_says_what_it_granted),
		T(another_suggestion_does_not_move_a_mapping),
		T(the_same_twice_at_once_is_one_step),
		T(another_nonce_is_refused_and_touches_nothing),
		T(a_mapping_without_a_nonce_adopts_the_first),
		T(a_mapping_that_pcp_has_left_takes_a_new_nonce),
		T(prefer_failure_wants_that_port_or_none),
		T(a_suggestion_that_cannot_be_is_answered_with_another_port),
		T(tcp_and_udp_of_one_port_go_to_one_host_where_we_choose),
		T(a_udp_mapping_is_no_tcp_mapping),
		T(lifetimes_are_clamped_by_protocol),
		T(deleting_what_is_not_there_succeeds),
		T(delete_all_takes_one_protocol_of_one_host),
		T(a_released_port_waits_two_minutes_for_its_owner),
		T(a_mapping_ends_when_its_time_has_come_not_before),
		T(at_the_quota_renewals_and_deletes_are_served),
		T(who_asks_too_often_gets_no_answer),
		T(the_first_refusal_wins),
		T(the_same_host_overwrites_its_mapping),
		T(an_overwritten_inside_port_moves_the_lease),
		T(upnp_does_not_move_what_pcp_was_promised),
		T(one_port_by_two_protocols_is_one_lease_until_both_have_gone),
		T(the_lease_lives_as_long_as_its_latest_claim),
		T(two_external_ports_of_one_inside_port_both_work),
		T(one_host_may_have_one_port_for_several_remotes),
		T(pcp_opens_to_everybody_beside_a_restricted_mapping),
		T(restricted_mappings_have_their_own_caps),
		T(any_port_gives_the_own_one_again_or_another),
		T(deleting_by_port_names_what_is_absent_or_anothers),
		T(a_disabled_entry_is_kept_and_counted),
		T(a_lease_without_a_clock_is_rearmed_at_half_for_a_week),
		T(a_clock_beside_no_clock_is_kept_in_the_kernel),
		T(listings_leave_out_what_only_triggers_opened),
		T(reading_tells_what_is_left_but_no_nonce),
		T(the_admin_opens_reserved_and_low_ports_beyond_quotas),
		T(the_admins_delete_ends_the_lease_whoever_keeps_it),
		T(a_lease_with_an_open_step_makes_others_wait),
		T(an_end_does_not_wait_for_others_on_the_port),
		T(a_request_that_was_put_off_costs_no_token),
		T(the_port_of_an_end_that_is_not_confirmed_is_in_use),
		T(what_the_kernel_refuses_never_was),
		T(an_end_that_the_kernel_refuses_is_tried_again_a_second_later),
		T(leases_that_are_due_together_have_their_own_marks),
		T(due_does_no_more_than_it_may),
		T(found_leases_go_on_as_they_were),
		T(found_leases_without_a_clock_are_rearmed_in_time),
		T(found_leases_are_judged_by_the_present_policy),
		T(each_sees_every_live_lease_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
