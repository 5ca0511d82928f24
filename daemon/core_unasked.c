/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports that open to hosts which did not ask: what the trigger worker saw is held against the
 * kernel's flows and the LANs, and goes the way of any request.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "firewall/conntrack.h"
#include "lease/policy.h"

/* The flow may not be in the kernel's table yet: its packet is, while somebody else has the CPU,
 * between our rule and the table. The gaps double, for a quarter of a second in all. */
#define AGAIN_MS 1
#define TRIES 8

/* ---- What is wanted ---- */

/* The networks of which the kernel tells: of LANs that have it, and of single hosts. Where a
 * rule has a MAC address only, its host may be next to us in any LAN: who it is that sends the
 * core sees for itself. */
static size_t learners(const struct core *c, struct prefix *nets, size_t max)
{
	bool anywhere = false;
	size_t n = 0;

	for (size_t i = 0; i < c->config.n_access; i++) {
		const struct lease_access *a = &c->config.access[i];

		anywhere = anywhere || (a->open_nat == ACCESS_OPEN_NAT_ON && !a->n_nets);
	}
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *t = &c->topology.lan[i];
		const struct lease_lan *p = &c->policy.lan[i];
		/* Its own networks go first, those behind other routers follow. */
		size_t n_nets = t->open_nat ? p->n_nets : anywhere ? p->n_own : 0;

		for (size_t k = 0; k < n_nets && n < max; k++)
			nets[n++] = p->nets[k];
	}
	for (size_t i = 0; i < c->config.n_access; i++) {
		const struct lease_access *a = &c->config.access[i];
		bool on = a->open_nat == ACCESS_OPEN_NAT_ON;

		for (size_t k = 0; on && k < a->n_nets && n < max; k++)
			nets[n++] = a->nets[k];
	}
	return n;
}

static void put_instant(struct trigger_setup *s, const struct port_range *r, bool tcp)
{
	if (s->n_instant < TRIGGER_INSTANT_MAX && (tcp ? r->tcp : r->udp))
		s->instant[s->n_instant++] = (struct record_ports){
			.protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP,
			.first = r->first,
			.last = r->last};
}

static struct trigger_setup worker_setup(const struct core *c)
{
	const struct config_open_nat *o = &c->config.open_nat;
	struct trigger_setup s = {.window_ms = o->window_s * 1000,
				  .udp_remotes = (uint8_t)o->udp_remotes,
				  .tcp_remotes = (uint8_t)o->tcp_remotes,
				  .udp_silent = c->learn.udp_silent,
				  .tcp_silent = c->learn.tcp_silent,
				  .debug = c->options->debug};

	for (size_t i = 0; i < o->n_instant; i++) {
		put_instant(&s, &o->instant[i], false);
		put_instant(&s, &o->instant[i], true);
	}
	return s;
}

void core_unasked_look(struct core *c)
{
	static struct prefix nets[LEASE_LANS_MAX * LEASE_LAN_NETS +
				  LEASE_ACCESS_MAX * LEASE_ACCESS_NETS];
	bool learn = core_unasked_learn(c) != NULL;
	struct trigger_setup setup = worker_setup(c);
	size_t n = learners(c, nets, sizeof(nets) / sizeof(nets[0]));
	int err = firewall_set_learners(c->firewall, nets,
					c->config.open_nat.per_host ? n : 0);

	if (err && err != -ENOENT) {
		errno = -err;
		log_error("whose packets to look at could not be told to the kernel: %m");
	}
	core_trigger_want(c->trigger, learn ? &setup : NULL);
}

/* The idle times there are, in ascending order. */
static void put_idle(struct firewall_learn *l, uint32_t idle_s)
{
	size_t i = l->n_idles;

	for (size_t k = 0; k < l->n_idles; k++)
		if (l->idle_s[k] == idle_s)
			return;
	/* When there are too many the longest stays, which the others are rounded up to. */
	if (i == FIREWALL_IDLES) {
		if (idle_s > l->idle_s[i - 1])
			l->idle_s[i - 1] = idle_s;
		return;
	}
	for (; i && l->idle_s[i - 1] > idle_s; i--)
		l->idle_s[i] = l->idle_s[i - 1];
	l->idle_s[i] = idle_s;
	l->n_idles++;
}

const struct firewall_learn *core_unasked_learn(struct core *c)
{
	const struct config_open_nat *o = &c->config.open_nat;
	bool open_nat = o->per_host > 0;
	bool silent = open_nat && c->config.own_masquerade &&
		      o->window_s <= FIREWALL_SEEN_S;

	c->learn = (struct firewall_learn){.window_s = o->window_s,
					   .quiet = o->quiet,
					   .n_quiet = o->n_quiet,
					   .udp_silent = silent && o->udp_remotes > 1,
					   .tcp_silent = silent && o->tcp_remotes > 1,
					   .instant = o->instant,
					   .n_instant = o->n_instant};
	c->learn.trigger = c->config.trigger;
	c->learn.n_triggers = c->config.n_triggers;
	for (size_t i = 0; i < c->config.n_triggers; i++)
		if (c->config.trigger[i].idle_s > c->learn.watch_s)
			c->learn.watch_s = c->config.trigger[i].idle_s;
	put_idle(&c->learn, o->idle_s);
	for (size_t i = 0; i < c->config.n_triggers; i++)
		put_idle(&c->learn, c->config.trigger[i].idle_s);
	return open_nat || c->config.n_triggers ? &c->learn : NULL;
}

