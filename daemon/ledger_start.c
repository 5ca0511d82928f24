/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ledger's start: leases found in the kernel, and leases kept over a reboot. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/room.h"
#include "daemon/lease_log.h"
#include "daemon/ledger_inside.h"
#include "firewall/firewall.h"

/* Keeps one that cannot be judged yet; it runs out in the kernel by itself. */
static void orphan_keep(struct ledger *l, const struct lease *found, bool kept)
{
	struct ledger_orphan *more = room_for(l->orphan, &l->orphan_room,
					      l->n_orphans + 1, sizeof(*more));

	if (!more)
		return;
	l->orphan = more;
	l->orphan[l->n_orphans++] = (struct ledger_orphan){*found, kept};
}

static void adopt_refused(struct ledger *l, const struct lease *found, bool kept,
			  enum lease_reason reason)
{
	struct lease_change end = {
		.had = true, .end = LEASE_END_POLICY, .before = *found};

	ledger_log_not_allowed(l, found, reason);
	if (kept) {
		lease_log_step(&end);
		l->ops->settled(l->arg, &end);
		return;
	}
	if (firewall_stage(l->fw, &end, clock_ms()) ||
	    firewall_commit(l->fw, ledger_ignore_result, l))
		log_error("a lease that is not allowed could not be ended");
	else {
		lease_log_step(&end);
		l->ops->settled(l->arg, &end);
	}
}

/* Judged after the dump: nothing may change while it runs. */
static void adopt_later(void *arg, const struct lease *found)
{
	orphan_keep(arg, found, false);
}

/* The step of a lease that was kept is a waiter of its own. -ENOMEM. */
static int bring_back_wait(struct ledger *l)
{
	struct ledger_waiter *w = ledger_waiter(l);

	if (w) {
		*w = (struct ledger_waiter){.restored = true, .first = l->changes.n - 1};
		if (!ledger_waiter_end(l)) {
			event_active(l->commit, EV_TIMEOUT, 1);
			return 0;
		}
		l->n_waiters--;
	}
	registry_revert(l->book, &l->changes.step[--l->changes.n]);
	return -ENOMEM;
}

static enum lease_reason bring_back(struct ledger *l, const struct lease *kept)
{
	enum lease_reason reason = LEASE_OK;
	int err = -EAGAIN;

	for (int i = 0; i < 2 && err == -EAGAIN; i++) {
		if (i || l->changes.n >= LEDGER_STEPS || l->n_waiters >= LEDGER_STEPS)
			ledger_commit(l);
		err = registry_restore(l->book, kept, l->since_ms, clock_ms(), 0, &reason,
				       &l->changes);
	}
	if (!err && !reason)
		err = bring_back_wait(l);
	return err ? LEASE_QUOTA_TABLE : reason;
}

void ledger_bring_back(struct ledger *l, const struct lease *kept)
{
	enum lease_reason reason = bring_back(l, kept);

	if (reason == LEASE_NOT_LAN)
		orphan_keep(l, kept, true);
	else if (reason && reason != LEASE_NOT_FOUND)
		adopt_refused(l, kept, true, reason);
}

size_t ledger_brought_back(struct ledger *l)
{
	ledger_commit(l);
	return l->n_restored;
}

const struct lease *ledger_waiting(const struct ledger *l, size_t i)
{
	return i < l->n_orphans ? &l->orphan[i].lease : NULL;
}

void ledger_adopt_waiting(struct ledger *l)
{
	uint64_t now = clock_ms();
	size_t kept = 0;

	for (size_t i = 0; i < l->n_orphans; i++) {
		struct ledger_orphan o = l->orphan[i];
		enum lease_reason reason;

		if (!o.kept && o.lease.kernel_ms <= now)
			continue;
		reason = o.kept ? bring_back(l, &o.lease)
				: registry_adopt(l->book, &o.lease, now);
		if (reason == LEASE_NOT_LAN)
			l->orphan[kept++] = o;
		else if (reason && !(o.kept && reason == LEASE_NOT_FOUND))
			adopt_refused(l, &o.lease, o.kept, reason);
	}
	if (kept != l->n_orphans)
		l->ops->changed(l->arg);
	l->n_orphans = kept;
	ledger_arm(l);
}

int ledger_adopt(struct ledger *l)
{
	struct firewall_adopted report = {0};
	int err = firewall_adopt(l->fw, clock_ms(), adopt_later, l, &report);

	if (err < 0)
		return err;
	if (firewall_staged(l->fw)) /* repairs */
		firewall_commit(l->fw, ledger_ignore_result, l);
	if (report.foreign)
		log_warn("%zu elements of our maps are not ours; they are left alone",
			 report.foreign);
	if (report.repaired || report.orphans)
		log_info("%zu leases repaired, %zu orphaned elements removed",
			 report.repaired, report.orphans);
	ledger_adopt_waiting(l);
	return (int)registry_count(l->book);
}
