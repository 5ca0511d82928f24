/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deny and allow: what no host may open, and taking that back. */
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/duration.h"
#include "cli/cli.h"
#include "cli/table.h"

#define DENY_COLUMNS 3
#define DENY_CELL 128

static void ports_text(const json_t *denial, char *buf, size_t size)
{
	const char *protocol = cli_text(denial, "protocol");
	long long first = cli_number(denial, "port"),
		  last = cli_number(denial, "port_last");
	char end[24] = "";

	if (last > first)
		snprintf(end, sizeof(end), "-%lld", last);
	if (first < 0)
		snprintf(buf, size, "all");
	else
		snprintf(buf, size, "%s%s%lld%s", protocol, *protocol ? "/" : "", first,
			 end);
}

struct cells {
	char text[DENY_COLUMNS][DENY_CELL];
	const char *cell[DENY_COLUMNS];
};

static void cells_fill(struct cells *c, const json_t *denial)
{
	long long ago = (long long)time(NULL) - cli_number(denial, "since");
	char raw[DENY_COLUMNS][DENY_CELL], span[DURATION_TEXT];
	const char *host = cli_text(denial, "host");

	snprintf(raw[0], DENY_CELL, "%s", *host ? host : "all");
	ports_text(denial, raw[1], DENY_CELL);
	snprintf(raw[2], DENY_CELL, "%s ago",
		 duration_text(ago > 0 ? (uint64_t)ago : 0, span));
	for (size_t i = 0; i < DENY_COLUMNS; i++)
		c->cell[i] = text_safe(raw[i], c->text[i], DENY_CELL);
}

static void print_denials(const struct cli *cli, const json_t *denials)
{
	static const char *const heading[] = {"HOST", "PORT", "SINCE"};
	const json_t *denial;
	struct table table;
	struct cells cells;
	size_t i;

	if (!json_array_size(denials)) {
		fputs("Nothing is denied.\n", cli->out);
		return;
	}
	table_init(&table, heading, DENY_COLUMNS);
	json_array_foreach(denials, i, denial)
	{
		cells_fill(&cells, denial);
		table_measure(&table, cells.cell);
	}
	table_print_heading(&table, cli->out, cli->columns, cli->colour);
	json_array_foreach(denials, i, denial)
	{
		cells_fill(&cells, denial);
		table_print(&table, cli->out, cli->columns, cells.cell);
	}
}

/* A host, or else a port: CLI_OK, or what was printed. */
static int take_word(const struct cli *cli, const char *word, json_t *parameters)
{
	struct port_range range;
	struct prefix host;
	uint8_t mac[MAC_LEN];
	char text[256];
	bool is_mac = !mac_parse(word, mac), is_host = is_mac || strpbrk(word, ".:");

	text_safe(word, text, sizeof(text));
	if (json_object_get(parameters, is_host ? "host" : "port"))
		return cli_fail(cli, CLI_USAGE, "%s is a second %s; one at a time", text,
				is_host ? "host" : "port");
	if (is_host && !is_mac && (prefix_parse(word, &host) || !host.len))
		return cli_fail(cli, CLI_USAGE,
				"%s is no host; write 192.168.1.20, a network as "
				"192.168.2.0/24, or a MAC address",
				text);
	if (is_host) {
		json_object_set_new(parameters, "host", json_string(word));
		return CLI_OK;
	}
	if (port_range_parse(word, &range) || !range.first)
		return cli_fail(cli, CLI_USAGE,
				"%s is neither a host nor a port; write 192.168.1.20, "
				"udp/3074 or 3074-3080",
				text);
	json_object_set_new(parameters, "port", json_integer(range.first));
	json_object_set_new(parameters, "port_last", json_integer(range.last));
	if (range.tcp != range.udp)
		json_object_set_new(parameters, "protocol",
				    json_string(range.tcp ? "tcp" : "udp"));
	return CLI_OK;
}

/* What the words name, as on the command line. */
static const char *target_text(int argc, char **argv, char *buf, size_t size)
{
	char text[256];

	snprintf(text, sizeof(text), "%s%s%s", argv[0], argc > 1 ? " " : "",
		 argc > 1 ? argv[1] : "");
	return text_safe(text, buf, size);
}

static int fail(const struct cli *cli, const struct client_reply *reply,
		const char *command, const char *target)
{
	if (strcmp(reply->error, "org.portreeve.NotFound") == 0)
		return cli_fail(cli, CLI_NOT_FOUND,
				"%s is not denied, in these words; see portreeve deny",
				target);
	if (strcmp(reply->error, "org.portreeve.NotAllowed") == 0)
		return cli_fail(cli, CLI_NOT_ALLOWED,
				"only root may do that; try: sudo portreeve %s %s",
				command, target);
	return cli_fail_reply(cli, reply);
}

static void print_denied(const struct cli *cli, const json_t *reply, const char *target)
{
	long long ended = cli_number(reply, "ended"), kept = cli_number(reply, "kept");

	fprintf(cli->out, "denied %s; %lld lease%s ended\n", target, ended,
		ended == 1 ? "" : "s");
	if (kept > 0)
		fprintf(cli->out,
			"%lld stay%s open, by portreeve add or a forward of portreeve.conf: "
			"portreeve list\n",
			kept, kept == 1 ? "s" : "");
}

static int change(const struct cli *cli, bool deny, int argc, char **argv)
{
	json_t *parameters = json_object();
	struct client_reply reply;
	char target[512];
	int code = CLI_OK;

	for (int i = 0; i < argc && !code; i++)
		code = take_word(cli, argv[i], parameters);
	if (code) {
		json_decref(parameters);
		return code;
	}
	target_text(argc, argv, target, sizeof(target));
	code = cli_ask(cli, deny ? "org.portreeve.Deny" : "org.portreeve.Allow",
		       parameters, &reply);
	if (code)
		return code;
	if (reply.error[0])
		code = fail(cli, &reply, deny ? "deny" : "allow", target);
	else if (cli->json)
		code = cli_print_json(cli, reply.parameters);
	else if (deny)
		print_denied(cli, reply.parameters, target);
	else
		fprintf(cli->out, "no longer denied: %s\n", target);
	json_decref(reply.parameters);
	return code;
}

int cli_deny(struct cli *cli, int argc, char **argv)
{
	json_t *reply = NULL;
	int code;

	if (argc > 2)
		return cli_fail(cli, CLI_USAGE,
				"deny takes a host, a port, or both; see portreeve help");
	if (argc)
		return change(cli, true, argc, argv);
	code = cli_call(cli, "org.portreeve.Denials", NULL, &reply);
	if (code)
		return code;
	if (cli->json)
		code = cli_print_json(cli, reply);
	else
		print_denials(cli, json_object_get(reply, "denials"));
	json_decref(reply);
	return code;
}

int cli_allow(struct cli *cli, int argc, char **argv)
{
	if (argc < 1 || argc > 2)
		return cli_fail(
			cli, CLI_USAGE,
			"allow takes what portreeve deny lists: a host, a port, or "
			"both");
	return change(cli, false, argc, argv);
}
