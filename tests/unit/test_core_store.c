/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's side of the store over a real channel; the other end is a bare socket that may
 * read, or not, or talk nonsense.
 */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/clock.h"
#include "daemon/core_history.h"
#include "daemon/core_store.h"

#define LEASES 70000

struct fixture {
	struct event_base *base;
	struct core_store *s;
	int other;
	struct lease *lease; /* by port, then by host */
	bool there[LEASES];
	size_t n_kept, n_loaded, n_late, n_kills, n_told_synced;
	size_t n_answers;
	size_t n_events;
	/* What the store was told. */
	size_t n_messages, n_leases, n_gone, n_told_events, n_sync, n_synced, n_about;
	bool kept[LEASES];
};

static void lease_init(struct fixture *f, size_t i)
{
	f->lease[i] = (struct lease){
		.protocol = i / 65535 ? IPPROTO_TCP : IPPROTO_UDP,
		.ext_port = (uint16_t)(1 + i % 65535),
		.int_port = 1,
		.internal.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2},
		.enabled = true,
		.claims = 1 << LEASE_BY_PCP,
		.until_ms[LEASE_BY_PCP] = clock_ms() + 3600000,
		.deadline_ms = clock_ms() + 3600000,
	};
}

static size_t index_of(uint8_t protocol, uint16_t port)
{
	return (size_t)port - 1 + (protocol == IPPROTO_TCP ? 65535 : 0);
}

static const struct lease *find(void *arg, const struct dirty_key *key)
{
	struct fixture *f = arg;
	size_t i = index_of(key->protocol, key->ext_port);

	return f->there[i] ? &f->lease[i] : NULL;
}

static void each(void *arg, void (*one)(void *one_arg, const struct lease *l),
		 void *one_arg)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < LEASES; i++)
		if (f->there[i])
			one(one_arg, &f->lease[i]);
}

static const struct lease *waiting(void *arg, size_t i)
{
	(void)arg;
	(void)i;
	return NULL;
}

static void about(void *arg, struct store_about *a)
{
	(void)arg;
	a->epoch_ms = 7;
}

static void kept(void *arg, const struct lease *l)
{
	struct fixture *f = arg;

	assert_true(l->claims);
	f->n_kept++;
}

static void loaded(void *arg, const struct store_loaded *l)
{
	struct fixture *f = arg;

	f->n_loaded += l != NULL;
	f->n_late += l == NULL;
}

static void want(void *arg, bool kill)
{
	struct fixture *f = arg;

	f->n_kills += kill;
}

static void synced(void *arg)
{
	struct fixture *f = arg;

	f->n_told_synced++;
}

static const struct core_store_ops ops = {find, each,   waiting, about,
					  kept, loaded, want,    synced};

