/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store with the real SQLite and real files; only the clocks are the test's. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/log.h"
#include "lease/kept.h"
#include "lease/store.h"
#include "lease/store_row.h"

#define HOUR_MS 3600000ULL
#define WALL_MS (1700000000ULL * 1000)
#define LEASES_MAX 70000

struct fixture {
	char dir[64];
	struct store *s;
	struct store_options options;
	struct store_clock now;
	size_t n;
	struct store_lease *lease;
	struct store_event event[STORE_PAGE];
	size_t n_events;
	struct store_answer answer;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/portreeve-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->lease = calloc(LEASES_MAX, sizeof(*f->lease));
	f->options = (struct store_options){.dir = f->dir,
					    .boot = "boot one",
					    .history_days = 30,
					    .history_rows = 100};
	f->now = (struct store_clock){.boot_ms = 100000, .wall_ms = WALL_MS};
	*state = f;
	return 0;
}

static void path_of(const struct fixture *f, const char *name, char path[160])
{
	snprintf(path, 160, "%s/" STORE_FILE "%s", f->dir, name);
}

static int teardown(void **state)
{
	static const char *const names[] = {"",         "-wal",         "-shm",
					    ".damaged", ".damaged-wal", "-journal"};
	struct fixture *f = *state;
	char path[160];

	store_free(f->s);
	chmod(f->dir, 0700);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(f, names[i], path);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/" STORE_FORGET, f->dir);
	unlink(path);
	store_goes_on(f->dir);
	assert_int_equal(rmdir(f->dir), 0); /* nothing else was left there */
	free(f->lease);
	free(f);
	return 0;
}

/* Another process opens it. */
static enum store_state reopen(struct fixture *f)
{
	int err;

	store_free(f->s);
	f->s = store_new(&f->options);
	assert_non_null(f->s);
	return store_open(f->s, f->now, &err);
}

/* A reboot: another boot id, a clock that begins anew, the wall clock so much later. */
static enum store_state reboot(struct fixture *f, uint64_t off_ms, uint64_t uptime_ms)
{
	f->options.boot[0]++;
	f->now.boot_ms = uptime_ms;
	f->now.wall_ms += off_ms;
	return reopen(f);
}

static void pass(struct fixture *f, uint64_t ms)
{
	f->now.boot_ms += ms;
	f->now.wall_ms += ms;
}

static void note(void *arg, const struct store_lease *l)
{
	struct fixture *f = arg;

	assert_true(store_lease_valid(l));
	assert_true(f->n < LEASES_MAX);
	f->lease[f->n++] = *l;
}

static size_t load(struct fixture *f)
{
	f->n = 0;
	assert_int_equal(store_each(f->s, note, f), 0);
	return f->n;
}

static void note_event(void *arg, const struct store_event *e)
{
	struct fixture *f = arg;

	assert_true(store_event_valid(e));
	f->event[f->n_events++] = *e;
}

static size_t ask(struct fixture *f, struct store_question q)
{
	if (!q.limit)
		q.limit = STORE_PAGE;
	f->n_events = 0;
	assert_int_equal(store_ask(f->s, &q, note_event, f, &f->answer), 0);
	return f->n_events;
}

