/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/ledger_inside.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/room.h"
#include "daemon/lease_log.h"
#include "firewall/firewall.h"

#define LEDGER_DUE 512    /* leases that end in one turn of the loop */
#define LEDGER_JUDGE 8192 /* leases that end in one transaction after a reload */
#define LEDGER_RETRY_MS 1000

/* ---- One transaction ---- */

static void step_result(void *arg, size_t i, int err)
{
	struct ledger *l = arg;

	l->result[l->result[i].staged].err = err;
}

/* Takes back in the kernel what it already took of a request that failed otherwise. */
static void kernel_undo(struct ledger *l, const struct lease_change *s)
{
	struct lease_change back = {
		.had = s->has, .has = s->had, .before = s->after, .after = s->before};

	if (firewall_stage(l->fw, &back, clock_ms()))
		log_error(
			"the kernel's table and ours differ: no memory to take a step back");
}

static void waiter_revert(struct ledger *l, const struct ledger_waiter *w)
{
	for (size_t i = w->first + w->n; i-- > w->first;) {
		registry_revert(l->book, &l->changes.step[i]);
		if (!l->result[i].err)
			kernel_undo(l, &l->changes.step[i]);
	}
}

/* Did the kernel refuse any step of it? 0 or the first error. */
static int waiter_error(const struct ledger *l, const struct ledger_waiter *w)
{
	for (size_t i = w->first; i < w->first + w->n; i++)
		if (l->result[i].err)
			return l->result[i].err;
	return 0;
}

static void waiter_settle(struct ledger *l, struct ledger_waiter *w)
{
	int err = waiter_error(l, w);

	if (err) {
		errno = -err;
		if (err == -ENOENT)
			log_error(
				"our table is gone from the kernel (nft flush ruleset?)");
		else
			log_error("the kernel refused a lease: %m");
		w->reply.reason = LEASE_KERNEL;
		w->reply.lifetime = 0;
		return;
	}
	for (size_t i = w->first; i < w->first + w->n; i++) {
		registry_confirm(l->book, &l->changes.step[i]);
		l->n_restored += w->restored;
		if (w->restored)
			continue;
		lease_log_step(&l->changes.step[i]);
		l->ops->settled(l->arg, &l->changes.step[i]);
	}
}

void ledger_ignore_result(void *arg, size_t i, int err)
{
	(void)arg;
	(void)i;
	if (err) {
		errno = -err;
		log_error("the kernel's table and ours differ: %m");
	}
}

/* One try: of all steps, or of those that failed because the table was not there. */
static void ledger_try(struct ledger *l, bool again)
{
	uint64_t now = clock_ms();
	size_t staged = 0;

	for (size_t i = 0; i < l->changes.n; i++) {
		if (again && l->result[i].err != -ENOENT)
			continue;
		l->result[i].err = firewall_stage(l->fw, &l->changes.step[i], now);
		if (!l->result[i].err) {
			l->result[i].err = -EIO; /* until the kernel has said otherwise */
			l->result[staged++].staged = i;
		}
	}
	if (staged)
		firewall_commit(l->fw, step_result, l);
}

static bool any_gone(const struct ledger *l)
{
	for (size_t i = 0; i < l->changes.n; i++)
		if (l->result[i].err == -ENOENT)
			return true;
	return false;
}

/* Carries the steps to the kernel and fills result[]. */
static void ledger_carry(struct ledger *l)
{
	bool failed = false;

	ledger_try(l, false);
	if (any_gone(l) && l->ops->gone(l->arg))
		ledger_try(l, true);
	for (size_t w = l->n_waiters; w-- > 0;) {
		if (!waiter_error(l, &l->waiter[w]))
			continue;
		failed = true;
		waiter_revert(l, &l->waiter[w]);
	}
	if (failed)
		firewall_commit(l->fw, ledger_ignore_result, l);
}

/* Of a lease that nobody asked for, which listings do not show. */
static bool step_hides(const struct lease_change *s)
{
	return (!s->had || !(s->before.claims & ~LEASE_IDLE_CLAIMS)) &&
	       (!s->has || !(s->after.claims & ~LEASE_IDLE_CLAIMS));
}

