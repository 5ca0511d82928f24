/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "lease/store_inside.h"
#include "lease/store_row.h"

#define STORE_APPLICATION 0x706f7274 /* "port": in the file's head */
/* Where the axis of a new file begins: what is older than the file is after zero too. */
#define STORE_AXIS_START (INT64_C(1) << 40)
#define STORE_OFF_MAX (INT64_C(10) * 365 * 86400 * 1000)

/* What leads from each version of the file to the next. */
static const char *const schema[STORE_SCHEMA] = {
	"CREATE TABLE about(id INTEGER PRIMARY KEY CHECK(id = 1), boot BLOB, axis INTEGER,"
	" wall INTEGER, base INTEGER, clean INTEGER, epoch INTEGER, wan4 BLOB,"
	" first INTEGER);"
	"CREATE TABLE lease(key BLOB PRIMARY KEY, twin INTEGER, body BLOB) WITHOUT ROWID;"
	"CREATE TABLE history(id INTEGER PRIMARY KEY, time INTEGER, what INTEGER,"
	" reason INTEGER, \"by\" INTEGER, protocol INTEGER, ext_port INTEGER,"
	" int_port INTEGER, internal BLOB, remote BLOB, remote_len INTEGER,"
	" seconds INTEGER, times INTEGER, description TEXT);",
	"ALTER TABLE about DROP COLUMN clean",
};

#define HISTORY_ASK                                                                      \
	"SELECT * FROM history WHERE id > ?1 AND time >= ?2"                             \
	" AND (?3 IS NULL OR internal = ?3) AND (?4 = 0 OR protocol = ?4)"               \
	" AND (?5 = 0 OR ext_port = ?5 OR int_port = ?5) "

static const char *const statements[STORE_STATEMENTS] = {
	[STORE_BEGIN] = "BEGIN",
	[STORE_COMMIT] = "COMMIT",
	[STORE_ABOUT_PUT] = "INSERT OR REPLACE INTO about VALUES(1,?,?,?,?,?,?,?)",
	[STORE_LEASE_PUT] =
		"INSERT INTO lease VALUES(?1,?2,?3) ON CONFLICT(key) DO UPDATE SET"
		" twin = ?2, body = ?3 WHERE twin != ?2 OR body != ?3",
	[STORE_LEASE_DROP] = "DELETE FROM lease WHERE key = ?",
	[STORE_LEASE_EACH] = "SELECT key, body FROM lease WHERE twin = ?",
	[STORE_SEEN_PUT] = "INSERT OR IGNORE INTO temp.seen VALUES(?)",
	[STORE_SEEN_CLEAR] = "DELETE FROM temp.seen",
	[STORE_SWEEP] = "DELETE FROM lease WHERE key NOT IN (SELECT key FROM temp.seen)",
	[STORE_HISTORY_PUT] =
		"INSERT INTO history(time, what, reason, \"by\", protocol, ext_port,"
		" int_port, internal, remote, remote_len, seconds, times, description)"
		" VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[STORE_HISTORY_ASK] = HISTORY_ASK "ORDER BY id LIMIT ?6",
	[STORE_HISTORY_NEWEST] = HISTORY_ASK "ORDER BY id DESC LIMIT ?6",
	[STORE_HISTORY_CUT] =
		"DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?",
	/* Few at a time: a wall clock that is wrong for an hour costs no more than these. */
	[STORE_HISTORY_AGE] =
		"DELETE FROM history WHERE id < (SELECT min(id) FROM history) + 1000"
		" AND time < ?",
	[STORE_HISTORY_MOVE] = "UPDATE history SET time = time + ? WHERE id >= ?",
};

static uint64_t axis_of(const struct store *s, struct store_clock now)
{
	return now.boot_ms + (uint64_t)s->base_ms;
}

static void store_close(struct store *s)
{
	for (size_t i = 0; i < STORE_STATEMENTS; i++) {
		sqlite3_finalize(s->statement[i]);
		s->statement[i] = NULL;
	}
	sqlite3_close_v2(s->db);
	s->db = NULL;
	s->in_transaction = s->goes_on = s->syncing = s->history_grew = false;
}

static int error_of(sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* no such table or column: none of ours */
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
		return -EBADMSG;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	default:
		return -EIO;
	}
}

int store_fail(struct store *s)
{
	int err = s->db ? error_of(s->db) : -ENOMEM;

	store_close(s);
	return err;
}

sqlite3_stmt *store_statement(struct store *s, enum store_statement which)
{
	sqlite3_stmt *st = s->statement[which];

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return st;
}

