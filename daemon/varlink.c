/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/varlink.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Fewer than there are places: who was let in is read before it can have to give way. */
#define VARLINK_ACCEPT_BURST 4

static const char service_description[] =
	"# Provided by every varlink service.\n"
	"interface org.varlink.service\n"
	"\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n";

struct conn {
	struct varlink *server;
	struct bufferevent *bev;
	struct event *turn;        /* one piece of work in the next turn of the loop */
	struct varlink_call *call; /* in the works; the next message waits for its end */
	uint64_t active_ms;        /* when it last sent or took something */
	uid_t uid;
	bool ending; /* reads no more: closed when all is answered and taken */
	bool dead;   /* closed at its next turn, whatever is queued */
};

struct varlink_call {
	struct conn *conn; /* NULL: the client has left */
	json_t *message;
	const json_t *parameters; /* of the message, or NULL */
	uid_t uid;
	bool more;
	bool oneway;
	const struct varlink_stream *stream;
	void *stream_arg;
};

struct varlink {
	struct event_base *base;
	struct event *listener;
	struct event *resume; /* takes up listening again after a shortage */
	int fd;
	const struct varlink_service *service;
	void *arg;
	struct conn *conn[VARLINK_CONNECTIONS];
	size_t n;
};

static size_t conn_queued(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* The length of the first message without its NUL, or -1. */
static ssize_t conn_message(const struct conn *c)
{
	return evbuffer_search(bufferevent_get_input(c->bev), "", 1, NULL).pos;
}

/* One read more than a message may come in, then no more until that is worked off. */
static bool conn_full(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_input(c->bev)) >= VARLINK_IN_MAX;
}

static void conn_wake(struct conn *c)
{
	const struct timeval now = {0};

	/* A timer, not event_active(): that would run again before the others' turn. */
	if (event_add(c->turn, &now))
		c->dead = true;
}

static void call_free(struct varlink_call *call)
{
	if (call->stream)
		call->stream->free(call->stream_arg);
	json_decref(call->message);
	free(call);
}

/* A call without a stream stays with whoever is to answer it. */
static void conn_free(struct conn *c)
{
	struct varlink *v = c->server;

	for (size_t i = 0; i < v->n; i++) {
		if (v->conn[i] == c) {
			v->conn[i] = v->conn[--v->n];
			break;
		}
	}
	if (c->call) {
		c->call->conn = NULL;
		if (c->call->stream)
			call_free(c->call);
	}
	if (c->turn)
		event_free(c->turn);
	if (c->bev)
		bufferevent_free(c->bev); /* closes the socket */
	free(c);
}

/* Takes the message over. */
static void conn_send(struct conn *c, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	if (!text || bufferevent_write(c->bev, text, strlen(text) + 1) ||
	    conn_queued(c) > VARLINK_OUT_MAX)
		c->dead = true;
	free(text);
}

/* What was asked before is still answered. */
static void conn_end(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	c->ending = true;
	bufferevent_disable(c->bev, EV_READ);
	evbuffer_drain(in, evbuffer_get_length(in));
}

uid_t varlink_uid(const struct varlink_call *call)
{
	return call->uid;
}

bool varlink_more(const struct varlink_call *call)
{
	return call->more;
}

const json_t *varlink_parameters(const struct varlink_call *call)
{
	return call->parameters;
}

static void call_end(struct varlink_call *call, json_t *message)
{
	struct conn *c = call->conn;

	if (c && !call->oneway)
		conn_send(c, message);
	else
		json_decref(message);
	if (c) {
		c->call = NULL;
		conn_wake(c);
	}
	call_free(call);
}

void varlink_reply(struct varlink_call *call, json_t *parameters)
{
	call_end(call, parameters ? json_pack("{s:o}", "parameters", parameters) : NULL);
}

void varlink_error(struct varlink_call *call, const char *error, json_t *parameters)
{
	if (!parameters)
		parameters = json_object();
	call_end(call, json_pack("{s:s,s:o}", "error", error, "parameters", parameters));
}

void varlink_invalid(struct varlink_call *call, const char *parameter)
{
	varlink_error(call, "org.varlink.service.InvalidParameter",
		      json_pack("{s:s}", "parameter", parameter));
}

void varlink_stream(struct varlink_call *call, const struct varlink_stream *stream,
		    void *arg)
{
	call->stream = stream;
	call->stream_arg = arg;
	conn_wake(
		call->conn); /* streams begin inside of their call, with its client there */
}

void varlink_ready(struct varlink_call *call)
{
	if (call->conn)
		conn_wake(call->conn);
}

/* Is there a piece to be sent now? */
static bool conn_streams(const struct conn *c)
{
	const struct varlink_call *call = c->call;

	return call && call->stream && !conn_queued(c) &&
	       (!call->stream->ready || call->stream->ready(call->stream_arg));
}

