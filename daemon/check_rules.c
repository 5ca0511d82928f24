/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/check_inside.h"

#include <errno.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "firewall/firewall.h"
#include "firewall/walk.h"

#define OUR_DNAT_PRIORITY (-95) /* dstnat + 5 */

/* Who made that chain, so that the advice fits. */
enum maker {
	MAKER_NFT,
	MAKER_FW4,
	MAKER_FIREWALLD,
	MAKER_UFW,
	MAKER_DOCKER,
	MAKER_IPTABLES
};

static enum maker maker_of(const struct foreign *f, const struct foreign_chain *base)
{
	uint8_t family = base->family;
	const char *table = base->table;

	if (strcmp(table, "fw4") == 0)
		return MAKER_FW4;
	if (strcmp(table, "firewalld") == 0)
		return MAKER_FIREWALLD;
	if (foreign_find_chain(f, family, table, "ufw-before-forward") ||
	    foreign_find_chain(f, family, table, "ufw6-before-forward"))
		return MAKER_UFW;
	if (foreign_find_chain(f, family, table, "DOCKER-USER"))
		return MAKER_DOCKER;
	if (strcmp(table, "filter") == 0 &&
	    (strcmp(base->name, "FORWARD") == 0 || strcmp(base->name, "INPUT") == 0))
		return MAKER_IPTABLES;
	return MAKER_NFT;
}

/* "inet filter forward" and which rule of it. */
static const char *end_text(const struct walk_end *e, char *buf, size_t size)
{
	const struct foreign_chain *c = e->chain;
	const char *family = foreign_family_name(c->family);

	if (e->handle)
		snprintf(buf, size, "the rule with handle %llu in the chain %s %s %s",
			 (unsigned long long)e->handle, family, c->table, c->name);
	else
		snprintf(buf, size, "the policy of the chain %s %s %s", family, c->table,
			 c->name);
	return buf;
}

static void advise_forward(struct check_finding *f, const struct foreign *foreign,
			   const struct walk_end *e, bool pinhole)
{
	const struct foreign_chain *base = e->base;
	const char *v6 = pinhole ? "6" : "";
	char nft[64], xt[64];

	if (pinhole) {
		snprintf(nft, sizeof(nft), "ct mark and 0x%x == 0x%x accept",
			 FIREWALL_PINHOLE_MARK, FIREWALL_PINHOLE_MARK);
		snprintf(xt, sizeof(xt), "-m connmark --mark 0x%x/0x%x -j ACCEPT",
			 FIREWALL_PINHOLE_MARK, FIREWALL_PINHOLE_MARK);
	} else {
		snprintf(nft, sizeof(nft), "ct status dnat accept");
		snprintf(xt, sizeof(xt), "-m conntrack --ctstate DNAT -j ACCEPT");
	}
	switch (maker_of(foreign, base)) {
	case MAKER_FW4:
		check_advise(
			f,
			"mkdir -p /usr/share/nftables.d/chain-pre/forward && echo '%s' "
			">/usr/share/nftables.d/chain-pre/forward/portreeve%s.nft && fw4 reload",
			nft, v6);
		break;
	case MAKER_UFW:
		check_advise(
			f,
			"in /etc/ufw/before%s.rules, before COMMIT: -A ufw%s-before-forward %s; "
			"then: ufw reload",
			v6, v6, xt);
		break;
	case MAKER_DOCKER:
		check_advise(f, "ip%stables -I DOCKER-USER %s", v6, xt);
		break;
	case MAKER_IPTABLES:
		check_advise(f, "ip%stables -I %s %s", v6, base->name, xt);
		break;
	case MAKER_FIREWALLD:
		check_advise(
			f,
			"firewall-cmd --permanent --direct --add-rule ipv%s filter FORWARD 0 %s "
			"&& firewall-cmd --reload",
			pinhole ? "6" : "4", xt);
		break;
	case MAKER_NFT:
		check_advise(f, "nft insert rule %s %s %s %s",
			     foreign_family_name(base->family), base->table, base->name,
			     nft);
		break;
	}
}

static void advise_input(struct check_finding *f, const struct foreign *foreign,
			 const struct walk_end *e, const struct walk_packet *p)
{
	const struct foreign_chain *base = e->base;
	const char *protocol = p->protocol == IPPROTO_TCP ? "tcp" : "udp";

	switch (maker_of(foreign, base)) {
	case MAKER_FIREWALLD:
		check_advise(
			f,
			"firewall-cmd --permanent --zone=$(firewall-cmd "
			"--get-zone-of-interface=%s) --add-port=%u/%s && firewall-cmd --reload",
			p->iif, p->dport, protocol);
		break;
	case MAKER_UFW:
		check_advise(f, "ufw allow in on %s to any port %u proto %s", p->iif,
			     p->dport, protocol);
		break;
	case MAKER_FW4:
		check_advise(
			f,
			"let the LAN's zone reach the router: uci set "
			"firewall.@zone[0].input=ACCEPT && uci commit firewall && fw4 reload");
		break;
	case MAKER_DOCKER:
	case MAKER_IPTABLES:
		check_advise(f, "iptables -I %s -i %s -p %s --dport %u -j ACCEPT",
			     base->name, p->iif, protocol, p->dport);
		break;
	case MAKER_NFT:
		check_advise(f,
			     "nft insert rule %s %s %s iifname \"%s\" %s dport %u accept",
			     foreign_family_name(base->family), base->table, base->name,
			     p->iif, protocol, p->dport);
		break;
	}
}

