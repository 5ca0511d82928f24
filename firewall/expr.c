/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h> /* libnftnl's headers want FILE */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#define IP_SADDR_OFFSET 12
#define IP_DADDR_OFFSET 16
#define IP6_SADDR_OFFSET 8
#define IP6_DADDR_OFFSET 24
#define IP6_HOP_LIMIT_OFFSET 7
#define TCP_FLAGS_OFFSET 13
#define TCP_OPTION_MSS 2
#define DAY_S (24 * 60 * 60)

/* nft prints a rule only if it finds the old names for fields 0, 4, 8 and 12. */
static uint32_t reg(unsigned int at)
{
	return at % 4 ? NFT_REG32_00 + at : NFT_REG_1 + at / 4;
}

static struct nftnl_expr *add(struct expr *e, const char *name)
{
	struct nftnl_expr *x = e->bad ? NULL : nftnl_expr_alloc(name);

	if (x)
		nftnl_rule_add_expr(e->rule, x);
	else
		e->bad = true;
	return x;
}

static void put_u32(struct nftnl_expr *x, uint16_t attr, uint32_t v)
{
	if (x)
		nftnl_expr_set_u32(x, attr, v);
}

static void put_u8(struct nftnl_expr *x, uint16_t attr, uint8_t v)
{
	if (x)
		nftnl_expr_set_u8(x, attr, v);
}

static void put_str(struct expr *e, struct nftnl_expr *x, uint16_t attr, const char *s)
{
	if (x && nftnl_expr_set_str(x, attr, s))
		e->bad = true;
}

static void put_data(struct expr *e, struct nftnl_expr *x, uint16_t attr,
		     const void *data, uint32_t len)
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

static void meta(struct expr *e, uint32_t key, unsigned int at)
{
	struct nftnl_expr *x = add(e, "meta");

	put_u32(x, NFTNL_EXPR_META_KEY, key);
	put_u32(x, NFTNL_EXPR_META_DREG, reg(at));
}

static void payload(struct expr *e, uint32_t base, uint32_t offset, uint32_t len,
		    unsigned int at)
{
	struct nftnl_expr *x = add(e, "payload");

	put_u32(x, NFTNL_EXPR_PAYLOAD_BASE, base);
	put_u32(x, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	put_u32(x, NFTNL_EXPR_PAYLOAD_LEN, len);
	put_u32(x, NFTNL_EXPR_PAYLOAD_DREG, reg(at));
}

static void ct(struct expr *e, uint32_t key, unsigned int at)
{
	struct nftnl_expr *x = add(e, "ct");

	put_u32(x, NFTNL_EXPR_CT_KEY, key);
	put_u32(x, NFTNL_EXPR_CT_DREG, reg(at));
}

static void ct_of(struct expr *e, uint32_t key, uint8_t dir, unsigned int at)
{
	struct nftnl_expr *x = add(e, "ct");

	put_u32(x, NFTNL_EXPR_CT_KEY, key);
	put_u8(x, NFTNL_EXPR_CT_DIR, dir);
	put_u32(x, NFTNL_EXPR_CT_DREG, reg(at));
}

void expr_l4proto(struct expr *e, unsigned int at)
{
	meta(e, NFT_META_L4PROTO, at);
}

void expr_port(struct expr *e, enum expr_port which, unsigned int at)
{
	payload(e, NFT_PAYLOAD_TRANSPORT_HEADER, which == EXPR_SPORT ? 0 : 2, 2, at);
}

void expr_saddr(struct expr *e, unsigned int at)
{
	payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP_SADDR_OFFSET, 4, at);
}

void expr_saddr6(struct expr *e, unsigned int at)
{
	payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP6_SADDR_OFFSET, 16, at);
}

void expr_daddr6(struct expr *e, unsigned int at)
{
	payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP6_DADDR_OFFSET, 16, at);
}

void expr_daddr(struct expr *e, unsigned int at)
{
	payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP_DADDR_OFFSET, 4, at);
}

void expr_ct_saddr(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_SRC_IP, IP_CT_DIR_ORIGINAL, at);
}

void expr_ct_daddr(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_DST_IP, IP_CT_DIR_ORIGINAL, at);
}

