/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/workers.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define PING_S 5
#define PINGS_MISSED 2
#define SETUP_RETRY_MS 1000
#define RATE_WINDOW_MS 100
#define RATE_PER_WINDOW 10000 /* requests of one worker; beyond that it waits */
#define RATE_OF_LIST 250      /* requests that one part of a list counts for */

struct worker {
	struct workers *all;
	enum role role;
	uint16_t lan;
	bool wanted;
	bool ready;
	bool set_up;
	pid_t pid; /* 0: not running */
	worker_id id;
	struct channel *channel;
	unsigned int pings;     /* unanswered */
	unsigned int in_flight; /* requests that we have not answered */
	unsigned int window;    /* requests in this RATE_WINDOW_MS */
};

struct workers {
	struct event_base *base;
	int parent;
	const struct workers_ops *ops;
	void *arg;
	struct event *ping;
	struct event *retry;  /* set-ups that failed */
	struct event *window; /* resumes workers that went over their rate */
	worker_id last_id;
	struct worker worker[2][LEASE_LANS_MAX]; /* pcp, igd */
};

#define EACH_WORKER(w, c)                                                                \
	for (struct worker *c = &(w)->worker[0][0];                                      \
	     c < &(w)->worker[0][0] + 2 * LEASE_LANS_MAX; c++)

static struct worker *worker_at(struct workers *w, enum role role, uint16_t lan)
{
	return &w->worker[role == ROLE_IGD][lan];
}

static void parent_ask(struct worker *c, enum role_op op)
{
	struct role_record r = {.op = (uint8_t)op,
				.role = (uint8_t)c->role,
				.lan = c->lan,
				.pid = op == ROLE_OP_KILL ? c->pid : 0};
	int err = role_send(c->all->parent, &r, -1);

	if (err) {
		errno = -err;
		log_error("the parent does not listen: %m");
	}
}

static void worker_detach(struct worker *c)
{
	channel_free(c->channel);
	c->channel = NULL;
	c->ready = false;
	c->set_up = false;
	c->id = 0;
	c->pings = 0;
	c->in_flight = 0;
}

/* It hangs or lies: the parent ends it and starts another. */
static void worker_drop(struct worker *c, const char *why)
{
	log_warn("%s worker of LAN %u %s: it is replaced", role_name(c->role), c->lan,
		 why);
	worker_detach(c);
	parent_ask(c, ROLE_OP_KILL);
	c->all->ops->changed(c->all->arg);
}

static void worker_told(struct worker *c, int err)
{
	if (err == -EPIPE || err == -ECONNRESET) {
		worker_detach(c); /* it is gone: its exit follows from the parent */
		c->all->ops->changed(c->all->arg);
	} else if (err) {
		worker_drop(c, "does not read");
	}
}

static void worker_set_up(struct worker *c)
{
	static const struct timeval later = {.tv_usec = SETUP_RETRY_MS * 1000 % 1000000,
					     .tv_sec = SETUP_RETRY_MS / 1000};
	struct workers *w = c->all;
	struct record_setup setup = {0};
	struct record_state state = {0};
	int fds[CHANNEL_FDS];
	size_t n_fds = 0;
	int err = w->ops->setup(w->arg, c->role, c->lan, &setup, fds, &n_fds);

	if (err) {
		event_add(w->retry, &later);
		return;
	}
	w->ops->state(w->arg, &state);
	err = channel_send_fds(c->channel, RECORD_SETUP, &setup, 1, fds, n_fds);
	if (!err)
		err = channel_send(c->channel, RECORD_STATE, &state, 1);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	c->set_up = !err; /* if it is gone already, its end comes next */
}

/* May this worker speak for that protocol? */
static bool worker_speaks(const struct worker *c, uint8_t by)
{
	return c->role == ROLE_IGD ? by == LEASE_BY_UPNP
				   : by == LEASE_BY_PCP || by == LEASE_BY_NATPMP;
}

