/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/table.h"

#include <stdint.h>
#include <string.h>

#include "base/log.h"

#define TABLE_GAP 2
#define TABLE_LAST_MIN 10 /* of the last column, however narrow the terminal is */
#define TABLE_CELL 1024

struct range {
	uint32_t first;
	uint32_t last;
};

/* Unicode 15: combining marks and other characters without a width of their own. */
static const struct range zero_wide[] = {
	{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f},
	{0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff},
	{0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

/* Unicode 15, East Asian Width W and F. */
static const struct range double_wide[] = {
	{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97f},
	{0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
	{0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff},
	{0x20000, 0x3fffd},
};

/* Zero width, directional and other format characters; line and paragraph separators. */
static const struct range invisible[] = {
	{0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x180e, 0x180e}, {0x200b, 0x200f},
	{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xe0000, 0xe0fff},
};

static bool among(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].first && c <= r[i].last)
			return true;
	return false;
}
#define AMONG(c, table) among(c, table, sizeof(table) / sizeof((table)[0]))

/* The next character; what is no UTF-8 counts byte by byte. */
static uint32_t utf8_next(const char **text)
{
	const unsigned char *s = (const unsigned char *)*text;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
	uint32_t c = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*text += 1;
			return 0xfffd;
		}
		c = c << 6 | (s[i] & 0x3f);
	}
	*text += n;
	return c;
}

static size_t char_width(uint32_t c)
{
	return AMONG(c, zero_wide) ? 0 : AMONG(c, double_wide) ? 2 : 1;
}

size_t text_width(const char *text)
{
	size_t n = 0;

	while (*text)
		n += char_width(utf8_next(&text));
	return n;
}

const char *text_cut(const char *text, size_t columns, char *buf, size_t size)
{
	static const char more[] = "…";
	const char *end = text, *fits = text;
	size_t width = 0, len;

	while (*end) {
		width += char_width(utf8_next(&end));
		if (width > columns)
			break;
		if (width < columns) /* the … needs one */
			fits = end;
	}
	if (width <= columns && strlen(text) < size)
		return memcpy(buf, text, strlen(text) + 1);
	len = (size_t)(fits - text);
	while (len && len + sizeof(more) > size)
		do {
			len--;
		} while (len && ((unsigned char)text[len] & 0xc0) == 0x80);
	memcpy(buf, text, len);
	memcpy(buf + len, columns ? more : "", columns ? sizeof(more) : 1);
	return buf;
}

const char *text_safe(const char *text, char *buf, size_t size)
{
	char escaped[TABLE_CELL];
	const char *p = log_escape(text, escaped, sizeof(escaped));
	size_t used = 0;

	while (*p) {
		const char *from = p;
		bool hidden = AMONG(utf8_next(&p), invisible);
		size_t n = hidden ? 3 : (size_t)(p - from);

		if (used + n >= size)
			break;
		memcpy(buf + used, hidden ? "\xef\xbf\xbd" : from, n);
		used += n;
	}
	buf[used] = '\0';
	return buf;
}

const char *text_quoted(const char *text, char *buf, size_t size)
{
	char *to = buf;

	text_safe(text, buf, size);
	for (const char *from = buf; *from;) {
		bool quote = strncmp(from, "\\x22", 4) == 0;

		*to++ = quote ? '"' : *from;
		from += quote ? 4 : 1;
	}
	*to = '\0';
	return buf;
}

void table_init(struct table *t, const char *const *heading, size_t n_columns)
{
	*t = (struct table){.heading = heading, .n_columns = n_columns};
	table_measure(t, heading);
}

void table_measure(struct table *t, const char *const *cell)
{
	for (size_t i = 0; i + 1 < t->n_columns; i++) {
		size_t width = text_width(cell[i]);

		if (t->max[i] && width > t->max[i])
			width = t->max[i];
		if (width > t->width[i])
			t->width[i] = width;
	}
}

size_t table_start(const struct table *t, size_t column)
{
	size_t start = 0;

	for (size_t i = 0; i < column; i++)
		if (!t->hidden[i])
			start += t->width[i] + TABLE_GAP;
	return start;
}

void table_print(const struct table *t, FILE *out, size_t columns,
		 const char *const *cell)
{
	size_t last = t->n_columns - 1, start = 0, at = 0;
	char buf[TABLE_CELL];

	for (size_t i = 0; i <= last; i++) {
		size_t room = t->width[i];
		const char *text;

		if (t->hidden[i])
			continue;

		if (i == last)
			room = columns > start + TABLE_LAST_MIN ? columns - start
								: TABLE_LAST_MIN;
		text = text_cut(cell[i], room, buf, sizeof(buf));
		if (*text) { /* no blanks at the end of a line */
			fprintf(out, "%*s%s", (int)(start - at), "", text);
			at = start + text_width(text);
		}
		start += t->width[i] + TABLE_GAP;
	}
	fputc('\n', out);
}

void table_print_heading(const struct table *t, FILE *out, size_t columns, bool bold)
{
	if (bold)
		fputs("\033[1m", out);
	table_print(t, out, columns, t->heading);
	if (bold)
		fputs("\033[0m", out);
}
