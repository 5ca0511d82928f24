/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a NAT does to a game, in the words of RFC 4787 and in those of the consoles. Knows
 * nothing of how it was found out.
 */
#pragma once

/* RFC 4787 section 4.1: which external port packets of one inside port leave from. */
enum nat_mapping {
	NAT_MAPPING_UNKNOWN,
	NAT_MAPPING_INDEPENDENT, /* always the same one */
	NAT_MAPPING_DEPENDENT,   /* one for each remote address, or port */
};

/* RFC 4787 section 5: who may send to that external port. */
enum nat_filtering {
	NAT_FILTERING_UNKNOWN, /* nothing gets out */
	NAT_FILTERING_INDEPENDENT,
	NAT_FILTERING_ADDRESS,      /* whom the host has sent to, from any port */
	NAT_FILTERING_ADDRESS_PORT, /* from the port it has sent to */
};

/* As the consoles' network settings show it; "-" where they show none. */
struct nat_grades {
	const char *xbox;        /* "Open", "Moderate", "Strict" */
	const char *playstation; /* "Type 1" to "Type 3" */
	const char *nintendo;    /* "A" to "D", "F" */
};

/* NAT_MAPPING_UNKNOWN is taken for NAT_MAPPING_INDEPENDENT, the best that it can be. */
struct nat_grades nat_grade(enum nat_mapping mapping, enum nat_filtering filtering);

/* "endpoint-independent", "address-dependent", "address-and-port-dependent", "unknown". */
const char *nat_mapping_name(enum nat_mapping mapping);
const char *nat_filtering_name(enum nat_filtering filtering);
