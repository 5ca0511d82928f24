/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/nat.h"

/*
 * Xbox: Open means that everybody gets in, Moderate that nobody does who was not sent to,
 * Strict that not even the port stays the same. PlayStation: 2 is the best behind a NAT.
 * Nintendo: A also where whoever was sent to may answer from another port.
 */
struct nat_grades nat_grade(enum nat_mapping mapping, enum nat_filtering filtering)
{
	if (filtering == NAT_FILTERING_UNKNOWN)
		return (struct nat_grades){"-", "-", "F"};
	if (mapping == NAT_MAPPING_DEPENDENT)
		return (struct nat_grades){"Strict", "Type 3", "D"};
	if (filtering == NAT_FILTERING_INDEPENDENT)
		return (struct nat_grades){"Open", "Type 2", "A"};
	return (struct nat_grades){"Moderate", "Type 2",
				   filtering == NAT_FILTERING_ADDRESS ? "A" : "B"};
}

const char *nat_mapping_name(enum nat_mapping mapping)
{
	return mapping == NAT_MAPPING_INDEPENDENT ? "endpoint-independent"
	       : mapping == NAT_MAPPING_DEPENDENT ? "address-and-port-dependent"
						  : "unknown";
}

const char *nat_filtering_name(enum nat_filtering filtering)
{
	switch (filtering) {
	case NAT_FILTERING_INDEPENDENT:
		return "endpoint-independent";
	case NAT_FILTERING_ADDRESS:
		return "address-dependent";
	case NAT_FILTERING_ADDRESS_PORT:
		return "address-and-port-dependent";
	case NAT_FILTERING_UNKNOWN:
		break;
	}
	return "unknown";
}
