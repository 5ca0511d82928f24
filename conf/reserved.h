/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of ports that no client may have: one range or more a line, as
 * port_range_parse() reads them, the rest of a line after # is the reason.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "base/portset.h"

/* Adds the ports of the list. -EINVAL: err says "name:line: ..."; -EIO. */
int reserved_read(FILE *f, const char *name, struct portset *tcp, struct portset *udp,
		  char *err, size_t err_size);