/* Counts work of that many requests. */
static void worker_took(struct worker *c, size_t count)
{
	static const struct timeval window = {.tv_usec = RATE_WINDOW_MS * 1000};

	if (!event_pending(c->all->window, EV_TIMEOUT, NULL))
		event_add(c->all->window, &window);
	c->window += (unsigned int)count;
	if (c->window >= RATE_PER_WINDOW)
		channel_pause(c->channel, true);
}

/* True: all fine. False: the worker was dropped. */
static bool worker_requests(struct worker *c, const struct lease_request *req,
			    size_t count)
{
	struct workers *w = c->all;

	for (size_t i = 0; i < count; i++) {
		if (!lease_request_valid(&req[i]) || !worker_speaks(c, req[i].by) ||
		    c->in_flight >= CHANNEL_FLIGHT) {
			worker_drop(c, "sent a malformed request");
			return false;
		}
		c->in_flight++;
		w->ops->request(w->arg, c->id, c->lan, &req[i]);
		if (!c->channel)
			return false;
	}
	worker_took(c, count);
	return true;
}

static void worker_lists(struct worker *c, const struct record_list *from)
{
	struct workers *w = c->all;
	struct record_row rows[RECORDS_PER_MESSAGE];
	struct record_list next = *from;
	size_t n;
	int err;

	if (c->role != ROLE_IGD) {
		worker_drop(c, "sent a malformed request");
		return;
	}
	n = w->ops->list(w->arg, c->lan, &next.place, rows, RECORDS_PER_MESSAGE);
	worker_took(c, RATE_OF_LIST);
	err = n ? channel_send(c->channel, RECORD_ROWS, rows, n) : 0;
	worker_told(c, err ? err : channel_send(c->channel, RECORD_LISTED, &next, 1));
}

static void worker_message(void *arg, enum record_kind kind, const void *records,
			   size_t count, const int *fds, size_t n_fds)
{
	struct worker *c = arg;
	struct workers *w = c->all;
	struct record_state state = {0};

	(void)fds;
	assert(n_fds == 0); /* channel.c lets none through from a worker */
	switch (kind) {
	case RECORD_READY:
		if (!c->set_up) {
			worker_drop(c, "spoke before it was spoken to");
			return;
		}
		c->ready = true;
		w->ops->changed(w->arg);
		return;
	case RECORD_PONG:
		c->pings = 0;
		return;
	case RECORD_REFRESH:
		w->ops->state(w->arg, &state);
		worker_told(c, channel_send(c->channel, RECORD_STATE, &state, 1));
		return;
	case RECORD_REQUEST:
		worker_requests(c, records, count);
		return;
	case RECORD_LIST:
		worker_lists(c, records);
		return;
	default:
		abort(); /* channel.c lets no other through from a worker */
	}
}

static void worker_closed(void *arg, int err)
{
	struct worker *c = arg;

	if (err)
		worker_drop(c, "sent a malformed message");
	else
		worker_detach(c); /* its exit follows from the parent */
	c->all->ops->changed(c->all->arg);
}

static const struct channel_ops worker_channel = {worker_message, worker_closed};

static void workers_ping(evutil_socket_t fd, short what, void *arg)
{
	struct workers *w = arg;

	(void)fd;
	(void)what;
	EACH_WORKER (w, c) {
		if (!c->channel || !c->set_up)
			continue;
		if (c->pings >= PINGS_MISSED) {
			worker_drop(c, "does not answer");
			continue;
		}
		c->pings++;
		worker_told(c, channel_send(c->channel, RECORD_PING, NULL, 0));
	}
}

static void workers_retry(evutil_socket_t fd, short what, void *arg)
{
	struct workers *w = arg;

	(void)fd;
	(void)what;
	EACH_WORKER (w, c)
		if (c->channel && !c->set_up)
			worker_set_up(c);
}

static void workers_window(evutil_socket_t fd, short what, void *arg)
{
	struct workers *w = arg;

	(void)fd;
	(void)what;
	EACH_WORKER (w, c) {
		c->window = 0;
		if (c->channel)
			channel_pause(c->channel, false);
	}
}

