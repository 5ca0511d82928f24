/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often work that others can cause may be done: at once while it is rare, then at a
 * steady pace, and never with more than a share of one CPU. Pure; callers pass the time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct pace {
	uint32_t burst;    /* so many in a row without waiting */
	uint32_t every_ms; /* then one in so many milliseconds */
	uint32_t share;    /* rest at least so many times as long as the work took ... */
	uint32_t spare_ms; /* ... but so much of the rest may be put off */
	uint32_t used;     /* of the burst */
	uint64_t since_ms; /* from when on what was used comes back */
	uint64_t rest_until_ms;
};

/* How long to wait before the next; 0: not at all. */
uint64_t pace_wait(struct pace *p, uint64_t now_ms);
/* It was done, took so long and ended now. */
void pace_done(struct pace *p, uint64_t now_ms, uint64_t took_us);
/* What this thread has used of a CPU so far. */
static inline uint64_t pace_cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Has the burst been used up? */
bool pace_is_slow(const struct pace *p);
