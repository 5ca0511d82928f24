/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pure parts of base/: addresses, port sets, durations, bytes, escapes, records. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/portset.h"
#include "base/record.h"
#include "base/wire.h"

static struct in6_addr addr(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

/* ---- addr ---- */

static void ipv4_is_written_as_ipv4_and_read_back(void **state)
{
	static const char *const texts[] = {"192.168.1.20", "0.0.0.0", "255.255.255.255",
					    "2001:db8::1",  "::",      "fe80::1"};
	char buf[ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct in6_addr a = addr(texts[i]);

		assert_string_equal(addr_text(&a, buf), texts[i]);
		assert_int_equal(addr_is_v4(&a), strchr(texts[i], ':') == NULL);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = {
		"",     "1.2.3",      "1.2.3.4.5",  "1.2.3.256", "1.2.3.4 ", " 1.2.3.4",
		"host", "1.2.3.4/24", "fe80::1%lo", ":::",       "01.2.3.4x"};
	struct in6_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(addr_parse(texts[i], &a), -EINVAL);
}

static void a_mac_address_is_one_host_s(void **state)
{
	static const char *const wrong[] = {
		"",
		"a4:c0:e1:00:00",
		"a4:c0:e1:00:00:1",
		"a4:c0:e1:00:00:01:02",
		"a4c0e1000001",
		"a4:c0:e1:00:00:0g",
		"a4:c0:e1:00:00.01",
		"0xa:c0:e1:00:00:01",
		"00:00:00:00:00:00",
		"ff:ff:ff:ff:ff:ff",
		"01:00:5e:00:00:01",
	};
	uint8_t mac[MAC_LEN];
	char text[MAC_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(mac_parse(wrong[i], mac), -EINVAL);
	assert_int_equal(mac_parse("A4-c0-E1-00-0f-01", mac), 0);
	assert_memory_equal(mac, "\xa4\xc0\xe1\x00\x0f\x01", MAC_LEN);
	assert_string_equal(mac_text(mac, text), "a4:c0:e1:00:0f:01");
}

static void both_forms_of_none_are_none(void **state)
{
	struct in6_addr a = addr("::"), b = addr("0.0.0.0"), c = addr("::1"),
			d = addr("0.0.0.1");

	(void)state;
	assert_true(addr_is_none(&a) && addr_is_none(&b));
	assert_false(addr_is_none(&c) || addr_is_none(&d));
}

static void socket_addresses_of_both_families_are_read(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(5351)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(1900)};
	struct sockaddr other = {.sa_family = AF_UNIX};
	struct in6_addr want = addr("10.0.0.1"), a;

	(void)state;
	in.sin_addr = addr_to_v4(&want);
	in6.sin6_addr = addr("fe80::1");
	a = addr_from_sockaddr((struct sockaddr *)&in);
	assert_true(addr_equal(&a, &want));
	assert_int_equal(port_from_sockaddr((struct sockaddr *)&in), 5351);
	a = addr_from_sockaddr((struct sockaddr *)&in6);
	assert_true(addr_equal(&a, &in6.sin6_addr));
	assert_int_equal(port_from_sockaddr((struct sockaddr *)&in6), 1900);
	a = addr_from_sockaddr(&other);
	assert_true(addr_is_none(&a));
	assert_int_equal(port_from_sockaddr(&other), 0);
}

static void prefixes_hold_exactly_their_addresses(void **state)
{
	static const struct {
		const char *prefix;
		const char *in;
		const char *out;
	} rows[] = {
		{"10.20.0.0/16", "10.20.255.255", "10.21.0.0"},
		{"10.20.0.5/16", "10.20.0.1", "10.19.255.255"},
		{"192.168.1.0/25", "192.168.1.127", "192.168.1.128"},
		{"192.168.1.7", "192.168.1.7", "192.168.1.6"},
		{"192.168.1.7/32", "192.168.1.7", "192.168.1.8"},
		{"0.0.0.0/0", "255.1.2.3", "2001:db8::1"},
		{"fd00::/8", "fdff::1", "fe00::1"},
		{"2001:db8::1", "2001:db8::1", "2001:db8::2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix p = prefix(rows[i].prefix);
		struct in6_addr in = addr(rows[i].in), out = addr(rows[i].out);

		assert_true(prefix_has(&p, &in));
		assert_false(prefix_has(&p, &out));
	}
}

static void prefixes_are_written_with_the_length_of_their_family(void **state)
{
	static const char *const texts[] = {"10.20.0.0/16", "0.0.0.0/0", "192.168.1.7",
					    "fd00::/8", "2001:db8::1"};
	char buf[PREFIX_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct prefix p = prefix(texts[i]);

		assert_string_equal(prefix_text(&p, buf), texts[i]);
	}
	assert_int_equal(prefix("10.0.0.0/8").len, 104);
}

static void what_is_no_prefix_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/8 ",
		"fd00::/129",
		"10.0.0.0/+8",
		"10.0.0.0/8/8",
		"10.0.0.0/ 8",
		"1111111111111111111111111111111111111111111111111111/1",
		"10.0.0.0/99999999999999999999"};
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(prefix_parse(texts[i], &p), -EINVAL);
}

static void private_and_shared_addresses_are_known(void **state)
{
	static const struct {
		const char *text;
		bool private;
		bool cgnat;
	} rows[] = {
		{"10.255.0.1", true, false},
		{"11.0.0.1", false, false},
		{"172.16.0.1", true, false},
		{"172.31.255.255", true, false},
		{"172.32.0.1", false, false},
		{"192.168.0.1", true, false},
		{"192.169.0.1", false, false},
		{"169.254.1.1", true, false},
		{"127.0.0.1", true, false},
		{"100.64.0.0", false, true},
		{"100.127.255.255", false, true},
		{"100.128.0.0", false, false},
		{"fe80::1", true, false},
		{"fd00::1", true, false},
		{"fc00::1", true, false},
		{"2001:db8::1", false, false},
		{"::1", true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct in6_addr a = addr(rows[i].text);

		assert_int_equal(addr_is_private(&a), rows[i].private);
		assert_int_equal(addr_is_cgnat(&a), rows[i].cgnat);
	}
}

/* ---- portset ---- */

static void port_sets_hold_what_was_put_to_the_very_ends(void **state)
{
	struct portset s = {0};

	(void)state;
	portset_add(&s, 0, 0);
	portset_add(&s, 65535, 65535);
	portset_add(&s, 60, 70);
	portset_del(&s, 64, 64);
	for (uint32_t p = 0; p < 65536; p++)
		assert_int_equal(portset_has(&s, (uint16_t)p),
				 p == 0 || p == 65535 || (p >= 60 && p <= 70 && p != 64));
	portset_add(&s, 0, 65535);
	portset_del(&s, 0, 65535);
	for (size_t i = 0; i < 1024; i++)
		assert_int_equal(s.word[i], 0);
}

static void port_ranges_are_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		bool tcp, udp;
		uint16_t first, last;
	} rows[] = {
		{"udp/3074", false, true, 3074, 3074},
		{"3074/udp", false, true, 3074, 3074},
		{"TCP/8000-8100", true, false, 8000, 8100},
		{"8000-8100/tcp", true, false, 8000, 8100},
		{"3074", true, true, 3074, 3074},
		{"0-65535", true, true, 0, 65535},
	};
	struct port_range r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(port_range_parse(rows[i].text, &r), 0);
		assert_int_equal(r.tcp, rows[i].tcp);
		assert_int_equal(r.udp, rows[i].udp);
		assert_int_equal(r.first, rows[i].first);
		assert_int_equal(r.last, rows[i].last);
	}
}

