/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What server.c, serve_natpmp.c and serve_pcp.c share: the server's inside, and how each
 * protocol answers. For these three only.
 */
#pragma once

#include "base/addr.h"
#include "base/channel.h"
#include "pcp/natpmp.h"
#include "pcp/rate.h"
#include "pcp/server.h"
#include "pcp/updates.h"

/* A request that waits for the core. */
struct server_slot {
	uint32_t tag;
	bool waits;
	bool update; /* about an update: whose mapping it is stands in pcp.req */
	uint8_t by;  /* LEASE_BY_PCP or LEASE_BY_NATPMP */
	struct server_peer from;
	union {
		struct natpmp_request natpmp;
		struct {
			struct pcp_request req;
			size_t len;
			uint8_t raw[PCP_MAX_LEN]; /* errors are copies of it */
		} pcp;
	};
};

struct server {
	bool natpmp;
	bool pcp;
	bool has_state;
	struct in6_addr wan;
	struct in6_addr told_wan; /* the last that there was: what clients were told */
	uint64_t epoch_ms;
	size_t n_addrs;
	struct in6_addr addrs[RECORD_LAN_ADDRS];
	size_t n_nets;
	struct prefix nets[RECORD_LAN_ADDRS + RECORD_LAN_ALSO];
	struct rate rate;
	struct updates *updates;
	/* The slots on `spare` are free, the last one used on top: few pages are touched. */
	size_t n_spare;
	uint16_t spare[CHANNEL_FLIGHT];
	struct server_slot slot[CHANNEL_FLIGHT];
};

/* A slot with a tag of its own. NULL: as many wait as may. */
struct server_slot *server_take(struct server *srv);
/* A question to the core of a host about itself. */
void server_ask(const struct server_slot *slot, enum lease_op op, uint8_t protocol,
		uint16_t int_port, struct lease_request *ask);
uint32_t server_epoch(const struct server *srv, uint64_t now_ms);
bool server_in_lan(const struct server *srv, const struct in6_addr *a);

/* A datagram of that protocol, as server_handle(). */
enum server_verdict serve_natpmp(struct server *srv, const struct server_peer *from,
				 const void *buf, size_t len, uint32_t epoch,
				 struct server_answer *answer, struct lease_request *ask);
enum server_verdict serve_pcp(struct server *srv, const struct server_peer *from,
			      const void *buf, size_t len, uint32_t epoch,
			      struct server_answer *answer, struct lease_request *ask);

/* The core's reply to what the slot has asked, which no longer waits. */
void serve_natpmp_reply(const struct server_slot *slot, const struct lease_reply *reply,
			uint32_t epoch, struct server_answer *answer);
void serve_pcp_reply(struct server *srv, const struct server_slot *slot,
		     const struct lease_reply *reply, uint64_t now_ms,
		     struct server_answer *answer);
/* A mapping update (RFC 6887 section 14.2): what to ask before the first one of a change, and
 * what to send. */
enum server_verdict serve_pcp_update(struct server *srv, const struct update *u,
				     uint64_t now_ms, struct server_answer *answer,
				     struct lease_request *ask);
void serve_pcp_update_reply(struct server *srv, const struct server_slot *slot,
			    const struct lease_reply *reply, uint64_t now_ms,
			    struct server_answer *answer);
