/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What front.c (who is let in, and for how long) and front_conn.c (one connection, from its
 * first byte to its last) share; nobody else includes it.
 */
#pragma once

#include "igd/front.h"

#define FRONT_IN_MAX (HTTP_HEAD_MAX + HTTP_BODY_MAX + 1)

/* In the order in which connections give way to others of the same host. */
enum front_state {
	FRONT_IDLE,     /* between requests */
	FRONT_READING,  /* in a request */
	FRONT_WRITING,  /* the answer is on its way */
	FRONT_DRAINING, /* after a refusal: nothing is answered any more */
	FRONT_PARKED,   /* the owner has the request */
	FRONT_HANDING,  /* the owner is just being called */
};

/* A request with a body in chunks. */
struct front_chunks {
	struct http_chunked chunked;
	size_t len;
	struct http_request req;
	char body[HTTP_BODY_MAX];
};

struct front_conn {
	struct front *front;
	struct front_conn *next;
	int fd;
	struct event *readable; /* each is added only where there is nothing to do */
	struct event *writable;
	enum front_state state;
	struct in6_addr client;
	uint64_t number;      /* lower is older */
	uint64_t since_ms;    /* when it came, or went idle */
	uint64_t deadline_ms; /* of its state */
	char *kept;           /* what was read and is not dealt with, or NULL */
	size_t n_kept;
	char *rest; /* of the answer, which the kernel did not take at once, or NULL */
	size_t n_rest, rest_sent;
	struct front_answer lent; /* whose body follows that and is not ours, or empty */
	size_t lent_sent;
	size_t want; /* bytes until the request is whole, once its head is known */
	size_t drained;
	struct front_chunks *chunks;
	void *mark;
	bool head_only;  /* HEAD */
	bool keep_alive; /* after this answer */
	bool expected;   /* 100 Continue was sent */
	bool unread;     /* the answer went before the request was read */
	bool broken;     /* the answer did not go */
	bool tell_sent;
};

struct front {
	struct event_base *base;
	struct event *acceptable[FRONT_LISTENERS];
	int fds[FRONT_LISTENERS];
	size_t n_fds;
	struct event *sweep; /* runs while there are connections */
	const struct prefix *nets;
	size_t n_nets;
	const struct front_ops *ops;
	void *arg;
	struct front_conn *conns;
	size_t n_conns;
	uint64_t accepted;
	struct http_request req; /* of the request that is just handled */
	char in[FRONT_IN_MAX];   /* and its bytes */
};

/* Takes the descriptor over, also on failure: NULL. It is in no list and waits for nothing. */
struct front_conn *front_conn_new(struct front *f, int fd);
void front_close(struct front_conn *c);
void front_enter(struct front_conn *c, enum front_state state, unsigned int ms);
/* Reads what is there and deals with it. May free the connection. */
void front_read(struct front_conn *c);
/* Its deadline has passed. May free the connection. */
void front_late(struct front_conn *c);
