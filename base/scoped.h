/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCOPED(f) releases a variable at the end of its scope: f is called on the pointer
 * unless it is NULL. SCOPED_DEFINE(f, type) once per release function makes it usable.
 */
#pragma once

#define SCOPED(f) __attribute__((cleanup(scoped_##f)))

#define SCOPED_DEFINE(f, type)                                                           \
	static inline void scoped_##f(type **p)                                          \
	{                                                                                \
		if (*p)                                                                  \
			f(*p);                                                           \
	}
