/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw messages from a hostile worker to the core's end of a channel, and from a hostile core
 * to the worker's. What must come out is worked out here from the bytes that go in.
 *
 * An input: one byte (side, burst, when the channel is freed), then messages of
 * flags, number of descriptors, kind, count, length (u16), bytes.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdalign.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "tests/fuzz/fuzz.h"

#define HEAD 8
#define BODY_MAX (RECORDS_PER_MESSAGE * RECORD_SIZE_MAX)
#define MESSAGE_MAX (HEAD + BODY_MAX + 64)
#define SEND_FDS_MAX 6
#define MESSAGES_MAX 40

enum message_bit {
	RAW_HEAD = 1,    /* the head comes from the bytes too */
	RIGHT_SIZE = 2,  /* as long as kind and count say */
	TURN = 4,        /* lets the other end read before the next one is sent */
	ZERO_SET = 8,    /* a bit in what must be zero */
	PAUSE = 16,      /* reads nothing for a turn */
	VALID_BODY = 32, /* requests in form */
};

/* One run. The queue holds what was sent and must be delivered, in order. */
static struct {
	enum channel_side side;
	struct channel *channel;
	struct {
		uint8_t *data;
		size_t len;
		size_t n_fds;
	} sent[MESSAGES_MAX];
	size_t n_sent;
	size_t n_got;
	size_t free_at; /* the callback of that message frees the channel; 0: none does */
	bool closed;
	int closed_err;
} run;

static struct event_base *base;
static int null_fd = -1;

static uint16_t get_u16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The faces of base/record.h, once more in short. */
static size_t size_of(unsigned int kind)
{
	switch (kind) {
	case RECORD_SETUP:
		return sizeof(struct record_setup);
	case RECORD_STATE:
		return sizeof(struct record_state);
	case RECORD_REPLY:
		return sizeof(struct lease_reply);
	case RECORD_REQUEST:
		return sizeof(struct lease_request);
	case RECORD_LIST:
	case RECORD_LISTED:
		return sizeof(struct record_list);
	case RECORD_ROWS:
		return sizeof(struct record_row);
	case RECORD_STORE_SETUP:
		return sizeof(struct store_setup);
	case RECORD_STORE_ABOUT:
		return sizeof(struct store_about);
	case RECORD_STORE_LEASE:
		return sizeof(struct store_lease);
	case RECORD_STORE_EVENT:
		return sizeof(struct store_event);
	case RECORD_STORE_QUESTION:
		return sizeof(struct store_question);
	case RECORD_STORE_LOADED:
		return sizeof(struct store_loaded);
	case RECORD_STORE_ANSWER:
		return sizeof(struct store_answer);
	case RECORD_UPSTREAM_SETUP:
		return sizeof(struct upstream_setup);
	case RECORD_UPSTREAM_ANSWER:
		return sizeof(struct upstream_answer);
	case RECORD_TRIGGER_SETUP:
		return sizeof(struct trigger_setup);
	case RECORD_TRIGGER_EVENT:
		return sizeof(struct trigger_event);
	default:
		return 0;
	}
}

/* Which sides may read a kind, as bits. */
static unsigned int readers(unsigned int kind)
{
	switch (kind) {
	case RECORD_REQUEST:
	case RECORD_REFRESH:
	case RECORD_LIST:
		return 1U << CHANNEL_CORE;
	case RECORD_READY:
		return 1U << CHANNEL_CORE | 1U << CHANNEL_TRIGGERS_CORE;
	case RECORD_PONG:
		return 1U << CHANNEL_CORE | 1U << CHANNEL_STORES_CORE |
		       1U << CHANNEL_TRIGGERS_CORE;
	case RECORD_PING:
		return 1U << CHANNEL_WORKER | 1U << CHANNEL_STORE | 1U << CHANNEL_TRIGGER;
	case RECORD_TRIGGER_EVENT:
		return 1U << CHANNEL_TRIGGERS_CORE;
	case RECORD_TRIGGER_SETUP:
		return 1U << CHANNEL_TRIGGER;
	case RECORD_SETUP:
	case RECORD_STATE:
	case RECORD_REPLY:
	case RECORD_ROWS:
	case RECORD_LISTED:
		return 1U << CHANNEL_WORKER;
	case RECORD_STORE_LEASE:
	case RECORD_STORE_EVENT:
		return 1U << CHANNEL_STORE | 1U << CHANNEL_STORES_CORE;
	case RECORD_STORE_LOADED:
	case RECORD_STORE_ANSWER:
	case RECORD_STORE_AGAIN:
		return 1U << CHANNEL_STORES_CORE;
	case RECORD_UPSTREAM_ANSWER:
		return 1U << CHANNEL_UPSTREAMS_CORE;
	case RECORD_UPSTREAM_SETUP:
		return 1U << CHANNEL_UPSTREAM;
	default:
		return kind && kind < RECORD_KIND_END ? 1U << CHANNEL_STORE : 0;
	}
}

