/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core's own state, shared by its parts: core.c (start, loop, end), core_serve.c (workers
 * and their requests), core_network.c (interfaces), core_admin.c (the control socket).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/config.h"
#include "daemon/check.h"
#include "daemon/control.h"
#include "daemon/core.h"
#include "daemon/core_store.h"
#include "daemon/core_trigger.h"
#include "daemon/core_upstream.h"
#include "daemon/cut.h"
#include "daemon/denials.h"
#include "daemon/heal.h"
#include "daemon/identity.h"
#include "daemon/ledger.h"
#include "daemon/nat_type.h"
#include "daemon/pace.h"
#include "daemon/topology.h"
#include "daemon/traffic.h"
#include "daemon/workers.h"
#include "firewall/firewall.h"
#include "firewall/neighbours.h"
#include "firewall/shadows.h"
#include "firewall/sockets.h"
#include "trigger/turns.h"

#define CORE_TO_ADMIN (1ULL << 32) /* an answer from here on is not a worker's */
#define CORE_TO_NOBODY UINT64_MAX  /* nobody has asked */

/* An admin's request that waits for the kernel. */
struct core_admin {
	void (*done)(void *arg, enum lease_reason reason);
	void *arg;
};

/* An admin who waits for the configuration to be read again. */
struct core_reload {
	void (*done)(void *arg, const char *error, size_t ended);
	void *arg;
};
#define CORE_RELOADS 8

/* What the trigger worker saw of a flow that the kernel does not tell of yet. */
struct core_unknown {
	struct trigger_event event;
	unsigned int tries;
	uint64_t due_ms; /* the next */
};
#define CORE_UNKNOWN 64

/* The hosts that have leases, as the kernel was told of them. */
struct core_holders {
	struct event *due;
	struct firewall_host *host;
	size_t n;
	uint64_t at_ms; /* when */
	uint64_t looked_ms;
	bool waits; /* something has changed, and `due` comes soon */
};

/* What the kernel said of a host a moment ago. */
struct core_mac {
	struct in6_addr host;
	bool known;
	uint8_t mac[MAC_LEN];
	uint64_t until_ms; /* it is asked again then */
};
#define CORE_MACS 1024 /* a power of two */

/* A request of a host of which the kernel does not know the MAC address yet. */
struct core_held {
	worker_id from;
	uint16_t lan;
	unsigned int tries;
	struct lease_request req;
};
#define CORE_HELD 64

/* Leases that the store knows and the kernel did not have at the start. */
struct core_missing {
	bool looking; /* the store has not told all yet */
	size_t lost;
	size_t n_ended; /* meanwhile */
#define CORE_ENDED 256
	struct dirty_key ended[CORE_ENDED];
};

