/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method Add: a lease in the admin's own name. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/control_inside.h"

#define ADD_SECONDS 86400
#define ADD_SECONDS_MAX 604800

struct addition {
	struct control *control;
	struct varlink_call *call;
	struct lease_request req;
};

/* A number from 1 on; what is not there stays as it is. */
static bool take_number(const json_t *params, const char *name, json_int_t max,
			json_int_t *out)
{
	const json_t *v = json_object_get(params, name);

	if (!v || json_is_null(v))
		return true;
	*out = json_integer_value(v);
	return json_is_integer(v) && *out >= 1 && *out <= max;
}

static bool take_text(const json_t *params, const char *name, const char **out)
{
	const json_t *v = json_object_get(params, name);

	*out = json_string_value(v);
	return !v || json_is_null(v) || *out;
}

/* NULL, or the parameter that is wrong. */
static const char *addition_parse(struct lease_request *req, const json_t *params)
{
	json_int_t ext = 0, inside = 0, seconds = ADD_SECONDS;
	const char *protocol, *address, *remote, *description;
	struct prefix p = {0};

	*req = (struct lease_request){
		.op = LEASE_OP_MAP, .by = LEASE_BY_ADMIN, .flags = LEASE_EXACT};
	if (!take_text(params, "protocol", &protocol) || !protocol ||
	    (strcmp(protocol, "tcp") && strcmp(protocol, "udp")))
		return "protocol";
	if (!take_number(params, "external_port", 65535, &ext) || !ext)
		return "external_port";
	inside = ext;
	if (!take_text(params, "internal_address", &address) || !address ||
	    addr_parse(address, &req->internal))
		return "internal_address";
	if (!take_number(params, "internal_port", 65535, &inside) ||
	    (!addr_is_v4(&req->internal) && inside != ext))
		return "internal_port";
	if (!take_text(params, "remote", &remote) || (remote && prefix_parse(remote, &p)))
		return "remote";
	if (!take_number(params, "seconds", ADD_SECONDS_MAX, &seconds))
		return "seconds";
	if (!take_text(params, "description", &description) ||
	    (description && strlen(description) > LEASE_DESCRIPTION_MAX))
		return "description";
	prefix_trim(&p);
	req->protocol = strcmp(protocol, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	req->ext_port = (uint16_t)ext;
	req->int_port = (uint16_t)inside;
	req->client = req->internal;
	req->remote = p.addr;
	req->remote_len = p.len;
	req->lifetime = (uint32_t)seconds;
	if (description) {
		req->flags |= LEASE_DESCRIBE;
		strcpy(req->description, description);
	}
	return NULL;
}

static void add_done(void *arg, enum lease_reason reason)
{
	struct addition *a = arg;
	const struct control *c = a->control;
	const struct control_key key = {
		.protocol = a->req.protocol,
		.ext_port = a->req.ext_port,
		.remote = a->req.remote,
		.remote_len = a->req.remote_len,
		.internal = addr_is_v4(&a->req.internal)
				    ? (struct in6_addr)IN6ADDR_ANY_INIT
				    : a->req.internal,
	};
	const struct lease *l = reason ? NULL : c->ops->find_lease(c->core, &key);

	if (l)
		varlink_reply(a->call, json_pack("{s:o}", "lease",
						 control_lease(c, l, clock_ms())));
	else
		varlink_error(a->call, "org.portreeve.Failed",
			      json_pack("{s:s,s:s}", "reason", lease_reason_name(reason),
					"text",
					reason ? lease_reason_text(reason)
					       : "it has ended already"));
	free(a);
}

void control_add(void *arg, struct varlink_call *call)
{
	static const char *const names[] = {
		"protocol",      "external_port", "remote",     "internal_address",
		"internal_port", "seconds",       "description"};
	struct addition *a;
	const char *wrong;

	if (!control_has_only(call, names, sizeof(names) / sizeof(names[0])))
		return;
	if (varlink_uid(call) != 0) {
		varlink_error(call, "org.portreeve.NotAllowed", NULL);
		return;
	}
	a = malloc(sizeof(*a));
	if (!a) {
		varlink_error(call, "org.portreeve.Failed",
			      json_pack("{s:s,s:s}", "reason", "memory", "text",
					"out of memory"));
		return;
	}
	a->control = arg;
	a->call = call;
	wrong = addition_parse(&a->req, varlink_parameters(call));
	if (wrong) {
		varlink_invalid(call, wrong);
		free(a);
		return;
	}
	a->control->ops->add_lease(a->control->core, &a->req, add_done, a);
}
