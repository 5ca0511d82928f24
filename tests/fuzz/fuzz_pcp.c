/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCP datagrams through the server, with a core that may give any reply. What every answer
 * must be follows from the bytes of the request (RFC 6887).
 *
 * An input: 8 bytes of circumstances, a description as the core has it (one byte of length
 * first), then the datagram. The mutator of this file knows where options begin.
 */
#include "base/addr.h"
#include "pcp/natpmp.h"
#include "pcp/server.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS 5000999
#define EPOCH_MS 1000000
#define EPOCH_S 4000
#define AROUND 8

static struct server *srv;
static struct server_peer peer4, peer6;
static struct server_answer answer;

enum around_bit {
	FIX_VERSION = 1,
	FIX_CLIENT = 2,
	WAN_DOWN = 4,
	CANCEL = 8,
	STATIC = 16,
	IPV6 = 32,
	NO_NATPMP = 64,
	NO_EXTERNAL = 128, /* the WAN goes while the core is asked */
};

struct around {
	uint8_t bits;
	struct server_peer *peer;
	struct lease_reply reply;
};

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

static void set_up(void)
{
	struct record_setup setup = {.n_addrs = 2,
				     .features = RECORD_NATPMP | RECORD_PCP};

	must(!addr_parse("192.168.1.1", &setup.addrs[0].addr));
	must(!addr_parse("fd00::1", &setup.addrs[1].addr));
	must(!addr_parse("192.168.1.20", &peer4.addr));
	must(!addr_parse("fd00::20", &peer6.addr));
	peer4.local = setup.addrs[0].addr;
	peer6.local = setup.addrs[1].addr;
	peer4.port = peer6.port = 40000;
	srv = server_new(&setup);
	must(srv);
}

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

/* Section 8.2, 7.2: an error is a copy of the request, in which only the fields of the
 * server are others. */
static void check_error(const uint8_t *packet, size_t len)
{
	static const uint8_t zero[PCP_HEADER_LEN];
	size_t most = len < PCP_MAX_LEN ? len : PCP_MAX_LEN;
	uint8_t result = answer.data[3];
	bool parsed = result == PCP_NOT_AUTHORIZED || result >= PCP_NETWORK_FAILURE;

	if (result == PCP_ADDRESS_MISMATCH)
		parsed = false;
	must(answer.len == ((most + 3) & ~(size_t)3));
	if (answer.len >= 8) /* section 7.4: for how long it holds */
		must(get_u32(answer.data + 4) != 0 || result == PCP_NOT_AUTHORIZED);
	if (parsed)
		must(!memcmp(answer.data + 12, zero, 12));
	for (size_t i = parsed ? PCP_HEADER_LEN : 12; i < answer.len; i++)
		must(answer.data[i] == (i < most ? packet[i] : 0));
}

/* Section 7.3: options stand one behind the other to the end, none but those asked for. */
static void check_options(size_t at)
{
	while (at < answer.len) {
		must(answer.len - at >= 4);
		must(answer.data[at + 1] == 0);
		must(answer.data[at] != 0);
		at += 4 + ((get_u16(answer.data + at + 2) + 3U) & ~3U);
	}
	must(at == answer.len);
}