static struct in6_addr addr(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct store_lease lease(const struct fixture *f, uint16_t port, uint64_t left_ms)
{
	struct store_lease l = {
		.created_ms = f->now.boot_ms - 5000,
		.internal = addr("192.168.1.20"),
		.ext_port = port,
		.int_port = port,
		.protocol = IPPROTO_UDP,
		.flags = STORE_TWIN | STORE_ENABLED,
		.origin = LEASE_BY_UPNP,
		.claims = 1 << LEASE_BY_UPNP,
		.description = "Xbox",
	};

	l.until_ms[LEASE_BY_UPNP] = f->now.boot_ms + left_ms;
	return l;
}

static void put(struct fixture *f, const struct store_lease *l)
{
	assert_int_equal(store_put(f->s, l), 0);
}

static void commit(struct fixture *f, bool bye)
{
	assert_int_equal(store_commit(f->s, f->now, false, bye), 0);
}

static uint64_t left_of(const struct fixture *f, size_t i)
{
	return f->lease[i].until_ms[LEASE_BY_UPNP] - f->now.boot_ms;
}

/* ---- Leases ---- */

static void keeps_all_of_a_lease(void **state)
{
	struct fixture *f = *state;
	struct store_lease all = {
		.created_ms = 90000,
		.remote = addr("2a01:11::2"),
		.internal = addr("2a01:77::20"),
		.ext_port = 3074,
		.int_port = 3074,
		.protocol = IPPROTO_TCP,
		.remote_len = 64,
		.n_filters = 2,
		.flags = STORE_FLAGS,
		.origin = LEASE_BY_PCP,
		.claims = 1 << LEASE_BY_PCP | 1 << LEASE_BY_UPNP | 1 << LEASE_BY_STATIC,
		.until_gone = 1 << LEASE_BY_UPNP,
		.remote_port = 5000,
		.number = 77,
		.nonce = "twelve bytes",
		.filters = {{addr("2a01:12::1"), 128, 0, 0},
			    {addr("2a01:13::"), 48, 0, 53}},
	};

	all.until_ms[LEASE_BY_PCP] = 200000;
	all.until_ms[LEASE_BY_UPNP] = 300000;
	all.until_ms[LEASE_BY_STATIC] = UINT64_MAX;
	memset(all.description, 'x', LEASE_DESCRIPTION_MAX);
	assert_true(store_lease_valid(&all));
	assert_int_equal(reopen(f), STORE_NEW);
	put(f, &all);
	commit(f, false);
	assert_int_equal(reopen(f), STORE_KEPT);
	assert_int_equal(load(f), 1);
	assert_memory_equal(&f->lease[0], &all, sizeof(all));
}

static void forgets_a_lease_that_ended(void **state)
{
	struct fixture *f = *state;
	struct store_lease a, b;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	b = lease(f, 1001, HOUR_MS);
	put(f, &a);
	put(f, &b);
	a.claims = 0;
	put(f, &a);
	commit(f, false);
	reopen(f);
	assert_int_equal(load(f), 1);
	assert_int_equal(f->lease[0].ext_port, 1001);
}

static void what_was_not_committed_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct store_lease a;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	put(f, &a);
	commit(f, false);
	a = lease(f, 1001, HOUR_MS);
	put(f, &a);
	reopen(f); /* as by kill -9 */
	assert_int_equal(load(f), 1);
}

static void after_a_sync_only_what_came_is_there(void **state)
{
	struct fixture *f = *state;
	struct store_lease a, b, c;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	b = lease(f, 1001, HOUR_MS);
	c = lease(f, 1002, HOUR_MS);
	put(f, &a);
	put(f, &b);
	commit(f, false);
	assert_int_equal(store_sync(f->s), 0);
	put(f, &b);
	commit(f, false); /* in the middle of it: nothing has gone yet */
	assert_int_equal(load(f), 2);
	put(f, &c);
	assert_int_equal(store_synced(f->s), 0);
	commit(f, false);
	reopen(f);
	assert_int_equal(load(f), 2);
	assert_true(f->lease[0].ext_port + f->lease[1].ext_port == 1001 + 1002);
	/* A second one, and one that never began, do no harm. */
	assert_int_equal(store_synced(f->s), 0);
	assert_int_equal(load(f), 2);
}

static uint64_t written(const struct fixture *f)
{
	struct stat st = {0};
	char path[160];

	path_of(f, "-wal", path);
	stat(path, &st);
	return (uint64_t)st.st_size;
}

static void what_is_there_is_not_written_again(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	reopen(f);
	for (int round = 0; round < 2; round++) {
		before = written(f);
		store_sync(f->s);
		for (uint16_t i = 0; i < 2000; i++) {
			struct store_lease l = lease(f, (uint16_t)(1000 + i), HOUR_MS);

			put(f, &l);
		}
		store_synced(f->s);
		commit(f, false);
	}
	assert_true(written(f) - before < 20000); /* of the first: 300,000 */
}

static void sixty_thousand_leases(void **state)
{
	struct fixture *f = *state;

	reopen(f);
	for (uint32_t i = 0; i < 60000; i++) {
		struct store_lease l = lease(f, (uint16_t)(1 + i), HOUR_MS);

		l.flags = i % 2 ? STORE_ENABLED | STORE_TWIN : STORE_ENABLED;
		put(f, &l);
	}
	commit(f, false);
	reopen(f);
	assert_int_equal(load(f), 60000);
	for (size_t i = 0; i < 60000; i++) /* those with the twin come first */
		assert_int_equal(f->lease[i].flags & STORE_TWIN,
				 i < 30000 ? STORE_TWIN : 0);
}

