/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's side of the process that asks the next gateway: runs it where the WAN's address
 * says that there is another router before us, and keeps what it was told.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/check.h"

struct event_base;
struct core_upstream;

/* NULL: no memory. */
struct core_upstream *core_upstream_new(struct event_base *base, bool debug);
void core_upstream_free(struct core_upstream *u); /* NULL is fine */

/* What the WAN is now: its interface, its address and the next hop of its default route
 * (0.0.0.0: none). Starts or stops the process, or starts it anew. */
void core_upstream_look(struct core_upstream *u, const char *wan,
			const struct in6_addr *wan4, struct in_addr gateway);

/* The process runs; takes the descriptor over. */
void core_upstream_started(struct core_upstream *u, pid_t pid, int fd);
void core_upstream_exited(struct core_upstream *u, pid_t pid);
pid_t core_upstream_pid(const struct core_upstream *u); /* 0: none */

void core_upstream_known(const struct core_upstream *u, struct check_upstream *out);