/* The rules are asked about one lease after the other; one rule is told of once. */
struct rules_check {
	const struct check_facts *facts;
	struct check_report *report;
	size_t n_told;
	struct told {
		const struct foreign_chain *chain;
		uint64_t handle;
	} told[CHECK_FINDINGS];
};

static bool is_news(struct rules_check *c, const struct walk_end *e)
{
	for (size_t i = 0; i < c->n_told; i++)
		if (c->told[i].chain == e->chain && c->told[i].handle == e->handle)
			return false;
	if (c->n_told < CHECK_FINDINGS)
		c->told[c->n_told++] = (struct told){e->chain, e->handle};
	return true;
}

static const char *lease_port(const struct lease *l, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%u", l->protocol == IPPROTO_TCP ? "tcp" : "udp",
		 l->ext_port);
	return buf;
}

static void tell_drop(struct rules_check *c, const struct walk_end *e,
		      const struct lease *l, const char *what)
{
	bool sure = e->fate == WALK_DROP;
	char where[640], port[16];
	struct check_finding *f;

	if (!is_news(c, e))
		return;
	f = check_add(c->report, sure ? CHECK_BLOCK : CHECK_WARNING,
		      sure ? "forward-drop" : "forward-maybe");
	if (!f)
		return;
	check_say(f, "%s %s what comes in for %s%s", end_text(e, where, sizeof(where)),
		  sure ? "drops" : "may drop", what, lease_port(l, port, sizeof(port)));
	if (e->base->hook == NF_INET_FORWARD)
		advise_forward(f, c->facts->foreign, e, lease_is_pinhole(l));
	else
		check_advise(f, "let it pass there, or take that rule out");
}

static void tell_shadow(struct rules_check *c, const struct walk_end *e,
			const struct lease *l)
{
	char where[640], port[16];
	struct check_finding *f;

	if (!is_news(c, e))
		return;
	f = check_add(c->report, CHECK_BLOCK, "shadowed");
	if (!f)
		return;
	check_say(f, "%s sends %s elsewhere before the lease is asked",
		  end_text(e, where, sizeof(where)), lease_port(l, port, sizeof(port)));
	check_advise(f, "portreeve delete %s, or take that rule out", port);
}

/* A peer on the internet, as good as any: rules that single it out are the admin's wish. */
static struct in6_addr some_peer(bool ipv6)
{
	struct in6_addr a;

	addr_parse(ipv6 ? "2a00::1234" : "9.9.9.9", &a);
	return a;
}

static const char *lan_of(const struct topology *t, const struct in6_addr *host)
{
	const char *first = NULL;

	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *lan = &t->lan[i];

		if (lan->n_addrs && !first)
			first = lan->name;
		for (size_t k = 0; k < lan->n_addrs; k++) {
			const struct prefix p = {lan->addrs[k].addr, lan->addrs[k].len};

			if (prefix_has(&p, host))
				return lan->name;
		}
	}
	return first;
}

/* Follows the first packet of a peer through the chains of others to the lease's host. */
static void check_lease(struct rules_check *c, const struct lease *l, bool real)
{
	const struct topology *t = c->facts->topology;
	struct foreign *foreign = c->facts->foreign;
	bool ipv6 = lease_is_pinhole(l);
	struct walk_packet p = {
		.ipv6 = ipv6,
		.protocol = l->protocol,
		.iif = t->wan,
		.to_router = !ipv6,
		.src = some_peer(ipv6),
		.dst = ipv6 ? l->internal : t->wan4,
		.sport = 40000,
		.dport = l->ext_port,
	};
	const char *what = real ? "the lease " : "any lease, as for ";
	struct walk_end e;

	e = walk_hook(foreign, NF_INET_PRE_ROUTING, false, INT_MIN, OUR_DNAT_PRIORITY,
		      &p);
	if (e.fate == WALK_DROP || e.fate == WALK_MAYBE)
		tell_drop(c, &e, l, what);
	e = walk_hook(foreign, NF_INET_PRE_ROUTING, true, INT_MIN, OUR_DNAT_PRIORITY, &p);
	if (real && e.fate == WALK_DNAT)
		tell_shadow(c, &e, l);
	p.to_router = false;
	p.oif = lan_of(t, &l->internal);
	if (!p.oif)
		return;
	p.dst = l->internal;
	p.dport = l->int_port;
	p.dnat = !ipv6;
	p.mark = ipv6 ? FIREWALL_PINHOLE_MARK : 0;
	e = walk_hook(foreign, NF_INET_FORWARD, false, INT_MIN, INT_MAX, &p);
	if (e.fate == WALK_DROP || e.fate == WALK_MAYBE)
		tell_drop(c, &e, l, what);
}

