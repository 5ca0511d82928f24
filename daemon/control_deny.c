/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods Deny, Allow and Denials. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "daemon/control_inside.h"

static json_t *denial_json(const struct lease_denial *d)
{
	const struct port_range *r = &d->ports;
	char text[PREFIX_TEXT];
	const char *host = d->has_mac    ? mac_text(d->mac, text)
			   : d->host.len ? prefix_text(&d->host, text)
					 : NULL;

	return json_pack("{s:s?,s:s?,s:o,s:o,s:I}", "host", host, "protocol",
			 r->tcp && r->udp ? NULL
			 : r->tcp         ? "tcp"
					  : "udp",
			 "port", r->first ? json_integer(r->first) : json_null(),
			 "port_last", r->first ? json_integer(r->last) : json_null(),
			 "since", (json_int_t)d->since_s);
}

static json_t *denials_json(const struct control *c)
{
	json_t *list = json_array();
	const struct lease_denial *d;
	size_t n;

	d = c->ops->denials(c->core, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, denial_json(&d[i]));
	return list;
}

/* 0: it is not there. */
static bool take_port(const json_t *params, const char *name, uint16_t *out)
{
	const json_t *v = json_object_get(params, name);
	json_int_t n = json_integer_value(v);

	*out = 0;
	if (!v || json_is_null(v))
		return true;
	*out = (uint16_t)n;
	return json_is_integer(v) && n >= 1 && n <= 65535;
}

/* NULL, or the parameter that is wrong. */
static const char *denial_take(struct lease_denial *d, const json_t *params)
{
	const json_t *protocol = json_object_get(params, "protocol");
	const json_t *host = json_object_get(params, "host");
	const char *name = json_string_value(protocol);
	const char *address = json_string_value(host);
	struct port_range *r = &d->ports;

	*d = (struct lease_denial){.ports = {.tcp = true, .udp = true}};
	d->has_mac = address && !mac_parse(address, d->mac);
	if (host && !json_is_null(host) && !d->has_mac &&
	    (!address || prefix_parse(address, &d->host) || !d->host.len))
		return "host";
	prefix_trim(&d->host);
	if (!take_port(params, "port", &r->first) || (!r->first && !address))
		return "port";
	if (!take_port(params, "port_last", &r->last) || (r->last && r->last < r->first))
		return "port_last";
	if (!r->last)
		r->last = r->first;
	if (protocol && !json_is_null(protocol)) {
		r->tcp = name && strcmp(name, "tcp") == 0;
		r->udp = name && strcmp(name, "udp") == 0;
		if (r->tcp == r->udp || !r->first)
			return "protocol";
	}
	return NULL;
}

/* Is it a call of root, with a denial? Else it was answered. */
static bool take_call(struct varlink_call *call, struct lease_denial *d)
{
	static const char *const names[] = {"host", "protocol", "port", "port_last"};
	const char *wrong;

	if (!control_has_only(call, names, sizeof(names) / sizeof(names[0])))
		return false;
	if (varlink_uid(call) != 0) {
		varlink_error(call, "org.portreeve.NotAllowed", NULL);
		return false;
	}
	wrong = denial_take(d, varlink_parameters(call));
	if (wrong)
		varlink_invalid(call, wrong);
	return !wrong;
}

static void deny_failed(struct varlink_call *call, int err)
{
	if (err == -ENOENT)
		varlink_error(call, "org.portreeve.NotFound", NULL);
	else
		varlink_error(
			call, "org.portreeve.Failed",
			json_pack("{s:s,s:s}", "reason",
				  err == -ENOSPC ? "full" : "state", "text",
				  err == -ENOSPC
					  ? "there are as many denials as there may be"
					  : strerror(-err)));
}

void control_deny(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	size_t ended = 0, kept = 0;
	struct lease_denial d;
	int err;

	if (!take_call(call, &d))
		return;
	err = c->ops->deny(c->core, &d, &ended, &kept);
	if (err)
		deny_failed(call, err);
	else
		varlink_reply(call, json_pack("{s:o,s:I,s:I}", "denials", denials_json(c),
					      "ended", (json_int_t)ended, "kept",
					      (json_int_t)kept));
}

void control_allow(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	struct lease_denial d;
	int err;

	if (!take_call(call, &d))
		return;
	err = c->ops->allow(c->core, &d);
	if (err)
		deny_failed(call, err);
	else
		varlink_reply(call, json_pack("{s:o}", "denials", denials_json(c)));
}

void control_denials(void *arg, struct varlink_call *call)
{
	if (control_has_only(call, NULL, 0))
		varlink_reply(call, json_pack("{s:o}", "denials", denials_json(arg)));
}
