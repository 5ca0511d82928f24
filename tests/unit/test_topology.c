/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/topology.h"

/* Interfaces as the kernel would list them; the tests fill them in. */
struct links {
	struct link link[8];
	size_t n;
	int route; /* index in link[], -1: none */
};

void links_each(const struct links *l, void (*each)(void *arg, const struct link *link),
		void *arg)
{
	for (size_t i = 0; i < l->n; i++)
		each(arg, &l->link[i]);
}

const struct link *links_find(const struct links *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->link[i].name, name) == 0)
			return &l->link[i];
	return NULL;
}

const struct link *links_default_route(const struct links *l)
{
	return l->route < 0 ? NULL : &l->link[l->route];
}

static struct link *add(struct links *l, const char *name, const char *net)
{
	struct link *link = &l->link[l->n++];
	struct prefix p;

	*link = (struct link){.index = (uint32_t)l->n, .up = true, .running = true};
	snprintf(link->name, sizeof(link->name), "%s", name);
	link->loopback = strcmp(name, "lo") == 0;
	if (net) {
		assert_int_equal(prefix_parse(net, &p), 0);
		link->addrs[link->n_addrs++] = (struct link_addr){p.addr, p.len, true};
	}
	return link;
}

static void home_router(struct links *l)
{
	*l = (struct links){.route = 1};
	add(l, "lo", "127.0.0.1/8");
	add(l, "eth0", "11.0.0.1/24");
	add(l, "br-lan", "192.168.77.1/24");
	add(l, "br-guest", "192.168.78.1/24");
}

static void
without_a_file_the_default_route_is_the_wan_and_private_ones_are_lans(void **state)
{
	static struct config config;
	struct topology t;
	struct links l;

	(void)state;
	home_router(&l);
	topology_init(&t, &config);
	topology_read(&t, &l);
	assert_string_equal(t.wan, "eth0");
	assert_true(t.wan_up);
	assert_string_equal(t.lan[0].name, "br-lan");
	assert_string_equal(t.lan[1].name, "br-guest");
	assert_string_equal(t.lan[2].name, "");
	assert_int_equal(t.lan[0].http_port, 49152);
	assert_int_equal(t.lan[1].http_port, 49153);
	assert_true(t.lan[0].upnp && t.lan[0].pcp);
}

static void a_private_wan_address_makes_the_wan_no_lan(void **state)
{
	static struct config config;
	struct topology t;
	struct links l = {.route = 0};

	(void)state;
	add(&l, "eth0", "192.168.1.5/24"); /* behind another router */
	add(&l, "br-lan", "192.168.77.1/24");
	topology_init(&t, &config);
	topology_read(&t, &l);
	assert_string_equal(t.lan[0].name, "br-lan");
	assert_string_equal(t.lan[1].name, "");
}

static void a_lan_keeps_its_number_while_it_is_away(void **state)
{
	static struct config config;
	struct topology t, was;
	struct links l;

	(void)state;
	home_router(&l);
	topology_init(&t, &config);
	topology_read(&t, &l);
	was = t;
	l.link[2].n_addrs = 0;
	topology_read(&t, &l);
	assert_true(topology_lan_differs(&was.lan[0], &t.lan[0]));
	assert_false(topology_lan_differs(&was.lan[1], &t.lan[1]));
	assert_int_equal(t.lan[0].n_addrs, 0);
	add(&l, "br-new", "10.9.0.1/16");
	l.link[2].n_addrs = 1;
	topology_read(&t, &l);
	assert_false(topology_lan_differs(&was.lan[0], &t.lan[0]));
	assert_string_equal(t.lan[2].name, "br-new");
}

