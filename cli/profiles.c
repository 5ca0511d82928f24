/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scoped.h"
#include "cli/cli.h"
#include "cli/table.h"

SCOPED_DEFINE(fclose, FILE)

#define SUFFIX ".conf"
#define PROFILES_MAX 256 /* in a directory */
#define PROFILE_NAME 32
#define PROFILE_LINE 512
#define PROFILE_LINES 2000

static bool is_on(const json_t *reply, const char *name)
{
	const json_t *on;
	size_t i;

	json_array_foreach(json_object_get(reply, "on"), i, on)
	{
		if (json_is_string(on) && strcmp(json_string_value(on), name) == 0)
			return true;
	}
	return false;
}

static FILE *open_profile(const char *directory, const char *name)
{
	char path[512];
	int n = snprintf(path, sizeof(path), "%s/%s" SUFFIX, directory, name);

	return n > 0 && n < (int)sizeof(path) ? fopen(path, "re") : NULL;
}

/* What its first line says that it is for. */
static void about(const char *directory, const char *name, char *buf, size_t size)
{
	FILE *f SCOPED(fclose) = open_profile(directory, name);
	char line[PROFILE_LINE];

	buf[0] = '\0';
	if (!f || !fgets(line, sizeof(line), f) || line[0] != '#')
		return;
	line[strcspn(line, "\n")] = '\0';
	text_quoted(line + 1 + (line[1] == ' '), buf, size);
}

static bool name_ok(const char *name, size_t len)
{
	return len && len < PROFILE_NAME &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") >= len;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The names of a directory, sorted; at most PROFILES_MAX. -errno. */
static int read_names(const char *directory, char (*names)[PROFILE_NAME])
{
	DIR *dir = opendir(directory);
	struct dirent *e;
	int n = 0;

	if (!dir)
		return -errno;
	while (n < PROFILES_MAX && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		if (len <= sizeof(SUFFIX) - 1)
			continue;
		len -= sizeof(SUFFIX) - 1;
		if (strcmp(e->d_name + len, SUFFIX) == 0 && name_ok(e->d_name, len))
			snprintf(names[n++], PROFILE_NAME, "%.*s", (int)len, e->d_name);
	}
	closedir(dir);
	qsort(names, (size_t)n, PROFILE_NAME, compare);
	return n;
}

static json_t *profiles_json(const json_t *reply, const char *directory,
			     char (*names)[PROFILE_NAME], size_t n)
{
	json_t *list = json_array();
	char text[PROFILE_LINE];

	for (size_t i = 0; i < n; i++) {
		about(directory, names[i], text, sizeof(text));
		json_array_append_new(list,
				      json_pack("{s:s,s:b,s:s}", "name", names[i], "on",
						is_on(reply, names[i]), "about", text));
	}
	return json_pack("{s:s,s:o}", "directory", directory, "profiles", list);
}

static void print_profiles(const struct cli *cli, const json_t *list)
{
	static const char *const heading[] = {"PROFILE", "ON", "FOR"};
	struct table table;
	const json_t *p;
	size_t i;

	table_init(&table, heading, 3);
	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			table_print_heading(&table, cli->out, cli->columns, cli->colour);
		json_array_foreach(list, i, p)
		{
			bool on = json_is_true(json_object_get(p, "on"));
			const char *const cell[] = {cli_text(p, "name"), on ? "on" : "-",
						    cli_text(p, "about")};

			if (pass)
				table_print(&table, cli->out, cli->columns, cell);
			else
				table_measure(&table, cell);
		}
	}
	fputs("\nTo switch one on or off, write the names of those that are to be on into\n"
	      "portreeve.conf, as profiles = { \"xbox\" }, then: portreeve reload\n",
	      cli->out);
}

static int list_profiles(const struct cli *cli, const json_t *reply,
			 const char *directory)
{
	char(*names)[PROFILE_NAME] = calloc(PROFILES_MAX, PROFILE_NAME);
	char text[512];
	json_t *all;
	int n = names ? read_names(directory, names) : -ENOMEM, code = CLI_OK;

	if (n < 0) {
		free(names);
		return cli_fail(cli, CLI_FAILED, "%s: %s",
				text_safe(directory, text, sizeof(text)), strerror(-n));
	}
	all = profiles_json(reply, directory, names, (size_t)n);
	free(names);
	if (cli->json)
		code = cli_print_json(cli, all);
	else
		print_profiles(cli, json_object_get(all, "profiles"));
	json_decref(all);
	return code;
}

/* The file as it is, with the sources of its ports. */
static int show_profile(const struct cli *cli, const json_t *reply, const char *directory,
			const char *name)
{
	FILE *f SCOPED(fclose) = name_ok(name, strlen(name))
					 ? open_profile(directory, name)
					 : NULL;
	char line[PROFILE_LINE], text[4 * PROFILE_LINE];
	json_t *lines;
	int code = CLI_OK;

	if (!f)
		return cli_fail(cli, CLI_NOT_FOUND,
				"%s is no profile; portreeve profiles lists them",
				text_safe(name, text, sizeof(text)));
	if (!cli->json)
		fprintf(cli->out, "# %s, %s\n", name, is_on(reply, name) ? "on" : "off");
	lines = json_array();
	for (int i = 0; i < PROFILE_LINES && fgets(line, sizeof(line), f); i++) {
		line[strcspn(line, "\n")] = '\0';
		for (char *p = line; *p; p++)
			if (*p == '\t')
				*p = ' ';
		if (cli->json)
			json_array_append_new(lines, json_string(text_quoted(
							     line, text, sizeof(text))));
		else
			fprintf(cli->out, "%s\n", text_quoted(line, text, sizeof(text)));
	}
	if (cli->json) {
		json_t *all = json_pack("{s:s,s:b,s:O}", "name", name, "on",
					is_on(reply, name), "lines", lines);

		code = cli_print_json(cli, all);
		json_decref(all);
	}
	json_decref(lines);
	return code;
}

int cli_profiles(struct cli *cli, int argc, char **argv)
{
	json_t *reply = NULL;
	const char *directory;
	int code;

	if (argc > 1)
		return cli_fail(cli, CLI_USAGE,
				"profiles takes one name, or none; see portreeve help");
	code = cli_call(cli, "org.portreeve.Profiles", NULL, &reply);
	if (code)
		return code;
	directory = cli_text(reply, "directory");
	if (!*directory)
		code = cli_fail(cli, CLI_NOT_FOUND,
				"there are none: profiles-dir is empty in the "
				"configuration");
	else if (argc)
		code = show_profile(cli, reply, directory, argv[0]);
	else
		code = list_profiles(cli, reply, directory);
	json_decref(reply);
	return code;
}
