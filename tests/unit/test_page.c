/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "igd/page.h"

static struct record_state wan(const char *addr)
{
	struct record_state s = {.wan_up = addr != NULL, .wan_since_ms = 1000};

	if (addr)
		assert_int_equal(addr_parse(addr, &s.wan4), 0);
	return s;
}

static struct record_row row(const char *description)
{
	struct record_row r = {
		.protocol = IPPROTO_UDP,
		.end = ROW_END_TIME,
		.claims = 1 << LEASE_BY_UPNP,
		.int_port = 3074,
		.ext_port = 3074,
		.left_s = 3599,
		.age_s = 1,
	};

	assert_int_equal(addr_parse("192.168.77.20", &r.internal), 0);
	assert_true(strlen(description) < sizeof(r.description));
	memcpy(r.description, description, strlen(description));
	return r;
}

/* The caller frees it. */
static char *page_of(const struct record_state *s, const struct record_row *rows,
		     size_t n, bool more, uint64_t now_ms)
{
	size_t size = PAGE_SIZE(n);
	char *buf = malloc(size);
	struct text t;

	assert_non_null(buf);
	t = text_in(buf, size);
	page_write(&t, s, rows, n, more, now_ms);
	assert_false(t.bad);
	assert_int_equal(t.len, strlen(buf));
	return buf;
}

static void assert_shows(const char *page, const char *text, bool shown)
{
	if ((strstr(page, text) != NULL) != shown)
		fail_msg("%s is %sthere:\n%s", text, shown ? "not " : "",
			 strstr(page, "<main>"));
}

static void the_verdict_follows_the_address(void **state)
{
	static const struct {
		const char *addr;
		enum page_nat nat;
	} cases[] = {
		{"11.0.0.1", PAGE_NAT_PUBLIC},      {"8.8.8.8", PAGE_NAT_PUBLIC},
		{"192.168.1.7", PAGE_NAT_PRIVATE},  {"10.0.0.1", PAGE_NAT_PRIVATE},
		{"172.31.255.1", PAGE_NAT_PRIVATE}, {"172.32.0.1", PAGE_NAT_PUBLIC},
		{"169.254.3.4", PAGE_NAT_PRIVATE},  {"100.64.0.1", PAGE_NAT_CARRIER},
		{"100.127.0.1", PAGE_NAT_CARRIER},  {"100.128.0.1", PAGE_NAT_PUBLIC},
		{"192.0.0.2", PAGE_NAT_CARRIER},    {"192.0.0.8", PAGE_NAT_SPECIAL},
		{"192.0.1.1", PAGE_NAT_PUBLIC},     {"203.0.113.9", PAGE_NAT_SPECIAL},
		{"198.19.0.1", PAGE_NAT_SPECIAL},   {"240.0.0.1", PAGE_NAT_SPECIAL},
		{"0.1.2.3", PAGE_NAT_SPECIAL},      {"0.0.0.0", PAGE_NAT_DOWN},
	};
	struct record_state s = wan(NULL);

	(void)state;
	assert_int_equal(page_nat(&s), PAGE_NAT_DOWN);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = wan(cases[i].addr);
		if (page_nat(&s) != cases[i].nat)
			fail_msg("%s: %d", cases[i].addr, page_nat(&s));
	}
	s = wan("11.0.0.1");
	s.wan_up = 0;
	assert_int_equal(page_nat(&s), PAGE_NAT_DOWN);
}

static void the_internet_side_is_told(void **state)
{
	struct record_state s = wan("11.0.0.1");
	char *page = page_of(&s, NULL, 0, false, 1000 + (26 * 3600 + 61) * 1000ULL);

	(void)state;
	assert_shows(page, "Public address", true);
	assert_shows(page, "<p class=\"address\">11.0.0.1</p>", true);
	assert_shows(page, "Connected for 1 d 2 h<", true);
	assert_shows(page, "<table>", false);
	free(page);
	s = wan(NULL);
	page = page_of(&s, NULL, 0, false, 5000);
	assert_shows(page, "Not connected", true);
	assert_shows(page, "Connected for", false);
	free(page);
}

static void a_lease_is_told_with_who_and_how_long(void **state)
{
	struct record_state s = wan("11.0.0.1");
	struct record_row r = row("Xbox");
	char *page;

	(void)state;
	r.claims = 1 << LEASE_BY_PCP | 1 << LEASE_BY_UPNP;
	r.int_port = 3075;
	page = page_of(&s, &r, 1, false, 0);
	assert_shows(page, "<b>3074</b> UDP", true);
	assert_shows(page, "192.168.77.20</bdi><small>its port 3075</small>", true);
	assert_shows(page, "<bdi>Xbox</bdi>", true);
	assert_shows(page, "PCP, UPnP", true);
	assert_shows(page, "in 59 min 59 s<small>open for 1 s</small>", true);
	assert_shows(page, "off", false);
	assert_shows(page, "There are more", false);
	free(page);
}

