/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arrays that grow. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define ROOM_LEAST 64

/* The array, moved if need be, with room for `need` elements of `size` bytes; *room says for how
 * many. NULL: no memory, and both are as they were. */
static inline void *room_for(void *array, size_t *room, size_t need, size_t size)
{
	size_t n = *room ? *room : ROOM_LEAST;
	void *more;

	if (array && need <= *room)
		return array;
	while (n < need)
		n *= 2;
	more = reallocarray(array, n, size);
	if (more)
		*room = n;
	return more;
}
