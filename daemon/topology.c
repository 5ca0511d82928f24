/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/topology.h"

#include <stdio.h>
#include <string.h>

static struct topology_lan *topology_lan_named(struct topology *t, const char *name)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		if (strcmp(t->lan[i].name, name) == 0)
			return &t->lan[i];
	return NULL;
}

static const struct config_lan *config_lan_named(const struct config *config,
						 const char *name)
{
	for (size_t i = 0; i < config->n_lans; i++)
		if (strcmp(config->lan[i].name, name) == 0)
			return &config->lan[i];
	return NULL;
}

static void lan_configure(const struct topology *t, struct topology_lan *lan,
			  const struct config_lan *from)
{
	memcpy(lan->name, from->name, sizeof(lan->name));
	lan->trusted = from->trusted;
	lan->upnp = from->upnp;
	lan->pcp = from->pcp;
	lan->nat_pmp = from->nat_pmp;
	lan->open_nat = from->open_nat;
	lan->http_port = from->http_port ? from->http_port
					 : (uint16_t)(HTTP_PORT_FIRST + (lan - t->lan));
	lan->n_also = from->n_also;
	memcpy(lan->also, from->also, sizeof(lan->also));
	lan->n_third = from->n_third;
	memcpy(lan->third, from->third, sizeof(lan->third));
}

/* What a LAN is that nobody has configured. */
static void lan_configure_found(const struct topology *t, struct topology_lan *lan,
				const char *name)
{
	struct config_lan found = {.trusted = true,
				   .upnp = true,
				   .pcp = true,
				   .nat_pmp = true,
				   .open_nat = true};

	snprintf(found.name, sizeof(found.name), "%s", name);
	lan_configure(t, lan, &found);
}

void topology_configure(struct topology *t, const struct config *config)
{
	t->config = config;
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		struct topology_lan *lan = &t->lan[i];
		const struct config_lan *from = config_lan_named(config, lan->name);
		char name[IFNAMSIZ];

		memcpy(name, lan->name, sizeof(name));
		if (!name[0])
			continue;
		if (from)
			lan_configure(t, lan, from);
		else if (config->n_lans)
			*lan = (struct topology_lan){0};
		else
			lan_configure_found(t, lan, name);
	}
	for (size_t i = 0; i < config->n_lans; i++) {
		const struct config_lan *from = &config->lan[i];

		if (!topology_lan_named(t, from->name))
			lan_configure(t, topology_lan_named(t, ""), from);
	}
}

void topology_init(struct topology *t, const struct config *config)
{
	*t = (struct topology){0};
	topology_configure(t, config);
}

/* The first IPv4 address; NULL: none. */
static const struct link_addr *link_v4(const struct link *link)
{
	for (size_t i = 0; link && i < link->n_addrs; i++)
		if (addr_is_v4(&link->addrs[i].addr) && link->addrs[i].usable)
			return &link->addrs[i];
	return NULL;
}

/* With no LANs configured: an interface with a private address that is not the WAN. */
static bool link_is_lan(const struct topology *t, const struct link *link)
{
	const struct link_addr *v4 = link_v4(link);

	return v4 && !link->loopback && strcmp(link->name, t->wan) != 0 &&
	       addr_is_private(&v4->addr);
}

/* Gives an interface that has become a LAN the first free number. */
static void topology_find_lan(void *arg, const struct link *link)
{
	struct topology *t = arg;
	struct topology_lan *lan = topology_lan_named(t, "");

	if (!lan || !link_is_lan(t, link) || topology_lan_named(t, link->name))
		return;
	lan_configure_found(t, lan, link->name);
}

static void lan_add_addr(struct topology_lan *lan, const struct link_addr *a)
{
	if (lan->n_addrs < RECORD_LAN_ADDRS)
		lan->addrs[lan->n_addrs++] = (struct record_prefix){.addr = a->addr,
								    .len = a->len};
}

static void lan_read(struct topology *t, struct topology_lan *lan,
		     const struct link *link)
{
	bool is_lan = link && link->up && link_v4(link) &&
		      (t->config->n_lans || link_is_lan(t, link));

	lan->ifindex = link ? link->index : 0;
	lan->n_addrs = 0;
	memset(lan->addrs, 0, sizeof(lan->addrs));
	if (!is_lan)
		return;
	lan_add_addr(lan, link_v4(link)); /* the main one goes first */
	for (size_t i = 0; i < link->n_addrs; i++)
		if (link->addrs[i].usable && &link->addrs[i] != link_v4(link))
			lan_add_addr(lan, &link->addrs[i]);
}

void topology_read(struct topology *t, const struct links *links)
{
	const struct link *wan = t->config->wan[0] ? links_find(links, t->config->wan)
						   : links_default_route(links);
	const struct link_addr *v4 = link_v4(wan);

	memset(t->wan, 0, sizeof(t->wan));
	if (t->config->wan[0] || wan)
		snprintf(t->wan, sizeof(t->wan), "%s", wan ? wan->name : t->config->wan);
	t->wan_index = wan ? wan->index : 0;
	t->wan_up = wan && wan->up && wan->running && v4;
	t->wan4 = v4 ? v4->addr : (struct in6_addr)IN6ADDR_ANY_INIT;
	if (!t->config->n_lans)
		links_each(links, topology_find_lan, t);
	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		if (t->lan[i].name[0])
			lan_read(t, &t->lan[i], links_find(links, t->lan[i].name));
}

bool topology_lan_differs(const struct topology_lan *a, const struct topology_lan *b)
{
	return a->ifindex != b->ifindex || a->n_addrs != b->n_addrs ||
	       memcmp(a->addrs, b->addrs, sizeof(a->addrs)) != 0;
}

bool topology_lan_serves_else(const struct topology_lan *a, const struct topology_lan *b)
{
	return strcmp(a->name, b->name) != 0 || a->upnp != b->upnp || a->pcp != b->pcp ||
	       a->nat_pmp != b->nat_pmp || a->http_port != b->http_port ||
	       a->n_also != b->n_also || memcmp(a->also, b->also, sizeof(a->also)) != 0;
}

void topology_lan_policy(const struct topology_lan *lan, struct lease_lan *policy)
{
	*policy = (struct lease_lan){.used = lan->n_addrs > 0, .open_nat = lan->open_nat};
	if (!policy->used)
		return;
	for (size_t i = 0; i < lan->n_addrs; i++) {
		policy->own[policy->n_own++] = lan->addrs[i].addr;
		policy->nets[policy->n_nets++] = (struct prefix){lan->addrs[i].addr,
								 lan->addrs[i].len};
	}
	for (size_t i = 0; i < lan->n_also && policy->n_nets < LEASE_LAN_NETS; i++)
		policy->nets[policy->n_nets++] = lan->also[i];
	for (size_t i = 0; i < lan->n_third; i++)
		policy->third[policy->n_third++] = lan->third[i];
}
