/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table, and the hosts, released ports and waiting inside ports beside it. */
#include "registry_rig.h"

static uint32_t put(struct lease_table *t, uint16_t ext_port, uint16_t int_port,
		    bool twin)
{
	uint32_t id = table_alloc(t);

	assert_true(id != 0);
	table_node(t, id)->lease = (struct lease){
		.protocol = IPPROTO_UDP,
		.ext_port = ext_port,
		.int_port = int_port,
		.internal = host(20),
		.twin = twin,
		.claims = 1 << LEASE_BY_PCP,
	};
	table_port_link(t, id);
	table_ring_link(t, id);
	table_list(t, id, true);
	return id;
}

static int table_up(void **state)
{
	struct lease_table *t = calloc(1, sizeof(*t));

	*state = t;
	return t ? table_init(t, 99) : -1;
}

static int table_down(void **state)
{
	table_fini(*state);
	free(*state);
	return 0;
}

static void a_port_is_busy_until_its_last_lease_goes(void **state)
{
	struct lease_table *t = *state;
	uint32_t a = put(t, 5000, 1, true), b = put(t, 5000, 2, true);

	assert_true(portset_has(&t->busy[1], 5000));
	assert_false(portset_has(&t->busy[0], 5000));
	table_port_unlink(t, b);
	assert_true(portset_has(&t->busy[1], 5000));
	assert_int_equal(table_port_first(t, IPPROTO_UDP, 5000), a);
	table_port_unlink(t, a);
	assert_false(portset_has(&t->busy[1], 5000));
	assert_int_equal(table_port_first(t, IPPROTO_UDP, 5000), 0);
}

static void the_head_of_a_ring_has_the_twin(void **state)
{
	struct lease_table *t = *state;
	struct in6_addr in = host(20);
	uint32_t a = put(t, 5000, 1, true), b = put(t, 5001, 1, false), c;

	assert_int_equal(table_ring(t, IPPROTO_UDP, &in, 1), a);
	c = put(t, 5002, 1, true);
	assert_int_equal(table_ring(t, IPPROTO_UDP, &in, 1), c);
	assert_int_equal(table_ring(t, IPPROTO_TCP, &in, 1), 0);
	table_ring_unlink(t, c);
	assert_int_equal(table_ring(t, IPPROTO_UDP, &in, 1), a);
	table_ring_unlink(t, a);
	assert_int_equal(table_ring(t, IPPROTO_UDP, &in, 1), b);
	table_ring_unlink(t, b);
	assert_int_equal(table_ring(t, IPPROTO_UDP, &in, 1), 0);
}

static void rings_in_one_bucket_do_not_mix(void **state)
{
	struct lease_table *t = *state;
	struct in6_addr in = host(20);
	uint32_t id[60000];

	/* Half as many as buckets: many share one. */
	for (uint32_t i = 0; i < 60000; i++)
		id[i] = put(t, (uint16_t)(i + 1), (uint16_t)(i + 1), true);
	for (uint32_t i = 0; i < 60000; i++)
		assert_int_equal(table_ring(t, IPPROTO_UDP, &in, (uint16_t)(i + 1)),
				 id[i]);
	for (uint32_t i = 0; i < 60000; i += 2)
		table_ring_unlink(t, id[i]);
	for (uint32_t i = 0; i < 60000; i++)
		assert_int_equal(table_ring(t, IPPROTO_UDP, &in, (uint16_t)(i + 1)),
				 i % 2 ? id[i] : 0);
}

/* W17: contiguous, 0 to n - 1. */
static void listings_have_no_holes(void **state)
{
	struct lease_table *t = *state;

	for (uint16_t i = 1; i <= 100; i++)
		put(t, i, i, true);
	for (uint32_t id = 1; id <= 100; id += 3)
		table_list(t, id, false);
	assert_int_equal(t->n_listed, 66);
	for (size_t i = 0; i < t->n_listed; i++) {
		assert_int_equal(table_node(t, t->listing[i])->listed, i + 1);
		assert_int_not_equal(t->listing[i] % 3, 1);
	}
}

static void freed_nodes_are_used_again(void **state)
{
	struct lease_table *t = *state;
	size_t room;

	for (int i = 0; i < 1000; i++)
		assert_true(table_alloc(t) != 0);
	room = table_room(t);
	for (uint32_t id = 1; id <= 1000; id++)
		table_free(t, id);
	for (int i = 0; i < 1000; i++)
		assert_true(table_alloc(t) != 0);
	assert_int_equal(table_room(t), room);
}

static void idle_hosts_are_forgotten_others_not(void **state)
{
	struct hosts h;
	struct in6_addr kept = host(20);
	uint32_t id;

	(void)state;
	assert_int_equal(hosts_init(&h, 7), 0);
	id = hosts_get(&h, &kept);
	hosts_ref(&h, id);
	for (uint32_t i = 0; i < 200000; i++) {
		struct in6_addr a = addr_from_v4((struct in_addr){htonl(0x0a000000 + i)});

		assert_true(hosts_get(&h, &a) != 0);
	}
	assert_true(h.n <= HOSTS_IDLE_MAX + 2);
	assert_int_equal(h.idle, HOSTS_IDLE_MAX);
	assert_int_equal(hosts_get(&h, &kept), id);
	assert_int_equal(hosts_at(&h, id)->refs, 1);
	hosts_unref(&h, id);
	assert_int_equal(h.idle, HOSTS_IDLE_MAX + 1);
	hosts_fini(&h);
}

