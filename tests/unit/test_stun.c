/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The STUN client against a server on 127.0.0.1 and 127.0.0.2 that plays a NAT besides. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/stun.h"

#define WAIT_MS 150

enum nat {
	OPEN,        /* everything gets through */
	ADDRESS,     /* only from the address that was sent to */
	PORT,        /* only from the port that was sent to */
	SYMMETRIC,   /* and another port for each */
	ONE_ADDRESS, /* a server that has no other */
	NO_CHANGE,   /* a server that answers from where it was asked */
	ONLY_NOISE,  /* answers with what is no answer */
	SILENT,
	OTHER_SILENT, /* the other address does not answer */
};

static uint8_t reply[256];

static void put(size_t *n, uint16_t type, uint8_t family, uint16_t port, uint32_t addr)
{
	const uint8_t attribute[] = {(uint8_t)(type >> 8),
				     (uint8_t)type,
				     0,
				     8,
				     0,
				     family,
				     (uint8_t)(port >> 8),
				     (uint8_t)port,
				     (uint8_t)(addr >> 24),
				     (uint8_t)(addr >> 16),
				     (uint8_t)(addr >> 8),
				     (uint8_t)addr};

	memcpy(reply + *n, attribute, sizeof(attribute));
	*n += sizeof(attribute);
}

