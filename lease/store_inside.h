/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the store share: the open file, its statements and its transaction. */
#pragma once

#include <sqlite3.h>

#include "lease/store.h"

enum store_statement {
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ABOUT_PUT,
	STORE_LEASE_PUT,
	STORE_LEASE_DROP,
	STORE_LEASE_EACH,
	STORE_SEEN_PUT,
	STORE_SEEN_CLEAR,
	STORE_SWEEP,
	STORE_HISTORY_PUT,
	STORE_HISTORY_ASK,
	STORE_HISTORY_NEWEST,
	STORE_HISTORY_CUT,
	STORE_HISTORY_AGE,
	STORE_HISTORY_MOVE,
	STORE_STATEMENTS,
};

struct store {
	struct store_options options;
	sqlite3 *db; /* NULL: not open */
	sqlite3_stmt *statement[STORE_STATEMENTS];
	int64_t base_ms; /* of the axis: its time is CLOCK_BOOTTIME plus this */
	bool in_transaction;
	bool goes_on; /* STORE_ORDERLY has gone, and the disk knows */
	bool syncing;
	bool history_grew;
	struct store_about about;
	bool has_about;
	int64_t wall_offset_ms; /* wall clock less CLOCK_BOOTTIME, at the last commit */
	int64_t history_first;  /* the first event of this boot; 0: none yet */
	uint64_t aged_ms;       /* when old events were last looked for */
};

/* The statement, bound to nothing. */
sqlite3_stmt *store_statement(struct store *s, enum store_statement which);
/* Runs it to its end. 0, or what store_fail() says. */
int store_run(struct store *s, sqlite3_stmt *st);
/* The transaction that changes go into. */
int store_begin(struct store *s);
/* What SQLite's last error is to a caller; closes. */
int store_fail(struct store *s);

/* At a commit: events of a wall clock that was set meanwhile, too many, too old ones. */
int store_history_settle(struct store *s, struct store_clock now);
