/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "pcp/updates.h"

#define NOW 1000000ULL
#define HOUR_MS 3600000ULL

static int set_up(void **state)
{
	*state = updates_new(4711);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	updates_free(*state);
	return 0;
}

static struct in6_addr host(uint32_t n)
{
	return addr_from_v4((struct in_addr){htonl(0xc0a80000 + n)});
}

static struct update mapping(uint32_t n, uint16_t port)
{
	return (struct update){.to = {.addr = host(n), .port = 40000},
			       .internal = host(n),
			       .protocol = IPPROTO_UDP,
			       .int_port = port,
			       .ext_port = port,
			       .until_ms = NOW + HOUR_MS};
}

static void put(struct updates *u, uint32_t n, uint16_t port)
{
	struct update m = mapping(n, port);

	updates_put(u, &m);
}

static void drop(struct updates *u, uint32_t n, uint16_t port)
{
	struct in6_addr a = host(n);

	updates_drop(u, IPPROTO_UDP, &a, port);
}

/* How many are told at that time; their ports are gathered. */
static size_t told_at(struct updates *u, uint64_t now_ms, uint16_t *ports)
{
	const struct update *m;
	size_t n = 0;

	while (updates_next(u) <= now_ms) {
		m = updates_step(u, now_ms);
		if (!m)
			continue; /* it has looked at enough for one call */
		if (ports)
			ports[n] = m->int_port;
		n++;
	}
	return n;
}

/* C24: at once, 250 ms and 500 ms later. */
static void each_client_is_told_three_times(void **state)
{
	struct updates *u = *state;
	size_t total = 0;

	assert_true(updates_next(u) == UPDATES_NEVER);
	for (uint16_t p = 0; p < 100; p++)
		put(u, 1, p);
	assert_true(updates_next(u) == UPDATES_NEVER);
	updates_begin(u);
	for (uint64_t ms = 0; ms < 5000; ms++) {
		size_t n = told_at(u, NOW + ms, NULL);

		assert_int_equal(n, ms == 0 || ms == 250 || ms == 750 ? 100 : 0);
		total += n;
	}
	assert_int_equal(total, 300);
	assert_true(updates_next(u) == UPDATES_NEVER);
}

/* C24: from when it has left, be it later than it was put there. */
static void what_leaves_late_makes_no_gap_shorter(void **state)
{
	struct updates *u = *state;
	struct in6_addr a = host(1);

	put(u, 1, 1);
	updates_begin(u);
	assert_int_equal(told_at(u, NOW, NULL), 1);
	assert_non_null(updates_told(u, IPPROTO_UDP, &a, 1, NOW));
	updates_sent(u, NOW + 30);
	updates_sent(u, NOW + 40); /* nothing was told since */
	assert_int_equal(told_at(u, NOW + 279, NULL), 0);
	assert_int_equal(told_at(u, NOW + 280, NULL), 1);
}

/* C24: until the client renews; and one that came with the new address knows of it. */
static void who_asks_again_is_told_no_more(void **state)
{
	struct updates *u = *state;
	uint16_t ports[8] = {0};

	put(u, 1, 1);
	put(u, 1, 2);
	put(u, 1, 3);
	updates_begin(u);
	assert_int_equal(told_at(u, NOW, ports), 3);
	put(u, 1, 2);
	put(u, 1, 4);
	drop(u, 1, 3);
	assert_int_equal(told_at(u, NOW + 250, ports), 1);
	assert_int_equal(ports[0], 1);
	put(u, 1, 1);
	assert_int_equal(told_at(u, NOW + 10000, ports), 0);
	assert_true(updates_next(u) == UPDATES_NEVER);
}

static void another_change_begins_anew(void **state)
{
	struct updates *u = *state;

	put(u, 1, 1);
	updates_begin(u);
	assert_int_equal(told_at(u, NOW, NULL), 1);
	assert_int_equal(told_at(u, NOW + 250, NULL), 1);
	updates_begin(u);
	assert_int_equal(told_at(u, NOW + 300, NULL), 1);
	assert_int_equal(told_at(u, NOW + 549, NULL), 0);
	assert_int_equal(told_at(u, NOW + 550, NULL), 1);
	assert_int_equal(told_at(u, NOW + 1050, NULL), 1);
	assert_true(updates_next(u) == UPDATES_NEVER);
	updates_begin(u);
	assert_int_equal(told_at(u, NOW + 5000, NULL), 1);
	updates_clear(u);
	assert_true(updates_next(u) == UPDATES_NEVER);
	updates_begin(u);
	assert_true(updates_next(u) == UPDATES_NEVER);
}

