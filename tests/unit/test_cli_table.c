/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How wide text is, how it is cut, and that nothing of it reaches the terminal raw. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/table.h"

static void knows_how_wide_text_is(void **state)
{
	(void)state;
	assert_int_equal(text_width(""), 0);
	assert_int_equal(text_width("udp/3074"), 8);
	assert_int_equal(text_width("café"), 4);
	assert_int_equal(text_width("cafe\xcc\x81"), 4); /* a combining accent */
	assert_int_equal(text_width("ゲーム"), 6);
	assert_int_equal(text_width("🎮"), 2);
	assert_int_equal(text_width("a\xff\xe3\x82"), 4); /* broken: byte by byte */
}

static const char *cut(const char *text, size_t columns)
{
	static char buf[64];

	return text_cut(text, columns, buf, sizeof(buf));
}

static void cuts_where_it_no_longer_fits(void **state)
{
	char tiny[6];

	(void)state;
	assert_string_equal(cut("Xbox", 4), "Xbox");
	assert_string_equal(cut("Xbox", 3), "Xb…");
	assert_string_equal(cut("Xbox", 1), "…");
	assert_string_equal(cut("Xbox", 0), "");
	assert_string_equal(cut("ゲーム", 6), "ゲーム");
	assert_string_equal(cut("ゲーム", 5), "ゲー…");
	assert_string_equal(cut("ゲーム", 4), "ゲ…");
	assert_string_equal(cut("cafe\xcc\x81s", 4), "caf…");
	/* The buffer is an end, too, and no character is cut in two there. */
	assert_string_equal(text_cut("abcdefgh", 80, tiny, sizeof(tiny)), "ab…");
	assert_string_equal(text_cut("ゲーム", 80, tiny, sizeof(tiny)), "…");
}

static void shows_no_control_characters(void **state)
{
	char buf[64], small[8];

	(void)state;
	assert_string_equal(text_safe("a\033[31m\r\n\"\\", buf, sizeof(buf)),
			    "a\\x1b[31m\\x0d\\x0a\\x22\\x5c");
	assert_string_equal(text_safe("a\xe2\x80\xae"
				      "b\xe2\x80\x8b",
				      buf, sizeof(buf)),
			    "a\xef\xbf\xbd"
			    "b\xef\xbf\xbd"); /* U+202E turns the line round */
	assert_string_equal(text_safe("\xff", buf, sizeof(buf)), "\\xff");
	assert_string_equal(text_safe("ゲーム", small, sizeof(small)), "ゲー");
}

static const char *const heading[] = {"PORT", "TO", "DESCRIPTION"};
static const char *const row1[] = {"udp/3074", "192.168.1.20:3074", "Xbox"};
static const char *const row2[] = {"tcp/80", "192.168.1.3:80", ""};
static const char *const row3[] = {"tcp/8080", "ゲ", "a description that is long"};

static char *printed(size_t columns, size_t max, bool bold)
{
	struct table t;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	table_init(&t, heading, 3);
	t.max[1] = max;
	table_measure(&t, row1);
	table_measure(&t, row2);
	table_measure(&t, row3);
	table_print_heading(&t, out, columns, bold);
	table_print(&t, out, columns, row1);
	table_print(&t, out, columns, row2);
	table_print(&t, out, columns, row3);
	fclose(out);
	return text;
}

static void lines_up_its_columns(void **state)
{
	char *text = printed(80, 0, false);

	(void)state;
	assert_string_equal(text,
			    "PORT      TO                 DESCRIPTION\n"
			    "udp/3074  192.168.1.20:3074  Xbox\n"
			    "tcp/80    192.168.1.3:80\n"
			    "tcp/8080  ゲ                 a description that is long\n");
	free(text);
}

static void uses_the_width_there_is(void **state)
{
	char *text = printed(45, 0, false);

	(void)state;
	assert_string_equal(text, "PORT      TO                 DESCRIPTION\n"
				  "udp/3074  192.168.1.20:3074  Xbox\n"
				  "tcp/80    192.168.1.3:80\n"
				  "tcp/8080  ゲ                 a description t…\n");
	free(text);
	text = printed(1, 5, true);
	assert_string_equal(text, "\033[1mPORT      TO     DESCRIPTI…\n\033[0m"
				  "udp/3074  192.…  Xbox\n"
				  "tcp/80    192.…\n"
				  "tcp/8080  ゲ     a descrip…\n");
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_how_wide_text_is),
		cmocka_unit_test(cuts_where_it_no_longer_fits),
		cmocka_unit_test(shows_no_control_characters),
		cmocka_unit_test(lines_up_its_columns),
		cmocka_unit_test(uses_the_width_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
