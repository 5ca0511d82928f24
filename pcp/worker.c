/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/log.h"
#include "pcp/announce.h"
#include "pcp/server.h"

#define WORKER_BATCH RECORDS_PER_MESSAGE
#define WORKER_BURST 4 /* batches a turn, so that one chatty host starves nobody */
#define WORKER_CONTROL CMSG_SPACE(sizeof(struct in6_pktinfo))
#define WORKER_UPDATES 64 /* mapping updates a turn */
#define WORKER_UPDATES_PAUSE_MS 1

union worker_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct worker_inbox {
	struct mmsghdr head[WORKER_BATCH];
	struct iovec iov[WORKER_BATCH];
	union worker_addr from[WORKER_BATCH];
	alignas(struct cmsghdr) uint8_t control[WORKER_BATCH][WORKER_CONTROL];
	uint8_t data[WORKER_BATCH][SERVER_DATAGRAM];
};

/* What goes out of one socket together. */
struct worker_outbox {
	size_t n;
	struct mmsghdr head[WORKER_BATCH];
	struct iovec iov[WORKER_BATCH];
	union worker_addr to[WORKER_BATCH];
	alignas(struct cmsghdr) uint8_t control[WORKER_BATCH][WORKER_CONTROL];
	uint8_t data[WORKER_BATCH][PCP_MAX_LEN];
};

/* UDP 5351 of one family. */
struct worker_socket {
	struct worker *worker;
	int fd; /* -1: there is none */
	struct event *readable;
	struct worker_outbox out;
};

enum { WORKER_V4, WORKER_V6, WORKER_SOCKETS };

struct worker {
	struct event_base *base;
	struct channel *ch;
	struct event *sigterm;
	struct event *turn_end; /* made active when an outbox fills */
	struct event *timer;    /* announcements and mapping updates */
	struct server *server;  /* once RECORD_SETUP has come */
	bool serves;            /* and RECORD_STATE, too */
	int err;
	struct announce announce;
	size_t n_addrs;
	struct in6_addr addrs[RECORD_LAN_ADDRS];
	size_t n_asks;
	struct lease_request asks[RECORDS_PER_MESSAGE];
	struct server_answer answer;
	struct worker_socket socket[WORKER_SOCKETS];
	struct worker_inbox in;
};

static void worker_stop(struct worker *w, int err)
{
	w->err = err;
	event_base_loopbreak(w->base);
}

/* Sends what was gathered. What cannot go is left out: its client asks again. */
static void worker_send(struct worker_socket *s)
{
	size_t done = 0;

	while (done < s->out.n) {
		int n = sendmmsg(s->fd, s->out.head + done,
				 (unsigned int)(s->out.n - done), MSG_DONTWAIT);

		if (n > 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			log_debug("sendmmsg: %m");
			done++;
		}
	}
	s->out.n = 0;
}

static void worker_send_all(struct worker *w)
{
	uint64_t now_ms;

	for (size_t i = 0; i < WORKER_SOCKETS; i++)
		worker_send(&w->socket[i]);
	now_ms = clock_ms();
	announce_sent(&w->announce, now_ms);
	if (w->server)
		server_sent(w->server, now_ms);
}

/* RFC 6887 section 8.3: an answer leaves from the address that was asked. */
static void worker_put_v4(struct worker_outbox *out, size_t i,
			  const struct server_peer *to)
{
	struct in_pktinfo info = {.ipi_spec_dst = addr_to_v4(&to->local)};
	struct msghdr *msg = &out->head[i].msg_hdr;
	struct cmsghdr *c;

	out->to[i].v4 = (struct sockaddr_in){.sin_family = AF_INET,
					     .sin_port = htons(to->port),
					     .sin_addr = addr_to_v4(&to->addr)};
	msg->msg_namelen = sizeof(out->to[i].v4);
	msg->msg_controllen = CMSG_SPACE(sizeof(info));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

/* The socket is bound to its device, so link-local addresses need no scope. */
static void worker_put_v6(struct worker_outbox *out, size_t i,
			  const struct server_peer *to)
{
	struct in6_pktinfo info = {.ipi6_addr = to->local};
	struct msghdr *msg = &out->head[i].msg_hdr;
	struct cmsghdr *c;

	out->to[i].v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					      .sin6_port = htons(to->port),
					      .sin6_addr = to->addr};
	msg->msg_namelen = sizeof(out->to[i].v6);
	msg->msg_controllen = CMSG_SPACE(sizeof(info));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
}

