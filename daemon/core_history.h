/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events on their way to the store's history. Bounded: what is too much is dropped and
 * counted. The same refusal over and over is one event a minute, with its number of times.
 * Pure; knows no store.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lease/lease.h"

#define HISTORY_WAITING 1024
#define HISTORY_REFUSALS 256
#define HISTORY_REPEAT_MS 60000

struct core_history {
	struct store_event waiting[HISTORY_WAITING];
	size_t first;
	size_t n;
	uint32_t lost;
	uint64_t lost_ms; /* since then */
	struct history_refusal {
		struct store_event event; /* times: not told yet */
		uint64_t told_ms;         /* 0: free */
	} refusal[HISTORY_REFUSALS];
};

/* What a step is as an event, a renewal as a grant. */
void core_history_event(const struct lease_change *s, uint64_t now_ms,
			struct store_event *e);
/* And a refusal. */
void core_history_refusal(const struct lease_request *req, enum lease_reason reason,
			  uint64_t now_ms, struct store_event *e);
/* A grant or an end; renewals are no events. */
void core_history_step(struct core_history *h, const struct lease_change *s,
		       uint64_t now_ms);
/* Is it another one than in the minute before? */
bool core_history_refused(struct core_history *h, const struct lease_request *req,
			  enum lease_reason reason, uint64_t now_ms);
void core_history_restored(struct core_history *h, uint32_t leases, uint64_t now_ms);
/* Refusals that have gone on for a minute become events. Are there still more to come? */
bool core_history_gather(struct core_history *h, uint64_t now_ms, bool all);
/* Are there any? */
bool core_history_waits(const struct core_history *h);
/* The next one to be told, which stays until it was taken. NULL: none. */
const struct store_event *core_history_next(struct core_history *h);
void core_history_took(struct core_history *h);
