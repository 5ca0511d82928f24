/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/actions.h"

#include <stdio.h>
#include <string.h>

#include "igd/args.h"
#include "igd/text.h"

/* WANIPConnection:2 section 2.3.18: a week at most. */
#define LEASE_WEEK 604800u

/* A call on its way through a handler. */
struct action_run {
	const struct action *action;
	const struct action_env *env;
	const struct soap_call *call;
	struct lease_request *req;
	struct soap_writer *w;
};

struct action_def {
	enum igd_service service;
	const char *name;
	uint8_t version; /* the first that has it */
	uint8_t op;      /* enum lease_op that goes to the core, or 0 */
	bool exact;      /* of LEASE_OP_MAP: this external port or none */
	bool counters;   /* wants fresh ones */
	/* Fills r->req or writes the arguments of the answer; returns a UPnP error or 0. */
	int (*run)(const struct action_run *r);
	/* Which error a refusal is. */
	int (*refusal)(const struct action *a, enum lease_reason reason);
	/* Writes the arguments of an answer out of the core's reply. */
	void (*reply)(const struct action *a, const struct lease_reply *reply,
		      struct soap_writer *w);
};

void action_fault(int code, struct soap_writer *w, struct action_answer *answer)
{
	answer->status = 500;
	answer->body = soap_fault(w, code, args_error_text(code), &answer->len);
}

const char *action_status_text(const struct record_state *s)
{
	return s->wan_up ? "Connected" : "Disconnected";
}

const char *action_external_text(const struct record_state *s, char buf[ADDR_TEXT])
{
	return addr_is_none(&s->wan4) ? "" : addr_text(&s->wan4, buf);
}

/* "Not for you": a code of its own in :2; in :1 clients know only 718 (rows W8, X3). */
static int refused(const struct action *a)
{
	return a->version >= 2 ? ERROR_NOT_AUTHORIZED : ERROR_CONFLICT;
}

/* Row W3. In :1 a lease of 0 has no end of its own; in :2 it is a week. */
static int read_lease(const struct action_run *r)
{
	int err = args_number(r->call, "NewLeaseDuration", UINT32_MAX, &r->req->lifetime);

	if (err)
		return err;
	if (!r->req->lifetime && r->action->version == 1)
		r->req->flags |= LEASE_UNTIL_GONE;
	if (!r->req->lifetime || r->req->lifetime > LEASE_WEEK)
		r->req->lifetime = LEASE_WEEK;
	return 0;
}

/* Rows W1, W3, W5-W8, W11, W13, W22. First what cannot be read, then what cannot be had. */
static int run_map(const struct action_run *r)
{
	const struct soap_call *call = r->call;
	const char *client = soap_arg(call, "NewInternalClient");
	const char *description = soap_arg(call, "NewPortMappingDescription");
	const char *ext = soap_arg(call, "NewExternalPort");
	bool any = !r->action->def->exact && ext && strcmp(ext, "*") == 0;
	struct lease_request *req = r->req;
	bool enabled = false;
	int err = args_remote(call, req);

	if (!err && !any)
		err = args_port(call, "NewExternalPort", &req->ext_port);
	if (!err)
		err = args_protocol(call, &req->protocol);
	if (!err)
		err = args_port(call, "NewInternalPort", &req->int_port);
	if (!err)
		err = args_bool(call, "NewEnabled", &enabled);
	if (!err)
		err = read_lease(r);
	if (!err && (!client || !description))
		err = ERROR_INVALID_ARGS;
	if (err)
		return err;
	if (!*client)
		return ERROR_WILDCARD_SOURCE;
	if (args_v4(client, &req->internal))
		return ERROR_INVALID_ARGS;
	if (!req->int_port)
		return ERROR_WILDCARD_INT_PORT;
	if (!req->ext_port && r->action->def->exact)
		return ERROR_WILDCARD_EXT_PORT;
	if (!addr_equal(&req->internal, &req->client))
		return refused(r->action);
	if (!enabled)
		req->flags |= LEASE_DISABLED;
	if (r->action->def->exact)
		req->flags |= LEASE_EXACT;
	text_clean(req->description, LEASE_DESCRIPTION_MAX, description);
	req->flags |= LEASE_DESCRIBE;
	return 0;
}

static int run_key(const struct action_run *r)
{
	int err = args_key(r->call, r->req);

	/* There is no lease on port 0. */
	return !err && !r->req->ext_port ? ERROR_NO_SUCH_ENTRY : err;
}

static int run_index(const struct action_run *r)
{
	int err = args_number(r->call, "NewPortMappingIndex", UINT32_MAX, &r->req->index);

	return err == ERROR_VALUE_OUT_OF_RANGE ? ERROR_INDEX_INVALID : err;
}

