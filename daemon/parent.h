/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parent: starts the core, starts and restarts the workers that the core wants, and
 * ends them all. It reads records of eight bytes and exit statuses, nothing else.
 */
#pragma once

#include "daemon/spawn.h"

/* Runs until SIGTERM, or until the core cannot start. Takes `pid_file` and `control` away at
 * the end. The exit status. */
int parent_run(const struct spawn *spawn, const char *pid_file, const char *control);
