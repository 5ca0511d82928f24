/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pinholes as UPnP makes them, with a number: F1, F3-F6, F10. */
#include "registry_rig.h"

static struct lease_request hole(unsigned int who, uint16_t port, const char *remote,
				 uint16_t remote_port)
{
	struct lease_request req = map(LEASE_BY_UPNP, who, IPPROTO_UDP, port, port, 600);

	req.flags = LEASE_EXACT;
	req.client = req.internal = host6(who);
	if (remote) {
		assert_int_equal(addr_parse(remote, &req.remote), 0);
		req.remote_len = 128;
	}
	req.remote_port = remote_port;
	return req;
}

static struct lease_request by_number(enum lease_op op, unsigned int who, uint32_t number)
{
	return (struct lease_request){
		.op = (uint8_t)op,
		.by = LEASE_BY_UPNP,
		.lifetime = 1200,
		.index = number,
		.client = host6(who),
	};
}

static uint16_t opened(struct rig *g, struct lease_request req)
{
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_not_equal(g->reply.number, 0);
	return g->reply.number;
}

/* F1 */
static void the_same_five_values_are_the_same_number(void **state)
{
	struct rig *g = *state;
	uint16_t n = opened(g, hole(20, 7100, NULL, 0));

	g->now += 1000;
	assert_int_equal(opened(g, hole(20, 7100, NULL, 0)), n);
	assert_int_equal(registry_count(g->book), 1);
	assert_int_not_equal(opened(g, hole(20, 7101, NULL, 0)), n);
	assert_int_not_equal(opened(g, hole(21, 7100, NULL, 0)), n);
	assert_int_not_equal(opened(g, hole(20, 7100, "2001:db8:9::1", 0)), n);
	assert_int_equal(registry_count(g->book), 4);
}

static void the_remote_port_belongs_to_the_key(void **state)
{
	struct rig *g = *state;
	uint16_t a = opened(g, hole(20, 7100, "2001:db8:9::1", 5000));
	uint16_t b = opened(g, hole(20, 7100, "2001:db8:9::1", 5001));
	uint16_t c = opened(g, hole(20, 7100, NULL, 5002));
	const struct in6_addr in = host6(20), anybody = IN6ADDR_ANY_INIT;

	assert_true(a != b && b != c && a != c);
	assert_int_equal(opened(g, hole(20, 7100, "2001:db8:9::1", 5001)), b);
	/* These would lie across one that is there. */
	assert_int_equal(ask(g, hole(20, 7100, "2001:db8:9::1", 0)), LEASE_REMOTE);
	assert_int_equal(ask(g, hole(20, 7100, NULL, 5000)), LEASE_REMOTE);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_END, 20, b)), LEASE_OK);
	assert_int_equal(registry_count(g->book), 2);
	assert_non_null(registry_find_pinhole(g->book, IPPROTO_UDP, &in, 7100, &anybody,
					      0, 5002));
}

static void port_mappings_have_no_remote_port(void **state)
{
	struct lease_request req = upnp(20, 7100, 7100);

	req.remote_port = 5000;
	assert_int_equal(ask(*state, req), LEASE_REMOTE);
}

/* F4 */
static void a_renewal_by_number_gives_new_time(void **state)
{
	struct rig *g = *state;
	uint16_t n = opened(g, hole(20, 7100, NULL, 0));

	g->now += 60000;
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_RENEW, 20, n)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 1200);
	assert_int_equal(g->reply.number, n);
	assert_int_equal(pinhole(g, 20, 7100)->deadline_ms, g->now + 1200000);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_RENEW, 21, n)), LEASE_NOT_OWNER);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_RENEW, 20, n + 1U)),
			 LEASE_NOT_FOUND);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_RENEW, 20, 0)), LEASE_NOT_FOUND);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_RENEW, 20, UINT32_MAX)),
			 LEASE_NOT_FOUND);
}

