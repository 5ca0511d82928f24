/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/heal.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/cut.h"
#include "daemon/ledger.h"
#include "daemon/pace.h"
#include "firewall/firewall.h"
#include "firewall/watch.h"

/* A reload is one or a few transactions; who deletes more often than this does it again and
 * again. */
#define HEAL_BURST 16
#define HEAL_EVERY_MS 2000
#define HEAL_SHARE 3    /* at most a quarter of one CPU */
#define HEAL_READ_MS 10 /* between two looks at what others have done, while they go on */
#define HEAL_AGAIN_MS 50 /* after a failure */
#define HEAL_WHO_MS 5    /* whose transaction it was is told last */

struct heal {
	struct firewall *fw;
	struct ledger *ledger;
	struct cut *cut;
	struct watch *watch;
	struct event *readable;
	struct event *read_on; /* reads again, a little later */
	struct event *mend;
	struct event *claims; /* after the leases; may take longer */
	struct pace pace;
	struct watch_report report;
	bool waited;   /* for who it was */
	bool fighting; /* it was said that somebody deletes again and again */
	bool others_changed;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void arm(struct event *e, uint64_t ms)
{
	struct timeval in = {.tv_sec = (time_t)(ms / 1000),
			     .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(e, &in);
}

/* ---- The log ---- */

/* "nft (pid 12)", or what is known of it. */
static const char *who_text(const struct watch_report *r, char *buf, size_t size)
{
	char name[4 * WATCH_NAME];

	if (!r->pid)
		snprintf(buf, size, "an unknown program");
	else
		snprintf(buf, size, "\"%s\" (pid %u)",
			 log_escape(r->name, name, sizeof(name)), r->pid);
	return buf;
}

static void say(const struct heal *h, const struct firewall_mended *m, long leases,
		uint64_t took_us)
{
	const struct watch_report *r = &h->report;
	unsigned long long ms = (took_us + 500) / 1000;
	char who[5 * WATCH_NAME + 32], what[128] = "";

	who_text(r, who, sizeof(who));
	if (r->lost && !r->structure && !m->sets && !m->chains && !m->rules) {
		log_info(
			"more was changed in nftables than could be followed, the last of "
			"it by %s (events were lost); restored in %llu ms: %ld leases",
			who, ms, leases);
		return;
	}
	if (m->sets || m->chains || m->rules)
		snprintf(what, sizeof(what), "%zu sets, %zu chains, %zu rules, ", m->sets,
			 m->chains, m->rules);
	else if (r->structure)
		snprintf(what, sizeof(what), "our rules and sets, ");
	log_warn("%s changed our table inet %s; restored in %llu ms: %s%ld leases", who,
		 FIREWALL_TABLE, ms, what, leases);
}

static void say_fight(struct heal *h)
{
	char who[5 * WATCH_NAME + 32];

	if (h->fighting || h->report.lost || !pace_is_slow(&h->pace))
		return;
	h->fighting = true;
	log_error(
		"%s changes our table again and again; from now on it is restored every "
		"%d s only. Stop that program, or let it leave table inet %s alone",
		who_text(&h->report, who, sizeof(who)), HEAL_EVERY_MS / 1000,
		FIREWALL_TABLE);
}

/* ---- Mending ---- */

static void schedule(struct heal *h)
{
	if (watch_touched(&h->report) && !event_pending(h->mend, EV_TIMEOUT, NULL))
		arm(h->mend, pace_wait(&h->pace, clock_ms()));
}

/* How many leases were put back, or -errno. */
static long restore_leases(struct heal *h, const struct watch_report *r)
{
	if (r->leases || r->lost)
		return ledger_restore(h->ledger, NULL, NULL);
	return r->ports ? ledger_restore(h->ledger, &r->tcp, &r->udp) : 0;
}

static void mend_ready(evutil_socket_t fd, short what, void *arg)
{
	struct heal *h = arg;
	struct firewall_mended mended = {0};
	struct watch_report *r = &h->report;
	uint64_t began = now_us(), took;
	long leases = 0;
	int err = 0;

	(void)fd;
	(void)what;
	watch_read(h->watch, r);
	if (!r->pid && !r->lost && !h->waited) {
		h->waited = true;
		arm(h->mend, HEAL_WHO_MS);
		return;
	}
	h->waited = false;
	if (r->structure || r->lost)
		err = firewall_mend(h->fw, &mended);
	r->leases = r->leases || mended.leases;
	if (!err)
		leases = restore_leases(h, r);
	if (leases < 0)
		err = (int)leases;
	took = now_us() - began;
	pace_done(&h->pace, clock_ms(), took);
	if (err) {
		errno = -err;
		if (!h->fighting) /* then it was said why */
			log_warn(
				"our table could not be restored, it is tried again: %m");
		say_fight(h);
		arm(h->mend, HEAL_AGAIN_MS + pace_wait(&h->pace, clock_ms()));
		return;
	}
	if (leases || mended.chains || mended.rules || mended.sets)
		cut_everything(h->cut); /* what came meanwhile has met no lease */
	if ((r->claims || r->lost) && !event_pending(h->claims, EV_TIMEOUT, NULL))
		arm(h->claims, h->fighting ? HEAL_EVERY_MS : 0);
	say(h, &mended, leases, took);
	say_fight(h);
	if (!pace_is_slow(&h->pace))
		h->fighting = false;
	*r = (struct watch_report){0};
}

static void claims_ready(evutil_socket_t fd, short what, void *arg)
{
	struct heal *h = arg;
	uint64_t wait = cut_claims_again(h->cut);

	(void)fd;
	(void)what;
	if (wait)
		arm(h->claims, wait);
}

bool heal_now(struct heal *h)
{
	struct firewall_mended mended;
	int err;

	if (!h || pace_wait(&h->pace, clock_ms()))
		return false;
	watch_read(h->watch, &h->report); /* who it was */
	err = firewall_mend(h->fw, &mended);
	if (err) {
		errno = -err;
		log_warn("our table could not be restored: %m");
	}
	h->report.structure = h->report.leases = h->report.claims = true;
	event_del(h->mend);
	arm(h->mend, 0);
	return !err;
}

/* ---- Watching ---- */

static void take(struct heal *h)
{
	struct watch_report *r = &h->report;
	int err = watch_read(h->watch, r);

	if (err < 0) {
		errno = -err;
		log_error("what others do to nftables cannot be read: %m");
	}
	h->others_changed = h->others_changed || r->foreign || r->lost;
	r->foreign = false;
	schedule(h);
}

/* While others go on they are not followed one by one. */
static void watch_readable(evutil_socket_t fd, short what, void *arg)
{
	struct heal *h = arg;

	(void)fd;
	(void)what;
	take(h);
	event_del(h->readable);
	arm(h->read_on, HEAL_READ_MS);
}

static void read_on(evutil_socket_t fd, short what, void *arg)
{
	struct heal *h = arg;

	(void)fd;
	(void)what;
	event_add(h->readable, NULL);
}

bool heal_others_changed(struct heal *h)
{
	bool changed;

	take(h);
	changed = h->others_changed;
	h->others_changed = false;
	return changed;
}

int heal_new(struct event_base *base, struct firewall *fw, struct ledger *ledger,
	     struct cut *cut, struct heal **out)
{
	struct heal *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->fw = fw;
	h->ledger = ledger;
	h->cut = cut;
	h->pace = (struct pace){
		.burst = HEAL_BURST, .every_ms = HEAL_EVERY_MS, .share = HEAL_SHARE};
	err = watch_open(FIREWALL_TABLE, firewall_portid(fw), &h->watch);
	if (err) {
		heal_free(h);
		return err;
	}
	h->readable = event_new(base, watch_fd(h->watch), EV_READ | EV_PERSIST,
				watch_readable, h);
	h->read_on = event_new(base, -1, 0, read_on, h);
	h->mend = event_new(base, -1, 0, mend_ready, h);
	h->claims = event_new(base, -1, 0, claims_ready, h);
	if (!h->claims || !h->readable || !h->read_on || !h->mend ||
	    event_priority_set(h->readable, 0) || event_priority_set(h->mend, 0)) {
		heal_free(h);
		return -ENOMEM;
	}
	event_add(h->readable, NULL);
	if (firewall_claims_new(fw))
		arm(h->claims, 0);
	*out = h;
	return 0;
}

void heal_free(struct heal *h)
{
	if (!h)
		return;
	if (h->readable)
		event_free(h->readable);
	if (h->read_on)
		event_free(h->read_on);
	if (h->mend)
		event_free(h->mend);
	if (h->claims)
		event_free(h->claims);
	watch_close(h->watch);
	free(h);
}
