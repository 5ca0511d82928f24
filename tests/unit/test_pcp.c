/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/wire.h"
#include "pcp/pcp.h"

static const uint8_t nonce[PCP_NONCE_LEN] = "nonce-nonce!";

/* A request under construction. */
struct packet {
	uint8_t data[1400];
	size_t len;
};

static struct in6_addr client(void)
{
	struct in6_addr a;

	assert_int_equal(addr_parse("192.168.1.20", &a), 0);
	return a;
}

static struct packet header(uint8_t opcode, uint32_t lifetime)
{
	struct packet p = {.len = PCP_HEADER_LEN};
	struct wire_out w = wire_to(p.data, sizeof(p.data));
	struct in6_addr a = client();

	wire_put_u8(&w, PCP_VERSION);
	wire_put_u8(&w, opcode);
	wire_put_u16(&w, 0xffff); /* C33: reserved fields of requests are ignored */
	wire_put_u32(&w, lifetime);
	wire_put(&w, &a, sizeof(a));
	return p;
}

static struct packet map(uint32_t lifetime, uint8_t protocol, uint16_t int_port,
			 uint16_t ext_port)
{
	struct packet p = header(PCP_MAP, lifetime);
	struct wire_out w = wire_to(p.data + p.len, sizeof(p.data) - p.len);
	struct in6_addr none = addr_from_v4((struct in_addr){0});

	wire_put(&w, nonce, sizeof(nonce));
	wire_put_u8(&w, protocol);
	wire_put(&w, "\xff\xff\xff", 3); /* C33 */
	wire_put_u16(&w, int_port);
	wire_put_u16(&w, ext_port);
	wire_put(&w, &none, sizeof(none));
	p.len = PCP_MAP_LEN;
	return p;
}

static void option(struct packet *p, uint8_t code, const void *data, size_t len)
{
	struct wire_out w = wire_to(p->data + p->len, sizeof(p->data) - p->len);

	wire_put_u8(&w, code);
	wire_put_u8(&w, 0xff); /* C21: ignored */
	wire_put_u16(&w, (uint16_t)len);
	wire_put(&w, data, len);
	wire_zero(&w, -len & 3);
	assert_false(w.bad);
	p->len += wire_len(&w);
}

/* Parses a copy in a block of exactly that size, so that ASan sees a byte too many. */
static int parse_len(struct pcp_request *req, const struct packet *p, size_t len)
{
	struct in6_addr source = client();
	uint8_t *block = malloc(len ? len : 1);
	int r;

	assert_non_null(block);
	memcpy(block, p->data, len);
	r = pcp_parse(req, len ? block : block + 1, len, &source);
	free(block);
	return r;
}

static int parse(const struct packet *p)
{
	struct pcp_request req;

	return parse_len(&req, p, p->len);
}

static void a_map_request_is_read(void **state)
{
	struct packet p = map(7200, IPPROTO_UDP, 3074, 4000);
	struct in6_addr a = client();
	struct pcp_request req;

	(void)state;
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_int_equal(req.opcode, PCP_MAP);
	assert_int_equal(req.lifetime, 7200);
	assert_true(addr_equal(&req.client, &a));
	assert_memory_equal(req.map.nonce, nonce, sizeof(nonce));
	assert_int_equal(req.map.protocol, IPPROTO_UDP);
	assert_int_equal(req.map.int_port, 3074);
	assert_int_equal(req.map.ext_port, 4000);
	assert_true(addr_is_none(&req.map.ext_addr));
	assert_false(req.prefer_failure);
	assert_false(req.description_asked);
}

/* C1, C3: under 24 bytes silence, from there on a fault that is told. */
static void any_truncation_of_a_map_request_is_refused(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
	struct pcp_request req;

	(void)state;
	option(&p, PCP_DESCRIPTION, "a game", 6);
	for (size_t len = 0; len < p.len; len++) {
		int want = len < PCP_HEADER_LEN                 ? -EBADMSG
			   : len < PCP_MAP_LEN || len % 4       ? PCP_MALFORMED_REQUEST
			   : len == PCP_MAP_LEN /* no option */ ? PCP_SUCCESS
								: PCP_MALFORMED_OPTION;

		assert_int_equal(parse_len(&req, &p, len), want);
	}
	assert_int_equal(parse(&p), PCP_SUCCESS);
}

