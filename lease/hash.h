/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A keyed hash of three words: SipHash-1-3. Hosts choose their own ports and, where they
 * spoof, their addresses; without the seed they cannot choose buckets.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_rotate(uint64_t v, unsigned int by)
{
	return v << by | v >> (64 - by);
}

static inline void hash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = hash_rotate(v[1], 13) ^ v[0];
	v[0] = hash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = hash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = hash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = hash_rotate(v[1], 17) ^ v[2];
	v[2] = hash_rotate(v[2], 32);
}

static inline uint64_t hash_words(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
	/* One seed of 64 bits makes both halves of the key. */
	uint64_t k1 = (seed ^ 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;
	uint64_t word[4] = {a, b, c, 24ULL << 56};
	uint64_t v[4] = {seed ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
			 seed ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};

	for (int i = 0; i < 4; i++) {
		v[3] ^= word[i];
		hash_round(v);
		v[0] ^= word[i];
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		hash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Of an address with a number beside it. */
static inline uint64_t hash_addr(uint64_t seed, const struct in6_addr *addr,
				 uint64_t beside)
{
	uint64_t half[2];

	memcpy(half, addr, sizeof(half));
	return hash_words(seed, half[0], half[1], beside);
}
