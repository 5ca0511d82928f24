/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the core knows about one port: explain and flows. A question may wait for the host to
 * answer, for the store, and until it can be afforded; nobody else waits for it.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/core_inside.h"
#include "firewall/foreign.h"
#include "lease/policy.h"

#define JOBS_MAX 16
#define HOST_FRESH_MS 1000
#define HOST_LOOK_MS 20
#define HOST_GONE_MS 3300 /* the kernel asks three times, a second apart */
#define HISTORY_LIMIT 32
#define EXPLAIN_BURST 16
#define EXPLAIN_EVERY_MS 100
#define EXPLAIN_SHARE 4

struct core_job {
	struct core *core;
	struct core_job *next;
	struct event *timer;
	uint64_t began_ms;
	uint8_t protocol;
	uint16_t port;
	control_explain_done explain; /* one of the two */
	control_flows_done flows;
	void *arg;

	bool has_lease;
	bool host_known;
	bool asked; /* the host, or the store */
	struct lease lease;
	struct lease elsewhere;
	bool has_elsewhere;
	struct store_event event;
	struct explain_facts facts;
	struct check_report findings;
	struct check_settings settings;
	struct conntrack_flow flow[CONTROL_FLOWS];
	size_t n_flows;
	bool more;
	struct traffic_sum sum;
};

static void job_free(struct core_job *j)
{
	struct core_job **at = &j->core->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	j->core->n_jobs--;
	if (j->timer)
		event_free(j->timer);
	free(j);
}

void core_explain_end(struct core *c)
{
	while (c->jobs)
		job_free(c->jobs);
}

static void job_wait(struct core_job *j, long ms)
{
	const struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(j->timer, &in);
}

/* ---- The lease ---- */

/* For everybody goes before for some, IPv4 before a pinhole. */
static int rank(const struct lease *l)
{
	return lease_is_pinhole(l) ? 0 : lease_has_remote(l) ? 1 : 2;
}

static void job_lease(void *arg, const struct lease *l)
{
	struct core_job *j = arg;
	uint16_t last = core_control_ops.last_port(j->core, l);

	if (l->protocol != j->protocol)
		return;
	if (j->port < l->ext_port || j->port > last) {
		if (l->int_port == j->port && !j->has_elsewhere) {
			j->elsewhere = *l;
			j->has_elsewhere = true;
		}
		return;
	}
	j->facts.others += j->has_lease;
	if (j->has_lease && rank(l) <= rank(&j->lease))
		return;
	j->lease = *l;
	if (last != l->ext_port) { /* a range keeps its ports */
		j->lease.ext_port = j->port;
		j->lease.int_port = j->port;
	}
	j->has_lease = true;
}

/* ---- Its host ---- */

/* How many milliseconds to wait; 0: it is known. */
static long job_host(struct core_job *j)
{
	struct core *c = j->core;
	struct explain_facts *f = &j->facts;
	const struct topology_lan *lan = core_lan_of(c, &j->lease.internal);
	uint64_t waited_ms = clock_ms() - j->began_ms, silence_ms;

	f->host = EXPLAIN_HOST_UNKNOWN;
	for (size_t i = 0; lan && i < lan->n_addrs; i++) {
		const struct prefix net = {lan->addrs[i].addr, lan->addrs[i].len};

		if (prefix_has(&net, &j->lease.internal))
			f->router = lan->addrs[i].addr;
	}
	if (!lan || neighbours_silence(c->neighbours, lan->ifindex, &j->lease.internal,
				       &silence_ms))
		return 0;
	f->silence_ms = silence_ms;
	f->host = EXPLAIN_HOST_THERE;
	if (silence_ms < HOST_FRESH_MS || (j->asked && silence_ms <= waited_ms))
		return 0;
	f->host = EXPLAIN_HOST_GONE;
	if (j->asked && waited_ms >= HOST_GONE_MS)
		return 0;
	if (!j->asked &&
	    neighbours_probe(c->neighbours, lan->ifindex, &j->lease.internal)) {
		f->host = EXPLAIN_HOST_UNKNOWN;
		return 0;
	}
	if (!j->asked)
		j->began_ms = clock_ms();
	j->asked = true;
	return HOST_LOOK_MS;
}

/* ---- Its flows ---- */

static void job_flow(void *arg, const struct conntrack_flow *f)
{
	struct core_job *j = arg;
	struct explain_facts *facts = &j->facts;
	struct conntrack_flow flow = *f;

	if (f->inbound) {
		bool answered = f->answered && !f->closing;

		facts->n_in++;
		facts->n_answered += answered;
		facts->from_outside = facts->from_outside ||
				      (answered &&
				       !addr_is_private(&f->flow.original.src) &&
				       !addr_is_cgnat(&f->flow.original.src));
	} else {
		facts->n_out += !f->closing;
	}
	flow.idle_s = traffic_idle(&j->settings, f);
	traffic_add(&j->sum, &flow);
	if (j->n_flows < CONTROL_FLOWS)
		j->flow[j->n_flows++] = flow;
	else
		j->more = true;
}

static void job_answer_flows(struct core_job *j)
{
	const struct control_flows f = {
		.lease = j->has_lease ? &j->lease : NULL,
		.flow = j->flow,
		.n = j->n_flows,
		.more = j->more,
		.sum = j->sum,
	};

	j->flows(j->arg, j->facts.flows_error, &f);
	job_free(j);
}

