/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leases that last until their host has left the LAN: W3. */
#include "registry_rig.h"

#define SILENCE 80000ULL

/* What is known of the host, and how often somebody asked. */
static uint64_t heard_ms;
static unsigned int asked;

static uint64_t heard(void *arg, const struct in6_addr *internal, uint64_t now_ms)
{
	(void)arg;
	(void)internal;
	assert_true(heard_ms <= now_ms);
	asked++;
	return heard_ms;
}

static int up(void **state)
{
	struct rig *g;

	if (rig_up(state))
		return -1;
	g = *state;
	g->policy.heard = heard;
	g->policy.silence_ms = SILENCE;
	heard_ms = 0;
	asked = 0;
	return 0;
}

static struct lease_request until_gone(unsigned int who, uint16_t port)
{
	struct lease_request req = upnp(who, port, port);

	req.flags |= LEASE_UNTIL_GONE;
	req.lifetime = 0;
	return req;
}

/* Turns the clock to each time at which something is due, up to one. */
static void run_to(struct rig *g, uint64_t until)
{
	for (int i = 0; registry_next(g->book) <= until; i++) {
		assert_true(i < 1000);
		rig_due(g, registry_next(g->book));
		if (g->out.n && !g->out.step[0].has)
			return;
	}
	g->now = until;
}

static void silence_ends_it_at_the_second(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	assert_int_equal(at(g, 7100)->kernel_ms, start + SILENCE);
	run_to(g, start + SILENCE - 1);
	assert_non_null(at(g, 7100));
	assert_int_equal(at(g, 7100)->kernel_ms, start + SILENCE);
	assert_true(asked >= 3 && asked <= 6); /* closer and closer, but not often */
	run_to(g, start + SILENCE);
	assert_null(at(g, 7100));
	assert_int_equal(g->now, start + SILENCE);
	assert_int_equal(g->out.step[0].end, LEASE_END_GONE);
	assert_string_equal(lease_end_name(LEASE_END_GONE), "gone");
}

static void listening_alone_costs_no_step(void **state)
{
	struct rig *g = *state;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	rig_due(g, registry_next(g->book));
	assert_int_equal(asked, 1);
	assert_int_equal(g->out.n, 0);
	assert_true(registry_next(g->book) > g->now);
}

static void a_sign_of_life_counts_from_when_it_was_given(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	heard_ms = start + SILENCE / 4;
	run_to(g, start + SILENCE);
	assert_non_null(at(g, 7100));
	assert_int_equal(at(g, 7100)->kernel_ms, heard_ms + SILENCE);
	run_to(g, start + 10 * SILENCE);
	assert_null(at(g, 7100));
	assert_int_equal(g->now, heard_ms + SILENCE);
}

static void who_answers_stays_for_a_week(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now, week = 604800 * 1000ULL;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	while (at(g, 7100)) {
		heard_ms = registry_next(g->book);
		rig_due(g, heard_ms);
	}
	assert_int_equal(g->now, start + week);
	assert_int_equal(g->out.step[0].end, LEASE_END_EXPIRED);
}

static void asking_again_is_a_sign_of_life(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	run_to(g, start + SILENCE * 3 / 4);
	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	assert_int_equal(at(g, 7100)->kernel_ms, start + SILENCE * 3 / 4 + SILENCE);
	/* A lease with a clock takes its place: nobody listens any more. */
	assert_int_equal(ask(g, upnp(20, 7100, 7100)), LEASE_OK);
	asked = 0;
	run_to(g, start + 3000000);
	assert_int_equal(asked, 0);
	assert_non_null(at(g, 7100));
}

static void other_claims_outlive_it(void **state)
{
	struct rig *g = *state;
	uint64_t start = g->now;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	assert_int_equal(ask(g, pcp(20, 7100, 7100)), LEASE_OK);
	assert_int_equal(at(g, 7100)->kernel_ms, start + 3600000);
	run_to(g, start + SILENCE);
	assert_int_equal(at(g, 7100)->claims, 1 << LEASE_BY_PCP);
	assert_int_equal(at(g, 7100)->until_gone, 0);
	assert_int_equal(at(g, 7100)->kernel_ms, start + 3600000);
}

static void what_is_left_of_the_silence_outlives_the_core(void **state)
{
	struct rig *g = *state;
	struct lease found;

	assert_int_equal(ask(g, until_gone(20, 7100)), LEASE_OK);
	found = *at(g, 7100);
	found.gone_ms = found.look_ms = 0; /* the kernel does not keep them */
	assert_int_equal(ask(g, as(upnp(20, 7100, 7100), LEASE_OP_UNMAP_PORT)), LEASE_OK);
	g->now += SILENCE * 3 / 4;
	assert_int_equal(registry_adopt(g->book, &found, g->now), LEASE_OK);
	assert_int_equal(at(g, 7100)->gone_ms, found.kernel_ms);
	run_to(g, found.kernel_ms);
	assert_null(at(g, 7100));
	assert_int_equal(g->now, found.kernel_ms);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, rig_down)
	const struct CMUnitTest tests[] = {
		T(silence_ends_it_at_the_second),
		T(listening_alone_costs_no_step),
		T(a_sign_of_life_counts_from_when_it_was_given),
		T(who_answers_stays_for_a_week),
		T(asking_again_is_a_sign_of_life),
		T(other_claims_outlive_it),
		T(what_is_left_of_the_silence_outlives_the_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