static void check_answer(const struct around *a, const uint8_t *packet, size_t len)
{
	must(answer.len >= 4 && answer.len <= PCP_MAX_LEN && answer.len % 4 == 0);
	must(answer.data[0] == PCP_VERSION && answer.data[1] == (packet[1] | PCP_REPLY));
	must(answer.data[2] == 0 && answer.data[3] <= PCP_EXCESSIVE_REMOTE_PEERS);
	must(addr_equal(&answer.to.addr, &a->peer->addr) &&
	     addr_equal(&answer.to.local, &a->peer->local) &&
	     answer.to.port == a->peer->port);
	if (answer.len >= 12)
		must(get_u32(answer.data + 8) == EPOCH_S);
	if (packet[0] != PCP_VERSION)
		must(answer.data[3] == PCP_UNSUPP_VERSION);
	if (answer.data[3] != PCP_SUCCESS) {
		check_error(packet, len);
		return;
	}
	must(len >= PCP_HEADER_LEN && len <= PCP_MAX_LEN && len % 4 == 0);
	must(!memcmp(packet + 8, &a->peer->addr, sizeof(a->peer->addr)));
	if (packet[1] == PCP_ANNOUNCE) { /* section 14.1 */
		must(answer.len == PCP_HEADER_LEN);
		return;
	}
	must(answer.len >= PCP_MAP_LEN); /* sections 11.1, 12.1: nonce, protocol, port */
	must(!memcmp(answer.data + 24, packet + 24, PCP_NONCE_LEN + 1));
	must(!memcmp(answer.data + 40, packet + 40, 2));
	check_options(packet[1] == PCP_PEER ? 80 : PCP_MAP_LEN);
}

static bool has_third_party(const uint8_t *packet, size_t len)
{
	for (size_t at = PCP_MAP_LEN; at + 4 <= len;
	     at += 4 + ((get_u16(packet + at + 2) + 3U) & ~3U))
		if (packet[at] == PCP_THIRD_PARTY)
			return true;
	return false;
}

static void check_ask(const struct around *a, const struct lease_request *ask,
		      const uint8_t *packet, size_t len)
{
	must(lease_request_valid(ask));
	must(ask->by == LEASE_BY_PCP && (ask->flags & LEASE_NONCE));
	must(!memcmp(ask->nonce, packet + 24, PCP_NONCE_LEN));
	must(addr_equal(&ask->client, &a->peer->addr));
	must(addr_equal(&ask->internal, &a->peer->addr) || has_third_party(packet, len));
	must(ask->protocol == packet[36]);
	must(ask->int_port == get_u16(packet + 40) && ask->int_port);
	must((ask->op == LEASE_OP_MAP) == (get_u32(packet + 4) != 0));
	must(!(ask->flags & LEASE_EXACT) || ask->ext_port);
}

static void core_replies(struct around *a, const struct lease_request *ask,
			 const uint8_t *packet, size_t len)
{
	bool silent = a->reply.reason == LEASE_RATE || a->reply.reason == LEASE_NOT_LAN;

	must(server_waiting(srv) == 1);
	a->reply.tag = ask->tag + 1024; /* a former one of its place */
	must(!server_reply(srv, &a->reply, NOW_MS, &answer));
	a->reply.tag = ask->tag;
	if (a->bits & CANCEL) {
		server_cancel(srv, ask->tag);
	} else {
		must(server_reply(srv, &a->reply, NOW_MS, &answer) == !silent);
		if (!silent)
			check_answer(a, packet, len);
	}
	if (!silent && !(a->bits & CANCEL) && a->reply.reason != LEASE_OK &&
	    ask->op == LEASE_OP_MAP)
		must(answer.data[3] != PCP_SUCCESS);
	must(!server_reply(srv, &a->reply, NOW_MS, &answer)); /* a second time */
}

static void one_datagram(struct around *a, const uint8_t *packet, size_t len)
{
	struct lease_request ask;
	enum server_verdict verdict = server_handle(srv, a->peer, packet, len, NOW_MS,
						    &answer, &ask);
	bool short_one = len < 2 || (packet[0] == PCP_VERSION && len < PCP_HEADER_LEN);

	if (len && packet[0] == NATPMP_VERSION && !(a->bits & NO_NATPMP)) {
		if (verdict == SERVER_ASK)
			server_cancel(srv, ask.tag);
		return; /* that is fuzz_natpmp's */
	}
	/* Silence is for replies and for what is too short, and for nothing else. */
	must((verdict == SERVER_SILENT) == (short_one || packet[1] & PCP_REPLY));
	if (verdict == SERVER_ANSWER)
		check_answer(a, packet, len);
	if (verdict != SERVER_ASK)
		return;
	must(packet[0] == PCP_VERSION && len <= PCP_MAX_LEN && len % 4 == 0);
	check_ask(a, &ask, packet, len);
	core_replies(a, &ask, packet, len);
}

