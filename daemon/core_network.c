/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "daemon/epoch.h"

#define LANS_SETTLED_S 10

static bool core_is_routed(const struct core *c, const struct in6_addr *host)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		for (size_t k = 0; k < c->topology.lan[i].n_also; k++)
			if (prefix_has(&c->topology.lan[i].also[k], host))
				return true;
	return false;
}

const struct topology_lan *core_lan_of(const struct core *c, const struct in6_addr *host)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *lan = &c->topology.lan[i];

		for (size_t k = 0; k < lan->n_addrs; k++) {
			struct prefix net = {lan->addrs[k].addr, lan->addrs[k].len};

			if (prefix_has(&net, host))
				return lan;
		}
	}
	return NULL;
}

/* Behind another router nobody can tell: such a host is believed to be there. */
uint64_t core_heard(void *arg, const struct in6_addr *internal, uint64_t now_ms)
{
	struct core *c = arg;
	const struct topology_lan *lan = core_lan_of(c, internal);
	uint64_t silence = NEIGHBOURS_NEVER;
	int err;

	if (!lan)
		return core_is_routed(c, internal) ? now_ms : 0;
	err = neighbours_silence(c->neighbours, lan->ifindex, internal, &silence);
	/* Asked long before it counts as gone, but not when it has just answered. */
	if (!err && silence > c->policy.silence_ms / 8)
		err = neighbours_probe(c->neighbours, lan->ifindex, internal);
	if (err && err != -ENODEV) {
		errno = -err;
		log_warn("the kernel does not tell of a neighbour: %m");
		return now_ms;
	}
	return silence < now_ms ? now_ms - silence : 0;
}

static void core_set_wan(struct core *c)
{
	const struct topology *t = &c->topology;
	const char *name = t->wan;
	struct in_addr v4 = addr_to_v4(&t->wan4);
	int err = firewall_set_wan(c->firewall, &name, t->wan[0] != '\0', &v4,
				   !addr_is_none(&t->wan4));

	if (err && err != -ENOENT) { /* without the table: it comes back with this */
		errno = -err;
		log_error("the WAN could not be told to the kernel: %m");
	}
	ledger_set_wan(c->ledger, &t->wan4);
	cut_set_wan(c->cut, &t->wan4);
	traffic_set_wan(c->traffic, &t->wan4);
}

/* Also LANs without an address: the filter of router mode must not shut them out. */
static void core_set_zones(struct core *c)
{
	struct firewall_zone zones[LEASE_LANS_MAX];
	size_t n = 0;
	int err;

	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *t = &c->topology.lan[i];

		if (!t->name[0])
			continue;
		zones[n] = (struct firewall_zone){
			.trusted = t->trusted,
			.pcp = t->pcp || t->nat_pmp,
			.http_port = t->upnp ? t->http_port : 0,
		};
		memcpy(zones[n++].name, t->name, sizeof(t->name));
	}
	err = firewall_set_zones(c->firewall, zones, n);
	if (err) {
		errno = -err;
		log_error("the LANs could not be told to the filter: %m");
	}
}

static void core_set_lans(struct core *c)
{
	const char *names[LEASE_LANS_MAX];
	struct prefix nets[LEASE_LANS_MAX * LEASE_LAN_NETS];
	uint16_t ports[LEASE_LANS_MAX];
	size_t n_names = 0, n_nets = 0;
	int err;

	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *t = &c->topology.lan[i];
		struct lease_lan *p = &c->policy.lan[i];

		topology_lan_policy(t, p);
		if (!t->n_addrs)
			continue;
		ports[n_names] = t->http_port;
		names[n_names++] = t->name;
		for (size_t k = 0; k < p->n_nets; k++)
			nets[n_nets++] = p->nets[k];
	}
	err = firewall_set_lan(c->firewall, names, n_names, nets, n_nets, ports, n_names);
	if (err && err != -ENOENT) {
		errno = -err;
		log_error("the LANs could not be told to the kernel: %m");
	}
	core_set_zones(c);
}

/* The i-th address as its network, if that is a global IPv6 one; else a /0. */
static struct prefix lan_net6(const struct topology_lan *t, size_t i)
{
	struct prefix p = {t->addrs[i].addr, t->addrs[i].len};

	if ((p.addr.s6_addr[0] & 0xe0) != 0x20 || p.len == 128)
		return (struct prefix){0};
	prefix_trim(&p);
	return p;
}

static bool lan_has_net6(const struct topology_lan *t, const struct prefix *net)
{
	for (size_t i = 0; i < t->n_addrs; i++) {
		struct prefix p = lan_net6(t, i);

		if (p.len == net->len && addr_equal(&p.addr, &net->addr))
			return true;
	}
	return false;
}

/* A prefix has gone, another of its length is there, now or a while later: hosts keep their
 * interface identifiers. */
static void core_follow_prefix(struct core *c, uint16_t lan,
			       const struct topology_lan *was)
{
	const struct topology_lan *t = &c->topology.lan[lan];
	struct prefix *lost = &c->lost6[lan], to = {0};

	if (strcmp(was->name, t->name) != 0) {
		lost->len = 0;
		return;
	}
	for (size_t i = 0; i < was->n_addrs; i++) {
		struct prefix p = lan_net6(was, i);

		if (p.len && !lan_has_net6(t, &p))
			*lost = p;
	}
	if (lost->len && lan_has_net6(t, lost))
		lost->len = 0; /* it is back */
	for (size_t i = 0; lost->len && i < t->n_addrs; i++) {
		struct prefix p = lan_net6(t, i);

		/* One that is new goes before one that was there already. */
		if (p.len == lost->len && (!to.len || !lan_has_net6(was, &p)))
			to = p;
	}
	if (!to.len)
		return;
	ledger_follow(c->ledger, lost, &to);
	lost->len = 0;
}

