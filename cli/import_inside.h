/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of import share. */
#pragma once

#include <net/if.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/portset.h"
#include "cli/import.h"

#define IMPORT_LANS 16
#define IMPORT_RULES 64     /* access blocks that the configuration may have */
#define IMPORT_FORWARDS 256 /* ports and ranges of one protocol */

struct import {
	char wan[IFNAMSIZ];
	size_t n_lans;
	char lan[IMPORT_LANS][IFNAMSIZ];
	int upnp; /* -1: not said */
	int pcp;
	unsigned long http_port; /* 0: not said */
	unsigned long min_s;
	unsigned long max_s;
	size_t n_rules;
	struct prefix rule[IMPORT_RULES];
	size_t n_forwards;
	struct portset tcp; /* forwarded so far */
	struct portset udp;
	FILE *blocks;
	FILE *notes;
	unsigned int line;
	char *err;
	bool failed;
};

/* This line is wrong. */
void import_fail(struct import *i, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Something to be read, in a comment. */
void import_note(struct import *i, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* import_upnpd.c: one option of miniupnpd.conf, or of UCI. */
void import_option(struct import *i, const char *key, const char *value);
/* "allow" or "deny", external ports, network, inside ports. */
void import_rule(struct import *i, bool allow, const char *ext, const char *net,
		 const char *ports);
