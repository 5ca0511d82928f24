/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trigger/turns.h"

#include <stdlib.h>
#include <string.h>

struct when {
	uint8_t protocol;
	uint16_t port;
};

struct turn {
	size_t rule;
	struct in_addr host;
	int lan;
	bool fresh; /* it has just sent: what it has is renewed */
	bool forgotten;
	size_t n_when;
	struct when when[TURNS_WHEN];
	uint64_t retry_ms; /* nothing is asked for before */
	uint16_t skip;     /* of a shared range so many ports were refused */
};

/* In the order in which they came. */
struct turns {
	const struct turns_ops *ops;
	void *arg;
	const struct lease_trigger *rules;
	size_t n_rules;
	uint32_t longest_s;
	bool again; /* another port may do for who was refused one */
	size_t n;
	struct turn turn[TURNS_MAX];
};

struct turns *turns_new(const struct turns_ops *ops, void *arg)
{
	struct turns *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ops = ops;
	t->arg = arg;
	return t;
}

void turns_free(struct turns *t)
{
	free(t);
}

void turns_configure(struct turns *t, const struct lease_trigger *rules, size_t n)
{
	t->rules = rules;
	t->n_rules = n;
	t->n = 0;
	t->longest_s = 0;
	for (size_t i = 0; i < n; i++)
		if (rules[i].idle_s > t->longest_s)
			t->longest_s = rules[i].idle_s;
}

uint32_t turns_longest(const struct turns *t)
{
	return t->longest_s;
}

static bool range_has(const struct port_range *r, uint8_t protocol, uint16_t port)
{
	return port >= r->first && port <= r->last &&
	       (protocol == IPPROTO_TCP ? r->tcp : r->udp);
}

static bool ranges_have(const struct port_range *r, size_t n, uint8_t protocol,
			uint16_t port)
{
	for (size_t i = 0; i < n; i++)
		if (range_has(&r[i], protocol, port))
			return true;
	return false;
}

bool turns_opens(const struct lease_trigger *rule, uint8_t protocol, uint16_t ext_port)
{
	return ranges_have(rule->open, rule->n_open, protocol, ext_port);
}

/* For how long the rule holds yet for that host. */
static uint64_t turn_left(const struct turns *t, const struct turn *x)
{
	uint64_t whole_ms = t->longest_s * 1000ULL, most = 0;
	uint64_t idle_ms = t->rules[x->rule].idle_s * 1000ULL;

	for (size_t i = 0; i < x->n_when; i++) {
		uint64_t left = t->ops->left(t->arg, x->host, x->when[i].protocol,
					     x->when[i].port) +
				idle_ms;

		left = left > whole_ms ? left - whole_ms : 0;
		if (left > most)
			most = left;
	}
	return most;
}

static void turn_remove(struct turns *t, size_t i)
{
	memmove(&t->turn[i], &t->turn[i + 1], (t->n - i - 1) * sizeof(t->turn[0]));
	t->n--;
}

/* Those that are silent make room. */
static bool make_room(struct turns *t)
{
	for (size_t i = 0; t->n == TURNS_MAX && i < t->n; i++)
		if (!turn_left(t, &t->turn[i]))
			turn_remove(t, i);
	return t->n < TURNS_MAX;
}

static struct turn *turn_of(struct turns *t, size_t rule, struct in_addr host)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->turn[i].rule == rule && t->turn[i].host.s_addr == host.s_addr)
			return &t->turn[i];
	return NULL;
}

static void turn_note(struct turn *x, uint8_t protocol, uint16_t port)
{
	for (size_t i = 0; i < x->n_when; i++)
		if (x->when[i].protocol == protocol && x->when[i].port == port)
			return;
	if (x->n_when == TURNS_WHEN)
		memmove(&x->when[0], &x->when[1], --x->n_when * sizeof(x->when[0]));
	x->when[x->n_when++] = (struct when){protocol, port};
}

void turns_event(struct turns *t, struct in_addr host, int lan, uint8_t protocol,
		 uint16_t port,
		 bool (*allowed)(void *arg, const struct lease_trigger *rule,
				 struct in_addr host, int lan),
		 void *arg)
{
	for (size_t i = 0; i < t->n_rules; i++) {
		const struct lease_trigger *rule = &t->rules[i];
		struct turn *x;

		if (!ranges_have(rule->when, rule->n_when, protocol, port) ||
		    !allowed(arg, rule, host, lan))
			continue;
		x = turn_of(t, i, host);
		if (!x) {
			if (!make_room(t))
				return;
			x = &t->turn[t->n++];
			*x = (struct turn){.rule = i, .host = host};
		}
		x->lan = lan;
		x->fresh = true;
		x->forgotten = false;
		turn_note(x, protocol, port);
	}
}

/* Of a shared range: the port that the host has, or the first free one. false: none. */
static bool choose(const struct turns *t, const struct turn *x,
		   const struct port_range *r, struct turns_want *w,
		   enum turns_port *whose)
{
	bool found = false;
	uint16_t best = 0;

	w->int_port = r->first;
	for (uint32_t port = r->first; port <= r->last; port++) {
		enum turns_port p;

		w->ext_port = (uint16_t)port;
		p = t->ops->whose(t->arg, w);
		if (p == TURNS_OWN) {
			*whose = p;
			return true;
		}
		if (p == TURNS_FREE && !found && port >= (uint32_t)r->first + x->skip) {
			found = true;
			best = (uint16_t)port;
		}
	}
	w->ext_port = best;
	*whose = TURNS_FREE;
	return found;
}

