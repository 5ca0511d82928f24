/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/reserved.h"

#include <errno.h>
#include <string.h>

#define RESERVED_LINE 512

int reserved_read(FILE *f, const char *name, struct portset *tcp, struct portset *udp,
		  char *err, size_t err_size)
{
	char line[RESERVED_LINE];
	struct port_range r;

	for (int n = 1; fgets(line, sizeof(line), f); n++) {
		char *rest = line, *word;

		if (!strchr(line, '\n') && !feof(f)) {
			snprintf(err, err_size,
				 "%s:%d: the line is too long, %d bytes are allowed",
				 name, n, RESERVED_LINE - 2);
			return -EINVAL;
		}
		line[strcspn(line, "#")] = '\0';
		while ((word = strsep(&rest, " \t\r\n"))) {
			if (!*word)
				continue;
			if (port_range_parse(word, &r)) {
				snprintf(
					err, err_size,
					"%s:%d: \"%.40s\" is not a port, allowed is 5555, "
					"8000-8100, udp/3074 or 5555/tcp",
					name, n, word);
				return -EINVAL;
			}
			if (r.tcp)
				portset_add(tcp, r.first, r.last);
			if (r.udp)
				portset_add(udp, r.first, r.last);
		}
	}
	if (ferror(f)) {
		snprintf(err, err_size, "%s: %s", name, strerror(errno));
		return -EIO;
	}
	return 0;
}
