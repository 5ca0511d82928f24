/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscriptions by a few hosts: what libupnp is given instead has one head, is ASCII, and
 * leads events to the subscriber alone (CVE-2020-12695).
 *
 * An input: requests of a byte (which host, what the engine does, the clock), a byte of
 * length times 2, and the head of an HTTP request.
 */
#include "base/addr.h"
#include "igd/gena.h"
#include "tests/fuzz/fuzz.h"

#define REQUESTS_MAX 64

static struct gena gena;

/* CALLBACK: <http://CLIENT:port/...>, and no other URL. */
static void check_callback(const char *out, const struct in6_addr *client)
{
	char want[80], text[ADDR_TEXT];
	const char *at = strstr(out, "CALLBACK: <");

	must(at);
	snprintf(want, sizeof(want), "CALLBACK: <http://%s:", addr_text(client, text));
	must(!strncmp(at, want, strlen(want)));
	must(!strchr(at + 11, '<') && strchr(at, '>') == strrchr(at, '>'));
}

static void check_out(const char *out, size_t len)
{
	const char *end = strstr(out, "\r\n\r\n");

	must(strlen(out) == len && end && end[4] == '\0');
	for (const char *p = out; *p; p++)
		must((*p >= ' ' && *p <= '~') || *p == '\r' || *p == '\n' || *p == '\t');
}

static void check_counts(void)
{
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		const struct gena_subscription *s = &gena.subscriptions[i];
		size_t same = 0;

		must(memchr(s->sid, '\0', sizeof(s->sid)));
		for (size_t o = 0; s->taken && o < GENA_SUBSCRIPTIONS; o++)
			same += gena.subscriptions[o].taken &&
				addr_equal(&gena.subscriptions[o].client, &s->client);
		must(same <= GENA_PER_HOST);
	}
}

static void engine(enum gena_kind kind, const struct http_request *req, uint8_t bits,
		   const struct in6_addr *client, uint64_t now_ms)
{
	struct gena_subscription *s;
	char sid[32];

	switch (kind) {
	case GENA_SUBSCRIBE:
		s = gena_reserve(&gena, client, now_ms);
		snprintf(sid, sizeof(sid), "uuid:%u", bits >> 4);
		if (s && bits & 8)
			gena_release(s);
		else if (s)
			gena_subscribed(s, sid, now_ms);
		break;
	case GENA_RENEW:
		gena_renewed(&gena, req->sid, now_ms);
		break;
	case GENA_UNSUBSCRIBE:
		gena_unsubscribed(&gena, req->sid);
		break;
	}
}

static void one_request(struct feed *f, uint64_t *now_ms)
{
	static struct http_request req;
	uint8_t bits = feed_u8(f);
	size_t len = feed_u8(f) * 2U;
	struct in6_addr client = addr_from_v4(
		(struct in_addr){htonl(0xc0a80114 + (bits & 3))});
	char out[GENA_REQUEST_MAX], *head;
	struct text t = text_in(out, sizeof(out));
	enum gena_kind kind;
	int status;

	*now_ms += bits & 4 ? 700000 : 1;
	head = (char *)feed_block(f, &len);
	status = http_parse_head(&req, head, len);
	free(head);
	if (status || (req.method != HTTP_SUBSCRIBE && req.method != HTTP_UNSUBSCRIBE))
		return;
	status = gena_check(&gena, &req, &client, *now_ms, &kind, &t);
	must(status == 0 || status == 400 || status == 412);
	must(strlen(out) < sizeof(out));
	if (status)
		return;
	check_out(out, t.len);
	if (kind == GENA_SUBSCRIBE)
		check_callback(out, &client);
	engine(kind, &req, bits, &client, *now_ms);
	check_counts();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = {data, size};
	uint64_t now_ms = 1000;

	memset(&gena, 0, sizeof(gena));
	for (int i = 0; f.left && i < REQUESTS_MAX; i++)
		one_request(&f, &now_ms);
	return 0;
}