/* ---- What was seen ---- */

/* Is the host there, and was it that sent the packet? Behind another router nobody can tell. */
static bool host_has_sent(struct core *c, const struct in6_addr *host,
			  const struct topology_lan *lan, const uint8_t mac[MAC_LEN])
{
	bool has = false;

	for (size_t i = 0; i < lan->n_also; i++)
		if (prefix_has(&lan->also[i], host))
			return true;
	return neighbours_has(c->neighbours, lan->ifindex, host, mac, &has) == 0 && has;
}

int core_lan_number(const struct core *c, const struct in6_addr *host)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct lease_lan *p = &c->policy.lan[i];

		for (size_t k = 0; p->used && k < p->n_nets; k++)
			if (prefix_has(&p->nets[k], host))
				return (int)i;
	}
	return -1;
}

/* The port that its flows leave from, and no other: what it was told of itself stays true. */
static void ask_open(struct core *c, int lan, const struct trigger_event *e,
		     const struct in6_addr *host, uint16_t port)
{
	const struct lease_request req = {.op = LEASE_OP_MAP,
					  .by = LEASE_BY_OPEN_NAT,
					  .protocol = e->protocol,
					  .flags = LEASE_EXACT,
					  .int_port = port,
					  .ext_port = e->ext_port,
					  .lifetime = c->config.open_nat.idle_s,
					  .client = *host,
					  .internal = *host};

	ledger_ask(c->ledger, CORE_TO_NOBODY, lan, &req);
}

/* Is the first remote of that port, of which nobody was told, the one that is missing? */
static bool first_counts(struct core *c, const struct trigger_event *e,
			 struct in_addr inside)
{
	struct in_addr first;
	int there = firewall_first_remote(c->firewall, e->protocol, e->ext_port, inside,
					  &first);

	if (there < 0) {
		errno = -there;
		log_warn("whether a port has sent to another remote before is not known: "
			 "%m");
	}
	for (size_t i = 0; i < e->n_told; i++)
		if (e->told[i].s_addr == first.s_addr)
			return false;
	return there > 0;
}

/* 0, or -ENOENT: the kernel does not know that flow (yet). */
static int take_event(struct core *c, const struct trigger_event *e)
{
	const struct topology_lan *lan;
	struct in_addr inside;
	struct in6_addr host;
	uint16_t port;
	int err, i;

	err = conntrack_origin(c->conntrack, e->protocol, e->external, e->ext_port,
			       e->remote, e->remote_port, &inside, &port);
	if (err)
		return err;
	host = addr_from_v4(inside);
	i = core_lan_number(c, &host);
	lan = i < 0 ? NULL : &c->topology.lan[i];
	if (!lan || !host_has_sent(c, &host, lan, e->mac)) {
		log_debug("a port of a host that is not there, or did not send");
		return 0;
	}
	if (e->what == TRIGGER_WATCHED)
		core_rules_event(c, e, &host, i);
	else if (policy_unasked(&c->policy, &host) && c->config.open_nat.per_host &&
		 (e->what == TRIGGER_COUNTED || first_counts(c, e, inside)))
		ask_open(c, i, e, &host, port);
	return 0;
}

static void arm_unknown(struct core *c)
{
	uint64_t now_ms = clock_ms(), least_ms = UINT64_MAX;
	struct timeval in = {0};

	for (size_t i = 0; i < c->n_unknown; i++)
		if (c->unknown[i].due_ms < least_ms)
			least_ms = c->unknown[i].due_ms;
	if (!c->n_unknown)
		return;
	in.tv_usec = least_ms > now_ms ? (suseconds_t)(least_ms - now_ms) * 1000 : 0;
	event_add(c->unknown_due, &in);
}

static void wait_for_flow(struct core *c, const struct trigger_event *e,
			  unsigned int tries)
{
	if (tries > TRIES || c->n_unknown == CORE_UNKNOWN)
		return;
	c->unknown[c->n_unknown++] = (struct core_unknown){
		*e, tries, clock_ms() + (AGAIN_MS << (tries - 1))};
}

void core_unknown_due(int fd, short what, void *arg)
{
	struct core *c = arg;
	struct core_unknown again[CORE_UNKNOWN];
	size_t n = c->n_unknown;
	uint64_t now_ms = clock_ms();

	(void)fd;
	(void)what;
	memcpy(again, c->unknown, n * sizeof(*again));
	c->n_unknown = 0;
	for (size_t i = 0; i < n; i++)
		if (again[i].due_ms > now_ms)
			c->unknown[c->n_unknown++] = again[i];
		else if (take_event(c, &again[i].event) == -ENOENT)
			wait_for_flow(c, &again[i].event, again[i].tries + 1);
	arm_unknown(c);
}

static void core_event(void *arg, const struct trigger_event *e)
{
	if (take_event(arg, e) != -ENOENT)
		return;
	wait_for_flow(arg, e, 1);
	arm_unknown(arg);
}

/* What was told to somebody who is gone is told again. */
static void core_begins(void *arg)
{
	struct core *c = arg;
	int err = firewall_forget_seen(c->firewall);

	if (err && err != -ENOENT) {
		errno = -err;
		log_warn(
			"flows that were seen before are not seen again for a while: %m");
	}
}

static void core_trigger_changed(void *arg)
{
	core_check_ready(arg);
}

const struct core_trigger_ops core_trigger_ops = {core_begins, core_event,
						  core_trigger_changed};
