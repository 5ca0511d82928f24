/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lease: one external port that leads to one inside address and port, and the claims that
 * keep it. One of an IPv6 host is a pinhole: its external address and port are the inside
 * ones, and the inside address belongs to its key. The public header of lease/. Knows nothing of sockets, nftables or clocks:
 * times are milliseconds of CLOCK_BOOTTIME that callers pass.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/record.h"

#define LEASE_NO_DEADLINE UINT64_MAX

/* How long the kernel keeps an element past the time that was granted. */
#define LEASE_KERNEL_GRACE_MS 200
/* The kernel timeout of leases without a clock; re-armed at half of it. Of those that last
 * until their host has left it is the policy's silence, which is this much by default. */
#define LEASE_SILENCE_MS (30 * 60 * 1000ULL)

struct lease {
	/* Key. */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t ext_port;
	uint8_t remote_len;   /* 0: everybody may come in */
	uint16_t remote_port; /* of pinholes: from that port only; 0: from any */
	struct in6_addr remote;

	/* Besides the key: who may come in. None: everybody (of `remote`). */
	uint8_t n_filters;
	struct lease_filter filters[LEASE_FILTERS_MAX];

	/* Owner. */
	uint16_t int_port;
	uint16_t number; /* what UPnP calls a pinhole (UniqueID); 0: none */
	struct in6_addr internal;

	/* The console's own packets from int_port leave from ext_port: of several leases of
	 * one (protocol, internal, int_port) exactly one has the twin (the map `rev`). */
	bool twin;
	bool enabled; /* false: kept and listed, but nothing is forwarded */
	bool has_nonce;
	uint8_t origin;     /* enum lease_by: who asked first */
	uint8_t claims;     /* bits 1 << enum lease_by, each with its deadline below */
	uint8_t until_gone; /* those claims that have no clock: until the host has left */
	uint8_t nonce[PCP_NONCE_LEN];
	char description[RECORD_DESCRIPTION]; /* as sent; escape it where it is shown */

	/* Claims that last while their host sends end after so much silence, the longest of them;
	 * 0: it has none. */
	uint32_t idle_s;
	/* Its host sends, but not from its port: only we know, so the kernel has to be told. */
	bool elsewhere;
	uint64_t created_ms; /* modulo 2^64: perhaps before the boot, so before zero */
	uint64_t until_ms[LEASE_BY_END]; /* of each claim; LEASE_NO_DEADLINE: it lasts */
	uint64_t deadline_ms;            /* the latest of them: when the lease ends */
	/* With until_gone: when the host counts as gone, unless it is heard of until then, and
	 * when to listen for it next; else 0. */
	uint64_t gone_ms;
	uint64_t look_ms;
	/* When the kernel may drop it, without the grace: deadline_ms, or sooner for leases
	 * without a clock, which the core re-arms in time. LEASE_NO_DEADLINE: never. */
	uint64_t kernel_ms;
};

/* One step of one lease. The firewall makes it so; the log and the store tell of it. */
struct lease_change {
	bool had; /* `before` is what was there */
	bool has; /* `after` is what is there now */
	enum lease_end {
		LEASE_END_NONE,    /* it goes on */
		LEASE_END_DELETED, /* its last claim was taken off */
		LEASE_END_EXPIRED, /* its deadline came */
		LEASE_END_POLICY,  /* the present configuration does not allow it */
		LEASE_END_GONE,    /* its host has left the LAN */
		LEASE_END_MOVED,   /* to the address that its host has now */
		LEASE_END_DENIED,  /* the admin denies it now */
	} end;
	uint32_t who; /* the caller's mark of the request that caused it */
	struct lease before;
	struct lease after;
};

/* "deleted", "expired", "policy", "gone", "moved", "denied". */
const char *lease_end_name(enum lease_end end);

/* Is it a pinhole: of an IPv6 host, without translation? */
static inline bool lease_is_pinhole(const struct lease *l)
{
	return !IN6_IS_ADDR_V4MAPPED(&l->internal);
}

/* Does it last while its host sends, and no longer? */
static inline bool lease_idles(const struct lease *l)
{
	return l->idle_s && !(l->claims & ~LEASE_IDLE_CLAIMS);
}

/* Can only some come in, by its key? */
static inline bool lease_has_remote(const struct lease *l)
{
	return l->remote_len || l->remote_port;
}

/* Same key: protocol, external port, remote; of pinholes also the inside address. */
bool lease_same_key(const struct lease *a, const struct lease *b);
