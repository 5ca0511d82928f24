/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's neighbour table: when a host of a link last proved that it is there. Needs
 * CAP_NET_ADMIN to have a host asked. Knows nothing of leases.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define NEIGHBOURS_NEVER UINT64_MAX

struct neighbours;

int neighbours_open(struct neighbours **out);
void neighbours_close(struct neighbours *n); /* NULL is fine */

/*
 * How many milliseconds ago that host last answered, or was seen to be there otherwise;
 * NEIGHBOURS_NEVER: not as far as the kernel knows. 0 for an entry that the admin made, of
 * which the kernel asks nobody. -errno.
 */
int neighbours_silence(struct neighbours *n, uint32_t ifindex,
		       const struct in6_addr *addr, uint64_t *silence_ms);

/* Was that host ever seen to be there, as far as the kernel knows, and is that MAC address its
 * own? Where either is not known (mac: all zero) the address says nothing. -errno. */
int neighbours_has(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr,
		   const uint8_t mac[MAC_LEN], bool *has);

/* The MAC address of that host, as it was when the host was last there, or as the admin has
 * set it. -ENOENT: not known; else -errno. */
int neighbours_mac(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr,
		   uint8_t mac[MAC_LEN]);

/* Has the kernel ask the host (ARP, RFC 4861 section 7.3.3), without waiting. -errno. */
int neighbours_probe(struct neighbours *n, uint32_t ifindex, const struct in6_addr *addr);
