/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "igd/rate.h"
#include "igd/ssdp.h"

#define D "urn:schemas-upnp-org:device:"
#define S "urn:schemas-upnp-org:service:"
#define START "M-SEARCH * HTTP/1.1\r\n"
#define MAN "MAN: \"ssdp:discover\"\r\n"
#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static char target[SSDP_TARGET_MAX + 1];

static int parse(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, text, len);
	err = ssdp_parse(copy, len, target);
	free(copy);
	return err;
}

static void reads_searches_as_clients_write_them(void **state)
{
	static const char *const good[] = {
		START "HOST: 239.255.255.250:1900\r\n" MAN
		      "MX: 2\r\nST: ssdp:all\r\n\r\n",
		START
		"HOST:239.255.255.250:1900\r\nST:ssdp:all\r\nMAN:\"ssdp:discover\"\r\n"
		"MX:3\r\n\r\n\r\n", /* libtorrent */
		START
		"host: 192.168.1.1\r\nst:  ssdp:all \r\nman: \"ssdp:discover\"\r\n\r\n",
		START "Man: ssdp:discover\r\nSt: ssdp:all\r\nMX: 0\r\nMX: junk\r\n\r\n",
		START MAN "ST: ssdp:all", /* no end at all */
		"M-SEARCH * HTTP/1.0\n"
		"MAN: \"ssdp:discover\"\nST: ssdp:all\n\n",
		START MAN "no colon here\r\nUSER-AGENT: a/1 \xff\r\nST: ssdp:all\r\n\r\n",
		START MAN "ST: ssdp:all\r\n\r\nST: other\r\n",
	};

	(void)state;
	for (size_t i = 0; i < SIZE(good); i++) {
		assert_int_equal(parse(good[i], strlen(good[i])), 0);
		assert_string_equal(target, "ssdp:all");
	}
}

