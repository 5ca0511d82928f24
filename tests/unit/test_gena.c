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
static struct in6_addr client, other;
static char out[GENA_REQUEST_MAX];

static int setup(void **state)
{
	(void)state;
	memset(&g, 0, sizeof(g));
	addr_parse("192.168.1.20", &client);
	addr_parse("192.168.1.21", &other);
	return 0;
}

static bool callback(const char *header)
{
	struct text t = text_in(out, sizeof(out));

	return gena_callback(header, &client, &t);
}

/* Row U21, CVE-2020-12695. */
static void events_go_to_the_subscriber_only(void **state)
{
	static const struct {
		const char *header;
		const char *url;
	} good[] = {
		{"<http://192.168.1.20:5000/x>", "http://192.168.1.20:5000/x"},
		{"<HTTP://192.168.1.20>", "http://192.168.1.20:80/"},
		{"<http://192.168.1.20/a?b=c%20d>", "http://192.168.1.20:80/a?b=c%20d"},
		{"<http://11.0.0.2/> <http://192.168.1.20:65535/>",
		 "http://192.168.1.20:65535/"},
	};
	static const char *const bad[] = {
		"",
		"<>",
		"<http://>",
		"http://192.168.1.20/",
		"<http://192.168.1.20/",
		"<http://192.168.1.21/>",
		"<http://11.0.0.2/>",
		"<http://127.0.0.1/>",
		"<http://xbox/>",
		"<http://192.168.1.20@11.0.0.2/>",
		"<http://192.168.1.20:80@11.0.0.2/>",
		"<http://192.168.1.20.evil.com/>",
		"<http://192.168.1.20:0/>",
		"<http://192.168.1.20:65536/>",
		"<http://192.168.1.20:/>",
		"<http://192.168.1.20:123456/>",
		"<https://192.168.1.20/>",
		"<http://[::ffff:192.168.1.20]/>",
		"<http://192.168.1.20/a b>",
		"<http://192.168.1.20/\x01>",
		"<http://192.168.1.20/\xc3\xa4>",
		"<http://192.168.1.020/>",
		"<http://3232235796/>",
		"<<http://192.168.1.20/>",
	};
	char path[400];

	(void)state;
	for (size_t i = 0; i < SIZE(good); i++) {
		assert_true(callback(good[i].header));
		assert_string_equal(out, good[i].url);
	}
	for (size_t i = 0; i < SIZE(bad); i++)
		if (callback(bad[i]))
			fail_msg("taken: %s", bad[i]);
	sprintf(path, "<http://192.168.1.20/%0300d>", 0);
	assert_false(callback(path));
}

static int check(enum http_method method, const char *cb, const char *nt, const char *sid,
		 const struct in6_addr *who, uint64_t now)
{
	struct http_request req = {.method = method,
				   .path = "/evt/IPConn",
				   .callback = cb,
				   .nt = nt,
				   .sid = sid};
	struct text t = text_in(out, sizeof(out));
	enum gena_kind kind;

	return gena_check(&g, &req, who, now, &kind, &t);
}

/* Rows U19, U20. */
static void subscriptions_are_checked_and_written_anew(void **state)
{
	struct gena_subscription *s;

	(void)state;
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, "upnp:event", NULL, &client, 0),
			 0);
	assert_string_equal(out, "SUBSCRIBE /evt/IPConn HTTP/1.1\r\nHOST: 127.0.0.1\r\n"
				 "CALLBACK: " CALLBACK "\r\nNT: upnp:event\r\n"
				 "TIMEOUT: Second-1800\r\n\r\n");
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, "upnp:event", NULL, &client, 0),
			 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, NULL, NULL, &client, 0), 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, "x", NULL, &client, 0), 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:1", &client, 0), 412);
	s = gena_reserve(&g, &client, 0);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "", &client, 0), 412);
	gena_subscribed(s, "uuid:1", 0);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:1", &client, 1), 0);
	assert_string_equal(out, "SUBSCRIBE /evt/IPConn HTTP/1.1\r\nHOST: 127.0.0.1\r\n"
				 "SID: uuid:1\r\nTIMEOUT: Second-1800\r\n\r\n");
	assert_int_equal(check(HTTP_SUBSCRIBE, CALLBACK, NULL, "uuid:1", &client, 1),
			 400);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, "upnp:event", "uuid:1", &client, 1),
			 400);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:1", &other, 1), 412);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, NULL, &client, 1), 412);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, "uuid:1", &other, 1), 412);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, "uuid:1", &client, 1), 0);
	assert_string_equal(out, "UNSUBSCRIBE /evt/IPConn HTTP/1.1\r\nHOST: 127.0.0.1\r\n"
				 "SID: uuid:1\r\n\r\n");
	gena_unsubscribed(&g, "uuid:1");
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, "uuid:1", &client, 1), 412);
}