/* C1 */
static void replies_are_no_requests_whatever_the_version(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);

	(void)state;
	p.data[1] |= PCP_REPLY;
	for (unsigned int version = 0; version < 256; version++) {
		p.data[0] = (uint8_t)version;
		assert_int_equal(parse(&p), -EBADMSG);
	}
}

/* C2, S4: before the length is looked at. */
static void other_versions_are_told_from_two_bytes_on(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
	struct pcp_request req;

	(void)state;
	for (unsigned int version = 0; version < 256; version++) {
		p.data[0] = (uint8_t)version;
		for (size_t len = 2; len <= p.len && version != PCP_VERSION; len++)
			assert_int_equal(parse_len(&req, &p, len), PCP_UNSUPP_VERSION);
		assert_int_equal(parse_len(&req, &p, 1), -EBADMSG);
	}
}

/* C3 */
static void more_than_1100_bytes_are_malformed(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
	uint8_t fill[1036] = {0};

	(void)state;
	option(&p, 200, fill, 1036);
	assert_int_equal(p.len, 1100);
	assert_int_equal(parse(&p), PCP_SUCCESS);
	p.len = 1104;
	assert_int_equal(parse(&p), PCP_MALFORMED_REQUEST);
}

/* C4, C26, C58 */
static void unknown_opcodes_are_told(void **state)
{
	const uint8_t opcodes[] = {PCP_PEER, 3, 4, 99, 127};

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		struct packet p = header(opcodes[i], 0);

		assert_int_equal(parse(&p), PCP_UNSUPP_OPCODE);
		p.data[PCP_HEADER_LEN] = 60; /* no options are looked for */
		p.len += 4;
		assert_int_equal(parse(&p), PCP_UNSUPP_OPCODE);
	}
}

/* C5, C51: all 128 bits of the address, ANNOUNCE included, before the opcode is judged. */
static void another_client_address_is_a_mismatch(void **state)
{
	const uint8_t opcodes[] = {PCP_ANNOUNCE, PCP_MAP, 99};

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		for (size_t bit = 0; bit < 128; bit++) {
			struct packet p = map(7200, IPPROTO_TCP, 3074, 0);

			p.data[1] = opcodes[i];
			p.data[8 + bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(parse(&p), PCP_ADDRESS_MISMATCH);
		}
	}
}

/* C10, C11, C12, C14, C15 */
static void protocol_and_port_are_judged_with_the_lifetime(void **state)
{
	static const struct {
		uint32_t lifetime;
		uint8_t protocol;
		uint16_t port;
		enum pcp_result want;
	} rows[] = {
		{600, 0, 80, PCP_MALFORMED_REQUEST},
		{0, 0, 80, PCP_MALFORMED_REQUEST},
		{600, IPPROTO_UDP, 0, PCP_UNSUPP_PROTOCOL},
		{600, IPPROTO_TCP, 0, PCP_UNSUPP_PROTOCOL},
		{600, 0, 0, PCP_UNSUPP_PROTOCOL},
		{600, IPPROTO_SCTP, 80, PCP_UNSUPP_PROTOCOL},
		{600, 33, 80, PCP_UNSUPP_PROTOCOL},
		{600, 47, 80, PCP_UNSUPP_PROTOCOL},
		{600, 255, 80, PCP_UNSUPP_PROTOCOL},
		{0, IPPROTO_UDP, 0, PCP_SUCCESS},
		{0, IPPROTO_TCP, 0, PCP_SUCCESS},
		{0, 0, 0, PCP_SUCCESS},
		{0, IPPROTO_TCP, 80, PCP_SUCCESS},
		{UINT32_MAX, IPPROTO_TCP, 80, PCP_SUCCESS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct packet p = map(rows[i].lifetime, rows[i].protocol, rows[i].port,
				      0);

		assert_int_equal(parse(&p), rows[i].want);
	}
}

/* C21: the structure comes first. */
static void an_option_past_the_end_wins_over_an_unknown_one(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);

	(void)state;
	option(&p, 60, "", 0);
	assert_int_equal(parse(&p), PCP_UNSUPP_OPTION);
	option(&p, 200, "abcd", 4);
	p.data[p.len - 5] = 5; /* its length */
	assert_int_equal(parse(&p), PCP_MALFORMED_OPTION);
}

