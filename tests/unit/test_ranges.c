/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ranges of external ports, and what is read only by its owner: W15-W18. */
#include "registry_rig.h"

#include <errno.h>
#include <stdio.h>

static struct lease_request range(enum lease_op op, unsigned int who, uint16_t first,
				  uint16_t last)
{
	return (struct lease_request){
		.op = (uint8_t)op,
		.by = LEASE_BY_UPNP,
		.protocol = IPPROTO_UDP,
		.ext_port = first,
		.last_port = last,
		.client = host(who),
	};
}

/* The ports of a whole list, in the order in which they come: "7100 7101 ". */
static const char *list(struct rig *g, unsigned int who, uint16_t first, uint16_t last)
{
	struct lease_request req = range(LEASE_OP_GET_NEXT, who, first, last);
	static char text[512];

	text[0] = '\0';
	while (ask(g, req) == LEASE_OK) {
		char one[16];

		snprintf(one, sizeof(one), "%u%s ", g->reply.ext_port,
			 g->reply.remote_len ? "*" : "");
		strcat(text, one);
		assert_true(addr_equal(&g->reply.internal, &req.client));
		assert_true(req.index++ < 40);
		req.ext_port = g->reply.ext_port;
		req.remote = g->reply.remote;
		req.remote_len = g->reply.remote_len;
	}
	assert_int_equal(g->reply.reason, LEASE_NOT_FOUND);
	return text;
}

/* W16 */
static void a_list_is_ones_own_in_order_of_ports(void **state)
{
	static const uint16_t ports[] = {7103, 7100, 7105, 7101};
	struct rig *g = *state;
	struct lease_request req;

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(ask(g, upnp(20, ports[i], ports[i])), LEASE_OK);
	assert_int_equal(ask(g, upnp(21, 7102, 7102)), LEASE_OK);
	req = upnp(20, 7104, 7104);
	req.protocol = IPPROTO_TCP;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7106, 7106)),
			 LEASE_OK); /* X4: of all protocols */
	assert_string_equal(list(g, 20, 0, 65535), "7100 7101 7103 7105 7106 ");
	assert_string_equal(list(g, 20, 7101, 7103), "7101 7103 ");
	assert_string_equal(list(g, 20, 7104, 7104), "");
	assert_string_equal(list(g, 21, 0, 65535), "7102 ");
	assert_string_equal(list(g, 22, 0, 65535), "");
	assert_int_equal(ask(g, range(LEASE_OP_GET_NEXT, 20, 7101, 7100)), LEASE_PORT);
}

static void remotes_of_one_port_come_one_after_the_other(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < 3; i++) {
		struct lease_request req = upnp(20, 7100, 7100);

		req.remote = addr_from_v4(
			(struct in_addr){htonl(0x0b000001 + (uint32_t)i)});
		req.remote_len = 128;
		assert_int_equal(ask(g, req), LEASE_OK);
	}
	assert_int_equal(ask(g, upnp(20, 7101, 7101)), LEASE_OK);
	assert_string_equal(list(g, 20, 7100, 7101), "7100* 7100* 7100* 7101 ");
}

static void what_triggers_opened_is_not_in_it(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, map(LEASE_BY_TRIGGER, 20, IPPROTO_UDP, 7100, 7100, 60)),
			 LEASE_OK);
	assert_int_equal(ask(g, pin(20, 7101)), LEASE_OK);
	assert_string_equal(list(g, 20, 0, 65535), "");
}

/* A list costs the host one request, however long it is. */
static void a_list_is_paid_for_once(void **state)
{
	struct rig *g = *state;

	for (uint16_t port = 7100; port < 7110; port++)
		assert_int_equal(ask(g, upnp(20, port, port)), LEASE_OK);
	g->policy.requests_per_second = 1;
	g->now += 10000;
	assert_string_equal(list(g, 20, 0, 65535),
			    "7100 7101 7102 7103 7104 7105 7106 7107 7108 7109 ");
	list(g, 20, 0, 65535);
	assert_int_equal(ask(g, range(LEASE_OP_GET_NEXT, 20, 0, 65535)), LEASE_RATE);
}

