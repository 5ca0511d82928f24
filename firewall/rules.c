/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules: a NAT that gives every inside host and port its own external port from the first
 * packet on; a lease is never a rule.
 *
 * pre (dstnat + 5, after an admin's own DNAT): what comes in for a lease; from the WAN: arrive.
 * self (the same in output): what the router itself sends to a lease's external port.
 * src (srcnat - 5, before masquerade): with which port LAN hosts go out.
 *   hairpin: LAN to LAN through the external address
 *   outsrc: a lease's twin first, then ports that others hold, then claims
 *   claimed: somebody has that source port: it is his, or he has to move
 *   lost: another host was first to claim that source port, at the same time
 *   moved: another host has that source port. Two ranges: masquerade leaves a port that
 *          lies in its range where it is.
 * learn (srcnat + 10, after masquerade): learn.c.
 * forward (filter - 5, ahead of an admin's filter, when there are pinholes): marks the flows
 * that they let in.
 *
 * What most packets pass names the WAN's interfaces itself and is put anew when these change
 * (rules_adapt()); what few pass looks them up in `wan` and `lan`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#include "firewall/kernel.h"
#include "firewall/rules.h"

/* So many new claims a host may make at once and per second: a host that scans from all
 * its ports must not take those of the others. */
#define CLAIM_BURST 512
#define CLAIM_RATE 20

/* The set { ... } of one rule, of single bytes. */
uint32_t rules_bytes(struct rules *r, uint32_t type, const uint8_t *bytes, size_t n)
{
	static const char name[] = "__set%d"; /* the kernel numbers them */
	uint32_t id = r->next_set++;
	struct nlmsghdr *nlh = nl_batch_put(&r->fw->batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	struct nlattr *list;

	if (!nlh)
		return id;
	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, r->fw->table);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, name);
	mnl_attr_put_u32(nlh, NFTA_SET_FLAGS,
			 htonl(NFT_SET_ANONYMOUS | NFT_SET_CONSTANT));
	mnl_attr_put_u32(nlh, NFTA_SET_KEY_TYPE, htonl(type));
	mnl_attr_put_u32(nlh, NFTA_SET_KEY_LEN, htonl(1));
	mnl_attr_put_u32(nlh, NFTA_SET_ID, htonl(id));

	nlh = nl_batch_put(&r->fw->batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	if (!nlh)
		return id;
	mnl_attr_put_u32(nlh, NFTA_SET_ELEM_LIST_SET_ID, htonl(id));
	list = elements_begin(nlh, r->fw->table, name);
	for (size_t i = 0; i < n; i++)
		elements_put(nlh,
			     &(struct kernel_element){.key = &bytes[i], .key_len = 1});
	elements_end(nlh, list);
	return id;
}

struct expr *rules_begin(struct rules *r, const char *chain)
{
	expr_begin(&r->e, r->fw->table, chain);
	return &r->e;
}

void rules_tcp_udp(struct rules *r, bool is)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};

	expr_tcp_udp(&r->e,
		     rules_bytes(r, KERNEL_TYPE_PROTO, protocols, sizeof(protocols)), is);
}

void rules_end(struct rules *r)
{
	int err = expr_finish(&r->e, nl_batch_put(&r->fw->batch, NFT_MSG_NEWRULE,
						  NLM_F_CREATE | NLM_F_APPEND));

	if (err)
		r->err = err;
	r->n++;
}

void rules_proto_port(struct expr *e, enum expr_port which)
{
	expr_l4proto(e, 0);
	expr_port(e, which, 1);
}

void rules_saddr_proto_port(struct expr *e, enum expr_port which, unsigned int at)
{
	expr_saddr(e, at);
	expr_l4proto(e, at + 1);
	expr_port(e, which, at + 2);
}

/* A rule for each interface of the WAN, by its name: a lookup in a set would take three times
 * as long, on each packet. */
void rules_wan_goto(struct rules *r, const char *chain, enum expr_name which,
		    const char *to)
{
	for (size_t i = 0; i < r->fw->router.n_wan; i++) {
		struct expr *e = rules_begin(r, chain);

		expr_ifname_is(e, which, r->fw->router.wan[i]);
		if (to)
			expr_goto(e, to);
		else
			expr_return(e);
		rules_end(r);
	}
}

enum pre_from { FROM_WAN, FROM_LAN, FROM_SELF };

static void pre_dnat(struct rules *r, enum pre_from from, bool restricted)
{
	static const char *const chain[] = {"arrive", "pre", "self"};
	struct expr *e = rules_begin(r, chain[from]);

	if (from == FROM_LAN)
		expr_ifname(e, EXPR_IIFNAME, "lan");
	expr_nfproto_ipv4(e, true);
	if (from != FROM_WAN)
		expr_daddr_in(e, "wan4");
	if (restricted) {
		rules_tcp_udp(r, true); /* nft wants it there when the port comes first */
		expr_saddr(e, 0);
		expr_port(e, EXPR_SPORT, 1);
		expr_l4proto(e, 2);
		expr_port(e, EXPR_DPORT, 3);
		expr_map(e, "leases_from", 0);
	} else {
		rules_proto_port(e, EXPR_DPORT);
		expr_map(e, "leases", 0);
	}
	expr_dnat(e, 0, 1);
	rules_end(r);
}

