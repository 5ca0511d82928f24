/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases that nobody asked for: they last while their host sends (opennat.md 2 and 8). */
#include "lease/kept.h"
#include "registry_rig.h"

#define IDLE_S 120
#define IDLE_MS (IDLE_S * 1000ULL)

static uint64_t left_ms; /* of the host's silence */
static unsigned int asked;

static uint64_t active(void *arg, const struct lease *l, bool *elsewhere)
{
	(void)arg;
	assert_int_equal(l->idle_s, IDLE_S);
	*elsewhere = false;
	asked++;
	return left_ms;
}

static int up(void **state)
{
	struct rig *g;

	if (rig_up(state))
		return -1;
	g = *state;
	g->policy.active = active;
	left_ms = 0;
	asked = 0;
	return 0;
}

/* As the core asks when the trigger worker has told of that port. */
static struct lease_request opens(unsigned int who, uint16_t port, uint16_t ext_port)
{
	struct lease_request req = map(LEASE_BY_OPEN_NAT, who, IPPROTO_UDP, port,
				       ext_port, IDLE_S);

	req.flags |= LEASE_EXACT;
	return req;
}

static void its_host_keeps_it_and_silence_ends_it(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	assert_int_equal(ask(g, opens(20, 7100, 7100)), LEASE_OK);
	assert_true(lease_idles(at(g, 7100)));
	assert_int_equal(registry_next(g->book), start + IDLE_MS);
	left_ms = 30000;
	rig_due(g, start + IDLE_MS);
	assert_int_equal(g->out.n, 1); /* the kernel's `rev` has to be renewed */
	assert_int_equal(at(g, 7100)->kernel_ms, start + IDLE_MS + 30000);
	assert_int_equal(registry_next(g->book), start + IDLE_MS + 30000);
	left_ms = 0;
	rig_due(g, start + IDLE_MS + 29999);
	assert_non_null(at(g, 7100));
	rig_due(g, start + IDLE_MS + 30000);
	assert_null(at(g, 7100));
	assert_int_equal(g->out.step[0].end, LEASE_END_EXPIRED);
	assert_int_equal(asked, 2);
}

static void it_gets_that_port_or_none(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, pcp(21, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, opens(20, 7100, 7100)), LEASE_TAKEN);
	assert_int_equal(ask(g, opens(20, 7100, 40000)), LEASE_OK);
	assert_int_equal(at(g, 40000)->int_port, 7100);
	assert_true(at(g, 40000)->twin);
}

/* 6b: both of the port outside and of the one inside. */
static void reserved_ports_are_not_opened(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, opens(20, 8080, 40000)), LEASE_RESERVED);
	assert_int_equal(ask(g, opens(20, 7100, 8080)), LEASE_RESERVED);
}

static void a_host_has_so_many_of_them_beside_its_share(void **state)
{
	struct rig *g = *state;

	g->policy.open_nat_per_host = 2;
	assert_int_equal(ask(g, opens(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, opens(20, 7101, 7101)), LEASE_OK);
	assert_int_equal(ask(g, opens(20, 7102, 7102)), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, opens(21, 7102, 7102)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7103, 7103)), LEASE_OK);
	g->policy.per_host = 3; /* one share for both */
	assert_int_equal(ask(g, pcp(20, 7104, 7104)), LEASE_QUOTA_HOST);
	rig_due(g, g->now + IDLE_MS);
	assert_int_equal(ask(g, opens(20, 7102, 7102)), LEASE_OK);
}

static void its_requests_are_not_the_hosts(void **state)
{
	struct rig *g = *state;

	g->policy.requests_per_second = 1;
	g->policy.open_nat_per_host = 1;
	ask(g, opens(20, 7100, 7100));
	for (uint16_t p = 0; p < 100; p++)
		assert_int_equal(ask(g, opens(20, 7200, 7200)), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, pcp(20, 7300, 7300)), LEASE_OK);
}

