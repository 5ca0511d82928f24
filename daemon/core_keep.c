/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the core keeps over a reboot, and the start with it. Where the kernel's table is new, the
 * leases that the store kept come back before anybody is served, so that no host is told
 * another's port; but the wait is bounded, and what comes later is put beside what there is.
 *
 * Where the table was there, its leases are the truth: who deletes one by hand while no core
 * watches has ended it. But its host did not, and may not know. So what the store kept is held
 * against the book, beside the service, and if a lease is missing there is a new epoch, by
 * which the hosts see that they have to ask anew (RFC 6887 section 8.5).
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "daemon/epoch.h"
#include "lease/claims.h"
#include "lease/policy.h"
#include "lease/store.h"

#define STORE_LATER_MS 300

static const struct lease *keep_find(void *arg, const struct dirty_key *key)
{
	struct core *c = arg;
	const struct registry *book = ledger_book(c->ledger);

	if (addr_is_none(&key->internal))
		return registry_find(book, key->protocol, key->ext_port, &key->remote,
				     key->remote_len);
	return registry_find_pinhole(book, key->protocol, &key->internal, key->ext_port,
				     &key->remote, key->remote_len, key->remote_port);
}

static void keep_each(void *arg, void (*each)(void *each_arg, const struct lease *l),
		      void *each_arg)
{
	struct core *c = arg;

	registry_each(ledger_book(c->ledger), each, each_arg);
}

static const struct lease *keep_waiting(void *arg, size_t i)
{
	struct core *c = arg;

	return ledger_waiting(c->ledger, i);
}

static void keep_about(void *arg, struct store_about *about)
{
	const struct core *c = arg;

	*about = (struct store_about){.epoch_ms = c->epoch.since_ms,
				      .wan4 = c->epoch.wan4};
}

static void keep_epoch_set(struct core *c)
{
	int err = firewall_epoch_set(c->firewall, &c->epoch);

	if (err && err != -ENOENT) {
		errno = -err;
		log_error("the epoch could not be kept: %m");
	}
}

/* Has the store been told of each lease that has ended? While it has not, nobody can say later
 * whether one is missing. */
static void keep_set_kept(struct core *c, bool kept)
{
	if (c->epoch.kept == kept)
		return;
	c->epoch.kept = kept;
	keep_epoch_set(c);
}

/* ---- Leases that are missing ---- */

#define MISSING_LEAST_MS 2000 /* what ends that soon has perhaps ended by itself */

void core_missing_step(struct core *c, const struct lease_change *step)
{
	struct core_missing *m = &c->missing;

	if (step->has)
		return;
	if (c->store && !core_store_loaded(c->store))
		keep_set_kept(c, false);
	if (!m->looking)
		return;
	if (m->n_ended == CORE_ENDED)
		m->looking = false; /* too much happens: nobody can tell any more */
	else
		dirty_key_of(&step->before, &m->ended[m->n_ended++]);
}

