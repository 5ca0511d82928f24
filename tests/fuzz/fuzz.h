/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: the claims they make, and a reader that takes an input apart.
 * Knows nothing of what is fuzzed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of what is fuzzed; libFuzzer reports the abort and keeps the input. */
#define must(claim)                                                                      \
	do {                                                                             \
		if (!(claim))                                                            \
			fuzz_broken(#claim, __FILE__, __LINE__);                         \
	} while (0)

__attribute__((noreturn)) static inline void fuzz_broken(const char *claim,
							 const char *file, int line)
{
	fprintf(stderr, "%s:%d: not kept: %s\n", file, line, claim);
	abort();
}

static inline void *fuzz_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

/* The input, eaten from its start; zeros when it is over. */
struct feed {
	const uint8_t *pos;
	size_t left;
};

static inline void feed_copy(struct feed *f, void *dst, size_t n)
{
	size_t have = n < f->left ? n : f->left;

	memset(dst, 0, n);
	if (!have)
		return;
	memcpy(dst, f->pos, have);
	f->pos += have;
	f->left -= have;
}

static inline uint8_t feed_u8(struct feed *f)
{
	uint8_t v;

	feed_copy(f, &v, sizeof(v));
	return v;
}

static inline uint16_t feed_u16(struct feed *f)
{
	uint8_t b[2];

	feed_copy(f, b, sizeof(b));
	return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t feed_u32(struct feed *f)
{
	uint32_t high = feed_u16(f);

	return high << 16 | feed_u16(f);
}

static inline uint64_t feed_u64(struct feed *f)
{
	uint64_t high = feed_u32(f);

	return high << 32 | feed_u32(f);
}

/* The next n bytes, or all that are left, in a heap block of exactly that size, so that
 * ASan sees a read past them. *n becomes their number. Freed by the caller. */
static inline uint8_t *feed_block(struct feed *f, size_t *n)
{
	uint8_t *p;

	if (*n > f->left)
		*n = f->left;
	p = malloc(*n ? *n : 1);
	if (!p)
		abort();
	if (*n)
		feed_copy(f, p, *n);
	return p;
}

/* The same as a string, with a NUL behind it (and perhaps others before). */
static inline char *feed_text(struct feed *f, size_t n)
{
	char *p;

	if (n > f->left)
		n = f->left;
	p = fuzz_alloc(n + 1);
	feed_copy(f, p, n);
	return p;
}

/* Is this one of our own lines: printable ASCII only? */
static inline bool fuzz_printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}
