/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a rule does with a packet. */
#include "firewall/expr_inside.h"

#include <arpa/inet.h>
#include <stdio.h> /* libnftnl's headers want FILE */

#include <libnftnl/expr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#define TCP_OPTION_MSS 2
#define MINUTE_S 60
#define WEEK_S (7 * 24 * 60 * 60) /* the longest unit that nft knows */

static struct nftnl_expr *dynset(struct expr *e, uint32_t op, const char *set,
				 unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "dynset");

	expr_u32(x, NFTNL_EXPR_DYNSET_SREG_KEY, expr_reg(at));
	expr_u32(x, NFTNL_EXPR_DYNSET_OP, op);
	expr_str(e, x, NFTNL_EXPR_DYNSET_SET_NAME, set);
	return x;
}

void expr_set_put(struct expr *e, enum expr_set_op op, const char *set, unsigned int at)
{
	dynset(e, op == EXPR_ADD ? NFT_DYNSET_OP_ADD : NFT_DYNSET_OP_UPDATE, set, at);
}

void expr_set_put_for(struct expr *e, enum expr_set_op op, const char *set,
		      unsigned int at, uint64_t timeout_ms)
{
	struct nftnl_expr *x = dynset(
		e, op == EXPR_ADD ? NFT_DYNSET_OP_ADD : NFT_DYNSET_OP_UPDATE, set, at);

	if (x)
		nftnl_expr_set_u64(x, NFTNL_EXPR_DYNSET_TIMEOUT, timeout_ms);
}

void expr_map_update(struct expr *e, const char *map, unsigned int at,
		     unsigned int data_at, uint64_t timeout_ms)
{
	struct nftnl_expr *x = dynset(e, NFT_DYNSET_OP_UPDATE, map, at);

	expr_u32(x, NFTNL_EXPR_DYNSET_SREG_DATA, expr_reg(data_at));
	if (x && timeout_ms)
		nftnl_expr_set_u64(x, NFTNL_EXPR_DYNSET_TIMEOUT, timeout_ms);
}

static struct nftnl_expr *with_rate(struct expr *e, const char *set, unsigned int at,
				    uint64_t rate, uint64_t per_s, uint32_t burst,
				    uint32_t flags)
{
	struct nftnl_expr *x = dynset(e, NFT_DYNSET_OP_UPDATE, set, at);
	struct nftnl_expr *limit = x ? nftnl_expr_alloc("limit") : NULL;

	if (!limit) {
		e->bad = true;
		return x;
	}
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, per_s);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, flags);
	nftnl_expr_add_expr(x, NFTNL_EXPR_DYNSET_EXPR, limit);
	return x;
}

static struct nftnl_expr *over_rate(struct expr *e, const char *set, unsigned int at,
				    uint64_t rate, uint64_t per_s, uint32_t burst)
{
	return with_rate(e, set, at, rate, per_s, burst, NFT_LIMIT_F_INV);
}

void expr_within_rate(struct expr *e, const char *set, unsigned int at, uint64_t rate,
		      uint32_t burst)
{
	with_rate(e, set, at, rate, MINUTE_S, burst, 0);
}

void expr_over_rate(struct expr *e, const char *set, unsigned int at, uint64_t rate,
		    uint32_t burst)
{
	over_rate(e, set, at, rate, 1, burst);
}

void expr_put_before(struct expr *e, const char *set, unsigned int at)
{
	over_rate(e, set, at, 1, WEEK_S, 1);
}

void expr_map_put_before(struct expr *e, const char *map, unsigned int at,
			 unsigned int data_at)
{
	expr_u32(over_rate(e, map, at, 1, WEEK_S, 1), NFTNL_EXPR_DYNSET_SREG_DATA,
		 expr_reg(data_at));
}

void expr_map_drop(struct expr *e, const char *map, unsigned int at, unsigned int data_at)
{
	expr_u32(dynset(e, NFT_DYNSET_OP_DELETE, map, at), NFTNL_EXPR_DYNSET_SREG_DATA,
		 expr_reg(data_at));
}

