/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "igd/events.h"
#include "igd/gena.h"

#define CALLBACK "<http://192.168.1.20:5000/x>"
#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct gena g;
static struct in6_addr client, other, client6, local6;
static const uint8_t random_bytes[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const struct gena_callback here = {.port = 5000, .path = "/x"};

static int setup(void **state)
{
	(void)state;
	memset(&g, 0, sizeof(g));
	addr_parse("192.168.1.20", &client);
	addr_parse("192.168.1.21", &other);
	addr_parse("2a01:77::20", &client6);
	addr_parse("fe80::1:2", &local6);
	return 0;
}

/* Rows U19, U21, CVE-2020-12695. */
static void events_go_to_the_subscriber_only(void **state)
{
	static const struct {
		const struct in6_addr *client;
		const char *header;
		uint16_t port;
		const char *path;
	} good[] = {
		{&client, "<http://192.168.1.20:5000/x>", 5000, "/x"},
		{&client, "<HTTP://192.168.1.20>", 80, "/"},
		{&client, "<http://192.168.1.20/a?b=c%20d>", 80, "/a?b=c%20d"},
		{&client, "<http://192.168.1.20:81>", 81, "/"},
		{&client, "<http://11.0.0.2/> <http://192.168.1.20:65535/>", 65535, "/"},
		{&client6, "<http://[2a01:77::20]:5000/x>", 5000, "/x"},
		{&client6, "<http://192.168.1.20/><http://[2A01:77:0::20]>", 80, "/"},
		{&local6, "<http://[fe80::1:2]:1/>", 1, "/"},
		{&local6, "<http://[fe80::1:2%25eth0]:5000/x>", 5000, "/x"},
		{&local6, "<http://[fe80::1:2%3]/>", 80, "/"},
	};
	static const struct {
		const struct in6_addr *client;
		const char *header;
	} bad[] = {
		{&client, ""},
		{&client, "<>"},
		{&client, "<http://>"},
		{&client, "http://192.168.1.20/"},
		{&client, "<http://192.168.1.20/"},
		{&client, "<http://192.168.1.21/>"},
		{&client, "<http://11.0.0.2/>"},
		{&client, "<http://127.0.0.1/>"},
		{&client, "<http://xbox/>"},
		{&client, "<http://192.168.1.20@11.0.0.2/>"},
		{&client, "<http://192.168.1.20:80@11.0.0.2/>"},
		{&client, "<http://192.168.1.20.evil.com/>"},
		{&client, "<http://192.168.1.20:0/>"},
		{&client, "<http://192.168.1.20:65536/>"},
		{&client, "<http://192.168.1.20:/>"},
		{&client, "<http://192.168.1.20:123456/>"},
		{&client, "<https://192.168.1.20/>"},
		{&client, "<http://[::ffff:192.168.1.20]/>"},
		{&client, "<http://192.168.1.20/a b>"},
		{&client, "<http://192.168.1.20/\x01>"},
		{&client, "<http://192.168.1.20/\xc3\xa4>"},
		{&client, "<http://192.168.1.020/>"},
		{&client, "<http://3232235796/>"},
		{&client, "<<http://192.168.1.20/>"},
		{&client6, "<http://2a01:77::20/>"},
		{&client6, "<http://[2a01:77::21]/>"},
		{&client6, "<http://[2a01:77::20/>"},
		{&client6, "<http://[]/>"},
		{&client6, "<http://[>"},
		{&client6, "<http://[2a01:77::20]x/>"},
		{&client6, "<http://[2a01:77::20]@11.0.0.2/>"},
		{&client6, "<http://[2a01:77::20%/>"},
		{&client6, "<http://192.168.1.20/>"},
		{&local6, "<http://[fe80::1:3%25eth0]/>"},
	};
	struct gena_callback got;
	char path[400];

	(void)state;
	for (size_t i = 0; i < SIZE(good); i++) {
		if (!gena_callback(good[i].header, good[i].client, &got))
			fail_msg("refused: %s", good[i].header);
		assert_int_equal(got.port, good[i].port);
		assert_string_equal(got.path, good[i].path);
	}
	for (size_t i = 0; i < SIZE(bad); i++)
		if (gena_callback(bad[i].header, bad[i].client, &got))
			fail_msg("taken: %s", bad[i].header);
	sprintf(path, "<http://192.168.1.20/%0254d>", 0);
	assert_true(gena_callback(path, &client, &got));
	sprintf(path, "<http://192.168.1.20/%0255d>", 0);
	assert_false(gena_callback(path, &client, &got));
}

static struct gena_subscription *subscribe(const struct in6_addr *who, uint64_t now)
{
	static uint8_t bytes[16];

	bytes[0]++;
	bytes[1] = (uint8_t)(bytes[1] + !bytes[0]);
	return gena_subscribe(&g, who, &here, 1, IGD_CONNECTION, bytes, now);
}

static int check(enum http_method method, const char *cb, const char *nt, const char *sid,
		 const struct in6_addr *who, uint64_t now)
{
	struct http_request req = {.method = method,
				   .path = "/evt/IPConn",
				   .callback = cb,
				   .nt = nt,
				   .sid = sid};
	struct gena_subscription *s;
	struct gena_callback got;
	enum gena_kind kind;
	int status = gena_check(&g, &req, who, now, &kind, &got, &s);

	if (!status && kind != GENA_SUBSCRIBE)
		assert_string_equal(s->sid, sid);
	return status;
}

/* Rows U19, U20. */
static void subscriptions_are_checked(void **state)
{
	struct gena_subscription *s;

	(void)state;
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, "upnp:event", NULL, &client, 0),
			 0);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, "upnp:event", NULL, &client, 0),
			 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, NULL, NULL, &client, 0), 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, "x", NULL, &client, 0), 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:1", &client, 0), 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "", &client, 0), 412);
	s = gena_subscribe(&g, &client, &here, 0, IGD_COMMON, random_bytes, 0);
	assert_string_equal(s->sid, "uuid:ffffffff-ffff-4fff-bfff-ffffffffffff");
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, s->sid, &client, 1), 0);
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, NULL, s->sid, &client, 1), 400);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, "upnp:event", s->sid, &client, 1),
			 400);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, s->sid, &other, 1), 412);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, NULL, &client, 1), 412);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, s->sid, &other, 1), 412);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, s->sid, &client, 1), 0);
	gena_end(s);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, s->sid, &client, 1), 412);
}

