/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed-size records that the processes send each other, and what a well-formed one
 * looks like. Knows nothing of sockets (channel.h) or of what the core decides (lease/).
 *
 * Host byte order, no pointers, padding spelled out. Addresses are in network order, IPv4
 * as ::ffff:a.b.c.d; ports are in host order.
 */
#pragma once

#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define RECORDS_PER_MESSAGE 32
#define RECORD_SIZE_MAX 368 /* of one record of any kind */
#define RECORD_LAN_ADDRS 8
#define RECORD_DESCRIPTION 132 /* 128 bytes of text, NUL, and to a multiple of four */
#define LEASE_DESCRIPTION_MAX 128
#define PCP_NONCE_LEN 12
#define LEASE_FILTERS_MAX 4 /* of one lease */
#define RECORD_LAN_ALSO 8

enum record_kind {
	RECORD_SETUP =
		1,      /* core to worker, once, first, with its sockets: record_setup */
	RECORD_STATE,   /* core to worker, at every change: record_state */
	RECORD_REPLY,   /* core to worker: lease_reply */
	RECORD_PING,    /* core to worker, no record: answer from the main loop */
	RECORD_READY,   /* worker to core, no record: every listener answers */
	RECORD_REQUEST, /* worker to core: lease_request */
	RECORD_PONG,    /* worker to core, no record */
	RECORD_REFRESH, /* worker to core, no record: send a RECORD_STATE with counters of now */
	RECORD_LIST,   /* igd worker to core: send leases of that LAN: record_list */
	RECORD_ROWS,   /* core to worker, the answer, if there are any: record_row */
	RECORD_LISTED, /* core to worker, after them: record_list */
	/* With the store, see the end of this file. */
	RECORD_STORE_SETUP,  /* core to store, first, and for other bounds: store_setup */
	RECORD_STORE_ABOUT,  /* core to store, at every change: store_about */
	RECORD_STORE_SYNC,   /* core to store, no record: all leases follow ... */
	RECORD_STORE_SYNCED, /* core to store, no record: ... those were all of them */
	RECORD_STORE_LEASE,  /* either way: store_lease */
	RECORD_STORE_EVENT,  /* either way: store_event, to the core as an answer */
	RECORD_STORE_QUESTION, /* core to store: store_question */
	RECORD_STORE_BYE, /* core to store, no record: that was all, and is all there is */
	RECORD_STORE_LOADED,   /* store to core: store_loaded, after the leases kept */
	RECORD_STORE_ANSWER,   /* store to core: store_answer, after its events */
	RECORD_STORE_AGAIN,    /* store to core, no record: send all leases once more */
	RECORD_UPSTREAM_SETUP, /* core to upstream, once, with a socket: upstream_setup */
	RECORD_UPSTREAM_ANSWER, /* upstream to core, now and again: upstream_answer */
	RECORD_TRIGGER_SETUP,   /* core to trigger, first, with a socket: trigger_setup */
	RECORD_TRIGGER_EVENT,   /* trigger to core: trigger_event */
	RECORD_KIND_END,
};

/* Who asks; also the claims on a lease, as bits 1 << lease_by. */
enum lease_by {
	LEASE_BY_PCP,
	LEASE_BY_NATPMP,
	LEASE_BY_UPNP,
	LEASE_BY_TRIGGER,
	LEASE_BY_OPEN_NAT,
	LEASE_BY_STATIC,
	LEASE_BY_ADMIN,
	LEASE_BY_END,
};

/* Nobody asked for these: they last while their host sends, and no longer than a reboot. */
#define LEASE_IDLE_CLAIMS (1U << LEASE_BY_TRIGGER | 1U << LEASE_BY_OPEN_NAT)

