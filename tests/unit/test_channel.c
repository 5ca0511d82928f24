/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The channel against an honest other side and a hostile one, over a real socket pair. The
 * other side is a bare socket, so that it can say what the channel never would.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/channel.h"

#define OPEN 1 /* "not closed": closed() says 0 or a negative errno */

struct rig {
	struct event_base *base;
	struct channel *ch;
	int other;
	size_t messages;
	size_t records;
	size_t n_fds;
	int fds[CHANNEL_FDS];
	enum record_kind kind;
	int closed;
	bool free_in_message;
	struct lease_request last;
};

static void rig_message(void *arg, enum record_kind kind, const void *records,
			size_t count, const int *fds, size_t n_fds)
{
	struct rig *r = arg;

	r->messages++;
	r->kind = kind;
	r->records += count;
	r->n_fds = n_fds;
	if (n_fds)
		memcpy(r->fds, fds, n_fds * sizeof(*fds));
	if (kind == RECORD_REQUEST)
		memcpy(&r->last, (const char *)records + (count - 1) * sizeof(r->last),
		       sizeof(r->last));
	if (r->free_in_message) {
		channel_free(r->ch);
		r->ch = NULL;
	}
}

static void rig_closed(void *arg, int err)
{
	struct rig *r = arg;

	assert_int_equal(r->closed, OPEN); /* called once */
	r->closed = err;
	channel_free(r->ch);
	r->ch = NULL;
}

static const struct channel_ops rig_ops = {.message = rig_message, .closed = rig_closed};

static struct rig *rig_new(enum channel_side side)
{
	struct rig *r = calloc(1, sizeof(*r));
	int sv[2];

	assert_non_null(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	r->base = event_base_new();
	r->closed = OPEN;
	r->other = sv[1];
	r->ch = channel_new(r->base, sv[0], side, &rig_ops, r);
	assert_non_null(r->ch);
	return r;
}

static void rig_free(struct rig *r)
{
	channel_free(r->ch);
	event_base_free(r->base);
	if (r->other >= 0)
		close(r->other);
	free(r);
}

static void rig_turn(struct rig *r)
{
	event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* A message as it stands on the wire. */
static void rig_raw(struct rig *r, uint16_t kind, uint16_t count, uint32_t zero,
		    size_t body, const int *fds, size_t n_fds)
{
	static uint8_t bytes[64 * sizeof(struct lease_request)];
	struct {
		uint16_t kind;
		uint16_t count;
		uint32_t zero;
	} head = {kind, count, zero};
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 64)] = {0};
	struct iovec iov[2] = {{&head, sizeof(head)}, {bytes, body}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	assert_true(body <= sizeof(bytes));
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
	assert_int_equal(sendmsg(r->other, &msg, 0), sizeof(head) + body);
}

static size_t open_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Sends it and looks that it is refused as malformed, with nothing delivered. */
static void refused(enum channel_side side, uint16_t kind, uint16_t count, uint32_t zero,
		    size_t body)
{
	struct rig *r = rig_new(side);

	rig_raw(r, kind, count, zero, body, NULL, 0);
	rig_raw(r, RECORD_PING, 0, 0, 0, NULL, 0); /* is not read any more */
	rig_turn(r);
	assert_int_equal(r->closed, -EBADMSG);
	assert_int_equal(r->messages, 0);
	rig_turn(r);
	rig_free(r);
}

#define REQUEST sizeof(struct lease_request)

static void requests_arrive_whole_up_to_32_at_once(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);

	(void)state;
	rig_raw(r, RECORD_REQUEST, 1, 0, REQUEST, NULL, 0);
	rig_raw(r, RECORD_REQUEST, RECORDS_PER_MESSAGE, 0, RECORDS_PER_MESSAGE * REQUEST,
		NULL, 0);
	rig_raw(r, RECORD_READY, 0, 0, 0, NULL, 0);
	rig_turn(r);
	assert_int_equal(r->messages, 3);
	assert_int_equal(r->records, 1 + RECORDS_PER_MESSAGE);
	assert_int_equal(r->kind, RECORD_READY);
	assert_int_equal(r->closed, OPEN);
	rig_free(r);
}

