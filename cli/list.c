/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/room.h"
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/table.h"

#define LIST_BY_COLUMNS 16

/* A lease is kept as its text, since 131,072 JSON trees would fill a small router. */
struct row {
	unsigned int rank; /* protocol and port, as they are sorted */
	char *json;
};

struct rows {
	struct row *row;
	size_t n;
	size_t room;
	struct names *names; /* of the devices; NULL: no memory */
	const char *vendors;
	/* Of one at least it is known: what the host is called, the last use, the bytes. */
	bool named;
	bool used;
	bool counted;
};

static void rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->row[i].json);
	free(rows->row);
	names_free(rows->names);
}

/* What is known here of the host that a lease leads to; absent, where it is not. */
static void name_device(struct rows *rows, json_t *lease)
{
	const struct name *name;
	struct in6_addr addr;
	const char *vendor;

	if (!rows->names || addr_parse(cli_text(lease, "internal_address"), &addr))
		return;
	name = names_find(rows->names, &addr);
	if (!name)
		return;
	if (name->name[0])
		json_object_set_new(lease, "device_name", json_string(name->name));
	if (name->mac[0])
		json_object_set_new(lease, "device_mac", json_string(name->mac));
	vendor = names_vendor(rows->names, name, rows->vendors);
	if (vendor[0])
		json_object_set_new(lease, "device_vendor", json_string(vendor));
	rows->named = rows->named || name->name[0] || vendor[0];
}

static int rows_add(void *arg, json_t *lease)
{
	struct rows *rows = arg;
	const json_t *traffic = json_object_get(lease, "traffic");
	long long port = cli_number(lease, "external_port");
	bool udp = strcmp(cli_text(lease, "protocol"), "udp") == 0;
	struct row *row;
	char *text;

	if (port < 0 || port > 65535)
		return -EBADMSG;
	row = room_for(rows->row, &rows->room, rows->n + 1, sizeof(*row));
	if (!row)
		return -ENOMEM;
	rows->row = row;
	name_device(rows, lease);
	rows->used = rows->used || cli_number(traffic, "idle_s") >= 0;
	rows->counted = rows->counted || cli_number(traffic, "packets") >= 0;
	text = json_dumps(lease, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	rows->row[rows->n++] = (struct row){
		.rank = (udp ? 65536U : 0U) + (unsigned int)port,
		.json = text,
	};
	return 0;
}

/* Calls `each` for the leases of one reply. */
static int each_of(const json_t *parameters, int (*each)(void *arg, json_t *lease),
		   void *arg)
{
	const json_t *leases = json_object_get(parameters, "leases");
	json_t *lease;
	size_t i;
	int err;

	if (!json_is_array(leases))
		return -EBADMSG;
	json_array_foreach(leases, i, lease)
	{
		err = each(arg, lease);
		if (err)
			return err;
	}
	return 0;
}

static int each_reply(const struct cli *cli, struct client *cl, bool traffic,
		      int (*each)(void *arg, json_t *lease), void *arg)
{
	json_t *parameters = traffic ? json_pack("{s:b}", "traffic", 1) : NULL;
	struct client_reply reply;
	int err = client_call(cl, "org.portreeve.List", parameters, true);

	do {
		if (!err)
			err = client_next(cl, &reply);
		if (err)
			return cli_fail_client(cli, err);
		if (reply.error[0]) {
			int code = cli_fail_reply(cli, &reply);

			json_decref(reply.parameters);
			return code;
		}
		err = each_of(reply.parameters, each, arg);
		json_decref(reply.parameters);
	} while (!err && reply.continues);
	return err ? cli_fail_client(cli, err) : CLI_OK;
}

int cli_each_lease(const struct cli *cli, bool traffic,
		   int (*each)(void *arg, json_t *lease), void *arg)
{
	struct client *cl = NULL;
	int code = cli_connect(cli, &cl);

	if (!code)
		code = each_reply(cli, cl, traffic, each, arg);
	client_close(cl);
	return code;
}

/* Those of one port, with different remotes, in an order that is at least always the same. */
static int row_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->json, y->json);
}