/* The core's word: checked by the core, so it is in form. */
static void read_around(struct around *a, struct feed *f)
{
	uint8_t len;

	memset(a, 0, sizeof(*a));
	a->reply.reason = feed_u8(f);
	a->bits = feed_u8(f);
	a->reply.ext_port = feed_u16(f);
	a->reply.lifetime = feed_u32(f);
	len = feed_u8(f);
	feed_copy(f, a->reply.description,
		  len <= LEASE_DESCRIPTION_MAX ? len : LEASE_DESCRIPTION_MAX);
	a->peer = a->bits & IPV6 ? &peer6 : &peer4;
	a->reply.internal = a->peer->addr;
	if (!(a->bits & NO_EXTERNAL))
		must(!addr_parse("11.0.0.7", &a->reply.external));
	if (a->bits & STATIC)
		a->reply.claims = 1 << LEASE_BY_STATIC;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	struct record_state state = {.epoch_ms = EPOCH_MS};
	struct around a;
	uint8_t *packet;
	size_t len;

	if (!srv)
		set_up();
	read_around(&a, &f);
	if (!(a.bits & WAN_DOWN))
		must(!addr_parse("11.0.0.7", &state.wan4));
	server_set_state(srv, &state);
	server_set_protocols(srv, !(a.bits & NO_NATPMP), true);
	len = f.left;
	packet = feed_block(&f, &len);
	if (len && (a.bits & FIX_VERSION))
		packet[0] = PCP_VERSION;
	if (len >= PCP_HEADER_LEN && (a.bits & FIX_CLIENT))
		memcpy(packet + 8, &a.peer->addr, sizeof(a.peer->addr));
	one_datagram(&a, packet, len);
	must(server_waiting(srv) == 0);
	free(packet);
	return 0;
}

/* Where the options of a MAP begin in an input; 0: there is no whole MAP. */
static size_t options_at(const uint8_t *data, size_t size)
{
	size_t packet = AROUND + 1;

	if (size > AROUND)
		packet += data[AROUND] <= LEASE_DESCRIPTION_MAX ? data[AROUND]
								: LEASE_DESCRIPTION_MAX;
	return size >= packet + PCP_MAP_LEN ? packet + PCP_MAP_LEN : 0;
}

/* Puts a well-formed option in, at the place of one that is there or at the end. */
static size_t put_option(uint8_t *data, size_t size, size_t max, unsigned int dice)
{
	static const struct {
		uint8_t code;
		uint8_t len;
	} known[] = {{1, 16}, {2, 0}, {3, 20}, {128, 9}, {130, 4}, {127, 4}, {200, 8}};
	size_t at = options_at(data, size),
	       pick = dice % (sizeof(known) / sizeof(known[0]));
	size_t len = known[pick].len, whole = 4 + ((len + 3) & ~(size_t)3);
	unsigned int skip = dice >> 8 & 3;

	if (!at || size + whole > max)
		return 0;
	while (skip-- && size - at >= 4) {
		size_t here = 4 + ((get_u16(data + at + 2) + 3U) & ~3U);

		if (here > size - at)
			break;
		at += here;
	}
	memmove(data + at + whole, data + at, size - at);
	memset(data + at, 'x', whole);
	data[at] = known[pick].code;
	data[at + 1] = data[at + 2] = 0;
	data[at + 3] = (uint8_t)len;
	return size + whole;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t grown = seed % 4 ? 0 : put_option(data, size, max, seed >> 2);

	return grown ? grown : LLVMFuzzerMutate(data, size, max);
}
