/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method Delete: a few leases at a time, so that it does not crowd out the others. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"
#include "daemon/control_inside.h"

/* Which leases a Delete means. */
struct selection {
	bool tcp;
	bool udp;
	bool any_remote;
	uint16_t port;
	struct prefix remote;
	struct in6_addr internal; /* :: any */
	uint16_t int_port;        /* 0: any */
	struct control_keys keys;
};

static void selection_add(void *arg, const struct lease *l)
{
	struct selection *s = arg;

	if (l->ext_port != s->port || !(l->protocol == IPPROTO_TCP ? s->tcp : s->udp))
		return;
	if (!s->any_remote &&
	    (l->remote_len != s->remote.len || !addr_equal(&l->remote, &s->remote.addr)))
		return;
	if ((!addr_is_none(&s->internal) && !addr_equal(&l->internal, &s->internal)) ||
	    (s->int_port && l->int_port != s->int_port))
		return;
	control_keys_add(&s->keys, l);
}

/* NULL, or the name of the parameter that is wrong. */
static const char *selection_parse(struct selection *s, const json_t *params)
{
	const json_t *protocol = json_object_get(params, "protocol");
	const json_t *port = json_object_get(params, "external_port");
	const json_t *remote = json_object_get(params, "remote");
	const json_t *inside = json_object_get(params, "internal_address");
	const json_t *int_port = json_object_get(params, "internal_port");
	const char *name = json_string_value(protocol), *from = json_string_value(remote);
	const char *host = json_string_value(inside);

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
	if (inside && !json_is_null(inside) &&
	    (!host || addr_parse(host, &s->internal) || addr_is_none(&s->internal)))
		return "internal_address";
	if (int_port && !json_is_null(int_port) &&
	    (!json_is_integer(int_port) || json_integer_value(int_port) < 1 ||
	     json_integer_value(int_port) > 65535))
		return "internal_port";
	s->int_port = (uint16_t)json_integer_value(int_port);
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
				     const struct control_keys *keys)
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
				const struct control_keys *keys)
{
	struct deletion *d = deletion_new(c, call, keys);

	if (d)
		deletion_run(d);
	else
		control_no_memory(call);
}

void control_delete(void *arg, struct varlink_call *call)
{
	static const char *const names[] = {"protocol", "external_port", "remote",
					    "internal_address", "internal_port"};
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
		control_no_memory(call);
	else if (!s.keys.n)
		varlink_error(call, "org.portreeve.NotFound", NULL);
	else if (s.keys.n > CONTROL_REPLY_MAX)
		varlink_error(call, "org.portreeve.TooMany",
			      json_pack("{s:i}", "limit", CONTROL_REPLY_MAX));
	else
		control_delete_keys(c, call, &s.keys);
	free(s.keys.key);
}
