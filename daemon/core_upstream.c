/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core_upstream.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/channel.h"
#include "base/log.h"
#include "daemon/role.h"

struct core_upstream {
	struct event_base *base;
	bool debug;
	bool wanted;
	char wan[IFNAMSIZ];
	struct in_addr gateway;
	pid_t pid; /* 0: not running */
	struct channel *channel;
	bool known; /* it has answered since it was started for this gateway */
	struct upstream_answer answer;
};

static void ask_parent(const struct core_upstream *u, enum role_op op)
{
	struct role_record r = {.op = (uint8_t)op,
				.role = ROLE_UPSTREAM,
				.pid = op == ROLE_OP_KILL ? u->pid : 0};
	int err = role_send(ROLE_FD_CHANNEL, &r, -1);

	if (err) {
		errno = -err;
		log_error("the parent does not listen: %m");
	}
}

static void detach(struct core_upstream *u)
{
	channel_free(u->channel);
	u->channel = NULL;
}

static void take_message(void *arg, enum record_kind kind, const void *records,
			 size_t count, const int *fds, size_t n_fds)
{
	struct core_upstream *u = arg;

	(void)kind; /* there is one, of one record, without descriptors */
	(void)count;
	(void)fds;
	(void)n_fds;
	u->answer = *(const struct upstream_answer *)records;
	u->known = true;
}

static void take_end(void *arg, int err)
{
	struct core_upstream *u = arg;

	detach(u);
	if (!err)
		return; /* its end comes next */
	log_warn("the upstream worker sent a malformed message: it is replaced");
	ask_parent(u, ROLE_OP_KILL);
}

static const struct channel_ops upstream_channel = {take_message, take_end};

/* Bound to the WAN, so that it asks nobody else. */
static int open_socket(const char *wan)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, wan,
		       (socklen_t)strlen(wan) + 1)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

void core_upstream_started(struct core_upstream *u, pid_t pid, int fd)
{
	struct upstream_setup setup = {.gateway = u->gateway, .debug = u->debug};
	int sock, err;

	detach(u);
	u->pid = pid;
	u->channel = channel_new(u->base, fd, CHANNEL_UPSTREAMS_CORE, &upstream_channel,
				 u);
	if (!u->channel)
		return;
	sock = open_socket(u->wan);
	err = sock < 0 ? sock
		       : channel_send_fds(u->channel, RECORD_UPSTREAM_SETUP, &setup, 1,
					  &sock, 1);
	if (sock >= 0)
		close(sock);
	if (err) {
		errno = -err;
		log_debug("the next gateway cannot be asked: %m");
	}
}

void core_upstream_exited(struct core_upstream *u, pid_t pid)
{
	if (u->pid != pid)
		return;
	detach(u);
	u->pid = 0;
}

pid_t core_upstream_pid(const struct core_upstream *u)
{
	return u->pid;
}

/* RFC 1918, or RFC 6598: somebody else translates it once more. */
static bool stands_behind(const struct in6_addr *wan4)
{
	struct prefix shared;

	if (addr_is_none(wan4) || prefix_parse("100.64.0.0/10", &shared))
		return false;
	return addr_is_private(wan4) || prefix_has(&shared, wan4);
}

void core_upstream_look(struct core_upstream *u, const char *wan,
			const struct in6_addr *wan4, struct in_addr gateway)
{
	bool want = gateway.s_addr && wan[0] && stands_behind(wan4);
	bool other = gateway.s_addr != u->gateway.s_addr || strcmp(wan, u->wan) != 0;

	if (want == u->wanted && (!want || !other))
		return;
	u->known = false;
	u->gateway = gateway;
	snprintf(u->wan, sizeof(u->wan), "%s", wan);
	if (!want)
		ask_parent(u, ROLE_OP_STOP);
	else
		ask_parent(u, u->wanted ? ROLE_OP_KILL : ROLE_OP_START);
	u->wanted = want;
}

void core_upstream_known(const struct core_upstream *u, struct check_upstream *out)
{
	*out = (struct check_upstream){.asked = u->known, .answers = u->answer.answers};
	if (!u->wanted)
		return;
	out->gateway = addr_from_v4(u->gateway);
	if (u->known)
		out->external = addr_from_v4(u->answer.external);
}

struct core_upstream *core_upstream_new(struct event_base *base, bool debug)
{
	struct core_upstream *u = calloc(1, sizeof(*u));

	if (u) {
		u->base = base;
		u->debug = debug;
	}
	return u;
}

void core_upstream_free(struct core_upstream *u)
{
	if (!u)
		return;
	detach(u);
	free(u);
}
