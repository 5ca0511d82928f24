/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's settings (prior-art 2.10): also what a network namespace cannot set, which the
 * lab's router is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/check.h"

static const char *const names[] = {"ipv4/ip_forward",
				    "ipv6/conf/all/forwarding",
				    "netfilter/nf_conntrack_count",
				    "netfilter/nf_conntrack_max",
				    "netfilter/nf_conntrack_udp_timeout_stream",
				    "netfilter/nf_conntrack_tcp_timeout_established",
				    "bridge/bridge-nf-call-iptables"};
static const char *const folders[] = {"ipv4",          "ipv6",      "ipv6/conf",
				      "ipv6/conf/all", "netfilter", "bridge"};
#define N(a) (sizeof(a) / sizeof((a)[0]))

static char dir[64];

static const char *path(const char *name)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	return text;
}

static void set(const char *name, const char *value)
{
	FILE *f = fopen(path(name), "w");

	assert_non_null(f);
	fputs(value, f);
	assert_int_equal(fclose(f), 0);
}

/* As on a router that is in order. */
static int make(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/portreeve-check-XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < N(folders); i++)
		assert_int_equal(mkdir(path(folders[i]), 0700), 0);
	for (size_t i = 0; i < N(names); i++)
		set(names[i], i < 2 ? "1\n" : "0\n");
	set("netfilter/nf_conntrack_max", "65536\n");
	set("netfilter/nf_conntrack_udp_timeout_stream", "120\n");
	set("netfilter/nf_conntrack_tcp_timeout_established", "432000\n");
	return 0;
}

static int tidy(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(names); i++)
		unlink(path(names[i]));
	for (size_t i = N(folders); i > 0; i--)
		rmdir(path(folders[i - 1]));
	return rmdir(dir);
}

/* The finding of that name, or NULL. Other programs' rules are not read here. */
static const struct check_finding *find(const char *id)
{
	static const struct topology topology;
	static struct check_report r;
	struct check_facts facts = {.topology = &topology, .foreign_error = -EPERM};

	check_read_settings(dir, &facts.settings);
	check_run(&facts, &r);
	for (size_t i = 0; i < r.n; i++)
		if (strcmp(r.finding[i].id, id) == 0)
			return &r.finding[i];
	return NULL;
}

static void a_connection_table_that_is_nearly_full_is_named(void **state)
{
	const struct check_finding *f;

	(void)state;
	set("netfilter/nf_conntrack_count", "52000\n");
	assert_null(find("conntrack-full"));
	set("netfilter/nf_conntrack_count", "53000\n");
	f = find("conntrack-full");
	assert_non_null(f);
	assert_int_equal(f->severity, CHECK_WARNING);
	assert_non_null(strstr(f->text, "53000 of at most 65536"));
	assert_string_equal(f->fix, "sysctl -w net.netfilter.nf_conntrack_max=131072");
}

static void timeouts_that_are_too_short_are_named(void **state)
{
	(void)state;
	assert_null(find("udp-timeout"));
	assert_null(find("tcp-timeout"));
	set("netfilter/nf_conntrack_udp_timeout_stream", "119\n");
	set("netfilter/nf_conntrack_tcp_timeout_established", "7199\n");
	assert_non_null(find("udp-timeout"));
	assert_non_null(find("tcp-timeout"));
}

static void a_machine_that_does_not_route_is_blocked(void **state)
{
	(void)state;
	assert_null(find("ip-forward"));
	set("ipv4/ip_forward", "0\n");
	assert_non_null(find("ip-forward"));
	assert_int_equal(find("ip-forward")->severity, CHECK_BLOCK);
}

static void what_this_kernel_does_not_have_is_no_finding(void **state)
{
	static const char *const findings[] = {"conntrack-full", "udp-timeout",
					       "tcp-timeout", "ip-forward"};

	(void)state;
	for (size_t i = 0; i < N(names); i++)
		unlink(path(names[i]));
	for (size_t i = 0; i < N(findings); i++)
		assert_null(find(findings[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_connection_table_that_is_nearly_full_is_named, make, tidy),
		cmocka_unit_test_setup_teardown(timeouts_that_are_too_short_are_named,
						make, tidy),
		cmocka_unit_test_setup_teardown(a_machine_that_does_not_route_is_blocked,
						make, tidy),
		cmocka_unit_test_setup_teardown(
			what_this_kernel_does_not_have_is_no_finding, make, tidy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
