/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pinholes go where their hosts go, when the prefix of their network changes. */
#include <errno.h>
#include <stdlib.h>

#include "base/addr.h"
#include "lease/book.h"
#include "lease/policy.h"
#include "lease/restrict.h"

/* The same interface identifier in another network (RFC 4291 section 2.5.1). */
static struct in6_addr follow_addr(const struct in6_addr *host, const struct prefix *to)
{
	struct in6_addr a = *host;

	for (unsigned int bit = 0; bit < to->len; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> (bit % 8));

		a.s6_addr[bit / 8] = (uint8_t)((a.s6_addr[bit / 8] & ~mask) |
					       (to->addr.s6_addr[bit / 8] & mask));
	}
	return a;
}

/* One pinhole; where it may not be, or is already, it stays and runs out. */
static int follow_one(struct registry *r, uint32_t id, const struct prefix *to,
		      uint32_t who, struct lease_changes *out)
{
	struct lease l = table_node(&r->table, id)->lease;
	uint32_t host, next;

	l.internal = follow_addr(&l.internal, to);
	if (book_pending(r, id) || table_find_same(&r->table, &l) ||
	    policy_internal(r->policy, &l.internal) ||
	    policy_kept(r->policy, l.origin, &l))
		return 0;
	host = hosts_get(&r->hosts, &l.internal);
	next = host && !book_reserve(r, out, BOOK_STEPS + 1) ? book_alloc(r) : 0;
	if (!next)
		return -ENOMEM;
	book_end(r, id, LEASE_END_MOVED, who, out);
	book_grant(r, next, &l, host, who, out);
	return 0;
}

int registry_follow(struct registry *r, const struct prefix *from,
		    const struct prefix *to, size_t max, struct lease_changes *out)
{
	size_t n = 0, first = out->n;
	uint32_t *found = calloc(r->pinholes + 1, sizeof(*found));
	int err = 0;

	if (!found)
		return -ENOMEM;
	/* All of them first: those that come are in the same buckets. */
	for (size_t i = 0; r->table.n_pinholes && i < TABLE_PORTS; i++)
		for (uint32_t id = r->table.pinhole[i]; id;
		     id = table_node(&r->table, id)->port_next)
			if (!table_node(&r->table, id)->gone && n < max &&
			    prefix_has(from, &table_node(&r->table, id)->lease.internal))
				found[n++] = id;
	for (size_t i = 0; i < n && !err; i++)
		err = follow_one(r, found[i], to, (uint32_t)i, out);
	free(found);
	return err ? err : (int)(out->n - first);
}
