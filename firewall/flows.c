/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/flows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/room.h"

#define IPV4_BITS 96 /* of an IPv4 address in 128 */

void flows_fini(struct flows *f)
{
	free(f->port);
	free(f->lease);
	memset(f, 0, sizeof(*f));
}

void flows_reset(struct flows *f)
{
	f->n_ports = f->n_leases = 0;
	memset(&f->tcp, 0, sizeof(f->tcp));
	memset(&f->udp, 0, sizeof(f->udp));
	f->pinholes = f->contested = f->all = false;
	f->former = (struct in6_addr)IN6ADDR_ANY_INIT;
}

static const struct portset *ports_of(const struct flows *f, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? &f->tcp : &f->udp;
}

int flows_add(struct flows *f, const struct flow_port *p)
{
	struct flow_port *port = room_for(f->port, &f->port_room, f->n_ports + 1,
					  sizeof(*port));

	if (!port)
		return -ENOMEM;
	f->port = port;
	f->port[f->n_ports++] = *p;
	portset_add(p->protocol == IPPROTO_TCP ? &f->tcp : &f->udp, p->ext_port,
		    p->ext_port);
	f->pinholes = f->pinholes || !addr_is_v4(&p->internal);
	f->contested = f->contested || p->contested;
	return 0;
}

void flows_everything(struct flows *f)
{
	portset_add(&f->tcp, 0, UINT16_MAX);
	portset_add(&f->udp, 0, UINT16_MAX);
	f->pinholes = f->all = true;
}

/* ---- Steps ---- */

static struct flow_port port_of(const struct lease *l)
{
	return (struct flow_port){.protocol = l->protocol,
				  .ext_port = l->ext_port,
				  .int_port = l->int_port,
				  .internal = l->internal};
}

static bool same_filters(const struct lease *a, const struct lease *b)
{
	return a->n_filters == b->n_filters &&
	       (!a->n_filters ||
		!memcmp(a->filters, b->filters, a->n_filters * sizeof(*a->filters)));
}

/* Does it let the same flows in, to the same place? */
static bool same_way(const struct lease *a, const struct lease *b)
{
	return a->enabled == b->enabled && a->int_port == b->int_port &&
	       addr_equal(&a->internal, &b->internal) && same_filters(a, b);
}

int flows_step(struct flows *f, const struct lease_change *step, bool contested)
{
	struct flow_port p;
	int err = 0;

	if (step->had && step->has && same_way(&step->before, &step->after))
		return 0;
	if (step->had) {
		p = port_of(&step->before);
		err = flows_add(f, &p);
	}
	if (!err && step->has && step->after.enabled) {
		p = port_of(&step->after);
		p.fresh = true;
		p.contested = contested && !lease_is_pinhole(&step->after);
		err = flows_add(f, &p);
	}
	return err;
}

/* ---- The leases of those ports ---- */

bool flows_wants(const struct flows *f, const struct lease *l)
{
	return l->enabled && portset_has(ports_of(f, l->protocol), l->ext_port);
}

int flows_lease(struct flows *f, const struct lease *l)
{
	struct lease *lease = room_for(f->lease, &f->lease_room, f->n_leases + 1,
				       sizeof(*lease));

	if (!lease)
		return -ENOMEM;
	f->lease = lease;
	f->lease[f->n_leases++] = *l;
	return 0;
}

static int by_place(uint8_t protocol_a, uint16_t port_a, uint8_t protocol_b,
		    uint16_t port_b)
{
	return protocol_a != protocol_b ? protocol_a - protocol_b : port_a - port_b;
}

static int by_port(const void *x, const void *y)
{
	const struct flow_port *a = x, *b = y;

	return by_place(a->protocol, a->ext_port, b->protocol, b->ext_port);
}

static int by_lease(const void *x, const void *y)
{
	const struct lease *a = x, *b = y;

	return by_place(a->protocol, a->ext_port, b->protocol, b->ext_port);
}

void flows_sort(struct flows *f)
{
	if (f->n_ports)
		qsort(f->port, f->n_ports, sizeof(*f->port), by_port);
	if (f->n_leases)
		qsort(f->lease, f->n_leases, sizeof(*f->lease), by_lease);
}