/* C19, C20, C21, C58: below 128 they must be understood. */
static void unknown_mandatory_options_are_told(void **state)
{
	uint8_t fill[20] = {0};

	(void)state;
	for (unsigned int code = 0; code < 128; code++) {
		struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);
		struct packet announce = header(PCP_ANNOUNCE, 0);

		if (code == PCP_PREFER_FAILURE)
			continue;
		if (code != PCP_THIRD_PARTY && code != PCP_FILTER) {
			option(&p, (uint8_t)code, fill, code % sizeof(fill));
			assert_int_equal(parse(&p), PCP_UNSUPP_OPTION);
		}
		option(&announce, (uint8_t)code, fill, 20); /* C59 */
		assert_int_equal(parse(&announce), PCP_UNSUPP_OPTION);
	}
}

/* C21, C22, C30: padding after lengths of 1 to 3 mod 4 is skipped. */
static void unknown_optional_options_are_ignored(void **state)
{
	uint8_t fill[20] = {0};

	(void)state;
	for (unsigned int code = 129; code < 256; code++) {
		struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);
		struct packet announce = header(PCP_ANNOUNCE, 4711);

		for (size_t len = 0; len < 6; len++) {
			option(&p, (uint8_t)code, fill, len);
			option(&announce, (uint8_t)code, fill, len);
		}
		assert_int_equal(parse(&p), PCP_SUCCESS);
		assert_int_equal(parse(&announce), PCP_SUCCESS);
		option(&p, 100, "", 0);
		assert_int_equal(parse(&p), PCP_UNSUPP_OPTION);
	}
}

static void options_are_judged_in_their_order(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);
	struct packet q = p;

	(void)state;
	option(&p, 60, "", 0);
	option(&p, PCP_PREFER_FAILURE, "abcd", 4);
	assert_int_equal(parse(&p), PCP_UNSUPP_OPTION);
	option(&q, PCP_PREFER_FAILURE, "abcd", 4);
	option(&q, 60, "", 0);
	assert_int_equal(parse(&q), PCP_MALFORMED_OPTION);
}

/* C18, C42, C59 */
static void prefer_failure_comes_once_empty_and_with_a_port(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);
	struct packet no_port = map(7200, IPPROTO_TCP, 3074, 0);
	struct packet del = map(0, IPPROTO_TCP, 3074, 3074);
	struct packet announce = header(PCP_ANNOUNCE, 0);
	struct packet filled = p;
	struct pcp_request req;

	(void)state;
	option(&p, PCP_PREFER_FAILURE, "", 0);
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_true(req.prefer_failure);
	option(&p, PCP_PREFER_FAILURE, "", 0);
	assert_int_equal(parse(&p), PCP_MALFORMED_OPTION);
	option(&filled, PCP_PREFER_FAILURE, "a", 1);
	assert_int_equal(parse(&filled), PCP_MALFORMED_OPTION);
	option(&no_port, PCP_PREFER_FAILURE, "", 0);
	assert_int_equal(parse(&no_port), PCP_MALFORMED_OPTION);
	option(&del, PCP_PREFER_FAILURE, "", 0);
	assert_int_equal(parse(&del), PCP_MALFORMED_OPTION);
	option(&announce, PCP_PREFER_FAILURE, "", 0);
	assert_int_equal(parse(&announce), PCP_MALFORMED_OPTION);
}

/* C29 */
static void description_is_kept_if_it_is_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		bool kept;
	} rows[] = {
		{"", 0, true},
		{"hello", 5, true},
		{"\x01\x7f\n", 3, true},
		{"a\0b", 3, false},
		{"\xc3\xa9", 2, true},
		{"\xc3", 1, false},
		{"\xc1\x81", 2, false},
		{"\xe2\x82\xac", 3, true},
		{"\xe2\x82", 2, false},
		{"\xe0\x9f\xbf", 3, false},
		{"\xed\xa0\x80", 3, false},
		{"\xed\x9f\xbf", 3, true},
		{"\xf0\x9f\x8e\xae", 4, true},
		{"\xf0\x8f\xbf\xbf", 4, false},
		{"\xf4\x8f\xbf\xbf", 4, true},
		{"\xf4\x90\x80\x80", 4, false},
		{"\xf5\x80\x80\x80", 4, false},
		{"\x80", 1, false},
		{"\xf0\x9f\x8e", 3, false},
		{"\xff", 1, false},
		{"\xf0\x9f\x8e\x2e", 4, false},
		{"\xe2\x28\xa1", 3, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
		struct pcp_request req;

		option(&p, PCP_DESCRIPTION, rows[i].text, rows[i].len);
		assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
		assert_int_equal(req.description_asked, rows[i].kept);
		assert_string_equal(req.description, rows[i].kept ? rows[i].text : "");
	}
}

