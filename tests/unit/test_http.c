/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "igd/http.h"

#define HOST "Host: 192.168.1.1:49152\r\n"
#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct http_request req;

/* Parses from a heap block of exactly that size, so that ASan sees an overrun. */
static int parse(const char *head, size_t len)
{
	char *copy = malloc(len ? len : 1);
	int status;

	memcpy(copy, head, len);
	status = http_parse_head(&req, copy, len);
	free(copy);
	return status;
}

static int parse_text(const char *head)
{
	return parse(head, strlen(head));
}

static void reads_what_clients_send(void **state)
{
	(void)state;
	assert_int_equal(
		parse_text(
			"POST /ctl/IPConn HTTP/1.1\r\n" HOST
			"Soapaction:   \"urn:x#Y\"  \r\nContent-Length: 12\r\n"
			"Content-Type: text/xml\r\nConnection: Keep-Alive, TE\r\n\r\n"),
		0);
	assert_int_equal(req.method, HTTP_POST);
	assert_string_equal(req.path, "/ctl/IPConn");
	assert_string_equal(req.host, "192.168.1.1:49152");
	assert_string_equal(req.soap_action, "\"urn:x#Y\"");
	assert_string_equal(req.content_type, "text/xml");
	assert_int_equal(req.length, 12);
	assert_true(req.keep_alive);
	assert_null(req.sid);
}

static void reads_the_absolute_form(void **state)
{
	(void)state;
	assert_int_equal(
		parse_text("GET http://192.168.1.1:80/a HTTP/1.1\r\n" HOST "\r\n"), 0);
	assert_string_equal(req.authority, "192.168.1.1:80");
	assert_string_equal(req.path, "/a");
	/* Without a path it killed libupnp 1.8.4. */
	assert_int_equal(parse_text("UNSUBSCRIBE http://192.168.1.1 HTTP/1.1\r\n" HOST
				    "SID: uuid:1\r\n\r\n"),
			 400);
	assert_int_equal(parse_text("GET http:///a HTTP/1.1\r\n" HOST "\r\n"), 400);
}

static void is_lenient_where_clients_need_it(void **state)
{
	(void)state;
	assert_int_equal(parse_text("GET /a HTTP/1.0\r\n\r\n"), 0);
	assert_int_equal(parse_text("GET /a HTTP/1.1\n"
				    "HOST:1.2.3.4\n\n"),
			 0);
	assert_string_equal(req.host, "1.2.3.4");
	assert_int_equal(parse_text("\r\nGET /a HTTP/1.1\r\n" HOST "\r\n"), 0);
	assert_int_equal(parse_text("GET /a HTTP/1.1\r\n" HOST "X-Y:\r\n\r\n"), 0);
	assert_int_equal(parse_text("GET /a HTTP/1.1\r\n" HOST "\r\n"), 0);
	assert_false(req.keep_alive); /* only who says so keeps the connection */
}

