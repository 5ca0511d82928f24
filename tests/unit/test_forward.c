/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the admin has laid down beside the leases: static forwards, access rules, and what
 * becomes of leases when that changes or the network does. */
#include "tests/unit/registry_rig.h"

static const struct lease_forward web = {.name = "web",
					 .first = 8090,
					 .last = 8090,
					 .int_first = 80,
					 .protocol = IPPROTO_TCP};
static const struct lease_forward game = {.name = "game",
					  .first = 20000,
					  .last = 29999,
					  .int_first = 20000,
					  .protocol = IPPROTO_UDP};

static struct lease_forward forwards[2];
static struct lease_access rules[2];

/* Both forwards lead to host 20. */
static int rig_forwards(void **state)
{
	struct rig *g;
	int err = rig_up(state);

	if (err)
		return err;
	g = *state;
	forwards[0] = web;
	forwards[1] = game;
	forwards[0].internal = forwards[1].internal = host(20);
	g->policy.forwards = forwards;
	g->policy.n_forwards = 2;
	portset_add(&g->policy.forwarded_tcp, 8090, 8090);
	portset_add(&g->policy.forwarded_udp, 20000, 29999);
	return 0;
}

static struct lease_request get(uint8_t protocol, uint16_t port)
{
	struct lease_request req = map(LEASE_BY_UPNP, 21, protocol, 0, port, 0);

	req.op = LEASE_OP_GET_PORT;
	return req;
}

static void a_forward_is_seen_among_the_leases(void **state)
{
	struct rig *g = *state;
	struct lease_request req = get(IPPROTO_TCP, 8090);

	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_OK);
	assert_int_equal(registry_listed(g->book), 3);
	assert_int_equal(registry_count(g->book), 1);
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.int_port, 80);
	assert_int_equal(g->reply.claims, 1 << LEASE_BY_STATIC);
	assert_string_equal(g->reply.description, "web");
	assert_int_equal(ask(g, get(IPPROTO_UDP, 23456)), LEASE_OK);
	assert_int_equal(g->reply.int_port, 23456);
	assert_int_equal(ask(g, get(IPPROTO_TCP, 23456)), LEASE_NOT_FOUND);
	req.op = LEASE_OP_GET_INDEX;
	for (req.index = 0; req.index < 3; req.index++)
		assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 20000);
	assert_string_equal(g->reply.description, "game 20000-29999");
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
	req.flags = LEASE_OWN; /* host 21 has none of them */
	req.index = 1;
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
	req.client = req.internal = host(20);
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 20000);
}

static void nobody_gets_the_port_of_a_forward(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(21, 7100, 25000);

	assert_int_equal(ask(g, req), LEASE_STATIC);
	req = upnp(20, 25000, 25000); /* nor its own host another lease of it */
	assert_int_equal(ask(g, req), LEASE_STATIC);
	for (uint16_t i = 0; i < 50; i++) {
		assert_int_equal(ask(g, pcp(21, (uint16_t)(7100 + i), 25000)), LEASE_OK);
		assert_false(g->reply.ext_port >= 20000 && g->reply.ext_port <= 29999);
	}
	assert_int_equal(ask(g, upnp(21, 25000, 7000)), LEASE_OK);
}

/* C45 */
static void who_asks_for_what_is_forwarded_is_told_so(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 25000, 9999);

	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 25000);
	assert_int_equal(g->reply.lifetime, UINT32_MAX);
	assert_int_equal(g->reply.flags & LEASE_NONCE, 0);
	assert_int_equal(ask(g, pmp(20, 25000, 0)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 3600);
	req.flags |= LEASE_EXACT;
	assert_int_equal(ask(g, req), LEASE_TAKEN);
	assert_int_equal(registry_count(g->book), 0);
}

/* P15, P14, C16 */
static void no_client_ends_a_forward(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(20, 0, 20001);

	ask(g, pmp(20, 7100, 7100));
	assert_int_equal(ask(g, as(pmp(20, 25000, 0), LEASE_OP_UNMAP)), LEASE_STATIC);
	assert_int_equal(ask(g, as(pmp(20, 0, 0), LEASE_OP_UNMAP_ALL)), LEASE_STATIC);
	assert_null(at(g, 7100)); /* the others still go */
	assert_int_equal(ask(g, as(pmp(21, 0, 0), LEASE_OP_UNMAP_ALL)), LEASE_OK);

	assert_int_equal(ask(g, as(pcp(20, 25000, 0), LEASE_OP_UNMAP)), LEASE_STATIC);
	req.op = LEASE_OP_UNMAP_PORT;
	assert_int_equal(ask(g, req), LEASE_STATIC);
	req.ext_port = 19999;
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
}

static void a_rule_says_which_ports_and_how_many(void **state)
{
	struct rig *g = *state;

	rules[0] = (struct lease_access){
		.n_nets = 1,
		.nets = {{host(20), 128}},
		.n_ports = 2,
		.ports = {{true, true, 5000, 5002}, {false, true, 600, 600}},
		.has_leases = true,
		.leases = 3};
	rules[1] = (struct lease_access){
		.n_nets = 1, .nets = {{host(21), 128}}, .has_leases = true};
	g->policy.access = rules;
	g->policy.n_access = 2;
	assert_int_equal(ask(g, pcp(21, 7100, 7100)), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, pcp(22, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7100, 7200)), LEASE_ACCESS);
	assert_int_equal(ask(g, upnp(20, 600, 600)), LEASE_OK);
	for (uint16_t i = 0; i < 2; i++) {
		assert_int_equal(ask(g, pcp(20, (uint16_t)(7100 + i), 9000)), LEASE_OK);
		assert_in_range(g->reply.ext_port, 5000, 5002);
	}
	assert_int_equal(ask(g, pcp(20, 7103, 5002)), LEASE_QUOTA_HOST);
	rules[0].leases = 9;
	assert_int_equal(ask(g, pcp(20, 7103, 9000)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7104, 9000)), LEASE_NO_PORT);
}