static void lans_and_hosts_may_be_left_out_or_let_in(void **state)
{
	static struct lease_access rules[2] = {
		{.n_nets = 1, .open_nat = ACCESS_OPEN_NAT_ON},
		{.n_nets = 1, .open_nat = ACCESS_OPEN_NAT_OFF},
	};
	struct rig *g = *state;

	rules[0].nets[0] = (struct prefix){host(20), 128};
	rules[1].nets[0] = (struct prefix){host(21), 128};
	g->policy.access = rules;
	g->policy.n_access = 2;
	assert_int_equal(ask(g, opens(21, 7100, 7100)), LEASE_ACCESS);
	assert_int_equal(ask(g, opens(22, 7101, 7101)), LEASE_OK);
	g->policy.lan[0].open_nat = false;
	assert_int_equal(ask(g, opens(20, 7102, 7102)), LEASE_OK);
	assert_int_equal(ask(g, opens(22, 7103, 7103)), LEASE_ACCESS);
}

/* opennat.md 8.4: the explicit request adopts the port; it ends when both have ended. */
static void its_hosts_own_request_adopts_it(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7200);
	uint64_t start = g->now;

	ask(g, opens(20, 7100, 40000));
	assert_int_equal(registry_listed(g->book), 0);
	req.lifetime = 600;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 40000);
	assert_int_equal(g->reply.lifetime, 600);
	assert_int_equal(registry_listed(g->book), 1);
	assert_false(lease_idles(at(g, 40000)));
	/* The host is silent: only what was asked for is left. */
	rig_due(g, start + IDLE_MS);
	assert_int_equal(at(g, 40000)->claims, 1 << LEASE_BY_PCP);
	assert_int_equal(at(g, 40000)->idle_s, 0);
	rig_due(g, start + 600000);
	assert_null(at(g, 40000));
}

static void what_was_asked_for_ends_and_the_host_goes_on(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pcp(20, 7100, 7100);
	uint64_t start = g->now;

	ask(g, opens(20, 7100, 7100));
	req.lifetime = 600;
	ask(g, req);
	left_ms = IDLE_MS;
	for (uint64_t t = IDLE_MS; t <= 600000; t += IDLE_MS)
		rig_due(g, start + t);
	assert_int_equal(at(g, 7100)->claims, 1 << LEASE_BY_OPEN_NAT);
	assert_true(lease_idles(at(g, 7100)));
	assert_int_equal(registry_listed(g->book), 0);
	left_ms = 0;
	rig_due(g, start + 600000 + IDLE_MS);
	assert_null(at(g, 7100));
}

static void another_hosts_request_gets_another_port(void **state)
{
	struct rig *g = *state;

	ask(g, opens(20, 7100, 7100));
	assert_int_equal(ask(g, pcp(21, 7100, 7100)), LEASE_OK);
	assert_int_not_equal(g->reply.ext_port, 7100);
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	assert_int_equal(at(g, 7100)->claims, 1 << LEASE_BY_OPEN_NAT);
}

static void before_another_configuration_all_hosts_are_heard(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	ask(g, opens(20, 7100, 7100));
	left_ms = IDLE_MS;
	registry_listen(g->book, start + 100000);
	assert_int_equal(at(g, 7100)->kernel_ms, start + 100000 + IDLE_MS);
	assert_int_equal(registry_next(g->book), start + 100000 + IDLE_MS);
}

static void a_reboot_ends_it(void **state)
{
	struct store_lease kept;
	struct rig *g = *state;

	ask(g, opens(20, 7100, 7100));
	kept_from_lease(at(g, 7100), false, &kept);
	assert_int_equal(kept.claims, 0);
	ask(g, pcp(20, 7100, 7100));
	kept_from_lease(at(g, 7100), false, &kept);
	assert_int_equal(kept.claims, 1 << LEASE_BY_PCP);
	assert_int_equal(kept.until_ms[LEASE_BY_OPEN_NAT], 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(its_host_keeps_it_and_silence_ends_it),
		TEST(it_gets_that_port_or_none),
		TEST(reserved_ports_are_not_opened),
		TEST(a_host_has_so_many_of_them_beside_its_share),
		TEST(its_requests_are_not_the_hosts),
		TEST(lans_and_hosts_may_be_left_out_or_let_in),
		TEST(its_hosts_own_request_adopts_it),
		TEST(what_was_asked_for_ends_and_the_host_goes_on),
		TEST(another_hosts_request_gets_another_port),
		TEST(before_another_configuration_all_hosts_are_heard),
		TEST(a_reboot_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