/* Nobody waits any more for what there is not. */
static bool conn_waits_in_vain(const struct conn *c)
{
	const struct varlink_call *call = c->call;

	return c->ending && call && call->stream && call->stream->ready &&
	       !call->stream->ready(call->stream_arg);
}

static void conn_stream(struct conn *c)
{
	struct varlink_call *call = c->call;
	bool last = false;
	json_t *piece = call->stream->next(call->stream_arg, &last);

	if (!piece)
		c->dead = true;
	else if (last)
		varlink_reply(call, piece);
	else
		conn_send(c, json_pack("{s:o,s:b}", "parameters", piece, "continues", 1));
}

static void service_info(struct varlink *v, struct varlink_call *call)
{
	const struct varlink_service *s = v->service;

	varlink_reply(call, json_pack("{s:s,s:s,s:s,s:s,s:[s,s]}", "vendor", s->vendor,
				      "product", s->product, "version", s->version, "url",
				      s->url, "interfaces", "org.varlink.service",
				      s->interface));
}

static void service_describe(struct varlink *v, struct varlink_call *call)
{
	const json_t *param = json_object_get(call->parameters, "interface");
	const char *name = json_string_value(param), *text;

	if (!name) {
		varlink_invalid(call, "interface");
		return;
	}
	if (strcmp(name, "org.varlink.service") == 0) {
		text = service_description;
	} else if (strcmp(name, v->service->interface) == 0) {
		text = v->service->description;
	} else {
		varlink_error(call, "org.varlink.service.InterfaceNotFound",
			      json_pack("{s:s}", "interface", name));
		return;
	}
	varlink_reply(call, json_pack("{s:s}", "description", text));
}

/* Is "org.example.Method" of that interface? Then where the method's name begins. */
static const char *method_of(const char *full, const char *interface)
{
	size_t n = strlen(interface);

	return strncmp(full, interface, n) == 0 && full[n] == '.' &&
			       !strchr(full + n + 1, '.')
		       ? full + n + 1
		       : NULL;
}

static void call_dispatch(struct varlink *v, struct varlink_call *call, const char *full)
{
	const struct varlink_method *m = v->service->methods;
	const char *dot = strrchr(full, '.'), *name;

	name = method_of(full, "org.varlink.service");
	if (name && strcmp(name, "GetInfo") == 0) {
		service_info(v, call);
		return;
	}
	if (name && strcmp(name, "GetInterfaceDescription") == 0) {
		service_describe(v, call);
		return;
	}
	if (!name) {
		name = method_of(full, v->service->interface);
		while (name && m->name && strcmp(m->name, name) != 0)
			m++;
		if (name && m->name) {
			m->call(v->arg, call);
			return;
		}
	}
	if (!dot)
		varlink_invalid(call, "method");
	else if (name)
		varlink_error(call, "org.varlink.service.MethodNotFound",
			      json_pack("{s:s}", "method", full));
	else
		varlink_error(
			call, "org.varlink.service.InterfaceNotFound",
			json_pack("{s:s%}", "interface", full, (size_t)(dot - full)));
}

/* A flag of a call: absent is false. Anything but a boolean names itself in *bad. */
static bool flag_get(const json_t *message, const char *name, const char **bad)
{
	const json_t *flag = json_object_get(message, name);

	if (flag && !json_is_boolean(flag))
		*bad = name;
	return json_is_true(flag);
}

/* Takes the message over, also on failure. -EBADMSG: no call at all; -ENOMEM. */
static int conn_call(struct conn *c, json_t *message)
{
	const char *method = json_string_value(json_object_get(message, "method"));
	struct varlink_call *call = method ? calloc(1, sizeof(*call)) : NULL;
	const char *bad = NULL;

	if (!call) {
		json_decref(message);
		return method ? -ENOMEM : -EBADMSG;
	}
	*call = (struct varlink_call){.conn = c, .uid = c->uid, .message = message};
	call->parameters = json_object_get(message, "parameters");
	if (json_is_null(call->parameters))
		call->parameters = NULL;
	call->oneway = flag_get(message, "oneway", &bad);
	call->more = flag_get(message, "more", &bad) && !call->oneway;
	if (flag_get(message, "upgrade", &bad))
		bad = "upgrade"; /* there is nothing to upgrade to */
	if (call->parameters && !json_is_object(call->parameters))
		bad = "parameters";
	c->call = call;
	if (bad)
		varlink_invalid(call, bad);
	else
		call_dispatch(c->server, call, method);
	return 0;
}

static void conn_take(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	ssize_t len = conn_message(c);
	const char *text = len < 0 ? NULL : (char *)evbuffer_pullup(in, len + 1);
	json_t *message;

	if (!text || len >= VARLINK_IN_MAX) {
		if (text || len >= 0 || conn_full(c))
			conn_end(c);
		return;
	}
	message = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
	evbuffer_drain(in, (size_t)len + 1);
	if (!conn_full(c) && !c->ending)
		bufferevent_enable(c->bev, EV_READ);
	if (conn_call(c, message)) {
		log_debug("control: uid %u sent what is no varlink call",
			  (unsigned int)c->uid);
		conn_end(c);
	}
}