/* A success response in `reply`; its length. */
static size_t build(const uint8_t *id, uint16_t port, uint32_t addr, uint16_t other_port,
		    uint32_t other)
{
	static const uint8_t head[] = {1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
	size_t n = 20;

	memset(reply, 0, sizeof(reply));
	memcpy(reply, head, sizeof(head));
	memcpy(reply + 8, id, 12);
	/* SOFTWARE of 5 bytes, padded */
	memcpy(reply + n, "\x80\x22\0\x05test!\0\0\0", 12);
	n += 12;
	put(&n, 0x0020, 1, port ^ 0x2112, addr ^ 0x2112a442);
	if (other)
		put(&n, 0x802c, 1, other_port, other);
	reply[3] = (uint8_t)(n - 20);
	return n;
}

static int bind_to(uint32_t addr, uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(*port),
				.sin_addr.s_addr = htonl(addr)};
	socklen_t len = sizeof(a);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

#define FIRST 0x7f000001U
#define SECOND 0x7f000002U

/* fd[0]: first address and port, [1]: first, other port, [2], [3]: second. */
static void serve(const int fd[4], uint16_t other_port, enum nat nat)
{
	for (;;) {
		struct pollfd p[4];

		for (int i = 0; i < 4; i++)
			p[i] = (struct pollfd){.fd = fd[i], .events = POLLIN};
		poll(p, 4, -1);
		for (int i = 0; i < 4; i++) {
			struct sockaddr_in from;
			socklen_t len = sizeof(from);
			uint8_t q[128];
			ssize_t got = p[i].revents
					      ? recvfrom(fd[i], q, sizeof(q), 0,
							 (struct sockaddr *)&from, &len)
					      : -1;
			int change = got >= 28 ? q[27] : 0, out = i;
			uint16_t port;
			size_t n;

			if (got < 20 || nat == SILENT)
				continue;
			if (change & 4)
				out ^= 2;
			if (change & 2)
				out ^= 1;
			if (nat == NO_CHANGE)
				out = i;
			if ((nat == ADDRESS && (out ^ i) & 2) ||
			    ((nat == PORT || nat == SYMMETRIC) && out != i) ||
			    (nat == OTHER_SILENT && i > 1))
				continue;
			port = ntohs(from.sin_port);
			if (nat == SYMMETRIC)
				port = (uint16_t)(port + i);
			n = build(q + 8, port, ntohl(from.sin_addr.s_addr), other_port,
				  nat == ONE_ADDRESS ? 0 : SECOND);
			if (nat == ONLY_NOISE)
				reply[8] ^= 1;
			sendto(fd[out], reply, n, 0, (struct sockaddr *)&from, len);
		}
	}
}

static int measure(enum nat nat, struct stun_result *out, char *err)
{
	uint16_t first = 0, other = 0;
	int fd[4], r;
	char name[32];
	pid_t pid;

	fd[0] = bind_to(FIRST, &first);
	fd[1] = bind_to(FIRST, &other);
	fd[2] = bind_to(SECOND, &first);
	fd[3] = bind_to(SECOND, &other);
	pid = fork();
	if (!pid)
		serve(fd, other, nat);
	snprintf(name, sizeof(name), "127.0.0.1:%u", first);
	r = stun_measure(name, NULL, WAIT_MS, out, err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	return r;
}

static void measures(enum nat nat, enum nat_mapping mapping, enum nat_filtering filtering)
{
	struct stun_result r;
	char err[STUN_ERROR];

	if (measure(nat, &r, err))
		fail_msg("%s", err);
	assert_int_equal(r.mapping, mapping);
	assert_int_equal(r.filtering, filtering);
	assert_int_equal(ntohl(r.mapped.sin_addr.s_addr), FIRST);
	assert_int_equal(ntohl(r.local.sin_addr.s_addr), FIRST);
	assert_int_equal(r.mapped.sin_port, r.local.sin_port);
}

static void fails(enum nat nat, int error, const char *what)
{
	struct stun_result r;
	char err[STUN_ERROR];

	assert_int_equal(measure(nat, &r, err), error);
	if (!strstr(err, what))
		fail_msg("%s", err);
}

static void tells_the_kinds_of_nat_apart(void **state)
{
	(void)state;
	measures(OPEN, NAT_MAPPING_INDEPENDENT, NAT_FILTERING_INDEPENDENT);
	measures(ADDRESS, NAT_MAPPING_INDEPENDENT, NAT_FILTERING_ADDRESS);
	measures(PORT, NAT_MAPPING_INDEPENDENT, NAT_FILTERING_ADDRESS_PORT);
	measures(SYMMETRIC, NAT_MAPPING_DEPENDENT, NAT_FILTERING_ADDRESS_PORT);
}

static void says_what_a_server_lacks(void **state)
{
	(void)state;
	fails(ONE_ADDRESS, -EPROTO, "no second address");
	fails(NO_CHANGE, -EPROTO, "from one address only");
	fails(OTHER_SILENT, -ETIMEDOUT, "other address does not answer");
	fails(SILENT, -ETIMEDOUT, "no answer");
	fails(ONLY_NOISE, -ETIMEDOUT, "no answer");
}

static void names_of_servers_are_checked(void **state)
{
	static const char *const wrong[] = {
		"",        ":3478", "a:",         "a:0",
		"a:65536", "a:1x",  "[::1]:3478", "127.0.0.1:99999999"};
	struct stun_result r;
	char err[STUN_ERROR], name[300];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(stun_measure(wrong[i], NULL, 1, &r, err) < 0 && *err);
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(stun_measure(name, NULL, 1, &r, err), -EINVAL);
}

static void answers_are_read(void **state)
{
	static const uint8_t id[12] = {1, 2, 3};
	struct stun_reply r;
	size_t n = build(id, 40000, FIRST, 3479, SECOND);

	(void)state;
	assert_int_equal(stun_parse(reply, n, id, &r), 0);
	assert_true(r.mapped_known && r.other_known);
	assert_int_equal(ntohs(r.mapped.sin_port), 40000);
	assert_int_equal(ntohl(r.mapped.sin_addr.s_addr), FIRST);
	assert_int_equal(ntohs(r.other.sin_port), 3479);
	assert_int_equal(ntohl(r.other.sin_addr.s_addr), SECOND);
	/* an old server has MAPPED-ADDRESS only; XOR-MAPPED-ADDRESS wins in any order */
	n = 20;
	put(&n, 0x0001, 1, 5, 7);
	reply[3] = (uint8_t)(n - 20);
	assert_int_equal(stun_parse(reply, n, id, &r), 0);
	assert_int_equal(ntohs(r.mapped.sin_port), 5);
	put(&n, 0x0020, 1, 9 ^ 0x2112, 7 ^ 0x2112a442);
	reply[3] = (uint8_t)(n - 20);
	assert_int_equal(stun_parse(reply, n, id, &r), 0);
	assert_int_equal(ntohs(r.mapped.sin_port), 9);
	/* of IPv6 is none */
	n = 20;
	put(&n, 0x0020, 2, 9, 7);
	reply[3] = (uint8_t)(n - 20);
	assert_int_equal(stun_parse(reply, n, id, &r), 0);
	assert_false(r.mapped_known);
}

static void any_truncation_is_refused(void **state)
{
	static const uint8_t id[12] = {1, 2, 3}, other[12] = {1, 2, 4};
	struct stun_reply r;
	size_t n = build(id, 40000, FIRST, 3479, SECOND);

	(void)state;
	assert_int_equal(stun_parse(reply, n, other, &r), -EBADMSG);
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *block = malloc(cut ? cut : 1);

		memcpy(block, reply, cut);
		assert_int_equal(stun_parse(block, cut, id, &r), -EBADMSG);
		if (cut >=
		    20) { /* with a length that agrees: whole attributes or nothing */
			block[3] = (uint8_t)(cut - 20);
			assert_int_equal(stun_parse(block, cut, id, &r),
					 cut == 20 || cut == 32 || cut == 44 ? 0
									     : -EBADMSG);
		}
		free(block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_the_kinds_of_nat_apart),
		cmocka_unit_test(says_what_a_server_lacks),
		cmocka_unit_test(names_of_servers_are_checked),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(any_truncation_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
