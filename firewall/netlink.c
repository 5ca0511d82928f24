/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"

#define NL_BUFFER (8 << 20)
/* A dump fills 32 KB messages; larger buffers do not help. */
#define NL_RX (128 * 1024)
#define NL_WAIT_MS 5000 /* dumps go on only when they are read; this never comes */

int nl_open(struct nl *nl)
{
	int on = 1, size = NL_BUFFER, fd, err;

	memset(nl, 0, sizeof(*nl));
	nl->rx = malloc(NL_RX);
	if (!nl->rx)
		return -ENOMEM;
	nl->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		nl_close(nl);
		return err;
	}
	fd = mnl_socket_get_fd(nl->sock);
	/* Without room for all answers of a batch we could not tell what became of it. They
	 * may fail for want of a capability; then the first batch says so. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl->rx);
	memset(nl, 0, sizeof(*nl));
}

static struct nlmsghdr *put_header(void *buf, uint16_t type, uint16_t flags,
				   uint8_t family, uint16_t res_id)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return nlh;
}

static struct nlmsghdr *put_message(void *buf, uint16_t type, uint16_t flags)
{
	return put_header(buf, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags,
			  NFPROTO_INET, 0);
}

/* libmnl's mnl_nlmsg_ok() takes a length of 2^31 and more for a negative one, and the message
 * for whole. */
const struct nlmsghdr *nl_next(struct nl_datagram *d)
{
	const struct nlmsghdr *nlh = (const void *)d->pos;
	size_t step;

	if (!d->left || d->bad)
		return NULL;
	if (d->left < sizeof(*nlh) || nlh->nlmsg_len < sizeof(*nlh) ||
	    nlh->nlmsg_len > d->left) {
		d->bad = true;
		return NULL;
	}
	step = NLMSG_ALIGN((size_t)nlh->nlmsg_len);
	if (step > d->left) /* nothing pads the last one */
		step = d->left;
	d->pos += step;
	d->left -= step;
	return nlh;
}

/* Batches */

/* The message at `last` is complete: what comes next stands behind it. */
static void batch_close(struct nl_batch *b)
{
	struct nlmsghdr *nlh;

	if (b->len != b->last)
		return;
	nlh = (struct nlmsghdr *)(void *)(b->buf + b->last);
	b->len = b->last + NLMSG_ALIGN(nlh->nlmsg_len);
}

/* Room for one more message at the end. */
static void *batch_room(struct nl_batch *b)
{
	size_t need = b->len + NL_MESSAGE_MAX;
	uint8_t *buf;

	if (need > b->room) {
		need += need / 2;
		buf = realloc(b->buf, need);
		if (!buf) {
			b->bad = true;
			return NULL;
		}
		b->buf = buf;
		b->room = need;
	}
	b->last = b->len;
	return b->buf + b->len;
}

void nl_batch_begin(struct nl_batch *b)
{
	void *room;

	b->len = b->last = b->n = 0;
	b->bad = false;
	room = batch_room(b);
	if (room)
		put_header(room, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
			   NFNL_SUBSYS_NFTABLES);
}

void nl_batch_free(struct nl_batch *b)
{
	free(b->buf);
	memset(b, 0, sizeof(*b));
}

struct nlmsghdr *nl_batch_put(struct nl_batch *b, uint16_t type, uint16_t flags)
{
	void *room;

	if (b->bad)
		return NULL;
	batch_close(b);
	room = batch_room(b);
	if (!room)
		return NULL;
	b->n++;
	return put_message(room, type, flags);
}

size_t nl_batch_size(const struct nl_batch *b)
{
	return b->len;
}

/* Numbers the messages, asks for one answer to the last, and closes the batch. That of the
 * end itself is answered since Linux 6.10 only. */
