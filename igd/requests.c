/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/requests.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/log.h"
#include "igd/actions.h"
#include "igd/events.h"
#include "igd/front.h"
#include "igd/gena.h"
#include "igd/notify.h"
#include "igd/page.h"
#include "igd/rate.h"
#include "igd/status.h"

#define REQUESTS_REPLY_MS 3000 /* how long the core may take */
#define REQUESTS_FRESH_MS 1000 /* counters younger than that need no refreshing */
#define REQUESTS_SLOTS FRONT_CONNS

static const char xml_type[] = "text/xml; charset=\"utf-8\"";

/* One request that waits for something; hangs at its connection. */
struct pending {
	struct requests *requests;
	struct front_conn *conn; /* NULL: nobody waits any more, or a free slot */
	enum pending_kind {
		PENDING_NONE,
		PENDING_CORE,    /* a lease_reply with our tag */
		PENDING_REFRESH, /* the next record_state */
		PENDING_PAGE,    /* the status page */
		PENDING_SENT,    /* its first event waits until its 200 is sent */
	} kind;
	uint32_t tag;
	struct action action;
	struct gena_subscription
		*subscription; /* a new one, if its number is still this */
	uint64_t number;
};

struct requests {
	struct event_base *base;
	struct channel *channel;
	struct event *flush; /* sends gathered requests at the end of the turn */
	struct event *tell;  /* when variables may be told again */

	struct record_setup setup;
	struct prefix nets[RECORD_LAN_ADDRS + RECORD_LAN_ALSO];
	char hosts[RECORD_LAN_ADDRS][ADDR_TEXT];
	struct record_state state;
	uint64_t state_ms; /* when it came; 0: not yet */
	bool refresh_asked;
	uint32_t generation; /* of tags */
	struct pending slots[REQUESTS_SLOTS];

	const struct description *description;
	struct front *front;
	struct notify *notify;
	struct soap_writer *writer;
	struct status *status;
	struct events events;
	struct gena gena;
	struct rate rate;
	struct soap_call call; /* of the request that is just handled */
};

/* --- Answers --- */

static void answer_status(struct front_conn *c, int status)
{
	front_answer(c, &(struct front_answer){.status = status});
}

static void answer_action(struct front_conn *c, const struct action_answer *a)
{
	if (a->status == 503 || !a->body) {
		answer_status(c, 503);
		return;
	}
	front_answer(c, &(struct front_answer){.status = a->status,
					       .type = xml_type,
					       .body = a->body,
					       .len = a->len});
}

static void answer_fault(struct requests *r, struct front_conn *c, int code)
{
	struct action_answer a;

	action_fault(code, r->writer, &a);
	answer_action(c, &a);
}

static struct action_env action_env(const struct requests *r, const struct front_conn *c,
				    unsigned int face)
{
	return (struct action_env){
		.state = &r->state,
		.now_ms = clock_ms(),
		.client = *front_client(c),
		.connection = description_default_connection(r->description, face),
	};
}

static void answer_subscription(struct front_conn *c, const struct gena_subscription *s,
				bool tell)
{
	char headers[GENA_SID_TEXT + 64];

	snprintf(headers, sizeof(headers), "SID: %s\r\nTIMEOUT: Second-%d\r\n", s->sid,
		 GENA_SECONDS);
	front_answer(c, &(struct front_answer){
				.status = 200, .headers = headers, .sent = tell});
}

/* --- What waits --- */

static struct pending *pending_new(struct requests *r, struct front_conn *c,
				   enum pending_kind kind)
{
	for (uint32_t i = 0; i < REQUESTS_SLOTS; i++) {
		struct pending *p = &r->slots[i];

		if (p->kind != PENDING_NONE)
			continue;
		*p = (struct pending){.requests = r, .conn = c, .kind = kind};
		p->tag = ++r->generation * REQUESTS_SLOTS + i;
		front_set_mark(c, p);
		return p;
	}
	return NULL;
}

/* Its connection is the caller's again, or gone. A slot whose answer is still to come stays
 * taken until then, so that the core never has more of ours than there are slots. */
static void pending_leave(struct pending *p)
{
	if (p->conn)
		front_set_mark(p->conn, NULL);
	p->conn = NULL;
	if (p->kind != PENDING_CORE) {
		action_forget(&p->action);
		p->kind = PENDING_NONE;
	}
}

static void pending_end(struct pending *p)
{
	pending_leave(p);
	action_forget(&p->action);
	p->kind = PENDING_NONE;
}

