/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one clock of deadlines: milliseconds of CLOCK_BOOTTIME, which runs on through
 * suspend and knows no clock steps. Pure modules are passed the time instead.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* Milliseconds since boot. */
static inline uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
