/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What outlives a reboot: leases, epoch and history, in one SQLite file. Knows nothing of
 * policy or of who asks. Every call may wait for the disk, so only the store process uses it.
 *
 * Time. Leases are kept on an axis of the store's own, in milliseconds, that runs on across
 * reboots: CLOCK_BOOTTIME plus a base that is the same for a whole boot. At each commit the
 * axis and the wall clock are noted. The first opening of another boot has to find how long
 * the router was off: what the wall clock has gone on since the last commit, but at least the
 * time since the boot. So
 * - within a boot steps of the wall clock mean nothing;
 * - with a clock that was right both times the time off is counted, as if nothing had been;
 * - with a wall clock that stands still or goes back (no battery, not set yet) the time off is
 *   not counted: a lease may stay that much longer, once, and is never lost too early;
 * - with a wall clock that has run ahead leases end too early. Then the epoch has run ahead
 *   with them, by which PCP and NAT-PMP clients see that they have to ask anew (RFC 6887 8.5).
 *
 * After an orderly end the epoch goes on and counts the time off. After any other the last two
 * seconds may be lost, so it begins anew: clients see that (RFC 6887 8.5, RFC 6886 3.6), and
 * ask again for what they have.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/record.h"

#define STORE_FILE "store.db"
/* While such a file is there, its leases have ended: they are forgotten, and it goes. */
#define STORE_FORGET "leases-ended"
/* While such a file is there, the store was told of all there was, and nothing has changed
 * since. It goes before anybody is served: by store_goes_on(), and for certain with the first
 * commit. A file, as nobody waits for the store then, and as it goes from a full disk too. */
#define STORE_ORDERLY "orderly-end"
#define STORE_SCHEMA 2

struct store;

/* The end that STORE_ORDERLY in that directory tells of is no longer the last thing that
 * happened. Quick, but the disk may hear of it late. -errno. */
int store_goes_on(const char *dir);

struct store_options {
	const char *dir; /* borrowed for as long as the store is there */
	uint8_t boot[16];
	uint32_t history_days;
	uint32_t history_rows;
};

struct store_clock {
	uint64_t boot_ms; /* CLOCK_BOOTTIME */
	uint64_t wall_ms; /* since 1970 */
};

/* NULL: no memory. Nothing is opened yet. */
struct store *store_new(const struct store_options *o);
/* The history has other bounds from the next commit on. */
void store_bound(struct store *s, uint32_t days, uint32_t rows);
/* What was not committed is not kept. NULL is fine. */
void store_free(struct store *s);

/*
 * Opens the file, or makes it. One that is damaged, or is none of ours, is moved aside to
 * STORE_FILE.damaged and said so, and a new one made. STORE_NEW, STORE_KEPT, STORE_DAMAGED;
 * STORE_AWAY: the disk does not let us, *err says why; try again later. Opens a store that is
 * open anew.
 */
enum store_state store_open(struct store *s, struct store_clock now, int *err);
bool store_is_open(const struct store *s);
/* Moves a file aside that was found damaged, and closes. */
void store_put_aside(struct store *s);

/*
 * All calls below return 0, or -EBADMSG: the file is damaged; -ENOSPC, -EROFS, -EIO,
 * -ENOMEM ...: it cannot be read or written now. After an error all that was not committed is
 * lost and the store is closed; open it again later and tell it all leases anew.
 */

/* Calls `each` for every lease kept, those that have the twin of their inside port first. */
int store_each(struct store *s, void (*each)(void *arg, const struct store_lease *l),
	       void *arg);
/* The epoch and the WAN address kept, as of now. -ENOENT: none. */
int store_about(struct store *s, struct store_about *out);

/* Keeps that state of a lease, or with no claims forgets it. What is there is not written. */
int store_put(struct store *s, const struct store_lease *l);
/* From here to store_synced() every lease there is comes; the others are forgotten then. */
int store_sync(struct store *s);
int store_synced(struct store *s);
int store_set_about(struct store *s, const struct store_about *about);

/* A line for the history. Its time is that of the wall clock at the last commit, which
 * moves the events of a boot when the clock is set. */
int store_add(struct store *s, const struct store_event *e);
/* Answers a question from what is committed and what is not. */
int store_ask(struct store *s, const struct store_question *q,
	      void (*each)(void *arg, const struct store_event *e), void *arg,
	      struct store_answer *answer);

/* Writes all since the last commit in one transaction, if there is anything, or the time alone
 * with `always`. `bye`: the orderly end, nothing will follow; it makes STORE_ORDERLY. */
int store_commit(struct store *s, struct store_clock now, bool always, bool bye);
/* Is there anything to commit? */
bool store_dirty(const struct store *s);
