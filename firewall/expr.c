/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/expr_inside.h"

#include <errno.h>
#include <stdio.h> /* libnftnl's headers want FILE */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#define COMMENT_MAX 64 /* with its NUL */
#define IP_SADDR_OFFSET 12
#define IP_DADDR_OFFSET 16
#define IP6_SADDR_OFFSET 8
#define IP6_DADDR_OFFSET 24

/* nft prints a rule only if it finds the old names for fields 0, 4, 8 and 12. */
uint32_t expr_reg(unsigned int at)
{
	return at % 4 ? NFT_REG32_00 + at : NFT_REG_1 + at / 4;
}

struct nftnl_expr *expr_add(struct expr *e, const char *name)
{
	struct nftnl_expr *x = e->bad ? NULL : nftnl_expr_alloc(name);

	if (x)
		nftnl_rule_add_expr(e->rule, x);
	else
		e->bad = true;
	return x;
}

void expr_u32(struct nftnl_expr *x, uint16_t attr, uint32_t v)
{
	if (x)
		nftnl_expr_set_u32(x, attr, v);
}

void expr_u8(struct nftnl_expr *x, uint16_t attr, uint8_t v)
{
	if (x)
		nftnl_expr_set_u8(x, attr, v);
}

void expr_str(struct expr *e, struct nftnl_expr *x, uint16_t attr, const char *s)
{
	if (x && nftnl_expr_set_str(x, attr, s))
		e->bad = true;
}

void expr_data(struct expr *e, struct nftnl_expr *x, uint16_t attr, const void *data,
	       uint32_t len)
{
	if (x && nftnl_expr_set(x, attr, data, len))
		e->bad = true;
}

void expr_begin(struct expr *e, const char *table, const char *chain)
{
	e->rule = nftnl_rule_alloc();
	e->bad = !e->rule;
	if (e->bad)
		return;
	nftnl_rule_set_u32(e->rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	if (nftnl_rule_set_str(e->rule, NFTNL_RULE_TABLE, table) ||
	    nftnl_rule_set_str(e->rule, NFTNL_RULE_CHAIN, chain))
		e->bad = true;
}

void expr_comment(struct expr *e, const char *text)
{
	uint8_t tlv[2 + COMMENT_MAX] = {NFTNL_UDATA_RULE_COMMENT};
	size_t n = strlen(text) + 1;

	if (e->bad || n > COMMENT_MAX) {
		e->bad = true;
		return;
	}
	tlv[1] = (uint8_t)n;
	memcpy(tlv + 2, text, n);
	if (nftnl_rule_set_data(e->rule, NFTNL_RULE_USERDATA, tlv, (uint32_t)(n + 2)))
		e->bad = true;
}

int expr_finish(struct expr *e, struct nlmsghdr *nlh)
{
	bool bad = e->bad || !nlh;

	if (!bad)
		nftnl_rule_nlmsg_build_payload(nlh, e->rule);
	if (e->rule)
		nftnl_rule_free(e->rule);
	e->rule = NULL;
	return bad ? -ENOMEM : 0;
}

/* Loads */

void expr_meta(struct expr *e, uint32_t key, unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "meta");

	expr_u32(x, NFTNL_EXPR_META_KEY, key);
	expr_u32(x, NFTNL_EXPR_META_DREG, expr_reg(at));
}

void expr_payload(struct expr *e, uint32_t base, uint32_t offset, uint32_t len,
		  unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "payload");

	expr_u32(x, NFTNL_EXPR_PAYLOAD_BASE, base);
	expr_u32(x, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	expr_u32(x, NFTNL_EXPR_PAYLOAD_LEN, len);
	expr_u32(x, NFTNL_EXPR_PAYLOAD_DREG, expr_reg(at));
}

void expr_ct(struct expr *e, uint32_t key, unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "ct");

	expr_u32(x, NFTNL_EXPR_CT_KEY, key);
	expr_u32(x, NFTNL_EXPR_CT_DREG, expr_reg(at));
}

static void ct_of(struct expr *e, uint32_t key, uint8_t dir, unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "ct");

	expr_u32(x, NFTNL_EXPR_CT_KEY, key);
	expr_u8(x, NFTNL_EXPR_CT_DIR, dir);
	expr_u32(x, NFTNL_EXPR_CT_DREG, expr_reg(at));
}

void expr_l4proto(struct expr *e, unsigned int at)
{
	expr_meta(e, NFT_META_L4PROTO, at);
}

void expr_port(struct expr *e, enum expr_port which, unsigned int at)
{
	expr_payload(e, NFT_PAYLOAD_TRANSPORT_HEADER, which == EXPR_SPORT ? 0 : 2, 2, at);
}

void expr_saddr(struct expr *e, unsigned int at)
{
	expr_payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP_SADDR_OFFSET, 4, at);
}

void expr_saddr6(struct expr *e, unsigned int at)
{
	expr_payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP6_SADDR_OFFSET, 16, at);
}

void expr_daddr6(struct expr *e, unsigned int at)
{
	expr_payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP6_DADDR_OFFSET, 16, at);
}

void expr_daddr(struct expr *e, unsigned int at)
{
	expr_payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP_DADDR_OFFSET, 4, at);
}

void expr_ct_saddr(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_SRC_IP, IP_CT_DIR_ORIGINAL, at);
}

void expr_ct_daddr(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_DST_IP, IP_CT_DIR_ORIGINAL, at);
}

void expr_ct_sport(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_PROTO_SRC, IP_CT_DIR_ORIGINAL, at);
}

void expr_ct_reply_saddr(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_SRC_IP, IP_CT_DIR_REPLY, at);
}
