/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of portreeved. Knows nothing of what the options do.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/role.h"

struct options {
	const char *config; /* NULL: the default path, which may be missing */
	const char *state_dir;
	const char *runtime_dir;
	const char *libexec_dir;
	bool check_config;
	bool remove;
	bool debug;
	bool assume_kernel_61;
	bool help;
	bool version;
	enum role role; /* what this process is; the parent's own option --role */
	uint16_t lan;
};

/* Fills o from the command line, with defaults for the rest. An error is printed as one line
 * that says what is allowed; then -EINVAL. */
int options_parse(struct options *o, int argc, char **argv);
void options_usage(void);
