/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core_store.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_store_inside.h"
#include "lease/kept.h"

#define LOAD_MS 2000 /* the longest wait at the start */
#define PING_MS 10000
#define PINGS_WARN 2    /* unanswered: said so */
#define PINGS_MISSED 12 /* and replaced */
#define DIRTY_MAX 65536
#define ANSWER_MS 3000

/* ---- What happens ---- */

/* Once a minute: renewals, and refusals that go on. */
static void slowly_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	core_store_hurry(arg, false);
}

/* Is it only that some claim lasts a little longer, and not so soon at its end that the store
 * would not be told in time? */
static bool renewal_is_small(const struct lease_change *c, uint64_t now_ms)
{
	struct lease l = c->after;
	uint64_t left = l.deadline_ms - now_ms;
	uint64_t moved = l.deadline_ms - c->before.deadline_ms;

	memcpy(l.until_ms, c->before.until_ms, sizeof(l.until_ms));
	l.deadline_ms = c->before.deadline_ms;
	l.kernel_ms = c->before.kernel_ms;
	if (memcmp(&l, &c->before, sizeof(l)) != 0)
		return false;
	if (c->before.deadline_ms < now_ms + 2 * (uint64_t)SLOW_MS)
		return false;
	return moved <= left / 4; /* never if it ends sooner: that is modulo 2^64 */
}

/* A re-arming in the kernel changes nothing that is kept. */
static bool nothing_kept(const struct lease_change *c)
{
	struct lease l = c->after;

	l.kernel_ms = c->before.kernel_ms;
	if ((!c->had || lease_idles(&c->before)) && (!c->has || lease_idles(&l)))
		return true;
	return c->had && c->has && memcmp(&l, &c->before, sizeof(l)) == 0;
}

void core_store_step(struct core_store *s, const struct lease_change *c)
{
	const struct lease *l = c->has ? &c->after : &c->before;
	uint64_t now_ms = clock_ms();
	struct dirty_key key;
	bool slow = c->had && c->has && renewal_is_small(c, now_ms);

	core_history_step(&s->history, c, now_ms);
	if (nothing_kept(c) || s->sync_due)
		return;
	dirty_key_of(l, &key);
	if (!dirty_add(slow ? &s->slow : &s->fast, &key, !c->had)) {
		core_store_sync(s);
		return;
	}
	if (slow)
		core_store_arm(s->slowly, SLOW_MS);
	else if (!c->has)
		core_store_tell_end(s);
	else
		core_store_tell_later(s);
}

bool core_store_refused(struct core_store *s, const struct lease_request *req,
			enum lease_reason reason)
{
	bool news;

	if (req->op != LEASE_OP_MAP)
		return false;
	news = core_history_refused(&s->history, req, reason, clock_ms());
	core_store_arm(s->slowly, SLOW_MS);
	if (core_history_waits(&s->history))
		core_store_tell_later(s);
	return news;
}

void core_store_restored(struct core_store *s, uint32_t leases)
{
	core_history_restored(&s->history, leases, clock_ms());
	core_store_tell_later(s);
}

void core_store_about(struct core_store *s)
{
	s->about_due = true;
	core_store_tell_later(s);
}

/* ---- Questions ---- */

static void asked_end(struct core_store *s, const struct store_answer *answer)
{
	struct asked a = s->asked[0];
	size_t n = answer ? s->n_page : 0;

	s->n_page = 0;
	s->n_asked--;
	memmove(&s->asked[0], &s->asked[1], s->n_asked * sizeof(a));
	a.done(a.arg, answer, s->page, n);
}

static void asked_fail_all(struct core_store *s)
{
	while (s->n_asked)
		asked_end(s, NULL);
}

static void answer_late(evutil_socket_t fd, short what, void *arg)
{
	struct core_store *s = arg;
	uint64_t now_ms = clock_ms();

	(void)fd;
	(void)what;
	while (s->n_asked && s->asked[0].until_ms <= now_ms)
		asked_end(s, NULL);
	if (s->n_asked)
		core_store_arm(s->answer,
			       (unsigned int)(s->asked[0].until_ms - now_ms) + 1);
}

