/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running flows follow the leases: those of leases that ended are cut, and those that are in
 * the way of a new one. Gathers what has changed and looks for all of it at once, as rarely as
 * the length of the kernel's table asks for.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct cut;
struct event_base;
struct firewall;
struct flow;
struct lease_change;
struct ledger;

/* Keeps pointers to firewall and ledger. `ours`: see firewall/flows.h. -errno. */
int cut_new(struct event_base *base, struct firewall *fw, const struct ledger *ledger,
	    bool (*ours)(void *arg, const struct flow *flow), void *arg,
	    struct cut **out);
void cut_free(struct cut *c); /* NULL is fine */

/* The kernel has that step of a lease. */
void cut_step(struct cut *c, const struct lease_change *step);
/* Nobody knows what has changed, as after a start, or while the rules were away: every flow is
 * held against the leases, before long. */
void cut_everything(struct cut *c);
/* What is due is done now: the last chance before the end. */
void cut_finish(struct cut *c);
/* Flows of another host leave from that port: they are cut if a lease gets it. */
void cut_contested(struct cut *c, uint8_t protocol, uint16_t port);
/* The WAN's address from now on; :: if there is none. Flows by a former one are cut: their answers
 * look like those of flows by the new one, to which the kernel gives another source then. */
void cut_set_wan(struct cut *c, const struct in6_addr *wan4);
/* That was the WAN's address before this core has known one; :: if none. */
void cut_former(struct cut *c, const struct in6_addr *wan4);

/* The external port from which flows of that inside host and port leave now, by a claim or
 * moved by the NAT; 0: there are none, or it cannot be afforded to look for them. */
uint16_t cut_port_of(struct cut *c, uint8_t protocol, uint16_t int_port,
		     const struct in6_addr *internal);

struct conntrack_flow;
struct lease;
/* Calls `each` for the flows that go by that lease now. More than 0: it cannot be afforded to
 * look for them for so many milliseconds; -errno. */
long cut_each_flow(struct cut *c, const struct lease *l,
		   void (*each)(void *arg, const struct conntrack_flow *f), void *arg);

/* Who claims which port was lost from the kernel: reads it from the flows. 0, or after how many
 * milliseconds to come again, as it would cost too much now. */
uint64_t cut_claims_again(struct cut *c);