struct core {
	const struct options *options;
	struct config config;
	struct identity identity;
	struct denials denials;
	struct lease_policy policy;
	struct topology topology;
	struct links *links;
	struct neighbours *neighbours;
	struct core_mac mac[CORE_MACS];
	struct sockets *sockets;
	struct shadows *shadows;
	struct pace shadows_pace;
	bool shadows_known; /* since others changed nftables last */
	struct firewall *firewall;
	struct firewall_router router; /* what the firewall was told of router mode */
	uid_t worker_uid;
	struct event_base *base;
	struct ledger *ledger;
	struct heal *heal;
	struct cut *cut;
	struct traffic *traffic;
	struct workers *workers;
	struct control *control;
	struct core_store *store;
	struct core_missing missing;
	/* What hosts gave up while the store had not said all yet. */
#define CORE_GAVE_UP 64
	struct lease_request gave_up[CORE_GAVE_UP];
	size_t n_gave_up;
	bool all_kept; /* it has */
	struct core_upstream *upstream;
	struct core_trigger *trigger;
	struct conntrack *conntrack; /* whose flow it is that the trigger worker saw */
	struct firewall_learn learn; /* what the firewall was told of it */
	struct turns *turns;         /* of trigger rules */
	struct event *rules_due;
	struct core_unknown unknown[CORE_UNKNOWN];
	size_t n_unknown;
	struct event *unknown_due;
	struct core_held held[CORE_HELD];
	size_t n_held;
	struct event *held_due;
	struct event *own_due;
	struct core_holders holders;
	struct event *parent_readable;
	struct event *links_readable;
	struct event *terminate;
	struct event *state_due;
	struct event *judge_due; /* the LANs have other addresses now */
	int tcp_idle;            /* files of the kernel's conntrack timeouts, or -1 */
	int udp_idle;
	pid_t parent_pid;
	uint64_t started_ms;
	uint64_t wan_since_ms;
	struct firewall_epoch epoch; /* RFC 6887 8.5 */
	bool fresh;                  /* the kernel's table was made by us just now */
	bool begun;                  /* hosts are served */
	struct prefix
		lost6[LEASE_LANS_MAX]; /* the IPv6 prefix that a LAN had; /0: none */
	bool serving;                  /* the parent was told */
	struct core_admin admin[CONTROL_PROCESSES];
	uint64_t checked_ms; /* when `check` was made; 0: never */
	struct check_report check;
	struct core_reload reload[CORE_RELOADS];
	struct core_job *jobs; /* of core_explain.c */
	size_t n_jobs;
	struct pace explain_pace;
	struct control_counts counts;
	struct pace refusals; /* in the log */
	unsigned int refusals_left_out;
};

/* What the workers and the ledger ask of us. */
extern const struct workers_ops core_workers_ops;
extern const struct ledger_ops core_ledger_ops;
extern const struct control_ops core_control_ops;
extern const struct core_trigger_ops core_trigger_ops;

bool core_led(void *arg, const struct flow *flow);
enum lease_reason core_in_use(void *arg, uint8_t protocol, uint16_t port);
bool core_claimed(void *arg, uint8_t protocol, uint16_t port,
		  const struct in6_addr *internal);
uint32_t core_flows(void *arg, uint8_t protocol, uint16_t port,
		    const struct in6_addr *internal);
enum access_mac core_mac(void *arg, const struct in6_addr *internal,
			 uint8_t mac[MAC_LEN]);
/* Does the request wait until we know whose it is? */
bool core_hold(struct core *c, worker_id from, uint16_t lan,
	       const struct lease_request *req);
/* Those that wait: the callback of their timer. */
void core_held_due(int fd, short what, void *arg);
uint64_t core_heard(void *arg, const struct in6_addr *internal, uint64_t now_ms);
uint64_t core_active(void *arg, const struct lease *l, bool *elsewhere);
uint16_t core_outside(void *arg, uint8_t protocol, uint16_t int_port,
		      const struct in6_addr *internal);
/* Leases have changed, so hosts may have their first one, or none any more; and the callback of
 * the timer that sees to it. */
void core_holders_changed(struct core *c);
void core_holders_due(int fd, short what, void *arg);
/* Something that workers are told has changed; they learn of it a little later. */
void core_changed(struct core *c);
/* Tells the parent, once, when everything that is wanted answers. */
void core_check_ready(struct core *c);
/* Sends the workers what core_changed() gathered: the callback of its timer. */
void core_state_due(int fd, short what, void *arg);
/* Ends leases of hosts that are in no LAN any more: the callback of its timer. */
void core_judge_due(int fd, short what, void *arg);
/* Has every LAN that is wanted an address now? */
bool core_all_lans_there(const struct core *c);

/* Whose packets the kernel tells of, and the process that reads them, as LANs and c->config
 * have it. */
void core_unasked_look(struct core *c);
/* The LAN of that host, or -1. */
int core_lan_number(const struct core *c, const struct in6_addr *host);
/* A host that is there has sent to a port that rules watch. */
void core_rules_event(struct core *c, const struct trigger_event *e,
		      const struct in6_addr *host, int lan);
