/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/channel.h"
#include "base/wire.h"
#include "pcp/natpmp.h"
#include "pcp/rate.h"
#include "pcp/server.h"

#define NOW 1000000ULL
#define EPOCH_S 700 /* at NOW */

static const uint8_t nonce[PCP_NONCE_LEN] = "nonce-nonce!";

struct fixture {
	struct server *srv;
	struct server_peer peer;
	struct server_answer answer;
	struct lease_request ask;
	struct lease_reply reply;
	struct in6_addr third; /* the THIRD_PARTY that is sent; :: for none */
};

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct record_prefix network(const char *text, uint8_t len)
{
	return (struct record_prefix){.addr = address(text), .len = len};
}

static void set_wan(struct fixture *f, const char *wan)
{
	struct record_state state = {.epoch_ms = NOW - EPOCH_S * 1000};

	state.wan4 = address(wan);
	server_set_state(f->srv, &state);
}

static int set_up(void **state)
{
	struct record_setup setup = {.ifname = "lan",
				     .n_addrs = 3,
				     .n_also = 1,
				     .features = RECORD_NATPMP | RECORD_PCP};
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	setup.addrs[0] = network("192.168.1.1", 120);
	setup.addrs[1] = network("192.168.1.2", 120);
	setup.addrs[2] = network("2001:db8:1::1", 64);
	setup.also[0] = network("10.20.0.0", 112);
	f->srv = server_new(&setup);
	f->peer = (struct server_peer){.addr = address("192.168.1.20"),
				       .local = address("192.168.1.1"),
				       .port = 40000};
	set_wan(f, "11.0.0.7");
	*state = f;
	return f->srv ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	server_free(f->srv);
	free(f);
	return 0;
}

/* Hands over a copy in a block of exactly that size, so that ASan sees a byte too many. */
static enum server_verdict handle(struct fixture *f, const void *data, size_t len)
{
	uint8_t *block = malloc(len ? len : 1);
	enum server_verdict v;

	assert_non_null(block);
	memcpy(block, data, len);
	memset(&f->answer, 0xee, sizeof(f->answer));
	memset(&f->ask, 0xee, sizeof(f->ask));
	v = server_handle(f->srv, &f->peer, len ? block : block + 1, len, NOW, &f->answer,
			  &f->ask);
	free(block);
	if (v == SERVER_ANSWER) {
		assert_memory_equal(&f->answer.to, &f->peer, sizeof(f->peer));
		assert_true(f->answer.len <= PCP_MAX_LEN);
	}
	if (v == SERVER_ASK) {
		assert_true(lease_request_valid(&f->ask));
		assert_true(addr_equal(&f->ask.client, &f->peer.addr));
		assert_true(
			addr_equal(&f->ask.internal, /* P21, C19 */
				   addr_is_none(&f->third) ? &f->peer.addr : &f->third));
		assert_int_equal(f->ask.remote_len, 0);
	}
	return v;
}

/* The core's reply to the last request. */
static bool reply(struct fixture *f, enum lease_reason reason)
{
	f->reply.tag = f->ask.tag;
	f->reply.op = f->ask.op;
	f->reply.reason = (uint8_t)reason;
	f->reply.protocol = f->ask.protocol;
	f->reply.int_port = f->ask.int_port;
	f->reply.external = address("11.0.0.7");
	memset(&f->answer, 0xee, sizeof(f->answer));
	return server_reply(f->srv, &f->reply, NOW, &f->answer);
}

static uint32_t u32(const struct fixture *f, size_t at)
{
	struct wire w = wire_of(f->answer.data + at, 4);

	assert_true(at + 4 <= f->answer.len);
	return wire_u32(&w);
}

static uint16_t u16(const struct fixture *f, size_t at)
{
	return (uint16_t)(u32(f, at) >> 16);
}

static enum server_verdict natpmp(struct fixture *f, uint8_t opcode, uint16_t int_port,
				  uint16_t ext_port, uint32_t lifetime)
{
	uint8_t data[NATPMP_MAP_LEN];
	struct wire_out w = wire_to(data, sizeof(data));

	wire_put_u8(&w, NATPMP_VERSION);
	wire_put_u8(&w, opcode);
	wire_put_u16(&w, 0);
	wire_put_u16(&w, int_port);
	wire_put_u16(&w, ext_port);
	wire_put_u32(&w, lifetime);
	return handle(f, data, sizeof(data));
}

struct packet {
	uint8_t data[PCP_MAX_LEN + 4];
	size_t len;
};

static struct packet pcp_map_of(const char *client, uint32_t lifetime, uint8_t protocol,
				uint16_t int_port, uint16_t ext_port,
				const char *ext_addr)
{
	struct packet p = {.len = PCP_MAP_LEN};
	struct wire_out w = wire_to(p.data, sizeof(p.data));
	struct in6_addr host = address(client), ext = address(ext_addr);

	wire_put_u8(&w, PCP_VERSION);
	wire_put_u8(&w, PCP_MAP);
	wire_zero(&w, 2);
	wire_put_u32(&w, lifetime);
	wire_put(&w, &host, sizeof(host));
	wire_put(&w, nonce, sizeof(nonce));
	wire_put_u8(&w, protocol);
	wire_zero(&w, 3);
	wire_put_u16(&w, int_port);
	wire_put_u16(&w, ext_port);
	wire_put(&w, &ext, sizeof(ext));
	return p;
}

static struct packet pcp_map(uint32_t lifetime, uint8_t protocol, uint16_t int_port,
			     uint16_t ext_port, const char *ext_addr)
{
	return pcp_map_of("192.168.1.20", lifetime, protocol, int_port, ext_port,
			  ext_addr);
}

static void option_data(struct packet *p, uint8_t code, const void *data, size_t len)
{
	struct wire_out w = wire_to(p->data + p->len, sizeof(p->data) - p->len);

	wire_put_u8(&w, code);
	wire_put_u8(&w, 0);
	wire_put_u16(&w, (uint16_t)len);
	wire_put(&w, data, len);
	wire_zero(&w, -len & 3);
	p->len += wire_len(&w);
}

static void option(struct packet *p, uint8_t code, const char *text)
{
	option_data(p, code, text, strlen(text));
}

static void filter(struct packet *p, const char *remote, uint8_t len, uint16_t port)
{
	uint8_t data[PCP_FILTER_LEN] = {0, len, (uint8_t)(port >> 8), (uint8_t)port};
	struct in6_addr a = address(remote);

	memcpy(data + 4, &a, sizeof(a));
	option_data(p, PCP_FILTER, data, sizeof(data));
}

static void third_party(struct fixture *f, struct packet *p, const char *host)
{
	f->third = address(host);
	option_data(p, PCP_THIRD_PARTY, &f->third, sizeof(f->third));
}

static void assert_pcp(const struct fixture *f, enum pcp_result result, uint32_t lifetime)
{
	assert_true(f->answer.len >= PCP_HEADER_LEN);
	assert_int_equal(f->answer.data[0], PCP_VERSION);
	assert_true(f->answer.data[1] & PCP_REPLY);
	assert_int_equal(f->answer.data[3], result);
	assert_int_equal(u32(f, 4), lifetime);
	assert_int_equal(u32(f, 8), EPOCH_S); /* C25 */
}

