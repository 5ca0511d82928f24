/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NAT-PMP, RFC 6886. */
#include <errno.h>

#include "pcp/serve.h"

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

enum server_verdict serve_natpmp(struct server *srv, const struct server_peer *from,
				 const void *buf, size_t len, uint32_t epoch,
				 struct server_answer *answer, struct lease_request *ask)
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
	case LEASE_DENIED:
	case LEASE_FILTERS:
	case LEASE_REASON_END:
		break;
	}
	return NATPMP_NOT_AUTHORIZED;
}

void serve_natpmp_reply(const struct server_slot *slot, const struct lease_reply *reply,
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
