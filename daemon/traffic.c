/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/traffic.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/check.h"
#include "daemon/ledger.h"
#include "daemon/pace.h"
#include "firewall/sweep.h"
#include "lease/hash.h"
#include "lease/policy.h"

#define LOOK_BURST 16
#define LOOK_EVERY_MS 100
#define LOOK_SHARE 10 /* rests so many times as long as it took: an eleventh of a CPU */
#define LOOK_SPARE_MS 500 /* 50 ms of CPU in a row */
#define LOOK_MAX_MS 3000  /* a client waits for no more than five seconds */
#define LOOK_WAITERS 16   /* who else asks gets the last look */
#define BUCKETS 4096

/* What was counted of one lease, by all that names it. */
struct tally {
	struct tally *next;
	uint8_t protocol;
	uint8_t remote_len;
	uint16_t ext_port;
	uint16_t int_port;
	uint16_t remote_port;
	struct in6_addr remote;
	struct in6_addr internal;
	struct traffic_sum sum;
};

struct traffic {
	struct event_base *base;
	const struct ledger *ledger;
	const struct lease_policy *policy;
	struct in6_addr wan4;
	struct pace pace;

	struct tally **found; /* by the last look; NULL: there was none, or it failed */
	struct tally **look;  /* by the one under way */
	struct sweep *sweep;
	struct event *readable;
	struct check_settings settings;
	uint64_t began_ms;
	uint64_t took_us;
	int err;
	struct traffic_waiter {
		void (*done)(void *arg);
		void *arg;
	} waiter[LOOK_WAITERS];
	size_t n_waiters;
};

void traffic_add(struct traffic_sum *sum, const struct conntrack_flow *f)
{
	sum->connections++;
	if (f->idle_s >= 0 && (sum->idle_s < 0 || f->idle_s < sum->idle_s))
		sum->idle_s = f->idle_s;
	if (!f->counted)
		return;
	sum->counted++;
	sum->packets += f->packets;
	sum->in_bytes += f->in_bytes;
	sum->out_bytes += f->out_bytes;
}

/* Each packet gives a flow its whole time again. */
int64_t traffic_idle(const struct check_settings *s, const struct conntrack_flow *f)
{
	bool udp = f->flow.protocol == IPPROTO_UDP;
	long whole = udp              ? f->assured ? s->udp_stream_s : s->udp_s
		     : f->established ? s->tcp_established_s
				      : -1;

	if (f->offloaded) /* it has a time of the flowtable's */
		return -1;
	return whole >= (long)f->left_s ? whole - (long)f->left_s : -1;
}

/* ---- Tallies ---- */

static void tallies_free(struct tally **bucket)
{
	for (size_t i = 0; bucket && i < BUCKETS; i++)
		while (bucket[i]) {
			struct tally *t = bucket[i];

			bucket[i] = t->next;
			free(t);
		}
	free(bucket);
}

static bool tally_is_of(const struct tally *t, const struct lease *l)
{
	return t->protocol == l->protocol && t->ext_port == l->ext_port &&
	       t->int_port == l->int_port && t->remote_len == l->remote_len &&
	       t->remote_port == l->remote_port && addr_equal(&t->remote, &l->remote) &&
	       addr_equal(&t->internal, &l->internal);
}

/* The tally of that lease, or the NULL where it would hang. */
static struct tally **tally_slot(const struct traffic *t, struct tally **bucket,
				 const struct lease *l)
{
	uint64_t hash = hash_addr(t->policy->seed, &l->internal,
				  (uint64_t)l->protocol << 16 | l->ext_port);
	struct tally **slot = &bucket[hash % BUCKETS];

	while (*slot && !tally_is_of(*slot, l))
		slot = &(*slot)->next;
	return slot;
}