static void join_claims(const json_t *lease, char *buf, size_t size)
{
	const json_t *claims = json_object_get(lease, "claims"), *claim;
	size_t i, used = 0;

	buf[0] = '\0';
	json_array_foreach(claims, i, claim)
	{
		const char *name = json_string_value(claim);
		int n = snprintf(buf + used, size - used, "%s%s", used ? "+" : "",
				 name ? name : "?");

		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

static void inside_text(const json_t *lease, char *buf, size_t size)
{
	const char *addr = cli_text(lease, "internal_address");

	snprintf(buf, size, strchr(addr, ':') ? "[%s]:%lld" : "%s:%lld", addr,
		 cli_number(lease, "internal_port"));
}

const char *cli_port_text(const json_t *lease, char *buf, size_t size)
{
	long long last = cli_number(lease, "external_port_last");
	size_t n = (size_t)snprintf(buf, size, "%s/%lld", cli_text(lease, "protocol"),
				    cli_number(lease, "external_port"));

	if (last >= 0 && n < size)
		snprintf(buf + n, size - n, "-%lld", last);
	return buf;
}

const char *cli_lease_text(const json_t *lease, char *buf, size_t size)
{
	const char *remote = cli_text(lease, "remote");
	char inside[128], claims[128], text[512];

	inside_text(lease, inside, sizeof(inside));
	join_claims(lease, claims, sizeof(claims));
	snprintf(text, sizeof(text), "%s/%lld to %s%s%s (%s)",
		 cli_text(lease, "protocol"), cli_number(lease, "external_port"), inside,
		 *remote ? " only from " : "", remote, claims);
	return text_safe(text, buf, size);
}

enum list_column {
	LIST_PORT,
	LIST_TO,
	LIST_DEVICE,
	LIST_BY,
	LIST_AGE,
	LIST_LEFT,
	LIST_USED,
	LIST_IN,
	LIST_OUT,
	LIST_PACKETS,
	LIST_DESCRIPTION,
	LIST_COLUMNS
};
#define LIST_CELL 768
#define LIST_DEVICE_COLUMNS 20
#define LIST_DESCRIPTION_MIN 12

struct cells {
	char text[LIST_COLUMNS][LIST_CELL];
	const char *cell[LIST_COLUMNS];
};

static void packets_text(const json_t *traffic, char *buf, size_t size)
{
	long long n = cli_number(traffic, "packets");

	if (n < 0)
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%lld", n);
}

static void description_text(const json_t *lease, char *buf, size_t size)
{
	bool disabled = json_is_false(json_object_get(lease, "enabled"));
	const char *remote = cli_text(lease, "remote");
	const char *what = cli_text(lease, "description");
	const char *end = *what && (disabled || *remote) ? "; " : "";

	snprintf(buf, size, "%s%s%s%s%s%s", disabled ? "disabled" : "",
		 disabled && *remote ? ", " : "", *remote ? "only from " : "", remote,
		 end, what);
}

/* Its name, else who made it. */
static void device_text(const json_t *lease, char *buf, size_t size)
{
	const char *name = cli_text(lease, "device_name");

	snprintf(buf, size, "%s", *name ? name : cli_text(lease, "device_vendor"));
}

/* All texts are the daemon's, some of them first a client's: made safe here. */
static void cells_fill(struct cells *c, const json_t *lease)
{
	const json_t *traffic = json_object_get(lease, "traffic");
	char raw[LIST_COLUMNS][LIST_CELL];

	cli_port_text(lease, raw[LIST_PORT], LIST_CELL);
	inside_text(lease, raw[LIST_TO], LIST_CELL);
	device_text(lease, raw[LIST_DEVICE], LIST_CELL);
	join_claims(lease, raw[LIST_BY], LIST_CELL);
	cli_span_text(lease, "age_s", raw[LIST_AGE], LIST_CELL);
	cli_span_text(lease, "remaining_s", raw[LIST_LEFT], LIST_CELL);
	cli_span_text(traffic, "idle_s", raw[LIST_USED], LIST_CELL);
	cli_bytes_text(traffic, "bytes_in", raw[LIST_IN], LIST_CELL);
	cli_bytes_text(traffic, "bytes_out", raw[LIST_OUT], LIST_CELL);
	packets_text(traffic, raw[LIST_PACKETS], LIST_CELL);
	description_text(lease, raw[LIST_DESCRIPTION], LIST_CELL);
	for (size_t i = 0; i < LIST_COLUMNS; i++)
		c->cell[i] = text_safe(raw[i], c->text[i], LIST_CELL);
}

/* Calls `each` for all rows. */
static int rows_each(const struct cli *cli, const struct rows *rows, struct table *table,
		     void (*each)(const struct cli *cli, struct table *table,
				  const char *const *cell))
{
	struct cells cells;

	for (size_t i = 0; i < rows->n; i++) {
		json_t *lease = json_loads(rows->row[i].json, 0, NULL);

		if (!lease)
			return cli_fail_client(cli, -ENOMEM);
		cells_fill(&cells, lease);
		json_decref(lease);
		each(cli, table, cells.cell);
	}
	return CLI_OK;
}

static void row_measure(const struct cli *cli, struct table *table,
			const char *const *cell)
{
	(void)cli;
	table_measure(table, cell);
}

static void row_print(const struct cli *cli, struct table *table, const char *const *cell)
{
	table_print(table, cli->out, cli->columns, cell);
}

/* Does enough remain for the description? */
static bool has_room(const struct cli *cli, const struct table *t)
{
	return table_start(t, LIST_DESCRIPTION) + LIST_DESCRIPTION_MIN <= cli->columns;
}

/* Shows columns where something of them is known, and as there is room. */
static void show_if_room(const struct cli *cli, struct table *t, bool known,
			 enum list_column first, enum list_column last)
{
	for (size_t i = first; i <= last; i++)
		t->hidden[i] = false;
	if (known && has_room(cli, t))
		return;
	for (size_t i = first; i <= last; i++)
		t->hidden[i] = true;
}

/* The age gives way to names. */
static void choose_columns(const struct cli *cli, const struct rows *rows,
			   struct table *t)
{
	for (size_t i = LIST_USED; i <= LIST_PACKETS; i++)
		t->hidden[i] = true;
	t->hidden[LIST_DEVICE] = !rows->named;
	t->hidden[LIST_AGE] = rows->named && !has_room(cli, t);
	show_if_room(cli, t, rows->used, LIST_USED, LIST_USED);
	show_if_room(cli, t, rows->counted, LIST_IN, LIST_OUT);
	show_if_room(cli, t, !t->hidden[LIST_IN], LIST_PACKETS, LIST_PACKETS);
}

static int rows_print(const struct cli *cli, const struct rows *rows)
{
	static const char *const heading[] = {"PORT", "TO",      "DEVICE",     "BY",
					      "AGE",  "LEFT",    "USED",       "IN",
					      "OUT",  "PACKETS", "DESCRIPTION"};
	struct table table;
	int code;

	if (!rows->n) {
		fputs("No leases.\n", cli->out);
		return CLI_OK;
	}
	table_init(&table, heading, LIST_COLUMNS);
	table.max[LIST_DEVICE] = LIST_DEVICE_COLUMNS;
	table.max[LIST_BY] = LIST_BY_COLUMNS;
	code = rows_each(cli, rows, &table, row_measure);
	if (code)
		return code;
	choose_columns(cli, rows, &table);
	table_print_heading(&table, cli->out, cli->columns, cli->colour);
	return rows_each(cli, rows, &table, row_print);
}

static void rows_print_json(const struct cli *cli, const struct rows *rows)
{
	fputs("{\"leases\":[", cli->out);
	for (size_t i = 0; i < rows->n; i++)
		fprintf(cli->out, "%s\n%s", i ? "," : "", rows->row[i].json);
	fputs(rows->n ? "\n]}\n" : "]}\n", cli->out);
}

int cli_list(struct cli *cli, int argc, char **argv)
{
	struct rows rows = {.vendors = cli->vendors};
	int code;

	(void)argv;
	if (argc)
		return cli_fail(cli, CLI_USAGE,
				"list takes no arguments; see portreeve help");
	if (cli->dhcp_leases)
		rows.names = names_new();
	if (rows.names)
		names_read(rows.names, cli->dhcp_leases);
	code = cli_each_lease(cli, true, rows_add, &rows);
	if (!code) {
		if (rows.n)
			qsort(rows.row, rows.n, sizeof(rows.row[0]), row_compare);
		if (cli->json)
			rows_print_json(cli, &rows);
		else
			code = rows_print(cli, &rows);
	}
	rows_free(&rows);
	return code;
}
