/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/role.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const names[ROLE_END] = {"parent", "core",     "pcp",    "igd",
					    "store",  "upstream", "trigger"};

const char *role_name(enum role role)
{
	return role < ROLE_END ? names[role] : "?";
}

enum role role_from_name(const char *name)
{
	enum role role = ROLE_PARENT;

	while (role < ROLE_END && strcmp(names[role], name) != 0)
		role++;
	return role;
}

unsigned int role_place(unsigned int role, unsigned int lan)
{
	if (role == ROLE_STORE && lan == 0)
		return 2 * LEASE_LANS_MAX;
	if (role == ROLE_UPSTREAM && lan == 0)
		return 2 * LEASE_LANS_MAX + 1;
	if (role == ROLE_TRIGGER && lan == 0)
		return 2 * LEASE_LANS_MAX + 2;
	if ((role != ROLE_PCP && role != ROLE_IGD) || lan >= LEASE_LANS_MAX)
		return ROLE_PLACES;
	return role == ROLE_IGD ? LEASE_LANS_MAX + lan : lan;
}

bool role_record_from_core(const struct role_record *r)
{
	if (r->op == ROLE_OP_SERVING || r->op == ROLE_OP_RELOAD || r->op == ROLE_OP_ALIVE)
		return true;
	return r->op >= ROLE_OP_START && r->op <= ROLE_OP_KILL &&
	       role_place(r->role, r->lan) < ROLE_PLACES;
}

int role_send(int channel, const struct role_record *r, int fd)
{
	struct role_record copy = *r;
	struct iovec iov = {&copy, sizeof(copy)};
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(channel, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int role_receive(int channel, struct role_record *r, int *fd)
{
	uint8_t buf[sizeof(*r) + 1]; /* one more: an overlong one shows */
	struct iovec iov = {buf, sizeof(buf)};
	alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(channel, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;

	*fd = -1;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0
		       : errno == ECONNRESET             ? -EPIPE
							 : -errno;
	if (n == 0)
		return -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if ((size_t)n != sizeof(*r)) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return -EBADMSG;
	}
	memcpy(r, buf, sizeof(*r));
	return 1;
}
