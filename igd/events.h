/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The evented variables: what they are now, which of them subscribers do not know yet, and
 * when they may be told (at most five times a second). Pure.
 */
#pragma once

#include "igd/actions.h"

#define EVENTS_GAP_MS 200
#define EVENTS_VARIABLES 5 /* of one service, at most */
#define EVENTS_VALUE_MAX 159

enum events_bit {
	EVENTS_EXTERNAL = 1,
	EVENTS_STATUS = 2, /* ConnectionStatus and PhysicalLinkStatus */
	EVENTS_ENTRIES = 4,
	EVENTS_UPDATE = 8,
	EVENTS_FIXED = 16, /* what never changes: in the first event only */
	EVENTS_ALL = 31,
};

struct events {
	struct record_state told; /* what subscribers know */
	uint64_t next_ms;         /* not before */
};

/* The variables that are another's now than those that were told. */
unsigned int events_changed(const struct record_state *told,
			    const struct record_state *now);

/* The variables that changed and may be told now; they count as told from here on. 0: none,
 * or not yet: then *wait_ms says when to ask again, else it is 0. */
unsigned int events_take(struct events *e, const struct record_state *now,
			 uint64_t now_ms, uint64_t *wait_ms);

struct events_set {
	size_t n;
	const char *names[EVENTS_VARIABLES];
	char values[EVENTS_VARIABLES][EVENTS_VALUE_MAX + 1]; /* fit for XML as they are */
};

/* Those of one service among the bits. */
void events_write(struct events_set *set, unsigned int face, enum igd_service service,
		  unsigned int bits, const struct record_state *s,
		  const char *connection);
