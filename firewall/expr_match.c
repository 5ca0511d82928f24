/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a rule asks of a packet. */
#include "firewall/expr_inside.h"

#include <arpa/inet.h>
#include <stdio.h> /* libnftnl's headers want FILE */

#include <libnftnl/expr.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#define IP6_HOP_LIMIT_OFFSET 7
#define TCP_FLAGS_OFFSET 13

static void cmp(struct expr *e, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *x = expr_add(e, "cmp");

	expr_u32(x, NFTNL_EXPR_CMP_SREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_CMP_OP, op);
	expr_data(e, x, NFTNL_EXPR_CMP_DATA, data, len);
}

static struct nftnl_expr *lookup(struct expr *e, const char *set, unsigned int at)
{
	struct nftnl_expr *x = expr_add(e, "lookup");

	expr_u32(x, NFTNL_EXPR_LOOKUP_SREG, expr_reg(at));
	expr_str(e, x, NFTNL_EXPR_LOOKUP_SET, set);
	return x;
}

void expr_nfproto_ipv4(struct expr *e, bool is)
{
	uint8_t family = NFPROTO_IPV4;

	expr_meta(e, NFT_META_NFPROTO, 0);
	cmp(e, is ? NFT_CMP_EQ : NFT_CMP_NEQ, &family, sizeof(family));
}

void expr_nfproto_ipv6(struct expr *e)
{
	uint8_t family = NFPROTO_IPV6;

	expr_meta(e, NFT_META_NFPROTO, 0);
	cmp(e, NFT_CMP_EQ, &family, sizeof(family));
}

void expr_in_set(struct expr *e, const char *set, unsigned int at)
{
	lookup(e, set, at);
}

