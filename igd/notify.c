/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/notify.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define NOTIFY_ANSWER_MAX 4096 /* of the head of an answer */

/* The delivery to the subscription of the same index. */
struct delivery {
	struct notify *notify;
	struct bufferevent *bev; /* NULL: nothing is on its way */
	struct event *deadline;
	unsigned int bits; /* what is on its way */
};

struct notify {
	struct event_base *base;
	struct gena *gena;
	struct notify_config config;
	struct delivery deliveries[GENA_SUBSCRIPTIONS];
};

static void notify_next(struct notify *n, struct gena_subscription *s);

static struct gena_subscription *delivery_subscription(const struct delivery *d)
{
	return &d->notify->gena->subscriptions[d - d->notify->deliveries];
}

static void delivery_clear(struct delivery *d)
{
	if (d->bev)
		bufferevent_free(d->bev);
	d->bev = NULL;
	evtimer_del(d->deadline);
}

/* One that was not told is told with the next change (row U22). */
static void delivery_end(struct delivery *d, bool arrived)
{
	struct gena_subscription *s = delivery_subscription(d);
	bool news = s->bits;

	delivery_clear(d);
	s->failed = !arrived;
	if (!arrived)
		s->bits |= d->bits;
	if (news)
		notify_next(d->notify, s);
}

/* Whatever it says to it, it was told; but one that does not know the subscription does not
 * want it any more. */
static void delivery_readable(struct bufferevent *bev, void *arg)
{
	struct delivery *d = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
	bool gone = line && strncmp(line, "HTTP/1.", 7) == 0 && strlen(line) >= 12 &&
		    strncmp(line + 8, " 412", 4) == 0;

	if (!line && len < NOTIFY_ANSWER_MAX)
		return;
	free(line);
	if (gone)
		gena_end(delivery_subscription(d));
	delivery_end(d, len < NOTIFY_ANSWER_MAX);
}

static void delivery_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		delivery_end(arg, false);
}

static void delivery_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	delivery_end(arg, false);
}

/* A connection on the LAN, on its way. -errno. */
static int delivery_connect(struct delivery *d, const struct gena_subscription *s)
{
	const struct notify_config *c = &d->notify->config;
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(s->callback.port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(s->callback.port),
				  .sin6_addr = s->client};
	bool is_v4 = addr_is_v4(&s->client);
	int fd = socket(is_v4 ? AF_INET : AF_INET6,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, c->ifname,
		       (socklen_t)strlen(c->ifname))) {
		int err = -errno;

		close(fd);
		return err;
	}
	d->bev = bufferevent_socket_new(d->notify->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!d->bev) {
		close(fd);
		return -ENOMEM;
	}
	bufferevent_setcb(d->bev, delivery_readable, NULL, delivery_event, d);
	bufferevent_setwatermark(d->bev, EV_READ, 0, NOTIFY_ANSWER_MAX);
	if (is_v4)
		v4.sin_addr = addr_to_v4(&s->client);
	else if (IN6_IS_ADDR_LINKLOCAL(&s->client))
		v6.sin6_scope_id = c->ifindex;
	return bufferevent_socket_connect(
		       d->bev, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		       is_v4 ? (int)sizeof(v4) : (int)sizeof(v6))
		       ? -EIO
		       : 0;
}

static int delivery_send(struct delivery *d, struct gena_subscription *s,
			 const struct events_set *set)
{
	static const struct timeval limit = {.tv_sec = NOTIFY_MS / 1000};
	char out[GENA_NOTIFY_MAX];
	struct text t = text_in(out, sizeof(out));
	int err;

	gena_write_notify(s, set, &t);
	if (t.bad)
		return -EMSGSIZE;
	err = delivery_connect(d, s);
	if (err)
		return err;
	return bufferevent_write(d->bev, out, t.len) ||
			       bufferevent_enable(d->bev, EV_READ | EV_WRITE) ||
			       evtimer_add(d->deadline, &limit)
		       ? -ENOMEM
		       : 0;
}

/* Tells it what it has to be told, unless it is just being told something. */
static void notify_next(struct notify *n, struct gena_subscription *s)
{
	struct delivery *d = &n->deliveries[s - n->gena->subscriptions];
	struct events_set set;
	int err;

	if (d->bev || !s->bits || !gena_alive(s, clock_ms()))
		return;
	d->bits = s->bits;
	s->bits = 0;
	/* A new subscriber knows already what is told to the others only now. */
	if (!(d->bits & EVENTS_FIXED) && !s->failed)
		d->bits &= events_changed(&s->told, n->config.state);
	s->told = *n->config.state;
	events_write(&set, s->face, s->service, d->bits, n->config.state,
		     description_default_connection(n->config.description, s->face));
	if (!set.n)
		return;
	err = delivery_send(d, s, &set);
	if (err) {
		log_debug("event not sent: %s", strerror(-err));
		delivery_end(d, false);
	}
}

void notify_welcome(struct notify *n, struct gena_subscription *s)
{
	s->welcomed = true;
	s->bits = EVENTS_ALL;
	notify_next(n, s);
}

void notify_all(struct notify *n, unsigned int bits)
{
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		struct gena_subscription *s = &n->gena->subscriptions[i];

		if (!s->taken || !s->welcomed)
			continue;
		s->bits |= bits;
		notify_next(n, s);
	}
}

void notify_forget(struct notify *n, const struct gena_subscription *s)
{
	delivery_clear(&n->deliveries[s - n->gena->subscriptions]);
}

struct notify *notify_new(struct event_base *base, struct gena *g,
			  const struct notify_config *config)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->base = base;
	n->gena = g;
	n->config = *config;
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		struct delivery *d = &n->deliveries[i];

		d->notify = n;
		d->deadline = evtimer_new(base, delivery_late, d);
		if (!d->deadline) {
			notify_free(n);
			return NULL;
		}
	}
	return n;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS && n->deliveries[i].deadline; i++) {
		delivery_clear(&n->deliveries[i]);
		event_free(n->deliveries[i].deadline);
	}
	free(n);
}
