/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/channel.h"
#include "base/log.h"
#include "igd/engine.h"
#include "igd/front.h"
#include "igd/hooks.h"
#include "igd/requests.h"

#define WORKER_SETUP_S 10   /* how long the core may take to send its first record */
#define WORKER_PROBES 2     /* signs of life that libupnp may owe in a row */
#define WORKER_LEAVE_MS 900 /* and we to say good-bye */

struct worker {
	struct event_base *base;
	struct channel *channel;
	struct event *timer; /* set-up, then good-bye */
	struct event *wake;  /* the engine's state changed */
	int wake_fd;
	int (*enter)(void);
	int status;
	bool stopping;
	unsigned int silent; /* so many times in a row libupnp gave no sign of life */
	struct record_setup setup;
	struct description *description;
	struct requests *requests;
	struct engine *engine;
};

/* Ends the process by way of the loop. */
static void worker_end(struct worker *w, int status)
{
	w->status = status;
	event_base_loopbreak(w->base);
}

static void worker_arm(struct event *ev, uint64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	evtimer_add(ev, &tv);
}

/* --- The core's messages --- */

/* The core asks whether we live, and so do we whether libupnp does: another worker takes over
 * from one that has only half a life. */
static void worker_ping(struct worker *w)
{
	if (w->engine && engine_state(w->engine) == ENGINE_RUNNING)
		w->silent = hooks_lives() ? 0 : w->silent + 1;
	if (w->silent >= WORKER_PROBES) {
		log_warn("libupnp does not answer any more: another worker takes over");
		worker_end(w, 1);
		return;
	}
	channel_send(w->channel, RECORD_PONG, NULL, 0);
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Fields in range? The core is trusted with power, but a bug there must end here. */
static bool worker_setup_good(const struct record_setup *s, size_t n_fds)
{
	if (!memchr(s->ifname, '\0', sizeof(s->ifname)) || !s->ifname[0] ||
	    !s->http_port || s->n_addrs < 1 || s->n_addrs > RECORD_LAN_ADDRS ||
	    s->n_also > RECORD_LAN_ALSO || n_fds < 1 || n_fds > FRONT_LISTENERS ||
	    !addr_is_v4(&s->addrs[0].addr))
		return false;
	for (size_t i = 0; i < s->n_addrs; i++)
		if (s->addrs[i].len > 128)
			return false;
	for (size_t i = 0; i < s->n_also; i++)
		if (s->also[i].len > 128)
			return false;
	return true;
}

static void worker_networks(const struct worker *w, struct hooks_config *hooks)
{
	for (size_t i = 0; i < w->setup.n_addrs; i++)
		hooks->nets[hooks->n_nets++] = (struct prefix){w->setup.addrs[i].addr,
							       w->setup.addrs[i].len};
	for (size_t i = 0; i < w->setup.n_also; i++)
		hooks->nets[hooks->n_nets++] = (struct prefix){w->setup.also[i].addr,
							       w->setup.also[i].len};
}

/* The LAN's first IPv6 address that a LOCATION may name (row U7), or NULL. */
static const struct in6_addr *worker_v6(const struct worker *w)
{
	for (size_t i = 0; i < w->setup.n_addrs; i++) {
		const struct in6_addr *a = &w->setup.addrs[i].addr;

		if (!addr_is_v4(a) && !IN6_IS_ADDR_LINKLOCAL(a))
			return a;
	}
	return NULL;
}

/* Takes the listeners over, also on failure. */
static int worker_serve(struct worker *w, const int *listeners, size_t n)
{
	struct hooks_config hooks = {.ifindex = w->setup.ifindex};
	const struct in6_addr *v6 = n > 1 && engine_has_v6() ? worker_v6(w) : NULL;
	char url[80], url6[80] = "", host[ADDR_PORT_TEXT];

	static_assert(sizeof(hooks.nets) / sizeof(hooks.nets[0]) >=
			      RECORD_LAN_ADDRS + RECORD_LAN_ALSO,
		      "every address of the LAN has its network");
	memcpy(hooks.ifname, w->setup.ifname, sizeof(hooks.ifname));
	worker_networks(w, &hooks);
	w->description = description_new(w->setup.uuid);
	if (!w->description) {
		close_all(listeners, n);
		return -ENOMEM;
	}
	hooks.description = w->description;
	w->requests = requests_new(w->base, w->channel, &w->setup, w->description,
				   listeners, n);
	if (!w->requests)
		return -ENOMEM;
	hooks.v6 = v6 != NULL;
	if (n > 1 && !v6)
		log_info("searches are answered by IPv4 only, requests by IPv6 too");
	/* The front must listen before the engine fetches its descriptions. */
	snprintf(url, sizeof(url), "http://%s",
		 addr_port_text(&w->setup.addrs[0].addr, w->setup.http_port, host));
	if (v6)
		snprintf(url6, sizeof(url6), "http://%s",
			 addr_port_text(v6, w->setup.http_port, host));
	if (hooks_init(&hooks))
		return -ENOSYS;
	w->engine = engine_start(w->setup.ifname, url, v6 ? url6 : NULL,
				 w->setup.http_port, w->wake_fd);
	return w->engine ? 0 : -EAGAIN;
}

static void worker_setup(struct worker *w, const struct record_setup *s, const int *fds,
			 size_t n_fds)
{
	char who[24];
	int err;

	if (w->requests || !worker_setup_good(s, n_fds)) {
		close_all(fds, n_fds);
		log_error("the core's set-up record makes no sense");
		worker_end(w, 1);
		return;
	}
	w->setup = *s;
	snprintf(who, sizeof(who), "igd %s", s->ifname);
	log_open(who);
	log_set_debug(s->debug);
	evtimer_del(w->timer);
	err = w->enter ? w->enter() : 0;
	if (!err)
		err = worker_serve(w, fds, n_fds);
	else
		close_all(fds, n_fds);
	if (err) {
		log_error("cannot serve %s: %s", s->ifname, strerror(-err));
		worker_end(w, 1);
	}
}

static void worker_message(void *arg, enum record_kind kind, const void *records,
			   size_t count, const int *fds, size_t n_fds)
{
	struct worker *w = arg;

	switch (kind) {
	case RECORD_SETUP:
		worker_setup(w, records, fds, n_fds);
		break;
	case RECORD_STATE:
		if (w->requests)
			requests_state(w->requests, records);
		break;
	case RECORD_REPLY:
		for (size_t i = 0; w->requests && i < count; i++)
			requests_reply(w->requests,
				       (const struct lease_reply *)records + i);
		break;
	case RECORD_ROWS:
		if (w->requests)
			requests_rows(w->requests, records, count);
		break;
	case RECORD_LISTED:
		if (w->requests)
			requests_listed(w->requests, records);
		break;
	case RECORD_PING:
		worker_ping(w);
		break;
	default: /* channel.c lets no other through from the core */
		break;
	}
}

/* The core went: whoever starts it again starts us too. No good-bye, since the leases stand
 * and the next worker speaks for the same devices. */
static void worker_closed(void *arg, int err)
{
	if (err)
		log_error("channel to the core: %s", strerror(-err));
	_exit(err ? 1 : 0);
	(void)arg;
}

/* --- Life --- */

static void worker_woken(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	switch (engine_state(w->engine)) {
	case ENGINE_STARTING:
		break;
	case ENGINE_RUNNING:
		if (channel_send(w->channel, RECORD_READY, NULL, 0))
			worker_end(w, 1);
		break;
	case ENGINE_STOPPED:
		worker_end(w, 0);
		break;
	case ENGINE_FAILED:
		log_error("cannot serve %s: %s", w->setup.ifname,
			  engine_error(w->engine));
		worker_end(w, 1);
		break;
	}
}

static void worker_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	if (!w->stopping)
		log_error("the core sent no set-up record");
	worker_end(w, w->stopping ? 0 : 1);
}

void worker_stop(struct worker *w)
{
	if (w->stopping)
		return;
	w->stopping = true;
	if (!w->engine || engine_state(w->engine) != ENGINE_RUNNING) {
		worker_end(w, 0);
		return;
	}
	worker_arm(w->timer, WORKER_LEAVE_MS);
	engine_stop(w->engine);
}

void worker_set_enter(struct worker *w, int (*enter)(void))
{
	w->enter = enter;
}

int worker_status(const struct worker *w)
{
	return w->status;
}

static const struct channel_ops channel_ops = {
	.message = worker_message,
	.closed = worker_closed,
};

struct worker *worker_new(struct event_base *base, int channel_fd)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->base = base;
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->channel = channel_new(base, channel_fd, CHANNEL_WORKER, &channel_ops, w);
	w->timer = evtimer_new(base, worker_timeout, w);
	w->wake = event_new(base, w->wake_fd, EV_READ | EV_PERSIST, worker_woken, w);
	/* Only called at start, where the process ends on failure. */
	if (w->wake_fd < 0 || !w->channel || !w->timer || !w->wake ||
	    event_add(w->wake, NULL))
		return NULL;
	worker_arm(w->timer, WORKER_SETUP_S * 1000);
	return w;
}
