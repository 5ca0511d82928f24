/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAT-PMP (RFC 6886) packets: reads requests, writes replies. Knows nothing of sockets,
 * leases or who asks.
 */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define NATPMP_VERSION 0
#define NATPMP_MAP_LEN 12 /* of a request */
#define NATPMP_ADDRESS_REPLY_LEN 12
#define NATPMP_MAP_REPLY_LEN 16
#define NATPMP_REPLY 0x80 /* set in the opcode of every reply */

enum natpmp_opcode {
	NATPMP_ADDRESS = 0,
	NATPMP_MAP_UDP = 1,
	NATPMP_MAP_TCP = 2,
};

/* RFC 6886 section 3.5. */
enum natpmp_result {
	NATPMP_SUCCESS = 0,
	NATPMP_UNSUPP_VERSION = 1,
	NATPMP_NOT_AUTHORIZED = 2,
	NATPMP_NETWORK_FAILURE = 3,
	NATPMP_NO_RESOURCES = 4,
	NATPMP_UNSUPP_OPCODE = 5,
};

struct natpmp_request {
	uint8_t opcode; /* enum natpmp_opcode; what follows is set for the two map opcodes */
	uint16_t int_port;
	uint16_t ext_port; /* suggested */
	uint32_t lifetime; /* 0: delete */
};

struct natpmp_map_reply {
	uint8_t opcode; /* of the request */
	enum natpmp_result result;
	uint32_t epoch;
	uint16_t int_port;
	uint16_t ext_port; /* 0, as the lifetime, if none was granted */
	uint32_t lifetime;
};

/* A request of version 0. -EBADMSG: deserves no answer (a reply, or too short);
 * -EOPNOTSUPP: an opcode we do not know, only that is set. */
int natpmp_parse(struct natpmp_request *req, const void *buf, size_t len);

/* The writers return the length; 0: no room. */
size_t natpmp_write_address(void *out, size_t room, enum natpmp_result result,
			    uint32_t epoch, struct in_addr wan);
size_t natpmp_write_map(void *out, size_t room, const struct natpmp_map_reply *reply);
/* The request sent back as one of an unknown opcode; cut to `room`. */
size_t natpmp_write_unknown(void *out, size_t room, const void *request, size_t len,
			    uint32_t epoch);
/* What a server of NAT-PMP alone answers to other versions. */
size_t natpmp_write_version(void *out, size_t room, uint32_t epoch);
