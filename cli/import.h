/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other programs' configurations as ours: miniupnpd.conf, OpenWrt's UCI file of it, and plain
 * tables of forwards. Knows formats; opens no files.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define IMPORT_ERROR (PATH_MAX + 256)
#define IMPORT_FILE_MAX 1048576

/* Reads the text and writes a portreeve.conf. `name` is that of the file, for what is said
 * about it. -EINVAL: `err` says which line is wrong, and nothing is written; -ENOMEM. */
int import_convert(const char *name, const char *text, size_t len, FILE *out,
		   char err[IMPORT_ERROR]);
