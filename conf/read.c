/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/read.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"

_Thread_local struct reader *reading;

int read_wrong(cfg_t *cfg, const char *key, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	if (*reading->err)
		return -1;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(reading->err, CONFIG_ERROR, "%s:%d: %s%s%s", reading->name, cfg->line,
		 key ? key : "", key ? ": " : "", what);
	for (char *p = reading->err; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	return -1;
}

/* The kinds of value. Each says what is wrong with a text that it does not read. */

int read_number(cfg_t *cfg, cfg_opt_t *opt, const char *text, uint32_t min, uint32_t max,
		uint32_t *out)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long v = digits > 0 && digits < 11 ? strtoul(text, NULL, 10) : ULONG_MAX;

	if (!digits || text[digits])
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is not a number, allowed is %u to %u", text,
				  min, max);
	if (v < min || v > max)
		return read_wrong(cfg, opt->name,
				  "%.40s is out of range, allowed is %u to %u", text, min,
				  max);
	*out = (uint32_t)v;
	return 0;
}

int read_bool(cfg_t *cfg, cfg_opt_t *opt, const char *text, bool *out)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return read_wrong(cfg, opt->name,
				  "\"%.40s\" is neither, allowed is true or false", text);
	*out = text[0] == 't';
	return 0;
}

int read_seconds(cfg_t *cfg, cfg_opt_t *opt, const char *text, uint32_t max_s,
		 uint32_t *out)
{
	uint64_t ms;

	if (duration_parse(text, &ms))
		return read_wrong(
			cfg, opt->name,
			"\"%.40s\" is not a duration, allowed is \"120s\", \"2m\", \"24h\" "
			"and the like",
			text);
	if (ms % 1000 || ms < 1000 || ms / 1000 > max_s)
		return read_wrong(
			cfg, opt->name,
			"%.40s is out of range, allowed are whole seconds, 1s to %ud",
			text, max_s / 86400);
	*out = (uint32_t)(ms / 1000);
	return 0;
}

int read_range(cfg_t *cfg, cfg_opt_t *opt, const char *text, struct port_range *out)
{
	if (port_range_parse(text, out) || !out->first)
		return read_wrong(
			cfg, opt->name,
			"\"%.40s\" is not a port, allowed is 5555, 8000-8100, udp/3074 or "
			"5555/tcp",
			text);
	return 0;
}

int read_ports(cfg_t *cfg, cfg_opt_t *opt, const char *text, struct portset *tcp,
	       struct portset *udp)
{
	struct port_range r;

	if (port_range_parse(text, &r))
		return read_wrong(
			cfg, opt->name,
			"\"%.40s\" is not a port, allowed is 5555, 8000-8100, udp/3074 or "
			"5555/tcp",
			text);
	if (r.tcp)
		portset_add(tcp, r.first, r.last);
	if (r.udp)
		portset_add(udp, r.first, r.last);
	return 0;
}

int read_name(cfg_t *block, const char *key, size_t size)
{
	const char *name = block->title;
	bool good = *name && strlen(name) < size;

	for (const char *p = name; *p; p++)
		good = good && isprint((unsigned char)*p) && *p != '"' && *p != '\\';
	if (good)
		return 0;
	return read_wrong(block, key,
			  "\"%.40s\" is no name, 1 to %zu letters without quotes are "
			  "allowed",
			  name, size - 1);
}

bool read_interface_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || !isgraph((unsigned char)*name))
			return false;
	return true;
}

int read_network(cfg_t *cfg, cfg_opt_t *opt, const char *text, struct prefix *list,
		 size_t *n)
{
	struct prefix p;

	if (prefix_parse(text, &p) || !addr_is_v4(&p.addr))
		return read_wrong(
			cfg, opt->name,
			"\"%.60s\" is not an IPv4 network, allowed is \"10.20.0.0/16\" and "
			"the like",
			text);
	/* Who writes 0.0.0.0/0 would call the internet a LAN. */
	if (p.len < 96 + 8)
		return read_wrong(cfg, opt->name,
				  "\"%.60s\" is too wide, /8 to /32 is allowed", text);
	if (*n == CONFIG_ALSO)
		return read_wrong(cfg, opt->name,
				  "\"%.60s\" is one too many, %d networks are allowed",
				  text, CONFIG_ALSO);
	list[(*n)++] = p;
	return 0;
}

int read_prefix(cfg_t *cfg, cfg_opt_t *opt, const char *text, bool v6,
		struct prefix *list, size_t *n, size_t max)
{
	struct prefix p;

	if (prefix_parse(text, &p) || (!v6 && !addr_is_v4(&p.addr)))
		return read_wrong(cfg, opt->name,
				  "\"%.60s\" is not an %s network, allowed is "
				  "\"10.20.0.0/16\" and the like",
				  text, v6 ? "IP" : "IPv4");
	if (*n == max)
		return read_wrong(cfg, opt->name,
				  "\"%.60s\" is one too many, %zu networks are allowed",
				  text, max);
	prefix_trim(&p);
	list[(*n)++] = p;
	return 0;
}
