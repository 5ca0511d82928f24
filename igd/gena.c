/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "igd/gena.h"

#include <string.h>
#include <strings.h>

#include "base/addr.h"

#define GENA_PATH_MAX 255

/* One URL, without its angle brackets. Only an IPv4 literal, no name, no user part. */
static bool gena_url(const char *url, size_t len, const struct in6_addr *client,
		     struct text *t)
{
	static const char scheme[] = "http://";
	char host[ADDR_TEXT], ours[ADDR_TEXT];
	unsigned long port = 80;
	size_t n;

	if (len <= sizeof(scheme) - 1 ||
	    strncasecmp(url, scheme, sizeof(scheme) - 1) != 0)
		return false;
	url += sizeof(scheme) - 1;
	len -= sizeof(scheme) - 1;
	for (n = 0; n < len && url[n] != ':' && url[n] != '/'; n++)
		;
	if (n >= sizeof(host))
		return false;
	memcpy(host, url, n);
	host[n] = '\0';
	if (strcmp(host, addr_text(client, ours)) != 0)
		return false;
	url += n;
	len -= n;
	if (len && *url == ':') {
		port = 0;
		for (n = 1; n < len && n <= 5 && url[n] >= '0' && url[n] <= '9'; n++)
			port = port * 10 + (unsigned long)(url[n] - '0');
		if (port < 1 || port > 65535)
			return false;
		url += n;
		len -= n;
	}
	if ((len && *url != '/') || len > GENA_PATH_MAX)
		return false;
	for (n = 0; n < len; n++)
		if (url[n] <= ' ' || url[n] >= 0x7f || strchr("<>\"\\^`{|}", url[n]))
			return false;
	text_printf(t, "http://%s:%lu%.*s", ours, port, len ? (int)len : 1,
		    len ? url : "/");
	return !t->bad;
}

bool gena_callback(const char *header, const struct in6_addr *client, struct text *t)
{
	const char *open = header;

	while ((open = strchr(open, '<'))) {
		const char *close = strchr(open, '>');

		if (!close)
			return false;
		if (gena_url(open + 1, (size_t)(close - open - 1), client, t))
			return true;
		open = close;
	}
	return false;
}

static struct gena_subscription *gena_find(struct gena *g, const char *sid)
{
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		struct gena_subscription *s = &g->subscriptions[i];

		if (s->taken && s->sid[0] && strcmp(s->sid, sid) == 0)
			return s;
	}
	return NULL;
}

struct gena_subscription *gena_reserve(struct gena *g, const struct in6_addr *client,
				       uint64_t now_ms)
{
	struct gena_subscription *room = NULL;
	size_t host = 0;

	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		struct gena_subscription *s = &g->subscriptions[i];

		/* One without SID is released by whoever reserved it. */
		if (s->taken && s->sid[0] && s->until_ms <= now_ms)
			s->taken = false;
		if (!s->taken)
			room = s;
		else
			host += addr_equal(&s->client, client);
	}
	if (!room || host >= GENA_PER_HOST)
		return NULL;
	*room = (struct gena_subscription){.taken = true, .client = *client};
	return room;
}

static int gena_check_new(const struct http_request *req, const struct in6_addr *client,
			  struct text *t)
{
	if (!req->callback || !req->nt || strcasecmp(req->nt, "upnp:event") != 0)
		return 412;
	text_printf(t, "SUBSCRIBE %s HTTP/1.1\r\nHOST: 127.0.0.1\r\nCALLBACK: <",
		    req->path);
	if (!gena_callback(req->callback, client, t))
		return 412;
	text_printf(t, ">\r\nNT: upnp:event\r\nTIMEOUT: Second-%d\r\n\r\n", GENA_SECONDS);
	return t->bad ? 412 : 0;
}

/* A SID that we gave to this very host. */
static int gena_check_sid(struct gena *g, const struct http_request *req,
			  const struct in6_addr *client, uint64_t now_ms)
{
	const struct gena_subscription *s;

	if (req->nt || req->callback)
		return 400;
	s = req->sid ? gena_find(g, req->sid) : NULL;
	return s && s->until_ms > now_ms && addr_equal(&s->client, client) ? 0 : 412;
}

int gena_check(struct gena *g, const struct http_request *req,
	       const struct in6_addr *client, uint64_t now_ms, enum gena_kind *kind,
	       struct text *t)
{
	int status;

	if (req->method == HTTP_SUBSCRIBE && !req->sid) {
		*kind = GENA_SUBSCRIBE;
		return gena_check_new(req, client, t);
	}
	*kind = req->method == HTTP_SUBSCRIBE ? GENA_RENEW : GENA_UNSUBSCRIBE;
	status = gena_check_sid(g, req, client, now_ms);
	if (status)
		return status;
	text_printf(t, "%sSUBSCRIBE %s HTTP/1.1\r\nHOST: 127.0.0.1\r\nSID: %s\r\n",
		    *kind == GENA_RENEW ? "" : "UN", req->path, req->sid);
	if (*kind == GENA_RENEW)
		text_printf(t, "TIMEOUT: Second-%d\r\n", GENA_SECONDS);
	text_put(t, "\r\n");
	return t->bad ? 412 : 0;
}

void gena_subscribed(struct gena_subscription *s, const char *sid, uint64_t now_ms)
{
	size_t n = strlen(sid);

	s->until_ms = now_ms + GENA_SECONDS * 1000ULL;
	s->taken = n > 0 && n <= GENA_SID_MAX;
	if (s->taken)
		memcpy(s->sid, sid, n + 1);
}

void gena_release(struct gena_subscription *s)
{
	s->taken = false;
}

void gena_renewed(struct gena *g, const char *sid, uint64_t now_ms)
{
	struct gena_subscription *s = gena_find(g, sid);

	if (s)
		s->until_ms = now_ms + GENA_SECONDS * 1000ULL;
}

void gena_unsubscribed(struct gena *g, const char *sid)
{
	struct gena_subscription *s = gena_find(g, sid);

	if (s)
		s->taken = false;
}
