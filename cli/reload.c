/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"

static int reload_fail(const struct cli *cli, const struct client_reply *reply)
{
	char text[1024];

	if (strcmp(reply->error, "org.portreeve.BadConfiguration") == 0)
		return cli_fail(cli, CLI_CONFIG, "%s; nothing has changed",
				text_safe(cli_text(reply->parameters, "text"), text,
					  sizeof(text)));
	if (strcmp(reply->error, "org.portreeve.NotAllowed") == 0)
		return cli_fail(cli, CLI_NOT_ALLOWED,
				"only root may reload; try: sudo portreeve reload");
	return cli_fail_reply(cli, reply);
}

int cli_reload(struct cli *cli, int argc, char **argv)
{
	struct client_reply reply;
	struct client *cl = NULL;
	int code, err;

	(void)argv;
	if (argc)
		return cli_fail(cli, CLI_USAGE, "reload takes no argument");
	code = cli_connect(cli, &cl);
	if (code)
		return code;
	err = client_call(cl, "org.portreeve.Reload", NULL, false);
	if (!err)
		err = client_next(cl, &reply);
	client_close(cl);
	if (err)
		return cli_fail_client(cli, err);
	if (reply.error[0])
		code = reload_fail(cli, &reply);
	else if (cli->json)
		code = cli_print_json(cli, reply.parameters);
	else
		fprintf(cli->out, "reloaded; leases ended by it: %lld\n",
			cli_number(reply.parameters, "ended"));
	json_decref(reply.parameters);
	return code;
}
