/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/config.h"
#include "daemon/control.h"
#include "daemon/identity.h"
#include "daemon/ledger.h"
#include "daemon/listen.h"
#include "daemon/privileges.h"
#include "daemon/topology.h"
#include "daemon/workers.h"
#include "firewall/firewall.h"

#define STATE_DELAY_MS 50       /* changes of the listing reach the workers gathered */
#define TO_CONTROL (1ULL << 32) /* an answer that is not a worker's */

/* An admin's request that waits for the kernel. */
struct core_admin {
	void (*done)(void *arg, enum lease_reason reason);
	void *arg;
};

struct core {
	const struct options *options;
	struct config config;
	struct identity identity;
	struct lease_policy policy;
	struct topology topology;
	struct links *links;
	struct firewall *firewall;
	struct event_base *base;
	struct ledger *ledger;
	struct workers *workers;
	struct control *control;
	struct event *parent_readable;
	struct event *links_readable;
	struct event *terminate;
	struct event *state_due;
	pid_t parent_pid;
	uint64_t started_ms;
	uint64_t epoch_ms;
	uint64_t wan_since_ms;
	bool serving; /* the parent was told */
	struct core_admin admin[CONTROL_PROCESSES];
};

/* ---- What workers are told ---- */

static void core_state(void *arg, struct record_state *s)
{
	struct core *c = arg;
	struct link_counters n = {0};

	if (c->topology.wan[0])
		links_counters(c->links, c->topology.wan, &n);
	*s = (struct record_state){
		.wan4 = c->topology.wan4,
		.epoch_ms = c->epoch_ms,
		.wan_since_ms = c->wan_since_ms,
		.rx_bytes = n.rx_bytes,
		.tx_bytes = n.tx_bytes,
		.rx_packets = n.rx_packets,
		.tx_packets = n.tx_packets,
		.update_id = ledger_update_id(c->ledger),
		.entries = (uint32_t)registry_listed(ledger_book(c->ledger)),
		.wan_up = c->topology.wan_up,
	};
}

static void core_state_due(evutil_socket_t fd, short what, void *arg)
{
	struct core *c = arg;

	(void)fd;
	(void)what;
	workers_send_state(c->workers);
}

static int core_setup(void *arg, enum role role, uint16_t lan, struct record_setup *setup,
		      int fds[CHANNEL_FDS], size_t *n_fds)
{
	struct core *c = arg;
	const struct topology_lan *t = &c->topology.lan[lan];
	int fd;

	if (!t->n_addrs)
		return -EADDRNOTAVAIL;
	*setup = (struct record_setup){
		.ifindex = t->ifindex,
		.lan = lan,
		.http_port = t->http_port,
		.requests_per_second = c->config.requests_per_second,
		.n_addrs = (uint8_t)t->n_addrs,
		.debug = c->options->debug,
	};
	memcpy(setup->ifname, t->name, sizeof(t->name));
	memcpy(setup->addrs, t->addrs, sizeof(setup->addrs));
	identity_uuid(&c->identity, t->name, setup->uuid);
	fd = role == ROLE_PCP
		     ? listen_pcp(t->name)
		     : listen_http(t->name, addr_to_v4(&t->addrs[0].addr), t->http_port);
	if (fd < 0) {
		errno = -fd;
		log_error("%s port %u on %s: %m; it is tried again",
			  role == ROLE_PCP ? "udp" : "tcp",
			  role == ROLE_PCP ? 5351 : t->http_port, t->name);
		return fd;
	}
	fds[0] = fd;
	*n_fds = 1;
	return 0;
}

/* ---- Requests and answers ---- */

static void core_request(void *arg, worker_id from, uint16_t lan,
			 const struct lease_request *req)
{
	struct core *c = arg;

	ledger_ask(c->ledger, from, lan, req);
}

static void core_answer(void *arg, uint64_t to, const struct lease_reply *reply)
{
	struct core *c = arg;
	struct core_admin *a;

	if (to < TO_CONTROL) {
		workers_answer(c->workers, (worker_id)to, reply);
		return;
	}
	a = &c->admin[to - TO_CONTROL];
	a->done(a->arg, (enum lease_reason)reply->reason);
	a->done = NULL;
}

static void core_answered(void *arg)
{
	struct core *c = arg;

	workers_flush(c->workers);
}

static void core_leases_changed(void *arg)
{
	static const struct timeval delay = {.tv_usec = STATE_DELAY_MS * 1000};
	struct core *c = arg;

	if (!event_pending(c->state_due, EV_TIMEOUT, NULL))
		event_add(c->state_due, &delay);
}