/* Did anything change that clients see? Not when the clock only re-armed a lease. */
static bool ledger_visible(const struct ledger *l)
{
	for (size_t i = 0; i < l->n_waiters; i++) {
		const struct ledger_waiter *w = &l->waiter[i];

		for (size_t k = w->first; k < w->first + w->n; k++) {
			const struct lease_change *s = &l->changes.step[k];

			if (step_hides(s))
				continue;
			if (w->asked || !s->had || !s->has ||
			    s->before.claims != s->after.claims)
				return true;
		}
	}
	return false;
}

void ledger_commit(struct ledger *l)
{
	size_t n_waiters = l->n_waiters;
	size_t listed = registry_listed(l->book);
	bool visible = ledger_visible(l);

	if (!n_waiters)
		return;
	event_del(l->commit);
	ledger_carry(l);
	for (size_t i = 0; i < n_waiters; i++)
		waiter_settle(l, &l->waiter[i]);
	for (size_t i = 0; i < n_waiters; i++) {
		struct ledger_waiter *w = &l->waiter[i];

		w->reply.external = addr_is_v4(&w->reply.internal) ? l->wan4
								   : w->reply.internal;
		if (w->asked)
			l->ops->answer(l->arg, w->to, &w->reply);
	}
	l->n_waiters = 0;
	l->changes.n = 0;
	l->ops->answered(l->arg);
	if (visible || listed != registry_listed(l->book)) {
		l->update_id++;
		l->ops->changed(l->arg);
	}
	ledger_arm(l);
}

static void commit_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ledger_commit(arg);
}

struct ledger_waiter *ledger_waiter(struct ledger *l)
{
	struct ledger_waiter *w = room_for(l->waiter, &l->waiter_room, l->n_waiters + 1,
					   sizeof(*w));

	if (!w)
		return NULL;
	l->waiter = w;
	w = &l->waiter[l->n_waiters++];
	*w = (struct ledger_waiter){.first = l->changes.n};
	return w;
}

int ledger_waiter_end(struct ledger *l)
{
	struct ledger_waiter *w = &l->waiter[l->n_waiters - 1];
	struct ledger_result *result = room_for(l->result, &l->result_room, l->changes.n,
						sizeof(*result));

	w->n = l->changes.n - w->first;
	if (!result)
		return -ENOMEM;
	l->result = result;
	return 0;
}

static void refuse(struct lease_reply *reply, const struct lease_request *req,
		   enum lease_reason reason)
{
	*reply = (struct lease_reply){
		.tag = req->tag,
		.op = req->op,
		.reason = (uint8_t)reason,
		.protocol = req->protocol,
		.int_port = req->int_port,
		.ext_port = req->ext_port,
		.index = req->index,
		.internal = req->internal,
	};
}

static int ledger_question(struct ledger *l, int lan, const struct lease_request *req,
			   struct lease_reply *reply)
{
	return registry_ask(l->book, lan, req, clock_ms(), req->tag, reply, &l->changes);
}

/* What only the kernel knows of the lease that is read. */
static void ledger_count(struct ledger *l, const struct lease_request *req,
			 struct lease_reply *reply)
{
	const struct lease *lease;
	uint64_t packets = 0;
	int err;

	if (req->op != LEASE_OP_PIN_GET || reply->reason)
		return;
	lease = registry_find_pinhole(l->book, reply->protocol, &reply->internal,
				      reply->int_port, &reply->remote, reply->remote_len,
				      reply->remote_port);
	err = lease ? firewall_packets(l->fw, lease, &packets) : -ENOENT;
	if (err)
		reply->reason = err == -ENOENT ? LEASE_NOT_FOUND : LEASE_KERNEL;
	reply->packets = (uint32_t)packets;
}

