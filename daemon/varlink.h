/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server side of varlink (https://varlink.org): JSON messages that end in NUL, on a
 * listening AF_UNIX stream socket. Knows framing, limits and org.varlink.service; what the
 * methods of the one other interface do is its owner's.
 *
 * A client gets its replies in the order of its calls, one call at a time; each turn of the
 * loop does one call, or one piece of a stream, of a connection.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define VARLINK_CONNECTIONS 16        /* when full, the oldest idle one gives way */
#define VARLINK_IN_MAX (64 * 1024)    /* one message with its NUL; then closed */
#define VARLINK_OUT_MAX (1024 * 1024) /* queued for a client; then closed */
#define VARLINK_WRITE_TIMEOUT_S 10    /* without a byte taken; then closed */

struct event_base;
struct varlink;
struct varlink_call;

struct varlink_method {
	const char *name; /* NULL ends the table */
	/* Answers now or later, with exactly one of the three functions below. */
	void (*call)(void *arg, struct varlink_call *call);
};

struct varlink_service {
	const char *vendor;
	const char *product;
	const char *version;
	const char *url;
	const char *interface;   /* "org.portreeve" */
	const char *description; /* its definition */
	const struct varlink_method *methods;
};

/* Takes the listening socket over, also on failure; the service must outlive it. NULL. */
struct varlink *varlink_new(struct event_base *base, int listen_fd,
			    const struct varlink_service *service, void *arg);
/* Closes all; calls that are not answered yet stay valid until they are. NULL is fine. */
void varlink_free(struct varlink *v);
size_t varlink_connections(const struct varlink *v);

/* Who calls (SO_PEERCRED); does it take several replies; its parameters, an object. */
uid_t varlink_uid(const struct varlink_call *call);
bool varlink_more(const struct varlink_call *call);
const json_t *varlink_parameters(const struct varlink_call *call);

/* The answer: ends the call, which is gone afterwards. Both take the parameters over; NULL
 * is an empty object for an error, and for a reply means that memory ran out. */
void varlink_reply(struct varlink_call *call, json_t *parameters);
void varlink_error(struct varlink_call *call, const char *error, json_t *parameters);
/* org.varlink.service.InvalidParameter */
void varlink_invalid(struct varlink_call *call, const char *parameter);

struct varlink_stream {
	/* Is there something? NULL: always. Else varlink_ready() says when. */
	bool (*ready)(void *arg);
	/* The next reply; sets *last with the last one. NULL: no memory, the client is cut. */
	json_t *(*next)(void *arg, bool *last);
	void (*free)(void *arg); /* called once, whoever ends it */
};
/* An answer in pieces, for calls with `more`: each is made when the client has taken the
 * one before, so a slow client costs no memory. */
void varlink_stream(struct varlink_call *call, const struct varlink_stream *stream,
		    void *arg);
/* A stream that had nothing has something now. */
void varlink_ready(struct varlink_call *call);