static const struct ledger_ops ledger_ops = {core_answer, core_answered,
					     core_leases_changed};

/* ---- Readiness ---- */

static void core_workers_changed(void *arg)
{
	struct core *c = arg;
	struct role_record r = {.op = ROLE_OP_SERVING};

	if (c->serving || !c->control || !workers_ready(c->workers))
		return;
	c->serving = true;
	log_info("serving; %zu leases", registry_count(ledger_book(c->ledger)));
	if (role_send(ROLE_FD_CHANNEL, &r, -1))
		log_debug("the parent does not listen");
}

static const struct workers_ops workers_ops = {core_setup, core_state, core_request,
					       core_workers_changed};

/* ---- Interfaces ---- */

static void core_set_wan(struct core *c)
{
	const struct topology *t = &c->topology;
	const char *name = t->wan;
	struct in_addr v4 = addr_to_v4(&t->wan4);
	int err = firewall_set_wan(c->firewall, &name, t->wan[0] != '\0', &v4,
				   !addr_is_none(&t->wan4));

	if (err) {
		errno = -err;
		log_error("the WAN could not be told to the kernel: %m");
	}
	ledger_set_wan(c->ledger, &t->wan4);
}

static void core_set_lans(struct core *c)
{
	const char *names[LEASE_LANS_MAX];
	struct prefix nets[LEASE_LANS_MAX * LEASE_LAN_NETS];
	size_t n_names = 0, n_nets = 0;
	int err;

	for (size_t i = 0; i < LEASE_LANS_MAX; i++) {
		const struct topology_lan *t = &c->topology.lan[i];
		struct lease_lan *p = &c->policy.lan[i];

		topology_lan_policy(t, p);
		if (!t->n_addrs)
			continue;
		names[n_names++] = t->name;
		for (size_t k = 0; k < p->n_nets; k++)
			nets[n_nets++] = p->nets[k];
	}
	err = firewall_set_lan(c->firewall, names, n_names, nets, n_nets);
	if (err) {
		errno = -err;
		log_error("the LANs could not be told to the kernel: %m");
	}
}

/* Starts, stops or restarts what serves that LAN. */
static void core_serve_lan(struct core *c, uint16_t i, const struct topology_lan *was,
			   bool first)
{
	const struct topology_lan *t = &c->topology.lan[i];
	bool there = t->n_addrs > 0;
	char addr[ADDR_TEXT];

	if (!topology_lan_differs(was, t) && !(first && t->name[0]))
		return;
	if (there)
		log_info("LAN %s: %s", t->name, addr_text(&t->addrs[0].addr, addr));
	else if (was->n_addrs || first)
		log_warn("LAN %s: no IPv4 address; its hosts are served when it has one",
			 t->name);
	if (there && was->n_addrs) {
		workers_restart(c->workers, ROLE_PCP, i);
		workers_restart(c->workers, ROLE_IGD, i);
	}
	workers_want(c->workers, ROLE_PCP, i, there && t->pcp);
	workers_want(c->workers, ROLE_IGD, i, there && t->upnp);
}

/* A new external address resets the epoch, so that clients ask anew: RFC 6887 8.5. */
static void core_wan_changed(struct core *c, const struct topology *was)
{
	const struct topology *t = &c->topology;
	uint64_t now = clock_ms();
	char addr[ADDR_TEXT];
	int err = 0;

	if (t->wan_up != was->wan_up)
		c->wan_since_ms = t->wan_up ? now : 0;
	if (addr_is_none(&t->wan4))
		log_warn("WAN %s: no IPv4 address yet; ports are opened when it has one",
			 t->wan[0] ? t->wan : "(no default route)");
	else
		log_info("WAN %s: %s", t->wan, addr_text(&t->wan4, addr));
	if (!addr_is_none(&was->wan4) && !addr_is_none(&t->wan4)) {
		c->epoch_ms = now;
		err = firewall_epoch_set(c->firewall, now);
	}
	if (err) {
		errno = -err;
		log_error("the epoch could not be kept: %m");
	}
	core_set_wan(c);
}

