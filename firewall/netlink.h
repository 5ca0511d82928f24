/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One netlink socket for nf_tables: transactions with their errors told message by message,
 * dumps and single queries; and the reading of answers for other sockets. Knows nothing of
 * what the messages say.
 */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnl_socket;

#define NL_MESSAGE_MAX (64 * 1024) /* room for each message of a batch */

struct nl {
	struct mnl_socket *sock;
	uint32_t seq;
	uint8_t *rx;
};

/* A transaction under construction; {0} is an empty one. Messages are numbered from 0. */
struct nl_batch {
	uint8_t *buf;
	size_t len;
	size_t room;
	size_t n;
	size_t last; /* where the last message begins */
	bool bad;    /* no memory: sticky until nl_batch_begin() */
};

/* -EPROTONOSUPPORT: no nfnetlink in this kernel; else -errno. */
int nl_open(struct nl *nl);
void nl_close(struct nl *nl);

void nl_batch_begin(struct nl_batch *b);
void nl_batch_free(struct nl_batch *b);
/* A new message (NFT_MSG_*) with its nfgenmsg; attributes are appended with libmnl or
 * libnftnl, up to NL_MESSAGE_MAX. NULL: no memory, the batch is bad. Ends the one before. */
struct nlmsghdr *nl_batch_put(struct nl_batch *b, uint16_t type, uint16_t flags);
size_t nl_batch_size(const struct nl_batch *b);

/* The message at `index` was refused with err (negative). */
typedef void (*nl_error_cb)(void *arg, size_t index, int err);

/*
 * Sends the batch as one transaction and reads what became of it, without waiting. 0: all
 * is done. -ECANCELED: nothing was changed, `error` was called for each message that is to
 * blame. Else -errno: nothing was changed and no message is to blame (-EPERM,
 * -EOPNOTSUPP: no nf_tables, -ENOBUFS ...). An empty batch is done at once.
 */
int nl_commit(struct nl *nl, struct nl_batch *b, nl_error_cb error, void *arg);
/* The same for batches where it does not matter which message is to blame: its errno. */
int nl_commit_whole(struct nl *nl, struct nl_batch *b);

/* A request outside of a transaction, to be filled in like a message of a batch. */
struct nlmsghdr *nl_request(struct nl *nl, uint8_t *buf, uint16_t type, uint16_t flags);
#define NL_REQUEST_MAX 1024

/* Called for each message of an answer; after a negative errno for no more of them. */
typedef int (*nl_message_cb)(void *arg, const struct nlmsghdr *nlh);

/* Sends a request of nl_request() and reads all of the answer; as for nl_answer(). */
int nl_query(struct nl *nl, struct nlmsghdr *nlh, nl_message_cb each, void *arg);

/* Reads all of the answer to that request, of any family of netlink: of one with neither
 * NLM_F_DUMP nor NLM_F_ACK that is one message. rx has room for the longest datagram, and may be
 * where the request is. Returns what `each` returned, the kernel's error, -EINTR: the kernel's
 * tables changed while they were dumped: do it again; -EBADMSG, -ETIMEDOUT. */
int nl_answer(int fd, void *rx, size_t room, const struct nlmsghdr *asked,
	      nl_message_cb each, void *arg);

/* A datagram as it was received: messages, one behind the other. */
struct nl_datagram {
	const uint8_t *pos;
	size_t left;
	bool bad; /* one did not lie in it whole; nothing comes after that */
};

static inline struct nl_datagram nl_datagram_of(const void *buf, size_t len)
{
	return (struct nl_datagram){.pos = buf, .left = len};
}

/* The next message, all nlmsg_len bytes of which (at least a header) are there; NULL: none.
 * buf is aligned as a nlmsghdr is. */
const struct nlmsghdr *nl_next(struct nl_datagram *d);