/* ---- Time ---- */

static void within_a_boot_only_the_boot_clock_counts(void **state)
{
	struct fixture *f = *state;
	struct store_lease a;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	put(f, &a);
	commit(f, false);
	pass(f, 60000);
	f->now.wall_ms -= 100 * HOUR_MS; /* somebody set it */
	reopen(f);
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 60000);
	f->now.wall_ms += 1000 * HOUR_MS;
	reopen(f);
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 60000);
	assert_int_equal(f->lease[0].created_ms, a.created_ms);
}

static void a_reboot_counts_the_time_off(void **state)
{
	struct fixture *f = *state;
	struct store_lease a;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	put(f, &a);
	commit(f, false);
	reboot(f, 600000, 20000);
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 600000);
	assert_int_equal(f->now.boot_ms - f->lease[0].created_ms,
			 605000); /* 5 s old then */
	reboot(f, 600000, 1000);  /* nothing was written in that boot */
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 1200000);
	reboot(f, HOUR_MS, 1000);
	load(f);
	assert_int_equal(f->lease[0].until_ms[LEASE_BY_UPNP], 0); /* over */
}

static void without_a_wall_clock_no_lease_is_lost_too_early(void **state)
{
	struct fixture *f = *state;
	struct store_lease a;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	put(f, &a);
	commit(f, false);
	f->now.wall_ms = 12345; /* 1970, until it is set */
	reboot(f, 0, 30000);
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 30000); /* so long it runs for sure */
	a = lease(f, 1001, HOUR_MS);
	put(f, &a);
	commit(f, false);
	f->now.wall_ms = WALL_MS + 600000; /* it was set */
	pass(f, 10000);
	reopen(f);
	load(f);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(left_of(f, i), f->lease[i].ext_port == 1001
							? HOUR_MS - 10000
							: HOUR_MS - 40000);
}

static void a_clock_that_starts_anew_is_another_boot(void **state)
{
	struct fixture *f = *state;
	struct store_lease a;

	reopen(f);
	a = lease(f, 1000, HOUR_MS);
	put(f, &a);
	commit(f, false);
	f->now.boot_ms = 50; /* of the same boot id: a container was moved */
	f->now.wall_ms += 1000;
	reopen(f);
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 1000);
}

static uint64_t epoch_age(struct fixture *f)
{
	struct store_about about;

	assert_int_equal(store_about(f->s, &about), 0);
	return f->now.boot_ms - about.epoch_ms;
}

/* RFC 6887 8.5 */
static void the_epoch_counts_the_time_off_after_an_orderly_end(void **state)
{
	struct fixture *f = *state;
	struct store_about about = {.epoch_ms = 40000, .wan4 = addr("11.0.0.1")}, got;

	reopen(f);
	assert_int_equal(store_about(f->s, &got), -ENOENT);
	assert_int_equal(store_set_about(f->s, &about), 0);
	commit(f, true);
	reboot(f, 600000, 20000);
	assert_int_equal(epoch_age(f), 660000);
	store_about(f->s, &got);
	assert_memory_equal(&got.wan4, &about.wan4, sizeof(got.wan4));
}

static void the_epoch_begins_anew_after_a_power_cut(void **state)
{
	struct fixture *f = *state;
	struct store_about about = {.epoch_ms = 40000};
	struct store_lease a;

	reopen(f);
	store_set_about(f->s, &about);
	commit(f, true);
	a = lease(f, 1000, HOUR_MS);
	put(f, &a);
	commit(f, false); /* from here on it is no orderly end any more */
	reboot(f, 600000, 20000);
	assert_int_equal(epoch_age(f), 0);
	load(f);
	assert_int_equal(left_of(f, 0), HOUR_MS - 600000);
}

/* As a restarted core has it, whose store is not there yet. */
static void an_orderly_end_is_forgotten_before_the_store_is_open(void **state)
{
	struct fixture *f = *state;
	struct store_about about = {.epoch_ms = 40000};

	reopen(f);
	store_set_about(f->s, &about);
	commit(f, true);
	assert_int_equal(store_goes_on(f->dir), 0);
	assert_int_equal(store_goes_on(f->dir), 0);
	reboot(f, 600000, 20000);
	assert_int_equal(epoch_age(f), 0);
}

/* ---- History ---- */