static void a_message_of_another_length_is_refused(void **state)
{
	(void)state;
	refused(CHANNEL_CORE, RECORD_REQUEST, 1, 0, REQUEST - 1);
	refused(CHANNEL_CORE, RECORD_REQUEST, 1, 0, REQUEST + 1);
	refused(CHANNEL_CORE, RECORD_REQUEST, 2, 0, REQUEST);
	refused(CHANNEL_CORE, RECORD_REQUEST, 1, 0, 2 * REQUEST);
	refused(CHANNEL_CORE, RECORD_REQUEST, 1, 0, 0);
	refused(CHANNEL_CORE, RECORD_READY, 0, 0, 1);
	refused(CHANNEL_WORKER, RECORD_STATE, 1, 0, sizeof(struct record_state) - 1);
	refused(CHANNEL_WORKER, RECORD_SETUP, 1, 0, sizeof(struct record_setup) + 1);
}

static void a_message_longer_than_the_buffer_is_refused(void **state)
{
	(void)state;
	refused(CHANNEL_CORE, RECORD_REQUEST, RECORDS_PER_MESSAGE, 0,
		RECORDS_PER_MESSAGE * REQUEST + 1);
	refused(CHANNEL_CORE, RECORD_REQUEST, RECORDS_PER_MESSAGE + 1, 0,
		(RECORDS_PER_MESSAGE + 1) * REQUEST);
	refused(CHANNEL_CORE, RECORD_REQUEST, 64, 0, 64 * REQUEST);
	refused(CHANNEL_CORE, RECORD_REQUEST, RECORDS_PER_MESSAGE, 0, 64 * REQUEST);
}

static void a_head_that_is_cut_short_is_refused(void **state)
{
	(void)state;
	for (size_t n = 1; n < 8; n++) {
		struct rig *r = rig_new(CHANNEL_CORE);
		const uint8_t head[8] = {RECORD_READY};

		assert_int_equal(send(r->other, head, n, 0), n);
		rig_turn(r);
		assert_int_equal(r->closed, -EBADMSG);
		rig_free(r);
	}
}

static void an_unknown_kind_is_refused(void **state)
{
	(void)state;
	refused(CHANNEL_CORE, 0, 0, 0, 0);
	refused(CHANNEL_CORE, RECORD_KIND_END, 0, 0, 0);
	refused(CHANNEL_WORKER, RECORD_KIND_END, 1, 0, 16);
	refused(CHANNEL_CORE, 65535, 65535, 0, 0);
	refused(CHANNEL_CORE, 256 + RECORD_READY, 0, 0, 0);
}

static void what_only_the_core_says_is_refused_from_a_worker(void **state)
{
	(void)state;
	refused(CHANNEL_CORE, RECORD_SETUP, 1, 0, sizeof(struct record_setup));
	refused(CHANNEL_CORE, RECORD_STATE, 1, 0, sizeof(struct record_state));
	refused(CHANNEL_CORE, RECORD_REPLY, 1, 0, sizeof(struct lease_reply));
	refused(CHANNEL_CORE, RECORD_PING, 0, 0, 0);
	refused(CHANNEL_WORKER, RECORD_REQUEST, 1, 0, REQUEST);
	refused(CHANNEL_WORKER, RECORD_READY, 0, 0, 0);
	refused(CHANNEL_WORKER, RECORD_PONG, 0, 0, 0);
	refused(CHANNEL_WORKER, RECORD_REFRESH, 0, 0, 0);
	refused(CHANNEL_CORE, RECORD_ROWS, 1, 0, sizeof(struct record_row));
	refused(CHANNEL_CORE, RECORD_LISTED, 1, 0, sizeof(struct record_list));
	refused(CHANNEL_WORKER, RECORD_LIST, 1, 0, sizeof(struct record_list));
}

static void a_count_that_cannot_be_is_refused(void **state)
{
	(void)state;
	refused(CHANNEL_CORE, RECORD_REQUEST, 0, 0, 0);
	refused(CHANNEL_CORE, RECORD_READY, 1, 0, 0);
	refused(CHANNEL_CORE, RECORD_PONG, 65535, 0, 0);
	refused(CHANNEL_WORKER, RECORD_PING, 1, 0, 0);
	refused(CHANNEL_CORE, RECORD_LIST, 2, 0, 2 * sizeof(struct record_list));
	refused(CHANNEL_WORKER, RECORD_ROWS, 33, 0, 33 * sizeof(struct record_row));
	refused(CHANNEL_WORKER, RECORD_STATE, 2, 0, 2 * sizeof(struct record_state));
	refused(CHANNEL_WORKER, RECORD_SETUP, 0, 0, 0);
	refused(CHANNEL_WORKER, RECORD_REPLY, 33, 0, 33 * sizeof(struct lease_reply));
}

