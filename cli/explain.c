/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "cli/cli.h"
#include "cli/probe.h"
#include "cli/table.h"

#define LISTENER_MS 500

/* What the daemon cannot know, since it sends nothing to hosts. */
static void add_listener(json_t *reply, enum probe_result result, const char *protocol,
			 const char *host, long long port)
{
	static const struct {
		const char *state;
		const char *words; /* protocol, port, host */
	} said[] = {
		[PROBE_UNTRIED] = {"unknown",
				   "whether somebody listens on %s/%lld of %s was "
				   "not tried: this is not the router"},
		[PROBE_LISTENS] = {"good", "somebody listens on %s/%lld of %s"},
		[PROBE_REFUSED] = {"bad",
				   "nobody listens on %s/%lld of %s: it refuses what "
				   "it is sent there"},
		[PROBE_SILENT] = {"unknown",
				  "nothing says that nobody listens on %s/%lld of "
				  "%s: it does not answer there"},
	};
	bool open = json_is_true(json_object_get(reply, "open"));
	const char *fix = result == PROBE_REFUSED
				  ? "start the program there, or correct the port in it"
				  : NULL;
	char text[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), said[result].words, protocol, port, host);
#pragma GCC diagnostic pop
	json_array_append_new(json_object_get(reply, "facts"),
			      json_pack("{s:s,s:s,s:s,s:s?}", "id", "listener", "state",
					said[result].state, "text", text, "fix", fix));
	if (!open || result != PROBE_REFUSED)
		return;
	json_object_set_new(reply, "open", json_false());
	json_object_set_new(reply, "verdict", json_string("no-listener"));
	json_object_set_new(reply, "text", json_string(text));
	json_object_set_new(reply, "fix", json_string(fix));
}

/* Tries it, where nothing else tells. */
static void try_listener(json_t *reply, const char *protocol)
{
	json_t *listener = json_object_get(reply, "listener");
	const char *host = cli_text(listener, "address");
	long long port = cli_number(listener, "port");
	struct in6_addr to, from;

	if (json_is_object(listener) && !addr_parse(host, &to) &&
	    !addr_parse(cli_text(listener, "from"), &from) && port > 0 && port < 65536)
		add_listener(reply,
			     probe_listener(strcmp(protocol, "tcp") ? IPPROTO_UDP
								    : IPPROTO_TCP,
					    &to, (uint16_t)port, &from, LISTENER_MS),
			     protocol, host, port);
	json_object_del(reply, "listener");
}

static int ask(const struct cli *cli, const char *protocol, uint16_t port, json_t *ports)
{
	json_t *reply = NULL, *all;
	int code = cli_call(
		cli, "org.portreeve.Explain",
		json_pack("{s:s,s:i}", "protocol", protocol, "external_port", (int)port),
		&reply);

	if (code)
		return code;
	if (!json_is_array(json_object_get(reply, "facts"))) {
		json_decref(reply);
		return cli_fail_client(cli, -EBADMSG);
	}
	try_listener(reply, protocol);
	all = json_pack("{s:s,s:i}", "protocol", protocol, "external_port", (int)port);
	json_object_update(all, reply);
	json_decref(reply);
	return json_array_append_new(ports, all) ? cli_fail_client(cli, -ENOMEM) : CLI_OK;
}

static bool is_open(const json_t *port)
{
	return json_is_true(json_object_get(port, "open"));
}

static enum cli_sign sign_of(const json_t *fact)
{
	const char *state = cli_text(fact, "state");

	return strcmp(state, "good") == 0      ? CLI_SIGN_GOOD
	       : strcmp(state, "bad") == 0     ? CLI_SIGN_BAD
	       : strcmp(state, "unknown") == 0 ? CLI_SIGN_UNKNOWN
					       : CLI_SIGN_NOTE;
}

static void print_port(const struct cli *cli, const json_t *port)
{
	char text[2048];
	const json_t *fact;
	size_t i;

	cli_sign(cli, is_open(port) ? CLI_SIGN_GOOD : CLI_SIGN_BAD);
	cli_wrap(cli, 2, cli_sentence(port, "text", text, sizeof(text)));
	if (*cli_text(port, "fix")) /* whole, so that it can be copied */
		fprintf(cli->out, "  → %s\n",
			cli_sentence(port, "fix", text, sizeof(text)));
	fputc('\n', cli->out);
	json_array_foreach(json_object_get(port, "facts"), i, fact)
	{
		const char *fix = cli_text(fact, "fix");

		fputs("  ", cli->out);
		cli_sign(cli, sign_of(fact));
		cli_wrap(cli, 4, cli_sentence(fact, "text", text, sizeof(text)));
		if (*fix && strcmp(fix, cli_text(port, "fix")) != 0)
			fprintf(cli->out, "    → %s\n",
				cli_sentence(fact, "fix", text, sizeof(text)));
	}
}

/* Of a port without a protocol the one that nobody asked for does not count, if the other
 * one was asked for. */
static bool counts(const json_t *ports, const json_t *port)
{
	const json_t *other;
	size_t i;

	if (strcmp(cli_text(port, "verdict"), "no-lease") != 0)
		return true;
	json_array_foreach(ports, i, other) if (strcmp(cli_text(other, "verdict"),
						       "no-lease") != 0) return false;
	return true;
}

static int answer(const struct cli *cli, json_t *ports)
{
	bool open = true;
	const json_t *port;
	json_t *all;
	size_t i;
	int code = CLI_OK;

	json_array_foreach(ports, i, port)
		open = open && (is_open(port) || !counts(ports, port));
	if (cli->json) {
		all = json_pack("{s:O}", "ports", ports);
		code = cli_print_json(cli, all);
		json_decref(all);
	} else {
		json_array_foreach(ports, i, port)
		{
			if (i)
				fputc('\n', cli->out);
			print_port(cli, port);
		}
	}
	return code ? code : open ? CLI_OK : CLI_NOT_OPEN;
}

int cli_explain(struct cli *cli, int argc, char **argv)
{
	json_t *ports;
	int code = cli_ask_port(cli, "explain", argc, argv, ask, &ports);

	if (!code)
		code = answer(cli, ports);
	json_decref(ports);
	return code;
}
