/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a LAN is told unasked: when to send the two announcements and what is in them (RFC
 * 6886 section 3.2.1, RFC 6887 section 14.1.3). Knows nothing of sockets or clocks; callers
 * pass the time, in milliseconds of CLOCK_BOOTTIME.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCE_PORT 5350
#define ANNOUNCE_TIMES 10
#define ANNOUNCE_GAP_MS 250 /* the first; each is twice as long as the one before */
#define ANNOUNCE_NEVER UINT64_MAX

struct announce {
	bool natpmp;
	bool pcp;
	bool known; /* a state was seen */
	struct in6_addr wan;
	uint64_t epoch_ms;
	unsigned int left; /* to be sent of this series */
	uint64_t due_ms;
	uint64_t gap_ms;
	uint64_t put_ms; /* one that has yet to leave counts as sent at that time; or 0 */
};

void announce_init(struct announce *a, bool natpmp, bool pcp);

/* The first state, another epoch, or a new external address begins the series anew. */
void announce_state(struct announce *a, const struct in6_addr *wan, uint64_t epoch_ms,
		    uint64_t now_ms);

/* When the next one is due; ANNOUNCE_NEVER. */
uint64_t announce_next(const struct announce *a);
/* Is one due? Counts it as sent if so. */
bool announce_due(struct announce *a, uint64_t now_ms);
/* It has left: the next one is due so much later. */
void announce_sent(struct announce *a, uint64_t now_ms);

/* The writers return the length; 0: nothing to be said of that, or no room. */
size_t announce_natpmp(const struct announce *a, uint64_t now_ms, void *out, size_t room);
size_t announce_pcp(const struct announce *a, uint64_t now_ms, void *out, size_t room);
