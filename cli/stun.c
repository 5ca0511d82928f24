/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/wire.h"

#define STUN_COOKIE 0x2112A442U
#define STUN_REQUEST 0x0001
#define STUN_SUCCESS 0x0101
#define STUN_TRIES 3
#define STUN_FOREIGN 64 /* so many other datagrams are passed over in one wait */

enum stun_attribute {
	STUN_MAPPED = 0x0001,
	STUN_CHANGE_REQUEST = 0x0003,
	STUN_XOR_MAPPED = 0x0020,
	STUN_OTHER = 0x802c,
};

/* RFC 5780 section 7.2. */
enum stun_change { STUN_CHANGE_NONE = 0, STUN_CHANGE_PORT = 2, STUN_CHANGE_BOTH = 6 };

/* RFC 5389 section 15.1, 15.2: an IPv4 address. */
static bool parse_address(const uint8_t *value, size_t len, uint32_t xor_with,
			  struct sockaddr_in *out)
{
	struct wire w = wire_of(value, len);
	uint16_t port;
	uint32_t addr;
	uint8_t family;

	wire_u8(&w); /* zero */
	family = wire_u8(&w);
	port = wire_u16(&w);
	addr = wire_u32(&w);
	if (w.bad || wire_left(&w) || family != 1)
		return false;
	memset(out, 0, sizeof(*out));
	out->sin_family = AF_INET;
	out->sin_port = htons((uint16_t)(port ^ xor_with >> 16));
	out->sin_addr.s_addr = htonl(addr ^ xor_with);
	return true;
}

int stun_parse(const void *buf, size_t len, const uint8_t id[STUN_ID_LEN],
	       struct stun_reply *out)
{
	struct wire w = wire_of(buf, len);
	uint16_t type = wire_u16(&w), body = wire_u16(&w);
	uint32_t cookie = wire_u32(&w);
	const uint8_t *its = wire_take(&w, STUN_ID_LEN);
	bool xor_known = false;

	memset(out, 0, sizeof(*out));
	if (w.bad || type != STUN_SUCCESS || cookie != STUN_COOKIE || body % 4 ||
	    body != wire_left(&w) || memcmp(its, id, STUN_ID_LEN) != 0)
		return -EBADMSG;
	while (wire_left(&w)) {
		uint16_t attribute = wire_u16(&w), n = wire_u16(&w);
		const uint8_t *value = wire_take(&w, n);

		wire_take(&w, (4 - n % 4) % 4U);
		if (w.bad)
			return -EBADMSG;
		if (attribute == STUN_XOR_MAPPED && !xor_known)
			out->mapped_known = xor_known = parse_address(
				value, n, STUN_COOKIE, &out->mapped);
		else if (attribute == STUN_MAPPED && !out->mapped_known)
			out->mapped_known = parse_address(value, n, 0, &out->mapped);
		else if (attribute == STUN_OTHER && !out->other_known)
			out->other_known = parse_address(value, n, 0, &out->other);
	}
	return 0;
}

struct stun {
	int fd;
	int wait_ms;
	char *err;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static size_t build_request(uint8_t *buf, size_t size, const uint8_t *id,
			    enum stun_change change)
{
	struct wire_out w = wire_to(buf, size);

	wire_put_u16(&w, STUN_REQUEST);
	wire_put_u16(&w, change ? 8 : 0);
	wire_put_u32(&w, STUN_COOKIE);
	wire_put(&w, id, STUN_ID_LEN);
	if (change) {
		wire_put_u16(&w, STUN_CHANGE_REQUEST);
		wire_put_u16(&w, 4);
		wire_put_u32(&w, (uint32_t)change);
	}
	return wire_len(&w);
}

/* Waits until then for an answer to that id. -ETIMEDOUT. */
static int await_reply(const struct stun *s, const uint8_t *id, uint64_t until_ms,
		       struct stun_reply *reply, struct sockaddr_in *from)
{
	for (int i = 0; i < STUN_FOREIGN; i++) {
		uint64_t now = now_ms();
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		uint8_t buf[STUN_MESSAGE_MAX];
		socklen_t from_len = sizeof(*from);
		ssize_t n;

		if (now >= until_ms || poll(&p, 1, (int)(until_ms - now)) <= 0)
			return -ETIMEDOUT;
		n = recvfrom(s->fd, buf, sizeof(buf), MSG_DONTWAIT,
			     (struct sockaddr *)from, &from_len);
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
			return -errno;
		if (n > 0 && from_len == sizeof(*from) &&
		    stun_parse(buf, (size_t)n, id, reply) == 0)
			return 0;
	}
	return -ETIMEDOUT;
}

/* One question (RFC 5389 section 7.2.1): the answer, and from where it came. -ETIMEDOUT. */
static int ask(const struct stun *s, const struct sockaddr_in *to,
	       enum stun_change change, struct stun_reply *reply,
	       struct sockaddr_in *from)
{
	uint8_t id[STUN_ID_LEN], request[64];
	uint64_t start = now_ms();
	size_t len;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -EIO;
	len = build_request(request, sizeof(request), id, change);
	for (int i = 1; i <= STUN_TRIES; i++) {
		uint64_t until = start + (uint64_t)(s->wait_ms * i / STUN_TRIES);
		int r;

		if (sendto(s->fd, request, len, 0, (const struct sockaddr *)to,
			   sizeof(*to)) < 0 &&
		    errno != ECONNREFUSED)
			return -errno;
		r = await_reply(s, id, until, reply, from);
		if (r != -ETIMEDOUT)
			return r;
	}
	return -ETIMEDOUT;
}

static bool same(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

/* RFC 5780 section 4.4. Before the other address was sent to. */
static int measure_filtering(const struct stun *s, struct stun_result *out)
{
	static const struct {
		enum stun_change change;
		enum nat_filtering means;
	} tests[] = {
		{STUN_CHANGE_BOTH, NAT_FILTERING_INDEPENDENT},
		{STUN_CHANGE_PORT, NAT_FILTERING_ADDRESS},
	};

	out->filtering = NAT_FILTERING_ADDRESS_PORT;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct stun_reply reply;
		struct sockaddr_in from;
		int r = ask(s, &out->server, tests[i].change, &reply, &from);

		if (r == -ETIMEDOUT)
			continue;
		if (r)
			return r;
		if (same(&from, &out->server)) {
			snprintf(
				s->err, STUN_ERROR,
				"the server answers from one address only, allowed is one "
				"that serves RFC 5780");
			return -EPROTO;
		}
		out->filtering = tests[i].means;
		return 0;
	}
	return 0;
}

/* RFC 5780 section 4.3. */
static int measure_mapping(const struct stun *s, const struct sockaddr_in *other,
			   struct stun_result *out)
{
	struct sockaddr_in to = *other, from;
	struct stun_reply reply;
	int r;

