/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/http.h"

#include <string.h>
#include <strings.h>

#define HTTP_HEADERS_MAX 64
#define HTTP_CHUNK_EXTRA_MAX 1024

size_t http_head_length(const char *buf, size_t len)
{
	const char *end = buf + len, *nl = buf;

	while ((nl = memchr(nl, '\n', (size_t)(end - nl)))) {
		nl++;
		if (nl < end && *nl == '\n')
			return (size_t)(nl + 1 - buf);
		if (end - nl >= 2 && nl[0] == '\r' && nl[1] == '\n')
			return (size_t)(nl + 2 - buf);
	}
	return 0;
}

/* RFC 9110 section 5.6.2. */
static bool http_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Cuts the next line off at *pos and ends it with NUL; NULL at the end or when it holds a
 * control character (RFC 9110 section 5.5) or a NUL. */
static char *http_line(char **pos, char *end)
{
	char *line = *pos, *nl = memchr(line, '\n', (size_t)(end - line));

	if (!nl)
		return NULL;
	*pos = nl + 1;
	if (nl > line && nl[-1] == '\r')
		nl--;
	*nl = '\0';
	for (const char *p = line; p < nl; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return NULL;
	return line;
}

static int http_parse_method(struct http_request *r, const char *name)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",
		[HTTP_HEAD] = "HEAD",
		[HTTP_POST] = "POST",
		[HTTP_SUBSCRIBE] = "SUBSCRIBE",
		[HTTP_UNSUBSCRIBE] = "UNSUBSCRIBE",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			r->method = (enum http_method)i;
			return 0;
		}
	}
	return strcmp(name, "M-POST") == 0 ? 405 : 501;
}

/* RFC 9112 section 3.2: origin form or absolute form. No path of ours needs % or ?. */
static int http_parse_target(struct http_request *r, char *target)
{
	if (strncasecmp(target, "http://", 7) == 0) {
		char *authority = target + 7, *slash = strchr(authority, '/');

		if (!slash || slash == authority)
			return 400;
		/* The name moves over the scheme, so that both strings can end with NUL. */
		memmove(target, authority, (size_t)(slash - authority));
		target[slash - authority] = '\0';
		r->authority = target;
		target = slash;
	}
	if (target[0] != '/')
		return 400;
	for (const char *p = target; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("%?#\\\"<>", *p))
			return 400;
	if (strlen(target) > HTTP_PATH_MAX)
		return 404;
	r->path = target;
	return 0;
}

static int http_parse_request_line(struct http_request *r, char *line)
{
	char *target = strchr(line, ' '), *version;
	int status;

	if (!target || target == line)
		return 400;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (!version)
		return 400;
	*version++ = '\0';
	for (const char *p = line; *p; p++)
		if (!http_token_char(*p))
			return 400;
	if (strncmp(version, "HTTP/", 5) != 0)
		return 400;
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return 505;
	r->minor = version[7] == '1';
	status = http_parse_method(r, line);
	return status ? status : http_parse_target(r, target);
}

/* RFC 9110 section 8.6: digits only; more than the cap is as good as the cap. */
static int http_parse_length(struct http_request *r, const char *value)
{
	if (r->has_length || !*value)
		return 400;
	for (const char *p = value; *p; p++) {
		if (*p < '0' || *p > '9')
			return 400;
		if (r->length <= UINT32_MAX)
			r->length = r->length * 10 + (uint64_t)(*p - '0');
	}
	r->has_length = true;
	return 0;
}

/* Does the comma-separated list hold this word? */
static bool http_list_has(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list) {
		size_t len, rest;

		list += strspn(list, " \t,");
		len = rest = strcspn(list, ",");
		while (len && (list[len - 1] == ' ' || list[len - 1] == '\t'))
			len--;
		if (len == n && strncasecmp(list, word, n) == 0)
			return true;
		list += rest;
	}
	return false;
}

/* A header that may stand once. */
static int http_once(const char **field, const char *value)
{
	if (*field)
		return 400;
	*field = value;
	return 0;
}

static int http_parse_field(struct http_request *r, const char *name, const char *value)
{
	if (strcasecmp(name, "Host") == 0)
		return http_once(&r->host, value);
	if (strcasecmp(name, "SOAPAction") == 0)
		return http_once(&r->soap_action, value);
	if (strcasecmp(name, "Content-Type") == 0)
		return http_once(&r->content_type, value);
	if (strcasecmp(name, "Callback") == 0)
		return http_once(&r->callback, value);
	if (strcasecmp(name, "NT") == 0)
		return http_once(&r->nt, value);
	if (strcasecmp(name, "SID") == 0)
		return http_once(&r->sid, value);
	if (strcasecmp(name, "Timeout") == 0)
		return http_once(&r->timeout, value);
	if (strcasecmp(name, "Content-Length") == 0)
		return http_parse_length(r, value);
	if (strcasecmp(name, "Connection") == 0) {
		r->keep_alive = http_list_has(value, "keep-alive");
		return 0;
	}
	if (strcasecmp(name, "Transfer-Encoding") == 0) {
		if (r->chunked)
			return 400;
		r->chunked = strcasecmp(value, "chunked") == 0;
		return r->chunked ? 0 : 501;
	}
	if (strcasecmp(name, "Expect") == 0) {
		r->expect = strcasecmp(value, "100-continue") == 0;
		return r->expect ? 0 : 417;
	}
	return 0;
}

