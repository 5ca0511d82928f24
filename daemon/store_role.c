/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/store_role.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "lease/store.h"

#define COMMIT_MS 1000
/* The time alone is written so often, for routers whose wall clock does not run while they are
 * off: what they do not know is at most that much more than how long that was. */
#define HEARTBEAT_S 600
#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 30000

struct store_role {
	struct event_base *base;
	struct channel *channel;
	int channel_fd;
	struct store *store;
	struct store_options options;
	struct event *commit;
	struct event *heartbeat;
	struct event *retry;
	unsigned int retry_ms; /* 0: all is well */
	bool load_due;         /* the core waits for what is kept */
	bool failed;           /* to be left: the core is gone */
	/* Records on their way to the core. */
	enum record_kind out_kind;
	size_t n_out;
	union {
		struct store_lease lease[RECORDS_PER_MESSAGE];
		struct store_event event[RECORDS_PER_MESSAGE];
	} out;
	uint32_t sent; /* leases */
};

static struct store_clock clock_now(void)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct store_clock){.boot_ms = clock_ms(),
				    .wall_ms = (uint64_t)wall.tv_sec * 1000 +
					       (uint64_t)wall.tv_nsec / 1000000};
}

/* ---- To the core ---- */

/* Unlike the core, we may wait for the other side. */
static void role_send_all(struct store_role *r, enum record_kind kind,
			  const void *records, size_t count)
{
	struct pollfd p = {.fd = r->channel_fd, .events = POLLOUT};
	int err;

	while (!r->failed &&
	       (err = channel_send(r->channel, kind, records, count)) != 0) {
		if (err != -EAGAIN)
			r->failed = true;
		else
			poll(&p, 1, -1);
	}
}

static void role_flush(struct store_role *r)
{
	if (r->n_out)
		role_send_all(r, r->out_kind, &r->out, r->n_out);
	r->n_out = 0;
}

static void send_lease(void *arg, const struct store_lease *l)
{
	struct store_role *r = arg;

	r->out_kind = RECORD_STORE_LEASE;
	r->out.lease[r->n_out++] = *l;
	r->sent++;
	if (r->n_out == RECORDS_PER_MESSAGE)
		role_flush(r);
}

static void send_event(void *arg, const struct store_event *e)
{
	struct store_role *r = arg;

	r->out_kind = RECORD_STORE_EVENT;
	r->out.event[r->n_out++] = *e;
	if (r->n_out == RECORDS_PER_MESSAGE)
		role_flush(r);
}

/* ---- The file ---- */

static void arm(struct event *ev, unsigned int ms)
{
	const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(ev, &in);
}

/* The first of a row of failures is said, the others are not. */
static void role_away(struct store_role *r, int err)
{
	errno = -err;
	if (!r->retry_ms)
		log_error("%s/" STORE_FILE
			  ": %m; leases work, but will not survive a reboot, and the "
			  "history has a gap, until this is mended: it is tried again",
			  r->options.dir);
	r->retry_ms = !r->retry_ms                      ? RETRY_FIRST_MS
		      : r->retry_ms * 2 < RETRY_LAST_MS ? r->retry_ms * 2
							: RETRY_LAST_MS;
	arm(r->retry, r->retry_ms);
}

static void role_open(struct store_role *r);

/* What the disk said to a call; the store is closed then. */
static void role_check(struct store_role *r, int err)
{
	if (!err || err == -EBADF)
		return;
	event_del(r->commit);
	if (err == -EBADMSG) {
		store_put_aside(r->store);
		role_open(r);
	} else {
		role_away(r, err);
	}
}

static void role_load(struct store_role *r, enum store_state state)
{
	struct store_loaded loaded = {.state = (uint8_t)state};
	int err = 0;

	r->sent = 0;
	if (r->load_due && state == STORE_KEPT)
		err = store_each(r->store, send_lease, r);
	role_flush(r);
	if (err == -EBADMSG) {
		store_put_aside(r->store);
		err = 0;
		loaded.state = STORE_DAMAGED;
		if (store_open(r->store, clock_now(), &err) == STORE_AWAY)
			role_away(r, err);
	} else if (err) {
		role_away(r, err);
		loaded.state = STORE_AWAY;
	}
	if (loaded.state == STORE_KEPT && store_about(r->store, &loaded.about))
		loaded.state = STORE_NEW;
	loaded.leases = r->sent;
	r->load_due = r->load_due && loaded.state == STORE_AWAY;
	role_send_all(r, RECORD_STORE_LOADED, &loaded, 1);
}

/* Opens the file and tells the core: what is kept, or to send all that it has. */
static void role_open(struct store_role *r)
{
	int err;
	enum store_state state = store_open(r->store, clock_now(), &err);
	bool first = !r->retry_ms;

	if (state == STORE_AWAY) {
		role_away(r, err);
		if (first && r->load_due)
			role_load(r, state);
		return;
	}
	if (r->retry_ms)
		log_info("%s/" STORE_FILE ": can be written again", r->options.dir);
	r->retry_ms = 0;
	event_del(r->retry);
	if (r->load_due)
		role_load(r, state);
	else
		role_send_all(r, RECORD_STORE_AGAIN, NULL, 0);
	/* From now on the end that the file tells of is no orderly one. */
	if (store_is_open(r->store))
		role_check(r, store_commit(r->store, clock_now(), true, false));
}

static void retry_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	role_open(arg);
}

static void commit_due(evutil_socket_t fd, short what, void *arg)
{
	struct store_role *r = arg;

	(void)fd;
	(void)what;
	role_check(r, store_commit(r->store, clock_now(), false, false));
}

