/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/notify.h"
#include "daemon/setup.h"
#include "daemon/sysctl.h"
#include "daemon/watchdog.h"

#define WORKERS_MAX (4 + 2 * LEASE_LANS_MAX)
#define GOODBYE_MS 1500 /* from SIGTERM to SIGKILL */
#define STEADY_MS 10000 /* who ran so long starts anew without waiting */
#define NEVER UINT64_MAX

/* How long a process that died again waits, by the number of deaths in a row. */
static const uint64_t backoff_ms[] = {0, 100, 500, 2000, 10000};
#define BACKOFFS (sizeof(backoff_ms) / sizeof(backoff_ms[0]))

/* One process of ours: the core, or a worker that may or may not be wanted. */
struct child {
	enum role role;
	uint16_t lan;
	bool wanted;
	bool leaving;        /* was told to go */
	pid_t pid;           /* 0: not running */
	unsigned int deaths; /* in a row, without a steady time between */
	uint64_t started_ms;
	uint64_t start_ms; /* when to start it; NEVER: not planned */
	uint64_t kill_ms;  /* when patience ends; NEVER */
};

struct parent {
	struct spawn *spawn;
	struct config *config;
	const char *pid_file;
	struct child core;
	struct child worker[ROLE_PLACES];
	int core_channel; /* -1: none */
	struct watchdog watchdog;
	bool served;    /* the core has been serving once */
	bool told;      /* the manager was told so, of this core */
	bool reloading; /* and of this */
	bool stopping;
	int status;
};

#define EACH_WORKER(p, c)                                                                \
	for (struct child *c = (p)->worker; c < (p)->worker + ROLE_PLACES; c++)

static const char *child_name(const struct child *c, char *buf, size_t size)
{
	if (c->role == ROLE_PCP || c->role == ROLE_IGD)
		snprintf(buf, size, "%s of LAN %u", role_name(c->role), c->lan);
	else
		snprintf(buf, size, "%s", role_name(c->role));
	return buf;
}

static void core_tell(struct parent *p, uint8_t op, const struct child *c, int32_t pid,
		      int fd)
{
	struct role_record r = {
		.op = op, .role = (uint8_t)c->role, .lan = c->lan, .pid = pid};

	if (p->core_channel >= 0 && role_send(p->core_channel, &r, fd))
		log_debug("the core does not listen");
}

/* How many workers run, with the store or without. */
static unsigned int parent_running(struct parent *p, bool store)
{
	unsigned int n = 0;

	EACH_WORKER (p, c)
		n += c->pid != 0 && (store || c->role != ROLE_STORE);
	return n;
}

/* Counts a death and plans the next start. */
static void child_plan(struct child *c, uint64_t now)
{
	uint64_t wait = backoff_ms[c->deaths < BACKOFFS ? c->deaths : BACKOFFS - 1];

	c->start_ms = now + wait;
	c->deaths++;
}

static void child_start(struct parent *p, struct child *c)
{
	uint64_t now = clock_ms();
	int channel;
	int pid = parent_running(p, true) < WORKERS_MAX
			  ? spawn_role(p->spawn, c->role, c->lan, &channel)
			  : -EAGAIN;

	c->start_ms = NEVER;
	if (pid < 0) {
		errno = -pid;
		log_error("cannot start another process: %m");
		child_plan(c, now);
		return;
	}
	c->pid = pid;
	c->started_ms = now;
	c->leaving = false;
	c->kill_ms = NEVER;
	if (c->role == ROLE_CORE) {
		struct role_record hello = {.op = ROLE_OP_PARENT, .pid = getpid()};

		p->core_channel = channel;
		watchdog_heard(&p->watchdog);
		if (role_send(channel, &hello, -1))
			log_debug("the core does not listen");
		return;
	}
	core_tell(p, ROLE_OP_STARTED, c, pid, channel);
	close(channel);
}

