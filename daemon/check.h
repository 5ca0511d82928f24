/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands in the way of a lease on this machine, and what to do about it: other programs'
 * rules, the kernel's settings, the WAN's address. Looks at facts that it is given; changes
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/topology.h"
#include "firewall/foreign.h"
#include "lease/lease.h"

#define CHECK_FINDINGS 32
#define CHECK_LEASES 256 /* so many are tried against the rules */
#define CHECK_TEXT 320
#define CHECK_FIX 320

enum check_severity {
	CHECK_NOTE,    /* good to know */
	CHECK_WARNING, /* may be in the way */
	CHECK_BLOCK,   /* is in the way */
};

struct check_finding {
	enum check_severity severity;
	const char *id; /* a stable word for scripts: "forward-drop" */
	char text[CHECK_TEXT];
	char fix[CHECK_FIX]; /* what to do; "": nothing that we know */
};

struct check_report {
	size_t n;
	bool more; /* than fit */
	struct check_finding finding[CHECK_FINDINGS];
};

/* The kernel's settings; -1: not there, or not readable. */
struct check_settings {
	long ip_forward;
	long ip6_forward;
	long conntrack_count;
	long conntrack_max;
	long udp_s; /* without more than a question and an answer */
	long udp_stream_s;
	long tcp_established_s;
	long bridge_calls; /* bridge-nf-call-iptables */
	long counts;       /* nf_conntrack_acct */
};

/* What is known of the router that our WAN leads to. */
struct check_upstream {
	bool asked;               /* and waited for */
	bool answers;             /* NAT-PMP */
	struct in6_addr gateway;  /* :: unknown */
	struct in6_addr external; /* its own; :: unknown */
};

struct check_facts {
	const struct topology *topology;
	struct foreign *foreign; /* NULL: could not be read, for that error */
	int foreign_error;       /* negative errno */
	const struct lease *lease;
	size_t n_leases;
	bool only_leases; /* the rules are followed for those, and for nothing else */
	struct check_settings settings;
	struct check_upstream upstream;
	bool foreign_masquerade; /* others choose the ports that LAN hosts leave from */
	bool deaf; /* the kernel's packet log cannot be read, so nothing opens unasked */
};

/* Reads them below "/proc/sys/net" (or another directory, for tests). */
void check_read_settings(const char *dir, struct check_settings *s);

/* Fills the report; what blocks comes first. */
void check_run(const struct check_facts *facts, struct check_report *out);

static inline const char *check_severity_name(enum check_severity severity)
{
	return severity == CHECK_BLOCK     ? "block"
	       : severity == CHECK_WARNING ? "warning"
					   : "note";
}
