/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads HTTP/1.x requests as a UPnP device gets them: heads, and chunked bodies. Knows
 * nothing of connections or of what a request asks for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_MAX 8192
#define HTTP_BODY_MAX 16384
#define HTTP_PATH_MAX 127

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_SUBSCRIBE,
	HTTP_UNSUBSCRIBE,
};

/* The headers that mean something to us; a string is NULL where the header was missing. */
struct http_request {
	enum http_method method;
	unsigned int minor; /* HTTP/1.minor */
	const char *path;
	const char *authority; /* of an absolute request target, else NULL */
	const char *host;
	const char *soap_action;
	const char *content_type;
	const char *callback;
	const char *nt;
	const char *sid;
	const char *timeout;
	uint64_t length; /* of the body; 0 when none is announced */
	bool has_length;
	bool chunked;
	bool keep_alive;              /* the client said so */
	bool expect;                  /* it waits for 100 Continue */
	char text[HTTP_HEAD_MAX + 1]; /* what the strings point into */
};

/* The length of the head at the start of buf with its empty line; 0: not whole yet. */
size_t http_head_length(const char *buf, size_t len);

/* RFC 9112 sections 2-6. 0, or the status to refuse the request with: 400, 404, 405, 411,
 * 413, 417, 431, 501, 505. */
int http_parse_head(struct http_request *r, const char *head, size_t len);

/* Is host, with or without a port, this address literal and nothing else? An IPv6 literal
 * stands in brackets. */
bool http_host_is(const char *host, const char *literal);

/* A body in chunks, RFC 9112 section 7.1; {0} starts. */
struct http_chunked {
	enum http_chunk_state {
		HTTP_CHUNK_SIZE,
		HTTP_CHUNK_EXTENSION,
		HTTP_CHUNK_SIZE_END,
		HTTP_CHUNK_DATA,
		HTTP_CHUNK_DATA_CR,
		HTTP_CHUNK_DATA_LF,
		HTTP_CHUNK_TRAILER,      /* at the start of a line */
		HTTP_CHUNK_TRAILER_LINE, /* inside one */
		HTTP_CHUNK_TRAILER_END,
		HTTP_CHUNK_DONE,
	} state;
	unsigned int digits;
	uint32_t left;  /* of this chunk */
	uint32_t extra; /* bytes of extensions and trailers so far */
};

/* Takes bytes until the body ends, appends data to out. Returns the bytes taken; *status is
 * 0, or what to refuse the request with: 400, 413. */
size_t http_chunked_take(struct http_chunked *c, const char *in, size_t len, char *out,
			 size_t *out_len, size_t out_max, int *status);

/* The words that go with a status of ours, RFC 9110 section 15. */
const char *http_reason(int status);
