/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"

#define COLOUR_BAD "\033[31m"
#define COLOUR_GOOD "\033[32m"
#define COLOUR_WARN "\033[33m"
#define COLOUR_END "\033[0m"

static bool has_severity(const json_t *finding, const char *severity)
{
	return strcmp(cli_text(finding, "severity"), severity) == 0;
}

static size_t count(const json_t *findings, const char *severity)
{
	const json_t *f;
	size_t i, n = 0;

	json_array_foreach(findings, i, f) n += has_severity(f, severity);
	return n;
}

static void coloured(const struct cli *cli, const char *colour, const char *sign)
{
	fprintf(cli->out, "%s%s%s ", cli->colour ? colour : "", sign,
		cli->colour ? COLOUR_END : "");
}

/* Safe for a terminal, but with quotation marks as they are. */
static const char *safe(const json_t *finding, const char *key, char *buf, size_t size)
{
	char *to = buf;

	text_safe(cli_text(finding, key), buf, size);
	for (const char *from = buf; *from;) {
		bool quote = strncmp(from, "\\x22", 4) == 0;

		*to++ = quote ? '"' : *from;
		from += quote ? 4 : 1;
	}
	*to = '\0';
	return buf;
}

/* The words of a sentence in lines as wide as there is room, two columns in. */
static void print_wrapped(const struct cli *cli, const char *text)
{
	size_t room = cli->columns > 20 ? cli->columns - 2 : 78, at = 0;
	char word[512];

	while (*text) {
		size_t len = strcspn(text, " "), width;

		snprintf(word, sizeof(word), "%.*s", (int)len, text);
		width = text_width(word);
		if (at && at + 1 + width > room) {
			fputs("\n  ", cli->out);
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

static void print_finding(const struct cli *cli, const json_t *f)
{
	char text[2048], fix[2048];

	fputc('\n', cli->out);
	if (has_severity(f, "block"))
		coloured(cli, COLOUR_BAD, "✗");
	else if (has_severity(f, "warning"))
		coloured(cli, COLOUR_WARN, "!");
	else
		coloured(cli, "", "·");
	print_wrapped(cli, safe(f, "text", text, sizeof(text)));
	if (*cli_text(f, "fix")) /* whole, so that it can be copied */
		fprintf(cli->out, "  → %s\n", safe(f, "fix", fix, sizeof(fix)));
}

static void print_verdict(const struct cli *cli, size_t blocks, size_t warnings)
{
	if (blocks) {
		coloured(cli, COLOUR_BAD, "✗");
		fprintf(cli->out, "blocked: %zu thing%s in the way", blocks,
			blocks == 1 ? " stands" : "s stand");
		if (warnings)
			fprintf(cli->out, ", %zu more may", warnings);
		fputc('\n', cli->out);
	} else if (warnings) {
		coloured(cli, COLOUR_WARN, "!");
		fprintf(cli->out, "%zu thing%s may stand in the way\n", warnings,
			warnings == 1 ? "" : "s");
	} else {
		coloured(cli, COLOUR_GOOD, "✓");
		fputs("nothing stands in the way of open ports on this machine\n",
		      cli->out);
	}
}

int cli_check(struct cli *cli, int argc, char **argv)
{
	const json_t *findings, *f;
	json_t *reply = NULL;
	size_t blocks, warnings, i;
	int code;

	(void)argv;
	if (argc)
		return cli_fail(cli, CLI_USAGE,
				"check takes no arguments; see portreeve help");
	code = cli_call(cli, "org.portreeve.Check", NULL, &reply);
	if (code)
		return code;
	findings = json_object_get(reply, "findings");
	blocks = count(findings, "block");
	warnings = count(findings, "warning");
	if (cli->json) {
		code = cli_print_json(cli, reply);
	} else {
		print_verdict(cli, blocks, warnings);
		json_array_foreach(findings, i, f) print_finding(cli, f);
		if (json_is_true(json_object_get(reply, "more")))
			fputs("\n  ... and more\n", cli->out);
	}
	json_decref(reply);
	if (code)
		return code;
	return blocks ? CLI_BLOCKED : warnings ? CLI_WARNINGS : CLI_OK;
}
