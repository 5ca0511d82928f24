/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "base/addr.h"
#include "base/portset.h"
#include "cli/cli.h"
#include "cli/table.h"

/* One line for each lease that has ended. */
static int print_deleted(const struct cli *cli, const json_t *reply)
{
	const json_t *leases = json_object_get(reply, "leases"), *lease;
	char text[512];
	size_t i;

	json_array_foreach(leases, i, lease) fprintf(
		cli->out, "deleted %s\n", cli_lease_text(lease, text, sizeof(text)));
	if (!json_array_size(leases))
		fprintf(cli->out, "deleted %lld\n", cli_number(reply, "deleted"));
	return CLI_OK;
}

static int delete_fail(const struct cli *cli, const struct client_reply *reply,
		       const char *port, const char *host)
{
	if (strcmp(reply->error, "org.portreeve.NotFound") == 0)
		return cli_fail(cli, CLI_NOT_FOUND,
				"no lease on %s%s%s%s%s; see portreeve list", port,
				*host ? " to " : "", host, cli->remote ? " from " : "",
				cli->remote ? cli->remote : "");
	if (strcmp(reply->error, "org.portreeve.NotAllowed") == 0)
		return cli_fail(cli, CLI_NOT_ALLOWED,
				"only root may delete; try: sudo portreeve delete %s%s%s",
				port, *host ? " " : "", host);
	return cli_fail_reply(cli, reply);
}

static int delete_run(const struct cli *cli, json_t *parameters, const char *port,
		      const char *host)
{
	struct client_reply reply;
	int code = cli_ask(cli, "org.portreeve.Delete", parameters, &reply);

	if (code)
		return code;
	if (reply.error[0])
		code = delete_fail(cli, &reply, port, host);
	else if (cli->json)
		code = cli_print_json(cli, reply.parameters);
	else
		code = print_deleted(cli, reply.parameters);
	json_decref(reply.parameters);
	return code;
}

int cli_delete(struct cli *cli, int argc, char **argv)
{
	struct cli_target to = {.port = 0};
	struct port_range range;
	struct prefix remote;
	char text[256], host[256];
	json_t *parameters;
	int code = cli_take_port(cli, "delete", argc == 2 ? 1 : argc, argv, &range);

	if (code)
		return code;
	if (argc == 2 && !cli_take_target(argv[1], &to))
		return cli_fail(cli, CLI_USAGE,
				"%s is no host; write 192.168.1.20 or 2a01::20, as in "
				"portreeve list",
				text_safe(argv[1], text, sizeof(text)));
	if (cli->remote && prefix_parse(cli->remote, &remote))
		return cli_fail(
			cli, CLI_USAGE,
			"--remote %s: no address or prefix; write 11.0.0.2 or 11.0.0.0/24",
			text_safe(cli->remote, text, sizeof(text)));
	parameters = json_pack("{s:s?,s:i,s:s?}", "protocol",
			       range.tcp && range.udp ? NULL
			       : range.tcp            ? "tcp"
						      : "udp",
			       "external_port", (int)range.first, "remote", cli->remote);
	if (argc == 2)
		json_object_set_new(parameters, "internal_address",
				    json_string(to.address));
	if (to.port)
		json_object_set_new(parameters, "internal_port",
				    json_integer((json_int_t)to.port));
	return delete_run(cli, parameters, text_safe(argv[0], text, sizeof(text)),
			  argc == 2 ? text_safe(argv[1], host, sizeof(host)) : "");
}
