/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SOAP as UPnP uses it: a call out of a request, an answer or a fault into a body. By
 * libxml2, without DTD, entities or network. Knows no service and no action.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "igd/http.h"

#define SOAP_ARGS_MAX 16
#define SOAP_DEPTH_MAX 16
#define SOAP_NAME_MAX 63
#define SOAP_URN_MAX 95
#define SOAP_TEXT_MAX (HTTP_BODY_MAX + SOAP_ARGS_MAX)

struct soap_call {
	char urn[SOAP_URN_MAX + 1]; /* namespace of the action */
	char action[SOAP_NAME_MAX + 1];
	size_t n_args;
	struct soap_arg {
		char name[SOAP_NAME_MAX + 1];
		const char *value; /* in text; surrounding white space is gone */
	} args[SOAP_ARGS_MAX];
	char text[SOAP_TEXT_MAX];
};

/* The value of an argument; NULL: it is missing. Of two with one name the first counts. */
const char *soap_arg(const struct soap_call *call, const char *name);

/* Splits the header `"urn#action"`, with or without quotes. -EINVAL. */
int soap_parse_header(const char *header, char urn[SOAP_URN_MAX + 1],
		      char action[SOAP_NAME_MAX + 1]);

/* Reads an envelope. -EBADMSG: not well-formed, a DTD, too deep, no call in it or more
 * arguments or text than there is room for. */
int soap_parse(struct soap_call *call, const char *body, size_t len);

/* Builds one body at a time; it is lent until the next one is begun. */
struct soap_writer;
struct soap_writer *soap_writer_new(void); /* NULL: no memory */
void soap_writer_free(struct soap_writer *w);

/* An answer: begin, arguments in the order of the service's document, end. */
void soap_begin(struct soap_writer *w, const char *urn, const char *action);
void soap_put(struct soap_writer *w, const char *name, const char *value);
/* Text as it stands, markup too; it must not hold "]]>". */
void soap_put_cdata(struct soap_writer *w, const char *name, const char *text);
void soap_put_number(struct soap_writer *w, const char *name, unsigned long value);
/* The body, or NULL: no memory. */
const char *soap_end(struct soap_writer *w, size_t *len);

/* A fault, UPnP Device Architecture 1.0 section 3.2.2. NULL: no memory. */
const char *soap_fault(struct soap_writer *w, int code, const char *text, size_t *len);