/* Gathers one datagram; it is sent in this turn of the loop. */
static void worker_put(struct worker *w, const struct server_peer *to, const void *data,
		       size_t len)
{
	bool v4 = addr_is_v4(&to->addr);
	struct worker_socket *s = &w->socket[v4 ? WORKER_V4 : WORKER_V6];
	struct worker_outbox *out = &s->out;
	size_t i;

	if (s->fd < 0)
		return;
	if (out->n == WORKER_BATCH)
		worker_send(s);
	i = out->n++;
	memcpy(out->data[i], data, len);
	out->iov[i] = (struct iovec){out->data[i], len};
	out->head[i].msg_hdr = (struct msghdr){.msg_name = &out->to[i],
					       .msg_iov = &out->iov[i],
					       .msg_iovlen = 1,
					       .msg_control = out->control[i],
					       .msg_controllen = WORKER_CONTROL};
	if (v4)
		worker_put_v4(out, i, to);
	else
		worker_put_v6(out, i, to);
	if (i == 0)
		event_active(w->turn_end, 0, 0);
}

static void worker_put_answer(struct worker *w)
{
	worker_put(w, &w->answer.to, w->answer.data, w->answer.len);
}

/* Sends the gathered requests. A core that does not read loses them; so do the clients,
 * who ask again. */
static void worker_send_asks(struct worker *w)
{
	size_t n = w->n_asks;
	int err;

	w->n_asks = 0;
	if (!n)
		return;
	err = channel_send(w->ch, RECORD_REQUEST, w->asks, n);
	if (!err)
		return;
	if (err != -EAGAIN)
		log_debug("the core cannot be asked: %s", strerror(-err));
	for (size_t i = 0; i < n; i++)
		server_cancel(w->server, w->asks[i].tag);
}

/* Where a datagram came from and went to. False: the kernel did not say. */
static bool worker_peer(struct msghdr *msg, struct server_peer *peer)
{
	const union worker_addr *from = msg->msg_name;

	peer->addr = addr_from_sockaddr(&from->sa);
	peer->port = port_from_sockaddr(&from->sa);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			peer->local = addr_from_v4(v4.ipi_addr);
			return true;
		}
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&v6, CMSG_DATA(c), sizeof(v6));
			peer->local = v6.ipi6_addr;
			return true;
		}
	}
	return false;
}

/* What the server wants done with w->answer or the next of w->asks. False: nothing. */
static bool worker_did(struct worker *w, enum server_verdict verdict)
{
	switch (verdict) {
	case SERVER_SILENT:
		return false;
	case SERVER_ANSWER:
		worker_put_answer(w);
		break;
	case SERVER_ASK:
		if (++w->n_asks == RECORDS_PER_MESSAGE)
			worker_send_asks(w);
		break;
	}
	return true;
}

static void worker_datagram(struct worker *w, struct mmsghdr *m, uint64_t now_ms)
{
	struct server_peer from;

	if (!worker_peer(&m->msg_hdr, &from))
		return;
	worker_did(w, server_handle(w->server, &from, m->msg_hdr.msg_iov->iov_base,
				    m->msg_len, now_ms, &w->answer, &w->asks[w->n_asks]));
}

static int worker_receive(struct worker_socket *s)
{
	struct worker_inbox *in = &s->worker->in;

	for (size_t i = 0; i < WORKER_BATCH; i++) {
		in->iov[i] = (struct iovec){in->data[i], sizeof(in->data[i])};
		in->head[i].msg_hdr = (struct msghdr){
			.msg_name = &in->from[i],
			.msg_namelen = sizeof(in->from[i]),
			.msg_iov = &in->iov[i],
			.msg_iovlen = 1,
			.msg_control = in->control[i],
			.msg_controllen = sizeof(in->control[i])};
	}
	return recvmmsg(s->fd, in->head, WORKER_BATCH, MSG_DONTWAIT, NULL);
}

/* One batch of what is there. How many datagrams that were. */
static int worker_take_batch(struct worker_socket *s)
{
	struct worker *w = s->worker;
	int n = worker_receive(s);
	uint64_t now_ms;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		log_warn("recvmmsg: %m");
	if (n <= 0)
		return 0;
	now_ms = clock_ms();
	for (int i = 0; i < n; i++)
		worker_datagram(w, &w->in.head[i], now_ms);
	worker_send_asks(w);
	return n;
}

