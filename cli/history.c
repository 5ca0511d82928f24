/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/duration.h"
#include "base/portset.h"
#include "cli/cli.h"
#include "cli/table.h"

#define HISTORY_COLUMNS 6
#define HISTORY_CELL 768
#define HISTORY_DAY_MS 86400000

struct history {
	json_t *parameters;
	json_t *events; /* all pages */
};

/* What is asked for. CLI_OK, or what was printed. */
static int history_parse(const struct cli *cli, json_t *parameters)
{
	uint64_t ago_ms = HISTORY_DAY_MS;
	struct port_range range;
	struct in6_addr host;
	char text[256];
	int64_t since;

	if (cli->since && duration_parse(cli->since, &ago_ms))
		return cli_fail(cli, CLI_USAGE,
				"--since %s: no time span; write 2h, 30m or 7d",
				text_safe(cli->since, text, sizeof(text)));
	since = (int64_t)time(NULL) - (int64_t)(ago_ms / 1000);
	json_object_set_new(parameters, "since", json_integer(since > 0 ? since : 0));
	if (cli->host && addr_parse(cli->host, &host))
		return cli_fail(cli, CLI_USAGE,
				"--host %s: no address; write 192.168.1.20",
				text_safe(cli->host, text, sizeof(text)));
	if (cli->host)
		json_object_set_new(parameters, "host", json_string(cli->host));
	if (!cli->port)
		return CLI_OK;
	if (port_range_parse(cli->port, &range) || !range.first ||
	    range.first != range.last)
		return cli_fail(cli, CLI_USAGE,
				"--port %s: no port; write udp/3074, or 3074 for both "
				"protocols",
				text_safe(cli->port, text, sizeof(text)));
	json_object_set_new(parameters, "port", json_integer(range.first));
	if (range.tcp != range.udp)
		json_object_set_new(parameters, "protocol",
				    json_string(range.tcp ? "tcp" : "udp"));
	return CLI_OK;
}

/* One page, and whether there are more. */
static int history_page(const struct cli *cli, struct history *h, bool *more)
{
	json_t *reply = NULL, *events, *next;
	int code = cli_call(cli, "org.portreeve.History", json_copy(h->parameters),
			    &reply);

	if (code)
		return code;
	events = json_object_get(reply, "events");
	next = json_object_get(reply, "next");
	*more = json_is_integer(next);
	if (!json_is_array(events) || (*more && !json_array_size(events))) {
		json_decref(reply);
		return cli_fail_client(cli, -EBADMSG);
	}
	json_array_extend(h->events, events);
	if (*more)
		json_object_set(h->parameters, "after", next);
	json_decref(reply);
	return CLI_OK;
}

static void time_text(const json_t *event, char *buf, size_t size)
{
	time_t at = (time_t)json_number_value(json_object_get(event, "time"));
	struct tm tm;

	if (!localtime_r(&at, &tm) || !strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, size, "?");
}

static void what_text(const json_t *event, char *buf, size_t size)
{
	long long times = cli_number(event, "times");
	const char *what = cli_text(event, "event");

	if (times > 1 && strcmp(what, "refused") == 0)
		snprintf(buf, size, "%s %lldx", what, times);
	else
		snprintf(buf, size, "%s", what);
}

/* Why it ended or was refused; how long; what the client calls it. */
static void remark_text(const json_t *event, char *buf, size_t size)
{
	const char *reason = cli_text(event, "reason"), *what = cli_text(event, "event");
	const char *text = cli_text(event, "description");
	long long seconds = cli_number(event, "seconds");
	char span[DURATION_TEXT], how[DURATION_TEXT + 16] = "";

	if (strcmp(what, "restored") == 0 || strcmp(what, "lost") == 0) {
		snprintf(buf, size,
			 *what == 'r' ? "%lld leases, after a reboot"
				      : "%lld events that were not written",
			 cli_number(event, "times"));
		return;
	}
	if (seconds >= 0 && strcmp(what, "refused") != 0)
		snprintf(how, sizeof(how), "%s %s",
			 strcmp(what, "ended") == 0 ? "after" : "for",
			 duration_text((uint64_t)seconds, span));
	snprintf(buf, size, "%s%s%s%s%s", reason, *reason && *how ? " " : "", how,
		 *text && (*reason || *how) ? "; " : "", text);
}

struct history_cells {
	char text[HISTORY_COLUMNS][HISTORY_CELL];
	const char *cell[HISTORY_COLUMNS];
};

static void cells_fill(struct history_cells *c, const json_t *event)
{
	char raw[HISTORY_COLUMNS][HISTORY_CELL] = {0};
	const char *addr = cli_text(event, "internal_address");

	time_text(event, raw[0], HISTORY_CELL);
	what_text(event, raw[1], HISTORY_CELL);
	if (*addr) {
		snprintf(raw[2], HISTORY_CELL, "%s/%lld", cli_text(event, "protocol"),
			 cli_number(event, "external_port"));
		snprintf(raw[3], HISTORY_CELL,
			 strchr(addr, ':') ? "[%s]:%lld" : "%s:%lld", addr,
			 cli_number(event, "internal_port"));
	}
	snprintf(raw[4], HISTORY_CELL, "%s", cli_text(event, "by"));
	remark_text(event, raw[5], HISTORY_CELL);
	for (size_t i = 0; i < HISTORY_COLUMNS; i++)
		c->cell[i] = text_safe(raw[i], c->text[i], HISTORY_CELL);
}

const char *cli_event_text(const json_t *event, char *buf, size_t size)
{
	struct history_cells c = {0};
	size_t used = 0;

	cells_fill(&c, event);
	buf[0] = '\0';
	for (size_t i = 0; i < HISTORY_COLUMNS && used < size; i++)
		if (*c.cell[i])
			used += (size_t)snprintf(buf + used, size - used, "%s%s",
						 used ? "  " : "", c.cell[i]);
	return buf;
}

static void history_print(const struct cli *cli, const json_t *events)
{
	static const char *const heading[] = {"TIME", "EVENT", "PORT",
					      "TO",   "BY",    "REMARK"};
	struct table table;
	struct history_cells cells;
	const json_t *event;
	size_t i;

	if (!json_array_size(events)) {
		fputs("Nothing happened.\n", cli->out);
		return;
	}
	table_init(&table, heading, HISTORY_COLUMNS);
	json_array_foreach(events, i, event)
	{
		cells_fill(&cells, event);
		table_measure(&table, cells.cell);
	}
	table_print_heading(&table, cli->out, cli->columns, cli->colour);
	json_array_foreach(events, i, event)
	{
		cells_fill(&cells, event);
		table_print(&table, cli->out, cli->columns, cells.cell);
	}
}

int cli_history(struct cli *cli, int argc, char **argv)
{
	struct history h = {.parameters = json_object(), .events = json_array()};
	bool more = true;
	int code;

	(void)argv;
	code = argc ? cli_fail(cli, CLI_USAGE,
			       "history takes options only; see portreeve help")
		    : history_parse(cli, h.parameters);
	while (!code && more)
		code = history_page(cli, &h, &more);
	if (!code && cli->json) {
		json_t *all = json_pack("{s:O}", "events", h.events);

		code = cli_print_json(cli, all);
		json_decref(all);
	} else if (!code) {
		history_print(cli, h.events);
	}
	json_decref(h.parameters);
	json_decref(h.events);
	return code;
}
