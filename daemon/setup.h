/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must be true before anything is started: root, users, directories, a configuration
 * that holds, free ports, nobody else here. Used by the parent only, once.
 */
#pragma once

#include "conf/config.h"
#include "daemon/spawn.h"

#define EXIT_USAGE 64  /* sysexits.h: EX_USAGE */
#define EXIT_CONFIG 78 /* EX_CONFIG */
#define EXIT_NOPERM 77 /* EX_NOPERM */

/* Prints the one line that says what is wrong with the configuration; 0 or EXIT_CONFIG. */
int setup_config(const struct options *o, struct config *c);

/* --remove: 0 or an exit status. */
int setup_remove(const struct options *o);

/* A copy in memory that nobody can change any more, for the core. The descriptor, -errno. */
int setup_seal(const void *data, size_t size);

struct setup {
	struct spawn spawn;
	char pid_file[4096];
	char control[4096];
};

/* Gets everything ready; on failure prints one line with the remedy. 0 or an exit status. */
int setup_all(struct setup *s, const struct options *o, const struct config *c);
