/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lease/deadlines.h"

static void earliest_comes_first_whatever_the_order(void **state)
{
	struct deadlines d = {0};
	uint64_t last = 0;

	(void)state;
	srand(1);
	assert_int_equal(deadlines_reserve(&d, 1000), 0);
	for (uint32_t id = 1; id < 1000; id++)
		deadlines_set(&d, id, (uint64_t)rand() % 500);
	for (uint32_t i = 1; i < 1000; i++) {
		assert_true(deadlines_next(&d) >= last);
		last = deadlines_next(&d);
		deadlines_set(&d, deadlines_first(&d), UINT64_MAX);
	}
	assert_true(deadlines_next(&d) == UINT64_MAX);
	deadlines_fini(&d);
}

static void one_deadline_an_id_the_last_one_set(void **state)
{
	struct deadlines d = {0};

	(void)state;
	assert_int_equal(deadlines_reserve(&d, 4), 0);
	deadlines_set(&d, 1, 10);
	deadlines_set(&d, 2, 20);
	deadlines_set(&d, 1, 30);
	assert_int_equal(d.n, 2);
	assert_int_equal(deadlines_next(&d), 20);
	deadlines_set(&d, 2, 40);
	assert_int_equal(deadlines_first(&d), 1);
	deadlines_set(&d, 3, UINT64_MAX); /* was not set: nothing to take out */
	assert_int_equal(d.n, 2);
	deadlines_fini(&d);
}

static void room_grows_and_keeps_what_is_set(void **state)
{
	struct deadlines d = {0};

	(void)state;
	for (uint32_t id = 1; id < 5000; id++) {
		assert_int_equal(deadlines_reserve(&d, id + 1), 0);
		deadlines_set(&d, id, 10000 - id);
	}
	assert_int_equal(deadlines_first(&d), 4999);
	assert_int_equal(d.n, 4999);
	deadlines_fini(&d);
}

static void random_moves_match_a_plain_search(void **state)
{
	struct deadlines d = {0};
	uint64_t plain[64];

	(void)state;
	srand(2);
	for (int i = 0; i < 64; i++)
		plain[i] = UINT64_MAX;
	assert_int_equal(deadlines_reserve(&d, 64), 0);
	for (int n = 0; n < 100000; n++) {
		uint32_t id = (uint32_t)rand() % 64;
		uint64_t least = UINT64_MAX;

		plain[id] = rand() % 3 ? (uint64_t)rand() % 1000 : UINT64_MAX;
		deadlines_set(&d, id, plain[id]);
		for (int i = 0; i < 64; i++)
			least = plain[i] < least ? plain[i] : least;
		assert_true(deadlines_next(&d) == least);
		assert_true(least == UINT64_MAX || plain[deadlines_first(&d)] == least);
	}
	deadlines_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(earliest_comes_first_whatever_the_order),
		cmocka_unit_test(one_deadline_an_id_the_last_one_set),
		cmocka_unit_test(room_grows_and_keeps_what_is_set),
		cmocka_unit_test(random_moves_match_a_plain_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
