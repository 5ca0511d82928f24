/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What UPnP asks of the book, one sentence of the protocols a test. */
#include "registry_rig.h"

#include "lease/restrict.h"

#define WEEK_S 604800U

/* W2 */
static void the_same_host_overwrites_its_mapping(void **state)
{
	struct rig *g = *state;
	struct lease_request req = upnp(20, 7100, 7100);

	strcpy(req.description, "one");
	req.flags |= LEASE_DESCRIBE;
	assert_int_equal(ask(g, req), LEASE_OK);
	req.lifetime = 60;
	strcpy(req.description, "two");
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "two");
	assert_int_equal(at(g, 7100)->deadline_ms, g->now + 60000);
	req.description[0] = '\0';
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_string_equal(at(g, 7100)->description, "");
	assert_int_equal(registry_count(g->book), 1);
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
}

/* W2: the inside port too; the twin of the former one passes on. */
static void an_overwritten_inside_port_moves_the_lease(void **state)
{
	struct rig *g = *state;

	ask(g, upnp(20, 7100, 7100));
	ask(g, upnp(20, 7100, 7200));
	assert_true(at(g, 7100)->twin);
	assert_false(at(g, 7200)->twin);
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_OK);
	assert_int_equal(g->out.n, 2);
	assert_int_equal(g->out.step[0].before.int_port, 7100);
	assert_int_equal(g->out.step[0].after.int_port, 7101);
	assert_true(g->out.step[0].after.twin);
	assert_int_equal(g->out.step[1].after.ext_port, 7200);
	assert_true(!g->out.step[1].before.twin && g->out.step[1].after.twin);
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK); /* and back: no twin */
	assert_false(at(g, 7100)->twin);
	assert_true(at(g, 7200)->twin);
	assert_int_equal(ask(g, upnp(20, 80, 7100)), LEASE_ACCESS);
	assert_int_equal(at(g, 7100)->int_port, 7100);
}

static void upnp_does_not_move_what_pcp_was_promised(void **state)
{
	struct rig *g = *state;

	ask(g, pcp(20, 7100, 7100));
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_TAKEN);
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_TAKEN);
	assert_int_equal(at(g, 7100)->int_port, 7100);
	/* What nobody asked for gives way. */
	ask(g, map(LEASE_BY_OPEN_NAT, 20, IPPROTO_UDP, 7200, 7200, 120));
	assert_int_equal(ask(g, upnp(20, 7201, 7200)), LEASE_OK);
	assert_int_equal(at(g, 7200)->claims, 1 << LEASE_BY_UPNP);
}

