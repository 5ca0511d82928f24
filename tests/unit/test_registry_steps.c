/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The book between a request and the kernel's word on it, and at the start. */
#include "registry_rig.h"

#include <errno.h>

#define DAY_MS (86400 * 1000ULL)
#define WEEK_S 604800U

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
	struct lease_request other = of_remote(upnp(20, 7101, 7100), "11.0.0.2", 128);

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
	ask(g, of_remote(upnp(20, 7100, 7100), "11.0.0.2", 128));
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
