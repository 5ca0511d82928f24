/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's side of the leases: the table `inet portreeve`, its rules, and the elements
 * that are the leases. Knows leases, never protocols or policy. Times are milliseconds of
 * CLOCK_BOOTTIME. Every call sends at most a few batches and does not wait for anything else.
 */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"
#include "lease/access.h"
#include "lease/forward.h"
#include "lease/lease.h"
#include "lease/trigger.h"

#define FIREWALL_TABLE "portreeve"
#define FIREWALL_TABLE_MAX 32
/*
 * The bit of the conntrack mark that says: a pinhole lets this flow in. Set under a mask, the
 * other bits are left alone. We never drop: where nothing filters IPv6, a pinhole changes
 * nothing, and where somebody else's chain does, it has to accept by
 * `ct mark & 0x00010000 == 0x00010000`.
 */
#define FIREWALL_PINHOLE_MARK 0x10000U
/* Expired elements hold their slot until the kernel collects them, about a second. */
#define FIREWALL_SLACK 4096

/* Groups of the packet log (nflog.h): of packets whose remotes are counted, and of packets to
 * ports that trigger rules watch for; and how much of a packet is told. */
#define FIREWALL_COUNT_GROUP 5351
#define FIREWALL_WATCH_GROUP 5352
#define FIREWALL_LOG_BYTES 64
/* An element of `owner` ends so much sooner than what it keeps alive, so that it never keeps
 * alive what is not there any more. */
#define FIREWALL_OWNER_MS 1000

struct firewall;

struct firewall_options {
	bool assume_kernel_61; /* do without renewal in place and DESTROYSETELEM */
	const char *table;     /* NULL: FIREWALL_TABLE */
};

struct firewall_config {
	uint32_t max_leases; /* limits.leases */
	/* NULL: none. They have to stay where they are: a table that was deleted is put there
	 * from them again. */
	const struct portset *reserved_tcp;
	const struct portset *reserved_udp;
	uint64_t now_ms;         /* becomes the epoch if the table is new */
	uint32_t worker_uid;     /* may send to the LANs only; 0: no such user */
	uint32_t syn_per_second; /* to a LAN's HTTP port, of one source; 0: no limit */
	bool foreign_masquerade; /* somebody else chooses source ports for LAN hosts */
	const struct lease_forward *forwards; /* none overlaps another */
	size_t n_forwards;
	const struct firewall_router *router; /* NULL: others filter and masquerade */
	const struct firewall_learn *learn;   /* NULL: nothing is opened unasked */
};

/* A pair of port and remote is told of anew so often, by which its claim is kept alive too: that
 * lasts for two minutes. */
#define FIREWALL_SEEN_S 60

/* Openings that last while their host sends. */
#define FIREWALL_IDLES 8
struct firewall_learn {
	uint32_t
		window_s; /* of one port and remote one packet is told in that time, or in
			    * FIREWALL_SEEN_S */
	const struct port_range *quiet; /* remote ports of which none is told */
	size_t n_quiet;
	/* The remote of a port's first flow is not told of, unless its port is one of these;
	 * firewall_first_remote() has it. Only where window_s is FIREWALL_SEEN_S at most, and
	 * without foreign_masquerade. */
	bool udp_silent;
	bool tcp_silent;
	const struct port_range *instant;
	size_t n_instant;
	/* After so much silence such leases end, in ascending order; others are rounded up. */
	size_t n_idles;
	uint32_t idle_s[FIREWALL_IDLES];
	/* Of a host's packets to the ports of `when` the first one is told. */
	const struct lease_trigger *trigger;
	size_t n_triggers;
	uint32_t
		watch_s; /* and again after so much silence: the longest idle time of them */
};

/* Router mode: we are the machine's firewall. */
struct firewall_router {
	bool masquerade;
	bool filter;
	bool clamp_mss;
	bool antispoof;
	bool log;
	bool allow_icmp;           /* pings from the WAN */
	const struct portset *tcp; /* the router's own ports that the WAN may reach */
	const struct portset *udp;
};

/* A LAN, as the filter of router mode sees it. */
struct firewall_zone {
	char name[IFNAMSIZ];
	bool trusted;
	bool pcp; /* of one that is not: what it may ask of the router besides */
	uint16_t http_port; /* DHCP and DNS; 0: no UPnP */
};

