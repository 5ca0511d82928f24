/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blocks forward, access and router. A block's values gather in `reading` and become part
 * of the configuration at its end.
 */
#include <string.h>

#include "conf/read.h"

/* "192.168.1.10" or "192.168.1.10:80"; the port comes back as 0 where there is none. */
static int read_target(cfg_t *cfg, cfg_opt_t *opt, const char *text)
{
	struct lease_forward *f = &reading->forward;
	const char *colon = strchr(text, ':');
	struct port_range port = {0};
	char addr[ADDR_TEXT];
	uint8_t first;

	snprintf(addr, sizeof(addr), "%.*s",
		 colon ? (int)(colon - text) : (int)sizeof(addr) - 1, text);
	if (strlen(text) > 40 || addr_parse(addr, &f->internal) ||
	    !addr_is_v4(&f->internal) ||
	    (colon && (port_range_parse(colon + 1, &port) || !port.first ||
		       port.first != port.last || !port.tcp || !port.udp)))
		return read_wrong(cfg, opt->name,
				  "\"%.60s\" is no target, allowed is \"192.168.1.10\" "
				  "or \"192.168.1.10:80\"",
				  text);
	first = f->internal.s6_addr[12];
	if (first == 0 || first == 127 || first >= 224)
		return read_wrong(cfg, opt->name,
				  "\"%.60s\" is the address of no other host, allowed is "
				  "\"192.168.1.10\" or \"192.168.1.10:80\"",
				  text);
	f->int_first = port.first;
	reading->to = true;
	return 0;
}

static int forward_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct lease_forward *f = &reading->forward;
	size_t n = f->n_from;
	int r;

	*(const char **)result = text;
	if (strcmp(opt->name, "to") == 0)
		return read_target(cfg, opt, text);
	if (strcmp(opt->name, "return-via-router") == 0)
		return read_bool(cfg, opt, text, &f->return_via_router);
	if (strcmp(opt->name, "from") == 0) {
		r = read_prefix(cfg, opt, text, false, f->from, &n, LEASE_FORWARD_FROM);
		f->n_from = (uint8_t)n;
		return r;
	}
	if (reading->n_ports == CONFIG_PORTS)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is one too many, %d ports or ranges are "
				  "allowed",
				  text, CONFIG_PORTS);
	return read_range(cfg, opt, text, &reading->ports[reading->n_ports++]);
}

/* One protocol and range more. */
static int forward_add(cfg_t *block, uint8_t protocol, const struct port_range *ports)
{
	struct config *c = reading->c;
	struct lease_forward f = reading->forward;

	f.protocol = protocol;
	f.first = ports->first;
	f.last = ports->last;
	if (!f.int_first)
		f.int_first = f.first;
	if (f.first != f.last && f.int_first != f.first)
		return read_wrong(block, "to",
				  "port %u for the range %u-%u, a range keeps its ports: "
				  "allowed is the address alone",
				  f.int_first, f.first, f.last);
	for (size_t i = 0; i < c->n_forwards; i++)
		if (forward_overlaps(&c->forward[i], &f))
			return read_wrong(
				block, "port",
				"%s/%u is also in forward \"%s\", allowed is each port "
				"once, or from networks apart from each other",
				protocol == IPPROTO_TCP ? "tcp" : "udp",
				f.first > c->forward[i].first ? f.first
							      : c->forward[i].first,
				c->forward[i].name);
	if (c->n_forwards == LEASE_FORWARDS_MAX)
		return read_wrong(block, "forward",
				  "\"%s\" is too much, %d ports or ranges are allowed in "
				  "all forwards, each counted for each protocol",
				  f.name, LEASE_FORWARDS_MAX);
	c->forward[c->n_forwards++] = f;
	return 0;
}

/* A list of networks means their union: what lies in another one is left out. */
static void from_join(struct lease_forward *f)
{
	size_t out = 0;

	for (size_t i = 0; i < f->n_from; i++) {
		bool covered = false;

		for (size_t k = 0; k < f->n_from && !covered; k++)
			covered = k != i && prefix_has(&f->from[k], &f->from[i].addr) &&
				  (f->from[k].len < f->from[i].len ||
				   (k < i && f->from[k].len == f->from[i].len));
		if (!covered)
			f->from[out++] = f->from[i];
	}
	memset(&f->from[out], 0, (f->n_from - out) * sizeof(f->from[0]));
	f->n_from = (uint8_t)out;
}

int blocks_forward_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct lease_forward *f = &reading->forward;
	int r = read_name(block, "forward", sizeof(f->name));

	(void)cfg;
	if (!r && !reading->n_ports)
		r = read_wrong(block, "port",
			       "forward \"%s\" has none, allowed is \"tcp/8080\" and the "
			       "like",
			       block->title);
	if (!r && !reading->to)
		r = read_wrong(block, "to",
			       "forward \"%s\" has none, allowed is \"192.168.1.10\" or "
			       "\"192.168.1.10:80\"",
			       block->title);
	if (!r) {
		snprintf(f->name, sizeof(f->name), "%s", block->title);
		from_join(f);
	}
	for (size_t i = 0; i < reading->n_ports && !r; i++) {
		if (reading->ports[i].tcp)
			r = forward_add(block, IPPROTO_TCP, &reading->ports[i]);
		if (!r && reading->ports[i].udp)
			r = forward_add(block, IPPROTO_UDP, &reading->ports[i]);
	}
	memset(f, 0, sizeof(*f));
	reading->n_ports = 0;
	reading->to = false;
	return r;
}