/* Where there is no lease yet: one as any host of the first LAN might get it. */
static bool some_lease(const struct topology *t, uint8_t protocol, struct lease *out)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *lan = &t->lan[i];

		if (!lan->n_addrs)
			continue;
		*out = (struct lease){.protocol = protocol,
				      .internal = lan->addrs[0].addr,
				      .ext_port = 40000,
				      .int_port = 40000};
		out->internal.s6_addr[15] ^= 2; /* a neighbour of the router */
		return true;
	}
	return false;
}

static void check_leases(struct rules_check *c)
{
	const struct check_facts *facts = c->facts;
	static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP};

	if (!facts->topology->wan[0] || addr_is_none(&facts->topology->wan4))
		return;
	for (size_t i = 0; i < facts->n_leases; i++)
		check_lease(c, &facts->lease[i], true);
	for (size_t i = 0; i < sizeof(protocols) && !facts->only_leases; i++) {
		struct lease l;

		if (some_lease(facts->topology, protocols[i], &l))
			check_lease(c, &l, false);
	}
}

/* Can hosts of that LAN ask us at all? */
static void check_service(struct rules_check *c, const struct topology_lan *lan,
			  uint8_t protocol, uint16_t port, const char *name)
{
	struct walk_packet p = {
		.protocol = protocol,
		.iif = lan->name,
		.to_router = true,
		.src = lan->addrs[0].addr,
		.dst = lan->addrs[0].addr,
		.sport = 40000,
		.dport = port,
	};
	struct walk_end e;
	struct check_finding *f;
	char where[640];
	bool sure;

	p.src.s6_addr[15] ^= 2;
	if (port == 1900) /* where searches go */
		addr_parse("239.255.255.250", &p.dst);
	e = walk_hook(c->facts->foreign, NF_INET_LOCAL_IN, false, INT_MIN, INT_MAX, &p);
	if (e.fate != WALK_DROP && e.fate != WALK_MAYBE)
		return;
	sure = e.fate == WALK_DROP;
	f = check_add(c->report, sure ? CHECK_BLOCK : CHECK_WARNING,
		      sure ? "input-drop" : "input-maybe");
	if (!f)
		return;
	check_say(f, "%s %s requests of hosts in %s: %s, %s/%u",
		  end_text(&e, where, sizeof(where)), sure ? "drops" : "may drop",
		  lan->name, name, protocol == IPPROTO_TCP ? "tcp" : "udp", port);
	advise_input(f, c->facts->foreign, &e, &p);
}

static void check_services(struct rules_check *c)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *lan = &c->facts->topology->lan[i];

		if (!lan->n_addrs)
			continue;
		if (lan->pcp || lan->nat_pmp)
			check_service(c, lan, IPPROTO_UDP, 5351, "PCP and NAT-PMP");
		if (lan->upnp) {
			check_service(c, lan, IPPROTO_UDP, 1900, "UPnP discovery");
			check_service(c, lan, IPPROTO_TCP, lan->http_port, "UPnP");
		}
	}
}

/* With bridge netfilter on, what two hosts of one LAN say to each other goes through the
 * forward chains as well. */
static void check_bridge(struct rules_check *c)
{
	const struct topology *t = c->facts->topology;
	struct lease l;
	struct walk_packet p = {.protocol = IPPROTO_UDP, .sport = 40000, .dport = 40000};
	struct walk_end e;
	struct check_finding *f;
	char where[640];

	if (c->facts->settings.bridge_calls != 1 || !some_lease(t, IPPROTO_UDP, &l))
		return;
	p.iif = p.oif = lan_of(t, &l.internal);
	p.src = p.dst = l.internal;
	p.src.s6_addr[15] ^= 4;
	e = walk_hook(c->facts->foreign, NF_INET_FORWARD, false, INT_MIN, INT_MAX, &p);
	if (e.fate != WALK_DROP)
		return;
	f = check_add(c->report, CHECK_WARNING, "bridge-drop");
	if (!f)
		return;
	check_say(
		f,
		"%s drops what hosts of %s say to each other, as bridge-nf-call-iptables is 1",
		end_text(&e, where, sizeof(where)), p.iif);
	check_advise(
		f,
		"sysctl -w net.bridge.bridge-nf-call-iptables=0, or let %s to %s pass there",
		p.iif, p.iif);
}

void check_rules(const struct check_facts *facts, struct check_report *r)
{
	struct rules_check c = {.facts = facts, .report = r};
	struct check_finding *f;

	if (!facts->foreign) {
		f = check_add(r, CHECK_WARNING, "rules-unread");
		if (f)
			check_say(f, "the rules of other programs could not be read: %s",
				  facts->foreign_error == -E2BIG
					  ? "there are too many"
					  : strerror(-facts->foreign_error));
		return;
	}
	check_leases(&c);
	if (facts->only_leases)
		return;
	check_services(&c);
	check_bridge(&c);
}
