/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/front.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "igd/description.h"

#define FRONT_BACKLOG 4096 /* the kernel has its own cap */
#define FRONT_BURST 32     /* connections taken in one turn of the loop */
#define FRONT_GRACE_MS                                                                   \
	1000 /* a connection this young does not give way to its own host's */
#define FRONT_DRAIN_MAX (128 * 1024) /* bytes read after a refusal, so that it arrives */

/* In the order in which connections give way to others of the same host. */
enum front_state {
	FRONT_IDLE,     /* between requests */
	FRONT_READING,  /* in a request */
	FRONT_WRITING,  /* the answer is on its way */
	FRONT_DRAINING, /* after a refusal: nothing is answered any more */
	FRONT_PARKED,   /* the owner has the request */
	FRONT_HANDING,  /* the owner is just being called */
};

/* A request with a body in chunks, which cannot wait in the input buffer. */
struct front_chunks {
	struct http_chunked chunked;
	size_t len;
	struct http_request req;
	char body[HTTP_BODY_MAX];
};

struct front_conn {
	struct front *front;
	struct front_conn *next;
	struct bufferevent *bev;
	struct event *deadline;
	enum front_state state;
	struct in6_addr client;
	uint64_t number;   /* lower is older */
	uint64_t since_ms; /* when it came, or went idle */
	size_t want;       /* bytes until the request is whole, once its head is known */
	size_t drained;
	struct front_chunks *chunks;
	void *mark;
	bool head_only;  /* HEAD */
	bool keep_alive; /* after this answer */
	bool expected;   /* 100 Continue was sent */
	bool unread;     /* the answer went before the request was read */
	bool tell_sent;
};

struct front {
	struct event_base *base;
	struct event *acceptable[FRONT_LISTENERS];
	int fds[FRONT_LISTENERS];
	size_t n_fds;
	const struct prefix *nets;
	size_t n_nets;
	const struct front_ops *ops;
	void *arg;
	struct front_conn *conns;
	size_t n_conns;
	uint64_t accepted;
	struct http_request req; /* of the request that is just handled */
};

static const struct {
	int status;
	const char *text;
} reasons[] = {
	{200, "OK"},
	{400, "Bad Request"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
};

static const char *front_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}

static void front_tell_sent(struct front_conn *c)
{
	if (!c->tell_sent)
		return;
	c->tell_sent = false;
	c->front->ops->sent(c->front->arg, c);
}

static void front_close(struct front_conn *c)
{
	struct front *f = c->front;
	struct front_conn **slot = &f->conns;

	if (c->state == FRONT_PARKED)
		f->ops->gone(f->arg, c);
	front_tell_sent(c);
	while (*slot != c)
		slot = &(*slot)->next;
	*slot = c->next;
	f->n_conns--;
	if (c->deadline)
		event_free(c->deadline);
	bufferevent_free(c->bev);
	free(c->chunks);
	free(c);
}

static void front_arm(struct front_conn *c, unsigned int ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	/* Without memory for the timer the connection would have no end. */
	if (evtimer_add(c->deadline, &tv)) {
		log_warn("no timer");
		bufferevent_disable(c->bev, EV_READ);
	}
}

void front_park(struct front_conn *c, unsigned int timeout_ms)
{
	c->state = FRONT_PARKED;
	front_arm(c, timeout_ms);
}

void front_set_mark(struct front_conn *c, void *mark)
{
	c->mark = mark;
}

void *front_mark(const struct front_conn *c)
{
	return c->mark;
}

const struct in6_addr *front_client(const struct front_conn *c)
{
	return &c->client;
}

static void front_add_body(const struct front_conn *c, struct evbuffer *out,
			   const struct front_answer *a)
{
	bool wanted = a->len && !c->head_only;

	if (wanted && !a->returned)
		evbuffer_add(out, a->body, a->len);
	else if (a->returned && (!wanted || evbuffer_add_reference(out, a->body, a->len,
								   a->returned, a->lent)))
		a->returned(a->body, a->len, a->lent);
}

