/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a port is open or not: facts in, one verdict and what it rests on out. Pure; knows no
 * sockets and no kernel.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/check.h"
#include "lease/denial.h"
#include "lease/lease.h"

#define EXPLAIN_FACTS 48

enum explain_host {
	EXPLAIN_HOST_UNKNOWN, /* behind another router, or nobody can tell */
	EXPLAIN_HOST_THERE,
	EXPLAIN_HOST_GONE, /* it was asked, and does not answer */
};

struct explain_facts {
	uint8_t protocol;
	uint16_t port;
	uint64_t now_ms;  /* CLOCK_BOOTTIME */
	uint64_t wall_ms; /* since 1970 */

	const struct lease *lease; /* NULL: none has that external port */
	/* With a lease. */
	size_t others; /* that have the port too: for other remotes, or IPv6 hosts */
	int in_kernel; /* 1, 0, or -errno: that is not known */
	uint64_t left_ms;
	uint64_t packets;                    /* through a pinhole */
	const struct check_report *findings; /* about this lease; NULL: none */
	const char *wan;                     /* NULL: none */
	struct in6_addr wan4;
	enum explain_host host;
	uint64_t silence_ms; /* of a host that is there */
	struct in6_addr
		router;    /* our own address in its LAN; ::, behind another router */
	int flows_error;   /* negative errno */
	size_t n_in;       /* begun by remotes */
	size_t n_answered; /* of them */
	size_t n_out;
	bool from_outside; /* one that was answered comes from a public address */

	/* Without a lease. */
	const struct lease
		*elsewhere;       /* of that inside port, with another external one */
	enum lease_reason policy; /* why nobody may be given that port; LEASE_OK */
	const struct lease_denial *denial; /* with LEASE_DENIED: which one */
	const struct store_event *event;   /* the last one of that port; NULL */
	bool history_known;
};

enum explain_state { EXPLAIN_GOOD, EXPLAIN_BAD, EXPLAIN_UNKNOWN, EXPLAIN_NOTE };

struct explain_report {
	bool open;
	/* Stable words for scripts: "open", "no-lease", "refused" and "ended" (whose reason is
	 * that of the history), "disabled", "not-in-kernel", "host-gone", "double-nat", and
	 * what blocks by its name in check ("forward-drop" ...). */
	const char *verdict;
	const char *reason; /* NULL: none */
	char text[CHECK_TEXT];
	char fix[CHECK_FIX]; /* "": nothing that we know */
	size_t n;
	struct explain_fact {
		const char *id;
		enum explain_state state;
		char text[CHECK_TEXT];
		char fix[CHECK_FIX];
	} fact[EXPLAIN_FACTS];
	/* Whether somebody listens at that place inside is not known: it has to be tried. */
	bool try_listener;
	struct in6_addr inside;
	uint16_t inside_port;
	struct in6_addr router; /* our own address in that LAN; :: it is not next to us */
};

void explain_run(const struct explain_facts *facts, struct explain_report *out);

/* "good", "bad", "unknown", "note". */
const char *explain_state_name(enum explain_state state);
