/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vendor.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The vendor in such a line, or NULL: "A4-C0-E1   (hex)\t\tNintendo", "A4C0E1 Nintendo". */
static const char *line_vendor(const char *line, const char prefix[6])
{
	size_t at = 0;

	while (at < 6 && toupper((unsigned char)*line) == prefix[at]) {
		line++;
		at++;
		if (at < 6 && at % 2 == 0 && *line == '-')
			line++;
	}
	if (at < 6 || !isspace((unsigned char)*line))
		return NULL;
	line += strspn(line, " \t");
	if (strncmp(line, "(hex)", 5) == 0)
		line += 5 + strspn(line + 5, " \t");
	else if (strncmp(line, "(base 16)", 9) == 0)
		line += 9 + strspn(line + 9, " \t");
	return line;
}

static bool search(const char *path, const char prefix[6], char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	const char *vendor = NULL;
	char line[512];

	while (f && !vendor && fgets(line, sizeof(line), f))
		vendor = line_vendor(line, prefix);
	if (vendor)
		snprintf(buf, size, "%.*s", (int)strcspn(vendor, "\r\n"), vendor);
	if (f)
		fclose(f);
	return vendor;
}

const char *vendor_find(const char *files, const char *mac, char *buf, size_t size)
{
	char prefix[6], path[PATH_MAX];
	size_t n = 0;

	buf[0] = '\0';
	for (; *mac && n < 6; mac++)
		if (isxdigit((unsigned char)*mac))
			prefix[n++] = (char)toupper((unsigned char)*mac);
	while (n == 6 && *files) {
		size_t len = strcspn(files, ":");

		if (len && len < sizeof(path)) {
			memcpy(path, files, len);
			path[len] = '\0';
			if (search(path, prefix, buf, size))
				break;
		}
		files += len + (files[len] == ':');
	}
	return buf;
}
