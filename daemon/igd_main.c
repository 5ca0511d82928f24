/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * portreeve-igd: the UPnP worker of one LAN. Started by portreeved, already without power,
 * with its channel to the core as descriptor 3.
 */
#include <errno.h>
#include <event2/event.h>
#include <libxml/parser.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/log.h"
#include "daemon/sandbox.h"
#include "igd/worker.h"

static int main_enter(void)
{
	return sandbox_enter(ROLE_IGD, NULL);
}

static void main_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_stop(arg);
}

/* All signals wait until the loop is there; threads that come later keep them blocked. */
static void main_block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void main_unblock_signals(void)
{
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigprocmask(SIG_UNBLOCK, &ours, NULL);
}

static bool main_has_channel(void)
{
	struct stat st;

	return fstat(CHANNEL_FD, &st) == 0 && S_ISSOCK(st.st_mode);
}

int main(void)
{
	struct event_base *base;
	struct event *term, *interrupt;
	struct worker *w;

	log_open("igd");
	if (!main_has_channel()) {
		fprintf(stderr, "portreeve-igd is started by portreeved, not by hand\n");
		return 64;
	}
	main_block_signals();
	tzset(); /* reads its file while that is allowed */
	xmlInitParser();
	base = event_base_new();
	w = base ? worker_new(base, CHANNEL_FD) : NULL;
	term = w ? evsignal_new(base, SIGTERM, main_signal, w) : NULL;
	interrupt = w ? evsignal_new(base, SIGINT, main_signal, w) : NULL;
	if (!term || !interrupt || event_add(term, NULL) || event_add(interrupt, NULL)) {
		log_error("cannot start: %s", strerror(ENOMEM));
		return 1;
	}
	worker_set_enter(w, main_enter);
	main_unblock_signals();
	event_base_dispatch(base);
	/* libupnp's threads run on; nothing of theirs needs an orderly end. */
	_exit(worker_status(w));
}