static int http_parse_header(struct http_request *r, char *line)
{
	char *colon = strchr(line, ':'), *value, *end;

	/* A folded line starts with a space, which no name holds. */
	if (!colon || colon == line)
		return 400;
	for (const char *p = line; p < colon; p++)
		if (!http_token_char(*p))
			return 400;
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return http_parse_field(r, line, value);
}

/* What the headers say together. */
static int http_check(const struct http_request *r)
{
	bool body = r->length > 0 || r->chunked;

	if (r->chunked && (r->has_length || r->minor == 0))
		return 400;
	if (r->minor == 1 && !r->host)
		return 400;
	if (r->method == HTTP_POST && !r->has_length && !r->chunked)
		return 411;
	if (r->method != HTTP_POST && body)
		return r->length > HTTP_BODY_MAX ? 413 : 400;
	return r->length > HTTP_BODY_MAX ? 413 : 0;
}

int http_parse_head(struct http_request *r, const char *head, size_t len)
{
	char *pos = r->text, *end, *line;
	unsigned int headers = 0;
	int status;

	memset(r, 0, offsetof(struct http_request, text));
	if (len > HTTP_HEAD_MAX)
		return 431;
	memcpy(r->text, head, len);
	r->text[len] = '\0';
	end = r->text + len;
	/* RFC 9112 section 2.2: an empty line before the request is skipped. */
	if (len >= 2 && pos[0] == '\r' && pos[1] == '\n')
		pos += 2;
	line = http_line(&pos, end);
	status = line ? http_parse_request_line(r, line) : 400;
	while (!status) {
		line = http_line(&pos, end);
		if (!line)
			return 400;
		if (!*line)
			break;
		status = ++headers > HTTP_HEADERS_MAX ? 431 : http_parse_header(r, line);
	}
	return status ? status : http_check(r);
}

bool http_host_is(const char *host, const char *literal)
{
	bool v6 = strchr(literal, ':') != NULL;
	size_t n = strlen(literal);

	if (v6 && *host++ != '[')
		return false;
	if (strncasecmp(host, literal, n) != 0)
		return false;
	host += n;
	if (v6 && *host++ != ']')
		return false;
	if (*host == '\0')
		return true;
	n = strspn(host + 1, "0123456789");
	return *host == ':' && n >= 1 && n <= 5 && host[1 + n] == '\0';
}

static int http_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One byte that is not data. 0 or the status. */
static int http_chunked_byte(struct http_chunked *c, char b)
{
	int hex;

	switch (c->state) {
	case HTTP_CHUNK_SIZE:
		hex = http_hex(b);
		if (hex >= 0) {
			if (++c->digits > 6)
				return 413;
			c->left = c->left << 4 | (uint32_t)hex;
			return 0;
		}
		if (!c->digits)
			return 400;
		if (b == '\r')
			c->state = HTTP_CHUNK_SIZE_END;
		else if (b == ';' || b == ' ' || b == '\t')
			c->state = HTTP_CHUNK_EXTENSION;
		else
			return 400;
		return 0;
	case HTTP_CHUNK_EXTENSION:
		if (b == '\n' || ++c->extra > HTTP_CHUNK_EXTRA_MAX)
			return 400;
		if (b == '\r')
			c->state = HTTP_CHUNK_SIZE_END;
		return 0;
	case HTTP_CHUNK_SIZE_END:
		c->state = c->left ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILER;
		c->digits = 0;
		return b == '\n' ? 0 : 400;
	case HTTP_CHUNK_DATA_CR:
		c->state = HTTP_CHUNK_DATA_LF;
		return b == '\r' ? 0 : 400;
	case HTTP_CHUNK_DATA_LF:
		c->state = HTTP_CHUNK_SIZE;
		return b == '\n' ? 0 : 400;
	case HTTP_CHUNK_TRAILER:
		c->state = b == '\r' ? HTTP_CHUNK_TRAILER_END : HTTP_CHUNK_TRAILER_LINE;
		return b == '\n' || ++c->extra > HTTP_CHUNK_EXTRA_MAX ? 400 : 0;
	case HTTP_CHUNK_TRAILER_LINE:
		if (b == '\n')
			c->state = HTTP_CHUNK_TRAILER;
		return ++c->extra > HTTP_CHUNK_EXTRA_MAX ? 400 : 0;
	case HTTP_CHUNK_TRAILER_END:
		if (b != '\n')
			return 400;
		c->state = HTTP_CHUNK_DONE;
		return 0;
	case HTTP_CHUNK_DATA:
	case HTTP_CHUNK_DONE:
		break;
	}
	return 400;
}

size_t http_chunked_take(struct http_chunked *c, const char *in, size_t len, char *out,
			 size_t *out_len, size_t out_max, int *status)
{
	size_t pos = 0;

	*status = 0;
	while (pos < len && c->state != HTTP_CHUNK_DONE && !*status) {
		size_t n = len - pos < c->left ? len - pos : c->left;

		if (c->state != HTTP_CHUNK_DATA) {
			*status = http_chunked_byte(c, in[pos++]);
			if (!*status && c->left > out_max - *out_len)
				*status = 413;
			continue;
		}
		memcpy(out + *out_len, in + pos, n);
		*out_len += n;
		pos += n;
		c->left -= (uint32_t)n;
		if (!c->left)
			c->state = HTTP_CHUNK_DATA_CR;
	}
	return pos;
}

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

const char *http_reason(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}