/* Opens the netlink socket and tries what this kernel can do. -EPERM: no CAP_NET_ADMIN;
 * -EPROTONOSUPPORT, -EOPNOTSUPP: a kernel without nf_tables; else -errno. */
int firewall_open(const struct firewall_options *options, struct firewall **out);
void firewall_close(struct firewall *fw); /* the table stays; NULL is fine */

/* What was found out at the start. */
bool firewall_renews_in_place(const struct firewall *fw);
bool firewall_has_destroy(const struct firewall *fw);

/*
 * Puts the table there, or brings one that is there to this version: sets are kept with
 * their elements and times, chains are filled anew, all in one transaction. -EEXIST: the
 * lease maps of that table have another form and hold something, nothing was changed. Leases
 * that last while their host sends have to be staged again afterwards.
 */
int firewall_install(struct firewall *fw, const struct firewall_config *config);
/* What firewall_mend() put back. */
struct firewall_mended {
	size_t sets;
	size_t chains;
	size_t rules;
	bool leases; /* a set of leases was not there: they have to be staged again */
};

/*
 * Somebody has deleted from the table, or changed it: everything but the leases is there
 * again afterwards, as it was installed and as the router was described since. Sets that
 * are there keep their elements; a lease map of another form goes.
 */
int firewall_mend(struct firewall *fw, struct firewall_mended *mended);

/*
 * Before leases are staged again with firewall_stage_again(): those of all external ports in
 * the sets, both NULL: all. Steps staged earlier must be committed.
 */
void firewall_again_begin(struct firewall *fw, const struct portset *tcp,
			  const struct portset *udp);
/* Stages a lease that the kernel has, or had before somebody deleted it: all its objects are
 * there afterwards, with the time that is left. */
int firewall_stage_again(struct firewall *fw, const struct lease *l, uint64_t now_ms);

/* The number of the socket by which the kernel knows our transactions. */
uint32_t firewall_portid(const struct firewall *fw);

/* The table is gone afterwards, with all leases. 0 also if there was none. */
int firewall_remove(struct firewall *fw);

/* From now on these are the WAN's interfaces and IPv4 addresses (in network order), and the
 * LANs' interfaces and networks, and the ports of their HTTP. -EINVAL: an interface name. */
int firewall_set_wan(struct firewall *fw, const char *const *names, size_t n_names,
		     const struct in_addr *addrs, size_t n_addrs);
int firewall_set_lan(struct firewall *fw, const char *const *names, size_t n_names,
		     const struct prefix *nets, size_t n_nets, const uint16_t *ports,
		     size_t n_ports);
/* Ports of the router's own programs: LAN hosts do not leave from these, from 1024 up. Nothing
 * is done if they are known. */
int firewall_set_own(struct firewall *fw, const struct portset *tcp,
		     const struct portset *udp);
/* The networks whose hosts' packets are told of; subnets of the LANs'. */
int firewall_set_learners(struct firewall *fw, const struct prefix *nets, size_t n_nets);
/* A host that has leases, the last of which the kernel drops then. */
struct firewall_host {
	struct in6_addr addr;
	uint64_t until_ms;
};
/* So many of each family are in the sets `hosts` and `hosts6`; others are left out. */
#define FIREWALL_HOSTS_MAX 16384
/* From now on these are all of them. */
int firewall_set_hosts(struct firewall *fw, const struct firewall_host *hosts, size_t n);
/* All pairs of port and remote are told of again. */
int firewall_forget_seen(struct firewall *fw);
/* Whom the filter of router mode trusts how far; also LANs without an address. */
int firewall_set_zones(struct firewall *fw, const struct firewall_zone *zones, size_t n);

/*
 * Group commit. A step is taken in; nothing is sent, and the step is not needed any more
 * when this returns. -EAFNOSUPPORT: addresses of two families, or a disabled pinhole; -ENOMEM:
 * the step was not taken in.
 */
int firewall_stage(struct firewall *fw, const struct lease_change *step, uint64_t now_ms);
size_t firewall_staged(const struct firewall *fw);

/* How one step ended, in the order of staging: 0 or -errno (-EEXIST: somebody else's element
 * has that key, -ENFILE or -ENOSPC: full, -ENOTEMPTY: remotes overlap). */
