/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks the next gateway for its external address by NAT-PMP (RFC 6886 section 3.2), through
 * libnatpmp. Knows neither the core nor what the answer is good for.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#define NATPMP_PATIENCE_MS 4000 /* four tries: 250 ms, then twice as long each time */

struct event_base;
struct natpmp_query;

/* external: 0.0.0.0 where it does not answer, or answers without one. */
typedef void (*natpmp_done_cb)(void *arg, bool answers, struct in_addr external);

/* fd: a UDP socket that is connected to port 5351 of that gateway; stays the caller's. `done`
 * is called once, never from in here. NULL: no memory. */
struct natpmp_query *natpmp_ask(struct event_base *base, int fd, struct in_addr gateway,
				natpmp_done_cb done, void *arg);
/* Also before it is done; NULL is fine. */
void natpmp_free(struct natpmp_query *q);
