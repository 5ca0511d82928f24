/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's side of the process that counts to how many remotes a port sends: runs it, opens
 * the packet log for it, and hands on what it says. Knows neither leases nor flows.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/record.h"

struct core_trigger;
struct event_base;

struct core_trigger_ops {
	/* A process is about to hear of packets: what was told before was lost. */
	void (*begins)(void *arg);
	void (*event)(void *arg, const struct trigger_event *e);
	/* core_trigger_settled() may say something else now. */
	void (*changed)(void *arg);
};

/* NULL: no memory. */
struct core_trigger *core_trigger_new(struct event_base *base,
				      const struct core_trigger_ops *ops, void *arg);
void core_trigger_free(struct core_trigger *t); /* NULL is fine */

/* What it has to know (but the groups); NULL: it is not wanted. Starts or stops the process,
 * or starts it anew. */
void core_trigger_want(struct core_trigger *t, const struct trigger_setup *setup);

/* The process runs; takes the descriptor over. */
void core_trigger_started(struct core_trigger *t, pid_t pid, int fd);
void core_trigger_exited(struct core_trigger *t, pid_t pid);
pid_t core_trigger_pid(const struct core_trigger *t); /* 0: none */

/* Does it hear of packets, or is it known that it cannot, or not wanted? */
bool core_trigger_settled(const struct core_trigger *t);
/* Is it wanted, and the packet log not to be had? */
bool core_trigger_deaf(const struct core_trigger *t);