enum lease_op {
	LEASE_OP_MAP = 1, /* grant or renew: protocol, internal, int_port, ext_port ... */
	LEASE_OP_UNMAP,   /* take the claim `by` off (protocol, internal, int_port) */
	LEASE_OP_UNMAP_ALL, /* take `by` off all leases of (protocol, internal): RFC 6886 3.4 */
	LEASE_OP_UNMAP_PORT, /* take `by` off (protocol, ext_port, remote): UPnP delete */
	LEASE_OP_GET_PORT,   /* read (protocol, ext_port, remote) */
	LEASE_OP_GET_INDEX,  /* read the index-th lease that listings show */
	/* Take `by` off the client's own leases of (protocol, ext_port to last_port), whatever
	 * their remote. */
	LEASE_OP_UNMAP_RANGE,
	/* Read the client's own leases of (protocol, ext_port to last_port) one by one: with
	 * index 0 the first, else the one behind (ext_port, remote). Only the first costs the
	 * host one of its requests. */
	LEASE_OP_GET_NEXT,
	/* Of the pinhole with the number `index`: renew, end, read it with its packets. */
	LEASE_OP_PIN_RENEW,
	LEASE_OP_PIN_END,
	LEASE_OP_PIN_GET,
	LEASE_OP_END,
};

enum lease_flag {
	/* This ext_port or a refusal: UPnP AddPortMapping, PCP PREFER_FAILURE. */
	LEASE_EXACT = 1,
	/* nonce is set and must be that of the lease (RFC 6887 11.3). */
	LEASE_NONCE = 2,
	/* Keep the entry, forward nothing: UPnP NewEnabled 0. */
	LEASE_DISABLED = 4,
	/* No clock: until the host has left the LAN (IGD:1 lease 0). */
	LEASE_UNTIL_GONE = 8,
	/* description is given, be it empty; without this flag the lease keeps its own. */
	LEASE_DESCRIBE = 16,
	/* The filters that the lease has go, before those of the request are added (RFC 6887
	 * 13.3, prefix length 0). */
	LEASE_UNFILTER = 32,
	/* Of GET_PORT and GET_INDEX: only the client's own leases are there to be read. */
	LEASE_OWN = 64,
	LEASE_FLAGS = 127,
};

/* Why a request was refused; LEASE_OK is zero. Each front end maps them to its codes. */
enum lease_reason {
	LEASE_OK,
	LEASE_NOT_LAN,     /* the client is not in a network of that LAN */
	LEASE_THIRD_PARTY, /* for another host, and that is not allowed */
	LEASE_PROTOCOL,    /* neither TCP nor UDP */
	LEASE_PORT,        /* a port of 0 or a range that cannot be */
	LEASE_ACCESS,      /* the access rules forbid the port (below 1024) */
	LEASE_RESERVED,    /* on the reserved list */
	LEASE_ROUTER,      /* the router itself listens there */
	LEASE_STATIC,      /* the admin's static forward has it */
	LEASE_QUOTA_HOST,  /* this host has its fill */
	LEASE_QUOTA_TABLE, /* the table is full */
	LEASE_RATE,        /* this host asks too often: no answer at all */
	LEASE_TAKEN,       /* another host has that port, and LEASE_EXACT was asked */
	LEASE_NO_PORT,     /* no port is free */
	LEASE_NONCE_MISMATCH, /* another nonce than the lease's; lifetime = what is left of it */
	LEASE_NOT_OWNER, /* the lease is another host's */
	LEASE_NOT_FOUND, /* no such lease */
	LEASE_NO_WAN,    /* no external address now */
	LEASE_REMOTE,    /* a remote restriction that cannot be kept */
	LEASE_FILTERS,   /* more filters than a lease may have */
	LEASE_KERNEL,    /* the kernel refused the change */
	LEASE_DENIED,    /* the admin has denied the host or the port */
	LEASE_REASON_END,
};

/* Who may come in: addr/len from that port (0: from any). */
struct lease_filter {
	struct in6_addr addr;
	uint8_t len; /* 0-128, of the 128 bits */
	uint8_t zero;
	uint16_t port;
};
static_assert(sizeof(struct lease_filter) == 20, "lease_filter has no hidden padding");