/* C29 */
static void a_long_description_is_cut_at_a_character(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0), q = p, long_one = p;
	struct pcp_request req;
	char text[1017];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + 126, "\xe2\x82\xac", 3);
	option(&p, PCP_DESCRIPTION, text, 1016);
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_true(req.description_asked);
	assert_int_equal(strlen(req.description), 126);

	memset(text, 'x', sizeof(text));
	option(&q, PCP_DESCRIPTION, text, 129);
	assert_int_equal(parse_len(&req, &q, q.len), PCP_SUCCESS);
	assert_int_equal(strlen(req.description), 128);

	option(&long_one, PCP_DESCRIPTION, text, 1017);
	assert_int_equal(parse_len(&req, &long_one, long_one.len), PCP_SUCCESS);
	assert_false(req.description_asked);
}

/* C21, C29 */
static void description_comes_once(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);

	(void)state;
	option(&p, PCP_DESCRIPTION, "\xff", 1);
	option(&p, PCP_DESCRIPTION, "a", 1);
	assert_int_equal(parse(&p), PCP_MALFORMED_OPTION);
}

/* C22: it means nothing there, so it is ignored like any other. */
static void description_is_tolerated_in_an_announce(void **state)
{
	struct packet p = header(PCP_ANNOUNCE, 0);

	(void)state;
	option(&p, PCP_DESCRIPTION, "a", 1);
	option(&p, PCP_DESCRIPTION, "a", 1);
	assert_int_equal(parse(&p), PCP_SUCCESS);
	p.data[p.len - 5] = 200;
	assert_int_equal(parse(&p), PCP_MALFORMED_OPTION);
}

/* C3, C6: a copy, padded to four bytes or cut to 1100. */
static void an_error_is_a_copy_of_the_request(void **state)
{
	uint8_t request[1300], out[PCP_MAX_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(request); i++)
		request[i] = (uint8_t)(i * 7 + 1);
	request[1] = 0x63;
	for (size_t len = 2; len <= sizeof(request); len++) {
		size_t kept = len < PCP_MAX_LEN ? len : PCP_MAX_LEN;
		const uint8_t head[12] = {2, 0xe3, 0, PCP_UNSUPP_OPCODE, 0, 0, 7, 8, 1,
					  2, 3,    4};
		uint8_t *block = malloc(len);
		size_t n;

		assert_non_null(block);
		memcpy(block, request, len);
		memset(out, 0xee, sizeof(out));
		n = pcp_write_error(out, sizeof(out), block, len, PCP_UNSUPP_OPCODE,
				    0x0708, 0x01020304);
		free(block);
		assert_int_equal(n, (kept + 3) / 4 * 4);
		assert_memory_equal(out, head, n < 12 ? n : 12);
		if (kept > 12)
			assert_memory_equal(out + 12, request + 12, kept - 12);
		for (size_t i = kept < 12 ? 12 : kept; i < n; i++)
			assert_int_equal(out[i], 0);
	}
	assert_int_equal(pcp_write_error(out, 59, request, 60, PCP_UNSUPP_OPCODE, 0, 0),
			 0);
}

/* C33 and RFC 6887 section 7.2: bytes 12-23 are zero once the request was understood. */
static void the_reserved_field_tells_what_was_parsed(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);
	uint8_t out[PCP_MAX_LEN], zero[12] = {0};

	(void)state;
	for (int result = 1; result <= PCP_EXCESSIVE_REMOTE_PEERS; result++) {
		bool copied = (result <= 6 && result != PCP_NOT_AUTHORIZED) ||
			      result == PCP_ADDRESS_MISMATCH;

		assert_int_equal(pcp_write_error(out, sizeof(out), p.data, p.len,
						 (enum pcp_result)result, 30, 1),
				 60);
		assert_int_equal(out[2], 0);
		assert_int_equal(out[3], result);
		assert_memory_equal(out + 12, copied ? p.data + 12 : zero, 12);
		assert_memory_equal(out + 24, p.data + 24, 36);
	}
}

/* C22 */
static void an_announce_reply_has_24_bytes(void **state)
{
	const uint8_t bytes[24] = {2, 128, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0};
	uint8_t out[24];

	(void)state;
	assert_int_equal(pcp_write_announce(out, sizeof(out), 256), 24);
	assert_memory_equal(out, bytes, 24);
	assert_int_equal(pcp_write_announce(out, 23, 256), 0);
}