static void subscriptions_end_unless_renewed(void **state)
{
	struct gena_subscription *a = subscribe(&client, 0), *b = subscribe(&client, 0);

	(void)state;
	gena_renew(b, 1000);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, a->sid, &client, 1799999), 0);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, a->sid, &client, 1800000),
			 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, b->sid, &client, 1800000), 0);
	assert_false(gena_alive(a, 1800000));
}

static size_t alive(const struct in6_addr *who, uint64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < GENA_SUBSCRIPTIONS; i++)
		n += gena_alive(&g.subscriptions[i], now) &&
		     (!who || addr_equal(&g.subscriptions[i].client, who));
	return n;
}

/* Row U22. A console that was switched off without a word may come back often. */
static void a_host_loses_its_oldest_place_to_its_newest(void **state)
{
	struct gena_subscription *others = subscribe(&other, 0), *oldest, *deaf;
	char sid[GENA_SID_TEXT];

	(void)state;
	oldest = subscribe(&client, 0);
	subscribe(&client, 0);
	deaf = subscribe(&client, 0);
	for (int i = 3; i < GENA_PER_HOST; i++)
		assert_non_null(subscribe(&client, 0));
	deaf->failed = true;
	assert_ptr_equal(subscribe(&client, 0), deaf); /* that one goes first */
	assert_false(deaf->failed);
	strcpy(sid, oldest->sid);
	assert_ptr_equal(subscribe(&client, 0), oldest);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, sid, &client, 1), 412);
	assert_int_equal(alive(&client, 1), GENA_PER_HOST);
	assert_true(gena_alive(others, 1));
}

