/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/relay.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "igd/hooks.h"
#include "igd/http.h"

struct relay_job {
	struct relay *relay;
	struct in_addr client;
	struct bufferevent *bev; /* NULL: waits for its turn */
	struct event *deadline;
	uint16_t port;
	void (*done)(void *arg, const struct relay_answer *a); /* NULL: nobody waits */
	void *arg;
	struct relay_job *next;
	char request[];
};

struct relay {
	struct event_base *base;
	struct event *turn;     /* starts what may start, from the loop */
	struct relay_job *jobs; /* all, oldest first */
	size_t n_active, n_jobs;
};

static void relay_free_job(struct relay_job *job)
{
	struct relay *r = job->relay;
	struct relay_job **slot = &r->jobs;

	while (*slot != job)
		slot = &(*slot)->next;
	*slot = job->next;
	r->n_jobs--;
	if (job->bev) {
		hooks_forget(job->port);
		bufferevent_free(job->bev);
		r->n_active--;
		event_active(r->turn, EV_TIMEOUT, 0);
	}
	if (job->deadline)
		event_free(job->deadline);
	free(job);
}

static void relay_finish(struct relay_job *job, const struct relay_answer *a)
{
	void (*done)(void *arg, const struct relay_answer *a) = job->done;
	void *arg = job->arg;

	relay_free_job(job);
	if (done)
		done(arg, a);
}

/* Copies a header's value if it fits. */
static void relay_header(const char *line, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return;
	line += n + 1;
	line += strspn(line, " \t");
	if (strlen(line) < size)
		memcpy(out, line, strlen(line) + 1);
}

/* libupnp closes only when its callbacks are through, so the head must do: none of these
 * answers has a body that matters. */
static void relay_readable(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	const char *data = (const char *)evbuffer_pullup(in, -1);
	struct relay_answer a = {0};
	char *line;

	if (!data || !http_head_length(data, len)) {
		if (len > HTTP_HEAD_MAX)
			relay_finish(arg, &a);
		return;
	}
	line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
	if (line && strncmp(line, "HTTP/1.", 7) == 0 && strlen(line) >= 12)
		a.status = atoi(line + 9);
	while (line && *line) {
		free(line);
		line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
		if (line)
			relay_header(line, "SID", a.sid, sizeof(a.sid));
	}
	free(line);
	relay_finish(arg, &a);
}

static void relay_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		relay_finish(arg, &(struct relay_answer){0});
}

static void relay_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	relay_finish(arg, &(struct relay_answer){0});
}

static int relay_start(struct relay_job *job)
{
	int fd = hooks_connect(job->client, &job->port);

	if (fd < 0)
		return fd;
	job->bev = bufferevent_socket_new(job->relay->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!job->bev) {
		hooks_forget(job->port);
		close(fd);
		return -1;
	}
	job->relay->n_active++;
	bufferevent_setcb(job->bev, relay_readable, NULL, relay_event, job);
	bufferevent_setwatermark(job->bev, EV_READ, 0, HTTP_HEAD_MAX + 1);
	if (bufferevent_write(job->bev, job->request, strlen(job->request)))
		return -1;
	return bufferevent_enable(job->bev, EV_READ | EV_WRITE);
}

static void relay_turn(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;
	struct relay_job *job = r->jobs;

	(void)fd;
	(void)what;
	while (job && r->n_active < RELAY_ACTIVE) {
		struct relay_job *next = job->next;

		/* What cannot start is left to its deadline. */
		if (!job->bev && relay_start(job))
			return;
		job = next;
	}
}

struct relay *relay_new(struct event_base *base)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->base = base;
	r->turn = event_new(base, -1, 0, relay_turn, r);
	if (!r->turn) {
		free(r);
		return NULL;
	}
	return r;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	while (r->jobs)
		relay_free_job(r->jobs);
	event_free(r->turn);
	free(r);
}

bool relay_ask(struct relay *r, struct in_addr client, const char *request,
	       void (*done)(void *arg, const struct relay_answer *a), void *arg)
{
	const struct timeval limit = {.tv_sec = RELAY_TIMEOUT_MS / 1000};
	size_t size = strlen(request) + 1;
	struct relay_job **slot = &r->jobs, *job;

	if (r->n_jobs == RELAY_ACTIVE + RELAY_QUEUE)
		return false;
	job = calloc(1, sizeof(*job) + size);
	if (!job)
		return false;
	job->relay = r;
	job->client = client;
	job->done = done;
	job->arg = arg;
	memcpy(job->request, request, size);
	while (*slot)
		slot = &(*slot)->next;
	*slot = job;
	r->n_jobs++;
	job->deadline = evtimer_new(r->base, relay_late, job);
	if (!job->deadline || evtimer_add(job->deadline, &limit)) {
		relay_free_job(job);
		return false;
	}
	event_active(r->turn, EV_TIMEOUT, 0);
	return true;
}
