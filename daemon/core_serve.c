/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "daemon/lease_log.h"
#include "daemon/listen.h"
#include "firewall/flows.h"
#include "firewall/offload.h"
#include "lease/policy.h"

#define STATE_DELAY_MS 50 /* changes of the listing reach the workers gathered */

/* Seconds, as they are now; 0: unknown. */
static uint32_t core_timeout(int fd)
{
	char text[16] = "";
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	unsigned long seconds = n > 0 ? strtoul(text, NULL, 10) : 0;

	return seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static void core_state(void *arg, struct record_state *s)
{
	struct core *c = arg;
	struct link_counters n = {0};

	ledger_commit(c->ledger); /* the leases and their SystemUpdateID go together */
	if (c->topology.wan[0])
		links_counters(c->links, c->topology.wan, &n);
	*s = (struct record_state){
		.wan4 = c->topology.wan4,
		.epoch_ms = c->epoch.since_ms,
		.wan_since_ms = c->wan_since_ms,
		.rx_bytes = n.rx_bytes,
		.tx_bytes = n.tx_bytes,
		.rx_packets = n.rx_packets,
		.tx_packets = n.tx_packets,
		.update_id = ledger_update_id(c->ledger),
		.entries = (uint32_t)registry_listed(ledger_book(c->ledger)),
		.tcp_idle_s = core_timeout(c->tcp_idle),
		.udp_idle_s = core_timeout(c->udp_idle),
		.wan_up = c->topology.wan_up,
	};
}

void core_state_due(int fd, short what, void *arg)
{
	struct core *c = arg;

	(void)fd;
	(void)what;
	workers_send_state(c->workers);
}

static_assert(CONFIG_ALSO <= RECORD_LAN_ALSO, "all networks of a LAN fit the record");

static bool lan_has_v6(const struct topology_lan *t)
{
	for (size_t i = 0; i < t->n_addrs; i++)
		if (!addr_is_v4(&t->addrs[i].addr))
			return true;
	return false;
}

/* The sockets of that worker. *n_fds is how many there are, also on failure. */
static int core_listen(const struct topology_lan *t, enum role role, int fds[CHANNEL_FDS],
		       size_t *n_fds)
{
	int fd = role == ROLE_PCP ? listen_pcp(t->name)
				  : listen_http(t->name, addr_to_v4(&t->addrs[0].addr),
						t->http_port);

	if (fd < 0)
		return fd;
	fds[(*n_fds)++] = fd;
	if (!lan_has_v6(t) || (role == ROLE_PCP && !t->pcp))
		return 0;
	fd = role == ROLE_PCP ? listen_pcp6(t->name)
			      : listen_http6(t->name, t->http_port);
	if (fd == -EAFNOSUPPORT) /* a kernel without IPv6 */
		return 0;
	if (fd < 0)
		return fd;
	fds[(*n_fds)++] = fd;
	return 0;
}

static int core_setup(void *arg, enum role role, uint16_t lan, struct record_setup *setup,
		      int fds[CHANNEL_FDS], size_t *n_fds)
{
	struct core *c = arg;
	const struct topology_lan *t = &c->topology.lan[lan];
	int err;

	if (!t->n_addrs)
		return -EADDRNOTAVAIL;
	*setup = (struct record_setup){
		.ifindex = t->ifindex,
		.lan = lan,
		.http_port = t->http_port,
		.requests_per_second = c->config.requests_per_second,
		.n_addrs = (uint8_t)t->n_addrs,
		.n_also = (uint8_t)t->n_also,
		.features = (uint8_t)((t->nat_pmp ? RECORD_NATPMP : 0) |
				      (t->pcp ? RECORD_PCP : 0)),
		.debug = c->options->debug,
	};
	memcpy(setup->ifname, t->name, sizeof(t->name));
	memcpy(setup->addrs, t->addrs, sizeof(setup->addrs));
	for (size_t i = 0; i < t->n_also; i++)
		setup->also[i] = (struct record_prefix){
			t->also[i].addr, t->also[i].len, {0}};
	identity_uuid(&c->identity, t->name, setup->uuid);
	err = core_listen(t, role, fds, n_fds);
	if (!err)
		return 0;
	while (*n_fds)
		close(fds[--*n_fds]);
	errno = -err;
	log_error("%s port %u on %s: %m; it is tried again",
		  role == ROLE_PCP ? "udp" : "tcp",
		  role == ROLE_PCP ? 5351 : t->http_port, t->name);
	return err;
}

static void core_request(void *arg, worker_id from, uint16_t lan,
			 const struct lease_request *req)
{
	struct core *c = arg;

	core_gave_up(c, lan, req);
	if (!core_hold(c, from, lan, req))
		ledger_ask(c->ledger, from, lan, req);
}

struct core_rows {
	const struct lease_lan *lan;
	uint64_t now_ms;
	struct record_row *rows;
	size_t n;
};

static enum row_end core_row_end(const struct lease *l)
{
	if (l->deadline_ms == LEASE_NO_DEADLINE)
		return ROW_END_NEVER;
	if (l->until_gone & l->claims)
		return ROW_END_GONE;
	return l->claims & ~LEASE_IDLE_CLAIMS ? ROW_END_TIME : ROW_END_IDLE;
}

static bool core_row(void *arg, const struct lease *l)
{
	struct core_rows *c = arg;
	struct record_row *row = &c->rows[c->n];
	bool ours = false;

	for (size_t i = 0; i < c->lan->n_nets && !ours; i++)
		ours = prefix_has(&c->lan->nets[i], &l->internal);
	if (!ours)
		return false;
	*row = (struct record_row){
		.protocol = l->protocol,
		.end = (uint8_t)core_row_end(l),
		.claims = l->claims,
		.disabled = !l->enabled,
		.int_port = l->int_port,
		.ext_port = l->ext_port,
		.internal = l->internal,
		.remote = l->remote,
		.remote_len = l->remote_len,
		.n_filters = l->n_filters,
	};
	if (row->end == ROW_END_TIME && l->deadline_ms > c->now_ms)
		row->left_s = (uint32_t)((l->deadline_ms - c->now_ms + 999) / 1000);
	if (c->now_ms > l->created_ms)
		row->age_s = (uint32_t)((c->now_ms - l->created_ms) / 1000);
	memcpy(row->description, l->description, sizeof(row->description));
	c->n++;
	return true;
}

/* A LAN is shown its own hosts only. */
static size_t core_list(void *arg, uint16_t lan, uint32_t *place, struct record_row *rows,
			size_t max)
{
	struct core *c = arg;
	struct core_rows out = {
		.lan = &c->policy.lan[lan], .now_ms = clock_ms(), .rows = rows};

	*place = registry_walk(ledger_book(c->ledger), *place, max, core_row, &out);
	return out.n;
}

static void core_answer(void *arg, uint64_t to, const struct lease_reply *reply)
{
	struct core *c = arg;

	if (to < CORE_TO_ADMIN)
		workers_answer(c->workers, (worker_id)to, reply);
	else if (to != CORE_TO_NOBODY)
		core_admin_answer(c, to - CORE_TO_ADMIN,
				  (enum lease_reason)reply->reason);
}

static void core_answered(void *arg)
{
	struct core *c = arg;

	workers_flush(c->workers);
}

void core_changed(struct core *c)
{
	static const struct timeval delay = {.tv_usec = STATE_DELAY_MS * 1000};

	if (!event_pending(c->state_due, EV_TIMEOUT, NULL))
		event_add(c->state_due, &delay);
}

static void core_leases_changed(void *arg)
{
	core_changed(arg);
}

static void core_count(struct control_counts *n, const struct lease_change *s)
{
	const struct lease *l = s->has ? &s->after : &s->before;

	if (!s->has)
		n->ended[s->end]++;
	else if (!s->had)
		n->granted[l->origin]++;
	else if (s->before.deadline_ms != s->after.deadline_ms)
		n->renewed[l->origin]++; /* and not merely armed again */
}

static void core_settled(void *arg, const struct lease_change *step)
{
	struct core *c = arg;

	/* No remote holds what its host has let go (RFC 4787 REQ-6a). */
	if (step->has || step->end != LEASE_END_EXPIRED || c->config.cut_expired ||
	    lease_idles(&step->before))
		cut_step(c->cut, step);
	core_missing_step(c, step);
	if (c->store)
		core_store_step(c->store, step);
	core_count(&c->counts, step);
	if (c->control)
		control_step(c->control, step);
	core_rules_settled(c, step);
	core_holders_changed(c);
}

static bool core_gone(void *arg)
{
	struct core *c = arg;

	return heal_now(c->heal);
}

static void core_refused(void *arg, const struct lease_request *req,
			 enum lease_reason reason)
{
	struct core *c = arg;

	core_rules_refused(c, req);
	/* Nobody waits for what nobody asked for. */
	bool news = c->store && req->by != LEASE_BY_OPEN_NAT &&
		    core_store_refused(c->store, req, reason);

	c->counts.refused[reason]++;
	if (news && c->control)
		control_refused(c->control, req, reason);
	if (news && pace_wait(&c->refusals, clock_ms())) {
		c->refusals_left_out++;
		news = false;
	}
	if (!news && !log_debug_on())
		return;
	lease_log_refused(news ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, req, reason,
			  news ? c->refusals_left_out : 0);
	if (!news)
		return;
	c->refusals_left_out = 0;
	pace_done(&c->refusals, clock_ms(), 0);
}

const struct ledger_ops core_ledger_ops = {core_answer,         core_answered,
					   core_leases_changed, core_settled,
					   core_refused,        core_gone};

/* Do the admin's own rules send that port elsewhere? */
static bool core_shadowed(struct core *c, uint8_t protocol, uint16_t port)
{
	uint64_t began;
	int err;

	if (heal_others_changed(c->heal))
		c->shadows_known = false;
	if (!c->shadows_known && !pace_wait(&c->shadows_pace, clock_ms())) {
		began = pace_cpu_us();
		err = shadows_read(c->shadows);
		if (err) {
			errno = -err;
			log_warn("the admin's own rules could not be read: %m");
		}
		c->shadows_known = true;
		pace_done(&c->shadows_pace, clock_ms(), pace_cpu_us() - began);
	}
	return shadows_has(c->shadows, protocol, port, c->topology.wan,
			   &c->topology.wan4);
}

/* A flow towards a LAN host that neither a lease nor anybody else's rule explains: a lease has
 * let it in and ended since. */
bool core_led(void *arg, const struct flow *flow)
{
	struct core *c = arg;
	const struct portset *forwarded = flow->protocol == IPPROTO_TCP
						  ? &c->policy.forwarded_tcp
						  : &c->policy.forwarded_udp;

	if (!c->config.cut_expired)
		return false;
	if (!addr_is_v4(&flow->original.dst)) /* it has our mark */
		return true;
	return policy_internal(&c->policy, &flow->reply.src) == LEASE_OK &&
	       !portset_has(forwarded, flow->original.dport) &&
	       !core_shadowed(c, flow->protocol, flow->original.dport);
}

enum lease_reason core_in_use(void *arg, uint8_t protocol, uint16_t port)
{
	struct core *c = arg;

	if (sockets_listen(c->sockets, protocol, port, c->topology.wan_index,
			   &c->topology.wan4, clock_ms()))
		return LEASE_ROUTER;
	return core_shadowed(c, protocol, port) ? LEASE_STATIC : LEASE_OK;
}

bool core_claimed(void *arg, uint8_t protocol, uint16_t port,
		  const struct in6_addr *internal)
{
	struct core *c = arg;

	if (!addr_is_v4(internal) ||
	    firewall_claimed(c->firewall, protocol, port, addr_to_v4(internal)) <= 0)
		return false;
	cut_contested(c->cut, protocol, port);
	return true;
}

uint32_t core_flows(void *arg, uint8_t protocol, uint16_t port,
		    const struct in6_addr *internal)
{
	struct core *c = arg;
	uint64_t left_ms;

	if (!addr_is_v4(internal) || firewall_claims(c->firewall, protocol, port,
						     addr_to_v4(internal), &left_ms) <= 0)
		return 0;
	return (uint32_t)((left_ms + 999) / 1000);
}

/* Has it no packets because they pass by our rules? */
static bool core_passes_by(struct core *c, const struct lease *l)
{
	int err = offload_goes_on(c->firewall, c->conntrack, l,
				  addr_to_v4(&c->topology.wan4));

	if (err < 0 && err != -EOPNOTSUPP) {
		errno = -err;
		log_warn(
			"whether a host still sends through a flowtable is not known: %m");
	}
	return err > 0;
}

uint64_t core_active(void *arg, const struct lease *l, bool *elsewhere)
{
	struct core *c = arg;
	uint64_t left_ms, by_rules = core_rules_left(c, l);
	int err = firewall_active(c->firewall, l, &left_ms);

	*elsewhere = !err && by_rules > left_ms;
	if (*elsewhere)
		return by_rules;
	if (!err && !left_ms && lease_idles(l) && core_passes_by(c, l)) {
		*elsewhere = true;
		return l->idle_s * 1000ULL;
	}

	/* Without the table it has nothing to last in, and nobody to say so. */
	return err && err != -ENOENT ? 1000 : left_ms;
}

uint16_t core_outside(void *arg, uint8_t protocol, uint16_t int_port,
		      const struct in6_addr *internal)
{
	struct core *c = arg;

	return addr_is_v4(internal) ? cut_port_of(c->cut, protocol, int_port, internal)
				    : 0;
}

void core_check_ready(struct core *c)
{
	struct role_record r = {.op = ROLE_OP_SERVING};

	if (c->serving || !c->control || !workers_ready(c->workers) ||
	    !core_trigger_settled(c->trigger))
		return;
	c->serving = true;
	log_info("serving; %zu leases", registry_count(ledger_book(c->ledger)));
	if (role_send(ROLE_FD_CHANNEL, &r, -1))
		log_debug("the parent does not listen");
}

static void core_workers_changed(void *arg)
{
	core_check_ready(arg);
}

const struct workers_ops core_workers_ops = {core_setup, core_state, core_request,
					     core_workers_changed, core_list};
