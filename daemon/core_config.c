/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration in the core: what it means for policy and firewall, at the start and
 * when another one comes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"

#define SYN_UNLIMITED 10000 /* requests a second from which on connections are free */

void core_set_policy(struct core *c)
{
	struct lease_policy *p = &c->policy;
	const struct config *from = &c->config;

	p->max_leases = from->leases;
	p->per_host = from->per_host;
	p->requests_per_second = from->requests_per_second;
	p->pcp_min_s = from->min_lifetime_s;
	p->pcp_max_s = from->max_lifetime_s;
	p->open_nat_per_host = from->open_nat.per_host;
	p->nonce_same_source = from->pcp_nonce_same_source;
	p->reserved_tcp = from->reserved_tcp;
	p->reserved_udp = from->reserved_udp;
	p->access = from->access;
	p->n_access = from->n_access;
	p->forwards = from->forward;
	p->n_forwards = from->n_forwards;
	memset(&p->forwarded_tcp, 0, sizeof(p->forwarded_tcp));
	memset(&p->forwarded_udp, 0, sizeof(p->forwarded_udp));
	for (size_t i = 0; i < from->n_forwards; i++) {
		const struct lease_forward *f = &from->forward[i];

		portset_add(f->protocol == IPPROTO_TCP ? &p->forwarded_tcp
						       : &p->forwarded_udp,
			    f->first, f->last);
	}
}

int core_install(struct core *c)
{
	const struct config_router *r = &c->config.router;
	uint32_t rate = c->config.requests_per_second;
	struct firewall_config config;
	int err;

	c->router = (struct firewall_router){
		.masquerade = r->masquerade,
		.filter = r->filter,
		.clamp_mss = r->clamp_mss,
		.antispoof = r->antispoof,
		.log = r->log,
		.allow_icmp = r->allow_icmp,
		.tcp = &r->tcp,
		.udp = &r->udp,
	};
	config = (struct firewall_config){
		.max_leases = c->config.leases,
		.reserved_tcp = &c->policy.reserved_tcp,
		.reserved_udp = &c->policy.reserved_udp,
		.now_ms = clock_ms(),
		.worker_uid = c->worker_uid,
		.syn_per_second = rate < SYN_UNLIMITED ? rate : 0,
		.foreign_masquerade = !c->config.own_masquerade,
		.forwards = c->config.forward,
		.n_forwards = c->config.n_forwards,
		.router = r->on ? &c->router : NULL,
		.learn = core_unasked_learn(c),
	};
	err = firewall_install(c->firewall, &config);

	if (err == -EEXIST)
		log_error(
			"a table inet portreeve of another form is there; remove it: nft delete "
			"table inet portreeve");
	return err;
}

/* Tells all who have asked for it; NULL: it was applied. */
static void core_reloaded(struct core *c, const char *error, size_t ended)
{
	for (size_t i = 0; i < CORE_RELOADS; i++) {
		struct core_reload reload = c->reload[i];

		c->reload[i].done = NULL;
		if (reload.done)
			reload.done(reload.arg, error, ended);
	}
}

void core_ask_reload(struct core *c,
		     void (*done)(void *arg, const char *error, size_t ended), void *arg)
{
	const struct role_record r = {.op = ROLE_OP_RELOAD};
	size_t i = 0;

	while (i < CORE_RELOADS && c->reload[i].done)
		i++;
	if (i == CORE_RELOADS || role_send(ROLE_FD_CHANNEL, &r, -1)) {
		done(arg, "too many reloads are under way, try again", 0);
		return;
	}
	c->reload[i] = (struct core_reload){done, arg};
}

void core_config_wrong(struct core *c, int fd)
{
	char text[CONFIG_ERROR] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	core_reloaded(c, n > 0 ? text : "see the log of portreeved", 0);
}

/* A LAN that is down keeps its leases, as at any other time. */
bool core_all_lans_there(const struct core *c)
{
	for (size_t i = 0; i < LEASE_LANS_MAX; i++)
		if (c->topology.lan[i].name[0] && !c->topology.lan[i].n_addrs)
			return false;
	return true;
}

void core_take_config(struct core *c, int fd)
{
	static struct config next, before;
	const struct role_record serving = {.op = ROLE_OP_SERVING};
	size_t ended;
	int err;

	if (pread(fd, &next, sizeof(next), 0) != (ssize_t)sizeof(next)) {
		core_reloaded(c, "the configuration did not arrive", 0);
		return;
	}
	ledger_listen(c->ledger); /* by the times that were */
	before = c->config;
	c->config = next;
	core_set_policy(c);
	err = core_install(c);
	if (err) {
		c->config = before;
		core_set_policy(c);
		errno = -err;
		log_error("the kernel refused the new configuration: %m");
		core_install(c);
		ledger_restore_idle(c->ledger);
		core_reloaded(c, "the kernel refused it, see the log of portreeved", 0);
		return;
	}
	ledger_restore_idle(c->ledger);
	core_rules_configure(c);
	core_store_bound(c->store, c->config.history_days, c->config.history_rows);
	core_look_around(c, CORE_OTHER_CONFIG);
	core_own_look(c);
	if (before.requests_per_second != next.requests_per_second)
		for (uint16_t i = 0; i < LEASE_LANS_MAX; i++) {
			workers_restart(c->workers, ROLE_PCP, i);
			workers_restart(c->workers, ROLE_IGD, i);
		}
	ended = ledger_judge(c->ledger, core_all_lans_there(c));
	core_changed(c);
	log_info("the configuration was read again; %zu leases ended by it", ended);
	if (c->serving && role_send(ROLE_FD_CHANNEL, &serving, -1))
		log_debug("the parent does not listen");
	core_reloaded(c, NULL, ended);
}