struct lease_request {
	uint32_t tag;     /* the asker's own; comes back in the reply */
	uint8_t op;       /* enum lease_op */
	uint8_t by;       /* enum lease_by */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; the core refuses others by name */
	uint8_t flags;    /* enum lease_flag */
	uint16_t int_port;
	uint16_t ext_port;        /* wanted; 0: none in particular */
	uint32_t lifetime;        /* seconds as asked; the core clamps it */
	uint32_t index;           /* of LEASE_OP_GET_INDEX, _GET_NEXT and _PIN_* */
	struct in6_addr client;   /* the host that asks, by its packet's source */
	struct in6_addr internal; /* the host that the port leads to */
	struct in6_addr
		remote;       /* only this prefix may come in; with length 0 everybody */
	uint8_t remote_len;   /* 0-128, of the 128 bits */
	uint8_t n_filters;    /* to be added to those of the lease */
	uint16_t remote_port; /* of pinholes: only from this port; 0: from any */
	uint16_t last_port;   /* of LEASE_OP_UNMAP_RANGE and _GET_NEXT */
	uint8_t zero[2];
	uint8_t nonce[PCP_NONCE_LEN];
	struct lease_filter filters[LEASE_FILTERS_MAX];
	char description[RECORD_DESCRIPTION]; /* NUL-terminated, at most 128 bytes */
};
static_assert(sizeof(struct lease_request) == 300, "lease_request has no hidden padding");

struct lease_reply {
	uint32_t tag;
	uint8_t op;
	uint8_t reason; /* enum lease_reason */
	uint8_t protocol;
	uint8_t flags; /* LEASE_DISABLED, LEASE_UNTIL_GONE, LEASE_NONCE as the lease is */
	uint16_t int_port;
	uint16_t ext_port;
	uint32_t lifetime; /* seconds granted, or left (rounded up) */
	uint32_t index;    /* as asked */
	struct in6_addr internal;
	struct in6_addr external; /* the WAN address; :: while there is none */
	struct in6_addr remote;
	uint8_t remote_len;
	uint8_t claims; /* bits 1 << enum lease_by */
	uint16_t remote_port;
	uint32_t packets; /* of LEASE_OP_PIN_GET: that came through it, modulo 2^32 */
	uint16_t number;  /* of a pinhole that UPnP claims; else 0 */
	uint8_t zero[2];
	uint8_t nonce[PCP_NONCE_LEN]; /* with LEASE_NONCE */
	char description[RECORD_DESCRIPTION];
};
static_assert(sizeof(struct lease_reply) == 224, "lease_reply has no hidden padding");

struct record_prefix {
	struct in6_addr addr; /* the router's own address */
	uint8_t len;          /* of the network, of 128 bits */
	uint8_t zero[3];
};
static_assert(sizeof(struct record_prefix) == 20, "record_prefix has no hidden padding");

/*
 * What a worker must know before it serves. The sockets come with the message:
 * pcp: UDP 5351, IPv4, bound to the LAN device, and the same for IPv6 if the LAN has IPv6
 * addresses. igd: the HTTP listeners, TCP, in the same way.
 */
struct record_setup {
	char ifname[16]; /* NUL-terminated */
	uint32_t ifindex;
	uint16_t lan; /* index of this LAN */
	uint16_t http_port;
	uint32_t requests_per_second; /* per host */
	uint8_t n_addrs;              /* 1-8; the first is the LAN's main IPv4 address */
	uint8_t n_also;
	uint8_t features; /* enum record_feature */
	uint8_t debug;    /* log debug lines */
	uint8_t uuid[16]; /* of this router and LAN, stable; devices derive their UDNs */
	struct record_prefix addrs[RECORD_LAN_ADDRS];
	struct record_prefix also[RECORD_LAN_ALSO]; /* networks routed to that LAN */
};
static_assert(sizeof(struct record_setup) == 368, "record_setup has no hidden padding");