static struct store_event event(const struct fixture *f, uint16_t port)
{
	return (struct store_event){
		.time_ms = f->now.boot_ms,
		.seconds = 3600,
		.times = 1,
		.ext_port = port,
		.int_port = 4000,
		.internal = addr("192.168.1.20"),
		.what = STORE_GRANTED,
		.by = LEASE_BY_UPNP,
		.protocol = IPPROTO_UDP,
		.description = "a \"game\"",
	};
}

static void add(struct fixture *f, uint16_t port)
{
	struct store_event e = event(f, port);

	assert_int_equal(store_add(f->s, &e), 0);
}

static void answers_from_the_history(void **state)
{
	struct fixture *f = *state;
	struct store_event other = event(f, 2000);

	reopen(f);
	add(f, 1000);
	pass(f, 10000);
	other.time_ms = f->now.boot_ms;
	other.protocol = IPPROTO_TCP;
	other.internal = addr("2a01:77::20");
	other.remote = addr("2a01:11::");
	other.remote_len = 64;
	other.what = STORE_REFUSED;
	other.reason = LEASE_RESERVED;
	assert_int_equal(store_add(f->s, &other), 0);
	assert_int_equal(ask(f, (struct store_question){.tag = 7}), 2);
	assert_int_equal(f->event[0].time_ms, WALL_MS);
	assert_int_equal(f->event[1].time_ms, WALL_MS + 10000);
	assert_int_equal(f->event[1].tag, 7);
	assert_int_equal(f->answer.tag, 7);
	other.id = f->event[1].id;
	other.tag = 7;
	other.time_ms = f->event[1].time_ms;
	assert_memory_equal(&f->event[1], &other, sizeof(other));
	assert_int_equal(ask(f, (struct store_question){.since_ms = WALL_MS + 1}), 1);
	assert_int_equal(ask(f, (struct store_question){.port = 1000}), 1);
	assert_int_equal(ask(f, (struct store_question){.port = 4000}), 2); /* inside */
	assert_int_equal(ask(f, (struct store_question){.protocol = IPPROTO_TCP}), 1);
	assert_int_equal(ask(f, (struct store_question){.host = other.internal}), 1);
	assert_int_equal(f->event[0].ext_port, 2000);
	assert_int_equal(ask(f, (struct store_question){.host = addr("10.0.0.1")}), 0);
	assert_int_equal(ask(f, (struct store_question){.newest = 1, .limit = 1}), 1);
	assert_int_equal(f->event[0].ext_port, 2000);
	assert_int_equal(ask(f, (struct store_question){.newest = 1}), 2);
	assert_int_equal(f->event[1].ext_port, 1000);
	assert_int_equal(ask(f, (struct store_question){.after = UINT64_MAX,
							.since_ms = UINT64_MAX}),
			 0);
}

static void the_history_comes_in_pages(void **state)
{
	struct fixture *f = *state;
	struct store_question q = {.limit = 30};
	size_t n = 0;

	reopen(f);
	for (uint16_t i = 1; i <= 90; i++)
		add(f, i);
	commit(f, false);
	do {
		size_t got = ask(f, q);

		for (size_t i = 0; i < got; i++)
			assert_int_equal(f->event[i].ext_port, ++n);
		q.after = f->answer.next;
	} while (f->answer.more);
	assert_int_equal(n, 90);
}

static void the_history_is_bounded_by_rows(void **state)
{
	struct fixture *f = *state;

	reopen(f);
	for (uint16_t i = 1; i <= 250; i++)
		add(f, i);
	commit(f, false);
	f->options.history_rows = 20;
	reopen(f);
	add(f, 251);
	commit(f, false);
	assert_int_equal(ask(f, (struct store_question){0}), 20);
	assert_int_equal(f->event[19].ext_port, 251);
	assert_int_equal(f->event[0].ext_port, 232);
}

static void the_history_is_bounded_by_days(void **state)
{
	struct fixture *f = *state;

	reopen(f);
	add(f, 1);
	commit(f, false);
	pass(f, 29 * 24 * HOUR_MS);
	add(f, 2);
	commit(f, false);
	assert_int_equal(ask(f, (struct store_question){0}), 2);
	pass(f, 2 * 24 * HOUR_MS);
	add(f, 3);
	commit(f, false);
	assert_int_equal(ask(f, (struct store_question){0}), 2);
	assert_int_equal(f->event[0].ext_port, 2);
}

