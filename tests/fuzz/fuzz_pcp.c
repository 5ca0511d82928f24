/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer: PCP datagrams through the server, with a core that gives any reason.
 * clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. tests/fuzz/fuzz_pcp.c
 *	pcp/{natpmp,pcp,rate,server}.c base/{addr,record}.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "pcp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct server *fuzz_server(struct server_peer *peer)
{
	struct record_setup setup = {.n_addrs = 1};
	struct record_state state = {0};
	struct server *srv;

	if (addr_parse("192.168.1.1", &setup.addrs[0].addr) ||
	    addr_parse("192.168.1.20", &peer->addr) ||
	    addr_parse("11.0.0.7", &state.wan4))
		abort();
	peer->local = setup.addrs[0].addr;
	peer->port = 40000;
	srv = server_new(&setup);
	if (!srv)
		abort();
	server_set_state(srv, &state);
	return srv;
}

/* RFC 6887 sections 7 and 8.2, as far as every answer goes. */
static void fuzz_answer(const struct server_answer *a)
{
	if (a->len < 4 || a->len > PCP_MAX_LEN || a->len % 4 ||
	    a->data[0] != PCP_VERSION || !(a->data[1] & PCP_REPLY) ||
	    a->data[3] > PCP_EXCESSIVE_REMOTE_PEERS)
		abort();
}

/* The first byte is the core's reason; version and client address are made right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct server_peer peer;
	static struct server *srv;
	struct lease_reply reply = {
		.ext_port = 4000, .lifetime = 600, .description = "stored"};
	struct lease_request ask;
	struct server_answer answer;
	uint8_t *packet;

	if (!srv)
		srv = fuzz_server(&peer);
	if (size < 2)
		return 0;
	reply.reason = data[0];
	reply.external = peer.local;
	packet = malloc(size - 1);
	if (!packet)
		return 0;
	memcpy(packet, data + 1, size - 1);
	packet[0] = PCP_VERSION;
	if (size - 1 >= PCP_HEADER_LEN)
		memcpy(packet + 8, &peer.addr, sizeof(peer.addr));
	switch (server_handle(srv, &peer, packet, size - 1, 1000, &answer, &ask)) {
	case SERVER_SILENT:
		break;
	case SERVER_ANSWER:
		fuzz_answer(&answer);
		break;
	case SERVER_ASK:
		if (!lease_request_valid(&ask) || !addr_equal(&ask.internal, &peer.addr))
			abort();
		reply.tag = ask.tag;
		if (server_reply(srv, &reply, 2000, &answer))
			fuzz_answer(&answer);
		break;
	}
	free(packet);
	if (server_waiting(srv))
		abort();
	return 0;
}
