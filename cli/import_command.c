/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/import.h"
#include "cli/table.h"

/* All of it. -EFBIG, -errno. */
static ssize_t read_all(int fd, char *text)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, IMPORT_FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return -errno;
	return len > IMPORT_FILE_MAX ? -EFBIG : (ssize_t)len;
}

static int import_text(const struct cli *cli, const char *name, char *text)
{
	int fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, err;
	ssize_t len = fd < 0 ? -errno : read_all(fd, text);
	char wrong[IMPORT_ERROR], safe[2 * IMPORT_ERROR];

	if (fd > STDIN_FILENO)
		close(fd);
	text_safe(name, safe, sizeof(safe));
	if (len < 0)
		return cli_fail(cli, CLI_INPUT, "%s: %s", safe, strerror((int)-len));
	err = import_convert(name, text, (size_t)len, cli->out, wrong);
	if (err == -EINVAL)
		return cli_fail(cli, CLI_CONFIG, "%s",
				text_safe(wrong, safe, sizeof(safe)));
	return err ? cli_fail_client(cli, err) : CLI_OK;
}

int cli_import(struct cli *cli, int argc, char **argv)
{
	char *text;
	int code;

	if (argc != 1)
		return cli_fail(
			cli, CLI_USAGE,
			"import takes one file, as /etc/miniupnpd/miniupnpd.conf, or -");
	if (cli->json)
		return cli_fail(cli, CLI_USAGE,
				"import writes a portreeve.conf; leave --json out");
	text = malloc(IMPORT_FILE_MAX + 1);
	if (!text)
		return cli_fail_client(cli, -ENOMEM);
	code = import_text(cli, argv[0], text);
	free(text);
	return code;
}