static void what_has_run_out_is_not_told(void **state)
{
	struct updates *u = *state;
	struct update m = mapping(1, 1);

	m.until_ms = NOW + 250;
	updates_put(u, &m);
	put(u, 1, 2);
	updates_begin(u);
	assert_int_equal(told_at(u, NOW + 249, NULL), 2);
	assert_int_equal(told_at(u, NOW + 499, NULL), 1);
}

static void a_mapping_is_known_by_protocol_host_and_port(void **state)
{
	struct updates *u = *state;
	struct update m = mapping(1, 1);

	updates_put(u, &m);
	updates_put(u, &m);
	assert_int_equal(updates_count(u), 1);
	m.protocol = IPPROTO_TCP;
	updates_put(u, &m);
	put(u, 1, 2);
	put(u, 2, 1);
	assert_int_equal(updates_count(u), 4);
	drop(u, 3, 1);
	drop(u, 1, 3);
	assert_int_equal(updates_count(u), 4);
	drop(u, 1, 1);
	assert_int_equal(updates_count(u), 3);
	drop(u, 1, 1);
	assert_int_equal(updates_count(u), 3);
}

static void options_are_copied(void **state)
{
	struct updates *u = *state;
	uint8_t bytes[24];
	struct update m = mapping(1, 1);
	const struct update *told;

	memset(bytes, 7, sizeof(bytes));
	m.options = bytes;
	m.options_len = sizeof(bytes);
	updates_put(u, &m);
	updates_put(u, &m);
	memset(bytes, 8, sizeof(bytes));
	updates_begin(u);
	told = updates_step(u, NOW);
	assert_non_null(told);
	assert_int_equal(told->options_len, sizeof(bytes));
	assert_int_equal(told->options[23], 7);
}

/* Bounded: the one that was told longest ago goes. */
static void the_oldest_are_forgotten(void **state)
{
	static uint16_t ports[UPDATES_MAX];
	struct updates *u = *state;
	size_t n;

	for (uint32_t i = 0; i < UPDATES_MAX; i++)
		put(u, 1, (uint16_t)i);
	put(u, 1, 0); /* renewed: no longer the oldest */
	for (uint32_t i = 0; i < 10; i++)
		put(u, 2, (uint16_t)(20000 + i));
	assert_int_equal(updates_count(u), UPDATES_MAX);
	updates_begin(u);
	n = told_at(u, NOW, ports);
	assert_int_equal(n, UPDATES_MAX);
	for (size_t i = 0; i < n; i++)
		assert_true(ports[i] == 0 || ports[i] > 10);
}

/* No call looks at more than a few, so that the loop gets on with its work. */
static void one_step_is_short(void **state)
{
	struct updates *u = *state;
	size_t calls = 0;

	for (uint32_t i = 0; i < UPDATES_MAX; i++)
		put(u, 1, (uint16_t)i);
	updates_begin(u);
	for (uint32_t i = 0; i < UPDATES_MAX; i++)
		put(u, 1, (uint16_t)i); /* all have asked again */
	while (updates_next(u) != UPDATES_NEVER) {
		assert_null(updates_step(u, NOW));
		calls++;
	}
	assert_true(calls >= 3 * UPDATES_MAX / UPDATES_LOOK);
}

#define UPDATES_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UPDATES_TEST(each_client_is_told_three_times),
		UPDATES_TEST(what_leaves_late_makes_no_gap_shorter),
		UPDATES_TEST(who_asks_again_is_told_no_more),
		UPDATES_TEST(another_change_begins_anew),
		UPDATES_TEST(what_has_run_out_is_not_told),
		UPDATES_TEST(a_mapping_is_known_by_protocol_host_and_port),
		UPDATES_TEST(options_are_copied),
		UPDATES_TEST(the_oldest_are_forgotten),
		UPDATES_TEST(one_step_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
