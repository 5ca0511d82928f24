/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starts one process of ours: fork, the role's identity, exec. Used by the parent only.
 */
#pragma once

#include "daemon/options.h"
#include "daemon/privileges.h"

struct spawn {
	const struct options *options; /* of the parent; handed on to the others */
	struct users users;
	/* The two programs, opened while we may still look everywhere: their directory may be
	 * closed to the users that they run as. */
	int self_fd;
	int igd_fd;
	int config_fd;  /* the checked configuration, for the core; -1: none */
	int control_fd; /* the control socket, for the core */
};

/* Starts a role; *channel is the other end of its channel. The pid, or -errno. */
int spawn_role(const struct spawn *s, enum role role, uint16_t lan, int *channel);
