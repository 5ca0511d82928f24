/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the core's side of the store share. */
#pragma once

#include "base/channel.h"
#include "daemon/core_history.h"
#include "daemon/core_store.h"

#define SLOW_MS 60000 /* for renewals */
#define ASKED_MAX 32

struct core_store {
	struct event_base *base;
	struct core_store_options options;
	const struct core_store_ops *ops;
	void *arg;
	pid_t pid;
	struct channel *channel; /* NULL: none */
	bool loaded;             /* this store has said what it has */
	struct event *tell;
	struct event *slowly;
	struct event *load;
	struct event *ping;
	struct event *answer;
	unsigned int pings;
	struct dirty fast;
	struct dirty slow;
	bool end_due; /* `tell` comes sooner, as a lease has ended */
	bool about_due;
	/* Telling all. */
	bool sync_due;
	bool syncing;
	struct dirty_key *all;
	size_t n_all;
	size_t all_room;
	size_t all_next;
	size_t waiting_next;
	struct core_history history;
	/* Questions that wait, in the order in which they were asked. */
	struct asked {
		core_store_done done;
		void *arg;
		uint32_t tag;
		uint64_t until_ms;
	} asked[ASKED_MAX];
	size_t n_asked;
	uint32_t last_tag;
	struct store_event page[STORE_PAGE]; /* of the answer that is coming */
	size_t n_page;
};

/* The timer, unless it runs already. */
void core_store_arm(struct event *ev, unsigned int ms);
/* Something is to be told, when a second's worth of it is there. */
void core_store_tell_later(struct core_store *s);
/* A lease has ended: it is told sooner. */
void core_store_tell_end(struct core_store *s);
/* At most so many messages now. 0: fine, else why it stopped. */
int core_store_tell(struct core_store *s, unsigned int messages);
/* All events now: at most HISTORY_WAITING. */
void core_store_tell_history(struct core_store *s);
/* Stops telling all. */
void core_store_sync_end(struct core_store *s);
/* What can wait becomes due; all of it if the core ends. */
void core_store_hurry(struct core_store *s, bool all);
/* The timer's callback. */
void core_store_tell_due(int fd, short what, void *arg);