static bool missing_ended(const struct core_missing *m, const struct dirty_key *key)
{
	for (size_t i = 0; i < m->n_ended; i++)
		if (memcmp(&m->ended[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

/* Waits it for its LAN? */
static bool missing_waits(const struct core *c, const struct lease *kept)
{
	const struct lease *l;

	for (size_t i = 0; (l = ledger_waiting(c->ledger, i)); i++)
		if (lease_same_key(l, kept))
			return true;
	return false;
}

/* The store knows a lease that should go on. */
static void missing_look(struct core *c, const struct lease *kept)
{
	struct core_missing *m = &c->missing;
	uint64_t until_ms = 0;
	struct dirty_key key;

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (kept->claims >> by & 1 && kept->until_ms[by] > until_ms)
			until_ms = kept->until_ms[by];
	dirty_key_of(kept, &key);
	m->lost += until_ms > clock_ms() + MISSING_LEAST_MS && !keep_find(c, &key) &&
		   !missing_ended(m, &key) && !missing_waits(c, kept) &&
		   registry_allowed(ledger_book(c->ledger), kept) == LEASE_OK;
}

static void missing_loaded(struct core *c, const struct store_loaded *loaded)
{
	struct core_missing *m = &c->missing;

	if (!loaded || loaded->state == STORE_AWAY)
		return; /* it may come later */
	if (m->looking && m->lost) {
		log_warn(
			"%zu leases are not in the kernel any more, though nobody gave them "
			"up: a new epoch tells the hosts to ask again",
			m->lost);
		c->epoch.since_ms = clock_ms();
		keep_epoch_set(c);
		core_store_about(c->store);
		core_changed(c);
	}
	*m = (struct core_missing){0};
}

/* ---- Leases that come back ---- */

void core_gave_up(struct core *c, uint16_t lan, const struct lease_request *req)
{
	bool gives = req->op == LEASE_OP_UNMAP || req->op == LEASE_OP_UNMAP_ALL ||
		     req->op == LEASE_OP_UNMAP_PORT;

	if (c->fresh && c->begun && !c->all_kept && gives &&
	    c->n_gave_up < CORE_GAVE_UP && policy_host(&c->policy, lan, req) == LEASE_OK)
		c->gave_up[c->n_gave_up++] = *req;
}

static bool gave_up(const struct lease_request *req, const struct lease *l)
{
	bool port = req->op == LEASE_OP_UNMAP_PORT;

	if (req->protocol != l->protocol || !(l->claims >> req->by & 1) ||
	    !addr_equal(port ? &req->client : &req->internal, &l->internal) ||
	    (req->flags & LEASE_NONCE && l->has_nonce &&
	     memcmp(req->nonce, l->nonce, sizeof(l->nonce)) != 0))
		return false;
	return port ? req->ext_port == l->ext_port
		    : req->op == LEASE_OP_UNMAP_ALL || req->int_port == l->int_port;
}

/* What its host has given up since it is served, when nobody knew of the lease, is over. */
static void keep_kept(void *arg, const struct lease *kept)
{
	struct core *c = arg;
	struct lease l = *kept;

	if (!c->fresh) {
		if (c->missing.looking)
			missing_look(c, kept);
		return;
	}
	for (size_t i = 0; i < c->n_gave_up; i++)
		if (gave_up(&c->gave_up[i], &l))
			claim_drop(&l, 1U << c->gave_up[i].by);
	if (l.claims)
		ledger_bring_back(c->ledger, &l);
}

/* The leases are back, so the epoch goes on, unless the external address is another one. */
static void keep_epoch(struct core *c, const struct store_about *about)
{
	struct firewall_epoch e = {.since_ms = about->epoch_ms, .wan4 = about->wan4};

	if (epoch_follow(&e, &c->topology.wan4, clock_ms()))
		cut_former(c->cut, &about->wan4);
	c->epoch = e;
	keep_epoch_set(c);
	core_changed(c);
}

static void keep_loaded(void *arg, const struct store_loaded *loaded)
{
	struct core *c = arg;
	size_t restored = ledger_brought_back(c->ledger), waiting = 0;
	bool late = c->begun;

	if (!c->fresh) {
		missing_loaded(c, loaded);
		return;
	}
	if (!loaded) {
		log_warn(
			"the store takes long (a slow disk?): leases of before the reboot "
			"come back when it has them");
		core_begin(c);
		return;
	}
	c->all_kept = loaded->state != STORE_AWAY;
	while (ledger_waiting(c->ledger, waiting))
		waiting++;
	if (loaded->leases)
		log_info(
			"%zu leases are back after a reboot%s, %zu wait for their LAN, %zu "
			"have ended",
			restored, late ? ", late" : "", waiting,
			loaded->leases - restored - waiting);
	core_store_restored(c->store, (uint32_t)(restored + waiting));
	if (loaded->state == STORE_KEPT && !late)
		keep_epoch(c, &loaded->about);
	core_begin(c);
	cut_everything(c->cut);
}

static void keep_ask_parent(const struct core *c, bool end)
{
	struct role_record r = {.op = end ? ROLE_OP_KILL : ROLE_OP_START,
				.role = ROLE_STORE,
				.pid = end ? core_store_pid(c->store) : 0};
	int err = role_send(ROLE_FD_CHANNEL, &r, -1);

	if (err) {
		errno = -err;
		log_error("the parent does not listen: %m");
	}
}

static void keep_start(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	keep_ask_parent(arg, false);
}

/* Where all leases are in the kernel, nobody waits for the store at the start: it gets its
 * share of the processor when the hosts are served. */
static void keep_want(void *arg, bool end)
{
	static const struct timeval soon = {.tv_usec = STORE_LATER_MS * 1000};
	struct core *c = arg;
	bool later = !end && !c->fresh && !c->store;

	if (!later || event_base_once(c->base, -1, EV_TIMEOUT, keep_start, c, &soon))
		keep_ask_parent(c, end);
}

static void keep_synced(void *arg)
{
	keep_set_kept(arg, true);
}

static const struct core_store_ops keep_ops = {keep_find,  keep_each,  keep_waiting,
					       keep_about, keep_kept,  keep_loaded,
					       keep_want,  keep_synced};

int core_keep(struct core *c)
{
	const struct core_store_options o = {
		.history_days = c->config.history_days,
		.history_rows = c->config.history_rows,
		.debug = c->options->debug,
		.load = true,
		.seed = c->policy.seed ^ 5,
	};

	c->store = core_store_new(c->base, &o, &keep_ops, c);
	if (!c->store)
		return -ENOMEM;
	if (!c->fresh) {
		c->missing.looking = c->epoch.kept;
		core_begin(c);
		cut_everything(c->cut);
	}
	return 0;
}

void core_keep_begin(struct core *c)
{
	int err = store_goes_on(c->options->state_dir);

	if (!err)
		return;
	errno = -err;
	log_warn("%s/" STORE_ORDERLY
		 ": %m; after a power cut hosts may not see that they "
		 "have to ask anew",
		 c->options->state_dir);
}

/* What an admin deletes while portreeved is stopped, he has ended: nothing is missed then. */
void core_keep_end(struct core *c)
{
	keep_set_kept(c, false);
	core_store_bye(c->store);
}
