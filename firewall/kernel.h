/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of firewall/ share: the handle, and elements as they go to the kernel.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firewall/element.h"
#include "firewall/firewall.h"
#include "firewall/netlink.h"

#define NFT_MSG_DESTROYSETELEM_ 30 /* Linux 6.3; older headers lack it */

/* Who uses an external port: leases with different remotes share one element of `held`. */
struct port_use {
	uint64_t until_ms; /* when the kernel drops `held`; LEASE_NO_DEADLINE: never */
	uint32_t leases;
	uint32_t zero;
};

struct staged;

/* What was said about the router, to be said again when somebody has deleted it. */
struct router {
	bool wan_known;
	bool lan_known;
	bool epoch_known;
	char (*wan)[IFNAMSIZ];
	size_t n_wan;
	struct in_addr *wan4;
	size_t n_wan4;
	char (*lan)[IFNAMSIZ];
	size_t n_lan;
	struct prefix *nets;
	size_t n_nets;
	uint16_t *http;
	size_t n_http;
	struct firewall_zone *zones;
	size_t n_zones;
	struct portset own_tcp; /* of the router's own programs */
	struct portset own_udp;
	struct prefix *learners;
	size_t n_learners;
	struct firewall_host *hosts;
	size_t n_hosts;
	struct firewall_epoch epoch;
};

struct firewall {
	struct nl nl;
	struct nl_batch batch;
	char table[FIREWALL_TABLE_MAX];
	bool in_place; /* the kernel renews an element when it is added again (6.12) */
	bool destroy;  /* it has DESTROYSETELEM (6.3) */

	struct port_use *use; /* by PORT_USE() */
	struct router router;
	struct firewall_config config;
	size_t n_rules;   /* as many as we have put into our chains */
	size_t n_adapted; /* of these, as rules_adapt() has put them */
	bool claims_new;  /* the last installation found none that it could keep */
	bool filters;     /* there are leases with filters ... */
	bool pinholes; /* ... and pinholes, or there were; else no packet is held against them */

	struct staged *staged;
	size_t n_staged;
	size_t staged_room;
	struct element_key *key; /* of the staged steps */
	size_t n_keys;
	size_t key_room;
	uint8_t *userdata; /* of the staged steps */
	size_t userdata_len;
	size_t userdata_room;
	uint32_t *message; /* which step and object each message of the batch is about */
	size_t message_room;
};

#define PORT_USES (2 * 65536)
#define PORT_USE(protocol, port) (((protocol) == IPPROTO_UDP ? 65536U : 0U) + (port))

/* One element of a set or map. */
struct kernel_element {
	const void *key;
	const void *key_to; /* the end of a range; NULL: none */
	const void *data;   /* NULL: none */
	const void *userdata;
	uint64_t timeout_ms; /* 0: none, the element stays for good */
	uint32_t flags;      /* NFT_SET_ELEM_* */
	uint64_t packets;    /* where its counter begins */
	bool counted;        /* it has a counter */
	uint8_t key_len;
	uint8_t data_len;
	uint8_t userdata_len;
};

/* netlink attributes for one or many elements of a set: begin, each, end. */
struct nlattr *elements_begin(struct nlmsghdr *nlh, const char *table, const char *set);
void elements_put(struct nlmsghdr *nlh, const struct kernel_element *e);
void elements_end(struct nlmsghdr *nlh, struct nlattr *list);

/* A message with that one element. NULL (no memory) shows in the batch. */
void element_message(struct nl_batch *b, const char *table, const char *set,
		     uint16_t type, uint16_t flags, const struct kernel_element *e);
/* A message that empties the set. */
void flush_message(struct nl_batch *b, const char *table, const char *set);

/* One element as it is dumped. */
struct dumped {
	const uint8_t *key;
	const uint8_t *key_to; /* NULL: none */
	const uint8_t *data;
	const uint8_t *userdata;
	uint16_t key_len;
	uint16_t data_len;
	uint16_t userdata_len;
	bool timed;
	uint64_t left_ms;    /* when timed */
	uint64_t timeout_ms; /* 0: that of the set, or none */
	uint64_t packets;    /* of its counter; 0: it has none */
};
typedef int (*dumped_cb)(void *arg, const struct dumped *d);

/* Calls `each` for the elements that one message lists. -EBADMSG, or what `each` returned. */
int elements_of(const struct nlmsghdr *nlh, dumped_cb each, void *arg);
/* Calls `each` for all elements; -EINTR: start again. */
int elements_dump(struct firewall *fw, const char *set, dumped_cb each, void *arg);
/* One element by its key. -ENOENT. */
int element_get(struct firewall *fw, const char *set, const void *key, uint8_t key_len,
		dumped_cb each, void *arg);

