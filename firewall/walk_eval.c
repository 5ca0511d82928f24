/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/walk_eval.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h> /* libnftnl's headers want FILE */
#include <string.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include "base/addr.h"

static void set_bytes(struct eval_bytes *b, size_t at, const void *value, size_t len)
{
	if (at + len > EVAL_REGS)
		return;
	memcpy(b->value + at, value, len);
	memset(b->known + at, true, len);
}

static void forget_bytes(struct eval_bytes *b, size_t at, size_t len)
{
	if (at < EVAL_REGS)
		memset(b->known + at, false, at + len > EVAL_REGS ? EVAL_REGS - at : len);
}

static bool all_known(const struct eval_bytes *b, size_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at + i >= EVAL_REGS || !b->known[at + i])
			return false;
	return true;
}

/* Where a register begins, in bytes. */
static size_t reg_at(uint32_t reg)
{
	return reg >= NFT_REG32_00 ? 4 * (size_t)(reg - NFT_REG32_00)
	       : reg >= NFT_REG_1  ? 16 * (size_t)(reg - NFT_REG_1)
				   : EVAL_REGS;
}

static size_t sreg(const struct nftnl_expr *e, uint16_t attr)
{
	return reg_at(nftnl_expr_get_u32(e, attr));
}

/* ---- The packet ---- */

void eval_begin(struct walker *w)
{
	const struct walk_packet *p = w->p;
	uint16_t port[2] = {htons(p->sport), htons(p->dport)};
	const uint8_t syn = 2;

	if (p->ipv6) {
		set_bytes(&w->network, 6, &p->protocol, 1);
		set_bytes(&w->network, 8, &p->src, 16);
		set_bytes(&w->network, 24, &p->dst, 16);
	} else {
		struct in_addr src = addr_to_v4(&p->src), dst = addr_to_v4(&p->dst);

		set_bytes(&w->network, 9, &p->protocol, 1);
		set_bytes(&w->network, 12, &src, 4);
		set_bytes(&w->network, 16, &dst, 4);
	}
	set_bytes(&w->transport, 0, port, 4);
	if (p->protocol == IPPROTO_TCP)
		set_bytes(&w->transport, 13, &syn, 1);
}

static uint32_t ct_status(const struct walk_packet *p)
{
	return p->dnat ? IPS_DST_NAT | IPS_DST_NAT_DONE : 0;
}

uint32_t eval_dst_type(const struct walk_packet *p)
{
	if (p->ipv6 ? IN6_IS_ADDR_MULTICAST(&p->dst) : p->dst.s6_addr[12] >> 4 == 14)
		return RTN_MULTICAST;
	return p->to_router ? RTN_LOCAL : RTN_UNICAST;
}

/* ---- Expressions: each says whether the rule goes on ---- */

static enum eval_truth eval_meta(struct walker *w, const struct nftnl_expr *e)
{
	const struct walk_packet *p = w->p;
	const uint8_t nfproto = p->ipv6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	const uint16_t ether = htons(p->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	char name[IFNAMSIZ] = {0};
	size_t at;
	uint32_t index, key = nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY);
	const char *interface = key == NFT_META_IIF || key == NFT_META_IIFNAME ? p->iif
									       : p->oif;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_META_DREG))
		return EVAL_YES;
	at = sreg(e, NFTNL_EXPR_META_DREG);
	forget_bytes(&w->reg, at, 16);
	switch (key) {
	case NFT_META_IIFNAME:
	case NFT_META_OIFNAME:
		if (!interface)
			return EVAL_NO;
		strncpy(name, interface, sizeof(name) - 1);
		set_bytes(&w->reg, at, name, sizeof(name));
		break;
	case NFT_META_IIF:
	case NFT_META_OIF:
		index = interface ? if_nametoindex(interface) : 0;
		if (interface && !index)
			break;
		set_bytes(&w->reg, at, &index, sizeof(index));
		break;
	case NFT_META_NFPROTO:
		set_bytes(&w->reg, at, &nfproto, 1);
		break;
	case NFT_META_L4PROTO:
		set_bytes(&w->reg, at, &p->protocol, 1);
		break;
	case NFT_META_PROTOCOL:
		set_bytes(&w->reg, at, &ether, 2);
		break;
	default:
		break;
	}
	return EVAL_YES;
}

