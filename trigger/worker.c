/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trigger/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "trigger/count.h"
#include "trigger/packet.h"

#define BURST 256 /* datagrams in one turn of the loop */
#define DATAGRAM_MAX (64 * 1024)
/* Each packet that is told of wakes us, which costs it more than all else of being told. Where
 * more than so many come in ten ms, we look only every ms, until one finds but a few. */
#define BUSY_MS 10
#define BUSY 32
#define PAUSE_US 1000
#define FEW 2

struct trigger {
	struct event_base *base;
	struct channel *channel;
	struct event *readable;
	struct event *pause; /* in place of `readable` while it is busy */
	struct trigger_setup setup;
	struct count *count;
	uint64_t now_ms;
	uint64_t since_ms; /* so many came since */
	unsigned int came;
	unsigned long lost; /* the kernel could not tell of packets, so many times */
	int fd;             /* -1: not set up yet */
	int status;
	alignas(struct nlmsghdr) uint8_t buf[DATAGRAM_MAX];
};

static void trigger_end(struct trigger *t, int status)
{
	t->status = status;
	event_base_loopbreak(t->base);
}

static void tell(struct trigger *t, enum trigger_what what, const struct packet *p)
{
	struct trigger_event e = {.what = (uint8_t)what,
				  .protocol = p->protocol,
				  .ext_port = p->port,
				  .external = p->external,
				  .remote = p->remote,
				  .remote_port = p->remote_port};
	int err;

	memcpy(e.mac, p->mac, sizeof(e.mac));
	if (what == TRIGGER_ALMOST)
		e.n_told = (uint8_t)count_remotes(t->count, p->protocol, p->port, e.told);
	err = channel_put(t->channel, RECORD_TRIGGER_EVENT, &e);
	if (err)
		log_debug("the core does not take an event: %s", strerror(-err));
}

/* Does the first packet to that port open? */
static bool is_instant(const struct trigger_setup *s, const struct packet *p)
{
	for (size_t i = 0; i < s->n_instant; i++)
		if (s->instant[i].protocol == p->protocol &&
		    p->remote_port >= s->instant[i].first &&
		    p->remote_port <= s->instant[i].last)
			return true;
	return false;
}

/* What was told begins anew: of a port that was opened the kernel tells nothing until it is
 * shut, and one that was refused is not asked for with every packet. */
static void take_packet(void *arg, const struct packet *p)
{
	struct trigger *t = arg;
	bool tcp = p->protocol == IPPROTO_TCP;
	unsigned int k = tcp ? t->setup.tcp_remotes : t->setup.udp_remotes;
	bool silent = tcp ? t->setup.tcp_silent : t->setup.udp_silent;
	unsigned int n = 0;

	if (p->group == t->setup.watch_group) {
		tell(t, TRIGGER_WATCHED, p);
		return;
	}
	if (p->group != t->setup.count_group)
		return;
	if (!is_instant(&t->setup, p))
		n = count_add(t->count, p->protocol, p->port, p->remote, t->now_ms);
	else
		n = k;
	if (n >= k) {
		count_forget(t->count, p->protocol, p->port);
		tell(t, TRIGGER_COUNTED, p);
	} else if (silent && n + 1 == k) {
		tell(t, TRIGGER_ALMOST, p);
	}
}

/* Returns how many datagrams there were, BURST at most. */
static unsigned int read_log(struct trigger *t)
{
	unsigned int came = 0;

	t->now_ms = clock_ms();
	for (; came < BURST; came++) {
		struct sockaddr_nl from = {0};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(t->fd, t->buf, sizeof(t->buf), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == ENOBUFS) {
			if (!t->lost++)
				log_warn("more new flows than can be read: some are not "
					 "counted");
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			log_error("the packet log: %m");
			trigger_end(t, EXIT_FAILURE);
		}
		if (n < 0)
			break;
		if (from.nl_pid == 0) /* the kernel */
			packet_read(t->buf, (size_t)n, take_packet, t);
	}
	channel_flush(t->channel);
	return came;
}

static void pause_reading(struct trigger *t)
{
	const struct timeval pause = {.tv_usec = PAUSE_US};

	event_del(t->readable);
	if (event_add(t->pause, &pause))
		event_add(t->readable, NULL);
}

static void log_readable(evutil_socket_t fd, short what, void *arg)
{
	struct trigger *t = arg;

	(void)fd;
	(void)what;
	t->came += read_log(t);
	if (t->now_ms - t->since_ms >= BUSY_MS) {
		t->since_ms = t->now_ms;
		t->came = 0;
	}
	if (t->came > BUSY)
		pause_reading(t);
}

static void pause_over(evutil_socket_t fd, short what, void *arg)
{
	struct trigger *t = arg;

	(void)fd;
	(void)what;
	if (read_log(t) > FEW)
		pause_reading(t);
	else if (event_add(t->readable, NULL))
		trigger_end(t, EXIT_FAILURE);
}

static bool trigger_set_up(struct trigger *t, const struct trigger_setup *setup, int fd)
{
	t->fd = fd;
	t->setup = *setup;
	log_set_debug(setup->debug);
	t->count = count_new(setup->window_ms);
	t->readable = event_new(t->base, fd, EV_READ | EV_PERSIST, log_readable, t);
	t->pause = evtimer_new(t->base, pause_over, t);
	if (!t->count || !t->readable || !t->pause || event_add(t->readable, NULL))
		return false;
	return channel_send(t->channel, RECORD_READY, NULL, 0) == 0;
}

static void trigger_message(void *arg, enum record_kind kind, const void *records,
			    size_t count, const int *fds, size_t n_fds)
{
	struct trigger *t = arg;

	(void)count;
	if (kind == RECORD_PING) {
		channel_send(t->channel, RECORD_PONG, NULL, 0);
		return;
	}
	if (n_fds == 1 && t->fd < 0 && trigger_setup_valid(records)) {
		if (!trigger_set_up(t, records, fds[0]))
			trigger_end(t, EXIT_FAILURE);
		return;
	}
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	trigger_end(t, EXIT_FAILURE);
}

static void trigger_closed(void *arg, int err)
{
	struct trigger *t = arg;

	trigger_end(t, err ? EXIT_FAILURE : EXIT_SUCCESS);
}

static const struct channel_ops trigger_channel = {trigger_message, trigger_closed};

int trigger_worker_run(int channel)
{
	static struct trigger t;

	t.fd = -1;
	signal(SIGTERM, SIG_DFL);
	t.base = event_base_new();
	if (!t.base)
		return EXIT_FAILURE;
	t.channel = channel_new(t.base, channel, CHANNEL_TRIGGER, &trigger_channel, &t);
	if (t.channel)
		event_base_dispatch(t.base);
	else
		t.status = EXIT_FAILURE;
	if (t.readable)
		event_free(t.readable);
	if (t.pause)
		event_free(t.pause);
	count_free(t.count);
	channel_free(t.channel);
	if (t.fd >= 0)
		close(t.fd);
	event_base_free(t.base);
	return t.status;
}
