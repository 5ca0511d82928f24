/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/duration.h"
#include "base/log.h"

#define PORT_TEXT 16

const char *explain_state_name(enum explain_state state)
{
	static const char *const names[] = {"good", "bad", "unknown", "note"};

	return names[state];
}

static const char *port_text(uint8_t protocol, uint16_t port, char buf[PORT_TEXT])
{
	snprintf(buf, PORT_TEXT, "%s/%u", protocol == IPPROTO_TCP ? "tcp" : "udp", port);
	return buf;
}

static const char *ms_text(uint64_t ms, char buf[DURATION_TEXT])
{
	return duration_text((ms + 500) / 1000, buf);
}

__attribute__((format(printf, 4, 5))) static void say(struct explain_report *r,
						      const char *id,
						      enum explain_state state,
						      const char *fmt, ...)
{
	struct explain_fact *f;
	va_list ap;

	if (r->n == EXPLAIN_FACTS)
		return;
	f = &r->fact[r->n++];
	*f = (struct explain_fact){.id = id, .state = state};
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

/* The first verdict holds: they are given in the order in which they matter. */
__attribute__((format(printf, 4, 5))) static void judge(struct explain_report *r,
							const char *verdict,
							const char *reason,
							const char *fmt, ...)
{
	va_list ap;

	if (r->verdict)
		return;
	r->verdict = verdict;
	r->reason = reason;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 3, 4))) static void
advise(struct explain_report *r, const char *verdict, const char *fmt, ...)
{
	va_list ap;

	if (strcmp(r->verdict, verdict) != 0 || r->fix[0])
		return;
	va_start(ap, fmt);
	vsnprintf(r->fix, sizeof(r->fix), fmt, ap);
	va_end(ap);
}

/* ---- There is no lease ---- */

static void advise_refused(struct explain_report *r, const struct explain_facts *f,
			   enum lease_reason reason)
{
	char port[PORT_TEXT], denial[DENIAL_TEXT];

	port_text(f->protocol, f->port, port);
	switch (reason) {
	case LEASE_RESERVED:
		advise(r, "refused",
		       "to let hosts have it: allow-reserved = { \"%s\" } in "
		       "portreeve.conf, then portreeve reload",
		       port);
		break;
	case LEASE_QUOTA_HOST:
		advise(r, "refused",
		       "portreeve list shows what it has; allow more with limits { per-host "
		       "= ... } or an access block in portreeve.conf");
		break;
	case LEASE_QUOTA_TABLE:
		advise(r, "refused", "raise limits { leases = ... } in portreeve.conf");
		break;
	case LEASE_ACCESS:
		advise(r, "refused",
		       "an access block in portreeve.conf may allow it to that host");
		break;
	case LEASE_ROUTER:
		advise(r, "refused",
		       "ss -lntup shows which program of the router has it");
		break;
	case LEASE_DENIED:
		advise(r, "refused", "to take that back: portreeve allow %s",
		       f->denial ? denial_text(f->denial, denial)
				 : "what portreeve deny lists");
		break;
	case LEASE_TAKEN:
	case LEASE_NOT_OWNER:
		advise(r, "refused", "portreeve list shows who has it");
		break;
	default:
		break;
	}
}

static void advise_ask(struct explain_report *r, const struct explain_facts *f,
		       const char *verdict)
{
	char port[PORT_TEXT];

	advise(r, verdict,
	       "start the program that is to use it, with UPnP switched on in it; or open it "
	       "for good in portreeve.conf: forward \"name\" { port = \"%s\"  to = "
	       "\"ADDRESS\" }",
	       port_text(f->protocol, f->port, port));
}

