/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/gena.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"

/* A piece of a header that is being read. */
struct gena_slice {
	const char *at;
	size_t len;
};

static void slice_skip(struct gena_slice *s, size_t n)
{
	s->at += n;
	s->len -= n;
}

/* Up to one of these characters; what is before it. */
static struct gena_slice slice_until(struct gena_slice *s, const char *ends)
{
	struct gena_slice before = {s->at, 0};

	while (before.len < s->len && !strchr(ends, s->at[before.len]))
		before.len++;
	slice_skip(s, before.len);
	return before;
}

/* An IPv4 address must be written as we write it, since clients and we might read others
 * differently. */
static bool gena_host_v4(struct gena_slice *url, const struct in6_addr *client)
{
	struct gena_slice host = slice_until(url, ":/");
	char ours[ADDR_TEXT];

	addr_text(client, ours);
	return addr_is_v4(client) && host.len == strlen(ours) &&
	       memcmp(host.at, ours, host.len) == 0;
}

/* A zone says what we know: the device of this LAN. */
static bool gena_host_v6(struct gena_slice *url, const struct in6_addr *client)
{
	struct gena_slice host;
	struct in6_addr addr;
	char text[ADDR_TEXT];

	slice_skip(url, 1);
	host = slice_until(url, "%]");
	slice_until(url, "]");
	if (!url->len || host.len >= sizeof(text))
		return false;
	slice_skip(url, 1);
	memcpy(text, host.at, host.len);
	text[host.len] = '\0';
	return addr_parse(text, &addr) == 0 && !addr_is_v4(client) &&
	       addr_equal(&addr, client);
}

static bool gena_port(struct gena_slice *url, uint16_t *out)
{
	struct gena_slice digits;
	unsigned long port = 0;

	*out = 80;
	if (!url->len || url->at[0] != ':')
		return true;
	slice_skip(url, 1);
	digits = slice_until(url, "/");
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.at[i] < '0' || digits.at[i] > '9' || i >= 5)
			return false;
		port = port * 10 + (unsigned long)(digits.at[i] - '0');
	}
	*out = (uint16_t)port;
	return port >= 1 && port <= UINT16_MAX;
}

static bool gena_path(const struct gena_slice *url, char out[GENA_PATH_MAX + 1])
{
	if ((url->len && url->at[0] != '/') || url->len > GENA_PATH_MAX)
		return false;
	for (size_t i = 0; i < url->len; i++)
		if (url->at[i] <= ' ' || url->at[i] >= 0x7f ||
		    strchr("<>\"\\^`{|}", url->at[i]))
			return false;
	snprintf(out, GENA_PATH_MAX + 1, "%.*s", url->len ? (int)url->len : 1,
		 url->len ? url->at : "/");
	return true;
}

/* One URL, without its angle brackets. Only an address literal, no name, no user part. */
static bool gena_url(struct gena_slice url, const struct in6_addr *client,
		     struct gena_callback *out)
{
	static const char scheme[] = "http://";

	if (url.len <= sizeof(scheme) - 1 ||
	    strncasecmp(url.at, scheme, sizeof(scheme) - 1) != 0)
		return false;
	slice_skip(&url, sizeof(scheme) - 1);
	if (!(url.at[0] == '[' ? gena_host_v6(&url, client) : gena_host_v4(&url, client)))
		return false;
	if (url.len && url.at[0] != ':' && url.at[0] != '/')
		return false;
	return gena_port(&url, &out->port) && gena_path(&url, out->path);
}

bool gena_callback(const char *header, const struct in6_addr *client,
		   struct gena_callback *out)
{
	const char *open = header;

	while ((open = strchr(open, '<'))) {
		const char *close = strchr(open, '>');
		struct gena_slice url = {open + 1, 0};

		if (!close)
			return false;
		url.len = (size_t)(close - url.at);
		if (gena_url(url, client, out))
			return true;
		open = close;
	}
	return false;
}

static struct gena_subscription *gena_find(struct gena *g, const char *sid)
{
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		struct gena_subscription *s = &g->subscriptions[i];

		if (s->taken && strcmp(s->sid, sid) == 0)
			return s;
	}
	return NULL;
}

bool gena_alive(const struct gena_subscription *s, uint64_t now_ms)
{
	return s->taken && s->until_ms > now_ms;
}

/* Is a missed less than b? */
static bool gena_before(const struct gena_subscription *a,
			const struct gena_subscription *b)
{
	return a->failed != b->failed ? a->failed : a->number < b->number;
}

