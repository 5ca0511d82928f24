/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * portreeved: one program that runs as the parent, and by re-exec as the core or a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/journal.h"
#include "base/log.h"
#include "config.h"
#include "daemon/core.h"
#include "daemon/parent.h"
#include "daemon/sandbox.h"
#include "daemon/setup.h"
#include "daemon/store_role.h"
#include "pcp/worker.h"
#include "trigger/worker.h"
#include "upstream/worker.h"

#define TURN_NS 100000 /* the shortest there is */
#ifndef SCHED_OTHER
#define SCHED_OTHER SCHED_NORMAL
#endif

static int main_parent(const struct options *o)
{
	static struct config config;
	static struct setup setup;
	int null = open("/dev/null", O_RDONLY);
	int err;

	log_open("portreeved");
	umask(022);
	if (null > 0) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	if (o->remove)
		return setup_remove(o);
	err = setup_config(o, &config);
	if (err || o->check_config) {
		if (!err)
			printf("%s: ok\n", o->config ? o->config : CONFIG_DEFAULT_FILE);
		return err;
	}
	err = setup_all(&setup, o, &config);
	if (err)
		return err;
	err = privileges_keep_parent();
	if (err) {
		errno = -err;
		log_error(
			"cannot keep CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID and CAP_SETPCAP: %m; "
			"start it with all of root's capabilities, or with the "
			"unit that comes with it");
		return EXIT_FAILURE;
	}
	return parent_run(&setup.spawn, &config, setup.pid_file, setup.control);
}

/* Asks for short turns on the processor, which others that are running yield to at once: a game
 * waits for the port that its packets open. Needs no privilege; before Linux 6.12 it changes
 * nothing, so its failure is none. */
static void main_take_short_turns(void)
{
	struct sched_attr attr;

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) ||
	    attr.sched_policy != SCHED_OTHER)
		return;
	attr.sched_runtime = TURN_NS;
	if (syscall(SYS_sched_setattr, 0, &attr, 0))
		log_debug("no short turns: %m");
}

/* Shuts the process in; what follows runs with what its role needs. */
static int main_settle(enum role role, const char *state_dir)
{
	int err = privileges_settle();

	if (!err)
		err = sandbox_enter(role, state_dir);
	if (err) {
		errno = -err;
		log_error("no sandbox, not started: %m");
	}
	return err;
}

static int main_pcp(const struct options *o)
{
	char who[32];

	snprintf(who, sizeof(who), "pcp[%u]", o->lan);
	log_open(who);
	if (main_settle(ROLE_PCP, NULL))
		return EXIT_FAILURE;
	return pcp_worker_run(ROLE_FD_CHANNEL);
}

static int main_upstream(void)
{
	log_open("upstream");
	if (main_settle(ROLE_UPSTREAM, NULL))
		return EXIT_FAILURE;
	return upstream_worker_run(ROLE_FD_CHANNEL);
}

static int main_trigger(void)
{
	log_open("trigger");
	main_take_short_turns();
	if (main_settle(ROLE_TRIGGER, NULL))
		return EXIT_FAILURE;
	return trigger_worker_run(ROLE_FD_CHANNEL);
}

static int main_store(const struct options *o)
{
	struct store_role *store;

	log_open("store");
	store = store_role_new(ROLE_FD_CHANNEL, o->state_dir);
	if (!store || main_settle(ROLE_STORE, o->state_dir))
		return EXIT_FAILURE;
	return store_role_run(store);
}

static int main_core(const struct options *o)
{
	struct core *core;
	int err;

	log_open("portreeved");
	log_open_journal(JOURNAL_SOCKET);
	main_take_short_turns();
	core = core_new(o); /* says what is wrong */
	if (!core || main_settle(ROLE_CORE, o->state_dir))
		return EXIT_FAILURE;
	err = core_run(core);
	core_free(core);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options o;

	if (options_parse(&o, argc, argv))
		return EXIT_USAGE;
	if (o.help) {
		options_usage();
		return EXIT_SUCCESS;
	}
	if (o.version) {
		puts("portreeved " PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	log_set_debug(o.debug);
	prctl(PR_SET_NAME,
	      "portreeved"); /* executed by descriptor, it may be called a number */
	switch (o.role) {
	case ROLE_PARENT:
		return main_parent(&o);
	case ROLE_CORE:
		return main_core(&o);
	case ROLE_PCP:
		return main_pcp(&o);
	case ROLE_STORE:
		return main_store(&o);
	case ROLE_UPSTREAM:
		return main_upstream();
	case ROLE_TRIGGER:
		return main_trigger();
	case ROLE_IGD: /* a program of its own */
	case ROLE_END:
		break;
	}
	return EXIT_USAGE;
}