/* RFC 6886 section 3.5 and P11: 16 bytes, the internal port, zeros if nothing was granted. */
static void assert_natpmp(const struct fixture *f, uint8_t opcode,
			  enum natpmp_result result, uint16_t int_port, uint16_t ext_port,
			  uint32_t lifetime)
{
	assert_int_equal(f->answer.len, NATPMP_MAP_REPLY_LEN);
	assert_int_equal(f->answer.data[0], 0);
	assert_int_equal(f->answer.data[1], opcode | NATPMP_REPLY);
	assert_int_equal(u16(f, 2), result);
	assert_int_equal(u32(f, 4), EPOCH_S);
	assert_int_equal(u16(f, 8), int_port);
	assert_int_equal(u32(f, 8) & 0xffff, ext_port);
	assert_int_equal(u32(f, 12), lifetime);
}

/* P1, P2 */
static void natpmp_tells_the_wan_address(void **state)
{
	static const uint8_t good[12] = {0, 128, 0, 0, 0, 0, 2, 0xbc, 11, 0, 0, 7};
	static const uint8_t none[12] = {0, 128, 0, 3, 0, 0, 2, 0xbc};
	struct fixture *f = *state;

	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 12);
	assert_memory_equal(f->answer.data, good, 12);
	set_wan(f, "::");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 12);
	assert_memory_equal(f->answer.data, none, 12);
}

/* P8, P10, P22 */
static void natpmp_map_asks_for_the_sender_and_answers_what_was_given(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 7000, 9000, 7200), SERVER_ASK);
	assert_int_equal(f->ask.op, LEASE_OP_MAP);
	assert_int_equal(f->ask.by, LEASE_BY_NATPMP);
	assert_int_equal(f->ask.protocol, IPPROTO_UDP);
	assert_int_equal(f->ask.flags, 0);
	assert_int_equal(f->ask.int_port, 7000);
	assert_int_equal(f->ask.ext_port, 9000);
	assert_int_equal(f->ask.lifetime, 7200);
	f->reply.ext_port = 9001;
	f->reply.lifetime = 3600;
	assert_true(reply(f, LEASE_OK));
	assert_memory_equal(&f->answer.to, &f->peer, sizeof(f->peer)); /* S2 */
	assert_natpmp(f, NATPMP_MAP_UDP, NATPMP_SUCCESS, 7000, 9001, 3600);

	assert_int_equal(natpmp(f, NATPMP_MAP_TCP, 7000, 9000, 7200), SERVER_ASK);
	assert_int_equal(f->ask.protocol, IPPROTO_TCP);
	f->reply.lifetime = 7201;
	assert_true(reply(f, LEASE_OK));
	assert_natpmp(f, NATPMP_MAP_TCP, NATPMP_SUCCESS, 7000, 9001, 7200);
}

/* P13, P14, P15 */
static void natpmp_deletes(void **state)
{
	struct fixture *f = *state;

	set_wan(f, "::"); /* no WAN is needed for that */
	f->reply.ext_port = 9001;
	f->reply.lifetime = 77;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(natpmp(f, NATPMP_MAP_TCP, 7000, 9000, 0), SERVER_ASK);
		assert_int_equal(f->ask.op, LEASE_OP_UNMAP);
		assert_int_equal(f->ask.int_port, 7000);
		assert_int_equal(f->ask.ext_port, 0);
		assert_true(reply(f, round ? LEASE_NOT_FOUND : LEASE_OK));
		assert_natpmp(f, NATPMP_MAP_TCP, NATPMP_SUCCESS, 7000, 0, 0);
	}
	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 0, 9000, 0), SERVER_ASK);
	assert_int_equal(f->ask.op, LEASE_OP_UNMAP_ALL);
	assert_int_equal(f->ask.protocol, IPPROTO_UDP);
	assert_true(reply(f, LEASE_OK));
	assert_natpmp(f, NATPMP_MAP_UDP, NATPMP_SUCCESS, 0, 0, 0);

	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 0, 0, 0), SERVER_ASK);
	assert_true(reply(f, LEASE_STATIC));
	assert_natpmp(f, NATPMP_MAP_UDP, NATPMP_NOT_AUTHORIZED, 0, 0, 0);
}

/* P2, P12 */
static void natpmp_refuses_at_once_what_cannot_be(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 0, 9000, 7200), SERVER_ANSWER);
	assert_natpmp(f, NATPMP_MAP_UDP, NATPMP_NOT_AUTHORIZED, 0, 0, 0);
	set_wan(f, "::");
	assert_int_equal(natpmp(f, NATPMP_MAP_TCP, 7000, 9000, 7200), SERVER_ANSWER);
	assert_natpmp(f, NATPMP_MAP_TCP, NATPMP_NETWORK_FAILURE, 7000, 0, 0);
	assert_int_equal(server_waiting(f->srv), 0);
}

/* P5: the tail as sent, and never more than 1,100 bytes. */
static void natpmp_sends_unknown_opcodes_back(void **state)
{
	struct fixture *f = *state;
	uint8_t data[SERVER_DATAGRAM] = {0, 3, 0, 0, 0, 0, 0, 0, 7};
	static const uint8_t head[9] = {0, 0x83, 0, 5, 0, 0, 2, 0xbc, 7};

	assert_int_equal(handle(f, data, 12), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 12);
	assert_memory_equal(f->answer.data, head, 9);
	assert_int_equal(handle(f, data, sizeof(data)), SERVER_ANSWER);
	assert_int_equal(f->answer.len, PCP_MAX_LEN);
}

/* C1, P3, P4 */
static void what_deserves_no_answer_gets_none(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(7200, IPPROTO_TCP, 80, 0, "0.0.0.0");

	assert_int_equal(handle(f, "", 0), SERVER_SILENT);
	for (int version = 0; version < 256; version++) {
		uint8_t data[2] = {(uint8_t)version, 0x80};

		assert_int_equal(handle(f, data, 1), SERVER_SILENT);
		assert_int_equal(handle(f, data, 2), SERVER_SILENT);
	}
	for (size_t len = 2; len < PCP_HEADER_LEN; len++)
		assert_int_equal(handle(f, p.data, len), SERVER_SILENT);
	assert_int_equal(handle(f, "\0\1\0\0\0\0\0\0\0\0\0", 11), SERVER_SILENT);
}

/* C2, S4 */
static void other_versions_are_told_ours(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(7200, IPPROTO_TCP, 80, 81, "99.9.9.9");

	assert_int_equal(handle(f, "\3\1", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 4);
	assert_memory_equal(f->answer.data, "\2\x81\0\1", 4);
	for (uint8_t version = 1; version < 4; version += 2) {
		p.data[0] = version;
		assert_int_equal(handle(f, p.data, p.len), SERVER_ANSWER);
		assert_int_equal(f->answer.len, 60);
		assert_pcp(f, PCP_UNSUPP_VERSION, 1800);
		assert_memory_equal(f->answer.data + 12, p.data + 12, 48);
	}
}

/* P6, P28, RFC 6887 appendix A */
static void one_protocol_alone_tells_clients_of_the_other(void **state)
{
	static const uint8_t natpmp_only[8] = {0, 0, 0, 1, 0, 0, 2, 0xbc};
	struct fixture *f = *state;
	struct packet p = pcp_map(7200, IPPROTO_TCP, 80, 81, "0.0.0.0");

	server_set_protocols(f->srv, true, false);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 8);
	assert_memory_equal(f->answer.data, natpmp_only, 8);
	assert_int_equal(handle(f, "\2\x81", 2), SERVER_SILENT);
	assert_int_equal(natpmp(f, NATPMP_MAP_TCP, 80, 0, 600), SERVER_ASK);

	server_set_protocols(f->srv, false, true);
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 4);
	assert_memory_equal(f->answer.data, "\2\x80\0\1", 4);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);

	server_set_protocols(f->srv, false, false);
	assert_int_equal(handle(f, "\0\0", 2), SERVER_SILENT);
	assert_int_equal(handle(f, p.data, p.len), SERVER_SILENT);
}