/* C7, C21, C29, C33: 60 bytes and what was asked for, in its order, reserved fields zero. */
static void a_map_reply_carries_only_what_was_asked(void **state)
{
	struct pcp_map_reply reply = {
		.lifetime = 7200,
		.epoch = 256,
		.map = {.protocol = IPPROTO_UDP, .int_port = 0x1234, .ext_port = 0x5678}};
	static const uint8_t head[24] = {2, 129, 0, 0, 0, 0, 0x1c, 0x20, 0, 0, 1, 0};
	static const uint8_t fields[8] = {IPPROTO_UDP, 0, 0, 0, 0x12, 0x34, 0x56, 0x78};
	static const uint8_t asked[] = {2, 9, 0,   0, 200, 0, 0,   1, 7, 0,
					0, 0, 128, 0, 0,   1, 'x', 0, 0, 0};
	static const uint8_t options[] = {2,   0,   0,   0,   128, 0, 0, 5,
					  'h', 'e', 'l', 'l', 'o', 0, 0, 0};
	uint8_t out[PCP_MAX_LEN];
	char longest[129];

	(void)state;
	memcpy(reply.map.nonce, nonce, sizeof(nonce));
	assert_int_equal(addr_parse("11.0.0.7", &reply.map.ext_addr), 0);
	assert_int_equal(pcp_write_map(out, sizeof(out), &reply), 60);
	assert_memory_equal(out, head, 24);
	assert_memory_equal(out + 24, nonce, 12);
	assert_memory_equal(out + 36, fields, 8);
	assert_memory_equal(out + 44, &reply.map.ext_addr, 16);

	reply.options = asked;
	reply.options_len = sizeof(asked);
	assert_int_equal(pcp_write_map(out, sizeof(out), &reply), 64);
	reply.description = "hello";
	assert_int_equal(pcp_write_map(out, sizeof(out), &reply), 76);
	assert_memory_equal(out + 60, options, 16);
	reply.description = "";
	assert_int_equal(pcp_write_map(out, sizeof(out), &reply), 68);
	memset(longest, 'x', 128);
	longest[128] = '\0';
	reply.description = longest;
	assert_int_equal(pcp_write_map(out, sizeof(out), &reply), 60 + 4 + 4 + 128);
	assert_int_equal(pcp_write_map(out, 60, &reply), 0);
}

/* A FILTER as it stands in a packet. */
static void filter(struct packet *p, const char *remote, uint8_t len, uint16_t port)
{
	uint8_t data[PCP_FILTER_LEN] = {0xff, len, (uint8_t)(port >> 8), (uint8_t)port};
	struct in6_addr a;

	assert_int_equal(addr_parse(remote, &a), 0);
	memcpy(data + 4, &a, sizeof(a));
	option(p, PCP_FILTER, data, sizeof(data));
}

/* C20 */
static void filters_are_read_in_their_order(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
	struct in6_addr a;
	struct pcp_request req;

	(void)state;
	filter(&p, "1.1.1.1", 128, 1);
	filter(&p, "::", 0, 0);
	filter(&p, "1.2.3.0", 120, 0);
	filter(&p, "2001:db8::", 32, 443);
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_true(req.filter);
	assert_true(req.unfilter);
	assert_int_equal(req.n_filters, 2);
	assert_int_equal(addr_parse("1.2.3.0", &a), 0);
	assert_true(addr_equal(&req.filters[0].addr, &a));
	assert_int_equal(req.filters[0].len, 120);
	assert_int_equal(req.filters[0].port, 0);
	assert_int_equal(addr_parse("2001:db8::", &a), 0);
	assert_true(addr_equal(&req.filters[1].addr, &a));
	assert_int_equal(req.filters[1].len, 32);
	assert_int_equal(req.filters[1].port, 443);
	filter(&p, "5.6.7.8", 0, 0); /* any family removes all */
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_true(req.unfilter);
	assert_int_equal(req.n_filters, 0);
}

