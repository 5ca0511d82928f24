/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "igd/description.h"
#include "igd/front_inside.h"
#include "igd/text.h"

#define FRONT_DRAIN_MAX (128 * 1024) /* bytes read after a refusal, so that it arrives */
#define FRONT_OUT_HEAD_MAX 2048

static void front_tell_sent(struct front_conn *c)
{
	if (!c->tell_sent)
		return;
	c->tell_sent = false;
	c->front->ops->sent(c->front->arg, c);
}

/* Nothing is left of the answer, or it will not go. */
static void front_end_rest(struct front_conn *c)
{
	free(c->rest);
	c->rest = NULL;
	if (c->lent.returned)
		c->lent.returned(c->lent.body, c->lent.len, c->lent.lent);
	c->lent = (struct front_answer){0};
	c->lent_sent = 0;
}

static void front_conn_free(struct front_conn *c)
{
	if (c->readable)
		event_free(c->readable);
	if (c->writable)
		event_free(c->writable);
	close(c->fd);
	front_end_rest(c);
	free(c->kept);
	free(c->chunks);
	free(c);
}

void front_close(struct front_conn *c)
{
	struct front *f = c->front;
	struct front_conn **slot = &f->conns;

	front_tell_sent(c);
	while (*slot != c)
		slot = &(*slot)->next;
	*slot = c->next;
	f->n_conns--;
	front_conn_free(c);
}

void front_enter(struct front_conn *c, enum front_state state, unsigned int ms)
{
	c->state = state;
	c->deadline_ms = clock_ms() + ms;
}

/* Without memory for the event the connection would wait until its deadline. */
static void front_wait(struct event *ev)
{
	if (event_add(ev, NULL))
		log_warn("no event");
}

void front_park(struct front_conn *c, unsigned int timeout_ms)
{
	front_enter(c, FRONT_PARKED, timeout_ms);
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

/* --- Answers --- */

/* After a refusal the rest is read and thrown away, else the kernel would reset the
 * connection and the client might never see why. */
static void front_drain(struct front_conn *c)
{
	char *in = c->front->in;
	ssize_t n = recv(c->fd, in, FRONT_IN_MAX, 0);

	if (n > 0)
		c->drained += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
	    c->drained > FRONT_DRAIN_MAX)
		front_close(c);
	else
		front_wait(c->readable);
}

/* The answer is out, or as much of it as the kernel takes now. May free the connection. */
static void front_written(struct front_conn *c)
{
	if (c->rest) {
		front_wait(c->writable);
		return;
	}
	front_tell_sent(c);
	if (c->broken || (!c->keep_alive && !c->unread)) {
		front_close(c);
		return;
	}
	if (c->unread) {
		front_enter(c, FRONT_DRAINING, FRONT_DRAIN_MS);
		shutdown(c->fd, SHUT_WR);
		front_wait(c->readable);
		return;
	}
	c->expected = false;
	front_enter(c, FRONT_IDLE, FRONT_REQUEST_MS);
	if (c->n_kept) /* the next may be there already, but others have their turn first */
		event_active(c->readable, EV_READ, 0);
	else
		front_wait(c->readable);
}

/* Keeps what the kernel did not take: all but a body that is lent in a copy. */
static void front_keep_rest(struct front_conn *c, const struct text *head,
			    const struct front_answer *a, size_t sent)
{
	size_t head_sent = sent < head->len ? sent : head->len;
	size_t head_left = head->len - head_sent, body_sent = sent - head_sent;
	size_t copied = a->returned || c->head_only ? 0 : a->len - body_sent;

	c->rest = malloc(head_left + copied + 1);
	if (!c->rest) {
		c->broken = true;
		return;
	}
	memcpy(c->rest, head->buf + head_sent, head_left);
	if (copied)
		memcpy(c->rest + head_left, a->body + body_sent, copied);
	c->n_rest = head_left + copied;
	c->rest_sent = 0;
	if (a->returned && !c->head_only) {
		c->lent = *a;
		c->lent_sent = body_sent;
	}
}

