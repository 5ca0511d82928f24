/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

bool addr_is_none(const struct in6_addr *a)
{
	static const struct in6_addr none = IN6ADDR_ANY_INIT;
	static const uint8_t zeros[4];

	return addr_equal(a, &none) ||
	       (addr_is_v4(a) && memcmp(&a->s6_addr[12], zeros, sizeof(zeros)) == 0);
}

struct in6_addr addr_from_v4(struct in_addr v4)
{
	struct in6_addr a;

	memcpy(a.s6_addr, v4_mapped, sizeof(v4_mapped));
	memcpy(&a.s6_addr[12], &v4, sizeof(v4));
	return a;
}

struct in_addr addr_to_v4(const struct in6_addr *a)
{
	struct in_addr v4;

	memcpy(&v4, &a->s6_addr[12], sizeof(v4));
	return v4;
}

struct in6_addr addr_from_sockaddr(const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		return addr_from_v4(in.sin_addr);
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		return in6.sin6_addr;
	default:
		return (struct in6_addr)IN6ADDR_ANY_INIT;
	}
}

uint16_t port_from_sockaddr(const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		return ntohs(in.sin_port);
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		return ntohs(in6.sin6_port);
	default:
		return 0;
	}
}

const char *addr_text(const struct in6_addr *a, char buf[ADDR_TEXT])
{
	bool v4 = addr_is_v4(a);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &a->s6_addr[12] : a->s6_addr, buf,
		  ADDR_TEXT);
	return buf;
}

const char *addr_port_text(const struct in6_addr *a, uint16_t port,
			   char buf[ADDR_PORT_TEXT])
{
	char addr[ADDR_TEXT];

	snprintf(buf, ADDR_PORT_TEXT, addr_is_v4(a) ? "%s:%u" : "[%s]:%u",
		 addr_text(a, addr), port);
	return buf;
}

int addr_parse(const char *text, struct in6_addr *out)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = addr_from_v4(v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, out) == 1 ? 0 : -EINVAL;
}

int prefix_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char addr[ADDR_TEXT];
	unsigned long len;
	char *end;
	bool v4;

	if (n >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (addr_parse(addr, &out->addr))
		return -EINVAL;
	out->len = 128;
	if (!slash)
		return 0;
	if (slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	v4 = addr_is_v4(&out->addr) && !strchr(addr, ':');
	len = strtoul(slash + 1, &end, 10);
	if (*end || len > (v4 ? 32 : 128))
		return -EINVAL;
	out->len = (uint8_t)(len + (v4 ? 96 : 0));
	/* "::ffff:1.2.3.4/2" is neither an IPv4 network nor one of IPv6. */
	return addr_is_v4(&out->addr) && out->len < 96 ? -EINVAL : 0;
}

const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT])
{
	bool v4 = addr_is_v4(&p->addr) && p->len >= 96;
	size_t n;

	addr_text(&p->addr, buf);
	if (p->len == 128)
		return buf;
	n = strlen(buf);
	snprintf(buf + n, PREFIX_TEXT - n, "/%d", v4 ? p->len - 96 : p->len);
	return buf;
}

bool prefix_has(const struct prefix *p, const struct in6_addr *a)
{
	size_t whole = p->len / 8;
	uint8_t mask = (uint8_t)(0xff00 >> (p->len % 8));

	if (memcmp(p->addr.s6_addr, a->s6_addr, whole) != 0)
		return false;
	return whole == 16 || ((p->addr.s6_addr[whole] ^ a->s6_addr[whole]) & mask) == 0;
}

/* Is it inside a.b.c.d/len? IPv4 only. */
static bool v4_inside(const struct in6_addr *a, uint32_t net, unsigned int len)
{
	uint32_t host = ntohl(addr_to_v4(a).s_addr);

	return addr_is_v4(a) && (host ^ net) >> (32 - len) == 0;
}

/* Six bytes of two digits; the lowest bit of the first says "a group" (IEEE 802). */
int mac_parse(const char *text, uint8_t out[MAC_LEN])
{
	static const uint8_t none[MAC_LEN];

	if (strlen(text) != MAC_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; i < MAC_TEXT - 1; i++)
		if (i % 3 == 2 ? text[i] != ':' && text[i] != '-'
			       : !isxdigit((unsigned char)text[i]))
			return -EINVAL;
	for (size_t i = 0; i < MAC_LEN; i++)
		out[i] = (uint8_t)strtoul(&text[3 * i], NULL, 16);
	return out[0] & 1 || memcmp(out, none, MAC_LEN) == 0 ? -EINVAL : 0;
}

const char *mac_text(const uint8_t mac[MAC_LEN], char buf[MAC_TEXT])
{
	snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return buf;
}

bool addr_is_private(const struct in6_addr *a)
{
	if (addr_is_v4(a))
		return v4_inside(a, 0x0a000000, 8) || v4_inside(a, 0xac100000, 12) ||
		       v4_inside(a, 0xc0a80000, 16) || v4_inside(a, 0xa9fe0000, 16) ||
		       v4_inside(a, 0x7f000000, 8);
	return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
	       (a->s6_addr[0] & 0xfe) == 0xfc;
}

bool addr_is_cgnat(const struct in6_addr *a)
{
	return v4_inside(a, 0x64400000, 10);
}

void prefix_trim(struct prefix *p)
{
	for (unsigned int bit = p->len; bit < 128; bit++)
		p->addr.s6_addr[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
}