void front_answer(struct front_conn *c, const struct front_answer *a)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	evbuffer_add_printf(out,
			    "HTTP/1.1 %d %s\r\nServer: " IGD_SERVER "\r\nExt:\r\n"
			    "Connection: %s\r\n",
			    a->status, front_reason(a->status),
			    c->keep_alive ? "keep-alive" : "close");
	if (a->type)
		evbuffer_add_printf(out, "Content-Type: %s\r\n", a->type);
	if (a->headers)
		evbuffer_add(out, a->headers, strlen(a->headers));
	evbuffer_add_printf(out, "Content-Length: %zu\r\n\r\n", a->len);
	front_add_body(c, out, a);
	c->tell_sent = a->sent;
	c->state = FRONT_WRITING;
	front_arm(c, FRONT_WRITE_MS);
}

/* Refuses what cannot be read on. */
static void front_refuse(struct front_conn *c, int status)
{
	c->keep_alive = false;
	c->unread = true;
	front_answer(c, &(struct front_answer){.status = status});
}

static void front_hand_over(struct front_conn *c, const struct http_request *req,
			    const char *body, size_t len)
{
	c->head_only = req->method == HTTP_HEAD;
	c->keep_alive = req->keep_alive;
	c->state = FRONT_HANDING;
	c->front->ops->request(c->front->arg, c, req, body, len);
}

/* A client that waits for our word before it sends the body. */
static void front_continue(struct front_conn *c, const struct http_request *req)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!req->expect || c->expected || req->minor == 0)
		return;
	c->expected = true;
	bufferevent_write(c->bev, line, sizeof(line) - 1);
}

/* Returns whether the request was dealt with. */
static bool front_read_chunks(struct front_conn *c, struct evbuffer *in)
{
	struct front_chunks *ch = c->chunks;
	size_t len = evbuffer_get_length(in), taken;
	const char *data = (const char *)evbuffer_pullup(in, -1);
	int status;

	if (!len || !data)
		return false;
	taken = http_chunked_take(&ch->chunked, data, len, ch->body, &ch->len,
				  sizeof(ch->body), &status);
	evbuffer_drain(in, taken);
	if (status) {
		front_refuse(c, status);
		return true;
	}
	if (ch->chunked.state != HTTP_CHUNK_DONE)
		return false;
	front_hand_over(c, &ch->req, ch->body, ch->len);
	free(ch);
	c->chunks = NULL;
	return true;
}

/* Moves the head of a chunked request out of the buffer. */
static bool front_start_chunks(struct front_conn *c, struct evbuffer *in, size_t head)
{
	struct http_request *req = &c->front->req;
	const char *data = (const char *)evbuffer_pullup(in, (ev_ssize_t)head);

	c->chunks = calloc(1, sizeof(*c->chunks));
	if (!c->chunks || !data) {
		front_refuse(c, 503);
		return true;
	}
	/* Once more, so that its strings point into its own text. */
	http_parse_head(&c->chunks->req, data, head);
	front_continue(c, req);
	evbuffer_drain(in, head);
	return front_read_chunks(c, in);
}

/* Returns whether a request was dealt with. */
static bool front_read_request(struct front_conn *c, struct evbuffer *in)
{
	struct http_request *req = &c->front->req;
	size_t len = evbuffer_get_length(in), head;
	const char *data;
	int status;

	if (c->chunks)
		return front_read_chunks(c, in);
	if (len < c->want)
		return false;
	data = (const char *)evbuffer_pullup(in, -1);
	head = data ? http_head_length(data, len) : 0;
	if (!head || head > HTTP_HEAD_MAX) {
		if (len < HTTP_HEAD_MAX && !head)
			return false;
		front_refuse(c, 431);
		return true;
	}
	status = http_parse_head(req, data, head);
	if (status) {
		front_refuse(c, status);
		return true;
	}
	if (req->chunked)
		return front_start_chunks(c, in, head);
	c->want = head + (size_t)req->length;
	if (len < c->want) {
		front_continue(c, req);
		return false;
	}
	front_hand_over(c, req, data + head, (size_t)req->length);
	evbuffer_drain(in, c->want);
	return true;
}

/* After a refusal the rest is read and thrown away, else the kernel would reset the
 * connection and the client might never see why. */
