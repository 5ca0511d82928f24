/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/channel.h"
#include "pcp/natpmp.h"
#include "pcp/rate.h"

/* RFC 6887 section 7.4: for how long an error is worth believing, in seconds. */
#define SERVER_LONG_S 1800
#define SERVER_SHORT_S 30

/* A tag is generation and place, so that a late or invented one finds nothing. */
static_assert((CHANNEL_FLIGHT & (CHANNEL_FLIGHT - 1)) == 0, "a tag splits at a bit");

/* A request that waits for the core. */
struct server_slot {
	uint32_t tag;
	bool waits;
	uint8_t by; /* LEASE_BY_PCP or LEASE_BY_NATPMP */
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
	uint64_t epoch_ms;
	size_t n_addrs;
	struct in6_addr addrs[RECORD_LAN_ADDRS];
	struct rate rate;
	/* The slots on `spare` are free, the last one used on top: few pages are touched. */
	size_t n_spare;
	uint16_t spare[CHANNEL_FLIGHT];
	struct server_slot slot[CHANNEL_FLIGHT];
};

struct server *server_new(const struct record_setup *setup)
{
	struct server *srv = calloc(1, sizeof(*srv));

	if (!srv)
		return NULL;
	srv->natpmp = true;
	srv->pcp = true;
	srv->rate.per_second = setup->requests_per_second;
	for (size_t i = 0; i < setup->n_addrs && i < RECORD_LAN_ADDRS; i++)
		srv->addrs[srv->n_addrs++] = setup->addrs[i].addr;
	while (srv->n_spare < CHANNEL_FLIGHT) {
		srv->spare[srv->n_spare] = (uint16_t)(CHANNEL_FLIGHT - 1 - srv->n_spare);
		srv->n_spare++;
	}
	return srv;
}

void server_free(struct server *srv)
{
	free(srv);
}

void server_set_state(struct server *srv, const struct record_state *state)
{
	srv->wan = state->wan4;
	srv->epoch_ms = state->epoch_ms;
	srv->has_state = true;
}

void server_set_protocols(struct server *srv, bool natpmp, bool pcp)
{
	srv->natpmp = natpmp;
	srv->pcp = pcp;
}

size_t server_waiting(const struct server *srv)
{
	return CHANNEL_FLIGHT - srv->n_spare;
}

/* A slot with a tag of its own. NULL: as many wait as may. */
static struct server_slot *server_take(struct server *srv)
{
	struct server_slot *slot;
	uint16_t place;

	if (!srv->n_spare)
		return NULL;
	place = srv->spare[--srv->n_spare];
	slot = &srv->slot[place];
	slot->tag = ((slot->tag & ~(uint32_t)(CHANNEL_FLIGHT - 1)) + CHANNEL_FLIGHT) |
		    place;
	slot->waits = true;
	return slot;
}

/* The slot of a tag, no longer waiting but untouched until the next server_take(). */
static const struct server_slot *server_release(struct server *srv, uint32_t tag)
{
	uint16_t place = (uint16_t)(tag % CHANNEL_FLIGHT);
	struct server_slot *slot = &srv->slot[place];

	if (!slot->waits || slot->tag != tag)
		return NULL;
	slot->waits = false;
	srv->spare[srv->n_spare++] = place;
	return slot;
}

void server_cancel(struct server *srv, uint32_t tag)
{
	server_release(srv, tag);
}

/* RFC 6887 section 8.5: seconds since the lease table was initialised. */
static uint32_t server_epoch(const struct server *srv, uint64_t now_ms)
{
	return now_ms > srv->epoch_ms ? (uint32_t)((now_ms - srv->epoch_ms) / 1000) : 0;
}

/* RFC 6886 section 3.3: a request goes to one of the router's own addresses, so not to a
 * multicast or broadcast one; and it comes from where an answer can go. */
static bool server_accepts(const struct server *srv, const struct server_peer *from)
{
	if (from->port == 0 || addr_is_none(&from->addr))
		return false;
	if (addr_is_v4(&from->addr)) {
		uint32_t v4 = ntohl(addr_to_v4(&from->addr).s_addr);

		if (v4 >> 24 == 127 || v4 >> 28 >= 14 || v4 >> 24 == 0)
			return false;
	} else if (IN6_IS_ADDR_MULTICAST(&from->addr) ||
		   IN6_IS_ADDR_LOOPBACK(&from->addr)) {
		return false;
	}
	for (size_t i = 0; i < srv->n_addrs; i++)
		if (addr_equal(&srv->addrs[i], &from->local))
			return true;
	return false;
}