void expr_not_in_set(struct expr *e, const char *set, unsigned int at)
{
	expr_u32(lookup(e, set, at), NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

static struct nftnl_expr *lookup_id(struct expr *e, uint32_t set_id)
{
	struct nftnl_expr *x = lookup(e, "__set%d", 0);

	expr_u32(x, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
	return x;
}

void expr_tcp_udp(struct expr *e, uint32_t set_id, bool is)
{
	struct nftnl_expr *x;

	expr_meta(e, NFT_META_L4PROTO, 0);
	x = lookup_id(e, set_id);
	if (!is)
		expr_u32(x, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void expr_ifname_load(struct expr *e, enum expr_name which, unsigned int at)
{
	expr_meta(e, which == EXPR_IIFNAME ? NFT_META_IIFNAME : NFT_META_OIFNAME, at);
}

void expr_ifname(struct expr *e, enum expr_name which, const char *set)
{
	expr_ifname_load(e, which, 0);
	lookup(e, set, 0);
}

void expr_ifname_is(struct expr *e, enum expr_name which, const char *name)
{
	char padded[IFNAMSIZ] = {0};

	memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
	expr_ifname_load(e, which, 0);
	cmp(e, NFT_CMP_EQ, padded, sizeof(padded));
}

void expr_skuid(struct expr *e, uint32_t uid)
{
	expr_meta(e, NFT_META_SKUID, 0);
	cmp(e, NFT_CMP_EQ, &uid, sizeof(uid));
}

void expr_protocol(struct expr *e, uint8_t protocol)
{
	expr_meta(e, NFT_META_L4PROTO, 0);
	cmp(e, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

void expr_saddr_in(struct expr *e, const char *set)
{
	expr_saddr(e, 0);
	lookup(e, set, 0);
}

void expr_daddr_in(struct expr *e, const char *set)
{
	expr_daddr(e, 0);
	lookup(e, set, 0);
}

void expr_daddr6_in(struct expr *e, const char *set)
{
	expr_daddr6(e, 0);
	lookup(e, set, 0);
}

void expr_ct_daddr_in(struct expr *e, const char *set)
{
	expr_ct_daddr(e, 0);
	lookup(e, set, 0);
}

/* (field 0 & mask) ^ bits */
void expr_bitwise(struct expr *e, uint32_t mask, uint32_t bits)
{
	struct nftnl_expr *x = expr_add(e, "bitwise");

	expr_u32(x, NFTNL_EXPR_BITWISE_SREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_BITWISE_DREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	expr_data(e, x, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	expr_data(e, x, NFTNL_EXPR_BITWISE_XOR, &bits, sizeof(bits));
}

static void ct_state(struct expr *e, uint32_t bits)
{
	static const uint32_t zero;

	expr_ct(e, NFT_CT_STATE, 0);
	expr_bitwise(e, bits, 0);
	cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
}

void expr_ct_new(struct expr *e)
{
	ct_state(e, NF_CT_STATE_BIT(IP_CT_NEW));
}

void expr_ct_established(struct expr *e)
{
	ct_state(e, NF_CT_STATE_BIT(IP_CT_ESTABLISHED));
}

void expr_ct_mark_has(struct expr *e, uint32_t bits)
{
	static const uint32_t zero;

	expr_ct(e, NFT_CT_MARK, 0);
	expr_bitwise(e, bits, 0);
	cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
}

void expr_ct_status(struct expr *e, uint32_t bits, bool is)
{
	static const uint32_t zero;

	expr_ct(e, NFT_CT_STATUS, 0);
	expr_bitwise(e, bits, 0);
	if (is)
		cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
	else
		cmp(e, NFT_CMP_NEQ, &bits, sizeof(bits));
}

void expr_ct_status_all(struct expr *e, uint32_t bits)
{
	expr_ct(e, NFT_CT_STATUS, 0);
	expr_bitwise(e, bits, 0);
	cmp(e, NFT_CMP_EQ, &bits, sizeof(bits));
}

static void ct_direction(struct expr *e, uint8_t dir)
{
	expr_ct(e, NFT_CT_DIRECTION, 0);
	cmp(e, NFT_CMP_EQ, &dir, sizeof(dir));
}

void expr_ct_reply(struct expr *e)
{
	ct_direction(e, IP_CT_DIR_REPLY);
}

void expr_ct_original(struct expr *e)
{
	ct_direction(e, IP_CT_DIR_ORIGINAL);
}

static void port_cmp(struct expr *e, enum expr_port which, uint32_t op, uint16_t port)
{
	uint16_t be = htons(port);

	expr_port(e, which, 0);
	cmp(e, op, &be, sizeof(be));
}

void expr_dport_in(struct expr *e, const char *set)
{
	expr_port(e, EXPR_DPORT, 0);
	lookup(e, set, 0);
}

void expr_sport_below(struct expr *e, uint16_t port)
{
	port_cmp(e, EXPR_SPORT, NFT_CMP_LT, port);
}

void expr_sport_from(struct expr *e, uint16_t port)
{
	port_cmp(e, EXPR_SPORT, NFT_CMP_GTE, port);
}

void expr_map(struct expr *e, const char *map, unsigned int at)
{
	expr_map_to(e, map, at, at);
}

void expr_map_to(struct expr *e, const char *map, unsigned int at, unsigned int to)
{
	expr_u32(lookup(e, map, at), NFTNL_EXPR_LOOKUP_DREG, expr_reg(to));
}

/* Of router mode */

void expr_l4proto_is(struct expr *e, uint8_t protocol)
{
	expr_l4proto(e, 0);
	cmp(e, NFT_CMP_EQ, &protocol, sizeof(protocol));
}

void expr_port_is(struct expr *e, enum expr_port which, uint16_t port)
{
	uint16_t be = htons(port);

	expr_port(e, which, 0);
	cmp(e, NFT_CMP_EQ, &be, sizeof(be));
}

void expr_ct_state(struct expr *e, uint32_t bits)
{
	static const uint32_t zero;

	expr_ct(e, NFT_CT_STATE, 0);
	expr_bitwise(e, bits, 0);
	cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
}

/* One byte of the transport header. */
static void transport_byte(struct expr *e, uint32_t offset)
{
	expr_payload(e, NFT_PAYLOAD_TRANSPORT_HEADER, offset, 1, 0);
}

void expr_tcp_flags(struct expr *e, uint8_t mask, uint8_t value, bool is)
{
	static const uint8_t zero;
	struct nftnl_expr *x;

	expr_l4proto_is(e, IPPROTO_TCP);
	transport_byte(e, TCP_FLAGS_OFFSET);
	x = expr_add(e, "bitwise");
	expr_u32(x, NFTNL_EXPR_BITWISE_SREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_BITWISE_DREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	expr_data(e, x, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	expr_data(e, x, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof(zero));
	cmp(e, is ? NFT_CMP_EQ : NFT_CMP_NEQ, &value, sizeof(value));
}

void expr_icmp_type(struct expr *e, uint8_t type)
{
	transport_byte(e, 0);
	cmp(e, NFT_CMP_EQ, &type, sizeof(type));
}

void expr_icmp_type_in(struct expr *e, uint32_t set_id)
{
	transport_byte(e, 0);
	lookup_id(e, set_id);
}

void expr_hop_limit(struct expr *e, uint8_t limit)
{
	expr_payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP6_HOP_LIMIT_OFFSET, 1, 0);
	cmp(e, NFT_CMP_EQ, &limit, sizeof(limit));
}

void expr_saddr6_none(struct expr *e)
{
	static const uint8_t none[16];

	expr_saddr6(e, 0);
	cmp(e, NFT_CMP_EQ, none, sizeof(none));
}

void expr_no_way_back(struct expr *e)
{
	static const uint32_t missing;
	struct nftnl_expr *x = expr_add(e, "fib");

	expr_u32(x, NFTNL_EXPR_FIB_DREG, expr_reg(0));
	expr_u32(x, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_OIF);
	expr_u32(x, NFTNL_EXPR_FIB_FLAGS,
		 NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT);
	cmp(e, NFT_CMP_EQ, &missing, sizeof(missing));
}

void expr_limit(struct expr *e, uint64_t rate, uint64_t per_s, uint32_t burst)
{
	struct nftnl_expr *x = expr_add(e, "limit");

	if (!x)
		return;
	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_UNIT, per_s);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
}
