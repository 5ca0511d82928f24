/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "igd/soap.h"

#define URN "urn:schemas-upnp-org:service:WANIPConnection:1"
#define OPEN "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>"
#define CLOSE "</s:Body></s:Envelope>"
#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct soap_call call;

static int parse(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, text, len);
	err = soap_parse(&call, copy, len);
	free(copy);
	return err;
}

static int parse_text(const char *text)
{
	return parse(text, strlen(text));
}

static void reads_a_call_in_any_dress(void **state)
{
	static const char *const good[] = {
		"<?xml version=\"1.0\"?>\r\n" OPEN "<u:Add xmlns:u=\"" URN "\">"
		"<NewA>1</NewA><NewB>x &amp; y</NewB><NewC></NewC></u:Add>" CLOSE "\r\n",
		/* another prefix, none, attributes, CDATA, comments, white space, a header */
		"<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\">"
		"<SOAP-ENV:Header><a><b>c</b></a></SOAP-ENV:Header>\n<SOAP-ENV:Body> <m:Add "
		"xmlns:m=\"" URN
		"\">\n<NewA xmlns:dt=\"urn:dt\" dt:dt=\"ui2\"> 1\n</NewA>"
		"<NewB><![CDATA[x & ]]>y<!-- z --></NewB><NewC/></m:Add></SOAP-ENV:Body>"
		"</SOAP-ENV:Envelope>",
		"<Envelope><Body>hello<Add xmlns=\"" URN
		"\"><NewC/><NewB>x &#38; y</NewB>"
		"<NewA>1</NewA><NewA>2</NewA></Add></Body></Envelope>",
		"\xef\xbb\xbf<Envelope><Body><Add xmlns=\"" URN
		"\"><NewA>1</NewA><NewB>x &amp; y</NewB><NewC/></Add></Body></Envelope>",
	};

	(void)state;
	for (size_t i = 0; i < SIZE(good); i++) {
		assert_int_equal(parse_text(good[i]), 0);
		assert_string_equal(call.urn, URN);
		assert_string_equal(call.action, "Add");
		assert_string_equal(soap_arg(&call, "NewA"), "1");
		assert_string_equal(soap_arg(&call, "NewB"), "x & y");
		assert_string_equal(soap_arg(&call, "NewC"), "");
		assert_null(soap_arg(&call, "NewD"));
	}
}

