/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/portset.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

void portset_add(struct portset *s, uint16_t first, uint16_t last)
{
	for (uint32_t p = first; p <= last; p++)
		s->word[p / 64] |= 1ULL << (p % 64);
}

void portset_del(struct portset *s, uint16_t first, uint16_t last)
{
	for (uint32_t p = first; p <= last; p++)
		s->word[p / 64] &= ~(1ULL << (p % 64));
}

/* Reads "tcp" or "udp" of n letters. */
static int protocol_parse(const char *text, size_t n, struct port_range *r)
{
	if (n != 3)
		return -EINVAL;
	r->tcp = strncasecmp(text, "tcp", 3) == 0;
	r->udp = strncasecmp(text, "udp", 3) == 0;
	return r->tcp || r->udp ? 0 : -EINVAL;
}

/* Reads digits up to 65535; what follows is left at *text. */
static int port_parse(const char **text, uint16_t *port)
{
	uint32_t v = 0;
	const char *p = *text;

	for (; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (uint32_t)(*p - '0');
		if (v > 65535)
			return -EINVAL;
	}
	if (p == *text)
		return -EINVAL;
	*port = (uint16_t)v;
	*text = p;
	return 0;
}

int port_range_parse(const char *text, struct port_range *out)
{
	struct port_range r = {.tcp = true, .udp = true};
	const char *slash = strchr(text, '/');
	bool protocol_first = slash && (text[0] < '0' || text[0] > '9');
	const char *p = protocol_first ? slash + 1 : text;

	if (protocol_first && protocol_parse(text, (size_t)(slash - text), &r))
		return -EINVAL;
	if (port_parse(&p, &r.first))
		return -EINVAL;
	r.last = r.first;
	if (*p == '-') {
		p++;
		if (port_parse(&p, &r.last) || r.last < r.first)
			return -EINVAL;
	}
	if (slash && !protocol_first) {
		if (p != slash || protocol_parse(slash + 1, strlen(slash + 1), &r))
			return -EINVAL;
	} else if (*p) {
		return -EINVAL;
	}
	*out = r;
	return 0;
}
