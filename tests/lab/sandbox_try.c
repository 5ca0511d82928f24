/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shuts itself in as a role would be and then tries one thing that a process which was
 * taken over would try: sandbox_try ROLE ACTION. Prints "done" if it got away with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/privileges.h"
#include "daemon/sandbox.h"

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static int try_trace(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int try_exec(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int try_fork(void)
{
	return fork() < 0 ? -1 : 0;
}

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? -1 : 0;
}

static int try_write(void)
{
	return open("/tmp", O_TMPFILE | O_WRONLY, 0600) < 0 ? -1 : 0;
}

static int try_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? -1
		       : 0;
}

static int try_raw(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? -1 : 0;
}

static int try_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? -1 : 0;
}

static int try_root(void)
{
	return setresuid(0, 0, 0);
}

/* What it is allowed to do: proves that the others fail for the right reason. */
static int try_nothing(void)
{
	return write(STDOUT_FILENO, "", 0) < 0 ? -1 : 0;
}

static const struct {
	const char *name;
	int (*attempt)(void);
} actions[] = {
	{"kill", try_kill}, {"trace", try_trace},     {"exec", try_exec},
	{"fork", try_fork}, {"open", try_open},       {"write", try_write},
	{"code", try_code}, {"raw", try_raw},         {"unix", try_unix},
	{"root", try_root}, {"nothing", try_nothing},
};

int main(int argc, char **argv)
{
	enum role role = argc == 3 ? role_from_name(argv[1]) : ROLE_END;
	struct users users;
	const char *missing;

	if (role == ROLE_END || users_find(&users, &missing) ||
	    privileges_take_role(role, &users) || privileges_settle() ||
	    sandbox_enter(role, NULL)) {
		fputs("usage: sandbox_try ROLE ACTION, as root, with our users\n",
		      stderr);
		return 64;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, argv[2]) != 0)
			continue;
		if (actions[i].attempt()) {
			dprintf(STDOUT_FILENO, "errno %d\n", errno);
			_exit(1);
		}
		dprintf(STDOUT_FILENO, "done\n");
		_exit(0); /* a sanitizer's last look would need more system calls */
	}
	return 64;
}