static void the_history_follows_a_clock_that_is_set(void **state)
{
	struct fixture *f = *state;

	f->now.wall_ms = WALL_MS - 50 * HOUR_MS;
	reopen(f);
	add(f, 1);
	commit(f, false);
	reboot(f, HOUR_MS, 5000);
	f->now.wall_ms = 60000; /* 1970 */
	reopen(f);
	add(f, 2);
	commit(f, false);
	pass(f, 10000);
	f->now.wall_ms = WALL_MS;
	add(f, 3);
	commit(f, false);
	assert_int_equal(ask(f, (struct store_question){0}), 3);
	assert_int_equal(f->event[0].time_ms, WALL_MS - 50 * HOUR_MS);
	assert_int_equal(f->event[1].time_ms, WALL_MS - 10000);
	assert_int_equal(f->event[2].time_ms, WALL_MS);
}

/* ---- Damage ---- */

static void fill(struct fixture *f)
{
	reopen(f);
	for (uint16_t i = 1; i <= 2000; i++) {
		struct store_lease l = lease(f, i, HOUR_MS);

		put(f, &l);
		if (i <= 90)
			add(f, i);
	}
	commit(f, true);
	store_free(f->s);
	f->s = NULL;
}

static bool is_there(const struct fixture *f, const char *suffix)
{
	char path[160];

	path_of(f, suffix, path);
	return access(path, F_OK) == 0;
}

/* The file is moved aside, at the opening or when it is read, and a new one works. */
static void survives(struct fixture *f)
{
	enum store_state state = reopen(f);
	struct store_lease l;
	int err;

	if (state == STORE_KEPT) {
		f->n = 0;
		err = store_each(f->s, note, f);
		if (!err)
			return; /* what is damaged was not needed */
		assert_int_equal(err, -EBADMSG);
		assert_false(store_is_open(f->s));
		store_put_aside(f->s);
		state = reopen(f);
		assert_int_equal(state, STORE_NEW);
	} else {
		assert_int_equal(state, STORE_DAMAGED);
	}
	assert_true(is_there(f, ".damaged"));
	assert_int_equal(load(f), 0);
	l = lease(f, 5000, HOUR_MS);
	put(f, &l);
	commit(f, false);
	assert_int_equal(reopen(f), STORE_KEPT);
	assert_int_equal(load(f), 1);
}

static void survives_a_file_of_garbage(void **state)
{
	struct fixture *f = *state;
	char path[160], garbage[5000];
	int fd;

	path_of(f, "", path);
	memset(garbage, 'g', sizeof(garbage));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	close(fd);
	survives(f);
	assert_int_equal(reopen(f), STORE_KEPT);
}

static void survives_a_file_cut_short(void **state)
{
	static const off_t sizes[] = {0, 1, 99, 100, 4096, 8192, 50000, 100000};
	struct fixture *f = *state;
	char path[160];

	path_of(f, "", path);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unlink(path);
		fill(f);
		assert_int_equal(truncate(path, sizes[i]), 0);
		if (sizes[i] < 512) /* less than the head is nothing to SQLite */
			assert_in_range(reopen(f), STORE_NEW, STORE_DAMAGED);
		else
			survives(f);
	}
}

static void survives_holes_anywhere(void **state)
{
	struct fixture *f = *state;
	char path[160], hole[512];
	struct stat st;
	int fd;

	path_of(f, "", path);
	memset(hole, 0xa5, sizeof(hole));
	fill(f);
	assert_int_equal(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at += st.st_size / 25) {
		unlink(path);
		fill(f);
		fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, hole, sizeof(hole), at), sizeof(hole));
		close(fd);
		survives(f);
		/* Whatever is left of the history, to read it harms nobody. */
		f->n_events = 0;
		if (store_ask(f->s, &(struct store_question){.limit = STORE_PAGE},
			      note_event, f, &f->answer))
			assert_false(store_is_open(f->s));
	}
}

static void sql(const struct fixture *f, const char *text)
{
	char command[600];

	snprintf(command, sizeof(command), "sqlite3 %s/" STORE_FILE " \"%s\"", f->dir,
		 text);
	assert_int_equal(system(command), 0);
}

static void survives_another_schema(void **state)
{
	struct fixture *f = *state;

	if (system("command -v sqlite3 >/dev/null"))
		skip();
	sql(f, "CREATE TABLE lease(x)");
	survives(f);
	store_free(f->s);
	f->s = NULL;
	sql(f, "PRAGMA user_version = 99"); /* of a version to come */
	survives(f);
	store_free(f->s);
	f->s = NULL;
	sql(f, "DROP TABLE history");
	survives(f);
	store_free(f->s);
	f->s = NULL;
	sql(f, "PRAGMA application_id = 1");
	survives(f);
}