static void what_is_special_about_a_lease_is_told(void **state)
{
	struct record_state s = wan("11.0.0.1");
	struct record_row r[4] = {row(""), row(""), row(""), row("")};
	char *page;

	(void)state;
	r[0].disabled = 1;
	r[0].end = ROW_END_GONE;
	r[1].end = ROW_END_IDLE;
	r[1].remote_len = 128;
	assert_int_equal(addr_parse("12.0.0.2", &r[1].remote), 0);
	r[2].end = ROW_END_NEVER;
	r[2].n_filters = 2;
	assert_int_equal(addr_parse("2001:db8::9", &r[3].internal), 0);
	page = page_of(&s, r, 4, true, 0);
	assert_shows(page, "<i>off</i>", true);
	assert_shows(page, "when the device leaves", true);
	assert_shows(page, "when it falls silent", true);
	assert_shows(page, "only from 12.0.0.2", true);
	assert_shows(page, "not by itself", true);
	assert_shows(page, "for some hosts only", true);
	assert_shows(page, "2001:db8::9</bdi><small>IPv6", true);
	assert_shows(page, "only 4 are shown", true);
	free(page);
}

static void a_clients_text_stays_text(void **state)
{
	static const char *const cases[][2] = {
		{"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
		{"\"'><img src=x onerror=a>",
		 "&quot;&#39;&gt;&lt;img src=x onerror=a&gt;"},
		{"&lt;b&gt;", "&amp;lt;b&amp;gt;"},
		{"a\x01\x1b[31m\x7f", "a\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd"},
		{"\xff\xc3\xb6\xc0\xaf", "\xef\xbf\xbd\xc3\xb6\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe2\x80\xae"
		 "cba",
		 "\xe2\x80\xae"
		 "cba"}, /* turned within <bdi> only */
		{"--></bdi></main>", "--&gt;&lt;/bdi&gt;&lt;/main&gt;"},
	};
	struct record_state s = wan("11.0.0.1");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record_row r = row(cases[i][0]);
		char expected[256];
		char *page = page_of(&s, &r, 1, false, 0);

		snprintf(expected, sizeof(expected), "<bdi>%s</bdi>", cases[i][1]);
		assert_shows(page, expected, true);
		free(page);
	}
}

/* The longest that can be said of each lease. */
static void the_largest_page_has_room(void **state)
{
	static struct record_row rows[PAGE_ROWS];
	struct record_state s = wan("100.127.255.255");

	(void)state;
	rows[0] = row("");
	memset(rows[0].description, '"', LEASE_DESCRIPTION_MAX);
	rows[0].claims = 0x7f;
	rows[0].disabled = 1;
	rows[0].end = ROW_END_TIME;
	rows[0].left_s = rows[0].age_s = UINT32_MAX;
	rows[0].ext_port = rows[0].int_port = 65535;
	rows[0].n_filters = 4;
	rows[0].remote_len = 127;
	memset(&rows[0].internal, 0xff, sizeof(rows[0].internal));
	memset(&rows[0].remote, 0xff, sizeof(rows[0].remote));
	for (size_t i = 1; i < PAGE_ROWS; i++)
		rows[i] = rows[0];
	free(page_of(&s, rows, 1, true, UINT64_MAX));
	free(page_of(&s, rows, PAGE_ROWS, true, UINT64_MAX));
}

static void a_row_that_cannot_be_is_not_shown(void **state)
{
	struct record_row r = row("x");

	(void)state;
	assert_true(page_row_valid(&r));
	r.protocol = IPPROTO_ICMP;
	assert_false(page_row_valid(&r));
	r = row("x");
	r.end = ROW_END_END;
	assert_false(page_row_valid(&r));
	r = row("x");
	r.remote_len = 129;
	assert_false(page_row_valid(&r));
	memset(r.description, 'x', sizeof(r.description));
	r.remote_len = 0;
	assert_false(page_row_valid(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_verdict_follows_the_address),
		cmocka_unit_test(the_internet_side_is_told),
		cmocka_unit_test(a_lease_is_told_with_who_and_how_long),
		cmocka_unit_test(what_is_special_about_a_lease_is_told),
		cmocka_unit_test(a_clients_text_stays_text),
		cmocka_unit_test(the_largest_page_has_room),
		cmocka_unit_test(a_row_that_cannot_be_is_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
