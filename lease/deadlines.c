/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease/deadlines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void deadlines_fini(struct deadlines *d)
{
	free(d->heap);
	free(d->pos);
	*d = (struct deadlines){0};
}

int deadlines_reserve(struct deadlines *d, size_t ids)
{
	size_t room = d->room ? d->room : 256;
	struct deadline *heap;
	uint32_t *pos;

	if (ids <= d->room)
		return 0;
	while (room < ids)
		room *= 2;
	heap = realloc(d->heap, room * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	d->heap = heap;
	pos = realloc(d->pos, room * sizeof(*pos));
	if (!pos)
		return -ENOMEM;
	memset(pos + d->room, 0, (room - d->room) * sizeof(*pos));
	d->pos = pos;
	d->room = room;
	return 0;
}

static void deadlines_place(struct deadlines *d, size_t at, struct deadline e)
{
	d->heap[at] = e;
	d->pos[e.id] = (uint32_t)at + 1;
}

/* Puts an entry where its time belongs, starting from a free place. */
static void deadlines_sift(struct deadlines *d, size_t at, struct deadline e)
{
	while (at > 0 && d->heap[(at - 1) / 2].at_ms > e.at_ms) {
		deadlines_place(d, at, d->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (size_t child = 2 * at + 1; child < d->n; child = 2 * at + 1) {
		if (child + 1 < d->n && d->heap[child + 1].at_ms < d->heap[child].at_ms)
			child++;
		if (d->heap[child].at_ms >= e.at_ms)
			break;
		deadlines_place(d, at, d->heap[child]);
		at = child;
	}
	deadlines_place(d, at, e);
}

static void deadlines_remove(struct deadlines *d, uint32_t id)
{
	size_t at = d->pos[id] - 1;
	struct deadline last = d->heap[d->n - 1];

	d->pos[id] = 0;
	d->n--;
	if (last.id != id)
		deadlines_sift(d, at, last);
}

void deadlines_set(struct deadlines *d, uint32_t id, uint64_t at_ms)
{
	assert(id < d->room);
	if (at_ms == UINT64_MAX) {
		if (d->pos[id])
			deadlines_remove(d, id);
		return;
	}
	if (!d->pos[id])
		d->pos[id] = (uint32_t)++d->n;
	deadlines_sift(d, d->pos[id] - 1, (struct deadline){at_ms, id});
}

uint64_t deadlines_next(const struct deadlines *d)
{
	return d->n ? d->heap[0].at_ms : UINT64_MAX;
}

uint32_t deadlines_first(const struct deadlines *d)
{
	assert(d->n);
	return d->heap[0].id;
}