static void judge_refused(struct explain_report *r, const struct explain_facts *f)
{
	const struct store_event *e = f->event;
	enum lease_reason reason = (enum lease_reason)e->reason;
	char who[ADDR_TEXT], port[PORT_TEXT], ago[DURATION_TEXT];
	uint64_t ms = f->wall_ms > e->time_ms ? f->wall_ms - e->time_ms : 0;

	judge(r, "refused", lease_reason_name(reason),
	      "%s asked for %s by %s %s ago and was refused: %s",
	      addr_text(&e->internal, who), port_text(f->protocol, f->port, port),
	      lease_by_name((enum lease_by)e->by), ms_text(ms, ago),
	      lease_reason_text(reason));
	advise_refused(r, f, reason);
}

static void judge_ended(struct explain_report *r, const struct explain_facts *f)
{
	static const char *const how[] = {
		[LEASE_END_NONE] = "ended",
		[LEASE_END_DELETED] = "was given up, or deleted",
		[LEASE_END_EXPIRED] = "ran out, as nobody renewed it",
		[LEASE_END_POLICY] = "is not allowed by the configuration any more",
		[LEASE_END_GONE] = "ended as its host had left the LAN",
		[LEASE_END_MOVED] = "moved to the address that its host has now",
		[LEASE_END_DENIED] = "was denied by the admin",
	};
	const struct store_event *e = f->event;
	enum lease_end end = e->reason <= LEASE_END_DENIED ? (enum lease_end)e->reason
							   : LEASE_END_NONE;
	char who[ADDR_PORT_TEXT], port[PORT_TEXT], ago[DURATION_TEXT];
	uint64_t ms = f->wall_ms > e->time_ms ? f->wall_ms - e->time_ms : 0;

	judge(r, "ended", lease_end_name(end), "the lease of %s to %s %s, %s ago",
	      port_text(f->protocol, f->port, port),
	      addr_port_text(&e->internal, e->int_port, who), how[end], ms_text(ms, ago));
	advise_ask(r, f, "ended");
}

static void explain_elsewhere(struct explain_report *r, const struct lease *l)
{
	char to[ADDR_PORT_TEXT], port[PORT_TEXT];

	if (l)
		say(r, "elsewhere", EXPLAIN_NOTE,
		    "%s is open and leads to %s: its host was "
		    "given that port instead",
		    port_text(l->protocol, l->ext_port, port),
		    addr_port_text(&l->internal, l->int_port, to));
}

static void explain_absent(const struct explain_facts *f, struct explain_report *r)
{
	const struct store_event *e = f->event;
	char port[PORT_TEXT], denial[DENIAL_TEXT];

	port_text(f->protocol, f->port, port);
	say(r, "lease", EXPLAIN_BAD, "there is no lease of %s", port);
	explain_elsewhere(r, f->elsewhere);
	if (f->denial && f->policy == LEASE_DENIED)
		say(r, "policy", EXPLAIN_BAD, "%s is denied by portreeve deny",
		    denial_text(f->denial, denial));
	else if (f->policy)
		say(r, "policy", EXPLAIN_BAD, "no host may be given it: %s",
		    lease_reason_text(f->policy));
	if (!f->history_known)
		say(r, "history", EXPLAIN_UNKNOWN,
		    "the history cannot be read, so what was before is not known");
	if (e && e->what == STORE_REFUSED)
		judge_refused(r, f);
	if (f->denial && f->policy == LEASE_DENIED)
		judge(r, "refused", lease_reason_name(LEASE_DENIED),
		      "the admin denies %s", denial_text(f->denial, denial));
	if (f->policy) {
		judge(r, "refused", lease_reason_name(f->policy),
		      "no host may be given %s: %s", port, lease_reason_text(f->policy));
		advise_refused(r, f, f->policy);
	}
	if (e && e->what == STORE_ENDED)
		judge_ended(r, f);
	judge(r, "no-lease", NULL, "nobody has asked for %s%s", port,
	      f->history_known ? "" : ", as far as is known");
	advise_ask(r, f, "no-lease");
}

/* ---- There is one ---- */