static int refusal_map(const struct action *a, enum lease_reason reason)
{
	bool v2 = a->version >= 2;

	switch (reason) {
	case LEASE_NOT_LAN:
	case LEASE_THIRD_PARTY:
	case LEASE_ACCESS:
	case LEASE_NOT_OWNER:
	case LEASE_NONCE_MISMATCH:
		return refused(a);
	case LEASE_TAKEN:
		return ERROR_CONFLICT;
	case LEASE_RESERVED:
	case LEASE_ROUTER:
	case LEASE_STATIC:
		return v2 ? ERROR_CONFLICT_WITH_OTHER : ERROR_CONFLICT;
	case LEASE_QUOTA_HOST:
	case LEASE_QUOTA_TABLE:
	case LEASE_NO_PORT:
		return v2 ? ERROR_NO_PORT_MAPS : ERROR_ACTION_FAILED;
	case LEASE_PROTOCOL:
	case LEASE_PORT:
		return ERROR_VALUE_OUT_OF_RANGE;
	case LEASE_FILTERS:
	case LEASE_REMOTE:
		return v2 ? ERROR_NOT_AUTHORIZED : ERROR_REMOTE_HOST_ONLY_WILDCARD;
	case LEASE_OK:
	case LEASE_RATE:
	case LEASE_NOT_FOUND:
	case LEASE_NO_WAN:
	case LEASE_KERNEL:
	case LEASE_REASON_END:
		break;
	}
	return ERROR_ACTION_FAILED;
}

/* Of actions on an entry that must be there; `absent` is their word for its lack. */
static int refusal_entry(enum lease_reason reason, int absent)
{
	switch (reason) {
	case LEASE_NOT_FOUND:
		return absent;
	case LEASE_NOT_LAN:
	case LEASE_THIRD_PARTY:
	case LEASE_NOT_OWNER:
	case LEASE_STATIC:
	case LEASE_RESERVED:
	case LEASE_ROUTER:
	case LEASE_ACCESS:
	case LEASE_NONCE_MISMATCH:
		return ERROR_NOT_AUTHORIZED;
	case LEASE_PROTOCOL:
	case LEASE_PORT:
		return ERROR_VALUE_OUT_OF_RANGE;
	case LEASE_OK:
	case LEASE_QUOTA_HOST:
	case LEASE_QUOTA_TABLE:
	case LEASE_RATE:
	case LEASE_TAKEN:
	case LEASE_NO_PORT:
	case LEASE_NO_WAN:
	case LEASE_FILTERS:
	case LEASE_REMOTE:
	case LEASE_KERNEL:
	case LEASE_REASON_END:
		break;
	}
	return ERROR_ACTION_FAILED;
}

static int refusal_key(const struct action *a, enum lease_reason reason)
{
	(void)a;
	return refusal_entry(reason, ERROR_NO_SUCH_ENTRY);
}

static int refusal_index(const struct action *a, enum lease_reason reason)
{
	(void)a;
	return refusal_entry(reason, ERROR_INDEX_INVALID);
}

static void reply_any(const struct action *a, const struct lease_reply *reply,
		      struct soap_writer *w)
{
	(void)a;
	soap_put_number(w, "NewReservedPort", reply->ext_port);
}

/* What both readers of entries tell. Row W3: a lease without a clock shows 0 in :1; in :2
 * there is no such thing, so it shows what is left or the longest there is. */
static void reply_entry(const struct action *a, const struct lease_reply *reply,
			struct soap_writer *w)
{
	bool until_gone = reply->flags & LEASE_UNTIL_GONE;
	uint32_t lifetime = reply->lifetime;
	char addr[ADDR_TEXT], description[LEASE_DESCRIPTION_MAX + 1];

	if (until_gone && a->version == 1)
		lifetime = 0;
	else if (lifetime > LEASE_WEEK || (until_gone && !lifetime))
		lifetime = LEASE_WEEK;
	/* Other front ends let in what XML cannot hold. */
	text_clean(description, LEASE_DESCRIPTION_MAX, reply->description);
	soap_put_number(w, "NewInternalPort", reply->int_port);
	soap_put(w, "NewInternalClient", addr_text(&reply->internal, addr));
	soap_put(w, "NewEnabled", reply->flags & LEASE_DISABLED ? "0" : "1");
	soap_put(w, "NewPortMappingDescription", description);
	soap_put_number(w, "NewLeaseDuration", lifetime);
}

static void reply_index(const struct action *a, const struct lease_reply *reply,
			struct soap_writer *w)
{
	char remote[ADDR_TEXT];

