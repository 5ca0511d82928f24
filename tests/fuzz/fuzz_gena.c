/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscriptions by a few hosts: each is its host's own, what it is sent is whole and ASCII,
 * and no host takes more places than it may.
 *
 * An input: requests of a byte (which host, the clock, whether its events arrive, what it
 * subscribes to), a byte of length times 2, and the head of an HTTP request.
 */
#include "base/addr.h"
#include "igd/gena.h"
#include "tests/fuzz/fuzz.h"

#define REQUESTS_MAX 64

static struct gena gena;

static void check_callback(const struct gena_callback *to)
{
	must(to->port && memchr(to->path, '\0', sizeof(to->path)) && to->path[0] == '/');
	for (const char *p = to->path; *p; p++)
		must(*p > ' ' && *p <= '~' && !strchr("<>\"", *p));
}

/* One head, one body of the length that it says, ASCII. */
static void check_notify(struct gena_subscription *s)
{
	char out[GENA_NOTIFY_MAX], want[64];
	struct text t = text_in(out, sizeof(out));
	struct record_state state = {.entries = 1, .update_id = 2};
	struct events_set set;
	uint32_t seq = s->seq;
	const char *end;

	events_write(&set, s->face, s->service, EVENTS_ALL, &state, "uuid:x");
	gena_write_notify(s, &set, &t);
	must(!t.bad && strlen(out) == t.len && s->seq != seq && s->seq);
	end = strstr(out, "\r\n\r\n");
	must(end && !strncmp(out, "NOTIFY /", 8));
	snprintf(want, sizeof(want), "\r\nCONTENT-LENGTH: %zu\r\n", strlen(end + 4));
	must(strstr(out, want) && strstr(out, want) < end);
	for (const char *p = out; *p; p++)
		must((*p >= ' ' && *p <= '~') || *p == '\r' || *p == '\n');
}

static void check_counts(uint64_t now_ms)
{
	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++) {
		const struct gena_subscription *s = &gena.subscriptions[i];
		size_t same = 0;

		must(memchr(s->sid, '\0', sizeof(s->sid)));
		for (size_t o = 0; o < GENA_SUBSCRIPTIONS; o++)
			same += gena_alive(&gena.subscriptions[o], now_ms) &&
				addr_equal(&gena.subscriptions[o].client, &s->client);
		must(same <= GENA_PER_HOST);
	}
}

static void done(enum gena_kind kind, uint8_t bits, const struct in6_addr *client,
		 const struct gena_callback *callback, struct gena_subscription *s,
		 uint64_t now_ms)
{
	const uint8_t random[16] = {bits};

	switch (kind) {
	case GENA_SUBSCRIBE:
		check_callback(callback);
		s = gena_subscribe(&gena, client, callback, bits >> 7, bits >> 4 & 1,
				   random, now_ms);
		if (!s)
			return;
		s->failed = bits & 8;
		check_notify(s);
		break;
	case GENA_RENEW:
		must(addr_equal(&s->client, client));
		gena_renew(s, now_ms);
		break;
	case GENA_UNSUBSCRIBE:
		must(addr_equal(&s->client, client));
		gena_end(s);
		break;
	}
}

/* Three hosts by IPv4, one by IPv6. */
static struct in6_addr host(unsigned int n)
{
	struct in6_addr a = {.s6_addr = {0xfe, 0x80, [15] = 0x14}};

	return n == 3 ? a : addr_from_v4((struct in_addr){htonl(0xc0a80114 + n)});
}

static void one_request(struct feed *f, uint64_t *now_ms)
{
	static struct http_request req;
	uint8_t bits = feed_u8(f);
	size_t len = feed_u8(f) * 2U;
	struct in6_addr client = host(bits & 3);
	struct gena_subscription *s;
	struct gena_callback callback;
	enum gena_kind kind;
	char *head;
	int status;

	*now_ms += bits & 4 ? 700000 : 1;
	head = (char *)feed_block(f, &len);
	status = http_parse_head(&req, head, len);
	free(head);
	if (status || (req.method != HTTP_SUBSCRIBE && req.method != HTTP_UNSUBSCRIBE))
		return;
	status = gena_check(&gena, &req, &client, *now_ms, &kind, &callback, &s);
	must(status == 0 || status == 400 || status == 412);
	if (status)
		return;
	done(kind, bits, &client, &callback, s, *now_ms);
	check_counts(*now_ms);
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