static void configured_names_are_taken_as_they_are(void **state)
{
	static struct config config = {
		.wan = "ppp0",
		.n_lans = 1,
		.lan = {{.name = "br-guest",
			 .upnp = false,
			 .pcp = true,
			 .http_port = 5000}},
	};
	struct topology t;
	struct links l;

	(void)state;
	home_router(&l);
	topology_init(&t, &config);
	topology_read(&t, &l);
	assert_string_equal(t.wan, "ppp0");
	assert_false(t.wan_up);
	assert_true(addr_is_none(&t.wan4));
	assert_string_equal(t.lan[0].name, "br-guest");
	assert_int_equal(t.lan[0].http_port, 5000);
	assert_false(t.lan[0].upnp);
	assert_string_equal(t.lan[1].name, "");
	add(&l, "ppp0", "12.0.0.7/32");
	topology_read(&t, &l);
	assert_true(t.wan_up);
	assert_false(addr_is_none(&t.wan4));
}

static void networks_behind_a_switch_belong_to_the_lan(void **state)
{
	static struct config config = {.n_lans = 1,
				       .lan = {{.name = "br-lan", .n_also = 1}}};
	struct topology t;
	struct lease_lan policy;
	struct in6_addr far, near, own;
	struct links l;

	(void)state;
	assert_int_equal(prefix_parse("10.20.0.0/16", &config.lan[0].also[0]), 0);
	home_router(&l);
	topology_init(&t, &config);
	topology_read(&t, &l);
	topology_lan_policy(&t.lan[0], &policy);
	addr_parse("10.20.3.4", &far);
	addr_parse("192.168.77.20", &near);
	addr_parse("192.168.77.1", &own);
	assert_int_equal(policy.n_nets, 2);
	assert_true(prefix_has(&policy.nets[0], &near));
	assert_true(prefix_has(&policy.nets[1], &far));
	assert_int_equal(policy.n_own, 1);
	assert_true(addr_equal(&policy.own[0], &own));
	t.lan[0].n_addrs = 0;
	topology_lan_policy(&t.lan[0], &policy);
	assert_false(policy.used);
	assert_int_equal(policy.n_nets, 0);
}

/* Issue 5 item 10: workers and rules know a LAN by its number. */
static void another_configuration_moves_no_lan_that_stays(void **state)
{
	static struct config config = {.n_lans = 3,
				       .lan = {{.name = "br-lan", .upnp = true},
					       {.name = "eth5"},
					       {.name = "eth6"}}};
	static struct config next = {
		.n_lans = 3,
		.lan = {{.name = "br-new"},
			{.name = "eth6", .pcp = true, .trusted = true},
			{.name = "br-lan", .upnp = true}}};
	static struct config none;
	struct topology t, was;
	struct links l;

	(void)state;
	home_router(&l);
	topology_init(&t, &config);
	topology_read(&t, &l);
	was = t;
	topology_configure(&t, &next);
	topology_read(&t, &l);
	assert_string_equal(t.lan[0].name, "br-lan");
	assert_string_equal(t.lan[1].name, "br-new");
	assert_string_equal(t.lan[2].name, "eth6");
	assert_string_equal(t.lan[3].name, "");
	assert_false(topology_lan_serves_else(&was.lan[0], &t.lan[0]));
	assert_true(topology_lan_serves_else(&was.lan[1], &t.lan[1]));
	assert_true(topology_lan_serves_else(&was.lan[2], &t.lan[2]));
	assert_true(t.lan[2].trusted && t.lan[2].pcp);
	assert_int_equal(t.lan[0].http_port, 49152);
	topology_configure(&t,
			   &none); /* br-guest has a private address, and a number free */
	topology_read(&t, &l);
	assert_string_equal(t.lan[0].name, "br-lan");
	assert_string_equal(t.lan[3].name, "br-guest");
	assert_true(t.lan[3].trusted && t.lan[3].n_addrs && t.lan[0].pcp);
	assert_int_equal(t.lan[1].n_addrs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			without_a_file_the_default_route_is_the_wan_and_private_ones_are_lans),
		cmocka_unit_test(a_private_wan_address_makes_the_wan_no_lan),
		cmocka_unit_test(a_lan_keeps_its_number_while_it_is_away),
		cmocka_unit_test(configured_names_are_taken_as_they_are),
		cmocka_unit_test(another_configuration_moves_no_lan_that_stays),
		cmocka_unit_test(networks_behind_a_switch_belong_to_the_lan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
