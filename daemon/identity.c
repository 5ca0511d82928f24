/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/identity.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"

static int identity_read(struct identity *self, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, self->id, sizeof(self->id));
	close(fd);
	return n == (ssize_t)sizeof(self->id) ? 0 : -1;
}

/* Through a second file, so that a power cut leaves the old one or the new one. */
static int identity_write(const struct identity *self, const char *path)
{
	char temp[4100];
	int fd;

	snprintf(temp, sizeof(temp), "%s.new", path);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (write(fd, self->id, sizeof(self->id)) != (ssize_t)sizeof(self->id) ||
	    fsync(fd)) {
		close(fd);
		return -1;
	}
	close(fd);
	return rename(temp, path);
}

void identity_load(struct identity *self, const char *state_dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/identity", state_dir);
	if (!identity_read(self, path))
		return;
	if (getrandom(self->id, sizeof(self->id), 0) != (ssize_t)sizeof(self->id))
		memset(self->id, 0x5a, sizeof(self->id));
	if (identity_write(self, path))
		log_warn(
			"%s: %m; UPnP clients will take this router for another one after the "
			"next start",
			path);
}

/* FNV-1a, 64 bits. */
static uint64_t mix(uint64_t h, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

void identity_uuid(const struct identity *self, const char *lan, uint8_t uuid[16])
{
	uint64_t a = mix(mix(0xcbf29ce484222325ULL, self->id, 16), lan, strlen(lan));
	uint64_t b = mix(mix(a, self->id, 16), lan, strlen(lan));

	memcpy(uuid, &a, sizeof(a));
	memcpy(uuid + 8, &b, sizeof(b));
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80); /* version 8 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* variant */
}
