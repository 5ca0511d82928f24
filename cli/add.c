/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/duration.h"
#include "cli/cli.h"
#include "cli/table.h"

#define ADD_MAX_MS (7 * 86400 * 1000ULL)

struct add {
	struct port_range port;
	struct cli_target to;
	uint64_t ms; /* 0: not said */
};

/* CLI_OK, or what was printed. */
static int add_parse(const struct cli *cli, int argc, char **argv, struct add *a)
{
	struct prefix remote;
	char text[256];
	int code;

	if (argc != 2)
		return cli_fail(
			cli, CLI_USAGE,
			"add takes a port and where it leads: portreeve add udp/3074 "
			"192.168.1.20:3074");
	code = cli_take_port(cli, "add", 1, argv, &a->port);
	if (code)
		return code;
	if (!cli_take_target(argv[1], &a->to))
		return cli_fail(cli, CLI_USAGE,
				"%s is no target; write 192.168.1.20 or 192.168.1.20:80",
				text_safe(argv[1], text, sizeof(text)));
	if (cli->duration &&
	    (duration_parse(cli->duration, &a->ms) || a->ms < 1000 || a->ms > ADD_MAX_MS))
		return cli_fail(cli, CLI_USAGE,
				"--for %s: no time span of at most 7d; write 2h or 30m",
				text_safe(cli->duration, text, sizeof(text)));
	if (cli->remote && prefix_parse(cli->remote, &remote))
		return cli_fail(
			cli, CLI_USAGE,
			"--remote %s: no address or prefix; write 11.0.0.2 or 11.0.0.0/24",
			text_safe(cli->remote, text, sizeof(text)));
	return CLI_OK;
}

static int add_one(const struct cli *cli, const struct add *a, const char *protocol,
		   json_t *leases)
{
	json_t *parameters = json_pack(
		"{s:s,s:i,s:s,s:i,s:s?,s:s?}", "protocol", protocol, "external_port",
		(int)a->port.first, "internal_address", a->to.address, "internal_port",
		(int)(a->to.port ? a->to.port : a->port.first), "remote", cli->remote,
		"description", cli->description);
	json_t *reply = NULL;
	char text[512];
	int code;

	if (a->ms)
		json_object_set_new(parameters, "seconds",
				    json_integer((json_int_t)(a->ms / 1000)));
	code = cli_call(cli, "org.portreeve.Add", parameters, &reply);
	if (code)
		return code;
	json_array_append(leases, json_object_get(reply, "lease"));
	if (!cli->json)
		fprintf(cli->out, "added %s\n",
			cli_lease_text(json_object_get(reply, "lease"), text,
				       sizeof(text)));
	json_decref(reply);
	return CLI_OK;
}

int cli_add(struct cli *cli, int argc, char **argv)
{
	struct add a = {.ms = 0};
	int code = add_parse(cli, argc, argv, &a);
	json_t *leases, *all;

	if (code)
		return code;
	leases = json_array();
	if (a.port.tcp)
		code = add_one(cli, &a, "tcp", leases);
	if (!code && a.port.udp)
		code = add_one(cli, &a, "udp", leases);
	if (!code && cli->json) {
		all = json_pack("{s:O}", "leases", leases);
		code = cli_print_json(cli, all);
		json_decref(all);
	}
	json_decref(leases);
	return code;
}
