/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The varlink server on a real socket: framing, order, limits, clients that misbehave. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/varlink.h"

#define TURNS 2000 /* of 1 ms: how long a condition may take */

struct fixture {
	struct event_base *base;
	struct varlink *varlink;
	struct sockaddr_un addr;
	socklen_t addr_len;
	struct varlink_call *later;
	int pieces;
	int freed;
	int called;
};

static void call_echo(void *arg, struct varlink_call *call)
{
	struct fixture *f = arg;

	f->called++;
	varlink_reply(call, json_deep_copy(varlink_parameters(call)));
}

static void call_later(void *arg, struct varlink_call *call)
{
	struct fixture *f = arg;

	f->later = call;
}

static void call_who(void *arg, struct varlink_call *call)
{
	(void)arg;
	varlink_reply(call, json_pack("{s:i}", "uid", (int)varlink_uid(call)));
}

static char big[100001];

static void call_big(void *arg, struct varlink_call *call)
{
	(void)arg;
	varlink_reply(call, json_pack("{s:s}", "big", big));
}

static json_t *many_next(void *arg, bool *last)
{
	struct fixture *f = arg;

	*last = ++f->pieces == 30;
	return json_pack("{s:i,s:s}", "n", f->pieces, "big", big);
}

static void many_free(void *arg)
{
	struct fixture *f = arg;

	f->freed++;
}

static void call_many(void *arg, struct varlink_call *call)
{
	static const struct varlink_stream many = {.next = many_next, .free = many_free};

	if (varlink_more(call))
		varlink_stream(call, &many, arg);
	else
		varlink_error(call, "org.test.WantsMore", NULL);
}

static const struct varlink_method methods[] = {
	{"Echo", call_echo}, {"Later", call_later}, {"Who", call_who},
	{"Big", call_big},   {"Many", call_many},   {NULL, NULL},
};

static const struct varlink_service service = {
	.vendor = "v",
	.product = "p",
	.version = "1",
	.url = "u",
	.interface = "org.test",
	.description = "interface org.test\n",
	.methods = methods,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(big, 'x', sizeof(big) - 1);
	f->base = event_base_new();
	/* An abstract address that the kernel chooses. */
	f->addr.sun_family = AF_UNIX;
	f->addr_len = sizeof(f->addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&f->addr, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&f->addr, &f->addr_len), 0);
	assert_int_equal(listen(fd, 64), 0);
	f->varlink = varlink_new(f->base, fd, &service, f);
	assert_non_null(f->varlink);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	varlink_free(f->varlink);
	event_base_free(f->base);
	free(f);
	return 0;
}

static int client(struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&f->addr, f->addr_len), 0);
	return fd;
}

static void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	usleep(200);
}

/* Sends text with its NUL. */
static void say(int fd, const char *text)
{
	size_t len = strlen(text) + 1;

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* The next message that arrives, or NULL: closed. Fails when neither comes. */
static json_t *hear(struct fixture *f, int fd)
{
	static char buf[2 * VARLINK_OUT_MAX];
	size_t n = 0;

	for (int i = 0; i < TURNS; i++) {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - n, MSG_PEEK);
		char *end = got > 0 ? memchr(buf + n, '\0', (size_t)got) : NULL;

		if (got == 0 || (got < 0 && errno != EAGAIN))
			return NULL;
		if (got >
		    0) { /* no more than this message: the next call wants its own */
			size_t take = end ? (size_t)(end - buf) + 1 - n : (size_t)got;

			assert_int_equal(recv(fd, buf + n, take, 0), take);
			n += take;
		}
		if (end)
			return json_loads(buf, 0, NULL);
		turn(f);
	}
	fail_msg("neither a message nor an end");
	return NULL;
}

static void hear_text(struct fixture *f, int fd, const char *want)
{
	json_t *message = hear(f, fd);
	char *text = json_dumps(message, JSON_COMPACT | JSON_SORT_KEYS);

	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
	json_decref(message);
}

static void hear_end(struct fixture *f, int fd)
{
	json_t *message = hear(f, fd);

	assert_null(message);
	close(fd);
}

