/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client writes to the control socket, in pieces: each call with a method gets its
 * replies, in order; whatever comes, the connection ends when the client does.
 *
 * An input: one byte (size of the pieces), then what is written.
 */
#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/varlink.h"
#include "tests/fuzz/fuzz.h"

#define TURNS_MAX 4000

static struct event_base *base;
static struct varlink *server;
static struct sockaddr_un addr;
static socklen_t addr_len;
static struct varlink_call *later; /* a call that is not answered yet */
static int streams;                /* that are not freed yet */
static int calls;

static void echo(void *arg, struct varlink_call *call)
{
	json_t *copy = json_object();

	(void)arg;
	calls++;
	must(copy);
	if (varlink_parameters(call))
		must(!json_object_set_new(copy, "it",
					  json_deep_copy(varlink_parameters(call))));
	varlink_reply(call, copy);
}

static void fail(void *arg, struct varlink_call *call)
{
	(void)arg;
	calls++;
	varlink_error(call, "org.fuzz.Failed", NULL);
}

static void wait_for_it(void *arg, struct varlink_call *call)
{
	(void)arg;
	calls++;
	if (later)
		varlink_invalid(call, "later");
	else
		later = call;
}

static json_t *stream_next(void *arg, bool *last)
{
	int *left = arg;

	*last = --*left == 0;
	return json_pack("{s:i}", "left", *left);
}

static void stream_free(void *arg)
{
	free(arg);
	streams--;
}

/* One that has nothing to say after its first piece. */
static bool stream_ready(void *arg)
{
	const int *left = arg;

	return *left == 3;
}

static void count(void *arg, struct varlink_call *call)
{
	static const struct varlink_stream stream = {.next = stream_next,
						     .free = stream_free},
					   waits = {.ready = stream_ready,
						    .next = stream_next,
						    .free = stream_free};
	int *left;

	(void)arg;
	calls++;
	if (!varlink_more(call)) {
		varlink_invalid(call, "more");
		return;
	}
	left = fuzz_alloc(sizeof(*left));
	*left = 3;
	streams++;
	varlink_stream(call, calls % 3 ? &stream : &waits, left);
}

static const struct varlink_method methods[] = {
	{"Echo", echo}, {"Fail", fail}, {"Later", wait_for_it}, {"Count", count}, {0},
};
static const struct varlink_service service = {
	.vendor = "v",
	.product = "p",
	.version = "1",
	.url = "u",
	.interface = "org.fuzz",
	.description = "interface org.fuzz\n",
	.methods = methods,
};

static void set_up(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sun_family =
		AF_UNIX; /* bound without a name, it is given one that no file has */
	must(fd >= 0 &&
	     !bind(fd, (const struct sockaddr *)&addr, sizeof(addr.sun_family)));
	addr_len = sizeof(addr);
	must(!getsockname(fd, (struct sockaddr *)&addr, &addr_len) && !listen(fd, 4));
	base = event_base_new();
	must(base);
	server = varlink_new(base, fd, &service, NULL);
	must(server);
}

/* Takes what has come; each reply is JSON and ends in NUL. True: the other side closed. */
static bool take_replies(int fd, char *held, size_t *n, size_t room)
{
	ssize_t got = recv(fd, held + *n, room - *n, MSG_DONTWAIT);
	char *end;

	if (got == 0 || (got < 0 && errno != EAGAIN))
		return true;
	if (got < 0)
		return false;
	*n += (size_t)got;
	while ((end = memchr(held, '\0', *n))) {
		json_t *reply = json_loads(held, 0, NULL);
		size_t len = (size_t)(end - held) + 1;

		must(json_is_object(reply));
		must(json_object_get(reply, "parameters"));
		json_decref(reply);
		memmove(held, held + len, *n - len);
		*n -= len;
	}
	return false;
}

static void turn(int fd, char *held, size_t *n, size_t room)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	if (later) {
		struct varlink_call *call = later;

		later = NULL;
		varlink_reply(call, json_object());
	}
	if (fd >= 0)
		take_replies(fd, held, n, room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char held[2 * VARLINK_OUT_MAX];
	struct feed f = {data, size};
	size_t piece = 1 + feed_u8(&f) * 8U, n = 0;
	int fd, i;

	if (!server)
		set_up();
	calls = 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && !connect(fd, (const struct sockaddr *)&addr, addr_len));
	while (f.left) {
		size_t len = f.left < piece ? f.left : piece;

		if (send(fd, f.pos, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		f.pos += len;
		f.left -= len;
		turn(fd, held, &n, sizeof(held));
	}
	shutdown(fd, SHUT_WR);
	for (i = 0; i < TURNS_MAX && (i < 2 || varlink_connections(server)); i++)
		turn(fd, held, &n, sizeof(held));
	must(i < TURNS_MAX);
	take_replies(fd, held, &n, sizeof(held));
	must(!n && !streams && !later);
	close(fd);
	return 0;
}
