/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/control_inside.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "config.h"

/* Keys outlive the leases: a list that is read slowly holds 36 bytes each, no more. */
struct keys {
	struct control_key *key;
	size_t n;
	size_t room;
	bool failed; /* no memory */
};

static void keys_add(struct keys *k, const struct lease *l)
{
	if (k->n == k->room) {
		size_t room = k->room ? 2 * k->room : 64;
		struct control_key *key = realloc(k->key, room * sizeof(*key));

		if (!key) {
			k->failed = true;
			return;
		}
		k->key = key;
		k->room = room;
	}
	k->key[k->n++] = (struct control_key){
		.protocol = l->protocol,
		.ext_port = l->ext_port,
		.remote = l->remote,
		.remote_len = l->remote_len,
		.remote_port = l->remote_port,
		.internal = lease_is_pinhole(l) ? l->internal
						: (struct in6_addr)IN6ADDR_ANY_INIT,
	};
}

static void keys_add_each(void *arg, const struct lease *l)
{
	keys_add(arg, l);
}

const char *control_protocol(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

json_t *control_address(const struct in6_addr *a)
{
	char text[ADDR_TEXT];

	return addr_is_none(a) ? json_null() : json_string(addr_text(a, text));
}

/* JSON has its own escapes, so that a client's text arrives as it was sent; only what is no
 * UTF-8 cannot. */
json_t *control_text(const char *description)
{
	json_t *text = json_string(description);
	char safe[4 * LEASE_DESCRIPTION_MAX + 1];

	return text ? text : json_string(log_escape(description, safe, sizeof(safe)));
}

static json_t *claims_json(const struct lease *l)
{
	json_t *claims = json_array();

	for (unsigned int by = 0; by < LEASE_BY_END; by++)
		if (l->claims >> by & 1)
			json_array_append_new(claims, json_string(lease_by_name(by)));
	return claims;
}

/* Who may come in, where that is restricted. */
static json_t *filters_json(const struct lease *l)
{
	json_t *filters = json_array();

	for (size_t i = 0; i < l->n_filters; i++) {
		const struct prefix p = {l->filters[i].addr, l->filters[i].len};
		char text[PREFIX_TEXT];

		json_array_append_new(filters, json_pack("{s:s,s:i}", "remote",
							 prefix_text(&p, text), "port",
							 (int)l->filters[i].port));
	}
	return filters;
}

static json_t *remaining_json(const struct lease *l, uint64_t now_ms)
{
	if (l->deadline_ms == LEASE_NO_DEADLINE || l->until_gone & l->claims)
		return json_null();
	if (l->deadline_ms <= now_ms)
		return json_integer(0);
	return json_integer((json_int_t)((l->deadline_ms - now_ms + 999) / 1000));
}

/* What began before the boot began before zero. */
static json_int_t seconds_since(uint64_t then_ms, uint64_t now_ms)
{
	int64_t ms = (int64_t)(now_ms - then_ms);

	return ms > 0 ? ms / 1000 : 0;
}

/* The schema is stable for scripts. NULL: no memory. */
json_t *control_lease(const struct control *c, const struct lease *l, uint64_t now_ms)
{
	const struct prefix remote = {.addr = l->remote, .len = l->remote_len};
	char from[PREFIX_TEXT], to[ADDR_TEXT];
	json_t *o;

	/* clang-format off */
	o = json_pack("{s:s,s:i,s:s,s:i,s:s?,s:s,s:o,s:o,s:b,s:I,s:o}",
		      "protocol", control_protocol(l->protocol),
		      "external_port", (int)l->ext_port,
		      "internal_address", addr_text(&l->internal, to),
		      "internal_port", (int)l->int_port,
		      "remote", l->remote_len ? prefix_text(&remote, from) : NULL,
		      "origin", lease_by_name(l->origin),
		      "claims", claims_json(l),
		      "description", control_text(l->description),
		      "enabled", (int)l->enabled,
		      "age_s", seconds_since(l->created_ms, now_ms),
		      "remaining_s", remaining_json(l, now_ms));
	/* clang-format on */
	if (o && l->n_filters)
		json_object_set_new(o, "filters", filters_json(l));
	if (o && l->remote_port)
		json_object_set_new(o, "remote_port", json_integer(l->remote_port));
	if (o && c->ops->last_port(c->core, l) != l->ext_port)
		json_object_set_new(o, "external_port_last",
				    json_integer(c->ops->last_port(c->core, l)));
	if (o && lease_is_pinhole(l))
		json_object_set_new(o, "family", json_string("ipv6"));
	return o;
}

struct listing {
	struct control *control;
	struct keys keys;
	size_t pos;
	size_t piece; /* so many at a time */
};

static void listing_free(void *arg)
{
	struct listing *ls = arg;

	free(ls->keys.key);
	free(ls);
}

/* Leases that have ended since the keys were taken are left out. */
static json_t *listing_next(void *arg, bool *last)
{
	struct listing *ls = arg;
	struct control *c = ls->control;
	size_t left = ls->keys.n - ls->pos;
	size_t end = ls->pos + (left < ls->piece ? left : ls->piece);
	json_t *leases = json_array();
	uint64_t now_ms = clock_ms();

	for (; ls->pos < end; ls->pos++) {
		const struct lease *l = c->ops->find_lease(c->core,
							   &ls->keys.key[ls->pos]);

		if (l && json_array_append_new(leases, control_lease(c, l, now_ms))) {
			json_decref(leases);
			return NULL;
		}
	}
	*last = end == ls->keys.n;
	return json_pack("{s:o}", "leases", leases);
}

static const struct varlink_stream listing_stream = {.next = listing_next,
						     .free = listing_free};

static void no_memory(struct varlink_call *call)
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

static void control_list(void *arg, struct varlink_call *call)
{
	struct control *c = arg;
	struct listing *ls;
	bool last;

	if (!control_has_only(call, NULL, 0))
		return;
	ls = calloc(1, sizeof(*ls));
	if (!ls) {
		no_memory(call);
		return;
	}
	ls->control = c;
	ls->piece = varlink_more(call) ? CONTROL_PIECE : CONTROL_REPLY_MAX;
	c->ops->each_lease(c->core, keys_add_each, &ls->keys);
	if (varlink_more(call) && !ls->keys.failed) {
		varlink_stream(call, &listing_stream, ls);
		return;
	}
	if (ls->keys.failed)
		no_memory(call);
	else if (ls->keys.n > CONTROL_REPLY_MAX)
		varlink_error(call, "org.portreeve.TooMany",
			      json_pack("{s:i}", "limit", CONTROL_REPLY_MAX));
	else
		varlink_reply(call, listing_next(ls, &last));
	listing_free(ls);
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
			 "uptime_s", seconds_since(s->started_ms, now_ms), "wan", wan,
			 "lans", lans_json(s), "leases", leases, "kernel", kernel,
			 "epoch_s", seconds_since(s->epoch_ms, now_ms), "processes",
			 processes_json(s));
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

/* Which leases a Delete means. */
struct selection {
	bool tcp;
	bool udp;
	bool any_remote;
	uint16_t port;
	struct prefix remote;
	struct keys keys;
};

static void selection_add(void *arg, const struct lease *l)
{
	struct selection *s = arg;

	if (l->ext_port != s->port || !(l->protocol == IPPROTO_TCP ? s->tcp : s->udp))
		return;
	if (!s->any_remote &&
	    (l->remote_len != s->remote.len || !addr_equal(&l->remote, &s->remote.addr)))
		return;
	keys_add(&s->keys, l);
}

/* NULL, or the name of the parameter that is wrong. */
static const char *selection_parse(struct selection *s, const json_t *params)
{
	const json_t *protocol = json_object_get(params, "protocol");
	const json_t *port = json_object_get(params, "external_port");
	const json_t *remote = json_object_get(params, "remote");
	const char *name = json_string_value(protocol), *from = json_string_value(remote);

	*s = (struct selection){.tcp = true, .udp = true, .any_remote = true};
	if (protocol && !json_is_null(protocol)) {
		s->tcp = name && strcmp(name, "tcp") == 0;
		s->udp = name && strcmp(name, "udp") == 0;
	}
	if (!s->tcp && !s->udp)
		return "protocol";
	if (!json_is_integer(port) || json_integer_value(port) < 1 ||
	    json_integer_value(port) > 65535)
		return "external_port";
	s->port = (uint16_t)json_integer_value(port);
	if (remote && !json_is_null(remote)) {
		s->any_remote = false;
		if (!from || prefix_parse(from, &s->remote))
			return "remote";
	}
	return NULL;
}

/* A Delete under way: a few leases at a time, so that it does not crowd out the others. */
#define DELETION_FLIGHT 8

struct deletion {
	struct control *control;
	struct varlink_call *call;
	json_t *leases;            /* those that have ended */
	enum lease_reason refusal; /* of one that has not, or LEASE_OK */
	size_t n;
	size_t next;
	size_t flight;
	bool asking; /* answers that come at once find the loop running */
	struct deletion_item {
		struct deletion *deletion;
		struct control_key key;
		json_t *lease;
	} item[];
};

static void deletion_answer(struct deletion *d)
{
	size_t n = json_array_size(d->leases);

	if (n) {
		varlink_reply(d->call, json_pack("{s:I,s:O}", "deleted", (json_int_t)n,
						 "leases", d->leases));
	} else if (d->refusal == LEASE_OK || d->refusal == LEASE_NOT_FOUND) {
		varlink_error(d->call, "org.portreeve.NotFound", NULL);
	} else {
		varlink_error(d->call, "org.portreeve.Failed",
			      json_pack("{s:s,s:s}", "reason",
					lease_reason_name(d->refusal), "text",
					lease_reason_text(d->refusal)));
	}
}

static void deletion_done(void *arg, enum lease_reason reason);

static void deletion_ask(struct deletion *d, struct deletion_item *item)
{
	const struct control *c = d->control;
	const struct lease *l = c->ops->find_lease(c->core, &item->key);

	item->lease = l ? control_lease(c, l, clock_ms()) : NULL;
	if (!item->lease)
		return; /* it has ended by itself, or there is no memory to tell of it */
	d->flight++;
	c->ops->end_lease(c->core, &item->key, deletion_done, item);
}

static void deletion_run(struct deletion *d)
{
	d->asking = true;
	while (d->next < d->n && d->flight < DELETION_FLIGHT)
		deletion_ask(d, &d->item[d->next++]);
	d->asking = false;
	if (d->flight)
		return;
	deletion_answer(d);
	json_decref(d->leases);
	free(d);
}

static void deletion_done(void *arg, enum lease_reason reason)
{
	struct deletion_item *item = arg;
	struct deletion *d = item->deletion;

	if (reason == LEASE_OK) {
		json_array_append_new(d->leases, item->lease);
	} else {
		json_decref(item->lease);
		d->refusal = reason;
	}
	d->flight--;
	if (!d->asking)
		deletion_run(d);
}

static struct deletion *deletion_new(struct control *c, struct varlink_call *call,
				     const struct keys *keys)
{
	struct deletion *d = calloc(1, sizeof(*d) + keys->n * sizeof(d->item[0]));

	if (!d)
		return NULL;
	d->control = c;
	d->call = call;
	d->n = keys->n;
	for (size_t i = 0; i < d->n; i++)
		d->item[i] = (struct deletion_item){.deletion = d, .key = keys->key[i]};
	d->leases = json_array();
	if (!d->leases) {
		free(d);
		return NULL;
	}
	return d;
}

static void control_delete_keys(struct control *c, struct varlink_call *call,
				const struct keys *keys)
{
	struct deletion *d = deletion_new(c, call, keys);

	if (d)
		deletion_run(d);
	else
		no_memory(call);
}

static void control_delete(void *arg, struct varlink_call *call)
{
	static const char *const names[] = {"protocol", "external_port", "remote"};
	struct control *c = arg;
	struct selection s;
	const char *bad;

	if (!control_has_only(call, names, sizeof(names) / sizeof(names[0])))
		return;
	if (varlink_uid(call) != 0) {
		varlink_error(call, "org.portreeve.NotAllowed", NULL);
		return;
	}
	bad = selection_parse(&s, varlink_parameters(call));
	if (bad) {
		varlink_invalid(call, bad);
		return;
	}
	c->ops->each_lease(c->core, selection_add, &s);
	if (s.keys.failed)
		no_memory(call);
	else if (!s.keys.n)
		varlink_error(call, "org.portreeve.NotFound", NULL);
	else if (s.keys.n > CONTROL_REPLY_MAX)
		varlink_error(call, "org.portreeve.TooMany",
			      json_pack("{s:i}", "limit", CONTROL_REPLY_MAX));
	else
		control_delete_keys(c, call, &s.keys);
	free(s.keys.key);
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
		no_memory(call);
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
	{"List", control_list},         {"Status", control_status},
	{"Add", control_add},           {"Delete", control_delete},
	{"History", control_history},   {"Check", control_check},
	{"Watch", control_watch},       {"Metrics", control_metrics},
	{"Explain", control_explain},   {"Flows", control_flows},
	{"Reload", control_reload},     {"NatType", control_nat_type},
	{"Profiles", control_profiles}, {NULL, NULL},
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
