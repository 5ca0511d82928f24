/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method History: the store's events as JSON, a page for each call. */
#include <stdlib.h>
#include <string.h>

#include "daemon/control_inside.h"

static json_t *reason_json(const struct store_event *e)
{
	if (e->what == STORE_ENDED)
		return json_string(lease_end_name((enum lease_end)e->reason));
	return e->what == STORE_REFUSED
		       ? json_string(lease_reason_name((enum lease_reason)e->reason))
		       : json_null();
}

static const char *what_name(const struct store_event *e, bool renewed)
{
	static const char *const names[STORE_WHAT_END] = {
		[STORE_GRANTED] = "granted", [STORE_ENDED] = "ended",
		[STORE_REFUSED] = "refused", [STORE_RESTORED] = "restored",
		[STORE_LOST] = "lost",
	};

	return renewed ? "renewed" : names[e->what];
}

/* The schema is stable for scripts. NULL: no memory. */
json_t *control_event_json(const struct store_event *e, bool renewed)
{
	const struct prefix remote = {.addr = e->remote, .len = e->remote_len};
	char from[PREFIX_TEXT];
	json_t *o = json_pack("{s:I,s:f,s:s,s:I}", "id", (json_int_t)e->id, "time",
			      (double)e->time_ms / 1000, "event", what_name(e, renewed),
			      "times", (json_int_t)e->times);

	if (!o || e->what == STORE_RESTORED || e->what == STORE_LOST)
		return o;
	/* clang-format off */
	if (json_object_update_new(o, json_pack(
		"{s:s,s:i,s:o,s:i,s:s?,s:s,s:o,s:o,s:o}",
		"protocol", control_protocol(e->protocol),
		"external_port", (int)e->ext_port,
		"internal_address", control_address(&e->internal),
		"internal_port", (int)e->int_port,
		"remote", e->remote_len ? prefix_text(&remote, from) : NULL,
		"by", lease_by_name((enum lease_by)e->by),
		"reason", reason_json(e),
		"seconds", e->seconds == UINT32_MAX ? json_null() : json_integer(e->seconds),
		"description", control_text(e->description)))) {
		json_decref(o);
		return NULL;
	}
	/* clang-format on */
	return o;
}

static void history_done(void *arg, const struct store_answer *answer,
			 const struct store_event *events, size_t n)
{
	struct varlink_call *call = arg;
	json_t *list;

	if (!answer || answer->failed) {
		varlink_error(
			call, "org.portreeve.Failed",
			json_pack("{s:s,s:s}", "reason", "store", "text",
				  answer ? "the history cannot be read from the disk"
					 : "the store does not answer now"));
		return;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(list, control_event_json(&events[i], false))) {
			json_decref(list);
			list = NULL;
			break;
		}
	}
	varlink_reply(call,
		      list ? json_pack("{s:o,s:o}", "events", list, "next",
				       answer->more
					       ? json_integer((json_int_t)answer->next)
					       : json_null())
			   : NULL);
}

/* A number that may be left out. */
static bool take_number(const json_t *params, const char *name, json_int_t max,
			uint64_t *out)
{
	const json_t *v = json_object_get(params, name);

	*out = 0;
	if (!v || json_is_null(v))
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > max)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

/* NULL, or the name of the parameter that is wrong. */
static const char *question_parse(struct store_question *q, const json_t *params)
{
	const json_t *protocol = json_object_get(params, "protocol");
	const json_t *host = json_object_get(params, "host");
	const char *name = json_string_value(protocol);
	uint64_t since, port;

	*q = (struct store_question){.limit = STORE_PAGE};
	if (!take_number(params, "after", INT64_MAX, &q->after))
		return "after";
	if (!take_number(params, "since", INT64_MAX / 1000, &since))
		return "since";
	q->since_ms = since * 1000;
	if (!take_number(params, "port", 65535, &port))
		return "port";
	q->port = (uint16_t)port;
	if (protocol && !json_is_null(protocol)) {
		if (!name || (strcmp(name, "tcp") && strcmp(name, "udp")))
			return "protocol";
		q->protocol = strcmp(name, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	}
	if (host && !json_is_null(host) &&
	    (!json_is_string(host) || addr_parse(json_string_value(host), &q->host)))
		return "host";
	return NULL;
}

void control_history(void *arg, struct varlink_call *call)
{
	static const char *const names[] = {"after", "since", "host", "protocol", "port"};
	struct control *c = arg;
	struct store_question q;
	const char *wrong;

	if (!control_has_only(call, names, sizeof(names) / sizeof(names[0])))
		return;
	wrong = question_parse(&q, varlink_parameters(call));
	if (wrong)
		varlink_invalid(call, wrong);
	else
		c->ops->history(c->core, &q, history_done, call);
}
