/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: the methods of the varlink interface org.portreeve. Knows how leases
 * and status are written in JSON and who may do what; reaches the core only through the
 * functions it is given.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/check.h"
#include "daemon/core_store.h"
#include "daemon/explain.h"
#include "daemon/nat_type.h"
#include "daemon/traffic.h"
#include "firewall/conntrack.h"
#include "lease/denial.h"
#include "lease/lease.h"

#define CONTROL_LANS 16 /* LEASE_LANS_MAX */
#define CONTROL_PROCESSES (4 + 2 * CONTROL_LANS)
#define CONTROL_REPLY_MAX 500 /* leases in one reply */
#define CONTROL_PIECE 64      /* in each of several: 0.2 ms of work */

struct event_base;
struct control;

/* Names a lease. */
struct control_key {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t remote_len;
	uint16_t ext_port;
	uint16_t remote_port;
	struct in6_addr remote;
	struct in6_addr internal; /* of a pinhole, an IPv6 lease; else :: */
};

/* Texts are borrowed, and read before the call that filled this in returns. */
struct control_status {
	uint64_t started_ms; /* of CLOCK_BOOTTIME, as all times */
	uint64_t epoch_ms;   /* RFC 6887 8.5 */
	struct {
		const char *interface; /* NULL: none yet */
		struct in6_addr addr;  /* :: or ::ffff:0.0.0.0: none yet */
		bool up;
	} wan;
	size_t n_lans;
	struct control_lan {
		const char *name;
		struct in6_addr addr;
		bool upnp;
		bool pcp;
		uint16_t http_port; /* 0: UPnP is off */
	} lans[CONTROL_LANS];
	size_t leases;
	size_t max_leases;
	bool in_place_renewal;
	bool destroy_element;
	bool assumed_61;
	size_t n_processes;
	struct control_process {
		const char *role; /* "parent", "core", "igd" ... */
		const char *lan;  /* NULL: not of one LAN */
		pid_t pid;
		const char *user;
	} processes[CONTROL_PROCESSES];
};

#define CONTROL_FLOWS 256 /* of one lease in a reply */

/* The report is borrowed; NULL: there is too much to do, or no memory. */
typedef void (*control_explain_done)(void *arg, const struct explain_report *r);
/* The flows of that lease, of which there may be more; l NULL: none has the port; err: -errno. */
struct control_flows {
	const struct lease *lease;
	const struct conntrack_flow *flow;
	size_t n;
	bool more;
	struct traffic_sum sum; /* of all */
};
typedef void (*control_flows_done)(void *arg, int err, const struct control_flows *f);

/* How often what has happened since the start. */
struct control_counts {
	uint64_t granted[LEASE_BY_END];
	uint64_t renewed[LEASE_BY_END];
	uint64_t ended[LEASE_END_DENIED + 1];
	uint64_t refused[LEASE_REASON_END];
};

struct control_ops {
	const struct control_counts *(*counts)(void *core);
	/* `out` comes zeroed. */
	void (*status)(void *core, struct control_status *out);
	/* Calls `each` for every lease, in any order; that changes nothing. */
	void (*each_lease)(void *core, void (*each)(void *arg, const struct lease *l),
			   void *arg);
	/* NULL: it has ended. Borrowed until the next call of anything. */
	const struct lease *(*find_lease)(void *core, const struct control_key *key);
	/* Looks at what goes by the leases; `done` comes exactly once, and may come before this
	 * returns. Then what that has found of one; false: it is not known. */
	void (*look)(void *core, void (*done)(void *arg), void *arg);
	bool (*traffic)(void *core, const struct lease *l, struct traffic_sum *out);
	/* Where the range of a static forward ends; of others the external port itself. */
	uint16_t (*last_port)(void *core, const struct lease *l);
	/* Ends the lease whoever claims it, for root. `done` comes exactly once, when the
	 * kernel has done or refused it; it may come before end_lease returns. LEASE_OK,
	 * LEASE_NOT_FOUND, LEASE_KERNEL ... */
	void (*end_lease)(void *core, const struct control_key *key,
			  void (*done)(void *arg, enum lease_reason reason), void *arg);
	/* Asks for a lease, for root; the same of `done`. */
	void (*add_lease)(void *core, const struct lease_request *req,
			  void (*done)(void *arg, enum lease_reason reason), void *arg);
	/* What the admin denies, borrowed until the next call of anything; one more: how many
	 * leases that has ended, and how many stay as the admin has opened them; one less. What
	 * cannot be kept does not hold: -ENOSPC, -ENOENT (none is like it), -errno. */
	const struct lease_denial *(*denials)(void *core, size_t *n);
	int (*deny)(void *core, const struct lease_denial *d, size_t *ended,
		    size_t *kept);
	int (*allow)(void *core, const struct lease_denial *d);
	/* Looks at the machine now. Borrowed until the next call; NULL: no memory. */
	const struct check_report *(*check)(void *core);
	/* A page of the history; `done` comes exactly once, and may come before this returns. */
	void (*history)(void *core, const struct store_question *q, core_store_done done,
			void *arg);
	/* Both may take seconds; `done` comes exactly once. */
	void (*explain)(void *core, uint8_t protocol, uint16_t port,
			control_explain_done done, void *arg);
	void (*flows)(void *core, uint8_t protocol, uint16_t port,
		      control_flows_done done, void *arg);
	/* Reads the configuration again, for root. `done` comes exactly once: with NULL and
	 * how many leases that has ended, or with what is wrong. */
	void (*reload)(void *core,
		       void (*done)(void *arg, const char *error, size_t ended),
		       void *arg);
	/* Which NAT a host sees, or with NULL a host of each LAN. false: it is in none. */
	bool (*nat_type)(void *core, const struct in6_addr *host,
			 void (*each)(void *arg, const char *lan,
				      const struct nat_type *type),
			 void *arg);
	/* The configuration that holds. Borrowed until the next call of anything. */
	const struct config *(*config)(void *core);
};

/* Serves on the listening AF_UNIX stream socket, which it takes over, also on failure.
 * NULL: no memory. */
struct control *control_new(struct event_base *base, int listen_fd,
			    const struct control_ops *ops, void *core);
/* What has happened: a lease was granted, renewed, ended, or a request refused, for those who
 * watch. Costs next to nothing while nobody does. */
void control_step(struct control *c, const struct lease_change *step);
void control_refused(struct control *c, const struct lease_request *req,
		     enum lease_reason reason);
/* After it `done` must not be called any more; the process is about to end. NULL is fine. */
void control_free(struct control *c);
