/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"

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

static void print_finding(const struct cli *cli, const json_t *f)
{
	char text[2048], fix[2048];

	fputc('\n', cli->out);
	if (has_severity(f, "block"))
		cli_sign(cli, CLI_SIGN_BAD);
	else if (has_severity(f, "warning"))
		cli_sign(cli, CLI_SIGN_WARN);
	else
		cli_sign(cli, CLI_SIGN_NOTE);
	cli_wrap(cli, 2, cli_sentence(f, "text", text, sizeof(text)));
	if (*cli_text(f, "fix")) /* whole, so that it can be copied */
		fprintf(cli->out, "  → %s\n", cli_sentence(f, "fix", fix, sizeof(fix)));
}

static void print_verdict(const struct cli *cli, size_t blocks, size_t warnings)
{
	if (blocks) {
		cli_sign(cli, CLI_SIGN_BAD);
		fprintf(cli->out, "blocked: %zu thing%s in the way", blocks,
			blocks == 1 ? " stands" : "s stand");
		if (warnings)
			fprintf(cli->out, ", %zu more may", warnings);
		fputc('\n', cli->out);
	} else if (warnings) {
		cli_sign(cli, CLI_SIGN_WARN);
		fprintf(cli->out, "%zu thing%s may stand in the way\n", warnings,
			warnings == 1 ? "" : "s");
	} else {
		cli_sign(cli, CLI_SIGN_GOOD);
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