/* Two pieces, of which one may be empty. */
static ssize_t front_send(const struct front_conn *c, const char *one, size_t n_one,
			  const char *two, size_t n_two, int flags)
{
	struct iovec iov[2] = {{.iov_len = n_one}, {.iov_len = n_two}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	memcpy(&iov[0].iov_base, &one, sizeof(one)); /* sendmsg() only reads them */
	memcpy(&iov[1].iov_base, &two, sizeof(two));
	return sendmsg(c->fd, &msg, MSG_NOSIGNAL | flags);
}

static void front_head(struct text *t, const struct front_conn *c,
		       const struct front_answer *a)
{
	text_printf(t,
		    "HTTP/1.1 %d %s\r\nServer: " IGD_SERVER "\r\nExt:\r\n"
		    "Connection: %s\r\n",
		    a->status, http_reason(a->status),
		    c->keep_alive ? "keep-alive" : "close");
	if (a->type)
		text_printf(t, "Content-Type: %s\r\n", a->type);
	if (a->headers)
		text_put(t, a->headers);
	text_printf(t, "Content-Length: %zu\r\n\r\n", a->len);
}

void front_answer(struct front_conn *c, const struct front_answer *a)
{
	char buf[FRONT_OUT_HEAD_MAX];
	struct text head = text_in(buf, sizeof(buf));
	size_t body = c->head_only ? 0 : a->len;
	bool handing = c->state == FRONT_HANDING;
	ssize_t n;

	front_head(&head, c, a);
	assert(!head.bad); /* its text is ours */
	/* What ends the connection follows at once: both go in one segment. */
	n = front_send(c, buf, head.len, a->body, body,
		       c->keep_alive || a->sent ? 0 : MSG_MORE);
	c->broken = n < 0 && errno != EAGAIN && errno != EINTR;
	if (!c->broken && (n < 0 || (size_t)n < head.len + body))
		front_keep_rest(c, &head, a, n < 0 ? 0 : (size_t)n);
	if (a->returned && !c->lent.returned)
		a->returned(a->body, a->len, a->lent);
	c->tell_sent = a->sent;
	front_enter(c, FRONT_WRITING, FRONT_WRITE_MS);
	if (!handing)
		front_written(c);
}

static void front_writable(evutil_socket_t fd, short what, void *arg)
{
	struct front_conn *c = arg;
	size_t rest = c->n_rest - c->rest_sent, lent = c->lent.len - c->lent_sent;
	ssize_t n = front_send(c, c->rest + c->rest_sent, rest,
			       lent ? c->lent.body + c->lent_sent : NULL, lent, 0);
	size_t sent = n > 0 ? (size_t)n : 0;

	(void)fd;
	(void)what;
	c->broken = n < 0 && errno != EAGAIN && errno != EINTR;
	if (c->broken || sent == rest + lent) {
		front_end_rest(c);
	} else {
		c->rest_sent += sent < rest ? sent : rest;
		c->lent_sent += sent < rest ? 0 : sent - rest;
	}
	front_written(c);
}

/* Refuses what cannot be read on. May free the connection. */
static void front_refuse(struct front_conn *c, int status)
{
	c->keep_alive = false;
	c->unread = true;
	front_answer(c, &(struct front_answer){.status = status});
}

/* --- Requests --- */

/* Keeps bytes for the next time. Frees the connection where there is no memory. */
static bool front_keep(struct front_conn *c, const char *data, size_t len)
{
	char *kept = len ? realloc(c->kept, len) : NULL;

	if (len && !kept) {
		front_close(c);
		return false;
	}
	if (!len)
		free(c->kept);
	else
		memcpy(kept, data, len);
	c->kept = kept;
	c->n_kept = len;
	return true;
}

static void front_more(struct front_conn *c, const char *data, size_t len)
{
	if (front_keep(c, data, len))
		front_wait(c->readable);
}

/* The request, and what came after it. May free the connection. */
static void front_hand_over(struct front_conn *c, const struct http_request *req,
			    const char *body, size_t len, const char *after,
			    size_t n_after)
{
	c->want = 0;
	c->head_only = req->method == HTTP_HEAD;
	c->keep_alive = req->keep_alive;
	c->state = FRONT_HANDING;
	c->front->ops->request(c->front->arg, c, req, body, len);
	if (front_keep(c, after, n_after) && c->state == FRONT_WRITING)
		front_written(c);
}

/* A client that waits for our word before it sends the body. */
static void front_continue(struct front_conn *c, const struct http_request *req)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!req->expect || c->expected || req->minor == 0)
		return;
	c->expected = true;
	/* Nothing else is on its way, so there is room for it, or nobody there. */
	if (send(c->fd, line, sizeof(line) - 1, MSG_NOSIGNAL) < 0)
		log_debug("100 Continue: %m");
}