/* C20, C43, C59 */
static void filters_are_refused_that_cannot_be(void **state)
{
	static const struct {
		const char *remote;
		uint8_t len;
		enum pcp_result want;
	} rows[] = {
		{"1.2.3.4", 95, PCP_MALFORMED_OPTION},
		{"1.2.3.4", 96, PCP_SUCCESS},
		{"1.2.3.4", 128, PCP_SUCCESS},
		{"1.2.3.4", 129, PCP_MALFORMED_OPTION},
		{"1.2.3.4", 1, PCP_MALFORMED_OPTION},
		{"2001:db8::", 1, PCP_SUCCESS},
		{"2001:db8::", 128, PCP_SUCCESS},
		{"::", 129, PCP_MALFORMED_OPTION},
		{"::", 200, PCP_MALFORMED_OPTION},
		{"1.2.3.4", 0, PCP_SUCCESS},
	};
	struct packet del = map(0, IPPROTO_TCP, 3074, 0);
	struct packet announce = header(PCP_ANNOUNCE, 0);
	uint8_t fill[24] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct packet p = map(7200, IPPROTO_TCP, 3074, 0);

		filter(&p, rows[i].remote, rows[i].len, 80);
		assert_int_equal(parse(&p), rows[i].want);
	}
	for (size_t len = 0; len <= sizeof(fill); len++) {
		struct packet p = map(7200, IPPROTO_TCP, 3074, 0);

		option(&p, PCP_FILTER, fill, len);
		assert_int_equal(parse(&p), len == PCP_FILTER_LEN ? PCP_SUCCESS
								  : PCP_MALFORMED_OPTION);
	}
	filter(&del, "::", 0, 0);
	assert_int_equal(parse(&del), PCP_MALFORMED_OPTION);
	filter(&announce, "1.2.3.4", 128, 0);
	assert_int_equal(parse(&announce), PCP_UNSUPP_OPTION);
}

/* C20: 13, unless those before a prefix length of 0 are what is too much. */
static void more_filters_than_a_lease_may_have_are_told(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
	struct pcp_request req;

	(void)state;
	for (int i = 0; i < LEASE_FILTERS_MAX; i++)
		filter(&p, "1.2.3.4", 128, 80);
	assert_int_equal(parse(&p), PCP_SUCCESS);
	filter(&p, "1.2.3.4", 128, 80);
	assert_int_equal(parse(&p), PCP_EXCESSIVE_REMOTE_PEERS);
	filter(&p, "::", 0, 0);
	filter(&p, "1.2.3.4", 128, 81);
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_int_equal(req.n_filters, 1);
	assert_int_equal(req.filters[0].port, 81);
}

/* C19, C21 */
static void third_party_comes_once_and_names_another(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0), q = p;
	struct in6_addr self = client(), other;
	struct pcp_request req;

	(void)state;
	assert_int_equal(addr_parse("192.168.1.21", &other), 0);
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_true(addr_equal(&req.internal, &self));
	assert_false(req.third_party);
	option(&p, PCP_THIRD_PARTY, &other, sizeof(other));
	assert_int_equal(parse_len(&req, &p, p.len), PCP_SUCCESS);
	assert_true(addr_equal(&req.internal, &other));
	assert_true(addr_equal(&req.client, &self));
	assert_true(req.third_party);
	option(&p, PCP_THIRD_PARTY, &other, sizeof(other));
	assert_int_equal(parse(&p), PCP_MALFORMED_OPTION);
	option(&q, PCP_THIRD_PARTY, &self, sizeof(self));
	assert_int_equal(parse(&q), PCP_MALFORMED_REQUEST);
	for (size_t len = 0; len < 20; len++) {
		uint8_t data[20] = {1};
		struct packet r = map(7200, IPPROTO_TCP, 3074, 0);

		option(&r, PCP_THIRD_PARTY, data, len);
		assert_int_equal(parse(&r), len == PCP_THIRD_PARTY_LEN
						    ? PCP_SUCCESS
						    : PCP_MALFORMED_OPTION);
	}
}

/* C30: no known client sends it, so it is ignored, whatever is in it. */
static void port_set_is_ignored(void **state)
{
	static const uint8_t set[8] = {0, 4, 0x0c, 2, 1};

	(void)state;
	for (size_t len = 0; len <= sizeof(set); len++) {
		struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);

		option(&p, 130, set, len);
		option(&p, 130, set, len);
		option(&p, PCP_PREFER_FAILURE, "", 0);
		assert_int_equal(parse(&p), PCP_SUCCESS);
		p.data[PCP_MAP_LEN + 2] = 4; /* C21: past the packet is another matter */
		assert_int_equal(parse(&p), PCP_MALFORMED_OPTION);
	}
}

