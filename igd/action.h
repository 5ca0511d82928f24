/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files that hold the actions share: one entry for each action, and a call on its
 * way through its handler.
 */
#pragma once

#include "igd/actions.h"

/* A call on its way through a handler. */
struct action_run {
	struct action *action;
	const struct action_env *env;
	const struct soap_call *call;
	struct lease_request *req;
	struct soap_writer *w;
};

struct action_def {
	const char *name;
	uint8_t version; /* the first that has it */
	uint8_t op;      /* enum lease_op that goes to the core, or 0 */
	bool exact;      /* of LEASE_OP_MAP: this external port or none */
	bool counters;   /* wants fresh ones */
	bool ppp;        /* of WANPPPConnection only */
	/* Fills r->req or writes the arguments of the answer; returns a UPnP error or 0. */
	int (*run)(const struct action_run *r);
	/* Which error a refusal is. */
	int (*refusal)(const struct action *a, enum lease_reason reason);
	/* Writes the arguments of an answer out of the core's reply; a UPnP error or 0. */
	int (*reply)(const struct action *a, const struct lease_reply *reply,
		     struct soap_writer *w);
};

/* Each ends at a NULL name. */
extern const struct action_def actions_layer3[];
extern const struct action_def actions_common[];
extern const struct action_def actions_connection[];
extern const struct action_def actions_mapping[]; /* of the same service */
extern const struct action_def actions_firewall[];

/* WANIPv6FirewallControl's own words for an error; NULL: it is a general one. */
const char *firewall_error_text(int code);
/* ui4 of a rate. */
uint32_t action_rate(uint64_t bits_per_s);
/* An optional action that is not there (row U17): 602. */
int action_is_optional(const struct action_run *r);