/* A question to the core of a host about itself: there is no third party. */
static void server_ask(const struct server_slot *slot, enum lease_op op, uint8_t protocol,
		       uint16_t int_port, struct lease_request *ask)
{
	memset(ask, 0, sizeof(*ask));
	ask->tag = slot->tag;
	ask->op = (uint8_t)op;
	ask->by = slot->by;
	ask->protocol = protocol;
	ask->int_port = int_port;
	ask->client = slot->from.addr;
	ask->internal = slot->from.addr;
}

/* NAT-PMP, RFC 6886 */

static uint8_t natpmp_protocol(uint8_t opcode)
{
	return opcode == NATPMP_MAP_TCP ? IPPROTO_TCP : IPPROTO_UDP;
}

static enum server_verdict natpmp_refuse(const struct natpmp_request *req,
					 enum natpmp_result result, uint32_t epoch,
					 struct server_answer *answer)
{
	struct natpmp_map_reply reply = {.opcode = req->opcode,
					 .result = result,
					 .epoch = epoch,
					 .int_port = req->int_port};

	answer->len = natpmp_write_map(answer->data, sizeof(answer->data), &reply);
	return SERVER_ANSWER;
}

static enum server_verdict natpmp_address(const struct server *srv, uint32_t epoch,
					  struct server_answer *answer)
{
	struct in_addr wan = {.s_addr = INADDR_ANY};
	bool up = addr_is_v4(&srv->wan) && !addr_is_none(&srv->wan);

	if (up)
		wan = addr_to_v4(&srv->wan);
	answer->len = natpmp_write_address(answer->data, sizeof(answer->data),
					   up ? NATPMP_SUCCESS : NATPMP_NETWORK_FAILURE,
					   epoch, wan);
	return SERVER_ANSWER;
}

/* Sections 3.3 and 3.4. Deletes need no WAN. */
static enum server_verdict natpmp_map(struct server *srv, const struct server_peer *from,
				      const struct natpmp_request *req, uint32_t epoch,
				      struct server_answer *answer,
				      struct lease_request *ask)
{
	enum lease_op op = req->lifetime   ? LEASE_OP_MAP
			   : req->int_port ? LEASE_OP_UNMAP
					   : LEASE_OP_UNMAP_ALL;
	struct server_slot *slot;

	if (op == LEASE_OP_MAP && !req->int_port)
		return natpmp_refuse(req, NATPMP_NOT_AUTHORIZED, epoch, answer);
	if (op == LEASE_OP_MAP && addr_is_none(&srv->wan))
		return natpmp_refuse(req, NATPMP_NETWORK_FAILURE, epoch, answer);
	slot = server_take(srv);
	if (!slot)
		return SERVER_SILENT;
	slot->by = LEASE_BY_NATPMP;
	slot->from = *from;
	slot->natpmp = *req;
	server_ask(slot, op, natpmp_protocol(req->opcode), req->int_port, ask);
	if (op == LEASE_OP_MAP) {
		ask->ext_port = req->ext_port;
		ask->lifetime = req->lifetime;
	}
	return SERVER_ASK;
}

static enum server_verdict natpmp_handle(struct server *srv,
					 const struct server_peer *from, const void *buf,
					 size_t len, uint32_t epoch,
					 struct server_answer *answer,
					 struct lease_request *ask)
{
	struct natpmp_request req;
	int err = natpmp_parse(&req, buf, len);

	if (err == -EOPNOTSUPP) {
		answer->len = natpmp_write_unknown(answer->data, sizeof(answer->data),
						   buf, len, epoch);
		return SERVER_ANSWER;
	}
	if (err)
		return SERVER_SILENT;
	if (req.opcode == NATPMP_ADDRESS)
		return natpmp_address(srv, epoch, answer);
	return natpmp_map(srv, from, &req, epoch, answer, ask);
}

