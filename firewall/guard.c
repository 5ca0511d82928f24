/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps the workers from being drowned, and from being used against others.
 *
 * guard (input, filter - 10): how many searches and new HTTP connections one host of a LAN
 * may send; what is over that is dropped before it costs a worker anything.
 * outguard (output, filter - 10) and worker: the workers' user reaches the LANs and answers,
 * nothing else: no other interface, and on loopback no program but our own HTTP, from which
 * libupnp fetches its descriptions.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "firewall/expr.h"
#include "firewall/kernel.h"

#define SSDP_PORT 1900
#define SSDP_RATE 20 /* searches of one host a second */
#define SSDP_BURST 40

struct guard {
	struct firewall *fw;
	struct expr e;
	bool v4; /* the family of the rules that are written */
	int err;
};

static struct expr *begin(struct guard *g, const char *chain)
{
	expr_begin(&g->e, g->fw->table, chain);
	if (g->v4)
		expr_nfproto_ipv4(&g->e, true);
	else
		expr_nfproto_ipv6(&g->e);
	return &g->e;
}

static void end(struct guard *g)
{
	int err = expr_finish(&g->e, nl_batch_put(&g->fw->batch, NFT_MSG_NEWRULE,
						  NLM_F_CREATE | NLM_F_APPEND));

	if (err)
		g->err = err;
	g->fw->n_rules++;
}

/* What this source sends beyond the rate is dropped. */
static void over_rate(struct guard *g, const char *set4, const char *set6, uint32_t rate)
{
	struct expr *e = &g->e;

	if (g->v4)
		expr_saddr(e, 0);
	else
		expr_saddr6(e, 0);
	expr_over_rate(e, g->v4 ? set4 : set6, 0, rate, 2 * rate);
	expr_drop(e);
	end(g);
}

static void fill_guard(struct guard *g, uint32_t syn_per_second)
{
	struct expr *e = begin(g, "guard");

	static_assert(SSDP_BURST == 2 * SSDP_RATE, "every burst is two seconds' worth");
	expr_ifname(e, EXPR_IIFNAME, "lan");
	expr_protocol(e, IPPROTO_UDP);
	expr_port_is(e, EXPR_DPORT, SSDP_PORT);
	over_rate(g, "ssdprate", "ssdprate6", SSDP_RATE);
	if (!syn_per_second)
		return;
	e = begin(g, "guard");
	expr_ifname(e, EXPR_IIFNAME, "lan");
	expr_protocol(e, IPPROTO_TCP);
	expr_dport_in(e, "http");
	expr_ct_new(e);
	over_rate(g, "synrate", "synrate6", syn_per_second);
}

static void fill_outguard(struct guard *g, uint32_t worker_uid)
{
	struct expr *e = begin(g, "outguard");

	expr_skuid(e, worker_uid);
	expr_goto(e, "worker");
	end(g);
}

static void fill_worker(struct guard *g)
{
	struct expr *e = begin(g, "worker");

	expr_ifname_is(e, EXPR_OIFNAME, "lo");
	expr_protocol(e, IPPROTO_TCP);
	expr_dport_in(e, "http");
	expr_accept(e);
	end(g);

	e = begin(g, "worker");
	expr_ifname_is(e, EXPR_OIFNAME, "lo");
	expr_ct_established(e);
	expr_accept(e);
	end(g);

	e = begin(g, "worker");
	expr_ifname(e, EXPR_OIFNAME, "lan");
	expr_ct_established(e);
	expr_accept(e);
	end(g);

	e = begin(g, "worker");
	expr_ifname(e, EXPR_OIFNAME, "lan");
	if (g->v4)
		expr_daddr_in(e, "reach4");
	else
		expr_daddr6_in(e, "reach6");
	expr_accept(e);
	end(g);

	e = begin(g, "worker");
	expr_drop(e);
	end(g);
}

int guard_put(struct firewall *fw, const struct firewall_config *config)
{
	struct guard g = {.fw = fw};

	for (int family = 0; family < 2; family++) {
		g.v4 = family == 0;
		fill_guard(&g, config->syn_per_second);
		if (!config->worker_uid)
			continue;
		fill_worker(&g);
		fill_outguard(&g, config->worker_uid);
	}
	return g.err;
}
