/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/addr.h"
#include "base/channel.h"
#include "pcp/epoch.h"
#include "pcp/serve.h"

/* A tag is generation and place, so that a late or invented one finds nothing. */
static_assert((CHANNEL_FLIGHT & (CHANNEL_FLIGHT - 1)) == 0, "a tag splits at a bit");

static void server_add_net(struct server *srv, const struct record_prefix *net)
{
	srv->nets[srv->n_nets++] = (struct prefix){net->addr, net->len};
}

struct server *server_new(const struct record_setup *setup)
{
	struct server *srv = calloc(1, sizeof(*srv));
	uint64_t seed = 0;

	if (!srv)
		return NULL;
	/* Without a seed hosts could make others forgotten, no more. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = (uintptr_t)srv;
	srv->updates = updates_new(seed);
	if (!srv->updates) {
		free(srv);
		return NULL;
	}
	srv->natpmp = setup->features & RECORD_NATPMP;
	srv->pcp = setup->features & RECORD_PCP;
	srv->rate.per_second = setup->requests_per_second;
	for (size_t i = 0; i < setup->n_addrs && i < RECORD_LAN_ADDRS; i++) {
		srv->addrs[srv->n_addrs++] = setup->addrs[i].addr;
		server_add_net(srv, &setup->addrs[i]);
	}
	for (size_t i = 0; i < setup->n_also && i < RECORD_LAN_ALSO; i++)
		server_add_net(srv, &setup->also[i]);
	while (srv->n_spare < CHANNEL_FLIGHT) {
		srv->spare[srv->n_spare] = (uint16_t)(CHANNEL_FLIGHT - 1 - srv->n_spare);
		srv->n_spare++;
	}
	return srv;
}

void server_free(struct server *srv)
{
	if (!srv)
		return;
	updates_free(srv->updates);
	free(srv);
}

/* A new epoch under the same address says that the mappings are lost, so nobody is to be
 * told of them; under a new address it says that they moved (RFC 6887 section 8.5). */
void server_set_state(struct server *srv, const struct record_state *state)
{
	bool moved = !addr_is_none(&state->wan4) && !addr_is_none(&srv->told_wan) &&
		     !addr_equal(&state->wan4, &srv->told_wan);

	if (moved)
		updates_begin(srv->updates);
	else if (srv->has_state && srv->epoch_ms != state->epoch_ms)
		updates_clear(srv->updates);
	if (!addr_is_none(&state->wan4))
		srv->told_wan = state->wan4;
	srv->wan = state->wan4;
	srv->epoch_ms = state->epoch_ms;
	srv->has_state = true;
}

void server_set_protocols(struct server *srv, bool natpmp, bool pcp)
{
	srv->natpmp = natpmp;
	srv->pcp = pcp;
}

size_t server_waiting(const struct server *srv)
{
	return CHANNEL_FLIGHT - srv->n_spare;
}

struct server_slot *server_take(struct server *srv)
{
	struct server_slot *slot;
	uint16_t place;

