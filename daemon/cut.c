/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/cut.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/room.h"
#include "daemon/ledger.h"
#include "daemon/pace.h"
#include "firewall/conntrack.h"
#include "firewall/firewall.h"

#define CUT_GATHER_MS 20
/* Even an empty table takes milliseconds to walk, in which nobody is answered: while leases come
 * and go all the time it is walked so often. */
#define CUT_BURST 4
#define CUT_ALL_MS 300   /* after a start others come first */
#define CUT_AGAIN_MS 300 /* when it could not be done */
#define CUT_EVERY_MS 500 /* an end is seen within a second */
#define CUT_SHARE 12 /* rests so many times as long as it took: a thirteenth of a CPU */
/* What is in the way of a port that opened unasked waits till no other has opened for a while:
 * those that want to open while the table is walked cannot. */
#define OPENED_QUIET_MS 300
#define OPENED_MOST_MS 3000
#define ASK_SHARE 50
#define ASK_SPARE_MS 2000 /* 40 ms of CPU in a row */
#define CLAIMS_SHARE 25
/* An admin looks, or a script of his. */
#define TELL_BURST 16
#define TELL_EVERY_MS 100
#define TELL_SHARE 10
/* Masquerading moves flows to ports from here up and does not look whose they are. */
#define CUT_CROWDED 32768
#define CLAIMS_FIRST 1024

struct cut {
	struct firewall *fw;
	const struct ledger *ledger;
	struct conntrack *ct;
	struct event *due;
	struct pace pace;
	uint64_t due_ms; /* when `due` is, while it is pending */
	bool patient;    /* and that it can wait, as it could since: */
	uint64_t patient_since_ms;
	struct pace asking;   /* of cut_port_of() */
	struct pace claiming; /* of cut_claims_again(): no cut waits for it */
	struct pace telling;  /* of cut_each_flow() */
	struct flows flows;
	struct portset contested_tcp;
	struct portset contested_udp;
	int err;
};

