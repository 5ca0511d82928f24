/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One rule against one packet: the expressions of nf_tables, with bytes of which each is known
 * or not. Used by walk.c only.
 */
#pragma once

#include "firewall/walk.h"

struct nftnl_expr;
struct nftnl_rule;

#define EVAL_REGS 64  /* bytes: 16 registers of 4, or 4 of 16 */
#define WALK_DEPTH 16 /* the kernel's own limit for jumps */

enum eval_truth { EVAL_NO, EVAL_MAYBE, EVAL_YES };

enum eval_action {
	EVAL_GO_ON,
	EVAL_ACCEPT,
	EVAL_DROP,
	EVAL_DNAT,
	EVAL_JUMP,
	EVAL_GOTO,
	EVAL_RETURN,
};

/* Bytes of which each is known or not. */
struct eval_bytes {
	uint8_t value[EVAL_REGS];
	bool known[EVAL_REGS];
};

struct walker {
	struct foreign *f;
	const struct walk_packet *p;
	struct eval_bytes network;   /* the header of layer 3 */
	struct eval_bytes transport; /* and of layer 4 */
	unsigned int rules;          /* looked at so far */

	/* Of the present rule. */
	const struct foreign_chain *chain;
	struct eval_bytes reg;
	enum eval_action action;
	char target[256]; /* of a jump */

	/* What may have happened already. */
	bool may_have_passed;
	struct walk_end may_drop; /* with a chain: the first that may drop it */
};

static inline enum eval_truth eval_of(bool b)
{
	return b ? EVAL_YES : EVAL_NO;
}

/* RTN_LOCAL, RTN_UNICAST or RTN_MULTICAST. */
uint32_t eval_dst_type(const struct walk_packet *p);

/* Extensions of iptables. */
enum eval_truth eval_xt_match(struct walker *w, const struct nftnl_expr *e);
enum eval_truth eval_xt_target(struct walker *w, const struct nftnl_expr *e);

/* Sets the headers up that the packet has. */
void eval_begin(struct walker *w);
/* Does the rule match? w->action is what it does then, w->target where it jumps to. */
enum eval_truth eval_rule(struct walker *w, const struct nftnl_rule *rule);
