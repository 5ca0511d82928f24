/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/import.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "cli/import_inside.h"
#include "cli/table.h"

#define LINE 1024
#define WORDS 8

void import_fail(struct import *i, const char *fmt, ...)
{
	va_list ap;

	if (i->failed)
		return;
	i->failed = true;
	va_start(ap, fmt);
	vsnprintf(i->err, IMPORT_ERROR, fmt, ap);
	va_end(ap);
}

void import_note(struct import *i, const char *fmt, ...)
{
	char raw[LINE], text[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	fprintf(i->notes, "# line %u: %s\n", i->line, text_safe(raw, text, sizeof(text)));
}

/* Cuts a line into words, in place; words in quotes may have blanks, # begins a comment. */
static size_t split(char *line, char *word[WORDS])
{
	size_t n = 0;

	while (n < WORDS) {
		char *end;

		line += strspn(line, " \t\r");
		if (!*line || *line == '#')
			break;
		if (*line == '\'' || *line == '"') {
			end = strchr(line + 1, *line);
			word[n++] = ++line;
		} else {
			end = line + strcspn(line, " \t\r#");
			word[n++] = line;
			if (*end == '#')
				*end = '\0';
		}
		if (!end || !*end)
			break;
		*end = '\0';
		line = end + 1;
	}
	return n;
}

/* ---- A table: "ports address [port]" ---- */

static bool is_free(const struct import *i, const struct port_range *r)
{
	for (unsigned int p = r->first; p <= r->last; p++)
		if ((r->tcp && portset_has(&i->tcp, (uint16_t)p)) ||
		    (r->udp && portset_has(&i->udp, (uint16_t)p)))
			return false;
	return true;
}

static void table_forward(struct import *i, const struct port_range *ext,
			  const struct in6_addr *to, uint16_t port)
{
	char addr[ADDR_TEXT], ports[32], inside[8] = "";

	snprintf(ports, sizeof(ports), ext->first == ext->last ? "%s%u" : "%s%u-%u",
		 ext->tcp && ext->udp ? ""
		 : ext->tcp           ? "tcp/"
				      : "udp/",
		 ext->first, ext->last);
	if (port)
		snprintf(inside, sizeof(inside), ":%u", port);
	fprintf(i->blocks, "forward \"line %u\" { port = \"%s\"  to = \"%s%s\" }\n",
		i->line, ports, addr_text(to, addr), inside);
	if (ext->tcp)
		portset_add(&i->tcp, ext->first, ext->last);
	if (ext->udp)
		portset_add(&i->udp, ext->first, ext->last);
	i->n_forwards += (size_t)ext->tcp + ext->udp;
	if (i->n_forwards > IMPORT_FORWARDS)
		import_fail(i,
			    "more than %d ports and ranges, each counted for each "
			    "protocol, are not allowed",
			    IMPORT_FORWARDS);
}

static void table_line(struct import *i, char *line)
{
	struct port_range ext, inside = {0};
	struct in6_addr to;
	char *word[WORDS];
	size_t n = split(line, word);
	bool range;

	if (!n)
		return;
	if (n < 2 || n > 3 || port_range_parse(word[0], &ext) || !ext.first) {
		import_fail(i, "this is neither \"port address [port]\" nor a comment");
		return;
	}
	range = ext.first != ext.last;
	if (addr_parse(word[1], &to) || !addr_is_v4(&to) || !to.s6_addr[12] ||
	    to.s6_addr[12] == 127 || to.s6_addr[12] >= 224)
		import_fail(i, "\"%.40s\" is no IPv4 address of a host", word[1]);
	else if (n == 3 && (port_range_parse(word[2], &inside) || !inside.first))
		import_fail(i, "\"%.40s\" is no port", word[2]);
	else if (n == 3 && range && inside.first != ext.first)
		import_fail(i, "a range keeps its ports: leave \"%.40s\" out", word[2]);
	else if (n == 3 && inside.last != inside.first && inside.last != ext.last)
		import_fail(i, "\"%.40s\" is not as long as the range before it",
			    word[2]);
	else if (!is_free(i, &ext))
		import_fail(i, "a port of \"%.40s\" is in a line above already", word[0]);
	else
		table_forward(i, &ext, &to, range ? 0 : inside.first);
}

/* ---- miniupnpd.conf, and its UCI file ---- */

static void upnpd_line(struct import *i, char *line)
{
	char *word[WORDS], *value = strchr(line, '=');
	size_t n;

	line += strspn(line, " \t");
	if (!*line || *line == '#' || *line == '\r')
		return;
	if (strncmp(line, "allow", 5) == 0 || strncmp(line, "deny", 4) == 0) {
		n = split(line, word);
		if (n < 4)
			import_fail(i, "a rule has ports, a network, and ports");
		else
			import_rule(i, *word[0] == 'a', word[1], word[2], word[3]);
		return;
	}
	if (!value || value == line) {
		import_fail(i, "this is neither \"key=value\" nor a rule");
		return;
	}
	*value++ = '\0';
	line[strcspn(line, " \t")] = '\0';
	n = split(value, word);
	import_option(i, line, n ? word[0] : "");
}

/* A section of UCI that is gathered until the next one begins. */
struct uci {
	bool rule;
	bool allow;
	unsigned int line;
	char ext[64];
	char addr[64];
	char ports[64];
};

static void uci_end(struct import *i, struct uci *u)
{
	unsigned int line = i->line;

	i->line = u->line;
	if (u->rule)
		import_rule(i, u->allow, u->ext, u->addr, u->ports);
	i->line = line;
	*u = (struct uci){
		.line = line, .ext = "0-65535", .addr = "0.0.0.0/0", .ports = "0-65535"};
}

static void uci_line(struct import *i, struct uci *u, char *line)
{
	char *word[WORDS];
	size_t n = split(line, word);

	if (!n)
		return;
	if (strcmp(word[0], "config") == 0 && n >= 2) {
		uci_end(i, u);
		u->rule = strcmp(word[1], "perm_rule") == 0;
		return;
	}
	if ((strcmp(word[0], "option") && strcmp(word[0], "list")) || n < 3) {
		import_fail(i, "this is neither config, option nor list");
		return;
	}
	if (!u->rule)
		import_option(i, word[1], word[2]);
	else if (strcmp(word[1], "action") == 0)
		u->allow = strcmp(word[2], "allow") == 0;
	else if (strcmp(word[1], "ext_ports") == 0)
		snprintf(u->ext, sizeof(u->ext), "%s", word[2]);
	else if (strcmp(word[1], "int_addr") == 0)
		snprintf(u->addr, sizeof(u->addr), "%s", word[2]);
	else if (strcmp(word[1], "int_ports") == 0)
		snprintf(u->ports, sizeof(u->ports), "%s", word[2]);
}

/* ---- All of it ---- */

enum kind { KIND_TABLE, KIND_UPNPD, KIND_UCI };

/* By its first line that says something. */
static enum kind kind_of(const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text);

		while (n && isspace((unsigned char)*text)) {
			text++;
			n--;
		}
		if (n && *text != '#') {
			if (n > 7 && memcmp(text, "config", 6) == 0 &&
			    isspace((unsigned char)text[6]))
				return KIND_UCI;
			return memchr(text, '=', n) || *text == 'a' || *text == 'd'
				       ? KIND_UPNPD
				       : KIND_TABLE;
		}
		text += n + 1;
	}
	return KIND_TABLE;
}

