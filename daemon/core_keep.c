/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the core keeps over a reboot, and the start with it. Where the kernel's table is new, the
 * leases that the store kept come back before anybody is served, so that no host is told
 * another's port; but the wait is bounded, and what comes later is put beside what there is.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "daemon/epoch.h"

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

static void keep_kept(void *arg, const struct lease *l)
{
	struct core *c = arg;

	ledger_bring_back(c->ledger, l);
}

/* The leases are back, so the epoch goes on, unless the external address is another one. */
static void keep_epoch(struct core *c, const struct store_about *about)
{
	struct firewall_epoch e = {.since_ms = about->epoch_ms, .wan4 = about->wan4};
	int err;

	if (epoch_follow(&e, &c->topology.wan4, clock_ms()))
		cut_former(c->cut, &about->wan4);
	c->epoch = e;
	err = firewall_epoch_set(c->firewall, &e);
	if (err) {
		errno = -err;
		log_error("the epoch could not be kept: %m");
	}
	core_changed(c);
}

static void keep_loaded(void *arg, const struct store_loaded *loaded)
{
	struct core *c = arg;
	size_t restored = ledger_brought_back(c->ledger), waiting = 0;
	bool late = c->begun;

	if (!loaded) {
		log_warn(
			"the store takes long (a slow disk?): leases of before the reboot "
			"come back when it has them");
		core_begin(c);
		return;
	}
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

static void keep_want(void *arg, bool end)
{
	struct role_record r = {.op = end ? ROLE_OP_KILL : ROLE_OP_START,
				.role = ROLE_STORE};
	int err = role_send(ROLE_FD_CHANNEL, &r, -1);

	(void)arg;
	if (err) {
		errno = -err;
		log_error("the parent does not listen: %m");
	}
}

static const struct core_store_ops keep_ops = {keep_find,  keep_each, keep_waiting,
					       keep_about, keep_kept, keep_loaded,
					       keep_want};

int core_keep(struct core *c)
{
	const struct core_store_options o = {
		.history_days = c->config.history_days,
		.history_rows = c->config.history_rows,
		.debug = c->options->debug,
		.load = c->fresh,
		.seed = c->policy.seed ^ 5,
	};

	c->store = core_store_new(c->base, &o, &keep_ops, c);
	if (!c->store)
		return -ENOMEM;
	if (!c->fresh) {
		core_begin(c);
		cut_everything(c->cut);
	}
	return 0;
}