/* Row U22. */
static void those_who_do_not_listen_make_room(void **state)
{
	struct gena_subscription *s;
	size_t n = 0;

	(void)state;
	for (uint8_t i = 0; i < 100; i++) {
		client.s6_addr[15] = (uint8_t)(100 + i);
		n += subscribe(&client, 0) != NULL;
	}
	assert_int_equal(n, GENA_SUBSCRIPTIONS);
	assert_null(subscribe(&other, 1));
	s = &g.subscriptions[17];
	s->failed = true;
	s->seq = 9;
	s->welcomed = true;
	assert_ptr_equal(subscribe(&other, 1), s);
	assert_int_equal(s->seq, 0);
	assert_false(s->welcomed);
	assert_null(subscribe(&client6, 2));
	assert_non_null(subscribe(&client6, 1800000)); /* all but one have expired */
	assert_int_equal(alive(NULL, 1800000), 2);
}

/* Rows U19, U23. */
static void a_notify_is_whole_and_counts_itself(void **state)
{
	struct events_set set = {.n = 2, .names = {"A", "B"}, .values = {"1", "&lt;"}};
	static const char body[] =
		"<?xml version=\"1.0\"?>\r\n"
		"<e:propertyset xmlns:e=\"urn:schemas-upnp-org:event-1-0\">\r\n"
		"<e:property><A>1</A></e:property>\r\n"
		"<e:property><B>&lt;</B></e:property>\r\n"
		"</e:propertyset>\r\n";
	char out[GENA_NOTIFY_MAX], want[GENA_NOTIFY_MAX];
	struct text t = text_in(out, sizeof(out));
	struct gena_subscription *s = subscribe(&local6, 0);

	(void)state;
	snprintf(want, sizeof(want),
		 "NOTIFY /x HTTP/1.1\r\nHOST: [fe80::1:2]:5000\r\n"
		 "CONTENT-TYPE: text/xml; charset=\"utf-8\"\r\nCONTENT-LENGTH: %zu\r\n"
		 "NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: %s\r\nSEQ: 0\r\n"
		 "CONNECTION: close\r\n\r\n%s",
		 sizeof(body) - 1, s->sid, body);
	gena_write_notify(s, &set, &t);
	assert_string_equal(out, want);
	assert_int_equal(t.len, strlen(want));
	assert_int_equal(s->seq, 1);
	s->seq = UINT32_MAX;
	t = text_in(out, sizeof(out));
	gena_write_notify(s, &set, &t);
	assert_non_null(strstr(out, "\r\nSEQ: 4294967295\r\n"));
	assert_int_equal(s->seq, 1);
}

/* The largest there can be fits. */
static void the_longest_notify_fits(void **state)
{
	char out[GENA_NOTIFY_MAX], header[300];
	struct text t = text_in(out, sizeof(out));
	struct events_set set = {.n = EVENTS_VARIABLES};
	struct gena_subscription *s = subscribe(&client, 0);

	(void)state;
	for (size_t i = 0; i < EVENTS_VARIABLES; i++) {
		set.names[i] = "PortMappingNumberOfEntries";
		memset(set.values[i], 'x', EVENTS_VALUE_MAX);
	}
	sprintf(header, "<http://192.168.1.20:65535/%0254d>", 0);
	assert_true(gena_callback(header, &client, &s->callback));
	s->seq = UINT32_MAX;
	gena_write_notify(s, &set, &t);
	assert_false(t.bad);
}

