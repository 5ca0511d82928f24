/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "firewall/flows.h"

static struct in6_addr v4(unsigned int a, unsigned int b, unsigned int c, unsigned int d)
{
	return addr_from_v4((struct in_addr){htonl(a << 24 | b << 16 | c << 8 | d)});
}

#define WAN v4(11, 0, 0, 1)
#define REMOTE v4(11, 0, 0, 2)
#define OTHER_REMOTE v4(12, 0, 0, 2)
#define CONSOLE v4(192, 168, 1, 20)
#define PC v4(192, 168, 1, 30)

static struct lease lease(void)
{
	return (struct lease){.protocol = IPPROTO_UDP,
			      .ext_port = 4000,
			      .int_port = 3074,
			      .internal = CONSOLE,
			      .enabled = true};
}

/* What has come in by that lease. */
static struct flow inbound(const struct lease *l)
{
	return (struct flow){.protocol = l->protocol,
			     .dnat = true,
			     .original = {REMOTE, WAN, 5000, l->ext_port},
			     .reply = {l->internal, REMOTE, l->int_port, 5000}};
}

/* What a host sends out; it leaves from that port. */
static struct flow outbound(struct in6_addr host, uint16_t port, uint16_t ext_port)
{
	return (struct flow){.protocol = IPPROTO_UDP,
			     .snat = true,
			     .original = {host, REMOTE, port, 5000},
			     .reply = {REMOTE, WAN, 5000, ext_port}};
}

static int up(void **state)
{
	static struct flows f;

	flows_fini(&f);
	f.wan4 = WAN;
	*state = &f;
	return 0;
}

static int down(void **state)
{
	flows_fini(*state);
	return 0;
}

static void step(struct flows *f, const struct lease *before, const struct lease *after,
		 bool contested)
{
	struct lease_change s = {.had = before, .has = after};

	if (before)
		s.before = *before;
	if (after)
		s.after = *after;
	assert_int_equal(flows_step(f, &s, contested), 0);
	if (after && flows_wants(f, after))
		assert_int_equal(flows_lease(f, after), 0);
	flows_sort(f);
}

static void a_lease_that_ended_takes_its_flows(void **state)
{
	struct lease l = lease();
	struct flow in = inbound(&l), out = outbound(CONSOLE, 3074, 4000);

	step(*state, &l, NULL, false);
	assert_true(flows_must_go(*state, &in));
	/* What the host itself has opened goes on (C46). */
	assert_false(flows_must_go(*state, &out));
	in.original.dport = 4001;
	assert_false(flows_must_go(*state, &in));
	in = inbound(&l);
	in.protocol = IPPROTO_TCP;
	assert_false(flows_must_go(*state, &in));
}

/* An admin's own DNAT of that port, and what ends at the router itself. */
static void what_never_went_by_the_lease_stays(void **state)
{
	struct lease l = lease();
	struct flow in = inbound(&l);

	step(*state, &l, NULL, false);
	in.reply.src = PC;
	assert_false(flows_must_go(*state, &in));
	in.reply.src = WAN;
	in.reply.sport = 4000;
	in.dnat = false;
	assert_false(flows_must_go(*state, &in));
}

static bool is_of_console(void *arg, const struct flow *flow)
{
	struct in6_addr console = CONSOLE;

	(void)arg;
	return addr_equal(&flow->reply.src, &console);
}

/* After a start, when nobody knows which leases have come and gone. */
static void everything_is_held_against_the_leases(void **state)
{
	struct flows *f = *state;
	struct lease l = lease();
	struct flow in = inbound(&l), gone = in, stale = in, others = in;

	f->ours = is_of_console;
	flows_everything(f);
	assert_true(flows_wants(f, &l));
	assert_int_equal(flows_lease(f, &l), 0);
	flows_sort(f);
	assert_false(flows_must_go(f, &in));
	gone.reply.dport = 5001; /* the peer's own port was another flow's */
	assert_true(flows_must_go(f, &gone));
	gone = in;
	gone.original.dport = 4001; /* of a lease that has ended */
	assert_true(flows_must_go(f, &gone));
	stale.dnat = false; /* ended at the router before there was that lease */
	stale.reply = (struct flow_end){WAN, REMOTE, 4000, 5000};
	assert_true(flows_must_go(f, &stale));
	stale.original.dport = 4001;
	assert_false(flows_must_go(f, &stale));
	others.original.dport = 4001; /* an admin's own DNAT */
	others.reply.src = PC;
	assert_false(flows_must_go(f, &others));
	flows_reset(f);
	assert_false(flows_must_go(f, &gone));
	f->ours = NULL;
}

static void a_renewal_touches_nothing(void **state)
{
	struct flows *f = *state;
	struct lease l = lease(), renewed = lease();

	renewed.deadline_ms = 12345;
	strcpy(renewed.description, "another");
	step(f, &l, &renewed, true);
	assert_int_equal(f->n_ports, 0);
}

