/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHANNEL_BURST 32

struct channel_head {
	uint16_t kind;
	uint16_t count;
	uint32_t zero;
};
static_assert(sizeof(struct channel_head) == 8, "channel_head has no hidden padding");

#define CHANNEL_BODY (RECORDS_PER_MESSAGE * RECORD_SIZE_MAX)
static_assert(sizeof(struct lease_request) <= RECORD_SIZE_MAX &&
		      sizeof(struct record_setup) <= RECORD_SIZE_MAX &&
		      sizeof(struct store_lease) <= RECORD_SIZE_MAX,
	      "the largest record sizes the buffers");

struct channel {
	int fd;
	enum channel_side side;
	const struct channel_ops *ops;
	void *arg;
	struct event *readable;
	unsigned int burst;
	bool paused;
	bool *freed; /* set by channel_free() while a callback runs */
	enum record_kind out_kind;
	size_t out_count;
	alignas(8) uint8_t out[CHANNEL_BODY];
	alignas(8) uint8_t in[CHANNEL_BODY + 1]; /* one more: an overlong one shows */
};

/* Takes the descriptors out of a message; too many are closed and make it bad. */
static int channel_take_fds(struct msghdr *msg, int fds[CHANNEL_FDS], size_t *n_fds)
{
	int err = msg->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;

	*n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*n_fds < CHANNEL_FDS) {
				fds[(*n_fds)++] = fd;
			} else {
				close(fd);
				err = -EBADMSG;
			}
		}
	}
	return err;
}

/* Is this what the other side may send? */
static bool channel_accepts(const struct channel *ch, const struct channel_head *head,
			    size_t len, size_t n_fds)
{
	static bool (*const known[])(unsigned int kind, size_t count) = {
		[CHANNEL_CORE] = record_from_worker,
		[CHANNEL_WORKER] = record_from_core,
		[CHANNEL_STORES_CORE] = record_from_store,
		[CHANNEL_STORE] = record_to_store,
		[CHANNEL_UPSTREAMS_CORE] = record_from_upstream,
		[CHANNEL_UPSTREAM] = record_to_upstream,
		[CHANNEL_TRIGGERS_CORE] = record_from_trigger,
		[CHANNEL_TRIGGER] = record_to_trigger,
	};

	if (!known[ch->side](head->kind, head->count) || head->zero ||
	    (n_fds && head->kind != RECORD_SETUP && head->kind != RECORD_UPSTREAM_SETUP &&
	     head->kind != RECORD_TRIGGER_SETUP))
		return false;
	return len == sizeof(*head) + head->count * record_size(head->kind);
}

/* Reads one message. 1: delivered, 0: nothing there, -errno: closed or bad (-EPIPE). */
static int channel_read(struct channel *ch)
{
	struct channel_head head = {0};
	struct iovec iov[2] = {{&head, sizeof(head)}, {ch->in, sizeof(ch->in)}};
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CHANNEL_FDS)];
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = 2,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fds[CHANNEL_FDS];
	size_t n_fds;
	ssize_t n = recvmsg(ch->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int err;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0
		       : errno == ECONNRESET             ? -EPIPE
							 : -errno;
	err = channel_take_fds(&msg, fds, &n_fds);
	if (err || (msg.msg_flags & MSG_TRUNC) ||
	    !channel_accepts(ch, &head, (size_t)n, n_fds)) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return n == 0 && !n_fds ? -EPIPE : -EBADMSG;
	}
	ch->ops->message(ch->arg, (enum record_kind)head.kind, ch->in, head.count, fds,
			 n_fds);
	return 1;
}

static void channel_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *ch = arg;
	bool freed = false;
	int r = 1;

	(void)fd;
	(void)what;
	ch->freed = &freed;
	for (unsigned int i = 0; i < ch->burst && r > 0 && !ch->paused; i++) {
		r = channel_read(ch);
		if (freed)
			return;
	}
	ch->freed = NULL;
	if (r < 0) {
		event_del(ch->readable);
		ch->ops->closed(ch->arg, r == -EPIPE ? 0 : r);
	}
}

struct channel *channel_new(struct event_base *base, int fd, enum channel_side side,
			    const struct channel_ops *ops, void *arg)
{
	struct channel *ch = calloc(1, sizeof(*ch));

	if (!ch) {
		close(fd);
		return NULL;
	}
	*ch = (struct channel){
		.fd = fd, .side = side, .ops = ops, .arg = arg, .burst = CHANNEL_BURST};
	evutil_make_socket_nonblocking(fd);
	evutil_make_socket_closeonexec(fd);
	ch->readable = event_new(base, fd, EV_READ | EV_PERSIST, channel_readable, ch);
	if (!ch->readable || event_add(ch->readable, NULL)) {
		channel_free(ch);
		return NULL;
	}
	return ch;
}

void channel_free(struct channel *ch)
{
	if (!ch)
		return;
	if (ch->freed)
		*ch->freed = true;
	if (ch->readable)
		event_free(ch->readable);
	close(ch->fd);
	free(ch);
}

int channel_send_fds(struct channel *ch, enum record_kind kind, const void *records,
		     size_t count, const int *fds, size_t n_fds)
{
	struct channel_head head = {.kind = (uint16_t)kind, .count = (uint16_t)count};
	struct iovec iov[2] = {{&head, sizeof(head)}, {NULL, count * record_size(kind)}};
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CHANNEL_FDS)] = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	assert(count <= RECORDS_PER_MESSAGE && n_fds <= CHANNEL_FDS);
	memcpy(&iov[1].iov_base, &records, sizeof(records)); /* sendmsg() only reads it */
	if (n_fds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do
		n = sendmsg(ch->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int channel_send(struct channel *ch, enum record_kind kind, const void *records,
		 size_t count)
{
	int err = channel_flush(ch); /* keeps the order */

	return err ? err : channel_send_fds(ch, kind, records, count, NULL, 0);
}

int channel_put(struct channel *ch, enum record_kind kind, const void *record)
{
	size_t size = record_size(kind);
	int err = 0;

	if (ch->out_count && ch->out_kind != kind)
		err = channel_flush(ch);
	ch->out_kind = kind;
	memcpy(ch->out + ch->out_count * size, record, size);
	if (++ch->out_count == RECORDS_PER_MESSAGE) {
		int full = channel_flush(ch);

		err = err ? err : full;
	}
	return err;
}

int channel_flush(struct channel *ch)
{
	size_t count = ch->out_count;

	ch->out_count = 0;
	return count ? channel_send_fds(ch, ch->out_kind, ch->out, count, NULL, 0) : 0;
}

void channel_pause(struct channel *ch, bool pause)
{
	if (ch->paused == pause)
		return;
	ch->paused = pause;
	if (pause)
		event_del(ch->readable);
	else
		event_add(ch->readable, NULL);
}

void channel_set_burst(struct channel *ch, unsigned int messages)
{
	ch->burst = messages;
}
