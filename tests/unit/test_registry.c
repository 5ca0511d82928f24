/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The book, one sentence of the protocols a test; rows are those of the conformance list. PCP,
 * NAT-PMP and the admin. */
#include "registry_rig.h"

#define WEEK_S 604800U

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
		T(the_admin_opens_reserved_and_low_ports_beyond_quotas),
		T(the_admins_delete_ends_the_lease_whoever_keeps_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
