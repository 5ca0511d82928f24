/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries with fields for systemd's journal, in its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): NAME=value lines in one datagram. Knows
 * nothing of levels or of what is said.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_ENTRY 4096

struct journal_entry {
	char text[JOURNAL_ENTRY];
	size_t n;
	bool bad; /* it did not fit, or a name is none: it is not sent */
};

/* Is that descriptor what JOURNAL_STREAM ("device:inode") names? */
bool journal_is(int fd, const char *stream);
/* A socket to the journal that does not wait. -errno. */
int journal_connect(const char *path);

/* Control characters in the value become blanks, so that it stays one line. */
void journal_add(struct journal_entry *e, const char *name, const char *value);
/* -errno, -EMSGSIZE: it is bad. */
int journal_send(int fd, const struct journal_entry *e);
