/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases of IPv6 hosts: C27. */
#include "registry_rig.h"

#include <errno.h>

static enum lease_reason ask6(struct rig *g, const char *who, uint16_t port)
{
	struct lease_request req = pin(20, port);

	assert_int_equal(addr_parse(who, &req.client), 0);
	req.internal = req.client;
	return ask(g, req);
}

/* C27 */
static void a_pinhole_is_the_inside_address_and_port(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pin(20, 8333);

	req.ext_port = 9999; /* a suggestion is a hint */
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 8333);
	assert_int_equal(g->reply.lifetime, 3600);
	assert_true(addr_equal(&g->reply.internal, &req.internal));
	assert_true(lease_is_pinhole(pinhole(g, 20, 8333)));
	assert_false(pinhole(g, 20, 8333)->twin);
	assert_null(pinhole(g, 21, 8333));
	assert_null(at(g, 8333));
	assert_int_equal(registry_count(g->book), 1);
	req.ext_port = 0;
	assert_int_equal(ask(g, req), LEASE_OK); /* a renewal */
	assert_int_equal(registry_count(g->book), 1);
	req.flags |= LEASE_EXACT;
	assert_int_equal(ask(g, req), LEASE_OK);
	req.ext_port = 8333;
	assert_int_equal(ask(g, req), LEASE_OK);
	req.ext_port = 9999;
	assert_int_equal(ask(g, req), LEASE_TAKEN);
	req.int_port = 8334;
	assert_int_equal(ask(g, req), LEASE_TAKEN);
	assert_int_equal(registry_count(g->book), 1);
}

