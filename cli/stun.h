/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A STUN client that finds out which NAT is on the way (RFC 5780), over UDP and IPv4. Knows
 * nothing of portreeved.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/nat.h"

#define STUN_PORT 3478
#define STUN_ERROR 256
#define STUN_MESSAGE_MAX 1500
#define STUN_ID_LEN 12

/* What a server has answered. */
struct stun_reply {
	bool mapped_known;
	bool other_known;
	struct sockaddr_in mapped; /* from where it has seen the request */
	struct sockaddr_in other;  /* its other address and port */
};

/* RFC 5389 section 6 and 15, RFC 5780 section 7.4: a success response to a binding request
 * with that id. -EBADMSG: it is none, or not whole; attributes that are not in struct
 * stun_reply are passed over. */
int stun_parse(const void *buf, size_t len, const uint8_t id[STUN_ID_LEN],
	       struct stun_reply *out);

struct stun_result {
	struct sockaddr_in server;
	struct sockaddr_in local;  /* from where we have sent */
	struct sockaddr_in mapped; /* as the server has seen it */
	enum nat_mapping mapping;
	enum nat_filtering filtering;
};

/*
 * Measures with "name", "address" or either with ":port". device: the interface to leave by,
 * NULL or not allowed: as the routes say. wait_ms: for each answer; a request is sent three
 * times within it. Blocks for six of them at most, and for the resolver. 0, or a negative errno
 * with one line in err.
 */
int stun_measure(const char *server, const char *device, int wait_ms,
		 struct stun_result *out, char err[STUN_ERROR]);
