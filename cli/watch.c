/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens, as it happens: lines for scripts, or on a terminal a screen with the leases
 * and the last events below them.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/table.h"

#define WATCH_EVENTS 8 /* below the leases */
#define WATCH_LINE 512
#define WATCH_TICK_MS 250  /* a screen at most so often */
#define WATCH_DRAW_MS 1000 /* and at least, for the times in it */

struct watch {
	struct cli *cli;
	struct client *client;
	char event[WATCH_EVENTS][WATCH_LINE];
	size_t n; /* ever */
	bool news;
	uint64_t drawn_ms;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int print_json(struct watch *w, const json_t *event)
{
	int code = cli_print_json(w->cli, event);

	return !code && fflush(w->cli->out)
		       ? cli_fail(w->cli, CLI_OUTPUT, "standard output: %s",
				  strerror(errno))
		       : code;
}

/* The terminal's lines for the leases; without them the screen would run off. */
static void print_leases(const struct watch *w, const char *text)
{
	size_t room = w->cli->rows > WATCH_EVENTS + 6 ? w->cli->rows - WATCH_EVENTS - 4
						      : 4;

	for (size_t i = 0; *text; i++) {
		size_t len = strcspn(text, "\n");

		if (i == room) {
			fputs("... and more: portreeve list\n", w->cli->out);
			return;
		}
		fprintf(w->cli->out, "%.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static int draw(struct watch *w)
{
	size_t first = w->n > WATCH_EVENTS ? w->n - WATCH_EVENTS : 0, len;
	struct cli list = *w->cli;
	char *text = NULL, at[16];
	time_t now = time(NULL);
	struct tm tm;
	int code;

	list.out = open_memstream(&text, &len);
	if (!list.out)
		return cli_fail_client(w->cli, -ENOMEM);
	list.json = false;
	code = cli_list(&list, 0, NULL);
	fclose(list.out);
	if (!code) {
		localtime_r(&now, &tm);
		strftime(at, sizeof(at), "%H:%M:%S", &tm);
		fprintf(w->cli->out,
			"\033[H\033[Jportreeve watch, %s; Ctrl-C ends it\n\n", at);
		print_leases(w, text);
		fputc('\n', w->cli->out);
		for (size_t i = first; i < w->n; i++)
			fprintf(w->cli->out, "%s\n", w->event[i % WATCH_EVENTS]);
		if (fflush(w->cli->out))
			code = cli_fail(w->cli, CLI_OUTPUT, "standard output: %s",
					strerror(errno));
	}
	free(text);
	w->drawn_ms = now_ms();
	w->news = false;
	return code;
}

static int take_event(struct watch *w, const json_t *event)
{
	char line[WATCH_LINE];

	if (w->cli->json)
		return print_json(w, event);
	cli_event_text(event, line, sizeof(line));
	if (!w->cli->rows) {
		fprintf(w->cli->out, "%s\n", line);
		return fflush(w->cli->out)
			       ? cli_fail(w->cli, CLI_OUTPUT, "standard output: %s",
					  strerror(errno))
			       : CLI_OK;
	}
	text_cut(line, w->cli->columns, w->event[w->n++ % WATCH_EVENTS], WATCH_LINE);
	w->news = true;
	return CLI_OK;
}

static int draw_if_due(struct watch *w)
{
	uint64_t since = now_ms() - w->drawn_ms;

	if (!w->cli->rows || w->cli->json)
		return CLI_OK;
	return since >= (w->news ? WATCH_TICK_MS : WATCH_DRAW_MS) ? draw(w) : CLI_OK;
}

/* Until it is interrupted, or the daemon has ended. */
static int watch_run(struct watch *w)
{
	int err = client_call(w->client, "org.portreeve.Watch", NULL, true);
	struct client_reply reply = {.continues = true};
	int code = err ? cli_fail_client(w->cli, err) : CLI_OK;

	while (!code && reply.continues) {
		code = draw_if_due(w);
		if (code)
			break;
		err = client_next(w->client, &reply);
		if (err == -ETIMEDOUT)
			continue;
		if (err)
			return cli_fail_client(w->cli, err);
		if (reply.error[0])
			code = cli_fail_reply(w->cli, &reply);
		else
			code = take_event(w, json_object_get(reply.parameters, "event"));
		json_decref(reply.parameters);
	}
	return code;
}

int cli_watch(struct cli *cli, int argc, char **argv)
{
	struct watch w = {.cli = cli};
	struct cli tick = *cli;
	int code;

	(void)argv;
	if (argc)
		return cli_fail(cli, CLI_USAGE,
				"watch takes no arguments; see portreeve help");
	tick.timeout_ms = WATCH_TICK_MS;
	code = cli_connect(&tick, &w.client);
	if (!code)
		code = watch_run(&w);
	client_close(w.client);
	return code;
}