static int access_mac(cfg_t *cfg, cfg_opt_t *opt, const char *text)
{
	struct lease_access *a = &reading->access;

	if (a->n_macs == LEASE_ACCESS_MACS)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is one too many, %d addresses are allowed",
				  text, LEASE_ACCESS_MACS);
	if (mac_parse(text, a->macs[a->n_macs]))
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is no MAC address of one host, allowed is "
				  "\"a4:c0:e1:00:00:01\"",
				  text);
	a->n_macs++;
	return 0;
}

static int access_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct lease_access *a = &reading->access;

	*(const char **)result = text;
	if (strcmp(opt->name, "address") == 0)
		return read_prefix(cfg, opt, text, true, a->nets, &a->n_nets,
				   LEASE_ACCESS_NETS);
	if (strcmp(opt->name, "mac") == 0)
		return access_mac(cfg, opt, text);
	if (strcmp(opt->name, "leases") == 0) {
		a->has_leases = true;
		return read_number(cfg, opt, text, 0, 65535, &a->leases);
	}
	if (strcmp(opt->name, "open-nat") == 0) {
		bool on;

		if (read_bool(cfg, opt, text, &on))
			return -1;
		a->open_nat = on ? ACCESS_OPEN_NAT_ON : ACCESS_OPEN_NAT_OFF;
		return 0;
	}
	if (a->n_ports == LEASE_ACCESS_PORTS)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is one too many, %d ports or ranges are "
				  "allowed",
				  text, LEASE_ACCESS_PORTS);
	return read_range(cfg, opt, text, &a->ports[a->n_ports++]);
}

int blocks_access_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct config *c = reading->c;
	struct lease_access *a = &reading->access;
	int r = read_name(block, "access", sizeof(a->name));

	(void)cfg;
	if (!r && !a->n_nets && !a->n_macs)
		r = read_wrong(block, "address",
			       "access \"%s\" has none, nor a mac, allowed is "
			       "\"192.168.1.20\", \"192.168.1.0/24\" and the like",
			       block->title);
	if (!r && c->n_access == LEASE_ACCESS_MAX)
		r = read_wrong(block, "access", "\"%s\" is one too many, %d are allowed",
			       block->title, LEASE_ACCESS_MAX);
	if (!r) {
		snprintf(a->name, sizeof(a->name), "%s", block->title);
		c->access[c->n_access++] = *a;
	}
	memset(a, 0, sizeof(*a));
	return r;
}

/* What the block means where it says nothing. */
static struct config_router *router_of(void)
{
	struct config_router *r = &reading->c->router;

	if (!r->on)
		*r = (struct config_router){.on = true,
					    .masquerade = true,
					    .filter = true,
					    .clamp_mss = true,
					    .antispoof = true,
					    .log = true};
	return r;
}

static int router_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct config_router *r = router_of();
	const struct {
		const char *name;
		bool *value;
	} bools[] = {
		{"masquerade", &r->masquerade},
		{"filter", &r->filter},
		{"clamp-mss", &r->clamp_mss},
		{"antispoof", &r->antispoof},
		{"log", &r->log},
	};
	struct port_range ports;

	*(const char **)result = text;
	for (size_t i = 0; i < sizeof(bools) / sizeof(bools[0]); i++)
		if (strcmp(opt->name, bools[i].name) == 0)
			return read_bool(cfg, opt, text, bools[i].value);
	if (strcmp(text, "icmp") == 0) {
		r->allow_icmp = true;
		return 0;
	}
	if (port_range_parse(text, &ports) || !ports.first)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is neither port nor icmp, allowed is "
				  "\"tcp/22\", \"udp/6000-6010\", \"icmp\" and the like",
				  text);
	if (ports.tcp)
		portset_add(&r->tcp, ports.first, ports.last);
	if (ports.udp)
		portset_add(&r->udp, ports.first, ports.last);
	return 0;
}

int blocks_router_end(cfg_t *cfg, cfg_opt_t *opt)
{
	(void)opt;
	router_of();
	if (!reading->router_line)
		reading->router_line = cfg->line;
	return 0;
}

cfg_opt_t blocks_forward_keys[] = {
	KEYS("port", forward_key),
	KEY("to", forward_key),
	KEYS("from", forward_key),
	KEY("return-via-router", forward_key),
	CFG_END(),
};

cfg_opt_t blocks_access_keys[] = {
	KEYS("address", access_key), KEYS("mac", access_key),
	KEYS("ports", access_key),   KEY("leases", access_key),
	KEY("open-nat", access_key), CFG_END(),
};

cfg_opt_t blocks_router_keys[] = {
	KEY("masquerade", router_key),
	KEY("filter", router_key),
	KEY("clamp-mss", router_key),
	KEY("antispoof", router_key),
	KEY("log", router_key),
	KEYS("wan-allow", router_key),
	CFG_END(),
};