static enum eval_truth eval_payload(struct walker *w, const struct nftnl_expr *e)
{
	uint32_t base = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_BASE);
	size_t from = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET);
	size_t len = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_LEN);
	const struct eval_bytes *header = base == NFT_PAYLOAD_NETWORK_HEADER ? &w->network
					  : base == NFT_PAYLOAD_TRANSPORT_HEADER
						  ? &w->transport
						  : NULL;
	size_t at;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_PAYLOAD_DREG))
		return EVAL_YES;
	at = sreg(e, NFTNL_EXPR_PAYLOAD_DREG);
	forget_bytes(&w->reg, at, len);
	if (header && all_known(header, from, len))
		set_bytes(&w->reg, at, header->value + from, len);
	return EVAL_YES;
}

static enum eval_truth eval_ct(struct walker *w, const struct nftnl_expr *e)
{
	const uint32_t state = NF_CT_STATE_BIT(IP_CT_NEW), status = ct_status(w->p);
	const uint8_t original = 0;
	size_t at;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_CT_DREG))
		return EVAL_YES;
	at = sreg(e, NFTNL_EXPR_CT_DREG);
	forget_bytes(&w->reg, at, 16);
	switch (nftnl_expr_get_u32(e, NFTNL_EXPR_CT_KEY)) {
	case NFT_CT_STATE:
		set_bytes(&w->reg, at, &state, sizeof(state));
		break;
	case NFT_CT_STATUS:
		set_bytes(&w->reg, at, &status, sizeof(status));
		break;
	case NFT_CT_DIRECTION:
		set_bytes(&w->reg, at, &original, 1);
		break;
	case NFT_CT_MARK:
		for (size_t i = 0; i < 4 && at + i < EVAL_REGS; i++) {
			w->reg.value[at + i] = ((const uint8_t *)&w->p->mark)[i];
			w->reg.known[at + i] = w->reg.value[at + i];
		}
		break;
	default:
		break;
	}
	return EVAL_YES;
}

static enum eval_truth eval_bitwise(struct walker *w, const struct nftnl_expr *e)
{
	size_t from = sreg(e, NFTNL_EXPR_BITWISE_SREG),
	       to = sreg(e, NFTNL_EXPR_BITWISE_DREG);
	size_t len = nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_LEN);
	uint32_t mask_len = 0, xor_len = 0;
	const uint8_t *mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &mask_len);
	const uint8_t * xor = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &xor_len);
	struct eval_bytes in = w->reg;

	if (nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_OP) != NFT_BITWISE_BOOL || !mask ||
	    !xor || mask_len < len || xor_len < len || from + len > EVAL_REGS ||
	    to + len > EVAL_REGS) {
		forget_bytes(&w->reg, to, len ? len : 16);
		return EVAL_YES;
	}
	for (size_t i = 0; i < len; i++) {
		w->reg.value[to + i] = (uint8_t)((in.value[from + i] & mask[i]) ^ xor[i]);
		w->reg.known[to + i] = in.known[from + i] || !mask[i];
	}
	return EVAL_YES;
}

static enum eval_truth eval_byteorder(struct walker *w, const struct nftnl_expr *e)
{
	size_t from = sreg(e, NFTNL_EXPR_BYTEORDER_SREG);
	size_t to = sreg(e, NFTNL_EXPR_BYTEORDER_DREG);
	size_t len = nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_LEN);
	size_t size = nftnl_expr_get_u32(e, NFTNL_EXPR_BYTEORDER_SIZE);
	struct eval_bytes in = w->reg;

	if (!size || from + len > EVAL_REGS || to + len > EVAL_REGS) {
		forget_bytes(&w->reg, to, 16);
		return EVAL_YES;
	}
	for (size_t i = 0; i < len; i++) {
		size_t other = i / size * size + (size - 1 - i % size);
		size_t source = __BYTE_ORDER == __LITTLE_ENDIAN && other < len ? other
									       : i;

		w->reg.value[to + i] = in.value[from + source];
		w->reg.known[to + i] = in.known[from + source];
	}
	return EVAL_YES;
}

static enum eval_truth not(enum eval_truth t) {
	return t == EVAL_MAYBE ? EVAL_MAYBE
	       : t == EVAL_YES ? EVAL_NO
			       : EVAL_YES;
}

