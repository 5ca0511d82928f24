/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration given as text: what it says, or what is wrong with it. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/config.h"

static struct config c;
static char err[CONFIG_ERROR];

static int parse(const char *text)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int r;

	assert_non_null(f);
	r = config_read(&c, f, "p.conf", err);
	fclose(f);
	return r;
}

static void accepts(const char *text)
{
	if (parse(text))
		fail_msg("%s", err);
	assert_string_equal(err, "");
}

static void refuses(const char *text, const char *message)
{
	static struct config d;

	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(err, message);
	config_defaults(&d);
	assert_memory_equal(&c, &d, sizeof(c));
}
