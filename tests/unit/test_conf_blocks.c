/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/conf_text.h"

static void a_forward_is_one_entry_for_each_protocol_and_range(void **state)
{
	char text[PREFIX_TEXT];

	(void)state;
	accepts("forward \"web\" { port = \"tcp/8080\" to = \"192.168.1.10:80\" }\n"
		"forward game { to = 192.168.1.20 port = { 3074, udp/10000-19999 }\n"
		"return-via-router = true from = { 11.0.0.7/24, \"12.0.0.2\" } }\n");
	assert_int_equal(c.n_forwards, 4);
	assert_string_equal(c.forward[0].name, "web");
	assert_int_equal(c.forward[0].protocol, IPPROTO_TCP);
	assert_int_equal(c.forward[0].first, 8080);
	assert_int_equal(c.forward[0].last, 8080);
	assert_int_equal(c.forward[0].int_first, 80);
	assert_false(c.forward[0].return_via_router);
	assert_int_equal(c.forward[0].n_from, 0);
	assert_int_equal(c.forward[1].protocol, IPPROTO_TCP);
	assert_int_equal(c.forward[2].protocol, IPPROTO_UDP);
	assert_int_equal(c.forward[2].first, 3074);
	assert_int_equal(c.forward[3].first, 10000);
	assert_int_equal(c.forward[3].last, 19999);
	assert_int_equal(c.forward[3].int_first, 10000);
	assert_true(c.forward[3].return_via_router);
	assert_int_equal(c.forward[3].n_from, 2);
	assert_string_equal(prefix_text(&c.forward[3].from[0], text), "11.0.0.0/24");
	assert_string_equal(prefix_text(&c.forward[3].from[1], text), "12.0.0.2");
}

static void networks_of_a_forward_are_their_union(void **state)
{
	char text[PREFIX_TEXT];

	(void)state;
	accepts("forward f { port = 80 to = 192.168.1.2\n"
		"from = { 11.0.0.1, 11.0.0.0/24, 11.0.0.0/24, 12.0.0.0/8 } }");
	assert_int_equal(c.forward[0].n_from, 2);
	assert_string_equal(prefix_text(&c.forward[0].from[0], text), "11.0.0.0/24");
	assert_string_equal(prefix_text(&c.forward[0].from[1], text), "12.0.0.0/8");
}

static void one_port_may_lead_elsewhere_for_other_networks(void **state)
{
	(void)state;
	accepts("forward a { port = tcp/80 to = 192.168.1.2 from = 11.0.0.0/24 }\n"
		"forward b { port = tcp/80 to = 192.168.1.3 from = 12.0.0.0/24 }\n"
		"forward c { port = udp/80 to = 192.168.1.4 }\n");
	refuses("forward a { port = tcp/80 to = 192.168.1.2 }\n"
		"forward b { port = tcp/80 to = 192.168.1.3 from = 12.0.0.0/24 }\n",
		"p.conf:2: port: tcp/80 is also in forward \"a\", allowed is each port "
		"once, or from networks apart from each other");
	refuses("forward a { port = udp/80-90 to = 192.168.1.2 }\n\n"
		"forward b { port = 85 to = 192.168.1.3 }\n",
		"p.conf:3: port: udp/85 is also in forward \"a\", allowed is each port "
		"once, or from networks apart from each other");
}

static void forwards_are_checked(void **state)
{
	(void)state;
	refuses("forward f {\n port = tcp/0 to = 192.168.1.2 }",
		"p.conf:2: port: \"tcp/0\" is not a port, allowed is 5555, 8000-8100, udp/3074 "
		"or 5555/tcp");
	refuses("forward f { to = 192.168.1.2 }",
		"p.conf:1: port: forward \"f\" has none, allowed is \"tcp/8080\" and the like");
	refuses("forward f { port = 80 }",
		"p.conf:1: to: forward \"f\" has none, allowed is \"192.168.1.10\" or "
		"\"192.168.1.10:80\"");
	refuses("forward f { port = 80 to = nas }",
		"p.conf:1: to: \"nas\" is no target, allowed is \"192.168.1.10\" or "
		"\"192.168.1.10:80\"");
	refuses("forward f { port = 80 to = \"192.168.1.2:0\" }",
		"p.conf:1: to: \"192.168.1.2:0\" is no target, allowed is \"192.168.1.10\" or "
		"\"192.168.1.10:80\"");
	refuses("forward f { port = 80 to = \"2a01::1\" }",
		"p.conf:1: to: \"2a01::1\" is no target, allowed is \"192.168.1.10\" or "
		"\"192.168.1.10:80\"");
	refuses("forward f { port = 80 to = 127.0.0.1 }",
		"p.conf:1: to: \"127.0.0.1\" is the address of no other host, allowed is "
		"\"192.168.1.10\" or \"192.168.1.10:80\"");
	refuses("forward f { port = tcp/8000-8010 to = \"192.168.1.2:80\" }",
		"p.conf:1: to: port 80 for the range 8000-8010, a range keeps its ports: "
		"allowed is the address alone");
	refuses("forward f { port = 80 to = 192.168.1.2 from = \"2a01::/16\" }",
		"p.conf:1: from: \"2a01::/16\" is not an IPv4 network, allowed is "
		"\"10.20.0.0/16\" and the like");
	refuses("forward f { port = 80 to = 192.168.1.2 from = { 1.0.0.0/8, 2.0.0.0/8,\n"
		"3.0.0.0/8, 4.0.0.0/8, 5.0.0.0/8, 6.0.0.0/8, 7.0.0.0/8, 8.0.0.0/8, 9.0.0.0/8 } "
		"}",
		"p.conf:2: from: \"9.0.0.0/8\" is one too many, 8 networks are allowed");
	refuses("forward f { port = { 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17 } }",
		"p.conf:1: port: \"17\" is one too many, 16 ports or ranges are allowed");
	refuses("forward \"\" { port = 80 to = 192.168.1.2 }",
		"p.conf:1: forward: \"\" is no name, 1 to 31 letters without quotes are "
		"allowed");
	refuses("forward f { port = 80 to = 192.168.1.2 return-via-router = yes }",
		"p.conf:1: return-via-router: \"yes\" is neither, allowed is true or false");
	refuses("forward f { mtu = 3 }",
		"p.conf:1: mtu: no such key, allowed here: port, to, from, return-via-router");
}

