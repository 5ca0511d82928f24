/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "base/addr.h"
#include "base/duration.h"
#include "cli/table.h"
#include "config.h"

static const char help[] =
	"usage: portreeve [--runtime-dir DIR] [--json] COMMAND\n"
	"\n"
	"commands:\n"
	"  list          the open ports: where they lead, who asked, how long\n"
	"  status        the daemon, its networks and its processes\n"
	"  check         what stands in the way of open ports on this machine\n"
	"  explain PORT  why a port is open or not; PORT is udp/3074, 3074/udp, or 3074\n"
	"                for both protocols\n"
	"  show PORT     one open port, and who is connected through it now\n"
	"  watch         what happens, as it happens\n"
	"  metrics       numbers for Prometheus, as OpenMetrics text\n"
	"  import FILE   makes a portreeve.conf from a miniupnpd.conf, from OpenWrt's\n"
	"                upnpd, or from a table of ports and addresses\n"
	"  add PORT HOST\n"
	"                opens a port to a host, as 192.168.1.20:3074 (for root)\n"
	"  delete PORT [HOST]\n"
	"                closes a port now, or only what leads to that host (for root)\n"
	"  deny [HOST] [PORT]\n"
	"                lets no host open that port, nor that host any port or that one,\n"
	"                from now on (for root); alone: what is denied\n"
	"  allow [HOST] [PORT]  takes that back (for root)\n"
	"  history       what was opened, closed and refused, and why\n"
	"  reload        reads the configuration again and applies it (for root)\n"
	"  nat-type [HOST]  what a game on that host sees, as consoles grade it, and why\n"
	"  profiles [NAME]  what is known of consoles and games, and what of it is on\n"
	"  help          this text\n"
	"\n"
	"options, before or after the command:\n"
	"  --json              for scripts\n"
	"  --remote PREFIX     add, delete: only for that remote address or prefix\n"
	"  --for TIME          add: so long, as 2h; at most 7d [1d]\n"
	"  --description TEXT  add: what it is\n"
	"  --since TIME        history: so far back, as 2h or 7d [1d]\n"
	"  --host ADDRESS      history: only of that host\n"
	"  --port PORT         history: only of that port, inside or outside\n"
	"  --stun SERVER       nat-type: measure it, too, with a server of RFC 5780\n"
	"  --runtime-dir DIR   where portreeved's control socket is\n"
	"                      [" RUNSTATEDIR "/portreeve]\n"
	"  --help, --version\n"
	"\n"
	"exit codes: 0 done, 1 no such port (check: warnings; explain: not open),\n"
	"2 check: something blocks, 64 usage, 69 portreeved cannot be reached,\n"
	"77 not allowed, 78 the configuration is wrong. The manual: man portreeve\n";

static const struct cli_command {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
	{"list", cli_list},         {"status", cli_status},     {"delete", cli_delete},
	{"check", cli_check},       {"reload", cli_reload},     {"history", cli_history},
	{"explain", cli_explain},   {"show", cli_show},         {"import", cli_import},
	{"add", cli_add},           {"watch", cli_watch},       {"metrics", cli_metrics},
	{"nat-type", cli_nat_type}, {"profiles", cli_profiles}, {"deny", cli_deny},
	{"allow", cli_allow},
};

int cli_fail(const struct cli *cli, enum cli_exit code, const char *fmt, ...)
{
	va_list ap;

	fputs("portreeve: ", cli->err);
	va_start(ap, fmt);
	vfprintf(cli->err, fmt, ap);
	va_end(ap);
	fputc('\n', cli->err);
	return (int)code;
}

