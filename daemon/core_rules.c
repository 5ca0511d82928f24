/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trigger rules: what the trigger worker saw goes to whose turn it is, and what that wants to
 * the ledger.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "lease/policy.h"

#define WAIT_S 1 /* for who has to wait */

static enum turns_port rules_whose(void *arg, const struct turns_want *w)
{
	const struct core *c = arg;
	const struct in6_addr none = IN6ADDR_ANY_INIT, host = addr_from_v4(w->host);
	const struct lease *l = registry_find(ledger_book(c->ledger), w->protocol,
					      w->ext_port, &none, 0);

	if (!l)
		return TURNS_FREE;
	return addr_equal(&l->internal, &host) && l->int_port == w->int_port
		       ? TURNS_OWN
		       : TURNS_OTHERS;
}

static void rules_ask(void *arg, const struct turns_want *w)
{
	struct core *c = arg;
	const struct in6_addr host = addr_from_v4(w->host);
	bool has = rules_whose(arg, w) == TURNS_OWN;
	struct lease_request req = {.op = LEASE_OP_MAP,
				    .by = LEASE_BY_TRIGGER,
				    .protocol = w->protocol,
				    .flags = LEASE_EXACT,
				    .int_port = w->int_port,
				    .ext_port = w->ext_port,
				    .lifetime = w->idle_s,
				    .client = host,
				    .internal = host};

	/* Who has asked for it has named it. */
	if (!has) {
		req.flags |= LEASE_DESCRIBE;
		snprintf(req.description, sizeof(req.description), "%s",
			 c->config.trigger[w->rule].name);
	}
	ledger_ask(c->ledger, CORE_TO_NOBODY, w->lan, &req);
}

static uint64_t rules_left(void *arg, struct in_addr host, uint8_t protocol,
			   uint16_t port)
{
	struct core *c = arg;
	uint64_t left_ms;

	firewall_watched(c->firewall, host, protocol, port, &left_ms);
	return left_ms;
}

const struct turns_ops core_turns_ops = {rules_whose, rules_ask, rules_left};

/* Does the rule hold for that host of that LAN? */
static bool rule_holds(const struct core *c, const struct lease_trigger *rule,
		       const struct in6_addr *host, int lan)
{
	const struct lease_access *access = policy_access(&c->policy, host);
	bool named = rule->n_hosts == 0;

	for (size_t i = 0; i < rule->n_hosts; i++)
		named = named || prefix_has(&rule->host[i], host);
	if (!named || (access && access->open_nat == ACCESS_OPEN_NAT_OFF))
		return false;
	if (!rule->n_lans)
		return policy_unasked(&c->policy, host);
	for (size_t i = 0; i < rule->n_lans; i++)
		if (strcmp(rule->lan[i], c->topology.lan[lan].name) == 0)
			return true;
	return false;
}

static bool rule_allowed(void *arg, const struct lease_trigger *rule, struct in_addr host,
			 int lan)
{
	struct in6_addr addr = addr_from_v4(host);

	return rule_holds(arg, rule, &addr, lan);
}

void core_rules_event(struct core *c, const struct trigger_event *e,
		      const struct in6_addr *host, int lan)
{
	turns_event(c->turns, addr_to_v4(host), lan, e->protocol, e->remote_port,
		    rule_allowed, c);
	core_rules_due(-1, 0, c);
}

void core_rules_due(int fd, short what, void *arg)
{
	static const struct timeval soon = {.tv_sec = WAIT_S};
	struct core *c = arg;

	(void)fd;
	(void)what;
	if (turns_serve(c->turns, clock_ms()))
		event_add(c->rules_due, &soon);
}

void core_rules_settled(struct core *c, const struct lease_change *step)
{
	static const struct timeval now = {0};

	if (step->has || lease_is_pinhole(&step->before) ||
	    !turns_concern(c->turns, step->before.protocol, step->before.ext_port))
		return;
	/* What was taken away is not opened again by the next packet. */
	if (step->end != LEASE_END_EXPIRED &&
	    step->before.claims & 1U << LEASE_BY_TRIGGER)
		turns_forget(c->turns, addr_to_v4(&step->before.internal),
			     step->before.protocol, step->before.ext_port);
	event_add(c->rules_due, &now);
}

void core_rules_refused(struct core *c, const struct lease_request *req)
{
	if (req->by == LEASE_BY_TRIGGER && req->op == LEASE_OP_MAP)
		turns_refused(c->turns, addr_to_v4(&req->internal), req->protocol,
			      req->ext_port, clock_ms());
}

uint64_t core_rules_left(const struct core *c, const struct lease *l)
{
	if (!(l->claims & 1U << LEASE_BY_TRIGGER) || lease_is_pinhole(l))
		return 0;
	return turns_left(c->turns, addr_to_v4(&l->internal), l->protocol, l->ext_port);
}

/* ---- Another configuration ---- */

#define RULES_ENDED 256 /* in one go */

struct rules_ended {
	struct core *c;
	size_t n;
	struct lease_request req[RULES_ENDED];
	int lan[RULES_ENDED];
};

static bool any_rule_opens(const struct core *c, const struct lease *l, int lan)
{
	for (size_t i = 0; i < c->config.n_triggers; i++)
		if (turns_opens(&c->config.trigger[i], l->protocol, l->ext_port) &&
		    rule_holds(c, &c->config.trigger[i], &l->internal, lan))
			return true;
	return false;
}

static void note_ended(void *arg, const struct lease *l)
{
	struct rules_ended *e = arg;
	int lan = core_lan_number(e->c, &l->internal);

	/* Of a LAN that is not there now, or a host of which we do not know whether it may, it
	 * stays until its host is known to be silent. */
	if (e->n == RULES_ENDED || !(l->claims & 1U << LEASE_BY_TRIGGER) || lan < 0 ||
	    policy_undecided(&e->c->policy, &l->internal) || any_rule_opens(e->c, l, lan))
		return;
	e->lan[e->n] = lan;
	e->req[e->n++] = (struct lease_request){.op = LEASE_OP_UNMAP,
						.by = LEASE_BY_TRIGGER,
						.protocol = l->protocol,
						.int_port = l->int_port,
						.client = l->internal,
						.internal = l->internal};
}

void core_rules_judge(struct core *c)
{
	static struct rules_ended e;
	size_t rounds = registry_count(ledger_book(c->ledger)) / RULES_ENDED + 1;

	do {
		e = (struct rules_ended){.c = c};
		registry_each(ledger_book(c->ledger), note_ended, &e);
		for (size_t i = 0; i < e.n; i++)
			ledger_ask(c->ledger, CORE_TO_NOBODY, e.lan[i], &e.req[i]);
	} while (e.n == RULES_ENDED && --rounds);
}

void core_rules_configure(struct core *c)
{
	turns_configure(c->turns, c->config.trigger, c->config.n_triggers);
	core_rules_judge(c);
}
