/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/check_inside.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "firewall/firewall.h"

#define UDP_STREAM_S 120       /* RFC 4787 REQ-5 */
#define TCP_ESTABLISHED_S 7440 /* RFC 5382 REQ-5: 2 hours and 4 minutes */

struct check_finding *check_add(struct check_report *r, enum check_severity severity,
				const char *id)
{
	struct check_finding *f;

	if (r->n == CHECK_FINDINGS) {
		r->more = true;
		return NULL;
	}
	f = &r->finding[r->n++];
	*f = (struct check_finding){.severity = severity, .id = id};
	return f;
}

void check_say(struct check_finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

void check_advise(struct check_finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->fix, sizeof(f->fix), fmt, ap);
	va_end(ap);
}

/* ---- The kernel's settings ---- */

static long read_setting(const char *dir, const char *name)
{
	char path[PATH_MAX], text[32] = "";
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fgets(text, sizeof(text), f))
		value = strtol(text, NULL, 10);
	fclose(f);
	return value;
}

void check_read_settings(const char *dir, struct check_settings *s)
{
	*s = (struct check_settings){
		.ip_forward = read_setting(dir, "ipv4/ip_forward"),
		.ip6_forward = read_setting(dir, "ipv6/conf/all/forwarding"),
		.conntrack_count = read_setting(dir, "netfilter/nf_conntrack_count"),
		.conntrack_max = read_setting(dir, "netfilter/nf_conntrack_max"),
		.udp_s = read_setting(dir, "netfilter/nf_conntrack_udp_timeout"),
		.udp_stream_s = read_setting(dir,
					     "netfilter/nf_conntrack_udp_timeout_stream"),
		.tcp_established_s = read_setting(
			dir, "netfilter/nf_conntrack_tcp_timeout_established"),
		.bridge_calls = read_setting(dir, "bridge/bridge-nf-call-iptables"),
		.counts = read_setting(dir, "netfilter/nf_conntrack_acct"),
	};
}

static void check_conntrack(const struct check_settings *s, struct check_report *r)
{
	struct check_finding *f;

	if (s->conntrack_max > 0 && s->conntrack_count > s->conntrack_max / 10 * 8 &&
	    (f = check_add(r, CHECK_WARNING, "conntrack-full"))) {
		check_say(
			f,
			"the connection table holds %ld of at most %ld entries; when it is full, "
			"new connections fail",
			s->conntrack_count, s->conntrack_max);
		check_advise(f, "sysctl -w net.netfilter.nf_conntrack_max=%ld",
			     2 * s->conntrack_max);
	}
	if (s->udp_stream_s >= 0 && s->udp_stream_s < UDP_STREAM_S &&
	    (f = check_add(r, CHECK_WARNING, "udp-timeout"))) {
		check_say(
			f,
			"UDP flows are forgotten after %ld s of silence; games count on %d "
			"(RFC 4787, REQ-5)",
			s->udp_stream_s, UDP_STREAM_S);
		check_advise(f,
			     "sysctl -w net.netfilter.nf_conntrack_udp_timeout_stream=%d",
			     UDP_STREAM_S);
	}
	if (s->tcp_established_s >= 0 && s->tcp_established_s < TCP_ESTABLISHED_S &&
	    (f = check_add(r, CHECK_WARNING, "tcp-timeout"))) {
		check_say(
			f,
			"idle TCP connections are forgotten after %ld s; programs count on %d "
			"(RFC 5382, REQ-5)",
			s->tcp_established_s, TCP_ESTABLISHED_S);
		check_advise(
			f,
			"sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=%d",
			TCP_ESTABLISHED_S);
	}
}

/* It costs a few nanoseconds a packet, so that is the admin's choice. */
static void check_counts(const struct check_facts *facts, struct check_report *r)
{
	struct check_finding *f = NULL;

	if (facts->settings.counts == 0 && !facts->only_leases)
		f = check_add(r, CHECK_NOTE, "not-counted");
	if (!f)
		return;
	check_say(f,
		  "the kernel does not count the packets and bytes of connections "
		  "(net.netfilter.nf_conntrack_acct is 0), so list and show cannot tell "
		  "how much goes by a lease");
	check_advise(f, "sysctl -w net.netfilter.nf_conntrack_acct=1");
}

static void check_forwarding(const struct check_facts *facts, struct check_report *r)
{
	const struct check_settings *s = &facts->settings;
	bool pinholes = false;
	struct check_finding *f;

	if (s->ip_forward == 0 && (f = check_add(r, CHECK_BLOCK, "ip-forward"))) {
		check_say(f, "this machine does not route: net.ipv4.ip_forward is 0");
		check_advise(f, "sysctl -w net.ipv4.ip_forward=1");
	}
	for (size_t i = 0; i < facts->n_leases; i++)
		pinholes |= lease_is_pinhole(&facts->lease[i]);
	if (pinholes && s->ip6_forward == 0 &&
	    (f = check_add(r, CHECK_BLOCK, "ip6-forward"))) {
		check_say(
			f,
			"there are IPv6 pinholes, but this machine does not route IPv6: "
			"net.ipv6.conf.all.forwarding is 0");
		check_advise(f, "sysctl -w net.ipv6.conf.all.forwarding=1");
	}
}

/* ---- The WAN ---- */

static bool in_network(const struct in6_addr *a, const char *network)
{
	struct prefix p;

	return prefix_parse(network, &p) == 0 && prefix_has(&p, a);
}

