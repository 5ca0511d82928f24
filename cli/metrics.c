/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define ORIGINS 7

static const char *const protocols[] = {"tcp", "udp"};
static const char *const origins[ORIGINS] = {"pcp",      "nat-pmp", "upnp", "trigger",
					     "open-nat", "static",  "admin"};

struct counts {
	unsigned long leases[2][ORIGINS];
};

static void begin(const struct cli *cli, const char *name, const char *type,
		  const char *help)
{
	fprintf(cli->out, "# TYPE portreeve_%s %s\n# HELP portreeve_%s %s\n", name, type,
		name, help);
}

static void print_gauge(const struct cli *cli, const char *name, const char *help,
			long long value)
{
	begin(cli, name, "gauge", help);
	fprintf(cli->out, "portreeve_%s %lld\n", name, value);
}

/* The daemon's words for labels are plain. */
static bool label_valid(const char *label)
{
	return *label && !label[strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

static void print_counters(const struct cli *cli, const json_t *reply, const char *key,
			   const char *name, const char *help, const char *label)
{
	const json_t *one;
	size_t i;

	begin(cli, name, "counter", help);
	json_array_foreach(json_object_get(reply, key), i, one)
	{
		const char *value = cli_text(one, "label");

		if (label_valid(value))
			fprintf(cli->out, "portreeve_%s_total{%s=\"%s\"} %lld\n", name,
				label, value, cli_number(one, "count"));
	}
}

static void print_leases(const struct cli *cli, const struct counts *n)
{
	begin(cli, "leases", "gauge", "Open ports, static forwards among them.");
	for (size_t p = 0; p < 2; p++)
		for (size_t o = 0; o < ORIGINS; o++)
			fprintf(cli->out,
				"portreeve_leases{protocol=\"%s\",origin=\"%s\"} %lu\n",
				protocols[p], origins[o], n->leases[p][o]);
}

static void print_status(const struct cli *cli, const json_t *status)
{
	const json_t *wan = json_object_get(status, "wan"), *process;
	size_t i, n[ORIGINS] = {0};
	static const char *const roles[] = {"parent", "core",    "store",   "igd",
					    "pcp",    "trigger", "upstream"};

	print_gauge(cli, "leases_limit", "How many leases there may be.",
		    cli_number(json_object_get(status, "leases"), "max"));
	print_gauge(cli, "wan_up", "1 if the WAN is up and has an address.",
		    json_is_true(json_object_get(wan, "up")));
	begin(cli, "uptime_seconds", "gauge", "Since the core started.");
	fprintf(cli->out, "portreeve_uptime_seconds %lld\n",
		cli_number(status, "uptime_s"));
	begin(cli, "epoch_seconds", "gauge", "The age of the lease table, RFC 6887 8.5.");
	fprintf(cli->out, "portreeve_epoch_seconds %lld\n",
		cli_number(status, "epoch_s"));
	json_array_foreach(json_object_get(status, "processes"), i,
			   process) for (size_t r = 0; r < ORIGINS; r++)
		n[r] += strcmp(cli_text(process, "role"), roles[r]) == 0;
	begin(cli, "processes", "gauge", "Running processes.");
	for (size_t r = 0; r < sizeof(roles) / sizeof(roles[0]); r++)
		fprintf(cli->out, "portreeve_processes{role=\"%s\"} %zu\n", roles[r],
			n[r]);
}

static int count_lease(void *arg, json_t *lease)
{
	struct counts *n = arg;
	size_t p = strcmp(cli_text(lease, "protocol"), "tcp") != 0;

	for (size_t o = 0; o < ORIGINS; o++)
		n->leases[p][o] += strcmp(cli_text(lease, "origin"), origins[o]) == 0;
	return 0;
}

static void print_all(const struct cli *cli, const struct counts *n, const json_t *status,
		      const json_t *counters)
{
	print_leases(cli, n);
	print_status(cli, status);
	print_counters(cli, counters, "granted", "leases_granted",
		       "Leases granted, by who asked.", "origin");
	print_counters(cli, counters, "renewed", "leases_renewed",
		       "Leases renewed, by who asked first.", "origin");
	print_counters(cli, counters, "ended", "leases_ended",
		       "Leases that have ended, by the reason.", "reason");
	print_counters(cli, counters, "refused", "requests_refused",
		       "Requests refused, by the reason.", "reason");
	fputs("# EOF\n", cli->out);
}

int cli_metrics(struct cli *cli, int argc, char **argv)
{
	json_t *status = NULL, *counters = NULL;
	struct counts n = {0};
	int code;

	(void)argv;
	if (argc || cli->json)
		return cli_fail(cli, CLI_USAGE,
				"metrics takes no arguments; it writes OpenMetrics text");
	code = cli_call(cli, "org.portreeve.Status", NULL, &status);
	if (!code)
		code = cli_call(cli, "org.portreeve.Metrics", NULL, &counters);
	if (!code)
		code = cli_each_lease(cli, false, count_lease, &n);
	if (!code)
		print_all(cli, &n, status, counters);
	json_decref(status);
	json_decref(counters);
	return code;
}