static void nat(struct expr *e, uint32_t type, unsigned int addr_at, unsigned int port_at)
{
	struct nftnl_expr *x = expr_add(e, "nat");

	expr_u32(x, NFTNL_EXPR_NAT_TYPE, type);
	expr_u32(x, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
	expr_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, expr_reg(addr_at));
	expr_u32(x, NFTNL_EXPR_NAT_REG_PROTO_MIN, expr_reg(port_at));
	expr_u32(x, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

void expr_dnat(struct expr *e, unsigned int addr_at, unsigned int port_at)
{
	nat(e, NFT_NAT_DNAT, addr_at, port_at);
}

void expr_dnat_addr(struct expr *e, unsigned int addr_at)
{
	struct nftnl_expr *x = expr_add(e, "nat");

	expr_u32(x, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
	expr_u32(x, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
	expr_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, expr_reg(addr_at));
}

void expr_snat(struct expr *e, unsigned int addr_at, unsigned int port_at)
{
	nat(e, NFT_NAT_SNAT, addr_at, port_at);
}

void expr_masquerade(struct expr *e)
{
	expr_add(e, "masq");
}

void expr_masquerade_port(struct expr *e, unsigned int port_at)
{
	struct nftnl_expr *x = expr_add(e, "masq");

	expr_u32(x, NFTNL_EXPR_MASQ_REG_PROTO_MIN, expr_reg(port_at));
	expr_u32(x, NFTNL_EXPR_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

static void immediate_port(struct expr *e, uint16_t port, unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "immediate");
	uint16_t be = htons(port);

	expr_u32(x, NFTNL_EXPR_IMM_DREG, expr_reg(at));
	expr_data(e, x, NFTNL_EXPR_IMM_DATA, &be, sizeof(be));
}

void expr_masquerade_range(struct expr *e, uint16_t first, uint16_t last)
{
	struct nftnl_expr *x;

	immediate_port(e, first, 0);
	immediate_port(e, last, 4);
	x = expr_add(e, "masq");
	expr_u32(x, NFTNL_EXPR_MASQ_REG_PROTO_MIN, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_MASQ_REG_PROTO_MAX, expr_reg(4));
	expr_u32(x, NFTNL_EXPR_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

void expr_ct_mark_or(struct expr *e, uint32_t bits)
{
	struct nftnl_expr *x;

	expr_ct(e, NFT_CT_MARK, 0);
	expr_bitwise(e, ~bits, bits);
	x = expr_add(e, "ct");
	expr_u32(x, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	expr_u32(x, NFTNL_EXPR_CT_SREG, expr_reg(0));
}

static struct nftnl_expr *verdict(struct expr *e, int32_t code)
{
	struct nftnl_expr *x = expr_add(e, "immediate");

	expr_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	expr_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	return x;
}

void expr_goto(struct expr *e, const char *chain)
{
	expr_str(e, verdict(e, NFT_GOTO), NFTNL_EXPR_IMM_CHAIN, chain);
}

void expr_jump(struct expr *e, const char *chain)
{
	expr_str(e, verdict(e, NFT_JUMP), NFTNL_EXPR_IMM_CHAIN, chain);
}

void expr_return(struct expr *e)
{
	verdict(e, NFT_RETURN);
}

void expr_accept(struct expr *e)
{
	verdict(e, NF_ACCEPT);
}

void expr_drop(struct expr *e)
{
	verdict(e, NF_DROP);
}

void expr_log(struct expr *e, const char *prefix)
{
	expr_str(e, expr_add(e, "log"), NFTNL_EXPR_LOG_PREFIX, prefix);
}

void expr_log_group(struct expr *e, uint16_t group, uint32_t bytes)
{
	struct nftnl_expr *x = expr_add(e, "log");

	if (!x)
		return;
	nftnl_expr_set_u16(x, NFTNL_EXPR_LOG_GROUP, group);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LOG_SNAPLEN, bytes);
	nftnl_expr_set_u16(x, NFTNL_EXPR_LOG_QTHRESHOLD, 1);
}

void expr_clamp_mss(struct expr *e)
{
	struct nftnl_expr *x = expr_add(e, "rt");

	expr_u32(x, NFTNL_EXPR_RT_KEY, NFT_RT_TCPMSS);
	expr_u32(x, NFTNL_EXPR_RT_DREG, expr_reg(0));
	x = expr_add(e, "byteorder");
	expr_u32(x, NFTNL_EXPR_BYTEORDER_SREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_BYTEORDER_DREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	expr_u32(x, NFTNL_EXPR_BYTEORDER_LEN, 2);
	expr_u32(x, NFTNL_EXPR_BYTEORDER_SIZE, 2);
	x = expr_add(e, "exthdr");
	expr_u32(x, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	expr_u8(x, NFTNL_EXPR_EXTHDR_TYPE, TCP_OPTION_MSS);
	expr_u32(x, NFTNL_EXPR_EXTHDR_OFFSET, 2);
	expr_u32(x, NFTNL_EXPR_EXTHDR_LEN, 2);
	expr_u32(x, NFTNL_EXPR_EXTHDR_SREG, expr_reg(0));
}
