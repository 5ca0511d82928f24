/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/dirty.h"

#include <stdlib.h>
#include <string.h>

#include "lease/hash.h"

#define DIRTY_FIRST 64
#define DIRTY_KEEP 4096 /* slots that are kept when empty */

struct dirty_slot {
	struct dirty_key key;
	bool used;
	bool born;
};

void dirty_key_of(const struct lease *l, struct dirty_key *key)
{
	*key = (struct dirty_key){
		.remote = l->remote,
		.internal = lease_is_pinhole(l) ? l->internal
						: (struct in6_addr)IN6ADDR_ANY_INIT,
		.ext_port = l->ext_port,
		.remote_port = l->remote_port,
		.protocol = l->protocol,
		.remote_len = l->remote_len,
	};
}

void dirty_init(struct dirty *d, size_t max, uint64_t seed)
{
	*d = (struct dirty){.max = max, .seed = seed};
}

void dirty_fini(struct dirty *d)
{
	free(d->slot);
	*d = (struct dirty){.max = d->max, .seed = d->seed};
}

void dirty_clear(struct dirty *d)
{
	dirty_fini(d);
}

static size_t slot_first(const struct dirty *d, const struct dirty_key *key)
{
	uint64_t beside = (uint64_t)key->remote_port << 24 |
			  (uint64_t)key->protocol << 16 | key->ext_port;

	return hash_addr(hash_addr(d->seed, &key->remote, key->remote_len),
			 &key->internal, beside) &
	       (d->room - 1);
}

/* The slot of that key, or the free one where it goes. */
static struct dirty_slot *slot_of(const struct dirty *d, const struct dirty_key *key)
{
	size_t i = slot_first(d, key);

	while (d->slot[i].used && memcmp(&d->slot[i].key, key, sizeof(*key)) != 0)
		i = (i + 1) & (d->room - 1);
	return &d->slot[i];
}

static bool dirty_grow(struct dirty *d)
{
	struct dirty old = *d;

	if (2 * (d->n + 1) <= d->room)
		return true;
	d->room = old.room ? 2 * old.room : DIRTY_FIRST;
	d->slot = calloc(d->room, sizeof(*d->slot));
	if (!d->slot) {
		*d = old;
		return false;
	}
	d->next = 0;
	for (size_t i = 0; i < old.room; i++)
		if (old.slot[i].used)
			*slot_of(d, &old.slot[i].key) = old.slot[i];
	free(old.slot);
	return true;
}

bool dirty_add(struct dirty *d, const struct dirty_key *key, bool born)
{
	struct dirty_slot *slot;

	if (!dirty_grow(d))
		return false;
	slot = slot_of(d, key);
	if (slot->used)
		return true;
	if (d->n == d->max)
		return false;
	*slot = (struct dirty_slot){.key = *key, .used = true, .born = born};
	d->n++;
	return true;
}

/* Frees that slot, and moves up those whose search would end there. */
static void slot_free(struct dirty *d, size_t i)
{
	size_t mask = d->room - 1;

	for (size_t j = (i + 1) & mask; d->slot[j].used; j = (j + 1) & mask) {
		size_t first = slot_first(d, &d->slot[j].key);

		if (((j - first) & mask) < ((j - i) & mask))
			continue; /* it is found from between them */
		d->slot[i] = d->slot[j];
		i = j;
	}
	d->slot[i].used = false;
}

bool dirty_take(struct dirty *d, struct dirty_key *key, bool *born)
{
	if (!d->n)
		return false;
	while (!d->slot[d->next].used)
		d->next = (d->next + 1) & (d->room - 1);
	*key = d->slot[d->next].key;
	*born = d->slot[d->next].born;
	slot_free(d, d->next);
	d->n--;
	if (!d->n && d->room > DIRTY_KEEP)
		dirty_clear(d);
	return true;
}
