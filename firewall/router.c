/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Router mode: the rules of a machine whose only firewall is ours. From the WAN come answers,
 * what a lease, a pinhole or a static forward opens, what the admin allows, and what a router
 * cannot do without; LANs that are trusted go everywhere, others to the WAN and to a few
 * services of the router.
 *
 * antispoof (raw): no packet comes in where its source could not be reached.
 * mss (mangle): TCP learns the MTU of the way through the WAN.
 * router_in, router_fwd (filter, policy drop): see above.
 * refuse: says so, not too often, and drops.
 * router_nat (srcnat): what src has left alone.
 */
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <string.h>

#include "firewall/rules.h"

#define LOG_PER_MINUTE 10
#define LOG_BURST 5
#define PINGS_PER_SECOND 100
#define PINGS_BURST 50
#define HOPS_ON_LINK 255 /* RFC 4861: a packet that no router has passed on */
#define HOPS_MLD 1       /* RFC 3810 section 5 */
#define DHCP_SERVER 67
#define DHCP_CLIENT 68
#define DHCP6_CLIENT 546
#define DHCP6_SERVER 547
#define STATE(bit) NF_CT_STATE_BIT(bit)

static const uint8_t on_link[] = {
	/* Of RFC 4890 section 4.4.1: neighbour discovery, inverse and secure too. */
	ND_ROUTER_SOLICIT,
	ND_ROUTER_ADVERT,
	ND_NEIGHBOR_SOLICIT,
	ND_NEIGHBOR_ADVERT,
	141,
	142,
	148,
	149,
};
static const uint8_t multicast[] = {
	/* Multicast listeners and routers. */
	130, 131, 132, 143, 151, 152, 153,
};

static void to_refuse(struct rules *r)
{
	expr_goto(&r->e, "refuse");
	rules_end(r);
}

static void to_accept(struct rules *r)
{
	expr_accept(&r->e);
	rules_end(r);
}

/* Flows that are known, related errors (so also ICMP's "too big") among them. */
static void known_flows(struct rules *r, const char *chain)
{
	struct expr *e = rules_begin(r, chain);

	expr_ct_state(e, STATE(IP_CT_ESTABLISHED) | STATE(IP_CT_RELATED));
	to_accept(r);

	expr_ct_state(rules_begin(r, chain), NF_CT_STATE_INVALID_BIT);
	to_refuse(r);

	/* What is no flow yet begins with a SYN and nothing else: no stealth scans. */
	e = rules_begin(r, chain);
	expr_ifname(e, EXPR_IIFNAME, "wan");
	expr_tcp_flags(e, TH_FIN | TH_SYN | TH_RST | TH_ACK, TH_SYN, false);
	to_refuse(r);
}

static void icmp6_in(struct rules *r, const uint8_t *types, size_t n, uint8_t hops)
{
	struct expr *e = rules_begin(r, "router_in");

	expr_nfproto_ipv6(e);
	expr_l4proto_is(e, IPPROTO_ICMPV6);
	expr_icmp_type_in(e, rules_bytes(r, KERNEL_TYPE_ICMP6_TYPE, types, n));
	expr_hop_limit(e, hops);
	to_accept(r);
}