static void worker_readable(evutil_socket_t fd, short what, void *arg)
{
	int n = WORKER_BATCH;

	(void)fd;
	(void)what;
	for (int burst = 0; burst < WORKER_BURST && n == WORKER_BATCH; burst++)
		n = worker_take_batch(arg);
}

static void worker_turn_ends(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_send_all(arg);
}

/* ---- What is said unasked ---- */

/* From each of our addresses: a client takes only those from the one that it asks (RFC 6886
 * section 3.2.1, RFC 6887 section 14.1.3). */
static void worker_announce_from(struct worker *w, const struct in6_addr *local,
				 uint64_t now_ms)
{
	static const struct in6_addr all_v6 = {
		{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};
	const struct in_addr all_v4 = {htonl(INADDR_ALLHOSTS_GROUP)};
	bool v4 = addr_is_v4(local);
	struct server_peer to = {.addr = v4 ? addr_from_v4(all_v4) : all_v6,
				 .local = *local,
				 .port = ANNOUNCE_PORT};
	uint8_t data[PCP_HEADER_LEN];
	size_t len;

	len = v4 ? announce_natpmp(&w->announce, now_ms, data, sizeof(data)) : 0;
	if (len)
		worker_put(w, &to, data, len);
	len = announce_pcp(&w->announce, now_ms, data, sizeof(data));
	if (len)
		worker_put(w, &to, data, len);
}

static void worker_announce(struct worker *w, uint64_t now_ms)
{
	bool link_local = false;

	for (size_t i = 0; i < w->n_addrs; i++) {
		link_local = link_local || IN6_IS_ADDR_LINKLOCAL(&w->addrs[i]);
		worker_announce_from(w, &w->addrs[i], now_ms);
	}
	/* The kernel takes our link-local address, by which hosts know their router. */
	if (!link_local)
		worker_announce_from(w, &in6addr_any, now_ms);
}

static void worker_schedule(struct worker *w, uint64_t now_ms)
{
	uint64_t due = announce_next(&w->announce);
	uint64_t update = server_next_update(w->server);
	struct timeval wait;

	if (update < now_ms + WORKER_UPDATES_PAUSE_MS)
		update = now_ms + WORKER_UPDATES_PAUSE_MS;
	if (update < due)
		due = update;
	if (due == ANNOUNCE_NEVER) {
		event_del(w->timer);
		return;
	}
	due = due > now_ms ? due - now_ms : 0;
	wait = (struct timeval){.tv_sec = (time_t)(due / 1000),
				.tv_usec = (suseconds_t)(due % 1000 * 1000)};
	event_add(w->timer, &wait);
}

static void worker_timer(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	uint64_t now_ms = clock_ms();

	(void)fd;
	(void)what;
	if (announce_due(&w->announce, now_ms))
		worker_announce(w, now_ms);
	for (int i = 0; i < WORKER_UPDATES; i++)
		if (!worker_did(w, server_update(w->server, now_ms, &w->answer,
						 &w->asks[w->n_asks])))
			break;
	worker_send_asks(w);
	worker_schedule(w, now_ms);
}

/* ---- What the core says ---- */

static int worker_open_socket(struct worker *w, size_t which, int fd)
{
	const int on = 1;
	struct worker_socket *s = &w->socket[which];
	int err;

	s->fd = fd;
	if (evutil_make_socket_nonblocking(fd))
		return -errno;
	err = which == WORKER_V4
		      ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))
		      : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	if (err)
		return -errno;
	s->readable = event_new(w->base, fd, EV_READ | EV_PERSIST, worker_readable, s);
	return s->readable ? 0 : -ENOMEM;
}

static int worker_open_sockets(struct worker *w, const int *fds, size_t n_fds)
{
	int err = n_fds && !w->server ? 0 : -EBADMSG; /* it comes once */

	for (size_t i = 0; i < n_fds; i++) {
		if (err || i >= WORKER_SOCKETS)
			close(fds[i]);
		else
			err = worker_open_socket(w, i, fds[i]);
	}
	return err;
}

