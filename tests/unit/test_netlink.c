/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Datagrams from the kernel, and from one that lies: the other end of a pair of sockets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "firewall/netlink.h"

#define RX_ROOM (128 * 1024)

struct rig {
	struct nl nl;
	int kernel;
	uint32_t seen; /* messages that were handed out */
	int says;      /* what is returned for them */
};

static int rig_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	int fd[2];

	assert_non_null(g);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	g->kernel = fd[1];
	g->nl.seq = 7;
	g->nl.rx = malloc(RX_ROOM);
	g->nl.sock = mnl_socket_fdopen(fd[0]);
	assert_non_null(g->nl.sock);
	assert_non_null(g->nl.rx);
	*state = g;
	return 0;
}

static int rig_down(void **state)
{
	struct rig *g = *state;

	nl_close(&g->nl);
	close(g->kernel);
	free(g);
	return 0;
}

/* Appends a message of `size` bytes after its header. */
static size_t put(uint8_t *buf, size_t at, uint16_t type, uint32_t seq, size_t size)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf + at);

	mnl_nlmsg_put_extra_header(nlh, size);
	nlh->nlmsg_len = (uint32_t)(sizeof(*nlh) + size);
	nlh->nlmsg_type = type;
	nlh->nlmsg_seq = seq;
	return at + NLMSG_ALIGN(nlh->nlmsg_len);
}

static size_t put_error(uint8_t *buf, size_t at, uint32_t seq, int err)
{
	struct nlmsgerr e = {.error = err};
	size_t end = put(buf, at, NLMSG_ERROR, seq, sizeof(e));

	memcpy(buf + at + sizeof(struct nlmsghdr), &e, sizeof(e));
	return end;
}

static void lie(uint8_t *buf, size_t at, uint32_t len)
{
	memcpy(buf + at, &len, sizeof(len));
}

/* How many messages are handed out of the first `len` bytes, which have a block of their own;
 * each byte of them is read. */
static size_t count(const uint8_t *buf, size_t len, bool *bad)
{
	uint8_t *copy = malloc(len ? len : 1);
	const struct nlmsghdr *nlh;
	struct nl_datagram d;
	size_t n = 0;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	d = nl_datagram_of(copy, len);
	while ((nlh = nl_next(&d))) {
		const uint8_t *byte = (const uint8_t *)nlh;
		volatile uint8_t sum = 0;

		for (size_t i = 0; i < nlh->nlmsg_len; i++)
			sum ^= byte[i];
		n++;
	}
	*bad = d.bad;
	assert_null(nl_next(&d));
	free(copy);
	return n;
}

static void messages_come_one_by_one(void **state)
{
	uint8_t buf[256];
	size_t len = put(buf, 0, 20, 1, 4);
	bool bad;

	(void)state;
	len = put(buf, len, 21, 1, 0);
	len = put(buf, len, 22, 1, 3);
	assert_int_equal(count(buf, len, &bad), 3);
	assert_false(bad);
	assert_int_equal(count(buf, len - 1, &bad), 3); /* without the padding */
	assert_false(bad);
	assert_int_equal(count(buf, 0, &bad), 0);
	assert_false(bad);
}

static void any_truncation_ends_it(void **state)
{
	uint8_t buf[256];
	size_t first = put(buf, 0, 20, 1, 20), len = put(buf, first, 21, 1, 24);
	bool bad;

	(void)state;
	for (size_t n = 1; n < len; n++) {
		assert_int_equal(count(buf, n, &bad), n >= first);
		assert_int_equal(bad, n != first);
	}
}

static void a_lying_length_is_not_believed(void **state)
{
	static const uint32_t lies[] = {
		0,         1,          15,         41,         44,         0xffff,
		INT32_MAX, 0x80000000, 0x80000010, 0x80000028, 0xfffffff0, UINT32_MAX,
	};
	uint8_t buf[256];
	bool bad;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		size_t first = put(buf, 0, 20, 1, 8), len = put(buf, first, 21, 1, 24);

		assert_int_equal(len - first, 40);
		lie(buf, first, lies[i]);
		assert_int_equal(count(buf, len, &bad), 1);
		assert_true(bad);
		assert_int_equal(count(buf + first, len - first, &bad), 0);
		assert_true(bad);
	}
}

/* Queries */

static int note(void *arg, const struct nlmsghdr *nlh)
{
	struct rig *g = arg;

	(void)nlh;
	g->seen++;
	return g->says;
}

static int ask(struct rig *g, const void *answer, size_t len)
{
	uint8_t buf[NL_REQUEST_MAX];
	struct nlmsghdr *nlh = nl_request(&g->nl, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP);

	g->seen = 0;
	assert_int_equal(send(g->kernel, answer, len, 0), len);
	return nl_query(&g->nl, nlh, note, g);
}

static void a_dump_is_read_to_its_end(void **state)
{
	struct rig *g = *state;
	uint8_t buf[256];
	size_t len = put(buf, 0, 20, 7, 4);

	len = put(buf, len, 20, 6, 4); /* of an earlier request */
	len = put(buf, len, 20, 7, 4);
	len = put(buf, len, NLMSG_DONE, 7, 4);
	assert_int_equal(ask(g, buf, len), 0);
	assert_int_equal(g->seen, 2);
}

static void a_torn_dump_says_so(void **state)
{
	struct rig *g = *state;
	uint8_t buf[256];
	size_t len = put(buf, 0, 20, 7, 4);

	((struct nlmsghdr *)(void *)buf)->nlmsg_flags = NLM_F_DUMP_INTR;
	len = put(buf, len, NLMSG_DONE, 7, 4);
	assert_int_equal(ask(g, buf, len), -EINTR);
}

