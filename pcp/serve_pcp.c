/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCP, RFC 6887. */
#include <string.h>

#include "pcp/serve.h"

/* RFC 6887 section 7.4: for how long an error is worth believing, in seconds. */
#define SERVER_LONG_S 1800
#define SERVER_SHORT_S 30

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

/* Of a request that stands at buf. */
static struct pcp_map_reply pcp_reply_to(const struct pcp_request *req, const void *buf,
					 size_t len, uint32_t epoch)
{
	struct pcp_map_reply reply = {.epoch = epoch, .map = req->map};

	if (len > PCP_MAP_LEN) {
		reply.options = (const uint8_t *)buf + PCP_MAP_LEN;
		reply.options_len = len - PCP_MAP_LEN;
	}
	return reply;
}

/* Section 15.1: the suggested address and port come back as assigned ones. The lifetime is
 * what outbound traffic still keeps the mapping for (section 15). */
static enum server_verdict pcp_deleted(const struct pcp_request *req, const void *buf,
				       size_t len, uint32_t lifetime, uint32_t epoch,
				       struct server_answer *answer)
{
	struct pcp_map_reply reply = pcp_reply_to(req, buf, len, epoch);

	reply.lifetime = lifetime;
	answer->len = pcp_write_map(answer->data, sizeof(answer->data), &reply);
	return SERVER_ANSWER;
}

/* Is that an address that the other side of the WAN can reach? Of IPv6: section 11.1, the
 * external address of a pinhole is the internal one. */
static bool pcp_mappable(const struct in6_addr *internal)
{
	return addr_is_v4(internal) || !addr_is_private(internal);
}

/* Section 13.2: that port and, unless it is zeros, that address, or nothing. */
static bool pcp_cannot_provide(const struct server *srv, const struct pcp_request *req)
{
	const struct pcp_map *map = &req->map;
	bool v4 = addr_is_v4(&req->internal);

	if (!req->prefer_failure)
		return false;
	if (!v4 && map->ext_port != map->int_port)
		return true;
	return !addr_is_none(&map->ext_addr) &&
	       !addr_equal(&map->ext_addr, v4 ? &srv->wan : &req->internal);
}

/* May this be granted at all now? PCP_SUCCESS: the core is to say. */
static enum pcp_result pcp_foresee(const struct server *srv,
				   const struct pcp_request *req)
{
	if (req->third_party && !server_in_lan(srv, &req->internal))
		return PCP_UNSUPP_OPTION; /* section 13.1: entitled or not, never more */
	if (!req->lifetime)
		return PCP_SUCCESS;
	if (!pcp_mappable(&req->internal))
		return PCP_NOT_AUTHORIZED;
	if (addr_is_v4(&req->internal) && addr_is_none(&srv->wan))
		return PCP_NETWORK_FAILURE;
	return pcp_cannot_provide(srv, req) ? PCP_CANNOT_PROVIDE_EXTERNAL : PCP_SUCCESS;
}

/* Wildcards, other protocols and addresses were never mapped (section 15.1). */
static bool pcp_never_mapped(const struct pcp_request *req)
{
	uint8_t protocol = req->map.protocol;

	return !req->map.int_port || !pcp_mappable(&req->internal) ||
	       (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP);
}

static void pcp_ask_map(const struct pcp_request *req, struct lease_request *ask)
{
	ask->ext_port = req->map.ext_port;
	ask->lifetime = req->lifetime;
	if (!addr_is_v4(&req->internal))
		ask->ext_port = req->map.int_port; /* no translation, no choice */
	if (req->prefer_failure)
		ask->flags |= LEASE_EXACT;
	if (req->description_asked)
		ask->flags |= LEASE_DESCRIBE;
	memcpy(ask->description, req->description, sizeof(req->description));
	if (req->unfilter)
		ask->flags |= LEASE_UNFILTER;
	ask->n_filters = (uint8_t)req->n_filters;
	memcpy(ask->filters, req->filters, req->n_filters * sizeof(req->filters[0]));
}

static enum server_verdict pcp_map(struct server *srv, const struct server_peer *from,
				   const struct pcp_request *req, const void *buf,
				   size_t len, uint32_t epoch,
				   struct server_answer *answer,
				   struct lease_request *ask)
{
	enum pcp_result result = pcp_foresee(srv, req);
	struct server_slot *slot;

