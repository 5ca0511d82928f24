/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writes packets field by field, big endian, without casts. Knows no
 * protocol. Both sides are sticky: walk straight through and ask for `bad` once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire {
	const uint8_t *pos;
	const uint8_t *end;
	bool bad; /* sticky: the packet has run short */
};

static inline struct wire wire_of(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return (struct wire){.pos = p, .end = len ? p + len : p};
}

static inline size_t wire_left(const struct wire *w)
{
	return w->bad ? 0 : (size_t)(w->end - w->pos);
}

/* The next n bytes, or NULL for good once the packet has run short. */
static inline const uint8_t *wire_take(struct wire *w, size_t n)
{
	const uint8_t *p = w->pos;

	if (w->bad || (size_t)(w->end - p) < n) {
		w->bad = true;
		return NULL;
	}
	w->pos = p + n;
	return p;
}

static inline uint8_t wire_u8(struct wire *w)
{
	const uint8_t *p = wire_take(w, 1);

	return p ? p[0] : 0;
}

static inline uint16_t wire_u16(struct wire *w)
{
	const uint8_t *p = wire_take(w, 2);

	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

static inline uint32_t wire_u32(struct wire *w)
{
	const uint8_t *p = wire_take(w, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
			       p[3]
		 : 0;
}

/* Copies n bytes to dst; dst is untouched when the packet has run short. */
static inline void wire_copy(struct wire *w, void *dst, size_t n)
{
	const uint8_t *p = wire_take(w, n);

	if (p)
		memcpy(dst, p, n);
}

struct wire_out {
	uint8_t *start;
	uint8_t *pos;
	uint8_t *end;
	bool bad; /* sticky: the buffer was too small */
};

static inline struct wire_out wire_to(void *buf, size_t size)
{
	uint8_t *p = buf;

	return (struct wire_out){.start = p, .pos = p, .end = p + size};
}

static inline size_t wire_len(const struct wire_out *w)
{
	return w->bad ? 0 : (size_t)(w->pos - w->start);
}

/* Room for n bytes, or NULL for good once the buffer is full. */
static inline uint8_t *wire_room(struct wire_out *w, size_t n)
{
	uint8_t *p = w->pos;

	if (w->bad || (size_t)(w->end - p) < n) {
		w->bad = true;
		return NULL;
	}
	w->pos = p + n;
	return p;
}

static inline void wire_put(struct wire_out *w, const void *src, size_t n)
{
	uint8_t *p = wire_room(w, n);

	if (p)
		memcpy(p, src, n);
}

static inline void wire_zero(struct wire_out *w, size_t n)
{
	uint8_t *p = wire_room(w, n);

	if (p)
		memset(p, 0, n);
}

static inline void wire_put_u8(struct wire_out *w, uint8_t v)
{
	wire_put(w, &v, 1);
}

static inline void wire_put_u16(struct wire_out *w, uint16_t v)
{
	uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	wire_put(w, b, sizeof(b));
}

static inline void wire_put_u32(struct wire_out *w, uint32_t v)
{
	uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
			(uint8_t)v};

	wire_put(w, b, sizeof(b));
}
