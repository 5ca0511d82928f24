/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/nat_type.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 5))) static void
because(struct nat_type *t, const char *id, const char *fix, const char *fmt, ...)
{
	struct nat_type_reason *r = &t->reason[t->n];
	va_list ap;

	if (t->n == NAT_TYPE_REASONS)
		return;
	t->n++;
	r->id = id;
	snprintf(r->fix, sizeof(r->fix), "%s", fix);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

/* The finding of `check` with that id, as a reason. */
static bool found(const struct nat_type_facts *f, struct nat_type *t, const char *id)
{
	bool any = false;

	for (size_t i = 0; f->check && i < f->check->n; i++) {
		const struct check_finding *c = &f->check->finding[i];

		if (strcmp(c->id, id) == 0 && !any) {
			because(t, c->id, c->fix, "%s", c->text);
			any = true;
		}
	}
	return any;
}

/* Is there no way out at all? */
static bool judge_offline(const struct nat_type_facts *f, struct nat_type *t)
{
	static const char *const ids[] = {"no-wan", "no-wan-address", "wan-down",
					  "ip-forward"};
	bool any = false;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		any = found(f, t, ids[i]) || any;
	return any;
}

static void judge_mapping(const struct nat_type_facts *f, struct nat_type *t)
{
	if (f->own_masquerade) {
		t->mapping = NAT_MAPPING_INDEPENDENT;
		because(t, "own-ports", "",
			"each of its ports has one port outside, from its first packet on");
		return;
	}
	t->mapping = NAT_MAPPING_UNKNOWN;
	t->at_best = true;
	because(t, "foreign-ports", "own-masquerade = true",
		"other rules choose the ports that it leaves from "
		"(own-masquerade = false)");
}

/* Does open NAT open its ports to everybody? */
static bool judge_open_nat(const struct nat_type_facts *f, struct nat_type *t)
{
	const struct config_open_nat *o = f->config;

	if (!f->open_nat) {
		because(t, "open-nat-off",
			f->by_access ? "open-nat = true in that rule"
				     : "open-nat = true in the lan block",
			"open NAT is off for %s",
			f->by_access ? "it, by an access rule" : "its LAN");
		return false;
	}
	if (!f->own_masquerade) {
		because(t, "open-nat-off", "own-masquerade = true",
			"open NAT needs own-masquerade");
		return false;
	}
	if (!o->per_host) {
		because(t, "open-nat-off", "per-host in the open-nat block",
			"open NAT may open no port to any host");
		return false;
	}
	if (f->leases >= f->quota) {
		because(t, "quota", "leases in an access rule, or per-host",
			"it has %u of the %u ports that it may have: no other is opened",
			f->leases, f->quota);
		return false;
	}
	if (f->openings >= o->per_host) {
		because(t, "quota", "per-host in the open-nat block",
			"it has all of the %u ports that open NAT may open to it: no other "
			"is opened",
			o->per_host);
		return false;
	}
	because(t, "open-nat", "",
		"a port that sends to %u address%s within %u s (TCP: %u) is open to everybody "
		"until it has been silent for %u s%s",
		o->udp_remotes, o->udp_remotes == 1 ? "" : "es", o->window_s,
		o->tcp_remotes, o->idle_s,
		o->n_instant
			? "; towards the ports of NAT tests the first packet opens it"
			: "");
	return true;
}

void nat_type_judge(const struct nat_type_facts *f, struct nat_type *out)
{
	bool open;

	memset(out, 0, sizeof(*out));
	if (judge_offline(f, out)) {
		out->grades = nat_grade(out->mapping, out->filtering);
		return;
	}
	judge_mapping(f, out);
	open = judge_open_nat(f, out);
	out->filtering = open ? NAT_FILTERING_INDEPENDENT : NAT_FILTERING_ADDRESS_PORT;
	if (f->may_ask)
		because(out, "may-ask", "",
			"it may ask for ports too, which are open to everybody");
	if (found(f, out, "forward-drop"))
		out->filtering = NAT_FILTERING_ADDRESS_PORT;
	else if (found(f, out, "forward-maybe"))
		out->at_best = true;
	/* The router before us lets nothing in that was not sent to. */
	if (found(f, out, "cgnat") || found(f, out, "double-nat")) {
		out->mapping = NAT_MAPPING_UNKNOWN;
		out->filtering = NAT_FILTERING_ADDRESS_PORT;
		out->at_best = true;
	}
	out->grades = nat_grade(out->mapping, out->filtering);
}