static void a_head_whose_padding_is_not_zero_is_refused(void **state)
{
	(void)state;
	refused(CHANNEL_CORE, RECORD_READY, 0, 1, 0);
	refused(CHANNEL_CORE, RECORD_REQUEST, 1, 0x80000000, REQUEST);
}

static void the_set_up_brings_its_descriptors(void **state)
{
	struct rig *r = rig_new(CHANNEL_WORKER);
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	rig_raw(r, RECORD_SETUP, 1, 0, sizeof(struct record_setup), pipes, 2);
	rig_turn(r);
	assert_int_equal(r->messages, 1);
	assert_int_equal(r->n_fds, 2);
	assert_true(fcntl(r->fds[0], F_GETFD) & FD_CLOEXEC);
	for (size_t i = 0; i < r->n_fds; i++)
		assert_int_equal(close(r->fds[i]), 0);
	close(pipes[0]);
	close(pipes[1]);
	rig_free(r);
}

/* ... and leave none of them open. */
static void descriptors_where_none_belong_are_refused(void **state)
{
	static const struct {
		enum channel_side side;
		uint16_t kind;
		uint16_t count;
		size_t body;
		size_t n_fds;
	} rows[] = {
		{CHANNEL_CORE, RECORD_READY, 0, 0, 1},
		{CHANNEL_CORE, RECORD_REQUEST, 1, REQUEST, 4},
		{CHANNEL_WORKER, RECORD_PING, 0, 0, 1},
		{CHANNEL_WORKER, RECORD_SETUP, 1, sizeof(struct record_setup),
		 CHANNEL_FDS + 1},
		{CHANNEL_WORKER, RECORD_SETUP, 1, sizeof(struct record_setup), 60},
		{CHANNEL_WORKER, RECORD_SETUP, 1, 1, CHANNEL_FDS},
		{CHANNEL_CORE, 77, 0, 0, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *r = rig_new(rows[i].side);
		int fds[64];
		size_t before = open_fds();

		for (size_t n = 0; n < 64; n++)
			fds[n] = STDERR_FILENO;
		rig_raw(r, rows[i].kind, rows[i].count, 0, rows[i].body, fds,
			rows[i].n_fds);
		rig_turn(r);
		assert_int_equal(r->closed, -EBADMSG);
		assert_int_equal(r->messages, 0);
		assert_int_equal(open_fds(), before - 1); /* but for the channel's own */
		rig_free(r);
	}
}

static void an_empty_message_with_a_descriptor_leaves_none_open(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = STDERR_FILENO;
	size_t before = open_fds();

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(r->other, &msg, 0), 0);
	rig_turn(r);
	assert_int_not_equal(r->closed, OPEN);
	assert_int_equal(open_fds(), before - 1);
	rig_free(r);
}

static void the_other_sides_end_is_told_once(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);

	(void)state;
	rig_raw(r, RECORD_READY, 0, 0, 0, NULL, 0); /* what was said before is heard */
	close(r->other);
	r->other = -1;
	rig_turn(r);
	rig_turn(r);
	assert_int_equal(r->messages, 1);
	assert_int_equal(r->closed, 0);
	rig_free(r);
}

static void a_channel_may_be_freed_from_its_message(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);

	(void)state;
	r->free_in_message = true;
	rig_raw(r, RECORD_READY, 0, 0, 0, NULL, 0);
	rig_raw(r, RECORD_READY, 0, 0, 0, NULL, 0);
	rig_turn(r);
	rig_turn(r);
	assert_int_equal(r->messages, 1);
	rig_free(r);
}

static void one_turn_reads_no_more_than_the_burst(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);

	(void)state;
	channel_set_burst(r->ch, 3);
	for (int i = 0; i < 8; i++)
		rig_raw(r, RECORD_READY, 0, 0, 0, NULL, 0);
	rig_turn(r);
	assert_int_equal(r->messages, 3);
	rig_turn(r);
	rig_turn(r);
	assert_int_equal(r->messages, 8);
	rig_free(r);
}

