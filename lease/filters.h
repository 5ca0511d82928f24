/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filters of one lease, RFC 6887 section 13.3: who may come in. Knows nothing of other
 * leases than the two it is asked about.
 *
 * The kernel keeps them as elements of an interval map, which must not overlap, so a lease has
 * them in one form only: host bits zero, none covered by another, sorted by address and port.
 * Prefixes lie within each other or apart, but two filters may still cross, as of a network
 * from one port and of one of its hosts from any port: those are refused together.
 */
#pragma once

#include "lease/lease.h"

/*
 * The filters that the lease has (with LEASE_UNFILTER: none) and those of the request.
 * LEASE_FILTERS: too many, two that cross, or one of another family than the lease's hosts;
 * then nothing has changed.
 */
enum lease_reason filters_apply(struct lease *l, const struct lease_request *req);

/* Brings those of a lease that was found somewhere to their form, or says why it cannot. */
enum lease_reason filters_check(struct lease *l);

/* Could one packet from outside belong to both, by where it comes from? Everybody's leases
 * stand behind the others and overlap nothing. */
bool filters_overlap(const struct lease *a, const struct lease *b);

/* How many elements of the kernel's restricted maps the lease needs; 0: it is everybody's. */
static inline uint32_t filters_elements(const struct lease *l)
{
	return l->n_filters ? l->n_filters : lease_has_remote(l);
}
