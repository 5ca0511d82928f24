/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/denials.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define LINE_MAX_LEN (DENIAL_TEXT + 24)
#define FILE_MAX_LEN (LEASE_DENIALS_MAX * LINE_MAX_LEN)

static int line_parse(const char *line, struct lease_denial *out)
{
	char *end;
	long long since = strtoll(line, &end, 10);

	if (end == line || *end != ' ')
		return -EINVAL;
	out->since_s = since;
	return denial_parse(end + 1, out);
}

static void take_lines(struct denials *d, char *text)
{
	char *save, *line = strtok_r(text, "\n", &save);

	for (unsigned int n = 1; line; line = strtok_r(NULL, "\n", &save), n++) {
		if (d->n == LEASE_DENIALS_MAX || line_parse(line, &d->one[d->n]))
			log_error("%s:%u: %s; use portreeve deny to deny it again",
				  d->path, n,
				  d->n == LEASE_DENIALS_MAX ? "one too many"
							    : "no denial");
		else
			d->n++;
	}
}

void denials_load(struct denials *d, const char *state_dir)
{
	char text[FILE_MAX_LEN + 1];
	ssize_t len;
	int fd;

	d->n = 0;
	snprintf(d->path, sizeof(d->path), "%s/" DENIALS_FILE, state_dir);
	fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		if (errno != ENOENT)
			log_error("%s: %m; what was denied is not", d->path);
		return;
	}
	len = read(fd, text, sizeof(text) - 1);
	if (len < 0)
		log_error("%s: %m; what was denied is not", d->path);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	take_lines(d, text);
}

static size_t put_lines(const struct denials *d, char *text)
{
	size_t len = 0;

	for (size_t i = 0; i < d->n; i++) {
		char one[DENIAL_TEXT];

		len += (size_t)snprintf(text + len, FILE_MAX_LEN + 1 - len,
					"%" PRId64 " %s\n", d->one[i].since_s,
					denial_text(&d->one[i], one));
	}
	return len;
}

/* Through a second file, so that a power cut leaves the old one or the new one. */
static int denials_keep(const struct denials *d)
{
	char text[FILE_MAX_LEN + 1], temp[sizeof(d->path) + 4];
	size_t len = put_lines(d, text);
	int fd, err = 0;

	snprintf(temp, sizeof(temp), "%s.new", d->path);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	errno = EIO; /* of a short write */
	if (write(fd, text, len) != (ssize_t)len || fsync(fd))
		err = -errno;
	close(fd);
	return err || !rename(temp, d->path) ? err : -errno;
}

static size_t denials_find(const struct denials *d, const struct lease_denial *one)
{
	size_t i = 0;

	while (i < d->n && !denial_same(&d->one[i], one))
		i++;
	return i;
}

int denials_add(struct denials *d, const struct lease_denial *one)
{
	int err;

	if (denials_find(d, one) < d->n)
		return 0;
	if (d->n == LEASE_DENIALS_MAX)
		return -ENOSPC;
	d->one[d->n] = *one;
	d->one[d->n++].since_s = (int64_t)time(NULL);
	err = denials_keep(d);
	if (err)
		d->n--;
	return err;
}

int denials_remove(struct denials *d, const struct lease_denial *one)
{
	size_t i = denials_find(d, one), rest = d->n - i - 1;
	struct lease_denial gone;
	int err;

	if (i == d->n)
		return -ENOENT;
	gone = d->one[i];
	memmove(&d->one[i], &d->one[i + 1], rest * sizeof(gone));
	d->n--;
	err = denials_keep(d);
	if (err) {
		memmove(&d->one[i + 1], &d->one[i], rest * sizeof(gone));
		d->one[i] = gone;
		d->n++;
	}
	return err;
}