void core_store_ask(struct core_store *s, const struct store_question *q,
		    core_store_done done, void *arg)
{
	struct store_question out = *q;

	out.tag = s->last_tag + 1;
	/* What has just happened is in the answer too. */
	if (s->channel && s->loaded)
		core_store_tell_history(s);
	if (!s->channel || s->n_asked == ASKED_MAX ||
	    channel_send(s->channel, RECORD_STORE_QUESTION, &out, 1)) {
		done(arg, NULL, NULL, 0);
		return;
	}
	s->last_tag++;
	s->asked[s->n_asked++] = (struct asked){.done = done,
						.arg = arg,
						.tag = out.tag,
						.until_ms = clock_ms() + ANSWER_MS};
	core_store_arm(s->answer, ANSWER_MS);
}

/* ---- From the store ---- */

static void store_detach(struct core_store *s)
{
	channel_free(s->channel);
	s->channel = NULL;
	s->loaded = false;
	s->pings = 0;
	event_del(s->tell);
	s->end_due = false;
	event_del(s->ping);
	core_store_sync_end(s);
	s->sync_due = true; /* for the next one */
	asked_fail_all(s);
}

static void store_drop(struct core_store *s, const char *why)
{
	log_warn("the store %s: it is replaced", why);
	store_detach(s);
	s->ops->want(s->arg, true);
}

static bool take_leases(struct core_store *s, const struct store_lease *kept, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lease l;

		if (s->loaded || !s->options.load || !kept[i].claims ||
		    !store_lease_valid(&kept[i]))
			return false;
		kept_to_lease(&kept[i], &l);
		s->ops->kept(s->arg, &l);
	}
	return true;
}

static bool take_loaded(struct core_store *s, const struct store_loaded *l)
{
	if (!store_loaded_valid(l))
		return false;
	event_del(s->load);
	s->loaded = true;
	if (s->options.load)
		s->ops->loaded(s->arg, l);
	/* One that could not read it may do so later: then its leases come, and this again. */
	if (l->state != STORE_AWAY)
		s->options.load = false;
	else
		s->loaded = !s->options.load;
	core_store_sync(s);
	return true;
}

static bool take_events(struct core_store *s, const struct store_event *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!store_event_valid(&e[i]))
			return false;
		if (!s->n_asked || e[i].tag != s->asked[0].tag)
			continue; /* nobody waits any more */
		if (s->n_page == STORE_PAGE)
			return false;
		s->page[s->n_page++] = e[i];
	}
	return true;
}

static bool take_answer(struct core_store *s, const struct store_answer *a)
{
	if (!store_answer_valid(a))
		return false;
	if (s->n_asked && s->asked[0].tag == a->tag)
		asked_end(s, a);
	return true;
}

static void take_pong(struct core_store *s)
{
	if (s->pings > PINGS_WARN)
		log_info("the store answers again");
	s->pings = 0;
}

static void store_message(void *arg, enum record_kind kind, const void *records,
			  size_t count, const int *fds, size_t n_fds)
{
	struct core_store *s = arg;
	bool good = true;

	(void)fds;
	(void)n_fds;
	switch (kind) {
	case RECORD_STORE_LEASE:
		good = take_leases(s, records, count);
		break;
	case RECORD_STORE_LOADED:
		good = take_loaded(s, records);
		break;
	case RECORD_STORE_EVENT:
		good = take_events(s, records, count);
		break;
	case RECORD_STORE_ANSWER:
		good = take_answer(s, records);
		break;
	case RECORD_STORE_AGAIN:
		s->loaded = true;
		core_store_sync(s);
		break;
	case RECORD_PONG:
		take_pong(s);
		break;
	default: /* channel.c lets no other through */
		break;
	}
	if (!good)
		store_drop(s, "sent nonsense");
}

static void store_closed(void *arg, int err)
{
	struct core_store *s = arg;

	if (err)
		store_drop(s, "sent a malformed message");
	else
		store_detach(s); /* its exit follows from the parent */
}

static const struct channel_ops store_channel = {store_message, store_closed};