static void explain_lease(const struct explain_facts *f, struct explain_report *r)
{
	const struct lease *l = f->lease;
	char to[ADDR_PORT_TEXT], port[PORT_TEXT], age[DURATION_TEXT], left[DURATION_TEXT];
	char end[64] = "for good", from[PREFIX_TEXT];
	int64_t ms = (int64_t)(f->now_ms - l->created_ms);

	if (l->until_gone & l->claims)
		snprintf(end, sizeof(end), "until its host has left");
	else if (l->deadline_ms != LEASE_NO_DEADLINE)
		snprintf(end, sizeof(end), "for %s more",
			 ms_text(l->deadline_ms > f->now_ms ? l->deadline_ms - f->now_ms
							    : 0,
				 left));
	say(r, "lease", l->enabled ? EXPLAIN_GOOD : EXPLAIN_BAD,
	    "%s leads to %s, by %s, opened %s ago, %s%s",
	    port_text(f->protocol, f->port, port),
	    addr_port_text(&l->internal, l->int_port, to),
	    lease_by_name((enum lease_by)l->origin),
	    ms_text(ms > 0 ? (uint64_t)ms : 0, age), end,
	    l->enabled ? "" : "; but its client has disabled it");
	if (l->remote_len) {
		const struct prefix p = {l->remote, l->remote_len};

		say(r, "remote", EXPLAIN_NOTE, "only %s may come in",
		    prefix_text(&p, from));
	} else if (l->n_filters) {
		say(r, "remote", EXPLAIN_NOTE, "only some may come in: %u filters",
		    l->n_filters);
	}
	if (f->others)
		say(r, "others", EXPLAIN_NOTE,
		    "%zu more lease%s of that port: portreeve list shows them", f->others,
		    f->others == 1 ? "" : "s");
	if (!l->enabled)
		judge(r, "disabled", NULL, "the lease of %s is disabled by its client",
		      port);
}

static void explain_kernel(const struct explain_facts *f, struct explain_report *r)
{
	char left[DURATION_TEXT], port[PORT_TEXT];

	port_text(f->protocol, f->port, port);
	if (f->lease->origin == LEASE_BY_STATIC) {
		say(r, "kernel", EXPLAIN_NOTE, "a static forward: a rule of its own");
	} else if (f->in_kernel < 0) {
		say(r, "kernel", EXPLAIN_UNKNOWN, "the kernel does not tell of it: %s",
		    strerror(-f->in_kernel));
	} else if (!f->in_kernel) {
		say(r, "kernel", EXPLAIN_BAD, "the kernel does not have it");
		judge(r, "not-in-kernel", NULL,
		      "the kernel does not have the lease of %s; portreeved puts it back "
		      "within a second",
		      port);
		advise(r, "not-in-kernel",
		       "portreeve explain again in a second; journalctl -u portreeve names "
		       "the program that took it away");
	} else if (lease_is_pinhole(f->lease)) {
		say(r, "kernel", EXPLAIN_GOOD,
		    "the kernel has it, for %s more; %llu packets have come in",
		    ms_text(f->left_ms, left), (unsigned long long)f->packets);
	} else {
		say(r, "kernel", EXPLAIN_GOOD, "the kernel has it, for %s more",
		    ms_text(f->left_ms, left));
	}
}

/* What check has found, the verdict of what blocks; returns the double NAT, or NULL. */
static const struct check_finding *explain_findings(const struct explain_facts *f,
						    struct explain_report *r)
{
	const struct check_finding *behind = NULL;
	char addr[ADDR_TEXT];
	bool rules = false, wan = false;