/* A place for one more of this host: its own, if it has all that it may have, a free one, or
 * that of somebody who does not listen. */
static struct gena_subscription *gena_room(struct gena *g, const struct in6_addr *client,
					   uint64_t now_ms)
{
	struct gena_subscription *own = NULL, *deaf = NULL, *empty = NULL;
	size_t host = 0;

	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		struct gena_subscription *s = &g->subscriptions[i];

		if (!gena_alive(s, now_ms)) {
			empty = s;
			continue;
		}
		if (s->failed && (!deaf || gena_before(s, deaf)))
			deaf = s;
		if (!addr_equal(&s->client, client))
			continue;
		host++;
		if (!own || gena_before(s, own))
			own = s;
	}
	if (host >= GENA_PER_HOST)
		return own;
	return empty ? empty : deaf;
}

/* RFC 9562 section 5.4. */
static void gena_write_sid(char out[GENA_SID_TEXT], const uint8_t random[16])
{
	uint8_t u[16];

	memcpy(u, random, sizeof(u));
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
	snprintf(out, GENA_SID_TEXT,
		 "uuid:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
		 u[12], u[13], u[14], u[15]);
}

struct gena_subscription *gena_subscribe(struct gena *g, const struct in6_addr *client,
					 const struct gena_callback *callback,
					 unsigned int face, enum igd_service service,
					 const uint8_t random[16], uint64_t now_ms)
{
	struct gena_subscription *s = gena_room(g, client, now_ms);

	if (!s)
		return NULL;
	*s = (struct gena_subscription){
		.taken = true,
		.face = (uint8_t)face,
		.service = (uint8_t)service,
		.number = g->count++,
		.client = *client,
		.callback = *callback,
	};
	gena_write_sid(s->sid, random);
	gena_renew(s, now_ms);
	return s;
}

void gena_renew(struct gena_subscription *s, uint64_t now_ms)
{
	s->until_ms = now_ms + GENA_SECONDS * 1000ULL;
}

void gena_end(struct gena_subscription *s)
{
	s->taken = false;
}

int gena_check(struct gena *g, const struct http_request *req,
	       const struct in6_addr *client, uint64_t now_ms, enum gena_kind *kind,
	       struct gena_callback *callback, struct gena_subscription **s)
{
	*s = NULL;
	if (req->method == HTTP_SUBSCRIBE && !req->sid) {
		*kind = GENA_SUBSCRIBE;
		return req->callback && req->nt &&
				       strcasecmp(req->nt, "upnp:event") == 0 &&
				       gena_callback(req->callback, client, callback)
			       ? 0
			       : 412;
	}
	*kind = req->method == HTTP_SUBSCRIBE ? GENA_RENEW : GENA_UNSUBSCRIBE;
	if (req->nt || req->callback)
		return 400;
	*s = req->sid ? gena_find(g, req->sid) : NULL;
	return *s && gena_alive(*s, now_ms) && addr_equal(&(*s)->client, client) ? 0
										 : 412;
}

void gena_write_notify(struct gena_subscription *s, const struct events_set *set,
		       struct text *t)
{
	char body[GENA_NOTIFY_MAX], host[ADDR_PORT_TEXT];
	struct text b = text_in(body, sizeof(body));

	text_put(&b, "<?xml version=\"1.0\"?>\r\n"
		     "<e:propertyset xmlns:e=\"urn:schemas-upnp-org:event-1-0\">\r\n");
	for (size_t i = 0; i < set->n; i++)
		text_printf(&b, "<e:property><%s>%s</%s></e:property>\r\n", set->names[i],
			    set->values[i], set->names[i]);
	text_put(&b, "</e:propertyset>\r\n");
	text_printf(t,
		    "NOTIFY %s HTTP/1.1\r\nHOST: %s\r\n"
		    "CONTENT-TYPE: text/xml; charset=\"utf-8\"\r\nCONTENT-LENGTH: %zu\r\n"
		    "NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: %s\r\nSEQ: %u\r\n"
		    "CONNECTION: close\r\n\r\n",
		    s->callback.path, addr_port_text(&s->client, s->callback.port, host),
		    b.len, s->sid, s->seq);
	text_bytes(t, body, b.len);
	t->bad = t->bad || b.bad;
	s->seq = s->seq == UINT32_MAX ? 1 : s->seq + 1;
}