struct workers *workers_new(struct event_base *base, int parent,
			    const struct workers_ops *ops, void *arg)
{
	static const struct timeval every = {.tv_sec = PING_S};
	struct workers *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct workers){.base = base, .parent = parent, .ops = ops, .arg = arg};
	for (uint16_t lan = 0; lan < LEASE_LANS_MAX; lan++) {
		w->worker[0][lan] = (struct worker){
			.all = w, .role = ROLE_PCP, .lan = lan};
		w->worker[1][lan] = (struct worker){
			.all = w, .role = ROLE_IGD, .lan = lan};
	}
	w->ping = event_new(base, -1, EV_PERSIST, workers_ping, w);
	w->retry = event_new(base, -1, 0, workers_retry, w);
	w->window = event_new(base, -1, 0, workers_window, w);
	if (!w->ping || !w->retry || !w->window || event_add(w->ping, &every)) {
		workers_free(w);
		return NULL;
	}
	return w;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	EACH_WORKER (w, c)
		channel_free(c->channel);
	if (w->ping)
		event_free(w->ping);
	if (w->retry)
		event_free(w->retry);
	if (w->window)
		event_free(w->window);
	free(w);
}

void workers_want(struct workers *w, enum role role, uint16_t lan, bool want)
{
	struct worker *c = worker_at(w, role, lan);

	if (c->wanted == want)
		return;
	c->wanted = want;
	parent_ask(c, want ? ROLE_OP_START : ROLE_OP_STOP);
	if (!want)
		worker_detach(c);
}

void workers_restart(struct workers *w, enum role role, uint16_t lan)
{
	if (!worker_at(w, role, lan)->wanted)
		return;
	workers_want(w, role, lan, false);
	workers_want(w, role, lan, true);
}

void workers_started(struct workers *w, enum role role, uint16_t lan, pid_t pid, int fd)
{
	struct worker *c = worker_at(w, role, lan);

	worker_detach(c);
	c->pid = pid;
	if (!c->wanted) { /* it was stopped while it started */
		close(fd);
		return;
	}
	c->channel = channel_new(w->base, fd, CHANNEL_CORE, &worker_channel, c);
	if (!c->channel) {
		worker_drop(c, "has no memory for its channel");
		return;
	}
	c->id = ++w->last_id ? w->last_id : ++w->last_id;
	worker_set_up(c);
}

void workers_exited(struct workers *w, enum role role, uint16_t lan, pid_t pid)
{
	struct worker *c = worker_at(w, role, lan);

	if (c->pid != pid)
		return;
	worker_detach(c);
	c->pid = 0;
	w->ops->changed(w->arg);
}

void workers_answer(struct workers *w, worker_id to, const struct lease_reply *reply)
{
	EACH_WORKER (w, c) {
		if (!c->channel || c->id != to)
			continue;
		c->in_flight--;
		worker_told(c, channel_put(c->channel, RECORD_REPLY, reply));
		return;
	}
}

void workers_flush(struct workers *w)
{
	EACH_WORKER (w, c)
		if (c->channel)
			worker_told(c, channel_flush(c->channel));
}

void workers_send_state(struct workers *w)
{
	struct record_state state = {0};

	w->ops->state(w->arg, &state);
	EACH_WORKER (w, c)
		if (c->set_up)
			worker_told(c, channel_send(c->channel, RECORD_STATE, &state, 1));
}

bool workers_ready(const struct workers *w)
{
	for (size_t i = 0; i < 2 * LEASE_LANS_MAX; i++) {
		const struct worker *c = &w->worker[0][0] + i;

		if (c->wanted && !c->ready)
			return false;
	}
	return true;
}

void workers_each(const struct workers *w,
		  void (*each)(void *arg, enum role role, uint16_t lan, pid_t pid,
			       bool ready),
		  void *arg)
{
	for (size_t i = 0; i < 2 * LEASE_LANS_MAX; i++) {
		const struct worker *c = &w->worker[0][0] + i;

		if (c->pid)
			each(arg, c->role, c->lan, c->pid, c->ready);
	}
}