static void it_takes_no_port_from_anybody(void **state)
{
	struct rig *g = *state;
	struct lease_request other;

	assert_int_equal(ask(g, pin(20, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pin(21, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pcp(22, 7100, 7100)), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 7100);
	assert_int_equal(registry_count(g->book), 3);
	assert_int_equal(ask(g, as(pin(20, 7100), LEASE_OP_UNMAP)), LEASE_OK);
	assert_null(pinhole(g, 20, 7100));
	assert_non_null(pinhole(g, 21, 7100));
	assert_int_equal(at(g, 7100)->int_port, 7100);
	/* Nothing is held back for anybody. */
	ask(g, as(pcp(22, 7100, 0), LEASE_OP_UNMAP));
	assert_int_equal(ask(g, pin(22, 7100)), LEASE_OK);
	ask(g, as(pin(22, 7100), LEASE_OP_UNMAP));
	assert_int_equal(ask(g, pcp(22, 7100, 7100)), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 7100);
	/* A pinhole's end is no word about the IPv4 port that is held for its former owner. */
	ask(g, as(pcp(22, 7100, 0), LEASE_OP_UNMAP));
	assert_int_equal(ask(g, pin(23, 7100)), LEASE_OK);
	other = pcp(24, 7100, 7100);
	assert_int_equal(ask(g, other), LEASE_OK);
	assert_int_not_equal(g->reply.ext_port, 7100);
}

/* C27, N22: and the rows of IPv4 */
static void the_policy_of_ipv4_and_more(void **state)
{
	struct rig *g = *state;
	struct lease_request req;

	assert_int_equal(ask6(g, "fd00:1::20", 7100), LEASE_ACCESS); /* ULA */
	assert_int_equal(ask6(g, "fd00:2::20", 7100), LEASE_NOT_LAN);
	assert_int_equal(ask6(g, "fe80::20", 7100), LEASE_NOT_LAN);
	assert_int_equal(ask6(g, "ff02::1", 7100), LEASE_NOT_LAN);
	assert_int_equal(ask6(g, "::1", 7100), LEASE_NOT_LAN);
	assert_int_equal(ask6(g, "::192.168.1.20", 7100), LEASE_NOT_LAN);
	assert_int_equal(ask6(g, "2001:db8:2::20", 7100), LEASE_NOT_LAN);
	assert_int_equal(ask6(g, "2001:db8:1::1", 7100), LEASE_NOT_LAN); /* the router */
	assert_int_equal(ask6(g, "2001:db8:1::", 7100), LEASE_NOT_LAN);  /* anycast */
	assert_int_equal(ask6(g, "2001:db8:1::ffff:ffff:ffff:ffff", 7100), LEASE_OK);
	assert_int_equal(ask6(g, "2001:db8:1::20", 80), LEASE_ACCESS);
	assert_int_equal(ask6(g, "2001:db8:1::20", 8080), LEASE_RESERVED);
	g->used = LEASE_ROUTER; /* the router's ports are on other addresses */
	assert_int_equal(ask6(g, "2001:db8:1::20", 4500), LEASE_OK);
	req = pin(20, 7100);
	req.client = host(20);
	assert_int_equal(ask(g, req), LEASE_THIRD_PARTY);
	req = pin(20, 7100);
	req.flags |= LEASE_DISABLED;
	assert_int_equal(ask(g, req), LEASE_PROTOCOL);
	req = pin(20, 7100);
	req.protocol = 33;
	assert_int_equal(ask(g, req), LEASE_PROTOCOL);
	/* A delete from a ULA finds nothing, with success. */
	req = as(pin(20, 7100), LEASE_OP_UNMAP);
	addr_parse("fd00:1::20", &req.client);
	req.internal = req.client;
	assert_int_equal(ask(g, req), LEASE_OK);
}

static void nonce_rate_quota_and_time_are_as_of_others(void **state)
{
	struct rig *g = *state;
	struct lease_request req = pin(20, 7100);

	assert_int_equal(ask(g, req), LEASE_OK);
	memset(req.nonce, 9, sizeof(req.nonce));
	assert_int_equal(ask(g, req), LEASE_NONCE_MISMATCH);
	assert_int_equal(g->reply.lifetime, 3600);
	assert_int_equal(ask(g, as(req, LEASE_OP_UNMAP)), LEASE_NONCE_MISMATCH);
	g->policy.per_host = 2;
	assert_int_equal(ask(g, pin(20, 7101)), LEASE_OK);
	assert_int_equal(ask(g, pin(20, 7102)), LEASE_QUOTA_HOST);
	assert_int_equal(ask(g, pin(20, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pin(21, 7100)), LEASE_OK);
	rig_due(g, g->now + 3600 * 1000 - 1);
	assert_int_equal(registry_count(g->book), 3);
	rig_due(g, g->now + 1);
	assert_int_equal(registry_count(g->book), 0);
	assert_int_equal(g->book->pinholes, 0);
	assert_int_equal(g->out.n, 3);
	assert_int_equal(g->out.step[0].end, LEASE_END_EXPIRED);
}

/* As many addresses as he likes, but no more than half of the table. */
static void made_up_addresses_leave_room_for_ipv4(void **state)
{
	struct rig *g = *state;

	g->policy.max_leases = 5;
	for (unsigned int n = 20; n < 23; n++)
		assert_int_equal(ask(g, pin(n, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pin(23, 7100)), LEASE_QUOTA_TABLE);
	assert_int_equal(ask(g, pcp(20, 7100, 0)), LEASE_OK);
	assert_int_equal(ask(g, pcp(21, 7101, 0)), LEASE_OK);
	assert_int_equal(ask(g, pcp(22, 7102, 0)), LEASE_QUOTA_TABLE);
}

static void a_pinhole_for_some(void **state)
{
	struct rig *g = *state;
	struct lease_request req = filter(pin(20, 7100), "2001:db8:9::/48", 0);

	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(pinhole(g, 20, 7100)->n_filters, 1);
	assert_int_equal(ask(g, filter(pin(20, 7100), "11.0.0.2", 0)), LEASE_FILTERS);
	req = pin(20, 7100);
	req.flags |= LEASE_UNFILTER;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(pinhole(g, 20, 7100)->n_filters, 0);
	/* For one remote beside it, as UPnP's have; a key of its own. */
	req = pin(20, 7100);
	req.by = LEASE_BY_UPNP;
	req.flags = LEASE_EXACT;
	addr_parse("2001:db8:9::1", &req.remote);
	req.remote_len = 64;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(registry_count(g->book), 2);
	addr_parse("2001:db8:9::7", &req.remote); /* the same network */
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(registry_count(g->book), 2);
	req.remote_len = 128;
	assert_int_equal(ask(g, req), LEASE_REMOTE);
	addr_parse("11.0.0.2", &req.remote);
	assert_int_equal(ask(g, req), LEASE_REMOTE);
}

static void they_are_not_in_lists_of_port_mappings(void **state)
{
	struct rig *g = *state;
	struct lease_request req = {.op = LEASE_OP_GET_INDEX, .by = LEASE_BY_UPNP};

	ask(g, pin(20, 7100));
	assert_int_equal(registry_listed(g->book), 0);
	req.client = host(20);
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
	/* By its key it can be read, and taken off, over UPnP's own claim. */
	req = pin(20, 7100);
	req.op = LEASE_OP_GET_PORT;
	req.flags = 0;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.ext_port, 7100);
	req.op = LEASE_OP_UNMAP_PORT;
	req.by = LEASE_BY_UPNP;
	assert_int_equal(ask(g, req), LEASE_NOT_FOUND);
	req.client = host6(21);
	assert_int_equal(ask(g, req), LEASE_NOT_OWNER);
	/* The admin's word ends it. */
	req = pin(20, 7100);
	req.op = LEASE_OP_UNMAP;
	req.by = LEASE_BY_ADMIN;
	req.flags = 0;
	assert_int_equal(ask_lan(g, -1, req), LEASE_OK);
	assert_int_equal(registry_count(g->book), 0);
}

static void what_the_kernel_refuses_never_was(void **state)
{
	struct rig *g = *state;

	assert_int_equal(rig_ask(g, 0, pin(20, 7100)), 0);
	assert_int_equal(rig_ask(g, 0, pin(20, 7100)), -EAGAIN);
	rig_revert(g);
	assert_null(pinhole(g, 20, 7100));
	assert_int_equal(g->book->table.n_pinholes, 0);
	ask(g, pin(20, 7100));
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, as(pin(20, 7100), LEASE_OP_UNMAP)), 0);
	assert_null(pinhole(g, 20, 7100));
	assert_int_equal(rig_ask(g, 0, pin(20, 7100)), -EAGAIN);
	rig_revert(g);
	assert_non_null(pinhole(g, 20, 7100));
}

static void found_ones_go_on_as_they_were(void **state)
{
	struct rig *g = *state;
	struct lease l, wrong;

	ask(g, pin(20, 7100));
	l = *pinhole(g, 20, 7100);
	ask(g, as(pin(20, 7100), LEASE_OP_UNMAP));
	wrong = l;
	wrong.ext_port = 7101;
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_PORT);
	wrong = l;
	wrong.enabled = false;
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_PORT);
	wrong = l;
	addr_parse("fd00:1::20", &wrong.internal);
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_ACCESS);
	wrong = l;
	wrong.int_port = wrong.ext_port = 8080;
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_RESERVED);
	wrong = l;
	wrong.twin = true; /* whatever it says */
	assert_int_equal(registry_adopt(g->book, &wrong, g->now), LEASE_OK);
	assert_false(pinhole(g, 20, 7100)->twin);
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_TAKEN);
	g->policy.lan[0].nets[1].len = 128; /* the ISP gave another prefix */
	ask(g, as(pin(20, 7100), LEASE_OP_UNMAP));
	assert_int_equal(registry_adopt(g->book, &l, g->now), LEASE_NOT_LAN);
}