static void what_is_no_port_range_is_refused(void **state)
{
	static const char *const texts[] = {"",
					    "udp",
					    "udp/",
					    "/udp",
					    "/3074",
					    "udp/65536",
					    "8100-8000",
					    "udp/80-",
					    "-80",
					    "80-",
					    "3074/sctp",
					    "3074/",
					    "udp/3074/udp",
					    " 3074",
					    "3074 ",
					    "3074/udpx",
					    "sctp/3074",
					    "99999999999999999999",
					    "udp/0x50",
					    "80,81",
					    "tcp/80/udp"};
	struct port_range r;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(port_range_parse(texts[i], &r), -EINVAL);
}

/* ---- duration ---- */

static void durations_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {{"500ms", 500},    {"60s", 60000},         {"2m", 120000},
		    {"24h", 86400000}, {"7d", 604800000},      {"1h30m", 5400000},
		    {"0s", 0},         {"3660d", 316224000000}};
	char buf[DURATION_TEXT];
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(duration_parse(rows[i].text, &ms), 0);
		assert_int_equal(ms, rows[i].ms);
	}
	assert_string_equal(duration_text(59, buf), "59s");
	assert_string_equal(duration_text(150, buf), "2m 30s");
	assert_string_equal(duration_text(86399, buf), "23h 59m");
	assert_string_equal(duration_text(604800, buf), "7d 00h");
	duration_text(UINT64_MAX, buf);
}

