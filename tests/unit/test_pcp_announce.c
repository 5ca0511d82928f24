/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/addr.h"
#include "pcp/announce.h"

#define START 1000000ULL

static const uint64_t sent_after_ms[ANNOUNCE_TIMES] = {0,    250,   750,   1750,  3750,
						       7750, 15750, 31750, 63750, 127750};

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void set_state(struct announce *a, const char *wan, uint64_t epoch_ms,
		      uint64_t now_ms)
{
	struct in6_addr addr = address(wan);

	announce_state(a, &addr, epoch_ms, now_ms);
}

/* Lets a loop run that wakes each millisecond; the series must be that of the RFCs. */
static void assert_series(struct announce *a, uint64_t from_ms)
{
	unsigned int n = 0;

	for (uint64_t ms = from_ms; ms < from_ms + 300000; ms++) {
		if (announce_next(a) > ms) {
			assert_false(announce_due(a, ms));
			continue;
		}
		assert_true(announce_due(a, ms));
		assert_true(n < ANNOUNCE_TIMES);
		assert_int_equal(ms - from_ms, sent_after_ms[n]);
		n++;
	}
	assert_int_equal(n, ANNOUNCE_TIMES);
	assert_true(announce_next(a) == ANNOUNCE_NEVER);
}

/* P18, C23: ten times, 250 ms and then twice as long each, the last after 127.75 s. */
static void a_series_is_of_ten_with_doubling_gaps(void **state)
{
	struct announce a;

	(void)state;
	announce_init(&a, true, true);
	assert_true(announce_next(&a) == ANNOUNCE_NEVER);
	set_state(&a, "11.0.0.7", START, START);
	assert_series(&a, START);
}

/* C23: "at least" 250 ms, so a late loop does not catch up. */
static void a_late_loop_makes_no_gap_shorter(void **state)
{
	uint64_t now = START;
	struct announce a;

	(void)state;
	announce_init(&a, true, true);
	set_state(&a, "11.0.0.7", START, START);
	for (unsigned int i = 0; i < ANNOUNCE_TIMES; i++) {
		now = announce_next(&a) + 1000;
		assert_true(announce_due(&a, now));
		if (i == ANNOUNCE_TIMES - 1)
			break;
		assert_true(announce_next(&a) - now == 250ULL << i);
		announce_sent(&a,
			      now + 30); /* it was put at `now` and has left only then */
		announce_sent(&a, now + 40); /* nothing was put since */
		assert_true(announce_next(&a) - now == (250ULL << i) + 30);
	}
	assert_true(announce_next(&a) == ANNOUNCE_NEVER);
}

/* P18, P27, C23, C24: start, loss of the table, a new address; not what changes nothing. */
static void causes_begin_it_anew_and_nothing_else(void **state)
{
	uint64_t now = START;
	struct announce a;

	(void)state;
	announce_init(&a, true, true);
	set_state(&a, "11.0.0.7", START, now);
	assert_series(&a, now);
	now += 300000;
	set_state(&a, "11.0.0.7", START, now);
	assert_true(announce_next(&a) == ANNOUNCE_NEVER);
	set_state(&a, "::", START, now); /* it went: nothing to tell */
	assert_true(announce_next(&a) == ANNOUNCE_NEVER);
	set_state(&a, "11.0.0.7", START, now); /* and is back */
	assert_series(&a, now);
	now += 300000;
	set_state(&a, "11.0.0.8", START, now);
	assert_series(&a, now);
	now += 300000;
	set_state(&a, "11.0.0.8", now, now);
	assert_true(announce_due(&a, now));
	assert_true(announce_due(&a, now + 250));
	set_state(&a, "11.0.0.9", now + 300, now + 300); /* in the middle of a series */
	assert_series(&a, now + 300);
}

/* P18, C22, C25: the reply that clients know, the epoch of now in each. */
static void each_says_the_epoch_of_now(void **state)
{
	static const uint8_t natpmp[12] = {0, 128, 0, 0, 0, 0, 2, 0xbc, 11, 0, 0, 7};
	static const uint8_t pcp[24] = {2, 128, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xbc};
	uint8_t out[64];
	struct announce a;

	(void)state;
	announce_init(&a, true, true);
	set_state(&a, "11.0.0.7", START, START);
	assert_int_equal(announce_natpmp(&a, START + 700999, out, sizeof(out)), 12);
	assert_memory_equal(out, natpmp, 12);
	assert_int_equal(announce_pcp(&a, START + 700999, out, sizeof(out)), 24);
	assert_memory_equal(out, pcp, 24);
	assert_int_equal(announce_natpmp(&a, START + 701000, out, sizeof(out)), 12);
	assert_int_equal(out[7], 0xbd);
	assert_int_equal(announce_pcp(&a, START + 701000, out, sizeof(out)), 24);
	assert_int_equal(out[11], 0xbd);
	assert_int_equal(announce_natpmp(&a, START, out, 11), 0);
	assert_int_equal(announce_pcp(&a, START, out, 23), 0);
}

/* P6, P28: what is not served is not announced; nor is an address that is not there. */
static void what_is_off_is_not_announced(void **state)
{
	uint8_t out[64];
	struct announce a;

	(void)state;
	announce_init(&a, false, true);
	set_state(&a, "11.0.0.7", START, START);
	assert_int_equal(announce_natpmp(&a, START, out, sizeof(out)), 0);
	assert_int_equal(announce_pcp(&a, START, out, sizeof(out)), 24);
	announce_init(&a, true, false);
	set_state(&a, "11.0.0.7", START, START);
	assert_int_equal(announce_natpmp(&a, START, out, sizeof(out)), 12);
	assert_int_equal(announce_pcp(&a, START, out, sizeof(out)), 0);
	set_state(&a, "::", START, START);
	assert_int_equal(announce_natpmp(&a, START, out, sizeof(out)), 0);
	announce_init(&a, false, false);
	set_state(&a, "11.0.0.7", START, START);
	assert_true(announce_next(&a) == ANNOUNCE_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_series_is_of_ten_with_doubling_gaps),
		cmocka_unit_test(a_late_loop_makes_no_gap_shorter),
		cmocka_unit_test(causes_begin_it_anew_and_nothing_else),
		cmocka_unit_test(each_says_the_epoch_of_now),
		cmocka_unit_test(what_is_off_is_not_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