static void drops_all_else(void **state)
{
	static const char *const bad[] = {
		"",
		"\r\n",
		"M-SEARCH",
		"NOTIFY * HTTP/1.1\r\n" MAN "ST: ssdp:all\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" MAN "ST: ssdp:all\r\n\r\n",
		"M-SEARCH /x HTTP/1.1\r\n" MAN "ST: ssdp:all\r\n\r\n",
		START "ST: ssdp:all\r\n\r\n",
		START "MAN: \"ssdp:other\"\r\nST: ssdp:all\r\n\r\n",
		START MAN "\r\n",
		START MAN "ST:\r\n\r\n",
		START MAN "\r\nST: ssdp:all\r\n",
	};
	char *big = malloc(SSDP_DATAGRAM_MAX + 1);

	(void)state;
	for (size_t i = 0; i < SIZE(bad); i++)
		if (parse(bad[i], strlen(bad[i])) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(parse(START MAN "ST: a\0b\r\n\r\n", sizeof(START MAN) + 10),
			 -EBADMSG);
	memset(big, 'a', SSDP_DATAGRAM_MAX + 1);
	memcpy(big, START MAN "ST: ", strlen(START MAN "ST: "));
	assert_int_equal(parse(big, SSDP_DATAGRAM_MAX),
			 -EBADMSG); /* the target is too long */
	assert_int_equal(parse(big, SSDP_DATAGRAM_MAX + 1), -EBADMSG);
	free(big);
}

static void reads_no_byte_beyond_any_truncation(void **state)
{
	static const char text[] = START MAN "ST: ssdp:all\r\n\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++)
		parse(text, n);
}

/* Row U6. */
static void answers_to_what_we_are_and_nothing_else(void **state)
{
	struct description *d = description_new(uuid);
	static const char *const good[] = {
		"ssdp:all",
		"upnp:rootdevice",
		D "InternetGatewayDevice:1",
		D "InternetGatewayDevice:2",
		D "WANDevice:1",
		D "WANDevice:2",
		D "WANConnectionDevice:1",
		D "WANConnectionDevice:2",
		S "WANIPConnection:1",
		S "WANIPConnection:2",
		S "WANCommonInterfaceConfig:1",
		S "Layer3Forwarding:1",
		S "WANPPPConnection:1",
		S "WANIPv6FirewallControl:1",
	};
	static const char *const bad[] = {
		"",
		"ssdp",
		"upnp:rootdevices",
		D "InternetGatewayDevice:3",
		D "InternetGatewayDevice:0",
		D "InternetGatewayDevice:10",
		D "InternetGatewayDevice:",
		D "InternetGatewayDevice",
		D "MediaServer:1",
		S "WANIPConnection:3",
		S "WANCommonInterfaceConfig:2",
		S "Layer3Forwarding:2",
		S "WANPPPConnection:2",
		S "WANIPv6FirewallControl:2",
		"uuid:",
		"uuid:00000000-0000-0000-0000-000000000000",
		D "InternetGatewayDevice:1\r\nST: x",
	};
	char out[SSDP_SEARCH_MAX], want[SSDP_SEARCH_MAX];

	(void)state;
	for (size_t i = 0; i < SIZE(good); i++) {
		snprintf(want, sizeof(want),
			 "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
			 "MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n",
			 good[i]);
		assert_int_equal(ssdp_canonical(d, good[i], out), strlen(want));
		assert_string_equal(out, want);
	}
	for (size_t i = 0; i < SIZE(bad); i++)
		assert_int_equal(ssdp_canonical(d, bad[i], out), 0);
	for (unsigned int face = 0; face < IGD_FACES; face++)
		for (unsigned int i = 0; i < IGD_DEVICES; i++)
			assert_true(ssdp_canonical(d, description_udn(d, face, i), out) >
				    0);
	description_free(d);
}

static void hands_on_only_our_own_spelling(void **state)
{
	struct description *d = description_new(uuid);
	char out[SSDP_SEARCH_MAX];

	(void)state;
	assert_true(ssdp_canonical(d, "URN:schemas-upnp-org:DEVICE:wandevice:1", out) >
		    0);
	assert_non_null(strstr(out, "\r\nST: " D "WANDevice:1\r\n"));
	assert_true(ssdp_canonical(d, "SSDP:ALL", out) > 0);
	assert_non_null(strstr(out, "\r\nST: ssdp:all\r\n"));
	description_free(d);
}

static void finds_the_second_answer_to_one_search(void **state)
{
	struct description *d = description_new(uuid);
	static const struct {
		const char *path;
		unsigned int face;
		bool is_double;
	} cases[] = {{"/rootDesc.xml", 0, false},
		     {"/rootDesc.xml", 1, true},
		     {"/rootDesc2.xml", 1, false}};

	(void)state;
	for (size_t i = 0; i < SIZE(cases); i++) {
		char answer[512];
		int n = snprintf(
			answer, sizeof(answer),
			"HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:49152%s\r\n"
			"USN: %s::" D "InternetGatewayDevice:1\r\n\r\n",
			cases[i].path, description_udn(d, cases[i].face, 0));

		assert_int_equal(ssdp_is_double(d, answer, (size_t)n),
				 cases[i].is_double);
	}
	description_free(d);
}

/* Row U7: neither the kernel's version nor the library's name. */
static void what_is_sent_bears_our_own_name(void **state)
{
	static const char theirs[] =
		"HTTP/1.1 200 OK\r\nHost: [FF05::C]:1900\r\n"
		"CACHE-CONTROL: max-age=1800\r\nEXT:\r\n"
		"SERVER: Linux/6.1.0, UPnP/1.0, Portable SDK for UPnP devices/1.8.4\r\n"
		"X-User-Agent: redsonic\r\nST: upnp:rootdevice\r\n\r\n";
	static const char ours[] = "HTTP/1.1 200 OK\r\nHOST: [FF02::C]:1900\r\n"
				   "CACHE-CONTROL: max-age=1800\r\n"
				   "EXT:\r\nSERVER: " IGD_SERVER "\r\n"
				   "ST: upnp:rootdevice\r\n\r\n";
	char out[SSDP_SENT_MAX], *big = malloc(SSDP_SENT_MAX);

	(void)state;
	assert_int_equal(ssdp_reword(theirs, sizeof(theirs) - 1, true, out),
			 sizeof(ours) - 1);
	assert_memory_equal(out, ours, sizeof(ours) - 1);
	memset(big, 'a', SSDP_SENT_MAX);
	assert_int_equal(ssdp_reword(big, SSDP_SENT_MAX, false, out), 0);
	assert_int_equal(ssdp_reword(big, SSDP_SENT_MAX - 2, false, out), SSDP_SENT_MAX);
	memset(big, '\n', SSDP_SENT_MAX); /* each becomes two */
	assert_int_equal(ssdp_reword(big, SSDP_SENT_MAX, false, out), 0);
	free(big);
}

/* Rows U2, U4: each root three times, each embedded device twice, each service once. */
static void good_bye_is_said_for_everything(void **state)
{
	struct description *d = description_new(uuid);
	char out[SSDP_NOTIFY_MAX], want[SSDP_NOTIFY_MAX];
	size_t roots = 0, devices = 0, services = 0, n = 0, len;

	(void)state;
	snprintf(want, sizeof(want),
		 "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
		 "NT: upnp:rootdevice\r\nNTS: ssdp:byebye\r\n"
		 "USN: %s::upnp:rootdevice\r\n\r\n",
		 description_udn(d, 0, 0));
	assert_int_equal(ssdp_goodbye(d, 0, false, out), strlen(want));
	assert_string_equal(out, want);
	while ((len = ssdp_goodbye(d, (unsigned int)n, true, out))) {
		const char *nt = strstr(out, "NT: ") + 4;

		assert_int_equal(len, strlen(out));
		assert_non_null(strstr(out, "\r\nHOST: [FF02::C]:1900\r\n"));
		roots += !strncmp(nt, "upnp:rootdevice\r", 16);
		devices += !strncmp(nt, "uuid:", 5) || !strncmp(nt, D, strlen(D));
		services += !strncmp(nt, S, strlen(S));
		n++;
	}
	assert_int_equal(roots, IGD_FACES);
	assert_int_equal(devices, IGD_FACES * 2 * IGD_DEVICES);
	/* Each face has one service that the other has not. */
	assert_int_equal(services, IGD_FACES * (IGD_SERVICES - 1));
	assert_int_equal(n, roots + devices + services);
	description_free(d);
}

static void a_host_gets_its_rate_and_no_more(void **state)
{
	static struct rate r;
	struct in6_addr a, b;
	unsigned int taken = 0;

	(void)state;
	assert_int_equal(addr_parse("192.168.1.2", &a), 0);
	assert_int_equal(addr_parse("192.168.1.3", &b), 0);
	rate_init(&r, 20, 40);
	for (int i = 0; i < 100; i++)
		taken += rate_take(&r, &a, 1000000);
	assert_int_equal(taken, 40);
	assert_true(rate_take(&r, &b, 1000000)); /* another host is not touched */
	assert_false(rate_take(&r, &a, 1000049));
	assert_true(rate_take(&r, &a, 1000051));
	for (taken = 0; taken < 20; taken++)
		assert_true(rate_take(&r, &a, 1001051 + 50 * taken));
	taken = 0;
	for (int i = 0; i < 100; i++)
		taken += rate_take(&r, &a, UINT64_MAX / 2);
	assert_int_equal(taken, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_searches_as_clients_write_them),
		cmocka_unit_test(drops_all_else),
		cmocka_unit_test(reads_no_byte_beyond_any_truncation),
		cmocka_unit_test(answers_to_what_we_are_and_nothing_else),
		cmocka_unit_test(hands_on_only_our_own_spelling),
		cmocka_unit_test(finds_the_second_answer_to_one_search),
		cmocka_unit_test(what_is_sent_bears_our_own_name),
		cmocka_unit_test(good_bye_is_said_for_everything),
		cmocka_unit_test(a_host_gets_its_rate_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