/* X2: libtorrent */
static void one_port_by_two_protocols_is_one_lease_until_both_have_gone(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pcp(20, 6881, 6881)), 6881);
	assert_int_equal(port_of(g, upnp(20, 6881, 6881)), 6881);
	assert_int_equal(registry_count(g->book), 1);
	assert_int_equal(at(g, 6881)->origin, LEASE_BY_PCP);
	assert_int_equal(ask(g, as(pcp(20, 6881, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(at(g, 6881)->claims, 1 << LEASE_BY_UPNP);
	assert_int_equal(ask(g, as(upnp(20, 0, 6881), LEASE_OP_UNMAP_PORT)), LEASE_OK);
	assert_null(at(g, 6881));
	assert_int_equal(g->out.step[0].end, LEASE_END_DELETED);
	/* In the other order, the second delete finds nothing of its own. */
	ask(g, pcp(20, 6881, 6881));
	assert_int_equal(ask(g, as(upnp(20, 0, 6881), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_FOUND);
	assert_non_null(at(g, 6881));
}

/* X2: the later end counts; each claim ends by itself. */
static void the_lease_lives_as_long_as_its_latest_claim(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	ask(g, pcp(20, 6881, 6881));
	ask(g, map(LEASE_BY_NATPMP, 20, IPPROTO_UDP, 6881, 0, 600));
	assert_int_equal(at(g, 6881)->deadline_ms, start + 3600000);
	assert_int_equal(registry_next(g->book), start + 600000);
	rig_due(g, start + 600000);
	assert_int_equal(g->out.n, 1);
	assert_true(g->out.step[0].has);
	assert_int_equal(g->out.step[0].after.claims, 1 << LEASE_BY_PCP);
	/* A renewal may shorten its own claim. */
	ask(g, map(LEASE_BY_PCP, 20, IPPROTO_UDP, 6881, 0, 120));
	assert_int_equal(at(g, 6881)->deadline_ms, g->now + 120000);
	rig_due(g, g->now + 120000);
	assert_null(at(g, 6881));
}

/* X2: Debian's Syncthing */
static void two_external_ports_of_one_inside_port_both_work(void **state)
{
	struct rig *g = *state;

	assert_int_equal(port_of(g, pmp(20, 22000, 22000)), 22000);
	assert_int_equal(port_of(g, upnp(20, 22000, 31234)), 31234);
	assert_true(at(g, 22000)->twin);
	assert_false(at(g, 31234)->twin);
	assert_int_equal(port_of(g, pmp(20, 22000, 22000)), 22000);
	assert_int_equal(port_of(g, upnp(20, 22000, 31234)), 31234);
	assert_int_equal(registry_count(g->book), 2);
	assert_int_equal(ask(g, as(pmp(20, 22000, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(g->out.n, 2); /* the end first, then the heir */
	assert_false(g->out.step[0].has);
	assert_true(!g->out.step[1].before.twin && g->out.step[1].after.twin);
	assert_true(at(g, 31234)->twin);
}

/* W2, W10 */
static void one_host_may_have_one_port_for_several_remotes(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, of_remote(upnp(20, 7100, 7100), "11.0.0.2", 128)),
			 LEASE_OK);
	assert_int_equal(ask(g, of_remote(upnp(20, 7100, 7100), "11.0.0.3", 128)),
			 LEASE_OK);
	assert_int_equal(ask(g, upnp(20, 7101, 7100)), LEASE_OK); /* and everybody else */
	assert_int_equal(registry_count(g->book), 3);
	assert_int_equal(ask(g, of_remote(upnp(21, 7100, 7100), "11.0.0.4", 128)),
			 LEASE_TAKEN);
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	/* The kernel's intervals cannot overlap. */
	assert_int_equal(ask(g, of_remote(upnp(20, 7100, 7100), "11.0.0.0", 120)),
			 LEASE_REMOTE);
	assert_int_equal(ask(g, of_remote(upnp(20, 7100, 7100), "fe80::1", 128)),
			 LEASE_REMOTE);
	/* W18: everybody's entry is not that of one remote. */
	assert_int_equal(ask(g, of_remote(as(upnp(20, 0, 7100), LEASE_OP_GET_PORT),
					  "11.0.0.9", 128)),
			 LEASE_NOT_FOUND);
	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_GET_PORT)), LEASE_OK);
	assert_int_equal(g->reply.int_port, 7101);
	assert_int_equal(at_from(g, 7100, "11.0.0.3", 128)->int_port, 7100);
	assert_int_equal(ask(g, of_remote(as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT),
					  "11.0.0.3", 128)),
			 LEASE_OK);
	assert_int_equal(registry_count(g->book), 2);
	/* While one is left the port is nobody else's. */
	ask(g, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT));
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
	g->now += 120000;
	assert_int_equal(ask(g, upnp(21, 7100, 7100)), LEASE_TAKEN);
}

static void pcp_opens_to_everybody_beside_a_restricted_mapping(void **state)
{
	struct rig *g = *state;

	ask(g, of_remote(upnp(20, 7100, 7200), "11.0.0.2", 128));
	assert_int_equal(port_of(g, pcp(20, 7100, 7100)), 7200);
	assert_int_equal(registry_count(g->book), 2);
	assert_int_equal(port_of(g, pcp(20, 7100, 7100)), 7200);
	assert_int_equal(registry_count(g->book), 2);
	/* C20: a filter beside it would filter nothing. */
	assert_int_equal(ask(g, of_remote(pcp(20, 7100, 0), "11.0.0.9", 128)),
			 LEASE_REMOTE);
}

static void restricted_mappings_have_their_own_caps(void **state)
{
	struct rig *g = *state;

	for (uint16_t i = 0; i < RESTRICTED_PER_HOST; i++)
		assert_int_equal(ask(g, of_remote(upnp(20, 7100, (uint16_t)(7100 + i)),
						  "11.0.0.2", 128)),
				 LEASE_OK);
	assert_int_equal(ask(g, of_remote(upnp(20, 7100, 7300), "11.0.0.2", 128)),
			 LEASE_REMOTE);
	assert_int_equal(ask(g, upnp(20, 7100, 7300)), LEASE_OK);
	assert_int_equal(ask(g, of_remote(as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT),
					  "11.0.0.2", 128)),
			 LEASE_OK);
	assert_int_equal(ask(g, of_remote(upnp(20, 7100, 7301), "11.0.0.2", 128)),
			 LEASE_OK);
	assert_int_equal(g->book->restricted, RESTRICTED_PER_HOST);
}

/* W13: AddAnyPortMapping */
static void any_port_gives_the_own_one_again_or_another(void **state)
{
	struct rig *g = *state;
	struct lease_request any = upnp(20, 7100, 7200);

	any.flags = 0;
	assert_int_equal(port_of(g, any), 7200);
	assert_int_equal(port_of(g, any), 7200);
	any.ext_port = 9999;
	assert_int_equal(port_of(g, any), 7200); /* X2: same inside port, same port */
	any = upnp(21, 7100, 7200);
	any.flags = 0;
	assert_int_equal(port_of(g, any), 7100);
	/* Of two own ones the one that is named. */
	ask(g, upnp(20, 7100, 7300));
	any = upnp(20, 7100, 7300);
	any.flags = 0;
	assert_int_equal(port_of(g, any), 7300);
	any.int_port = 7101; /* W5: any port */
	any.ext_port = 0;
	assert_int_equal(port_of(g, any), 7101);
}

/* W14 */
static void deleting_by_port_names_what_is_absent_or_anothers(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_FOUND);
	ask(g, upnp(21, 7100, 7100));
	assert_int_equal(ask(g, as(upnp(20, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_OWNER);
	assert_non_null(at(g, 7100));
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_UNMAP_PORT)), LEASE_OK);
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_UNMAP_PORT)),
			 LEASE_NOT_FOUND);
}

