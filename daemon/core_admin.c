/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <unistd.h>

#include "daemon/core_inside.h"
#include "daemon/privileges.h"

struct core_processes {
	struct core *core;
	struct control_status *out;
};

static void core_add_process(struct control_status *out, enum role role, const char *lan,
			     pid_t pid)
{
	if (out->n_processes < CONTROL_PROCESSES)
		out->processes[out->n_processes++] = (struct control_process){
			.role = role_name(role),
			.lan = lan,
			.pid = pid,
			.user = role_user(role)};
}

static void core_each_worker(void *arg, enum role role, uint16_t lan, pid_t pid,
			     bool ready)
{
	struct core_processes *p = arg;

	(void)ready;
	core_add_process(p->out, role, p->core->topology.lan[lan].name, pid);
}

static void core_status(void *arg, struct control_status *out)
{
	struct core *c = arg;
	const struct topology *t = &c->topology;
	struct core_processes p = {c, out};

	out->started_ms = c->started_ms;
	out->epoch_ms = c->epoch.since_ms;
	out->wan.interface = t->wan[0] ? t->wan : NULL;
	out->wan.addr = t->wan4;
	out->wan.up = t->wan_up;
	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *lan = &t->lan[i];

		if (lan->name[0])
			out->lans[out->n_lans++] = (struct control_lan){
				.name = lan->name,
				.addr = lan->n_addrs ? lan->addrs[0].addr
						     : (struct in6_addr)IN6ADDR_ANY_INIT,
				.upnp = lan->upnp,
				.pcp = lan->pcp,
				.http_port = lan->upnp ? lan->http_port : 0,
			};
	}
	out->leases = registry_count(ledger_book(c->ledger));
	out->max_leases = c->config.leases;
	out->in_place_renewal = firewall_renews_in_place(c->firewall);
	out->destroy_element = firewall_has_destroy(c->firewall);
	out->assumed_61 = c->options->assume_kernel_61;
	core_add_process(out, ROLE_PARENT, NULL, c->parent_pid);
	core_add_process(out, ROLE_CORE, NULL, getpid());
	if (core_upstream_pid(c->upstream))
		core_add_process(out, ROLE_UPSTREAM, NULL,
				 core_upstream_pid(c->upstream));
	if (core_trigger_pid(c->trigger))
		core_add_process(out, ROLE_TRIGGER, NULL, core_trigger_pid(c->trigger));
	if (core_store_pid(c->store))
		core_add_process(out, ROLE_STORE, NULL, core_store_pid(c->store));
	workers_each(c->workers, core_each_worker, &p);
}

/* The i-th entry of the static forwards. */
static bool core_forward(const struct core *c, size_t i, struct lease *l, uint16_t *last)
{
	if (!forward_entry(c->config.forward, c->config.n_forwards, i, l, last))
		return false;
	l->created_ms = c->started_ms;
	return true;
}

void core_each_lease(void *arg, void (*each)(void *each_arg, const struct lease *l),
		     void *each_arg)
{
	struct core *c = arg;
	struct lease l;
	uint16_t last;

	ledger_commit(c->ledger); /* what is listed is open */
	registry_each(ledger_book(c->ledger), each, each_arg);
	for (size_t i = 0; core_forward(c, i, &l, &last); i++)
		each(each_arg, &l);
}

/* The static forward of that key, as the entry that listings show. */
static const struct lease *core_find_forward(struct core *c,
					     const struct control_key *key)
{
	static struct lease l;
	uint16_t last;

	for (size_t i = 0; core_forward(c, i, &l, &last); i++)
		if (l.protocol == key->protocol && l.ext_port == key->ext_port &&
		    l.remote_len == key->remote_len &&
		    addr_equal(&l.remote, &key->remote))
			return &l;
	return NULL;
}

static uint16_t core_last_port(void *arg, const struct lease *l)
{
	struct core *c = arg;
	const struct lease_forward *f = l->origin == LEASE_BY_STATIC
						? forward_find(c->config.forward,
							       c->config.n_forwards,
							       l->protocol, l->ext_port,
							       &l->remote, l->remote_len)
						: NULL;

	return f ? f->last : l->ext_port;
}

static const struct lease *core_find_lease(void *arg, const struct control_key *key)
{
	struct core *c = arg;
	const struct registry *book = ledger_book(c->ledger);
	const struct lease *l;

	if (addr_is_none(&key->internal)) {
		l = registry_find(book, key->protocol, key->ext_port, &key->remote,
				  key->remote_len);
		return l ? l : core_find_forward(c, key);
	}
	return registry_find_pinhole(book, key->protocol, &key->internal, key->ext_port,
				     &key->remote, key->remote_len, key->remote_port);
}

static void core_look(void *arg, void (*done)(void *done_arg), void *done_arg)
{
	struct core *c = arg;

	traffic_look(c->traffic, done, done_arg);
}

static bool core_traffic(void *arg, const struct lease *l, struct traffic_sum *out)
{
	struct core *c = arg;

	return traffic_of(c->traffic, l, out);
}

static void core_admin_ask(struct core *c, const struct lease_request *req,
			   void (*done)(void *done_arg, enum lease_reason reason),
			   void *done_arg)
{
	for (size_t i = 0; i < CONTROL_PROCESSES; i++) {
		if (c->admin[i].done)
			continue;
		c->admin[i] = (struct core_admin){done, done_arg};
		ledger_ask(c->ledger, CORE_TO_ADMIN + i, -1, req);
		return;
	}
	done(done_arg, LEASE_RATE);
}

static void core_add_lease(void *arg, const struct lease_request *req,
			   void (*done)(void *done_arg, enum lease_reason reason),
			   void *done_arg)
{
	core_admin_ask(arg, req, done, done_arg);
}

static void core_end_lease(void *arg, const struct control_key *key,
			   void (*done)(void *done_arg, enum lease_reason reason),
			   void *done_arg)
{
	struct lease_request req = {
		.op = LEASE_OP_UNMAP_PORT,
		.by = LEASE_BY_ADMIN,
		.protocol = key->protocol,
		.int_port = key->ext_port,
		.ext_port = key->ext_port,
		.client = key->internal,
		.internal = key->internal,
		.remote = key->remote,
		.remote_len = key->remote_len,
		.remote_port = key->remote_port,
	};

	core_admin_ask(arg, &req, done, done_arg);
}

static void core_reload_asked(void *arg,
			      void (*done)(void *done_arg, const char *error,
					   size_t ended),
			      void *done_arg)
{
	core_ask_reload(arg, done, done_arg);
}

static void core_history_asked(void *arg, const struct store_question *q,
			       core_store_done done, void *done_arg)
{
	struct core *c = arg;

	core_store_ask(c->store, q, done, done_arg);
}

static const struct control_counts *core_counts(void *arg)
{
	struct core *c = arg;

	return &c->counts;
}

const struct control_ops core_control_ops = {
	.counts = core_counts,
	.status = core_status,
	.each_lease = core_each_lease,
	.find_lease = core_find_lease,
	.look = core_look,
	.traffic = core_traffic,
	.last_port = core_last_port,
	.end_lease = core_end_lease,
	.add_lease = core_add_lease,
	.denials = core_denials,
	.deny = core_deny,
	.allow = core_allow,
	.check = core_check,
	.history = core_history_asked,
	.explain = core_explain,
	.flows = core_flows_of,
	.reload = core_reload_asked,
	.nat_type = core_nat_type,
	.config = core_config,
};

void core_admin_answer(struct core *c, size_t i, enum lease_reason reason)
{
	struct core_admin *a = &c->admin[i];

	a->done(a->arg, reason);
	a->done = NULL;
}