/* What a LAN sends to somebody else is spared the rest. */
static void pre_elsewhere(struct rules *r)
{
	struct expr *e = rules_begin(r, "pre");

	expr_nfproto_ipv4(e, true);
	expr_daddr(e, 0);
	expr_not_in_set(e, "wan4", 0);
	expr_return(e);
	rules_end(r);
}

/* The more special rule first: its remotes may lead elsewhere than everybody else. */
static void fill_pre(struct rules *r, const struct firewall_config *c)
{
	if (c->n_forwards)
		forwards_fill_pre(r);
	rules_wan_goto(r, "pre", EXPR_IIFNAME, "arrive");
	for (enum pre_from from = FROM_WAN; from <= FROM_SELF; from++) {
		if (from == FROM_LAN)
			pre_elsewhere(r);
		if (r->fw->filters)
			pre_dnat(r, from, true);
		pre_dnat(r, from, false);
	}
}

void rules_only_ipv4(struct rules *r, const char *chain)
{
	struct expr *e = rules_begin(r, chain);

	expr_nfproto_ipv4(e, false);
	expr_return(e);
	rules_end(r);
}

static void fill_src_out(struct rules *r)
{
	for (size_t i = 0; i < r->fw->router.n_wan; i++) {
		struct expr *e = rules_begin(r, "src");

		expr_ifname_is(e, EXPR_OIFNAME, r->fw->router.wan[i]);
		expr_nfproto_ipv4(e, true);
		expr_saddr_in(e, "lan4");
		rules_tcp_udp(r, true);
		expr_goto(e, "outsrc");
		rules_end(r);
	}
}

static void fill_src(struct rules *r, const struct firewall_config *c)
{
	struct expr *e;

	/* What comes in goes its way; a forward may have it return by us. */
	if (!c->n_forwards)
		rules_wan_goto(r, "src", EXPR_IIFNAME, NULL);
	if (!c->foreign_masquerade)
		fill_src_out(r);

	/* By source address, not by interface: with bridge-nf-call-iptables the inbound
	 * interface is not the bridge. Without it, inbound connections would match. */
	e = rules_begin(r, "src");
	expr_ifname(e, EXPR_OIFNAME, "lan");
	expr_nfproto_ipv4(e, true);
	expr_saddr_in(e, "lan4");
	expr_ct_status(e, IPS_DST_NAT, true);
	expr_ct_daddr_in(e, "wan4");
	expr_goto(e, "hairpin");
	rules_end(r);

	if (c->n_forwards)
		forwards_fill_src(r);
}

/* RFC 4787 REQ-9a: the peer sees the external address and port of the lease; the address is
 * that to which this flow was sent. */
static void fill_hairpin(struct rules *r)
{
	struct expr *e = rules_begin(r, "hairpin");

	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	expr_ct_daddr(e, 0);
	rules_saddr_proto_port(e, EXPR_SPORT, 4);
	expr_map(e, "rev", 4);
	expr_snat(e, 0, 4);
	rules_end(r);

	e = rules_begin(r, "hairpin");
	expr_nfproto_ipv4(e, true);
	expr_masquerade(e);
	rules_end(r);
}

static void fill_outsrc(struct rules *r, const struct firewall_config *c)
{
	struct expr *e = rules_begin(r, "outsrc");

	/* A lease's twin. A port alone is enough: masquerade finds the address. */
	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	rules_saddr_proto_port(e, EXPR_SPORT, 0);
	expr_map(e, "rev", 0);
	expr_masquerade_port(e, 0);
	rules_end(r);

	/* What belongs to a static forward, and what somebody else's has. */
	if (c->n_forwards) {
		forwards_fill_own(r);
		forwards_fill_held(r);
	}

	/* Somebody else's lease has that external port. */
	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "held", 0);
	expr_goto(e, "moved");
	rules_end(r);

	/* A program of the router itself. */
	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "own", 0);
	expr_goto(e, "moved");
	rules_end(r);

	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	expr_sport_below(e, 1024);
	expr_return(e);
	rules_end(r);

	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "taken", 0);
	expr_goto(e, "claimed");
	rules_end(r);

	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	expr_saddr(e, 0);
	expr_over_rate(e, "claimrate", 0, CLAIM_RATE, CLAIM_BURST);
	expr_masquerade(e);
	rules_end(r);

	/* Another packet of this host, on another processor, is where this one is. */
	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_saddr(e, 2);
	expr_daddr(e, 3);
	expr_map_put_before(e, "mine", 0, 3);
	expr_masquerade(e);
	rules_end(r);

	/* So is another host's, and it came first. */
	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_put_before(e, "taken", 0);
	expr_goto(e, "lost");
	rules_end(r);

	if (c->learn) {
		learn_fill_first(r, c->learn, IPPROTO_UDP);
		learn_fill_first(r, c->learn, IPPROTO_TCP);
	}

	/* Not `return`: a foreign `masquerade random` would choose another port. */
	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	expr_masquerade(e);
	rules_end(r);
}

