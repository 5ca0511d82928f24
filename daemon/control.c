/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/control_inside.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "config.h"

void control_no_memory(struct varlink_call *call)
{
	varlink_error(
		call, "org.portreeve.Failed",
		json_pack("{s:s,s:s}", "reason", "memory", "text", "out of memory"));
}

bool control_has_only(struct varlink_call *call, const char *const *names, size_t n)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)varlink_parameters(call), key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(names[i], key) != 0)
			i++;
		if (i == n) {
			varlink_invalid(call, key);
			return false;
		}
	}
	return true;
}

static json_t *lans_json(const struct control_status *s)
{
	json_t *lans = json_array();

	for (size_t i = 0; i < s->n_lans && i < CONTROL_LANS; i++) {
		const struct control_lan *l = &s->lans[i];
		json_t *port = l->http_port ? json_integer(l->http_port) : json_null();

		json_array_append_new(lans,
				      json_pack("{s:s,s:o,s:b,s:b,s:o}", "name", l->name,
						"address", control_address(&l->addr),
						"upnp", (int)l->upnp, "pcp", (int)l->pcp,
						"http_port", port));
	}
	return lans;
}

static json_t *processes_json(const struct control_status *s)
{
	json_t *processes = json_array();

	for (size_t i = 0; i < s->n_processes && i < CONTROL_PROCESSES; i++) {
		const struct control_process *p = &s->processes[i];

		json_array_append_new(processes,
				      json_pack("{s:s,s:s?,s:I,s:s}", "role", p->role,
						"lan", p->lan, "pid", (json_int_t)p->pid,
						"user", p->user));
	}
	return processes;
}

static json_t *status_json(const struct control_status *s, uint64_t now_ms)
{
	json_t *wan = json_pack("{s:s?,s:o,s:b}", "interface", s->wan.interface,
				"address", control_address(&s->wan.addr), "up",
				(int)s->wan.up);
	json_t *leases = json_pack("{s:I,s:I}", "count", (json_int_t)s->leases, "max",
				   (json_int_t)s->max_leases);
	json_t *kernel = json_pack("{s:b,s:b,s:b}", "in_place_renewal",
				   (int)s->in_place_renewal, "destroy_element",
				   (int)s->destroy_element, "assumed_61",
				   (int)s->assumed_61);

	return json_pack("{s:s,s:I,s:o,s:o,s:o,s:o,s:I,s:o}", "version", PACKAGE_VERSION,
			 "uptime_s", control_seconds_since(s->started_ms, now_ms), "wan",
			 wan, "lans", lans_json(s), "leases", leases, "kernel", kernel,
			 "epoch_s", control_seconds_since(s->epoch_ms, now_ms),
			 "processes", processes_json(s));
}

static void control_status(void *arg, struct varlink_call *call)
{
	struct control_status status = {0};
	struct control *c = arg;

	if (!control_has_only(call, NULL, 0))
		return;
	c->ops->status(c->core, &status);
	varlink_reply(call, status_json(&status, clock_ms()));
}

static json_t *finding_json(const struct check_finding *f)
{
	return json_pack("{s:s,s:s,s:s,s:s?}", "severity",
			 check_severity_name(f->severity), "id", f->id, "text", f->text,
			 "fix", f->fix[0] ? f->fix : NULL);
}

static void control_check(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	const struct check_report *r;
	json_t *findings;

	if (!control_has_only(call, NULL, 0))
		return;
	r = c->ops->check(c->core);
	findings = r ? json_array() : NULL;
	if (!findings) {
		control_no_memory(call);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(findings, finding_json(&r->finding[i]));
	varlink_reply(call,
		      json_pack("{s:o,s:b}", "findings", findings, "more", (int)r->more));
}

static void reload_done(void *arg, const char *error, size_t ended)
{
	if (error)
		varlink_error(arg, "org.portreeve.BadConfiguration",
			      json_pack("{s:s}", "text", error));
	else
		varlink_reply(arg, json_pack("{s:I}", "ended", (json_int_t)ended));
}

static void control_reload(void *arg, struct varlink_call *call)
{
	struct control *c = arg;

	if (!control_has_only(call, NULL, 0))
		return;
	if (varlink_uid(call) != 0)
		varlink_error(call, "org.portreeve.NotAllowed", NULL);
	else
		c->ops->reload(c->core, reload_done, call);
}

static const struct varlink_method control_methods[] = {
	{"List", control_list},
	{"Status", control_status},
	{"Add", control_add},
	{"Delete", control_delete},
	{"History", control_history},
	{"Check", control_check},
	{"Watch", control_watch},
	{"Metrics", control_metrics},
	{"Explain", control_explain},
	{"Flows", control_flows},
	{"Reload", control_reload},
	{"NatType", control_nat_type},
	{"Profiles", control_profiles},
	{"Deny", control_deny},
	{"Allow", control_allow},
	{"Denials", control_denials},
	{NULL, NULL},
};

/* Made from org.portreeve.varlink at build time. */
static const char control_description[] =
#include "daemon/org.portreeve.varlink.inc"
	;

static const struct varlink_service control_service = {
	.vendor = "portreeve",
	.product = "portreeved",
	.version = PACKAGE_VERSION,
	.url = "",
	.interface = "org.portreeve",
	.description = control_description,
	.methods = control_methods,
};

struct control *control_new(struct event_base *base, int listen_fd,
			    const struct control_ops *ops, void *core)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		close(listen_fd);
		return NULL;
	}
	c->ops = ops;
	c->core = core;
	c->varlink = varlink_new(base, listen_fd, &control_service, c);
	if (!c->varlink) {
		free(c);
		return NULL;
	}
	return c;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	varlink_free(c->varlink); /* and with it who watches */
	free(c->events);
	free(c);
}
