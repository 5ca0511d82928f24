/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "trigger/turns.h"

/* Leases of UDP, whose host is 10.0.0.(the value); 0: free. */
static struct {
	uint8_t owner[65536];
	uint16_t inside[65536];
	uint64_t left_ms[256]; /* of a host, towards any port */
	uint16_t refused;      /* this one is given to nobody */
	size_t asked;
	bool allowed;
	struct turns *turns;
} world;

static const struct lease_trigger rules[] = {
	{.name = "whole",
	 .n_when = 1,
	 .when = {{.tcp = true, .first = 6112, .last = 6112}},
	 .n_open = 2,
	 .open = {{.udp = true, .first = 7000, .last = 7001},
		  {.udp = true, .first = 7005, .last = 7005}},
	 .idle_s = 900},
	{.name = "shared",
	 .n_when = 1,
	 .when = {{.tcp = true, .udp = true, .first = 3000, .last = 3010}},
	 .n_open = 1,
	 .open = {{.udp = true, .first = 3074, .last = 3076}},
	 .share = true,
	 .idle_s = 60},
};

static struct in_addr host(uint8_t n)
{
	return (struct in_addr){.s_addr = htonl(0x0a000000U + n)};
}

static uint8_t number(struct in_addr a)
{
	return (uint8_t)ntohl(a.s_addr);
}

static enum turns_port whose(void *arg, const struct turns_want *w)
{
	(void)arg;
	assert_int_equal(w->protocol, IPPROTO_UDP);
	if (!world.owner[w->ext_port])
		return TURNS_FREE;
	return world.owner[w->ext_port] == number(w->host) &&
			       world.inside[w->ext_port] == w->int_port
		       ? TURNS_OWN
		       : TURNS_OTHERS;
}

static void ask(void *arg, const struct turns_want *w)
{
	(void)arg;
	world.asked++;
	if (w->ext_port == world.refused) {
		turns_refused(world.turns, w->host, w->protocol, w->ext_port, 0);
		return;
	}
	assert_int_not_equal(whose(NULL, w), TURNS_OTHERS); /* never a theft */
	world.owner[w->ext_port] = number(w->host);
	world.inside[w->ext_port] = w->int_port;
}

static uint64_t left(void *arg, struct in_addr h, uint8_t protocol, uint16_t port)
{
	(void)arg;
	(void)protocol;
	(void)port;
	return world.left_ms[number(h)];
}

static bool allowed(void *arg, const struct lease_trigger *rule, struct in_addr h,
		    int lan)
{
	(void)arg;
	(void)rule;
	(void)h;
	(void)lan;
	return world.allowed;
}

static const struct turns_ops ops = {whose, ask, left};

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.allowed = true;
	world.turns = turns_new(&ops, NULL);
	assert_non_null(world.turns);
	turns_configure(world.turns, rules, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	turns_free(world.turns);
	return 0;
}

static bool sends(uint8_t n, uint16_t port, uint64_t now_ms)
{
	world.left_ms[n] = 900000;
	turns_event(world.turns, host(n), 0, IPPROTO_TCP, port, allowed, NULL);
	return turns_serve(world.turns, now_ms);
}

static void a_host_gets_all_ports_of_the_rule(void **state)
{
	(void)state;
	assert_false(sends(1, 6112, 0));
	assert_int_equal(world.owner[7000], 1);
	assert_int_equal(world.owner[7001], 1);
	assert_int_equal(world.owner[7005], 1);
	assert_int_equal(world.inside[7001], 7001);
	assert_int_equal(world.asked, 3);
	assert_true(turns_concern(world.turns, IPPROTO_UDP, 7005) &&
		    !turns_concern(world.turns, IPPROTO_UDP, 3074));
	assert_false(turns_serve(world.turns, 1000));
	assert_int_equal(world.asked, 3); /* nobody asks without need */
	assert_false(sends(1, 6113, 0));  /* not watched */
	assert_int_equal(world.asked, 3);
}

static void the_next_one_waits_and_gets_them_in_its_turn(void **state)
{
	(void)state;
	sends(1, 6112, 0);
	assert_true(sends(2, 6112, 1));
	assert_true(sends(3, 6112, 2));
	assert_int_equal(world.owner[7000], 1);
	world.left_ms[1] = 0; /* it fell silent, its leases ended */
	world.owner[7000] = world.owner[7001] = world.owner[7005] = 0;
	assert_true(turns_serve(world.turns, 3));
	assert_int_equal(world.owner[7000], 2);
	assert_int_equal(world.owner[7005], 2);
	world.left_ms[2] = 0;
	world.owner[7000] = world.owner[7001] = world.owner[7005] = 0;
	assert_false(turns_serve(world.turns, 4));
	assert_int_equal(world.owner[7000], 3);
}

static void who_has_fallen_silent_while_it_waited_gets_nothing(void **state)
{
	(void)state;
	sends(1, 6112, 0);
	sends(2, 6112, 1);
	world.left_ms[1] = world.left_ms[2] = 0;
	world.owner[7000] = world.owner[7001] = world.owner[7005] = 0;
	assert_false(turns_serve(world.turns, 3));
	assert_int_equal(world.owner[7000], 0);
}