static void forwards_have_a_limit(void **state)
{
	char text[16384];
	size_t n = 0;

	(void)state;
	for (unsigned int i = 0; i <= LEASE_FORWARDS_MAX / 2; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "forward f%u { port = %u to = 192.168.1.2 }\n", i,
				      1000 + i);
	refuses(text,
		"p.conf:129: forward: \"f128\" is too much, 256 ports or ranges are "
		"allowed in all forwards, each counted for each protocol");
}

static void access_rules_are_read(void **state)
{
	(void)state;
	accepts("access console { address = 192.168.1.20 ports = { 1024-65535, tcp/80 }\n"
		"leases = 128 }\n"
		"access tv { mac = { A4-C0-E1-00-00-01, a4:c0:e1:00:00:02 } }\n"
		"access \"all others\" { address = { 0.0.0.0/0, \"::/0\" } leases = 0 }");
	assert_int_equal(c.n_access, 3);
	assert_string_equal(c.access[0].name, "console");
	assert_int_equal(c.access[0].n_nets, 1);
	assert_int_equal(c.access[0].n_ports, 2);
	assert_true(c.access[0].has_leases);
	assert_int_equal(c.access[0].leases, 128);
	assert_int_equal(c.access[0].n_macs, 0);
	assert_int_equal(c.access[1].n_nets, 0);
	assert_int_equal(c.access[1].n_macs, 2);
	assert_memory_equal(c.access[1].macs, "\xa4\xc0\xe1\0\0\1\xa4\xc0\xe1\0\0\2", 12);
	assert_int_equal(c.access[2].n_nets, 2);
	assert_int_equal(c.access[2].n_ports, 0);
	assert_int_equal(c.access[2].leases, 0);
}

static void access_rules_are_checked(void **state)
{
	char text[8192];
	size_t n = 0;

	(void)state;
	refuses("access a { leases = 1 }",
		"p.conf:1: address: access \"a\" has none, nor a mac, allowed is "
		"\"192.168.1.20\", \"192.168.1.0/24\" and the like");
	refuses("access a { address = console }",
		"p.conf:1: address: \"console\" is not an IP network, allowed is "
		"\"10.20.0.0/16\" and the like");
	refuses("access a { address = 1.2.3.4 leases = 65536 }",
		"p.conf:1: leases: 65536 is out of range, allowed is 0 to 65535");
	refuses("access a { address = 1.2.3.4 ports = { 0 } }",
		"p.conf:1: ports: \"0\" is not a port, allowed is 5555, 8000-8100, udp/3074 or "
		"5555/tcp");
	refuses("access a { mac = 01:00:5e:00:00:01 }",
		"p.conf:1: mac: \"01:00:5e:00:00:01\" is no MAC address of one host, allowed is "
		"\"a4:c0:e1:00:00:01\"");
	refuses("access a { mac = { 2:0, 02:00:00:00:00:01 } }",
		"p.conf:1: mac: \"2:0\" is no MAC address of one host, allowed is "
		"\"a4:c0:e1:00:00:01\"");
	for (unsigned int i = 0; i <= LEASE_ACCESS_MACS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s02:00:00:00:00:01",
				      i ? ", " : "access a { mac = { ");
	snprintf(text + n, sizeof(text) - n, " } }");
	refuses(text,
		"p.conf:1: mac: \"02:00:00:00:00:01\" is one too many, 8 addresses are "
		"allowed");
	n = 0;
	refuses("access a { port = 1 }",
		"p.conf:1: port: no such key, allowed here: address, mac, ports, leases, "
		"open-nat");
	refuses("access a { address = 1.2.3.4 }\naccess a { address = 1.2.3.5 }\n",
		"p.conf:2: syntax: found duplicate title 'a'");
	for (unsigned int i = 0; i <= LEASE_ACCESS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "access a%u { address = 1.2.3.4 }\n", i);
	refuses(text, "p.conf:65: access: \"a64\" is one too many, 64 are allowed");
}