static void a_host_may_burst_twice_its_rate_then_waits(void **state)
{
	struct hosts h;
	struct in6_addr a = host(20);
	uint32_t id;

	(void)state;
	assert_int_equal(hosts_init(&h, 7), 0);
	id = hosts_get(&h, &a);
	for (int i = 0; i < 400; i++)
		assert_true(hosts_take(&h, id, 200, 10));
	assert_false(hosts_take(&h, id, 200, 10));
	assert_false(hosts_take(&h, id, 200, 14));
	assert_true(hosts_take(&h, id, 200, 15)); /* one every 5 ms */
	assert_false(hosts_take(&h, id, 200, 15));
	hosts_give_back(&h, id);
	assert_true(hosts_take(&h, id, 200, 15));
	assert_false(
		hosts_take(&h, id, 200, 3)); /* a time that runs back gives nothing */
	for (int i = 0; i < 400; i++)
		assert_true(hosts_take(&h, id, 200, 100000));
	assert_false(hosts_take(&h, id, 200, 100000));
	hosts_fini(&h);
}

static void released_ports_are_let_go_in_order(void **state)
{
	struct hosts h;
	struct released rel;
	struct in6_addr a = host(20), b = host(21);
	uint32_t ida, idb;

	(void)state;
	assert_int_equal(hosts_init(&h, 7), 0);
	assert_int_equal(released_init(&rel, &h), 0);
	ida = hosts_get(&h, &a);
	idb = hosts_get(&h, &b);
	released_add(&rel, IPPROTO_UDP, 5000, ida, 1000);
	released_add(&rel, IPPROTO_TCP, 5000, idb, 2000);
	released_add(&rel, IPPROTO_UDP, 5002, idb, 3000);
	assert_int_equal(released_host(&rel, IPPROTO_UDP, 5000), ida);
	assert_int_equal(released_host(&rel, IPPROTO_TCP, 5000), idb);
	assert_int_equal(released_host(&rel, IPPROTO_TCP, 5002), 0);
	assert_int_equal(released_oldest(&rel, IPPROTO_UDP, 0, 8), 5000);
	assert_int_equal(released_oldest(&rel, IPPROTO_UDP, 5000, 8), 5002);
	assert_int_equal(released_oldest(&rel, IPPROTO_UDP, 5002, 8), 0);
	released_expire(&rel, 1000 + RELEASED_MS - 1);
	assert_int_equal(released_host(&rel, IPPROTO_UDP, 5000), ida);
	released_expire(&rel, 1000 + RELEASED_MS);
	assert_int_equal(released_host(&rel, IPPROTO_UDP, 5000), 0);
	assert_int_equal(hosts_at(&h, ida)->refs, 0);
	assert_int_equal(hosts_at(&h, idb)->released, 2);
	released_del(&rel, IPPROTO_TCP, 5000);
	released_expire(&rel, 3000 + RELEASED_MS);
	assert_int_equal(hosts_at(&h, idb)->refs, 0);
	released_add(&rel, IPPROTO_UDP, 5000, ida,
		     5000); /* twice: from the last time on */
	released_add(&rel, IPPROTO_UDP, 5002, ida, 5500);
	released_add(&rel, IPPROTO_UDP, 5000, idb, 6000);
	released_expire(&rel, 5000 + RELEASED_MS);
	assert_int_equal(released_host(&rel, IPPROTO_UDP, 5000), idb);
	assert_int_equal(released_host(&rel, IPPROTO_UDP, 5002), ida);
	released_expire(&rel, 6000 + RELEASED_MS);
	assert_int_equal(hosts_at(&h, idb)->refs, 0);
	assert_int_equal(hosts_at(&h, ida)->refs, 0);
	for (uint16_t p = 1; p <= 1000; p++)
		released_add(&rel, IPPROTO_UDP, p, ida, 0);
	assert_int_equal(hosts_at(&h, ida)->released, RELEASED_PER_HOST);
	released_fini(&rel);
	hosts_fini(&h);
}

static void waiting_inside_ports_are_counted(void **state)
{
	struct pending p;
	struct lease l = {.protocol = IPPROTO_UDP, .internal = host(20)};

	(void)state;
	pending_init(&p, 5);
	assert_false(pending_has(&p, IPPROTO_UDP, &l.internal, 1));
	for (int round = 0; round < 2; round++) {
		for (uint16_t i = 1; i <= 3000; i++) {
			l.int_port = i;
			assert_int_equal(pending_reserve(&p, 2), 0);
			pending_add(&p, &l);
			pending_add(&p, &l);
		}
		for (uint16_t i = 1; i <= 3000; i++) {
			l.int_port = i;
			pending_del(&p, &l);
			assert_true(pending_has(&p, IPPROTO_UDP, &l.internal, i));
			pending_del(&p, &l);
			assert_false(pending_has(&p, IPPROTO_UDP, &l.internal, i));
		}
		assert_int_equal(p.n, 0);
	}
	assert_true(p.used <= 3001);
	pending_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_port_is_busy_until_its_last_lease_goes,
						table_up, table_down),
		cmocka_unit_test_setup_teardown(the_head_of_a_ring_has_the_twin, table_up,
						table_down),
		cmocka_unit_test_setup_teardown(rings_in_one_bucket_do_not_mix, table_up,
						table_down),
		cmocka_unit_test_setup_teardown(listings_have_no_holes, table_up,
						table_down),
		cmocka_unit_test_setup_teardown(freed_nodes_are_used_again, table_up,
						table_down),
		cmocka_unit_test(idle_hosts_are_forgotten_others_not),
		cmocka_unit_test(a_host_may_burst_twice_its_rate_then_waits),
		cmocka_unit_test(released_ports_are_let_go_in_order),
		cmocka_unit_test(waiting_inside_ports_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