static void what_was_not_understood_is_read_to_its_end(void **state)
{
	struct rig *g = *state;
	uint8_t buf[256];
	size_t len = put(buf, 0, 20, 7, 4);

	len = put(buf, len, 20, 7, 4);
	len = put(buf, len, NLMSG_DONE, 7, 4);
	g->says = -ENOENT;
	assert_int_equal(ask(g, buf, len), -ENOENT);
	assert_int_equal(g->seen, 1);
	assert_int_equal(
		recv(mnl_socket_get_fd(g->nl.sock), buf, sizeof(buf), MSG_DONTWAIT), -1);
}

/* No length that a message may say of itself leads past the datagram, nor into waiting. */
static void an_answer_that_lies_is_refused(void **state)
{
	static const uint32_t lies[] = {0,         15,         21,         40,
					INT32_MAX, 0x80000000, 0x80000014, UINT32_MAX};
	struct rig *g = *state;
	uint8_t buf[256];

	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		size_t len = put(buf, 0, 20, g->nl.seq, 4);

		len = put(buf, len, 20, g->nl.seq, 4);
		lie(buf, len - 20, lies[i]);
		assert_int_equal(ask(g, buf, len), -EBADMSG);
		assert_int_equal(g->seen, 1);
	}
}

static void an_error_without_its_number_is_refused(void **state)
{
	struct rig *g = *state;
	uint8_t buf[256];

	for (size_t size = 0; size < sizeof(struct nlmsgerr); size++) {
		size_t len = put(buf, 0, NLMSG_ERROR, g->nl.seq, size);

		assert_int_equal(ask(g, buf, len), -EBADMSG);
	}
	assert_int_equal(ask(g, buf, put_error(buf, 0, g->nl.seq, -EPERM)), -EPERM);
}

static const int no_errno[] = {1, 2, INT32_MAX, -4096, INT32_MIN};

static void an_error_that_is_none_is_refused(void **state)
{
	struct rig *g = *state;
	uint8_t buf[256];

	for (size_t i = 0; i < sizeof(no_errno) / sizeof(*no_errno); i++)
		assert_int_equal(ask(g, buf, put_error(buf, 0, g->nl.seq, no_errno[i])),
				 -EBADMSG);
}

/* Transactions */

static void note_refused(void *arg, size_t index, int err)
{
	struct rig *g = arg;

	assert_int_equal(index, 0);
	g->says = err;
}

/* A batch of one message, with its answer. */
static int commit(struct rig *g, const void *answer, size_t len)
{
	struct nl_batch b = {0};
	int err;

	nl_batch_begin(&b);
	assert_non_null(nl_batch_put(&b, NFT_MSG_NEWSETELEM, NLM_F_CREATE));
	g->says = 0;
	assert_int_equal(send(g->kernel, answer, len, 0), len);
	err = nl_commit(&g->nl, &b, note_refused, g);
	nl_batch_free(&b);
	return err;
}

static void a_commit_is_done_when_the_kernel_says_so(void **state)
{
	struct rig *g = *state;
	uint8_t buf[256];

	assert_int_equal(commit(g, buf, put_error(buf, 0, g->nl.seq + 1, 0)), 0);
	assert_int_equal(commit(g, buf, put_error(buf, 0, g->nl.seq + 1, -EEXIST)),
			 -ECANCELED);
	assert_int_equal(g->says, -EEXIST);
	assert_int_equal(commit(g, buf, put_error(buf, 0, g->nl.seq, -EPERM)), -EPERM);
	for (size_t i = 0; i < sizeof(no_errno) / sizeof(*no_errno); i++) {
		size_t len = put_error(buf, 0, g->nl.seq, no_errno[i]);

		assert_int_equal(commit(g, buf, len), -EBADMSG);
		len = put_error(buf, 0, g->nl.seq + 1, no_errno[i]);
		assert_int_equal(commit(g, buf, len), -ECANCELED);
		assert_int_equal(g->says, -EBADMSG);
	}
}

static void an_acknowledgement_that_lies_is_none(void **state)
{
	static const uint32_t lies[] = {0,          16,         35,        37,
					0x80000000, 0x80000024, UINT32_MAX};
	struct rig *g = *state;
	uint8_t buf[256];

	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		size_t len = put_error(buf, 0, g->nl.seq + 1, 0);

		assert_int_equal(len, 36);
		lie(buf, 0, lies[i]);
		assert_int_equal(commit(g, buf, len), -EIO);
	}
	for (size_t n = 1; n < 36; n++) {
		put_error(buf, 0, g->nl.seq + 1, 0);
		assert_int_equal(commit(g, buf, n), -EIO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_one_by_one),
		cmocka_unit_test(any_truncation_ends_it),
		cmocka_unit_test(a_lying_length_is_not_believed),
		cmocka_unit_test_setup_teardown(a_dump_is_read_to_its_end, rig_up,
						rig_down),
		cmocka_unit_test_setup_teardown(a_torn_dump_says_so, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(
			what_was_not_understood_is_read_to_its_end, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(an_answer_that_lies_is_refused, rig_up,
						rig_down),
		cmocka_unit_test_setup_teardown(an_error_without_its_number_is_refused,
						rig_up, rig_down),
		cmocka_unit_test_setup_teardown(an_error_that_is_none_is_refused, rig_up,
						rig_down),
		cmocka_unit_test_setup_teardown(a_commit_is_done_when_the_kernel_says_so,
						rig_up, rig_down),
		cmocka_unit_test_setup_teardown(an_acknowledgement_that_lies_is_none,
						rig_up, rig_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
