/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods Explain and Flows: what is known of one port, as JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/control_inside.h"

/* The port that is asked about. false: it was answered. */
static bool take_port(struct varlink_call *call, uint8_t *protocol, uint16_t *port)
{
	static const char *const names[] = {"protocol", "external_port"};
	const json_t *params = varlink_parameters(call);
	const json_t *number = json_object_get(params, "external_port");
	const char *name = json_string_value(json_object_get(params, "protocol"));
	json_int_t n = json_integer_value(number);

	if (!control_has_only(call, names, sizeof(names) / sizeof(names[0])))
		return false;
	if (!name || (strcmp(name, "tcp") && strcmp(name, "udp"))) {
		varlink_invalid(call, "protocol");
		return false;
	}
	if (!json_is_integer(number) || n < 1 || n > 65535) {
		varlink_invalid(call, "external_port");
		return false;
	}
	*protocol = strcmp(name, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	*port = (uint16_t)n;
	return true;
}

static void too_busy(struct varlink_call *call)
{
	varlink_error(call, "org.portreeve.Failed",
		      json_pack("{s:s,s:s}", "reason", "busy", "text",
				"too many ask at once; try again in a moment"));
}

/* ---- Explain ---- */

/* A text has in it what others have named their tables. */
static json_t *text_or_null(const char *text)
{
	return text && *text ? control_text(text) : json_null();
}

static json_t *facts_json(const struct explain_report *r)
{
	json_t *facts = json_array();

	for (size_t i = 0; i < r->n; i++) {
		const struct explain_fact *f = &r->fact[i];

		json_array_append_new(facts,
				      json_pack("{s:s,s:s,s:o,s:o}", "id", f->id, "state",
						explain_state_name(f->state), "text",
						control_text(f->text), "fix",
						text_or_null(f->fix)));
	}
	return facts;
}

static json_t *listener_json(const struct explain_report *r)
{
	if (!r->try_listener)
		return json_null();
	return json_pack("{s:o,s:i,s:o}", "address", control_address(&r->inside), "port",
			 (int)r->inside_port, "from", control_address(&r->router));
}

static void explain_answer(void *arg, const struct explain_report *r)
{
	struct varlink_call *call = arg;

	if (!r) {
		too_busy(call);
		return;
	}
	varlink_reply(call,
		      json_pack("{s:b,s:s,s:s?,s:o,s:o,s:o,s:o}", "open", (int)r->open,
				"verdict", r->verdict, "reason", r->reason, "text",
				control_text(r->text), "fix", text_or_null(r->fix),
				"facts", facts_json(r), "listener", listener_json(r)));
}

void control_explain(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	uint8_t protocol;
	uint16_t port;

	if (take_port(call, &protocol, &port))
		c->ops->explain(c->core, protocol, port, explain_answer, call);
}

/* ---- Flows ---- */

struct flows_question {
	struct control *control;
	struct varlink_call *call;
};

/* Seconds since 1970 in nanoseconds; null: not noted. */
static json_t *age_json(uint64_t began_ns)
{
	struct timespec now;
	uint64_t now_s;

	if (!began_ns)
		return json_null();
	clock_gettime(CLOCK_REALTIME, &now);
	now_s = (uint64_t)now.tv_sec;
	return json_integer(now_s > began_ns / 1000000000
				    ? (json_int_t)(now_s - began_ns / 1000000000)
				    : 0);
}

static json_t *count_json(const struct conntrack_flow *f, uint64_t n)
{
	return f->counted ? json_integer((json_int_t)n) : json_null();
}

static json_t *flow_json(const struct conntrack_flow *f)
{
	const struct flow_end *o = &f->flow.original;

	return json_pack("{s:o,s:i,s:b,s:b,s:o,s:o,s:o,s:o,s:o,s:I}", "remote_address",
			 control_address(f->inbound ? &o->src : &o->dst), "remote_port",
			 (int)(f->inbound ? o->sport : o->dport), "inbound",
			 (int)f->inbound, "answered", (int)f->answered, "packets",
			 count_json(f, f->packets), "bytes_in",
			 count_json(f, f->in_bytes), "bytes_out",
			 count_json(f, f->out_bytes), "age_s", age_json(f->began_ns),
			 "idle_s", f->idle_s < 0 ? json_null() : json_integer(f->idle_s),
			 "left_s", (json_int_t)f->left_s);
}

static void flows_answer(void *arg, int err, const struct control_flows *f)
{
	struct flows_question *q = arg;
	json_t *flows;

	if (err == -EBUSY) {
		too_busy(q->call);
	} else if (err) {
		varlink_error(q->call, "org.portreeve.Failed",
			      json_pack("{s:s,s:s}", "reason", "kernel", "text",
					strerror(-err)));
	} else if (!f->lease) {
		varlink_error(q->call, "org.portreeve.NotFound", NULL);
	} else {
		flows = json_array();
		for (size_t i = 0; i < f->n; i++)
			json_array_append_new(flows, flow_json(&f->flow[i]));
		varlink_reply(q->call, json_pack("{s:o,s:o,s:b}", "lease",
						 control_lease_with(q->control, f->lease,
								    clock_ms(), &f->sum),
						 "flows", flows, "more", (int)f->more));
	}
	free(q);
}

void control_flows(void *arg, struct varlink_call *call)
{
	struct flows_question *q;
	uint8_t protocol;
	uint16_t port;

	if (!take_port(call, &protocol, &port))
		return;
	q = malloc(sizeof(*q));
	if (!q) {
		too_busy(call);
		return;
	}
	*q = (struct flows_question){.control = arg, .call = call};
	q->control->ops->flows(q->control->core, protocol, port, flows_answer, q);
}
