/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which id is due next: a heap of times with one entry per id at most. Knows nothing of
 * what the ids stand for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct deadlines {
	struct deadline {
		uint64_t at_ms;
		uint32_t id;
	} * heap;
	uint32_t *pos; /* by id: place in the heap + 1; 0: not in it */
	size_t n;
	size_t room; /* ids below this one may be set */
};

void deadlines_fini(struct deadlines *d);

/* Makes room for the ids below `ids`, so that nothing below can fail. -ENOMEM. */
int deadlines_reserve(struct deadlines *d, size_t ids);

/* Sets or moves the deadline of an id; UINT64_MAX takes it out. */
void deadlines_set(struct deadlines *d, uint32_t id, uint64_t at_ms);

/* The earliest time, UINT64_MAX: none; and whose it is. */
uint64_t deadlines_next(const struct deadlines *d);
uint32_t deadlines_first(const struct deadlines *d);
