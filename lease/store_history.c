/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store's history: what happened, for people. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "lease/store_inside.h"

#define CLOCK_STEP_MS 5000 /* less is drift */
#define AGE_EVERY_MS 3600000
#define DAY_MS 86400000ULL

int store_add(struct store *s, const struct store_event *e)
{
	int64_t time_ms = (int64_t)e->time_ms + s->wall_offset_ms;
	int err = store_begin(s);
	sqlite3_stmt *st;

	if (err)
		return err;
	st = store_statement(s, STORE_HISTORY_PUT);
	sqlite3_bind_int64(st, 1, time_ms);
	sqlite3_bind_int(st, 2, e->what);
	sqlite3_bind_int(st, 3, e->reason);
	sqlite3_bind_int(st, 4, e->by);
	sqlite3_bind_int(st, 5, e->protocol);
	sqlite3_bind_int(st, 6, e->ext_port);
	sqlite3_bind_int(st, 7, e->int_port);
	sqlite3_bind_blob(st, 8, &e->internal, sizeof(e->internal), SQLITE_STATIC);
	if (e->remote_len)
		sqlite3_bind_blob(st, 9, &e->remote, sizeof(e->remote), SQLITE_STATIC);
	sqlite3_bind_int(st, 10, e->remote_len);
	sqlite3_bind_int64(st, 11, e->seconds);
	sqlite3_bind_int64(st, 12, e->times);
	sqlite3_bind_text(st, 13, e->description, -1, SQLITE_STATIC);
	err = store_run(s, st);
	if (err)
		return err;
	s->history_grew = true;
	if (!s->history_first)
		s->history_first = sqlite3_last_insert_rowid(s->db);
	return 0;
}

static void take_addr(sqlite3_stmt *st, int column, struct in6_addr *out)
{
	if (sqlite3_column_bytes(st, column) == sizeof(*out))
		memcpy(out, sqlite3_column_blob(st, column), sizeof(*out));
}

/* A row, as wide as it may be; store_event_valid() judges it. */
static void take_event(sqlite3_stmt *st, struct store_event *e)
{
	const char *text = (const char *)sqlite3_column_text(st, 13);

	*e = (struct store_event){
		.id = (uint64_t)sqlite3_column_int64(st, 0),
		.time_ms = (uint64_t)sqlite3_column_int64(st, 1),
		.what = (uint8_t)sqlite3_column_int(st, 2),
		.reason = (uint8_t)sqlite3_column_int(st, 3),
		.by = (uint8_t)sqlite3_column_int(st, 4),
		.protocol = (uint8_t)sqlite3_column_int(st, 5),
		.ext_port = (uint16_t)sqlite3_column_int(st, 6),
		.int_port = (uint16_t)sqlite3_column_int(st, 7),
		.remote_len = (uint8_t)sqlite3_column_int(st, 10),
		.seconds = (uint32_t)sqlite3_column_int64(st, 11),
		.times = (uint32_t)sqlite3_column_int64(st, 12),
	};
	take_addr(st, 8, &e->internal);
	take_addr(st, 9, &e->remote);
	if (text)
		memcpy(e->description, text, strnlen(text, LEASE_DESCRIPTION_MAX));
}

int store_ask(struct store *s, const struct store_question *q,
	      void (*each)(void *arg, const struct store_event *e), void *arg,
	      struct store_answer *answer)
{
	int64_t since = q->since_ms > INT64_MAX ? INT64_MAX : (int64_t)q->since_ms;
	int64_t after = q->after > INT64_MAX ? INT64_MAX : (int64_t)q->after;
	sqlite3_stmt *st;
	unsigned int n = 0;
	int rc;

	*answer = (struct store_answer){.tag = q->tag, .next = q->after};
	if (!s->db)
		return -EBADF;
	st = store_statement(s, q->newest ? STORE_HISTORY_NEWEST : STORE_HISTORY_ASK);
	sqlite3_bind_int64(st, 1, after);
	sqlite3_bind_int64(st, 2, since);
	if (!addr_is_none(&q->host))
		sqlite3_bind_blob(st, 3, &q->host, sizeof(q->host), SQLITE_STATIC);
	sqlite3_bind_int(st, 4, q->protocol);
	sqlite3_bind_int(st, 5, q->port);
	sqlite3_bind_int(st, 6, q->limit + 1); /* one more tells whether there is more */
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_event e;

		if (n++ == q->limit) {
			answer->more = 1;
			break;
		}
		take_event(st, &e);
		e.tag = q->tag;
		answer->next = e.id;
		if (store_event_valid(&e))
			each(arg, &e);
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return store_fail(s);
	sqlite3_reset(st);
	return 0;
}

/* The events of this boot have the wall clock's time as it is known now. */
static int history_move(struct store *s, struct store_clock now)
{
	int64_t offset = (int64_t)(now.wall_ms - now.boot_ms);
	int64_t step = offset - s->wall_offset_ms;
	sqlite3_stmt *st;

	if (step < CLOCK_STEP_MS && step > -CLOCK_STEP_MS)
		return 0;
	s->wall_offset_ms = offset;
	if (!s->history_first)
		return 0;
	st = store_statement(s, STORE_HISTORY_MOVE);
	sqlite3_bind_int64(st, 1, step);
	sqlite3_bind_int64(st, 2, s->history_first);
	return store_run(s, st);
}

int store_history_settle(struct store *s, struct store_clock now)
{
	uint64_t days_ms = s->options.history_days * DAY_MS;
	int err = history_move(s, now);
	sqlite3_stmt *st;

	if (!err && s->history_grew) {
		st = store_statement(s, STORE_HISTORY_CUT);
		sqlite3_bind_int64(st, 1, s->options.history_rows);
		err = store_run(s, st);
		s->history_grew = false;
	}
	if (err || now.wall_ms < days_ms ||
	    (s->aged_ms && now.boot_ms - s->aged_ms < AGE_EVERY_MS))
		return err;
	s->aged_ms = now.boot_ms;
	st = store_statement(s, STORE_HISTORY_AGE);
	sqlite3_bind_int64(st, 1, (int64_t)(now.wall_ms - days_ms));
	return store_run(s, st);
}
