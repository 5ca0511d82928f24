/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core: the one process with power over the kernel's tables. Its loop ties requests to
 * policy, policy to the kernel, and the kernel's interfaces to who is served.
 */
#pragma once

#include "daemon/options.h"

struct core;

/* Opens what needs opening before the sandbox shuts. NULL: it has said why. */
struct core *core_new(const struct options *o);
/* Serves until the parent closes its channel or SIGTERM comes. 0, or -errno. */
int core_run(struct core *c);
void core_free(struct core *c);

/* Takes our table out of the kernel, and with it every lease; says what was wrong. -errno. */
int core_remove_table(void);