static void what_is_no_duration_is_refused(void **state)
{
	static const char *const texts[] = {"",   "5",   "s",   "5 s",  "-5s",  "1.5h",
					    "5S", "5s ", " 5s", "5min", "1h30", "0x5s"};
	uint64_t ms = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(duration_parse(texts[i], &ms), -EINVAL);
	assert_int_equal(ms, 7);
}

static void durations_beyond_ten_years_are_refused_whatever_the_digits(void **state)
{
	static const char *const texts[] = {
		"3661d",
		"3660d1ms",
		"99999999999999999999999999s",
		"87841h",
		/* this many days are 2^64 ms and a bit */
		"213503982335d",
	};
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(duration_parse(texts[i], &ms), -ERANGE);
}

/* ---- wire ---- */

static void what_is_written_is_read_back(void **state)
{
	uint8_t buf[16];
	struct wire_out out = wire_to(buf, sizeof(buf));
	struct wire in;
	uint8_t tail[4] = {0};

	(void)state;
	wire_put_u8(&out, 0xab);
	wire_put_u16(&out, 0xcdef);
	wire_put_u32(&out, 0x12345678);
	wire_zero(&out, 5);
	wire_put(&out, "tail", 4);
	assert_false(out.bad);
	assert_int_equal(wire_len(&out), 16);
	assert_int_equal(buf[1], 0xcd); /* big endian */
	in = wire_of(buf, wire_len(&out));
	assert_int_equal(wire_u8(&in), 0xab);
	assert_int_equal(wire_u16(&in), 0xcdef);
	assert_int_equal(wire_u32(&in), 0x12345678);
	assert_non_null(wire_take(&in, 5));
	wire_copy(&in, tail, 4);
	assert_memory_equal(tail, "tail", 4);
	assert_int_equal(wire_left(&in), 0);
	assert_false(in.bad);
}

static void a_reader_that_ran_short_stays_bad(void **state)
{
	for (size_t len = 0; len < 7; len++) {
		uint8_t *heap = malloc(len ? len : 1); /* of exactly that size */
		struct wire in;
		uint8_t left[7] = {9};

		assert_non_null(heap);
		memset(heap, 1, len);
		in = wire_of(heap, len);
		wire_u8(&in);
		wire_u16(&in);
		wire_u32(&in);
		assert_true(in.bad);
		assert_int_equal(wire_left(&in), 0);
		assert_int_equal(wire_u8(&in), 0);
		wire_copy(&in, left, 1);
		assert_int_equal(left[0], 9);
		assert_null(wire_take(&in, 0));
		free(heap);
	}
	(void)state;
}

static void a_writer_that_is_full_stays_bad(void **state)
{
	uint8_t buf[3] = {0};
	struct wire_out out = wire_to(buf, sizeof(buf));

	(void)state;
	wire_put_u16(&out, 1);
	wire_put_u16(&out, 0xffff);
	assert_true(out.bad);
	assert_int_equal(buf[2], 0);
	wire_put_u8(&out, 0xff);
	assert_int_equal(buf[2], 0);
	assert_int_equal(wire_len(&out), 0);
}

/* ---- log_escape ---- */