/* Are these bytes those? */
static enum eval_truth equal(const struct eval_bytes *b, size_t at, const uint8_t *to,
			     size_t len)
{
	enum eval_truth t = EVAL_YES;

	for (size_t i = 0; i < len; i++) {
		if (at + i >= EVAL_REGS || !b->known[at + i])
			t = EVAL_MAYBE;
		else if (b->value[at + i] != to[i])
			return EVAL_NO;
	}
	return t;
}

static enum eval_truth eval_cmp(struct walker *w, const struct nftnl_expr *e)
{
	size_t at = sreg(e, NFTNL_EXPR_CMP_SREG);
	uint32_t len = 0, op = nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_OP);
	const uint8_t *data = nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &len);
	int order;

	if (!data)
		return EVAL_MAYBE;
	if (op == NFT_CMP_EQ)
		return equal(&w->reg, at, data, len);
	if (op == NFT_CMP_NEQ)
		return not(equal(&w->reg, at, data, len));
	if (!all_known(&w->reg, at, len))
		return EVAL_MAYBE;
	order = memcmp(w->reg.value + at, data, len);
	return eval_of(op == NFT_CMP_LT    ? order < 0
		       : op == NFT_CMP_LTE ? order <= 0
		       : op == NFT_CMP_GT  ? order > 0
					   : order >= 0);
}

static enum eval_truth eval_range(struct walker *w, const struct nftnl_expr *e)
{
	size_t at = sreg(e, NFTNL_EXPR_RANGE_SREG);
	uint32_t from_len = 0, to_len = 0;
	const uint8_t *from = nftnl_expr_get(e, NFTNL_EXPR_RANGE_FROM_DATA, &from_len);
	const uint8_t *to = nftnl_expr_get(e, NFTNL_EXPR_RANGE_TO_DATA, &to_len);
	bool in;

	if (!from || !to || from_len != to_len || !all_known(&w->reg, at, from_len))
		return EVAL_MAYBE;
	in = memcmp(w->reg.value + at, from, from_len) >= 0 &&
	     memcmp(w->reg.value + at, to, to_len) <= 0;
	return eval_of(in ==
		       (nftnl_expr_get_u32(e, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_EQ));
}

/* ---- Sets and maps ---- */

/* Is the key in that element of a set of concatenated ranges? */
static bool in_ranges(const uint8_t *key, const uint8_t *from, const uint8_t *to,
		      const uint8_t *fields, size_t n_fields, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < n_fields; at += (size_t)(fields[i] + 3) / 4 * 4, i++)
		if (at + fields[i] > len || memcmp(key + at, from + at, fields[i]) < 0 ||
		    memcmp(key + at, to + at, fields[i]) > 0)
			return false;
	return true;
}

struct search {
	const uint8_t *key;
	size_t len;
	bool interval;
	const uint8_t *fields;
	uint32_t n_fields;
	struct nftnl_set_elem *found;
	const uint8_t *nearest; /* of an interval set: the greatest that is not above */
	struct nftnl_set_elem *catch_all;
};

static int search_element(struct nftnl_set_elem *e, void *arg)
{
	struct search *s = arg;
	uint32_t flags = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_FLAGS)
				 ? nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_FLAGS)
				 : 0;
	uint32_t len = 0, end_len = 0;
	const uint8_t *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);
	const uint8_t *end = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_KEY_END)
				     ? nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY_END,
							  &end_len)
				     : NULL;

	if (flags & NFT_SET_ELEM_CATCHALL) {
		s->catch_all = e;
		return 0;
	}
	if (!key || len != s->len)
		return 0;
	if (s->interval && s->n_fields) {
		if (in_ranges(s->key, key, end && end_len == len ? end : key, s->fields,
			      s->n_fields, len))
			s->found = e;
		return 0;
	}
	if (!s->interval) {
		if (memcmp(key, s->key, len) == 0)
			s->found = e;
		return 0;
	}
	if (memcmp(key, s->key, len) > 0 ||
	    (s->nearest && memcmp(key, s->nearest, len) < 0))
		return 0;
	/* One range may end where another begins. */
	if (s->nearest && memcmp(key, s->nearest, len) == 0 &&
	    flags & NFT_SET_ELEM_INTERVAL_END)
		return 0;
	s->nearest = key;
	s->found = flags & NFT_SET_ELEM_INTERVAL_END ? NULL : e;
	return 0;
}

