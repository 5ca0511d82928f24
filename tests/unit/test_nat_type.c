/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/nat_type.h"

static const struct config_open_nat open_nat = {.udp_remotes = 2,
						.tcp_remotes = 4,
						.window_s = 60,
						.idle_s = 120,
						.per_host = 16,
						.n_instant = 1};
static struct check_report check;
static struct nat_type got;

static struct nat_type_facts good(void)
{
	memset(&check, 0, sizeof(check));
	return (struct nat_type_facts){
		.lan = "br-lan",
		.host = "192.168.1.20",
		.open_nat = true,
		.own_masquerade = true,
		.may_ask = true,
		.leases = 3,
		.quota = 64,
		.config = &open_nat,
		.check = &check,
	};
}

static void finding(enum check_severity severity, const char *id)
{
	check.finding[check.n++] = (struct check_finding){
		.severity = severity, .id = id, .text = "what", .fix = "do"};
}

static bool reason(const char *id)
{
	for (size_t i = 0; i < got.n; i++)
		if (strcmp(got.reason[i].id, id) == 0)
			return true;
	return false;
}

static void assert_grades(const char *xbox, const char *playstation, const char *nintendo)
{
	assert_string_equal(got.grades.xbox, xbox);
	assert_string_equal(got.grades.playstation, playstation);
	assert_string_equal(got.grades.nintendo, nintendo);
}

static void open_nat_is_independent_in_both(void **state)
{
	struct nat_type_facts f = good();

	(void)state;
	nat_type_judge(&f, &got);
	assert_int_equal(got.mapping, NAT_MAPPING_INDEPENDENT);
	assert_int_equal(got.filtering, NAT_FILTERING_INDEPENDENT);
	assert_false(got.at_best);
	assert_grades("Open", "Type 2", "A");
	assert_true(reason("own-ports") && reason("open-nat") && reason("may-ask"));
	assert_int_equal(got.n, 3);
	assert_string_equal(
		got.reason[1].text,
		"a port that sends to 2 addresses within 60 s (TCP: 4) is open to "
		"everybody until it has been silent for 120 s; towards the ports of "
		"NAT tests the first packet opens it");
}

static void without_it_the_port_stays_and_strangers_stay_out(void **state)
{
	struct nat_type_facts f = good();

	(void)state;
	f.open_nat = false;
	nat_type_judge(&f, &got);
	assert_int_equal(got.mapping, NAT_MAPPING_INDEPENDENT);
	assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
	assert_grades("Moderate", "Type 2", "B");
	assert_string_equal(got.reason[1].fix, "open-nat = true in the lan block");
	f.by_access = true;
	nat_type_judge(&f, &got);
	assert_string_equal(got.reason[1].fix, "open-nat = true in that rule");
}

static void a_full_quota_opens_no_more(void **state)
{
	struct nat_type_facts f = good();

	(void)state;
	f.leases = 64;
	nat_type_judge(&f, &got);
	assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
	assert_true(reason("quota") && !reason("open-nat"));
	f = good();
	f.leases = f.openings = 16;
	nat_type_judge(&f, &got);
	assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
	assert_true(reason("quota") && !reason("open-nat"));
	assert_string_equal(got.reason[1].fix, "per-host in the open-nat block");
}

static void open_nat_for_nobody_is_off(void **state)
{
	struct config_open_nat none = open_nat;
	struct nat_type_facts f = good();

	(void)state;
	none.per_host = 0;
	f.config = &none;
	nat_type_judge(&f, &got);
	assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
	assert_true(reason("open-nat-off"));
}

static void where_others_choose_ports_it_may_be_worse(void **state)
{
	struct nat_type_facts f = good();

	(void)state;
	f.own_masquerade = false;
	f.may_ask = false;
	nat_type_judge(&f, &got);
	assert_int_equal(got.mapping, NAT_MAPPING_UNKNOWN);
	assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
	assert_true(got.at_best);
	assert_true(reason("foreign-ports") && reason("open-nat-off") &&
		    !reason("may-ask"));
	assert_grades("Moderate", "Type 2", "B");
}

static void a_filter_of_others_keeps_strangers_out(void **state)
{
	struct nat_type_facts f = good();

	(void)state;
	finding(CHECK_BLOCK, "forward-drop");
	nat_type_judge(&f, &got);
	assert_int_equal(got.mapping, NAT_MAPPING_INDEPENDENT);
	assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
	assert_false(got.at_best);
	assert_true(reason("forward-drop"));
	f = good();
	finding(CHECK_WARNING, "forward-maybe");
	nat_type_judge(&f, &got);
	assert_int_equal(got.filtering, NAT_FILTERING_INDEPENDENT);
	assert_true(got.at_best);
}

static void behind_another_nat_that_one_decides(void **state)
{
	static const char *const ids[] = {"cgnat", "double-nat"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct nat_type_facts f = good();

		finding(CHECK_BLOCK, ids[i]);
		nat_type_judge(&f, &got);
		assert_int_equal(got.mapping, NAT_MAPPING_UNKNOWN);
		assert_int_equal(got.filtering, NAT_FILTERING_ADDRESS_PORT);
		assert_true(got.at_best && reason(ids[i]));
		assert_grades("Moderate", "Type 2", "B");
	}
}

static void without_a_way_out_there_is_no_grade(void **state)
{
	struct nat_type_facts f = good();

	(void)state;
	finding(CHECK_BLOCK, "wan-down");
	nat_type_judge(&f, &got);
	assert_int_equal(got.mapping, NAT_MAPPING_UNKNOWN);
	assert_int_equal(got.filtering, NAT_FILTERING_UNKNOWN);
	assert_grades("-", "-", "F");
	assert_int_equal(got.n, 1);
	assert_string_equal(got.reason[0].fix, "do");
}

static void each_console_has_its_own_words(void **state)
{
	struct nat_grades g = nat_grade(NAT_MAPPING_DEPENDENT, NAT_FILTERING_INDEPENDENT);

	(void)state;
	assert_string_equal(g.xbox, "Strict");
	assert_string_equal(g.playstation, "Type 3");
	assert_string_equal(g.nintendo, "D");
	g = nat_grade(NAT_MAPPING_INDEPENDENT, NAT_FILTERING_ADDRESS);
	assert_string_equal(g.xbox, "Moderate");
	assert_string_equal(g.nintendo, "A");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_nat_is_independent_in_both),
		cmocka_unit_test(without_it_the_port_stays_and_strangers_stay_out),
		cmocka_unit_test(a_full_quota_opens_no_more),
		cmocka_unit_test(open_nat_for_nobody_is_off),
		cmocka_unit_test(where_others_choose_ports_it_may_be_worse),
		cmocka_unit_test(a_filter_of_others_keeps_strangers_out),
		cmocka_unit_test(behind_another_nat_that_one_decides),
		cmocka_unit_test(without_a_way_out_there_is_no_grade),
		cmocka_unit_test(each_console_has_its_own_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