/* W15 */
static void a_range_ends_ones_own_and_passes_over_others(void **state)
{
	struct rig *g = *state;
	struct lease_request req;

	for (uint16_t port = 7100; port < 7104; port++)
		assert_int_equal(ask(g, upnp(20, port, port)), LEASE_OK);
	assert_int_equal(ask(g, upnp(21, 7104, 7104)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7105, 7105)), LEASE_OK); /* not UPnP's */
	req = upnp(20, 7101, 7101);
	req.protocol = IPPROTO_TCP;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(ask(g, range(LEASE_OP_UNMAP_RANGE, 20, 7101, 7200)), LEASE_OK);
	assert_int_equal(g->out.n, 3);
	assert_string_equal(list(g, 20, 0, 65535), "7100 7105 ");
	assert_string_equal(list(g, 21, 0, 65535), "7104 ");
	assert_int_equal(registry_count(g->book), 4);
	/* There is nothing left in it that is this host's to end. */
	assert_int_equal(ask(g, range(LEASE_OP_UNMAP_RANGE, 20, 7101, 7200)),
			 LEASE_NOT_FOUND);
	assert_int_equal(ask(g, range(LEASE_OP_UNMAP_RANGE, 20, 7104, 7104)),
			 LEASE_NOT_FOUND);
	assert_int_equal(ask(g, range(LEASE_OP_UNMAP_RANGE, 20, 7200, 7100)), LEASE_PORT);
}

static void a_range_takes_only_upnps_claim_off(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, range(LEASE_OP_UNMAP_RANGE, 20, 7000, 7200)), LEASE_OK);
	assert_int_equal(at(g, 7100)->claims, 1 << LEASE_BY_PCP);
}

static void what_is_the_admins_stays(void **state)
{
	struct rig *g = *state;

	assert_int_equal(
		ask_lan(g, -1, map(LEASE_BY_ADMIN, 20, IPPROTO_UDP, 7100, 7100, 0)),
		LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, range(LEASE_OP_UNMAP_RANGE, 20, 7000, 7200)),
			 LEASE_NOT_FOUND);
	assert_int_equal(registry_count(g->book), 1);
}

static void a_range_waits_for_the_kernel_and_comes_back_whole(void **state)
{
	struct rig *g = *state;

	for (uint16_t port = 7100; port < 7103; port++)
		assert_int_equal(ask(g, upnp(20, port, port)), LEASE_OK);
	g->now += 5000;
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, upnp(20, 7101, 7101)), 0);
	assert_int_equal(g->out.n, 1);
	assert_int_equal(rig_ask(g, 0, range(LEASE_OP_UNMAP_RANGE, 20, 7100, 7102)),
			 -EAGAIN);
	rig_confirm(g);
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, range(LEASE_OP_UNMAP_RANGE, 20, 7100, 7102)), 0);
	assert_int_equal(g->out.n, 3);
	rig_revert(g);
	assert_string_equal(list(g, 20, 0, 65535), "7100 7101 7102 ");
}

/* W17, W18 with LEASE_OWN: what :2 shows. */
static void only_ones_own_is_shown_where_that_is_asked(void **state)
{
	struct rig *g = *state;
	struct lease_request req = {
		.op = LEASE_OP_GET_INDEX, .by = LEASE_BY_UPNP, .client = host(20)};

	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, upnp(21, 7101, 7101)), LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7102, 7102)), LEASE_OK);
	req.flags = LEASE_OWN;
	for (req.index = 0; ask(g, req) == LEASE_OK; req.index++)
		assert_true(addr_equal(&g->reply.internal, &req.client));
	assert_int_equal(req.index, 2);
	req.flags = 0;
	for (req.index = 0; ask(g, req) == LEASE_OK;)
		req.index++;
	assert_int_equal(req.index, 3);
	req = range(LEASE_OP_GET_PORT, 20, 7101, 0);
	assert_int_equal(ask(g, req), LEASE_OK);
	req.flags = LEASE_OWN;
	assert_int_equal(ask(g, req), LEASE_NOT_OWNER);
	req.ext_port = 7102;
	assert_int_equal(ask(g, req), LEASE_OK);
	req.ext_port = 7103;
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(a_list_is_ones_own_in_order_of_ports),
		T(remotes_of_one_port_come_one_after_the_other),
		T(what_triggers_opened_is_not_in_it),
		T(a_list_is_paid_for_once),
		T(a_range_ends_ones_own_and_passes_over_others),
		T(a_range_takes_only_upnps_claim_off),
		T(what_is_the_admins_stays),
		T(a_range_waits_for_the_kernel_and_comes_back_whole),
		T(only_ones_own_is_shown_where_that_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