/* A verdict of a rule, or of an element. */
static void take_verdict(struct walker *w, uint32_t verdict, const char *chain)
{
	switch ((int)verdict) {
	case NF_ACCEPT:
	case NF_QUEUE:
		w->action = EVAL_ACCEPT;
		break;
	case NF_DROP:
		w->action = EVAL_DROP;
		break;
	case NFT_JUMP:
		w->action = EVAL_JUMP;
		break;
	case NFT_GOTO:
		w->action = EVAL_GOTO;
		break;
	case NFT_RETURN:
		w->action = EVAL_RETURN;
		break;
	default:
		w->action = EVAL_GO_ON;
		break;
	}
	snprintf(w->target, sizeof(w->target), "%s", chain ? chain : "");
}

static void take_data(struct walker *w, const struct nftnl_expr *e,
		      struct nftnl_set_elem *found)
{
	size_t at = sreg(e, NFTNL_EXPR_LOOKUP_DREG);
	uint32_t len = 0;
	const void *data;

	if (nftnl_set_elem_is_set(found, NFTNL_SET_ELEM_VERDICT)) {
		take_verdict(w, nftnl_set_elem_get_u32(found, NFTNL_SET_ELEM_VERDICT),
			     nftnl_set_elem_get_str(found, NFTNL_SET_ELEM_CHAIN));
		return;
	}
	forget_bytes(&w->reg, at, 16);
	data = nftnl_set_elem_get(found, NFTNL_SET_ELEM_DATA, &len);
	if (data)
		set_bytes(&w->reg, at, data, len);
}

static enum eval_truth eval_lookup(struct walker *w, const struct nftnl_expr *e)
{
	size_t at = sreg(e, NFTNL_EXPR_LOOKUP_SREG);
	bool inverted = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_FLAGS) &&
			nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV;
	struct nftnl_set *set = foreign_find_set(
		w->f, w->chain->family, w->chain->table,
		nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET));
	struct search s = {.key = w->reg.value + at};

	if (!set) {
		if (nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG))
			forget_bytes(&w->reg, sreg(e, NFTNL_EXPR_LOOKUP_DREG), 16);
		return EVAL_MAYBE;
	}
	s.len = nftnl_set_get_u32(set, NFTNL_SET_KEY_LEN);
	if (!all_known(&w->reg, at, s.len)) {
		/* Which of its verdicts it would be is open, too. */
		if (nftnl_set_get_u32(set, NFTNL_SET_FLAGS) & NFT_SET_MAP)
			w->may_have_passed = true;
		return EVAL_MAYBE;
	}
	s.interval = nftnl_set_get_u32(set, NFTNL_SET_FLAGS) & NFT_SET_INTERVAL;
	if (nftnl_set_is_set(set, NFTNL_SET_DESC_CONCAT))
		s.fields = nftnl_set_get_data(set, NFTNL_SET_DESC_CONCAT, &s.n_fields);
	nftnl_set_elem_foreach(set, search_element, &s);
	if (!s.found)
		s.found = s.catch_all;
	if (s.found && nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG))
		take_data(w, e, s.found);
	return eval_of(!s.found == inverted);
}

static enum eval_truth eval_immediate(struct walker *w, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *data;

	if (nftnl_expr_is_set(e, NFTNL_EXPR_IMM_VERDICT)) {
		take_verdict(w, nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT),
			     nftnl_expr_is_set(e, NFTNL_EXPR_IMM_CHAIN)
				     ? nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN)
				     : NULL);
		return EVAL_YES;
	}
	data = nftnl_expr_get(e, NFTNL_EXPR_IMM_DATA, &len);
	if (data)
		set_bytes(&w->reg, sreg(e, NFTNL_EXPR_IMM_DREG), data, len);
	return EVAL_YES;
}

static enum eval_truth eval_reject(struct walker *w, const struct nftnl_expr *e)
{
	(void)e;
	w->action = EVAL_DROP;
	return EVAL_YES;
}

static enum eval_truth eval_nat(struct walker *w, const struct nftnl_expr *e)
{
	bool dnat = nftnl_expr_get_u32(e, NFTNL_EXPR_NAT_TYPE) == NFT_NAT_DNAT;