/* Pings of one family from those interfaces. */
static void pings(struct rules *r, const char *chain, const char *from, bool v6)
{
	struct expr *e = rules_begin(r, chain);

	expr_ifname(e, EXPR_IIFNAME, from);
	if (v6)
		expr_nfproto_ipv6(e);
	else
		expr_nfproto_ipv4(e, true);
	expr_l4proto_is(e, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	expr_icmp_type(e, v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO);
	expr_limit(e, PINGS_PER_SECOND, 1, PINGS_BURST);
	to_accept(r);
}

/* The router is a DHCP client there; answers may come to the broadcast address. */
static void dhcp_client(struct rules *r, bool v6)
{
	struct expr *e = rules_begin(r, "router_in");

	expr_ifname(e, EXPR_IIFNAME, "wan");
	if (v6)
		expr_nfproto_ipv6(e);
	else
		expr_nfproto_ipv4(e, true);
	expr_l4proto_is(e, IPPROTO_UDP);
	expr_port_is(e, EXPR_SPORT, v6 ? DHCP6_SERVER : DHCP_SERVER);
	expr_port_is(e, EXPR_DPORT, v6 ? DHCP6_CLIENT : DHCP_CLIENT);
	to_accept(r);
}

static void fill_in(struct rules *r, const struct firewall_router *router)
{
	struct expr *e;

	expr_ifname_is(rules_begin(r, "router_in"), EXPR_IIFNAME, "lo");
	to_accept(r);
	known_flows(r, "router_in");
	icmp6_in(r, on_link, sizeof(on_link), HOPS_ON_LINK);
	icmp6_in(r, multicast, sizeof(multicast), HOPS_MLD);
	expr_ifname(rules_begin(r, "router_in"), EXPR_IIFNAME, "lan_trusted");
	to_accept(r);
	dhcp_client(r, false);
	dhcp_client(r, true);

	e = rules_begin(r, "router_in");
	expr_ifname(e, EXPR_IIFNAME, "wan");
	rules_tcp_udp(r, true);
	rules_proto_port(e, EXPR_DPORT);
	expr_in_set(e, "wan_allow", 0);
	to_accept(r);

	for (int v6 = 0; v6 < 2; v6++) {
		if (router->allow_icmp)
			pings(r, "router_in", "wan", v6);
		pings(r, "router_in", "lan_guest", v6);
	}

	e = rules_begin(r, "router_in");
	rules_tcp_udp(r, true);
	expr_ifname_load(e, EXPR_IIFNAME, 0);
	expr_l4proto(e, 4);
	expr_port(e, EXPR_DPORT, 5);
	expr_in_set(e, "lan_services", 0);
	to_accept(r);

	rules_begin(r, "router_in");
	to_refuse(r);
}

static void fill_fwd(struct rules *r)
{
	struct expr *e;

	known_flows(r, "router_fwd");

	/* Leases, static forwards and an admin's own DNAT. */
	expr_ct_status(rules_begin(r, "router_fwd"), IPS_DST_NAT, true);
	to_accept(r);

	e = rules_begin(r, "router_fwd");
	expr_nfproto_ipv6(e);
	expr_ct_mark_has(e, FIREWALL_PINHOLE_MARK);
	to_accept(r);

	/* RFC 4890 section 4.3.1: pings are not to be dropped in transit. */
	pings(r, "router_fwd", "wan", true);

	expr_ifname(rules_begin(r, "router_fwd"), EXPR_IIFNAME, "lan_trusted");
	to_accept(r);

	e = rules_begin(r, "router_fwd");
	expr_ifname(e, EXPR_IIFNAME, "lan_guest");
	expr_ifname(e, EXPR_OIFNAME, "wan");
	to_accept(r);

	/* Within itself: a bridge whose packets pass here (bridge-nf-call-iptables). */
	e = rules_begin(r, "router_fwd");
	expr_ifname_load(e, EXPR_IIFNAME, 0);
	expr_ifname_load(e, EXPR_OIFNAME, 4);
	expr_in_set(e, "lan_within", 0);
	to_accept(r);

	rules_begin(r, "router_fwd");
	to_refuse(r);
}

static void spoofed(struct rules *r, const char *from)
{
	struct expr *e = rules_begin(r, "antispoof");

	expr_ifname(e, EXPR_IIFNAME, from);
	expr_no_way_back(e);
	to_refuse(r);
}

static void fill_antispoof(struct rules *r)
{
	struct expr *e = rules_begin(r, "antispoof");

	/* There may be no route yet when the WAN gets its address. */
	expr_ifname(e, EXPR_IIFNAME, "wan");
	expr_nfproto_ipv4(e, true);
	expr_l4proto_is(e, IPPROTO_UDP);
	expr_port_is(e, EXPR_SPORT, DHCP_SERVER);
	expr_port_is(e, EXPR_DPORT, DHCP_CLIENT);
	expr_return(e);
	rules_end(r);

	/* RFC 4862: who looks whether an address is free has none. */
	e = rules_begin(r, "antispoof");
	expr_nfproto_ipv6(e);
	expr_saddr6_none(e);
	expr_return(e);
	rules_end(r);

	spoofed(r, "wan");
	spoofed(r, "lan");
}

static void clamp(struct rules *r, enum expr_name which)
{
	struct expr *e = rules_begin(r, "mss");

	expr_ifname(e, which, "wan");
	expr_tcp_flags(e, TH_SYN | TH_RST, TH_SYN, true);
	expr_clamp_mss(e);
	rules_end(r);
}

static void fill_refuse(struct rules *r, bool logs)
{
	struct expr *e;

	if (logs) {
		e = rules_begin(r, "refuse");
		expr_limit(e, LOG_PER_MINUTE, 60, LOG_BURST);
		expr_log(e, "portreeve refuses: ");
		rules_end(r);
	}
	expr_drop(rules_begin(r, "refuse"));
	rules_end(r);
}

void router_fill(struct rules *r, const struct firewall_router *router)
{
	struct expr *e;

	if (router->filter || router->antispoof)
		fill_refuse(r, router->log);
	if (router->filter) {
		fill_in(r, router);
		fill_fwd(r);
	}
	if (router->antispoof)
		fill_antispoof(r);
	if (router->clamp_mss) {
		clamp(r, EXPR_OIFNAME);
		clamp(r, EXPR_IIFNAME);
	}
	if (router->masquerade) {
		e = rules_begin(r, "router_nat");
		expr_ifname(e, EXPR_OIFNAME, "wan");
		expr_nfproto_ipv4(e, true);
		expr_masquerade(e);
		rules_end(r);
	}
}

bool router_has_chain(const struct firewall_router *router, enum chain_use use)
{
	switch (use) {
	case CHAIN_ALWAYS:
		return true;
	case CHAIN_FILTER:
		return router && router->filter;
	case CHAIN_REFUSE:
		return router && (router->filter || router->antispoof);
	case CHAIN_ANTISPOOF:
		return router && router->antispoof;
	case CHAIN_MSS:
		return router && router->clamp_mss;
	case CHAIN_NAT:
		return router && router->masquerade;
	case CHAIN_PINHOLES:
		break;
	}
	return false;
}
