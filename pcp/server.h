/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NAT-PMP and PCP server of one LAN: what to answer to a datagram at once, what to ask
 * the core, and what to answer when its reply has come. Knows nothing of sockets or clocks;
 * callers pass the time, in milliseconds of CLOCK_BOOTTIME.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/record.h"
#include "pcp/pcp.h"
#include "pcp/peer.h"

#define SERVER_PORT 5351
/* Room for a datagram: all we accept and a little, so that an overlong one shows. */
#define SERVER_DATAGRAM (PCP_MAX_LEN + 4)

struct server_answer {
	struct server_peer to;
	size_t len;
	uint8_t data[PCP_MAX_LEN];
};

enum server_verdict {
	SERVER_SILENT, /* nothing is to be done */
	SERVER_ANSWER, /* the answer is to be sent */
	SERVER_ASK,    /* the request is to go to the core */
};

struct server;

/* Serves what the set-up says, once server_set_state() was called. NULL: no memory. */
struct server *server_new(const struct record_setup *setup);
void server_free(struct server *srv); /* NULL is fine */

void server_set_state(struct server *srv, const struct record_state *state);
/* Which of the two are served; the other's clients are told so (RFC 6886 3.5, RFC 6887
 * appendix A). */
void server_set_protocols(struct server *srv, bool natpmp, bool pcp);

/* A datagram has come. Fills *answer or *ask as the verdict says. */
enum server_verdict server_handle(struct server *srv, const struct server_peer *from,
				  const void *buf, size_t len, uint64_t now_ms,
				  struct server_answer *answer,
				  struct lease_request *ask);

/* The core's reply. True: *answer is to be sent. Unknown tags are ignored. */
bool server_reply(struct server *srv, const struct lease_reply *reply, uint64_t now_ms,
		  struct server_answer *answer);

/* The request of that tag did not reach the core: its client gets no answer, asks again. */
void server_cancel(struct server *srv, uint32_t tag);

/* Clients that must hear of a new external address without having asked (RFC 6887 section
 * 14.2). Whether there is such a mapping still is asked of the core first. Not SERVER_SILENT:
 * there may be more. */
enum server_verdict server_update(struct server *srv, uint64_t now_ms,
				  struct server_answer *answer,
				  struct lease_request *ask);
/* When to call that; 0: at once, UINT64_MAX: never as things stand. */
uint64_t server_next_update(const struct server *srv);
/* What was answered until now has left. */
void server_sent(struct server *srv, uint64_t now_ms);

/* How many requests wait for the core. */
size_t server_waiting(const struct server *srv);