	w->action = dnat ? EVAL_DNAT : EVAL_ACCEPT;
	return EVAL_YES;
}

static enum eval_truth eval_redir(struct walker *w, const struct nftnl_expr *e)
{
	(void)e;
	w->action = EVAL_DNAT;
	return EVAL_YES;
}

static enum eval_truth eval_accept(struct walker *w, const struct nftnl_expr *e)
{
	(void)e;
	w->action = EVAL_ACCEPT;
	return EVAL_YES;
}

static enum eval_truth eval_nothing(struct walker *w, const struct nftnl_expr *e)
{
	(void)w;
	(void)e;
	return EVAL_YES;
}

/* The routing table, as far as it is plain: where the packet goes to was said, and where it
 * came from there is a way back. */
static enum eval_truth eval_fib(struct walker *w, const struct nftnl_expr *e)
{
	const uint32_t flags = nftnl_expr_get_u32(e, NFTNL_EXPR_FIB_FLAGS);
	const uint32_t type = flags & NFTA_FIB_F_DADDR ? eval_dst_type(w->p)
						       : RTN_UNICAST;
	const uint32_t index = w->p->iif ? if_nametoindex(w->p->iif) : 0;
	size_t at = sreg(e, NFTNL_EXPR_FIB_DREG);

	forget_bytes(&w->reg, at, 16);
	if (nftnl_expr_get_u32(e, NFTNL_EXPR_FIB_RESULT) == NFT_FIB_RESULT_ADDRTYPE)
		set_bytes(&w->reg, at, &type, sizeof(type));
	else if (flags & NFTA_FIB_F_SADDR && index &&
		 nftnl_expr_get_u32(e, NFTNL_EXPR_FIB_RESULT) == NFT_FIB_RESULT_OIF)
		set_bytes(&w->reg, at, &index, sizeof(index));
	return EVAL_YES;
}

/* What loads something that is not known from here. */
static enum eval_truth eval_unknown(struct walker *w, const struct nftnl_expr *e)
{
	(void)e;
	memset(w->reg.known, false, sizeof(w->reg.known));
	return EVAL_YES;
}

static enum eval_truth eval_maybe(struct walker *w, const struct nftnl_expr *e)
{
	(void)w;
	(void)e;
	return EVAL_MAYBE;
}

static enum eval_truth eval(struct walker *w, const struct nftnl_expr *e)
{
	static const struct {
		const char *name;
		enum eval_truth (*eval)(struct walker *w, const struct nftnl_expr *e);
	} kinds[] = {
		{"meta", eval_meta},
		{"cmp", eval_cmp},
		{"payload", eval_payload},
		{"ct", eval_ct},
		{"bitwise", eval_bitwise},
		{"immediate", eval_immediate},
		{"lookup", eval_lookup},
		{"counter", eval_nothing},
		{"log", eval_nothing},
		{"range", eval_range},
		{"byteorder", eval_byteorder},
		{"reject", eval_reject},
		{"nat", eval_nat},
		{"masq", eval_accept},
		{"redir", eval_redir},
		{"match", eval_xt_match},
		{"target", eval_xt_target},
		{"queue", eval_accept},
		{"notrack", eval_nothing},
		{"dynset", eval_nothing},
		{"objref", eval_nothing},
		{"flow_offload", eval_nothing},
		{"fib", eval_fib},
		{"rt", eval_unknown},
		{"socket", eval_unknown},
		{"hash", eval_unknown},
		{"numgen", eval_unknown},
		{"exthdr", eval_unknown},
		{"xfrm", eval_unknown},
		{"tunnel", eval_unknown},
	};
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

	for (size_t i = 0; name && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].eval(w, e);
	return eval_maybe(w, e); /* limit, quota, connlimit, osf ... */
}

enum eval_truth eval_rule(struct walker *w, const struct nftnl_rule *rule)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	enum eval_truth match = EVAL_YES;
	struct nftnl_expr *e;

	w->action = EVAL_GO_ON;
	if (!iter)
		return EVAL_MAYBE;
	memset(w->reg.known, false, sizeof(w->reg.known));
	while (match != EVAL_NO && (e = nftnl_expr_iter_next(iter))) {
		enum eval_truth t = eval(w, e);

		match = t < match ? t : match;
	}
	nftnl_expr_iter_destroy(iter);
	return match;
}
