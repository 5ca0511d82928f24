/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which verdict holds where several could. What is true of a machine: tests/lab/test_explain.py */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "daemon/explain.h"

static struct explain_report report;
static struct check_report findings;
static struct lease lease;

/* A lease that works. */
static struct explain_facts good(void)
{
	struct explain_facts f = {.protocol = IPPROTO_UDP,
				  .port = 3074,
				  .now_ms = 100000,
				  .wall_ms = 1700000000000,
				  .lease = &lease,
				  .in_kernel = 1,
				  .left_ms = 60000,
				  .findings = &findings,
				  .wan = "ppp0",
				  .host = EXPLAIN_HOST_THERE};

	lease = (struct lease){.protocol = IPPROTO_UDP,
			       .ext_port = 3074,
			       .int_port = 4000,
			       .enabled = true,
			       .origin = LEASE_BY_PCP,
			       .claims = 1 << LEASE_BY_PCP,
			       .created_ms = 90000,
			       .deadline_ms = 160000};
	findings = (struct check_report){0};
	addr_parse("192.168.1.20", &lease.internal);
	addr_parse("11.0.0.1", &f.wan4);
	return f;
}

static void found(enum check_severity severity, const char *id)
{
	struct check_finding *f = &findings.finding[findings.n++];

	f->severity = severity;
	f->id = id;
	strcpy(f->text, id);
	strcpy(f->fix, "mend it");
}

static void verdict(const struct explain_facts *f, const char *want, const char *reason)
{
	explain_run(f, &report);
	assert_string_equal(report.verdict, want);
	assert_int_equal(report.open, strcmp(want, "open") == 0);
	if (reason)
		assert_string_equal(report.reason, reason);
	else
		assert_null(report.reason);
	assert_true(report.text[0]);
	assert_in_range(report.n, 1, EXPLAIN_FACTS);
	for (size_t i = 0; i < report.n; i++)
		assert_true(report.fact[i].id && report.fact[i].text[0]);
}

/* What is nearer to the lease goes first; all that is wrong is among the facts. */
static void the_first_thing_that_is_wrong_is_the_verdict(void **state)
{
	struct explain_facts f = good();

	(void)state;
	verdict(&f, "open", NULL);
	found(CHECK_WARNING, "double-nat");
	verdict(&f, "double-nat", NULL);
	f.host = EXPLAIN_HOST_GONE;
	verdict(&f, "host-gone", NULL);
	found(CHECK_BLOCK, "forward-drop");
	verdict(&f, "forward-drop", NULL);
	assert_string_equal(report.fix, "mend it");
	f.in_kernel = 0;
	verdict(&f, "not-in-kernel", NULL);
	lease.enabled = false;
	verdict(&f, "disabled", NULL);
	assert_in_range(report.n, 6, EXPLAIN_FACTS);
}

static void warnings_are_no_verdict(void **state)
{
	struct explain_facts f = good();

	(void)state;
	found(CHECK_WARNING, "forward-maybe");
	f.in_kernel = -EPERM;
	f.host = EXPLAIN_HOST_UNKNOWN;
	f.flows_error = -ENOBUFS;
	verdict(&f, "open", NULL);
	assert_false(
		report.try_listener); /* a host that is not next to us is not tried */
}

/* Somebody from the internet is connected: the other router forwards. */
static void who_has_come_in_proves_that_it_is_open(void **state)
{
	struct explain_facts f = good();

	(void)state;
	found(CHECK_WARNING, "double-nat");
	verdict(&f, "double-nat", NULL);
	assert_true(report.try_listener);
	f.n_in = f.n_answered = 1;
	verdict(&f, "double-nat", NULL); /* from a neighbour before the other router */
	f.from_outside = true;
	verdict(&f, "open", NULL);
	assert_false(report.try_listener);
}

static void without_a_lease_the_last_event_tells(void **state)
{
	struct explain_facts f = good();
	struct store_event e = {.time_ms = f.wall_ms - 5000,
				.what = STORE_REFUSED,
				.reason = LEASE_QUOTA_HOST,
				.by = LEASE_BY_UPNP,
				.protocol = IPPROTO_UDP,
				.ext_port = 3074,
				.int_port = 4000};

	(void)state;
	addr_parse("192.168.1.20", &e.internal);
	f.lease = NULL;
	f.history_known = true;
	verdict(&f, "no-lease", NULL);
	f.event = &e;
	verdict(&f, "refused", "quota-host");
	assert_non_null(
		strstr(report.text, "192.168.1.20 asked for udp/3074 by upnp 5s ago"));
	e.what = STORE_ENDED;
	e.reason = LEASE_END_GONE;
	verdict(&f, "ended", "gone");
	f.policy = LEASE_RESERVED; /* since then */
	verdict(&f, "refused", "reserved");
	f.event = NULL;
	f.history_known = false;
	verdict(&f, "refused", "reserved");
	f.policy = LEASE_OK;
	verdict(&f, "no-lease", NULL);
	assert_non_null(strstr(report.text, "as far as is known"));
}

static void more_findings_than_there_is_room_for_are_left_out(void **state)
{
	struct explain_facts f = good();

	(void)state;
	while (findings.n < CHECK_FINDINGS)
		found(CHECK_WARNING, "forward-maybe");
	f.n_in = 2;
	f.n_answered = 1;
	f.others = 1;
	lease.n_filters = 1;
	verdict(&f, "open", NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_thing_that_is_wrong_is_the_verdict),
		cmocka_unit_test(warnings_are_no_verdict),
		cmocka_unit_test(who_has_come_in_proves_that_it_is_open),
		cmocka_unit_test(without_a_lease_the_last_event_tells),
		cmocka_unit_test(more_findings_than_there_is_room_for_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