static int batch_seal(struct nl *nl, struct nl_batch *b)
{
	struct nlmsghdr *nlh = NULL;
	void *room;
	size_t off = 0;

	if (b->bad)
		return -ENOMEM;
	batch_close(b);
	nlh = (struct nlmsghdr *)(void *)(b->buf + b->last);
	nlh->nlmsg_flags |= NLM_F_ACK;
	room = batch_room(b);
	if (!room)
		return -ENOMEM;
	put_header(room, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	batch_close(b);
	for (uint32_t seq = nl->seq; off < b->len; seq++) {
		nlh = (struct nlmsghdr *)(void *)(b->buf + off);
		nlh->nlmsg_seq = seq;
		off += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return 0;
}

static int log_words(const struct nlattr *attr, void *data)
{
	const int *err = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		log_debug("firewall: kernel: %s: %s", strerror(-*err),
			  mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* The kernel's own words on an error, for the log. */
static void log_extack(const struct nlmsghdr *nlh, int err)
{
	const uint16_t both = NLM_F_ACK_TLVS | NLM_F_CAPPED;

	if (log_debug_on() && (nlh->nlmsg_flags & both) == both)
		mnl_attr_parse(nlh, sizeof(struct nlmsgerr), log_words, &err);
}

#define ERRNO_MAX 4095 /* the kernel's */

/* What an NLMSG_ERROR says: 0 or a negative errno, whatever else stands there. */
static int error_of(const struct nlmsgerr *e)
{
	return e->error > 0 || e->error < -ERRNO_MAX ? -EBADMSG : e->error;
}

struct outcome {
	uint32_t first; /* seq of the batch's beginning */
	size_t n;
	size_t failed;
	bool acked; /* the last message was reached and all is well */
	int err;    /* of the batch as a whole */
	nl_error_cb error;
	void *arg;
};

static void read_answer(struct outcome *o, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	uint32_t index = nlh->nlmsg_seq - o->first;
	int err;

	if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ||
	    index > o->n + 1)
		return; /* left over from an earlier one */
	err = error_of(e);
	if (err)
		log_extack(nlh, err);
	if (err && index >= 1 && index <= o->n) {
		o->failed++;
		if (o->error)
			o->error(o->arg, index - 1, err);
		else if (!o->err)
			o->err = err;
	} else if (err) {
		o->err = err;
	} else if (index == o->n) {
		o->acked = true;
	}
}

int nl_commit(struct nl *nl, struct nl_batch *b, nl_error_cb error, void *arg)
{
	struct outcome o = {.first = nl->seq, .n = b->n, .error = error, .arg = arg};
	int err, fd = mnl_socket_get_fd(nl->sock);

	if (!b->n && !b->bad)
		return 0;
	err = batch_seal(nl, b);
	if (err)
		return err;
	nl->seq += (uint32_t)b->n + 2;
	if (mnl_socket_sendto(nl->sock, b->buf, b->len) < 0)
		return -errno;
	/* The kernel has done its work, and its answers lie there, when send() returns. */
	for (;;) {
		ssize_t len = recv(fd, nl->rx, NL_RX, MSG_DONTWAIT);
		struct nl_datagram d = nl_datagram_of(nl->rx, len < 0 ? 0 : (size_t)len);
		const struct nlmsghdr *nlh;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno != EAGAIN)
			o.err = -errno; /* ENOBUFS: some answers are lost */
		if (len < 0)
			break;
		while ((nlh = nl_next(&d)))
			read_answer(&o, nlh);
	}
	if (o.err)
		return o.err;
	if (o.failed)
		return -ECANCELED;
	return o.acked ? 0 : -EIO;
}

int nl_commit_whole(struct nl *nl, struct nl_batch *b)
{
	return nl_commit(nl, b, NULL, NULL);
}

/* Queries */

struct nlmsghdr *nl_request(struct nl *nl, uint8_t *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = put_message(buf, type, flags);

	nlh->nlmsg_seq = nl->seq++;
	return nlh;
}

/* Waits for the next piece of an answer: the kernel goes on as soon as we read. */
static ssize_t answer_recv(int fd, void *rx, size_t room)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t len;

	for (;;) {
		len = recv(fd, rx, room, MSG_DONTWAIT);
		if (len >= 0)
			return len;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (poll(&p, 1, NL_WAIT_MS) == 0)
			return -ETIMEDOUT;
	}
}

struct answer {
	nl_message_cb each;
	void *arg;
	bool one; /* message is all of it */
	bool torn;
	int failed;
};

/* One message of the answer; 1: it was the last one. After a failure the rest is read all
 * the same, or it would stay in the way. */
static int answer_message(struct answer *a, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	int err;

	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		a->torn = true;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
			return -EBADMSG;
		err = error_of(e);
		return err ? err : 1;
	}
	if (nlh->nlmsg_type == NLMSG_DONE)
		return 1;
	if (nlh->nlmsg_type < NLMSG_MIN_TYPE || a->failed)
		return 0;
	err = a->each ? a->each(a->arg, nlh) : 0;
	a->failed = err < 0 ? err : 0;
	return a->one;
}

int nl_answer(int fd, void *rx, size_t room, const struct nlmsghdr *asked,
	      nl_message_cb each, void *arg)
{
	struct answer a = {.each = each,
			   .arg = arg,
			   .one = !(asked->nlmsg_flags & (NLM_F_DUMP | NLM_F_ACK))};
	uint32_t seq = asked->nlmsg_seq;

	for (;;) {
		ssize_t len = answer_recv(fd, rx, room);
		struct nl_datagram d = nl_datagram_of(rx, len < 0 ? 0 : (size_t)len);
		const struct nlmsghdr *nlh;

		if (len < 0)
			return (int)len;
		while ((nlh = nl_next(&d))) {
			int end = nlh->nlmsg_seq == seq ? answer_message(&a, nlh) : 0;

			if (end < 0)
				return end;
			if (end)
				return a.failed ? a.failed : a.torn ? -EINTR : 0;
		}
		if (d.bad)
			return -EBADMSG;
	}
}

int nl_query(struct nl *nl, struct nlmsghdr *req, nl_message_cb each, void *arg)
{
	if (mnl_socket_sendto(nl->sock, req, req->nlmsg_len) < 0)
		return -errno;
	return nl_answer(mnl_socket_get_fd(nl->sock), nl->rx, NL_RX, req, each, arg);
}
