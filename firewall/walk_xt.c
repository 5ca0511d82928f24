/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The extensions of iptables that firewalls use most: what iptables-nft puts into its rules. */
#include <netinet/in.h>

#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/rtnetlink.h>
#include <stdio.h> /* libnftnl's headers want FILE */
#include <string.h>

#include <libnftnl/expr.h>

#include "firewall/walk_eval.h"

static bool in_range(uint16_t port, const __u16 range[2])
{
	return port >= range[0] && port <= range[1];
}

/* --ctstate, in the form of its last two revisions. */
static enum eval_truth match_conntrack(const struct walk_packet *p, const void *info,
				       uint32_t len)
{
	struct xt_conntrack_mtinfo3 m = {.match_flags = 0};
	uint16_t state = XT_CONNTRACK_STATE_BIT(IP_CT_NEW);

	if (len < sizeof(struct xt_conntrack_mtinfo2))
		return EVAL_MAYBE;
	memcpy(&m, info, len < sizeof(m) ? len : sizeof(m));
	if (m.match_flags != XT_CONNTRACK_STATE)
		return EVAL_MAYBE;
	if (p->dnat)
		state |= XT_CONNTRACK_STATE_DNAT;
	return eval_of(!(m.state_mask & state) ==
		       !!(m.invert_flags & XT_CONNTRACK_STATE));
}

static enum eval_truth match_udp(const struct walk_packet *p, const void *info,
				 uint32_t len)
{
	struct xt_udp m;

	if (len < sizeof(m))
		return EVAL_MAYBE;
	memcpy(&m, info, sizeof(m));
	return eval_of(in_range(p->sport, m.spts) == !(m.invflags & XT_UDP_INV_SRCPT) &&
		       in_range(p->dport, m.dpts) == !(m.invflags & XT_UDP_INV_DSTPT));
}

static enum eval_truth match_tcp(const struct walk_packet *p, const void *info,
				 uint32_t len)
{
	const uint8_t syn = 2;
	struct xt_tcp m;

	if (len < sizeof(m))
		return EVAL_MAYBE;
	memcpy(&m, info, sizeof(m));
	if (m.option)
		return EVAL_MAYBE;
	return eval_of(in_range(p->sport, m.spts) == !(m.invflags & XT_TCP_INV_SRCPT) &&
		       in_range(p->dport, m.dpts) == !(m.invflags & XT_TCP_INV_DSTPT) &&
		       ((syn & m.flg_mask) == m.flg_cmp) ==
			       !(m.invflags & XT_TCP_INV_FLAGS));
}

static enum eval_truth match_multiport(const struct walk_packet *p, const void *info,
				       uint32_t len)
{
	struct xt_multiport_v1 m;
	bool in = false;

	if (len < sizeof(m))
		return EVAL_MAYBE;
	memcpy(&m, info, sizeof(m));
	if (m.count > XT_MULTI_PORTS)
		return EVAL_MAYBE;
	for (size_t i = 0; i < m.count; i++) {
		__u16 range[2] = {m.ports[i], m.ports[i]};

		if (m.pflags[i] && i + 1 < m.count)
			range[1] = m.ports[++i];
		in |= m.flags != XT_MULTIPORT_DESTINATION && in_range(p->sport, range);
		in |= m.flags != XT_MULTIPORT_SOURCE && in_range(p->dport, range);
	}
	return eval_of(in != !!m.invert);
}

static enum eval_truth match_addrtype(const struct walk_packet *p, const void *info,
				      uint32_t len)
{
	const uint32_t known = XT_ADDRTYPE_INVERT_SOURCE | XT_ADDRTYPE_INVERT_DEST;
	struct xt_addrtype_info_v1 m;
	bool source, dest;

	if (len < sizeof(m))
		return EVAL_MAYBE;
	memcpy(&m, info, sizeof(m));
	if (m.flags & ~known)
		return EVAL_MAYBE;
	source = !m.source || !(m.source & 1 << RTN_UNICAST) ==
				      !!(m.flags & XT_ADDRTYPE_INVERT_SOURCE);
	dest = !m.dest || !(m.dest & 1U << eval_dst_type(p)) ==
				  !!(m.flags & XT_ADDRTYPE_INVERT_DEST);
	return eval_of(source && dest);
}

static enum eval_truth match_connmark(const struct walk_packet *p, const void *info,
				      uint32_t len)
{
	struct xt_connmark_mtinfo1 m;

	if (len < sizeof(m))
		return EVAL_MAYBE;
	memcpy(&m, info, sizeof(m));
	if (m.mask & ~p->mark) /* bits of which nothing is known */
		return EVAL_MAYBE;
	return eval_of(((p->mark & m.mask) == m.mark) == !m.invert);
}

enum eval_truth eval_xt_match(struct walker *w, const struct nftnl_expr *e)
{
	static const struct {
		const char *name;
		uint32_t revision; /* the first that has this form */
		enum eval_truth (*match)(const struct walk_packet *p, const void *info,
					 uint32_t len);
	} matches[] = {
		{"conntrack", 2, match_conntrack},
		{"udp", 0, match_udp},
		{"tcp", 0, match_tcp},
		{"multiport", 1, match_multiport},
		{"addrtype", 1, match_addrtype},
		{"connmark", 1, match_connmark},
	};
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME);
	uint32_t len = 0, revision = nftnl_expr_get_u32(e, NFTNL_EXPR_MT_REV);
	const void *info = nftnl_expr_get(e, NFTNL_EXPR_MT_INFO, &len);

	if (name && strcmp(name, "comment") == 0)
		return EVAL_YES;
	for (size_t i = 0; name && info && i < sizeof(matches) / sizeof(matches[0]); i++)
		if (strcmp(name, matches[i].name) == 0 && revision >= matches[i].revision)
			return matches[i].match(w->p, info, len);
	return EVAL_MAYBE;
}

enum eval_truth eval_xt_target(struct walker *w, const struct nftnl_expr *e)
{
	static const struct {
		const char *name;
		enum eval_action action;
	} targets[] = {
		{"REJECT", EVAL_DROP},       {"DNAT", EVAL_DNAT}, {"REDIRECT", EVAL_DNAT},
		{"SNAT", EVAL_ACCEPT},       {"DROP", EVAL_DROP}, {"ACCEPT", EVAL_ACCEPT},
		{"MASQUERADE", EVAL_ACCEPT},
	};
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME);

	for (size_t i = 0; name && i < sizeof(targets) / sizeof(targets[0]); i++)
		if (strcmp(name, targets[i].name) == 0)
			w->action = targets[i].action;
	return EVAL_YES;
}