static void refuses_what_is_no_call(void **state)
{
	static const char *const bad[] = {
		"",
		"<a/>",
		"hello, world",
		OPEN CLOSE,
		OPEN "<u:A xmlns:u=\"" URN "\"/>"
		     "</s:Body>",
		OPEN "<u:A xmlns:u=\"" URN "\"/>" CLOSE "<b/>",
		OPEN "<A/><B/>" CLOSE,
		OPEN "<A><b><c/></b></A>" CLOSE, /* arguments are flat */
		OPEN "<A><b>&lol;</b></A>" CLOSE,
		"<!DOCTYPE a>" OPEN "<A/>" CLOSE,
		"<!DOCTYPE a [<!ENTITY lol \"lol\">]>" OPEN "<A><b>&lol;</b></A>" CLOSE,
		"<!DOCTYPE a SYSTEM \"http://192.168.1.2/x.dtd\">" OPEN "<A/>" CLOSE,
		OPEN "<A><b>\x01</b></A>" CLOSE,
		OPEN "<A><b>\xff\xfe</b></A>" CLOSE,
		OPEN "<A><b>&#0;</b></A>" CLOSE,
	};

	(void)state;
	for (size_t i = 0; i < SIZE(bad); i++)
		if (parse_text(bad[i]) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
}

static void refuses_every_truncation(void **state)
{
	static const char text[] = OPEN "<u:Add xmlns:u=\"" URN
					"\"><NewA>1</NewA></u:Add>" CLOSE;

	(void)state;
	assert_int_equal(parse_text(text), 0);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(parse(text, n), -EBADMSG);
}

static void refuses_depth_and_number(void **state)
{
	char *text = malloc(HTTP_BODY_MAX + 1);
	size_t n;

	(void)state;
	/* 1,500 levels */
	for (n = 0; n < 1500; n++)
		memcpy(text + 3 * n, "<a>", 3);
	assert_int_equal(parse(text, 3 * n), -EBADMSG);
	n = (size_t)sprintf(text, "%s", "<Envelope><Header>");
	for (int i = 0; i < 20; i++)
		n += (size_t)sprintf(text + n, "<a>");
	for (int i = 0; i < 20; i++)
		n += (size_t)sprintf(text + n, "</a>");
	n += (size_t)sprintf(text + n, "</Header><Body><A/></Body></Envelope>");
	assert_int_equal(parse(text, n), -EBADMSG);
	/* 17 arguments */
	n = (size_t)sprintf(text, OPEN "<A>");
	for (int i = 0; i <= SOAP_ARGS_MAX; i++)
		n += (size_t)sprintf(text + n, "<b%d/>", i);
	n += (size_t)sprintf(text + n, "</A>" CLOSE);
	assert_int_equal(parse(text, n), -EBADMSG);
	/* a name of 64 bytes */
	n = (size_t)sprintf(text, OPEN "<A><%064d/></A>" CLOSE, 0);
	text[sizeof(OPEN "<A>")] = 'a';
	assert_int_equal(parse(text, n), -EBADMSG);
	/* as much text as there is room for */
	n = (size_t)sprintf(text, OPEN "<A><b>");
	memset(text + n, 'x', HTTP_BODY_MAX - n);
	memcpy(text + HTTP_BODY_MAX - strlen("</b></A>" CLOSE), "</b></A>" CLOSE,
	       strlen("</b></A>" CLOSE));
	assert_int_equal(parse(text, HTTP_BODY_MAX), 0);
	assert_int_equal(parse(text, HTTP_BODY_MAX + 1), -EBADMSG);
	free(text);
}

static void text_that_grows_when_decoded_fits_or_is_refused(void **state)
{
	char *text = malloc(HTTP_BODY_MAX);
	size_t n = (size_t)sprintf(
		text, "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" OPEN "<A><b>");
	size_t end = strlen("</b></A>" CLOSE);

	(void)state;
	memset(text + n, 0xe4, HTTP_BODY_MAX - n); /* two bytes each in UTF-8 */
	memcpy(text + HTTP_BODY_MAX - end, "</b></A>" CLOSE, end);
	assert_int_equal(parse(text, HTTP_BODY_MAX), -EBADMSG);
	free(text);
}

static void splits_the_header(void **state)
{
	char urn[SOAP_URN_MAX + 1], action[SOAP_NAME_MAX + 1];
	static const char *const bad[] = {"",   "\"",   "\"\"",    "urn",
					  "#a", "urn#", "\"urn#a", "a\"b#c"};
	char long_name[200];

	(void)state;
	assert_int_equal(soap_parse_header("\"" URN "#Add\"", urn, action), 0);
	assert_string_equal(urn, URN);
	assert_string_equal(action, "Add");
	assert_int_equal(soap_parse_header(URN "#Add", urn, action), 0);
	assert_string_equal(action, "Add");
	for (size_t i = 0; i < SIZE(bad); i++)
		assert_int_equal(soap_parse_header(bad[i], urn, action), -EINVAL);
	sprintf(long_name, "u#%0*d", SOAP_NAME_MAX + 1, 1);
	assert_int_equal(soap_parse_header(long_name, urn, action), -EINVAL);
	sprintf(long_name, "%0*d#a", SOAP_URN_MAX + 1, 1);
	assert_int_equal(soap_parse_header(long_name, urn, action), -EINVAL);
}

static void writes_an_answer_that_it_reads_itself(void **state)
{
	struct soap_writer *w = soap_writer_new();
	const char *body;
	size_t len;

	(void)state;
	for (int i = 0; i < 3; i++) {
		soap_begin(w, URN, "Get");
		soap_put(w, "NewText", "<&>\"'");
		soap_put_number(w, "NewNumber", 4294967295ul);
		body = soap_end(w, &len);
		assert_non_null(body);
		assert_int_equal(parse(body, len), 0);
		assert_string_equal(call.urn, URN);
		assert_string_equal(call.action, "GetResponse");
		assert_string_equal(soap_arg(&call, "NewText"), "<&>\"'");
		assert_string_equal(soap_arg(&call, "NewNumber"), "4294967295");
	}
	soap_writer_free(w);
}

static void writes_a_fault_as_clients_look_for_it(void **state)
{
	struct soap_writer *w = soap_writer_new();
	const char *body;
	size_t len;

	(void)state;
	soap_begin(w, URN, "Get"); /* left unfinished */
	soap_put(w, "NewText", "x");
	body = soap_fault(w, 714, "NoSuchEntryInArray", &len);
	assert_non_null(body);
	assert_non_null(
		strstr(body, "<s:Body><s:Fault><faultcode>s:Client</faultcode>"
			     "<faultstring>UPnPError</faultstring><detail><UPnPError "
			     "xmlns=\"urn:schemas-upnp-org:control-1-0\">"
			     "<errorCode>714</errorCode><errorDescription>"
			     "NoSuchEntryInArray</errorDescription></UPnPError></detail>"
			     "</s:Fault></s:Body></s:Envelope>"));
	soap_writer_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_call_in_any_dress),
		cmocka_unit_test(refuses_what_is_no_call),
		cmocka_unit_test(refuses_every_truncation),
		cmocka_unit_test(refuses_depth_and_number),
		cmocka_unit_test(text_that_grows_when_decoded_fits_or_is_refused),
		cmocka_unit_test(splits_the_header),
		cmocka_unit_test(writes_an_answer_that_it_reads_itself),
		cmocka_unit_test(writes_a_fault_as_clients_look_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