static void changes_are_told_five_times_a_second(void **state)
{
	struct events e = {0};
	struct record_state now = {.entries = 1, .update_id = 1};
	uint64_t wait;

	(void)state;
	assert_int_equal(events_take(&e, &now, 1000, &wait),
			 EVENTS_ENTRIES | EVENTS_UPDATE);
	assert_int_equal(wait, 0);
	assert_int_equal(events_take(&e, &now, 1001, &wait), 0);
	assert_int_equal(wait, 0); /* nothing to tell, nothing to wait for */
	now.entries = 2;
	assert_int_equal(events_take(&e, &now, 1050, &wait), 0);
	assert_int_equal(wait, 150);
	now.wan_up = 1;
	assert_int_equal(events_take(&e, &now, 1200, &wait),
			 EVENTS_ENTRIES | EVENTS_STATUS);
	now.entries = 3;
	assert_int_equal(events_take(&e, &now, 1300, &wait), 0);
	now.entries = 2; /* back again before anybody was told */
	assert_int_equal(events_take(&e, &now, 1301, &wait), 0);
	assert_int_equal(wait, 0);
	now.rx_bytes = 1;
	assert_int_equal(events_take(&e, &now, 9000, &wait), 0);
}

static const char *value(const struct events_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->names[i], name) == 0)
			return set->values[i];
	return NULL;
}

/* Row U23. */
static void the_first_event_has_all_evented_variables(void **state)
{
	struct record_state now = {.entries = 70000, .update_id = 9, .wan_up = 1};

	(void)state;
	addr_parse("11.0.0.1", &now.wan4);
	for (unsigned int face = 0; face < IGD_FACES; face++) {
		for (unsigned int s = 0; s < IGD_SERVICES; s++) {
			const struct igd_service_def *def = description_service(face, s);
			const struct scpd *scpd = def ? def->scpd : NULL;
			struct events_set set;
			size_t n = 0;

			if (!scpd)
				continue;

			events_write(&set, face, s, EVENTS_ALL, &now, "uuid:x");
			for (const struct scpd_variable *v = scpd->variables; v->name;
			     v++) {
				assert_true(!v->evented == !value(&set, v->name));
				n += v->evented;
			}
			assert_int_equal(set.n, n);
			assert_true(n <= EVENTS_VARIABLES);
			if (s == IGD_CONNECTION) {
				assert_string_equal(value(&set, "ExternalIPAddress"),
						    "11.0.0.1");
				assert_string_equal(
					value(&set, "PortMappingNumberOfEntries"),
					"65535");
			}
		}
	}
}

static void the_two_counters_go_together_in_v2(void **state)
{
	struct record_state now = {.entries = 3, .update_id = 9};
	struct events_set set;

	(void)state;
	events_write(&set, 1, IGD_CONNECTION, EVENTS_UPDATE, &now, "");
	assert_int_equal(set.n, 2);
	assert_string_equal(value(&set, "SystemUpdateID"), "9");
	assert_string_equal(value(&set, "PortMappingNumberOfEntries"), "3");
	events_write(&set, 0, IGD_CONNECTION, EVENTS_UPDATE, &now, "");
	assert_int_equal(set.n, 0);
	events_write(&set, 0, IGD_CONNECTION, EVENTS_ENTRIES, &now, "");
	assert_int_equal(set.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(events_go_to_the_subscriber_only, setup),
		cmocka_unit_test_setup(subscriptions_are_checked, setup),
		cmocka_unit_test_setup(subscriptions_end_unless_renewed, setup),
		cmocka_unit_test_setup(a_host_loses_its_oldest_place_to_its_newest,
				       setup),
		cmocka_unit_test_setup(those_who_do_not_listen_make_room, setup),
		cmocka_unit_test_setup(a_notify_is_whole_and_counts_itself, setup),
		cmocka_unit_test_setup(the_longest_notify_fits, setup),
		cmocka_unit_test(changes_are_told_five_times_a_second),
		cmocka_unit_test(the_first_event_has_all_evented_variables),
		cmocka_unit_test(the_two_counters_go_together_in_v2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
