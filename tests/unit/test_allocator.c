/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "registry_rig.h"

/* A lease of that host, straight into the table. */
static uint32_t take(struct rig *g, unsigned int who, uint8_t protocol, uint16_t port)
{
	struct in6_addr in = host(who);
	uint32_t h = hosts_get(&g->book->hosts, &in), id = book_alloc(g->book);
	struct lease l = {.protocol = protocol,
			  .ext_port = port,
			  .int_port = port,
			  .internal = in,
			  .twin = true,
			  .claims = 1 << LEASE_BY_PCP,
			  .until_ms[LEASE_BY_PCP] = UINT64_MAX - 1,
			  .deadline_ms = UINT64_MAX - 1};

	assert_true(h && id);
	book_grant(g->book, id, &l, h, 0, NULL);
	return h;
}

static uint16_t choose(struct rig *g, unsigned int who, uint16_t wanted,
		       uint16_t int_port)
{
	struct in6_addr in = host(who);

	return allocator_choose(&g->book->allocator, IPPROTO_UDP,
				hosts_get(&g->book->hosts, &in), wanted, int_port);
}

static void the_wanted_port_else_the_inside_port_else_one_nearby(void **state)
{
	struct rig *g = *state;

	assert_int_equal(choose(g, 20, 6000, 7000), 6000);
	assert_int_equal(choose(g, 20, 0, 7000), 7000);
	take(g, 30, IPPROTO_UDP, 6000);
	assert_int_equal(choose(g, 20, 6000, 7000), 7000);
	take(g, 30, IPPROTO_UDP, 7000);
	assert_int_equal(choose(g, 20, 6000, 7000), 6002);
	take(g, 30, IPPROTO_UDP, 6002);
	assert_int_equal(choose(g, 20, 6000, 7000), 5998);
}

/* P8, C50 */
static void ports_below_1024_reserved_or_the_routers_are_not_chosen(void **state)
{
	struct rig *g = *state;

	assert_int_equal(choose(g, 20, 80, 7000), 7000);
	assert_int_equal(choose(g, 20, 8080, 7000), 7000);
	assert_true(choose(g, 20, 80, 80) >= 1024);
	g->used = LEASE_ROUTER;
	assert_int_equal(choose(g, 20, 4500, 7000), 7000);
	g->used = LEASE_STATIC;
	assert_int_equal(choose(g, 20, 4500, 7000), 7000);
	g->used = LEASE_OK;
	assert_int_equal(choose(g, 20, 4500, 7000), 4500);
}

/* P16 */
static void the_companion_port_is_its_owners(void **state)
{
	struct rig *g = *state;

	take(g, 30, IPPROTO_TCP, 6000);
	assert_int_equal(choose(g, 30, 6000, 7000), 6000);
	assert_int_equal(choose(g, 20, 6000, 7000), 7000);
}

/* C37 */
static void a_released_port_is_its_former_owners(void **state)
{
	struct rig *g = *state;
	struct in6_addr in = host(30);

	released_add(&g->book->released, IPPROTO_UDP, 6000,
		     hosts_get(&g->book->hosts, &in), 0);
	assert_int_equal(choose(g, 30, 6000, 7000), 6000);
	assert_int_equal(choose(g, 20, 6000, 7000), 7000);
	released_expire(&g->book->released, RELEASED_MS);
	assert_int_equal(choose(g, 20, 6000, 7000), 6000);
}

/* opennat.md 8.3 */
static void ports_that_masquerading_uses_come_last_unless_asked_for(void **state)
{
	struct rig *g = *state;

	assert_int_equal(choose(g, 20, 50000, 7000), 50000);
	take(g, 30, IPPROTO_UDP, 50000);
	for (int i = 0; i < 1000; i++) {
		uint16_t port = choose(g, 20, 50000, 50000);

		assert_in_range(port, 1024, 32767);
	}
}

static void random_ports_differ_and_follow_the_seed(void **state)
{
	struct rig *g = *state;
	size_t same = 0;

	take(g, 30, IPPROTO_UDP, 50000);
	for (int i = 0; i < 1000; i++)
		same += choose(g, 20, 0, 50000) == choose(g, 20, 0, 50000);
	assert_true(same < 10);
}

static void every_free_port_is_found_then_none(void **state)
{
	struct rig *g = *state;
	static bool given[65536];
	size_t n = 0;

	for (;; n++) {
		uint16_t port = choose(g, 20, 0, 50000);

		if (!port)
			break;
		assert_false(given[port]);
		assert_true(port >= 1024 && port != 8080);
		given[port] = true;
		take(g, 20, IPPROTO_UDP, port);
	}
	assert_int_equal(n, 65536 - 1024 - 1);
}

/* P8: never an error while any is free; the last ones are those with a companion of our own. */
static void own_companions_are_found_when_nothing_else_is_free(void **state)
{
	struct rig *g = *state;

	for (uint32_t port = 1024; port < 65536; port++)
		if (port != 20001)
			take(g, 30, IPPROTO_UDP, (uint16_t)port);
	take(g, 20, IPPROTO_TCP, 20001);
	assert_int_equal(choose(g, 20, 0, 50000), 20001);
	assert_int_equal(choose(g, 21, 0, 50000), 0);
}

static void released_ports_of_others_are_the_last_resort(void **state)
{
	struct rig *g = *state;
	struct in6_addr in = host(30);

	for (uint32_t port = 1024; port < 65536; port++)
		if (port != 20001)
			take(g, 30, IPPROTO_UDP, (uint16_t)port);
	released_add(&g->book->released, IPPROTO_UDP, 20001,
		     hosts_get(&g->book->hosts, &in), 0);
	assert_int_equal(choose(g, 20, 0, 50000), 20001);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(the_wanted_port_else_the_inside_port_else_one_nearby),
		T(ports_below_1024_reserved_or_the_routers_are_not_chosen),
		T(the_companion_port_is_its_owners),
		T(a_released_port_is_its_former_owners),
		T(ports_that_masquerading_uses_come_last_unless_asked_for),
		T(random_ports_differ_and_follow_the_seed),
		T(every_free_port_is_found_then_none),
		T(own_companions_are_found_when_nothing_else_is_free),
		T(released_ports_of_others_are_the_last_resort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