	if (result != PCP_SUCCESS)
		return pcp_refuse(buf, len, result, epoch, answer);
	if (!req->lifetime && pcp_never_mapped(req))
		return pcp_deleted(req, buf, len, 0, epoch, answer);
	slot = server_take(srv);
	if (!slot)
		return SERVER_SILENT;
	slot->by = LEASE_BY_PCP;
	slot->from = *from;
	slot->pcp.req = *req;
	slot->pcp.len = len;
	memcpy(slot->pcp.raw, buf, len);
	server_ask(slot, req->lifetime ? LEASE_OP_MAP : LEASE_OP_UNMAP, req->map.protocol,
		   req->map.int_port, ask);
	ask->internal = req->internal;
	ask->flags = LEASE_NONCE;
	memcpy(ask->nonce, req->map.nonce, sizeof(ask->nonce));
	if (req->lifetime)
		pcp_ask_map(req, ask);
	return SERVER_ASK;
}

enum server_verdict serve_pcp(struct server *srv, const struct server_peer *from,
			      const void *buf, size_t len, uint32_t epoch,
			      struct server_answer *answer, struct lease_request *ask)
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
 * those who asked for that port or none, EXCESSIVE_REMOTE_PEERS only to those with a filter. */
static enum pcp_result pcp_result_of(enum lease_reason reason,
				     const struct pcp_request *req)
{
	bool exact = req->prefer_failure;

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
	case LEASE_THIRD_PARTY: /* section 13.1 */
		return PCP_UNSUPP_OPTION;
	case LEASE_REMOTE:
	case LEASE_FILTERS:
		return req->filter ? PCP_EXCESSIVE_REMOTE_PEERS : PCP_NOT_AUTHORIZED;
	case LEASE_NOT_LAN:
	case LEASE_PORT:
	case LEASE_RATE:
	case LEASE_DENIED:
	case LEASE_NONCE_MISMATCH:
	case LEASE_NOT_OWNER:
	case LEASE_NOT_FOUND:
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

/* What goes into a mapping update, should the external address change. */
static void pcp_remember(struct server *srv, const struct server_slot *slot,
			 const struct pcp_map_reply *told, uint64_t now_ms)
{
	const struct pcp_request *req = &slot->pcp.req;
	uint8_t options[PCP_KEPT_MAX];
	struct update u = {.to = slot->from,
			   .internal = req->internal,
			   .protocol = told->map.protocol,
			   .int_port = told->map.int_port,
			   .ext_port = told->map.ext_port,
			   .ext_addr = told->map.ext_addr,
			   .until_ms = now_ms + told->lifetime * 1000ULL,
			   .options = options};

	if (!addr_is_v4(&req->internal))
		return; /* the address of a pinhole is the host's own */
	u.exact_addr = req->prefer_failure && !addr_is_none(&req->map.ext_addr);
	memcpy(u.nonce, told->map.nonce, sizeof(u.nonce));
	if (told->options)
		u.options_len = (uint16_t)pcp_write_kept(
			options, sizeof(options), told->options, told->options_len);
	updates_put(srv->updates, &u);
}

static void pcp_granted(struct server *srv, const struct server_slot *slot,
			const struct lease_reply *reply, uint64_t now_ms,
			struct server_answer *answer)
{
	const struct pcp_request *req = &slot->pcp.req;
	struct pcp_map_reply out = pcp_reply_to(req, slot->pcp.raw, slot->pcp.len,
						server_epoch(srv, now_ms));

	out.lifetime = reply->lifetime;
	if (reply->claims & 1 << LEASE_BY_STATIC) /* section 11.3 */
		out.lifetime = UINT32_MAX;
	out.map.ext_port = reply->ext_port;
	out.map.ext_addr = reply->external;
	if (req->description_asked)
		out.description = reply->description;
	answer->len = pcp_write_map(answer->data, sizeof(answer->data), &out);
	pcp_remember(srv, slot, &out, now_ms);
}

void serve_pcp_reply(struct server *srv, const struct server_slot *slot,
		     const struct lease_reply *reply, uint64_t now_ms,
		     struct server_answer *answer)
{
	const struct pcp_request *req = &slot->pcp.req;
	enum lease_reason reason = (enum lease_reason)reply->reason;
	enum pcp_result result;

	if (!req->lifetime && (reason == LEASE_OK || reason == LEASE_NOT_FOUND)) {
		updates_drop(srv->updates, req->map.protocol, &req->internal,
			     req->map.int_port);
		pcp_deleted(req, slot->pcp.raw, slot->pcp.len,
			    reason == LEASE_OK ? reply->lifetime : 0,
			    server_epoch(srv, now_ms), answer);
		return;
	}
	result = pcp_result_of(reason, req);
	if (result == PCP_SUCCESS && addr_is_none(&reply->external))
		result = PCP_NETWORK_FAILURE; /* the WAN went while the core was asked */
	if (result == PCP_SUCCESS)
		pcp_granted(srv, slot, reply, now_ms, answer);
	else
		answer->len = pcp_write_error(answer->data, sizeof(answer->data),
					      slot->pcp.raw, slot->pcp.len, result,
					      pcp_refusal_lifetime(result, reply),
					      server_epoch(srv, now_ms));
}

/* Section 14.2: the reply that the client would get to its request now. */
static void pcp_tell(const struct server *srv, const struct update *u, uint64_t now_ms,
		     struct server_answer *answer)
{
	struct pcp_map_reply reply = {
		.lifetime = (uint32_t)((u->until_ms - now_ms + 999) / 1000),
		.epoch = server_epoch(srv, now_ms),
		.map = {.protocol = u->protocol,
			.int_port = u->int_port,
			.ext_port = u->ext_port,
			.ext_addr = srv->wan},
		.options = u->options,
		.options_len = u->options_len};

	memcpy(reply.map.nonce, u->nonce, sizeof(reply.map.nonce));
	answer->len = pcp_write_map(answer->data, sizeof(answer->data), &reply);
}

/* The same, if the client would rather have none than another address. */
static void pcp_tell_failure(const struct server *srv, const struct update *u,
			     uint64_t now_ms, struct server_answer *answer)
{
	struct pcp_request req = {.opcode = PCP_MAP,
				  .client = u->to.addr,
				  .map = {.protocol = u->protocol,
					  .int_port = u->int_port,
					  .ext_port = u->ext_port,
					  .ext_addr = u->ext_addr}};
	uint8_t raw[PCP_MAP_LEN + PCP_KEPT_MAX];
	size_t len;

	memcpy(req.map.nonce, u->nonce, sizeof(req.map.nonce));
	len = pcp_write_request(raw, sizeof(raw), &req, u->options, u->options_len);
	answer->len = pcp_write_error(answer->data, sizeof(answer->data), raw, len,
				      PCP_CANNOT_PROVIDE_EXTERNAL, SERVER_LONG_S,
				      server_epoch(srv, now_ms));
}

static enum server_verdict pcp_tell_any(const struct server *srv, const struct update *u,
					uint64_t now_ms, struct server_answer *answer)
{
	answer->to = u->to;
	if (u->exact_addr && !addr_equal(&u->ext_addr, &srv->wan))
		pcp_tell_failure(srv, u, now_ms, answer);
	else
		pcp_tell(srv, u, now_ms, answer);
	return SERVER_ANSWER;
}

/* The question costs the host one of its requests, so it is put once. */
enum server_verdict serve_pcp_update(struct server *srv, const struct update *u,
				     uint64_t now_ms, struct server_answer *answer,
				     struct lease_request *ask)
{
	struct server_slot *slot = updates_first(srv->updates) ? server_take(srv) : NULL;

	if (!slot)
		return pcp_tell_any(srv, u, now_ms, answer);
	slot->update = true;
	slot->by = LEASE_BY_PCP;
	slot->from = u->to;
	slot->pcp.req.internal = u->internal;
	slot->pcp.req.map.protocol = u->protocol;
	slot->pcp.req.map.int_port = u->int_port;
	server_ask(slot, LEASE_OP_GET_PORT, u->protocol, u->int_port, ask);
	ask->internal = u->internal;
	ask->ext_port = u->ext_port;
	return SERVER_ASK;
}

/* Is that mapping gone, or no longer PCP's? What the core could not say is no reason. */
static bool pcp_has_ended(const struct update *u, const struct lease_reply *reply)
{
	if (reply->reason != LEASE_OK)
		return reply->reason == LEASE_NOT_FOUND;
	return !addr_equal(&reply->internal, &u->internal) ||
	       reply->int_port != u->int_port ||
	       !(reply->claims & (1 << LEASE_BY_PCP | 1 << LEASE_BY_STATIC));
}

void serve_pcp_update_reply(struct server *srv, const struct server_slot *slot,
			    const struct lease_reply *reply, uint64_t now_ms,
			    struct server_answer *answer)
{
	const struct pcp_request *req = &slot->pcp.req;
	const struct update *u = updates_told(srv->updates, req->map.protocol,
					      &req->internal, req->map.int_port, now_ms);

	if (!u || u->until_ms <= now_ms || addr_is_none(&srv->wan))
		return;
	if (pcp_has_ended(u, reply))
		updates_drop(srv->updates, req->map.protocol, &req->internal,
			     req->map.int_port);
	else
		pcp_tell_any(srv, u, now_ms, answer);
}