/* C7, C8, C13, C17: suggestions are hints, the nonce goes along. */
static void pcp_map_asks_and_answers_what_was_given(void **state)
{
	static const char *const hints[] = {"0.0.0.0", "::", "99.9.9.9", "127.0.0.1"};
	struct fixture *f = *state;
	struct in6_addr wan = address("11.0.0.7");

	for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
		struct packet p = pcp_map(7200, IPPROTO_UDP, 3074, 4000, hints[i]);

		option(&p, 200, "unknown"); /* C21 */
		assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
		assert_int_equal(f->ask.op, LEASE_OP_MAP);
		assert_int_equal(f->ask.by, LEASE_BY_PCP);
		assert_int_equal(f->ask.protocol, IPPROTO_UDP);
		assert_int_equal(f->ask.flags, LEASE_NONCE);
		assert_int_equal(f->ask.int_port, 3074);
		assert_int_equal(f->ask.ext_port, 4000);
		assert_int_equal(f->ask.lifetime, 7200);
		assert_memory_equal(f->ask.nonce, nonce, sizeof(nonce));
		assert_string_equal(f->ask.description, "");
		f->reply.ext_port = 4001;
		f->reply.lifetime = 3600;
		memcpy(f->reply.description, "upnp's", 7);
		assert_true(reply(f, LEASE_OK));
		assert_int_equal(f->answer.len, 60);
		assert_memory_equal(&f->answer.to, &f->peer, sizeof(f->peer));
		assert_pcp(f, PCP_SUCCESS, 3600);
		assert_memory_equal(f->answer.data + 24, p.data + 24, 18);
		assert_int_equal(u16(f, 42), 4001);
		assert_memory_equal(f->answer.data + 44, &wan, sizeof(wan));
	}
}

/* C57 */
static void a_nonce_of_zeros_is_one(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(7200, IPPROTO_UDP, 3074, 0, "0.0.0.0");

	memset(p.data + 24, 0, PCP_NONCE_LEN);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE);
}

/* C29: returned as it is stored, and only if asked. */
static void description_returns_as_stored(void **state)
{
	static const uint8_t stored[12] = {128, 0,   0,   7,   's', 't',
					   'o', 'r', 'e', 'd', '!', 0};
	struct fixture *f = *state;
	struct packet p = pcp_map(7200, IPPROTO_UDP, 3074, 0, "0.0.0.0");
	struct packet bad = p;

	option(&p, PCP_DESCRIPTION, "a game");
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_string_equal(f->ask.description, "a game");
	memcpy(f->reply.description, "stored!", 8);
	f->reply.ext_port = 3074;
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 72);
	assert_memory_equal(f->answer.data + 60, stored, sizeof(stored));

	option(&bad, PCP_DESCRIPTION, "\xff");
	assert_int_equal(handle(f, bad.data, bad.len), SERVER_ASK);
	assert_string_equal(f->ask.description, "");
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 60);
}

/* C14, C34: twice the same success, the suggestion copied. */
static void pcp_deletes(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(0, IPPROTO_TCP, 3074, 4000, "99.9.9.9");

	set_wan(f, "::"); /* no WAN is needed for that */
	option(&p, PCP_DESCRIPTION, "a game");
	for (int round = 0; round < 2; round++) {
		assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
		assert_int_equal(f->ask.op, LEASE_OP_UNMAP);
		assert_int_equal(f->ask.flags, LEASE_NONCE);
		assert_int_equal(f->ask.int_port, 3074);
		assert_int_equal(f->ask.ext_port, 0);
		f->reply.ext_port = 4001;
		assert_true(reply(f, round ? LEASE_NOT_FOUND : LEASE_OK));
		assert_int_equal(f->answer.len, 60);
		assert_pcp(f, PCP_SUCCESS, 0);
		assert_memory_equal(f->answer.data + 24, p.data + 24, 36);
	}
	/* C16 */
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_true(reply(f, LEASE_STATIC));
	assert_pcp(f, PCP_NOT_AUTHORIZED, 1800);
	/* C9 */
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	f->reply.lifetime = 123;
	assert_true(reply(f, LEASE_NONCE_MISMATCH));
	assert_pcp(f, PCP_NOT_AUTHORIZED, 123);
}

/* C15, C12: there never is a wildcard or a foreign protocol, and nothing else goes. */
static void deleting_a_wildcard_changes_nothing(void **state)
{
	static const struct {
		uint8_t protocol;
		uint16_t port;
	} rows[] = {{0, 0}, {IPPROTO_TCP, 0}, {IPPROTO_UDP, 0}, {IPPROTO_SCTP, 80}};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct packet p = pcp_map(0, rows[i].protocol, rows[i].port, 0,
					  "0.0.0.0");

		assert_int_equal(handle(f, p.data, p.len), SERVER_ANSWER);
		assert_int_equal(f->answer.len, 60);
		assert_pcp(f, PCP_SUCCESS, 0);
		assert_memory_equal(f->answer.data + 24, p.data + 24, 36);
	}
}

/* C10, C11, C12, C28: at once, without the core. */
static void pcp_refuses_at_once_what_cannot_be(void **state)
{
	struct fixture *f = *state;
	struct packet all = pcp_map(600, IPPROTO_UDP, 0, 0, "0.0.0.0");
	struct packet dmz = pcp_map(600, 0, 0, 0, "0.0.0.0");
	struct packet odd = pcp_map(600, 0, 80, 0, "0.0.0.0");
	struct packet good = pcp_map(600, IPPROTO_UDP, 80, 81, "99.9.9.9");

	assert_int_equal(handle(f, all.data, all.len), SERVER_ANSWER);
	assert_pcp(f, PCP_UNSUPP_PROTOCOL, 1800);
	assert_int_equal(handle(f, dmz.data, dmz.len), SERVER_ANSWER);
	assert_pcp(f, PCP_UNSUPP_PROTOCOL, 1800);
	assert_int_equal(handle(f, odd.data, odd.len), SERVER_ANSWER);
	assert_pcp(f, PCP_MALFORMED_REQUEST, 1800);
	set_wan(f, "0.0.0.0");
	assert_int_equal(handle(f, good.data, good.len), SERVER_ANSWER);
	assert_pcp(f, PCP_NETWORK_FAILURE, 30);
	assert_int_equal(f->answer.len, 60);
	assert_memory_equal(f->answer.data + 24, good.data + 24, 36); /* C6 */
	assert_int_equal(server_waiting(f->srv), 0);
}