static void ping_due(evutil_socket_t fd, short what, void *arg)
{
	struct core_store *s = arg;

	(void)fd;
	(void)what;
	if (!s->channel)
		return;
	if (s->pings == PINGS_WARN)
		log_warn(
			"the store does not answer (a slow disk?): leases work, but what "
			"changes now would not survive a reboot");
	if (s->pings++ >= PINGS_MISSED) {
		store_drop(s, "does not answer");
		return;
	}
	channel_send(s->channel, RECORD_PING, NULL,
		     0); /* a full channel counts as none */
	core_store_arm(s->ping, PING_MS);
}

static void load_late(evutil_socket_t fd, short what, void *arg)
{
	struct core_store *s = arg;

	(void)fd;
	(void)what;
	s->ops->loaded(s->arg, NULL);
}

/* ---- */

static void store_set_up(struct core_store *s)
{
	const struct store_setup setup = {.history_days = s->options.history_days,
					  .history_rows = s->options.history_rows,
					  .load = s->options.load,
					  .debug = s->options.debug};

	/* One that does not read it now is replaced later, and gets it then. */
	channel_send(s->channel, RECORD_STORE_SETUP, &setup, 1);
}

void core_store_bound(struct core_store *s, uint32_t days, uint32_t rows)
{
	if (s->options.history_days == days && s->options.history_rows == rows)
		return;
	s->options.history_days = days;
	s->options.history_rows = rows;
	if (s->channel)
		store_set_up(s);
}

void core_store_started(struct core_store *s, pid_t pid, int fd)
{
	store_detach(s);
	s->pid = pid;
	s->channel = channel_new(s->base, fd, CHANNEL_STORES_CORE, &store_channel, s);
	if (!s->channel) {
		store_drop(s, "has no memory for its channel");
		return;
	}
	store_set_up(s);
	core_store_arm(s->ping, PING_MS);
}

void core_store_exited(struct core_store *s, pid_t pid)
{
	if (s->pid != pid)
		return;
	store_detach(s);
	s->pid = 0;
}

pid_t core_store_pid(const struct core_store *s)
{
	return s->pid;
}

struct core_store *core_store_new(struct event_base *base,
				  const struct core_store_options *o,
				  const struct core_store_ops *ops, void *arg)
{
	struct core_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->base = base;
	s->options = *o;
	s->ops = ops;
	s->arg = arg;
	s->sync_due = true;
	dirty_init(&s->fast, DIRTY_MAX, o->seed);
	dirty_init(&s->slow, DIRTY_MAX, o->seed);
	s->tell = event_new(base, -1, 0, core_store_tell_due, s);
	s->slowly = event_new(base, -1, 0, slowly_due, s);
	s->load = event_new(base, -1, 0, load_late, s);
	s->ping = event_new(base, -1, 0, ping_due, s);
	s->answer = event_new(base, -1, 0, answer_late, s);
	if (!s->tell || !s->slowly || !s->load || !s->ping || !s->answer ||
	    event_priority_set(s->tell, 2)) {
		core_store_free(s);
		return NULL;
	}
	if (o->load)
		core_store_arm(s->load, LOAD_MS);
	ops->want(arg, false);
	return s;
}

bool core_store_loaded(const struct core_store *s)
{
	return s->loaded;
}

void core_store_bye(struct core_store *s)
{
	if (!s->channel || !s->loaded)
		return;
	core_store_hurry(s, true);
	s->about_due = true;
	if (!core_store_tell(s, UINT32_MAX))
		channel_send(s->channel, RECORD_STORE_BYE, NULL, 0);
}

void core_store_free(struct core_store *s)
{
	if (!s)
		return;
	channel_free(s->channel);
	dirty_fini(&s->fast);
	dirty_fini(&s->slow);
	free(s->all);
	if (s->tell)
		event_free(s->tell);
	if (s->slowly)
		event_free(s->slowly);
	if (s->load)
		event_free(s->load);
	if (s->ping)
		event_free(s->ping);
	if (s->answer)
		event_free(s->answer);
	free(s);
}
