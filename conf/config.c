/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scoped.h"
#include "conf/profiles.h"
#include "conf/read.h"
#include "conf/reserved.h"

SCOPED_DEFINE(cfg_free, cfg_t)
SCOPED_DEFINE(fclose, FILE)

static void free_text(char *text)
{
	free(text);
}
SCOPED_DEFINE(free_text, char)

#define CONFIG_MAX 1048576
#define GONE_AFTER_MIN_S 10 /* the kernel asks a host for three seconds */

/* The keys that may stand in a block, as "a, b, c". */
static const char *keys_text(const cfg_t *cfg, char *buf, size_t size)
{
	size_t n = 0;

	snprintf(buf, size, "none");
	for (const cfg_opt_t *o = cfg->opts; o->name && n < size; o++)
		if (strcmp(o->name, READ_END_KEY) != 0)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "",
					      o->name);
	return buf;
}

/* libconfuse's own errors: syntax and unknown keys. */
static void syntax_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	char text[200], keys[300];
	const char *key = strncmp(fmt, "no such option", 14) == 0 ? va_arg(ap, char *)
								  : NULL;

	if (key && strcmp(key, READ_END_KEY) == 0) {
		cfg->line--;
		read_wrong(cfg, NULL,
			   "syntax: the file ends inside a block, a } is missing");
		return;
	}
	if (key) {
		read_wrong(cfg, key, "no such key, allowed here: %s",
			   keys_text(cfg, keys, sizeof(keys)));
		return;
	}
	vsnprintf(text, sizeof(text), fmt, ap);
	read_wrong(cfg, NULL, "syntax: %s", text);
}

/* The LAN of this block, made at its first key or at its end. NULL: an error is noted. */
static struct config_lan *lan_of(cfg_t *block)
{
	struct config *c = reading->c;
	struct config_lan *lan;

	for (size_t i = 0; i < c->n_lans; i++)
		if (strcmp(c->lan[i].name, block->title) == 0)
			return &c->lan[i];
	if (!read_interface_ok(block->title)) {
		read_wrong(block, "lan",
			   "\"%.40s\" is no interface name, 1 to %d letters are allowed",
			   block->title, IFNAMSIZ - 1);
		return NULL;
	}
	if (c->n_lans == CONFIG_LANS) {
		read_wrong(block, "lan", "\"%.40s\" is one too many, %d LANs are allowed",
			   block->title, CONFIG_LANS);
		return NULL;
	}
	lan = &c->lan[c->n_lans++];
	*lan = (struct config_lan){.trusted = true, .upnp = true, .pcp = true};
	snprintf(lan->name, sizeof(lan->name), "%s", block->title);
	return lan;
}

/* The keys. Each callback gives *result the text to keep, as libconfuse wants it. */

static int lan_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct config_lan *lan = lan_of(cfg);
	uint32_t port;
	int r;

	*(const char **)result = text;
	if (!lan)
		return -1;
	if (strcmp(opt->name, "upnp") == 0)
		return read_bool(cfg, opt, text, &lan->upnp);
	if (strcmp(opt->name, "pcp") == 0)
		return read_bool(cfg, opt, text, &lan->pcp);
	if (strcmp(opt->name, "trusted") == 0)
		return read_bool(cfg, opt, text, &lan->trusted);
	if (strcmp(opt->name, "nat-pmp") == 0) {
		reading->nat_pmp[lan - reading->c->lan] = true;
		return read_bool(cfg, opt, text, &lan->nat_pmp);
	}
	if (strcmp(opt->name, "open-nat") == 0) {
		reading->open_nat[lan - reading->c->lan] = true;
		return read_bool(cfg, opt, text, &lan->open_nat);
	}
	if (strcmp(opt->name, "also") == 0)
		return read_network(cfg, opt, text, lan->also, &lan->n_also);
	if (strcmp(opt->name, "third-party") == 0)
		return read_network(cfg, opt, text, lan->third, &lan->n_third);
	r = read_number(cfg, opt, text, 1024, 65535, &port);
	if (!r)
		lan->http_port = (uint16_t)port;
	return r;
}

static int limits_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct config *c = reading->c;

	*(const char **)result = text;
	if (strcmp(opt->name, "leases") == 0)
		return read_number(cfg, opt, text, 1, 131072, &c->leases);
	if (strcmp(opt->name, "per-host") == 0)
		return read_number(cfg, opt, text, 1, 65535, &c->per_host);
	return read_number(cfg, opt, text, 1, 1000000, &c->requests_per_second);
}

