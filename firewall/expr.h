/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Builds one nf_tables rule from left to right, in the words of nft's own grammar. Registers
 * are counted in fields of four bytes; a concatenation fills fields in a row from `at`.
 * Running out of memory is sticky and shows in expr_finish().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nftnl_rule;
struct nlmsghdr;

struct expr {
	struct nftnl_rule *rule;
	bool bad;
};

enum expr_set_op { EXPR_ADD, EXPR_UPDATE };
enum expr_port { EXPR_SPORT, EXPR_DPORT };
enum expr_name { EXPR_IIFNAME, EXPR_OIFNAME };

void expr_begin(struct expr *e, const char *table, const char *chain);
/* Writes the rule into the message and releases it. -ENOMEM. */
int expr_finish(struct expr *e, struct nlmsghdr *nlh);

/* For what `nft` cannot print: a look into a map whose value nobody uses. */
void expr_comment(struct expr *e, const char *text);

/* Load into the field `at`. */
void expr_l4proto(struct expr *e, unsigned int at);
void expr_port(struct expr *e, enum expr_port which, unsigned int at);
void expr_saddr(struct expr *e, unsigned int at);
void expr_saddr6(struct expr *e, unsigned int at); /* four fields */
void expr_daddr6(struct expr *e, unsigned int at);
void expr_ct_saddr(struct expr *e, unsigned int at);       /* ct original ip saddr */
void expr_ct_daddr(struct expr *e, unsigned int at);       /* ct original ip daddr */
void expr_ct_sport(struct expr *e, unsigned int at);       /* ct original proto-src */
void expr_ct_reply_saddr(struct expr *e, unsigned int at); /* ct reply ip saddr */

void expr_daddr(struct expr *e, unsigned int at);
void expr_ifname_load(struct expr *e, enum expr_name which,
		      unsigned int at); /* four fields */

/* Match, or the rule ends. */
void expr_l4proto_is(struct expr *e, uint8_t protocol);
void expr_port_is(struct expr *e, enum expr_port which, uint16_t port);
void expr_ct_state(struct expr *e, uint32_t bits); /* any of NF_CT_STATE_*_BIT */
void expr_tcp_flags(struct expr *e, uint8_t mask, uint8_t value, bool is);
void expr_icmp_type(struct expr *e, uint8_t type); /* ICMPv6's too */
void expr_icmp_type_in(struct expr *e, uint32_t set_id);
void expr_hop_limit(struct expr *e, uint8_t limit); /* of IPv6 */
void expr_saddr6_none(struct expr *e);
void expr_no_way_back(struct expr *e); /* fib saddr . iif oif missing */
void expr_limit(struct expr *e, uint64_t rate, uint64_t per_s, uint32_t burst);
void expr_nfproto_ipv4(struct expr *e, bool is);
void expr_nfproto_ipv6(struct expr *e);
void expr_in_set(struct expr *e, const char *set, unsigned int at);
void expr_not_in_set(struct expr *e, const char *set, unsigned int at);
void expr_tcp_udp(struct expr *e, uint32_t set_id,
		  bool is); /* an anonymous set of the rule */
void expr_ifname(struct expr *e, enum expr_name which, const char *set);
void expr_ifname_is(struct expr *e, enum expr_name which, const char *name);
void expr_skuid(struct expr *e, uint32_t uid);
void expr_protocol(struct expr *e, uint8_t protocol);
void expr_saddr_in(struct expr *e, const char *set);
void expr_daddr_in(struct expr *e, const char *set);
void expr_daddr6_in(struct expr *e, const char *set);
void expr_ct_daddr_in(struct expr *e, const char *set);
void expr_ct_status(struct expr *e, uint32_t bits, bool is); /* one of them; not all */
void expr_ct_status_all(struct expr *e, uint32_t bits);
void expr_ct_new(struct expr *e);
void expr_ct_established(struct expr *e);
void expr_ct_mark_has(struct expr *e, uint32_t bits); /* one of them */
void expr_ct_reply(struct expr *e);
void expr_ct_original(struct expr *e);
void expr_dport_in(struct expr *e, const char *set);
void expr_sport_below(struct expr *e, uint16_t port);
void expr_sport_from(struct expr *e, uint16_t port);
/* Looks the key at `at` up and puts the value there too; no such key ends the rule. */
void expr_map(struct expr *e, const char *map, unsigned int at);
/* The same with the value at `to`. */
void expr_map_to(struct expr *e, const char *map, unsigned int at, unsigned int to);

/* Do. */
void expr_set_put(struct expr *e, enum expr_set_op op, const char *set, unsigned int at);
/* The same, with a time of its own. */
void expr_set_put_for(struct expr *e, enum expr_set_op op, const char *set,
		      unsigned int at, uint64_t timeout_ms);
/* update @map { key timeout ... : value at `data_at` }; the value of one that is there stays.
 * timeout_ms 0: the map's own. */
void expr_map_update(struct expr *e, const char *map, unsigned int at,
		     unsigned int data_at, uint64_t timeout_ms);
/* update @set { key limit rate over RATE/second burst BURST packets } */
void expr_over_rate(struct expr *e, const char *set, unsigned int at, uint64_t rate,
		    uint32_t burst);
/* update @set { key limit rate RATE/minute burst BURST packets } */
void expr_within_rate(struct expr *e, const char *set, unsigned int at, uint64_t rate,
		      uint32_t burst);
/* Puts the key into the set; the rule goes on only if it was put there so before, by another
 * packet, and ends for the first. Of several processors at once one is the first. One that
 * is kept for a week counts as new once. */
void expr_put_before(struct expr *e, const char *set, unsigned int at);
void expr_map_put_before(struct expr *e, const char *map, unsigned int at,
			 unsigned int data_at);
/* delete @map { key : value at `data_at` }, whatever its value */
void expr_map_drop(struct expr *e, const char *map, unsigned int at,
		   unsigned int data_at);
void expr_dnat(struct expr *e, unsigned int addr_at, unsigned int port_at);
void expr_dnat_addr(struct expr *e, unsigned int addr_at); /* the port stays */
void expr_snat(struct expr *e, unsigned int addr_at, unsigned int port_at);
void expr_masquerade(struct expr *e);
void expr_masquerade_port(struct expr *e, unsigned int port_at);
void expr_masquerade_range(struct expr *e, uint16_t first, uint16_t last);
void expr_ct_mark_or(struct expr *e, uint32_t bits); /* ct mark set ct mark | BITS */
void expr_goto(struct expr *e, const char *chain);
void expr_jump(struct expr *e, const char *chain);
void expr_return(struct expr *e);
void expr_accept(struct expr *e);
void expr_drop(struct expr *e);
void expr_log(struct expr *e, const char *prefix);
/* log group GROUP snaplen BYTES queue-threshold 1 */
void expr_log_group(struct expr *e, uint16_t group, uint32_t bytes);
void expr_clamp_mss(struct expr *e); /* tcp option maxseg size set rt mtu */
