/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one book of leases: policy, allocator, table and deadlines behind one question. Every
 * front end's request comes here; what changes is handed out as steps that the caller
 * carries to the kernel and then confirms or takes back. Pure: no sockets, no clock.
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "base/portset.h"
#include "lease/access.h"
#include "lease/denial.h"
#include "lease/forward.h"
#include "lease/lease.h"

#define LEASE_LANS_MAX 16
#define LEASE_LAN_NETS 16

/* A LAN, as policy sees it. */
struct lease_lan {
	bool used;
	size_t n_nets;
	struct prefix nets[LEASE_LAN_NETS]; /* its networks; a client must lie in one */
	size_t n_own;
	struct in6_addr own[LEASE_LAN_NETS]; /* the router's own addresses there */
	bool open_nat; /* ports may open to its hosts that they did not ask for */
	size_t n_third;
	struct prefix
		third[LEASE_LAN_NETS]; /* hosts that may ask for others of this LAN */
};

struct lease_policy {
	uint32_t max_leases;        /* 1-131072 */
	uint32_t per_host;          /* 1-65535 */
	uint32_t open_nat_per_host; /* of those, without being asked for */
	uint32_t
		requests_per_second; /* per host, all protocols together; burst twice that */
	uint32_t pcp_min_s;          /* RFC 6887 section 15 */
	uint32_t pcp_max_s;          /* also NAT-PMP's */
	struct portset reserved_tcp;
	struct portset reserved_udp;
	struct lease_lan lan[LEASE_LANS_MAX];
	/* The admin's rules, denials and forwards; they outlive the policy. */
	const struct lease_access *access;
	size_t n_access;
	const struct lease_denial *denials;
	size_t n_denials;
	const struct lease_forward *forwards;
	size_t n_forwards;
	struct portset forwarded_tcp; /* the external ports of those */
	struct portset forwarded_udp;
	bool nonce_same_source; /* a new nonce from the lease's own host takes it over */
	/* Has the router itself that port? LEASE_OK: no; LEASE_ROUTER, LEASE_STATIC: it is never
	 * given. NULL: it has none. */
	enum lease_reason (*in_use)(void *arg, uint8_t protocol, uint16_t port);
	/* Do flows of another inside host leave from that port now? Then it is not chosen, nor
	 * given with PREFER_FAILURE; UPnP's exact request gets it all the same. Whoever has a
	 * lease of the port keeps it unasked. NULL: none ever. */
	bool (*claimed)(void *arg, uint8_t protocol, uint16_t port,
			const struct in6_addr *internal);
	/* Do flows of that inside host leave from that external port now, and for how many
	 * seconds do they keep it if they send no more? 0, or NULL: no. */
	uint32_t (*flows)(void *arg, uint8_t protocol, uint16_t port,
			  const struct in6_addr *internal);
	/* The external port from which flows of that inside host and port leave now, also when
	 * the NAT has moved them; 0: none. A mapping of the inside port gets it, whatever is
	 * suggested (RFC 6886 3.3, RFC 6887 11.3). Asked sparingly: it may take a look at all
	 * flows. NULL: none ever. */
	uint16_t (*outside)(void *arg, uint8_t protocol, uint16_t int_port,
			    const struct in6_addr *internal);
	/* The MAC address of that inside host, for access rules that name one. NULL: no host has
	 * any. */
	enum access_mac (*mac)(void *arg, const struct in6_addr *internal,
			       uint8_t mac[MAC_LEN]);
	/* When was that inside host last heard of on its LAN? 0: not as far as is known. It is
	 * asked to answer, so that a later call knows more. NULL: just now. */
	uint64_t (*heard)(void *arg, const struct in6_addr *internal, uint64_t now_ms);
	/* For how many milliseconds would the lease last yet if its host sent no more? Of one
	 * with idle_s. 0: it has been silent for too long. NULL: as it was known last.
	 * *elsewhere: that is by packets of other ports. */
	uint64_t (*active)(void *arg, const struct lease *l, bool *elsewhere);
	void *in_use_arg; /* of all of them */
	uint64_t
		silence_ms; /* after so much of it a host has left; 0: LEASE_SILENCE_MS */
	/* The seed of port choice and hash tables; random, so that both are hard to guess. */
	uint64_t seed;
};

/* What one call changed, in order. Reused from call to call; registry_* append to it. */
struct lease_changes {
	struct lease_change *step;
	size_t n;
	size_t room;
};
void lease_changes_free(struct lease_changes *c);

struct registry;

/* Keeps a pointer to the policy, which the caller may change between calls. NULL: no memory. */
struct registry *registry_new(const struct lease_policy *policy);
void registry_free(struct registry *r);

/*
 * Decides one request of a host on that LAN at that time; fills the reply (but for tag and
 * external address, which are the caller's). A grant, renewal or end appends its steps to
 * `out`, marked `who`, and is in the book at once, so that the next request sees it.
 *
 * LEASE_ADMIN requests (req->by == LEASE_BY_ADMIN) pass with lan < 0: any host of any LAN,
 * reserved ports and quotas do not apply.
 *
 * -EAGAIN: the request touches a lease with steps that are neither confirmed nor taken back;
 * nothing was done: commit first, then ask again. -ENOMEM. 0: reply->reason says the rest.
 */
