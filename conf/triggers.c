/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What opens ports without being asked: the blocks open-nat and trigger, and the names of
 * profiles. A trigger's values gather in `reading` and become part of the configuration at
 * its end.
 */
#include <string.h>

#include "conf/read.h"

#define OPEN_NAT_SECONDS 86400 /* the longest window or idle time */
#define OPEN_NAT_REMOTES 16
#define TRIGGER_IDLE_S (15 * 60)

void triggers_defaults(struct config *c)
{
	c->open_nat = (struct config_open_nat){
		.udp_remotes = 2,
		.tcp_remotes = 4,
		.window_s = 60,
		.idle_s = 120,
		.per_host = 16,
		.n_instant = 4,
		.instant =
			{
				{.udp = true, .first = 10025, .last = 10025},
				{.udp = true, .first = 10125, .last = 10125},
				{.udp = true, .first = 3544, .last = 3544},
				{.udp = true, .first = 3478, .last = 3479},
			},
		.n_quiet = 4,
		.quiet =
			{
				{.tcp = true, .udp = true, .first = 53, .last = 53},
				{.tcp = true, .udp = true, .first = 123, .last = 123},
				{.tcp = true, .udp = true, .first = 443, .last = 443},
				{.tcp = true, .udp = true, .first = 853, .last = 853},
			},
	};
}

/* One port or range more of a list of `max`. */
static int read_one_more(cfg_t *cfg, cfg_opt_t *opt, const char *text,
			 struct port_range *list, size_t *n, size_t max)
{
	if (*n == max)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is one too many, %zu ports or ranges are "
				  "allowed",
				  text, max);
	return read_range(cfg, opt, text, &list[(*n)++]);
}

static int open_nat_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct config_open_nat *o = &reading->c->open_nat;

	*(const char **)result = text;
	if (strcmp(opt->name, "udp-remotes") == 0)
		return read_number(cfg, opt, text, 1, OPEN_NAT_REMOTES, &o->udp_remotes);
	if (strcmp(opt->name, "tcp-remotes") == 0)
		return read_number(cfg, opt, text, 1, OPEN_NAT_REMOTES, &o->tcp_remotes);
	if (strcmp(opt->name, "window") == 0)
		return read_seconds(cfg, opt, text, OPEN_NAT_SECONDS, &o->window_s);
	if (strcmp(opt->name, "idle") == 0)
		return read_seconds(cfg, opt, text, OPEN_NAT_SECONDS, &o->idle_s);
	if (strcmp(opt->name, "per-host") == 0)
		return read_number(cfg, opt, text, 0, 65535, &o->per_host);
	/* The first of a list: what was there goes. */
	if (strcmp(opt->name, "instant") == 0) {
		if (cfg_opt_size(opt) <= 1)
			o->n_instant = 0;
		return read_one_more(cfg, opt, text, o->instant, &o->n_instant,
				     CONFIG_PORTS);
	}
	if (cfg_opt_size(opt) <= 1)
		o->n_quiet = 0;
	return read_one_more(cfg, opt, text, o->quiet, &o->n_quiet, CONFIG_PORTS);
}

/* Was the list written without anything in it? */
static bool emptied(cfg_t *block, const char *key)
{
	const cfg_opt_t *opt = cfg_getopt(block, key);

	return opt && opt->flags & CFGF_MODIFIED && !opt->nvalues;
}

int triggers_open_nat_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct config_open_nat *o = &reading->c->open_nat;

	if (emptied(block, "instant"))
		o->n_instant = 0;
	if (emptied(block, "quiet"))
		o->n_quiet = 0;
	/* What is left over of the defaults says nothing. */
	memset(&o->instant[o->n_instant], 0,
	       (CONFIG_INSTANT - o->n_instant) * sizeof(o->instant[0]));
	memset(&o->quiet[o->n_quiet], 0,
	       (CONFIG_PORTS - o->n_quiet) * sizeof(o->quiet[0]));
	reading->open_nat_line = cfg->line;
	return 0;
}

static int trigger_lan(cfg_t *cfg, cfg_opt_t *opt, const char *text)
{
	struct lease_trigger *t = &reading->trigger;

	if (!read_interface_ok(text))
		return read_wrong(
			cfg, opt->name,
			"\"%.40s\" is no interface name, 1 to %d letters are allowed",
			text, IFNAMSIZ - 1);
	if (t->n_lans == LEASE_TRIGGER_LANS)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is one too many, %d LANs are allowed", text,
				  LEASE_TRIGGER_LANS);
	snprintf(t->lan[t->n_lans++], IFNAMSIZ, "%s", text);
	return 0;
}