static void requests_flush(evutil_socket_t fd, short what, void *arg)
{
	struct requests *r = arg;
	int err = channel_flush(r->channel);

	(void)fd;
	(void)what;
	/* Those that were not sent time out at their connections; their slots are lost, but
	 * a core that does not read for so long restarts us anyway. */
	if (err)
		log_warn("the core does not take requests: %s", strerror(-err));
}

static void requests_put(struct requests *r, const struct pending *p,
			 struct lease_request *req)
{
	req->tag = p->tag;
	if (channel_put(r->channel, RECORD_REQUEST, req))
		log_warn("the core does not take requests");
	event_active(r->flush, EV_TIMEOUT, 0);
}

/* Takes the action over. */
static void requests_ask(struct requests *r, struct front_conn *c, struct action *a,
			 struct lease_request *req)
{
	struct pending *p = pending_new(r, c, PENDING_CORE);

	if (!p) {
		action_forget(a);
		answer_status(c, 503);
		return;
	}
	p->action = *a;
	front_park(c, REQUESTS_REPLY_MS);
	requests_put(r, p, req);
}

static void requests_refresh(struct requests *r, struct front_conn *c, struct action *a)
{
	struct action_env env = action_env(r, c, a->face);
	struct action_answer answer;
	struct pending *p;

	if (r->state_ms && env.now_ms - r->state_ms < REQUESTS_FRESH_MS) {
		action_counters(a, &env, r->writer, &answer);
		answer_action(c, &answer);
		return;
	}
	p = pending_new(r, c, PENDING_REFRESH);
	if (!p ||
	    (!r->refresh_asked && channel_send(r->channel, RECORD_REFRESH, NULL, 0))) {
		if (p)
			pending_end(p);
		answer_status(c, 503);
		return;
	}
	r->refresh_asked = true;
	p->action = *a;
	front_park(c, REQUESTS_REPLY_MS);
}

/* --- The status page --- */

static void requests_page(struct requests *r, struct front_conn *c)
{
	struct front_answer page;
	int err = status_page(r->status, clock_ms(), &page);

	if (!err)
		front_answer(c, &page);
	else if (err == -EAGAIN && pending_new(r, c, PENDING_PAGE))
		front_park(c, REQUESTS_REPLY_MS);
	else
		answer_status(c, 503);
}

void requests_rows(struct requests *r, const struct record_row *rows, size_t n)
{
	status_rows(r->status, rows, n);
}

void requests_listed(struct requests *r, const struct record_list *next)
{
	struct front_answer page;

	if (!status_listed(r->status, next, &r->state, clock_ms()))
		return;
	for (size_t i = 0; i < REQUESTS_SLOTS; i++) {
		struct pending *p = &r->slots[i];
		struct front_conn *c = p->conn;

		if (p->kind != PENDING_PAGE)
			continue;
		pending_end(p);
		if (status_page(r->status, clock_ms(), &page) == 0)
			front_answer(c, &page);
		else
			answer_status(c, 503);
	}
}

/* --- Actions --- */

/* Row U17: no type is fine, as old clients send none; a wrong one is not. */
static bool requests_is_xml(const char *type)
{
	size_t n;

	if (!type)
		return true;
	n = strcspn(type, "; \t");
	return (n == 8 && strncasecmp(type, "text/xml", n) == 0) ||
	       (n == 15 && strncasecmp(type, "application/xml", n) == 0) ||
	       (n == 20 && strncasecmp(type, "application/soap+xml", n) == 0);
}

static void requests_control(struct requests *r, struct front_conn *c,
			     const struct description_route *route,
			     const struct http_request *req, const char *body, size_t len)
{
	char urn[SOAP_URN_MAX + 1], name[SOAP_NAME_MAX + 1];
	struct action_answer answer;
	struct action_env env;
	struct lease_request ask;
	struct action action;

	if (!requests_is_xml(req->content_type)) {
		answer_status(c, 415);
		return;
	}
	/* The header keeps browsers of other sites out: they may not send it. */
	if (!req->soap_action || soap_parse_header(req->soap_action, urn, name) ||
	    soap_parse(&r->call, body, len)) {
		answer_status(c, 400);
		return;
	}
	if (strcmp(r->call.urn, urn) != 0 || strcmp(r->call.action, name) != 0 ||
	    action_find(route->face, route->service, urn, name, &action)) {
		answer_fault(r, c, 401);
		return;
	}
	env = action_env(r, c, route->face);
	switch (action_run(&action, &env, &r->call, &ask, r->writer, &answer)) {
	case ACTION_ANSWERED:
		answer_action(c, &answer);
		break;
	case ACTION_ASK:
		requests_ask(r, c, &action, &ask);
		break;
	case ACTION_REFRESH:
		requests_refresh(r, c, &action);
		break;
	}
}