static void core_look_around(struct core *c, bool first)
{
	static struct topology was;
	bool lans = first;
	size_t named = 0;

	was = c->topology;
	topology_read(&c->topology, c->links);
	for (uint16_t i = 0; i < LEASE_LANS_MAX; i++) {
		lans = lans || topology_lan_differs(&was.lan[i], &c->topology.lan[i]);
		named += c->topology.lan[i].name[0] != '\0';
	}
	if (first || strcmp(was.wan, c->topology.wan) != 0 ||
	    was.wan_up != c->topology.wan_up ||
	    !addr_equal(&was.wan4, &c->topology.wan4)) {
		core_wan_changed(c, &was);
		core_leases_changed(c);
	}
	if (!lans)
		return;
	if (!named)
		log_warn(
			"no interface has a private IPv4 address yet; the first one that has is "
			"taken as the LAN");
	core_set_lans(c);
	if (!first)
		ledger_adopt_waiting(c->ledger);
	for (uint16_t i = 0; i < LEASE_LANS_MAX; i++)
		core_serve_lan(c, i, &was.lan[i], first);
}

static void core_links_readable(evutil_socket_t fd, short what, void *arg)
{
	struct core *c = arg;

	(void)fd;
	(void)what;
	if (links_read(c->links) > 0)
		core_look_around(c, false);
}

/* ---- The parent ---- */

static void core_parent_says(struct core *c, const struct role_record *r, int fd)
{
	enum role role = (enum role)r->role;

	switch (r->op) {
	case ROLE_OP_PARENT:
		c->parent_pid = r->pid;
		break;
	case ROLE_OP_STARTED:
		workers_started(c->workers, role, r->lan, r->pid, fd);
		return;
	case ROLE_OP_EXITED:
		workers_exited(c->workers, role, r->lan, r->pid);
		break;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
}

static void core_parent_readable(evutil_socket_t channel, short what, void *arg)
{
	struct core *c = arg;
	struct role_record r;
	int fd, got;

	(void)what;
	while ((got = role_receive(channel, &r, &fd)) > 0)
		core_parent_says(c, &r, fd);
	if (got < 0) /* the parent is gone: so are we, the kernel keeps the leases */
		event_base_loopexit(c->base, NULL);
}

static void core_terminate(evutil_socket_t sig, short what, void *arg)
{
	struct core *c = arg;

	(void)sig;
	(void)what;
	event_base_loopexit(c->base, NULL);
}

/* ---- The control socket ---- */

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
	out->epoch_ms = c->epoch_ms;
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
	workers_each(c->workers, core_each_worker, &p);
}

static void core_each_lease(void *arg,
			    void (*each)(void *each_arg, const struct lease *l),
			    void *each_arg)
{
	struct core *c = arg;

	registry_each(ledger_book(c->ledger), each, each_arg);
}

static const struct lease *core_find_lease(void *arg, const struct control_key *key)
{
	struct core *c = arg;

	return registry_find(ledger_book(c->ledger), key->protocol, key->ext_port,
			     &key->remote, key->remote_len);
}

static void core_end_lease(void *arg, const struct control_key *key,
			   void (*done)(void *done_arg, enum lease_reason reason),
			   void *done_arg)
{
	struct core *c = arg;
	struct lease_request req = {
		.op = LEASE_OP_UNMAP_PORT,
		.by = LEASE_BY_ADMIN,
		.protocol = key->protocol,
		.ext_port = key->ext_port,
		.remote = key->remote,
		.remote_len = key->remote_len,
	};

	for (size_t i = 0; i < CONTROL_PROCESSES; i++) {
		if (c->admin[i].done)
			continue;
		c->admin[i] = (struct core_admin){done, done_arg};
		ledger_ask(c->ledger, TO_CONTROL + i, -1, &req);
		return;
	}
	done(done_arg, LEASE_RATE);
}

static const struct control_ops control_ops = {core_status, core_each_lease,
					       core_find_lease, core_end_lease};

/* ---- Start and end ---- */

static int core_read_config(struct core *c)
{
	ssize_t n = pread(ROLE_FD_CONFIG, &c->config, sizeof(c->config), 0);

	close(ROLE_FD_CONFIG);
	if (n != (ssize_t)sizeof(c->config)) {
		log_error("not started by portreeved: the core has no configuration");
		return -EINVAL;
	}
	c->policy = (struct lease_policy){
		.max_leases = c->config.leases,
		.per_host = c->config.per_host,
		.requests_per_second = c->config.requests_per_second,
		.pcp_min_s = c->config.min_lifetime_s,
		.pcp_max_s = c->config.max_lifetime_s,
		.reserved_tcp = c->config.reserved_tcp,
		.reserved_udp = c->config.reserved_udp,
	};
	if (getrandom(&c->policy.seed, sizeof(c->policy.seed), 0) < 0)
		c->policy.seed = clock_ms();
	return 0;
}