typedef void (*firewall_result_cb)(void *arg, size_t index, int err);

/*
 * Sends all that is staged. All objects of one lease change together or not at all; a step
 * that the kernel refuses fails alone. That a deleted element has expired already is no
 * failure. Returns how many steps failed.
 */
size_t firewall_commit(struct firewall *fw, firewall_result_cb result, void *arg);

/* What firewall_adopt() met. */
struct firewall_adopted {
	size_t leases;   /* handed to `each` */
	size_t foreign;  /* not ours, or of another schema version: left alone */
	size_t repaired; /* leases whose `held` or `rev` was missing */
	size_t orphans;  /* elements of `held` or `rev` without a lease: removed */
};

/*
 * Finds the leases in the kernel, with what is left of their time. Once, after
 * firewall_install() and before the first step. `each` may stage steps.
 */
int firewall_adopt(struct firewall *fw, uint64_t now_ms,
		   void (*each)(void *arg, const struct lease *lease), void *arg,
		   struct firewall_adopted *report);

/* Kept in the kernel beside the leases. */
struct firewall_epoch {
	uint64_t since_ms; /* when the lease table was initialised */
	struct in6_addr
		wan4; /* the latest external address since then; :: before the first */
	bool kept; /* whoever keeps the leases elsewhere was told of each that has ended */
};

/* -ENOENT: there is none. */
int firewall_epoch_get(struct firewall *fw, struct firewall_epoch *epoch);
int firewall_epoch_set(struct firewall *fw, const struct firewall_epoch *epoch);

/*
 * Do flows of another host than that one leave from that external port now, so that it was
 * given to that host by its first packet? 1, 0 or -errno. One or two questions to the kernel.
 */
int firewall_claimed(struct firewall *fw, uint8_t protocol, uint16_t port,
		     struct in_addr internal);

/* Do flows of that host itself leave from that external port now? 1, 0 or -errno. If so, for
 * how long it stays theirs if they send no more; left_ms may be NULL. */
int firewall_claims(struct firewall *fw, uint8_t protocol, uint16_t port,
		    struct in_addr internal, uint64_t *left_ms);

/* To where the first flow of that host from that external port went, if it was not told of, was
 * within the window (at most a minute) and counts. 1, 0: none, or -errno. Two questions to the
 * kernel. */
int firewall_first_remote(struct firewall *fw, uint8_t protocol, uint16_t port,
			  struct in_addr internal, struct in_addr *remote);

/* For how many milliseconds a lease with idle_s would last yet if its host sent no more; 0:
 * it has been silent for that long. */
int firewall_active(struct firewall *fw, const struct lease *l, uint64_t *left_ms);

/* For how many of the milliseconds of watch_s the kernel remembers yet that this host has sent
 * to that port, which a trigger watches; 0: it has not. */
int firewall_watched(struct firewall *fw, struct in_addr host, uint8_t protocol,
		     uint16_t port, uint64_t *left_ms);

/* How many packets have come in through a pinhole, its renewals included. -ENOENT: it is not
 * there; -EAFNOSUPPORT: no pinhole. One question to the kernel for each of its elements. */
int firewall_packets(struct firewall *fw, const struct lease *l, uint64_t *packets);

/* Does the kernel hold all of that lease, and for how long yet (the least of its elements)?
 * What has come in through a pinhole is counted, else *packets is 0. 1, 0 or -errno. */
int firewall_there(struct firewall *fw, const struct lease *l, uint64_t *left_ms,
		   uint64_t *packets);

/* Is that external port neither held by a lease nor claimed by any host? 1, 0 or -errno. */
int firewall_free(struct firewall *fw, uint8_t protocol, uint16_t port);

/* Flows of that host leave from that external port. */
struct firewall_claim {
	uint8_t protocol;
	uint16_t port;
	struct in_addr internal;
};

/* Did firewall_install() find none of the claims of before, as the table was not there? */
bool firewall_claims_new(const struct firewall *fw);
/* Who claims which port was lost: these claims hold again, as if a packet had just left. */
int firewall_claims_again(struct firewall *fw, const struct firewall_claim *claim,
			  size_t n);

/* How many elements the kernel lists in a set or map of the table; -errno. Slow: dumps. */
long firewall_count(struct firewall *fw, const char *set);
