/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MAC addresses of hosts, for access rules that name them. One request asks for that of
 * one host several times, a look at all leases for those of all hosts: what the kernel said
 * is good for a moment. A request of a host that the kernel does not know yet waits until it
 * has answered, for a fraction of a second.
 */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/core_inside.h"
#include "lease/policy.h"

#define KNOWN_MS 1000
#define UNKNOWN_MS 100 /* the kernel is asking it just now */
#define HELD_MS 10
#define HELD_TRIES 20

/* Of a host that has been looked for; on both sides of a collision the last one counts. */
static struct core_mac *mac_place(struct core *c, const struct in6_addr *host)
{
	uint32_t word[4], h = 0;

	memcpy(word, host, sizeof(word));
	for (size_t i = 0; i < 4; i++)
		h = (h ^ word[i]) * 0x9e3779b1U;
	return &c->mac[h >> 16 & (CORE_MACS - 1)];
}

static void mac_look(struct core *c, const struct topology_lan *lan, struct core_mac *m)
{
	int err = neighbours_mac(c->neighbours, lan->ifindex, &m->host, m->mac);

	m->known = !err;
	if (err == -ENOENT)
		err = neighbours_probe(c->neighbours, lan->ifindex, &m->host);
	if (err && err != -ENODEV) {
		errno = -err;
		log_debug("the kernel does not tell of a neighbour: %m");
	}
}

enum access_mac core_mac(void *arg, const struct in6_addr *internal, uint8_t mac[MAC_LEN])
{
	struct core *c = arg;
	const struct topology_lan *lan = core_lan_of(c, internal);
	struct core_mac *m = mac_place(c, internal);
	uint64_t now = clock_ms();

	if (!lan) /* behind another router, whose MAC address says nothing of the host */
		return ACCESS_MAC_NONE;
	if (!addr_equal(&m->host, internal) || now >= m->until_ms) {
		m->host = *internal;
		mac_look(c, lan, m);
		m->until_ms = now + (m->known ? KNOWN_MS : UNKNOWN_MS);
	}
	if (!m->known)
		return ACCESS_MAC_UNKNOWN;
	memcpy(mac, m->mac, MAC_LEN);
	return ACCESS_MAC_KNOWN;
}

/* ---- Requests that wait for it ---- */

static bool held_decided(struct core *c, const struct in6_addr *host)
{
	mac_place(c, host)->until_ms = 0; /* as it is now */
	return !policy_undecided(&c->policy, host);
}

/* In the order in which they came: those of one host are decided together. */
void core_held_due(int fd, short what, void *arg)
{
	static const struct timeval soon = {.tv_usec = HELD_MS * 1000};
	struct core *c = arg;
	struct core_held held[CORE_HELD];
	size_t n = c->n_held;

	(void)fd;
	memcpy(held, c->held, n * sizeof(*held));
	c->n_held = 0;
	for (size_t i = 0; i < n; i++) {
		held[i].tries += what == EV_TIMEOUT;
		if (held[i].tries < HELD_TRIES && !held_decided(c, &held[i].req.internal))
			c->held[c->n_held++] = held[i];
		else
			ledger_ask(c->ledger, held[i].from, held[i].lan, &held[i].req);
	}
	if (c->n_held && !event_pending(c->held_due, EV_TIMEOUT, NULL))
		event_add(c->held_due, &soon);
}

bool core_hold(struct core *c, worker_id from, uint16_t lan,
	       const struct lease_request *req)
{
	static const struct timeval soon = {.tv_usec = HELD_MS * 1000};

	if (c->n_held)
		core_held_due(-1, 0, c); /* nobody overtakes what he has said before */
	/* Whoever may not ask for that host is told so at once. */
	if (req->op != LEASE_OP_MAP || c->n_held == CORE_HELD ||
	    policy_host(&c->policy, lan, req) ||
	    !policy_undecided(&c->policy, &req->internal))
		return false;
	c->held[c->n_held++] = (struct core_held){.from = from, .lan = lan, .req = *req};
	if (!event_pending(c->held_due, EV_TIMEOUT, NULL))
		event_add(c->held_due, &soon);
	return true;
}