int store_run(struct store *s, sqlite3_stmt *st)
{
	int rc;

	do
		rc = sqlite3_step(st);
	while (rc == SQLITE_ROW);
	if (rc != SQLITE_DONE)
		return store_fail(s);
	sqlite3_reset(st);
	return 0;
}

int store_begin(struct store *s)
{
	int err;

	if (!s->db)
		return -EBADF;
	if (s->in_transaction)
		return 0;
	err = store_run(s, store_statement(s, STORE_BEGIN));
	s->in_transaction = !err;
	return err;
}

/* ---- The orderly end ---- */

static void orderly_path(const char *dir, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" STORE_ORDERLY, dir);
}

static bool ended_orderly(const char *dir)
{
	char path[PATH_MAX];

	orderly_path(dir, path);
	return access(path, F_OK) == 0;
}

int store_goes_on(const char *dir)
{
	char path[PATH_MAX];

	orderly_path(dir, path);
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

/* What is in the directory reaches the disk. */
static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err == -EINVAL ? 0 : err; /* a file system that has no such thing */
}

static int orderly_drop(struct store *s)
{
	int err;

	if (s->goes_on)
		return 0;
	err = store_goes_on(s->options.dir);
	if (!err)
		err = sync_dir(s->options.dir);
	if (err)
		store_close(s);
	else
		s->goes_on = true;
	return err;
}

/* All has been written. */
static void orderly_put(struct store *s)
{
	char path[PATH_MAX];
	int fd, err;

	s->goes_on = false;
	orderly_path(s->options.dir, path);
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	err = fd < 0 ? -errno : sync_dir(s->options.dir);
	if (!err)
		return;
	errno = -err;
	log_warn("%s: %m; after a reboot the hosts are told to ask anew", path);
}

/* ---- Opening ---- */

struct store *store_new(const struct store_options *o)
{
	struct store *s = calloc(1, sizeof(*s));

	if (s)
		s->options = *o;
	return s;
}

void store_bound(struct store *s, uint32_t days, uint32_t rows)
{
	s->options.history_days = days;
	s->options.history_rows = rows;
	s->aged_ms = 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	store_close(s);
	free(s);
}

bool store_is_open(const struct store *s)
{
	return s->db != NULL;
}

static void store_path(const struct store *s, const char *suffix, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" STORE_FILE "%s", s->options.dir, suffix);
}

void store_put_aside(struct store *s)
{
	static const char *const suffixes[] = {"", "-wal"};
	char from[PATH_MAX], to[PATH_MAX];

	store_close(s);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char damaged[32];

		snprintf(damaged, sizeof(damaged), ".damaged%s", suffixes[i]);
		store_path(s, suffixes[i], from);
		store_path(s, damaged, to);
		if (rename(from, to) && errno != ENOENT && unlink(from))
			log_error("%s: damaged, and cannot be moved away: %m; remove it",
				  from);
	}
	store_path(s, "", from);
	log_error(
		"%s is damaged or none of ours: it was moved to %s.damaged, and a new one "
		"begins; leases that are open stay open",
		from, from);
}

/* The one number that answers; -1: an error. */
static int64_t number_of(sqlite3 *db, const char *question)
{
	sqlite3_stmt *st = NULL;
	int64_t value = -1;

	if (sqlite3_prepare_v2(db, question, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		value = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return value;
}

/* Brings the file to our version. */
static int store_upgrade(sqlite3 *db)
{
	int64_t version = number_of(db, "PRAGMA user_version");
	int64_t application = number_of(db, "PRAGMA application_id");
	char head[96];

	if (version < 0)
		return error_of(db);
	if (version == STORE_SCHEMA && application == STORE_APPLICATION)
		return 0;
	if (version > STORE_SCHEMA || (version && application != STORE_APPLICATION) ||
	    (!version && number_of(db, "SELECT count(*) FROM sqlite_master") != 0))
		return -EBADMSG;
	snprintf(head, sizeof(head),
		 "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 STORE_APPLICATION, STORE_SCHEMA);
	if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL))
		return error_of(db);
	for (; version < STORE_SCHEMA; version++)
		if (sqlite3_exec(db, schema[version], NULL, NULL, NULL))
			return error_of(db);
	if (sqlite3_exec(db, head, NULL, NULL, NULL) ||
	    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL))
		return error_of(db);
	return 0;
}

/*
 * One process has the file for itself, so that the log of changes needs no shared memory; each
 * commit reaches the disk before it returns.
 */