/* Section 3.5. */
static enum natpmp_result natpmp_result_of(enum lease_reason reason, bool delete)
{
	switch (reason) {
	case LEASE_OK:
		return NATPMP_SUCCESS;
	case LEASE_NOT_FOUND: /* section 3.4: deleting what is not there succeeds */
		return delete ? NATPMP_SUCCESS : NATPMP_NOT_AUTHORIZED;
	case LEASE_NO_WAN:
		return NATPMP_NETWORK_FAILURE;
	case LEASE_QUOTA_HOST:
	case LEASE_QUOTA_TABLE:
	case LEASE_NO_PORT:
	case LEASE_KERNEL:
		return NATPMP_NO_RESOURCES;
	case LEASE_NOT_LAN:
	case LEASE_THIRD_PARTY:
	case LEASE_PROTOCOL:
	case LEASE_PORT:
	case LEASE_ACCESS:
	case LEASE_RESERVED:
	case LEASE_ROUTER:
	case LEASE_STATIC:
	case LEASE_RATE:
	case LEASE_TAKEN:
	case LEASE_NONCE_MISMATCH:
	case LEASE_NOT_OWNER:
	case LEASE_REMOTE:
	case LEASE_REASON_END:
		break;
	}
	return NATPMP_NOT_AUTHORIZED;
}

static void natpmp_answer(const struct server_slot *slot, const struct lease_reply *reply,
			  uint32_t epoch, struct server_answer *answer)
{
	const struct natpmp_request *req = &slot->natpmp;
	bool is_static = reply->claims & 1 << LEASE_BY_STATIC;
	struct natpmp_map_reply out = {
		.opcode = req->opcode, .epoch = epoch, .int_port = req->int_port};

	out.result = natpmp_result_of((enum lease_reason)reply->reason, !req->lifetime);
	if (out.result == NATPMP_SUCCESS && req->lifetime) {
		out.ext_port = reply->ext_port;
		/* Section 3.3: never longer than asked. */
		out.lifetime = is_static || reply->lifetime > req->lifetime
				       ? req->lifetime
				       : reply->lifetime;
	}
	answer->len = natpmp_write_map(answer->data, sizeof(answer->data), &out);
}

/* PCP, RFC 6887 */

/* RFC 6887 section 7.4. */
static uint32_t pcp_error_lifetime(enum pcp_result result)
{
	switch (result) {
	case PCP_NETWORK_FAILURE:
	case PCP_NO_RESOURCES:
	case PCP_USER_EX_QUOTA:
		return SERVER_SHORT_S;
	case PCP_SUCCESS:
	case PCP_UNSUPP_VERSION:
	case PCP_NOT_AUTHORIZED:
	case PCP_MALFORMED_REQUEST:
	case PCP_UNSUPP_OPCODE:
	case PCP_UNSUPP_OPTION:
	case PCP_MALFORMED_OPTION:
	case PCP_UNSUPP_PROTOCOL:
	case PCP_CANNOT_PROVIDE_EXTERNAL:
	case PCP_ADDRESS_MISMATCH:
	case PCP_EXCESSIVE_REMOTE_PEERS:
		break;
	}
	return SERVER_LONG_S;
}

static enum server_verdict pcp_refuse(const void *buf, size_t len, enum pcp_result result,
				      uint32_t epoch, struct server_answer *answer)
{
	answer->len = pcp_write_error(answer->data, sizeof(answer->data), buf, len,
				      result, pcp_error_lifetime(result), epoch);
	return SERVER_ANSWER;
}

/* Section 15.1: the suggested address and port come back as assigned ones. */
static enum server_verdict pcp_deleted(const struct pcp_request *req, uint32_t epoch,
				       struct server_answer *answer)
{
	struct pcp_map_reply reply = {.epoch = epoch, .map = req->map};

	answer->len = pcp_write_map(answer->data, sizeof(answer->data), &reply);
	return SERVER_ANSWER;
}

/* May this be granted at all now? PCP_SUCCESS: the core is to say. */
static enum pcp_result pcp_foresee(const struct server *srv,
				   const struct pcp_request *req)
{
	const struct in6_addr *ext = &req->map.ext_addr;

	if (addr_is_none(&srv->wan))
		return PCP_NETWORK_FAILURE;
	/* Section 13.2: that address too, unless it is zeros. */
	if (req->prefer_failure && !addr_is_none(ext) && !addr_equal(ext, &srv->wan))
		return PCP_CANNOT_PROVIDE_EXTERNAL;
	return PCP_SUCCESS;
}

