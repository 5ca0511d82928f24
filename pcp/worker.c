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
#include "pcp/server.h"

#define WORKER_BATCH RECORDS_PER_MESSAGE
#define WORKER_BURST 4 /* batches a turn, so that one chatty host starves nobody */
#define WORKER_CONTROL CMSG_SPACE(sizeof(struct in_pktinfo))

struct worker_inbox {
	struct mmsghdr head[WORKER_BATCH];
	struct iovec iov[WORKER_BATCH];
	struct sockaddr_in from[WORKER_BATCH];
	alignas(struct cmsghdr) uint8_t control[WORKER_BATCH][WORKER_CONTROL];
	uint8_t data[WORKER_BATCH][SERVER_DATAGRAM];
};

/* Answers that go out together. */
struct worker_outbox {
	size_t n;
	struct mmsghdr head[WORKER_BATCH];
	struct iovec iov[WORKER_BATCH];
	struct sockaddr_in to[WORKER_BATCH];
	alignas(struct cmsghdr) uint8_t control[WORKER_BATCH][WORKER_CONTROL];
	struct server_answer answer[WORKER_BATCH];
};

struct worker {
	struct event_base *base;
	struct channel *ch;
	struct event *sigterm;
	struct event *turn_end; /* made active when the outbox fills */
	struct server *server;  /* once RECORD_SETUP has come */
	bool serves;            /* and RECORD_STATE, too */
	int err;
	int fd; /* UDP 5351, IPv4; -1 */
	struct event *readable;
	size_t n_asks;
	struct lease_request asks[RECORDS_PER_MESSAGE];
	struct worker_inbox in;
	struct worker_outbox out;
};

static void worker_stop(struct worker *w, int err)
{
	w->err = err;
	event_base_loopbreak(w->base);
}

/* Sends the gathered answers. One that cannot go is left out: its client asks again. */
static void worker_send_answers(struct worker *w)
{
	size_t done = 0;

	while (done < w->out.n) {
		int n = sendmmsg(w->fd, w->out.head + done,
				 (unsigned int)(w->out.n - done), MSG_DONTWAIT);

		if (n > 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			log_debug("sendmmsg: %m");
			done++;
		}
	}
	w->out.n = 0;
}

/* The place of the next answer. */
static struct server_answer *worker_answer_room(struct worker *w)
{
	if (w->out.n == WORKER_BATCH)
		worker_send_answers(w);
	return &w->out.answer[w->out.n];
}

/* RFC 6887 section 8.3: an answer leaves from the address that was asked. */
static void worker_answer_done(struct worker *w)
{
	size_t i = w->out.n++;
	const struct server_answer *a = &w->out.answer[i];
	struct in_pktinfo info = {.ipi_spec_dst = addr_to_v4(&a->to.local)};
	struct msghdr *msg = &w->out.head[i].msg_hdr;
	struct cmsghdr *c;

	w->out.to[i] = (struct sockaddr_in){.sin_family = AF_INET,
					    .sin_port = htons(a->to.port),
					    .sin_addr = addr_to_v4(&a->to.addr)};
	w->out.iov[i] = (struct iovec){w->out.answer[i].data, a->len};
	*msg = (struct msghdr){.msg_name = &w->out.to[i],
			       .msg_namelen = sizeof(w->out.to[i]),
			       .msg_iov = &w->out.iov[i],
			       .msg_iovlen = 1,
			       .msg_control = w->out.control[i],
			       .msg_controllen = sizeof(w->out.control[i])};
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	if (i == 0)
		event_active(w->turn_end, 0, 0); /* still in this turn of the loop */
}

static void worker_turn_ends(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_send_answers(arg);
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
	const struct sockaddr *from = msg->msg_name;

	if (msg->msg_namelen != sizeof(struct sockaddr_in))
		return false;
	peer->addr = addr_from_sockaddr(from);
	peer->port = port_from_sockaddr(from);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct in_pktinfo info;

		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		peer->local = addr_from_v4(info.ipi_addr);
		return true;
	}
	return false;
}