static void an_access_rule_may_switch_open_nat(void **state)
{
	(void)state;
	accepts("access a { address = 1.2.3.4 open-nat = false }\n"
		"access b { address = 1.2.3.5 open-nat = true }\n"
		"access c { address = 1.2.3.6 }");
	assert_int_equal(c.access[0].open_nat, ACCESS_OPEN_NAT_OFF);
	assert_int_equal(c.access[1].open_nat, ACCESS_OPEN_NAT_ON);
	assert_int_equal(c.access[2].open_nat, ACCESS_OPEN_NAT_AS_LAN);
	refuses("access a { address = 1.2.3.4 open-nat = off }",
		"p.conf:1: open-nat: \"off\" is neither, allowed is true or false");
}

static void router_mode_is_off_without_its_block(void **state)
{
	(void)state;
	accepts("wan eth0 {}");
	assert_false(c.router.on || c.router.masquerade || c.router.filter ||
		     c.router.clamp_mss || c.router.antispoof);
	assert_true(c.own_masquerade);
}

static void an_empty_router_block_means_all_of_it(void **state)
{
	(void)state;
	accepts("router {}\nwan eth0 {}");
	assert_true(c.router.on && c.router.masquerade && c.router.filter &&
		    c.router.clamp_mss && c.router.antispoof && c.router.log);
	assert_false(c.router.allow_icmp);
	assert_false(portset_has(&c.router.tcp, 22));
	accepts("wan eth0 {} lan g { trusted = false } lan h {} own-masquerade = false\n"
		"router { masquerade = false filter = false clamp-mss = false log = false\n"
		"antispoof = false wan-allow = { tcp/22, 6000-6010, icmp } }");
	assert_true(c.router.on && !c.router.masquerade && !c.router.filter &&
		    !c.router.clamp_mss && !c.router.antispoof && !c.router.log);
	assert_true(c.router.allow_icmp && portset_has(&c.router.tcp, 22) &&
		    !portset_has(&c.router.udp, 22) && portset_has(&c.router.udp, 6010));
	assert_true(!c.lan[0].trusted && c.lan[1].trusted && !c.own_masquerade);
}

static void router_mode_is_checked(void **state)
{
	(void)state;
	refuses("lan a {}\nrouter {}\n",
		"p.conf:2: router: no wan is named, allowed is a router block beside wan "
		"\"interface\" {}");
	refuses("wan a {} router { filter = 1 }",
		"p.conf:1: filter: \"1\" is neither, allowed is true or false");
	refuses("wan a {} router { wan-allow = { ssh } }",
		"p.conf:1: wan-allow: \"ssh\" is neither port nor icmp, allowed is \"tcp/22\", "
		"\"udp/6000-6010\", \"icmp\" and the like");
	refuses("wan a {} router { nat = true }",
		"p.conf:1: nat: no such key, allowed here: masquerade, filter, clamp-mss, "
		"antispoof, log, wan-allow");
}

static void every_truncation_of_a_good_file_ends_well(void **state)
{
	static const char good[] =
		"wan \"ppp0\" {}\n"
		"forward \"web\" { port = { \"tcp/80\", 90-91 } to = \"192.168.1.2\"\n"
		"from = { 11.0.0.0/24 } return-via-router = true }\n"
		"access \"a\" { address = { ::/0 } mac = 02:00:00:00:00:01 ports = { 1 } leases = 3 }\n"
		"router { masquerade = true wan-allow = { icmp, 22 } }\n";

	(void)state;
	for (size_t n = 1; n < sizeof(good); n++) {
		char *cut = strndup(good, n);

		if (parse(cut))
			assert_int_equal(strncmp(err, "p.conf:", 7), 0);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forward_is_one_entry_for_each_protocol_and_range),
		cmocka_unit_test(networks_of_a_forward_are_their_union),
		cmocka_unit_test(one_port_may_lead_elsewhere_for_other_networks),
		cmocka_unit_test(forwards_are_checked),
		cmocka_unit_test(forwards_have_a_limit),
		cmocka_unit_test(access_rules_are_read),
		cmocka_unit_test(access_rules_are_checked),
		cmocka_unit_test(an_access_rule_may_switch_open_nat),
		cmocka_unit_test(router_mode_is_off_without_its_block),
		cmocka_unit_test(an_empty_router_block_means_all_of_it),
		cmocka_unit_test(router_mode_is_checked),
		cmocka_unit_test(every_truncation_of_a_good_file_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