/* C5, also for sources that have no business here */
static void another_client_address_is_told(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 80, 0, "0.0.0.0");

	f->peer.addr = address("192.168.1.21");
	assert_int_equal(handle(f, p.data, p.len), SERVER_ANSWER);
	assert_pcp(f, PCP_ADDRESS_MISMATCH, 1800);
	p.data[1] = PCP_ANNOUNCE;
	assert_int_equal(handle(f, p.data, PCP_HEADER_LEN), SERVER_ANSWER);
	assert_pcp(f, PCP_ADDRESS_MISMATCH, 1800);
}

/* C22, C28: an ANNOUNCE is answered without a WAN, too. */
static void announce_is_answered_at_once(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(4711, IPPROTO_UDP, 80, 0, "0.0.0.0");

	set_wan(f, "::");
	p.data[1] = PCP_ANNOUNCE;
	p.len = PCP_HEADER_LEN;
	option(&p, 200, "abcde");
	assert_int_equal(handle(f, p.data, p.len), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 24);
	assert_pcp(f, PCP_SUCCESS, 0);
}

/* C18, C44 */
static void prefer_failure_wants_that_port_and_address(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "11.0.0.7");
	struct packet any = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	struct packet other = pcp_map(600, IPPROTO_UDP, 3074, 4000, "11.0.0.8");

	option(&p, PCP_PREFER_FAILURE, "");
	option(&any, PCP_PREFER_FAILURE, "");
	option(&other, PCP_PREFER_FAILURE, "");
	assert_int_equal(handle(f, any.data, any.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE | LEASE_EXACT);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE | LEASE_EXACT);
	f->reply.ext_port = 4000;
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 64); /* C59: the option was processed */
	assert_memory_equal(f->answer.data + 60, "\2\0\0\0", 4);
	assert_int_equal(handle(f, other.data, other.len), SERVER_ANSWER);
	assert_pcp(f, PCP_CANNOT_PROVIDE_EXTERNAL, 1800);
	assert_int_equal(f->answer.len, 64);
}

/* C9, C28, C36, C50, P11: every reason of the core has its code in each protocol. */
static void every_refusal_has_its_code(void **state)
{
	enum { SILENT = 99 };
	static const struct {
		enum lease_reason reason;
		uint8_t natpmp;
		uint8_t pcp;
		uint32_t pcp_lifetime;
		uint8_t exact;
		uint32_t exact_lifetime;
	} rows[] = {
		{LEASE_NOT_LAN, SILENT, SILENT, 0, SILENT, 0},
		{LEASE_THIRD_PARTY, 2, 5, 1800, 5, 1800},
		{LEASE_PROTOCOL, 2, 9, 1800, 9, 1800},
		{LEASE_PORT, 2, 2, 1800, 2, 1800},
		{LEASE_ACCESS, 2, 2, 1800, 11, 1800},
		{LEASE_RESERVED, 2, 2, 1800, 11, 1800},
		{LEASE_ROUTER, 2, 2, 1800, 11, 1800},
		{LEASE_STATIC, 2, 2, 1800, 11, 1800},
		{LEASE_QUOTA_HOST, 4, 10, 30, 10, 30},
		{LEASE_QUOTA_TABLE, 4, 8, 30, 8, 30},
		{LEASE_RATE, SILENT, SILENT, 0, SILENT, 0},
		{LEASE_TAKEN, 2, 8, 30, 11, 30},
		{LEASE_NO_PORT, 4, 8, 30, 11, 30},
		{LEASE_NONCE_MISMATCH, 2, 2, 555, 2, 555},
		{LEASE_NOT_OWNER, 2, 2, 1800, 2, 1800},
		{LEASE_NOT_FOUND, 2, 2, 1800, 2, 1800},
		{LEASE_NO_WAN, 3, 7, 30, 7, 30},
		{LEASE_REMOTE, 2, 2, 1800, 2, 1800},
		{LEASE_FILTERS, 2, 2, 1800, 2, 1800},
		{LEASE_KERNEL, 4, 8, 30, 8, 30},
		{LEASE_DENIED, 2, 2, 1800, 2, 1800},
		{LEASE_REASON_END, 2, 2, 1800, 2, 1800},
	};
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "99.9.9.9");
	struct packet exact = pcp_map(600, IPPROTO_UDP, 3074, 4000, "11.0.0.7");

	option(&exact, PCP_PREFER_FAILURE, "");
	assert_int_equal(sizeof(rows) / sizeof(*rows), LEASE_REASON_END); /* all but OK */
	f->reply.ext_port = 4000; /* must not leak into an error */
	f->reply.lifetime = 555;
	for (size_t i = 0; i < LEASE_REASON_END; i++) {
		assert_int_equal(rows[i].reason, i + 1);
		assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 3074, 4000, 600), SERVER_ASK);
		assert_int_equal(reply(f, rows[i].reason), rows[i].natpmp != SILENT);
		if (rows[i].natpmp != SILENT)
			assert_natpmp(f, NATPMP_MAP_UDP, rows[i].natpmp, 3074, 0, 0);

		assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
		assert_int_equal(reply(f, rows[i].reason), rows[i].pcp != SILENT);
		if (rows[i].pcp != SILENT) {
			assert_pcp(f, rows[i].pcp, rows[i].pcp_lifetime);
			assert_int_equal(f->answer.len, p.len); /* C6 */
			assert_memory_equal(f->answer.data + 24, p.data + 24, 36);
		}

		assert_int_equal(handle(f, exact.data, exact.len), SERVER_ASK);
		assert_int_equal(reply(f, rows[i].reason), rows[i].exact != SILENT);
		if (rows[i].exact != SILENT) {
			assert_pcp(f, rows[i].exact, rows[i].exact_lifetime);
			assert_int_equal(f->answer.len, exact.len);
			assert_memory_equal(f->answer.data + 24, exact.data + 24, 40);
		}
	}
	assert_int_equal(server_waiting(f->srv), 0);
}

/* C45; NAT-PMP's P10 still holds. */
static void a_static_forward_is_told_as_everlasting(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");

	f->reply.claims = 1 << LEASE_BY_STATIC;
	f->reply.ext_port = 8080;
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_true(reply(f, LEASE_OK));
	assert_pcp(f, PCP_SUCCESS, UINT32_MAX);
	assert_int_equal(u16(f, 42), 8080);
	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 3074, 0, 600), SERVER_ASK);
	assert_true(reply(f, LEASE_OK));
	assert_natpmp(f, NATPMP_MAP_UDP, NATPMP_SUCCESS, 3074, 8080, 600);
}

static void a_grant_without_a_wan_is_a_network_failure(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");

	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	f->reply.tag = f->ask.tag;
	f->reply.reason = LEASE_OK;
	assert_true(server_reply(f->srv, &f->reply, NOW, &f->answer));
	assert_pcp(f, PCP_NETWORK_FAILURE, 30);
}

