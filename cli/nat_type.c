/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include "base/addr.h"
#include "cli/cli.h"
#include "cli/stun.h"
#include "cli/table.h"

#define STUN_WAIT_MS 1500

static const char *safe(const json_t *o, const char *key, char buf[512])
{
	return cli_sentence(o, key, buf, 512);
}

static void print_verdict(const struct cli *cli, const json_t *v)
{
	const json_t *reason;
	const char *best = json_is_true(json_object_get(v, "at_best")) ? "at best " : "";
	char a[512], b[512], c[512];
	size_t i;

	if (*cli_text(v, "host"))
		fprintf(cli->out, "%s on %s\n", safe(v, "host", a), safe(v, "lan", b));
	else
		fprintf(cli->out, "a host of %s\n", safe(v, "lan", a));
	fprintf(cli->out, "    mapping: %s\n", safe(v, "mapping", a));
	fprintf(cli->out, "  filtering: %s\n", safe(v, "filtering", a));
	fprintf(cli->out, "   consoles: %sXbox %s, PlayStation %s, Nintendo %s\n", best,
		safe(v, "xbox", a), safe(v, "playstation", b), safe(v, "nintendo", c));
	json_array_foreach(json_object_get(v, "reasons"), i, reason)
	{
		fputs("  · ", cli->out);
		cli_wrap(cli, 4, safe(reason, "text", a));
		if (*cli_text(reason, "fix"))
			fprintf(cli->out, "    → %s\n", safe(reason, "fix", a));
	}
}

static const char *endpoint(const struct sockaddr_in *a, char buf[ADDR_PORT_TEXT])
{
	struct in6_addr addr = addr_from_v4(a->sin_addr);

	return addr_port_text(&addr, ntohs(a->sin_port), buf);
}

/* The interface of the WAN as portreeved has it; "": none. */
static int wan_name(const struct cli *cli, char name[32])
{
	json_t *status = NULL;
	int code = cli_call(cli, "org.portreeve.Status", NULL, &status);

	if (code)
		return code;
	snprintf(name, 32, "%s", cli_text(json_object_get(status, "wan"), "interface"));
	json_decref(status);
	return CLI_OK;
}

static json_t *measured_json(const char *server, const struct stun_result *r)
{
	struct nat_grades g = nat_grade(r->mapping, r->filtering);
	char at[ADDR_PORT_TEXT], local[ADDR_PORT_TEXT], mapped[ADDR_PORT_TEXT];

	return json_pack(
		"{s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:s,s:s}", "server", server, "address",
		endpoint(&r->server, at), "local", endpoint(&r->local, local), "mapped",
		endpoint(&r->mapped, mapped), "translated",
		r->local.sin_addr.s_addr != r->mapped.sin_addr.s_addr, "mapping",
		nat_mapping_name(r->mapping), "filtering",
		nat_filtering_name(r->filtering), "xbox", g.xbox, "nintendo", g.nintendo);
}

static void print_measured(const struct cli *cli, const json_t *m)
{
	char a[512], b[512];
	bool translated = json_is_true(json_object_get(m, "translated"));

	fprintf(cli->out, "\nmeasured from the router itself with %s\n",
		safe(m, "address", a));
	fprintf(cli->out, "    mapping: %s, %s seen as %s\n", safe(m, "mapping", a),
		cli_text(m, "local"), safe(m, "mapped", b));
	fprintf(cli->out, "  filtering: %s\n", safe(m, "filtering", a));
	fprintf(cli->out, "  · %s\n",
		translated ? "another NAT stands between this router and the internet; "
			     "what it does holds for all behind it"
			   : "no other NAT stands between this router and the internet");
	if (!translated && strcmp(cli_text(m, "filtering"), "endpoint-independent") != 0)
		fprintf(cli->out, "  · a firewall filters what comes to the router's own "
				  "ports, which a lease need not pass\n");
}

static int add_measured(const struct cli *cli, json_t *reply)
{
	struct stun_result result;
	char err[STUN_ERROR], device[32], server[256];
	int code = wan_name(cli, device);

	if (code)
		return code;
	if (stun_measure(cli->stun, device[0] ? device : NULL, STUN_WAIT_MS, &result,
			 err))
		return cli_fail(cli, CLI_FAILED, "--stun %s: %s",
				text_safe(cli->stun, server, sizeof(server)), err);
	json_object_set_new(reply, "measured", measured_json(cli->stun, &result));
	return CLI_OK;
}

/* 0: no error; else the code of what was printed. */
static int ask_verdicts(const struct cli *cli, const char *host, json_t **reply)
{
	struct client_reply r;
	struct client *cl = NULL;
	char text[256];
	int code = cli_connect(cli, &cl), err;

	if (code)
		return code;
	err = client_call(cl, "org.portreeve.NatType",
			  host ? json_pack("{s:s}", "host", host) : NULL, false);
	if (!err)
		err = client_next(cl, &r);
	client_close(cl);
	if (err)
		return cli_fail_client(cli, err);
	*reply = r.parameters;
	if (!r.error[0])
		return CLI_OK;
	if (strcmp(r.error, "org.portreeve.NotInside") == 0)
		code = cli_fail(cli, CLI_NOT_FOUND,
				"%s is in no LAN; see portreeve status",
				text_safe(host ? host : "", text, sizeof(text)));
	else
		code = cli_fail_reply(cli, &r);
	json_decref(r.parameters);
	return code;
}

int cli_nat_type(struct cli *cli, int argc, char **argv)
{
	struct in6_addr host;
	json_t *reply = NULL;
	const json_t *verdict;
	char text[256];
	size_t i;
	int code;

	if (argc > 1 || (argc && (addr_parse(argv[0], &host) || !addr_is_v4(&host))))
		return cli_fail(
			cli, CLI_USAGE,
			"nat-type %s: allowed is the IPv4 address of one host, as "
			"192.168.1.20",
			text_safe(argv[argc > 1], text, sizeof(text)));
	code = ask_verdicts(cli, argc ? argv[0] : NULL, &reply);
	if (code)
		return code;
	if (cli->stun)
		code = add_measured(cli, reply);
	if (!code && cli->json) {
		code = cli_print_json(cli, reply);
	} else if (!code) {
		json_array_foreach(json_object_get(reply, "verdicts"), i, verdict)
		{
			if (i)
				fputc('\n', cli->out);
			print_verdict(cli, verdict);
		}
		if (cli->stun)
			print_measured(cli, json_object_get(reply, "measured"));
	}
	json_decref(reply);
	return code;
}
