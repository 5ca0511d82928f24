/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"

#define SHOW_COLUMNS 6
#define SHOW_CELL 128

struct cells {
	char text[SHOW_COLUMNS][SHOW_CELL];
	const char *cell[SHOW_COLUMNS];
};

static void cells_fill(struct cells *c, const json_t *flow)
{
	const char *addr = cli_text(flow, "remote_address");
	bool in = json_is_true(json_object_get(flow, "inbound"));
	bool answered = json_is_true(json_object_get(flow, "answered"));
	char raw[SHOW_COLUMNS][SHOW_CELL];

	snprintf(raw[0], SHOW_CELL, strchr(addr, ':') ? "[%s]:%lld" : "%s:%lld", addr,
		 cli_number(flow, "remote_port"));
	snprintf(raw[1], SHOW_CELL, "%s%s", in ? "in" : "out",
		 answered ? "" : ", no answer");
	cli_span_text(flow, "age_s", raw[2], SHOW_CELL);
	cli_bytes_text(flow, "bytes_in", raw[3], SHOW_CELL);
	cli_bytes_text(flow, "bytes_out", raw[4], SHOW_CELL);
	cli_span_text(flow, "idle_s", raw[5], SHOW_CELL);
	for (size_t i = 0; i < SHOW_COLUMNS; i++)
		c->cell[i] = text_safe(raw[i], c->text[i], SHOW_CELL);
}

static void print_flows(const struct cli *cli, const json_t *flows)
{
	static const char *const heading[] = {"REMOTE", "BEGUN", "AGE",
					      "IN",     "OUT",   "LAST USE"};
	struct table table;
	struct cells cells;
	const json_t *flow;
	bool counted = false, timed = false;
	size_t i;

	table_init(&table, heading, SHOW_COLUMNS);
	json_array_foreach(flows, i, flow)
	{
		cells_fill(&cells, flow);
		table_measure(&table, cells.cell);
		counted = counted || cli_number(flow, "bytes_in") >= 0;
		timed = timed || cli_number(flow, "age_s") >= 0;
	}
	table_print_heading(&table, cli->out, cli->columns, cli->colour);
	json_array_foreach(flows, i, flow)
	{
		cells_fill(&cells, flow);
		table_print(&table, cli->out, cli->columns, cells.cell);
	}
	if (!counted)
		fputs("\nFor bytes: sysctl -w net.netfilter.nf_conntrack_acct=1\n",
		      cli->out);
	if (!timed)
		fprintf(cli->out,
			"%sFor ages: sysctl -w net.netfilter.nf_conntrack_timestamp=1\n",
			counted ? "\n" : "");
}

/* Of all connections: how many, what is counted of them, and the last use. */
static void print_sum(const struct cli *cli, const json_t *sum)
{
	long long n = cli_number(sum, "connections");
	char in[32], out[32];

	fprintf(cli->out, "\n%lld connection%s", n, n == 1 ? "" : "s");
	cli_bytes_text(sum, "bytes_in", in, sizeof(in));
	cli_bytes_text(sum, "bytes_out", out, sizeof(out));
	if (cli_number(sum, "packets") >= 0)
		fprintf(cli->out, ", %lld packets, %s in, %s out",
			cli_number(sum, "packets"), in, out);
	cli_span_text(sum, "idle_s", in, sizeof(in));
	if (cli_number(sum, "idle_s") >= 0)
		fprintf(cli->out, ", last used %s ago", in);
	fputc('\n', cli->out);
}

static void print_port(const struct cli *cli, const json_t *reply)
{
	const json_t *flows = json_object_get(reply, "flows");
	const json_t *lease = json_object_get(reply, "lease");
	char text[512];

	fprintf(cli->out, "%s\n\n", cli_lease_text(lease, text, sizeof(text)));
	if (json_array_size(flows)) {
		print_flows(cli, flows);
		print_sum(cli, json_object_get(lease, "traffic"));
	} else {
		fputs("Nobody is connected through it now.\n", cli->out);
	}
	if (json_is_true(json_object_get(reply, "more")))
		fputs("... and more\n", cli->out);
}

/* One protocol; of a port without a lease the reply is not there. */
static int ask(const struct cli *cli, const char *protocol, uint16_t port, json_t *ports)
{
	json_t *parameters = json_pack("{s:s,s:i}", "protocol", protocol, "external_port",
				       (int)port);
	struct client_reply reply;
	int code = cli_ask(cli, "org.portreeve.Flows", parameters, &reply);

	if (code)
		return code;
	if (!reply.error[0])
		json_array_append(ports, reply.parameters);
	else if (strcmp(reply.error, "org.portreeve.NotFound") != 0)
		code = cli_fail_reply(cli, &reply);
	json_decref(reply.parameters);
	return code;
}

static int answer(const struct cli *cli, json_t *ports, const char *port)
{
	const json_t *one;
	json_t *all;
	size_t i;
	int code;

	if (!json_array_size(ports))
		return cli_fail(cli, CLI_NOT_FOUND,
				"no lease on %s; try: portreeve explain %s", port, port);
	if (cli->json) {
		all = json_pack("{s:O}", "ports", ports);
		code = cli_print_json(cli, all);
		json_decref(all);
		return code;
	}
	json_array_foreach(ports, i, one)
	{
		if (i)
			fputc('\n', cli->out);
		print_port(cli, one);
	}
	return CLI_OK;
}

int cli_show(struct cli *cli, int argc, char **argv)
{
	json_t *ports;
	char text[256];
	int code = cli_ask_port(cli, "show", argc, argv, ask, &ports);

	if (!code)
		code = answer(cli, ports, text_safe(argv[0], text, sizeof(text)));
	json_decref(ports);
	return code;
}