	for (size_t i = 0; f->findings && i < f->findings->n; i++) {
		const struct check_finding *c = &f->findings->finding[i];
		bool block = c->severity == CHECK_BLOCK;

		say(r, c->id,
		    block                          ? EXPLAIN_BAD
		    : c->severity == CHECK_WARNING ? EXPLAIN_UNKNOWN
						   : EXPLAIN_NOTE,
		    "%s", c->text);
		if (r->n)
			snprintf(r->fact[r->n - 1].fix, CHECK_FIX, "%s", c->fix);
		if (block) {
			judge(r, c->id, NULL, "%s", c->text);
			advise(r, c->id, "%s", c->fix);
		}
		if (strcmp(c->id, "double-nat") == 0)
			behind = c;
		rules = rules || strncmp(c->id, "forward-", 8) == 0 ||
			strcmp(c->id, "shadowed") == 0 ||
			strcmp(c->id, "rules-unread") == 0;
		wan = wan || strstr(c->id, "wan") || strstr(c->id, "nat");
	}
	if (!wan && f->wan)
		say(r, "wan", EXPLAIN_GOOD, "the WAN %s has the address %s", f->wan,
		    addr_text(&f->wan4, addr));
	if (!rules)
		say(r, "rules", EXPLAIN_GOOD, "no rule of another program drops it");
	return behind;
}

static void explain_host(const struct explain_facts *f, struct explain_report *r)
{
	char host[ADDR_TEXT], ago[DURATION_TEXT];

	addr_text(&f->lease->internal, host);
	switch (f->host) {
	case EXPLAIN_HOST_UNKNOWN:
		say(r, "host", EXPLAIN_UNKNOWN,
		    "whether %s is there cannot be seen from here: it is not next to us",
		    host);
		break;
	case EXPLAIN_HOST_THERE:
		say(r, "host", EXPLAIN_GOOD, "%s is in the LAN, heard of %s ago", host,
		    ms_text(f->silence_ms, ago));
		break;
	case EXPLAIN_HOST_GONE:
		say(r, "host", EXPLAIN_BAD, "%s does not answer in the LAN", host);
		judge(r, "host-gone", NULL,
		      "%s, which the lease leads to, is not in the LAN: it is off, asleep, or "
		      "has another address now",
		      host);
		advise(r, "host-gone",
		       "switch it on, or have its program ask again; give it always the same "
		       "address in the DHCP server");
		break;
	}
}

static void explain_flows(const struct explain_facts *f, struct explain_report *r)
{
	size_t silent = f->n_in - f->n_answered;

	if (f->flows_error) {
		say(r, "flows", EXPLAIN_UNKNOWN, "its connections cannot be read: %s",
		    strerror(-f->flows_error));
		return;
	}
	if (f->n_answered || f->n_out)
		say(r, "flows", f->n_answered ? EXPLAIN_GOOD : EXPLAIN_NOTE,
		    "connected now: %zu from outside, %zu begun by the host",
		    f->n_answered, f->n_out);
	if (silent)
		say(r, "unanswered", EXPLAIN_UNKNOWN,
		    "%zu came in a short while ago and %s not answered", silent,
		    silent == 1 ? "was" : "were");
	if (!f->n_in && !f->n_out)
		say(r, "flows", EXPLAIN_NOTE, "nobody is connected now");
}

static void explain_present(const struct explain_facts *f, struct explain_report *r)
{
	char to[ADDR_PORT_TEXT], port[PORT_TEXT];
	const struct check_finding *behind;

	explain_lease(f, r);
	explain_kernel(f, r);
	behind = explain_findings(f, r);
	explain_host(f, r);
	explain_flows(f, r);
	r->try_listener = f->host == EXPLAIN_HOST_THERE && !f->n_answered;
	r->inside = f->lease->internal;
	r->inside_port = f->lease->int_port;
	r->router = f->router;
	/* Unless somebody from the internet has come through. */
	if (behind && !f->from_outside) {
		judge(r, behind->id, NULL, "%s", behind->text);
		advise(r, behind->id, "%s", behind->fix);
	}
	judge(r, "open", NULL, "%s is open and leads to %s",
	      port_text(f->protocol, f->port, port),
	      addr_port_text(&f->lease->internal, f->lease->int_port, to));
	r->open = strcmp(r->verdict, "open") == 0;
}

void explain_run(const struct explain_facts *f, struct explain_report *out)
{
	*out = (struct explain_report){0};
	if (f->lease)
		explain_present(f, out);
	else
		explain_absent(f, out);
}