static void convert(struct import *i, const char *text, size_t len)
{
	enum kind kind = kind_of(text, len);
	const char *end = text + len;
	struct uci u = {0};

	uci_end(i, &u);
	while (text < end && !i->failed) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop ? stop : end) - text);
		char line[LINE];

		i->line++;
		if (n >= sizeof(line) || memchr(text, '\0', n)) {
			import_fail(i, "too long, or no text");
			return;
		}
		memcpy(line, text, n);
		line[n] = '\0';
		if (kind == KIND_TABLE)
			table_line(i, line);
		else if (kind == KIND_UPNPD)
			upnpd_line(i, line);
		else
			uci_line(i, &u, line);
		text += n + 1;
	}
	if (!i->failed && kind == KIND_UCI)
		uci_end(i, &u);
}

static void write_lan(const struct import *i, size_t lan, FILE *out)
{
	fprintf(out, "lan \"%s\" {", i->lan[lan]);
	if (i->upnp >= 0)
		fprintf(out, " upnp = %s ", i->upnp ? "true" : "false");
	if (i->pcp >= 0)
		fprintf(out, " pcp = %s ", i->pcp ? "true" : "false");
	if (i->http_port && !lan)
		fprintf(out, " http-port = %lu ", i->http_port);
	fputs("}\n", out);
}

static void write_all(const struct import *i, const char *name, FILE *out,
		      const char *blocks, const char *notes)
{
	unsigned long min_s = i->min_s && i->min_s < 86400 ? i->min_s : 0;
	unsigned long max_s = i->max_s && i->max_s <= 7 * 86400 ? i->max_s : 0;
	char text[256];

	if (max_s && max_s < (min_s ? min_s : 120))
		max_s = 0; /* miniupnpd takes that, and it makes no sense */
	fprintf(out, "# portreeve.conf, made from %s by portreeve import\n",
		text_safe(name, text, sizeof(text)));
	if (i->wan[0])
		fprintf(out, "wan \"%s\" {}\n", i->wan);
	for (size_t lan = 0; lan < i->n_lans; lan++)
		write_lan(i, lan, out);
	if (min_s && min_s <= (max_s ? max_s : 86400))
		fprintf(out, "min-lifetime = \"%lus\"\n", min_s);
	if (max_s)
		fprintf(out, "max-lifetime = \"%lus\"\n", max_s);
	fputs(blocks, out);
	if (*notes)
		fprintf(out, "\n%s", notes);
}

int import_convert(const char *name, const char *text, size_t len, FILE *out,
		   char err[IMPORT_ERROR])
{
	struct import i = {.upnp = -1, .pcp = -1, .err = err};
	char *blocks = NULL, *notes = NULL, wrong[IMPORT_ERROR];
	size_t n_blocks, n_notes;

	i.blocks = open_memstream(&blocks, &n_blocks);
	i.notes = open_memstream(&notes, &n_notes);
	if (i.blocks && i.notes)
		convert(&i, text, len);
	if (i.blocks)
		fclose(i.blocks);
	if (i.notes)
		fclose(i.notes);
	if (blocks && notes && !i.failed)
		write_all(&i, name, out, blocks, notes);
	free(blocks);
	free(notes);
	if (!blocks || !notes)
		return -ENOMEM;
	if (!i.failed)
		return 0;
	memcpy(wrong, err, sizeof(wrong));
	snprintf(err, IMPORT_ERROR, "%.*s:%u: %.150s", PATH_MAX, name, i.line, wrong);
	return -EINVAL;
}