static int trigger_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct lease_trigger *t = &reading->trigger;

	*(const char **)result = text;
	if (strcmp(opt->name, "when") == 0)
		return read_one_more(cfg, opt, text, t->when, &t->n_when,
				     LEASE_TRIGGER_RANGES);
	if (strcmp(opt->name, "open") == 0)
		return read_one_more(cfg, opt, text, t->open, &t->n_open,
				     LEASE_TRIGGER_RANGES);
	if (strcmp(opt->name, "idle") == 0)
		return read_seconds(cfg, opt, text, 86400, &t->idle_s);
	if (strcmp(opt->name, "share") == 0)
		return read_bool(cfg, opt, text, &t->share);
	if (strcmp(opt->name, "lan") == 0)
		return trigger_lan(cfg, opt, text);
	return read_prefix(cfg, opt, text, false, t->host, &t->n_hosts,
			   LEASE_TRIGGER_HOSTS);
}

/* How many ports those are, each counted for each protocol. */
static uint32_t count_ports(const struct port_range *list, size_t n)
{
	uint32_t ports = 0;

	for (size_t i = 0; i < n; i++)
		ports += ((uint32_t)(list[i].last - list[i].first) + 1) *
			 ((uint32_t)list[i].tcp + list[i].udp);
	return ports;
}

static int check_ports(cfg_t *block, const char *key, const struct port_range *list,
		       size_t n, uint32_t max)
{
	uint32_t ports = count_ports(list, n);

	if (ports <= max)
		return 0;
	return read_wrong(block, key,
			  "%u ports are too many, %u are allowed, each counted for each "
			  "protocol",
			  ports, max);
}

static int trigger_check(cfg_t *block)
{
	struct lease_trigger *t = &reading->trigger;
	struct config *c = reading->c;

	if (read_name(block, "trigger", sizeof(t->name)))
		return -1;
	if (!t->n_when || !t->n_open)
		return read_wrong(block, t->n_when ? "open" : "when",
				  "trigger \"%s\" has none, allowed is \"tcp/6112\" and "
				  "the like",
				  block->title);
	if (check_ports(block, "when", t->when, t->n_when, LEASE_TRIGGER_WHEN) ||
	    check_ports(block, "open", t->open, t->n_open, LEASE_TRIGGER_PORTS))
		return -1;
	if (c->n_triggers == LEASE_TRIGGERS_MAX)
		return read_wrong(block, "trigger",
				  "\"%s\" is one too many, %d are allowed", block->title,
				  LEASE_TRIGGERS_MAX);
	return 0;
}

int triggers_trigger_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct lease_trigger *t = &reading->trigger;
	int r = trigger_check(block);

	(void)cfg;
	if (!r) {
		snprintf(t->name, sizeof(t->name), "%s", block->title);
		if (!t->idle_s)
			t->idle_s = TRIGGER_IDLE_S;
		reading->c->trigger[reading->c->n_triggers++] = *t;
	}
	memset(t, 0, sizeof(*t));
	return r;
}

int triggers_instant(cfg_t *cfg, cfg_opt_t *opt, const char *text)
{
	struct config_open_nat *o = &reading->c->open_nat;
	struct port_range r;

	if (read_range(cfg, opt, text, &r))
		return -1;
	for (size_t i = 0; i < o->n_instant; i++)
		if (o->instant[i].first == r.first && o->instant[i].last == r.last &&
		    o->instant[i].tcp >= r.tcp && o->instant[i].udp >= r.udp)
			return 0;
	return read_one_more(cfg, opt, text, o->instant, &o->n_instant, CONFIG_INSTANT);
}

int triggers_profile(cfg_t *cfg, cfg_opt_t *opt, const char *text)
{
	struct config *c = reading->c;
	size_t n = strlen(text);

	if (!n || n >= CONFIG_PROFILE_NAME || text[0] == '-' ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is no profile's name, 1 to %d of a-z, 0-9 "
				  "and - are allowed",
				  text, CONFIG_PROFILE_NAME - 1);
	for (size_t i = 0; i < c->n_profiles; i++)
		if (strcmp(c->profile[i], text) == 0)
			return 0;
	if (c->n_profiles == CONFIG_PROFILES)
		return read_wrong(cfg, opt->name,
				  "\"%s\" is one too many, %d profiles are allowed", text,
				  CONFIG_PROFILES);
	snprintf(c->profile[c->n_profiles++], CONFIG_PROFILE_NAME, "%s", text);
	return 0;
}

cfg_opt_t triggers_open_nat_keys[] = {
	KEY("udp-remotes", open_nat_key), KEY("tcp-remotes", open_nat_key),
	KEY("window", open_nat_key),      KEY("idle", open_nat_key),
	KEY("per-host", open_nat_key),    KEYS("instant", open_nat_key),
	KEYS("quiet", open_nat_key),      CFG_END(),
};

cfg_opt_t triggers_trigger_keys[] = {
	KEYS("when", trigger_key),
	KEYS("open", trigger_key),
	KEY("idle", trigger_key),
	KEY("share", trigger_key),
	KEYS("lan", trigger_key),
	KEYS("hosts", trigger_key),
	CFG_END(),
};
