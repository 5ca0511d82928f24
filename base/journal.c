/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool journal_is(int fd, const char *stream)
{
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(fd, &st) && device == st.st_dev && inode == st.st_ino;
}

int journal_connect(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* What the journal takes: capitals, digits and _, no _ in front. */
static bool name_valid(const char *name)
{
	return *name >= 'A' && *name <= 'Z' &&
	       !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

void journal_add(struct journal_entry *e, const char *name, const char *value)
{
	int n = snprintf(e->text + e->n, sizeof(e->text) - e->n, "%s=%s\n", name, value);

	if (n < 0 || (size_t)n >= sizeof(e->text) - e->n || !name_valid(name))
		e->bad = true;
	if (e->bad)
		return;
	for (size_t i = e->n; i + 1 < e->n + (size_t)n; i++)
		if ((unsigned char)e->text[i] < ' ')
			e->text[i] = ' ';
	e->n += (size_t)n;
}

int journal_send(int fd, const struct journal_entry *e)
{
	if (e->bad)
		return -EMSGSIZE;
	return send(fd, e->text, e->n, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