static bool count_ok(enum channel_side side, unsigned int kind, unsigned int count)
{
	if (!(readers(kind) >> side & 1))
		return false;
	if (kind == RECORD_REPLY || kind == RECORD_REQUEST || kind == RECORD_ROWS ||
	    kind == RECORD_STORE_LEASE || kind == RECORD_STORE_EVENT ||
	    kind == RECORD_TRIGGER_EVENT)
		return count >= 1 && count <= 32;
	return count == (size_of(kind) ? 1U : 0U);
}

static bool message_ok(const uint8_t *data, size_t len, size_t n_fds)
{
	static const uint8_t zero[4];
	unsigned int kind, count;

	if (len < HEAD || n_fds > CHANNEL_FDS || memcmp(data + 4, zero, sizeof(zero)))
		return false;
	kind = get_u16(data);
	count = get_u16(data + 2);
	return count_ok(run.side, kind, count) &&
	       (!n_fds || kind == RECORD_SETUP || kind == RECORD_UPSTREAM_SETUP ||
		kind == RECORD_TRIGGER_SETUP) &&
	       len == HEAD + count * size_of(kind);
}

static void check_request(const struct lease_request *r)
{
	if (!lease_request_valid(r))
		return;
	must(r->op >= LEASE_OP_MAP && r->op < LEASE_OP_END && r->by < LEASE_BY_END);
	must(r->remote_len <= 128);
	for (size_t i = 0; i < sizeof(r->zero); i++)
		must(!r->zero[i]);
	must(strnlen(r->description, RECORD_DESCRIPTION) <= LEASE_DESCRIPTION_MAX);
	must(!(r->flags & ~LEASE_FLAGS));
	must(strcmp(lease_by_name((enum lease_by)r->by), "?"));
}

/* The same of the store's: nothing of what is taken is beyond its bounds. */
static void check_store(enum record_kind kind, const void *records, size_t count)
{
	const struct store_lease *l = records;
	const struct store_event *e = records;

	for (size_t n = 0; n < count; n++) {
		if (kind == RECORD_STORE_LEASE && store_lease_valid(&l[n]))
			must(l[n].n_filters <= LEASE_FILTERS_MAX && l[n].ext_port &&
			     l[n].remote_len <= 128 && !(l[n].claims >> LEASE_BY_END) &&
			     l[n].origin < LEASE_BY_END &&
			     strnlen(l[n].description, RECORD_DESCRIPTION) <=
				     LEASE_DESCRIPTION_MAX);
		if (kind == RECORD_STORE_EVENT && store_event_valid(&e[n]))
			must(e[n].times && e[n].what < STORE_WHAT_END &&
			     strcmp(lease_by_name((enum lease_by)e[n].by), "?") &&
			     strnlen(e[n].description, RECORD_DESCRIPTION) <=
				     LEASE_DESCRIPTION_MAX);
	}
	if (kind == RECORD_STORE_QUESTION && store_question_valid(records))
		must(((const struct store_question *)records)->limit <= STORE_PAGE);
}

static void got(void *arg, enum record_kind kind, const void *records, size_t count,
		const int *fds, size_t n_fds)
{
	size_t i = run.n_got++;

	must(arg == &run && !run.closed && i < run.n_sent);
	must(message_ok(run.sent[i].data, run.sent[i].len, run.sent[i].n_fds));
	must(kind == get_u16(run.sent[i].data) && count == get_u16(run.sent[i].data + 2));
	must(!memcmp(records, run.sent[i].data + HEAD, run.sent[i].len - HEAD));
	must((uintptr_t)records % alignof(uint64_t) == 0);
	must(n_fds == run.sent[i].n_fds);
	for (size_t n = 0; n < n_fds; n++) {
		must(fcntl(fds[n], F_GETFD) == FD_CLOEXEC);
		close(fds[n]);
	}
	if (kind == RECORD_REQUEST)
		for (size_t n = 0; n < count; n++)
			check_request((const struct lease_request *)records + n);
	check_store(kind, records, count);
	if (run.n_got == run.free_at) {
		channel_free(run.channel);
		run.channel = NULL;
	}
}

static void closed(void *arg, int err)
{
	must(arg == &run && !run.closed);
	run.closed = true;
	run.closed_err = err;
	channel_free(run.channel);
	run.channel = NULL;
}

static const struct channel_ops ops = {got, closed};

