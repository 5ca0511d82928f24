/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process may still ask of the kernel: a seccomp allow-list for each role, and
 * Landlock where the kernel has it. Knows nothing of users and capabilities.
 */
#pragma once

#include "daemon/role.h"

/* Shuts the calling process in, for good; call it before there are threads. A call that is
 * not on the list kills the process. Files: the core and the store keep state_dir (may be NULL), an igd
 * worker may read what libupnp reads at its start; nobody else opens any.
 * -errno: seccomp is not to be had; a kernel without Landlock is no error. */
int sandbox_enter(enum role role, const char *state_dir);
