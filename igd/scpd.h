/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The services as the device control protocols define them: their actions with arguments
 * in order, and their variables. Only what actions.c answers is listed.
 */
#pragma once

#include <stdbool.h>

#include "igd/text.h"

struct scpd_arg {
	const char *name;
	const char *variable; /* related state variable */
	bool out;
};

struct scpd_action {
	const char *name;
	struct scpd_arg args[10]; /* ends at a NULL name */
};

struct scpd_variable {
	const char *name;
	const char *type;
	bool evented;
	const char *allowed; /* values, separated by spaces, or NULL */
	const char *range;   /* "minimum maximum", or NULL */
};

struct scpd {
	const struct scpd_action *actions;     /* ends at a NULL name */
	const struct scpd_variable *variables; /* likewise */
};

extern const struct scpd scpd_layer3_forwarding;
extern const struct scpd scpd_common_interface;
extern const struct scpd scpd_ip_connection_1;
extern const struct scpd scpd_ip_connection_2;
extern const struct scpd scpd_ppp_connection_1;
extern const struct scpd scpd_ipv6_firewall;

/* Writes the XML document. */
void scpd_write(const struct scpd *s, struct text *t);