static int core_open_firewall(bool assume_kernel_61, struct firewall **fw)
{
	const struct firewall_options options = {.assume_kernel_61 = assume_kernel_61};
	int err = firewall_open(&options, fw);

	switch (-err) {
	case 0:
		return 0;
	case EPROTONOSUPPORT:
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
		log_error("this kernel has no nf_tables; load it: modprobe nf_tables");
		break;
	case EPERM:
		log_error("the kernel does not let us change nftables (CAP_NET_ADMIN is "
			  "missing); is this a container without it?");
		break;
	default:
		errno = -err;
		log_error("nftables: %m");
	}
	return err;
}

int core_remove_table(void)
{
	struct firewall *fw = NULL;
	int err = core_open_firewall(false, &fw);

	if (err)
		return err;
	err = firewall_remove(fw);
	if (err) {
		errno = -err;
		log_error("the table could not be removed: %m");
	}
	firewall_close(fw);
	return err;
}

struct core *core_new(const struct options *o)
{
	struct core *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		log_error("no memory");
		return NULL;
	}
	c->options = o;
	c->started_ms = clock_ms();
	if (core_read_config(c) ||
	    core_open_firewall(o->assume_kernel_61, &c->firewall)) {
		core_free(c);
		return NULL;
	}
	err = links_open(&c->links);
	if (err) {
		errno = -err;
		log_error("cannot read the interfaces from the kernel: %m");
		core_free(c);
		return NULL;
	}
	topology_init(&c->topology, &c->config);
	return c;
}

static int core_make_loop(struct core *c)
{
	struct event_base *b = event_base_new();

	c->base = b;
	if (!b || event_base_priority_init(b, 3))
		return -ENOMEM;
	c->ledger = ledger_new(b, &c->policy, c->firewall, &ledger_ops, c);
	c->workers = workers_new(b, ROLE_FD_CHANNEL, &workers_ops, c);
	c->parent_readable = event_new(b, ROLE_FD_CHANNEL, EV_READ | EV_PERSIST,
				       core_parent_readable, c);
	c->links_readable = event_new(b, links_fd(c->links), EV_READ | EV_PERSIST,
				      core_links_readable, c);
	c->terminate = evsignal_new(b, SIGTERM, core_terminate, c);
	c->state_due = event_new(b, -1, 0, core_state_due, c);
	if (!c->ledger || !c->workers || !c->parent_readable || !c->links_readable ||
	    !c->terminate || !c->state_due)
		return -ENOMEM;
	event_add(c->parent_readable, NULL);
	event_add(c->links_readable, NULL);
	event_add(c->terminate, NULL);
	return 0;
}

/* The table, what it holds, and the epoch that goes with it. */
static int core_take_table(struct core *c)
{
	const struct firewall_config config = {
		.max_leases = c->config.leases,
		.reserved_tcp = &c->policy.reserved_tcp,
		.reserved_udp = &c->policy.reserved_udp,
		.now_ms = clock_ms(),
	};
	int err = firewall_install(c->firewall, &config);

	if (err == -EEXIST)
		log_error(
			"a table inet portreeve of another form is there; remove it: nft delete "
			"table inet portreeve");
	if (err)
		return err;
	err = firewall_epoch_get(c->firewall, &c->epoch_ms);
	if (err == -ENOENT) {
		c->epoch_ms = config.now_ms;
		err = firewall_epoch_set(c->firewall, c->epoch_ms);
	}
	return err;
}

int core_run(struct core *c)
{
	int err = core_make_loop(c);
	int kept;

	if (!err)
		err = core_take_table(c);
	if (err) {
		errno = -err;
		log_error("cannot start: %m");
		return err;
	}
	identity_load(&c->identity, c->options->state_dir);
	core_look_around(c, true);
	kept = ledger_adopt(c->ledger);
	if (kept < 0) {
		errno = -kept;
		log_error("the leases in the kernel cannot be read: %m");
		return kept;
	}
	c->control = control_new(c->base, ROLE_FD_CONTROL, &control_ops, c);
	if (!c->control)
		return -ENOMEM;
	core_workers_changed(c);
	event_base_dispatch(c->base);
	return 0;
}

void core_free(struct core *c)
{
	if (!c)
		return;
	control_free(c->control);
	workers_free(c->workers);
	ledger_free(c->ledger);
	if (c->parent_readable)
		event_free(c->parent_readable);
	if (c->links_readable)
		event_free(c->links_readable);
	if (c->terminate)
		event_free(c->terminate);
	if (c->state_due)
		event_free(c->state_due);
	if (c->base)
		event_base_free(c->base);
	links_close(c->links);
	firewall_close(c->firewall);
	free(c);
}