/* S1, S2: only what was sent to an address of ours, answered from that one. */
static void only_our_own_addresses_are_served(void **state)
{
	static const char *const to[] = {"192.168.1.255", "255.255.255.255", "224.0.0.1",
					 "11.0.0.7",      "192.168.1.3",     "0.0.0.0"};
	static const char *const from[] = {"0.0.0.0",         "127.0.0.1", "224.0.0.1",
					   "255.255.255.255", "240.0.0.1", "0.1.2.3"};
	struct fixture *f = *state;
	struct server_peer good = f->peer;

	for (size_t i = 0; i < sizeof(to) / sizeof(*to); i++) {
		f->peer.local = address(to[i]);
		assert_int_equal(handle(f, "\0\0", 2), SERVER_SILENT);
	}
	f->peer = good;
	for (size_t i = 0; i < sizeof(from) / sizeof(*from); i++) {
		f->peer.addr = address(from[i]);
		assert_int_equal(handle(f, "\0\0", 2), SERVER_SILENT);
	}
	f->peer = good;
	f->peer.port = 0;
	assert_int_equal(handle(f, "\0\0", 2), SERVER_SILENT);
	f->peer.port = 1;
	f->peer.local = address("192.168.1.2");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 80, 0, 600), SERVER_ASK);
	assert_true(reply(f, LEASE_OK));
	assert_memory_equal(&f->answer.to, &f->peer, sizeof(f->peer));
}

static void nothing_is_served_before_the_state_has_come(void **state)
{
	struct record_setup setup = {.n_addrs = 1,
				     .features = RECORD_NATPMP | RECORD_PCP};
	struct fixture *f = *state;

	server_free(f->srv);
	setup.addrs[0].addr = f->peer.local;
	f->srv = server_new(&setup);
	assert_non_null(f->srv);
	assert_int_equal(handle(f, "\0\0", 2), SERVER_SILENT);
	set_wan(f, "11.0.0.7");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
}

/* A late, doubled or invented reply reaches nobody. */
static void replies_with_another_tag_are_ignored(void **state)
{
	struct fixture *f = *state;
	uint32_t first;

	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 80, 0, 600), SERVER_ASK);
	first = f->ask.tag;
	for (unsigned int bit = 0; bit < 32; bit++) {
		f->ask.tag = first ^ 1U << bit;
		assert_false(reply(f, LEASE_OK));
	}
	f->ask.tag = first;
	assert_true(reply(f, LEASE_OK));
	assert_false(reply(f, LEASE_OK));
	assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 81, 0, 600), SERVER_ASK);
	assert_int_not_equal(f->ask.tag, first);
	f->ask.tag = first;
	assert_false(reply(f, LEASE_OK));
	assert_int_equal(server_waiting(f->srv), 1);
}

static void slots_are_not_shared(void **state)
{
	struct fixture *f = *state;
	uint32_t tag[4];

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 80, 0, 600), SERVER_ASK);
		tag[i] = f->ask.tag;
	}
	server_cancel(f->srv, tag[0]);
	assert_int_equal(natpmp(f, NATPMP_MAP_TCP, 81, 0, 600), SERVER_ASK);
	tag[3] = f->ask.tag;
	for (size_t i = 1; i < 4; i++) {
		f->ask.tag = tag[i];
		assert_true(reply(f, LEASE_OK));
		assert_int_equal(u16(f, 8), i < 3 ? 80 : 81);
	}
}

/* C49, design 2: at most 1,024 wait; whoever comes then is not answered, and may later. */
static void a_full_table_is_silent(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	static uint32_t tags[CHANNEL_FLIGHT];

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < CHANNEL_FLIGHT; i++) {
			assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
			tags[i] = f->ask.tag;
		}
		assert_int_equal(handle(f, p.data, p.len), SERVER_SILENT);
		assert_int_equal(natpmp(f, NATPMP_MAP_UDP, 80, 0, 600), SERVER_SILENT);
		assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
		for (size_t i = 0; i < CHANNEL_FLIGHT; i++) {
			f->ask.tag = tags[(i * 7) % CHANNEL_FLIGHT];
			if (i % 2)
				assert_true(reply(f, LEASE_QUOTA_HOST));
			else
				server_cancel(f->srv, f->ask.tag);
		}
		assert_int_equal(server_waiting(f->srv), 0);
	}
}

/* C25, P17 */
static void the_epoch_counts_seconds_from_its_start(void **state)
{
	struct fixture *f = *state;
	struct record_state st = {.epoch_ms = 5000};
	struct server_answer a;

	st.wan4 = address("11.0.0.7");
	server_set_state(f->srv, &st);
	for (uint64_t ms = 4000; ms < 9000; ms += 500) {
		uint32_t want = ms < 5000 ? 0 : (uint32_t)(ms - 5000) / 1000;

		assert_int_equal(
			server_handle(f->srv, &f->peer, "\0\0", 2, ms, &a, &f->ask),
			SERVER_ANSWER);
		f->answer = a;
		assert_int_equal(u32(f, 4), want);
	}
}

/* S3 */
static void a_host_that_asks_too_often_is_not_answered(void **state)
{
	struct record_setup setup = {.n_addrs = 1,
				     .requests_per_second = 10,
				     .features = RECORD_NATPMP | RECORD_PCP};
	struct fixture *f = *state;
	struct server_answer a;
	int answered = 0;

	server_free(f->srv);
	setup.addrs[0].addr = f->peer.local;
	f->srv = server_new(&setup);
	assert_non_null(f->srv);
	set_wan(f, "11.0.0.7");
	for (int i = 0; i < 1000; i++)
		answered += handle(f, "\0\0", 2) == SERVER_ANSWER;
	assert_int_equal(answered, 20);
	f->peer.addr = address("192.168.1.21");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	f->peer.addr = address("192.168.1.20");
	answered = 0;
	for (uint64_t ms = NOW; ms < NOW + 10000; ms++)
		answered += server_handle(f->srv, &f->peer, "\0\0", 2, ms, &a, &f->ask) ==
			    SERVER_ANSWER;
	assert_in_range(answered, 98, 101);
}

static void the_rate_remembers_hosts_while_others_come(void **state)
{
	struct rate *r = calloc(1, sizeof(*r));
	struct in6_addr busy = address("10.0.0.1");
	int admitted = 0;

	(void)state;
	assert_non_null(r);
	r->per_second = 200;
	for (uint32_t i = 0; i < 8000; i++) {
		struct in6_addr other = addr_from_v4(
			(struct in_addr){htonl(0x0a010000 + i)});

		admitted += rate_admit(r, &busy, NOW);
		assert_true(rate_admit(r, &other, NOW));
	}
	assert_int_equal(admitted, 400);
	free(r);
}

/* C41: whatever comes, the server neither reads past it nor asks for what is not in it. */
static void any_bytes_are_borne(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	uint32_t seed = 1;

	option(&p, PCP_DESCRIPTION, "a game");
	option(&p, PCP_PREFER_FAILURE, "");
	for (int i = 0; i < 200000; i++) {
		struct packet q = p;

		for (int flips = 0; flips < 3; flips++) {
			seed = seed * 1664525 + 1013904223;
			q.data[(seed >> 8) % q.len] = (uint8_t)(seed >> 24);
		}
		seed = seed * 1664525 + 1013904223;
		if (seed & 1 << 20)
			q.len = (seed >> 8) % (q.len + 1);
		if (handle(f, q.data, q.len) == SERVER_ASK)
			assert_true(reply(f, LEASE_OK));
	}
	assert_int_equal(server_waiting(f->srv), 0);
}

