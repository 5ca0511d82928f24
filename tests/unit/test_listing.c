/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The document of GetListOfPortMappings: W16. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "igd/listing.h"

static struct lease_request first(void)
{
	return (struct lease_request){.tag = 9,
				      .op = LEASE_OP_GET_NEXT,
				      .by = LEASE_BY_UPNP,
				      .protocol = IPPROTO_UDP,
				      .ext_port = 1024,
				      .last_port = 65535};
}

static struct lease_reply entry(uint16_t port, const char *description)
{
	struct lease_reply r = {
		.protocol = IPPROTO_UDP, .ext_port = port, .int_port = 3074};

	assert_int_equal(addr_parse("192.168.1.20", &r.internal), 0);
	strncpy(r.description, description, LEASE_DESCRIPTION_MAX);
	return r;
}

static void each_entry_asks_for_the_one_behind_it(void **state)
{
	struct lease_request req = first(), next;
	struct lease_reply r = entry(2000, "a");
	struct listing *l = listing_new(&req, 0);

	(void)state;
	r.remote_len = 128;
	assert_int_equal(addr_parse("11.0.0.2", &r.remote), 0);
	assert_true(listing_add(l, &r, 60, &next));
	assert_int_equal(next.index, 1);
	assert_int_equal(next.ext_port, 2000);
	assert_int_equal(next.last_port, 65535);
	assert_int_equal(next.remote_len, 128);
	assert_true(addr_equal(&next.remote, &r.remote));
	r = entry(2001, "b");
	assert_true(listing_add(l, &r, 60, &next));
	assert_int_equal(next.index, 2);
	assert_int_equal(next.remote_len, 0);
	r.reason = LEASE_NOT_FOUND;
	assert_false(listing_add(l, &r, 60, &next));
	assert_non_null(strstr(listing_end(l), "<p:NewRemoteHost>11.0.0.2<"));
	assert_non_null(strstr(listing_end(l), "<p:NewExternalPort>2001<"));
	listing_free(l);
}

static void no_more_than_were_asked_for(void **state)
{
	struct lease_request req = first(), next;
	struct lease_reply r = entry(2000, "a");
	struct listing *l = listing_new(&req, 2);

	(void)state;
	assert_true(listing_add(l, &r, 60, &next));
	assert_false(listing_add(l, &r, 60, &next));
	listing_free(l);
}

static void an_empty_one_is_none(void **state)
{
	struct lease_request req = first(), next;
	struct lease_reply r = {.reason = LEASE_NOT_FOUND};
	struct listing *l = listing_new(&req, 0);

	(void)state;
	assert_false(listing_add(l, &r, 0, &next));
	assert_null(listing_end(l));
	listing_free(l);
	listing_free(NULL);
}

/* What is in the text cannot end the CDATA around it, nor an entry. */
static void descriptions_are_escaped(void **state)
{
	struct lease_request req = first(), next;
	struct lease_reply r = entry(2000, "]]><x a=\"&\">\x01\xff");
	struct listing *l = listing_new(&req, 0);
	const char *text;

	(void)state;
	listing_add(l, &r, 60, &next);
	text = listing_end(l);
	assert_null(strstr(text, "]]>"));
	assert_non_null(strstr(
		text, "<p:NewDescription>]]&gt;&lt;x a=&quot;&amp;&quot;&gt;</p:"));
	listing_free(l);
}

static void a_full_one_ends_with_a_whole_entry(void **state)
{
	struct lease_request req = first(), next;
	struct lease_reply r;
	struct listing *l = listing_new(&req, 0);
	char description[LEASE_DESCRIPTION_MAX + 1];
	static const char foot[] = "</p:PortMappingEntry>\n</p:PortMappingList>\n";
	const char *text;
	uint16_t port = 2000;

	(void)state;
	memset(description, '&', LEASE_DESCRIPTION_MAX);
	description[LEASE_DESCRIPTION_MAX] = '\0';
	do {
		r = entry(port++, description);
		assert_true(port < 4000);
	} while (listing_add(l, &r, 604800, &next));
	text = listing_end(l);
	assert_true(strlen(text) < LISTING_MAX);
	assert_true(strlen(text) > LISTING_MAX - 2048);
	assert_string_equal(text + strlen(text) - strlen(foot), foot);
	listing_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_entry_asks_for_the_one_behind_it),
		cmocka_unit_test(no_more_than_were_asked_for),
		cmocka_unit_test(an_empty_one_is_none),
		cmocka_unit_test(descriptions_are_escaped),
		cmocka_unit_test(a_full_one_ends_with_a_whole_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