	soap_put(w, "NewRemoteHost",
		 reply->remote_len ? addr_text(&reply->remote, remote) : "");
	soap_put_number(w, "NewExternalPort", reply->ext_port);
	soap_put(w, "NewProtocol", reply->protocol == IPPROTO_TCP ? "TCP" : "UDP");
	reply_entry(a, reply, w);
}

static int run_external(const struct action_run *r)
{
	char addr[ADDR_TEXT];

	soap_put(r->w, "NewExternalIPAddress", action_external_text(r->env->state, addr));
	return 0;
}

static int run_status(const struct action_run *r)
{
	const struct record_state *s = r->env->state;
	uint64_t up_ms = s->wan_since_ms && r->env->now_ms > s->wan_since_ms
				 ? r->env->now_ms - s->wan_since_ms
				 : 0;

	soap_put(r->w, "NewConnectionStatus", action_status_text(s));
	soap_put(r->w, "NewLastConnectionError", "ERROR_NONE");
	soap_put_number(r->w, "NewUptime", (uint32_t)(s->wan_up ? up_ms / 1000 : 0));
	return 0;
}

/* Row W20: go-ethereum and go-libp2p want exactly these. */
static int run_nat(const struct action_run *r)
{
	soap_put(r->w, "NewRSIPAvailable", "0");
	soap_put(r->w, "NewNATEnabled", "1");
	return 0;
}

static int run_type(const struct action_run *r)
{
	soap_put(r->w, "NewConnectionType", "IP_Routed");
	soap_put(r->w, "NewPossibleConnectionTypes", "IP_Routed");
	return 0;
}

/* Row W21: nobody on the LAN changes the connection. */
static int run_set_type(const struct action_run *r)
{
	if (!soap_arg(r->call, "NewConnectionType"))
		return ERROR_INVALID_ARGS;
	return r->action->version >= 2 ? ERROR_READ_ONLY : ERROR_ACTION_FAILED;
}

static int run_connect(const struct action_run *r)
{
	return r->env->state->wan_up ? 0 : ERROR_CONNECTION_SETUP_FAILED;
}

static int run_disconnect(const struct action_run *r)
{
	(void)r;
	return ERROR_NOT_AUTHORIZED;
}

static uint32_t rate(uint64_t bits_per_s)
{
	return bits_per_s > UINT32_MAX ? UINT32_MAX : (uint32_t)bits_per_s;
}

static int run_link(const struct action_run *r)
{
	const struct record_state *s = r->env->state;

	soap_put(r->w, "NewWANAccessType", "Ethernet");
	soap_put_number(r->w, "NewLayer1UpstreamMaxBitRate", rate(s->tx_bits_per_s));
	soap_put_number(r->w, "NewLayer1DownstreamMaxBitRate", rate(s->rx_bits_per_s));
	soap_put(r->w, "NewPhysicalLinkStatus", s->wan_up ? "Up" : "Down");
	return 0;
}

/* Row W24: ui4 that wraps. */
static int run_bytes_sent(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalBytesSent", (uint32_t)r->env->state->tx_bytes);
	return 0;
}

static int run_bytes_received(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalBytesReceived", (uint32_t)r->env->state->rx_bytes);
	return 0;
}

static int run_packets_sent(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalPacketsSent", (uint32_t)r->env->state->tx_packets);
	return 0;
}

static int run_packets_received(const struct action_run *r)
{
	soap_put_number(r->w, "NewTotalPacketsReceived",
			(uint32_t)r->env->state->rx_packets);
	return 0;
}

static int run_get_default(const struct action_run *r)
{
	soap_put(r->w, "NewDefaultConnectionService", r->env->connection);
	return 0;
}

/* There is one connection: it is the default, and stays so. */
static int run_set_default(const struct action_run *r)
{
	const char *value = soap_arg(r->call, "NewDefaultConnectionService");
	const char *ours = r->env->connection;
	size_t udn = strlen("uuid:") + strcspn(ours + strlen("uuid:"), ":");

	if (!value)
		return ERROR_INVALID_ARGS;
	if (strcmp(value, ours) == 0)
		return 0;
	return strncmp(value, ours, udn) == 0 ? ERROR_INVALID_SERVICE_ID
					      : ERROR_INVALID_UUID;
}

#define CONNECTION(action, first)                                                        \
	.service = IGD_CONNECTION, .name = action, .version = first