/* It has one column more. */
static void a_file_of_version_1_is_brought_to_ours(void **state)
{
	struct fixture *f = *state;

	if (system("command -v sqlite3 >/dev/null"))
		skip();
	fill(f);
	store_free(f->s);
	f->s = NULL;
	sql(f,
	    "ALTER TABLE about RENAME TO was; CREATE TABLE about(id INTEGER PRIMARY KEY"
	    " CHECK(id = 1), boot BLOB, axis INTEGER, wall INTEGER, base INTEGER,"
	    " clean INTEGER, epoch INTEGER, wan4 BLOB, first INTEGER);"
	    " INSERT INTO about SELECT id, boot, axis, wall, base, 1, epoch, wan4, first"
	    " FROM was; DROP TABLE was; PRAGMA user_version = 1");
	assert_int_equal(reopen(f), STORE_KEPT);
	assert_int_equal(load(f), 2000);
	assert_int_equal(ask(f, (struct store_question){0}), STORE_PAGE);
}

static void leaves_out_rows_that_make_no_sense(void **state)
{
	struct fixture *f = *state;

	if (system("command -v sqlite3 >/dev/null"))
		skip();
	fill(f);
	sql(f,
	    "UPDATE lease SET body = x'0102' WHERE key IN (SELECT key FROM lease LIMIT 3);"
	    "UPDATE lease SET key = substr(key, 1, 20) WHERE key IN (SELECT key FROM lease"
	    " LIMIT 1 OFFSET 10); UPDATE history SET what = 99, ext_port = 'x' WHERE id = 3");
	assert_int_equal(reopen(f), STORE_KEPT);
	assert_int_equal(load(f), 1996);
	assert_int_equal(ask(f, (struct store_question){0}), STORE_PAGE - 1);
}

static void a_directory_that_cannot_be_written_costs_the_store_only(void **state)
{
	struct fixture *f = *state;
	int err;

	if (geteuid() == 0)
		f->options.dir = "/proc/self"; /* root may write any other one */
	else
		chmod(f->dir, 0500);
	f->s = store_new(&f->options);
	assert_int_equal(store_open(f->s, f->now, &err), STORE_AWAY);
	assert_true(err < 0);
	assert_false(store_is_open(f->s));
	assert_int_equal(store_put(f->s, &(struct store_lease){0}), -EBADF);
	assert_int_equal(store_commit(f->s, f->now, true, true), -EBADF);
	f->options.dir = f->dir;
	chmod(f->dir, 0700);
	assert_int_equal(reopen(f), STORE_NEW);
}

/* portreeved --remove */
static void leases_that_were_ended_do_not_come_back(void **state)
{
	struct fixture *f = *state;
	char path[160];

	fill(f);
	snprintf(path, sizeof(path), "%s/" STORE_FORGET, f->dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_int_equal(reopen(f), STORE_NEW);
	assert_int_equal(load(f), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(ask(f, (struct store_question){0}),
			 STORE_PAGE); /* the history stays */
	assert_int_equal(reopen(f), STORE_KEPT);
	assert_int_equal(load(f), 0);
}

/* ---- Pure parts ---- */

static void any_truncation_of_a_row_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_lease l = lease(f, 1000, HOUR_MS), out;
	uint8_t key[STORE_KEY], body[STORE_BODY_MAX];
	size_t len;

	l.flags |= STORE_NONCE;
	l.n_filters = 1;
	l.filters[0].len = 96;
	memset(l.description, 0, sizeof(l.description));
	store_row_key(&l, key);
	len = store_row_body(&l, 77, body);
	assert_int_equal(store_row_read(key, sizeof(key), body, len, 77, &out), 0);
	assert_memory_equal(&out, &l, sizeof(l));
	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n + 1); /* ASan sees a read past it */
		uint8_t *exact = realloc(copy, n ? n : 1);

		memcpy(exact, body, n);
		assert_int_equal(store_row_read(key, sizeof(key), exact, n, 77, &out),
				 -EBADMSG);
		free(exact);
	}
	for (size_t n = 0; n < sizeof(key); n++)
		assert_int_equal(store_row_read(key, n, body, len, 77, &out), -EBADMSG);
}

