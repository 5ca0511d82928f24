/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Static forwards in the kernel: maps and sets of their own, in which a range is one element
 * however many ports it has.
 *
 * forwards: who . proto . port -> inside address and port, of single ports
 * forward_ranges: the same of ranges, which keep their ports -> inside address
 * forward_held: external ports that LAN hosts do not leave from by chance
 * forward_own: inside ports that leave from their own number
 * forward_rev: inside ports that leave from another one
 * forward_via: inside ports whose host sees the router as the sender
 */
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "firewall/rules.h"

#define FORWARD_KEY 12 /* ip . proto . port */

static void put_port(uint8_t field[4], uint16_t port)
{
	field[0] = (uint8_t)(port >> 8);
	field[1] = (uint8_t)port;
	field[2] = field[3] = 0;
}

static void put_key(uint8_t key[FORWARD_KEY], const uint8_t addr[4], uint8_t protocol,
		    uint16_t port)
{
	memcpy(key, addr, 4);
	memset(key + 4, 0, 4);
	key[4] = protocol;
	put_port(key + 8, port);
}

/* The first and the last address of an IPv4 prefix; NULL: everybody. */
static void put_sources(const struct prefix *p, uint8_t from[4], uint8_t to[4])
{
	memset(from, 0, 4);
	memset(to, 0xff, 4);
	if (!p)
		return;
	for (unsigned int bit = 96; bit < p->len; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> (bit % 8));
		unsigned int at = bit / 8 - 12;

		if (p->addr.s6_addr[bit / 8] & mask)
			from[at] |= mask;
		else
			to[at] &= (uint8_t)~mask;
	}
}

static bool is_range(const struct lease_forward *f)
{
	return f->first != f->last;
}

static void put_forward(struct filler *f, const struct lease_forward *fwd,
			const struct prefix *source)
{
	uint8_t from[FORWARD_KEY], to[FORWARD_KEY], data[ELEMENT_DEST];
	uint8_t low[4], high[4];

	put_sources(source, low, high);
	put_key(from, low, fwd->protocol, fwd->first);
	put_key(to, high, fwd->protocol, fwd->last);
	memcpy(data, &fwd->internal.s6_addr[12], 4);
	put_port(data + 4, fwd->int_first);
	fill(f, &(struct kernel_element){.key = from,
					 .key_to = to,
					 .key_len = FORWARD_KEY,
					 .data = data,
					 .data_len = is_range(fwd) ? 4 : ELEMENT_DEST});
}

/* All single ports, or all ranges. */
static void put_forwards(struct firewall *fw, const char *map,
			 const struct firewall_config *c, bool ranges)
{
	struct filler f = {.fw = fw, .set = map};

	for (size_t i = 0; i < c->n_forwards; i++) {
		const struct lease_forward *fwd = &c->forwards[i];

		if (is_range(fwd) != ranges)
			continue;
		for (size_t k = 0; k < fwd->n_from; k++)
			put_forward(&f, fwd, &fwd->from[k]);
		if (!fwd->n_from)
			put_forward(&f, fwd, NULL);
	}
	fill_end(&f);
}

/* Which inside ports of its host and protocol go into a set. */
typedef bool (*forward_test)(const struct lease_forward *f);

static bool keeps_port(const struct lease_forward *f)
{
	return f->first == f->int_first;
}

static bool returns_via_router(const struct lease_forward *f)
{
	return f->return_via_router;
}

static bool same_host(const struct lease_forward *a, const struct lease_forward *b)
{
	return a->protocol == b->protocol && addr_equal(&a->internal, &b->internal);
}

static void add_inside(struct portset *ports, const struct lease_forward *f)
{
	portset_add(ports, f->int_first, (uint16_t)(f->int_first + (f->last - f->first)));
}

/* Several forwards may lead to one inside port, and intervals must not overlap: the ports of
 * one host and protocol are put together. */
static void put_inside(struct firewall *fw, const char *set,
		       const struct firewall_config *c, forward_test wanted)
{
	struct filler f = {.fw = fw, .set = set};

	for (size_t i = 0; i < c->n_forwards; i++) {
		const struct lease_forward *fwd = &c->forwards[i];
		uint8_t prefix[FORWARD_KEY];
		struct portset ports = {0};
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first = first && !same_host(fwd, &c->forwards[k]);
		if (!first)
			continue;
		for (size_t k = i; k < c->n_forwards; k++)
			if (same_host(fwd, &c->forwards[k]) && wanted(&c->forwards[k]))
				add_inside(&ports, &c->forwards[k]);
		put_key(prefix, &fwd->internal.s6_addr[12], fwd->protocol, 0);
		fill_port_ranges(&f, prefix, FORWARD_KEY, &ports);
	}
	fill_end(&f);
}

