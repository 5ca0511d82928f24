/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the parent asks the core whether it still answers, and the service manager is told
 * that the parent does. Knows no process and sends nothing: it counts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watchdog {
	uint64_t every_ms;
	uint64_t next_ms;
	unsigned int unanswered; /* questions in a row */
	bool manager;            /* wants WATCHDOG=1, sd_watchdog_enabled(3) */
};

/* Reads WATCHDOG_USEC and WATCHDOG_PID: four turns in that time, or one in 10 s. */
void watchdog_init(struct watchdog *w, uint64_t now_ms);
/* Is it time for a turn? Then counts a question to the core as asked. */
bool watchdog_turn(struct watchdog *w, uint64_t now_ms);
/* The core has answered, or is another one. */
void watchdog_heard(struct watchdog *w);
/* Has the core been silent for too long? One that serves is given two questions, one that
 * starts twelve: it may have 100,000 leases to read. Questions, not time: a machine that
 * was suspended asks no more than one too many. */
bool watchdog_hangs(const struct watchdog *w, bool serves);