enum record_feature {
	RECORD_NATPMP = 1, /* serve NAT-PMP; off: version 0 gets PCP's UNSUPP_VERSION */
	RECORD_PCP = 2,    /* serve PCP; off: other versions get NAT-PMP's result 1 */
};

/* What read-only answers are made of. Times are milliseconds of CLOCK_BOOTTIME. */
struct record_state {
	struct in6_addr wan4;  /* ::ffff:a.b.c.d, or :: while there is none */
	uint64_t epoch_ms;     /* when the lease table was initialised (RFC 6887 8.5) */
	uint64_t wan_since_ms; /* when the WAN came up; 0 while it is down */
	uint64_t rx_bytes;     /* of the WAN interface */
	uint64_t tx_bytes;
	uint64_t rx_packets;
	uint64_t tx_packets;
	uint64_t rx_bits_per_s; /* link speed; 0: unknown */
	uint64_t tx_bits_per_s;
	uint32_t update_id; /* UPnP SystemUpdateID */
	uint32_t entries;   /* leases that listings show */
	/* How long the kernel remembers a silent flow, seconds; 0: unknown. */
	uint32_t tcp_idle_s;
	uint32_t udp_idle_s;
	uint8_t wan_up; /* link up and an IPv4 address there */
	uint8_t zero[7];
};
static_assert(sizeof(struct record_state) == 104, "record_state has no hidden padding");

/* Where in the table to go on; 0: at the first lease, and in an answer: that was all. */
struct record_list {
	uint32_t place;
};
static_assert(sizeof(struct record_list) == 4, "record_list has no hidden padding");

/* When a lease ends, as far as people can be told. */
enum row_end {
	ROW_END_TIME, /* in left_s */
	ROW_END_GONE, /* when its host has left the LAN */
	ROW_END_IDLE, /* when its host has stopped sending */
	ROW_END_NEVER,
	ROW_END_END,
};

/* One lease, as people are shown it. */
struct record_row {
	uint8_t protocol;
	uint8_t end;      /* enum row_end */
	uint8_t claims;   /* bits 1 << enum lease_by */
	uint8_t disabled; /* 1: nothing is forwarded */
	uint16_t int_port;
	uint16_t ext_port;
	uint32_t left_s; /* rounded up */
	uint32_t age_s;
	struct in6_addr internal; /* IPv6: a pinhole */
	struct in6_addr remote;
	uint8_t remote_len; /* 0: everybody may come in */
	uint8_t n_filters;  /* how many more restrictions there are */
	uint8_t zero[2];
	char description[RECORD_DESCRIPTION]; /* as the client sent it */
};
static_assert(sizeof(struct record_row) == 184, "record_row has no hidden padding");
/* ---- What the core and the store tell each other (lease/store.h) ---- */

/*
 * Times of leases are milliseconds of CLOCK_BOOTTIME, counted modulo 2^64: after a reboot
 * what began before it lies before zero. UINT64_MAX: never.
 */
struct store_lease {
	uint64_t created_ms;
	uint64_t until_ms[LEASE_BY_END]; /* 0: over, or nobody's claim */
	struct in6_addr remote;
	struct in6_addr internal;
	uint16_t ext_port;
	uint16_t int_port;
	uint8_t protocol;
	uint8_t remote_len;
	uint8_t n_filters;
	uint8_t flags; /* enum store_flag */
	uint8_t origin;
	uint8_t claims; /* 0: there is no such lease any more; only the key counts */
	uint8_t until_gone;
	uint8_t zero;
	uint16_t remote_port;
	uint16_t number; /* what UPnP calls a pinhole; 0: none */
	uint8_t nonce[PCP_NONCE_LEN];
	struct lease_filter filters[LEASE_FILTERS_MAX];
	char description[RECORD_DESCRIPTION];
};
static_assert(sizeof(struct store_lease) == 336, "store_lease has no hidden padding");

enum store_flag {
	STORE_TWIN = 1,
	STORE_ENABLED = 2,
	STORE_NONCE = 4,
	STORE_FLAGS = 7,
};