	if (!srv->n_spare)
		return NULL;
	place = srv->spare[--srv->n_spare];
	slot = &srv->slot[place];
	slot->tag = ((slot->tag & ~(uint32_t)(CHANNEL_FLIGHT - 1)) + CHANNEL_FLIGHT) |
		    place;
	slot->waits = true;
	slot->update = false;
	return slot;
}

/* The slot of a tag, no longer waiting but untouched until the next server_take(). */
static const struct server_slot *server_release(struct server *srv, uint32_t tag)
{
	uint16_t place = (uint16_t)(tag % CHANNEL_FLIGHT);
	struct server_slot *slot = &srv->slot[place];

	if (!slot->waits || slot->tag != tag)
		return NULL;
	slot->waits = false;
	srv->spare[srv->n_spare++] = place;
	return slot;
}

void server_cancel(struct server *srv, uint32_t tag)
{
	server_release(srv, tag);
}

uint32_t server_epoch(const struct server *srv, uint64_t now_ms)
{
	return epoch_at(srv->epoch_ms, now_ms);
}

bool server_in_lan(const struct server *srv, const struct in6_addr *a)
{
	for (size_t i = 0; i < srv->n_nets; i++)
		if (prefix_has(&srv->nets[i], a))
			return true;
	return false;
}

/* RFC 6886 section 3.3: a request goes to one of the router's own addresses, so not to a
 * multicast or broadcast one; and it comes from where an answer can go. */
static bool server_accepts_v4(const struct server *srv, const struct server_peer *from)
{
	uint32_t v4 = ntohl(addr_to_v4(&from->addr).s_addr);

	if (v4 >> 24 == 127 || v4 >> 28 >= 14 || v4 >> 24 == 0)
		return false;
	for (size_t i = 0; i < srv->n_addrs; i++)
		if (addr_equal(&srv->addrs[i], &from->local))
			return server_in_lan(srv, &from->addr);
	return false;
}

/* The socket takes from the LAN only, and hosts know the router by its link-local address,
 * which no list of ours has. */
static bool server_accepts_v6(const struct server *srv, const struct server_peer *from)
{
	if (IN6_IS_ADDR_MULTICAST(&from->addr) || IN6_IS_ADDR_LOOPBACK(&from->addr) ||
	    IN6_IS_ADDR_MULTICAST(&from->local) || addr_is_v4(&from->local))
		return false;
	return IN6_IS_ADDR_LINKLOCAL(&from->addr) || server_in_lan(srv, &from->addr);
}

static bool server_accepts(const struct server *srv, const struct server_peer *from)
{
	if (from->port == 0 || addr_is_none(&from->addr))
		return false;
	return addr_is_v4(&from->addr) ? server_accepts_v4(srv, from)
				       : server_accepts_v6(srv, from);
}

void server_ask(const struct server_slot *slot, enum lease_op op, uint8_t protocol,
		uint16_t int_port, struct lease_request *ask)
{
	memset(ask, 0, sizeof(*ask));
	ask->tag = slot->tag;
	ask->op = (uint8_t)op;
	ask->by = slot->by;
	ask->protocol = protocol;
	ask->int_port = int_port;
	ask->client = slot->from.addr;
	ask->internal = slot->from.addr;
}

/* RFC 6887 section 9 and appendix A: the first byte says which protocol it is. */
enum server_verdict server_handle(struct server *srv, const struct server_peer *from,
				  const void *buf, size_t len, uint64_t now_ms,
				  struct server_answer *answer, struct lease_request *ask)
{
	const uint8_t *head = buf;
	uint32_t epoch;
	bool natpmp;

	/* Both protocols ignore what has no opcode, or is a reply. */
	if (!srv->has_state || len < 2 || head[1] & PCP_REPLY ||
	    !server_accepts(srv, from) || !rate_admit(&srv->rate, &from->addr, now_ms))
		return SERVER_SILENT;
	epoch = server_epoch(srv, now_ms);
	answer->to = *from;
	answer->len = 0;
	/* RFC 6886 section 3: NAT-PMP is about IPv4. */
	natpmp = srv->natpmp && addr_is_v4(&from->addr);
	if (natpmp && head[0] == NATPMP_VERSION)
		return serve_natpmp(srv, from, buf, len, epoch, answer, ask);
	if (srv->pcp)
		return serve_pcp(srv, from, buf, len, epoch, answer, ask);
	if (!natpmp)
		return SERVER_SILENT;
	answer->len = natpmp_write_version(answer->data, sizeof(answer->data), epoch);
	return SERVER_ANSWER;
}

bool server_reply(struct server *srv, const struct lease_reply *reply, uint64_t now_ms,
		  struct server_answer *answer)
{
	const struct server_slot *slot = server_release(srv, reply->tag);

	if (!slot)
		return false;
	answer->to = slot->from;
	answer->len = 0;
	if (slot->update) {
		serve_pcp_update_reply(srv, slot, reply, now_ms, answer);
		return answer->len > 0;
	}
	/* Whoever is no host of this LAN, or asks too often, hears nothing. */
	if (reply->reason == LEASE_NOT_LAN || reply->reason == LEASE_RATE)
		return false;
	if (slot->by == LEASE_BY_NATPMP)
		serve_natpmp_reply(slot, reply, server_epoch(srv, now_ms), answer);
	else
		serve_pcp_reply(srv, slot, reply, now_ms, answer);
	return answer->len > 0;
}

void server_sent(struct server *srv, uint64_t now_ms)
{
	updates_sent(srv->updates, now_ms);
}

uint64_t server_next_update(const struct server *srv)
{
	return addr_is_none(&srv->wan) ? UPDATES_NEVER : updates_next(srv->updates);
}

enum server_verdict server_update(struct server *srv, uint64_t now_ms,
				  struct server_answer *answer, struct lease_request *ask)
{
	const struct update *u;

	if (addr_is_none(&srv->wan))
		return SERVER_SILENT;
	u = updates_step(srv->updates, now_ms);
	return u ? serve_pcp_update(srv, u, now_ms, answer, ask) : SERVER_SILENT;
}
