/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT_MESSAGE_MAX (4 * 1024 * 1024)

struct client {
	int fd;
	int timeout_ms;
	char *in;
	size_t n;    /* bytes in `in` */
	size_t used; /* of them, those of earlier messages */
	size_t room;
};

static int client_wait(const struct client *cl, short events)
{
	struct pollfd p = {.fd = cl->fd, .events = events};
	int n;

	do {
		n = poll(&p, 1, cl->timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* A full backlog gives EAGAIN at once: a daemon that hangs. */
static int client_connect(struct client *cl, const struct sockaddr_un *to)
{
	cl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (cl->fd < 0)
		return -errno;
	if (connect(cl->fd, (const struct sockaddr *)to, sizeof(*to)))
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

int client_open(const char *path, int timeout_ms, struct client **out)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	struct client *cl;
	int err;

	if (len >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, len);
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return -ENOMEM;
	cl->timeout_ms = timeout_ms;
	err = client_connect(cl, &to);
	if (err) {
		client_close(cl);
		return err;
	}
	*out = cl;
	return 0;
}

void client_close(struct client *cl)
{
	if (!cl)
		return;
	if (cl->fd >= 0)
		close(cl->fd);
	free(cl->in);
	free(cl);
}

static int client_write(struct client *cl, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(cl->fd, data, len, MSG_NOSIGNAL);
		int err = n < 0 ? -errno : 0;

		if (err == -EAGAIN)
			err = client_wait(cl, POLLOUT);
		else if (err == -EPIPE)
			err = -ECONNRESET;
		if (err && err != -EINTR)
			return err;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int client_call(struct client *cl, const char *method, json_t *parameters, bool more)
{
	json_t *call = json_pack("{s:s}", "method", method);
	char *text;
	int err;

	if (parameters && json_object_set_new(call, "parameters", parameters))
		goto no_memory;
	if (more && json_object_set_new(call, "more", json_true()))
		goto no_memory;
	text = json_dumps(call, JSON_COMPACT);
	if (!text)
		goto no_memory;
	err = client_write(cl, text, strlen(text) + 1);
	free(text);
	json_decref(call);
	return err;
no_memory:
	json_decref(call);
	return -ENOMEM;
}

/* Makes room for more, first where messages have been read. */
static int client_room(struct client *cl)
{
	size_t room = cl->room ? 2 * cl->room : 65536;
	char *in;

	if (cl->used) {
		cl->n -= cl->used;
		memmove(cl->in, cl->in + cl->used, cl->n);
		cl->used = 0;
	}
	if (cl->n < cl->room)
		return 0;
	if (room > CLIENT_MESSAGE_MAX)
		return -EBADMSG;
	in = realloc(cl->in, room);
	if (!in)
		return -ENOMEM;
	cl->in = in;
	cl->room = room;
	return 0;
}

/* Reads what is there. -ECONNRESET at the end. */
static int client_fill(struct client *cl)
{
	int err = client_room(cl);
	ssize_t n;

	if (!err)
		err = client_wait(cl, POLLIN);
	if (err)
		return err;
	n = recv(cl->fd, cl->in + cl->n, cl->room - cl->n, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	cl->n += (size_t)n;
	return 0;
}

/* Takes the message over. */
static int reply_of(json_t *message, struct client_reply *reply)
{
	const char *error = json_string_value(json_object_get(message, "error"));
	json_t *parameters = json_object_get(message, "parameters");

	*reply = (struct client_reply){0};
	if (!json_is_object(message) || (parameters && !json_is_object(parameters)) ||
	    (error && strlen(error) >= sizeof(reply->error))) {
		json_decref(message);
		return -EBADMSG;
	}
	if (error)
		strcpy(reply->error, error);
	reply->continues = json_is_true(json_object_get(message, "continues"));
	reply->parameters = parameters ? json_incref(parameters) : json_object();
	json_decref(message);
	return reply->parameters ? 0 : -ENOMEM;
}

int client_next(struct client *cl, struct client_reply *reply)
{
	size_t seen = 0; /* of what follows `used`, has no NUL */
	const char *begin, *end = NULL;

	for (;;) {
		size_t there = cl->n - cl->used;
		int err;

		if (there > seen)
			end = memchr(cl->in + cl->used + seen, '\0', there - seen);
		if (end)
			break;
		seen = there;
		err = client_fill(cl);
		if (err)
			return err;
	}
	begin = cl->in + cl->used;
	cl->used = (size_t)(end + 1 - cl->in);
	return reply_of(json_loadb(begin, (size_t)(end - begin), 0, NULL), reply);
}
