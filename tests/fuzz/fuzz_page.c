/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The status page out of any records: whatever they hold, the page is whole, within its room,
 * one line a row, and has no tag that would not be there without the client's words.
 *
 * An input: the WAN address, then rows of 184 bytes as they lie in memory.
 */
#include "base/addr.h"
#include "igd/page.h"
#include "tests/fuzz/fuzz.h"

#define ROWS 4

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static char *page(const struct record_state *s, const struct record_row *rows, size_t n)
{
	char *buf = fuzz_alloc(PAGE_SIZE(n));
	struct text t = text_in(buf, PAGE_SIZE(n));

	page_write(&t, s, rows, n, false, UINT64_MAX);
	must(!t.bad && t.len == strlen(buf));
	must(t.len > 9 && strcmp(buf + t.len - 8, "</html>\n") == 0);
	return buf;
}

static void check_text(const char *html)
{
	for (size_t left = strlen(html), n; left; left -= n, html += n) {
		n = *html == '\n' ? 1 : text_char(html, left);
		must(n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	struct record_state s = {.wan_up = 1};
	struct record_row rows[ROWS], bare[ROWS];
	char *said, *silent;
	size_t n = 0;

	feed_copy(&f, &s.wan4, sizeof(s.wan4));
	while (n < ROWS && f.left) {
		feed_copy(&f, &rows[n], sizeof(rows[n]));
		if (!page_row_valid(&rows[n]))
			continue;
		bare[n] = rows[n];
		memset(bare[n].description, 0, sizeof(bare[n].description));
		if (rows[n].description[0])
			bare[n].description[0] = 'x';
		n++;
	}
	said = page(&s, rows, n);
	silent = page(&s, bare, n);
	check_text(said);
	must(count(said, "<") == count(silent, "<"));
	must(count(said, ">") == count(silent, ">"));
	must(count(said, "\"") == count(silent, "\""));
	must(count(said, "\n") == count(silent, "\n"));
	must(count(said, "<tr>") == n + (n > 0));
	free(said);
	free(silent);
	return 0;
}
