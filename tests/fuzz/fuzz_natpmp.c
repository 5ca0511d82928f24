/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NAT-PMP datagrams through the server, with a core that may give any reply. What the answer
 * must be is worked out from the bytes of the request alone (RFC 6886).
 *
 * An input: 8 bytes of circumstances, then the datagram, whose version is made 0.
 */
#include "base/addr.h"
#include "pcp/natpmp.h"
#include "pcp/server.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS 5000999
#define EPOCH_MS 1000000
#define EPOCH_S 4000

static struct server *srv;
static struct server_peer peer;
static struct server_answer answer;

/* The circumstances. */
struct around {
	uint8_t reason;
	bool wan_down;
	bool cancel;
	bool is_static;
	uint16_t ext_port;
	uint32_t lifetime;
};

static void set_up(void)
{
	struct record_setup setup = {.n_addrs = 1,
				     .features = RECORD_NATPMP | RECORD_PCP};

	must(!addr_parse("192.168.1.1", &setup.addrs[0].addr));
	must(!addr_parse("192.168.1.20", &peer.addr));
	peer.local = setup.addrs[0].addr;
	peer.port = 40000;
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

/* Section 3.5: what all answers have in common. */
static void check_answer(const uint8_t *packet)
{
	must(answer.len >= 8 && answer.len <= PCP_MAX_LEN);
	must(answer.data[0] == NATPMP_VERSION);
	must(answer.data[1] == (packet[1] | NATPMP_REPLY));
	must(get_u16(answer.data + 2) <= NATPMP_UNSUPP_OPCODE);
	must(get_u32(answer.data + 4) == EPOCH_S);
	must(addr_equal(&answer.to.addr, &peer.addr) && answer.to.port == peer.port &&
	     addr_equal(&answer.to.local, &peer.local));
}

/* Section 3.2. */
static void check_address(const struct around *a)
{
	must(answer.len == NATPMP_ADDRESS_REPLY_LEN);
	must(get_u16(answer.data + 2) ==
	     (a->wan_down ? NATPMP_NETWORK_FAILURE : NATPMP_SUCCESS));
	must((get_u32(answer.data + 8) == 0) == a->wan_down);
}

/* Sections 3.3, 3.4: what was not granted has no port and no lifetime. */
static void check_map(const uint8_t *packet)
{
	uint32_t asked = get_u32(packet + 8), got = get_u32(answer.data + 12);

	must(answer.len == NATPMP_MAP_REPLY_LEN);
	must(get_u16(answer.data + 8) == get_u16(packet + 4));
	must(got <= asked);
	if (get_u16(answer.data + 2) != NATPMP_SUCCESS || !asked)
		must(got == 0 && get_u16(answer.data + 10) == 0);
}

/* The request comes back, as far as the head leaves it. */
static void check_unknown(const uint8_t *packet, size_t len)
{
	size_t most = len < PCP_MAX_LEN ? len : PCP_MAX_LEN;

	must(get_u16(answer.data + 2) == NATPMP_UNSUPP_OPCODE);
	must(answer.len == (most < 8 ? 8 : most));
	must(!memcmp(answer.data + 8, packet + 8, answer.len - 8));
}

static void check_ask(const struct lease_request *ask, const uint8_t *packet)
{
	uint32_t lifetime = get_u32(packet + 8);

	must(lease_request_valid(ask));
	must(ask->by == LEASE_BY_NATPMP && !ask->flags && !ask->remote_len);
	must(addr_equal(&ask->internal, &peer.addr));
	must(addr_equal(&ask->client, &peer.addr));
	must(ask->protocol == (packet[1] == NATPMP_MAP_TCP ? IPPROTO_TCP : IPPROTO_UDP));
	must(ask->int_port == get_u16(packet + 4));
	must(ask->lifetime == lifetime);
	must((ask->op == LEASE_OP_MAP) == (lifetime != 0));
	must((ask->op == LEASE_OP_UNMAP_ALL) == (!lifetime && !ask->int_port));
}

/* The core replies: once, to the tag it was asked with. */
static void core_replies(const struct around *a, const struct lease_request *ask,
			 const uint8_t *packet)
{
	struct lease_reply reply = {.tag = ask->tag +
					   1024, /* a former one of its place */
				    .reason = a->reason,
				    .ext_port = a->ext_port,
				    .lifetime = a->lifetime,
				    .external = peer.local};

	if (a->is_static)
		reply.claims = 1 << LEASE_BY_STATIC;
	must(server_waiting(srv) == 1);
	must(!server_reply(srv, &reply, NOW_MS, &answer));
	reply.tag = ask->tag;
	if (a->cancel) {
		server_cancel(srv, ask->tag);
	} else if (server_reply(srv, &reply, NOW_MS, &answer)) {
		check_answer(packet);
		check_map(packet);
		must(a->reason != LEASE_RATE && a->reason != LEASE_NOT_LAN);
		if (a->reason != LEASE_OK && a->reason != LEASE_NOT_FOUND)
			must(get_u16(answer.data + 2) != NATPMP_SUCCESS);
	} else {
		must(a->reason == LEASE_RATE || a->reason == LEASE_NOT_LAN);
	}
	must(!server_reply(srv, &reply, NOW_MS, &answer)); /* a second time */
	must(server_waiting(srv) == 0);
}

static void one_datagram(const struct around *a, const uint8_t *packet, size_t len)
{
	struct lease_request ask;
	enum server_verdict verdict = server_handle(srv, &peer, packet, len, NOW_MS,
						    &answer, &ask);
	bool map = len >= 2 &&
		   (packet[1] == NATPMP_MAP_UDP || packet[1] == NATPMP_MAP_TCP);

	/* Silence is for replies and for what is too short, and for nothing else. */
	must((verdict == SERVER_SILENT) ==
	     (len < 2 || packet[1] & NATPMP_REPLY || (map && len < NATPMP_MAP_LEN)));
	if (verdict == SERVER_SILENT)
		return;
	if (verdict == SERVER_ASK) {
		must(map);
		check_ask(&ask, packet);
		core_replies(a, &ask, packet);
		return;
	}
	check_answer(packet);
	if (packet[1] == NATPMP_ADDRESS)
		check_address(a);
	else if (map)
		check_map(packet);
	else
		check_unknown(packet, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	struct record_state state = {.epoch_ms = EPOCH_MS};
	struct around a = {.reason = feed_u8(&f)};
	uint8_t bits = feed_u8(&f);
	uint8_t *packet;
	size_t len;

	if (!srv)
		set_up();
	a.wan_down = bits & 1;
	a.cancel = bits & 2;
	a.is_static = bits & 4;
	a.ext_port = feed_u16(&f);
	a.lifetime = feed_u32(&f);
	if (!a.wan_down)
		must(!addr_parse("11.0.0.7", &state.wan4));
	server_set_state(srv, &state);
	len = f.left;
	packet = feed_block(&f, &len);
	if (len)
		packet[0] = NATPMP_VERSION;
	one_datagram(&a, packet, len);
	must(server_waiting(srv) == 0);
	free(packet);
	return 0;
}
