/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The portreeve command: what its parts share. Knows the control socket and nothing else of
 * the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/portset.h"
#include "cli/client.h"

/* The exit codes are stable for scripts (sysexits.h, where that has one). */
enum cli_exit {
	CLI_OK = 0,
	CLI_NOT_FOUND = 1,
	CLI_WARNINGS = 1, /* of check */
	CLI_NOT_OPEN = 1, /* of explain */
	CLI_BLOCKED = 2,  /* of check: a lease does not work on this machine */
	CLI_USAGE = 64,
	CLI_INPUT = 66, /* of import: the file cannot be read */
	CLI_UNREACHABLE = 69,
	CLI_FAILED = 70, /* portreeved refused, or answered what we do not know */
	CLI_OUTPUT = 74,
	CLI_NOT_ALLOWED = 77,
	CLI_CONFIG = 78, /* the configuration is wrong */
};

struct cli {
	FILE *out;
	FILE *err;
	size_t columns; /* width of the terminal */
	size_t rows;    /* its height; 0: there is no terminal */
	bool colour;
	int timeout_ms;
	const char *dhcp_leases; /* as NAMES_FILES; NULL: nowhere, nor the ARP table */
	const char *vendors;     /* as VENDOR_FILES */
	/* From the command line. */
	const char *runtime_dir;
	const char *remote;      /* or NULL */
	const char *duration;    /* of add; or NULL */
	const char *description; /* of add; or NULL */
	const char *since;       /* of history; or NULL */
	const char *host;
	const char *port;
	const char *stun; /* of nat-type: a server; or NULL */
	bool json;
};

/* Runs one command line; the fields before `runtime_dir` are set. */
int cli_run(struct cli *cli, int argc, char **argv);

/* The commands; argv without the name of the command. */
int cli_list(struct cli *cli, int argc, char **argv);
int cli_status(struct cli *cli, int argc, char **argv);
int cli_delete(struct cli *cli, int argc, char **argv);
int cli_history(struct cli *cli, int argc, char **argv);
int cli_check(struct cli *cli, int argc, char **argv);
int cli_explain(struct cli *cli, int argc, char **argv);
int cli_metrics(struct cli *cli, int argc, char **argv);
int cli_add(struct cli *cli, int argc, char **argv);
int cli_watch(struct cli *cli, int argc, char **argv);
int cli_import(struct cli *cli, int argc, char **argv);
int cli_show(struct cli *cli, int argc, char **argv);
int cli_reload(struct cli *cli, int argc, char **argv);
int cli_deny(struct cli *cli, int argc, char **argv);
int cli_allow(struct cli *cli, int argc, char **argv);
int cli_nat_type(struct cli *cli, int argc, char **argv);
int cli_profiles(struct cli *cli, int argc, char **argv);

/* "portreeve: ..." in one line on stderr; returns the code. */
int cli_fail(const struct cli *cli, enum cli_exit code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What failed with that error of client_*(), with its remedy. */
int cli_fail_client(const struct cli *cli, int err);
/* A varlink error that the command does not know itself. */
int cli_fail_reply(const struct cli *cli, const struct client_reply *reply);

int cli_connect(const struct cli *cli, struct client **out);
/* One call, one reply, or the error in it; takes the parameters over. CLI_OK, then the reply's
 * parameters are the caller's, or what was printed. */
int cli_ask(const struct cli *cli, const char *method, json_t *parameters,
	    struct client_reply *reply);
/* One call, one reply, which has no error; takes the parameters over. CLI_OK or what was
 * printed; the reply's parameters are the caller's. */
int cli_call(const struct cli *cli, const char *method, json_t *parameters, json_t **out);
/* Prints JSON and a new line. */
int cli_print_json(const struct cli *cli, const json_t *value);

enum cli_sign {
	CLI_SIGN_GOOD,
	CLI_SIGN_BAD,
	CLI_SIGN_WARN,
	CLI_SIGN_UNKNOWN,
	CLI_SIGN_NOTE
};
/* "✓ ", coloured if that is wanted. */
void cli_sign(const struct cli *cli, enum cli_sign sign);
/* Safe for a terminal, but with quotation marks as they are. Returns buf. */
const char *cli_sentence(const json_t *object, const char *key, char *buf, size_t size);
/* The words in lines as wide as there is room; those behind the first begin at `indent`,
 * where the first one is already. */
void cli_wrap(const struct cli *cli, size_t indent, const char *text);

/* Where a lease leads, as `list` has it: "192.168.1.20", "192.168.1.20:80", "2a01::20",
 * "[2a01::20]:80". */
struct cli_target {
	char address[64];
	unsigned int port; /* 0: none is named */
};
bool cli_take_target(const char *text, struct cli_target *out);
/* The one port that a command takes: of one protocol, or of both. CLI_OK, or what was
 * printed. */
int cli_take_port(const struct cli *cli, const char *command, int argc, char **argv,
		  struct port_range *out);
/* Asks about that port, for each of its protocols. *ports: what `ask` put there, NULL after a
 * failure. CLI_OK, or what was printed. */
int cli_ask_port(const struct cli *cli, const char *command, int argc, char **argv,
		 int (*ask)(const struct cli *cli, const char *protocol, uint16_t port,
			    json_t *ports),
		 json_t **ports);

/* One lease in a few words, as "udp/3074 to 192.168.1.20:3074 (pcp+upnp)". */
const char *cli_lease_text(const json_t *lease, char *buf, size_t size);

/* One event of the history in a line, safe for a terminal. Returns buf. */
const char *cli_event_text(const json_t *event, char *buf, size_t size);
/* Calls `each` for all leases, with what goes by them if that is wanted, as they come; it may
 * change them. What it returns ends that,
 * unless it is 0, and is a negative errno. CLI_OK, or what was printed. */
int cli_each_lease(const struct cli *cli, bool traffic,
		   int (*each)(void *arg, json_t *lease), void *arg);
/* A number of bytes as "1.2 MB", and of seconds as "1m 01s"; "-" where it is none. */
void cli_bytes_text(const json_t *object, const char *key, char *buf, size_t size);
void cli_span_text(const json_t *object, const char *key, char *buf, size_t size);

/* "udp/3074", or "udp/27000-27100" of a range. Returns buf. */
const char *cli_port_text(const json_t *lease, char *buf, size_t size);
/* A member of an object as text; "" where it is none. */
const char *cli_text(const json_t *object, const char *key);
/* A member of an object as number; -1 where it is none. */
long long cli_number(const json_t *object, const char *key);
