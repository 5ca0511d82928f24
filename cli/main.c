/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/names.h"
#include "cli/vendor.h"

#define CLI_TIMEOUT_MS 5000
#define CLI_COLUMNS 80
#define CLI_ROWS 24
#define CLI_COLUMNS_MAX 1000

/* COLUMNS, else what the terminal says, else 80. */
static size_t columns_find(void)
{
	const char *wish = getenv("COLUMNS");
	struct winsize size = {0};
	long n = wish ? strtol(wish, NULL, 10) : 0;

	if (n <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		n = size.ws_col;
	if (n <= 0)
		return CLI_COLUMNS;
	return n > CLI_COLUMNS_MAX ? CLI_COLUMNS_MAX : (size_t)n;
}

/* Of a terminal that can be drawn on; 24 if it does not say. */
static size_t rows_find(void)
{
	const char *term = getenv("TERM");
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0)
		return 0;
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	return size.ws_row ? size.ws_row : CLI_ROWS;
}

/* https://no-color.org: any value but an empty one. */
static bool colour_wanted(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) &&
	       !(term && strcmp(term, "dumb") == 0);
}

int main(int argc, char **argv)
{
	struct cli cli = {
		.out = stdout,
		.err = stderr,
		.columns = columns_find(),
		.rows = rows_find(),
		.colour = colour_wanted(),
		.timeout_ms = CLI_TIMEOUT_MS,
		.dhcp_leases = getenv("PORTREEVE_DHCP_LEASES"),
		.vendors = VENDOR_FILES,
	};

	if (!cli.dhcp_leases)
		cli.dhcp_leases = NAMES_FILES;

	return cli_run(&cli, argc, argv);
}
