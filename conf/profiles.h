/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles: what a console or a game needs, in a file of its own that the configuration
 * switches on by its name. Knows their grammar: triggers and instant ports.
 */
#pragma once

#include "conf/config.h"

#define PROFILE_SUFFIX ".conf"

/* Adds what profiles-dir has under that name. 0, or a negative errno with one line in err. */
int profile_read(struct config *c, const char *name, char err[CONFIG_ERROR]);