/* Makes a message out of the feed. */
static uint8_t *make_message(struct feed *f, uint8_t bits, size_t *len)
{
	uint16_t kind = feed_u8(f) % (RECORD_KIND_END + 1), count = feed_u8(f);
	uint8_t *data = fuzz_alloc(MESSAGE_MAX);
	size_t have;

	*len = feed_u16(f) % MESSAGE_MAX;
	memcpy(data, &kind, sizeof(kind));
	memcpy(data + 2, &count, sizeof(count));
	data[4 + (bits >> 6)] = bits & ZERO_SET ? 1 : 0;
	if (bits & RIGHT_SIZE)
		*len = HEAD + count % 40 * size_of(kind);
	if (bits & RIGHT_SIZE)
		data[2] = (uint8_t)(count % 40);
	if (*len > MESSAGE_MAX)
		*len = MESSAGE_MAX;
	have = bits & RAW_HEAD ? 0 : HEAD;
	/* A few bytes make the body: what is in it does not lead the way. */
	if (*len > have)
		feed_copy(f, data + have, *len - have < 80 ? *len - have : 80);
	if (bits & VALID_BODY && *len >= HEAD + sizeof(struct lease_request)) {
		struct lease_request r;

		memcpy(&r, data + HEAD, sizeof(r));
		r.op = (uint8_t)(LEASE_OP_MAP + r.op % (LEASE_OP_END - LEASE_OP_MAP));
		r.by %= LEASE_BY_END;
		r.flags &= LEASE_FLAGS;
		memcpy(data + HEAD, &r, sizeof(r));
	}
	return data;
}

static int send_message(int fd, const uint8_t *data, size_t len, size_t n_fds)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * SEND_FDS_MAX)] = {
		0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &null_fd, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void turn(void)
{
	for (int i = 0; i < 2 * MESSAGES_MAX && run.channel; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void send_all(struct feed *f, int fd)
{
	while (f->left && run.n_sent < MESSAGES_MAX) {
		uint8_t bits = feed_u8(f);
		size_t n_fds = feed_u8(f), len;
		uint8_t *data;
		int err;

		n_fds = n_fds >= 250 ? n_fds - 249 : n_fds % 8 ? 0 : n_fds / 64;
		data = make_message(f, bits, &len);
		run.sent[run.n_sent].data = data;
		run.sent[run.n_sent].len = len;
		run.sent[run.n_sent++].n_fds = n_fds;
		err = send_message(fd, data, len, n_fds);
		if (err == -EAGAIN) {
			turn();
			err = send_message(fd, data, len, n_fds);
		}
		if (err) {
			must(err == -EPIPE || err == -ECONNRESET);
			return;
		}
		if (bits & PAUSE && run.channel) {
			channel_pause(run.channel, true);
			event_base_loop(base, EVLOOP_NONBLOCK);
			channel_pause(run.channel, false);
		}
		if (bits & TURN)
			turn();
	}
}

/* All that was in form before the first that was not; that one closes. */
static void check_end(void)
{
	size_t good = 0;
	bool eof;

	while (good < run.n_sent &&
	       message_ok(run.sent[good].data, run.sent[good].len, run.sent[good].n_fds))
		good++;
	if (run.free_at && run.free_at <= good) {
		must(run.n_got == run.free_at && !run.closed);
		return;
	}
	must(run.n_got == good && run.closed);
	/* An empty message and the end of file look the same. */
	eof = good == run.n_sent || (!run.sent[good].len && !run.sent[good].n_fds);
	must(run.closed_err == (eof ? 0 : -EBADMSG));
}

/* Which of the lowest descriptors are open, as bits. */
static uint32_t open_fds(void)
{
	uint32_t bits = 0;

	for (int fd = 0; fd < 32; fd++)
		bits |= (uint32_t)(fcntl(fd, F_GETFD) >= 0) << fd;
	return bits;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint8_t bits = feed_u8(&f);
	uint32_t before;
	int pair[2];

	if (!base) {
		base = event_base_new();
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		must(base && null_fd >= 0);
	}
	before = open_fds();
	memset(&run, 0, sizeof(run));
	run.side = (bits & 12) == 4 && bits & 16
			   ? bits & 1 ? CHANNEL_TRIGGERS_CORE : CHANNEL_TRIGGER
		   : (bits & 12) == 12
			   ? bits & 1 ? CHANNEL_UPSTREAMS_CORE : CHANNEL_UPSTREAM
		   : bits & 8 ? bits & 1 ? CHANNEL_STORES_CORE : CHANNEL_STORE
		   : bits & 1 ? CHANNEL_CORE
			      : CHANNEL_WORKER;
	run.free_at = bits >> 4;
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	run.channel = channel_new(base, pair[0], run.side, &ops, &run);
	must(run.channel);
	if (bits & 2)
		channel_set_burst(run.channel, 1);
	send_all(&f, pair[1]);
	close(pair[1]);
	turn();
	check_end();
	channel_free(run.channel);
	for (size_t i = 0; i < run.n_sent; i++)
		free(run.sent[i].data);
	must(open_fds() == before); /* none was left open */
	return 0;
}
