/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcp/updates.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"

/* Entries are numbered from 1; 0 is none. */
struct entry {
	struct update told;
	bool used;
	uint32_t chain; /* in its bucket, or of the spare ones */
	uint32_t older; /* in the order in which they were put */
	uint32_t newer;
	uint32_t cause;   /* the change that it knows of */
	uint64_t sent_ms; /* of the last update */
};

struct updates {
	uint64_t seed;
	size_t count;
	uint32_t
		n_touched; /* entries beyond were never used: their pages are not there */
	uint32_t spare;
	uint32_t oldest;
	uint32_t newest;
	uint32_t cause; /* changes so far */
	/* Each change is told in three passes over the entries, by their number. */
	unsigned int pass;
	uint32_t cursor;
	uint64_t due_ms;
	uint64_t put_ms;  /* when the first was told that has yet to leave; or 0 */
	uint64_t late_ms; /* so much after sent_ms they left at the latest */
	uint32_t bucket[UPDATES_MAX];
	struct entry entry[UPDATES_MAX + 1];
};

struct updates *updates_new(uint64_t seed)
{
	struct updates *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->seed = seed;
	u->pass = UPDATES_TIMES;
	return u;
}

void updates_free(struct updates *u)
{
	if (!u)
		return;
	updates_clear(u);
	free(u);
}

size_t updates_count(const struct updates *u)
{
	return u->count;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15;
	return h ^ h >> 29;
}

/* Hosts choose their ports, so the seed keeps them from choosing buckets. */
static uint32_t *updates_bucket(struct updates *u, uint8_t protocol,
				const struct in6_addr *internal, uint16_t int_port)
{
	uint64_t half[2], h;

	memcpy(half, internal, sizeof(half));
	h = mix(mix(mix(u->seed, half[0]), half[1]), (uint64_t)protocol << 16 | int_port);
	return &u->bucket[mix(h, u->seed) % UPDATES_MAX];
}

static uint32_t *updates_bucket_of(struct updates *u, const struct entry *e)
{
	return updates_bucket(u, e->told.protocol, &e->told.internal, e->told.int_port);
}

static uint32_t updates_find(struct updates *u, uint8_t protocol,
			     const struct in6_addr *internal, uint16_t int_port)
{
	uint32_t id = *updates_bucket(u, protocol, internal, int_port);

	for (; id; id = u->entry[id].chain) {
		const struct update *t = &u->entry[id].told;

		if (t->protocol == protocol && t->int_port == int_port &&
		    addr_equal(&t->internal, internal))
			break;
	}
	return id;
}

static void updates_unlink(struct updates *u, uint32_t id)
{
	struct entry *e = &u->entry[id];

	if (e->older)
		u->entry[e->older].newer = e->newer;
	else
		u->oldest = e->newer;
	if (e->newer)
		u->entry[e->newer].older = e->older;
	else
		u->newest = e->older;
}

static void updates_append(struct updates *u, uint32_t id)
{
	struct entry *e = &u->entry[id];

	e->older = u->newest;
	e->newer = 0;
	if (u->newest)
		u->entry[u->newest].newer = id;
	else
		u->oldest = id;
	u->newest = id;
}

static void updates_remove(struct updates *u, uint32_t id)
{
	struct entry *e = &u->entry[id];
	uint32_t *at = updates_bucket_of(u, e);

	while (*at != id)
		at = &u->entry[*at].chain;
	*at = e->chain;
	updates_unlink(u, id);
	free(e->told.options);
	*e = (struct entry){.chain = u->spare};
	u->spare = id;
	u->count--;
}

void updates_drop(struct updates *u, uint8_t protocol, const struct in6_addr *internal,
		  uint16_t int_port)
{
	uint32_t id = updates_find(u, protocol, internal, int_port);

	if (id)
		updates_remove(u, id);
}

void updates_clear(struct updates *u)
{
	while (u->oldest)
		updates_remove(u, u->oldest);
	u->pass = UPDATES_TIMES;
}

/* An entry that is not linked anywhere. */
static uint32_t updates_take(struct updates *u)
{
	uint32_t id = u->spare;

	if (!id && u->n_touched < UPDATES_MAX)
		return ++u->n_touched;
	if (!id) {
		updates_remove(u, u->oldest);
		id = u->spare;
	}
	u->spare = u->entry[id].chain;
	return id;
}

void updates_put(struct updates *u, const struct update *told)
{
	uint32_t *bucket, id;
	uint8_t *options = NULL;
	struct entry *e;

	updates_drop(u, told->protocol, &told->internal, told->int_port);
	if (told->options_len) {
		options = malloc(told->options_len);
		if (!options)
			return;
		memcpy(options, told->options, told->options_len);
	}
	id = updates_take(u);
	e = &u->entry[id];
	*e = (struct entry){.told = *told, .used = true, .cause = u->cause};
	e->told.options = options;
	bucket = updates_bucket_of(u, e);
	e->chain = *bucket;
	*bucket = id;
	updates_append(u, id);
	u->count++;
}

void updates_begin(struct updates *u)
{
	if (!u->count)
		return;
	u->cause++;
	u->pass = 0;
	u->cursor = 1;
	u->due_ms = 0;
	u->late_ms = 0;
}

uint64_t updates_next(const struct updates *u)
{
	return u->pass < UPDATES_TIMES ? u->due_ms : UPDATES_NEVER;
}

const struct update *updates_step(struct updates *u, uint64_t now_ms)
{
	static const uint64_t gap_ms[UPDATES_TIMES] = {0, 250, 500};

	for (int looked = 0; u->pass < UPDATES_TIMES && looked < UPDATES_LOOK; looked++) {
		struct entry *e;

		if (u->cursor > u->n_touched) {
			u->cursor = 1;
			u->pass++;
			continue;
		}
		e = &u->entry[u->cursor];
		if (!e->used || e->cause == u->cause || e->told.until_ms <= now_ms) {
			u->cursor++;
			continue;
		}
		u->due_ms = u->pass ? e->sent_ms + u->late_ms + gap_ms[u->pass] : 0;
		if (u->due_ms > now_ms)
			return NULL;
		u->cursor++;
		u->due_ms = 0;
		e->sent_ms = now_ms;
		if (u->pass == UPDATES_TIMES - 1)
			e->cause = u->cause;
		return &e->told;
	}
	return NULL;
}

bool updates_first(const struct updates *u)
{
	return u->pass == 0;
}

const struct update *updates_told(struct updates *u, uint8_t protocol,
				  const struct in6_addr *internal, uint16_t int_port,
				  uint64_t now_ms)
{
	uint32_t id = updates_find(u, protocol, internal, int_port);

	if (!id)
		return NULL;
	u->entry[id].sent_ms = now_ms;
	if (!u->put_ms)
		u->put_ms = now_ms;
	return &u->entry[id].told;
}

void updates_sent(struct updates *u, uint64_t now_ms)
{
	if (u->put_ms && now_ms > u->put_ms + u->late_ms)
		u->late_ms = now_ms - u->put_ms;
	u->put_ms = 0;
}