void ledger_ask(struct ledger *l, uint64_t to, int lan, const struct lease_request *req)
{
	struct lease_reply reply = {0};
	struct ledger_waiter *w;
	size_t first;
	int err;

	if (l->changes.n >= LEDGER_STEPS || l->n_waiters >= LEDGER_STEPS)
		ledger_commit(l);
	first = l->changes.n;
	if (req->op == LEASE_OP_MAP && lan >= 0 && addr_is_none(&l->wan4) &&
	    addr_is_v4(&req->internal)) {
		refuse(&reply, req, LEASE_NO_WAN);
		err = 0;
	} else {
		err = ledger_question(l, lan, req, &reply);
		if (err == -EAGAIN) {
			ledger_commit(l);
			first = 0;
			err = ledger_question(l, lan, req, &reply);
		}
	}
	if (err)
		refuse(&reply, req, LEASE_KERNEL);
	ledger_count(l, req, &reply);
	reply.tag = req->tag;
	if (reply.reason) {
		l->ops->refused(l->arg, req, (enum lease_reason)reply.reason);
	}
	w = ledger_waiter(l);
	if (w) {
		*w = (struct ledger_waiter){
			.asked = true, .to = to, .first = first, .reply = reply};
		err = ledger_waiter_end(l);
	}
	if (!w || err) { /* no memory: nothing of it happens */
		while (l->changes.n > first)
			registry_revert(l->book, &l->changes.step[--l->changes.n]);
		if (w)
			l->n_waiters--;
		refuse(&reply, req, LEASE_KERNEL);
		l->ops->answer(l->arg, to, &reply);
		return;
	}
	event_active(l->commit, EV_TIMEOUT, 1);
}

/* ---- The clock ---- */

void ledger_arm(struct ledger *l)
{
	uint64_t next = registry_next(l->book), now = clock_ms();
	struct timeval in;

	if (next == l->due_at)
		return;
	l->due_at = next;
	if (next == LEASE_NO_DEADLINE) {
		event_del(l->due);
		return;
	}
	next = next > now ? next - now : 0;
	in = (struct timeval){.tv_sec = (time_t)(next / 1000),
			      .tv_usec = (suseconds_t)(next % 1000 * 1000)};
	event_add(l->due, &in);
}

/* The steps from `first` on, of which nobody waits for any: each lease's are a waiter of
 * their own, so that one refused step holds up no other. No memory: nothing of it happens. */
static void ledger_split(struct ledger *l, size_t first)
{
	while (first < l->changes.n) {
		struct ledger_waiter *w = ledger_waiter(l);
		size_t n = 1;

		if (!w)
			break;
		while (first + n < l->changes.n &&
		       l->changes.step[first + n].who == l->changes.step[first].who)
			n++;
		*w = (struct ledger_waiter){.first = first, .n = n};
		first += n;
	}
	if (first < l->changes.n || (l->n_waiters && ledger_waiter_end(l))) {
		while (l->changes.n) /* they are due again */
			registry_revert(l->book, &l->changes.step[--l->changes.n]);
		l->n_waiters = 0;
	}
}

static void due_ready(evutil_socket_t fd, short what, void *arg)
{
	struct ledger *l = arg;
	size_t first;

	(void)fd;
	(void)what;
	l->due_at = 0;
	ledger_commit(l);
	first = l->changes.n;
	registry_due(l->book, clock_ms(), LEDGER_DUE, &l->changes);
	ledger_split(l, first);
	ledger_commit(l);
	ledger_arm(l);
}

/* ---- What was lost ---- */

struct restore {
	struct ledger *l;
	const struct portset *tcp;
	const struct portset *udp;
	bool idle; /* only those that last while their host sends */
	uint64_t now_ms;
	long n;
	int err;
};

static void restore_result(void *arg, size_t i, int err)
{
	struct restore *r = arg;

	(void)i;
	r->n += !err;
	if (err && (!r->err || err == -ENOENT))
		r->err = err;
}

static void restore_one(void *arg, const struct lease *lease)
{
	struct restore *r = arg;
	const struct portset *of = lease->protocol == IPPROTO_TCP ? r->tcp : r->udp;
	int err;

	if ((of && !portset_has(of, lease->ext_port)) || (r->idle && !lease->idle_s))
		return;
	err = firewall_stage_again(r->l->fw, lease, r->now_ms);
	if (err && !r->err)
		r->err = err;
	if (firewall_staged(r->l->fw) < LEDGER_STEPS)
		return;
	firewall_commit(r->l->fw, restore_result, r);
	r->now_ms = clock_ms();
}