static void tally_add(struct traffic *t, const struct lease *l,
		      const struct conntrack_flow *f)
{
	struct tally **slot = tally_slot(t, t->look, l);

	if (!*slot) {
		*slot = malloc(sizeof(**slot));
		if (!*slot) {
			t->err = -ENOMEM;
			return;
		}
		**slot = (struct tally){.protocol = l->protocol,
					.remote_len = l->remote_len,
					.ext_port = l->ext_port,
					.int_port = l->int_port,
					.remote_port = l->remote_port,
					.remote = l->remote,
					.internal = l->internal,
					.sum = TRAFFIC_NONE};
	}
	traffic_add(&(*slot)->sum, f);
}

/* ---- Whose connection it is ---- */

/* The two ends of what may be a lease, and who is at the other side. */
struct question {
	struct lease ends; /* protocol, ext_port, internal, int_port */
	struct in6_addr remote;
	uint16_t remote_port;
	const struct lease *found;
	struct lease forward;
};

/* The more special one first, as in the rules. */
static void note_lease(void *arg, const struct lease *l)
{
	struct question *q = arg;
	const struct lease *e = &q->ends;

	if (!l->enabled || l->protocol != e->protocol || l->ext_port != e->ext_port ||
	    l->int_port != e->int_port || !addr_equal(&l->internal, &e->internal) ||
	    !flows_lets_in(l, &q->remote, q->remote_port))
		return;
	if (!q->found || lease_has_remote(l))
		q->found = l;
}

/* A range is listed by its first port. */
static void find_forward(const struct traffic *t, struct question *q)
{
	const struct lease_policy *p = t->policy;
	const struct lease *e = &q->ends;

	for (size_t i = 0; i < p->n_forwards && !q->found; i++) {
		const struct lease_forward *f = &p->forwards[i];
		size_t from = 0;

		if (f->protocol != e->protocol || e->ext_port < f->first ||
		    e->ext_port > f->last || !addr_equal(&f->internal, &e->internal) ||
		    f->int_first + (e->ext_port - f->first) != e->int_port)
			continue;
		while (from < f->n_from && !prefix_has(&f->from[from], &q->remote))
			from++;
		if (f->n_from && from == f->n_from)
			continue;
		forward_lease(f, f->first, from, &q->forward);
		q->found = &q->forward;
	}
}

/* By the lease of those ends, if there is one. */
static bool find(const struct traffic *t, struct question *q)
{
	const struct lease *e = &q->ends;

	if (!e->ext_port || policy_protocol(e->protocol))
		return false;
	registry_each_like(ledger_book(t->ledger), e, note_lease, q);
	if (!q->found && !lease_is_pinhole(e) &&
	    portset_has(policy_forwarded(t->policy, e->protocol), e->ext_port))
		find_forward(t, q);
	return q->found;
}

static bool find_inbound(const struct traffic *t, const struct flow *f,
			 struct question *q)
{
	*q = (struct question){
		.ends = {.protocol = f->protocol,
			 .ext_port = f->original.dport,
			 .internal = f->reply.src,
			 .int_port = f->reply.sport},
		.remote = f->original.src,
		.remote_port = f->original.sport,
	};
	return addr_equal(&f->original.dst,
			  addr_is_v4(&f->original.dst) ? &t->wan4 : &f->reply.src) &&
	       find(t, q);
}

static bool find_outbound(const struct traffic *t, const struct flow *f,
			  struct question *q)
{
	*q = (struct question){
		.ends = {.protocol = f->protocol,
			 .ext_port = f->reply.dport,
			 .internal = f->original.src,
			 .int_port = f->original.sport},
		.remote = f->original.dst,
		.remote_port = f->original.dport,
	};
	return addr_equal(&f->reply.dst,
			  addr_is_v4(&f->reply.dst) ? &t->wan4 : &f->original.src) &&
	       find(t, q);
}

static void note_flow(void *arg, const struct conntrack_flow *f)
{
	struct traffic *t = arg;
	struct conntrack_flow flow = *f;
	struct question q;

	flow.idle_s = traffic_idle(&t->settings, f);
	if (find_inbound(t, &f->flow, &q)) {
		tally_add(t, q.found, &flow);
	} else if (find_outbound(t, &f->flow, &q)) {
		flow.inbound = false;
		flow.in_bytes = f->out_bytes;
		flow.out_bytes = f->in_bytes;
		tally_add(t, q.found, &flow);
	}
}

