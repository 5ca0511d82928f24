/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PCP_PORT 5351
#define PCP_BUFFER (1024 * 1024)
#define HTTP_BACKLOG 128

/* A socket bound to device, address and port. */
static int bound_to(int type, const char *ifname, const struct sockaddr *name,
		    socklen_t len)
{
	int fd = socket(name->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname,
		       (socklen_t)strlen(ifname)) ||
	    (type == SOCK_STREAM &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))) ||
	    (name->sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind(fd, name, len)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int bound(int type, const char *ifname, struct in_addr addr, uint16_t port)
{
	const struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr = addr, .sin_port = htons(port)};

	return bound_to(type, ifname, (const struct sockaddr *)&name, sizeof(name));
}

/* On all IPv6 addresses that this device ever has. */
static int bound6(int type, const char *ifname, uint16_t port)
{
	const struct sockaddr_in6 name = {.sin6_family = AF_INET6,
					  .sin6_port = htons(port)};

	return bound_to(type, ifname, (const struct sockaddr *)&name, sizeof(name));
}

int listen_pcp(const char *ifname)
{
	static const int size = PCP_BUFFER;
	int fd = bound(SOCK_DGRAM, ifname, (struct in_addr){0}, PCP_PORT);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

int listen_pcp6(const char *ifname)
{
	static const int size = PCP_BUFFER;
	int fd = bound6(SOCK_DGRAM, ifname, PCP_PORT);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

/* Takes the descriptor over, also on failure; it may be an error already. */
static int listening(int fd)
{
	if (fd >= 0 && listen(fd, HTTP_BACKLOG)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

int listen_http(const char *ifname, struct in_addr addr, uint16_t port)
{
	return listening(bound(SOCK_STREAM, ifname, addr, port));
}

int listen_http6(const char *ifname, uint16_t port)
{
	return listening(bound6(SOCK_STREAM, ifname, port));
}
