/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users, capabilities and the identity that a role runs under.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/role.h"

#define USER_CORE "portreeve"
#define USER_WORKER "portreeve-net"

struct users {
	uid_t core_uid;
	gid_t core_gid; /* of the group portreeve, which may open the control socket */
	uid_t worker_uid;
	gid_t worker_gid;
};

/* Looks both users and the group up. On -ENOENT *missing is the name that is not there. */
int users_find(struct users *u, const char **missing);
/* The name of the user that a role runs as. */
const char *role_user(enum role role);

/* Leaves the parent what it needs to start and end others, for good. -errno. */
int privileges_keep_parent(void);
/* Sends a signal to a child that runs as the role, or that has not changed its user yet; the
 * parent has no CAP_KILL. A child that is not reaped yet keeps its pid. -errno. */
int privileges_signal(pid_t pid, enum role role, const struct users *u, int sig);
/* In a child, before exec: takes on the role's user, keeps CAP_NET_ADMIN only for the core,
 * empties the bounding set, sets no_new_privs. Nothing comes back. -errno. */
int privileges_take_role(enum role role, const struct users *u);
/* After exec, in the core: what it has cannot be handed on (the ambient set is emptied). */
int privileges_settle(void);