struct refusals {
	size_t n;
	enum lease_reason reason[8];
	uint16_t port[8];
};

static void note_refusal(void *arg, const struct lease *l, enum lease_reason reason)
{
	struct refusals *r = arg;

	assert_true(r->n < 8);
	r->reason[r->n] = reason;
	r->port[r->n++] = l->ext_port;
}

static int judge(struct rig *g, bool strangers, struct refusals *r)
{
	int n;

	*r = (struct refusals){0};
	g->out.n = 0;
	n = registry_judge(g->book, 100, strangers, note_refusal, r, &g->out);
	for (size_t i = 0; i < g->out.n; i++) {
		assert_int_equal(g->out.step[i].end, LEASE_END_POLICY);
		registry_confirm(g->book, &g->out.step[i]);
	}
	return n;
}

static void another_policy_ends_what_it_does_not_allow(void **state)
{
	struct rig *g = *state;
	struct refusals r;

	for (uint16_t i = 0; i < 4; i++) {
		g->now += 10;
		ask(g, pcp(20, (uint16_t)(7100 + i), (uint16_t)(7100 + i)));
	}
	assert_int_equal(judge(g, true, &r), 0);
	portset_add(&g->policy.reserved_udp, 7100, 7100);
	portset_add(&g->policy.forwarded_udp, 7101, 7101);
	assert_int_equal(judge(g, true, &r), 2);
	assert_int_equal(r.port[0], 7101); /* the youngest first */
	assert_int_equal(r.reason[0], LEASE_STATIC);
	assert_int_equal(r.reason[1], LEASE_RESERVED);
	g->policy.per_host = 1;
	assert_int_equal(judge(g, true, &r), 1);
	assert_int_equal(r.port[0], 7103);
	assert_int_equal(r.reason[0], LEASE_QUOTA_HOST);
	assert_non_null(at(g, 7102));
	g->policy.lan[0].used = false;
	assert_int_equal(judge(g, false, &r), 0);
	assert_int_equal(judge(g, true, &r), 1);
	assert_int_equal(r.reason[0], LEASE_NOT_LAN);
	assert_int_equal(registry_count(g->book), 0);
}

static void what_waits_for_the_kernel_is_judged_later(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);
	struct refusals r = {0};

	g->out.n = 0;
	assert_int_equal(registry_ask(g->book, 0, &req, g->now, 1, &g->reply, &g->out),
			 0);
	g->policy.lan[0].used = false;
	assert_int_equal(registry_judge(g->book, 100, true, note_refusal, &r, &g->out),
			 0);
	registry_confirm(g->book, &g->out.step[0]);
	assert_int_equal(judge(g, true, &r), 1);
}

static const struct lease *in(struct rig *g, struct in6_addr a, uint16_t port)
{
	return registry_find_pinhole(g->book, IPPROTO_UDP, &a, port,
				     &(struct in6_addr){0}, 0, 0);
}

static void pinholes_go_with_the_prefix(void **state)
{
	struct rig *g = *state;
	struct prefix from = {host6(0), 64}, to = {host6(0), 64};
	struct in6_addr there = host6(20);
	struct lease before;

	ask(g, pin(20, 7100));
	ask(g, pin(21, 7100));
	ask(g, pcp(20, 7100, 7100));
	before = *in(g, host6(20), 7100);
	to.addr.s6_addr[5] = there.s6_addr[5] = 2;
	g->out.n = 0;
	assert_int_equal(registry_follow(g->book, &from, &to, 100, &g->out), 0);
	g->policy.lan[0].nets[1] = to; /* only there may they go */
	assert_int_equal(registry_follow(g->book, &from, &to, 100, &g->out), 4);
	/* The kernel refuses the first one, in reverse order. */
	for (size_t i = 4; i-- > 2;)
		registry_revert(g->book, &g->out.step[i]);
	registry_confirm(g->book, &g->out.step[0]);
	registry_confirm(g->book, &g->out.step[1]);
	assert_int_equal(registry_count(g->book), 3);
	g->out.n = 0;
	assert_int_equal(registry_follow(g->book, &from, &to, 100, &g->out), 2);
	assert_int_equal(g->out.step[0].end, LEASE_END_MOVED);
	registry_confirm(g->book, &g->out.step[0]);
	registry_confirm(g->book, &g->out.step[1]);
	assert_null(in(g, host6(20), 7100));
	assert_non_null(in(g, there, 7100));
	assert_true(in(g, there, 7100)->deadline_ms == before.deadline_ms);
	assert_memory_equal(in(g, there, 7100)->nonce, before.nonce,
			    sizeof(before.nonce));
	assert_non_null(at(g, 7100));
	assert_int_equal(g->book->pinholes, 2);
	g->out.n = 0;
	assert_int_equal(registry_follow(g->book, &from, &to, 100, &g->out), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_up, rig_down)
#define FORWARDED(name) cmocka_unit_test_setup_teardown(name, rig_forwards, rig_down)
	const struct CMUnitTest tests[] = {
		FORWARDED(a_forward_is_seen_among_the_leases),
		FORWARDED(nobody_gets_the_port_of_a_forward),
		FORWARDED(who_asks_for_what_is_forwarded_is_told_so),
		FORWARDED(no_client_ends_a_forward),
		TEST(a_rule_says_which_ports_and_how_many),
		TEST(another_policy_ends_what_it_does_not_allow),
		TEST(what_waits_for_the_kernel_is_judged_later),
		TEST(pinholes_go_with_the_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
