/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core's side of the store: what is told, and when. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/core_store_inside.h"
#include "lease/kept.h"

#define TELL_MS 1000 /* after the first change */
#define END_MS 100   /* after the first end, so that few of them are taken for lost */
#define TURN_MS 1    /* between two helpings */
#define STALL_MS 100 /* when it does not read */
#define HELPING 256  /* records in one turn of the loop */

void core_store_arm(struct event *ev, unsigned int ms)
{
	const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (!event_pending(ev, EV_TIMEOUT, NULL))
		event_add(ev, &in);
}

void core_store_tell_later(struct core_store *s)
{
	if (s->channel && s->loaded)
		core_store_arm(s->tell, TELL_MS);
}

void core_store_tell_end(struct core_store *s)
{
	const struct timeval in = {.tv_usec = END_MS * 1000};

	if (!s->channel || !s->loaded || s->end_due)
		return;
	s->end_due = true;
	event_add(s->tell, &in);
}

void core_store_sync(struct core_store *s)
{
	s->sync_due = true;
	s->syncing = false;
	dirty_clear(&s->fast);
	dirty_clear(&s->slow);
	core_store_tell_later(s);
}

/* ---- Telling ---- */

static void note_key(void *arg, const struct lease *l)
{
	struct core_store *s = arg;

	if (s->n_all < s->all_room)
		dirty_key_of(l, &s->all[s->n_all++]);
}

static void count_key(void *arg, const struct lease *l)
{
	size_t *n = arg;

	(void)l;
	(*n)++;
}

void core_store_sync_end(struct core_store *s)
{
	free(s->all);
	s->all = NULL;
	s->n_all = s->all_room = s->all_next = s->waiting_next = 0;
	s->syncing = false;
}

/* 0, -EAGAIN: the store does not read now, -ENOMEM or another error: not now either. */
static int sync_begin(struct core_store *s)
{
	size_t n = 0;
	int err;

	core_store_sync_end(s);
	s->ops->each(s->arg, count_key, &n);
	s->all = malloc(n * sizeof(*s->all) + 1);
	if (!s->all)
		return -ENOMEM;
	err = channel_send(s->channel, RECORD_STORE_SYNC, NULL, 0);
	if (err)
		return err;
	s->all_room = n;
	s->ops->each(s->arg, note_key, s);
	s->sync_due = false;
	s->syncing = true;
	s->about_due = true;
	return 0;
}

/* The leases of up to 32 keys; `skip`: of those that have ended there is nothing to tell. */
static int tell_leases(struct core_store *s, const struct dirty_key *key,
		       const bool *skip, size_t n)
{
	struct store_lease out[RECORDS_PER_MESSAGE];
	size_t n_out = 0;

	for (size_t i = 0; i < n; i++) {
		const struct lease *l = s->ops->find(s->arg, &key[i]);
		struct lease gone = {.protocol = key[i].protocol,
				     .ext_port = key[i].ext_port,
				     .remote = key[i].remote,
				     .remote_len = key[i].remote_len,
				     .remote_port = key[i].remote_port,
				     .internal = key[i].internal};

		if (!l && skip && skip[i])
			continue;
		if (IN6_IS_ADDR_UNSPECIFIED(&gone.internal)) /* any of IPv4 */
			gone.internal.s6_addr[10] = gone.internal.s6_addr[11] = 0xff;
		kept_from_lease(l ? l : &gone, !l, &out[n_out++]);
	}
	return n_out ? channel_send(s->channel, RECORD_STORE_LEASE, out, n_out) : 0;
}

/* One message of the leases that wait. How many, or an error. */
static int tell_waiting(struct core_store *s)
{
	struct store_lease out[RECORDS_PER_MESSAGE];
	const struct lease *l;
	size_t n = 0;
	int err;

	while (n < RECORDS_PER_MESSAGE &&
	       (l = s->ops->waiting(s->arg, s->waiting_next + n)))
		kept_from_lease(l, false, &out[n++]);
	err = n ? channel_send(s->channel, RECORD_STORE_LEASE, out, n) : 0;
	if (!err)
		s->waiting_next += n;
	return err ? err : (int)n;
}