/* Nothing comes for so many turns. */
static void hear_nothing(struct fixture *f, int fd)
{
	char c;

	for (int i = 0; i < 50; i++)
		turn(f);
	assert_int_equal(recv(fd, &c, 1, MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

static void answers_calls_in_order_however_they_are_cut(void **state)
{
	static const char two[] =
		"{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":1}}\0"
		"{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":2}}";
	struct fixture *f = *state;
	int fd = client(f);

	assert_int_equal(send(fd, two, sizeof(two), 0), sizeof(two));
	hear_text(f, fd, "{\"parameters\":{\"n\":1}}");
	hear_text(f, fd, "{\"parameters\":{\"n\":2}}");
	for (size_t i = 0; i < sizeof(two); i++) {
		assert_int_equal(send(fd, two + i, 1, 0), 1);
		turn(f);
	}
	hear_text(f, fd, "{\"parameters\":{\"n\":1}}");
	hear_text(f, fd, "{\"parameters\":{\"n\":2}}");
	close(fd);
}

static void knows_the_service_interface(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);
	json_t *message;

	say(fd, "{\"method\":\"org.varlink.service.GetInfo\"}");
	hear_text(
		f, fd,
		"{\"parameters\":{\"interfaces\":[\"org.varlink.service\",\"org.test\"],"
		"\"product\":\"p\",\"url\":\"u\",\"vendor\":\"v\",\"version\":\"1\"}}");
	say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.test\"}}");
	hear_text(f, fd, "{\"parameters\":{\"description\":\"interface org.test\\n\"}}");
	say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.varlink.service\"}}");
	message = hear(f, fd);
	assert_non_null(
		strstr(json_string_value(json_object_get(
			       json_object_get(message, "parameters"), "description")),
		       "interface org.varlink.service\n"));
	json_decref(message);
	say(fd, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.no\"}}");
	hear_text(f, fd,
		  "{\"error\":\"org.varlink.service.InterfaceNotFound\","
		  "\"parameters\":{\"interface\":\"org.no\"}}");
	close(fd);
}

static void names_what_it_does_not_know(void **state)
{
	static const char *const ask_and_answer[][2] = {
		{"{\"method\":\"org.test.No\"}",
		 "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":"
		 "\"org.test.No\"}}"},
		{"{\"method\":\"org.varlink.service.No\"}",
		 "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":"
		 "\"org.varlink.service.No\"}}"},
		{"{\"method\":\"org.other.Echo\"}",
		 "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{"
		 "\"interface\":\"org.other\"}}"},
		{"{\"method\":\"org.test.sub.Echo\"}",
		 "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{"
		 "\"interface\":\"org.test.sub\"}}"},
		{"{\"method\":\"Echo\"}",
		 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		 "\"parameter\":\"method\"}}"},
		{"{\"method\":\"org.test.Echo\",\"parameters\":[]}",
		 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		 "\"parameter\":\"parameters\"}}"},
		{"{\"method\":\"org.test.Echo\",\"more\":1}",
		 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		 "\"parameter\":\"more\"}}"},
		{"{\"method\":\"org.test.Echo\",\"upgrade\":true}",
		 "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
		 "\"parameter\":\"upgrade\"}}"},
		{"{\"method\":\"org.test.Many\"}",
		 "{\"error\":\"org.test.WantsMore\",\"parameters\":{}}"},
	};
	struct fixture *f = *state;
	int fd = client(f);

	for (size_t i = 0; i < sizeof(ask_and_answer) / sizeof(ask_and_answer[0]); i++) {
		say(fd, ask_and_answer[i][0]);
		hear_text(f, fd, ask_and_answer[i][1]);
	}
	close(fd);
}

static void closes_on_what_is_no_call(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"method\":1}",
		"{\"method\":\"a.B\"",
		"{\"method\":\"a.B\",\"method\":\"a.C\"}",
		"{\"method\":\"a.\xff\"}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = client(f);

		/* What came before is still answered. */
		say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":1}}");
		say(fd, bad[i]);
		say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":2}}");
		hear_text(f, fd, "{\"parameters\":{\"n\":1}}");
		hear_end(f, fd);
	}
	assert_int_equal(varlink_connections(f->varlink), 0);
}

