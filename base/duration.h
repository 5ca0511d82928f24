/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Durations as people write them: "500ms", "60s", "2m", "24h", "7d", "1h30m".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DURATION_TEXT 24

/* Milliseconds. -EINVAL: a number with one of the units ms, s, m, h, d is allowed, or
 * several in a row, without spaces. -ERANGE: more than 10 years. */
int duration_parse(const char *text, uint64_t *ms);

/* The two largest units, as "2m 30s" or "23h 59m"; whole seconds. Returns buf. */
const char *duration_text(uint64_t seconds, char buf[DURATION_TEXT]);