static void refuses_what_is_wrong(void **state)
{
	static const struct {
		const char *head;
		int status;
	} bad[] = {
		{"GET /a\r\n\r\n", 400},
		{"GET  /a HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /a HTTP/2.0\r\n" HOST "\r\n", 505},
		{"GET /a XTTP/1.1\r\n" HOST "\r\n", 400},
		{"PUT /a HTTP/1.1\r\n" HOST "\r\n", 501},
		{"M-POST /a HTTP/1.1\r\n" HOST "\r\n", 405},
		{"G\x01T /a HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET a HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /%61 HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /a?b HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400},
		{"GET /a HTTP/1.1\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST HOST "\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST " folded\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST "a b: c\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST "a : c\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST "a: \x7f\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST "a: b\rc\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST "nothing\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST ": x\r\n\r\n", 400},
		{"GET /a HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" HOST "\r\n", 411},
		{"POST /a HTTP/1.1\r\n" HOST
		 "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
		 400},
		{"POST /a HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" HOST "Content-Length: 1 2\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" HOST "Content-Length: 16385\r\n\r\n", 413},
		{"POST /a HTTP/1.1\r\n" HOST "Content-Length: 60000000\r\n\r\n", 413},
		{"POST /a HTTP/1.1\r\n" HOST
		 "Content-Length: 99999999999999999999999999\r\n\r\n",
		 413},
		{"POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 501},
		{"POST /a HTTP/1.1\r\n" HOST
		 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		 400},
		{"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"POST /a HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: me\r\n\r\n",
		 417},
		{"POST /a HTTP/1.1\r\n" HOST "SOAPAction: a\r\nSOAPACTION: a\r\n"
		 "Content-Length: 1\r\n\r\n",
		 400},
	};

	(void)state;
	for (size_t i = 0; i < SIZE(bad); i++) {
		int status = parse_text(bad[i].head);

		if (status != bad[i].status)
			fail_msg("%d for %s", status, bad[i].head);
	}
	assert_int_equal(
		parse("GET /a\0 HTTP/1.1\r\n" HOST "\r\n", 18 + sizeof(HOST) + 1), 400);
}

static void refuses_every_truncation(void **state)
{
	static const char head[] = "POST /ctl HTTP/1.1\r\n" HOST
				   "SOAPAction: \"a#b\"\r\nContent-Length: 12\r\n\r\n";

	(void)state;
	assert_int_equal(parse_text(head), 0);
	for (size_t n = 0; n < sizeof(head) - 1; n++) {
		assert_int_equal(http_head_length(head, n), 0);
		if (n < sizeof(head) - 3) /* the last line may end with a bare LF */
			assert_int_not_equal(parse(head, n), 0);
	}
	assert_int_equal(http_head_length(head, sizeof(head) - 1), sizeof(head) - 1);
}

static void refuses_heads_beyond_the_limits(void **state)
{
	char *head = malloc(HTTP_HEAD_MAX + 1);
	size_t n = 0;

	(void)state;
	memset(head, 'a', HTTP_HEAD_MAX + 1);
	assert_int_equal(parse(head, HTTP_HEAD_MAX + 1), 431);
	memcpy(head, "GET /a HTTP/1.1\r\n" HOST, n = strlen("GET /a HTTP/1.1\r\n" HOST));
	for (int i = 0; i < 64; i++, n += 6)
		memcpy(head + n, "a: b\r\n", 6);
	memcpy(head + n, "\r\n", 2);
	assert_int_equal(parse(head, n + 2), 431);
	free(head);
	head = malloc(HTTP_PATH_MAX + 64);
	memcpy(head, "GET /", 5);
	memset(head + 5, 'a', HTTP_PATH_MAX);
	strcpy(head + 5 + HTTP_PATH_MAX, " HTTP/1.0\r\n\r\n");
	assert_int_equal(parse_text(head), 404);
	free(head);
}

static void finds_the_end_of_a_head(void **state)
{
	(void)state;
	assert_int_equal(http_head_length("a\r\n\r\nb", 6), 5);
	assert_int_equal(http_head_length("a\n\nb", 4), 3);
	assert_int_equal(http_head_length("a\n\r\nb", 5), 4);
	assert_int_equal(http_head_length("a\r\n\r", 4), 0);
	assert_int_equal(http_head_length("", 0), 0);
}

static void takes_only_our_own_address_for_host(void **state)
{
	static const char *const good[] = {"192.168.1.1", "192.168.1.1:49152",
					   "192.168.1.1:1"};
	static const char *const bad[] = {
		"",
		"192.168.1.10",
		"192.168.1.1.evil.com",
		"192.168.1.1:",
		"192.168.1.1:x",
		"192.168.1.1:123456",
		"192.168.1.1:1x",
		"[192.168.1.1]",
		"x192.168.1.1",
		"192.168.1.1 ",
	};

	(void)state;
	for (size_t i = 0; i < SIZE(good); i++)
		assert_true(http_host_is(good[i], "192.168.1.1"));
	for (size_t i = 0; i < SIZE(bad); i++)
		assert_false(http_host_is(bad[i], "192.168.1.1"));
	assert_true(http_host_is("[fd00::1]:80", "fd00::1"));
	assert_true(http_host_is("[FD00::1]", "fd00::1"));
	assert_false(http_host_is("fd00::1", "fd00::1"));
	assert_false(http_host_is("[fd00::1", "fd00::1"));
	assert_false(http_host_is("", "fd00::1"));
}

/* Feeds a chunked body in pieces; returns the status, and whether it ended. */
static int chunks(const char *in, size_t piece, char *out, size_t max, size_t *out_len,
		  bool *done)
{
	struct http_chunked c = {0};
	size_t len = strlen(in), pos = 0;
	int status = 0;

	*out_len = 0;
	while (pos < len && !status && c.state != HTTP_CHUNK_DONE) {
		size_t n = len - pos < piece ? len - pos : piece;
		char *copy = malloc(n);
		size_t taken;

		memcpy(copy, in + pos, n);
		taken = http_chunked_take(&c, copy, n, out, out_len, max, &status);
		free(copy);
		assert_true(taken <= n);
		pos += taken;
		if (taken < n)
			break;
	}
	*done = c.state == HTTP_CHUNK_DONE;
	return status;
}

static void reads_chunks_in_pieces_of_any_size(void **state)
{
	static const char body[] =
		"5\r\nhello\r\n1;x=y\r\n \r\nA\r\nwide world\r\n0\r\nT: u\r\n\r\n";

	(void)state;
	for (size_t piece = 1; piece < sizeof(body); piece++) {
		char out[32];
		size_t len;
		bool done;

		assert_int_equal(chunks(body, piece, out, sizeof(out), &len, &done), 0);
		assert_true(done);
		assert_int_equal(len, 16);
		assert_memory_equal(out, "hello wide world", 16);
	}
}

static void refuses_wrong_chunks(void **state)
{
	static const struct {
		const char *in;
		int status;
	} bad[] = {
		{"x\r\n", 400},
		{"\r\n", 400},
		{"5\n", 400},
		{"5\r\nhelloX", 400},
		{"5\r\nhello\rX", 400},
		{"0\r\nA\r\n\rX", 400},
		{"9\r\n", 413},
		{"1000000\r\n", 413},
		{"5\r\nhello\r\n5\r\nworld", 413},
	};

	(void)state;
	for (size_t i = 0; i < SIZE(bad); i++) {
		char out[8];
		size_t len;
		bool done;
		int status = chunks(bad[i].in, 3, out, sizeof(out), &len, &done);

		if (status != bad[i].status || done)
			fail_msg("%d for %s", status, bad[i].in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_clients_send),
		cmocka_unit_test(reads_the_absolute_form),
		cmocka_unit_test(is_lenient_where_clients_need_it),
		cmocka_unit_test(refuses_what_is_wrong),
		cmocka_unit_test(refuses_every_truncation),
		cmocka_unit_test(refuses_heads_beyond_the_limits),
		cmocka_unit_test(finds_the_end_of_a_head),
		cmocka_unit_test(takes_only_our_own_address_for_host),
		cmocka_unit_test(reads_chunks_in_pieces_of_any_size),
		cmocka_unit_test(refuses_wrong_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
