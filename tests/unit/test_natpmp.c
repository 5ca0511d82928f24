/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pcp/natpmp.h"

static const uint8_t map_tcp[NATPMP_MAP_LEN] = {0,    2,    0, 0, 0x1b, 0x58,
						0x23, 0x28, 0, 0, 0x1c, 0x20};

/* Parses a copy in a block of exactly that size, so that ASan sees a byte too many. */
static int parse(struct natpmp_request *req, const void *bytes, size_t len)
{
	uint8_t *block = malloc(len ? len : 1);
	int r;

	assert_non_null(block);
	memcpy(block, bytes, len);
	r = natpmp_parse(req, len ? block : block + 1, len);
	free(block);
	return r;
}

static void a_map_request_is_read(void **state)
{
	struct natpmp_request req;

	(void)state;
	assert_int_equal(parse(&req, map_tcp, sizeof(map_tcp)), 0);
	assert_int_equal(req.opcode, NATPMP_MAP_TCP);
	assert_int_equal(req.int_port, 7000);
	assert_int_equal(req.ext_port, 9000);
	assert_int_equal(req.lifetime, 7200);
}

/* P4: what is too short is not answered. */
static void any_truncation_of_a_map_request_is_refused(void **state)
{
	struct natpmp_request req;

	(void)state;
	for (size_t len = 0; len < sizeof(map_tcp); len++)
		assert_int_equal(parse(&req, map_tcp, len), -EBADMSG);
}

/* P4: a tail is ignored. */
static void a_longer_request_is_read_as_if_it_ended(void **state)
{
	uint8_t bytes[64];
	struct natpmp_request req;

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	memcpy(bytes, map_tcp, sizeof(map_tcp));
	assert_int_equal(parse(&req, bytes, sizeof(bytes)), 0);
	assert_int_equal(req.lifetime, 7200);
	memcpy(bytes, "\0\0", 2);
	assert_int_equal(parse(&req, bytes, sizeof(bytes)), 0);
	assert_int_equal(req.opcode, NATPMP_ADDRESS);
}

/* P7 */
static void the_reserved_field_is_ignored(void **state)
{
	uint8_t bytes[NATPMP_MAP_LEN];
	struct natpmp_request req;

	(void)state;
	memcpy(bytes, map_tcp, sizeof(bytes));
	bytes[2] = bytes[3] = 0xff;
	assert_int_equal(parse(&req, bytes, sizeof(bytes)), 0);
	assert_int_equal(req.int_port, 7000);
}

/* P3 */
static void replies_are_no_requests(void **state)
{
	uint8_t bytes[NATPMP_MAP_LEN] = {0};
	struct natpmp_request req;

	(void)state;
	for (unsigned int op = 128; op < 256; op++) {
		bytes[1] = (uint8_t)op;
		assert_int_equal(parse(&req, bytes, sizeof(bytes)), -EBADMSG);
	}
}

/* P5 */
static void unknown_opcodes_are_told_apart(void **state)
{
	uint8_t bytes[2] = {0};
	struct natpmp_request req;

	(void)state;
	for (unsigned int op = 3; op < 128; op++) {
		bytes[1] = (uint8_t)op;
		assert_int_equal(parse(&req, bytes, sizeof(bytes)), -EOPNOTSUPP);
	}
}

/* P5: the whole request comes back, with room for the epoch. */
static void an_unknown_opcode_comes_back_whole(void **state)
{
	const uint8_t request[12] = {0, 3, 9, 9, 9, 9, 9, 9, 0xa, 0xb, 0xc, 0xd};
	const uint8_t reply[12] = {0, 0x83, 0, 5, 1, 2, 3, 4, 0xa, 0xb, 0xc, 0xd};
	uint8_t out[1100];

	(void)state;
	assert_int_equal(natpmp_write_unknown(out, sizeof(out), request, 12, 0x01020304),
			 12);
	assert_memory_equal(out, reply, 12);
	for (size_t len = 2; len <= 8; len++) {
		assert_int_equal(
			natpmp_write_unknown(out, sizeof(out), request, len, 0x01020304),
			8);
		assert_memory_equal(out, reply, 8);
	}
	assert_int_equal(natpmp_write_unknown(out, 10, request, 12, 0x01020304), 10);
	assert_memory_equal(out, reply, 10);
}

/* P1 and P2 */
static void an_address_reply_has_twelve_bytes(void **state)
{
	const uint8_t good[12] = {0, 128, 0, 0, 0, 0, 1, 0, 11, 0, 0, 7};
	const uint8_t none[12] = {0, 128, 0, 3, 0, 0, 1, 0, 0, 0, 0, 0};
	struct in_addr wan = {.s_addr = htonl(0x0b000007)}, zero = {0};
	uint8_t out[16];

	(void)state;
	assert_int_equal(natpmp_write_address(out, sizeof(out), NATPMP_SUCCESS, 256, wan),
			 12);
	assert_memory_equal(out, good, 12);
	assert_int_equal(
		natpmp_write_address(out, sizeof(out), NATPMP_NETWORK_FAILURE, 256, zero),
		12);
	assert_memory_equal(out, none, 12);
	assert_int_equal(natpmp_write_address(out, 11, NATPMP_SUCCESS, 256, wan), 0);
}

static void a_map_reply_has_sixteen_bytes(void **state)
{
	const uint8_t bytes[16] = {0,    129,  0,    4,    0, 0, 0,    5,
				   0x1b, 0x58, 0x23, 0x28, 0, 0, 0x1c, 0x20};
	struct natpmp_map_reply reply = {.opcode = NATPMP_MAP_UDP,
					 .result = NATPMP_NO_RESOURCES,
					 .epoch = 5,
					 .int_port = 7000,
					 .ext_port = 9000,
					 .lifetime = 7200};
	uint8_t out[16];

	(void)state;
	assert_int_equal(natpmp_write_map(out, sizeof(out), &reply), 16);
	assert_memory_equal(out, bytes, 16);
	assert_int_equal(natpmp_write_map(out, 15, &reply), 0);
}

/* P6: exactly eight bytes, the opcode without its top bit. */
static void a_wrong_version_is_told_in_eight_bytes(void **state)
{
	const uint8_t bytes[8] = {0, 0, 0, 1, 0, 0, 0, 77};
	uint8_t out[16];

	(void)state;
	assert_int_equal(natpmp_write_version(out, sizeof(out), 77), 8);
	assert_memory_equal(out, bytes, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_request_is_read),
		cmocka_unit_test(any_truncation_of_a_map_request_is_refused),
		cmocka_unit_test(a_longer_request_is_read_as_if_it_ended),
		cmocka_unit_test(the_reserved_field_is_ignored),
		cmocka_unit_test(replies_are_no_requests),
		cmocka_unit_test(unknown_opcodes_are_told_apart),
		cmocka_unit_test(an_unknown_opcode_comes_back_whole),
		cmocka_unit_test(an_address_reply_has_twelve_bytes),
		cmocka_unit_test(a_map_reply_has_sixteen_bytes),
		cmocka_unit_test(a_wrong_version_is_told_in_eight_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