static void count_one(void *arg, const struct lease *l)
{
	size_t *n = arg;

	*n += lease_is_pinhole(l) ? 100 : 1;
}

static void each_sees_them_too(void **state)
{
	struct rig *g = *state;
	size_t n = 0;

	for (uint16_t port = 7100; port < 7120; port++)
		assert_int_equal(ask(g, pin(20, port)), LEASE_OK);
	ask(g, pcp(20, 7100, 7100));
	g->out.n = 0;
	assert_int_equal(rig_ask(g, 0, as(pin(20, 7100), LEASE_OP_UNMAP)), 0);
	registry_each(g->book, count_one, &n);
	assert_int_equal(n, 1901);
	rig_confirm(g);
}

struct walk {
	struct lease seen[64];
	size_t n;
	uint16_t only; /* this port alone is wanted; 0: all */
};

static bool walk_take(void *arg, const struct lease *l)
{
	struct walk *w = arg;

	if (w->only && l->ext_port != w->only)
		return false;
	assert_true(w->n < 64);
	w->seen[w->n++] = *l;
	return true;
}

/* In parts of three. */
static void walk_all(const struct rig *g, struct walk *w)
{
	uint32_t place = 0;

	do {
		size_t before = w->n;

		place = registry_walk(g->book, place, 3, walk_take, w);
		assert_true(w->n - before <= 3);
	} while (place);
}

/* All there are, each once, by port, the pinholes last; a place past the end ends it. */
static void a_walk_sees_each_lease_once(void **state)
{
	struct rig *g = *state;
	struct lease_request tcp = pcp(20, 7103, 7103);
	struct walk w = {0}, one = {.only = 7105};

	walk_all(g, &w);
	assert_int_equal(w.n, 0);
	for (uint16_t port = 7100; port < 7110; port++) {
		assert_int_equal(ask(g, pcp(20, port, port)), LEASE_OK);
		assert_int_equal(ask(g, pin(20, port)), LEASE_OK);
	}
	tcp.protocol = IPPROTO_TCP;
	assert_int_equal(ask(g, tcp), LEASE_OK);
	walk_all(g, &w);
	assert_int_equal(w.n, 21);
	for (size_t i = 0; i < w.n; i++) {
		assert_int_equal(lease_is_pinhole(&w.seen[i]), i >= 11);
		for (size_t j = 0; j < i; j++)
			assert_false(lease_same_key(&w.seen[i], &w.seen[j]));
		if (i > 0 && i < 11)
			assert_true(w.seen[i - 1].ext_port <= w.seen[i].ext_port);
	}
	walk_all(g, &one);
	assert_int_equal(one.n, 2);
	assert_int_equal(registry_walk(g->book, UINT32_MAX, 3, walk_take, &w), 0);
	assert_int_equal(w.n, 21);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(a_pinhole_is_the_inside_address_and_port),
		T(it_takes_no_port_from_anybody),
		T(the_policy_of_ipv4_and_more),
		T(nonce_rate_quota_and_time_are_as_of_others),
		T(made_up_addresses_leave_room_for_ipv4),
		T(a_pinhole_for_some),
		T(they_are_not_in_lists_of_port_mappings),
		T(what_the_kernel_refuses_never_was),
		T(found_ones_go_on_as_they_were),
		T(each_sees_them_too),
		T(a_walk_sees_each_lease_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