/* C20, C59: what is asked of the core, and what comes back. */
static void filters_are_asked_for_and_come_back(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	struct packet more = p, all = p;

	filter(&p, "9.9.9.9", 128, 1);
	filter(&p, "::", 0, 0);
	filter(&p, "1.2.3.0", 120, 80);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE | LEASE_UNFILTER);
	assert_int_equal(f->ask.n_filters, 1);
	assert_int_equal(f->ask.filters[0].len, 120);
	assert_int_equal(f->ask.filters[0].port, 80);
	f->reply.ext_port = 4000;
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, p.len);
	assert_memory_equal(f->answer.data + 60, p.data + 60, p.len - 60);

	filter(&more, "1.2.3.0", 120, 80);
	assert_int_equal(handle(f, more.data, more.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE); /* they are added */
	assert_true(reply(f, LEASE_FILTERS));
	assert_pcp(f, PCP_EXCESSIVE_REMOTE_PEERS, 1800);
	assert_int_equal(handle(f, more.data, more.len), SERVER_ASK);
	assert_true(reply(f, LEASE_REMOTE));
	assert_pcp(f, PCP_EXCESSIVE_REMOTE_PEERS, 1800);
	assert_memory_equal(f->answer.data + 24, more.data + 24, more.len - 24);

	for (int i = 0; i <= LEASE_FILTERS_MAX; i++)
		filter(&all, "1.2.3.0", 120, 80);
	assert_int_equal(handle(f, all.data, all.len), SERVER_ANSWER);
	assert_pcp(f, PCP_EXCESSIVE_REMOTE_PEERS, 1800);
}

/* C19: the core's policy says who may; never "not authorized". */
static void a_third_party_is_asked_for(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	struct packet self = p, outside = p;
	struct packet del = pcp_map(0, IPPROTO_UDP, 3074, 0, "0.0.0.0");

	third_party(f, &outside, "172.16.0.1");
	assert_int_equal(handle(f, outside.data, outside.len), SERVER_ANSWER);
	assert_pcp(f, PCP_UNSUPP_OPTION, 1800);
	third_party(f, &self, "192.168.1.20");
	assert_int_equal(handle(f, self.data, self.len), SERVER_ANSWER);
	assert_pcp(f, PCP_MALFORMED_REQUEST, 1800);

	third_party(f, &p, "192.168.1.21");
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_true(reply(f, LEASE_THIRD_PARTY));
	assert_pcp(f, PCP_UNSUPP_OPTION, 1800);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	f->reply.ext_port = 4000;
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 80);
	assert_memory_equal(f->answer.data + 60, p.data + 60, 20); /* C59 */

	third_party(f, &del, "192.168.1.21");
	assert_int_equal(handle(f, del.data, del.len), SERVER_ASK);
	assert_int_equal(f->ask.op, LEASE_OP_UNMAP);
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 80);
	assert_memory_equal(f->answer.data + 60, del.data + 60, 20);
}

/* C29: absent keeps it, empty clears it. */
static void description_is_told_apart_from_none(void **state)
{
	struct fixture *f = *state;
	struct packet none = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	struct packet empty = none, bad = none;

	assert_int_equal(handle(f, none.data, none.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE);
	option(&empty, PCP_DESCRIPTION, "");
	assert_int_equal(handle(f, empty.data, empty.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE | LEASE_DESCRIBE);
	assert_string_equal(f->ask.description, "");
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 64);
	assert_memory_equal(f->answer.data + 60, "\x80\0\0\0", 4);
	option(&bad, PCP_DESCRIPTION, "\xff");
	assert_int_equal(handle(f, bad.data, bad.len), SERVER_ASK);
	assert_int_equal(f->ask.flags, LEASE_NONCE);
	assert_true(reply(f, LEASE_OK));
	assert_int_equal(f->answer.len, 60);
}

/* C55: how long outbound traffic still keeps it, if the core says so. */
static void a_delete_tells_what_is_left(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(0, IPPROTO_UDP, 3074, 0, "0.0.0.0");

	f->reply.lifetime = 120;
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_true(reply(f, LEASE_OK));
	assert_pcp(f, PCP_SUCCESS, 120);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_true(reply(f, LEASE_NOT_FOUND));
	assert_pcp(f, PCP_SUCCESS, 0);
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_true(reply(f, LEASE_STATIC)); /* C16 */
	assert_pcp(f, PCP_NOT_AUTHORIZED, 1800);
}

static void from_v6(struct fixture *f, const char *addr, const char *local)
{
	f->peer.addr = address(addr);
	f->peer.local = address(local);
}

/* C27: a pinhole, so that external and internal are the same; no WAN of IPv4 is needed. */
static void ipv6_maps_are_pinholes(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map_of("2001:db8:1::20", 600, IPPROTO_TCP, 8333, 9000,
				     "99.9.9.9");
	struct packet exact = pcp_map_of("2001:db8:1::20", 600, IPPROTO_TCP, 8333, 8333,
					 "2001:db8:1::20");
	struct packet port = pcp_map_of("2001:db8:1::20", 600, IPPROTO_TCP, 8333, 9000,
					"::");
	struct packet addr = pcp_map_of("2001:db8:1::20", 600, IPPROTO_TCP, 8333, 8333,
					"2001:db8:1::21");

	set_wan(f, "::");
	from_v6(f, "2001:db8:1::20", "fe80::1"); /* as Bitcoin Core asks */
	assert_int_equal(handle(f, p.data, p.len), SERVER_ASK);
	assert_int_equal(f->ask.int_port, 8333);
	assert_int_equal(f->ask.ext_port, 8333);
	f->reply.tag = f->ask.tag;
	f->reply.reason = LEASE_OK;
	f->reply.ext_port = 8333;
	f->reply.lifetime = 600;
	f->reply.external = f->peer.addr;
	assert_true(server_reply(f->srv, &f->reply, NOW, &f->answer));
	assert_pcp(f, PCP_SUCCESS, 600);
	assert_int_equal(f->answer.len, 60);
	assert_int_equal(u16(f, 42), 8333);
	assert_memory_equal(f->answer.data + 44, &f->peer.addr, 16);
	assert_memory_equal(&f->answer.to, &f->peer, sizeof(f->peer)); /* S2 */

	option(&exact, PCP_PREFER_FAILURE, "");
	option(&port, PCP_PREFER_FAILURE, "");
	option(&addr, PCP_PREFER_FAILURE, "");
	assert_int_equal(handle(f, exact.data, exact.len), SERVER_ASK);
	assert_int_equal(handle(f, port.data, port.len), SERVER_ANSWER);
	assert_pcp(f, PCP_CANNOT_PROVIDE_EXTERNAL, 1800);
	assert_int_equal(handle(f, addr.data, addr.len), SERVER_ANSWER);
	assert_pcp(f, PCP_CANNOT_PROVIDE_EXTERNAL, 1800);
}

/* C27, N22: nobody outside can reach these, so nothing is opened; ANNOUNCE is answered. */
static void ipv6_addresses_of_the_lan_alone_are_not_mapped(void **state)
{
	static const char *const addrs[] = {"fe80::20", "fd00:1::20"};
	struct record_setup setup = {.n_addrs = 1, .features = RECORD_PCP};
	struct fixture *f = *state;

	server_free(f->srv);
	setup.addrs[0] = network("fd00:1::1", 64);
	f->srv = server_new(&setup);
	assert_non_null(f->srv);
	set_wan(f, "11.0.0.7");
	for (size_t i = 0; i < 2; i++) {
		struct packet p = pcp_map_of(addrs[i], 600, IPPROTO_TCP, 8333, 0, "::");
		struct packet del = pcp_map_of(addrs[i], 0, IPPROTO_TCP, 8333, 0, "::");

		from_v6(f, addrs[i], "fe80::1");
		assert_int_equal(handle(f, p.data, p.len), SERVER_ANSWER);
		assert_pcp(f, PCP_NOT_AUTHORIZED, 1800);
		assert_int_equal(handle(f, del.data, del.len), SERVER_ANSWER);
		assert_pcp(f, PCP_SUCCESS, 0);
		p.data[1] = PCP_ANNOUNCE;
		assert_int_equal(handle(f, p.data, PCP_HEADER_LEN), SERVER_ANSWER);
		assert_pcp(f, PCP_SUCCESS, 0);
	}
	from_v6(f, "fd00:2::20", "fe80::1"); /* S1: no host of that LAN */
	assert_int_equal(handle(f, "\3\0", 2), SERVER_SILENT);
	from_v6(f, "fe80::20", "ff02::1");
	assert_int_equal(handle(f, "\3\0", 2), SERVER_SILENT);
	from_v6(f, "ff02::1", "fe80::1");
	assert_int_equal(handle(f, "\3\0", 2), SERVER_SILENT);
	from_v6(f, "::1", "fe80::1");
	assert_int_equal(handle(f, "\3\0", 2), SERVER_SILENT);
	/* S4: NAT-PMP knows no IPv6. */
	from_v6(f, "fe80::20", "fe80::1");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_memory_equal(f->answer.data, "\2\x80\0\1", 4);
}

static void natpmp_is_not_spoken_over_ipv6(void **state)
{
	struct fixture *f = *state;

	from_v6(f, "2001:db8:1::20", "2001:db8:1::1");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 4);
	assert_memory_equal(f->answer.data, "\2\x80\0\1", 4);
	server_set_protocols(f->srv, true, false);
	assert_int_equal(handle(f, "\0\0", 2), SERVER_SILENT);
	assert_int_equal(handle(f, "\2\0", 2), SERVER_SILENT);
}

