/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"

union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t name_of(const struct in6_addr *a, uint16_t port, union name *out)
{
	memset(out, 0, sizeof(*out));
	if (addr_is_v4(a)) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_addr = addr_to_v4(a);
		out->v4.sin_port = htons(port);
		return sizeof(out->v4);
	}
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_addr = *a;
	out->v6.sin6_port = htons(port);
	return sizeof(out->v6);
}

/* What became of the connection or the datagram. */
static enum probe_result probe_wait(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	socklen_t len = sizeof(int);
	int err = 0;

	if (poll(&p, 1, timeout_ms) <= 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return PROBE_SILENT;
	if (err == ECONNREFUSED)
		return PROBE_REFUSED;
	return err ? PROBE_SILENT : PROBE_LISTENS;
}

static enum probe_result probe_run(int fd, bool tcp, const union name *to, socklen_t len,
				   int timeout_ms)
{
	if (connect(fd, &to->any, len) && errno != EINPROGRESS)
		return errno == ECONNREFUSED ? PROBE_REFUSED : PROBE_SILENT;
	if (!tcp && send(fd, "", 0, MSG_NOSIGNAL) < 0)
		return errno == ECONNREFUSED ? PROBE_REFUSED : PROBE_SILENT;
	return probe_wait(fd, tcp ? POLLOUT : POLLIN, timeout_ms);
}

enum probe_result probe_listener(uint8_t protocol, const struct in6_addr *to,
				 uint16_t port, const struct in6_addr *from,
				 int timeout_ms)
{
	bool tcp = protocol == IPPROTO_TCP;
	int kind = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
	enum probe_result result = PROBE_UNTRIED;
	union name there, here;
	socklen_t len = name_of(to, port, &there);
	int fd = socket(there.any.sa_family, kind, 0);

	if (fd < 0)
		return PROBE_UNTRIED;
	if (name_of(from, 0, &here) == len && !bind(fd, &here.any, len))
		result = probe_run(fd, tcp, &there, len, timeout_ms);
	close(fd);
	return result;
}
