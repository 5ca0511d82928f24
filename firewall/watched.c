/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trigger rules: the first packet of a host to a port of `watch` is told of, the others keep
 * the pair of host and port in `watching`, from which the core knows that the host still sends.
 * Nothing is opened here.
 *
 * rules: what goes to such a port
 */
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <string.h>

#include "firewall/rules.h"

/* So many packets of one host are told of at once and per second. */
#define WATCH_BURST 400
#define WATCH_RATE 200

void watched_put(struct firewall *fw, const struct firewall_config *config)
{
	const struct firewall_learn *l = config->learn;
	struct filler f = {.fw = fw, .set = "watch"};
	struct portset set[2] = {{{0}}, {{0}}}; /* TCP, UDP */

	flush_message(&fw->batch, fw->table, f.set);
	for (size_t i = 0; l && i < l->n_triggers; i++)
		for (size_t k = 0; k < l->trigger[i].n_when; k++) {
			const struct port_range *r = &l->trigger[i].when[k];

			if (r->tcp)
				portset_add(&set[0], r->first, r->last);
			if (r->udp)
				portset_add(&set[1], r->first, r->last);
		}
	for (uint32_t i = 0; l && l->n_triggers && i < 2 * 65536U; i++) {
		uint8_t key[ELEMENT_PORT_KEY] = {i < 65536 ? IPPROTO_TCP : IPPROTO_UDP};

		if (!portset_has(&set[i >> 16], (uint16_t)i))
			continue;
		key[4] = (uint8_t)(i >> 8);
		key[5] = (uint8_t)i;
		fill(&f, &(struct kernel_element){.key = key, .key_len = sizeof(key)});
	}
	fill_end(&f);
}

void watched_flush(struct firewall *fw)
{
	flush_message(&fw->batch, fw->table, LEARN_WATCHING);
}

/* the LAN host that sends . proto . port */
static void put_pair(struct expr *e)
{
	expr_ct_saddr(e, 0);
	expr_l4proto(e, 1);
	expr_port(e, EXPR_DPORT, 2);
}

void watched_fill_out(struct rules *r, const struct firewall_learn *l)
{
	struct expr *e;

	if (!l || !l->n_triggers)
		return;
	e = rules_begin(r, "out");
	rules_proto_port(e, EXPR_DPORT);
	expr_in_set(e, "watch", 0);
	expr_ct_original(e);
	expr_jump(e, "rules");
	rules_end(r);
}

void watched_fill(struct rules *r, const struct firewall_learn *l)
{
	struct expr *e;

	if (!l || !l->n_triggers)
		return;
	e = rules_begin(r, "rules");
	expr_nfproto_ipv4(e, true);
	put_pair(e);
	expr_in_set(e, LEARN_WATCHING, 0);
	expr_set_put_for(e, EXPR_UPDATE, LEARN_WATCHING, 0, l->watch_s * 1000ULL);
	expr_return(e);
	rules_end(r);

	e = rules_begin(r, "rules");
	expr_nfproto_ipv4(e, true);
	expr_ct_saddr(e, 0);
	expr_over_rate(e, "lograte", 0, WATCH_RATE, WATCH_BURST);
	expr_return(e);
	rules_end(r);

	/* One rule: where the set is full, it ends before the packet is told of. */
	e = rules_begin(r, "rules");
	expr_nfproto_ipv4(e, true);
	put_pair(e);
	expr_set_put_for(e, EXPR_ADD, LEARN_WATCHING, 0, l->watch_s * 1000ULL);
	expr_log_group(e, FIREWALL_WATCH_GROUP, FIREWALL_LOG_BYTES);
	rules_end(r);
}