static void front_drain(struct front_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	c->drained += evbuffer_get_length(in);
	evbuffer_drain(in, evbuffer_get_length(in));
	if (c->drained > FRONT_DRAIN_MAX)
		front_close(c);
}

/* May free the connection. */
static void front_advance(struct front_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	if (c->state == FRONT_DRAINING) {
		front_drain(c);
		return;
	}
	if (c->state != FRONT_IDLE && c->state != FRONT_READING)
		return; /* it waits until the answer is out */
	if (!evbuffer_get_length(in))
		return;
	if (c->state == FRONT_IDLE) {
		c->state = FRONT_READING;
		front_arm(c, FRONT_REQUEST_MS);
	}
	if (front_read_request(c, in))
		c->want = 0;
}

static void front_readable(struct bufferevent *bev, void *arg)
{
	(void)bev;
	front_advance(arg);
}

/* All that was to be written is with the kernel. */
static void front_written(struct bufferevent *bev, void *arg)
{
	struct front_conn *c = arg;

	if (c->state != FRONT_WRITING || evbuffer_get_length(bufferevent_get_output(bev)))
		return;
	front_tell_sent(c);
	if (c->unread) {
		c->state = FRONT_DRAINING;
		shutdown(bufferevent_getfd(bev), SHUT_WR);
		front_arm(c, FRONT_DRAIN_MS);
		front_drain(c);
		return;
	}
	if (!c->keep_alive) {
		front_close(c);
		return;
	}
	c->expected = false;
	c->state = FRONT_IDLE;
	front_arm(c, FRONT_REQUEST_MS);
	front_advance(c); /* the next may be there already */
}

static void front_event(struct bufferevent *bev, short what, void *arg)
{
	struct front_conn *c = arg;
	bool busy = c->state == FRONT_PARKED || c->state == FRONT_WRITING;

	(void)bev;
	if (what & BEV_EVENT_EOF && busy) {
		/* It has said all; it may still listen. */
		c->keep_alive = false;
		return;
	}
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		front_close(c);
}

static void front_late(evutil_socket_t fd, short what, void *arg)
{
	struct front_conn *c = arg;

	(void)fd;
	(void)what;
	if (c->state != FRONT_PARKED) {
		front_close(c);
		return;
	}
	c->state = FRONT_HANDING;
	c->front->ops->late(c->front->arg, c);
}

/* Of this host's connections that came before a time the one that is missed least: by
 * state, then by age. Those that wait for the core stay. */
static struct front_conn *front_victim(struct front *f, const struct in6_addr *host,
				       uint64_t before_ms)
{
	struct front_conn *victim = NULL;

	for (struct front_conn *c = f->conns; c; c = c->next) {
		if (c->state >= FRONT_PARKED || !addr_equal(&c->client, host) ||
		    (c->state != FRONT_IDLE && c->since_ms > before_ms))
			continue;
		if (!victim || c->state < victim->state ||
		    (c->state == victim->state && c->number < victim->number))
			victim = c;
	}
	return victim;
}

static size_t front_count(const struct front *f, const struct in6_addr *host)
{
	size_t n = 0;

	for (const struct front_conn *c = f->conns; c; c = c->next)
		n += addr_equal(&c->client, host);
	return n;
}

static const struct in6_addr *front_greediest(const struct front *f)
{
	const struct in6_addr *host = NULL;
	size_t most = 0;

	for (const struct front_conn *c = f->conns; c; c = c->next) {
		size_t n = front_count(f, &c->client);

		if (n > most) {
			most = n;
			host = &c->client;
		}
	}
	return host;
}

/* Is there room for one more of this host? What gives way is its own, if it is idle or had
 * its time, so that a host that dials without end is refused cheaply; or else it is the
 * greediest host's. */
static bool front_make_room(struct front *f, const struct in6_addr *host, uint64_t now_ms)
{
	struct front_conn *victim;

	if (front_count(f, host) >= FRONT_PER_HOST)
		victim = front_victim(f, host, now_ms - FRONT_GRACE_MS);
	else if (f->n_conns >= FRONT_CONNS)
		victim = front_victim(f, front_greediest(f), now_ms);
	else
		return true;
	if (victim)
		front_close(victim);
	return victim != NULL;
}

