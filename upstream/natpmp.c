/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "upstream/natpmp.h"

#include <event2/event.h>
#include <natpmp.h>
#include <stdlib.h>

struct natpmp_query {
	natpmp_t lib;
	natpmp_done_cb done;
	void *arg;
	struct event *readable;
	struct event *patience;
	bool over;
};

static void query_end(struct natpmp_query *q, bool answers, struct in_addr external)
{
	if (q->over)
		return;
	q->over = true;
	event_del(q->readable);
	event_del(q->patience);
	q->done(q->arg, answers, external);
}

/* Waits for the answer or the time of the next try. */
static void query_wait(struct natpmp_query *q)
{
	struct timeval t;

	if (getnatpmprequesttimeout(&q->lib, &t))
		t = (struct timeval){.tv_usec = 250000};
	if (t.tv_sec < 0)
		t = (struct timeval){.tv_usec = 0};
	event_add(q->readable, &t);
}

static void query_goes_on(evutil_socket_t fd, short what, void *arg)
{
	const struct in_addr none = {0};
	struct natpmp_query *q = arg;
	natpmpresp_t answer = {.type = NATPMP_RESPTYPE_UDPPORTMAPPING};
	int r = readnatpmpresponseorretry(&q->lib, &answer);

	(void)fd;
	(void)what;
	switch (r) {
	case 0:
		query_end(q, true,
			  answer.type == NATPMP_RESPTYPE_PUBLICADDRESS
				  ? answer.pnu.publicaddress.addr
				  : none);
		return;
	case NATPMP_TRYAGAIN:
	case NATPMP_ERR_WRONGPACKETSOURCE:
		query_wait(q);
		return;
	case NATPMP_ERR_NOTAUTHORIZED:
	case NATPMP_ERR_NETWORKFAILURE:
	case NATPMP_ERR_OUTOFRESOURCES:
		query_end(q, true, none); /* it speaks the protocol, and has none now */
		return;
	default:
		query_end(q, false, none);
		return;
	}
}

static void query_gives_up(evutil_socket_t fd, short what, void *arg)
{
	const struct in_addr none = {0};

	(void)fd;
	(void)what;
	query_end(arg, false, none);
}

struct natpmp_query *natpmp_ask(struct event_base *base, int fd, struct in_addr gateway,
				natpmp_done_cb done, void *arg)
{
	const struct timeval patience = {.tv_sec = NATPMP_PATIENCE_MS / 1000,
					 .tv_usec = NATPMP_PATIENCE_MS % 1000 * 1000};
	struct natpmp_query *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	/* What initnatpmp() does, with a socket that somebody else has opened. */
	q->lib = (natpmp_t){.s = fd, .gateway = gateway.s_addr};
	q->done = done;
	q->arg = arg;
	q->readable = event_new(base, fd, EV_READ, query_goes_on, q);
	q->patience = evtimer_new(base, query_gives_up, q);
	if (!q->readable || !q->patience) {
		natpmp_free(q);
		return NULL;
	}
	sendpublicaddressrequest(&q->lib); /* one that fails is sent again in time */
	query_wait(q);
	event_add(q->patience, &patience);
	return q;
}

void natpmp_free(struct natpmp_query *q)
{
	if (!q)
		return;
	if (q->readable)
		event_free(q->readable);
	if (q->patience)
		event_free(q->patience);
	free(q);
}
