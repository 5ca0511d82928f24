/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/actions.h"

#include <stdio.h>
#include <string.h>

#include "igd/action.h"
#include "igd/args.h"
#include "igd/listing.h"
#include "igd/mapping.h"

/* Where the actions of a service stand. */
static const struct action_def *const tables[IGD_SERVICES][2] = {
	[IGD_LAYER3] = {actions_layer3},
	[IGD_COMMON] = {actions_common},
	[IGD_CONNECTION] = {actions_mapping, actions_connection},
	[IGD_PPP] = {actions_mapping, actions_connection},
	[IGD_FIREWALL] = {actions_firewall},
};

void action_fault(int code, struct soap_writer *w, struct action_answer *answer)
{
	answer->status = 500;
	answer->body = soap_fault(w, code, args_error_text(code), &answer->len);
}

int action_is_optional(const struct action_run *r)
{
	(void)r;
	return ERROR_OPTIONAL;
}

int action_find(unsigned int face, enum igd_service service, const char *urn,
		const char *name, struct action *out)
{
	const struct igd_service_def *s = description_service(face, service);
	size_t n = s ? strlen(s->type) : 0;
	unsigned int version;

	/* Row U15: any version up to that of the service, one digit. */
	if (!s || strncmp(urn, s->type, n) != 0 || urn[n] != ':' || urn[n + 1] < '1' ||
	    urn[n + 1] > '9' || urn[n + 2])
		return ERROR_INVALID_ACTION;
	version = (unsigned int)(urn[n + 1] - '0');
	if (version > s->version)
		return ERROR_INVALID_ACTION;
	for (size_t i = 0; i < 2 && tables[service][i]; i++) {
		const struct action_def *def = tables[service][i];

		while (def->name && strcmp(def->name, name) != 0)
			def++;
		if (!def->name || def->version > version ||
		    (def->ppp && service != IGD_PPP))
			continue;
		*out = (struct action){.def = def,
				       .service = service,
				       .face = (uint8_t)face,
				       .version = (uint8_t)version};
		return 0;
	}
	return ERROR_INVALID_ACTION;
}

/* The answer's namespace is that of the question. */
static void action_begin(const struct action *a, struct soap_writer *w)
{
	char urn[SOAP_URN_MAX + 1];

	snprintf(urn, sizeof(urn), "%s:%u",
		 description_service(a->face, a->service)->type, a->version);
	soap_begin(w, urn, a->def->name);
}

static void action_end(struct soap_writer *w, struct action_answer *answer)
{
	answer->status = 200;
	answer->body = soap_end(w, &answer->len);
}

/* The service's own words for an error go before the general ones. */
static void action_refuse(const struct action *a, int code, struct soap_writer *w,
			  struct action_answer *answer)
{
	const char *text = a->service == IGD_FIREWALL ? firewall_error_text(code) : NULL;

	answer->status = 500;
	answer->body = soap_fault(w, code, text ? text : args_error_text(code),
				  &answer->len);
}

/* An action that needs nobody: its handler writes into an answer that is begun already. */
static void action_local(const struct action_run *r, struct action_answer *answer)
{
	int err;

	action_begin(r->action, r->w);
	err = r->action->def->run(r);
	if (err)
		action_refuse(r->action, err, r->w, answer);
	else
		action_end(r->w, answer);
}

enum action_step action_run(struct action *a, const struct action_env *env,
			    const struct soap_call *call, struct lease_request *req,
			    struct soap_writer *w, struct action_answer *answer)
{
	struct action_run r = {a, env, call, req, w};
	int err;

	*answer = (struct action_answer){0};
	if (a->def->counters)
		return ACTION_REFRESH;
	if (!a->def->op) {
		action_local(&r, answer);
		return ACTION_ANSWERED;
	}
	*req = (struct lease_request){
		.op = a->def->op,
		.by = LEASE_BY_UPNP,
		.client = env->client,
	};
	err = a->def->run(&r);
	if (!err)
		return ACTION_ASK;
	action_refuse(a, err, w, answer);
	return ACTION_ANSWERED;
}

enum action_step action_reply(struct action *a, const struct lease_reply *reply,
			      struct lease_request *req, struct soap_writer *w,
			      struct action_answer *answer)
{
	int err = 0;

	*answer = (struct action_answer){0};
	if (reply->reason == LEASE_RATE) {
		answer->status = 503;
		return ACTION_ANSWERED;
	}
	if (a->listing && mapping_list_more(a, reply, req))
		return ACTION_ASK;
	if (reply->reason != LEASE_OK &&
	    !(a->listing && reply->reason == LEASE_NOT_FOUND))
		err = a->def->refusal(a, reply->reason);
	if (!err)
		action_begin(a, w);
	if (!err && a->def->reply)
		err = a->def->reply(a, reply, w);
	if (err)
		action_refuse(a, err, w, answer);
	else
		action_end(w, answer);
	return ACTION_ANSWERED;
}

void action_counters(struct action *a, const struct action_env *env,
		     struct soap_writer *w, struct action_answer *answer)
{
	struct action_run r = {a, env, NULL, NULL, w};

	*answer = (struct action_answer){0};
	action_local(&r, answer);
}

void action_forget(struct action *a)
{
	listing_free(a->listing);
	a->listing = NULL;
}