/* W11 */
static void a_disabled_entry_is_kept_and_counted(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, flag(upnp(20, 7100, 7100), LEASE_DISABLED)), LEASE_OK);
	assert_int_equal(g->reply.flags, LEASE_DISABLED);
	assert_false(at(g, 7100)->enabled);
	assert_int_equal(registry_listed(g->book), 1);
	/* PCP knows no such thing: its claim opens the port and keeps it open. */
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_true(at(g, 7100)->enabled);
	assert_int_equal(ask(g, flag(upnp(20, 7100, 7100), LEASE_DISABLED)), LEASE_OK);
	assert_true(at(g, 7100)->enabled);
}

/* W3: IGD:1 lease 0 */
static void a_lease_without_a_clock_is_rearmed_at_half_for_a_week(void **state)
{
	struct rig *g = *state;
	struct lease_request req = flag(upnp(20, 7100, 7100), LEASE_UNTIL_GONE);
	uint64_t start = g->now, half = LEASE_SILENCE_MS / 2;
	int n = 0;

	req.lifetime = 0;
	assert_int_equal(ask(g, req), LEASE_OK);
	assert_int_equal(g->reply.flags, LEASE_UNTIL_GONE);
	assert_int_equal(at(g, 7100)->kernel_ms, start + LEASE_SILENCE_MS);
	assert_int_equal(at(g, 7100)->deadline_ms, start + WEEK_S * 1000ULL);
	assert_int_equal(registry_next(g->book), start + half);
	rig_due(g, start + half);
	assert_int_equal(g->out.n, 1);
	assert_true(g->out.step[0].had && g->out.step[0].has);
	assert_int_equal(g->out.step[0].after.kernel_ms, g->now + LEASE_SILENCE_MS);
	g->out.step[0].before.kernel_ms = g->out.step[0].after.kernel_ms;
	g->out.step[0].before.gone_ms = g->out.step[0].after.gone_ms;
	g->out.step[0].before.look_ms = g->out.step[0].after.look_ms;
	assert_memory_equal(&g->out.step[0].before, &g->out.step[0].after,
			    sizeof(struct lease));
	while (at(g, 7100)) {
		assert_true(++n < 1000);
		assert_true(at(g, 7100)->kernel_ms > g->now);
		rig_due(g, registry_next(g->book));
	}
	assert_int_equal(g->now, start + WEEK_S * 1000ULL);
	assert_int_equal(g->out.step[0].end, LEASE_END_EXPIRED);
}

