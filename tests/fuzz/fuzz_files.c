/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of other programs that the command reads: lease files of DHCP servers, the ARP table,
 * and configurations that import converts. What import writes has no line that was not its own.
 *
 * An input: one byte says what it is, the rest is the file.
 */
#include <stdlib.h>

#include "cli/import.h"
#include "cli/names.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_names(const char *text, size_t len, bool arp)
{
	struct names *n = names_new();

	must(n);
	if (arp)
		names_parse_arp(n, text, len);
	else
		names_parse(n, text, len);
	must(names_count(n) <= len);
	names_free(n);
}

static void fuzz_import(const char *text, size_t len)
{
	static const char *const begins[] = {"#",
					     "wan \"",
					     "lan \"",
					     "min-lifetime = \"",
					     "max-lifetime = \"",
					     "access \"line ",
					     "forward \"line "};
	char err[IMPORT_ERROR] = "", *out = NULL, *line, *save;
	size_t n_out;
	FILE *f = open_memstream(&out, &n_out);
	int failed = import_convert("file", text, len, f, err);

	must(!fclose(f));
	must(!failed == !err[0]);
	must(!failed || !n_out);
	for (line = strtok_r(out, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		size_t i = 0, n = sizeof(begins) / sizeof(begins[0]);

		while (i < n && strncmp(line, begins[i], strlen(begins[i])) != 0)
			i++;
		must(i < n);
		must(*line == '#' || fuzz_printable(line));
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] % 4 == 0)
		fuzz_names((const char *)data + 1, size - 1, false);
	else if (data[0] % 4 == 1)
		fuzz_names((const char *)data + 1, size - 1, true);
	else
		fuzz_import((const char *)data + 1, size - 1);
	return 0;
}
