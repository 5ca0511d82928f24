/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of check share: check.c (networks and settings) and check_rules.c (other
 * programs' rules).
 */
#pragma once

#include "daemon/check.h"

/* A new finding. NULL: there is no room for more. */
struct check_finding *check_add(struct check_report *r, enum check_severity severity,
				const char *id);
void check_say(struct check_finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void check_advise(struct check_finding *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Follows packets of leases, and requests of LAN hosts, through the chains of others. */
void check_rules(const struct check_facts *facts, struct check_report *r);
