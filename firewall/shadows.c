/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "firewall/shadows.h"

#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/portset.h"
#include "firewall/firewall.h"
#include "firewall/walk.h"

#define OUR_DNAT_PRIORITY (NF_IP_PRI_NAT_DST + 5)

struct ports {
	struct portset known; /* of these it has been worked out */
	struct portset has;
	uint64_t every; /* the rule that sends every port elsewhere; 0: none */
	bool every_known;
};

struct shadows {
	struct foreign *foreign; /* NULL: not read yet */
	char wan[IFNAMSIZ];
	struct in6_addr wan4;
	struct ports tcp;
	struct ports udp;
};

struct shadows *shadows_new(void)
{
	return calloc(1, sizeof(struct shadows));
}

void shadows_free(struct shadows *s)
{
	if (!s)
		return;
	foreign_free(s->foreign);
	free(s);
}

static void forget(struct shadows *s)
{
	memset(&s->tcp, 0, sizeof(s->tcp));
	memset(&s->udp, 0, sizeof(s->udp));
}

int shadows_read(struct shadows *s)
{
	struct foreign *now = NULL;
	int err = foreign_read(FIREWALL_TABLE, &now);

	if (err)
		return err;
	foreign_free(s->foreign);
	s->foreign = now;
	forget(s);
	return 0;
}

/* The number of the rule that sends that port elsewhere; 0: none. Somebody on the internet
 * sends, who is nobody in particular. */
static uint64_t sends_elsewhere(const struct shadows *s, uint8_t protocol, uint16_t port)
{
	struct walk_packet p = {
		.protocol = protocol,
		.iif = s->wan,
		.to_router = true,
		.src = addr_from_v4((struct in_addr){htonl(0x08080404)}), /* 8.8.4.4 */
		.dst = s->wan4,
		.sport = 40000,
		.dport = port,
	};
	struct walk_end e = walk_hook(s->foreign, NF_INET_PRE_ROUTING, true, INT_MIN,
				      OUR_DNAT_PRIORITY, &p);

	return e.base && e.fate == WALK_DNAT ? e.handle : 0;
}

/* Three ports that have nothing in common but that all ports have it. */
static uint64_t sends_every(const struct shadows *s, uint8_t protocol)
{
	static const uint16_t some[] = {1031, 33333, 65533};
	uint64_t rule = sends_elsewhere(s, protocol, some[0]);

	for (size_t i = 1; i < sizeof(some) / sizeof(some[0]) && rule; i++)
		if (sends_elsewhere(s, protocol, some[i]) != rule)
			rule = 0;
	return rule;
}

bool shadows_has(struct shadows *s, uint8_t protocol, uint16_t port, const char *wan,
		 const struct in6_addr *wan4)
{
	struct ports *p = protocol == IPPROTO_TCP ? &s->tcp : &s->udp;
	uint64_t rule;

	if (!s->foreign || !wan[0] || addr_is_none(wan4))
		return false;
	if (strcmp(s->wan, wan) != 0 || !addr_equal(&s->wan4, wan4)) {
		snprintf(s->wan, sizeof(s->wan), "%s", wan);
		s->wan4 = *wan4;
		forget(s);
	}
	if (portset_has(&p->known, port))
		return portset_has(&p->has, port);
	if (!p->every_known) {
		p->every = sends_every(s, protocol);
		p->every_known = true;
	}
	portset_add(&p->known, port, port);
	rule = sends_elsewhere(s, protocol, port);
	if (!rule || rule == p->every)
		return false;
	portset_add(&p->has, port, port);
	return true;
}