/* What the router before us says of itself, as the end of a sentence. */
static const char *upstream_text(const struct check_upstream *u, char *buf, size_t size)
{
	char gateway[ADDR_TEXT], external[ADDR_TEXT];

	if (addr_is_none(&u->gateway)) {
		buf[0] = '\0';
		return buf;
	}
	addr_text(&u->gateway, gateway);
	if (!u->asked)
		snprintf(buf, size, ": %s", gateway);
	else if (!u->answers)
		snprintf(buf, size, ", %s, which does not answer NAT-PMP", gateway);
	else if (addr_is_none(&u->external))
		snprintf(buf, size,
			 ", %s, which answers NAT-PMP but has no external address",
			 gateway);
	else
		snprintf(buf, size,
			 ", %s, which answers NAT-PMP and whose external address is %s",
			 gateway, addr_text(&u->external, external));
	return buf;
}

static void check_wan_class(const struct check_facts *facts, struct check_report *r)
{
	const struct topology *t = facts->topology;
	char wan[ADDR_TEXT], before[256];
	struct check_finding *f;

	addr_text(&t->wan4, wan);
	upstream_text(&facts->upstream, before, sizeof(before));
	if (in_network(&t->wan4, "100.64.0.0/10") ||
	    in_network(&t->wan4, "192.0.0.0/29")) {
		f = check_add(r, CHECK_BLOCK, "cgnat");
		if (!f)
			return;
		check_say(
			f,
			"the WAN address %s is shared by the provider among customers (CGNAT, "
			"RFC 6598): nothing comes in from the internet over IPv4%s",
			wan, before);
		check_advise(f,
			     "ask the provider for a public IPv4 address, or use IPv6");
	} else if (addr_is_private(&t->wan4)) {
		f = check_add(r, CHECK_WARNING, "double-nat");
		if (!f)
			return;
		check_say(
			f,
			"the WAN address %s is private: this router stands behind another one%s. "
			"What that one does not forward does not arrive here",
			wan, before);
		check_advise(
			f,
			"make the other router a bridge (modem), or forward all ports (\"DMZ\", "
			"\"exposed host\") to %s there",
			wan);
	}
}

static void check_networks(const struct check_facts *facts, struct check_report *r)
{
	const struct topology *t = facts->topology;
	struct check_finding *f;
	size_t lans = 0;

	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		lans += t->lan[i].n_addrs != 0;
	if (!lans && (f = check_add(r, CHECK_BLOCK, "no-lan"))) {
		check_say(f, "no LAN has an IPv4 address, so nobody can ask for a port");
		check_advise(
			f,
			"give the LAN's interface its address, or name it in portreeve.conf: "
			"lan \"br-lan\" {}");
	}
	if (!t->wan[0] && (f = check_add(r, CHECK_BLOCK, "no-wan"))) {
		check_say(f, "there is no WAN: no interface has the default route");
		check_advise(
			f,
			"bring the WAN up, or name it in portreeve.conf: wan \"ppp0\" {}");
	} else if (t->wan[0] && addr_is_none(&t->wan4) &&
		   (f = check_add(r, CHECK_BLOCK, "no-wan-address"))) {
		check_say(f, "the WAN %s has no IPv4 address%s", t->wan,
			  t->wan_index ? "" : ": there is no such interface now");
	} else if (t->wan[0] && !t->wan_up &&
		   (f = check_add(r, CHECK_BLOCK, "wan-down"))) {
		check_say(f, "the WAN %s is down", t->wan);
		check_advise(f, "ip link set %s up", t->wan);
	} else {
		check_wan_class(facts, r);
	}
}

/* What blocks first, else as it was found. */
static void check_unasked(const struct check_facts *facts, struct check_report *r)
{
	struct check_finding *f = NULL;

	if (facts->foreign_masquerade)
		f = check_add(r, CHECK_NOTE, "foreign-ports");
	if (f) {
		check_say(
			f,
			"own-masquerade is false, so other rules choose the ports that LAN "
			"hosts leave from: of two hosts with one source port, or with "
			"\"random\" in those rules, one has another port towards each "
			"remote, which consoles call strict, and open NAT does not help it");
		check_advise(
			f,
			"own-masquerade = true, unless those rules translate to an address "
			"that is not the WAN interface's first");
	}
	f = facts->deaf ? check_add(r, CHECK_WARNING, "packet-log") : NULL;
	if (f) {
		check_say(
			f,
			"the kernel's packet log (NFLOG) cannot be read, so no port opens to "
			"who does not ask; the log of portreeved says why");
		check_advise(
			f,
			"end the other process that reads its groups %u and %u, or load "
			"nfnetlink_log",
			FIREWALL_COUNT_GROUP, FIREWALL_WATCH_GROUP);
	}
}

static void sort(struct check_report *r)
{
	struct check_finding sorted[CHECK_FINDINGS] = {0};
	size_t n = 0;

	for (int severity = CHECK_BLOCK; severity >= CHECK_NOTE; severity--)
		for (size_t i = 0; i < r->n; i++)
			if (r->finding[i].severity == (enum check_severity)severity)
				sorted[n++] = r->finding[i];
	memcpy(r->finding, sorted, n * sizeof(sorted[0]));
}

void check_run(const struct check_facts *facts, struct check_report *out)
{
	out->n = 0;
	out->more = false;
	check_networks(facts, out);
	check_forwarding(facts, out);
	check_rules(facts, out);
	check_conntrack(&facts->settings, out);
	check_counts(facts, out);
	check_unasked(facts, out);
	sort(out);
}
