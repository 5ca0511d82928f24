/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The HTTP connections of one LAN: reads whole requests within limits and deadlines, hands
 * them over, writes the answers. Knows nothing of what they mean.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "base/addr.h"
#include "igd/http.h"

#define FRONT_LISTENERS 2
#define FRONT_CONNS 128
#define FRONT_PER_HOST 16
#define FRONT_REQUEST_MS 5000 /* from accept or its first byte to its last */
#define FRONT_WRITE_MS 10000
#define FRONT_DRAIN_MS 1000

struct event_base;
struct front;
struct front_conn;

struct front_ops {
	/* A whole request; it and the body are lent until the return. Answer it with
	 * front_answer(), now or, after front_park(), later. */
	void (*request)(void *arg, struct front_conn *c, const struct http_request *req,
			const char *body, size_t len);
	/* A parked one waited too long: answer it now. */
	void (*late)(void *arg, struct front_conn *c);
	/* An answer with `sent` set is with the kernel, or will never be. */
	void (*sent)(void *arg, struct front_conn *c);
};

struct front_answer {
	int status;
	const char *type;    /* Content-Type, or NULL */
	const char *headers; /* more lines, each with its CRLF, or NULL */
	const char *body;
	size_t len;
	bool sent; /* tell by ops->sent */
	/* The body is lent and not copied: called when it is not needed any more. */
	void (*returned)(const void *body, size_t len, void *lent);
	void *lent;
};

/* Takes the listening sockets over, also on failure: one, or one of each family. Only hosts
 * inside the networks are let in; these and ops are borrowed. NULL: no memory. */
struct front *front_new(struct event_base *base, const int *fds, size_t n_fds,
			const struct prefix *nets, size_t n_nets,
			const struct front_ops *ops, void *arg);
void front_free(struct front *f);

void front_answer(struct front_conn *c, const struct front_answer *a);
/* Keeps the request waiting, at most so long. */
void front_park(struct front_conn *c, unsigned int timeout_ms);
/* What the caller keeps with a connection; NULL at first. */
void front_set_mark(struct front_conn *c, void *mark);
void *front_mark(const struct front_conn *c);
const struct in6_addr *front_client(const struct front_conn *c);
