/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/core_trigger.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/log.h"
#include "daemon/role.h"
#include "firewall/firewall.h"
#include "firewall/nflog.h"

#define PING_S 10
#define PINGS_MISSED 3 /* unanswered: it is replaced */
#define LOG_AGAIN_S 3  /* the packet log is somebody else's: it is tried again */
#define LOG_SOON_S 1   /* perhaps he is about to end */

struct core_trigger {
	struct event_base *base;
	const struct core_trigger_ops *ops;
	void *arg;
	struct trigger_setup setup;
	bool wanted;
	bool ready;
	bool failed; /* the packet log cannot be had now */
	unsigned int tries;
	unsigned int pings; /* unanswered */
	pid_t pid;          /* 0: not running */
	struct channel *channel;
	struct event *ping;
	struct event *again;
};

static void ask_parent(const struct core_trigger *t, enum role_op op)
{
	struct role_record r = {.op = (uint8_t)op,
				.role = ROLE_TRIGGER,
				.pid = op == ROLE_OP_KILL ? t->pid : 0};
	int err = role_send(ROLE_FD_CHANNEL, &r, -1);

	if (err) {
		errno = -err;
		log_error("the parent does not listen: %m");
	}
}

static void arm(struct event *ev, unsigned int s)
{
	const struct timeval in = {.tv_sec = s};

	event_add(ev, &in);
}

static void detach(struct core_trigger *t)
{
	channel_free(t->channel);
	t->channel = NULL;
	t->ready = false;
	t->pings = 0;
	event_del(t->ping);
	event_del(t->again);
}

static void drop(struct core_trigger *t, const char *why)
{
	log_warn("the trigger worker %s: it is replaced", why);
	detach(t);
	ask_parent(t, ROLE_OP_KILL);
}

static bool take_events(struct core_trigger *t, const struct trigger_event *e,
			size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!trigger_event_valid(&e[i]))
			return false;
	for (size_t i = 0; i < count && t->wanted; i++)
		t->ops->event(t->arg, &e[i]);
	return true;
}

static void take_message(void *arg, enum record_kind kind, const void *records,
			 size_t count, const int *fds, size_t n_fds)
{
	struct core_trigger *t = arg;

	(void)fds; /* there come none */
	(void)n_fds;
	if (kind == RECORD_PONG) {
		t->pings = 0;
	} else if (kind == RECORD_READY) {
		t->ready = true;
		t->ops->changed(t->arg);
	} else if (!take_events(t, records, count)) {
		drop(t, "sent nonsense");
	}
}

static void take_end(void *arg, int err)
{
	struct core_trigger *t = arg;

	if (err)
		drop(t, "sent a malformed message");
	else
		detach(t); /* its end comes next */
}

static const struct channel_ops trigger_channel = {take_message, take_end};

static void ping_due(evutil_socket_t fd, short what, void *arg)
{
	struct core_trigger *t = arg;

	(void)fd;
	(void)what;
	if (t->pings++ >= PINGS_MISSED) {
		drop(t, "does not answer");
		return;
	}
	channel_send(t->channel, RECORD_PING, NULL,
		     0); /* a full channel counts as none */
	arm(t->ping, PING_S);
}

/* Once for each thing that is wrong, not at each try. */
static void cannot_hear(const struct core_trigger *t, int err)
{
	if (t->tries != 2)
		return;
	errno = -err;
	if (err == -EPERM)
		log_error(
			"another process reads the packet log groups %u and %u (a second "
			"portreeved?): no port opens without being asked for until it ends",
			FIREWALL_COUNT_GROUP, FIREWALL_WATCH_GROUP);
	else
		log_error(
			"the kernel's packet log cannot be read (is nfnetlink_log there?), so "
			"no port opens without being asked for: %m");
}

static void set_up(struct core_trigger *t)
{
	static const uint16_t groups[] = {FIREWALL_COUNT_GROUP, FIREWALL_WATCH_GROUP};
	int fd = -1, err = nflog_open(groups, 2, &fd);

	t->tries = err ? t->tries + 1 : 0;
	t->failed = t->tries > 1;
	if (err) {
		cannot_hear(t, err);
		arm(t->again, t->failed ? LOG_AGAIN_S : LOG_SOON_S);
		t->ops->changed(t->arg);
		return;
	}
	t->ops->begins(t->arg);
	err = channel_send_fds(t->channel, RECORD_TRIGGER_SETUP, &t->setup, 1, &fd, 1);
	close(fd);
	if (err)
		drop(t, "does not take its socket");
	else
		arm(t->ping, PING_S);
}

static void set_up_again(evutil_socket_t fd, short what, void *arg)
{
	struct core_trigger *t = arg;

	(void)fd;
	(void)what;
	if (t->channel)
		set_up(t);
}

void core_trigger_started(struct core_trigger *t, pid_t pid, int fd)
{
	detach(t);
	t->pid = pid;
	t->channel = channel_new(t->base, fd, CHANNEL_TRIGGERS_CORE, &trigger_channel, t);
	if (t->channel)
		set_up(t);
}

void core_trigger_exited(struct core_trigger *t, pid_t pid)
{
	if (t->pid != pid)
		return;
	detach(t);
	t->pid = 0;
}

pid_t core_trigger_pid(const struct core_trigger *t)
{
	return t->pid;
}

bool core_trigger_deaf(const struct core_trigger *t)
{
	return t->wanted && t->failed;
}

bool core_trigger_settled(const struct core_trigger *t)
{
	return !t->wanted || t->ready || t->failed;
}

void core_trigger_want(struct core_trigger *t, const struct trigger_setup *setup)
{
	struct trigger_setup now = setup ? *setup : (struct trigger_setup){0};

	now.count_group = FIREWALL_COUNT_GROUP;
	now.watch_group = FIREWALL_WATCH_GROUP;
	if (!setup && !t->wanted)
		return;
	if (setup && t->wanted && !memcmp(&now, &t->setup, sizeof(now)))
		return;
	t->setup = now;
	if (!setup)
		ask_parent(t, ROLE_OP_STOP);
	else
		ask_parent(t, t->wanted ? ROLE_OP_KILL : ROLE_OP_START);
	t->wanted = setup != NULL;
}

struct core_trigger *core_trigger_new(struct event_base *base,
				      const struct core_trigger_ops *ops, void *arg)
{
	struct core_trigger *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->base = base;
	t->ops = ops;
	t->arg = arg;
	t->ping = event_new(base, -1, 0, ping_due, t);
	t->again = event_new(base, -1, 0, set_up_again, t);
	if (!t->ping || !t->again) {
		core_trigger_free(t);
		return NULL;
	}
	return t;
}

void core_trigger_free(struct core_trigger *t)
{
	if (!t)
		return;
	channel_free(t->channel);
	if (t->ping)
		event_free(t->ping);
	if (t->again)
		event_free(t->again);
	free(t);
}
