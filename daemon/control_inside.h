/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the control socket share. */
#pragma once

#include <jansson.h>

#include "daemon/control.h"
#include "daemon/varlink.h"

#define CONTROL_EVENTS 256 /* that a slow watcher may be behind */
#define CONTROL_WATCHERS 8 /* of 16 connections */

struct control_watcher;

struct control {
	struct varlink *varlink;
	const struct control_ops *ops;
	void *core;
	struct control_watcher *watchers;
	size_t n_watchers;
	struct control_event {
		struct store_event event;
		bool renewed;
	} * events;        /* the last ones, while somebody watches */
	uint64_t n_events; /* ever; the number of the next */
};

/* Keys outlive the leases: a list that is read slowly holds 36 bytes each, no more. */
struct control_keys {
	struct control_key *key;
	size_t n;
	size_t room;
	bool failed; /* no memory */
};
/* That lease's, too; arg: struct control_keys. */
void control_keys_add(void *arg, const struct lease *l);
void control_no_memory(struct varlink_call *call);

/* A parameter that we do not know might narrow what is meant: refused by its name. */
bool control_has_only(struct varlink_call *call, const char *const *names, size_t n);
const char *control_protocol(uint8_t protocol);
/* What began before the boot began before zero. */
json_int_t control_seconds_since(uint64_t then_ms, uint64_t now_ms);
json_t *control_address(const struct in6_addr *a);
/* A client's text as JSON can have it. NULL: no memory. */
json_t *control_text(const char *description);

void control_history(void *arg, struct varlink_call *call);
void control_explain(void *arg, struct varlink_call *call);
/* What happened, in the history's form; renewals are not in the history. */
json_t *control_event_json(const struct store_event *e, bool renewed);
void control_add(void *arg, struct varlink_call *call);
void control_watch(void *arg, struct varlink_call *call);
void control_metrics(void *arg, struct varlink_call *call);
void control_flows(void *arg, struct varlink_call *call);
/* The schema is stable for scripts. NULL: no memory. */
json_t *control_lease(const struct control *c, const struct lease *l, uint64_t now_ms);
/* And what goes by it; NULL: that is not known. */
json_t *control_lease_with(const struct control *c, const struct lease *l,
			   uint64_t now_ms, const struct traffic_sum *sum);
void control_list(void *arg, struct varlink_call *call);
void control_delete(void *arg, struct varlink_call *call);
void control_deny(void *arg, struct varlink_call *call);
void control_allow(void *arg, struct varlink_call *call);
void control_denials(void *arg, struct varlink_call *call);
void control_nat_type(void *arg, struct varlink_call *call);
void control_profiles(void *arg, struct varlink_call *call);