/* How many records the next message at the other side has; 0: there is none. */
static size_t rig_next(struct rig *r, enum record_kind kind)
{
	static uint8_t buf[64 * sizeof(struct lease_reply)];
	uint16_t head[2];
	ssize_t n = recv(r->other, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	assert_true(n >= 8);
	memcpy(head, buf, sizeof(head));
	assert_int_equal(head[0], kind);
	assert_int_equal((size_t)n, 8 + head[1] * record_size(kind));
	return head[1];
}

static void records_are_gathered_until_32_another_kind_or_flush(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);
	struct lease_reply reply = {.tag = 5};
	struct record_state s = {.entries = 1};

	(void)state;
	for (int i = 0; i < RECORDS_PER_MESSAGE + 2; i++)
		assert_int_equal(channel_put(r->ch, RECORD_REPLY, &reply), 0);
	assert_int_equal(rig_next(r, RECORD_REPLY), RECORDS_PER_MESSAGE);
	assert_int_equal(rig_next(r, RECORD_REPLY), 0);
	assert_int_equal(channel_put(r->ch, RECORD_STATE, &s), 0);
	assert_int_equal(rig_next(r, RECORD_REPLY), 2);
	assert_int_equal(channel_send(r->ch, RECORD_PING, NULL, 0),
			 0); /* keeps the order */
	assert_int_equal(rig_next(r, RECORD_STATE), 1);
	assert_int_equal(recv(r->other, &s, sizeof(s), MSG_DONTWAIT), 8);
	assert_int_equal(channel_put(r->ch, RECORD_REPLY, &reply), 0);
	assert_int_equal(channel_flush(r->ch), 0);
	assert_int_equal(rig_next(r, RECORD_REPLY), 1);
	assert_int_equal(channel_flush(r->ch), 0);
	rig_free(r);
}

static void who_does_not_read_is_not_waited_for(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);
	struct lease_reply reply = {.tag = 5};
	int err = 0, n = 0;

	(void)state;
	while (!err && n++ < 100000)
		err = channel_send(r->ch, RECORD_REPLY, &reply, 1);
	assert_int_equal(err, -EAGAIN);
	close(r->other);
	r->other = -1;
	err = channel_send(r->ch, RECORD_REPLY, &reply, 1); /* and no SIGPIPE */
	assert_true(err == -EPIPE || err == -ECONNRESET);
	rig_free(r);
}

static void two_channels_understand_each_other(void **state)
{
	struct rig *r = rig_new(CHANNEL_CORE);
	struct rig w = {.closed = OPEN, .other = -1};
	struct lease_request req = {.tag = 77, .op = LEASE_OP_MAP, .ext_port = 3074};
	struct record_setup setup = {.lan = 3};
	int fd = STDERR_FILENO;

	(void)state;
	w.ch = channel_new(r->base, r->other, CHANNEL_WORKER, &rig_ops, &w);
	r->other = -1;
	assert_non_null(w.ch);
	assert_int_equal(channel_send_fds(r->ch, RECORD_SETUP, &setup, 1, &fd, 1), 0);
	assert_int_equal(channel_send(w.ch, RECORD_REQUEST, &req, 1), 0);
	rig_turn(r);
	assert_int_equal(w.kind, RECORD_SETUP);
	assert_int_equal(w.n_fds, 1);
	close(w.fds[0]);
	assert_memory_equal(&r->last, &req, sizeof(req));
	channel_free(w.ch);
	rig_turn(r);
	assert_int_equal(r->closed, 0);
	rig_free(r);
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(requests_arrive_whole_up_to_32_at_once),
		T(a_message_of_another_length_is_refused),
		T(a_message_longer_than_the_buffer_is_refused),
		T(a_head_that_is_cut_short_is_refused),
		T(an_unknown_kind_is_refused),
		T(what_only_the_core_says_is_refused_from_a_worker),
		T(a_count_that_cannot_be_is_refused),
		T(a_head_whose_padding_is_not_zero_is_refused),
		T(the_set_up_brings_its_descriptors),
		T(descriptors_where_none_belong_are_refused),
		T(an_empty_message_with_a_descriptor_leaves_none_open),
		T(the_other_sides_end_is_told_once),
		T(a_channel_may_be_freed_from_its_message),
		T(one_turn_reads_no_more_than_the_burst),
		T(records_are_gathered_until_32_another_kind_or_flush),
		T(who_does_not_read_is_not_waited_for),
		T(two_channels_understand_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