static int history_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct config *c = reading->c;

	*(const char **)result = text;
	if (strcmp(opt->name, "days") == 0)
		return read_number(cfg, opt, text, 1, 3650, &c->history_days);
	return read_number(cfg, opt, text, 1, 1000000, &c->history_rows);
}

/* A list that is read besides; it may be none. */
static int read_path(cfg_t *cfg, cfg_opt_t *opt, const char *text)
{
	struct config *c = reading->c;

	if ((*text && *text != '/') || strlen(text) >= CONFIG_PATH)
		return read_wrong(
			cfg, opt->name,
			"\"%.60s\" is not a whole path, allowed is \"/path\" of up to %d "
			"letters, or \"\" for no list",
			text, CONFIG_PATH - 1);
	if (strcmp(opt->name, "profiles-dir") == 0)
		snprintf(c->profiles_dir, sizeof(c->profiles_dir), "%s", text);
	else
		snprintf(c->reserved_file, sizeof(c->reserved_file), "%s", text);
	return 0;
}

int read_end_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	*(const char **)result = text;
	if (reading->ended)
		return read_wrong(cfg, opt->name, "no such key");
	reading->ended = true;
	return 0;
}

static int top_key(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct config *c = reading->c;

	*(const char **)result = text;
	if (strcmp(opt->name, "min-lifetime") == 0) {
		reading->lifetime_line = cfg->line;
		return read_seconds(cfg, opt, text, 86400, &c->min_lifetime_s);
	}
	if (strcmp(opt->name, "max-lifetime") == 0) {
		reading->lifetime_line = cfg->line;
		return read_seconds(cfg, opt, text, 7 * 86400, &c->max_lifetime_s);
	}
	if (strcmp(opt->name, "gone-after") == 0) {
		if (read_seconds(cfg, opt, text, 7 * 86400, &c->gone_after_s))
			return -1;
		return c->gone_after_s >= GONE_AFTER_MIN_S
			       ? 0
			       : read_wrong(cfg, opt->name,
					    "%us is out of range, allowed are whole "
					    "seconds, 10s to 7d",
					    c->gone_after_s);
	}
	if (strcmp(opt->name, "pcp-nonce") == 0) {
		c->pcp_nonce_same_source = strcmp(text, "same-source") == 0;
		if (c->pcp_nonce_same_source || strcmp(text, "strict") == 0)
			return 0;
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is neither, allowed is \"strict\" or "
				  "\"same-source\"",
				  text);
	}
	if (strcmp(opt->name, "cut-expired") == 0)
		return read_bool(cfg, opt, text, &c->cut_expired);
	if (strcmp(opt->name, "own-masquerade") == 0)
		return read_bool(cfg, opt, text, &c->own_masquerade);
	if (strcmp(opt->name, "profiles") == 0)
		return triggers_profile(cfg, opt, text);
	if (strcmp(opt->name, "reserved") == 0)
		return read_ports(cfg, opt, text, &reading->more_tcp, &reading->more_udp);
	if (strcmp(opt->name, "allow-reserved") == 0)
		return read_ports(cfg, opt, text, &reading->less_tcp, &reading->less_udp);
	return read_path(cfg, opt, text);
}
/* At the end of each block; block is the one that has just ended. */

static int wan_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	struct config *c = reading->c;

	(void)cfg;
	if (!read_interface_ok(block->title))
		return read_wrong(
			block, "wan",
			"\"%.40s\" is no interface name, 1 to %d letters are allowed",
			block->title, IFNAMSIZ - 1);
	if (*c->wan)
		return read_wrong(block, "wan", "\"%s\" is a second one, one is allowed",
				  block->title);
	snprintf(c->wan, sizeof(c->wan), "%s", block->title);
	return 0;
}

static int lan_end(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *block = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);

	struct config_lan *lan = lan_of(block);

	(void)cfg;
	if (!lan)
		return -1;
	if (!reading->nat_pmp[lan - reading->c->lan])
		lan->nat_pmp = lan->pcp;
	if (!reading->open_nat[lan - reading->c->lan])
		lan->open_nat = lan->trusted;
	return 0;
}