/* Starts, stops or restarts what serves that LAN. */
static void core_serve_lan(struct core *c, uint16_t i, const struct topology_lan *was,
			   bool first)
{
	const struct topology_lan *t = &c->topology.lan[i];
	bool there = t->n_addrs > 0, moved = topology_lan_differs(was, t);
	char addr[ADDR_TEXT];

	if (!moved && !topology_lan_serves_else(was, t) && !(first && t->name[0]))
		return;
	if (was->name[0] && strcmp(was->name, t->name) != 0)
		log_info("LAN %s: not served any more", was->name);
	if (there)
		log_info("LAN %s: %s", t->name, addr_text(&t->addrs[0].addr, addr));
	else if (t->name[0])
		log_warn("LAN %s: no IPv4 address; its hosts are served when it has one",
			 t->name);
	if (there && was->n_addrs) {
		workers_restart(c->workers, ROLE_PCP, i);
		workers_restart(c->workers, ROLE_IGD, i);
	}
	workers_want(c->workers, ROLE_PCP, i, there && (t->pcp || t->nat_pmp));
	workers_want(c->workers, ROLE_IGD, i, there && t->upnp);
}

static void core_follow_address(struct core *c, uint64_t now)
{
	struct in6_addr was = c->epoch.wan4;
	int err;

	if (!epoch_follow(&c->epoch, &c->topology.wan4, now))
		return;
	/* By the epoch's address the next core would know which flows are of a former one: they
	 * go first. */
	cut_former(c->cut, &was);
	if (c->begun)
		cut_finish(c->cut);
	err = firewall_epoch_set(c->firewall, &c->epoch);
	if (c->store)
		core_store_about(c->store);
	if (err && err != -ENOENT) {
		errno = -err;
		log_error("the epoch could not be kept: %m");
	}
}

static void core_wan_changed(struct core *c, const struct topology *was)
{
	const struct topology *t = &c->topology;
	uint64_t now = clock_ms();
	char addr[ADDR_TEXT];

	if (t->wan_up != was->wan_up)
		c->wan_since_ms = t->wan_up ? now : 0;
	if (addr_is_none(&t->wan4))
		log_warn("WAN %s: no IPv4 address yet; ports are opened when it has one",
			 t->wan[0] ? t->wan : "(no default route)");
	else
		log_info("WAN %s: %s", t->wan, addr_text(&t->wan4, addr));
	core_follow_address(c, now);
	core_set_wan(c);
	core_own_look(c);
	if (c->begun && addr_is_none(&was->wan4))
		cut_everything(c->cut);
}

/* A pinhole towards an address of a prefix that is gone would let a stranger in who gets that
 * address next. */
void core_judge_due(int fd, short what, void *arg)
{
	struct core *c = arg;

	(void)fd;
	(void)what;
	if (core_all_lans_there(c))
		ledger_judge(c->ledger, true);
}

static void core_adopt_waiting(struct core *c)
{
	if (!ledger_waiting(c->ledger, 0))
		return;
	ledger_adopt_waiting(c->ledger);
	if (c->store)
		core_store_sync(c->store);
}

void core_look_around(struct core *c, enum core_why why)
{
	/* Addresses come and go one by one, and IPv6 ones are tried out first. */
	static const struct timeval settled = {.tv_sec = LANS_SETTLED_S};
	static struct topology was;
	bool first = why == CORE_START;
	bool lans = why != CORE_LINKS;
	size_t named = 0;

	was = c->topology;
	if (why == CORE_OTHER_CONFIG)
		topology_configure(&c->topology, &c->config);
	topology_read(&c->topology, c->links);
	for (uint16_t i = 0; i < LEASE_LANS_MAX; i++) {
		lans = lans || topology_lan_differs(&was.lan[i], &c->topology.lan[i]);
		named += c->topology.lan[i].name[0] != '\0';
	}
	if (first || strcmp(was.wan, c->topology.wan) != 0 ||
	    was.wan_up != c->topology.wan_up ||
	    !addr_equal(&was.wan4, &c->topology.wan4)) {
		core_wan_changed(c, &was);
		core_changed(c);
	}
	core_upstream_look(c->upstream, c->topology.wan, &c->topology.wan4,
			   links_gateway(c->links));
	if (!lans)
		return;
	if (!named)
		log_warn(
			"no interface has a private IPv4 address yet; the first one that has is "
			"taken as the LAN");
	core_set_lans(c);
	core_unasked_look(c);
	if (!first) {
		core_adopt_waiting(c);
		event_add(c->judge_due, &settled);
	}
	for (uint16_t i = 0; i < LEASE_LANS_MAX; i++) {
		core_follow_prefix(c, i, &was.lan[i]);
		if (c->begun)
			core_serve_lan(c, i, &was.lan[i], first);
	}
}

void core_serve_lans(struct core *c)
{
	for (uint16_t i = 0; i < LEASE_LANS_MAX; i++)
		core_serve_lan(c, i, &c->topology.lan[i], true);
}
