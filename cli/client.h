/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A varlink client that blocks, with a time limit. Knows framing and errors; nothing of
 * leases.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#define CLIENT_ERROR 128

struct client;

/* Connects to the AF_UNIX socket at path. 0 or -errno (-ENAMETOOLONG, -ENOENT,
 * -ECONNREFUSED, -EACCES, -ENOMEM ...). */
int client_open(const char *path, int timeout_ms, struct client **out);
void client_close(struct client *cl); /* NULL is fine */

/* Sends a call; takes the parameters over (NULL: none). -errno; -ETIMEDOUT. */
int client_call(struct client *cl, const char *method, json_t *parameters, bool more);

struct client_reply {
	char error[CLIENT_ERROR]; /* "" or the full name of the varlink error */
	json_t *parameters;       /* an object; the caller's */
	bool continues;           /* another reply follows */
};
/* Reads one reply. -ETIMEDOUT, -ECONNRESET: it hung up, -EBADMSG: that is no varlink. */
int client_next(struct client *cl, struct client_reply *reply);