/* Sees to hosts that wait for ports: the callback of a timer. */
void core_rules_due(int fd, short what, void *arg);
/* A step is settled, a request was refused: it may be about a rule. */
void core_rules_settled(struct core *c, const struct lease_change *step);
void core_rules_refused(struct core *c, const struct lease_request *req);
/* For how many milliseconds the lease lasts yet by rules alone; 0: by none. */
uint64_t core_rules_left(const struct core *c, const struct lease *l);
/* c->config has other rules now; leases that they do not open are given up. */
void core_rules_configure(struct core *c);
/* The same of leases that were found in the kernel. */
void core_rules_judge(struct core *c);
extern const struct turns_ops core_turns_ops;
/* What the firewall has to know of it; NULL: nothing is opened unasked. Stays where it is. */
const struct firewall_learn *core_unasked_learn(struct core *c);
/* The router's own ports, as they are now; and the callback of the timer that looks again. */
void core_own_look(struct core *c);
void core_own_due(int fd, short what, void *arg);
/* Flows that were not known: the callback of their timer. */
void core_unknown_due(int fd, short what, void *arg);

/* Takes the interfaces as they are now. */
enum core_why { CORE_START, CORE_LINKS, CORE_OTHER_CONFIG };
void core_look_around(struct core *c, enum core_why why);

/* The policy as c->config has it; leaves the LANs alone, and what is not of it. */
void core_set_policy(struct core *c);
/* Puts the table there as c->config wants it, or brings it to that. -errno. */
int core_install(struct core *c);
/* Another configuration from the parent, or why there is none. */
void core_take_config(struct core *c, int fd);
void core_config_wrong(struct core *c, int fd);
/* Asks the parent for it. `done` comes once: with NULL and how many leases that ended, or
 * with what is wrong. */
void core_ask_reload(struct core *c,
		     void (*done)(void *arg, const char *error, size_t ended), void *arg);

/* The LAN that has that host next to it; NULL: it is behind another router, or nowhere. */
const struct topology_lan *core_lan_of(const struct core *c, const struct in6_addr *host);
/* All leases and static forwards, these last. */
void core_each_lease(void *arg, void (*each)(void *each_arg, const struct lease *l),
		     void *each_arg);
/* Why a port is open or not, and the flows of a lease: for the control socket. */
void core_explain(void *arg, uint8_t protocol, uint16_t port, control_explain_done done,
		  void *done_arg);
void core_flows_of(void *arg, uint8_t protocol, uint16_t port, control_flows_done done,
		   void *done_arg);
/* Those that have not been answered are not answered any more. */
void core_explain_end(struct core *c);

/* What the admin denies, from the state directory; then as struct control_ops has them. */
void core_denials_load(struct core *c);
const struct lease_denial *core_denials(void *arg, size_t *n);
int core_deny(void *arg, const struct lease_denial *d, size_t *ended, size_t *kept);
int core_allow(void *arg, const struct lease_denial *d);

/* What stands in the way now; NULL: no memory. */
const struct check_report *core_check(void *arg);
/* Which NAT that host, or any of each LAN, sees; false: it is in none. */
bool core_nat_type(void *arg, const struct in6_addr *host,
		   void (*each)(void *each_arg, const char *lan,
				const struct nat_type *type),
		   void *each_arg);
const struct config *core_config(void *arg);
/* The store; and if the kernel holds nothing, its leases first. -ENOMEM. */
int core_keep(struct core *c);
/* From now on leases change, and the store, which is perhaps not there yet, hears of it later. */
void core_keep_begin(struct core *c);
/* The core ends in order: the store is told what it was not told yet. */
void core_keep_end(struct core *c);
/* A host gives a lease up, which may be one that comes back later. */
void core_gave_up(struct core *c, uint16_t lan, const struct lease_request *req);
/* A step is settled: what ends is not missing. */
void core_missing_step(struct core *c, const struct lease_change *step);
/* Serves, from the first call on. */
void core_begin(struct core *c);
/* Has those of all LANs who are wanted started. */
void core_serve_lans(struct core *c);

/* An admin's request was answered. */
void core_admin_answer(struct core *c, size_t i, enum lease_reason reason);