/* A call of exactly `size` bytes with its NUL. */
static char *call_of(size_t size)
{
	static const char head[] =
		"{\"method\":\"org.test.Echo\",\"parameters\":{\"p\":\"";
	char *text = malloc(size);

	memset(text, 'y', size);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + size - 4, "\"}}", 4);
	return text;
}

static void takes_64_kilobytes_and_no_more(void **state)
{
	struct fixture *f = *state;
	char *text = call_of(VARLINK_IN_MAX);
	int fd = client(f);
	json_t *message;

	assert_int_equal(send(fd, text, VARLINK_IN_MAX, 0), VARLINK_IN_MAX);
	message = hear(f, fd);
	assert_non_null(message);
	assert_int_equal(f->called, 1);
	json_decref(message);
	free(text);

	text = call_of(VARLINK_IN_MAX + 1);
	assert_int_equal(send(fd, text, VARLINK_IN_MAX + 1, 0), VARLINK_IN_MAX + 1);
	hear_end(f, fd);
	assert_int_equal(f->called, 1);
	free(text);
}

static void cuts_a_client_that_asks_and_does_not_read(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	for (int i = 0; i < 20; i++)
		say(fd, "{\"method\":\"org.test.Big\"}");
	for (int i = 0; i < TURNS && varlink_connections(f->varlink) != 0; i++)
		turn(f);
	assert_int_equal(varlink_connections(f->varlink), 0);
	close(fd);
}

static void says_nothing_to_oneway(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Echo\",\"oneway\":true}");
	say(fd, "{\"method\":\"org.test.No\",\"oneway\":true}");
	say(fd, "{\"method\":\"org.test.Many\",\"oneway\":true,\"more\":true}");
	hear_nothing(f, fd);
	assert_int_equal(f->called, 1);
	assert_int_equal(f->pieces, 0);
	say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{}}");
	hear_text(f, fd, "{\"parameters\":{}}");
	close(fd);
}

static void streams_at_the_pace_of_the_reader(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Many\",\"more\":true}");
	say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":9}}");
	for (int i = 0; i < 100; i++)
		turn(f);
	assert_in_range(f->pieces, 1,
			10); /* what the kernel's buffer and one more hold */
	for (int i = 1; i <= 30; i++) {
		json_t *message = hear(f, fd);
		const json_t *p = json_object_get(message, "parameters");

		assert_int_equal(json_integer_value(json_object_get(p, "n")), i);
		assert_int_equal(json_is_true(json_object_get(message, "continues")),
				 i < 30);
		json_decref(message);
	}
	hear_text(f, fd, "{\"parameters\":{\"n\":9}}");
	assert_int_equal(f->freed, 1);
	close(fd);
}

static void frees_the_stream_of_a_client_that_left(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Many\",\"more\":true}");
	for (int i = 0; i < 50; i++)
		turn(f);
	close(fd);
	for (int i = 0; i < TURNS && varlink_connections(f->varlink); i++)
		turn(f);
	assert_int_equal(varlink_connections(f->varlink), 0);
	assert_int_equal(f->freed, 1);
}

static void answers_later_and_keeps_the_order(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Later\"}");
	say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":2}}");
	hear_nothing(f, fd);
	assert_non_null(f->later);
	assert_int_equal(f->called, 0);
	varlink_reply(f->later, json_pack("{s:i}", "n", 1));
	hear_text(f, fd, "{\"parameters\":{\"n\":1}}");
	hear_text(f, fd, "{\"parameters\":{\"n\":2}}");
	close(fd);
}

static void outlives_a_client_that_does_not_wait(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Later\"}");
	hear_nothing(f, fd);
	close(fd);
	for (int i = 0; i < 50; i++)
		turn(f);
	varlink_error(f->later, "org.test.TooLate", NULL);
	for (int i = 0; i < TURNS && varlink_connections(f->varlink); i++)
		turn(f);
	assert_int_equal(varlink_connections(f->varlink), 0);
}

static void outlives_its_own_end(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Later\"}");
	hear_nothing(f, fd);
	varlink_free(f->varlink);
	f->varlink = NULL;
	varlink_reply(f->later, json_object());
	hear_end(f, fd);
}

