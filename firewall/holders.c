/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sets of hosts that have leases, which the admin's own rules may match; no rule of ours
 * does. Emptied and filled anew in one transaction, so that nobody is missing in between.
 */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "firewall/kernel.h"

static void fill_family(struct firewall *fw, const char *set, bool v4)
{
	const struct router *r = &fw->router;
	struct filler f = {.fw = fw, .set = set};
	uint64_t now_ms = clock_ms();
	size_t n = 0;

	flush_message(&fw->batch, fw->table, set);
	for (size_t i = 0; i < r->n_hosts && n < FIREWALL_HOSTS_MAX; i++) {
		const struct firewall_host *h = &r->hosts[i];
		const uint8_t at = v4 ? 12 : 0;

		if (addr_is_v4(&h->addr) != v4 || h->until_ms <= now_ms)
			continue;
		n++;
		fill(&f, &(struct kernel_element){.key = &h->addr.s6_addr[at],
						  .key_len = (uint8_t)(16 - at),
						  .timeout_ms = h->until_ms - now_ms});
	}
	fill_end(&f);
}

/* Before the first are told those that the kernel has from before stay. */
void holders_put(struct firewall *fw)
{
	if (!fw->router.hosts)
		return;
	fill_family(fw, "hosts", true);
	fill_family(fw, "hosts6", false);
}

int firewall_set_hosts(struct firewall *fw, const struct firewall_host *hosts, size_t n)
{
	struct firewall_host *now = calloc(n + 1, sizeof(*now));

	if (!now)
		return -ENOMEM;
	if (n)
		memcpy(now, hosts, n * sizeof(*now));
	free(fw->router.hosts);
	fw->router.hosts = now;
	fw->router.n_hosts = n;
	nl_batch_begin(&fw->batch);
	holders_put(fw);
	return nl_commit_whole(&fw->nl, &fw->batch);
}
