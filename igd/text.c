/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct text text_in(char *buf, size_t size)
{
	assert(size > 0);
	buf[0] = '\0';
	return (struct text){.buf = buf, .size = size};
}

void text_bytes(struct text *t, const char *s, size_t n)
{
	if (t->bad || n >= t->size - t->len) {
		t->bad = true;
		return;
	}
	memcpy(t->buf + t->len, s, n);
	t->len += n;
	t->buf[t->len] = '\0';
}

void text_put(struct text *t, const char *s)
{
	text_bytes(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	size_t room = t->size - t->len;
	va_list ap;
	int n;

	if (t->bad)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		t->buf[t->len] = '\0';
		t->bad = true;
		return;
	}
	t->len += (size_t)n;
}

/* RFC 3629 section 4: shortest forms only, no surrogates, nothing above U+10FFFF; XML 1.0
 * section 2.2 takes U+FFFE and U+FFFF away. */
size_t text_char(const char *s, size_t n)
{
	static const uint32_t least[5] = {[2] = 0x80, [3] = 0x800, [4] = 0x10000};
	const uint8_t *p = (const uint8_t *)s;
	uint32_t c;
	size_t len;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f ? 1 : 0;
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
		return 0;
	c = p[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
	    c == 0xfffe || c == 0xffff || (c >= 0x80 && c < 0xa0))
		return 0;
	return len;
}

static const char *text_entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void text_escape(struct text *t, const char *s)
{
	size_t left = strlen(s);

	while (left) {
		size_t n = text_char(s, left);
		const char *entity = text_entity(*s);

		if (entity)
			text_put(t, entity);
		else if (n)
			text_bytes(t, s, n);
		else
			text_put(t, "\xef\xbf\xbd");
		n = n ? n : 1;
		s += n;
		left -= n;
	}
}

void text_clean(char *dst, size_t max, const char *src)
{
	size_t left = strlen(src), len = 0;

	while (left) {
		size_t n = text_char(src, left);

		if (len + n > max)
			break;
		memcpy(dst + len, src, n);
		len += n;
		n = n ? n : 1; /* what cannot be shown is left out */
		src += n;
		left -= n;
	}
	dst[len] = '\0';
}