static void each_gets_a_port_of_a_shared_range(void **state)
{
	(void)state;
	assert_false(sends(1, 3000, 0));
	assert_false(sends(2, 3010, 0));
	assert_false(sends(3, 3005, 0));
	assert_true(sends(4, 3005, 0)); /* there are three */
	for (uint8_t i = 1; i < 4; i++) {
		assert_int_equal(world.owner[3073 + i], i);
		assert_int_equal(world.inside[3073 + i], 3074);
	}
	assert_false(sends(1, 3000, 9) && world.owner[3074] != 1);
	world.owner[3075] = 0;
	world.left_ms[2] = 0;
	assert_false(turns_serve(world.turns, 10));
	assert_int_equal(world.owner[3075], 4);
}

static void of_a_shared_range_the_next_port_may_do(void **state)
{
	(void)state;
	world.refused = 3074;
	assert_true(sends(1, 3000, 0)); /* and once more, in a moment */
	assert_false(turns_serve(world.turns, 1000));
	assert_int_equal(world.owner[3075], 1);
}

static void who_was_refused_is_asked_for_later(void **state)
{
	(void)state;
	world.refused = 7005;
	sends(1, 6112, 0);
	assert_int_equal(world.asked, 3);
	assert_true(turns_serve(world.turns, TURNS_AGAIN_MS - 1));
	assert_int_equal(world.asked, 3);
	world.refused = 0;
	assert_false(turns_serve(world.turns, TURNS_AGAIN_MS));
	assert_int_equal(world.owner[7005], 1);
}

static void what_was_taken_away_waits_for_silence(void **state)
{
	(void)state;
	sends(1, 6112, 0);
	world.owner[7000] = 0;
	turns_forget(world.turns, host(1), IPPROTO_UDP, 7000);
	assert_false(turns_serve(world.turns, 1));
	assert_int_equal(world.owner[7000], 0);
	assert_int_equal(turns_left(world.turns, host(1), IPPROTO_UDP, 7000), 0);
	sends(1, 6112, 2); /* the kernel tells of it after its silence only */
	assert_int_equal(world.owner[7000], 1);
}

static void time_left_is_that_of_the_rule(void **state)
{
	(void)state;
	sends(1, 3000, 0);
	sends(2, 6112, 0);
	world.left_ms[1] = 899000; /* of 900 s, a second ago */
	assert_int_equal(turns_left(world.turns, host(1), IPPROTO_UDP, 3074), 59000);
	world.left_ms[1] = 840000;
	assert_int_equal(turns_left(world.turns, host(1), IPPROTO_UDP, 3074), 0);
	world.left_ms[2] = 1000;
	assert_int_equal(turns_left(world.turns, host(2), IPPROTO_UDP, 7005), 1000);
	assert_int_equal(turns_left(world.turns, host(2), IPPROTO_UDP, 3074), 0);
	assert_int_equal(turns_longest(world.turns), 900);
}

static void who_is_not_meant_gets_nothing(void **state)
{
	(void)state;
	world.allowed = false;
	assert_false(sends(1, 6112, 0));
	assert_int_equal(world.asked, 0);
}

static void there_is_a_limit_and_the_silent_make_room(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < TURNS_MAX + 10; i++) {
		struct in_addr h = {.s_addr = htonl(0x0a000001U + (i << 8))};

		world.left_ms[1] = 900000; /* all of them */
		turns_event(world.turns, h, 0, IPPROTO_TCP, 6112, allowed, NULL);
	}
	world.left_ms[1] = 0;
	assert_false(sends(2, 3000, 0));
	assert_int_equal(world.owner[3074], 2);
}

static void other_rules_begin_anew(void **state)
{
	(void)state;
	sends(1, 6112, 0);
	turns_configure(world.turns, rules + 1, 1);
	assert_int_equal(turns_longest(world.turns), 60);
	world.owner[7000] = 0;
	assert_false(turns_serve(world.turns, 1));
	assert_int_equal(world.owner[7000], 0);
	assert_true(turns_opens(&rules[1], IPPROTO_UDP, 3076) &&
		    !turns_opens(&rules[1], IPPROTO_TCP, 3076) &&
		    !turns_opens(&rules[1], IPPROTO_UDP, 3077));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_host_gets_all_ports_of_the_rule),
		TEST(the_next_one_waits_and_gets_them_in_its_turn),
		TEST(who_has_fallen_silent_while_it_waited_gets_nothing),
		TEST(each_gets_a_port_of_a_shared_range),
		TEST(of_a_shared_range_the_next_port_may_do),
		TEST(who_was_refused_is_asked_for_later),
		TEST(what_was_taken_away_waits_for_silence),
		TEST(time_left_is_that_of_the_rule),
		TEST(who_is_not_meant_gets_nothing),
		TEST(there_is_a_limit_and_the_silent_make_room),
		TEST(other_rules_begin_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