void requests_reply(struct requests *r, const struct lease_reply *reply)
{
	struct pending *p = &r->slots[reply->tag % REQUESTS_SLOTS];
	struct front_conn *c = p->conn;
	struct action_answer answer;
	struct lease_request more;

	if (p->kind != PENDING_CORE || p->tag != reply->tag) {
		log_warn("a reply to no request of ours");
		return;
	}
	if (!c) { /* it came too late */
		pending_end(p);
		return;
	}
	if (action_reply(&p->action, reply, &more, r->writer, &answer) == ACTION_ASK) {
		requests_put(r, p, &more);
		return;
	}
	pending_end(p);
	answer_action(c, &answer);
}

/* --- Events --- */

static void requests_subscribe(struct requests *r, struct front_conn *c,
			       const struct description_route *route,
			       const struct gena_callback *callback)
{
	struct gena_subscription *s = NULL;
	struct pending *p = pending_new(r, c, PENDING_SENT);
	uint8_t random[16];

	if (p && getrandom(random, sizeof(random), 0) == sizeof(random))
		s = gena_subscribe(&r->gena, front_client(c), callback, route->face,
				   route->service, random, clock_ms());
	if (!s) {
		if (p)
			pending_end(p);
		answer_status(c, 503);
		return;
	}
	notify_forget(r->notify, s);
	p->subscription = s;
	p->number = s->number;
	/* The first event must not overtake this answer. */
	answer_subscription(c, s, true);
}

static void requests_subscription(struct requests *r, struct front_conn *c,
				  const struct description_route *route,
				  const struct http_request *req)
{
	struct gena_subscription *s;
	struct gena_callback callback;
	enum gena_kind kind;
	int status = gena_check(&r->gena, req, front_client(c), clock_ms(), &kind,
				&callback, &s);

	if (status) {
		answer_status(c, status);
		return;
	}
	switch (kind) {
	case GENA_SUBSCRIBE:
		requests_subscribe(r, c, route, &callback);
		break;
	case GENA_RENEW:
		gena_renew(s, clock_ms());
		answer_subscription(c, s, false);
		break;
	case GENA_UNSUBSCRIBE:
		gena_end(s);
		notify_forget(r->notify, s);
		answer_status(c, 200);
		break;
	}
}

static void requests_arm(struct requests *r, uint64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	evtimer_add(r->tell, &tv);
}

/* Tells subscribers what changed, or sets the clock for it. */
static void requests_tell(struct requests *r)
{
	uint64_t wait_ms;
	unsigned int bits = events_take(&r->events, &r->state, clock_ms(), &wait_ms);

	if (wait_ms)
		requests_arm(r, wait_ms);
	notify_all(r->notify, bits);
}

static void requests_tell_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	requests_tell(arg);
}

/* --- The front's calls --- */

static bool requests_host_ok(const struct requests *r, const char *host)
{
	for (size_t i = 0; host && i < r->setup.n_addrs; i++)
		if (http_host_is(host, r->hosts[i]))
			return true;
	return false;
}

/* A name in place of our address means that somebody's name server was made to point
 * here (row U9). HTTP/1.0 knows no Host. */
static bool requests_hosts_ok(const struct requests *r, const struct http_request *req)
{
	return (!req->host || requests_host_ok(r, req->host)) &&
	       (!req->authority || requests_host_ok(r, req->authority));
}

/* libupnp fetches its descriptions from our own address. */
static bool requests_rate_ok(struct requests *r, const struct in6_addr *client)
{
	return addr_equal(client, &r->setup.addrs[0].addr) ||
	       rate_take(&r->rate, client, clock_ms());
}