static void child_signal(struct parent *p, struct child *c, int sig)
{
	char name[40];
	int err = c->pid ? privileges_signal(c->pid, c->role, &p->spawn->users, sig) : 0;

	if (err && err != -ESRCH) {
		errno = -err;
		log_error("cannot end %s (pid %d): %m", child_name(c, name, sizeof(name)),
			  (int)c->pid);
	}
}

/* Asks a process to go, and sees to it that it does. */
static void child_stop(struct parent *p, struct child *c)
{
	if (!c->pid || c->leaving)
		return;
	c->leaving = true;
	c->kill_ms = clock_ms() + GOODBYE_MS;
	child_signal(p, c, SIGTERM);
}

static void log_death(const struct child *c, int status)
{
	char name[40];

	child_name(c, name, sizeof(name));
	if (WIFSIGNALED(status))
		log_warn("%s was ended by signal %d (%s); it is started again", name,
			 WTERMSIG(status),
			 WTERMSIG(status) == SIGSYS ? "a system call outside its sandbox"
						    : strsignal(WTERMSIG(status)));
	else
		log_warn("%s ended with status %d; it is started again", name,
			 WEXITSTATUS(status));
}

/* The core is gone: its workers cannot work, a new core asks for new ones. The store writes
 * what it was told and goes by itself. */
static void core_died(struct parent *p, int status, uint64_t now)
{
	close(p->core_channel);
	p->core_channel = -1;
	p->told = false;
	EACH_WORKER (p, c) {
		c->wanted = false;
		c->start_ms = NEVER;
		c->deaths = 0;
		if (c->pid && c->role == ROLE_STORE) {
			child_stop(p, c);
		} else if (c->pid) {
			c->leaving = true;
			child_signal(p, c, SIGKILL);
		}
	}
	if (p->stopping)
		return;
	if (!p->served) { /* it has said why */
		p->status = WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status)
								     : EXIT_FAILURE;
		p->stopping = true;
		return;
	}
	log_death(&p->core, status);
	child_plan(&p->core, now);
}

static void worker_died(struct parent *p, struct child *c, int status, uint64_t now)
{
	core_tell(p, ROLE_OP_EXITED, c, c->pid, -1);
	if (!c->wanted || p->stopping)
		return;
	if (c->leaving) {
		c->deaths = 0;
		c->start_ms = now;
		return;
	}
	log_death(c, status);
	child_plan(c, now);
}

static void parent_reap(struct parent *p)
{
	uint64_t now = clock_ms();
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *c = pid == p->core.pid ? &p->core : NULL;

		EACH_WORKER (p, w)
			if (w->pid == pid)
				c = w;
		if (!c)
			continue;
		if (now - c->started_ms >= STEADY_MS)
			c->deaths = 0;
		if (c->role == ROLE_CORE)
			core_died(p, status, now);
		else
			worker_died(p, c, status, now);
		c->pid = 0;
		c->leaving = false;
		c->kill_ms = NEVER;
	}
}

/* The pid for scripts; a stale file of a killed parent is replaced, the directory is root's. */
static void parent_write_pid(const struct parent *p)
{
	int fd;

	unlink(p->pid_file);
	fd = open(p->pid_file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0644);
	if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_warn("%s: %m", p->pid_file);
	if (fd >= 0)
		close(fd);
}

/* The manager hears it of each new core, and after each reload. */
static void parent_tell_ready(struct parent *p, const char *status)
{
	char text[80];

	if (p->told && !p->reloading)
		return;
	snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", status);
	notify(text);
	p->told = true;
	p->reloading = false;
}

static void parent_tell_reloading(struct parent *p)
{
	struct timespec now;
	char text[80];

	if (!p->told)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000 +
			 (unsigned long long)now.tv_nsec / 1000);
	notify(text);
	p->reloading = true;
}

/* The core serves, or has taken another configuration. Forwarding is switched on only now
 * that the filter stands. */
static void parent_serving(struct parent *p)
{
	const struct config *c = p->config;

	if (!p->served)
		parent_write_pid(p);
	p->served = true;
	if (c->router.on)
		sysctl_set(p->spawn->options->runtime_dir, c->wan);
	else
		sysctl_restore(p->spawn->options->runtime_dir);
	parent_tell_ready(p, "serving");
}