/* true: it has to wait for that port. */
static bool serve_port(const struct turns *t, const struct turn *x,
		       const struct turns_want *w, enum turns_port whose, uint64_t now_ms)
{
	if (whose == TURNS_OTHERS)
		return true;
	if (whose == TURNS_OWN && !x->fresh)
		return false;
	if (whose == TURNS_FREE && now_ms < x->retry_ms)
		return true;
	t->ops->ask(t->arg, w);
	return false;
}

static bool serve_range(const struct turns *t, const struct turn *x,
			const struct port_range *r, uint8_t protocol, uint64_t now_ms)
{
	const struct lease_trigger *rule = &t->rules[x->rule];
	struct turns_want w = {.rule = x->rule,
			       .host = x->host,
			       .lan = x->lan,
			       .protocol = protocol,
			       .idle_s = rule->idle_s};
	enum turns_port whose;
	bool waits = false;

	if (rule->share) {
		if (!choose(t, x, r, &w, &whose))
			return true;
		return serve_port(t, x, &w, whose, now_ms);
	}
	for (uint32_t port = r->first; port <= r->last; port++) {
		w.ext_port = w.int_port = (uint16_t)port;
		whose = t->ops->whose(t->arg, &w);
		waits = serve_port(t, x, &w, whose, now_ms) || waits;
	}
	return waits;
}

/* Does it lack a port that is free? Cheaper than to ask whether it still sends. */
static bool turn_wants(const struct turns *t, const struct turn *x, bool *waits)
{
	const struct lease_trigger *rule = &t->rules[x->rule];
	struct turns_want w = {.rule = x->rule, .host = x->host};
	bool wants = false;

	for (size_t i = 0; i < rule->n_open; i++)
		for (int k = 0; k < 2; k++) {
			const struct port_range *r = &rule->open[i];
			bool free = false, own = false, missing = false;

			if (!(k ? r->udp : r->tcp))
				continue;
			w.protocol = k ? IPPROTO_UDP : IPPROTO_TCP;
			for (uint32_t port = r->first; port <= r->last; port++) {
				enum turns_port p;

				w.ext_port = (uint16_t)port;
				w.int_port = rule->share ? r->first : w.ext_port;
				p = t->ops->whose(t->arg, &w);
				own = own || p == TURNS_OWN;
				free = free || p == TURNS_FREE;
				missing = missing || p != TURNS_OWN;
			}
			if (rule->share)
				missing = !own;
			*waits = *waits || missing;
			wants = wants || (missing && free);
		}
	return wants;
}

/* true: it has to wait for something; *gone: it waits for nothing any more. */
static bool serve_turn(struct turns *t, struct turn *x, uint64_t now_ms, bool *gone)
{
	const struct lease_trigger *rule = &t->rules[x->rule];
	bool waits = false;

	*gone = x->forgotten;
	if (*gone)
		return false;
	if (!x->fresh && !turn_wants(t, x, &waits))
		return waits;
	/* It may have fallen silent while it waited. */
	if (!x->fresh && !turn_left(t, x)) {
		*gone = true;
		return false;
	}
	waits = false;
	for (size_t i = 0; i < rule->n_open; i++) {
		const struct port_range *r = &rule->open[i];

		if (r->tcp)
			waits = serve_range(t, x, r, IPPROTO_TCP, now_ms) || waits;
		if (r->udp)
			waits = serve_range(t, x, r, IPPROTO_UDP, now_ms) || waits;
	}
	x->fresh = false;
	return waits;
}

bool turns_serve(struct turns *t, uint64_t now_ms)
{
	bool waits = false, gone;

	t->again = false;
	for (size_t i = 0; i < t->n;) {
		waits = serve_turn(t, &t->turn[i], now_ms, &gone) || waits;
		if (gone || t->turn[i].forgotten)
			turn_remove(t, i);
		else
			i++;
	}
	return waits || t->again;
}

bool turns_concern(const struct turns *t, uint8_t protocol, uint16_t ext_port)
{
	for (size_t i = 0; i < t->n; i++)
		if (turns_opens(&t->rules[t->turn[i].rule], protocol, ext_port))
			return true;
	return false;
}

void turns_refused(struct turns *t, struct in_addr host, uint8_t protocol,
		   uint16_t ext_port, uint64_t now_ms)
{
	for (size_t i = 0; i < t->n; i++) {
		struct turn *x = &t->turn[i];
		const struct lease_trigger *rule = &t->rules[x->rule];

		if (x->host.s_addr != host.s_addr ||
		    !turns_opens(rule, protocol, ext_port))
			continue;
		/* The next port of a shared range may do; all of them were asked for once it
		 * begins anew. */
		for (size_t k = 0; rule->share && k < rule->n_open; k++)
			if (range_has(&rule->open[k], protocol, ext_port)) {
				x->skip = (uint16_t)(ext_port - rule->open[k].first + 1);
				t->again = ext_port < rule->open[k].last;
				if (t->again)
					return;
			}
		x->skip = 0;
		x->retry_ms = now_ms + TURNS_AGAIN_MS;
	}
}

void turns_forget(struct turns *t, struct in_addr host, uint8_t protocol,
		  uint16_t ext_port)
{
	for (size_t i = 0; i < t->n; i++) {
		struct turn *x = &t->turn[i];

		x->forgotten = x->forgotten ||
			       (x->host.s_addr == host.s_addr &&
				turns_opens(&t->rules[x->rule], protocol, ext_port));
	}
}

uint64_t turns_left(const struct turns *t, struct in_addr host, uint8_t protocol,
		    uint16_t ext_port)
{
	uint64_t most = 0;

	for (size_t i = 0; i < t->n; i++) {
		const struct turn *x = &t->turn[i];
		uint64_t left;

		if (x->host.s_addr != host.s_addr ||
		    !turns_opens(&t->rules[x->rule], protocol, ext_port))
			continue;
		left = turn_left(t, x);
		if (left > most)
			most = left;
	}
	return most;
}