void expr_ct_reply_saddr(struct expr *e, unsigned int at)
{
	ct_of(e, NFT_CT_SRC_IP, IP_CT_DIR_REPLY, at);
}

/* Matches */

static void cmp(struct expr *e, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *x = add(e, "cmp");

	put_u32(x, NFTNL_EXPR_CMP_SREG, reg(0));
	put_u32(x, NFTNL_EXPR_CMP_OP, op);
	put_data(e, x, NFTNL_EXPR_CMP_DATA, data, len);
}

static struct nftnl_expr *lookup(struct expr *e, const char *set, unsigned int at)
{
	struct nftnl_expr *x = add(e, "lookup");

	put_u32(x, NFTNL_EXPR_LOOKUP_SREG, reg(at));
	put_str(e, x, NFTNL_EXPR_LOOKUP_SET, set);
	return x;
}

void expr_nfproto_ipv4(struct expr *e, bool is)
{
	uint8_t family = NFPROTO_IPV4;

	meta(e, NFT_META_NFPROTO, 0);
	cmp(e, is ? NFT_CMP_EQ : NFT_CMP_NEQ, &family, sizeof(family));
}

void expr_nfproto_ipv6(struct expr *e)
{
	uint8_t family = NFPROTO_IPV6;

	meta(e, NFT_META_NFPROTO, 0);
	cmp(e, NFT_CMP_EQ, &family, sizeof(family));
}

void expr_in_set(struct expr *e, const char *set, unsigned int at)
{
	lookup(e, set, at);
}