/* ---- Looking ---- */

static void answer(struct traffic *t)
{
	size_t n = t->n_waiters;
	struct traffic_waiter waiter[LOOK_WAITERS];

	memcpy(waiter, t->waiter, sizeof(waiter));
	t->n_waiters = 0;
	for (size_t i = 0; i < n; i++)
		waiter[i].done(waiter[i].arg);
}

/* What was known before is of no use where the present is not known. */
static void look_end(struct traffic *t, int err)
{
	if (err) {
		tallies_free(t->look);
		t->look = NULL;
		errno = -err;
		log_warn("the traffic of leases could not be read: %m");
	}
	tallies_free(t->found);
	t->found = t->look;
	t->look = NULL;
	if (t->readable)
		event_free(t->readable);
	t->readable = NULL;
	sweep_close(t->sweep);
	t->sweep = NULL;
	pace_done(&t->pace, clock_ms(), t->took_us);
	answer(t);
}

static void look_readable(evutil_socket_t fd, short what, void *arg)
{
	struct traffic *t = arg;
	uint64_t began_us = pace_cpu_us();
	int more = sweep_read(t->sweep, note_flow, t);

	(void)fd;
	(void)what;
	t->took_us += pace_cpu_us() - began_us;
	if (more > 0 && clock_ms() - t->began_ms > LOOK_MAX_MS)
		more = -ETIMEDOUT;
	if (t->err)
		more = t->err;
	if (more <= 0)
		look_end(t, more);
}

static int look_begin(struct traffic *t)
{
	int err;

	t->err = 0;
	t->took_us = 0;
	t->began_ms = clock_ms();
	check_read_settings("/proc/sys/net", &t->settings);
	t->look = calloc(BUCKETS, sizeof(struct tally *));
	err = t->look ? sweep_open(&t->sweep) : -ENOMEM;
	if (err)
		return err;
	t->readable = event_new(t->base, sweep_fd(t->sweep), EV_READ | EV_PERSIST,
				look_readable, t);
	return t->readable && !event_add(t->readable, NULL) ? 0 : -ENOMEM;
}

void traffic_look(struct traffic *t, void (*done)(void *arg), void *arg)
{
	bool wait = !t->sweep && pace_wait(&t->pace, clock_ms());
	int err;

	if (wait || t->n_waiters == LOOK_WAITERS) {
		done(arg);
		return;
	}
	t->waiter[t->n_waiters++] = (struct traffic_waiter){done, arg};
	if (t->sweep)
		return;
	err = look_begin(t);
	if (err)
		look_end(t, err);
}

bool traffic_of(const struct traffic *t, const struct lease *l, struct traffic_sum *out)
{
	struct tally **slot;

	*out = TRAFFIC_NONE;
	if (!t->found)
		return false;
	slot = tally_slot(t, t->found, l);
	if (*slot)
		*out = (*slot)->sum;
	return true;
}

void traffic_set_wan(struct traffic *t, const struct in6_addr *wan4)
{
	t->wan4 = *wan4;
}

struct traffic *traffic_new(struct event_base *base, const struct ledger *ledger,
			    const struct lease_policy *policy)
{
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->base = base;
	t->ledger = ledger;
	t->policy = policy;
	t->pace = (struct pace){.burst = LOOK_BURST,
				.every_ms = LOOK_EVERY_MS,
				.share = LOOK_SHARE,
				.spare_ms = LOOK_SPARE_MS};
	return t;
}

void traffic_free(struct traffic *t)
{
	if (!t)
		return;
	if (t->readable)
		event_free(t->readable);
	sweep_close(t->sweep);
	tallies_free(t->look);
	tallies_free(t->found);
	free(t);
}