static cfg_opt_t wan_keys[] = {CFG_END()};
static cfg_opt_t lan_keys[] = {
	KEY("trusted", lan_key),      KEY("upnp", lan_key),      KEY("pcp", lan_key),
	KEY("nat-pmp", lan_key),      KEY("open-nat", lan_key),  KEYS("also", lan_key),
	KEYS("third-party", lan_key), KEY("http-port", lan_key), CFG_END(),
};
static cfg_opt_t limits_keys[] = {
	KEY("leases", limits_key),
	KEY("per-host", limits_key),
	KEY("requests-per-second", limits_key),
	CFG_END(),
};
static cfg_opt_t history_keys[] = {
	KEY("days", history_key),
	KEY("rows", history_key),
	CFG_END(),
};
static cfg_opt_t top_keys[] = {
	CFG_SEC("wan", wan_keys, CFGF_TITLE | CFGF_MULTI),
	CFG_SEC("lan", lan_keys, CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
	CFG_SEC("limits", limits_keys, CFGF_NONE),
	CFG_SEC("history", history_keys, CFGF_NONE),
	CFG_SEC("access", blocks_access_keys,
		CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
	CFG_SEC("forward", blocks_forward_keys,
		CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
	CFG_SEC("router", blocks_router_keys, CFGF_NONE),
	CFG_SEC("open-nat", triggers_open_nat_keys, CFGF_NONE),
	CFG_SEC("trigger", triggers_trigger_keys,
		CFGF_TITLE | CFGF_MULTI | CFGF_NO_TITLE_DUPES),
	KEYS("profiles", top_key),
	KEY("min-lifetime", top_key),
	KEY("max-lifetime", top_key),
	KEY("gone-after", top_key),
	KEY("pcp-nonce", top_key),
	KEY("cut-expired", top_key),
	KEY("own-masquerade", top_key),
	KEYS("reserved", top_key),
	KEYS("allow-reserved", top_key),
	KEY("reserved-file", top_key),
	KEY("profiles-dir", top_key),
	KEY(READ_END_KEY, read_end_key),
	CFG_END(),
};

void config_defaults(struct config *c)
{
	*c = (struct config){
		.leases = 131072,
		.per_host = 64,
		.requests_per_second = 200,
		.min_lifetime_s = 120,
		.max_lifetime_s = 86400,
		.gone_after_s = 1800,
		.history_days = 30,
		.history_rows = 20000,
		.own_masquerade = true,
		.cut_expired = true,
		.reserved_file = CONFIG_RESERVED_FILE,
		.profiles_dir = CONFIG_PROFILES_DIR,
	};
	triggers_defaults(c);
}

/* The lan before the i-th with the HTTP port of that, or NULL. */
static const struct config_lan *same_http_port(const struct config *c, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (c->lan[i].http_port && c->lan[i].http_port == c->lan[j].http_port)
			return &c->lan[j];
	return NULL;
}

/* What needs the whole file. */
static int check_whole(cfg_t *cfg, const struct config *c)
{
	for (size_t i = 0; i < c->n_lans; i++) {
		cfg_t *block = cfg_getnsec(cfg, "lan", (unsigned int)i);
		const struct config_lan *same = same_http_port(c, i);

		if (same)
			return read_wrong(
				block, "http-port",
				"%u is also that of lan \"%s\", allowed is another one "
				"for each LAN",
				same->http_port, same->name);
		if (strcmp(c->lan[i].name, c->wan) == 0)
			return read_wrong(
				block, "lan",
				"\"%s\" is also the wan, allowed is another interface",
				c->wan);
	}
	if (reading->router_line && !*c->wan) {
		cfg->line = reading->router_line;
		return read_wrong(cfg, "router",
				  "no wan is named, allowed is a router block beside "
				  "wan \"interface\" {}");
	}
	if (c->min_lifetime_s > c->max_lifetime_s) {
		cfg->line = reading->lifetime_line;
		return read_wrong(cfg, "min-lifetime",
				  "%us is more than max-lifetime, allowed is 1s to %us",
				  c->min_lifetime_s, c->max_lifetime_s);
	}
	if (c->open_nat.window_s > c->open_nat.idle_s) {
		cfg->line = reading->open_nat_line;
		return read_wrong(cfg, "window",
				  "%us is more than idle, allowed is 1s to %us",
				  c->open_nat.window_s, c->open_nat.idle_s);
	}
	return 0;
}

/* The whole file and READ_END_KEY, or NULL: err says why. libconfuse is not given the file, as
 * its scanner ends the process when reading fails. */
static char *read_text(FILE *f, const char *name, char *err)
{
	static const char end[] = READ_END_KEY " = \"\"\n";
	char *text = malloc(CONFIG_MAX + sizeof(end) + 1);
	size_t n = text ? fread(text, 1, CONFIG_MAX, f) : 0;
	int line = 1;

	if (!text || ferror(f)) {
		snprintf(err, CONFIG_ERROR, "%s: %s", name,
			 strerror(text ? errno : ENOMEM));
	} else if (n == CONFIG_MAX) {
		snprintf(err, CONFIG_ERROR,
			 "%s: the file is too large, %d bytes are allowed", name,
			 CONFIG_MAX - 1);
	} else if (memchr(text, '\0', n)) {
		for (const char *p = text; *p; p++)
			line += *p == '\n';
		snprintf(err, CONFIG_ERROR, "%s:%d: a NUL byte, only text is allowed",
			 name, line);
	} else {
		if (n && text[n - 1] != '\n')
			text[n++] = '\n';
		memcpy(text + n, end, sizeof(end));
		return text;
	}
	free(text);
	return NULL;
}

static void top_ends(cfg_t *cfg)
{
	cfg_set_validate_func(cfg, "wan", wan_end);
	cfg_set_validate_func(cfg, "lan", lan_end);
	cfg_set_validate_func(cfg, "access", blocks_access_end);
	cfg_set_validate_func(cfg, "forward", blocks_forward_end);
	cfg_set_validate_func(cfg, "router", blocks_router_end);
	cfg_set_validate_func(cfg, "open-nat", triggers_open_nat_end);
	cfg_set_validate_func(cfg, "trigger", triggers_trigger_end);
}

int read_keys(struct reader *r, FILE *f, cfg_opt_t *keys, void (*ends)(cfg_t *cfg),
	      int (*check)(cfg_t *cfg, const struct config *c))
{
	char *text SCOPED(free_text) = read_text(f, r->name, r->err);
	cfg_t *cfg SCOPED(cfg_free) = text ? cfg_init(keys, CFGF_NONE) : NULL;

	if (!text)
		return -EINVAL;
	if (!cfg) {
		snprintf(r->err, CONFIG_ERROR, "%s: %s", r->name, strerror(ENOMEM));
		return -ENOMEM;
	}
	cfg_set_error_function(cfg, syntax_error);
	ends(cfg);
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS) {
		read_wrong(cfg, NULL, "syntax: this cannot be read");
		return -EINVAL;
	}
	if (!r->ended) {
		cfg->line = cfg->line > 2 ? cfg->line - 2
					  : 1; /* READ_END_KEY's own, and one more */
		read_wrong(cfg, NULL,
			   "syntax: the file ends inside a comment, a */ is missing");
		return -EINVAL;
	}
	return check && check(cfg, r->c) ? -EINVAL : 0;
}

static void join(struct portset *set, const struct portset *more,
		 const struct portset *less)
{
	for (size_t i = 0; i < sizeof(set->word) / sizeof(set->word[0]); i++)
		set->word[i] = (set->word[i] | more->word[i]) & ~less->word[i];
}

static int read_reserved(struct config *c, char err[CONFIG_ERROR])
{
	FILE *f SCOPED(fclose) = *c->reserved_file ? fopen(c->reserved_file, "re") : NULL;

	if (!*c->reserved_file)
		return 0;
	if (!f) {
		int e = errno;

		snprintf(err, CONFIG_ERROR,
			 "reserved-file: %s: %s; install it, or name another list in the "
			 "configuration",
			 c->reserved_file, strerror(e));
		return -e;
	}
	return reserved_read(f, c->reserved_file, &c->reserved_tcp, &c->reserved_udp, err,
			     CONFIG_ERROR);
}

/* f: NULL stands for an empty file. */
static int read_all(struct config *c, FILE *f, const char *name, bool lists,
		    char err[CONFIG_ERROR])
{
	struct reader r = {.c = c, .name = name, .err = err};
	int e = 0;

	config_defaults(c);
	err[0] = '\0';
	reading = &r;
	if (f)
		e = read_keys(&r, f, top_keys, top_ends, check_whole);
	if (!e && lists)
		e = read_reserved(c, err);
	for (size_t i = 0; !e && lists && i < c->n_profiles; i++)
		e = profile_read(c, c->profile[i], err);
	reading = NULL;
	if (e) {
		config_defaults(c);
		return e;
	}
	join(&c->reserved_tcp, &r.more_tcp, &r.less_tcp);
	join(&c->reserved_udp, &r.more_udp, &r.less_udp);
	return 0;
}

int config_read(struct config *c, FILE *f, const char *name, char err[CONFIG_ERROR])
{
	return read_all(c, f, name, false, err);
}

int config_load(struct config *c, const char *path, bool optional, char err[CONFIG_ERROR])
{
	FILE *f SCOPED(fclose) = fopen(path, "re");

	if (!f && !(optional && errno == ENOENT)) {
		int e = errno;

		config_defaults(c);
		snprintf(err, CONFIG_ERROR, "%s: %s", path, strerror(e));
		return -e;
	}
	return read_all(c, f, path, true, err);
}
