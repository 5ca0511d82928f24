/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scoped.h"

#define SYSCTL_KEY 80
#define SYSCTL_VALUE 16
#define SYSCTLS_MAX 32 /* WANs come and go */

SCOPED_DEFINE(fclose, FILE)

/* One that we have set: "KEY BEFORE OURS" in the file. */
struct sysctl {
	char key[SYSCTL_KEY]; /* below /proc/sys/net */
	char before[SYSCTL_VALUE];
	char ours[SYSCTL_VALUE];
};

struct sysctls {
	struct sysctl one[SYSCTLS_MAX];
	size_t n;
};

static int proc_open(const char *key, int flags)
{
	char path[SYSCTL_KEY + 16];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", key);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* -ENOENT: this kernel has no such thing. */
static int proc_read(const char *key, char value[SYSCTL_VALUE])
{
	int fd = proc_open(key, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, value, SYSCTL_VALUE - 1);
	close(fd);
	if (n < 0)
		return -errno;
	value[n] = '\0';
	value[strcspn(value, " \n")] = '\0';
	return *value ? 0 : -EINVAL;
}

static int proc_write(const char *key, const char *value)
{
	int fd = proc_open(key, O_WRONLY);
	int err = fd < 0 ? fd : 0;

	if (!err && write(fd, value, strlen(value)) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static const char *file_path(const char *runtime_dir, char *path, size_t size)
{
	snprintf(path, size, "%s/sysctl", runtime_dir);
	return path;
}

static bool key_ok(const char *key)
{
	return (strncmp(key, "ipv4/", 5) == 0 || strncmp(key, "ipv6/", 5) == 0) &&
	       !strstr(key, "../");
}

static int file_read(const char *runtime_dir, struct sysctls *s)
{
	char path[4096], line[128];
	FILE *f SCOPED(fclose) = fopen(file_path(runtime_dir, path, sizeof(path)), "re");

	s->n = 0;
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (s->n < SYSCTLS_MAX && fgets(line, sizeof(line), f)) {
		struct sysctl *one = &s->one[s->n];

		if (sscanf(line, "%79s %15s %15s", one->key, one->before, one->ours) ==
			    3 &&
		    key_ok(one->key))
			s->n++;
	}
	return 0;
}

/* Written before the sysctls are: a crash in between restores what is there already. */
static int file_write(const char *runtime_dir, const struct sysctls *s)
{
	char path[4096], temp[4096 + 8];
	int fd, err = 0;

	file_path(runtime_dir, path, sizeof(path));
	if (!s->n)
		return unlink(path) && errno != ENOENT ? -errno : 0;
	snprintf(temp, sizeof(temp), "%s.new", path);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < s->n && !err; i++)
		if (dprintf(fd, "%s %s %s\n", s->one[i].key, s->one[i].before,
			    s->one[i].ours) < 0)
			err = -errno;
	close(fd);
	if (!err && rename(temp, path))
		err = -errno;
	return err;
}

static void set_one(const char *runtime_dir, struct sysctls *s, const char *key,
		    const char *value)
{
	struct sysctl *one = NULL;
	char now[SYSCTL_VALUE];
	int err = proc_read(key, now);

	if (err == -ENOENT || (!err && strcmp(now, value) == 0))
		return;
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->one[i].key, key) == 0)
			one = &s->one[i];
	if (!err && !one && s->n < SYSCTLS_MAX) {
		one = &s->one[s->n++];
		snprintf(one->key, sizeof(one->key), "%s", key);
		snprintf(one->before, sizeof(one->before), "%s", now);
		snprintf(one->ours, sizeof(one->ours), "%s", value);
		err = file_write(runtime_dir, s);
	}
	if (!err)
		err = proc_write(key, value);
	if (!err) {
		log_info("router mode: net/%s is %s now, was %s", key, value, now);
		return;
	}
	errno = -err;
	log_error("router mode: net/%s cannot be set to %s: %m%s", key, value,
		  err == -EROFS || err == -EACCES
			  ? "; install the drop-in router.conf of the examples for the "
			    "unit, or set it in /etc/sysctl.d"
			  : "; set it by hand");
}

void sysctl_set(const char *runtime_dir, const char *wan)
{
	char key[SYSCTL_KEY], value[SYSCTL_VALUE];
	struct sysctls s;
	int err = file_read(runtime_dir, &s);

	if (err) {
		errno = -err;
		log_error("%s/sysctl: %m; what was there before is not known",
			  runtime_dir);
	}
	/* A router takes no advertisements, but with 2 (ip-sysctl.rst): the WAN's own IPv6
	 * address and default route may come from them. */
	snprintf(key, sizeof(key), "ipv6/conf/%s/accept_ra", wan);
	if (proc_read(key, value) == 0 && strcmp(value, "1") == 0)
		set_one(runtime_dir, &s, key, "2");
	set_one(runtime_dir, &s, "ipv4/ip_forward", "1");
	set_one(runtime_dir, &s, "ipv6/conf/all/forwarding", "1");
}

int sysctl_restore(const char *runtime_dir)
{
	struct sysctls s;
	char now[SYSCTL_VALUE];
	int err = file_read(runtime_dir, &s), worst = err;

	for (size_t i = s.n; i-- > 0;) {
		struct sysctl *one = &s.one[i];

		err = proc_read(one->key, now);
		if (err == -ENOENT || (!err && strcmp(now, one->ours) != 0))
			continue; /* gone, or somebody else's by now */
		if (!err)
			err = proc_write(one->key, one->before);
		if (!err) {
			log_info("router mode is over: net/%s is %s again", one->key,
				 one->before);
			continue;
		}
		errno = -err;
		log_error("net/%s cannot be set back to %s: %m", one->key, one->before);
		worst = err;
	}
	if (!worst && s.n) {
		s.n = 0;
		worst = file_write(runtime_dir, &s);
	}
	return worst;
}
