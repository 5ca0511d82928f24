/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP heads, and bodies in chunks: read at once and in pieces alike.
 *
 * An input: a byte (size of the pieces), then what a client sends.
 */
#include "igd/http.h"
#include "tests/fuzz/fuzz.h"

#define OUT_MAX 64 /* small, so that a short input is too long */

static struct http_request req;

/* Which refusals there are, http.h says. */
static bool status_ok(int status)
{
	static const int all[] = {0, 400, 404, 405, 411, 413, 417, 431, 501, 505};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] == status)
			return true;
	return false;
}

/* Within the request's own text, and without what would split a line of a log. */
static void check_field(const char *s)
{
	if (!s)
		return;
	must(s >= req.text && s < req.text + sizeof(req.text));
	must(memchr(s, '\0', (size_t)(req.text + sizeof(req.text) - s)));
	for (; *s; s++)
		must(((unsigned char)*s >= ' ' || *s == '\t') && *s != 0x7f);
}

static void check_request(void)
{
	const char *const fields[] = {req.path,        req.authority,    req.host,
				      req.soap_action, req.content_type, req.callback,
				      req.nt,          req.sid,          req.timeout};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		check_field(fields[i]);
	must(req.path && req.path[0] == '/' && strlen(req.path) <= HTTP_PATH_MAX);
	must(fuzz_printable(req.path) && !strpbrk(req.path, " %?#\"<>"));
	must(req.minor <= 1 && req.method <= HTTP_UNSUBSCRIBE);
	must(req.minor == 0 || req.host);
	/* A body has one length, or none can be smuggled: RFC 9112 section 6.3. */
	must(!(req.chunked && (req.has_length || req.minor == 0)));
	must(req.length <= HTTP_BODY_MAX && (req.has_length || !req.length));
	must(req.method == HTTP_POST ? req.has_length || req.chunked
				     : !req.length && !req.chunked);
	if (req.host && http_host_is(req.host, "192.168.1.1"))
		must(!strncmp(req.host, "192.168.1.1", 11));
	if (req.host && http_host_is(req.host, "2a01:77::1"))
		must(!strncasecmp(req.host, "[2a01:77::1]", 12));
}

/* The head is found as soon as it is whole, and not before. */
static void check_length(const char *text, size_t len, size_t head)
{
	if (!head)
		return;
	must(head <= len && text[head - 1] == '\n');
	must(http_head_length(text, head) == head);
	must(http_head_length(text, head - 1) == 0);
}

static size_t take(const char *in, size_t len, size_t piece, struct http_chunked *c,
		   char *out, size_t *out_len, int *status)
{
	size_t pos = 0;

	*status = 0;
	while (pos < len && c->state != HTTP_CHUNK_DONE && !*status) {
		size_t n = len - pos < piece ? len - pos : piece, used;
		char *copy = fuzz_alloc(n);

		memcpy(copy, in + pos, n);
		used = http_chunked_take(c, copy, n, out, out_len, OUT_MAX, status);
		free(copy);
		must(used <= n && *out_len <= OUT_MAX);
		must(used == n || c->state == HTTP_CHUNK_DONE || *status);
		pos += used;
	}
	return pos;
}

static void check_chunks(const char *in, size_t len, size_t piece)
{
	static char one[OUT_MAX], many[OUT_MAX];
	struct http_chunked a = {0}, b = {0};
	size_t n_one = 0, n_many = 0, used;
	int s_one, s_many;

	used = take(in, len, len, &a, one, &n_one, &s_one);
	must(take(in, len, piece, &b, many, &n_many, &s_many) == used);
	must(s_one == s_many && (s_one == 0 || s_one == 400 || s_one == 413));
	must(s_one ||
	     (a.state == b.state && n_one == n_many && !memcmp(one, many, n_one)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	size_t piece = 1 + feed_u8(&f) % 64U, len = f.left, head;
	char *text = (char *)feed_block(&f, &len), *copy;
	int status;

	head = http_head_length(text, len);
	check_length(text, len, head);
	copy = fuzz_alloc(head ? head : len);
	memcpy(copy, text, head ? head : len);
	status = http_parse_head(&req, copy, head ? head : len);
	free(copy);
	must(status_ok(status) && (head || status));
	must(!status || strcmp(http_reason(status), "Unknown") != 0);
	if (!status)
		check_request();
	check_chunks(text + head, len - head, piece);
	free(text);
	return 0;
}
