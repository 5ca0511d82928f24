/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of the SOCK_SEQPACKET pair between the core and a worker or the store. Checks
 * each message by kind, count and exact length; knows nothing of what the records mean.
 */
#pragma once

#include <stddef.h>

#include "base/record.h"

#define CHANNEL_FD 3        /* where a worker finds its end */
#define CHANNEL_FDS 4       /* at most so many descriptors come with a message */
#define CHANNEL_FLIGHT 1024 /* requests that a worker may have unanswered */

struct event_base;
struct channel;

/* On which side we stand. */
enum channel_side {
	CHANNEL_CORE, /* facing a worker */
	CHANNEL_WORKER,
	CHANNEL_STORES_CORE, /* facing the store */
	CHANNEL_STORE,
	CHANNEL_UPSTREAMS_CORE, /* facing upstream */
	CHANNEL_UPSTREAM,
	CHANNEL_TRIGGERS_CORE, /* facing the trigger worker */
	CHANNEL_TRIGGER,
};

struct channel_ops {
	/* A well-formed message. The descriptors are the callee's from now on. The channel may
	 * be freed from here. */
	void (*message)(void *arg, enum record_kind kind, const void *records,
			size_t count, const int *fds, size_t n_fds);
	/* 0: the other side closed; -EBADMSG: it sent something malformed; else -errno.
	 * Called once, nothing is read afterwards; the callee frees the channel. */
	void (*closed)(void *arg, int err);
};

/* Takes the descriptor over, also on failure. NULL: no memory. */
struct channel *channel_new(struct event_base *base, int fd, enum channel_side side,
			    const struct channel_ops *ops, void *arg);
void channel_free(struct channel *ch); /* closes; NULL is fine */

/* Sends one message at once. -EAGAIN: the other side does not read; -errno. */
int channel_send(struct channel *ch, enum record_kind kind, const void *records,
		 size_t count);
/* The same with descriptors, which stay the caller's. */
int channel_send_fds(struct channel *ch, enum record_kind kind, const void *records,
		     size_t count, const int *fds, size_t n_fds);

/* Gathers records of one kind and sends them when 32 are there, when another kind comes,
 * or at channel_flush(). Same errors; those that could not be sent are dropped. */
int channel_put(struct channel *ch, enum record_kind kind, const void *record);
int channel_flush(struct channel *ch);

/* Reads no more until it is resumed; what the other side sends waits in the socket. */
void channel_pause(struct channel *ch, bool pause);

/* How many messages may be read in one turn of the loop before others get theirs. */
void channel_set_burst(struct channel *ch, unsigned int messages);