static const struct lease *first_lease(const struct flows *f, uint8_t protocol,
				       uint16_t port)
{
	size_t low = 0, high = f->n_leases;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct lease *l = &f->lease[mid];

		if (by_place(l->protocol, l->ext_port, protocol, port) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return f->lease + low;
}

static const struct flow_port *first_port(const struct flows *f, uint8_t protocol,
					  uint16_t port)
{
	size_t low = 0, high = f->n_ports;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct flow_port *p = &f->port[mid];

		if (by_place(p->protocol, p->ext_port, protocol, port) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return f->port + low;
}

/* ---- Judging ---- */

/* Everybody's IPv4 address is written with any length up to 96. */
static bool prefix_lets(const struct in6_addr *addr, uint8_t len,
			const struct in6_addr *remote)
{
	struct prefix p = {.addr = *addr, .len = len};

	return !len || (addr_is_v4(remote) && len <= IPV4_BITS) || prefix_has(&p, remote);
}

bool flows_lets_in(const struct lease *l, const struct in6_addr *remote,
		   uint16_t remote_port)
{
	if (!prefix_lets(&l->remote, l->remote_len, remote) ||
	    (l->remote_port && l->remote_port != remote_port))
		return false;
	for (size_t i = 0; i < l->n_filters; i++)
		if (prefix_lets(&l->filters[i].addr, l->filters[i].len, remote) &&
		    (!l->filters[i].port || l->filters[i].port == remote_port))
			return true;
	return !l->n_filters;
}

static bool is_restricted(const struct lease *l)
{
	return l->remote_len || l->remote_port || l->n_filters;
}

/* Where the leases lead what comes like that; the more special one first, as in the rules.
 * NULL: nowhere. */
static const struct lease *leads(const struct flows *f, uint8_t protocol,
				 const struct flow_end *e)
{
	const struct lease *l = first_lease(f, protocol, e->dport), *found = NULL;
	bool v4 = addr_is_v4(&e->dst);

	for (; l < f->lease + f->n_leases && l->protocol == protocol &&
	       l->ext_port == e->dport;
	     l++) {
		if (lease_is_pinhole(l) == v4 ||
		    (!v4 && !addr_equal(&l->internal, &e->dst)))
			continue;
		if (flows_lets_in(l, &e->src, e->sport) && (!found || is_restricted(l)))
			found = l;
	}
	return found;
}

/* Did a lease that was there lead to that place? */
static bool led_to(const struct flows *f, uint8_t protocol, uint16_t ext_port,
		   const struct in6_addr *internal, uint16_t int_port)
{
	const struct flow_port *p = first_port(f, protocol, ext_port);

	for (; p < f->port + f->n_ports && p->protocol == protocol &&
	       p->ext_port == ext_port;
	     p++)
		if (p->int_port == int_port && addr_equal(&p->internal, internal))
			return true;
	return false;
}

/* The kernel gave it another source port, as the flow of one that is cut by now had that. */
static bool has_another_source(const struct flow *flow)
{
	return addr_equal(&flow->reply.dst, &flow->original.src) &&
	       flow->reply.dport != flow->original.sport;
}

static bool inbound_must_go(const struct flows *f, const struct flow *flow)
{
	const struct lease *l = leads(f, flow->protocol, &flow->original);

	if (l) /* also one without NAT, that ended at the router: it is in the way */
		return !addr_equal(&l->internal, &flow->reply.src) ||
		       l->int_port != flow->reply.sport || has_another_source(flow);
	/* What never went by a lease is none of our business. */
	return flow->dnat && (led_to(f, flow->protocol, flow->original.dport,
				     &flow->reply.src, flow->reply.sport) ||
			      (f->all && f->ours && f->ours(f->ours_arg, flow)));
}

/* A flow of another host sits on the external port of a new lease. */
static bool outbound_must_go(const struct flows *f, const struct flow *flow)
{
	const struct flow_port *p = first_port(f, flow->protocol, flow->reply.dport);
	bool contested = false;

	for (; p < f->port + f->n_ports && p->protocol == flow->protocol &&
	       p->ext_port == flow->reply.dport;
	     p++) {
		if (!p->fresh || !p->contested)
			continue;
		if (addr_equal(&p->internal, &flow->original.src))
			return false;
		contested = true;
	}
	return contested;
}

static bool at_wan(const struct flows *f, const struct in6_addr *a)
{
	return !addr_is_none(&f->wan4) && addr_equal(a, &f->wan4);
}

bool flows_must_go(const struct flows *f, const struct flow *flow)
{
	const struct portset *ports = ports_of(f, flow->protocol);
	const struct flow_end *o = &flow->original, *r = &flow->reply;

	if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
		return false;
	if (!addr_is_v4(&o->dst)) /* a pinhole's */
		return portset_has(ports, o->dport) && !leads(f, flow->protocol, o) &&
		       (led_to(f, flow->protocol, o->dport, &o->dst, o->dport) ||
			(f->all && f->ours && f->ours(f->ours_arg, flow)));
	if (flow->dnat && !addr_is_none(&f->former) && addr_equal(&o->dst, &f->former))
		return true;
	if (at_wan(f, &o->dst) && portset_has(ports, o->dport) &&
	    inbound_must_go(f, flow))
		return true;
	return f->contested && flow->snat && at_wan(f, &r->dst) &&
	       portset_has(ports, r->dport) && outbound_must_go(f, flow);
}
