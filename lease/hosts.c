/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/hosts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/addr.h"
#include "lease/hash.h"

#define HOSTS_BUCKETS 65536
#define HOST_TOKEN 1000

int hosts_init(struct hosts *h, uint64_t seed)
{
	*h = (struct hosts){.seed = seed, .n = 1, .room = 64};
	h->host = calloc(h->room, sizeof(*h->host));
	h->bucket = calloc(HOSTS_BUCKETS, sizeof(*h->bucket));
	if (h->host && h->bucket)
		return 0;
	hosts_fini(h);
	return -ENOMEM;
}

void hosts_fini(struct hosts *h)
{
	free(h->host);
	free(h->bucket);
	*h = (struct hosts){0};
}

struct host *hosts_at(const struct hosts *h, uint32_t id)
{
	assert(id && id < h->n);
	return &h->host[id];
}

/* Into the list of idle ones, as the youngest. */
static void hosts_idle_link(struct hosts *h, uint32_t id)
{
	uint32_t young = h->host[0].idle_next;

	h->host[id].idle_prev = 0;
	h->host[id].idle_next = young;
	h->host[young].idle_prev = id;
	h->host[0].idle_next = id;
	h->idle++;
}

static void hosts_idle_unlink(struct hosts *h, uint32_t id)
{
	const struct host *e = &h->host[id];

	h->host[e->idle_prev].idle_next = e->idle_next;
	h->host[e->idle_next].idle_prev = e->idle_prev;
	h->idle--;
}

/* Where the host of that address hangs, or the 0 where it would. */
static uint32_t *hosts_slot(const struct hosts *h, const struct in6_addr *addr)
{
	uint32_t *slot = &h->bucket[hash_addr(h->seed, addr, 0) % HOSTS_BUCKETS];

	while (*slot && !addr_equal(&h->host[*slot].addr, addr))
		slot = &h->host[*slot].next;
	return slot;
}

/* Forgets the host that has been idle for longest. */
static void hosts_forget(struct hosts *h)
{
	uint32_t id = h->host[0].idle_prev;
	uint32_t *slot = hosts_slot(h, &h->host[id].addr);

	hosts_idle_unlink(h, id);
	*slot = h->host[id].next;
	h->host[id].next = h->free;
	h->free = id;
}

static int hosts_grow(struct hosts *h)
{
	struct host *more = realloc(h->host, h->room * 2 * sizeof(*more));

	if (!more)
		return -ENOMEM;
	h->host = more;
	h->room *= 2;
	return 0;
}

uint32_t hosts_get(struct hosts *h, const struct in6_addr *addr)
{
	uint32_t *slot = hosts_slot(h, addr);
	uint32_t id = *slot;

	if (id && !h->host[id].refs) {
		hosts_idle_unlink(h, id);
		hosts_idle_link(h, id);
	}
	if (id)
		return id;
	if (h->idle >= HOSTS_IDLE_MAX)
		hosts_forget(h);
	if (!h->free && h->n == h->room && hosts_grow(h))
		return 0;
	id = h->free ? h->free : (uint32_t)h->n++;
	if (h->free)
		h->free = h->host[id].next;
	slot = hosts_slot(h, addr); /* forgetting and growing move things */
	h->host[id] = (struct host){.addr = *addr, .tokens = UINT32_MAX};
	*slot = id;
	hosts_idle_link(h, id);
	return id;
}

void hosts_ref(struct hosts *h, uint32_t id)
{
	if (hosts_at(h, id)->refs++ == 0)
		hosts_idle_unlink(h, id);
}

void hosts_unref(struct hosts *h, uint32_t id)
{
	assert(hosts_at(h, id)->refs);
	if (--hosts_at(h, id)->refs == 0)
		hosts_idle_link(h, id);
}

bool hosts_take(struct hosts *h, uint32_t id, uint32_t per_second, uint64_t now_ms)
{
	struct host *e = hosts_at(h, id);
	uint64_t full = 2ULL * HOST_TOKEN * per_second;
	uint64_t passed = now_ms > e->stamp_ms ? now_ms - e->stamp_ms : 0;
	/* A thousandth of a request for each request a second and millisecond. */
	uint64_t tokens = passed < 2000 ? e->tokens + passed * per_second : full;

	if (tokens > full)
		tokens = full;
	e->stamp_ms = e->stamp_ms > now_ms ? e->stamp_ms : now_ms;
	if (tokens < HOST_TOKEN) {
		e->tokens = (uint32_t)tokens;
		return false;
	}
	e->tokens = (uint32_t)(tokens - HOST_TOKEN);
	return true;
}

void hosts_give_back(struct hosts *h, uint32_t id)
{
	hosts_at(h, id)->tokens += HOST_TOKEN;
}