static void worker_datagram(struct worker *w, struct mmsghdr *m, uint64_t now_ms)
{
	struct server_peer from;

	if (!worker_peer(&m->msg_hdr, &from))
		return;
	switch (server_handle(w->server, &from, m->msg_hdr.msg_iov->iov_base, m->msg_len,
			      now_ms, worker_answer_room(w), &w->asks[w->n_asks])) {
	case SERVER_SILENT:
		break;
	case SERVER_ANSWER:
		worker_answer_done(w);
		break;
	case SERVER_ASK:
		if (++w->n_asks == RECORDS_PER_MESSAGE)
			worker_send_asks(w);
		break;
	}
}

static int worker_receive(struct worker *w)
{
	struct worker_inbox *in = &w->in;

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
	return recvmmsg(w->fd, in->head, WORKER_BATCH, MSG_DONTWAIT, NULL);
}

static void worker_readable(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	int n = WORKER_BATCH;

	(void)fd;
	(void)what;
	for (int burst = 0; burst < WORKER_BURST && n == WORKER_BATCH; burst++) {
		uint64_t now_ms;

		n = worker_receive(w);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			log_warn("recvmmsg: %m");
		if (n <= 0)
			break;
		now_ms = clock_ms();
		for (int i = 0; i < n; i++)
			worker_datagram(w, &w->in.head[i], now_ms);
		worker_send_asks(w);
	}
}

static int worker_set_up(struct worker *w, const struct record_setup *setup,
			 const int *fds, size_t n_fds)
{
	const int on = 1;

	/* Only IPv4 is served: others are closed. */
	for (size_t i = 1; i < n_fds; i++)
		close(fds[i]);
	if (!n_fds)
		return -EBADMSG;
	if (w->server) { /* it comes once */
		close(fds[0]);
		return -EBADMSG;
	}
	w->fd = fds[0];
	log_set_debug(setup->debug);
	if (evutil_make_socket_nonblocking(w->fd) ||
	    setsockopt(w->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)))
		return -errno;
	w->server = server_new(setup);
	w->readable = event_new(w->base, w->fd, EV_READ | EV_PERSIST, worker_readable, w);
	if (!w->server || !w->readable)
		return -ENOMEM;
	/* What clients send from now on waits in the socket and will be answered. */
	return channel_send(w->ch, RECORD_READY, NULL, 0);
}

static int worker_set_state(struct worker *w, const struct record_state *state)
{
	if (!w->server)
		return -EBADMSG;
	server_set_state(w->server, state);
	if (!w->serves && event_add(w->readable, NULL))
		return -ENOMEM;
	w->serves = true;
	return 0;
}

static int worker_take_replies(struct worker *w, const struct lease_reply *reply,
			       size_t n)
{
	uint64_t now_ms = clock_ms();

	if (!w->server)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		if (server_reply(w->server, &reply[i], now_ms, worker_answer_room(w)))
			worker_answer_done(w);
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
	case RECORD_READY:
	case RECORD_REQUEST:
	case RECORD_PONG:
	case RECORD_REFRESH:
	case RECORD_KIND_END:
		break;
	}
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
	w->fd = -1;
	w->base = event_base_new();
	if (!w->base) {
		close(channel_fd);
		return -ENOMEM;
	}
	w->ch = channel_new(w->base, channel_fd, CHANNEL_WORKER, &worker_ops, w);
	w->sigterm = evsignal_new(w->base, SIGTERM, worker_terminated, w);
	w->turn_end = event_new(w->base, -1, 0, worker_turn_ends, w);
	if (!w->ch || !w->sigterm || !w->turn_end || event_add(w->sigterm, NULL))
		return -ENOMEM;
	return 0;
}

static void worker_close(struct worker *w)
{
	if (w->readable)
		event_free(w->readable);
	if (w->fd >= 0)
		close(w->fd);
	server_free(w->server);
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