/* Is it in `mine`? Its value is of use to the core alone. */
void rules_claimed_by(struct rules *r, void (*put_host)(struct expr *e, unsigned int at))
{
	struct expr *e = &r->e;

	rules_proto_port(e, EXPR_SPORT);
	put_host(e, 2);
	expr_map_to(e, "mine", 0, 3);
	expr_comment(e, "if it is in @mine");
}

void rules_claim(struct rules *r, void (*put_host)(struct expr *e, unsigned int at))
{
	struct expr *e = &r->e;

	rules_proto_port(e, EXPR_SPORT);
	put_host(e, 2);
	expr_daddr(e, 3);
	expr_map_update(e, "mine", 0, 3, 0);
	rules_proto_port(e, EXPR_SPORT);
	expr_set_put(e, EXPR_UPDATE, "taken", 0);
}

static void fill_claimed(struct rules *r)
{
	struct expr *e = rules_begin(r, "claimed");

	expr_nfproto_ipv4(e, true);
	rules_claimed_by(r, expr_saddr);
	rules_claim(r, expr_saddr);
	expr_masquerade(e);
	rules_end(r);

	e = rules_begin(r, "claimed");
	expr_goto(e, "moved");
	rules_end(r);
}

static void fill_moved(struct rules *r)
{
	struct expr *e = rules_begin(r, "lost");

	expr_nfproto_ipv4(e, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_saddr(e, 2);
	expr_daddr(e, 3);
	expr_map_drop(e, "mine", 0, 3);
	expr_goto(e, "moved");
	rules_end(r);

	e = rules_begin(r, "moved");
	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	expr_sport_from(e, 49152);
	expr_masquerade_range(e, RULES_MOVED_FIRST, 49151);
	rules_end(r);

	e = rules_begin(r, "moved");
	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	expr_masquerade_range(e, 49152, 65535);
	rules_end(r);
}

/* Looks a packet from outside up in one of the two sets; that counts it there. */
static void forward_pinhole(struct rules *r, bool restricted)
{
	struct expr *e = &r->e;
	unsigned int at = 0;

	rules_tcp_udp(r, true);
	if (restricted) {
		expr_saddr6(e, 0);
		expr_port(e, EXPR_SPORT, 4);
		at = 5;
	}
	expr_daddr6(e, at);
	expr_l4proto(e, at + 4);
	expr_port(e, EXPR_DPORT, at + 5);
	expr_in_set(e, restricted ? "pin6_from" : "pin6", 0);
}

/* The packets of a flow that has the mark, for their number; other flows are spared it. */
static void forward_count(struct rules *r, bool restricted)
{
	struct expr *e = rules_begin(r, "forward");

	expr_ifname(e, EXPR_IIFNAME, "wan");
	expr_nfproto_ipv6(e);
	expr_ct_mark_has(e, FIREWALL_PINHOLE_MARK);
	forward_pinhole(r, restricted);
	expr_return(e);
	rules_end(r);
}

/* A mark is all that another chain can see of a pinhole; to accept here would save nothing
 * from a drop there. Once a flow, as the mark stays with it. */
static void forward_mark(struct rules *r, bool restricted)
{
	struct expr *e = rules_begin(r, "forward");

	expr_ifname(e, EXPR_IIFNAME, "wan");
	expr_nfproto_ipv6(e);
	expr_ct_new(e);
	forward_pinhole(r, restricted);
	expr_ct_mark_or(e, FIREWALL_PINHOLE_MARK);
	rules_end(r);
}

static void fill_forward(struct rules *r)
{
	/* First, as every packet of IPv4 comes by. */
	struct expr *e = rules_begin(r, "forward");

	expr_nfproto_ipv4(e, true);
	expr_return(e);
	rules_end(r);
	forward_count(r, true);
	forward_count(r, false);
	forward_mark(r, true);
	forward_mark(r, false);
}

static void fill_adapted(struct rules *r)
{
	fill_pre(r, &r->fw->config);
	fill_src(r, &r->fw->config);
	learn_fill_hook(r, r->fw->config.learn);
	if (r->fw->pinholes)
		fill_forward(r);
	r->fw->n_adapted = r->n;
}

int rules_adapt(struct firewall *fw, uint32_t next_set)
{
	struct rules r = {.fw = fw, .next_set = next_set};

	fw->n_rules -= fw->n_adapted;
	fill_adapted(&r);
	fw->n_rules += r.n;
	return r.err;
}

int rules_put(struct firewall *fw, uint32_t next_set)
{
	struct rules r = {.fw = fw, .next_set = next_set};

	fill_adapted(&r);
	fill_hairpin(&r);
	fill_outsrc(&r, &fw->config);
	fill_claimed(&r);
	fill_moved(&r);
	learn_fill(&r, fw->config.learn);
	if (fw->config.router)
		router_fill(&r, fw->config.router);
	fw->n_rules = r.n;
	return r.err;
}
