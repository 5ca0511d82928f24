/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/core_inside.h"
#include "firewall/foreign.h"

#define CHECK_FRESH_MS 100 /* who asks more often gets the same answer */

struct check_sample {
	struct lease lease[CHECK_LEASES];
	size_t n;
};

static void core_sample(void *arg, const struct lease *l)
{
	struct check_sample *s = arg;

	if (l->enabled && s->n < CHECK_LEASES)
		s->lease[s->n++] = *l;
}

const struct check_report *core_check(void *arg)
{
	struct core *c = arg;
	uint64_t now_ms = clock_ms();
	struct check_sample *sample;
	struct check_facts facts = {.topology = &c->topology};

	if (c->checked_ms && now_ms - c->checked_ms < CHECK_FRESH_MS)
		return &c->check;
	sample = calloc(1, sizeof(*sample));
	if (!sample)
		return NULL;
	registry_each(ledger_book(c->ledger), core_sample, sample);
	facts.lease = sample->lease;
	facts.n_leases = sample->n;
	facts.foreign_error = foreign_read(FIREWALL_TABLE, &facts.foreign);
	core_upstream_known(c->upstream, &facts.upstream);
	facts.foreign_masquerade = !c->config.own_masquerade;
	facts.deaf = core_trigger_deaf(c->trigger);
	check_read_settings("/proc/sys/net", &facts.settings);
	check_run(&facts, &c->check);
	foreign_free(facts.foreign);
	free(sample);
	c->checked_ms = now_ms;
	return &c->check;
}