static void conn_turn(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (!c->dead && !c->call)
		conn_take(c);
	else if (!c->dead && conn_streams(c))
		conn_stream(c);

	if (c->dead || conn_waits_in_vain(c) ||
	    (c->ending && !c->call && !conn_queued(c) && conn_message(c) < 0))
		conn_free(c);
	else if (c->call ? conn_streams(c) : conn_message(c) >= 0)
		conn_wake(c);
}

static void conn_moved(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	c->active_ms = clock_ms();
	if (conn_full(c))
		bufferevent_disable(c->bev, EV_READ);
	conn_wake(c);
}

static void conn_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (!(what & BEV_EVENT_EOF)) {
		conn_free(c); /* an error, or it does not take what it asked for */
		return;
	}
	c->ending = true; /* it may have shut down only its sending side */
	conn_wake(c);
}

/* Takes the socket over. -errno. */
static int conn_new(struct varlink *v, int fd)
{
	const struct timeval patience = {.tv_sec = VARLINK_WRITE_TIMEOUT_S};
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	struct conn *c;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)) {
		int err = -errno;

		close(fd);
		return err;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = v;
	c->uid = peer.uid;
	c->active_ms = clock_ms();
	c->bev = bufferevent_socket_new(v->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		close(fd);
	c->turn = evtimer_new(v->base, conn_turn, c);
	if (!c->bev || !c->turn || bufferevent_set_timeouts(c->bev, NULL, &patience))
		goto no_memory;
	bufferevent_setcb(c->bev, conn_moved, conn_moved, conn_event, c);
	if (bufferevent_enable(c->bev, EV_READ | EV_WRITE))
		goto no_memory;
	v->conn[v->n++] = c;
	return 0;
no_memory:
	conn_free(c);
	return -ENOMEM;
}

/* Makes a place: the connection that has been idle longest gives way. False: all work. */
static bool varlink_make_place(struct varlink *v)
{
	struct conn *oldest = NULL;

	if (v->n < VARLINK_CONNECTIONS)
		return true;
	for (size_t i = 0; i < v->n; i++) {
		struct conn *c = v->conn[i];

		if (!c->call && !conn_queued(c) &&
		    (!oldest || c->active_ms < oldest->active_ms))
			oldest = c;
	}
	if (oldest)
		conn_free(oldest);
	return oldest;
}

static void varlink_accept(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval second = {.tv_sec = 1};
	struct varlink *v = arg;

	(void)what;
	for (int i = 0; i < VARLINK_ACCEPT_BURST; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), err;

		if (peer < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
				return;
			log_warn("control: accept: %m; trying again in a second");
			event_del(v->listener);
			event_add(v->resume, &second);
			return;
		}
		if (!varlink_make_place(v)) {
			close(peer);
			continue;
		}
		err = conn_new(v, peer);
		if (err)
			log_debug("control: a connection was refused: %s",
				  strerror(-err));
	}
}

static void varlink_resume(evutil_socket_t fd, short what, void *arg)
{
	struct varlink *v = arg;

	(void)fd;
	(void)what;
	event_add(v->listener, NULL);
}

/* Against chosen keys. jansson would open /dev/urandom, which a sandbox may forbid. */
static void varlink_seed(void)
{
	uint32_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint32_t)clock_ms();
	json_object_seed(seed | 1);
}

struct varlink *varlink_new(struct event_base *base, int listen_fd,
			    const struct varlink_service *service, void *arg)
{
	struct varlink *v = calloc(1, sizeof(*v));

	if (!v) {
		close(listen_fd);
		return NULL;
	}
	*v = (struct varlink){
		.base = base, .fd = listen_fd, .service = service, .arg = arg};
	varlink_seed();
	signal(SIGPIPE, SIG_IGN); /* libevent writes without MSG_NOSIGNAL */
	v->listener = event_new(base, listen_fd, EV_READ | EV_PERSIST, varlink_accept, v);
	v->resume = evtimer_new(base, varlink_resume, v);
	if (!v->listener || !v->resume || evutil_make_socket_nonblocking(listen_fd) ||
	    event_add(v->listener, NULL)) {
		varlink_free(v);
		return NULL;
	}
	return v;
}

void varlink_free(struct varlink *v)
{
	if (!v)
		return;
	while (v->n)
		conn_free(v->conn[0]);
	if (v->resume)
		event_free(v->resume);
	if (v->listener)
		event_free(v->listener);
	close(v->fd);
	free(v);
}

size_t varlink_connections(const struct varlink *v)
{
	return v->n;
}
