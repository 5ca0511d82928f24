/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of each inside host: how much it has and how fast it asks. Knows
 * nothing of leases but their number and the id of the first.
 *
 * Hosts have ids, from 1 up; 0 is "none". A host that has nothing is forgotten when many
 * others have asked since, so that made-up addresses cannot fill the memory.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTS_IDLE_MAX 4096

struct host {
	struct in6_addr addr;
	uint32_t next;      /* in its bucket; of free ones: the next free one */
	uint32_t idle_prev; /* while idle: asked less long ago, and longer ago */
	uint32_t idle_next;
	uint32_t refs;       /* leases, also gone ones, and released ports */
	uint32_t leases;     /* those that count for the quota */
	uint32_t open_nat;   /* leases that it did not ask for */
	uint32_t restricted; /* elements of those that are not for everybody */
	uint32_t released;   /* ports that are held back for it */
	uint32_t first;      /* id of its first lease */
	uint32_t tokens;     /* thousandths of requests */
	uint64_t stamp_ms;   /* when the tokens were last filled up */
};

struct hosts {
	struct host *host; /* host[0] is the head of the idle list */
	size_t n;          /* ids handed out so far, and host[0] */
	size_t room;
	uint32_t free;
	size_t idle;
	uint64_t seed;
	uint32_t *bucket;
};

int hosts_init(struct hosts *h, uint64_t seed);
void hosts_fini(struct hosts *h);

/* The host of an address, new ones with a full bucket of tokens. 0: no memory. */
uint32_t hosts_get(struct hosts *h, const struct in6_addr *addr);
/* Good until the next hosts_get(). */
struct host *hosts_at(const struct hosts *h, uint32_t id);

/* It has one thing more, or less. */
void hosts_ref(struct hosts *h, uint32_t id);
void hosts_unref(struct hosts *h, uint32_t id);

/* Takes one token of a bucket that holds two seconds' worth. false: it is empty. */
bool hosts_take(struct hosts *h, uint32_t id, uint32_t per_second, uint64_t now_ms);
/* The request was put off, not served: the token comes back. */
void hosts_give_back(struct hosts *h, uint32_t id);