static int store_connect(struct store *s)
{
	static const char setup[] =
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
		"PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
		"PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 256;"
		"PRAGMA journal_size_limit = 1048576;"
		"CREATE TEMP TABLE seen(key BLOB PRIMARY KEY) WITHOUT ROWID";
	char path[PATH_MAX];
	int err;

	store_path(s, "", path);
	if (sqlite3_open_v2(path, &s->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				    SQLITE_OPEN_NOMUTEX,
			    NULL) ||
	    sqlite3_exec(s->db, setup, NULL, NULL, NULL))
		return store_fail(s);
	err = store_upgrade(s->db);
	for (size_t i = 0; i < STORE_STATEMENTS && !err; i++)
		if (sqlite3_prepare_v3(s->db, statements[i], -1,
				       SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL))
			err = error_of(s->db);
	if (err)
		store_close(s);
	return err;
}

/* The axis goes on: see the head of store.h. */
static void take_time(struct store *s, sqlite3_stmt *st, struct store_clock now)
{
	static const uint8_t unknown[sizeof(s->options.boot)];
	const void *boot = sqlite3_column_blob(st, 0);
	int64_t axis = sqlite3_column_int64(st, 1), wall = sqlite3_column_int64(st, 2);
	int64_t off = (int64_t)now.wall_ms - wall, uptime = (int64_t)now.boot_ms;
	bool same = sqlite3_column_bytes(st, 0) == sizeof(s->options.boot) &&
		    memcmp(s->options.boot, unknown, sizeof(unknown)) &&
		    !memcmp(boot, s->options.boot, sizeof(s->options.boot));

	s->base_ms = sqlite3_column_int64(st, 3);
	if (same && uptime + s->base_ms >= axis) {
		s->wall_offset_ms = wall - (axis - s->base_ms);
		s->history_first = sqlite3_column_int64(st, 6);
		return;
	}
	if (off < uptime)
		off = uptime;
	if (off > STORE_OFF_MAX)
		off = STORE_OFF_MAX;
	s->base_ms = axis + off - uptime;
	s->wall_offset_ms = (int64_t)now.wall_ms - uptime;
	s->history_first = 0;
}

static void take_about(struct store *s, sqlite3_stmt *st, struct store_clock now)
{
	uint64_t epoch = (uint64_t)sqlite3_column_int64(st, 4);
	const void *wan4 = sqlite3_column_blob(st, 5);

	s->has_about = epoch != 0;
	s->about.epoch_ms = epoch - (uint64_t)s->base_ms;
	if (!ended_orderly(s->options.dir))
		s->about.epoch_ms = now.boot_ms;
	if (wan4 && sqlite3_column_bytes(st, 5) == sizeof(s->about.wan4))
		memcpy(&s->about.wan4, wan4, sizeof(s->about.wan4));
}

/* What the file says of itself. 1: something, 0: it is new. */
static int read_about(struct store *s, struct store_clock now)
{
	static const char question[] =
		"SELECT boot, axis, wall, base, epoch, wan4, first FROM about";
	sqlite3_stmt *st = NULL;
	int rc;

	s->base_ms = STORE_AXIS_START;
	s->wall_offset_ms = (int64_t)(now.wall_ms - now.boot_ms);
	s->history_first = 0;
	s->has_about = false;
	s->about = (struct store_about){0};
	if (sqlite3_prepare_v2(s->db, question, -1, &st, NULL))
		return store_fail(s);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		take_time(s, st, now);
		take_about(s, st, now);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : store_fail(s);
}

/* Were all leases ended while nobody could tell us (portreeved --remove)? 1: yes. */
static int forget_ended(struct store *s)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" STORE_FORGET, s->options.dir);
	if (access(path, F_OK))
		return 0;
	if (sqlite3_exec(s->db, "DELETE FROM lease; UPDATE about SET epoch = 0", NULL,
			 NULL, NULL))
		return store_fail(s);
	if (unlink(path))
		log_warn("%s: %m; remove it, or no lease will survive a reboot", path);
	return 1;
}

/* 1: something is kept, 0: nothing, or an error. */
static int store_begin_with(struct store *s, struct store_clock now)
{
	int err = store_connect(s), ended;

	if (err)
		return err;
	ended = forget_ended(s);
	if (ended < 0)
		return ended;
	err = read_about(s, now);
	return err > 0 && ended ? 0 : err;
}

enum store_state store_open(struct store *s, struct store_clock now, int *err)
{
	bool damaged = false;
	int found;

	store_close(s);
	found = store_begin_with(s, now);
	if (found == -EBADMSG) {
		damaged = true;
		store_put_aside(s);
		found = store_begin_with(s, now);
	}
	*err = found < 0 ? found : 0;
	if (found < 0)
		return STORE_AWAY;
	return damaged ? STORE_DAMAGED : found ? STORE_KEPT : STORE_NEW;
}

