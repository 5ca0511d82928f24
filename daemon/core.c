/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "firewall/conntrack.h"

#include "daemon/privileges.h"

/* Of refusals in the log: clients can cause them at will. */
#define REFUSALS_BURST 10
#define REFUSALS_EVERY_MS 6000
/* To read a large ruleset takes long, and others may change it often. */
#define SHADOWS_SHARE 3

static void core_links_readable(evutil_socket_t fd, short what, void *arg)
{
	struct core *c = arg;

	(void)fd;
	(void)what;
	if (links_read(c->links) > 0)
		core_look_around(c, CORE_LINKS);
}

static void core_parent_says(struct core *c, const struct role_record *r, int fd)
{
	const struct role_record alive = {.op = ROLE_OP_ALIVE};
	enum role role = (enum role)r->role;

	switch (r->op) {
	case ROLE_OP_PARENT:
		c->parent_pid = r->pid;
		break;
	case ROLE_OP_STARTED:
		if (role == ROLE_STORE)
			core_store_started(c->store, r->pid, fd);
		else if (role == ROLE_UPSTREAM)
			core_upstream_started(c->upstream, r->pid, fd);
		else if (role == ROLE_TRIGGER)
			core_trigger_started(c->trigger, r->pid, fd);
		else
			workers_started(c->workers, role, r->lan, r->pid, fd);
		return;
	case ROLE_OP_CONFIG:
		core_take_config(c, fd);
		break;
	case ROLE_OP_WRONG:
		core_config_wrong(c, fd);
		break;
	case ROLE_OP_EXITED:
		if (role == ROLE_STORE)
			core_store_exited(c->store, r->pid);
		else if (role == ROLE_UPSTREAM)
			core_upstream_exited(c->upstream, r->pid);
		else if (role == ROLE_TRIGGER)
			core_trigger_exited(c->trigger, r->pid);
		else
			workers_exited(c->workers, role, r->lan, r->pid);
		break;
	case ROLE_OP_ASK:
		if (role_send(ROLE_FD_CHANNEL, &alive, -1))
			log_debug("the parent does not listen");
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

static int core_read_config(struct core *c)
{
	ssize_t n = pread(ROLE_FD_CONFIG, &c->config, sizeof(c->config), 0);

	close(ROLE_FD_CONFIG);
	if (n != (ssize_t)sizeof(c->config)) {
		log_error("not started by portreeved: the core has no configuration");
		return -EINVAL;
	}
	c->policy = (struct lease_policy){
		.in_use = core_in_use,
		.claimed = core_claimed,
		.flows = core_flows,
		.outside = core_outside,
		.heard = core_heard,
		.mac = core_mac,
		.active = core_active,
		.silence_ms = c->config.gone_after_s * 1000ULL,
		.in_use_arg = c,
	};
	core_set_policy(c);
	if (getrandom(&c->policy.seed, sizeof(c->policy.seed), 0) < 0)
		c->policy.seed = clock_ms();
	return 0;
}

/* While we may still read files. */
static int core_find_worker(struct core *c)
{
	const char *missing;
	struct users users;

	if (users_find(&users, &missing)) {
		log_error("the user %s does not exist any more", missing);
		return -ENOENT;
	}
	c->worker_uid = users.worker_uid;
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

/* The sandbox opens no more files. Without conntrack there is nothing to know. */
static int core_open_timeout(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
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
	c->tcp_idle = c->udp_idle = -1;
	c->started_ms = clock_ms();
	if (core_find_worker(c) || core_read_config(c) ||
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
	err = neighbours_open(&c->neighbours);
	if (err) {
		errno = -err;
		log_error("cannot read the neighbours from the kernel: %m");
		core_free(c);
		return NULL;
	}
	c->sockets = sockets_open();
	if (!c->sockets) {
		log_error("cannot ask the kernel for the router's own ports: %m");
		core_free(c);
		return NULL;
	}
	c->tcp_idle = core_open_timeout(
		"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established");
	c->udp_idle = core_open_timeout(
		"/proc/sys/net/netfilter/nf_conntrack_udp_timeout");
	c->shadows = shadows_new();
	c->refusals = (struct pace){.burst = REFUSALS_BURST,
				    .every_ms = REFUSALS_EVERY_MS};
	c->shadows_pace = (struct pace){.burst = UINT32_MAX, .share = SHADOWS_SHARE};
	if (!c->shadows) {
		log_error("no memory");
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
	c->ledger = ledger_new(b, &c->policy, c->firewall, &core_ledger_ops, c);
	c->upstream = core_upstream_new(b, c->options->debug);
	c->trigger = core_trigger_new(b, &core_trigger_ops, c);
	c->workers = workers_new(b, ROLE_FD_CHANNEL, &core_workers_ops, c);
	c->parent_readable = event_new(b, ROLE_FD_CHANNEL, EV_READ | EV_PERSIST,
				       core_parent_readable, c);
	c->links_readable = event_new(b, links_fd(c->links), EV_READ | EV_PERSIST,
				      core_links_readable, c);
	c->terminate = evsignal_new(b, SIGTERM, core_terminate, c);
	c->state_due = event_new(b, -1, 0, core_state_due, c);
	c->judge_due = event_new(b, -1, 0, core_judge_due, c);
	c->unknown_due = event_new(b, -1, 0, core_unknown_due, c);
	c->held_due = event_new(b, -1, 0, core_held_due, c);
	c->own_due = event_new(b, -1, 0, core_own_due, c);
	c->holders.due = event_new(b, -1, 0, core_holders_due, c);
	c->rules_due = event_new(b, -1, 0, core_rules_due, c);
	c->turns = turns_new(&core_turns_ops, c);
	if (!c->ledger || !c->upstream || !c->workers || !c->parent_readable ||
	    !c->links_readable || !c->terminate || !c->state_due || !c->judge_due ||
	    !c->trigger || !c->unknown_due || !c->held_due || !c->own_due ||
	    !c->holders.due || !c->rules_due || !c->turns)
		return -ENOMEM;
	turns_configure(c->turns, c->config.trigger, c->config.n_triggers);
	event_add(c->parent_readable, NULL);
	event_add(c->links_readable, NULL);
	event_add(c->terminate, NULL);
	return 0;
}

/* The table, what it holds, and the epoch that goes with it. */
static int core_take_table(struct core *c)
{
	uint64_t before_ms = clock_ms();
	int err = core_install(c);

	if (err)
		return err;
	err = firewall_epoch_get(c->firewall, &c->epoch);
	if (err == -ENOENT) {
		c->epoch = (struct firewall_epoch){.since_ms = clock_ms()};
		err = firewall_epoch_set(c->firewall, &c->epoch);
	}
	/* One that was there has its epoch from then. */
	c->fresh = !err && (int64_t)(c->epoch.since_ms - before_ms) >= 0;
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
	err = cut_new(c->base, c->firewall, c->ledger, core_led, c, &c->cut);
	if (err) {
		errno = -err;
		log_error("cannot follow the flows (is nf_conntrack_netlink there?): %m");
		return err;
	}
	err = conntrack_open(&c->conntrack);
	if (err)
		return err;
	c->traffic = traffic_new(c->base, c->ledger, &c->policy);
	if (!c->traffic)
		return -ENOMEM;
	err = heal_new(c->base, c->firewall, c->ledger, c->cut, &c->heal);
	if (err) {
		errno = -err;
		log_error("cannot watch what others do to nftables: %m");
		return err;
	}
	identity_load(&c->identity, c->options->state_dir);
	core_denials_load(c);
	core_look_around(c, CORE_START);
	kept = ledger_adopt(c->ledger);
	if (kept < 0) {
		errno = -kept;
		log_error("the leases in the kernel cannot be read: %m");
		return kept;
	}
	ledger_restore_idle(c->ledger);
	core_holders_changed(c);
	err = core_keep(c);
	if (err)
		return err;
	event_base_dispatch(c->base);
	cut_finish(c->cut);
	core_keep_end(c);
	return 0;
}

void core_begin(struct core *c)
{
	if (c->begun)
		return;
	c->begun = true;
	core_keep_begin(c);
	c->control = control_new(c->base, ROLE_FD_CONTROL, &core_control_ops, c);
	if (!c->control) {
		log_error("no memory for the control socket");
		event_base_loopexit(c->base, NULL);
		return;
	}
	core_rules_judge(c);
	core_serve_lans(c);
	core_check_ready(c);
}

void core_free(struct core *c)
{
	if (!c)
		return;
	control_free(c->control);
	core_explain_end(c);
	core_store_free(c->store);
	core_upstream_free(c->upstream);
	core_trigger_free(c->trigger);
	turns_free(c->turns);
	workers_free(c->workers);
	heal_free(c->heal);
	cut_free(c->cut);
	traffic_free(c->traffic);
	ledger_free(c->ledger);
	if (c->parent_readable)
		event_free(c->parent_readable);
	if (c->links_readable)
		event_free(c->links_readable);
	if (c->terminate)
		event_free(c->terminate);
	if (c->state_due)
		event_free(c->state_due);
	if (c->judge_due)
		event_free(c->judge_due);
	if (c->unknown_due)
		event_free(c->unknown_due);
	if (c->held_due)
		event_free(c->held_due);
	if (c->own_due)
		event_free(c->own_due);
	if (c->holders.due)
		event_free(c->holders.due);
	free(c->holders.host);
	if (c->base)
		event_base_free(c->base);
	if (c->tcp_idle >= 0)
		close(c->tcp_idle);
	if (c->udp_idle >= 0)
		close(c->udp_idle);
	conntrack_close(c->conntrack);
	links_close(c->links);
	neighbours_close(c->neighbours);
	shadows_free(c->shadows);
	sockets_close(c->sockets);
	firewall_close(c->firewall);
	free(c);
}
