/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "upstream/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/log.h"
#include "upstream/natpmp.h"

#define PORT 5351

struct upstream {
	struct event_base *base;
	struct channel *channel;
	struct event *again;
	struct natpmp_query *query;
	struct in_addr gateway;
	int fd; /* -1: not set up yet */
	int status;
};

static void upstream_end(struct upstream *u, int status)
{
	u->status = status;
	event_base_loopbreak(u->base);
}

static void upstream_answered(void *arg, bool answers, struct in_addr external)
{
	const struct timeval wait = {.tv_sec = answers ? UPSTREAM_PERIOD_S
						       : UPSTREAM_RETRY_S};
	const struct upstream_answer answer = {.external = external, .answers = answers};
	struct upstream *u = arg;

	channel_send(u->channel, RECORD_UPSTREAM_ANSWER, &answer, 1);
	event_add(u->again, &wait);
}

static void upstream_ask(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *u = arg;

	(void)fd;
	(void)what;
	natpmp_free(u->query);
	u->query = natpmp_ask(u->base, u->fd, u->gateway, upstream_answered, u);
	if (!u->query)
		upstream_end(u, EXIT_FAILURE);
}

static void upstream_set_up(struct upstream *u, const struct upstream_setup *setup,
			    int fd)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(PORT),
				       .sin_addr = setup->gateway};

	u->fd = fd;
	u->gateway = setup->gateway;
	log_set_debug(setup->debug);
	evutil_make_socket_nonblocking(fd);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to))) {
		log_debug("the next gateway cannot be asked: %m");
		upstream_answered(u, false, (struct in_addr){0});
		return;
	}
	event_active(u->again, EV_TIMEOUT, 0);
}

static void upstream_message(void *arg, enum record_kind kind, const void *records,
			     size_t count, const int *fds, size_t n_fds)
{
	struct upstream *u = arg;

	(void)kind; /* there is one */
	(void)count;
	if (n_fds == 1 && u->fd < 0) {
		upstream_set_up(u, records, fds[0]);
		return;
	}
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	upstream_end(u, EXIT_FAILURE);
}

static void upstream_closed(void *arg, int err)
{
	struct upstream *u = arg;

	u->channel = NULL;
	upstream_end(u, err ? EXIT_FAILURE : EXIT_SUCCESS);
}

static const struct channel_ops upstream_channel = {upstream_message, upstream_closed};

int upstream_worker_run(int channel)
{
	struct upstream u = {.fd = -1};
	struct channel *ch;

	signal(SIGTERM, SIG_DFL);
	u.base = event_base_new();
	if (!u.base)
		return EXIT_FAILURE;
	ch = u.channel = channel_new(u.base, channel, CHANNEL_UPSTREAM, &upstream_channel,
				     &u);
	u.again = event_new(u.base, -1, 0, upstream_ask, &u);
	if (ch && u.again)
		event_base_dispatch(u.base);
	else
		u.status = EXIT_FAILURE;
	natpmp_free(u.query);
	if (u.again)
		event_free(u.again);
	channel_free(ch);
	if (u.fd >= 0)
		close(u.fd);
	event_base_free(u.base);
	return u.status;
}
