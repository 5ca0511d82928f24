/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>

#include "base/duration.h"
#include "cli/cli.h"
#include "cli/table.h"

#define COLOUR_GOOD "\033[32m"
#define COLOUR_WARN "\033[33m"
#define COLOUR_END "\033[0m"

/* "      WAN: " once, then blanks below it. */
static void label(const struct cli *cli, const char *name, size_t i)
{
	fprintf(cli->out, "%10s%c ", i ? "" : name, i ? ' ' : ':');
}

static const char *safe(const json_t *object, const char *key, char buf[128])
{
	return text_safe(cli_text(object, key), buf, 128);
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void print_head(const struct cli *cli, const json_t *status)
{
	bool up = is_true(json_object_get(status, "wan"), "up");
	long long s = cli_number(status, "uptime_s");
	char version[128], uptime[DURATION_TEXT];

	fprintf(cli->out, "%s●%s portreeved %s, up %s\n",
		!cli->colour ? ""
		: up         ? COLOUR_GOOD
			     : COLOUR_WARN,
		cli->colour ? COLOUR_END : "", safe(status, "version", version),
		duration_text(s < 0 ? 0 : (uint64_t)s, uptime));
}

static void print_wan(const struct cli *cli, const json_t *wan)
{
	char name[128], addr[128];

	safe(wan, "interface", name);
	safe(wan, "address", addr);
	label(cli, "WAN", 0);
	if (!*name)
		fputs("none yet; waiting for a default route", cli->out);
	else if (!*addr)
		fprintf(cli->out, "%s, no address yet", name);
	else
		fprintf(cli->out, "%s, %s%s", name, addr,
			is_true(wan, "up") ? "" : ", down");
	fputc('\n', cli->out);
}

static void print_lans(const struct cli *cli, const json_t *lans)
{
	char name[128], addr[128];
	const json_t *lan;
	size_t i;

	json_array_foreach(lans, i, lan)
	{
		bool upnp = is_true(lan, "upnp"), pcp = is_true(lan, "pcp");

		label(cli, "LAN", i);
		fprintf(cli->out, "%s, %s; ", safe(lan, "name", name),
			*safe(lan, "address", addr) ? addr : "no address yet");
		if (upnp)
			fprintf(cli->out, "UPnP on port %lld%s",
				cli_number(lan, "http_port"), pcp ? ", " : "");
		fputs(pcp    ? "PCP and NAT-PMP\n"
		      : upnp ? "\n"
			     : "neither UPnP nor PCP\n",
		      cli->out);
	}
	if (!json_array_size(lans)) {
		label(cli, "LAN", 0);
		fputs("none yet; waiting for an interface with a private address\n",
		      cli->out);
	}
}

static void print_kernel(const struct cli *cli, const json_t *kernel)
{
	label(cli, "Kernel", 0);
	fprintf(cli->out, "renews leases %s%s\n",
		is_true(kernel, "in_place_renewal") ? "in place" : "by replacing them",
		is_true(kernel, "assumed_61") ? " (told to take it for a 6.1)" : "");
}

static void print_processes(const struct cli *cli, const json_t *processes)
{
	static const char *const heading[] = {"PROCESS", "LAN", "PID", "USER"};
	struct table table;

	if (!json_array_size(processes))
		return;
	fputc('\n', cli->out);
	table_init(&table, heading, 4);
	for (int print = 0; print < 2; print++) {
		const json_t *p;
		size_t i;

		if (print)
			table_print_heading(&table, cli->out, cli->columns, cli->colour);
		json_array_foreach(processes, i, p)
		{
			char role[128], lan[128], pid[24], user[128];
			const char *cell[] = {role, lan, pid, user};

			safe(p, "role", role);
			if (!*safe(p, "lan", lan))
				snprintf(lan, sizeof(lan), "-");
			snprintf(pid, sizeof(pid), "%lld", cli_number(p, "pid"));
			safe(p, "user", user);
			if (print)
				table_print(&table, cli->out, cli->columns, cell);
			else
				table_measure(&table, cell);
		}
	}
}

int cli_status(struct cli *cli, int argc, char **argv)
{
	const json_t *leases;
	json_t *status = NULL;
	int code;

	(void)argv;
	if (argc)
		return cli_fail(cli, CLI_USAGE,
				"status takes no arguments; see portreeve help");
	code = cli_call(cli, "org.portreeve.Status", NULL, &status);
	if (code)
		return code;
	if (cli->json) {
		code = cli_print_json(cli, status);
	} else {
		leases = json_object_get(status, "leases");
		print_head(cli, status);
		print_wan(cli, json_object_get(status, "wan"));
		print_lans(cli, json_object_get(status, "lans"));
		label(cli, "Leases", 0);
		fprintf(cli->out, "%lld of at most %lld\n", cli_number(leases, "count"),
			cli_number(leases, "max"));
		print_kernel(cli, json_object_get(status, "kernel"));
		print_processes(cli, json_object_get(status, "processes"));
	}
	json_decref(status);
	return code;
}