/* May free the connection. */
static void front_take_chunks(struct front_conn *c, const char *data, size_t len)
{
	struct front_chunks *ch = c->chunks;
	int status;
	size_t taken = http_chunked_take(&ch->chunked, data, len, ch->body, &ch->len,
					 sizeof(ch->body), &status);

	if (status) {
		front_refuse(c, status);
	} else if (ch->chunked.state != HTTP_CHUNK_DONE) {
		front_more(c, NULL, 0);
	} else {
		c->chunks = NULL;
		front_hand_over(c, &ch->req, ch->body, ch->len, data + taken,
				len - taken);
		free(ch);
	}
}

/* Moves the head of a chunked request out of the buffer. May free the connection. */
static void front_start_chunks(struct front_conn *c, const char *data, size_t head,
			       size_t len)
{
	c->chunks = calloc(1, sizeof(*c->chunks));
	if (!c->chunks) {
		front_refuse(c, 503);
		return;
	}
	/* Once more, so that its strings point into its own text. */
	http_parse_head(&c->chunks->req, data, head);
	front_continue(c, &c->chunks->req);
	front_take_chunks(c, data + head, len - head);
}

/* All bytes that are there of a request. May free the connection. */
static void front_take(struct front_conn *c, const char *data, size_t len)
{
	struct http_request *req = &c->front->req;
	size_t head;
	int status;

	if (c->chunks) {
		front_take_chunks(c, data, len);
		return;
	}
	if (len < c->want) {
		front_more(c, data, len);
		return;
	}
	head = http_head_length(data, len);
	if (!head && len < HTTP_HEAD_MAX) {
		front_more(c, data, len);
		return;
	}
	status = head && head <= HTTP_HEAD_MAX ? http_parse_head(req, data, head) : 431;
	if (status) {
		front_refuse(c, status);
	} else if (req->chunked) {
		front_start_chunks(c, data, head, len);
	} else if (len < head + req->length) {
		c->want = head + (size_t)req->length;
		front_continue(c, req);
		front_more(c, data, len);
	} else {
		c->want = head + (size_t)req->length;
		front_hand_over(c, req, data + head, (size_t)req->length, data + c->want,
				len - c->want);
	}
}

void front_read(struct front_conn *c)
{
	char *in = c->front->in;
	size_t len = c->n_kept;
	ssize_t n;

	if (c->state == FRONT_DRAINING) {
		front_drain(c);
		return;
	}
	if (len)
		memcpy(in, c->kept, len);
	n = recv(c->fd, in + len, FRONT_IN_MAX - len, 0);
	if (n <= 0 && (c->state != FRONT_IDLE || !len)) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			front_wait(c->readable);
		else
			front_close(c);
		return;
	}
	if (c->state == FRONT_IDLE)
		front_enter(c, FRONT_READING, FRONT_REQUEST_MS);
	front_take(c, in, len + (n > 0 ? (size_t)n : 0));
}

static void front_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	front_read(arg);
}

void front_late(struct front_conn *c)
{
	if (c->state != FRONT_PARKED) {
		front_close(c);
		return;
	}
	c->state = FRONT_HANDING;
	c->front->ops->late(c->front->arg, c);
	front_written(c);
}

struct front_conn *front_conn_new(struct front *f, int fd)
{
	struct front_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->front = f;
	c->fd = fd;
	c->readable = event_new(f->base, fd, EV_READ, front_readable, c);
	c->writable = event_new(f->base, fd, EV_WRITE, front_writable, c);
	if (c->readable && c->writable)
		return c;
	front_conn_free(c);
	return NULL;
}