static bool front_on_lan(const struct front *f, const struct in6_addr *host)
{
	for (size_t i = 0; i < f->n_nets; i++)
		if (prefix_has(&f->nets[i], host))
			return true;
	return false;
}

/* Takes the descriptor over. */
static struct front_conn *front_conn_new(struct front *f, int fd)
{
	struct front_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->front = f;
	c->bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->deadline = evtimer_new(f->base, front_late, c);
	if (!c->bev)
		close(fd);
	if (c->bev && c->deadline)
		return c;
	if (c->bev)
		bufferevent_free(c->bev);
	if (c->deadline)
		event_free(c->deadline);
	free(c);
	return NULL;
}

/* Takes the descriptor over. */
static void front_admit(struct front *f, int fd, const struct in6_addr *host)
{
	const int on = 1;
	uint64_t now = clock_ms();
	struct front_conn *c;

	if (!front_on_lan(f, host) || !front_make_room(f, host, now)) {
		close(fd);
		return;
	}
	c = front_conn_new(f, fd);
	if (!c)
		return;
	c->client = *host;
	c->number = f->accepted++;
	c->since_ms = now;
	c->next = f->conns;
	f->conns = c;
	f->n_conns++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	bufferevent_setcb(c->bev, front_readable, front_written, front_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_HEAD_MAX + HTTP_BODY_MAX + 1);
	c->state = FRONT_READING; /* the first request's time runs from here */
	front_arm(c, FRONT_REQUEST_MS);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* Out of descriptors: the greediest host gives one back. */
static void front_give_back(struct front *f)
{
	const struct in6_addr *host = front_greediest(f);
	struct front_conn *victim = host ? front_victim(f, host, clock_ms()) : NULL;

	log_warn("out of descriptors");
	if (victim)
		front_close(victim);
}

/* A few at a time: libevent's own listener goes on as long as somebody dials, and would
 * starve those who are here. */
static void front_acceptable(evutil_socket_t listener, short what, void *arg)
{
	struct front *f = arg;

	(void)what;
	for (int i = 0; i < FRONT_BURST; i++) {
		struct sockaddr_storage from = {0};
		struct sockaddr *addr = (struct sockaddr *)&from;
		socklen_t len = sizeof(from);
		int fd = accept4(listener, addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct in6_addr host;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				front_give_back(f);
			else if (errno != EAGAIN && errno != EINTR)
				log_debug("accept: %m");
			return;
		}
		host = addr_from_sockaddr(addr);
		front_admit(f, fd, &host);
	}
}

static int front_listen(struct front *f, size_t i)
{
	f->acceptable[i] = event_new(f->base, f->fds[i], EV_READ | EV_PERSIST,
				     front_acceptable, f);
	evutil_make_socket_nonblocking(f->fds[i]);
	evutil_make_socket_closeonexec(f->fds[i]);
	return !f->acceptable[i] || listen(f->fds[i], FRONT_BACKLOG) ||
			       event_add(f->acceptable[i], NULL)
		       ? -1
		       : 0;
}

struct front *front_new(struct event_base *base, const int *fds, size_t n_fds,
			const struct prefix *nets, size_t n_nets,
			const struct front_ops *ops, void *arg)
{
	struct front *f = calloc(1, sizeof(*f));

	if (!f) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return NULL;
	}
	f->base = base;
	f->nets = nets;
	f->n_nets = n_nets;
	f->ops = ops;
	f->arg = arg;
	f->n_fds = n_fds;
	memcpy(f->fds, fds, n_fds * sizeof(fds[0]));
	for (size_t i = 0; i < n_fds; i++) {
		if (front_listen(f, i)) {
			front_free(f);
			return NULL;
		}
	}
	return f;
}

void front_free(struct front *f)
{
	if (!f)
		return;
	while (f->conns)
		front_close(f->conns);
	for (size_t i = 0; i < f->n_fds; i++) {
		if (f->acceptable[i])
			event_free(f->acceptable[i]);
		close(f->fds[i]);
	}
	free(f);
}