/* S1: of its networks, and of those behind a switch. */
static void only_hosts_of_that_lan_are_served(void **state)
{
	static const struct {
		const char *host;
		enum server_verdict want;
	} rows[] = {
		{"192.168.1.77", SERVER_ANSWER}, {"10.20.3.4", SERVER_ANSWER},
		{"192.168.2.20", SERVER_SILENT}, {"11.0.0.2", SERVER_SILENT},
		{"10.21.0.1", SERVER_SILENT},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		f->peer.addr = address(rows[i].host);
		assert_int_equal(handle(f, "\0\0", 2), rows[i].want);
		assert_int_equal(handle(f, "\3\0", 2), rows[i].want);
	}
}

/* Grants that mapping. */
static void grant(struct fixture *f, const struct packet *p)
{
	assert_int_equal(handle(f, p->data, p->len), SERVER_ASK);
	f->reply.ext_port = 4000;
	f->reply.lifetime = 600;
	assert_true(reply(f, LEASE_OK));
	assert_pcp(f, PCP_SUCCESS, 600);
}

/* One update; the core is asked where that is wanted, and has the lease as it was granted. */
static bool update(struct fixture *f, uint64_t now_ms)
{
	struct lease_reply there;
	enum server_verdict v = server_update(f->srv, now_ms, &f->answer, &f->ask);

	if (v != SERVER_ASK)
		return v == SERVER_ANSWER;
	assert_true(lease_request_valid(&f->ask));
	assert_int_equal(f->ask.op, LEASE_OP_GET_PORT);
	assert_int_equal(f->ask.ext_port, 4000);
	there = (struct lease_reply){.tag = f->ask.tag,
				     .op = f->ask.op,
				     .protocol = f->ask.protocol,
				     .int_port = f->ask.int_port,
				     .ext_port = 4000,
				     .internal = f->peer.addr,
				     .claims = 1 << LEASE_BY_PCP};
	return server_reply(f->srv, &there, now_ms, &f->answer);
}

/* C24: the reply that the client would get now, with its nonce, three times. */
static void clients_are_told_of_a_new_address(void **state)
{
	static const uint64_t after[] = {0, 250, 750};
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	struct in6_addr wan = address("12.0.0.9");

	option(&p, PCP_DESCRIPTION, "no mandatory one, so left out");
	filter(&p, "1.2.3.0", 120, 80);
	grant(f, &p);
	assert_true(server_next_update(f->srv) == UINT64_MAX);
	set_wan(f, "::");
	assert_true(server_next_update(f->srv) == UINT64_MAX);
	assert_false(update(f, NOW));
	set_wan(f, "12.0.0.9");
	for (size_t i = 0; i < 3; i++) {
		uint64_t now = NOW + after[i];

		assert_true(server_next_update(f->srv) <= now);
		if (i)
			assert_true(server_next_update(f->srv) == now);
		assert_true(update(f, now));
		assert_memory_equal(&f->answer.to, &f->peer, sizeof(f->peer));
		assert_pcp(f, PCP_SUCCESS, 600);
		assert_int_equal(f->answer.data[1], 0x81);
		assert_int_equal(f->answer.len, 60 + 24);
		assert_memory_equal(f->answer.data + 24, p.data + 24, 18);
		assert_int_equal(u16(f, 42), 4000);
		assert_memory_equal(f->answer.data + 44, &wan, sizeof(wan));
		assert_memory_equal(f->answer.data + 60, p.data + p.len - 24, 24);
		assert_false(update(f, now));
	}
	assert_true(server_next_update(f->srv) == UINT64_MAX);
}

/* C24: who had PREFER_FAILURE for that address rather has none; who renews knows. */
static void an_update_is_what_the_client_asked_for(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "11.0.0.7");
	struct packet del = pcp_map(0, IPPROTO_UDP, 3074, 4000, "11.0.0.7");
	struct packet any = pcp_map(600, IPPROTO_UDP, 3075, 4000, "0.0.0.0");

	option(&p, PCP_PREFER_FAILURE, "");
	option(&any, PCP_PREFER_FAILURE, "");
	grant(f, &p);
	set_wan(f, "12.0.0.9");
	assert_true(update(f, NOW));
	assert_pcp(f, PCP_CANNOT_PROVIDE_EXTERNAL, 1800);
	assert_int_equal(f->answer.len, 60);
	assert_memory_equal(f->answer.data + 24, p.data + 24, 36);
	assert_int_equal(handle(f, del.data, del.len), SERVER_ASK);
	assert_true(reply(f, LEASE_OK));
	assert_false(update(f, NOW + 250));

	grant(f, &any);
	set_wan(f, "12.0.0.10");
	assert_true(update(f, NOW));
	assert_pcp(f, PCP_SUCCESS, 600);
	grant(f, &any);
	assert_false(update(f, NOW + 250));
	assert_true(server_next_update(f->srv) == UINT64_MAX);
}