/* C60 */
static void a_reply_that_would_not_fit_is_refused(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 0);
	struct packet q = p;

	(void)state;
	while (p.len + 4 + PCP_FILTER_LEN <= PCP_MAX_LEN)
		filter(&p, "::", 0, 0);
	assert_int_equal(parse(&p), PCP_SUCCESS);
	/* What is stored of a description may be longer than what was sent. */
	while (q.len + 4 + PCP_FILTER_LEN <= PCP_MAX_LEN - 4 - LEASE_DESCRIPTION_MAX)
		filter(&q, "::", 0, 0);
	p = q;
	option(&p, PCP_DESCRIPTION, "a", 1);
	assert_int_equal(parse(&p), PCP_SUCCESS);
	filter(&q, "::", 0, 0);
	option(&q, PCP_DESCRIPTION, "a", 1);
	assert_int_equal(parse(&q), PCP_MALFORMED_REQUEST);
}

/* C24: of whom, and the filters that count. */
static void an_update_keeps_third_party_and_filters(void **state)
{
	struct packet p = map(7200, IPPROTO_TCP, 3074, 3074);
	struct packet want = {.len = 0};
	struct in6_addr other;
	uint8_t out[PCP_KEPT_MAX];
	size_t n;

	(void)state;
	assert_int_equal(addr_parse("192.168.1.21", &other), 0);
	filter(&p, "1.2.3.4", 128, 79);
	option(&p, PCP_THIRD_PARTY, &other, sizeof(other));
	option(&p, PCP_DESCRIPTION, "abc", 3);
	option(&p, PCP_PREFER_FAILURE, "", 0);
	filter(&p, "::", 0, 0);
	for (int i = 0; i < LEASE_FILTERS_MAX; i++)
		filter(&p, "1.2.3.4", 128, 80);
	option(&want, PCP_THIRD_PARTY, &other, sizeof(other));
	filter(&want, "::", 0, 0);
	for (int i = 0; i < LEASE_FILTERS_MAX; i++)
		filter(&want, "1.2.3.4", 128, 80);
	for (size_t at = 0; at < want.len; at += 4U + want.data[at + 3])
		want.data[at + 1] = 0; /* the reserved byte is ours */
	n = pcp_write_kept(out, sizeof(out), p.data + PCP_MAP_LEN, p.len - PCP_MAP_LEN);
	assert_int_equal(n, sizeof(out));
	assert_int_equal(n, want.len);
	assert_memory_equal(out, want.data, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_request_is_read),
		cmocka_unit_test(any_truncation_of_a_map_request_is_refused),
		cmocka_unit_test(replies_are_no_requests_whatever_the_version),
		cmocka_unit_test(other_versions_are_told_from_two_bytes_on),
		cmocka_unit_test(more_than_1100_bytes_are_malformed),
		cmocka_unit_test(unknown_opcodes_are_told),
		cmocka_unit_test(another_client_address_is_a_mismatch),
		cmocka_unit_test(protocol_and_port_are_judged_with_the_lifetime),
		cmocka_unit_test(an_option_past_the_end_wins_over_an_unknown_one),
		cmocka_unit_test(unknown_mandatory_options_are_told),
		cmocka_unit_test(unknown_optional_options_are_ignored),
		cmocka_unit_test(options_are_judged_in_their_order),
		cmocka_unit_test(prefer_failure_comes_once_empty_and_with_a_port),
		cmocka_unit_test(description_is_kept_if_it_is_utf8),
		cmocka_unit_test(a_long_description_is_cut_at_a_character),
		cmocka_unit_test(description_comes_once),
		cmocka_unit_test(description_is_tolerated_in_an_announce),
		cmocka_unit_test(an_error_is_a_copy_of_the_request),
		cmocka_unit_test(the_reserved_field_tells_what_was_parsed),
		cmocka_unit_test(an_announce_reply_has_24_bytes),
		cmocka_unit_test(a_map_reply_carries_only_what_was_asked),
		cmocka_unit_test(filters_are_read_in_their_order),
		cmocka_unit_test(filters_are_refused_that_cannot_be),
		cmocka_unit_test(more_filters_than_a_lease_may_have_are_told),
		cmocka_unit_test(third_party_comes_once_and_names_another),
		cmocka_unit_test(port_set_is_ignored),
		cmocka_unit_test(a_reply_that_would_not_fit_is_refused),
		cmocka_unit_test(an_update_keeps_third_party_and_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
