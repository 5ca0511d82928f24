/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parent: starts the core, starts and restarts the workers that the core wants, and
 * ends them all. It reads records of eight bytes and exit statuses, and on SIGHUP or when an
 * admin asks the core for it, the configuration; nothing else.
 */
#pragma once

#include "conf/config.h"
#include "daemon/spawn.h"

/* Runs until SIGTERM, or until the core cannot start. `config` is the present configuration
 * and becomes the next one. Takes `pid_file` and `control` away at the end. The exit
 * status. */
int parent_run(struct spawn *spawn, struct config *config, const char *pid_file,
	       const char *control);