int cli_fail_client(const struct cli *cli, int err)
{
	const char *dir = cli->runtime_dir;

	switch (err) {
	case -EACCES:
	case -EPERM:
		return cli_fail(
			cli, CLI_NOT_ALLOWED,
			"%s/control: permission denied; run it as root or as a member "
			"of the group portreeve",
			dir);
	case -ETIMEDOUT:
		return cli_fail(cli, CLI_UNREACHABLE,
				"portreeved does not answer; see its log, or restart it: "
				"systemctl restart portreeve");
	case -ECONNRESET:
	case -EBADMSG:
		return cli_fail(cli, CLI_UNREACHABLE,
				"portreeved %s; see its log: journalctl -u portreeve",
				err == -EBADMSG ? "answered with what is no varlink"
						: "hung up before it answered");
	case -ENAMETOOLONG:
		return cli_fail(cli, CLI_USAGE,
				"--runtime-dir %s: too long for the path of a socket",
				dir);
	case -ENOMEM:
		return cli_fail(cli, CLI_FAILED,
				"out of memory; free some and try again");
	default:
		return cli_fail(
			cli, CLI_UNREACHABLE,
			"%s/control: %s; is portreeved running? Try: systemctl start "
			"portreeve",
			dir, strerror(-err));
	}
}

/* What to do about that reason of a refusal. */
static const char *remedy(const char *reason)
{
	static const struct {
		const char *reason;
		const char *remedy;
	} remedies[] = {
		{"busy", "try again in a moment, or end one of them"},
		{"store", "try again in a moment; its log says more"},
		{"memory", "free some and try again"},
		{"rate", "try again in a second"},
		{"taken", "portreeve list shows who has it"},
		{"not-owner", "portreeve list shows who has it"},
		{"remote", "portreeve list shows what is there for that port"},
		{"static", "it is a forward of portreeve.conf, or a rule of your own"},
		{"router", "ss -lntup shows which program of the router has it"},
		{"not-lan", "portreeve status shows the LANs"},
		{"access", "only a global address of IPv6 can be reached from outside"},
		{"quota-table", "raise limits { leases = ... } in portreeve.conf"},
		{"full",
		 "take one back with portreeve allow, or deny a network or a range"},
		{"state", "it is not denied now; is there room on the disk?"},
		{"no-wan", "portreeve check says what is wrong with the WAN"},
	};

	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (strcmp(remedies[i].reason, reason) == 0)
			return remedies[i].remedy;
	return "see its log: journalctl -u portreeve";
}

int cli_fail_reply(const struct cli *cli, const struct client_reply *reply)
{
	char text[256], what[256];

	if (strcmp(reply->error, "org.portreeve.NotAllowed") == 0)
		return cli_fail(cli, CLI_NOT_ALLOWED,
				"that is for root; try it with sudo");
	if (strcmp(reply->error, "org.portreeve.NotFound") == 0)
		return cli_fail(cli, CLI_NOT_FOUND, "no such lease; see portreeve list");
	if (strcmp(reply->error, "org.portreeve.TooMany") == 0)
		return cli_fail(cli, CLI_USAGE,
				"more leases than %lld; name one with --remote",
				cli_number(reply->parameters, "limit"));
	if (strcmp(reply->error, "org.portreeve.Failed") == 0)
		return cli_fail(cli, CLI_FAILED, "portreeved refused: %s; %s",
				text_safe(cli_text(reply->parameters, "text"), text,
					  sizeof(text)),
				remedy(cli_text(reply->parameters, "reason")));
	return cli_fail(
		cli, CLI_FAILED,
		"portreeved answered %s; it may be of another version, restart it: "
		"systemctl restart portreeve",
		text_safe(reply->error, what, sizeof(what)));
}

int cli_connect(const struct cli *cli, struct client **out)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/control", cli->runtime_dir);
	int err = n < 0 || n >= (int)sizeof(path)
			  ? -ENAMETOOLONG
			  : client_open(path, cli->timeout_ms, out);

	return err ? cli_fail_client(cli, err) : CLI_OK;
}

int cli_ask(const struct cli *cli, const char *method, json_t *parameters,
	    struct client_reply *reply)
{
	struct client *cl = NULL;
	int code = cli_connect(cli, &cl), err;

	if (code) {
		json_decref(parameters);
		return code;
	}
	err = client_call(cl, method, parameters, false);
	if (!err)
		err = client_next(cl, reply);
	client_close(cl);
	return err ? cli_fail_client(cli, err) : CLI_OK;
}

