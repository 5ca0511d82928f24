/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/page.h"

#include <string.h>

#include "base/addr.h"

/* --- The internet side --- */

/* IPv4 addresses that are nobody's on the internet (RFC 6890), but for the private ones. */
static const struct {
	uint32_t net;
	uint8_t len;
	enum page_nat nat;
} special[] = {
	{0x00000000, 8, PAGE_NAT_SPECIAL},  {0xc0000000, 29, PAGE_NAT_CARRIER},
	{0xc0000000, 24, PAGE_NAT_SPECIAL}, {0xc0000200, 24, PAGE_NAT_SPECIAL},
	{0xc6120000, 15, PAGE_NAT_SPECIAL}, {0xc6336400, 24, PAGE_NAT_SPECIAL},
	{0xcb007100, 24, PAGE_NAT_SPECIAL}, {0xe0000000, 3, PAGE_NAT_SPECIAL},
};

enum page_nat page_nat(const struct record_state *s)
{
	uint32_t v4;

	if (!s->wan_up || addr_is_none(&s->wan4) || !addr_is_v4(&s->wan4))
		return PAGE_NAT_DOWN;
	if (addr_is_cgnat(&s->wan4))
		return PAGE_NAT_CARRIER;
	if (addr_is_private(&s->wan4))
		return PAGE_NAT_PRIVATE;
	v4 = ntohl(addr_to_v4(&s->wan4).s_addr);
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if ((v4 ^ special[i].net) >> (32 - special[i].len) == 0)
			return special[i].nat;
	return PAGE_NAT_PUBLIC;
}

/* What people are told of it. "May": a provider can filter what the address does not show. */
static const struct {
	const char *class;
	const char *title;
	const char *text;
} verdicts[] = {
	[PAGE_NAT_DOWN] = {"down", "Not connected",
			   "The router has no IPv4 address on its internet side now."},
	[PAGE_NAT_PUBLIC] =
		{"good", "Public address",
		 "The router has an internet address of its own: the ports below can be "
		 "reached from outside, unless the provider filters them."},
	[PAGE_NAT_PRIVATE] =
		{"poor", "Behind another router",
		 "The router&#39;s own address is a private one. The ports below can be "
		 "reached from the internet only if the device in front of this router "
		 "forwards them too."},
	[PAGE_NAT_CARRIER] =
		{"poor", "Behind the provider&#39;s NAT",
		 "The provider shares one internet address among its customers. The ports "
		 "below can be reached from the internet only if the provider forwards "
		 "them."},
	[PAGE_NAT_SPECIAL] =
		{"poor", "No internet address",
		 "The router&#39;s address is not one of the internet, so the "
		 "ports below cannot be reached from there."},
};

/* "3 d 4 h", "59 min", "12 s": the two largest units. */
static void page_span(struct text *t, uint64_t seconds)
{
	if (seconds >= 86400)
		text_printf(t, "%llu d %llu h", (unsigned long long)(seconds / 86400),
			    (unsigned long long)(seconds / 3600 % 24));
	else if (seconds >= 3600)
		text_printf(t, "%u h %02u min", (unsigned int)(seconds / 3600),
			    (unsigned int)(seconds / 60 % 60));
	else if (seconds >= 60)
		text_printf(t, "%u min %02u s", (unsigned int)(seconds / 60),
			    (unsigned int)(seconds % 60));
	else
		text_printf(t, "%u s", (unsigned int)seconds);
}

