/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each action means: turns a SOAP call and the core's last state into an answer or a
 * question to the core, and the core's reply into an answer. Pure.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"
#include "base/record.h"
#include "igd/description.h"
#include "igd/soap.h"

struct action_def;
struct listing;

/* What must be remembered of a call while the core is asked. */
struct action {
	const struct action_def *def;
	enum igd_service service;
	uint8_t face;
	uint8_t version;         /* of the service, as the caller named it */
	struct listing *listing; /* its own, until action_forget() */
};

struct action_env {
	const struct record_state *state;
	uint64_t now_ms;
	struct in6_addr client;
	const char *connection; /* description_default_connection() of that face */
};

struct action_answer {
	int status;       /* of HTTP: 200, 500, 503 */
	const char *body; /* the writer's, until its next; NULL when there is none */
	size_t len;
};

enum action_step {
	ACTION_ANSWERED,
	ACTION_ASK, /* the request is filled in but for its tag: action_reply() goes on */
	ACTION_REFRESH, /* wants counters of now: action_counters() goes on */
};

/* Which action it is. 0, or the UPnP error: 401. */
int action_find(unsigned int face, enum igd_service service, const char *urn,
		const char *name, struct action *out);

/* After ACTION_ASK or ACTION_REFRESH the action is to be forgotten one day. */
enum action_step action_run(struct action *a, const struct action_env *env,
			    const struct soap_call *call, struct lease_request *req,
			    struct soap_writer *w, struct action_answer *answer);
/* ACTION_ASK: the core is to be asked again, by *req, but for its tag. */
enum action_step action_reply(struct action *a, const struct lease_reply *reply,
			      struct lease_request *req, struct soap_writer *w,
			      struct action_answer *answer);
void action_counters(struct action *a, const struct action_env *env,
		     struct soap_writer *w, struct action_answer *answer);
void action_forget(struct action *a);
/* Answers with a UPnP error. */
void action_fault(int code, struct soap_writer *w, struct action_answer *answer);

/* "Connected" or "Disconnected"; "a.b.c.d" or nothing: never 0.0.0.0. */
const char *action_status_text(const struct record_state *s);
const char *action_external_text(const struct record_state *s, char buf[ADDR_TEXT]);
