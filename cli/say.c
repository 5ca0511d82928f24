/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What commands that answer in sentences share. */
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"

#define COLOUR_END "\033[0m"

void cli_sign(const struct cli *cli, enum cli_sign sign)
{
	static const struct {
		const char *colour;
		const char *sign;
	} signs[] = {
		[CLI_SIGN_GOOD] = {"\033[32m", "✓"},
		[CLI_SIGN_BAD] = {"\033[31m", "✗"},
		[CLI_SIGN_WARN] = {"\033[33m", "!"},
		[CLI_SIGN_UNKNOWN] = {"\033[33m", "?"},
		[CLI_SIGN_NOTE] = {"", "·"},
	};

	fprintf(cli->out, "%s%s%s ", cli->colour ? signs[sign].colour : "",
		signs[sign].sign, cli->colour ? COLOUR_END : "");
}

const char *cli_sentence(const json_t *object, const char *key, char *buf, size_t size)
{
	return text_quoted(cli_text(object, key), buf, size);
}

void cli_wrap(const struct cli *cli, size_t indent, const char *text)
{
	size_t room = cli->columns > indent + 20 ? cli->columns - indent : 80 - indent;
	size_t at = 0;
	char word[512];

	while (*text) {
		size_t len = strcspn(text, " "), width;

		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		width = text_width(word);
		if (at && at + 1 + width > room) {
			fprintf(cli->out, "\n%*s", (int)indent, "");
			at = 0;
		} else if (at) {
			fputc(' ', cli->out);
			at++;
		}
		fputs(word, cli->out);
		at += width;
		text += len;
		text += strspn(text, " ");
	}
	fputc('\n', cli->out);
}
