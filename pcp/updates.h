/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PCP clients were told of their mappings, so that they can be told again when the
 * external address becomes another one (RFC 6887 section 14.2). Knows nothing of sockets or
 * clocks; callers pass the time, in milliseconds of CLOCK_BOOTTIME.
 *
 * Bounded: who was told longest ago is forgotten first. Every call is constant work.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/record.h"
#include "pcp/peer.h"

#define UPDATES_MAX 16384
#define UPDATES_TIMES 3  /* each client is told, 250 and 500 ms apart */
#define UPDATES_LOOK 256 /* entries that one updates_step() looks at */
#define UPDATES_NEVER UINT64_MAX

struct update {
	struct server_peer to;
	struct in6_addr internal; /* with protocol and int_port: the key */
	uint8_t protocol;
	bool exact_addr; /* that external address or none: it had PREFER_FAILURE */
	uint16_t int_port;
	uint16_t ext_port;
	uint16_t options_len;
	uint8_t nonce[PCP_NONCE_LEN];
	struct in6_addr ext_addr; /* as it was told last */
	uint64_t until_ms;
	uint8_t *options; /* those that go into each update; NULL: none */
};

struct updates;

struct updates *updates_new(uint64_t seed); /* NULL: no memory */
void updates_free(struct updates *u);       /* NULL is fine */

/* This client knows of its mapping now. The options are copied. Without memory the mapping is
 * not remembered: its client learns of the change by the announcement. */
void updates_put(struct updates *u, const struct update *told);
void updates_drop(struct updates *u, uint8_t protocol, const struct in6_addr *internal,
		  uint16_t int_port);
/* The mappings are lost. */
void updates_clear(struct updates *u);
size_t updates_count(const struct updates *u);

/* Everybody who is remembered now is to be told, until he is put again. */
void updates_begin(struct updates *u);
/* When to call updates_step(); 0: at once, UPDATES_NEVER. */
uint64_t updates_next(const struct updates *u);
/* One to be told now, valid until the next call; or NULL: see updates_next(). */
const struct update *updates_step(struct updates *u, uint64_t now_ms);
/* Was that one's first of this change? */
bool updates_first(const struct updates *u);
/* A mapping that is remembered, or NULL; it is told only now. Valid until the next call. */
const struct update *updates_told(struct updates *u, uint8_t protocol,
				  const struct in6_addr *internal, uint16_t int_port,
				  uint64_t now_ms);
/* Those that were told until now have left: the next ones are due so much later. */
void updates_sent(struct updates *u, uint64_t now_ms);