int store_about(struct store *s, struct store_about *out)
{
	*out = s->about;
	return s->has_about ? 0 : -ENOENT;
}

/* ---- Leases ---- */

static int each_of(struct store *s, bool twin,
		   void (*each)(void *arg, const struct store_lease *l), void *arg)
{
	sqlite3_stmt *st = store_statement(s, STORE_LEASE_EACH);
	size_t bad = 0;
	int rc;

	sqlite3_bind_int(st, 1, twin);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const void *key = sqlite3_column_blob(st, 0);
		const void *body = sqlite3_column_blob(st, 1);
		struct store_lease l;

		if (store_row_read(key, (size_t)sqlite3_column_bytes(st, 0), body,
				   (size_t)sqlite3_column_bytes(st, 1), s->base_ms, &l))
			bad++;
		else
			each(arg, &l);
	}
	if (rc != SQLITE_DONE)
		return store_fail(s);
	sqlite3_reset(st);
	if (bad)
		log_warn("%zu leases that were kept make no sense: left out", bad);
	return 0;
}

int store_each(struct store *s, void (*each)(void *arg, const struct store_lease *l),
	       void *arg)
{
	int err = s->db ? each_of(s, true, each, arg) : -EBADF;

	return err ? err : each_of(s, false, each, arg);
}

int store_put(struct store *s, const struct store_lease *l)
{
	uint8_t key[STORE_KEY], body[STORE_BODY_MAX];
	enum store_statement which = l->claims ? STORE_LEASE_PUT : STORE_LEASE_DROP;
	int err = store_begin(s);
	sqlite3_stmt *st;

	if (err)
		return err;
	store_row_key(l, key);
	if (l->claims && s->syncing) {
		st = store_statement(s, STORE_SEEN_PUT);
		sqlite3_bind_blob(st, 1, key, sizeof(key), SQLITE_STATIC);
		err = store_run(s, st);
		if (err)
			return err;
	}
	st = store_statement(s, which);
	sqlite3_bind_blob(st, 1, key, sizeof(key), SQLITE_STATIC);
	if (l->claims) {
		size_t len = store_row_body(l, s->base_ms, body);

		sqlite3_bind_int(st, 2, (l->flags & STORE_TWIN) != 0);
		sqlite3_bind_blob(st, 3, body, (int)len, SQLITE_STATIC);
	}
	return store_run(s, st);
}

int store_sync(struct store *s)
{
	int err = store_begin(s);

	if (!err)
		err = store_run(s, store_statement(s, STORE_SEEN_CLEAR));
	s->syncing = !err;
	return err;
}

int store_synced(struct store *s)
{
	int err = store_begin(s);

	if (err || !s->syncing)
		return err;
	s->syncing = false;
	err = store_run(s, store_statement(s, STORE_SWEEP));
	return err ? err : store_run(s, store_statement(s, STORE_SEEN_CLEAR));
}

int store_set_about(struct store *s, const struct store_about *about)
{
	if (s->has_about && memcmp(&s->about, about, sizeof(*about)) == 0)
		return 0;
	s->about = *about;
	s->has_about = true;
	return store_begin(s);
}

/* ---- The transaction ---- */

bool store_dirty(const struct store *s)
{
	return s->in_transaction;
}

static int put_about(struct store *s, struct store_clock now)
{
	sqlite3_stmt *st = store_statement(s, STORE_ABOUT_PUT);
	uint64_t epoch = s->has_about ? s->about.epoch_ms + (uint64_t)s->base_ms : 0;

	sqlite3_bind_blob(st, 1, s->options.boot, sizeof(s->options.boot), SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)axis_of(s, now));
	sqlite3_bind_int64(st, 3, (int64_t)now.wall_ms);
	sqlite3_bind_int64(st, 4, s->base_ms);
	sqlite3_bind_int64(st, 5, (int64_t)epoch);
	sqlite3_bind_blob(st, 6, &s->about.wan4, sizeof(s->about.wan4), SQLITE_STATIC);
	sqlite3_bind_int64(st, 7, s->history_first);
	return store_run(s, st);
}

int store_commit(struct store *s, struct store_clock now, bool always, bool bye)
{
	int err;

	if (!s->db)
		return -EBADF;
	if (!s->in_transaction && !always)
		return 0;
	err = bye ? 0 : orderly_drop(s);
	if (!err)
		err = store_begin(s);
	if (!err)
		err = store_history_settle(s, now);
	if (!err)
		err = put_about(s, now);
	if (!err)
		err = store_run(s, store_statement(s, STORE_COMMIT));
	s->in_transaction = false;
	if (!err && bye)
		orderly_put(s);
	return err;
}