static void answers_who_has_shut_down_its_side(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);

	say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":1}}");
	say(fd, "{\"method\":\"org.test.Echo\",\"parameters\":{\"n\":2}}");
	shutdown(fd, SHUT_WR);
	hear_text(f, fd, "{\"parameters\":{\"n\":1}}");
	hear_text(f, fd, "{\"parameters\":{\"n\":2}}");
	hear_end(f, fd);
}

static void knows_who_calls(void **state)
{
	struct fixture *f = *state;
	int fd = client(f);
	char want[64];

	snprintf(want, sizeof(want), "{\"parameters\":{\"uid\":%u}}", geteuid());
	say(fd, "{\"method\":\"org.test.Who\"}");
	hear_text(f, fd, want);
	close(fd);
}

static void lets_the_oldest_idle_connection_give_way(void **state)
{
	struct fixture *f = *state;
	int fd[VARLINK_CONNECTIONS], last;

	for (int i = 0; i < VARLINK_CONNECTIONS; i++) {
		fd[i] = client(f);
		say(fd[i], "{\"method\":\"org.test.Echo\",\"parameters\":{}}");
		hear_text(f, fd[i], "{\"parameters\":{}}");
		usleep(2000); /* the clock counts milliseconds */
	}
	/* The first works, the second has just been active: the third is the oldest. */
	say(fd[0], "{\"method\":\"org.test.Later\"}");
	say(fd[1], "{\"method\":\"org.test.Echo\",\"parameters\":{}}");
	hear_text(f, fd[1], "{\"parameters\":{}}");
	assert_int_equal(varlink_connections(f->varlink), VARLINK_CONNECTIONS);
	last = client(f);
	say(last, "{\"method\":\"org.test.Echo\",\"parameters\":{}}");
	hear_text(f, last, "{\"parameters\":{}}");
	assert_int_equal(varlink_connections(f->varlink), VARLINK_CONNECTIONS);
	hear_end(f, fd[2]);
	say(fd[3], "{\"method\":\"org.test.Echo\",\"parameters\":{}}");
	hear_text(f, fd[3], "{\"parameters\":{}}");
	varlink_reply(f->later, json_object());
	hear_text(f, fd[0], "{\"parameters\":{}}");
	for (int i = 0; i < VARLINK_CONNECTIONS; i++)
		if (i != 2)
			close(fd[i]);
	close(last);
}

static void refuses_the_newcomer_when_all_work(void **state)
{
	struct varlink_call *later[VARLINK_CONNECTIONS];
	struct fixture *f = *state;
	int fd[VARLINK_CONNECTIONS];

	for (int i = 0; i < VARLINK_CONNECTIONS; i++) {
		f->later = NULL;
		fd[i] = client(f);
		say(fd[i], "{\"method\":\"org.test.Later\"}");
		for (int t = 0; t < TURNS && !f->later; t++)
			turn(f);
		later[i] = f->later;
	}
	hear_end(f, client(f));
	assert_int_equal(varlink_connections(f->varlink), VARLINK_CONNECTIONS);
	for (int i = 0; i < VARLINK_CONNECTIONS; i++) {
		varlink_reply(later[i], json_object());
		hear_text(f, fd[i], "{\"parameters\":{}}");
		close(fd[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(answers_calls_in_order_however_they_are_cut),
		TEST(knows_the_service_interface),
		TEST(names_what_it_does_not_know),
		TEST(closes_on_what_is_no_call),
		TEST(takes_64_kilobytes_and_no_more),
		TEST(cuts_a_client_that_asks_and_does_not_read),
		TEST(says_nothing_to_oneway),
		TEST(streams_at_the_pace_of_the_reader),
		TEST(frees_the_stream_of_a_client_that_left),
		TEST(answers_later_and_keeps_the_order),
		TEST(outlives_a_client_that_does_not_wait),
		TEST(outlives_its_own_end),
		TEST(answers_who_has_shut_down_its_side),
		TEST(knows_who_calls),
		TEST(lets_the_oldest_idle_connection_give_way),
		TEST(refuses_the_newcomer_when_all_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
