/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/pace.h"

static struct pace fresh(void)
{
	return (struct pace){.burst = 3, .every_ms = 1000, .share = 4};
}

static void what_is_rare_waits_for_nothing(void **state)
{
	struct pace p = fresh();

	(void)state;
	for (uint64_t now = 5000; now < 100000; now += 1000) {
		assert_int_equal(pace_wait(&p, now), 0);
		pace_done(&p, now, 100);
		assert_false(pace_is_slow(&p));
	}
}

static void after_the_burst_it_is_one_in_a_period(void **state)
{
	struct pace p = fresh();
	uint64_t now = 5000;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pace_wait(&p, now), 0);
		pace_done(&p, now, 0);
	}
	assert_true(pace_is_slow(&p));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pace_wait(&p, now), 1000);
		assert_int_equal(pace_wait(&p, now + 999), 1);
		now += 1000;
		assert_int_equal(pace_wait(&p, now), 0);
		pace_done(&p, now, 0);
	}
	assert_int_equal(pace_wait(&p, now + 3000), 0);
	assert_false(pace_is_slow(&p));
}

static void it_rests_in_proportion_to_its_work(void **state)
{
	struct pace p = fresh();

	(void)state;
	pace_done(&p, 5000, 200000);
	assert_int_equal(pace_wait(&p, 5000), 800);
	assert_int_equal(pace_wait(&p, 5799), 1);
	assert_int_equal(pace_wait(&p, 5800), 0);
	pace_done(&p, 5800, 1);
	assert_int_equal(pace_wait(&p, 5800), 1);
}

static void a_part_of_the_rest_may_be_put_off(void **state)
{
	struct pace p = {.burst = UINT32_MAX, .share = 50, .spare_ms = 2000};
	int done = 0;

	(void)state;
	for (uint64_t now = 10000; now < 10100; now += 10) {
		assert_int_equal(pace_wait(&p, now), 0);
		pace_done(&p, now, 4000);
	}
	pace_done(&p, 10100, 4000);
	assert_int_equal(pace_wait(&p, 10100), 10 * 200 + 200 - 100 - 2000);
	for (uint64_t now = 20000; now < 40000; now += 10)
		if (!pace_wait(&p, now)) {
			pace_done(&p, now, 4000);
			done++;
		}
	assert_in_range(done, 20000 / 200, 20000 / 200 + 2000 / 200 + 1);
}

/* However it is asked, no more than the burst and what comes back with time. */
static void a_hundred_tries_a_second_get_their_share(void **state)
{
	struct pace p = fresh();
	int done = 0;

	(void)state;
	for (uint64_t now = 0; now < 20000; now += 10)
		if (!pace_wait(&p, now)) {
			pace_done(&p, now, 1000);
			done++;
		}
	assert_in_range(done, 20, 23);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_rare_waits_for_nothing),
		cmocka_unit_test(after_the_burst_it_is_one_in_a_period),
		cmocka_unit_test(it_rests_in_proportion_to_its_work),
		cmocka_unit_test(a_part_of_the_rest_may_be_put_off),
		cmocka_unit_test(a_hundred_tries_a_second_get_their_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