/* A line of the history. */
struct store_event {
	uint64_t id;      /* from the store: grows; 0 from the core */
	uint64_t time_ms; /* from the core of CLOCK_BOOTTIME, from the store since 1970 */
	uint32_t tag;     /* of the question that it answers; 0 from the core */
	uint32_t seconds; /* granted (UINT32_MAX: for good); of an end: how long it was */
	uint32_t times;   /* how many alike it stands for, at least 1 */
	uint16_t ext_port;
	uint16_t int_port;
	struct in6_addr internal;
	struct in6_addr remote;
	uint8_t what;   /* enum store_what */
	uint8_t reason; /* of a refusal lease_reason, of an end lease_end (lease/lease.h) */
	uint8_t by;     /* enum lease_by */
	uint8_t protocol;
	uint8_t remote_len;
	uint8_t zero[7];
	char description[RECORD_DESCRIPTION];
};
static_assert(sizeof(struct store_event) == 208, "store_event has no hidden padding");

enum store_what {
	STORE_GRANTED = 1,
	STORE_ENDED,
	STORE_REFUSED,
	STORE_RESTORED, /* so many leases came back after a reboot */
	STORE_LOST,     /* so many events were not written */
	STORE_WHAT_END,
};

#define STORE_PAGE 64 /* events that answer one question at most */

/* Events later than the one with id `after`, oldest first; `newest`: of all of them the last
 * ones, newest first. */
struct store_question {
	uint64_t after;
	uint64_t since_ms;    /* since 1970 */
	struct in6_addr host; /* :: any */
	uint32_t tag;
	uint16_t port;    /* the external or the inside one; 0: any */
	uint8_t protocol; /* 0: any */
	uint8_t limit;    /* 1 to STORE_PAGE */
	uint8_t newest;
	uint8_t zero[7];
};
static_assert(sizeof(struct store_question) == 48,
	      "store_question has no hidden padding");

struct store_answer {
	uint64_t next; /* the id to ask on from */
	uint32_t tag;
	uint8_t more;
	uint8_t failed; /* the disk cannot be read */
	uint8_t zero[2];
};
static_assert(sizeof(struct store_answer) == 16, "store_answer has no hidden padding");

struct store_setup {
	uint32_t history_days;
	uint32_t history_rows;
	uint8_t load; /* send the leases kept before RECORD_STORE_LOADED */
	uint8_t debug;
	uint8_t zero[2];
};
static_assert(sizeof(struct store_setup) == 12, "store_setup has no hidden padding");

struct store_about {
	uint64_t epoch_ms; /* as created_ms */
	struct in6_addr wan4;
};
static_assert(sizeof(struct store_about) == 24, "store_about has no hidden padding");

struct store_loaded {
	struct store_about about; /* with STORE_KEPT: as it is now */
	uint32_t leases;
	uint8_t state; /* enum store_state */
	uint8_t zero[3];
};
static_assert(sizeof(struct store_loaded) == 32, "store_loaded has no hidden padding");

enum store_state {
	STORE_NEW = 1, /* nothing was kept */
	STORE_KEPT,
	STORE_DAMAGED, /* what could be read of it was sent */
	STORE_AWAY,    /* the disk cannot be read or written now */
	STORE_STATE_END,
};

/* The router that the WAN leads to; the socket that comes with it is UDP, bound to the WAN. */
struct upstream_setup {
	struct in_addr gateway;
	uint8_t debug; /* log debug lines */
	uint8_t zero[3];
};
static_assert(sizeof(struct upstream_setup) == 8, "upstream_setup has no hidden padding");

struct upstream_answer {
	struct in_addr external; /* its own external address; 0.0.0.0: it told none */
	uint8_t answers;         /* NAT-PMP */
	uint8_t zero[3];
};
static_assert(sizeof(struct upstream_answer) == 8,
	      "upstream_answer has no hidden padding");

/* ---- What the core and the trigger worker tell each other ---- */