static enum server_verdict pcp_map(struct server *srv, const struct server_peer *from,
				   const struct pcp_request *req, const void *buf,
				   size_t len, uint32_t epoch,
				   struct server_answer *answer,
				   struct lease_request *ask)
{
	const struct pcp_map *map = &req->map;
	struct server_slot *slot;

	if (!req->lifetime) {
		/* Wildcards and other protocols were never mapped: section 15.1. */
		if (!map->int_port ||
		    (map->protocol != IPPROTO_TCP && map->protocol != IPPROTO_UDP))
			return pcp_deleted(req, epoch, answer);
	} else {
		enum pcp_result result = pcp_foresee(srv, req);

		if (result != PCP_SUCCESS)
			return pcp_refuse(buf, len, result, epoch, answer);
	}
	slot = server_take(srv);
	if (!slot)
		return SERVER_SILENT;
	slot->by = LEASE_BY_PCP;
	slot->from = *from;
	slot->pcp.req = *req;
	slot->pcp.len = len;
	memcpy(slot->pcp.raw, buf, len);
	server_ask(slot, req->lifetime ? LEASE_OP_MAP : LEASE_OP_UNMAP, map->protocol,
		   map->int_port, ask);
	ask->flags = LEASE_NONCE;
	memcpy(ask->nonce, map->nonce, sizeof(ask->nonce));
	if (!req->lifetime)
		return SERVER_ASK;
	if (req->prefer_failure)
		ask->flags |= LEASE_EXACT;
	ask->ext_port = map->ext_port;
	ask->lifetime = req->lifetime;
	memcpy(ask->description, req->description, sizeof(req->description));
	return SERVER_ASK;
}

static enum server_verdict pcp_handle(struct server *srv, const struct server_peer *from,
				      const void *buf, size_t len, uint32_t epoch,
				      struct server_answer *answer,
				      struct lease_request *ask)
{
	struct pcp_request req;
	int result = pcp_parse(&req, buf, len, &from->addr);

	if (result < 0)
		return SERVER_SILENT;
	if (result != PCP_SUCCESS)
		return pcp_refuse(buf, len, (enum pcp_result)result, epoch, answer);
	if (req.opcode == PCP_MAP)
		return pcp_map(srv, from, &req, buf, len, epoch, answer, ask);
	answer->len = pcp_write_announce(answer->data, sizeof(answer->data), epoch);
	return SERVER_ANSWER;
}

/* What a MAP is told that the core refused. Section 7.4: CANNOT_PROVIDE_EXTERNAL only to
 * those who asked for that port or none. */
static enum pcp_result pcp_result_of(enum lease_reason reason, bool exact)
{
	switch (reason) {
	case LEASE_OK:
		return PCP_SUCCESS;
	case LEASE_ACCESS:
	case LEASE_RESERVED:
	case LEASE_ROUTER:
	case LEASE_STATIC:
		return exact ? PCP_CANNOT_PROVIDE_EXTERNAL : PCP_NOT_AUTHORIZED;
	case LEASE_TAKEN:
	case LEASE_NO_PORT:
		return exact ? PCP_CANNOT_PROVIDE_EXTERNAL : PCP_NO_RESOURCES;
	case LEASE_QUOTA_TABLE:
	case LEASE_KERNEL:
		return PCP_NO_RESOURCES;
	case LEASE_QUOTA_HOST:
		return PCP_USER_EX_QUOTA;
	case LEASE_PROTOCOL:
		return PCP_UNSUPP_PROTOCOL;
	case LEASE_NO_WAN:
		return PCP_NETWORK_FAILURE;
	case LEASE_NOT_LAN:
	case LEASE_THIRD_PARTY:
	case LEASE_PORT:
	case LEASE_RATE:
	case LEASE_NONCE_MISMATCH:
	case LEASE_NOT_OWNER:
	case LEASE_NOT_FOUND:
	case LEASE_REMOTE:
	case LEASE_REASON_END:
		break;
	}
	return PCP_NOT_AUTHORIZED;
}