static void config_tell(struct parent *p, uint8_t op, int fd)
{
	struct role_record r = {.op = op};

	if (fd >= 0 && p->core_channel >= 0 && role_send(p->core_channel, &r, fd))
		log_debug("the core does not listen");
}

/* A file that is wrong changes nothing. */
static void parent_reload(struct parent *p)
{
	static struct config next;
	const char *path = p->spawn->options->config;
	char err[CONFIG_ERROR] = "";
	int fd = -1;

	parent_tell_reloading(p);
	if (config_load(&next, path ? path : CONFIG_DEFAULT_FILE, !path, err) == 0) {
		fd = setup_seal(&next, sizeof(next));
		if (fd < 0)
			snprintf(err, sizeof(err), "no memory for the configuration: %s",
				 strerror(-fd));
	}
	if (*err) {
		log_error("%s; the configuration stays as it was", err);
		fd = setup_seal(err, strlen(err) + 1);
		config_tell(p, ROLE_OP_WRONG, fd);
		if (fd >= 0)
			close(fd);
		if (p->reloading)
			parent_tell_ready(p, "serving; the new configuration is wrong");
		return;
	}
	close(p->spawn->config_fd); /* for each core that will be started */
	p->spawn->config_fd = fd;
	*p->config = next;
	if (!next.router.on) /* no forwarding without the filter */
		sysctl_restore(p->spawn->options->runtime_dir);
	config_tell(p, ROLE_OP_CONFIG, fd);
	/* Its answer comes after it has applied it, or has found that it cannot. */
	core_tell(p, ROLE_OP_ASK, &p->core, 0, -1);
}

static void parent_obey(struct parent *p, const struct role_record *r)
{
	struct child *c;

	watchdog_heard(&p->watchdog);
	if (r->op == ROLE_OP_ALIVE) {
		if (p->reloading)
			parent_tell_ready(p, "serving");
		return;
	}
	if (r->op == ROLE_OP_SERVING) {
		parent_serving(p);
		return;
	}
	if (r->op == ROLE_OP_RELOAD) {
		parent_reload(p);
		return;
	}
	c = &p->worker[role_place(r->role, r->lan)];
	switch (r->op) {
	case ROLE_OP_START:
		if (!c->wanted && !c->pid) {
			c->deaths = 0;
			c->start_ms = clock_ms();
		}
		c->wanted = true;
		return;
	case ROLE_OP_STOP:
		c->wanted = false;
		c->start_ms = NEVER;
		child_stop(p, c);
		return;
	case ROLE_OP_KILL:
		if (!r->pid || r->pid == c->pid) /* else it has ended by itself */
			child_signal(p, c, SIGKILL);
		return;
	default:
		return;
	}
}

/* Reads what the core says. A core that says nonsense is replaced. */
static void parent_read_core(struct parent *p)
{
	struct role_record r;
	int fd, got;

	while ((got = role_receive(p->core_channel, &r, &fd)) > 0) {
		if (fd >= 0)
			close(fd);
		if (fd >= 0 || !role_record_from_core(&r)) {
			got = -EBADMSG;
			break;
		}
		if (!p->stopping)
			parent_obey(p, &r);
	}
	if (got == -EBADMSG)
		child_signal(p, &p->core, SIGKILL);
	if (got < 0) { /* its exit status follows */
		close(p->core_channel);
		p->core_channel = -1;
	}
}

static void child_stop_planned(struct parent *p, struct child *c)
{
	c->wanted = false;
	c->start_ms = NEVER;
	child_stop(p, c);
}

static void parent_stop(struct parent *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	notify("STOPPING=1\nSTATUS=saying good-bye");
	EACH_WORKER (p, c)
		if (c->role != ROLE_STORE)
			child_stop_planned(p, c);
}

