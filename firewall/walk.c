/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/walk.h"

#include <linux/netfilter.h>
#include <stdio.h> /* libnftnl's headers want FILE */

#include <libnftnl/rule.h>

#include "firewall/walk_eval.h"

#define WALK_DEPTH 16     /* the kernel's own limit for jumps */
#define WALK_RULES 100000 /* in all: chains that are jumped to again and again */

static struct walk_end end_at(const struct walker *w, enum walk_fate fate,
			      const struct nftnl_rule *rule)
{
	return (struct walk_end){
		.fate = fate,
		.chain = w->chain,
		.handle = rule ? nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE) : 0};
}

/* Remembers what may happen and is not sure. */
static void note(struct walker *w, const struct nftnl_rule *rule)
{
	if (w->action == EVAL_DROP && !w->may_drop.chain)
		w->may_drop = end_at(w, WALK_DROP, rule);
	else if (w->action == EVAL_ACCEPT || w->action == EVAL_DNAT)
		w->may_have_passed = true;
}

/* True: it ended in there, at *end. `sure`: the packet does come here. */
static bool run(struct walker *w, const struct foreign_chain *chain, bool sure,
		unsigned int depth, struct walk_end *end)
{
	for (size_t i = 0; i < chain->n_rules && w->rules < WALK_RULES; i++) {
		const struct foreign_chain *to = NULL;
		enum eval_action action;
		enum eval_truth match;
		bool certain;

		w->rules++;
		w->chain = chain;
		match = eval_rule(w, chain->rule[i]);
		action = w->action;
		certain = sure && match == EVAL_YES;
		if (match == EVAL_NO || action == EVAL_GO_ON)
			continue;
		if (action == EVAL_JUMP || action == EVAL_GOTO) {
			to = depth < WALK_DEPTH
				     ? foreign_find_chain(w->f, chain->family,
							  chain->table, w->target)
				     : NULL;
			if (to && run(w, to, certain, depth + 1, end))
				return true;
		} else if (!certain) {
			note(w, chain->rule[i]);
		} else if (action != EVAL_RETURN) {
			*end = end_at(w,
				      action == EVAL_DROP   ? WALK_DROP
				      : action == EVAL_DNAT ? WALK_DNAT
							    : WALK_ACCEPT,
				      chain->rule[i]);
			return true;
		}
		if (action == EVAL_RETURN || action == EVAL_GOTO) {
			if (certain)
				return false;
			sure = false; /* of what comes behind it */
		}
	}
	return false;
}

struct walk_end walk_chain(struct foreign *f, const struct foreign_chain *base,
			   const struct walk_packet *p)
{
	struct walker w = {.f = f, .p = p};
	struct walk_end end;

	eval_begin(&w);
	if (!run(&w, base, true, 0, &end))
		end = (struct walk_end){.fate = base->drop ? WALK_DROP : WALK_ACCEPT,
					.chain = base};
	if (end.fate == WALK_DROP && w.may_have_passed)
		end.fate = WALK_MAYBE;
	if (end.fate == WALK_ACCEPT && w.may_drop.chain) {
		end = w.may_drop;
		end.fate = WALK_MAYBE;
	}
	end.base = base;
	return end;
}

struct walk_end walk_hook(struct foreign *f, uint32_t hook, bool nat, int32_t first,
			  int32_t last, const struct walk_packet *p)
{
	const uint8_t family = p->ipv6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	struct walk_end maybe = {.fate = WALK_ACCEPT};

	/* Each chain is asked, so their order matters only to who is named. */
	for (size_t i = 0; i < f->n_chains; i++) {
		const struct foreign_chain *c = &f->chain[i];
		struct walk_end end;

		if (!c->base || c->hook != hook || c->nat != nat || c->priority < first ||
		    c->priority > last ||
		    (c->family != family && c->family != NFPROTO_INET))
			continue;
		end = walk_chain(f, c, p);
		if (end.fate != WALK_ACCEPT && end.fate != WALK_MAYBE)
			return end;
		if (!maybe.base || maybe.fate == WALK_ACCEPT)
			maybe = end;
	}
	return maybe;
}