static void connect_store(struct fixture *f)
{
	static const int size = 4 * 1024 * 1024;
	int pair[2];

	if (f->other >= 0)
		close(f->other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	core_store_started(f->s, 4711, pair[0]);
	f->other = pair[1];
}

static void make(struct fixture *f, bool load)
{
	const struct core_store_options o = {
		.history_days = 1, .history_rows = 10, .load = load, .seed = 1};

	f->s = core_store_new(f->base, &o, &ops, f);
	assert_non_null(f->s);
	connect_store(f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->other = -1;
	f->base = event_base_new();
	event_base_priority_init(f->base, 3);
	f->lease = calloc(LEASES, sizeof(*f->lease));
	for (size_t i = 0; i < LEASES; i++)
		lease_init(f, i);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	core_store_free(f->s);
	event_base_free(f->base);
	close(f->other);
	free(f->lease);
	free(f);
	return 0;
}

static void tell(struct fixture *f, enum record_kind kind, const void *records,
		 size_t count)
{
	uint8_t buf[16384];
	const uint16_t head[4] = {(uint16_t)kind, (uint16_t)count, 0, 0};

	memcpy(buf, head, sizeof(head));
	if (count)
		memcpy(buf + sizeof(head), records, count * record_size(kind));
	assert_true(send(f->other, buf, sizeof(head) + count * record_size(kind), 0) > 0);
}

static void take(struct fixture *f, const uint8_t *buf, size_t len)
{
	uint16_t head[4];

	memcpy(head, buf, sizeof(head));
	assert_true(record_to_store(head[0], head[1]));
	assert_int_equal(len,
			 sizeof(head) + head[1] * record_size((enum record_kind)head[0]));
	f->n_messages++;
	f->n_sync += head[0] == RECORD_STORE_SYNC;
	f->n_synced += head[0] == RECORD_STORE_SYNCED;
	f->n_about += head[0] == RECORD_STORE_ABOUT;
	if (head[0] == RECORD_STORE_SYNC)
		memset(f->kept, 0, sizeof(f->kept));
	for (size_t i = 0; i < head[1]; i++) {
		struct store_lease l;

		if (head[0] == RECORD_STORE_EVENT)
			f->n_told_events++;
		if (head[0] != RECORD_STORE_LEASE)
			continue;
		memcpy(&l, buf + 8 + i * sizeof(l), sizeof(l));
		assert_true(store_lease_valid(&l));
		f->n_leases += l.claims != 0;
		f->n_gone += !l.claims;
		f->kept[index_of(l.protocol, l.ext_port)] = l.claims != 0;
	}
}

/* Lets so many milliseconds pass; the store reads, or does not. */
static void pass(struct fixture *f, unsigned int ms, bool reads)
{
	static uint8_t buf[16384];
	uint64_t until = clock_ms() + ms;

	while (clock_ms() < until) {
		ssize_t n;

		event_base_loop(f->base, EVLOOP_NONBLOCK);
		while (reads && (n = recv(f->other, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			take(f, buf, (size_t)n);
		usleep(200);
	}
}

static void say_loaded(struct fixture *f)
{
	const struct store_loaded l = {.state = STORE_KEPT};

	tell(f, RECORD_STORE_LOADED, &l, 1);
}

static void step(struct fixture *f, size_t i, bool there)
{
	struct lease_change s = {.had = f->there[i],
				 .has = there,
				 .before = f->lease[i],
				 .after = f->lease[i]};

	f->there[i] = there;
	core_store_step(f->s, &s);
}

static void assert_same(const struct fixture *f)
{
	assert_memory_equal(f->kept, f->there, sizeof(f->kept));
}

/* ---- */

static void many_changes_of_one_lease_cost_one_record(void **state)
{
	struct fixture *f = *state;

	make(f, false);
	tell(f, RECORD_STORE_AGAIN, NULL, 0);
	pass(f, 1200, true);
	assert_int_equal(f->n_synced, 1);
	assert_int_equal(f->n_told_synced, 1);
	for (int i = 0; i < 1000; i++)
		step(f, 5, i % 2 == 0);
	step(f, 5, true);
	step(f, 6, true);
	step(f, 6, false); /* it was never there for the store */
	pass(f, 1200, true);
	assert_int_equal(f->n_leases, 1);
	assert_int_equal(f->n_gone, 0);
	assert_same(f);
	step(f, 5, false); /* an end does not wait for a second's worth */
	for (int i = 0; i < 9 && !f->n_gone; i++)
		pass(f, 100, true);
	assert_int_equal(f->n_gone, 1);
	assert_same(f);
}

static void a_renewal_that_moves_little_waits(void **state)
{
	struct fixture *f = *state;
	struct lease_change s = {.had = true, .has = true};

	make(f, false);
	tell(f, RECORD_STORE_AGAIN, NULL, 0);
	pass(f, 1200, true);
	f->there[1] = f->there[2] = true;
	s.before = s.after = f->lease[1];
	s.after.until_ms[LEASE_BY_PCP] += 60000;
	s.after.deadline_ms += 60000;
	core_store_step(f->s, &s);
	s.after.kernel_ms++; /* and a re-arming is nothing at all */
	s.before = s.after;
	core_store_step(f->s, &s);
	pass(f, 1300, true);
	assert_int_equal(f->n_leases, 0);
	s.before = s.after = f->lease[2];
	s.after.until_ms[LEASE_BY_PCP] += 3600000;
	s.after.deadline_ms += 3600000;
	core_store_step(f->s, &s);
	pass(f, 1300, true);
	assert_int_equal(f->n_leases, 1);
	core_store_bye(f->s); /* the end waits for nothing */
	pass(f, 50, true);
	assert_int_equal(f->n_leases, 2);
}

static void a_store_that_does_not_read_loses_no_lease(void **state)
{
	struct fixture *f = *state;

	make(f, false);
	for (size_t i = 0; i < LEASES; i++)
		f->there[i] = i % 2;
	tell(f, RECORD_STORE_AGAIN, NULL, 0);
	pass(f, 1200, false); /* the channel is full in the middle of it */
	for (size_t i = 0; i < LEASES; i++)
		step(f, i, i % 3 == 0); /* more than can be noted */
	pass(f, 300, false);
	pass(f, 4000, true);
	assert_true(f->n_sync >= 1 && f->n_synced >= 1);
	assert_same(f);
	assert_true(f->n_told_events <= HISTORY_WAITING + 1);
	assert_int_equal(f->n_kills, 0);
}

static void another_store_is_told_all(void **state)
{
	struct fixture *f = *state;

	make(f, false);
	for (size_t i = 0; i < 1000; i++)
		f->there[i] = true;
	tell(f, RECORD_STORE_AGAIN, NULL, 0);
	pass(f, 1300, true);
	assert_same(f);
	core_store_exited(f->s, 4711);
	step(f, 3, false);
	connect_store(f);
	tell(f, RECORD_STORE_AGAIN, NULL, 0);
	pass(f, 1300, true);
	assert_int_equal(f->n_synced, 2);
	assert_int_equal(f->n_told_synced, 2);
	assert_same(f);
}

static void what_was_kept_comes_once_and_in_bounds(void **state)
{
	struct fixture *f = *state;
	struct store_lease l = {.protocol = IPPROTO_UDP,
				.ext_port = 1,
				.int_port = 1,
				.claims = 1,
				.flags = STORE_ENABLED};

	make(f, true);
	tell(f, RECORD_STORE_LEASE, &l, 1);
	say_loaded(f);
	pass(f, 50, false);
	assert_int_equal(f->n_kept, 1);
	assert_int_equal(f->n_loaded, 1);
	tell(f, RECORD_STORE_LEASE, &l, 1); /* nobody asked */
	pass(f, 50, false);
	assert_int_equal(f->n_kept, 1);
	assert_int_equal(f->n_kills, 1);
	connect_store(f);
	l.claims = 0x80;
	tell(f, RECORD_STORE_LEASE, &l, 1);
	pass(f, 50, false);
	assert_int_equal(f->n_kills, 2);
}

static void the_wait_for_a_slow_disk_is_bounded(void **state)
{
	struct fixture *f = *state;

	make(f, true);
	pass(f, 1900, true);
	assert_int_equal(f->n_late, 0);
	pass(f, 300, true);
	assert_int_equal(f->n_late, 1);
	say_loaded(f);
	pass(f, 50, true);
	assert_int_equal(f->n_loaded, 1);
}

static void answered(void *arg, const struct store_answer *answer,
		     const struct store_event *events, size_t n)
{
	struct fixture *f = arg;

	(void)events;
	f->n_answers++;
	f->n_events += answer ? n : 1000;
}

static void a_question_is_answered_whatever_happens(void **state)
{
	struct fixture *f = *state;
	const struct store_question q = {.limit = 5};
	struct store_answer a = {.tag = 1};
	struct store_event e = {.tag = 1, .times = 1, .what = STORE_GRANTED};

	make(f, false);
	core_store_ask(f->s, &q, answered, f);
	tell(f, RECORD_STORE_EVENT, &e, 1);
	tell(f, RECORD_STORE_ANSWER, &a, 1);
	pass(f, 50, true);
	assert_int_equal(f->n_answers, 1);
	assert_int_equal(f->n_events, 1);
	tell(f, RECORD_STORE_ANSWER, &a, 1); /* nobody asked any more */
	core_store_ask(f->s, &q, answered, f);
	pass(f, 3200, true); /* too late */
	assert_int_equal(f->n_answers, 2);
	core_store_ask(f->s, &q, answered, f);
	core_store_exited(f->s, 4711);
	assert_int_equal(f->n_answers, 3);
	core_store_ask(f->s, &q, answered, f); /* there is none */
	assert_int_equal(f->n_answers, 4);
	assert_int_equal(f->n_events, 3001);
}

static void the_same_refusal_is_one_event_a_minute(void **state)
{
	static struct core_history h;
	struct lease_request req = {.by = LEASE_BY_UPNP, .protocol = IPPROTO_UDP};

	(void)state;
	for (int i = 0; i < 1000; i++)
		core_history_refused(&h, &req, LEASE_RESERVED, 1000 + (uint64_t)i);
	assert_int_equal(h.n, 1);
	assert_true(core_history_gather(&h, 61000, false));
	assert_int_equal(h.n, 2);
	core_history_took(&h);
	assert_int_equal(core_history_next(&h)->times, 999);
	core_history_took(&h);
	assert_false(core_history_gather(&h, 130000, false));
	assert_false(core_history_waits(&h));
	for (int i = 0; i < 2000; i++) {
		req.ext_port = (uint16_t)i;
		core_history_refused(&h, &req, LEASE_RESERVED, 200000);
	}
	assert_int_equal(h.n, HISTORY_WAITING);
	for (int i = 0; i < HISTORY_WAITING; i++)
		core_history_took(&h);
	assert_int_equal(core_history_next(&h)->what, STORE_LOST);
	assert_int_equal(core_history_next(&h)->times, 2000 - HISTORY_WAITING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(many_changes_of_one_lease_cost_one_record),
		TEST(a_renewal_that_moves_little_waits),
		TEST(a_store_that_does_not_read_loses_no_lease),
		TEST(another_store_is_told_all),
		TEST(what_was_kept_comes_once_and_in_bounds),
		TEST(the_wait_for_a_slow_disk_is_bounded),
		TEST(a_question_is_answered_whatever_happens),
		TEST(the_same_refusal_is_one_event_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