/* F5, F6 */
static void only_its_host_reads_and_ends_it(void **state)
{
	struct rig *g = *state;
	uint16_t n = opened(g, hole(20, 7100, NULL, 0));

	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_GET, 20, n)), LEASE_OK);
	assert_int_equal(g->reply.int_port, 7100);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_GET, 21, n)), LEASE_NOT_OWNER);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_END, 21, n)), LEASE_NOT_OWNER);
	assert_int_equal(registry_count(g->book), 1);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_END, 20, n)), LEASE_OK);
	assert_int_equal(registry_count(g->book), 0);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_END, 20, n)), LEASE_NOT_FOUND);
}

static void no_other_protocol_goes_by_number(void **state)
{
	struct rig *g = *state;
	struct lease_request req;

	assert_int_equal(ask(g, pin(20, 7100)), LEASE_OK);
	assert_int_equal(g->reply.number, 0);
	req = by_number(LEASE_OP_PIN_END, 20, opened(g, hole(20, 7100, NULL, 0)));
	assert_int_equal(registry_count(g->book), 1);
	req.by = LEASE_BY_PCP;
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
	req.by = LEASE_BY_UPNP; /* its claim and the number go, PCP's stays */
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(pinhole(g, 20, 7100)->claims, 1 << LEASE_BY_PCP);
	assert_int_equal(pinhole(g, 20, 7100)->number, 0);
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
}

/* F10 */
static void a_number_is_not_used_again_soon(void **state)
{
	struct rig *g = *state;
	uint16_t last = opened(g, hole(20, 7100, NULL, 0));

	for (int i = 0; i < 300; i++) {
		uint16_t n;

		assert_int_equal(ask(g, by_number(LEASE_OP_PIN_END, 20, last)), LEASE_OK);
		n = opened(g, hole(20, 7100, NULL, 0));
		assert_true(n == (uint16_t)(last + 1) || (last == 65535 && n == 1));
		last = n;
	}
	rig_due(g, g->now + 600000); /* it expires */
	assert_int_equal(registry_count(g->book), 0);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_GET, 20, last)), LEASE_NOT_FOUND);
	assert_int_not_equal(opened(g, hole(20, 7100, NULL, 0)), last);
}

static void what_the_kernel_refuses_keeps_its_number(void **state)
{
	struct rig *g = *state;
	uint16_t n = opened(g, hole(20, 7100, NULL, 0));

	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, by_number(LEASE_OP_PIN_END, 20, n)), 0);
	assert_int_equal(table_number(&g->book->table, n), 0);
	rig_revert(g);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_GET, 20, n)), LEASE_OK);
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, hole(20, 7101, NULL, 0)), 0);
	n = g->reply.number;
	rig_revert(g);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_GET, 20, n)), LEASE_NOT_FOUND);
}

/* X6: a number survives the core. */
static void found_ones_keep_their_number(void **state)
{
	struct rig *g = *state;
	uint16_t n = opened(g, hole(20, 7100, NULL, 0));
	struct lease l = *pinhole(g, 20, 7100), twice = l;

	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_END, 20, n)), LEASE_OK);
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_OK);
	assert_int_equal(ask(g, by_number(LEASE_OP_PIN_GET, 20, n)), LEASE_OK);
	twice.int_port = twice.ext_port = 7101; /* somebody wrote it into the kernel */
	assert_int_equal(registry_adopt(g->book, &twice, g->now), LEASE_OK);
	assert_int_not_equal(pinhole(g, 20, 7101)->number, n);
	assert_int_not_equal(pinhole(g, 20, 7101)->number, 0);
	assert_int_equal(pinhole(g, 20, 7100)->number, n);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(the_same_five_values_are_the_same_number),
		T(the_remote_port_belongs_to_the_key),
		T(port_mappings_have_no_remote_port),
		T(a_renewal_by_number_gives_new_time),
		T(only_its_host_reads_and_ends_it),
		T(no_other_protocol_goes_by_number),
		T(a_number_is_not_used_again_soon),
		T(what_the_kernel_refuses_keeps_its_number),
		T(found_ones_keep_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
