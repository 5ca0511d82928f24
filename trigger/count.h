/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * To how many different remotes each external port has sent of late. A NAT that gives every
 * inside host and port its own external port lets them be told apart by that alone. Pure:
 * knows neither packets nor clocks; times are milliseconds, and never go back.
 */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/record.h"

#define COUNT_REMOTES TRIGGER_REMOTES_MAX /* are remembered of one port */
#define COUNT_PORTS 16384 /* at a time; beyond it those that were silent longest go */

struct count;

struct count *count_new(uint32_t window_ms); /* NULL: no memory */
void count_free(struct count *c);            /* NULL is fine */

/* That port has sent to that remote now. To how many it has within the window, at most
 * COUNT_REMOTES. protocol: TCP or UDP. */
unsigned int count_add(struct count *c, uint8_t protocol, uint16_t port,
		       struct in_addr remote, uint64_t now_ms);
/* To which: as many as count_add() said last. */
size_t count_remotes(struct count *c, uint8_t protocol, uint16_t port,
		     struct in_addr remote[COUNT_REMOTES]);
/* It begins anew. */
void count_forget(struct count *c, uint8_t protocol, uint16_t port);
/* How many ports are remembered. */
size_t count_ports(const struct count *c);