	to.sin_port = out->server.sin_port;
	r = ask(s, &to, STUN_CHANGE_NONE, &reply, &from);
	if (r == -ETIMEDOUT) {
		snprintf(
			s->err, STUN_ERROR,
			"the server's other address does not answer: what it is mapped to "
			"there cannot be told; try another server");
		return -ETIMEDOUT;
	}
	if (!r && !reply.mapped_known)
		r = -EBADMSG;
	if (!r)
		out->mapping = same(&reply.mapped, &out->mapped) ? NAT_MAPPING_INDEPENDENT
								 : NAT_MAPPING_DEPENDENT;
	return r;
}

/* The address that packets to there leave from, with the socket's port. */
static void find_local(int fd, const char *device, const struct sockaddr_in *to,
		       struct sockaddr_in *local)
{
	socklen_t len = sizeof(*local);
	struct sockaddr_in any;
	int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(local, 0, sizeof(*local));
	if (probe >= 0 && device)
		setsockopt(probe, SOL_SOCKET, SO_BINDTODEVICE, device,
			   (socklen_t)strlen(device) + 1);
	if (probe >= 0 && !connect(probe, (const struct sockaddr *)to, sizeof(*to)))
		getsockname(probe, (struct sockaddr *)local, &len);
	if (probe >= 0)
		close(probe);
	len = sizeof(any);
	if (!getsockname(fd, (struct sockaddr *)&any, &len))
		local->sin_port = any.sin_port;
}

static int resolve(const char *server, struct sockaddr_in *out, char err[STUN_ERROR])
{
	static const struct addrinfo hints = {.ai_family = AF_INET,
					      .ai_socktype = SOCK_DGRAM};
	const char *colon = strrchr(server, ':');
	size_t len = colon ? (size_t)(colon - server) : strlen(server);
	unsigned long port = STUN_PORT;
	struct addrinfo *found = NULL;
	char name[254];
	int r;

	if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && colon[1] &&
	    strlen(colon) < 7)
		port = strtoul(colon + 1, NULL, 10);
	else if (colon)
		port = 0;
	if (!len || len >= sizeof(name) || !port || port > 65535) {
		snprintf(err, STUN_ERROR,
			 "that is no server, allowed is stun.example.org, 192.0.2.1 or "
			 "either with :3478");
		return -EINVAL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)len, server);
	r = getaddrinfo(name, NULL, &hints, &found);
	if (r) {
		snprintf(err, STUN_ERROR, "it has no IPv4 address: %s", gai_strerror(r));
		return -ENOENT;
	}
	memcpy(out, found->ai_addr, sizeof(*out));
	freeaddrinfo(found);
	out->sin_port = htons((uint16_t)port);
	return 0;
}

static int measure(const struct stun *s, const char *device, struct stun_result *out)
{
	struct stun_reply reply;
	struct sockaddr_in from;
	int r = ask(s, &out->server, STUN_CHANGE_NONE, &reply, &from);

	if (r == -ETIMEDOUT)
		snprintf(
			s->err, STUN_ERROR,
			"no answer: UDP does not get through, or there is no STUN server");
	if (r)
		return r;
	if (!reply.mapped_known || !reply.other_known) {
		snprintf(s->err, STUN_ERROR,
			 "the server has no second address, allowed is one that serves "
			 "RFC 5780");
		return -EPROTO;
	}
	out->mapped = reply.mapped;
	find_local(s->fd, device, &out->server, &out->local);
	r = measure_filtering(s, out);
	return r ? r : measure_mapping(s, &reply.other, out);
}

int stun_measure(const char *server, const char *device, int wait_ms,
		 struct stun_result *out, char err[STUN_ERROR])
{
	struct stun s = {.wait_ms = wait_ms, .err = err};
	int r;

	memset(out, 0, sizeof(*out));
	err[0] = '\0';
	r = resolve(server, &out->server, err);
	if (r)
		return r;
	s.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s.fd < 0) {
		snprintf(err, STUN_ERROR, "socket: %s", strerror(errno));
		return -errno;
	}
	if (device)
		setsockopt(s.fd, SOL_SOCKET, SO_BINDTODEVICE, device,
			   (socklen_t)strlen(device) + 1);
	r = measure(&s, device, out);
	close(s.fd);
	if (r && !err[0])
		snprintf(err, STUN_ERROR, "%s", strerror(-r));
	return r;
}