static const struct action_def defs[] = {
	{.service = IGD_LAYER3,
	 .name = "SetDefaultConnectionService",
	 .version = 1,
	 .run = run_set_default},
	{.service = IGD_LAYER3,
	 .name = "GetDefaultConnectionService",
	 .version = 1,
	 .run = run_get_default},
	{.service = IGD_COMMON,
	 .name = "GetCommonLinkProperties",
	 .version = 1,
	 .run = run_link},
	{.service = IGD_COMMON,
	 .name = "GetTotalBytesSent",
	 .version = 1,
	 .counters = true,
	 .run = run_bytes_sent},
	{.service = IGD_COMMON,
	 .name = "GetTotalBytesReceived",
	 .version = 1,
	 .counters = true,
	 .run = run_bytes_received},
	{.service = IGD_COMMON,
	 .name = "GetTotalPacketsSent",
	 .version = 1,
	 .counters = true,
	 .run = run_packets_sent},
	{.service = IGD_COMMON,
	 .name = "GetTotalPacketsReceived",
	 .version = 1,
	 .counters = true,
	 .run = run_packets_received},
	{CONNECTION("AddPortMapping", 1), .op = LEASE_OP_MAP, .exact = true,
	 .run = run_map, .refusal = refusal_map},
	{CONNECTION("AddAnyPortMapping", 2), .op = LEASE_OP_MAP, .run = run_map,
	 .refusal = refusal_map, .reply = reply_any},
	{CONNECTION("DeletePortMapping", 1), .op = LEASE_OP_UNMAP_PORT, .run = run_key,
	 .refusal = refusal_key},
	{CONNECTION("GetSpecificPortMappingEntry", 1), .op = LEASE_OP_GET_PORT,
	 .run = run_key, .refusal = refusal_key, .reply = reply_entry},
	{CONNECTION("GetGenericPortMappingEntry", 1), .op = LEASE_OP_GET_INDEX,
	 .run = run_index, .refusal = refusal_index, .reply = reply_index},
	{CONNECTION("GetExternalIPAddress", 1), .run = run_external},
	{CONNECTION("GetStatusInfo", 1), .run = run_status},
	{CONNECTION("GetNATRSIPStatus", 1), .run = run_nat},
	{CONNECTION("GetConnectionTypeInfo", 1), .run = run_type},
	{CONNECTION("SetConnectionType", 1), .run = run_set_type},
	{CONNECTION("RequestConnection", 1), .run = run_connect},
	{CONNECTION("ForceTermination", 1), .run = run_disconnect},
};

int action_find(unsigned int face, enum igd_service service, const char *urn,
		const char *name, struct action *out)
{
	const struct igd_service_def *s = description_service(face, service);
	size_t n = strlen(s->type);
	unsigned int version;

	/* Row U15: any version up to that of the service, one digit. */
	if (strncmp(urn, s->type, n) != 0 || urn[n] != ':' || urn[n + 1] < '1' ||
	    urn[n + 1] > '9' || urn[n + 2])
		return ERROR_INVALID_ACTION;
	version = (unsigned int)(urn[n + 1] - '0');
	if (version > s->version)
		return ERROR_INVALID_ACTION;
	for (size_t i = 0; i < sizeof(defs) / sizeof(defs[0]); i++) {
		if (defs[i].service != service || defs[i].version > version ||
		    strcmp(defs[i].name, name) != 0)
			continue;
		*out = (struct action){.def = &defs[i],
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
		 description_service(a->face, a->def->service)->type, a->version);
	soap_begin(w, urn, a->def->name);
}

static void action_end(struct soap_writer *w, struct action_answer *answer)
{
	answer->status = 200;
	answer->body = soap_end(w, &answer->len);
}

/* An action that needs nobody: its handler writes into an answer that is begun already. */
static void action_local(const struct action_run *r, struct action_answer *answer)
{
	int err;

	action_begin(r->action, r->w);
	err = r->action->def->run(r);
	if (err)
		action_fault(err, r->w, answer);
	else
		action_end(r->w, answer);
}

enum action_step action_run(const struct action *a, const struct action_env *env,
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
		.internal = env->client,
	};
	err = a->def->run(&r);
	if (!err)
		return ACTION_ASK;
	action_fault(err, w, answer);
	return ACTION_ANSWERED;
}

void action_reply(const struct action *a, const struct lease_reply *reply,
		  struct soap_writer *w, struct action_answer *answer)
{
	*answer = (struct action_answer){0};
	if (reply->reason == LEASE_RATE) {
		answer->status = 503;
		return;
	}
	if (reply->reason != LEASE_OK) {
		action_fault(a->def->refusal(a, reply->reason), w, answer);
		return;
	}
	action_begin(a, w);
	if (a->def->reply)
		a->def->reply(a, reply, w);
	action_end(w, answer);
}

void action_counters(const struct action *a, const struct action_env *env,
		     struct soap_writer *w, struct action_answer *answer)
{
	struct action_run r = {a, env, NULL, NULL, w};

	*answer = (struct action_answer){0};
	action_local(&r, answer);
}