void expr_not_in_set(struct expr *e, const char *set, unsigned int at)
{
	put_u32(lookup(e, set, at), NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

static struct nftnl_expr *lookup_id(struct expr *e, uint32_t set_id)
{
	struct nftnl_expr *x = lookup(e, "__set%d", 0);

	put_u32(x, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
	return x;
}

void expr_tcp_udp(struct expr *e, uint32_t set_id, bool is)
{
	struct nftnl_expr *x;

	meta(e, NFT_META_L4PROTO, 0);
	x = lookup_id(e, set_id);
	if (!is)
		put_u32(x, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void expr_ifname_load(struct expr *e, enum expr_name which, unsigned int at)
{
	meta(e, which == EXPR_IIFNAME ? NFT_META_IIFNAME : NFT_META_OIFNAME, at);
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
	meta(e, NFT_META_SKUID, 0);
	cmp(e, NFT_CMP_EQ, &uid, sizeof(uid));
}

void expr_protocol(struct expr *e, uint8_t protocol)
{
	meta(e, NFT_META_L4PROTO, 0);
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
static void bitwise(struct expr *e, uint32_t mask, uint32_t bits)
{
	struct nftnl_expr *x = add(e, "bitwise");

	put_u32(x, NFTNL_EXPR_BITWISE_SREG, reg(0));
	put_u32(x, NFTNL_EXPR_BITWISE_DREG, reg(0));
	put_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	put_data(e, x, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	put_data(e, x, NFTNL_EXPR_BITWISE_XOR, &bits, sizeof(bits));
}

static void ct_state(struct expr *e, uint32_t bits)
{
	static const uint32_t zero;

	ct(e, NFT_CT_STATE, 0);
	bitwise(e, bits, 0);
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

	ct(e, NFT_CT_MARK, 0);
	bitwise(e, bits, 0);
	cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
}

void expr_ct_status(struct expr *e, uint32_t bits, bool is)
{
	static const uint32_t zero;

	ct(e, NFT_CT_STATUS, 0);
	bitwise(e, bits, 0);
	if (is)
		cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
	else
		cmp(e, NFT_CMP_NEQ, &bits, sizeof(bits));
}

void expr_ct_status_all(struct expr *e, uint32_t bits)
{
	ct(e, NFT_CT_STATUS, 0);
	bitwise(e, bits, 0);
	cmp(e, NFT_CMP_EQ, &bits, sizeof(bits));
}

static void ct_direction(struct expr *e, uint8_t dir)
{
	ct(e, NFT_CT_DIRECTION, 0);
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
	put_u32(lookup(e, map, at), NFTNL_EXPR_LOOKUP_DREG, reg(to));
}

/* Matches of router mode */

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

	ct(e, NFT_CT_STATE, 0);
	bitwise(e, bits, 0);
	cmp(e, NFT_CMP_NEQ, &zero, sizeof(zero));
}

/* One byte of the transport header. */
static void transport_byte(struct expr *e, uint32_t offset)
{
	payload(e, NFT_PAYLOAD_TRANSPORT_HEADER, offset, 1, 0);
}

void expr_tcp_flags(struct expr *e, uint8_t mask, uint8_t value, bool is)
{
	static const uint8_t zero;
	struct nftnl_expr *x;

	expr_l4proto_is(e, IPPROTO_TCP);
	transport_byte(e, TCP_FLAGS_OFFSET);
	x = add(e, "bitwise");
	put_u32(x, NFTNL_EXPR_BITWISE_SREG, reg(0));
	put_u32(x, NFTNL_EXPR_BITWISE_DREG, reg(0));
	put_u32(x, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	put_data(e, x, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	put_data(e, x, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof(zero));
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
	payload(e, NFT_PAYLOAD_NETWORK_HEADER, IP6_HOP_LIMIT_OFFSET, 1, 0);
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
	struct nftnl_expr *x = add(e, "fib");

	put_u32(x, NFTNL_EXPR_FIB_DREG, reg(0));
	put_u32(x, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_OIF);
	put_u32(x, NFTNL_EXPR_FIB_FLAGS,
		NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT);
	cmp(e, NFT_CMP_EQ, &missing, sizeof(missing));
}

void expr_limit(struct expr *e, uint64_t rate, uint64_t per_s, uint32_t burst)
{
	struct nftnl_expr *x = add(e, "limit");

	if (!x)
		return;
	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(x, NFTNL_EXPR_LIMIT_UNIT, per_s);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
}

/* Statements */

static struct nftnl_expr *dynset(struct expr *e, uint32_t op, const char *set,
				 unsigned int at)
{
	struct nftnl_expr *x = add(e, "dynset");

	put_u32(x, NFTNL_EXPR_DYNSET_SREG_KEY, reg(at));
	put_u32(x, NFTNL_EXPR_DYNSET_OP, op);
	put_str(e, x, NFTNL_EXPR_DYNSET_SET_NAME, set);
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

	put_u32(x, NFTNL_EXPR_DYNSET_SREG_DATA, reg(data_at));
	if (x)
		nftnl_expr_set_u64(x, NFTNL_EXPR_DYNSET_TIMEOUT, timeout_ms);
}

static void over_rate(struct expr *e, const char *set, unsigned int at, uint64_t rate,
		      uint64_t per_s, uint32_t burst)
{
	struct nftnl_expr *x = dynset(e, NFT_DYNSET_OP_UPDATE, set, at);
	struct nftnl_expr *limit = x ? nftnl_expr_alloc("limit") : NULL;

	if (!limit) {
		e->bad = true;
		return;
	}
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, per_s);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, NFT_LIMIT_F_INV);
	nftnl_expr_add_expr(x, NFTNL_EXPR_DYNSET_EXPR, limit);
}

void expr_over_rate(struct expr *e, const char *set, unsigned int at, uint64_t rate,
		    uint32_t burst)
{
	over_rate(e, set, at, rate, 1, burst);
}

void expr_put_before(struct expr *e, const char *set, unsigned int at)
{
	over_rate(e, set, at, 1, DAY_S, 1);
}

void expr_set_drop(struct expr *e, const char *set, unsigned int at)
{
	dynset(e, NFT_DYNSET_OP_DELETE, set, at);
}

static void nat(struct expr *e, uint32_t type, unsigned int addr_at, unsigned int port_at)
{
	struct nftnl_expr *x = add(e, "nat");

	put_u32(x, NFTNL_EXPR_NAT_TYPE, type);
	put_u32(x, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
	put_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, reg(addr_at));
	put_u32(x, NFTNL_EXPR_NAT_REG_PROTO_MIN, reg(port_at));
	put_u32(x, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

void expr_dnat(struct expr *e, unsigned int addr_at, unsigned int port_at)
{
	nat(e, NFT_NAT_DNAT, addr_at, port_at);
}

void expr_dnat_addr(struct expr *e, unsigned int addr_at)
{
	struct nftnl_expr *x = add(e, "nat");

	put_u32(x, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
	put_u32(x, NFTNL_EXPR_NAT_FAMILY, NFPROTO_IPV4);
	put_u32(x, NFTNL_EXPR_NAT_REG_ADDR_MIN, reg(addr_at));
}

void expr_snat(struct expr *e, unsigned int addr_at, unsigned int port_at)
{
	nat(e, NFT_NAT_SNAT, addr_at, port_at);
}

void expr_masquerade(struct expr *e)
{
	add(e, "masq");
}

void expr_masquerade_port(struct expr *e, unsigned int port_at)
{
	struct nftnl_expr *x = add(e, "masq");

	put_u32(x, NFTNL_EXPR_MASQ_REG_PROTO_MIN, reg(port_at));
	put_u32(x, NFTNL_EXPR_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

static void immediate_port(struct expr *e, uint16_t port, unsigned int at)
{
	struct nftnl_expr *x = add(e, "immediate");
	uint16_t be = htons(port);

	put_u32(x, NFTNL_EXPR_IMM_DREG, reg(at));
	put_data(e, x, NFTNL_EXPR_IMM_DATA, &be, sizeof(be));
}

void expr_masquerade_range(struct expr *e, uint16_t first, uint16_t last)
{
	struct nftnl_expr *x;

	immediate_port(e, first, 0);
	immediate_port(e, last, 4);
	x = add(e, "masq");
	put_u32(x, NFTNL_EXPR_MASQ_REG_PROTO_MIN, reg(0));
	put_u32(x, NFTNL_EXPR_MASQ_REG_PROTO_MAX, reg(4));
	put_u32(x, NFTNL_EXPR_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

void expr_ct_mark_or(struct expr *e, uint32_t bits)
{
	struct nftnl_expr *x;

	ct(e, NFT_CT_MARK, 0);
	bitwise(e, ~bits, bits);
	x = add(e, "ct");
	put_u32(x, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	put_u32(x, NFTNL_EXPR_CT_SREG, reg(0));
}

static struct nftnl_expr *verdict(struct expr *e, int32_t code)
{
	struct nftnl_expr *x = add(e, "immediate");

	put_u32(x, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	put_u32(x, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	return x;
}

void expr_goto(struct expr *e, const char *chain)
{
	put_str(e, verdict(e, NFT_GOTO), NFTNL_EXPR_IMM_CHAIN, chain);
}

void expr_jump(struct expr *e, const char *chain)
{
	put_str(e, verdict(e, NFT_JUMP), NFTNL_EXPR_IMM_CHAIN, chain);
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
	put_str(e, add(e, "log"), NFTNL_EXPR_LOG_PREFIX, prefix);
}

void expr_log_group(struct expr *e, uint16_t group, uint32_t bytes)
{
	struct nftnl_expr *x = add(e, "log");

	if (!x)
		return;
	nftnl_expr_set_u16(x, NFTNL_EXPR_LOG_GROUP, group);
	nftnl_expr_set_u32(x, NFTNL_EXPR_LOG_SNAPLEN, bytes);
	nftnl_expr_set_u16(x, NFTNL_EXPR_LOG_QTHRESHOLD, 1);
}

void expr_clamp_mss(struct expr *e)
{
	struct nftnl_expr *x = add(e, "rt");

	put_u32(x, NFTNL_EXPR_RT_KEY, NFT_RT_TCPMSS);
	put_u32(x, NFTNL_EXPR_RT_DREG, reg(0));
	x = add(e, "byteorder");
	put_u32(x, NFTNL_EXPR_BYTEORDER_SREG, reg(0));
	put_u32(x, NFTNL_EXPR_BYTEORDER_DREG, reg(0));
	put_u32(x, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put_u32(x, NFTNL_EXPR_BYTEORDER_LEN, 2);
	put_u32(x, NFTNL_EXPR_BYTEORDER_SIZE, 2);
	x = add(e, "exthdr");
	put_u32(x, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	put_u8(x, NFTNL_EXPR_EXTHDR_TYPE, TCP_OPTION_MSS);
	put_u32(x, NFTNL_EXPR_EXTHDR_OFFSET, 2);
	put_u32(x, NFTNL_EXPR_EXTHDR_LEN, 2);
	put_u32(x, NFTNL_EXPR_EXTHDR_SREG, reg(0));
}