static void heartbeat_due(evutil_socket_t fd, short what, void *arg)
{
	struct store_role *r = arg;

	(void)fd;
	(void)what;
	if (store_is_open(r->store))
		role_check(r, store_commit(r->store, clock_now(), true, false));
}

/* ---- From the core ---- */

static int role_set_up(struct store_role *r, const struct store_setup *setup)
{
	static const struct timeval every = {.tv_sec = HEARTBEAT_S};

	if (!store_setup_valid(setup))
		return -EBADMSG;
	log_set_debug(setup->debug);
	if (r->store) {
		store_bound(r->store, setup->history_days, setup->history_rows);
		return 0;
	}
	r->options.history_days = setup->history_days;
	r->options.history_rows = setup->history_rows;
	r->load_due = setup->load;
	r->store = store_new(&r->options);
	if (!r->store || event_add(r->heartbeat, &every))
		return -ENOMEM;
	role_open(r);
	return 0;
}

static int take_lease(struct store_role *r, const struct store_lease *l)
{
	return store_lease_valid(l) ? store_put(r->store, l) : -EINVAL;
}

static int take_event(struct store_role *r, const struct store_event *e)
{
	return store_event_valid(e) ? store_add(r->store, e) : -EINVAL;
}

static int take_question(struct store_role *r, const struct store_question *q)
{
	struct store_answer answer;
	int err;

	if (!store_question_valid(q))
		return -EINVAL;
	err = store_ask(r->store, q, send_event, r, &answer);
	role_flush(r);
	answer.failed = err != 0;
	role_send_all(r, RECORD_STORE_ANSWER, &answer, 1);
	return err;
}

/* -EINVAL: nonsense; another error is the disk's. */
static int role_take(struct store_role *r, enum record_kind kind, const void *records,
		     size_t count)
{
	int err = 0;

	switch (kind) {
	case RECORD_STORE_LEASE:
		for (size_t i = 0; i < count && !err; i++)
			err = take_lease(r, (const struct store_lease *)records + i);
		return err;
	case RECORD_STORE_EVENT:
		for (size_t i = 0; i < count && !err; i++)
			err = take_event(r, (const struct store_event *)records + i);
		return err;
	case RECORD_STORE_QUESTION:
		return take_question(r, records);
	case RECORD_STORE_ABOUT:
		return store_set_about(r->store, records);
	case RECORD_STORE_SYNC:
		return store_sync(r->store);
	case RECORD_STORE_SYNCED:
		return store_synced(r->store);
	case RECORD_STORE_BYE:
		return store_commit(r->store, clock_now(), true, true);
	default: /* channel.c lets no other through */
		return 0;
	}
}

static void role_message(void *arg, enum record_kind kind, const void *records,
			 size_t count, const int *fds, size_t n_fds)
{
	struct store_role *r = arg;
	int err = 0;

	(void)fds;
	(void)n_fds;
	if (kind == RECORD_STORE_SETUP)
		err = role_set_up(r, records) ? -EINVAL : 0;
	else if (kind == RECORD_PING)
		role_send_all(r, RECORD_PONG, NULL, 0);
	else
		err = r->store ? role_take(r, kind, records, count) : -EINVAL;
	if (err == -EINVAL) {
		log_error("the core sent nonsense (message %d)", (int)kind);
		r->failed = true;
	} else {
		role_check(r, err);
	}
	if (r->failed)
		event_base_loopexit(r->base, NULL);
	else if (r->store && store_dirty(r->store) &&
		 !event_pending(r->commit, EV_TIMEOUT, NULL))
		arm(r->commit, COMMIT_MS);
}

/* The core went. What it had told before is still written. */
static void role_closed(void *arg, int err)
{
	struct store_role *r = arg;

	(void)err;
	r->failed = true;
	event_base_loopexit(r->base, NULL);
}

static const struct channel_ops role_channel = {role_message, role_closed};

/* ---- */

static void read_boot_id(uint8_t id[16])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[36];
	size_t n = 0;

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text)) == (ssize_t)sizeof(text)) {
		for (size_t i = 0; i + 1 < sizeof(text) && n < 16; i++) {
			unsigned int byte;

			if (text[i] == '-')
				continue;
			if (sscanf(&text[i++], "%2x", &byte) == 1)
				id[n++] = (uint8_t)byte;
		}
	}
	close(fd);
}

struct store_role *store_role_new(int channel, const char *state_dir)
{
	struct store_role *r = calloc(1, sizeof(*r));

	/* The parent ends us when the core is gone, which closes the channel. */
	signal(SIGTERM, SIG_IGN);
	if (!r || !(r->base = event_base_new())) {
		log_error("no memory");
		free(r);
		return NULL;
	}
	r->channel_fd = channel;
	r->options.dir = state_dir;
	read_boot_id(r->options.boot);
	r->channel = channel_new(r->base, channel, CHANNEL_STORE, &role_channel, r);
	r->commit = event_new(r->base, -1, 0, commit_due, r);
	r->retry = event_new(r->base, -1, 0, retry_due, r);
	r->heartbeat = event_new(r->base, -1, EV_PERSIST, heartbeat_due, r);
	if (r->channel && r->commit && r->retry && r->heartbeat)
		return r;
	log_error("no memory");
	return NULL; /* the process ends */
}

int store_role_run(struct store_role *r)
{
	event_base_dispatch(r->base);
	if (r->store)
		store_commit(r->store, clock_now(), false, false);
	store_free(r->store);
	channel_free(r->channel);
	event_free(r->commit);
	event_free(r->retry);
	event_free(r->heartbeat);
	event_base_free(r->base);
	free(r);
	return EXIT_SUCCESS;
}
