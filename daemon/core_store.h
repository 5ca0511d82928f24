/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's side of the store: tells it, a second late, what has changed (of ends a tenth of
 * that), and is told what it had kept. Never waits for it. Knows neither the kernel nor SQLite.
 *
 * What is told of a lease is how it is when it is told: changes are noted by their key only,
 * so that many of one lease cost one record, and none can be lost. When more keys have changed
 * than can be noted, or the store lost what it was told, all leases are told from the start,
 * and the store forgets the others. Events for the history are dropped when the store does not
 * keep up; how many is in the history afterwards.
 *
 * Flash wears: the store writes once a second at most. Renewals alone, as long as they move the
 * end by less than a quarter of what is left of the lease, are told once a minute.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/dirty.h"
#include "lease/lease.h"

struct event_base;
struct core_store;

struct core_store_ops {
	/* The lease of that key; NULL: it has ended. Borrowed until the next call. */
	const struct lease *(*find)(void *arg, const struct dirty_key *key);
	/* Calls `each` for all leases that are to be kept. */
	void (*each)(void *arg, void (*each)(void *each_arg, const struct lease *l),
		     void *each_arg);
	/* The i-th of those that are to be kept and not to be found by either; NULL: no more.
	 * When they change, core_store_sync() has to be told. */
	const struct lease *(*waiting)(void *arg, size_t i);
	void (*about)(void *arg, struct store_about *about);
	/* A lease that was kept, as asked for by `load`. */
	void (*kept)(void *arg, const struct lease *l);
	/* Those were all. NULL: the store takes too long, what it has may come later. Called
	 * with NULL at most once; then, or without, at each start of a store that loaded. */
	void (*loaded)(void *arg, const struct store_loaded *l);
	/* Has the parent start it, or kill one that hangs; the parent starts another. */
	void (*want)(void *arg, bool kill);
	/* It knows all leases there are, after a start or when it could not be told of some. */
	void (*synced)(void *arg);
};

struct core_store_options {
	uint32_t history_days;
	uint32_t history_rows;
	bool debug;
	bool load; /* ask for the leases that were kept */
	uint64_t seed;
};

/* Wants the store started. NULL: no memory. */
struct core_store *core_store_new(struct event_base *base,
				  const struct core_store_options *o,
				  const struct core_store_ops *ops, void *arg);
void core_store_free(struct core_store *s);
/* Has the store said what it kept? Before that nothing is told to it. */
bool core_store_loaded(const struct core_store *s);
/* Tells all that it has not told yet: the core ends in order. */
void core_store_bye(struct core_store *s);

/* Other bounds of the history. */
void core_store_bound(struct core_store *s, uint32_t days, uint32_t rows);

/* A store process runs; takes the descriptor over. */
void core_store_started(struct core_store *s, pid_t pid, int fd);
void core_store_exited(struct core_store *s, pid_t pid);
pid_t core_store_pid(const struct core_store *s); /* 0: none */

/* What the kernel has done. */
void core_store_step(struct core_store *s, const struct lease_change *step);
/* Is it another one than in the minute before? */
bool core_store_refused(struct core_store *s, const struct lease_request *req,
			enum lease_reason reason);
/* So many leases came back. */
void core_store_restored(struct core_store *s, uint32_t leases);
/* All leases are to be told; what was noted so far is among them. */
void core_store_sync(struct core_store *s);
/* The epoch or the address of the WAN is another. */
void core_store_about(struct core_store *s);

/* A page of the history. `done` comes exactly once, and may come before this returns: answer
 * NULL: the store does not answer; events are borrowed. q->tag is chosen here. */
typedef void (*core_store_done)(void *arg, const struct store_answer *answer,
				const struct store_event *events, size_t n);
void core_store_ask(struct core_store *s, const struct store_question *q,
		    core_store_done done, void *arg);
