/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/watchdog.h"

static void env(const char *usec, const char *pid)
{
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (usec)
		setenv("WATCHDOG_USEC", usec, 1);
	if (pid)
		setenv("WATCHDOG_PID", pid, 1);
}

static void the_manager_hears_four_times_in_its_time(void **state)
{
	char self[20], other[20];
	const struct {
		const char *usec, *pid;
		bool manager;
		uint64_t every_ms;
	} cases[] = {
		{NULL, NULL, false, 10000},       {"60000000", NULL, true, 10000},
		{"2000000", self, true, 500},     {"2000000", other, false, 10000},
		{"0", NULL, false, 10000},        {"-1", NULL, false, 10000},
		{"2000000x", NULL, false, 10000}, {"2000000", "x", false, 10000},
		{"1000", NULL, true, 1},
	};
	struct watchdog w;

	(void)state;
	snprintf(self, sizeof(self), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getpid() + 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		env(cases[i].usec, cases[i].pid);
		watchdog_init(&w, 1000);
		assert_int_equal(w.manager, cases[i].manager);
		assert_int_equal(w.every_ms, cases[i].every_ms);
		assert_false(watchdog_turn(&w, 1000 + w.every_ms - 1));
		assert_true(watchdog_turn(&w, 1000 + w.every_ms));
	}
	env(NULL, NULL);
}

static void who_leaves_two_questions_open_hangs(void **state)
{
	struct watchdog w;
	uint64_t now = 0;

	(void)state;
	watchdog_init(&w, now);
	for (int i = 0; i < 50; i++) { /* answers each */
		assert_true(watchdog_turn(&w, now += w.every_ms));
		assert_false(watchdog_hangs(&w, true));
		watchdog_heard(&w);
	}
	for (int i = 0; i < 3; i++) {
		assert_false(watchdog_hangs(&w, true));
		assert_true(watchdog_turn(&w, now += w.every_ms));
	}
	assert_true(watchdog_hangs(&w, true));
	assert_false(watchdog_hangs(&w, false)); /* while it starts it is given more */
	for (int i = 0; i < 10; i++)
		assert_true(watchdog_turn(&w, now += w.every_ms));
	assert_true(watchdog_hangs(&w, false));
}

static void a_suspended_machine_asks_once(void **state)
{
	struct watchdog w;

	(void)state;
	watchdog_init(&w, 0);
	assert_true(watchdog_turn(&w, 86400000));
	assert_false(watchdog_turn(&w, 86400001));
	assert_false(watchdog_hangs(&w, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_manager_hears_four_times_in_its_time),
		cmocka_unit_test(who_leaves_two_questions_open_hangs),
		cmocka_unit_test(a_suspended_machine_asks_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