/* ---- The rest ---- */

static void job_findings(struct core_job *j)
{
	struct core *c = j->core;
	struct check_facts facts = {.topology = &c->topology,
				    .lease = &j->lease,
				    .n_leases = 1,
				    .only_leases = true};
	uint64_t began = pace_cpu_us();

	facts.foreign_error = foreign_read(FIREWALL_TABLE, &facts.foreign);
	core_upstream_known(c->upstream, &facts.upstream);
	facts.settings = j->settings;
	check_run(&facts, &j->findings);
	foreign_free(facts.foreign);
	j->facts.findings = &j->findings;
	pace_done(&c->explain_pace, clock_ms(), pace_cpu_us() - began);
}

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void job_answer(struct core_job *j)
{
	struct core *c = j->core;
	struct explain_facts *f = &j->facts;
	struct explain_report report;

	f->protocol = j->protocol;
	f->port = j->port;
	f->now_ms = clock_ms();
	f->wall_ms = wall_ms();
	f->lease = j->has_lease ? &j->lease : NULL;
	f->elsewhere = j->has_elsewhere ? &j->elsewhere : NULL;
	f->wan = c->topology.wan[0] ? c->topology.wan : NULL;
	f->wan4 = c->topology.wan4;
	if (j->has_lease) {
		f->in_kernel = firewall_there(c->firewall, &j->lease, &f->left_ms,
					      &f->packets);
		job_findings(j);
	} else {
		f->policy = policy_ext_port(&c->policy, LEASE_BY_UPNP, j->protocol,
					    j->port, &j->event.internal);
		if (f->policy == LEASE_TAKEN)
			f->policy = LEASE_OK;
		f->denial = policy_denial(&c->policy, j->protocol, j->port,
					  &j->event.internal);
	}
	explain_run(f, &report);
	j->explain(j->arg, &report);
	job_free(j);
}

/* The last thing that happened with that external port, or was asked for and refused. */
static void job_history(void *arg, const struct store_answer *answer,
			const struct store_event *events, size_t n)
{
	struct core_job *j = arg;

	j->facts.history_known = answer && !answer->failed;
	for (size_t i = 0; i < n && !j->facts.event; i++) {
		const struct store_event *e = &events[i];
		bool any_port = e->what == STORE_REFUSED && !e->ext_port;

		if (e->ext_port != j->port && !(any_port && e->int_port == j->port))
			continue;
		j->event = *e;
		j->facts.event = &j->event;
	}
	job_answer(j);
}

/* Goes on where it had to wait. */
static void job_turn(evutil_socket_t fd, short what, void *arg)
{
	struct core_job *j = arg;
	struct core *c = j->core;
	long ms;

	(void)fd;
	(void)what;
	if (!j->has_lease && j->explain) {
		const struct store_question q = {.protocol = j->protocol,
						 .port = j->port,
						 .limit = HISTORY_LIMIT,
						 .newest = 1};

		core_store_ask(c->store, &q, job_history, j);
		return;
	}
	if (j->explain && !j->host_known) {
		ms = job_host(j);
		if (ms) {
			job_wait(j, ms);
			return;
		}
		j->host_known = true;
	}
	ms = j->explain ? (long)pace_wait(&c->explain_pace, clock_ms()) : 0;
	if (!ms && j->has_lease)
		check_read_settings("/proc/sys/net", &j->settings);
	if (!ms && j->has_lease)
		ms = cut_each_flow(c->cut, &j->lease, job_flow, j);
	if (ms > 0) {
		job_wait(j, ms);
		return;
	}
	j->facts.flows_error = (int)ms;
	if (j->explain)
		job_answer(j);
	else
		job_answer_flows(j);
}

/* NULL: too many at once, or no memory. */
static struct core_job *job_new(struct core *c, uint8_t protocol, uint16_t port)
{
	struct core_job *j = c->n_jobs < JOBS_MAX ? calloc(1, sizeof(*j)) : NULL;

	if (!j)
		return NULL;
	*j = (struct core_job){.core = c,
			       .next = c->jobs,
			       .began_ms = clock_ms(),
			       .sum = TRAFFIC_NONE,
			       .protocol = protocol,
			       .port = port};
	c->jobs = j;
	c->n_jobs++;
	c->explain_pace.burst = EXPLAIN_BURST;
	c->explain_pace.every_ms = EXPLAIN_EVERY_MS;
	c->explain_pace.share = EXPLAIN_SHARE;
	j->timer = event_new(c->base, -1, 0, job_turn, j);
	if (!j->timer) {
		job_free(j);
		return NULL;
	}
	core_each_lease(c, job_lease, j);
	return j;
}

void core_explain(void *arg, uint8_t protocol, uint16_t port, control_explain_done done,
		  void *done_arg)
{
	struct core_job *j = job_new(arg, protocol, port);

	if (!j) {
		done(done_arg, NULL);
		return;
	}
	j->explain = done;
	j->arg = done_arg;
	job_wait(j, 0);
}

void core_flows_of(void *arg, uint8_t protocol, uint16_t port, control_flows_done done,
		   void *done_arg)
{
	struct core_job *j = job_new(arg, protocol, port);

	if (!j) {
		done(done_arg, -EBUSY, NULL);
		return;
	}
	j->flows = done;
	j->arg = done_arg;
	job_wait(j, 0);
}
