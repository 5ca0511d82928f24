/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/preflight.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

/* Abstract names belong to the network namespace, as our ports and our table do. */
static const char lock_name[] = "\0portreeved";

/* Who listens under our name? Only root's word counts: anybody may take such a name. */
static int lock_holder(const struct sockaddr_un *name, socklen_t len, pid_t *holder)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t peer_len = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)name, len) == 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len);
	close(fd);
	if (peer.uid == 0) {
		*holder = peer.pid;
		return -EADDRINUSE;
	}
	log_warn("a program that is not root's holds our name @portreeved; "
		 "a second portreeved would not be noticed");
	return 0;
}

int preflight_alone(pid_t *holder)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				    sizeof(lock_name) - 1);
	int fd, err;

	*holder = 0;
	memcpy(name.sun_path, lock_name, sizeof(lock_name) - 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&name, len) == 0 && listen(fd, 1) == 0)
		return fd;
	err = -errno;
	if (err == -EADDRINUSE)
		err = lock_holder(&name, len, holder);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* The inode of a socket on that port, from /proc/net/udp and the like; 0: none. */
static unsigned long socket_inode(const char *table, uint16_t port)
{
	FILE *f = fopen(table, "re");
	char line[512];
	unsigned long inode = 0;

	if (!f)
		return 0;
	while (!inode && fgets(line, sizeof(line), f)) {
		unsigned int local;
		unsigned long found;

		/* sl local rem st tx:rx tr:when retrnsmt uid timeout inode */
		if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*s %*s %*s %*s %*s %*s %*s %lu",
			   &local, &found) == 2 &&
		    local == port)
			inode = found;
	}
	fclose(f);
	return inode;
}

static bool process_has(const char *pid, unsigned long inode)
{
	char path[300], want[40], link[64];
	struct dirent *e;
	bool has = false;
	DIR *dir;

	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!has && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);

		if (n > 0) {
			link[n] = '\0';
			has = strcmp(link, want) == 0;
		}
	}
	closedir(dir);
	return has;
}

/* Writes "name (pid N)" of a process that has the socket open. */
static bool inode_owner(unsigned long inode, char *who, size_t size)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;

	if (!proc)
		return false;
	while (!found && (e = readdir(proc))) {
		char path[300], name[64] = "?", clean[256];
		FILE *f;

		if (!isdigit((unsigned char)e->d_name[0]) ||
		    !process_has(e->d_name, inode))
			continue;
		found = true;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f) {
			if (fgets(name, sizeof(name), f))
				name[strcspn(name, "\n")] = '\0';
			fclose(f);
		}
		snprintf(who, size, "%s (pid %s)", log_escape(name, clean, sizeof(clean)),
			 e->d_name);
	}
	closedir(proc);
	return found;
}

static void port_owner(const struct preflight_port *p, char *who, size_t size)
{
	static const char *const udp[] = {"/proc/net/udp", "/proc/net/udp6"};
	static const char *const tcp[] = {"/proc/net/tcp", "/proc/net/tcp6"};

	snprintf(who, size, "another program (ss -lntup names it)");
	for (int i = 0; i < 2; i++) {
		unsigned long inode = socket_inode(
			p->type == SOCK_DGRAM ? udp[i] : tcp[i], p->port);

		if (inode && inode_owner(inode, who, size))
			return;
	}
}

int preflight_port(const char *ifname, const struct preflight_port *p, char *who,
		   size_t size)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(p->port)};
	int fd = socket(AF_INET, p->type | SOCK_CLOEXEC, 0);
	int one = 1, err = 0;

	if (fd < 0)
		return -errno;
	/* Our own TCP connections of a moment ago do not count as busy; a listener does. */
	if (((p->shared || p->type == SOCK_STREAM) &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname,
		       (socklen_t)strlen(ifname)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    (p->type == SOCK_STREAM && listen(fd, 1)))
		err = -errno;
	close(fd);
	if (err == -EADDRINUSE)
		port_owner(p, who, size);
	return err;
}
