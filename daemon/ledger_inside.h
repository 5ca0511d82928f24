/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the ledger share. */
#pragma once

#include "daemon/ledger.h"

#define LEDGER_STEPS 1024 /* and requests of one transaction; more are split */

/* A request that waits for the kernel, and its steps. */
struct ledger_waiter {
	bool asked;    /* false: steps of the clock, nobody waits */
	bool restored; /* the step of a lease that was kept over a reboot */
	uint64_t to;
	size_t first;
	size_t n;
	struct lease_reply reply;
};

struct ledger {
	struct registry *book;
	struct firewall *fw;
	const struct ledger_ops *ops;
	void *arg;
	struct in6_addr wan4;
	uint32_t update_id;
	struct event *commit; /* low priority: when nothing else is ready */
	struct event *due;
	uint64_t due_at;
	struct lease_changes changes;
	struct ledger_result {
		int err;       /* of the step with this number */
		size_t staged; /* the number of the step that was staged as this one */
	} * result;
	size_t result_room;
	struct ledger_waiter *waiter;
	size_t n_waiters;
	size_t waiter_room;
	struct ledger_orphan {
		struct lease lease;
		bool kept; /* over a reboot: the kernel does not have it */
	} * orphan;        /* found at the start, of a LAN without an address */
	size_t n_orphans;
	size_t orphan_room;
	uint64_t since_ms; /* when we started */
	size_t n_restored;
};

void ledger_log_not_allowed(void *arg, const struct lease *lease,
			    enum lease_reason reason);
/* A new waiter whose steps begin here; NULL: no memory. */
struct ledger_waiter *ledger_waiter(struct ledger *l);
/* Closes the newest waiter: its steps end here. Makes room for their results. */
int ledger_waiter_end(struct ledger *l);
/* The timer of what is due next. */
void ledger_arm(struct ledger *l);
/* Of steps without which nothing can be helped. */
void ledger_ignore_result(void *arg, size_t i, int err);