int cli_call(const struct cli *cli, const char *method, json_t *parameters, json_t **out)
{
	struct client_reply reply;
	int code = cli_ask(cli, method, parameters, &reply);

	if (code)
		return code;
	if (reply.error[0]) {
		code = cli_fail_reply(cli, &reply);
		json_decref(reply.parameters);
		return code;
	}
	*out = reply.parameters;
	return CLI_OK;
}

int cli_print_json(const struct cli *cli, const json_t *value)
{
	if (json_dumpf(value, cli->out, JSON_COMPACT) || fputc('\n', cli->out) == EOF)
		return cli_fail(cli, CLI_OUTPUT, "standard output: %s", strerror(errno));
	return CLI_OK;
}

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long cli_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

void cli_bytes_text(const json_t *object, const char *key, char *buf, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double n = (double)cli_number(object, key);
	size_t unit = 0;

	if (n < 0) {
		snprintf(buf, size, "-");
		return;
	}
	while (n >= 1000 && unit < 4) {
		n /= 1000;
		unit++;
	}
	snprintf(buf, size, unit && n < 10 ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

void cli_span_text(const json_t *object, const char *key, char *buf, size_t size)
{
	long long s = cli_number(object, key);
	char text[DURATION_TEXT];

	snprintf(buf, size, "%s", s < 0 ? "-" : duration_text((uint64_t)s, text));
}

bool cli_take_target(const char *text, struct cli_target *out)
{
	bool bracket = text[0] == '[';
	const char *end = bracket ? strchr(text, ']') : strchr(text, ':');
	const char *begin = text + bracket;
	struct port_range port;
	struct in6_addr addr;
	size_t len;

	*out = (struct cli_target){.port = 0};
	if (bracket ? !end : !end || strchr(end + 1, ':'))
		end = bracket ? NULL : text + strlen(text);
	if (!end || (size_t)(end - begin) >= sizeof(out->address))
		return false;
	len = (size_t)(end - begin);
	memcpy(out->address, begin, len);
	end += bracket;
	if (*end && (*end != ':' || port_range_parse(end + 1, &port) || !port.first ||
		     port.first != port.last || !port.tcp || !port.udp))
		return false;
	if (*end)
		out->port = port.first;
	return !addr_parse(out->address, &addr);
}

int cli_take_port(const struct cli *cli, const char *command, int argc, char **argv,
		  struct port_range *out)
{
	char text[256];

	if (argc != 1)
		return cli_fail(cli, CLI_USAGE, "%s takes one port, as udp/3074; got %s",
				command, argc ? "several" : "none");
	text_safe(argv[0], text, sizeof(text));
	if (port_range_parse(argv[0], out) || !out->first)
		return cli_fail(
			cli, CLI_USAGE,
			"%s is no port; write udp/3074, or 3074 for both protocols",
			text);
	if (out->first != out->last)
		return cli_fail(cli, CLI_USAGE,
				"%s is a range; %s takes one port at a time", text,
				command);
	return CLI_OK;
}

int cli_ask_port(const struct cli *cli, const char *command, int argc, char **argv,
		 int (*ask)(const struct cli *cli, const char *protocol, uint16_t port,
			    json_t *ports),
		 json_t **ports)
{
	struct port_range range;
	int code = cli_take_port(cli, command, argc, argv, &range);

	*ports = code ? NULL : json_array();
	if (!code && range.tcp)
		code = ask(cli, "tcp", range.first, *ports);
	if (!code && range.udp)
		code = ask(cli, "udp", range.first, *ports);
	if (code) {
		json_decref(*ports);
		*ports = NULL;
	}
	return code;
}

enum option_value {
	OPTION_DIR = 256,
	OPTION_JSON,
	OPTION_REMOTE,
	OPTION_SINCE,
	OPTION_FOR,
	OPTION_DESCRIPTION,
	OPTION_HOST,
	OPTION_PORT,
	OPTION_STUN,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option options[] = {
	{"runtime-dir", required_argument, NULL, OPTION_DIR},
	{"json", no_argument, NULL, OPTION_JSON},
	{"remote", required_argument, NULL, OPTION_REMOTE},
	{"for", required_argument, NULL, OPTION_FOR},
	{"description", required_argument, NULL, OPTION_DESCRIPTION},
	{"since", required_argument, NULL, OPTION_SINCE},
	{"host", required_argument, NULL, OPTION_HOST},
	{"port", required_argument, NULL, OPTION_PORT},
	{"stun", required_argument, NULL, OPTION_STUN},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

/* getopt's own messages know no remedy. */
static int options_fail(const struct cli *cli, int argc, char **argv, bool missing)
{
	const char *what = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	char text[256];

	return cli_fail(cli, CLI_USAGE, "%s %s; see portreeve help",
			text_safe(what, text, sizeof(text)),
			missing ? "needs a value" : "is no option of portreeve");
}

/* -1: go on with the command; else the exit code. */
static int options_parse(struct cli *cli, int argc, char **argv)
{
	int c;

	optind = 0; /* from the start, also the second time */
	while ((c = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
		switch (c) {
		case OPTION_DIR:
			cli->runtime_dir = optarg;
			break;
		case OPTION_JSON:
			cli->json = true;
			break;
		case OPTION_REMOTE:
			cli->remote = optarg;
			break;
		case OPTION_FOR:
			cli->duration = optarg;
			break;
		case OPTION_DESCRIPTION:
			cli->description = optarg;
			break;
		case OPTION_SINCE:
			cli->since = optarg;
			break;
		case OPTION_HOST:
			cli->host = optarg;
			break;
		case OPTION_PORT:
			cli->port = optarg;
			break;
		case OPTION_STUN:
			cli->stun = optarg;
			break;
		case 'h':
		case OPTION_HELP:
			fputs(help, cli->out);
			return CLI_OK;
		case 'V':
		case OPTION_VERSION:
			fputs("portreeve " PACKAGE_VERSION "\n", cli->out);
			return CLI_OK;
		default:
			return options_fail(cli, argc, argv, c == ':');
		}
	}
	return -1;
}

static int command_run(struct cli *cli, int argc, char **argv)
{
	char text[256];

	if (!argc)
		return cli_fail(cli, CLI_USAGE,
				"no command; try portreeve list, or portreeve help");
	if (strcmp(argv[0], "help") == 0) {
		fputs(help, cli->out);
		return CLI_OK;
	}
	if (cli->remote && strcmp(argv[0], "delete") != 0 && strcmp(argv[0], "add") != 0)
		return cli_fail(cli, CLI_USAGE,
				"--remote is for add and delete; see portreeve help");
	if ((cli->duration || cli->description) && strcmp(argv[0], "add") != 0)
		return cli_fail(
			cli, CLI_USAGE,
			"--for and --description are for add; see portreeve help");
	if ((cli->since || cli->host || cli->port) && strcmp(argv[0], "history") != 0)
		return cli_fail(
			cli, CLI_USAGE,
			"--since, --host and --port are for history; see portreeve "
			"help");
	if (cli->stun && strcmp(argv[0], "nat-type") != 0)
		return cli_fail(cli, CLI_USAGE,
				"--stun is for nat-type; see portreeve help");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(cli, argc - 1, argv + 1);
	return cli_fail(cli, CLI_USAGE,
			"%s is no command of portreeve; see portreeve help",
			text_safe(argv[0], text, sizeof(text)));
}

int cli_run(struct cli *cli, int argc, char **argv)
{
	int code;

	cli->runtime_dir = RUNSTATEDIR "/portreeve";
	code = options_parse(cli, argc, argv);
	if (code < 0)
		code = command_run(cli, argc - optind, argv + optind);
	if (fflush(cli->out) && !code)
		code = cli_fail(cli, CLI_OUTPUT, "standard output: %s", strerror(errno));
	return code;
}