static void parent_signals(struct parent *p, int fd)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			parent_reap(p);
		else if (si.ssi_signo != SIGHUP)
			parent_stop(p);
		else if (!p->stopping)
			parent_reload(p);
	}
}

/* Starts and kills whose time has come. When the next one's does, or NEVER. */
static uint64_t child_due(struct parent *p, struct child *c, uint64_t now)
{
	if (c->start_ms <= now && !c->pid && !p->stopping)
		child_start(p, c);
	if (c->pid && c->kill_ms <= now) {
		child_signal(p, c, SIGKILL);
		c->kill_ms = NEVER;
	}
	if (c->pid)
		return c->kill_ms;
	return p->stopping ? NEVER : c->start_ms;
}

/* Tells the manager that we are there, and asks the core whether it is. A core that hangs is
 * replaced: the leases are the kernel's. */
static void parent_watch(struct parent *p, uint64_t now)
{
	if (!watchdog_turn(&p->watchdog, now))
		return;
	if (p->watchdog.manager)
		notify("WATCHDOG=1");
	core_tell(p, ROLE_OP_ASK, &p->core, 0, -1);
	if (p->core.pid && watchdog_hangs(&p->watchdog, p->told)) {
		log_error("the core does not answer");
		watchdog_heard(&p->watchdog);
		child_signal(p, &p->core, SIGKILL);
	}
}

static uint64_t parent_due(struct parent *p)
{
	uint64_t now = clock_ms();
	uint64_t next = child_due(p, &p->core, now);

	parent_watch(p, now);
	next = p->watchdog.next_ms < next ? p->watchdog.next_ms : next;

	EACH_WORKER (p, c) {
		uint64_t at = child_due(p, c, now);

		next = at < next ? at : next;
	}
	return next;
}

/* Workers go first, so that their good-byes are said while the core still answers; the store
 * goes last, when the core has told it all. */
static bool parent_done(struct parent *p)
{
	if (!p->stopping || parent_running(p, false))
		return false;
	child_stop(p, &p->core);
	if (p->core.pid)
		return false;
	EACH_WORKER (p, c)
		child_stop_planned(p, c);
	return !parent_running(p, true);
}

static int parent_signal_fd(void)
{
	static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void parent_init(struct parent *p, struct spawn *spawn, const char *pid_file)
{
	*p = (struct parent){
		.spawn = spawn,
		.pid_file = pid_file,
		.core_channel = -1,
		.core = {.role = ROLE_CORE, .wanted = true, .kill_ms = NEVER}};
	for (unsigned int role = ROLE_PCP; role < ROLE_END; role++) {
		for (uint16_t lan = 0; lan < LEASE_LANS_MAX; lan++) {
			unsigned int place = role_place(role, lan);

			if (place < ROLE_PLACES)
				p->worker[place] = (struct child){
					.role = (enum role)role,
					.lan = lan,
					.start_ms = NEVER,
					.kill_ms = NEVER,
				};
		}
	}
}

int parent_run(struct spawn *spawn, struct config *config, const char *pid_file,
	       const char *control)
{
	struct parent p;
	int signals = parent_signal_fd();

	if (signals < 0) {
		log_error("signalfd: %m");
		return EXIT_FAILURE;
	}
	parent_init(&p, spawn, pid_file);
	p.config = config;
	watchdog_init(&p.watchdog, clock_ms());
	for (;;) {
		uint64_t next, now;
		struct pollfd fds[2];
		int timeout;

		if (parent_done(&p))
			break;
		next = parent_due(&p);
		now = clock_ms();
		timeout = next == NEVER ? -1 : next <= now ? 0 : (int)(next - now);
		fds[0] = (struct pollfd){.fd = signals, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = p.core_channel, .events = POLLIN};
		if (poll(fds, 2, timeout) < 0 && errno != EINTR) {
			log_error("poll: %m");
			break;
		}
		if (p.core_channel >= 0 && fds[1].revents)
			parent_read_core(&p);
		parent_signals(&p, signals);
	}
	close(signals);
	if (p.served)
		unlink(pid_file);
	unlink(control);
	return p.status;
}