int registry_ask(struct registry *r, int lan, const struct lease_request *req,
		 uint64_t now_ms, uint32_t who, struct lease_reply *reply,
		 struct lease_changes *out);

/* The kernel has the step; it is final. Steps must be confirmed in order. */
void registry_confirm(struct registry *r, const struct lease_change *step);
/* The kernel refused: the book is as it was before the step. In reverse order. */
void registry_revert(struct registry *r, const struct lease_change *step);

/* When the next lease ends or must be re-armed; LEASE_NO_DEADLINE: never. */
uint64_t registry_next(const struct registry *r);
/* Appends the steps of all that is due, at most `max` of them. The number appended. Those
 * must be confirmed like others (a revert re-tries them a second later). */
size_t registry_due(struct registry *r, uint64_t now_ms, size_t max,
		    struct lease_changes *out);

/* Takes in how long all leases last that last while their host sends; no steps. */
void registry_listen(struct registry *r, uint64_t now_ms);

/* A lease that was found in the kernel at start. LEASE_OK, or why the present policy does not
 * allow it: then it is not in the book and the caller removes it. Quota, rate and claims by
 * other hosts are judged as for a request; -> enum lease_reason. */
enum lease_reason registry_adopt(struct registry *r, const struct lease *found,
				 uint64_t now_ms);

/* The same question of a lease that is not there, but for shares of the table and who has its
 * port now. */
enum lease_reason registry_allowed(const struct registry *r, const struct lease *l);

/*
 * After a change of the policy: appends the ends of leases that it does not allow, with
 * LEASE_END_POLICY or, as they are denied, LEASE_END_DENIED, the youngest first where a host or the table has too many; `refused` is
 * told each of them with the reason. Without `strangers` those stay that are of no LAN now.
 * Steps that wait for their confirmation hide what they touch. At most `max` at a time; the number appended, 0: all that is left is allowed. -ENOMEM.
 */
int registry_judge(struct registry *r, size_t max, bool strangers,
		   void (*refused)(void *arg, const struct lease *l,
				   enum lease_reason reason),
		   void *arg, struct lease_changes *out);

/*
 * A LAN has another IPv6 prefix, of the same length: its pinholes go to the same interface
 * identifiers there, with all they have, each in an end and a grant of one `who`. Where that
 * may not be, or another is already, they stay as they are. At most `max` pinholes; the
 * number of steps, or -ENOMEM: what was appended holds.
 */
int registry_follow(struct registry *r, const struct prefix *from,
		    const struct prefix *to, size_t max, struct lease_changes *out);

/*
 * A lease that was kept over a reboot: judged in the same way, but the kernel has to be told,
 * so its step is appended to `out`, marked `who`. LEASE_NOT_FOUND: its time is over, or its
 * host has got another since `since_ms`, when we started. Not -EAGAIN and -ENOMEM, as of
 * registry_ask(): *reason says whether it is in the book.
 */
int registry_restore(struct registry *r, const struct lease *kept, uint64_t since_ms,
		     uint64_t now_ms, uint32_t who, enum lease_reason *reason,
		     struct lease_changes *out);

/* How many leases there are; how many entries UPnP listings show: leases without those of
 * triggers, and static forwards. */
size_t registry_count(const struct registry *r);
size_t registry_listed(const struct registry *r);

/* The lease of a key, or NULL; valid until the next call that changes the book. */
const struct lease *registry_find(const struct registry *r, uint8_t protocol,
				  uint16_t ext_port, const struct in6_addr *remote,
				  uint8_t remote_len);
/* The pinhole of that inside address and port, or NULL. */
const struct lease *registry_find_pinhole(const struct registry *r, uint8_t protocol,
					  const struct in6_addr *internal,
					  uint16_t int_port,
					  const struct in6_addr *remote,
					  uint8_t remote_len, uint16_t remote_port);
/* Calls `each` for the leases that differ from this one in the remote alone, and for itself;
 * perhaps for others, too. Of a pinhole its inside address counts. It must not change the book. */
void registry_each_like(const struct registry *r, const struct lease *l,
			void (*each)(void *arg, const struct lease *l), void *arg);
/* Calls `each` for every lease, those of one inside address one behind the other. */
void registry_each_by_host(const struct registry *r,
			   void (*each)(void *arg, const struct lease *l), void *arg);
/* Calls `each` for every lease, in no order; it must not change the book. */
void registry_each(const struct registry *r,
		   void (*each)(void *arg, const struct lease *l), void *arg);

/* The same for those of some external ports only, and for all pinholes if they are wanted. */
void registry_each_at(const struct registry *r, const struct portset *tcp,
		      const struct portset *udp, bool pinholes,
		      void (*each)(void *arg, const struct lease *l), void *arg);

/*
 * Calls `each` for leases from a place on (0: the first), in the order of external ports,
 * pinholes last, until it has taken `max` of them or
 * REGISTRY_WALK_PLACES were looked at. Returns the place to go on at; 0: that was all.
 * Leases at one place, which differ in their remotes, stay together: of more than `max`
 * the others are left out.
 */
#define REGISTRY_WALK_PLACES 8192
uint32_t registry_walk(const struct registry *r, uint32_t place, size_t max,
		       bool (*each)(void *arg, const struct lease *l), void *arg);
