/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCP (RFC 6887) packets: reads and judges requests, writes replies. Knows nothing of
 * sockets, leases or policy.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/record.h"

#define PCP_VERSION 2
#define PCP_HEADER_LEN 24
#define PCP_MAP_LEN 60
#define PCP_MAX_LEN 1100
#define PCP_REPLY 0x80 /* the R bit, beside the opcode */

enum pcp_opcode {
	PCP_ANNOUNCE = 0,
	PCP_MAP = 1,
	PCP_PEER = 2,
};

/* RFC 6887 section 7.4. */
enum pcp_result {
	PCP_SUCCESS = 0,
	PCP_UNSUPP_VERSION = 1,
	PCP_NOT_AUTHORIZED = 2,
	PCP_MALFORMED_REQUEST = 3,
	PCP_UNSUPP_OPCODE = 4,
	PCP_UNSUPP_OPTION = 5,
	PCP_MALFORMED_OPTION = 6,
	PCP_NETWORK_FAILURE = 7,
	PCP_NO_RESOURCES = 8,
	PCP_UNSUPP_PROTOCOL = 9,
	PCP_USER_EX_QUOTA = 10,
	PCP_CANNOT_PROVIDE_EXTERNAL = 11,
	PCP_ADDRESS_MISMATCH = 12,
	PCP_EXCESSIVE_REMOTE_PEERS = 13,
};

/* Below 128 an option must be understood, from 128 up it may be ignored. */
enum pcp_option_code {
	PCP_THIRD_PARTY = 1,
	PCP_PREFER_FAILURE = 2,
	PCP_FILTER = 3,
	PCP_OPTIONAL = 128,
	PCP_DESCRIPTION = 128, /* RFC 7220 */
};

#define PCP_THIRD_PARTY_LEN 16 /* of the data of these options */
#define PCP_FILTER_LEN 20
/* The options of a mapping update: of whom, and the filters with what cleared the way. */
#define PCP_KEPT_MAX                                                                     \
	(4 + PCP_THIRD_PARTY_LEN + (LEASE_FILTERS_MAX + 1) * (4 + PCP_FILTER_LEN))

/* RFC 6887 section 11.1. In a reply `ext` is what was assigned. */
struct pcp_map {
	uint8_t nonce[PCP_NONCE_LEN];
	uint8_t protocol;
	uint16_t int_port;
	uint16_t ext_port;
	struct in6_addr ext_addr;
};

struct pcp_request {
	uint8_t opcode;
	uint32_t lifetime;
	struct in6_addr client; /* as the client believes */
	struct pcp_map map;     /* of PCP_MAP */
	bool third_party;
	struct in6_addr internal; /* who is mapped: the client, or the third party */
	bool prefer_failure;
	bool filter;   /* there was one at least */
	bool unfilter; /* former filters go, also those before it in the request */
	unsigned int n_filters; /* to be added; more than LEASE_FILTERS_MAX are refused */
	struct lease_filter filters[LEASE_FILTERS_MAX];
	size_t echoed;          /* bytes of the options above, all of which come back */
	bool description_asked; /* the option was there, and legal UTF-8 */
	char description[LEASE_DESCRIPTION_MAX + 1]; /* cut at a character */
};

struct pcp_map_reply {
	uint32_t lifetime;
	uint32_t epoch;
	struct pcp_map map;
	/* Where the options of the request stand: those that were processed come back, in
	 * their order. NULL: none. */
	const uint8_t *options;
	size_t options_len;
	const char *description; /* what is stored, at most 128 bytes; NULL: no option */
};

/* Reads and judges a request in the order of RFC 6887 section 8.2 and, as far as the packet
 * alone tells, 11.3. `source` is the packet's. An enum pcp_result; -EBADMSG: deserves no
 * answer. What comes after the fault is not set. */
int pcp_parse(struct pcp_request *req, const void *buf, size_t len,
	      const struct in6_addr *source);

/* The writers return the length; 0: no room. */

/* A copy of the request with the fields of the server set (section 8.2). At least 2 bytes. */
size_t pcp_write_error(void *out, size_t room, const void *request, size_t len,
		       enum pcp_result result, uint32_t lifetime, uint32_t epoch);
size_t pcp_write_announce(void *out, size_t room, uint32_t epoch);
size_t pcp_write_map(void *out, size_t room, const struct pcp_map_reply *reply);
/* A MAP request as the client may have sent it, for an error that it did not ask for. */
size_t pcp_write_request(void *out, size_t room, const struct pcp_request *req,
			 const void *options, size_t options_len);
/* Those options of a MAP request that a mapping update carries (section 14.2): at most
 * PCP_KEPT_MAX bytes. */
size_t pcp_write_kept(void *out, size_t room, const void *options, size_t len);