/* C24: nobody is told of what has ended meanwhile, by the admin's word or another's. */
static void an_update_is_of_what_is_there(void **state)
{
	static const struct {
		enum lease_reason reason;
		uint16_t int_port;
		uint8_t claims;
		bool told;
	} rows[] = {
		{LEASE_OK, 3074, 1 << LEASE_BY_PCP | 1 << LEASE_BY_UPNP, true},
		{LEASE_OK, 3074, 1 << LEASE_BY_STATIC, true},
		{LEASE_OK, 3074, 1 << LEASE_BY_UPNP, false},
		{LEASE_OK, 3075, 1 << LEASE_BY_PCP, false},
		{LEASE_NOT_FOUND, 3074, 0, false},
		{LEASE_RATE, 3074, 0, true}, /* it could not be asked */
	};
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct lease_reply r = {.reason = (uint8_t)rows[i].reason,
					.int_port = rows[i].int_port,
					.internal = f->peer.addr,
					.claims = rows[i].claims};

		grant(f, &p);
		set_wan(f, i % 2 ? "12.0.0.10" : "12.0.0.9");
		assert_int_equal(server_update(f->srv, NOW, &f->answer, &f->ask),
				 SERVER_ASK);
		r.tag = f->ask.tag;
		assert_int_equal(server_reply(f->srv, &r, NOW + 7, &f->answer),
				 rows[i].told);
		/* 250 ms count from when it was sent. */
		assert_int_equal(server_update(f->srv, NOW + 256, &f->answer, &f->ask),
				 SERVER_SILENT);
		assert_int_equal(server_update(f->srv, NOW + 257, &f->answer, &f->ask),
				 rows[i].told ? SERVER_ANSWER : SERVER_SILENT);
	}
	assert_int_equal(server_waiting(f->srv), 0);
}

/* P17, P27, C25: a table that was lost is nothing to be told of. */
static void lost_mappings_are_not_told(void **state)
{
	struct fixture *f = *state;
	struct packet p = pcp_map(600, IPPROTO_UDP, 3074, 4000, "0.0.0.0");
	struct record_state st = {.epoch_ms = NOW, .wan4 = address("11.0.0.7")};

	grant(f, &p);
	server_set_state(f->srv, &st);
	st.wan4 = address("12.0.0.9");
	server_set_state(f->srv, &st);
	assert_false(update(f, NOW));
	assert_true(server_next_update(f->srv) == UINT64_MAX);
}

/* S3: Deluge sends 20 a second; 32 outstanding are a burst. The default limit bears both. */
static void an_honest_client_never_meets_the_limit(void **state)
{
	struct record_setup setup = {.n_addrs = 1,
				     .requests_per_second = 200,
				     .features = RECORD_NATPMP | RECORD_PCP};
	struct fixture *f = *state;
	struct server_answer a;

	server_free(f->srv);
	setup.addrs[0].addr = f->peer.local;
	f->srv = server_new(&setup);
	assert_non_null(f->srv);
	set_wan(f, "11.0.0.7");
	for (uint64_t ms = NOW; ms < NOW + 60000; ms += 50)
		for (int i = 0; i < (ms % 10000 ? 1 : 64); i++)
			assert_int_equal(server_handle(f->srv, &f->peer, "\0\0", 2, ms,
						       &a, &f->ask),
					 SERVER_ANSWER);
}

/* P6, P28, C48: what the set-up switches off. */
static void the_setup_says_what_is_served(void **state)
{
	struct record_setup setup = {.n_addrs = 1, .features = RECORD_NATPMP};
	struct fixture *f = *state;

	setup.addrs[0].addr = f->peer.local;
	server_free(f->srv);
	f->srv = server_new(&setup);
	assert_non_null(f->srv);
	set_wan(f, "11.0.0.7");
	assert_int_equal(handle(f, "\2\0", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 8);
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_int_equal(f->answer.len, 12);
	setup.features = RECORD_PCP;
	server_free(f->srv);
	f->srv = server_new(&setup);
	assert_non_null(f->srv);
	set_wan(f, "11.0.0.7");
	assert_int_equal(handle(f, "\0\0", 2), SERVER_ANSWER);
	assert_memory_equal(f->answer.data, "\2\x80\0\1", 4);
}

#define SERVER_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(natpmp_tells_the_wan_address),
		SERVER_TEST(natpmp_map_asks_for_the_sender_and_answers_what_was_given),
		SERVER_TEST(natpmp_deletes),
		SERVER_TEST(natpmp_refuses_at_once_what_cannot_be),
		SERVER_TEST(natpmp_sends_unknown_opcodes_back),
		SERVER_TEST(what_deserves_no_answer_gets_none),
		SERVER_TEST(other_versions_are_told_ours),
		SERVER_TEST(one_protocol_alone_tells_clients_of_the_other),
		SERVER_TEST(pcp_map_asks_and_answers_what_was_given),
		SERVER_TEST(a_nonce_of_zeros_is_one),
		SERVER_TEST(description_returns_as_stored),
		SERVER_TEST(pcp_deletes),
		SERVER_TEST(deleting_a_wildcard_changes_nothing),
		SERVER_TEST(pcp_refuses_at_once_what_cannot_be),
		SERVER_TEST(another_client_address_is_told),
		SERVER_TEST(announce_is_answered_at_once),
		SERVER_TEST(prefer_failure_wants_that_port_and_address),
		SERVER_TEST(every_refusal_has_its_code),
		SERVER_TEST(a_static_forward_is_told_as_everlasting),
		SERVER_TEST(a_grant_without_a_wan_is_a_network_failure),
		SERVER_TEST(only_our_own_addresses_are_served),
		SERVER_TEST(nothing_is_served_before_the_state_has_come),
		SERVER_TEST(replies_with_another_tag_are_ignored),
		SERVER_TEST(slots_are_not_shared),
		SERVER_TEST(a_full_table_is_silent),
		SERVER_TEST(the_epoch_counts_seconds_from_its_start),
		SERVER_TEST(a_host_that_asks_too_often_is_not_answered),
		SERVER_TEST(the_rate_remembers_hosts_while_others_come),
		SERVER_TEST(filters_are_asked_for_and_come_back),
		SERVER_TEST(a_third_party_is_asked_for),
		SERVER_TEST(description_is_told_apart_from_none),
		SERVER_TEST(a_delete_tells_what_is_left),
		SERVER_TEST(ipv6_maps_are_pinholes),
		SERVER_TEST(ipv6_addresses_of_the_lan_alone_are_not_mapped),
		SERVER_TEST(natpmp_is_not_spoken_over_ipv6),
		SERVER_TEST(only_hosts_of_that_lan_are_served),
		SERVER_TEST(clients_are_told_of_a_new_address),
		SERVER_TEST(an_update_is_what_the_client_asked_for),
		SERVER_TEST(an_update_is_of_what_is_there),
		SERVER_TEST(lost_mappings_are_not_told),
		SERVER_TEST(an_honest_client_never_meets_the_limit),
		SERVER_TEST(the_setup_says_what_is_served),
		SERVER_TEST(any_bytes_are_borne),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