static void text_from_outside_is_escaped(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"xbox", "xbox"},
		{"", ""},
		{"a\nb\t\x7f", "a\\x0ab\\x09\\x7f"},
		{"\"\\", "\\x22\\x5c"},
		{"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xae",
		 "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xae"},
		{"\x80\xff", "\\x80\\xff"},
		{"\xc3", "\\xc3"}, /* cut short */
		{"\xe2\x82", "\\xe2\\x82"},
		{"\xc0\xaf", "\\xc0\\xaf"}, /* overlong */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
		{"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
		{"\xc2\x9b", "\\xc2\\x9b"}, /* a C1 control: CSI */
		{"\x1b[31m", "\\x1b[31m"},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(log_escape(rows[i].in, buf, sizeof(buf)),
				    rows[i].out);
}

static void escaped_text_is_cut_between_characters(void **state)
{
	(void)state;
	for (size_t size = 1; size < 16; size++) {
		char *buf = malloc(size);

		assert_non_null(buf);
		log_escape("a\xc3\xa9\n\xf0\x9f\x8e\xae", buf, size);
		assert_true(strlen(buf) < size);
		if (size == 3)
			assert_string_equal(buf, "a");
		if (size == 7)
			assert_string_equal(buf, "a\xc3\xa9");
		if (size == 8)
			assert_string_equal(buf, "a\xc3\xa9\\x0a");
		free(buf);
	}
}

/* ---- record ---- */

static struct lease_request request(void)
{
	return (struct lease_request){.op = LEASE_OP_MAP, .by = LEASE_BY_PCP};
}

static void a_request_out_of_range_is_not_valid(void **state)
{
	struct lease_request req = request();

	(void)state;
	assert_true(lease_request_valid(&req));
	req.op = 0;
	assert_false(lease_request_valid(&req));
	req.op = LEASE_OP_END;
	assert_false(lease_request_valid(&req));
	req = request();
	req.by = LEASE_BY_END;
	assert_false(lease_request_valid(&req));
	req = request();
	req.flags = LEASE_FLAGS + 1;
	assert_false(lease_request_valid(&req));
	req = request();
	req.remote_len = 129;
	assert_false(lease_request_valid(&req));
	req = request();
	req.zero[1] = 1;
	assert_false(lease_request_valid(&req));
	req = request();
	memset(req.description, 'x', LEASE_DESCRIPTION_MAX);
	assert_true(lease_request_valid(&req));
	req.description[LEASE_DESCRIPTION_MAX] = 'x'; /* 129 bytes */
	assert_false(lease_request_valid(&req));
	memset(req.description, 'x', sizeof(req.description));
	assert_false(lease_request_valid(&req));
}

static void every_reason_and_asker_has_a_name(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < LEASE_REASON_END; i++) {
		assert_non_null(lease_reason_name(i));
		assert_non_null(lease_reason_text(i));
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(lease_reason_name(i),
						lease_reason_name(j));
	}
	for (unsigned int i = 0; i < LEASE_BY_END; i++)
		assert_non_null(lease_by_name(i));
	assert_string_equal(lease_by_name(LEASE_BY_END), "?");
	assert_string_equal(lease_reason_name(LEASE_REASON_END), "?");
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(ipv4_is_written_as_ipv4_and_read_back),
		T(what_is_no_address_is_refused),
		T(a_mac_address_is_one_host_s),
		T(both_forms_of_none_are_none),
		T(socket_addresses_of_both_families_are_read),
		T(prefixes_hold_exactly_their_addresses),
		T(prefixes_are_written_with_the_length_of_their_family),
		T(what_is_no_prefix_is_refused),
		T(private_and_shared_addresses_are_known),
		T(port_sets_hold_what_was_put_to_the_very_ends),
		T(port_ranges_are_read_as_people_write_them),
		T(what_is_no_port_range_is_refused),
		T(durations_are_read_and_written),
		T(what_is_no_duration_is_refused),
		T(durations_beyond_ten_years_are_refused_whatever_the_digits),
		T(what_is_written_is_read_back),
		T(a_reader_that_ran_short_stays_bad),
		T(a_writer_that_is_full_stays_bad),
		T(text_from_outside_is_escaped),
		T(escaped_text_is_cut_between_characters),
		T(a_request_out_of_range_is_not_valid),
		T(every_reason_and_asker_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
