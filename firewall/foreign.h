/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole ruleset as the kernel has it at one moment, other programs' tables too. Reads and
 * keeps it; what it does to a packet is told by walk.h. Changes nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firewall/netlink.h"

struct nftnl_rule;
struct nftnl_set;

/* Who has more than that is told so, not half of it. */
#define FOREIGN_CHAINS_MAX 4096
#define FOREIGN_RULES_MAX 65536
#define FOREIGN_SETS_MAX 4096
/* Netlink messages with the elements of one set; of a longer one nothing is known. */
#define FOREIGN_MESSAGES_MAX 256

/* How the names of chains begin that an admin may add to our table. */
#define FOREIGN_GUEST "my"

struct foreign_chain {
	uint8_t family; /* NFPROTO_* */
	bool base;
	bool nat;      /* of type nat */
	bool drop;     /* policy, of base chains */
	uint32_t hook; /* NF_INET_* */
	int32_t priority;
	char *table;
	char *name;
	struct nftnl_rule **rule;
	size_t n_rules;
	size_t room;
};

struct foreign_set {
	struct nftnl_set *set;
	enum foreign_elements {
		FOREIGN_UNREAD,
		FOREIGN_READ,
		FOREIGN_UNKNOWN, /* too many, or they could not be read */
	} elements;
	size_t n_messages;
};

struct foreign {
	struct nl nl;
	struct foreign_chain *chain;
	size_t n_chains;
	struct foreign_set *set;
	size_t n_sets;
	size_t n_rules;
};

/* Takes the ruleset in, but of the chains of the table `inet own` only an admin's. -E2BIG: it
 * is larger than the limits above; -EINTR: it changed all the time while it was read; -ENOMEM;
 * else -errno. */
int foreign_read(const char *own, struct foreign **out);
void foreign_free(struct foreign *f); /* NULL is fine */

/* NULL: there is none of that name in the table. */
const struct foreign_chain *foreign_find_chain(const struct foreign *f, uint8_t family,
					       const char *table, const char *name);
/* With its elements, which are read the first time. NULL: no such set, or they are not known. */
struct nftnl_set *foreign_find_set(struct foreign *f, uint8_t family, const char *table,
				   const char *name);
/* Is there such a table, of any family? */
bool foreign_has_table(const struct foreign *f, const char *table);

/* "ip", "ip6", "inet", "bridge", "netdev", "arp". */
const char *foreign_family_name(uint8_t family);