static void requests_request(void *arg, struct front_conn *c,
			     const struct http_request *req, const char *body, size_t len)
{
	struct requests *r = arg;
	struct description_route route = description_find(r->description, req->path);
	bool get = req->method == HTTP_GET || req->method == HTTP_HEAD;

	if (!requests_hosts_ok(r, req))
		answer_status(c, 403);
	else if (!requests_rate_ok(r, front_client(c)))
		answer_status(c, 503);
	else if (strcmp(req->path, PAGE_PATH) == 0 && get)
		requests_page(r, c);
	else if (route.kind == DESCRIPTION_NOTHING)
		answer_status(c, 404);
	else if (route.kind == DESCRIPTION_DOCUMENT && get)
		front_answer(c, &(struct front_answer){.status = 200,
						       .type = xml_type,
						       .body = route.document,
						       .len = route.len});
	else if (route.kind == DESCRIPTION_CONTROL && req->method == HTTP_POST)
		requests_control(r, c, &route, req, body, len);
	else if (route.kind == DESCRIPTION_EVENT &&
		 (req->method == HTTP_SUBSCRIBE || req->method == HTTP_UNSUBSCRIBE))
		requests_subscription(r, c, &route, req);
	else
		answer_status(c, 405);
}

static void requests_late(void *arg, struct front_conn *c)
{
	struct requests *r = arg;
	struct pending *p = front_mark(c);
	bool action = p && (p->kind == PENDING_CORE || p->kind == PENDING_REFRESH);

	if (p)
		pending_leave(p);
	if (action)
		answer_fault(r, c, 501);
	else
		answer_status(c, 503);
}

static void requests_sent(void *arg, struct front_conn *c)
{
	struct requests *r = arg;
	struct pending *p = front_mark(c);

	if (!p || p->kind != PENDING_SENT)
		return;
	if (p->subscription->taken && p->subscription->number == p->number)
		notify_welcome(r->notify, p->subscription);
	pending_end(p);
}

static const struct front_ops front_ops = {
	.request = requests_request,
	.late = requests_late,
	.sent = requests_sent,
};

/* --- The core's messages, and life --- */

void requests_state(struct requests *r, const struct record_state *s)
{
	bool first = !r->state_ms;

	r->state = *s;
	r->state_ms = clock_ms();
	r->refresh_asked = false;
	if (first)
		r->events.told = *s; /* nobody was told otherwise */
	for (size_t i = 0; i < REQUESTS_SLOTS; i++) {
		struct pending *p = &r->slots[i];
		struct front_conn *c = p->conn;
		struct action action = p->action;
		struct action_answer answer;
		struct action_env env;

		if (p->kind != PENDING_REFRESH)
			continue;
		pending_end(p);
		env = action_env(r, c, action.face);
		action_counters(&action, &env, r->writer, &answer);
		answer_action(c, &answer);
	}
	requests_tell(r);
}

static struct notify *requests_notify_new(struct requests *r)
{
	struct notify_config config = {.ifindex = r->setup.ifindex,
				       .description = r->description,
				       .state = &r->state};

	memcpy(config.ifname, r->setup.ifname, sizeof(config.ifname));
	return notify_new(r->base, &r->gena, &config);
}

struct requests *requests_new(struct event_base *base, struct channel *channel,
			      const struct record_setup *setup,
			      const struct description *description, const int *listeners,
			      size_t n_listeners)
{
	struct requests *r = calloc(1, sizeof(*r));
	uint32_t rate = setup->requests_per_second;

	if (!r) {
		for (size_t i = 0; i < n_listeners; i++)
			close(listeners[i]);
		return NULL;
	}
	r->base = base;
	r->channel = channel;
	r->setup = *setup;
	r->description = description;
	for (size_t i = 0; i < setup->n_addrs; i++) {
		const struct record_prefix *p = &setup->addrs[i];

		r->nets[i] = (struct prefix){.addr = p->addr, .len = p->len};
		addr_text(&p->addr, r->hosts[i]);
	}
	for (size_t i = 0; i < setup->n_also; i++)
		r->nets[setup->n_addrs + i] = (struct prefix){.addr = setup->also[i].addr,
							      .len = setup->also[i].len};
	rate_init(&r->rate, rate, rate * 2);
	r->flush = event_new(base, -1, 0, requests_flush, r);
	r->tell = evtimer_new(base, requests_tell_due, r);
	r->writer = soap_writer_new();
	r->status = status_new(channel);
	r->notify = requests_notify_new(r);
	r->front = front_new(base, listeners, n_listeners, r->nets,
			     (size_t)setup->n_addrs + setup->n_also, &front_ops, r);
	/* Only called at start, where the process ends on failure. */
	if (!r->flush || !r->tell || !r->writer || !r->status || !r->notify || !r->front)
		return NULL;
	return r;
}