static void a_lease_is_the_same_afterwards(void **state)
{
	struct lease l = {.protocol = IPPROTO_UDP,
			  .ext_port = 3074,
			  .int_port = 3075,
			  .internal = addr("192.168.1.20"),
			  .twin = true,
			  .enabled = true,
			  .has_nonce = true,
			  .origin = LEASE_BY_PCP,
			  .claims = 1 << LEASE_BY_PCP,
			  .nonce = "twelve bytes",
			  .description = "x",
			  .created_ms = 5,
			  .until_ms = {[LEASE_BY_PCP] = 1000}},
		     back;
	struct store_lease kept;

	(void)state;
	kept_from_lease(&l, false, &kept);
	assert_true(store_lease_valid(&kept));
	kept_to_lease(&kept, &back);
	assert_int_equal(back.kernel_ms, LEASE_NO_DEADLINE);
	back.kernel_ms = back.deadline_ms = 0;
	assert_memory_equal(&back.until_ms, &l.until_ms, sizeof(l.until_ms));
	assert_true(lease_same_key(&back, &l));
	assert_true(back.twin && back.enabled && back.has_nonce);
	assert_memory_equal(back.nonce, l.nonce, sizeof(l.nonce));
	assert_string_equal(back.description, "x");
	kept_from_lease(&l, true, &kept);
	assert_true(store_lease_valid(&kept) && !kept.claims);
}

static void records_that_make_no_sense_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct store_lease good = lease(f, 1000, HOUR_MS);
	struct store_lease l;
	struct store_event e = event(f, 1);

#define REFUSED(change)                                                                  \
	l = good;                                                                        \
	change;                                                                          \
	assert_false(store_lease_valid(&l))
	assert_true(store_lease_valid(&good));
	REFUSED(l.protocol = 1);
	REFUSED(l.ext_port = 0);
	REFUSED(l.int_port = 0);
	REFUSED(l.claims |= 1 << LEASE_BY_OPEN_NAT);
	REFUSED(l.remote_len = 129);
	REFUSED(l.n_filters = 5);
	REFUSED(l.flags = 8);
	REFUSED(l.origin = LEASE_BY_END);
	REFUSED(l.claims = 0x80);
	REFUSED(l.until_gone = 1);
	REFUSED(l.zero = 1);
	REFUSED(memset(l.description, 'x', sizeof(l.description)));
	REFUSED((l.n_filters = 1, l.filters[0].len = 129));
	assert_true(store_event_valid(&e));
	e.what = STORE_WHAT_END;
	assert_false(store_event_valid(&e));
	e = event(f, 1);
	e.times = 0;
	assert_false(store_event_valid(&e));
	assert_false(store_question_valid(&(struct store_question){.limit = 65}));
	assert_false(store_loaded_valid(&(struct store_loaded){.state = 0}));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(keeps_all_of_a_lease),
		TEST(forgets_a_lease_that_ended),
		TEST(what_was_not_committed_is_not_there),
		TEST(after_a_sync_only_what_came_is_there),
		TEST(what_is_there_is_not_written_again),
		TEST(sixty_thousand_leases),
		TEST(within_a_boot_only_the_boot_clock_counts),
		TEST(a_reboot_counts_the_time_off),
		TEST(without_a_wall_clock_no_lease_is_lost_too_early),
		TEST(a_clock_that_starts_anew_is_another_boot),
		TEST(the_epoch_counts_the_time_off_after_an_orderly_end),
		TEST(an_orderly_end_is_forgotten_before_the_store_is_open),
		TEST(the_epoch_begins_anew_after_a_power_cut),
		TEST(answers_from_the_history),
		TEST(the_history_comes_in_pages),
		TEST(the_history_is_bounded_by_rows),
		TEST(the_history_is_bounded_by_days),
		TEST(the_history_follows_a_clock_that_is_set),
		TEST(survives_a_file_of_garbage),
		TEST(survives_a_file_cut_short),
		TEST(survives_holes_anywhere),
		TEST(survives_another_schema),
		TEST(a_file_of_version_1_is_brought_to_ours),
		TEST(leaves_out_rows_that_make_no_sense),
		TEST(a_directory_that_cannot_be_written_costs_the_store_only),
		TEST(leases_that_were_ended_do_not_come_back),
		TEST(any_truncation_of_a_row_is_refused),
		TEST(a_lease_is_the_same_afterwards),
		TEST(records_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
