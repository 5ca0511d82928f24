/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/soap.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlwriter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOAP_ENVELOPE "http://schemas.xmlsoap.org/soap/envelope/"
#define SOAP_ENCODING "http://schemas.xmlsoap.org/soap/encoding/"

/* Where the reader is. Depth 1 is the envelope, 2 its body, 3 the action, 4 an argument. */
struct soap_reader {
	struct soap_call *call;
	xmlParserCtxtPtr ctxt;
	unsigned int depth;
	bool in_body;
	bool in_arg;
	bool called; /* the action was seen */
	bool bad;
	size_t used;  /* of call->text */
	size_t start; /* of this argument in it */
};

const char *soap_arg(const struct soap_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_args; i++)
		if (strcmp(call->args[i].name, name) == 0)
			return call->args[i].value;
	return NULL;
}

int soap_parse_header(const char *header, char urn[SOAP_URN_MAX + 1],
		      char action[SOAP_NAME_MAX + 1])
{
	size_t n = strlen(header), left, right;
	const char *hash;

	if (n >= 2 && header[0] == '"' && header[n - 1] == '"') {
		header++;
		n -= 2;
	}
	hash = memchr(header, '#', n);
	if (!hash || memchr(header, '"', n))
		return -EINVAL;
	left = (size_t)(hash - header);
	right = n - left - 1;
	if (!left || left > SOAP_URN_MAX || !right || right > SOAP_NAME_MAX)
		return -EINVAL;
	memcpy(urn, header, left);
	urn[left] = '\0';
	memcpy(action, hash + 1, right);
	action[right] = '\0';
	return 0;
}

static void soap_stop(struct soap_reader *r)
{
	r->bad = true;
	xmlStopParser(r->ctxt);
}

/* Copies a name that must fit. */
static bool soap_copy(char *dst, size_t max, const xmlChar *src)
{
	size_t n = src ? strlen((const char *)src) : 0;

	if (n > max)
		return false;
	memcpy(dst, src ? (const char *)src : "", n);
	dst[n] = '\0';
	return true;
}

static void soap_start_arg(struct soap_reader *r, const xmlChar *name)
{
	struct soap_call *call = r->call;

	if (call->n_args == SOAP_ARGS_MAX ||
	    !soap_copy(call->args[call->n_args].name, SOAP_NAME_MAX, name)) {
		soap_stop(r);
		return;
	}
	r->start = r->used;
	r->in_arg = true;
}

static void soap_start_element(void *ctx, const xmlChar *name, const xmlChar *prefix,
			       const xmlChar *uri, int n_namespaces,
			       const xmlChar **namespaces, int n_attributes,
			       int n_defaulted, const xmlChar **attributes)
{
	struct soap_reader *r = ctx;

	(void)prefix;
	(void)n_namespaces;
	(void)namespaces;
	(void)n_attributes;
	(void)n_defaulted;
	(void)attributes;
	if (r->bad)
		return;
	if (++r->depth > SOAP_DEPTH_MAX) {
		soap_stop(r);
		return;
	}
	/* SOAP 1.1 section 4; the namespace of the envelope is not insisted upon. */
	if (r->depth == 1 && !xmlStrEqual(name, BAD_CAST "Envelope"))
		soap_stop(r);
	else if (r->depth == 2)
		r->in_body = xmlStrEqual(name, BAD_CAST "Body");
	else if (r->depth == 3 && r->in_body) {
		if (r->called || !soap_copy(r->call->action, SOAP_NAME_MAX, name) ||
		    !soap_copy(r->call->urn, SOAP_URN_MAX, uri))
			soap_stop(r);
		r->called = true;
	} else if (r->depth == 4 && r->in_body)
		soap_start_arg(r, name);
	else if (r->in_arg) /* arguments are flat */
		soap_stop(r);
}

static bool soap_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void soap_end_element(void *ctx, const xmlChar *name, const xmlChar *prefix,
			     const xmlChar *uri)
{
	struct soap_reader *r = ctx;
	struct soap_call *call = r->call;

	(void)name;
	(void)prefix;
	(void)uri;
	if (r->bad)
		return;
	if (r->depth == 4 && r->in_arg) {
		char *text = call->text;

		while (r->used > r->start && soap_space(text[r->used - 1]))
			r->used--;
		while (r->start < r->used && soap_space(text[r->start]))
			r->start++;
		text[r->used++] = '\0';
		call->args[call->n_args++].value = text + r->start;
		r->in_arg = false;
	}
	r->depth--;
}

static void soap_characters(void *ctx, const xmlChar *text, int len)
{
	struct soap_reader *r = ctx;
	size_t n = (size_t)len;

	if (r->bad || !r->in_arg)
		return;
	if (n >= sizeof(r->call->text) - r->used) {
		soap_stop(r);
		return;
	}
	memcpy(r->call->text + r->used, text, n);
	r->used += n;
}

/* A document type declaration: SOAP 1.1 section 3 forbids it. */
static void soap_subset(void *ctx, const xmlChar *name, const xmlChar *public_id,
			const xmlChar *system_id)
{
	(void)name;
	(void)public_id;
	(void)system_id;
	soap_stop(ctx);
}