#define TRIGGER_INSTANT_MAX 56
#define TRIGGER_REMOTES_MAX 16

struct record_ports {
	uint8_t protocol;
	uint8_t zero;
	uint16_t first;
	uint16_t last;
};
static_assert(sizeof(struct record_ports) == 6, "record_ports has no hidden padding");

/* The socket that comes with it is netlink, bound to both groups of NFLOG. */
struct trigger_setup {
	uint16_t count_group; /* of packets whose remotes are counted */
	uint16_t watch_group; /* of packets to ports that rules watch for */
	uint32_t window_ms;   /* remotes are counted that were sent to within that */
	uint8_t udp_remotes;  /* so many, 1 to TRIGGER_REMOTES_MAX, open a port */
	uint8_t tcp_remotes;
	uint8_t n_instant;
	uint8_t debug; /* log debug lines */
	uint8_t udp_silent; /* a port's first remote is not told of, but to the core it is known */
	uint8_t tcp_silent;
	uint8_t zero[2];
	/* Remote ports towards which the first packet opens. */
	struct record_ports instant[TRIGGER_INSTANT_MAX];
};
static_assert(sizeof(struct trigger_setup) == 352, "trigger_setup has no hidden padding");

enum trigger_what {
	TRIGGER_COUNTED =
		1,       /* that external port has sent to as many remotes as it takes */
	TRIGGER_WATCHED, /* it has sent to a port that a rule watches for */
	TRIGGER_ALMOST,  /* one is missing: the first, if it is none of these */
	TRIGGER_WHAT_END,
};

/* The packet that was the last to count, as it left. */
struct trigger_event {
	uint8_t what; /* enum trigger_what */
	uint8_t protocol;
	uint16_t ext_port;
	struct in_addr external;
	struct in_addr remote;
	uint16_t remote_port;
	uint8_t mac[MAC_LEN]; /* of who sent it; all zero: not known */
	/* Of TRIGGER_ALMOST: those that it was told of. */
	struct in_addr told[TRIGGER_REMOTES_MAX];
	uint8_t n_told;
	uint8_t zero[3];
};
static_assert(sizeof(struct trigger_event) == 88, "trigger_event has no hidden padding");

/* The size of one record of a kind; 0 for kinds without records or unknown ones. */
size_t record_size(enum record_kind kind);

/* May a worker (or the core) send `count` records of this kind? */
bool record_from_worker(unsigned int kind, size_t count);
bool record_from_core(unsigned int kind, size_t count);
/* May the store send them, or the core to the store? */
bool record_from_store(unsigned int kind, size_t count);
bool record_to_store(unsigned int kind, size_t count);
/* Or upstream (or the core to it)? */
bool record_from_upstream(unsigned int kind, size_t count);
bool record_to_upstream(unsigned int kind, size_t count);
/* Or the trigger worker (or the core to it)? */
bool record_from_trigger(unsigned int kind, size_t count);
bool record_to_trigger(unsigned int kind, size_t count);

/* Fields in range, strings terminated, padding zero: what the core asks of a request
 * before it looks at what it says. */
bool lease_request_valid(const struct lease_request *req);
/* The same of the store's records, in both directions; a lease of the store may have ended. */
bool store_lease_valid(const struct store_lease *l);
bool store_event_valid(const struct store_event *e);
bool store_question_valid(const struct store_question *q);
bool store_answer_valid(const struct store_answer *a);
bool store_setup_valid(const struct store_setup *s);
bool store_loaded_valid(const struct store_loaded *l);
/* And of the trigger worker's. */
bool trigger_setup_valid(const struct trigger_setup *s);
bool trigger_event_valid(const struct trigger_event *e);

/* "pcp", "nat-pmp", "upnp", "trigger", "open-nat", "static", "admin". */
const char *lease_by_name(enum lease_by by);
/* A short word for logs and JSON ("reserved", "quota-host"), and a sentence for people. */
const char *lease_reason_name(enum lease_reason reason);
const char *lease_reason_text(enum lease_reason reason);