/* One message of the leases that all are told of. */
static int tell_all(struct core_store *s)
{
	size_t left = s->n_all - s->all_next;
	size_t n = left < RECORDS_PER_MESSAGE ? left : RECORDS_PER_MESSAGE;
	int err = tell_waiting(s);

	if (err)
		return err > 0 ? 0 : err;
	err = n ? tell_leases(s, s->all + s->all_next, NULL, n)
		: channel_send(s->channel, RECORD_STORE_SYNCED, NULL, 0);
	if (err)
		return err;
	s->all_next += n;
	if (!n) {
		core_store_sync_end(s);
		s->ops->synced(s->arg);
	}
	return 0;
}

/* Puts back what could not be told. */
static void dirty_put_back(struct core_store *s, struct dirty *d,
			   const struct dirty_key *key, const bool *born, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!dirty_add(d, &key[i], born[i]))
			core_store_sync(s);
}

static int tell_dirty(struct core_store *s, struct dirty *d)
{
	struct dirty_key key[RECORDS_PER_MESSAGE];
	bool born[RECORDS_PER_MESSAGE];
	size_t n = 0;
	int err;

	while (n < RECORDS_PER_MESSAGE && dirty_take(d, &key[n], &born[n]))
		n++;
	err = tell_leases(s, key, born, n);
	if (err)
		dirty_put_back(s, d, key, born, n);
	return err;
}

static int tell_about(struct core_store *s)
{
	struct store_about about = {0};
	int err;

	s->ops->about(s->arg, &about);
	err = channel_send(s->channel, RECORD_STORE_ABOUT, &about, 1);
	s->about_due = s->about_due && err;
	return err;
}

/* One message of them. */
static int tell_history(struct core_store *s)
{
	struct store_event out[RECORDS_PER_MESSAGE];
	const struct store_event *e;
	size_t n = 0;
	int err;

	if (!core_history_next(&s->history))
		return 0;
	/* They leave the queue only when they were sent. */
	for (size_t i = 0; i < s->history.n && n < RECORDS_PER_MESSAGE; i++) {
		e = &s->history.waiting[(s->history.first + i) % HISTORY_WAITING];
		out[n++] = *e;
	}
	err = channel_send(s->channel, RECORD_STORE_EVENT, out, n);
	while (!err && n--)
		core_history_took(&s->history);
	return err;
}

static bool all_told(const struct core_store *s)
{
	return !s->sync_due && !s->syncing && !s->fast.n && !s->about_due &&
	       !core_history_waits(&s->history);
}

/* The next message of what is to be told: leases before history. */
static int tell_next(struct core_store *s)
{
	if (s->sync_due)
		return sync_begin(s);
	if (s->about_due)
		return tell_about(s);
	if (s->fast.n)
		return tell_dirty(s, &s->fast);
	if (s->syncing)
		return tell_all(s);
	return tell_history(s);
}

void core_store_tell_history(struct core_store *s)
{
	while (core_history_waits(&s->history) && !tell_history(s))
		;
}

int core_store_tell(struct core_store *s, unsigned int messages)
{
	int err = 0;

	while (messages-- && !err && !all_told(s))
		err = tell_next(s);
	return err;
}

void core_store_tell_due(evutil_socket_t fd, short what, void *arg)
{
	struct core_store *s = arg;
	int err;

	(void)fd;
	(void)what;
	s->end_due = false;
	if (!s->channel || !s->loaded)
		return;
	err = core_store_tell(s, HELPING / RECORDS_PER_MESSAGE);
	if (err)
		core_store_arm(s->tell, STALL_MS);
	else if (!all_told(s))
		core_store_arm(s->tell, TURN_MS);
}

void core_store_hurry(struct core_store *s, bool all)
{
	struct dirty_key key;
	bool born;

	while (dirty_take(&s->slow, &key, &born))
		dirty_put_back(s, &s->fast, &key, &born, 1);
	if (core_history_gather(&s->history, clock_ms(), all))
		core_store_arm(s->slowly, SLOW_MS);
	if (!all_told(s))
		core_store_tell_later(s);
}
