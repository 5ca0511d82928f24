/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses, IP and MAC, and prefixes. One form inside: struct in6_addr in network order, IPv4 as
 * ::ffff:a.b.c.d; prefix lengths count those 128 bits, so an IPv4 /24 is a /120 here.
 * Knows nothing of interfaces or sockets.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_TEXT 46 /* INET6_ADDRSTRLEN */
#define ADDR_PORT_TEXT 54
#define PREFIX_TEXT 50
#define MAC_LEN 6
#define MAC_TEXT 18

struct prefix {
	struct in6_addr addr; /* host bits are kept */
	uint8_t len;          /* 0-128 */
};

static inline bool addr_is_v4(const struct in6_addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(a);
}

static inline bool addr_equal(const struct in6_addr *a, const struct in6_addr *b)
{
	return IN6_ARE_ADDR_EQUAL(a, b);
}

/* :: and ::ffff:0.0.0.0 both say "none". */
bool addr_is_none(const struct in6_addr *a);

struct in6_addr addr_from_v4(struct in_addr v4);
struct in_addr addr_to_v4(const struct in6_addr *a); /* of an IPv4 address only */

/* The address of a socket address of AF_INET or AF_INET6; :: for others. */
struct in6_addr addr_from_sockaddr(const struct sockaddr *sa);
/* The port of a socket address in host order; 0 for other families. */
uint16_t port_from_sockaddr(const struct sockaddr *sa);

/* Writes the usual text, IPv4 as a.b.c.d. Returns buf. */
const char *addr_text(const struct in6_addr *a, char buf[ADDR_TEXT]);
/* "a.b.c.d:port" or "[a:b::c]:port". Returns buf. */
const char *addr_port_text(const struct in6_addr *a, uint16_t port,
			   char buf[ADDR_PORT_TEXT]);
/* Reads an IPv4 or IPv6 literal. -EINVAL. */
int addr_parse(const char *text, struct in6_addr *out);

/* "10.20.0.0/16", "fd00::/8" or a bare address. -EINVAL: not one, or too long. */
int prefix_parse(const char *text, struct prefix *out);
/* Writes "a.b.c.d/n" with the length of the family, /32 and /128 left out. */
const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT]);
/* Host bits to zero. */
void prefix_trim(struct prefix *p);
bool prefix_has(const struct prefix *p, const struct in6_addr *a);

/* A host's link-layer address, "a4:c0:e1:00:00:01", also with hyphens. -EINVAL: not one, or
 * none of a single host. */
int mac_parse(const char *text, uint8_t out[MAC_LEN]);
/* Writes it in small letters, with colons. Returns buf. */
const char *mac_text(const uint8_t mac[MAC_LEN], char buf[MAC_TEXT]);

/* Loopback, RFC 1918, link-local, unique local: an address of a LAN. */
bool addr_is_private(const struct in6_addr *a);
/* RFC 6598 100.64.0.0/10, shared by carriers. */
bool addr_is_cgnat(const struct in6_addr *a);
