/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The UPnP worker of one LAN: ties the channel to the core, the HTTP front, the actions and
 * the engine together, in one loop.
 */
#pragma once

#include "base/record.h"

struct event_base;
struct worker;

/* Takes the channel's descriptor over. NULL: no memory. */
struct worker *worker_new(struct event_base *base, int channel_fd);

/* What to do between the core's set-up record and serving, once: shut the process in.
 * -errno ends it. */
void worker_set_enter(struct worker *w, int (*enter)(void));

/* Says good-bye on the LAN, then leaves the loop; within a second in any case. */
void worker_stop(struct worker *w);

/* After the loop: 0, or 1 if it ended for an error that was logged. */
int worker_status(const struct worker *w);
