/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/duration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX_MS (3660ULL * 24 * 3600 * 1000)

static const struct {
	const char *name;
	uint64_t ms;
} units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

/* The length of a unit of exactly n letters, 0: none is called so. */
static uint64_t unit_ms(const char *text, size_t n)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i].name) == n && memcmp(units[i].name, text, n) == 0)
			return units[i].ms;
	return 0;
}

int duration_parse(const char *text, uint64_t *ms)
{
	uint64_t sum = 0;

	do {
		size_t digits = strspn(text, "0123456789");
		size_t letters = strspn(text + digits, "abcdefghijklmnopqrstuvwxyz");
		uint64_t unit = unit_ms(text + digits, letters);
		uint64_t v = 0;

		if (!digits || !unit)
			return -EINVAL;
		for (size_t i = 0; i < digits; i++) {
			v = v * 10 + (uint64_t)(text[i] - '0');
			if (v > DURATION_MAX_MS / unit)
				return -ERANGE;
		}
		sum += v * unit;
		if (sum > DURATION_MAX_MS)
			return -ERANGE;
		text += digits + letters;
	} while (*text);
	*ms = sum;
	return 0;
}

const char *duration_text(uint64_t seconds, char buf[DURATION_TEXT])
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(buf, DURATION_TEXT, "%llus", s);
	else if (s < 3600)
		snprintf(buf, DURATION_TEXT, "%llum %02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, DURATION_TEXT, "%lluh %02llum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, DURATION_TEXT, "%llud %02lluh", s / 86400, s / 3600 % 24);
	return buf;
}