/* How long the core's refusal holds. */
static uint32_t pcp_refusal_lifetime(enum pcp_result result,
				     const struct lease_reply *reply)
{
	enum lease_reason reason = (enum lease_reason)reply->reason;

	if (reason ==
	    LEASE_NONCE_MISMATCH) /* section 11.3: what is left of that mapping */
		return reply->lifetime;
	if (result == PCP_CANNOT_PROVIDE_EXTERNAL &&
	    (reason == LEASE_TAKEN || reason == LEASE_NO_PORT))
		return SERVER_SHORT_S;
	return pcp_error_lifetime(result);
}

static void pcp_granted(const struct pcp_request *req, const struct lease_reply *reply,
			uint32_t epoch, struct server_answer *answer)
{
	struct pcp_map_reply out = {.lifetime = reply->lifetime,
				    .epoch = epoch,
				    .map = req->map,
				    .prefer_failure = req->prefer_failure};

	if (reply->claims & 1 << LEASE_BY_STATIC) /* section 11.3 */
		out.lifetime = UINT32_MAX;
	out.map.ext_port = reply->ext_port;
	out.map.ext_addr = reply->external;
	if (req->description_asked)
		out.description = reply->description;
	answer->len = pcp_write_map(answer->data, sizeof(answer->data), &out);
}

static void pcp_answer(const struct server_slot *slot, const struct lease_reply *reply,
		       uint32_t epoch, struct server_answer *answer)
{
	const struct pcp_request *req = &slot->pcp.req;
	enum lease_reason reason = (enum lease_reason)reply->reason;
	enum pcp_result result;

	if (!req->lifetime && (reason == LEASE_OK || reason == LEASE_NOT_FOUND)) {
		pcp_deleted(req, epoch, answer);
		return;
	}
	result = pcp_result_of(reason, req->prefer_failure);
	if (result == PCP_SUCCESS && addr_is_none(&reply->external))
		result = PCP_NETWORK_FAILURE; /* the WAN went while the core was asked */
	if (result == PCP_SUCCESS)
		pcp_granted(req, reply, epoch, answer);
	else
		answer->len = pcp_write_error(answer->data, sizeof(answer->data),
					      slot->pcp.raw, slot->pcp.len, result,
					      pcp_refusal_lifetime(result, reply), epoch);
}

/* Both */

/* RFC 6887 section 9 and appendix A: the first byte says which protocol it is. */
enum server_verdict server_handle(struct server *srv, const struct server_peer *from,
				  const void *buf, size_t len, uint64_t now_ms,
				  struct server_answer *answer, struct lease_request *ask)
{
	const uint8_t *head = buf;
	uint32_t epoch;

	/* Both protocols ignore what has no opcode, or is a reply. */
	if (!srv->has_state || len < 2 || head[1] & PCP_REPLY ||
	    !server_accepts(srv, from) || !rate_admit(&srv->rate, &from->addr, now_ms))
		return SERVER_SILENT;
	epoch = server_epoch(srv, now_ms);
	answer->to = *from;
	answer->len = 0;
	if (srv->natpmp && head[0] == NATPMP_VERSION)
		return natpmp_handle(srv, from, buf, len, epoch, answer, ask);
	if (srv->pcp)
		return pcp_handle(srv, from, buf, len, epoch, answer, ask);
	if (!srv->natpmp)
		return SERVER_SILENT;
	answer->len = natpmp_write_version(answer->data, sizeof(answer->data), epoch);
	return SERVER_ANSWER;
}

bool server_reply(struct server *srv, const struct lease_reply *reply, uint64_t now_ms,
		  struct server_answer *answer)
{
	const struct server_slot *slot = server_release(srv, reply->tag);
	uint32_t epoch = server_epoch(srv, now_ms);

	/* Whoever is no host of this LAN, or asks too often, hears nothing. */
	if (!slot || reply->reason == LEASE_NOT_LAN || reply->reason == LEASE_RATE)
		return false;
	answer->to = slot->from;
	answer->len = 0;
	if (slot->by == LEASE_BY_NATPMP)
		natpmp_answer(slot, reply, epoch, answer);
	else
		pcp_answer(slot, reply, epoch, answer);
	return answer->len > 0;
}