/* The largest unit alone. */
static void page_about(struct text *t, uint32_t seconds)
{
	static const struct {
		uint32_t seconds;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	size_t i = 0;

	while (units[i].seconds > 1 && seconds < units[i].seconds)
		i++;
	text_printf(t, "%u %s", seconds / units[i].seconds, units[i].name);
}

static void page_wan(struct text *t, const struct record_state *s, uint64_t now_ms)
{
	enum page_nat nat = page_nat(s);
	char addr[ADDR_TEXT];

	text_printf(t,
		    "<section class=\"wan %s\" id=\"wan\">\n<h2>%s</h2>\n"
		    "<p class=\"address\">%s</p>\n<p>%s</p>\n",
		    verdicts[nat].class, verdicts[nat].title,
		    nat == PAGE_NAT_DOWN ? "&ndash;" : addr_text(&s->wan4, addr),
		    verdicts[nat].text);
	if (nat != PAGE_NAT_DOWN && s->wan_since_ms && now_ms > s->wan_since_ms) {
		text_put(t, "<p class=\"quiet\">Connected for ");
		page_span(t, (now_ms - s->wan_since_ms) / 1000);
		text_put(t, "</p>\n");
	}
	text_put(t, "</section>\n");
}

/* --- The leases --- */

bool page_row_valid(const struct record_row *row)
{
	return (row->protocol == IPPROTO_TCP || row->protocol == IPPROTO_UDP) &&
	       row->end < ROW_END_END && row->remote_len <= 128 &&
	       memchr(row->description, '\0', sizeof(row->description)) != NULL;
}

static void page_port(struct text *t, const struct record_row *row)
{
	text_printf(t, "<td data-label=\"Port\"><b>%u</b> %s%s", row->ext_port,
		    row->protocol == IPPROTO_TCP ? "TCP" : "UDP",
		    row->disabled ? " <i>off</i>" : "");
	if (row->remote_len) {
		const struct prefix remote = {row->remote, row->remote_len};
		char from[PREFIX_TEXT];

		text_printf(t, "<small>only from %s</small>", prefix_text(&remote, from));
	}
	if (row->n_filters)
		text_put(t, "<small>for some hosts only</small>");
	text_put(t, "</td>");
}

static void page_device(struct text *t, const struct record_row *row)
{
	char addr[ADDR_TEXT];

	text_printf(t, "<td data-label=\"Device\"><bdi%s>%s</bdi>",
		    addr_is_v4(&row->internal) ? "" : " class=\"six\"",
		    addr_text(&row->internal, addr));
	if (!addr_is_v4(&row->internal))
		text_put(t, "<small>IPv6, without translation</small>");
	else if (row->int_port != row->ext_port)
		text_printf(t, "<small>its port %u</small>", row->int_port);
	text_put(t, "</td>");
}

/* A client's text has a direction of its own, or it could turn the line around. */
static void page_what(struct text *t, const struct record_row *row)
{
	text_put(t, "<td data-label=\"What\">");
	if (row->description[0]) {
		text_put(t, "<bdi>");
		text_escape(t, row->description);
		text_put(t, "</bdi>");
	} else {
		text_put(t, "&ndash;");
	}
	text_put(t, "</td>");
}

static void page_claims(struct text *t, const struct record_row *row)
{
	static const char *const names[LEASE_BY_END] = {
		[LEASE_BY_PCP] = "PCP",           [LEASE_BY_NATPMP] = "NAT-PMP",
		[LEASE_BY_UPNP] = "UPnP",         [LEASE_BY_TRIGGER] = "trigger",
		[LEASE_BY_OPEN_NAT] = "open NAT", [LEASE_BY_STATIC] = "fixed",
		[LEASE_BY_ADMIN] = "admin",
	};
	const char *comma = "";

	text_put(t, "<td data-label=\"Asked by\">");
	for (unsigned int by = 0; by < LEASE_BY_END; by++) {
		if (!(row->claims >> by & 1))
			continue;
		text_printf(t, "%s%s", comma, names[by]);
		comma = ", ";
	}
	text_put(t, "</td>");
}

static void page_end(struct text *t, const struct record_row *row)
{
	text_put(t, "<td data-label=\"Ends\">");
	switch ((enum row_end)row->end) {
	case ROW_END_TIME:
		text_put(t, "in ");
		page_span(t, row->left_s);
		break;
	case ROW_END_GONE:
		text_put(t, "when the device leaves");
		break;
	case ROW_END_IDLE:
		text_put(t, "when it falls silent");
		break;
	case ROW_END_NEVER:
	case ROW_END_END:
		text_put(t, "not by itself");
		break;
	}
	text_put(t, "<small>open for ");
	page_about(t, row->age_s);
	text_put(t, "</small></td>");
}

static void page_row(struct text *t, const struct record_row *row)
{
	text_put(t, "<tr>");
	page_port(t, row);
	page_device(t, row);
	page_what(t, row);
	page_claims(t, row);
	page_end(t, row);
	text_put(t, "</tr>\n");
}

static void page_leases(struct text *t, const struct record_row *rows, size_t n,
			bool more)
{
	text_printf(t, "<section id=\"ports\">\n<h2>Open ports <span>%zu%s</span></h2>\n",
		    n, more ? "+" : "");
	if (!n) {
		text_put(t, "<p class=\"none\">None. A game or a program that needs one "
			    "asks for it.</p>\n</section>\n");
		return;
	}
	text_put(t, "<table>\n<thead><tr><th>Port</th><th>Device</th><th>What</th>"
		    "<th>Asked by</th><th>Ends</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++)
		page_row(t, &rows[i]);
	text_put(t, "</tbody>\n</table>\n");
	if (more)
		text_printf(t,
			    "<p class=\"quiet\">There are more: only %zu are shown "
			    "here.</p>\n",
			    n);
	text_put(t, "</section>\n");
}

/* The script replaces <main> by that of a newer page. Without script the whole page is
 * loaded again. */
void page_write(struct text *t, const struct record_state *s,
		const struct record_row *rows, size_t n, bool more, uint64_t now_ms)
{
	text_put(t,
		 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		 "<meta name=\"viewport\" content=\"width=device-width\">\n"
		 "<meta name=\"color-scheme\" content=\"light dark\">\n"
		 "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\n"
		 "<title>Internet connection</title>\n"
		 "<link rel=\"icon\" href=\"data:,\">\n<style>");
	text_put(t, page_style);
	text_put(t, "</style>\n</head>\n<body>\n<h1>Internet connection</h1>\n"
		    "<p id=\"lost\" role=\"status\">The router does not answer. Trying "
		    "again&hellip;</p>\n<main>\n");
	page_wan(t, s, now_ms);
	page_leases(t, rows, n, more);
	text_put(t,
		 "</main>\n<footer>This page only shows. A port that a program asked for "
		 "closes when its time is up or its device is gone. "
		 "<span>portreeve</span></footer>\n<script>");
	text_put(t, page_script);
	text_put(t, "</script>\n</body>\n</html>\n");
}
