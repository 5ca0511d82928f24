/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the admin denies: kept, and at once part of the policy. */
#include <event2/event.h>

#include "base/log.h"
#include "daemon/core_inside.h"

struct core_kept {
	const struct core *core;
	const struct lease_denial *denial;
	size_t n;
};

void core_denials_load(struct core *c)
{
	denials_load(&c->denials, c->options->state_dir);
	c->policy.denials = c->denials.one;
	c->policy.n_denials = c->denials.n;
}

const struct lease_denial *core_denials(void *arg, size_t *n)
{
	struct core *c = arg;

	*n = c->denials.n;
	return c->denials.one;
}

static void note_kept(void *arg, const struct lease *l)
{
	struct core_kept *k = arg;
	uint16_t last = core_control_ops.last_port((void *)k->core, l);
	struct access_host host = {.addr = l->internal};
	bool has = false;

	if (k->denial->has_mac)
		host.has_mac = core_mac((void *)k->core, &l->internal, host.mac);
	for (uint32_t port = l->ext_port; port <= last && !has; port++)
		has = denial_of(k->denial, 1, l->protocol, (uint16_t)port, &host);
	k->n += has || denial_of(k->denial, 1, l->protocol, l->int_port, &host);
}

int core_deny(void *arg, const struct lease_denial *d, size_t *ended, size_t *kept)
{
	static const struct timeval soon = {.tv_sec = 1};
	struct core *c = arg;
	struct core_kept k = {.core = c, .denial = d};
	int err = denials_add(&c->denials, d);
	char text[DENIAL_TEXT];

	if (err)
		return err;
	c->policy.n_denials = c->denials.n;
	*ended = ledger_judge(c->ledger, false);
	if (d->has_mac) /* of hosts that the kernel has to ask for theirs */
		event_add(c->judge_due, &soon);
	core_each_lease(c, note_kept, &k);
	*kept = k.n;
	log_info("denied: %s; %zu leases ended by it", denial_text(d, text), *ended);
	return 0;
}

int core_allow(void *arg, const struct lease_denial *d)
{
	struct core *c = arg;
	int err = denials_remove(&c->denials, d);
	char text[DENIAL_TEXT];

	if (err)
		return err;
	c->policy.n_denials = c->denials.n;
	firewall_forget_seen(c->firewall); /* what opens unasked is looked at again */
	log_info("no longer denied: %s", denial_text(d, text));
	return 0;
}