static int worker_set_up(struct worker *w, const struct record_setup *setup,
			 const int *fds, size_t n_fds)
{
	int err = worker_open_sockets(w, fds, n_fds);

	if (err)
		return err;
	log_set_debug(setup->debug);
	w->server = server_new(setup);
	if (!w->server)
		return -ENOMEM;
	announce_init(&w->announce, setup->features & RECORD_NATPMP,
		      setup->features & RECORD_PCP);
	for (size_t i = 0; i < setup->n_addrs && i < RECORD_LAN_ADDRS; i++)
		w->addrs[w->n_addrs++] = setup->addrs[i].addr;
	/* What clients send from now on waits in the socket and will be answered. */
	return channel_send(w->ch, RECORD_READY, NULL, 0);
}

static int worker_set_state(struct worker *w, const struct record_state *state)
{
	uint64_t now_ms = clock_ms();

	if (!w->server)
		return -EBADMSG;
	server_set_state(w->server, state);
	for (size_t i = 0; i < WORKER_SOCKETS && !w->serves; i++)
		if (w->socket[i].readable && event_add(w->socket[i].readable, NULL))
			return -ENOMEM;
	w->serves = true;
	announce_state(&w->announce, &state->wan4, state->epoch_ms, now_ms);
	worker_schedule(w, now_ms);
	return 0;
}

static int worker_take_replies(struct worker *w, const struct lease_reply *reply,
			       size_t n)
{
	uint64_t now_ms = clock_ms();

	if (!w->server)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		if (server_reply(w->server, &reply[i], now_ms, &w->answer))
			worker_put_answer(w);
	return 0;
}

static void worker_message(void *arg, enum record_kind kind, const void *records,
			   size_t count, const int *fds, size_t n_fds)
{
	struct worker *w = arg;
	int err = -EBADMSG;

	switch (kind) {
	case RECORD_SETUP:
		err = worker_set_up(w, records, fds, n_fds);
		break;
	case RECORD_STATE:
		err = worker_set_state(w, records);
		break;
	case RECORD_REPLY:
		err = worker_take_replies(w, records, count);
		break;
	case RECORD_PING:
		err = channel_send(w->ch, RECORD_PONG, NULL, 0);
		if (err == -EAGAIN)
			err = 0; /* the core will ask again */
		break;
	default: /* channel.c lets no other through from the core */
		break;
	}
	if (err == -EPIPE)
		return; /* it has ended: worker_closed() comes next */
	if (err) {
		log_error("message %d from the core: %s", (int)kind, strerror(-err));
		worker_stop(w, err);
	}
}

static void worker_closed(void *arg, int err)
{
	worker_stop(arg, err);
}

static void worker_terminated(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_stop(arg, 0);
}

static const struct channel_ops worker_ops = {
	.message = worker_message,
	.closed = worker_closed,
};

static int worker_open(struct worker *w, int channel_fd)
{
	for (size_t i = 0; i < WORKER_SOCKETS; i++) {
		w->socket[i].worker = w;
		w->socket[i].fd = -1;
	}
	w->base = event_base_new();
	if (!w->base) {
		close(channel_fd);
		return -ENOMEM;
	}
	w->ch = channel_new(w->base, channel_fd, CHANNEL_WORKER, &worker_ops, w);
	w->sigterm = evsignal_new(w->base, SIGTERM, worker_terminated, w);
	w->turn_end = event_new(w->base, -1, 0, worker_turn_ends, w);
	w->timer = evtimer_new(w->base, worker_timer, w);
	if (!w->ch || !w->sigterm || !w->turn_end || !w->timer ||
	    event_add(w->sigterm, NULL))
		return -ENOMEM;
	return 0;
}

static void worker_close_sockets(struct worker *w)
{
	for (size_t i = 0; i < WORKER_SOCKETS; i++) {
		if (w->socket[i].readable)
			event_free(w->socket[i].readable);
		if (w->socket[i].fd >= 0)
			close(w->socket[i].fd);
	}
}

static void worker_close(struct worker *w)
{
	worker_close_sockets(w);
	server_free(w->server);
	if (w->timer)
		event_free(w->timer);
	if (w->turn_end)
		event_free(w->turn_end);
	if (w->sigterm)
		event_free(w->sigterm);
	channel_free(w->ch);
	if (w->base)
		event_base_free(w->base);
	free(w);
}

int pcp_worker_run(int channel_fd)
{
	struct worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w) {
		close(channel_fd);
		return -ENOMEM;
	}
	err = worker_open(w, channel_fd);
	if (!err)
		err = event_base_dispatch(w->base) < 0 ? -EIO : w->err;
	worker_close(w);
	return err;
}