/* nft's numbers for data types; six bits for each of a concatenation. */
#define KERNEL_TYPE_IP 7
#define KERNEL_TYPE_IP6 8
#define KERNEL_TYPE_PROTO 12
#define KERNEL_TYPE_PORT 13
#define KERNEL_TYPE_MARK 19
#define KERNEL_TYPE_ICMP6_TYPE 29
#define KERNEL_TYPE_IFNAME 41

/* Appends elements of a set to the batch; a full message is ended and another one begun. */
struct filler {
	struct firewall *fw;
	const char *set;
	struct nlmsghdr *nlh;
	struct nlattr *list;
};
void fill(struct filler *f, const struct kernel_element *e);
void fill_end(struct filler *f);
/* Ranges of ports, behind the same bytes: the port is in the last four bytes of the key. */
void fill_port_ranges(struct filler *f, const uint8_t *prefix, uint8_t key_len,
		      const struct portset *ports);
/* The same for proto . port. */
void fill_ports(struct filler *f, uint8_t protocol, const struct portset *ports);
/* Each port by itself, from the first one on. */
void fill_single_ports(struct filler *f, uint8_t protocol, const struct portset *ports,
		       uint16_t first);

/* Append to the batch: all rules, whose own sets get ids from next_set on (-ENOMEM), those
 * that guard the workers, the contents of `reserved` and `wan_allow`, and of the sets of
 * static forwards. */
int rules_put(struct firewall *fw, uint32_t next_set);
/* Of these rules those that name the WAN's interfaces, or are there only for leases that there
 * are; into chains that are empty. */
int rules_adapt(struct firewall *fw, uint32_t next_set);
int guard_put(struct firewall *fw, const struct firewall_config *config);
void reserved_put(struct firewall *fw, const struct firewall_config *config);
/* Of `quiet`. */
/* For so long a pair of port and remote is remembered that was told of. */
uint64_t learn_seen_ms(const struct firewall_learn *l);
void learn_put(struct firewall *fw, const struct firewall_config *config);
/* Of `watch`; and whoever was told of is told of again. */
void watched_put(struct firewall *fw, const struct firewall_config *config);
void watched_flush(struct firewall *fw);
/* Of the sets of owners, which are there: the leases are staged again. */
void learn_flush(struct firewall *fw);
/* The set of owners of leases with that idle time, and the time that its elements have. */
const char *learn_owners(const struct firewall *fw, uint32_t idle_s,
			 uint64_t *timeout_ms);
/* The set of hosts whose leases have a clock as well, and its elements' time. */
#define LEARN_ACTIVE "active"
#define LEARN_WATCHING "watching"
#define LEARN_SEEN_KEY 16
uint64_t learn_active_ms(const struct firewall *fw);
/* The same for the WAN and the LANs, as far as they were told. */
int router_put(struct firewall *fw);
/* Before the WAN is told: its interfaces are those in `wan`. -errno. */
int router_recall_wan(struct firewall *fw);
/* Of `hosts` and `hosts6`. */
void holders_put(struct firewall *fw);
void router_fini(struct router *r);
void forwards_put(struct firewall *fw, const struct firewall_config *config);

/* When a chain is there. */
enum chain_use {
	CHAIN_ALWAYS,
	CHAIN_FILTER, /* these with the part of router mode of that name */
	CHAIN_REFUSE,
	CHAIN_ANTISPOOF,
	CHAIN_MSS,
	CHAIN_NAT,
	CHAIN_PINHOLES, /* when there are any */
};
bool router_has_chain(const struct firewall_router *router, enum chain_use use);

/* Appends to the batch: what rules_adapt() puts, in place of what is there. -ENOMEM. */
int ruleset_adapt_put(struct firewall *fw);
/* Leases of these kinds can be committed from now on. -errno. */
int ruleset_adapt(struct firewall *fw, bool filters, bool pinholes);

/* Is that a set of ours that describes the router, with what we have put there? */
bool ruleset_is_constant(const char *set);

/* Finds out what the kernel can do, in a table that is gone afterwards. */
int firewall_probe(struct firewall *fw);

/* Deletes elements by their keys (key_len bytes each); those that are gone are no error. */
int elements_delete(struct firewall *fw, const char *set, const uint8_t *keys,
		    uint8_t key_len, size_t n);
/* Forgets all staged steps. */
void staged_drop(struct firewall *fw);

/* The userdata of the epoch element, and back (-EBADMSG); and its key. */
#define ABOUT_KEY_EPOCH 1U
size_t about_epoch_userdata(const struct firewall_epoch *epoch,
			    uint8_t buf[ELEMENT_USERDATA_MAX]);
int about_epoch_read(const void *userdata, size_t len, struct firewall_epoch *epoch);
