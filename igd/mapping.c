/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The actions of a connection that are about port mappings. */
#include "igd/mapping.h"

#include <string.h>

#include "igd/action.h"
#include "igd/args.h"
#include "igd/listing.h"
#include "igd/text.h"

/* WANIPConnection:2 section 2.3.18: a week at most. */
#define LEASE_WEEK 604800u

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

/* Row W17: in :2 a host reads what is its own, in :1 every list is everybody's. */
static void own_only(const struct action_run *r)
{
	if (r->action->version >= 2)
		r->req->flags |= LEASE_OWN;
}

static int run_key(const struct action_run *r)
{
	int err = args_key(r->call, r->req);

	if (r->action->def->op == LEASE_OP_GET_PORT)
		own_only(r);
	/* There is no lease on port 0. */
	return !err && !r->req->ext_port ? ERROR_NO_SUCH_ENTRY : err;
}

static int run_index(const struct action_run *r)
{
	int err = args_number(r->call, "NewPortMappingIndex", UINT32_MAX, &r->req->index);

	own_only(r);
	return err == ERROR_VALUE_OUT_OF_RANGE ? ERROR_INDEX_INVALID : err;
}

static int refusal_map(const struct action *a, enum lease_reason reason)
{
	bool v2 = a->version >= 2;

	switch (reason) {
	case LEASE_NOT_LAN:
	case LEASE_THIRD_PARTY:
	case LEASE_ACCESS:
	case LEASE_DENIED:
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
	case LEASE_DENIED:
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

static int reply_any(const struct action *a, const struct lease_reply *reply,
		     struct soap_writer *w)
{
	(void)a;
	soap_put_number(w, "NewReservedPort", reply->ext_port);
	return 0;
}

/* Row W3: a lease without a clock shows 0 in :1; in :2 there is no such thing, so it shows
 * what is left or the longest there is. */
static uint32_t shown_lease(const struct action *a, const struct lease_reply *reply)
{
	bool until_gone = reply->flags & LEASE_UNTIL_GONE;

	if (until_gone && a->version == 1)
		return 0;
	return reply->lifetime > LEASE_WEEK || (until_gone && !reply->lifetime)
		       ? LEASE_WEEK
		       : reply->lifetime;
}

/* What both readers of entries tell. */
static int reply_entry(const struct action *a, const struct lease_reply *reply,
		       struct soap_writer *w)
{
	char addr[ADDR_TEXT], description[LEASE_DESCRIPTION_MAX + 1];

	/* Other front ends let in what XML cannot hold. */
	text_clean(description, LEASE_DESCRIPTION_MAX, reply->description);
	soap_put_number(w, "NewInternalPort", reply->int_port);
	soap_put(w, "NewInternalClient", addr_text(&reply->internal, addr));
	soap_put(w, "NewEnabled", reply->flags & LEASE_DISABLED ? "0" : "1");
	soap_put(w, "NewPortMappingDescription", description);
	soap_put_number(w, "NewLeaseDuration", shown_lease(a, reply));
	return 0;
}

static int reply_index(const struct action *a, const struct lease_reply *reply,
		       struct soap_writer *w)
{
	char remote[ADDR_TEXT];

	soap_put(w, "NewRemoteHost",
		 reply->remote_len ? addr_text(&reply->remote, remote) : "");
	soap_put_number(w, "NewExternalPort", reply->ext_port);
	soap_put(w, "NewProtocol", reply->protocol == IPPROTO_TCP ? "TCP" : "UDP");
	return reply_entry(a, reply, w);
}

/* ---- Ranges of ports, WANIPConnection:2 sections 2.5.19 and 2.5.21 ---- */

/* NewManage asks for the entries of others too, which nobody may touch without
 * DeviceProtection: it is read and has no effect (row W15). */
static int run_range(const struct action_run *r)
{
	struct lease_request *req = r->req;
	bool manage;
	int err = args_port(r->call, "NewStartPort", &req->ext_port);

	if (!err)
		err = args_port(r->call, "NewEndPort", &req->last_port);
	if (!err)
		err = args_protocol(r->call, &req->protocol);
	if (!err)
		err = args_bool(r->call, "NewManage", &manage);
	if (!err && req->ext_port > req->last_port)
		err = ERROR_INCONSISTENT;
	return err;
}

static int run_list(const struct action_run *r)
{
	uint32_t most = 0;
	int err = run_range(r);

	/* What is wrong with an argument is said before how two of them go together. */
	if (!err || err == ERROR_INCONSISTENT) {
		int number = args_number(r->call, "NewNumberOfPorts", UINT16_MAX, &most);

		err = number ? number : err;
	}
	if (err)
		return err;
	r->action->listing = listing_new(r->req, most);
	return r->action->listing ? 0 : ERROR_OUT_OF_MEMORY;
}

static int refusal_range(const struct action *a, enum lease_reason reason)
{
	(void)a;
	return refusal_entry(reason, ERROR_NOT_FOUND);
}

bool mapping_list_more(struct action *a, const struct lease_reply *reply,
		       struct lease_request *req)
{
	return listing_add(a->listing, reply, shown_lease(a, reply), req);
}

/* Row W16. CDATA, as programs on miniupnpc take the text as it stands. */
static int reply_list(const struct action *a, const struct lease_reply *reply,
		      struct soap_writer *w)
{
	const char *text = listing_end(a->listing);

	(void)reply;
	if (!text)
		return ERROR_NOT_FOUND;
	soap_put_cdata(w, "NewPortListing", text);
	return 0;
}

const struct action_def actions_mapping[] = {
	{.name = "AddPortMapping",
	 .version = 1,
	 .op = LEASE_OP_MAP,
	 .exact = true,
	 .run = run_map,
	 .refusal = refusal_map},
	{.name = "AddAnyPortMapping",
	 .version = 2,
	 .op = LEASE_OP_MAP,
	 .run = run_map,
	 .refusal = refusal_map,
	 .reply = reply_any},
	{.name = "DeletePortMapping",
	 .version = 1,
	 .op = LEASE_OP_UNMAP_PORT,
	 .run = run_key,
	 .refusal = refusal_key},
	{.name = "DeletePortMappingRange",
	 .version = 2,
	 .op = LEASE_OP_UNMAP_RANGE,
	 .run = run_range,
	 .refusal = refusal_range},
	{.name = "GetSpecificPortMappingEntry",
	 .version = 1,
	 .op = LEASE_OP_GET_PORT,
	 .run = run_key,
	 .refusal = refusal_key,
	 .reply = reply_entry},
	{.name = "GetGenericPortMappingEntry",
	 .version = 1,
	 .op = LEASE_OP_GET_INDEX,
	 .run = run_index,
	 .refusal = refusal_index,
	 .reply = reply_index},
	{.name = "GetListOfPortMappings",
	 .version = 2,
	 .op = LEASE_OP_GET_NEXT,
	 .run = run_list,
	 .refusal = refusal_range,
	 .reply = reply_list},
	{0},
};
