/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

int users_find(struct users *u, const char **missing)
{
	const struct passwd *pw;
	const struct group *gr;

	*missing = USER_CORE;
	pw = getpwnam(USER_CORE);
	if (!pw)
		return -ENOENT;
	u->core_uid = pw->pw_uid;
	gr = getgrnam(USER_CORE);
	if (!gr)
		return -ENOENT;
	u->core_gid = gr->gr_gid;
	*missing = USER_WORKER;
	pw = getpwnam(USER_WORKER);
	if (!pw)
		return -ENOENT;
	u->worker_uid = pw->pw_uid;
	u->worker_gid = pw->pw_gid;
	return 0;
}

const char *role_user(enum role role)
{
	switch (role) {
	case ROLE_PARENT:
		return "root";
	case ROLE_CORE:
	case ROLE_STORE: /* its files are the core's */
		return USER_CORE;
	case ROLE_PCP:
	case ROLE_IGD:
	case ROLE_UPSTREAM:
	case ROLE_TRIGGER:
	case ROLE_END:
		break;
	}
	return USER_WORKER;
}

/* Makes permitted and effective (and inheritable, to hand on) exactly these. */
static int caps_become(const cap_value_t *caps, int n, bool inheritable)
{
	cap_t c = cap_init();
	int err = 0;

	if (!c)
		return -ENOMEM;
	if ((n &&
	     (cap_set_flag(c, CAP_PERMITTED, n, caps, CAP_SET) ||
	      cap_set_flag(c, CAP_EFFECTIVE, n, caps, CAP_SET) ||
	      (inheritable && cap_set_flag(c, CAP_INHERITABLE, n, caps, CAP_SET)))) ||
	    cap_set_proc(c))
		err = -errno;
	cap_free(c);
	return err;
}

int privileges_keep_parent(void)
{
	static const cap_value_t keep[] = {CAP_SETUID, CAP_SETGID, CAP_SETPCAP,
					   CAP_NET_ADMIN};

	return caps_become(keep, sizeof(keep) / sizeof(keep[0]), false);
}

static uid_t role_uid(enum role role, const struct users *u)
{
	return role == ROLE_CORE || role == ROLE_STORE ? u->core_uid : u->worker_uid;
}

/* kill(2) asks that the sender's real or effective user is that of the other: for this call
 * the real one is the role's, the effective one stays root. */
int privileges_signal(pid_t pid, enum role role, const struct users *u, int sig)
{
	int err = 0;

	if (setresuid(role_uid(role, u), (uid_t)-1, (uid_t)-1))
		return -errno;
	if (kill(pid, sig))
		err = -errno;
	if (setresuid(0, (uid_t)-1, (uid_t)-1))
		return -errno;
	return err;
}

/* Nothing that is executed later can get what is not in this set. */
static int bounding_set_keep(cap_value_t keep, bool keep_it)
{
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
		if (!(keep_it && cap == keep) && cap_drop_bound(cap))
			return -errno;
	return 0;
}

int privileges_take_role(enum role role, const struct users *u)
{
	static const cap_value_t net_admin = CAP_NET_ADMIN;
	bool core = role == ROLE_CORE;
	uid_t uid = role_uid(role, u);
	gid_t gid = uid == u->core_uid ? u->core_gid : u->worker_gid;
	int err = bounding_set_keep(net_admin, core);

	if (err)
		return err;
	if (prctl(PR_SET_KEEPCAPS, core, 0, 0, 0) || setgroups(0, NULL) ||
	    setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	err = caps_become(&net_admin, core ? 1 : 0, true);
	if (err)
		return err;
	if (core && cap_set_ambient(net_admin, CAP_SET))
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

int privileges_settle(void)
{
	static const cap_value_t net_admin = CAP_NET_ADMIN;
	cap_flag_value_t has = CAP_CLEAR;
	cap_t c = cap_get_proc();

	if (!c)
		return -ENOMEM;
	cap_get_flag(c, net_admin, CAP_EFFECTIVE, &has);
	cap_free(c);
	if (cap_reset_ambient())
		return -errno;
	return caps_become(&net_admin, has == CAP_SET ? 1 : 0, false);
}
