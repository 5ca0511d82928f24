/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"

/* Memory, time, the event loop and open sockets: what every role does. */
static const int common[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(pipe2),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(madvise),
	SCMP_SYS(munmap),
	SCMP_SYS(brk),
	SCMP_SYS(mremap),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(fcntl),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_getres),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(prlimit64),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	SCMP_SYS(membarrier),
};

static const int core_calls[] = {
	SCMP_SYS(bind),      SCMP_SYS(listen),  SCMP_SYS(accept),   SCMP_SYS(accept4),
	SCMP_SYS(ioctl),     SCMP_SYS(openat),  SCMP_SYS(unlinkat), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(rename),  SCMP_SYS(unlink),   SCMP_SYS(fsync),
	SCMP_SYS(pread64),   SCMP_SYS(sysinfo), /* glibc's qsort of much */
};

/* libupnp's threads, sockets and start-up. */
static const int igd_calls[] = {
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(ioctl),
	SCMP_SYS(pread64),
	SCMP_SYS(uname),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_get_priority_min),
	SCMP_SYS(sched_get_priority_max),
};

/* Files, as SQLite uses them. */
static const int store_calls[] = {
	SCMP_SYS(openat),   SCMP_SYS(pread64),    SCMP_SYS(pwrite64),
	SCMP_SYS(fsync),    SCMP_SYS(fdatasync),  SCMP_SYS(ftruncate),
	SCMP_SYS(fchmod),   SCMP_SYS(unlink),     SCMP_SYS(unlinkat),
	SCMP_SYS(rename),   SCMP_SYS(renameat),   SCMP_SYS(renameat2),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(access),   SCMP_SYS(faccessat),  SCMP_SYS(faccessat2),
	SCMP_SYS(stat),     SCMP_SYS(lstat),      SCMP_SYS(statx),
};

/* What ASan and UBSan add; this is the one place that is wider in such a build. */
static const int sanitizer_calls[] = {
	SCMP_SYS(mmap),        SCMP_SYS(mprotect),   SCMP_SYS(openat),
	SCMP_SYS(readlink),    SCMP_SYS(readlinkat), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(personality), SCMP_SYS(getppid),    SCMP_SYS(tgkill),
	SCMP_SYS(prctl),       SCMP_SYS(access),     SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),  SCMP_SYS(dup),        SCMP_SYS(dup2),
	SCMP_SYS(getrusage),   SCMP_SYS(uname),      SCMP_SYS(sysinfo),
	SCMP_SYS(ioctl),
};

#define ADD_LIST(ctx, list) add_list(ctx, list, sizeof(list) / sizeof((list)[0]))

static int add_list(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return err == -EEXIST ? 0 : err;
}

/* Memory never becomes code. */
static int add_memory(scmp_filter_ctx ctx)
{
	int err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	return err ? err
		   : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

static int add_sockets(scmp_filter_ctx ctx)
{
	static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
	int err = 0;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && !err; i++)
		err = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	return err ? err
		   : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket),
				      1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
}

/* Threads yes, processes no; and what libupnp and glibc ask but can do without. */
static int add_igd(scmp_filter_ctx ctx)
{
	static const struct {
		int call;
		int error;
	} refused[] = {
		{SCMP_SYS(clone3), ENOSYS},     {SCMP_SYS(sched_setscheduler), EPERM},
		{SCMP_SYS(access), ENOENT},     {SCMP_SYS(prctl), EPERM},
		{SCMP_SYS(setpriority), EPERM},
	};
	int err = ADD_LIST(ctx, igd_calls);

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]) && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((unsigned)refused[i].error),
				       refused[i].call, 0);
	if (!err)
		err = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (!err)
		err = seccomp_rule_add(
			ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
	return err ? err : add_sockets(ctx);
}

static int add_role(scmp_filter_ctx ctx, enum role role)
{
	switch (role) {
	case ROLE_CORE: {
		int err = ADD_LIST(ctx, core_calls);

		return err ? err : add_sockets(ctx);
	}
	case ROLE_IGD:
		return add_igd(ctx);
	case ROLE_STORE:
		return ADD_LIST(ctx, store_calls);
	case ROLE_UPSTREAM: /* the socket that it is given knows no peer yet */
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
	case ROLE_PCP:
	case ROLE_TRIGGER:
	case ROLE_PARENT:
	case ROLE_END:
		break;
	}
	return 0;
}

static int enter_seccomp(enum role role)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!ctx)
		return -ENOMEM;
	/* The lists come first, so that a sanitizer build's wider rules win over narrow ones. */
	err = ADD_LIST(ctx, common);
	if (!err && PORTREEVE_SANITIZED)
		err = ADD_LIST(ctx, sanitizer_calls);
	if (!err && !PORTREEVE_SANITIZED)
		err = add_memory(ctx);
	if (!err)
		err = add_role(ctx, role);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	if (!err && PORTREEVE_SANITIZED)
		log_warn("a sanitizer build: the sandbox is wider than it should be");
	return err;
}

#define LANDLOCK_FILES_V1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

/* Lets everything below a path be used so; a path that is not there is left out. */
static void landlock_allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	if (rule.parent_fd < 0)
		return;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		log_debug("landlock: %s: %m", path);
	close(rule.parent_fd);
}

/* Landlock, in the form that its first version has (Linux 5.13): no file at all, but for
 * these. Older kernels are left with seccomp and file permissions. */
static void enter_landlock(enum role role, const char *state_dir)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_FILES_V1};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0) {
		log_debug("landlock: not here (%m)");
		return;
	}
	if ((role == ROLE_CORE || role == ROLE_STORE) && state_dir)
		landlock_allow(ruleset, state_dir,
			       LANDLOCK_ACCESS_FS_READ_FILE |
				       LANDLOCK_ACCESS_FS_READ_DIR |
				       LANDLOCK_ACCESS_FS_WRITE_FILE |
				       LANDLOCK_ACCESS_FS_MAKE_REG |
				       LANDLOCK_ACCESS_FS_REMOVE_FILE);
	if (role == ROLE_CORE) /* what `portreeve check` looks at */
		landlock_allow(ruleset, "/proc/sys/net", LANDLOCK_ACCESS_FS_READ_FILE);
	if (role == ROLE_IGD) {
		landlock_allow(ruleset, "/proc/self/net", LANDLOCK_ACCESS_FS_READ_FILE);
		landlock_allow(ruleset, "/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE);
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0))
		log_warn("landlock: %m");
	close(ruleset);
}

int sandbox_enter(enum role role, const char *state_dir)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0,
		  0)) /* no core dump, no tracing by the same user */
		return -errno;
	enter_landlock(role, state_dir);
	return enter_seccomp(role);
}