static void set_due(struct cut *c, uint64_t now_ms, uint64_t ms)
{
	struct timeval in = {.tv_sec = (time_t)(ms / 1000),
			     .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	c->due_ms = now_ms + ms;
	event_add(c->due, &in);
}

static void arm(struct cut *c, uint64_t least_ms)
{
	uint64_t now_ms = clock_ms(), ms = pace_wait(&c->pace, now_ms);

	c->patient = false;
	if (ms < least_ms)
		ms = least_ms;
	if (event_pending(c->due, EV_TIMEOUT, NULL) && c->due_ms <= now_ms + ms)
		return;
	set_due(c, now_ms, ms);
}

static void arm_opened(struct cut *c)
{
	uint64_t now_ms = clock_ms(), ms = pace_wait(&c->pace, now_ms);

	if (!event_pending(c->due, EV_TIMEOUT, NULL)) {
		c->patient = true;
		c->patient_since_ms = now_ms;
	}
	if (!c->patient || /* it comes along with others */
	    now_ms + OPENED_QUIET_MS > c->patient_since_ms + OPENED_MOST_MS)
		return;
	set_due(c, now_ms, ms > OPENED_QUIET_MS ? ms : OPENED_QUIET_MS);
}

static void note_lease(void *arg, const struct lease *l)
{
	struct cut *c = arg;

	if (!c->err && flows_wants(&c->flows, l))
		c->err = flows_lease(&c->flows, l);
}

static void cut_due(evutil_socket_t fd, short what, void *arg)
{
	struct cut *c = arg;
	uint64_t began = pace_cpu_us();
	long n;

	(void)fd;
	(void)what;
	c->err = 0;
	registry_each_at(ledger_book(c->ledger), &c->flows.tcp, &c->flows.udp,
			 c->flows.pinholes, note_lease, c);
	flows_sort(&c->flows);
	/* Without all leases of those ports a flow that is allowed would be cut. */
	n = c->err ? c->err : conntrack_cut(c->ct, &c->flows);
	pace_done(&c->pace, clock_ms(), pace_cpu_us() - began);
	if (n < 0) {
		errno = (int)-n;
		log_warn("flows could not be cut, it is tried again: %m");
		c->flows.n_leases = 0;
		arm(c, CUT_AGAIN_MS);
		return;
	}
	if (n)
		log_debug("%ld flows cut", n);
	flows_reset(&c->flows);
}

static struct portset *contested_of(struct cut *c, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? &c->contested_tcp : &c->contested_udp;
}

void cut_contested(struct cut *c, uint8_t protocol, uint16_t port)
{
	portset_add(contested_of(c, protocol), port, port);
}

void cut_step(struct cut *c, const struct lease_change *step)
{
	const struct lease *l = step->has ? &step->after : &step->before;
	struct portset *set = contested_of(c, l->protocol);
	/* What opens unasked is held by flows of its host already. */
	bool contested = portset_has(set, l->ext_port) ||
			 (l->ext_port >= CUT_CROWDED && !lease_idles(l));
	size_t n = c->flows.n_ports;

	portset_del(set, l->ext_port, l->ext_port);
	if (flows_step(&c->flows, step, contested))
		log_warn("no memory to cut the flows of a lease");
	if (c->flows.n_ports == n)
		return;
	if (!step->had && lease_idles(l))
		arm_opened(c);
	else
		arm(c, CUT_GATHER_MS);
}

void cut_everything(struct cut *c)
{
	flows_everything(&c->flows);
	arm(c, CUT_ALL_MS);
}

void cut_finish(struct cut *c)
{
	if (!event_pending(c->due, EV_TIMEOUT, NULL))
		return;
	event_del(c->due);
	cut_due(-1, EV_TIMEOUT, c);
}

void cut_former(struct cut *c, const struct in6_addr *wan4)
{
	if (addr_is_none(wan4) || addr_equal(wan4, &c->flows.former))
		return;
	if (!addr_is_none(&c->flows.former))
		cut_finish(c); /* there is room for one */
	c->flows.former = *wan4;
	flows_everything(&c->flows);
	arm(c, CUT_GATHER_MS);
}

void cut_set_wan(struct cut *c, const struct in6_addr *wan4)
{
	if (addr_equal(&c->flows.wan4, wan4))
		return;
	cut_former(c, &c->flows.wan4);
	c->flows.wan4 = *wan4;
}

uint16_t cut_port_of(struct cut *c, uint8_t protocol, uint16_t int_port,
		     const struct in6_addr *internal)
{
	struct in_addr host = addr_to_v4(internal);
	uint64_t began, now = clock_ms();
	long port;

	if (firewall_claims(c->fw, protocol, int_port, host, NULL) > 0)
		return int_port;
	/* Only what somebody else has can have moved them. */
	if (addr_is_none(&c->flows.wan4) || pace_wait(&c->asking, now) ||
	    firewall_free(c->fw, protocol, int_port) != 0)
		return 0;
	began = pace_cpu_us();
	port = conntrack_port(c->ct, protocol, host, int_port,
			      addr_to_v4(&c->flows.wan4));
	pace_done(&c->asking, clock_ms(), pace_cpu_us() - began);
	return port > 0 ? (uint16_t)port : 0;
}

long cut_each_flow(struct cut *c, const struct lease *l,
		   void (*each)(void *arg, const struct conntrack_flow *f), void *arg)
{
	uint64_t began = pace_cpu_us(), wait_ms = pace_wait(&c->telling, clock_ms());
	int err;

	if (wait_ms)
		return (long)wait_ms;
	err = conntrack_lease(c->ct, l, addr_to_v4(&c->flows.wan4), each, arg);
	pace_done(&c->telling, clock_ms(), pace_cpu_us() - began);
	return err;
}

struct claims {
	struct firewall_claim *one;
	size_t n;
	size_t room;
};

static void note_claim(void *arg, uint8_t protocol, uint16_t port,
		       struct in_addr internal)
{
	struct claims *cs = arg;

	struct firewall_claim *more;

	if (port < CLAIMS_FIRST)
		return;
	more = room_for(cs->one, &cs->room, cs->n + 1, sizeof(*more));
	if (!more)
		return;
	cs->one = more;
	cs->one[cs->n++] = (struct firewall_claim){protocol, port, internal};
}

uint64_t cut_claims_again(struct cut *c)
{
	struct claims cs = {0};
	uint64_t began = pace_cpu_us(), wait = pace_wait(&c->claiming, clock_ms());
	int err;

	if (wait || addr_is_none(&c->flows.wan4))
		return wait;
	err = conntrack_claims(c->ct, addr_to_v4(&c->flows.wan4), note_claim, &cs);
	if (!err)
		err = firewall_claims_again(c->fw, cs.one, cs.n);
	if (err) {
		errno = -err;
		log_warn("who uses which port could not be restored: %m");
	}
	log_debug("%zu claims restored", cs.n);
	free(cs.one);
	pace_done(&c->claiming, clock_ms(), pace_cpu_us() - began);
	return 0;
}

int cut_new(struct event_base *base, struct firewall *fw, const struct ledger *ledger,
	    bool (*ours)(void *arg, const struct flow *flow), void *arg, struct cut **out)
{
	struct cut *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->fw = fw;
	c->ledger = ledger;
	c->flows.ours = ours;
	c->flows.ours_arg = arg;
	c->pace = (struct pace){
		.burst = CUT_BURST, .every_ms = CUT_EVERY_MS, .share = CUT_SHARE};
	c->asking = (struct pace){
		.burst = UINT32_MAX, .share = ASK_SHARE, .spare_ms = ASK_SPARE_MS};
	c->claiming = (struct pace){.burst = UINT32_MAX, .share = CLAIMS_SHARE};
	c->telling = (struct pace){
		.burst = TELL_BURST, .every_ms = TELL_EVERY_MS, .share = TELL_SHARE};
	err = conntrack_open(&c->ct);
	c->due = event_new(base, -1, 0, cut_due, c);
	if (err || !c->due) {
		cut_free(c);
		return err ? err : -ENOMEM;
	}
	*out = c;
	return 0;
}

void cut_free(struct cut *c)
{
	if (!c)
		return;
	if (c->due)
		event_free(c->due);
	conntrack_close(c->ct);
	flows_fini(&c->flows);
	free(c);
}