static void a_clock_beside_no_clock_is_kept_in_the_kernel(void **state)
{
	struct rig *g = *state;
	struct lease_request req = flag(upnp(20, 7100, 7100), LEASE_UNTIL_GONE);
	uint64_t start = g->now;

	ask(g, req);
	assert_int_equal(ask(g, pcp(20, 7100, 0)), LEASE_OK);
	assert_int_equal(at(g, 7100)->kernel_ms, start + 3600000);
	rig_due(g, start + 3600000);
	assert_int_equal(at(g, 7100)->claims, 1 << LEASE_BY_UPNP);
	assert_int_equal(at(g, 7100)->kernel_ms, g->now + LEASE_SILENCE_MS);
	/* A clocked request takes the place of the former one. */
	ask(g, upnp(20, 7100, 7100));
	assert_int_equal(at(g, 7100)->until_gone, 0);
	assert_int_equal(at(g, 7100)->kernel_ms, g->now + 3600000);
}

/* W17 */
static void listings_leave_out_what_only_triggers_opened(void **state)
{
	struct rig *g = *state;
	struct lease_request get = as(upnp(20, 0, 0), LEASE_OP_GET_INDEX);
	unsigned int seen = 0;

	ask(g, upnp(20, 7100, 7100));
	ask(g, map(LEASE_BY_TRIGGER, 21, IPPROTO_UDP, 7101, 7101, 60));
	ask(g, map(LEASE_BY_OPEN_NAT, 22, IPPROTO_UDP, 7102, 7102, 60));
	ask(g, pcp(23, 7103, 7103));
	assert_int_equal(registry_count(g->book), 4);
	assert_int_equal(registry_listed(g->book), 2);
	for (get.index = 0; ask(g, get) == LEASE_OK; get.index++)
		seen |= 1U << (g->reply.ext_port - 7100);
	assert_int_equal(g->reply.reason, LEASE_NOT_FOUND);
	assert_int_equal(get.index, 2);
	assert_int_equal(seen, 0x9);
	assert_int_equal(ask(g, as(upnp(20, 0, 7101), LEASE_OP_GET_PORT)),
			 LEASE_NOT_FOUND);
	/* opennat.md 8.4: the same host's request adopts it, and then it shows. */
	assert_int_equal(port_of(g, pcp(22, 7102, 9000)), 7102);
	assert_int_equal(registry_listed(g->book), 3);
	assert_int_equal(ask(g, as(pcp(22, 7102, 0), LEASE_OP_UNMAP)), LEASE_OK);
	assert_int_equal(registry_listed(g->book), 2);
	assert_non_null(at(g, 7102));
}

/* W4, and RFC 6887's nonce is nobody else's business */
static void reading_tells_what_is_left_but_no_nonce(void **state)
{
	struct rig *g = *state;

	ask(g, pcp(20, 7100, 7100));
	g->now += 500;
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_GET_PORT)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 3600);
	assert_int_equal(g->reply.flags, 0);
	assert_int_equal(g->reply.nonce[0], 0);
	g->now += 600;
	assert_int_equal(ask(g, as(upnp(21, 0, 7100), LEASE_OP_GET_PORT)), LEASE_OK);
	assert_int_equal(g->reply.lifetime, 3599);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		T(the_same_host_overwrites_its_mapping),
		T(an_overwritten_inside_port_moves_the_lease),
		T(upnp_does_not_move_what_pcp_was_promised),
		T(one_port_by_two_protocols_is_one_lease_until_both_have_gone),
		T(the_lease_lives_as_long_as_its_latest_claim),
		T(two_external_ports_of_one_inside_port_both_work),
		T(one_host_may_have_one_port_for_several_remotes),
		T(pcp_opens_to_everybody_beside_a_restricted_mapping),
		T(restricted_mappings_have_their_own_caps),
		T(any_port_gives_the_own_one_again_or_another),
		T(deleting_by_port_names_what_is_absent_or_anothers),
		T(a_disabled_entry_is_kept_and_counted),
		T(a_lease_without_a_clock_is_rearmed_at_half_for_a_week),
		T(a_clock_beside_no_clock_is_kept_in_the_kernel),
		T(listings_leave_out_what_only_triggers_opened),
		T(reading_tells_what_is_left_but_no_nonce),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
