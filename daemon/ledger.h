/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ties the book of leases to the kernel: asks the registry, carries its steps to the
 * firewall, many requests in one transaction, and answers when the kernel has them. Knows
 * nothing of who asks or of interfaces.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lease/registry.h"

struct event_base;
struct firewall;
struct ledger;

struct ledger_ops { /* none of them may ask the ledger anything */
	/* The answer to a request, after the commit; `to` is what came with the request. */
	void (*answer)(void *arg, uint64_t to, const struct lease_reply *reply);
	/* All answers of a transaction were given. */
	void (*answered)(void *arg);
	/* The leases that listings show have changed. */
	void (*changed)(void *arg);
	/* The kernel has that step, but those of ledger_bring_back(); before the answer to who
	 * asked for it. */
	void (*settled)(void *arg, const struct lease_change *step);
	void (*refused)(void *arg, const struct lease_request *req,
			enum lease_reason reason);
	/* The kernel has lost what the leases stand in. true: it is there again, without them;
	 * ledger_restore() is called a little later. */
	bool (*gone)(void *arg);
};

/* Keeps pointers to the policy and the firewall. base has three priorities: commits
 * wait for what else is ready. NULL: no memory. */
struct ledger *ledger_new(struct event_base *base, const struct lease_policy *policy,
			  struct firewall *fw, const struct ledger_ops *ops, void *arg);
void ledger_free(struct ledger *l);

/* A request of a host on that LAN; lan < 0: of the admin. */
void ledger_ask(struct ledger *l, uint64_t to, int lan, const struct lease_request *req);

/* Brings what was asked so far to the kernel now, and answers it. */
void ledger_commit(struct ledger *l);

/* The external address that grants are made for; :: while there is none: then nothing is
 * granted, with the reason LEASE_NO_WAN. */
void ledger_set_wan(struct ledger *l, const struct in6_addr *wan4);

/* Takes over what the kernel holds; leases that the policy refuses end. The number of
 * leases kept, or -errno. */
int ledger_adopt(struct ledger *l);
/* Leases found at the start whose LAN had no address then: tries those again. */
void ledger_adopt_waiting(struct ledger *l);

/* The kernel has lost leases: puts those of these external ports there again, both NULL: all,
 * each with the time that is left. How many, or -errno. */
long ledger_restore(struct ledger *l, const struct portset *tcp,
		    const struct portset *udp);
/* The same of leases that last while their host sends; before and after another configuration
 * is put into the kernel. */
void ledger_listen(struct ledger *l);
long ledger_restore_idle(struct ledger *l);
/* A lease that was kept over a reboot, when the kernel held none: it goes to the kernel and
 * into the book, if the policy allows it, or waits for its LAN to have an address. */
void ledger_bring_back(struct ledger *l, const struct lease *kept);
/* How many were brought back so far; those that are in the kernel all when this returns. */
size_t ledger_brought_back(struct ledger *l);
/* The leases that wait for their LAN; NULL behind the last. Good until the next call. */
const struct lease *ledger_waiting(const struct ledger *l, size_t i);

/* After a change of the policy: ends the leases that it does not allow any more, with the
 * reason in the log; without `strangers` not those that are merely of no LAN now. How many
 * have ended. */
size_t ledger_judge(struct ledger *l, bool strangers);

/* The pinholes of one IPv6 prefix go to another, as registry_follow() has it. */
void ledger_follow(struct ledger *l, const struct prefix *from, const struct prefix *to);

const struct registry *ledger_book(const struct ledger *l);
/* UPnP SystemUpdateID: grows with every change. */
uint32_t ledger_update_id(const struct ledger *l);