/* The first forward of an inside port has its way out. */
static void put_rev(struct firewall *fw, const struct firewall_config *c)
{
	struct filler f = {.fw = fw, .set = "forward_rev"};

	for (size_t i = 0; i < c->n_forwards; i++) {
		const struct lease_forward *fwd = &c->forwards[i];
		uint8_t key[FORWARD_KEY], port[4];
		bool first = true;

		for (size_t k = 0; k < i; k++)
			first = first && !(same_host(fwd, &c->forwards[k]) &&
					   !keeps_port(&c->forwards[k]) &&
					   c->forwards[k].int_first == fwd->int_first);
		if (keeps_port(fwd) || !first)
			continue;
		put_key(key, &fwd->internal.s6_addr[12], fwd->protocol, fwd->int_first);
		put_port(port, fwd->first);
		fill(&f, &(struct kernel_element){.key = key,
						  .key_len = FORWARD_KEY,
						  .data = port,
						  .data_len = ELEMENT_PORT});
	}
	fill_end(&f);
}

void forwards_put(struct firewall *fw, const struct firewall_config *c)
{
	static const char *const names[] = {"forwards",     "forward_ranges",
					    "forward_held", "forward_own",
					    "forward_rev",  "forward_via"};
	struct filler held = {.fw = fw, .set = "forward_held"};
	struct portset tcp = {0}, udp = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		flush_message(&fw->batch, fw->table, names[i]);
	put_forwards(fw, "forwards", c, false);
	put_forwards(fw, "forward_ranges", c, true);
	for (size_t i = 0; i < c->n_forwards; i++)
		portset_add(c->forwards[i].protocol == IPPROTO_TCP ? &tcp : &udp,
			    c->forwards[i].first, c->forwards[i].last);
	fill_ports(&held, IPPROTO_TCP, &tcp);
	fill_ports(&held, IPPROTO_UDP, &udp);
	fill_end(&held);
	put_inside(fw, "forward_own", c, keeps_port);
	put_rev(fw, c);
	put_inside(fw, "forward_via", c, returns_via_router);
}

/* Rules */

/* What comes in by the interfaces of that set, or from the router itself (NULL). */
static void pre(struct rules *r, const char *from, bool ranges)
{
	struct expr *e = rules_begin(r, from ? "pre" : "self");

	if (from)
		expr_ifname(e, EXPR_IIFNAME, from);
	expr_nfproto_ipv4(e, true);
	if (!from || strcmp(from, "wan") != 0)
		expr_daddr_in(e, "wan4");
	rules_tcp_udp(r, true);
	rules_saddr_proto_port(e, EXPR_DPORT, 0);
	expr_map(e, ranges ? "forward_ranges" : "forwards", 0);
	if (ranges)
		expr_dnat_addr(e, 0);
	else
		expr_dnat(e, 0, 1);
	rules_end(r);
}

void forwards_fill_pre(struct rules *r)
{
	for (int ranges = 0; ranges < 2; ranges++) {
		pre(r, "wan", ranges);
		pre(r, "lan", ranges);
		pre(r, NULL, ranges);
	}
}

void forwards_fill_src(struct rules *r)
{
	struct expr *e = rules_begin(r, "src");

	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	expr_ct_status(e, IPS_DST_NAT, true);
	expr_ct_daddr_in(e, "wan4");
	expr_daddr(e, 0);
	expr_l4proto(e, 1);
	expr_port(e, EXPR_DPORT, 2);
	expr_in_set(e, "forward_via", 0);
	expr_masquerade(e);
	rules_end(r);
}

void forwards_fill_own(struct rules *r)
{
	struct expr *e = rules_begin(r, "outsrc");

	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	rules_saddr_proto_port(e, EXPR_SPORT, 0);
	expr_map(e, "forward_rev", 0);
	expr_masquerade_port(e, 0);
	rules_end(r);

	e = rules_begin(r, "outsrc");
	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	rules_saddr_proto_port(e, EXPR_SPORT, 0);
	expr_in_set(e, "forward_own", 0);
	expr_masquerade(e);
	rules_end(r);
}

void forwards_fill_held(struct rules *r)
{
	struct expr *e = rules_begin(r, "outsrc");

	expr_nfproto_ipv4(e, true);
	rules_tcp_udp(r, true);
	rules_proto_port(e, EXPR_SPORT);
	expr_in_set(e, "forward_held", 0);
	expr_goto(e, "moved");
	rules_end(r);
}
