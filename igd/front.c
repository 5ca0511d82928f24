/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/front.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "igd/front_inside.h"

#define FRONT_BACKLOG 4096 /* the kernel has its own cap */
#define FRONT_BURST 32     /* connections taken in one turn of the loop */
#define FRONT_SWEEP_MS 200 /* so late a deadline may be seen */
#define FRONT_GRACE_MS                                                                   \
	1000 /* a connection this young does not give way to its own host's */

static void front_arm_sweep(struct front *f)
{
	const struct timeval tv = {.tv_usec = FRONT_SWEEP_MS * 1000};

	/* Without memory for the timer connections would have no end. */
	if (!evtimer_pending(f->sweep, NULL) && evtimer_add(f->sweep, &tv))
		log_error("no timer");
}

static void front_swept(evutil_socket_t fd, short what, void *arg)
{
	struct front *f = arg;
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	for (struct front_conn *c = f->conns, *next; c; c = next) {
		next = c->next;
		if (c->deadline_ms <= now)
			front_late(c);
	}
	if (f->conns)
		front_arm_sweep(f);
}

/* Of this host's connections that came before a time the one that is missed least: by
 * state, then by age. Those that wait for the core stay. */
static struct front_conn *front_victim(struct front *f, const struct in6_addr *host,
				       uint64_t before_ms)
{
	struct front_conn *victim = NULL;

	for (struct front_conn *c = f->conns; c; c = c->next) {
		if (c->state >= FRONT_PARKED || !addr_equal(&c->client, host) ||
		    (c->state != FRONT_IDLE && c->since_ms > before_ms))
			continue;
		if (!victim || c->state < victim->state ||
		    (c->state == victim->state && c->number < victim->number))
			victim = c;
	}
	return victim;
}

static size_t front_count(const struct front *f, const struct in6_addr *host)
{
	size_t n = 0;

	for (const struct front_conn *c = f->conns; c; c = c->next)
		n += addr_equal(&c->client, host);
	return n;
}

static const struct in6_addr *front_greediest(const struct front *f)
{
	const struct in6_addr *host = NULL;
	size_t most = 0;

	for (const struct front_conn *c = f->conns; c; c = c->next) {
		size_t n = front_count(f, &c->client);

		if (n > most) {
			most = n;
			host = &c->client;
		}
	}
	return host;
}

/* Is there room for one more of this host? What gives way is its own, if it is idle or had
 * its time, so that a host that dials without end is refused cheaply; or else it is the
 * greediest host's. */
static bool front_make_room(struct front *f, const struct in6_addr *host, uint64_t now_ms)
{
	struct front_conn *victim;

	if (front_count(f, host) >= FRONT_PER_HOST)
		victim = front_victim(f, host, now_ms - FRONT_GRACE_MS);
	else if (f->n_conns >= FRONT_CONNS)
		victim = front_victim(f, front_greediest(f), now_ms);
	else
		return true;
	if (victim)
		front_close(victim);
	return victim != NULL;
}

static bool front_on_lan(const struct front *f, const struct in6_addr *host)
{
	for (size_t i = 0; i < f->n_nets; i++)
		if (prefix_has(&f->nets[i], host))
			return true;
	return false;
}

/* Takes the descriptor over. */
static void front_admit(struct front *f, int fd, const struct in6_addr *host)
{
	uint64_t now = clock_ms();
	struct front_conn *c;

	if (!front_on_lan(f, host) || !front_make_room(f, host, now)) {
		close(fd);
		return;
	}
	c = front_conn_new(f, fd);
	if (!c)
		return;
	c->client = *host;
	c->number = f->accepted++;
	c->since_ms = now;
	c->next = f->conns;
	f->conns = c;
	f->n_conns++;
	front_arm_sweep(f);
	/* The first request's time runs from here; it may be there already. */
	front_enter(c, FRONT_READING, FRONT_REQUEST_MS);
	front_read(c);
}

/* Out of descriptors: the greediest host gives one back. */
static void front_give_back(struct front *f)
{
	const struct in6_addr *host = front_greediest(f);
	struct front_conn *victim = host ? front_victim(f, host, clock_ms()) : NULL;

	log_warn("out of descriptors");
	if (victim)
		front_close(victim);
}

/* A few at a time: libevent's own listener goes on as long as somebody dials, and would
 * starve those who are here. */
static void front_acceptable(evutil_socket_t listener, short what, void *arg)
{
	struct front *f = arg;

	(void)what;
	for (int i = 0; i < FRONT_BURST; i++) {
		struct sockaddr_storage from = {0};
		struct sockaddr *addr = (struct sockaddr *)&from;
		socklen_t len = sizeof(from);
		int fd = accept4(listener, addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct in6_addr host;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				front_give_back(f);
			else if (errno != EAGAIN && errno != EINTR)
				log_debug("accept: %m");
			return;
		}
		host = addr_from_sockaddr(addr);
		front_admit(f, fd, &host);
	}
}

static int front_listen(struct front *f, size_t i)
{
	const int on = 1;
	int fd = f->fds[i];

	f->acceptable[i] = event_new(f->base, fd, EV_READ | EV_PERSIST, front_acceptable,
				     f);
	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	/* Those that it accepts inherit this. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return !f->acceptable[i] || listen(fd, FRONT_BACKLOG) ||
			       event_add(f->acceptable[i], NULL)
		       ? -1
		       : 0;
}

struct front *front_new(struct event_base *base, const int *fds, size_t n_fds,
			const struct prefix *nets, size_t n_nets,
			const struct front_ops *ops, void *arg)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return NULL;
	}
	f->base = base;
	f->nets = nets;
	f->n_nets = n_nets;
	f->ops = ops;
	f->arg = arg;
	f->n_fds = n_fds;
	memcpy(f->fds, fds, n_fds * sizeof(fds[0]));
	f->sweep = evtimer_new(base, front_swept, f);
	for (size_t i = 0; i < n_fds; i++) {
		if (!f->sweep || front_listen(f, i)) {
			front_free(f);
			return NULL;
		}
	}
	return f;
}

void front_free(struct front *f)
{
	if (!f)
		return;
	while (f->conns)
		front_close(f->conns);
	if (f->sweep)
		event_free(f->sweep);
	for (size_t i = 0; i < f->n_fds; i++) {
		if (f->acceptable[i])
			event_free(f->acceptable[i]);
		close(f->fds[i]);
	}
	free(f);
}
