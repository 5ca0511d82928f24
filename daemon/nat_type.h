/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mapping and filtering a game on a LAN host sees, and why: judged from facts that it
 * is given. Asks nobody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/nat.h"
#include "conf/config.h"
#include "daemon/check.h"

#define NAT_TYPE_REASONS 8
#define NAT_TYPE_TEXT 320

struct nat_type_facts {
	const char *lan;     /* its interface */
	const char *host;    /* its address as text; NULL: any host of that LAN */
	bool open_nat;       /* is on for it */
	bool by_access;      /* an access rule says so */
	bool own_masquerade; /* we choose external ports */
	bool may_ask;        /* UPnP, PCP or NAT-PMP is on */
	uint32_t leases;     /* that it has now, without a host of all */
	uint32_t openings;   /* of those: by open NAT */
	uint32_t quota;      /* that it may have */
	const struct config_open_nat *config;
	const struct check_report *check;
};

struct nat_type_reason {
	const char *id; /* a stable word for scripts */
	char text[NAT_TYPE_TEXT];
	char fix[NAT_TYPE_TEXT]; /* "": there is nothing to do */
};

struct nat_type {
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	bool at_best; /* something else than us decides too */
	struct nat_grades grades;
	size_t n;
	struct nat_type_reason reason[NAT_TYPE_REASONS];
};

void nat_type_judge(const struct nat_type_facts *facts, struct nat_type *out);
