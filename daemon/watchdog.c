/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/watchdog.h"

#include <stdlib.h>
#include <unistd.h>

#define EVERY_MS 10000
#define TURNS 4 /* in the manager's time */
#define PATIENCE 2
#define PATIENCE_START 12

/* 0: not there, or not a number. */
static uint64_t env_number(const char *name)
{
	const char *value = getenv(name);
	char *end;
	unsigned long long n;

	if (!value || *value < '0' || *value > '9')
		return 0;
	n = strtoull(value, &end, 10);
	return *end ? 0 : n;
}

void watchdog_init(struct watchdog *w, uint64_t now_ms)
{
	uint64_t ms = env_number("WATCHDOG_USEC") / 1000;
	uint64_t every = ms / TURNS ? ms / TURNS : 1;

	*w = (struct watchdog){
		.every_ms = EVERY_MS,
		.manager = ms && (!getenv("WATCHDOG_PID") ||
				  env_number("WATCHDOG_PID") == (uint64_t)getpid())};
	if (w->manager && every < EVERY_MS)
		w->every_ms = every;
	w->next_ms = now_ms + w->every_ms;
}

bool watchdog_turn(struct watchdog *w, uint64_t now_ms)
{
	if (now_ms < w->next_ms)
		return false;
	w->next_ms = now_ms + w->every_ms;
	w->unanswered++;
	return true;
}

void watchdog_heard(struct watchdog *w)
{
	w->unanswered = 0;
}

bool watchdog_hangs(const struct watchdog *w, bool serves)
{
	return w->unanswered > (serves ? PATIENCE : PATIENCE_START);
}