/* Only the five of XML itself are known to the parser without asking. */
static xmlEntityPtr soap_entity(void *ctx, const xmlChar *name)
{
	(void)name;
	soap_stop(ctx);
	return NULL;
}

static void soap_quiet(void *ctx, const char *msg, ...)
{
	(void)ctx;
	(void)msg;
}

int soap_parse(struct soap_call *call, const char *body, size_t len)
{
	xmlSAXHandler sax = {
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = soap_start_element,
		.endElementNs = soap_end_element,
		.characters = soap_characters,
		.cdataBlock = soap_characters,
		.internalSubset = soap_subset,
		.getEntity = soap_entity,
		.getParameterEntity = soap_entity,
		.warning = soap_quiet,
		.error = soap_quiet,
		.fatalError = soap_quiet,
	};
	struct soap_reader r = {.call = call};
	int err;

	call->urn[0] = call->action[0] = '\0';
	call->n_args = 0;
	/* A byte order mark, as some write one, is libxml2's to see: it needs four bytes. */
	if (len < 4 || len > HTTP_BODY_MAX)
		return -EBADMSG;
	r.ctxt = xmlCreatePushParserCtxt(&sax, &r, NULL, 0, NULL);
	if (!r.ctxt)
		return -ENOMEM;
	xmlCtxtUseOptions(r.ctxt,
			  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	err = xmlParseChunk(r.ctxt, body, (int)len, 1);
	if (!r.ctxt->wellFormed)
		err = 1;
	xmlFreeParserCtxt(r.ctxt);
	return err || r.bad || !r.called ? -EBADMSG : 0;
}

struct soap_writer {
	xmlBufferPtr buffer;
	xmlTextWriterPtr xml;
	bool bad; /* sticky, until the next begin */
};

struct soap_writer *soap_writer_new(void)
{
	struct soap_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->buffer = xmlBufferCreateSize(4096);
	if (!w->buffer) {
		free(w);
		return NULL;
	}
	return w;
}

void soap_writer_free(struct soap_writer *w)
{
	if (!w)
		return;
	if (w->xml)
		xmlFreeTextWriter(w->xml);
	xmlBufferFree(w->buffer);
	free(w);
}

static void soap_check(struct soap_writer *w, int result)
{
	w->bad = w->bad || result < 0;
}

static void soap_open(struct soap_writer *w, const char *prefix, const char *name,
		      const char *uri)
{
	if (!w->bad)
		soap_check(w, xmlTextWriterStartElementNS(w->xml, BAD_CAST prefix,
							  BAD_CAST name, BAD_CAST uri));
}

static void soap_envelope(struct soap_writer *w)
{
	if (w->xml) /* one was left unfinished */
		xmlFreeTextWriter(w->xml);
	xmlBufferEmpty(w->buffer);
	w->xml = xmlNewTextWriterMemory(w->buffer, 0);
	w->bad = !w->xml;
	if (w->bad)
		return;
	soap_check(w, xmlTextWriterStartDocument(w->xml, NULL, NULL, NULL));
	soap_open(w, "s", "Envelope", SOAP_ENVELOPE);
	if (!w->bad)
		soap_check(w,
			   xmlTextWriterWriteAttribute(w->xml, BAD_CAST "s:encodingStyle",
						       BAD_CAST SOAP_ENCODING));
	soap_open(w, "s", "Body", NULL);
}

void soap_begin(struct soap_writer *w, const char *urn, const char *action)
{
	char name[SOAP_NAME_MAX + sizeof("Response")];

	snprintf(name, sizeof(name), "%.*sResponse", SOAP_NAME_MAX, action);
	soap_envelope(w);
	soap_open(w, "u", name, urn);
}

void soap_put(struct soap_writer *w, const char *name, const char *value)
{
	if (!w->bad)
		soap_check(w, xmlTextWriterWriteElement(w->xml, BAD_CAST name,
							BAD_CAST value));
}

void soap_put_cdata(struct soap_writer *w, const char *name, const char *text)
{
	soap_open(w, NULL, name, NULL);
	if (!w->bad)
		soap_check(w, xmlTextWriterWriteCDATA(w->xml, BAD_CAST text));
	if (!w->bad)
		soap_check(w, xmlTextWriterEndElement(w->xml));
}

void soap_put_number(struct soap_writer *w, const char *name, unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	soap_put(w, name, text);
}

const char *soap_end(struct soap_writer *w, size_t *len)
{
	if (!w->bad)
		soap_check(w, xmlTextWriterEndDocument(w->xml));
	if (w->xml)
		xmlFreeTextWriter(w->xml); /* flushes */
	w->xml = NULL;
	if (w->bad)
		return NULL;
	*len = (size_t)xmlBufferLength(w->buffer);
	return (const char *)xmlBufferContent(w->buffer);
}

const char *soap_fault(struct soap_writer *w, int code, const char *text, size_t *len)
{
	soap_envelope(w);
	soap_open(w, "s", "Fault", NULL);
	soap_put(w, "faultcode", "s:Client");
	soap_put(w, "faultstring", "UPnPError");
	soap_open(w, NULL, "detail", NULL);
	soap_open(w, NULL, "UPnPError", "urn:schemas-upnp-org:control-1-0");
	soap_put_number(w, "errorCode", (unsigned long)code);
	soap_put(w, "errorDescription", text);
	return soap_end(w, len);
}
