/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#define SPAWN_ARGS 16
#define SPAWN_BUFFER (4 * 1024 * 1024) /* of a worker's channel: 1,024 requests fit */

/* The environment that the others get: nothing of a caller's but this. */
static char *spawn_env[8];

static void spawn_keep_env(void)
{
	static const char *const names[] = {"JOURNAL_STREAM", "TZ", "ASAN_OPTIONS",
					    "UBSAN_OPTIONS"};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && asprintf(&spawn_env[n], "%s=%s", names[i], value) > 0)
			n++;
	}
	spawn_env[n] = NULL;
}

/* Puts fds[i] at 3 + i and has all others closed at exec; -1 leaves a place
 * empty. */
static int spawn_place_fds(const int *fds, int n)
{
	int high[8];

	for (int i = 0; i < n; i++) {
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, 64);
		if (fds[i] >= 0 && high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++) {
		if (high[i] < 0)
			close(ROLE_FD_CHANNEL + i);
		else if (dup2(high[i], ROLE_FD_CHANNEL + i) < 0)
			return -errno;
	}
	return close_range((unsigned)(ROLE_FD_CHANNEL + n), ~0U, CLOSE_RANGE_CLOEXEC)
		       ? -errno
		       : 0;
}

static void spawn_reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT,
	       SIG_IGN); /* a terminal's Ctrl-C is for the parent, who ends us in order */
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: becomes the role. Returns only on failure, with the step that failed. */
static const char *spawn_become(const struct spawn *s, enum role role, uint16_t lan,
				int channel)
{
	const struct options *o = s->options;
	int fds[3] = {channel, s->config_fd, s->control_fd};
	int program = fcntl(role == ROLE_IGD ? s->igd_fd : s->self_fd, F_DUPFD_CLOEXEC,
			    128);
	char arg_role[32], arg_lan[32];
	char *argv[SPAWN_ARGS];
	char state[4096], libexec[4096];
	int n = 0, err;

	err = spawn_place_fds(fds, role == ROLE_CORE ? 3 : 1);
	if (err) {
		errno = -err;
		return "descriptors";
	}
	spawn_reset_signals();
	snprintf(arg_role, sizeof(arg_role), "--role=%s", role_name(role));
	snprintf(arg_lan, sizeof(arg_lan), "--lan=%u", lan);
	snprintf(state, sizeof(state), "--state-dir=%s", o->state_dir);
	snprintf(libexec, sizeof(libexec), "--libexec-dir=%s", o->libexec_dir);
	argv[n++] = role == ROLE_IGD ? "portreeve-igd" : "portreeved";
	argv[n++] = arg_role;
	argv[n++] = arg_lan;
	if (role == ROLE_CORE || role == ROLE_STORE)
		argv[n++] = state;
	if (role == ROLE_CORE) {
		argv[n++] = libexec;
		if (o->assume_kernel_61)
			argv[n++] = "--assume-kernel=6.1";
	}
	if (o->debug)
		argv[n++] = "--debug";
	argv[n] = NULL;
	err = privileges_take_role(role, &s->users);
	if (err) {
		errno = -err;
		return "privileges";
	}
	fexecve(program, argv, spawn_env);
	return "exec";
}

int spawn_role(const struct spawn *s, enum role role, uint16_t lan, int *channel)
{
	static const int size = SPAWN_BUFFER;
	int pair[2];
	pid_t pid;

	if (!spawn_env[0])
		spawn_keep_env();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	for (int i = 0; i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
			log_debug("channel buffer: %m");
	pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(pair[0]);
		close(pair[1]);
		return err;
	}
	if (pid == 0) {
		const char *step = spawn_become(s, role, lan, pair[1]);

		log_error("cannot start %s: %s: %m", role_name(role), step);
		_exit(EXIT_FAILURE);
	}
	close(pair[1]);
	*channel = pair[0];
	return pid;
}
