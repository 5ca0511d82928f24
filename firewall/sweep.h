/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One walk over all connections that the kernel knows, in pieces of some 100 of them, so that
 * nobody waits for the whole of a long table. Knows nothing of leases or of event loops.
 */
#pragma once

#include "firewall/conntrack.h"

struct sweep;

int sweep_open(struct sweep **out); /* -errno */
void sweep_close(struct sweep *s);  /* NULL is fine */
/* Readable when there is a piece. */
int sweep_fd(const struct sweep *s);
/* Calls `each` for those of a piece that carry TCP or UDP; `inbound` of them is not set, and so
 * bytes are of the first packet's direction ("in") and of the answers ("out"). 1: there is more
 * to come, 0: that was all, or -errno. */
int sweep_read(struct sweep *s, void (*each)(void *arg, const struct conntrack_flow *f),
	       void *arg);
