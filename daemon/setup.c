/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scoped.h"
#include "daemon/core.h"
#include "daemon/preflight.h"
#include "daemon/sysctl.h"
#include "daemon/topology.h"
#include "lease/store.h"

SCOPED_DEFINE(links_close, struct links)

int setup_config(const struct options *o, struct config *c)
{
	char err[CONFIG_ERROR];

	if (!config_load(c, o->config ? o->config : CONFIG_DEFAULT_FILE, !o->config, err))
		return 0;
	log_error("%s", err);
	return EXIT_CONFIG;
}

static int setup_users(struct users *u)
{
	const char *missing;

	if (!users_find(u, &missing))
		return 0;
	log_error(
		"the user %s does not exist; create it with: systemd-sysusers, or useradd "
		"--system --user-group --no-create-home --shell /usr/sbin/nologin %s",
		missing, missing);
	return EXIT_CONFIG;
}

/* Makes a directory with that owner, or takes one that is there as it should be. */
static int setup_dir(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	if (mkdir(path, mode) && errno != EEXIST) {
		log_error("%s: %m; create the directory above it", path);
		return EXIT_FAILURE;
	}
	if (lstat(path, &st) || !S_ISDIR(st.st_mode)) {
		log_error("%s: not a directory; move it away", path);
		return EXIT_FAILURE;
	}
	if ((st.st_mode & 07777) != mode && chmod(path, mode)) {
		log_error("%s: %m; its mode must be %o", path, (unsigned)mode);
		return EXIT_FAILURE;
	}
	if ((st.st_uid != uid || st.st_gid != gid) && lchown(path, uid, gid)) {
		log_error("%s: %m; chown it to the user with id %u", path, (unsigned)uid);
		return EXIT_FAILURE;
	}
	return 0;
}

static int setup_dirs(const struct options *o, const struct users *u)
{
	int err = setup_dir(o->runtime_dir, 0755, 0, 0);

	return err ? err : setup_dir(o->state_dir, 0700, u->core_uid, u->core_gid);
}

int setup_seal(const void *data, size_t size)
{
	int fd = memfd_create("portreeve-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, data, size) != (ssize_t)size ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)) {
		int err = errno ? -errno : -EIO;

		close(fd);
		return err;
	}
	return fd;
}

static int setup_control(const char *path, const struct users *u)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(name.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	unlink(path); /* of a killed one: a living one holds the lock */
	/* What is made belongs to the group of who makes it: no CAP_CHOWN. */
	err = setegid(u->core_gid) || bind(fd, (struct sockaddr *)&name, sizeof(name));
	if (setegid(0) || err || chmod(path, 0660) || listen(fd, 16)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int setup_alone(void)
{
	pid_t holder;
	int fd = preflight_alone(&holder);

	if (fd >= 0)
		return 0; /* held until exit */
	if (fd == -EADDRINUSE) {
		log_error(
			"another portreeved is running (pid %d); stop it first: systemctl stop "
			"portreeve, or kill %d",
			(int)holder, (int)holder);
	} else {
		errno = -fd;
		log_error("cannot see whether another portreeved runs: %m");
	}
	return EXIT_FAILURE;
}

static int setup_port(const char *lan, const struct preflight_port *p)
{
	char who[128];
	int err = preflight_port(lan, p, who, sizeof(who));

	if (err != -EADDRINUSE)
		return 0; /* the core will say what else is wrong */
	log_error("%s port %u on %s is taken by %s; stop it, then start portreeved again",
		  p->type == SOCK_DGRAM ? "udp" : "tcp", p->port, lan, who);
	return EXIT_FAILURE;
}

/* Are the ports of every LAN that is there free? */
static int setup_ports(const struct config *c)
{
	struct links *links SCOPED(links_close) = NULL;
	struct topology t;
	int err = links_open(&links);

	if (err) {
		errno = -err;
		log_error("cannot read the interfaces from the kernel: %m");
		return EXIT_FAILURE;
	}
	topology_init(&t, c);
	topology_read(&t, links);
	for (size_t i = 0; i < LEASE_LANS_MAX && !err; i++) {
		const struct topology_lan *lan = &t.lan[i];
		const struct preflight_port pcp = {SOCK_DGRAM, 5351, 0};
		const struct preflight_port ssdp = {SOCK_DGRAM, 1900, 1};
		const struct preflight_port http = {SOCK_STREAM, lan->http_port, 0};

		if (!lan->n_addrs)
			continue;
		if (lan->pcp || lan->nat_pmp)
			err = setup_port(lan->name, &pcp);
		if (!err && lan->upnp)
			err = setup_port(lan->name, &ssdp);
		if (!err && lan->upnp)
			err = setup_port(lan->name, &http);
	}
	return err;
}

static int setup_root(void)
{
	if (geteuid() == 0)
		return 0;
	log_error(
		"must be started by root (it gives its power away at once): sudo portreeved, "
		"or systemctl start portreeve");
	return EXIT_NOPERM;
}

/* What the store keeps has ended too; it is not ours to open, so it is left a note. */
static void setup_leave_note(const char *state_dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/" STORE_FORGET, state_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	else if (errno != EEXIST && errno != ENOENT)
		log_warn("%s: %m; the leases may come back at the next start", path);
}

int setup_remove(const struct options *o)
{
	int err = setup_root();

	if (!err)
		err = setup_alone();
	if (!err && core_remove_table())
		err = EXIT_FAILURE;
	if (!err && sysctl_restore(o->runtime_dir))
		err = EXIT_FAILURE;
	if (!err)
		setup_leave_note(o->state_dir);
	return err;
}

/* Opens what will be executed. */
static int setup_programs(struct spawn *s, const char *libexec_dir)
{
	char igd[4096];

	snprintf(igd, sizeof(igd), "%s/portreeve-igd", libexec_dir);
	s->self_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (s->self_fd < 0) {
		log_error("/proc/self/exe: %m; is /proc mounted?");
		return EXIT_FAILURE;
	}
	s->igd_fd = open(igd, O_PATH | O_CLOEXEC);
	if (s->igd_fd < 0) {
		log_error("%s: %m; install it, or name its directory with --libexec-dir",
			  igd);
		return EXIT_FAILURE;
	}
	return 0;
}

int setup_all(struct setup *s, const struct options *o, const struct config *c)
{
	int err;

	*s = (struct setup){.spawn = {.options = o, .config_fd = -1, .control_fd = -1}};
	err = setup_root();
	if (err)
		return err;
	snprintf(s->pid_file, sizeof(s->pid_file), "%s/portreeved.pid", o->runtime_dir);
	snprintf(s->control, sizeof(s->control), "%s/control", o->runtime_dir);
	if ((err = setup_programs(&s->spawn, o->libexec_dir)) ||
	    (err = setup_users(&s->spawn.users)) || (err = setup_alone()) ||
	    (err = setup_ports(c)) || (err = setup_dirs(o, &s->spawn.users)))
		return err;
	s->spawn.config_fd = setup_seal(c, sizeof(*c));
	s->spawn.control_fd = setup_control(s->control, &s->spawn.users);
	if (s->spawn.config_fd < 0 || s->spawn.control_fd < 0) {
		log_error("%s: %m", s->control);
		return EXIT_FAILURE;
	}
	return 0;
}
