/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's side of its workers: who is wanted, who answers, what came. Believes a worker
 * nothing that its channel does not prove: the LAN and the protocol of a request are the
 * channel's. Knows neither leases nor the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/channel.h"
#include "daemon/role.h"

struct event_base;
struct workers;

/* Names a worker process; a later one in its place has another id. */
typedef uint32_t worker_id;

struct workers_ops {
	/* What a new worker must know, and its sockets (the caller's until sent, then closed).
	 * -errno: not now; it is tried again a little later. */
	int (*setup)(void *arg, enum role role, uint16_t lan, struct record_setup *setup,
		     int fds[CHANNEL_FDS], size_t *n_fds);
	/* The present state. */
	void (*state)(void *arg, struct record_state *state);
	/* A well-formed request of a host on that LAN; answered by workers_answer(). */
	void (*request)(void *arg, worker_id from, uint16_t lan,
			const struct lease_request *req);
	/* Someone became ready, or is gone. */
	void (*changed)(void *arg);
	/* Up to `max` leases of that LAN's hosts from a place on; *place becomes where to go
	 * on, 0: that was all. The number. */
	size_t (*list)(void *arg, uint16_t lan, uint32_t *place, struct record_row *rows,
		       size_t max);
};

/* parent: the channel on which starts and stops are asked for; stays the caller's. */
struct workers *workers_new(struct event_base *base, int parent,
			    const struct workers_ops *ops, void *arg);
void workers_free(struct workers *w);

/* Do we want that worker? Starts or stops it as needed. */
void workers_want(struct workers *w, enum role role, uint16_t lan, bool want);
/* It must learn of new addresses: the old one says good-bye, a new one comes. */
void workers_restart(struct workers *w, enum role role, uint16_t lan);

/* What the parent tells. Takes the descriptor over. */
void workers_started(struct workers *w, enum role role, uint16_t lan, pid_t pid, int fd);
void workers_exited(struct workers *w, enum role role, uint16_t lan, pid_t pid);

/* Queues an answer; one to a worker that is gone is dropped. */
void workers_answer(struct workers *w, worker_id to, const struct lease_reply *reply);
/* Sends what is queued. */
void workers_flush(struct workers *w);
/* Sends the present state to all. */
void workers_send_state(struct workers *w);

/* Is everyone who is wanted ready? */
bool workers_ready(const struct workers *w);
void workers_each(const struct workers *w,
		  void (*each)(void *arg, enum role role, uint16_t lan, pid_t pid,
			       bool ready),
		  void *arg);