static void a_filter_takes_the_flows_of_others(void **state)
{
	struct lease l = lease(), narrow = lease();
	struct flow in = inbound(&l), other = in;

	narrow.n_filters = 1;
	narrow.filters[0] = (struct lease_filter){.addr = OTHER_REMOTE, .len = 128};
	other.original.src = other.reply.dst = OTHER_REMOTE;
	step(*state, &l, &narrow, false);
	assert_true(flows_must_go(*state, &in));
	assert_false(flows_must_go(*state, &other));
}

static void a_filter_may_name_a_port(void **state)
{
	struct lease l = lease(), narrow = lease();
	struct flow in = inbound(&l);

	narrow.n_filters = 1;
	narrow.filters[0] = (struct lease_filter){
		.addr = REMOTE, .len = 128, .port = 5000};
	step(*state, &l, &narrow, false);
	assert_false(flows_must_go(*state, &in));
	in.original.sport = 5001;
	assert_true(flows_must_go(*state, &in));
}

static void everybody_is_written_in_two_ways(void **state)
{
	struct lease l = lease(), wide = lease();
	struct flow in = inbound(&l);

	wide.n_filters = 1;
	wide.filters[0] = (struct lease_filter){.addr = v4(0, 0, 0, 0), .len = 96};
	step(*state, &l, &wide, false);
	assert_false(flows_must_go(*state, &in));
}

/* Two leases of one port: the more special one leads, as in the rules. */
static void the_lease_for_that_remote_goes_first(void **state)
{
	struct lease open = lease(), special = lease();
	struct flow in = inbound(&open);

	special.remote = REMOTE;
	special.remote_len = 128;
	special.internal = PC;
	step(*state, NULL, &open, false);
	step(*state, NULL, &special, false);
	assert_true(flows_must_go(*state, &in));
	in.reply.src = PC;
	assert_false(flows_must_go(*state, &in));
	in.original.src = in.reply.dst = OTHER_REMOTE;
	assert_true(flows_must_go(*state, &in));
}

static void a_new_lease_takes_what_is_in_its_way(void **state)
{
	struct lease l = lease();
	struct flow in = inbound(&l);

	step(*state, NULL, &l, false);
	assert_false(flows_must_go(*state, &in));
	in.dnat = false; /* it ended at the router */
	in.reply.src = WAN;
	in.reply.sport = 4000;
	assert_true(flows_must_go(*state, &in));
}

static void others_leave_a_contested_port(void **state)
{
	struct lease l = lease();
	struct flow own = outbound(CONSOLE, 3074, 4000), other = outbound(PC, 4000, 4000);
	struct flow router = outbound(WAN, 4000, 4000);

	router.snat = false;
	step(*state, NULL, &l, true);
	assert_true(flows_must_go(*state, &other));
	assert_false(flows_must_go(*state, &own));
	assert_false(flows_must_go(*state, &router));
	other.reply.dport = 4001;
	assert_false(flows_must_go(*state, &other));
}

static void who_is_not_contested_is_left_alone(void **state)
{
	struct lease l = lease();
	struct flow other = outbound(PC, 4000, 4000);

	step(*state, NULL, &l, false);
	assert_false(flows_must_go(*state, &other));
}

static void a_disabled_lease_takes_its_flows(void **state)
{
	struct lease l = lease(), off = lease();
	struct flow in = inbound(&l);

	off.enabled = false;
	step(*state, &l, &off, false);
	assert_true(flows_must_go(*state, &in));
}

static void flows_by_a_former_address_go(void **state)
{
	struct flows *f = *state;
	struct lease l = lease();
	struct flow in = inbound(&l);

	f->former = WAN;
	f->wan4 = v4(11, 0, 0, 9);
	assert_true(flows_must_go(f, &in));
	in.dnat = false;
	assert_false(flows_must_go(f, &in));
}

static void a_pinhole_is_of_its_host(void **state)
{
	struct in6_addr host = {.s6_addr = {0x2a, 1, [15] = 1}};
	struct in6_addr another = {.s6_addr = {0x2a, 1, [15] = 2}};
	struct in6_addr remote = {.s6_addr = {0x2a, 2, [15] = 3}};
	struct lease l = {.protocol = IPPROTO_UDP,
			  .ext_port = 4000,
			  .int_port = 4000,
			  .internal = host,
			  .enabled = true};
	struct flow in = {.protocol = IPPROTO_UDP,
			  .original = {remote, host, 5000, 4000},
			  .reply = {host, remote, 4000, 5000}};

	step(*state, &l, NULL, false);
	assert_true(flows_must_go(*state, &in));
	in.original.dst = in.reply.src = another;
	assert_false(flows_must_go(*state, &in));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
	const struct CMUnitTest tests[] = {
		T(a_lease_that_ended_takes_its_flows),
		T(what_never_went_by_the_lease_stays),
		T(everything_is_held_against_the_leases),
		T(a_renewal_touches_nothing),
		T(a_filter_takes_the_flows_of_others),
		T(a_filter_may_name_a_port),
		T(everybody_is_written_in_two_ways),
		T(the_lease_for_that_remote_goes_first),
		T(a_new_lease_takes_what_is_in_its_way),
		T(others_leave_a_contested_port),
		T(who_is_not_contested_is_left_alone),
		T(a_disabled_lease_takes_its_flows),
		T(flows_by_a_former_address_go),
		T(a_pinhole_is_of_its_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