static void subscriptions_end_unless_renewed(void **state)
{
	(void)state;
	gena_subscribed(gena_reserve(&g, &client, 0), "uuid:1", 0);
	gena_subscribed(gena_reserve(&g, &client, 0), "uuid:2", 0);
	gena_renewed(&g, "uuid:2", 1000);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:1", &client, 1799999),
			 0);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:1", &client, 1800000),
			 412);
	assert_int_equal(check(HTTP_SUBSCRIBE, NULL, NULL, "uuid:2", &client, 1800000),
			 0);
}

/* Row U22. */
static void places_are_limited_per_host_and_in_all(void **state)
{
	struct gena_subscription *s[GENA_PER_HOST];
	char text[32];
	int n = 0;

	(void)state;
	for (int i = 0; i < GENA_PER_HOST; i++)
		assert_non_null(s[i] = gena_reserve(&g, &client, 0));
	assert_null(gena_reserve(&g, &client, 0)); /* also while the engine is asked */
	assert_null(gena_reserve(&g, &client, 1ULL << 40));
	assert_non_null(gena_reserve(&g, &other, 0));
	gena_release(s[0]);
	assert_non_null(s[0] = gena_reserve(&g, &client, 0));
	for (int i = 0; i < GENA_PER_HOST; i++) {
		snprintf(text, sizeof(text), "uuid:%d", i);
		gena_subscribed(s[i], text, 0);
	}
	assert_null(gena_reserve(&g, &client, 1799999));
	assert_non_null(gena_reserve(&g, &client, 1800000));
	for (uint8_t i = 0; i < 100; i++) {
		client.s6_addr[15] = (uint8_t)(100 + i);
		n += gena_reserve(&g, &client, 1800000) != NULL;
	}
	assert_int_equal(n, GENA_SUBSCRIPTIONS - 2);
}

static void sids_of_any_length_are_survived(void **state)
{
	char sid[GENA_SID_MAX + 2];

	(void)state;
	memset(sid, 'a', sizeof(sid));
	sid[GENA_SID_MAX + 1] = '\0';
	gena_subscribed(gena_reserve(&g, &client, 0), sid, 0);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, sid, &client, 1), 412);
	sid[GENA_SID_MAX] = '\0';
	gena_subscribed(gena_reserve(&g, &client, 0), sid, 0);
	assert_int_equal(check(HTTP_UNSUBSCRIBE, NULL, NULL, sid, &client, 1), 0);
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
			const struct scpd *scpd = description_service(face, s)->scpd;
			struct events_set set;
			size_t n = 0;

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
		cmocka_unit_test_setup(subscriptions_are_checked_and_written_anew, setup),
		cmocka_unit_test_setup(subscriptions_end_unless_renewed, setup),
		cmocka_unit_test_setup(places_are_limited_per_host_and_in_all, setup),
		cmocka_unit_test_setup(sids_of_any_length_are_survived, setup),
		cmocka_unit_test(changes_are_told_five_times_a_second),
		cmocka_unit_test(the_first_event_has_all_evented_variables),
		cmocka_unit_test(the_two_counters_go_together_in_v2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
