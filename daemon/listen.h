/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets that workers serve on, bound to their LAN's device so that nothing else, the
 * WAN least of all, can reach them.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

/* UDP 5351 for NAT-PMP and PCP over IPv4, or for PCP over IPv6. The descriptor, or -errno. */
int listen_pcp(const char *ifname);
int listen_pcp6(const char *ifname);
/* The HTTP front's TCP listener on that address, or on all IPv6 addresses of the LAN. The
 * descriptor, or -errno. */
int listen_http(const char *ifname, struct in_addr addr, uint16_t port);
int listen_http6(const char *ifname, uint16_t port);