long ledger_restore(struct ledger *l, const struct portset *tcp,
		    const struct portset *udp)
{
	struct restore r = {.l = l, .tcp = tcp, .udp = udp};

	ledger_commit(l);
	r.now_ms = clock_ms();
	firewall_again_begin(l->fw, tcp, udp);
	registry_each(l->book, restore_one, &r);
	for (size_t i = 0; i < l->n_orphans; i++)
		if (!l->orphan[i].kept && l->orphan[i].lease.kernel_ms > r.now_ms)
			restore_one(&r, &l->orphan[i].lease);
	if (firewall_staged(l->fw))
		firewall_commit(l->fw, restore_result, &r);
	if (r.err == -ENOENT || (r.err && !r.n))
		return r.err;
	if (r.err) { /* of one, in whose way an admin's own element stands: no other waits */
		errno = -r.err;
		log_error("not every lease could be put back: %m");
	}
	return r.n;
}

void ledger_listen(struct ledger *l)
{
	ledger_commit(l);
	registry_listen(l->book, clock_ms());
	ledger_arm(l);
}

long ledger_restore_idle(struct ledger *l)
{
	struct restore r = {.l = l, .idle = true};

	ledger_commit(l);
	r.now_ms = clock_ms();
	registry_each(l->book, restore_one, &r);
	if (firewall_staged(l->fw))
		firewall_commit(l->fw, restore_result, &r);
	if (r.err) {
		errno = -r.err;
		log_error(
			"leases that last while their hosts send could not be renewed: %m");
	}
	return r.err ? r.err : r.n;
}

/* ---- Another policy ---- */

void ledger_log_not_allowed(void *arg, const struct lease *lease,
			    enum lease_reason reason)
{
	char to[ADDR_PORT_TEXT];

	(void)arg;
	log_info("lease %s/%u to=%s is not allowed now: %s",
		 lease->protocol == IPPROTO_TCP ? "tcp" : "udp", lease->ext_port,
		 addr_port_text(&lease->internal, lease->int_port, to),
		 lease_reason_text(reason));
}

size_t ledger_judge(struct ledger *l, bool strangers)
{
	size_t now = registry_count(l->book), before, sum = 0;
	int n;

	do {
		before = now;
		ledger_commit(l);
		n = registry_judge(l->book, LEDGER_JUDGE, strangers,
				   ledger_log_not_allowed, l, &l->changes);
		if (n > 0)
			ledger_split(l, 0);
		ledger_commit(l);
		now = registry_count(l->book);
		sum += before - now;
	} while (n > 0 && now < before);
	if (n < 0)
		log_error("no memory to hold the leases against the configuration");
	return sum;
}

void ledger_follow(struct ledger *l, const struct prefix *from, const struct prefix *to)
{
	char old[PREFIX_TEXT], now[PREFIX_TEXT];

	ledger_commit(l);
	if (registry_follow(l->book, from, to, LEDGER_JUDGE, &l->changes) < 0)
		log_error("no memory to have all pinholes follow the prefix");
	if (l->changes.n)
		log_info("pinholes follow their hosts from %s to %s",
			 prefix_text(from, old), prefix_text(to, now));
	ledger_split(l, 0);
	ledger_commit(l);
}

/* ---- */

struct ledger *ledger_new(struct event_base *base, const struct lease_policy *policy,
			  struct firewall *fw, const struct ledger_ops *ops, void *arg)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->since_ms = clock_ms();
	l->fw = fw;
	l->ops = ops;
	l->arg = arg;
	l->book = registry_new(policy);
	l->commit = event_new(base, -1, 0, commit_ready, l);
	l->due = event_new(base, -1, 0, due_ready, l);
	if (!l->book || !l->commit || !l->due || event_priority_set(l->commit, 2) ||
	    event_priority_set(l->due, 1)) {
		ledger_free(l);
		return NULL;
	}
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	if (l->commit)
		event_free(l->commit);
	if (l->due)
		event_free(l->due);
	lease_changes_free(&l->changes);
	registry_free(l->book);
	free(l->result);
	free(l->waiter);
	free(l->orphan);
	free(l);
}

void ledger_set_wan(struct ledger *l, const struct in6_addr *wan4)
{
	ledger_commit(l); /* what was granted by the one before is told with it */
	l->wan4 = *wan4;
}

const struct registry *ledger_book(const struct ledger *l)
{
	return l->book;
}

uint32_t ledger_update_id(const struct ledger *l)
{
	return l->update_id;
}
