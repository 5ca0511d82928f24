/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The denials, and the file in the state directory that keeps them: a line for each, its time in
 * seconds since 1970 and its text (lease/denial.h). Root and the daemon may read it; it is
 * written anew as a whole, and is on the disk before anybody is told that it holds.
 */
#pragma once

#include "lease/denial.h"

#define DENIALS_FILE "denials"

struct denials {
	struct lease_denial one[LEASE_DENIALS_MAX];
	size_t n;
	char path[4096];
};

/* No file: there are none. What cannot be read is logged, line by line, and left out. */
void denials_load(struct denials *d, const char *state_dir);
/* One more, now; one that is there already keeps its time. -ENOSPC: there are too many; or -errno:
 * it could not be kept, and does not hold. */
int denials_add(struct denials *d, const struct lease_denial *one);
/* -ENOENT: there is none like it; else as above. */
int denials_remove(struct denials *d, const struct lease_denial *one);
