/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shut_in FILTERS PROGRAM [ARGUMENT...]: runs a program under the system call filters that
 * systemd would give its service. FILTERS is a file of lines:
 *
 *	calls NAME...      no others (SystemCallFilter=, with its groups written out)
 *	families NUMBER... no sockets of others (RestrictAddressFamilies=)
 *	no-exec-memory     MemoryDenyWriteExecute=
 *	no-namespaces      RestrictNamespaces=
 *	no-realtime        RestrictRealtime=
 *	no-suid-files      RestrictSUIDSGID=
 *	no-personality     LockPersonality=
 *
 * Each line is a filter of its own, as with systemd; what is not allowed ends in EPERM
 * (EAFNOSUPPORT for families). Expects no_new_privs to be set.
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "shut_in: %s: %s\n", what, strerror(errno));
	exit(126);
}

static void need(int err)
{
	if (err) {
		errno = -err;
		die("seccomp rule");
	}
}

static scmp_filter_ctx begin(uint32_t action)
{
	scmp_filter_ctx ctx = seccomp_init(action);

	if (!ctx)
		die("seccomp_init");
	return ctx;
}

static void refuse_flag(scmp_filter_ctx ctx, int call, unsigned int arg,
			scmp_datum_t flag)
{
	need(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), call, 1,
			      SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, flag, flag)));
}

/* Names of other machines' calls are passed over, as systemd does. */
static scmp_filter_ctx calls(char *words)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ERRNO(EPERM));

	for (char *w = strtok(words, " \n"); w; w = strtok(NULL, " \n")) {
		int call = seccomp_syscall_resolve_name(w);

		if (call != __NR_SCMP_ERROR)
			seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
	}
	return ctx;
}

static scmp_filter_ctx families(char *words)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);
	bool wanted[64] = {false};

	for (char *w = strtok(words, " \n"); w; w = strtok(NULL, " \n"))
		wanted[strtoul(w, NULL, 10) % 64] = true;
	for (unsigned int i = 0; i < 64; i++)
		if (!wanted[i])
			need(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT),
					      SCMP_SYS(socket), 1,
					      SCMP_A0(SCMP_CMP_EQ, i, 0)));
	return ctx;
}

static scmp_filter_ctx no_exec_memory(void)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);

	refuse_flag(ctx, SCMP_SYS(mmap), 2, PROT_EXEC | PROT_WRITE);
	refuse_flag(ctx, SCMP_SYS(mprotect), 2, PROT_EXEC);
	refuse_flag(ctx, SCMP_SYS(pkey_mprotect), 2, PROT_EXEC);
	return ctx;
}

static scmp_filter_ctx no_namespaces(void)
{
	static const scmp_datum_t flags[] = {CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET,
					     CLONE_NEWNS,     CLONE_NEWPID, CLONE_NEWUSER,
					     CLONE_NEWUTS};
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);

	need(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
	need(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setns), 0));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		refuse_flag(ctx, SCMP_SYS(unshare), 0, flags[i]);
		refuse_flag(ctx, SCMP_SYS(clone), 0, flags[i]);
	}
	return ctx;
}

static scmp_filter_ctx no_realtime(void)
{
	static const int others[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE};
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);

	for (int policy = 0; policy < 16; policy++) {
		bool other = false;

		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			other = other || others[i] == policy;
		if (!other)
			need(seccomp_rule_add(
				ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sched_setscheduler),
				1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)policy, 0)));
	}
	return ctx;
}

static scmp_filter_ctx no_suid_files(void)
{
	static const scmp_datum_t bits[] = {S_ISUID, S_ISGID};
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);

	for (size_t i = 0; i < 2; i++) {
		refuse_flag(ctx, SCMP_SYS(chmod), 1, bits[i]);
		refuse_flag(ctx, SCMP_SYS(fchmod), 1, bits[i]);
		refuse_flag(ctx, SCMP_SYS(fchmodat), 2, bits[i]);
		refuse_flag(ctx, SCMP_SYS(mkdir), 1, bits[i]);
		refuse_flag(ctx, SCMP_SYS(mkdirat), 2, bits[i]);
	}
	return ctx;
}

static scmp_filter_ctx no_personality(void)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);

	need(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
			      SCMP_A0(SCMP_CMP_NE, 0, 0)));
	return ctx;
}

static scmp_filter_ctx filter(char *line)
{
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "calls ", 6) == 0)
		return calls(line + 6);
	if (strncmp(line, "families ", 9) == 0)
		return families(line + 9);
	if (strcmp(line, "no-exec-memory") == 0)
		return no_exec_memory();
	if (strcmp(line, "no-namespaces") == 0)
		return no_namespaces();
	if (strcmp(line, "no-realtime") == 0)
		return no_realtime();
	if (strcmp(line, "no-suid-files") == 0)
		return no_suid_files();
	if (strcmp(line, "no-personality") == 0)
		return no_personality();
	errno = EINVAL;
	die(line);
	return NULL;
}

int main(int argc, char **argv)
{
	static char line[32768];
	scmp_filter_ctx all[16];
	size_t n = 0;
	FILE *f;

	if (argc < 3 || !(f = fopen(argv[1], "re")))
		die("usage: shut_in FILTERS PROGRAM [ARGUMENT...]");
	while (n < 16 && fgets(line, sizeof(line), f)) {
		all[n] = filter(line);
		seccomp_attr_set(all[n++], SCMP_FLTATR_CTL_NNP, 0);
	}
	fclose(f);
	for (size_t i = 0; i < n; i++) {
		need(seccomp_load(all[i]));
		seccomp_release(all[i]);
	}
	execv(argv[2], argv + 2);
	die(argv[2]);
}
