/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "igd/actions.h"
#include "igd/description.h"

static const uint8_t uuid[16] = {[15] = 7};
static const char *const paths[] = {"/rootDesc.xml", "/rootDesc2.xml", "/L3F.xml",
				    "/WANCfg.xml",   "/WANIPCn.xml",   "/WANIPCn2.xml"};
#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int setup(void **state)
{
	*state = description_new(uuid);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	description_free(*state);
	return 0;
}

static void every_document_is_well_formed(void **state)
{
	for (size_t i = 0; i < SIZE(paths); i++) {
		struct description_route r = description_find(*state, paths[i]);
		xmlDocPtr doc;

		assert_int_equal(r.kind, DESCRIPTION_DOCUMENT);
		assert_int_equal(r.len, strlen(r.document));
		doc = xmlReadMemory(r.document, (int)r.len, NULL, NULL, XML_PARSE_NONET);
		assert_non_null(doc);
		xmlFreeDoc(doc);
	}
}

/* mDNSResponder has a buffer of 8 KB, libplum of 2 KB with what it needs in front. */
static void root_documents_are_small(void **state)
{
	for (size_t i = 0; i < 2; i++)
		assert_true(description_find(*state, paths[i]).len < 4096);
}

static void count(const char *text, const char *word, unsigned int expected)
{
	unsigned int n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	if (n != expected)
		fail_msg("%s: %u times", word, n);
}

/* Row U11. */
static void faces_have_their_versions_and_no_others(void **state)
{
	const char *v1 = description_find(*state, "/rootDesc.xml").document;
	const char *v2 = description_find(*state, "/rootDesc2.xml").document;

	count(v1, "InternetGatewayDevice:1<", 1);
	count(v1, "WANDevice:1<", 1);
	count(v1, "WANConnectionDevice:1<", 1);
	count(v1, "WANIPConnection:1<", 1);
	count(v1, ":2<", 0);
	count(v1, "URLBase", 0);
	count(v2, "InternetGatewayDevice:2<", 1);
	count(v2, "WANDevice:2<", 1);
	count(v2, "WANConnectionDevice:2<", 1);
	count(v2, "WANIPConnection:2<", 1);
	count(v2, "WANIPConnection:1<", 0);
	count(v2, "WANCommonInterfaceConfig:1<", 1);
	/* Windows stops at a service document with words of :2 in it (row U12). */
	count(description_find(*state, "/WANIPCn.xml").document, "AddAny", 0);
	count(description_find(*state, "/WANIPCn.xml").document, "SystemUpdateID", 0);
}

/* Row U10. */
static void identities_are_stable_and_distinct(void **state)
{
	struct description *again = description_new(uuid);

	for (unsigned int i = 0; i < IGD_FACES * IGD_DEVICES; i++) {
		const char *udn = description_udn(*state, i / IGD_DEVICES,
						  i % IGD_DEVICES);

		assert_int_equal(strlen(udn), strlen("uuid:") + 36);
		assert_string_equal(
			udn, description_udn(again, i / IGD_DEVICES, i % IGD_DEVICES));
		for (unsigned int j = 0; j < i; j++)
			assert_string_not_equal(udn,
						description_udn(*state, j / IGD_DEVICES,
								j % IGD_DEVICES));
	}
	description_free(again);
}

static void every_path_leads_to_its_service(void **state)
{
	for (unsigned int face = 0; face < IGD_FACES; face++) {
		for (unsigned int s = 0; s < IGD_SERVICES; s++) {
			const struct igd_service_def *def = description_service(face, s);
			struct description_route c, e;

			if (!def)
				continue;
			c = description_find(*state, def->control_path);
			e = description_find(*state, def->event_path);
			assert_int_equal(c.kind, DESCRIPTION_CONTROL);
			assert_int_equal(c.face, face);
			assert_int_equal(c.service, s);
			assert_int_equal(e.kind, DESCRIPTION_EVENT);
			assert_int_equal(e.face, face);
			assert_int_equal(e.service, s);
			assert_int_equal(description_find(*state, def->scpd_path).kind,
					 DESCRIPTION_DOCUMENT);
		}
	}
	assert_int_equal(description_find(*state, "/").kind, DESCRIPTION_NOTHING);
	assert_int_equal(description_find(*state, "/rootDesc.xml/").kind,
			 DESCRIPTION_NOTHING);
}

static const struct scpd_variable *variable(const struct scpd *s, const char *name)
{
	for (const struct scpd_variable *v = s->variables; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

/* Row U13. */
static void documents_list_what_is_answered(void **state)
{
	(void)state;
	for (unsigned int face = 0; face < IGD_FACES; face++) {
		for (unsigned int s = 0; s < IGD_SERVICES; s++) {
			const struct igd_service_def *def = description_service(face, s);
			char urn[SOAP_URN_MAX + 1];
			struct action a;

			if (!def)
				continue;
			snprintf(urn, sizeof(urn), "%s:%u", def->type, def->version);
			for (const struct scpd_action *act = def->scpd->actions;
			     act->name; act++) {
				assert_int_equal(action_find(face, s, urn, act->name, &a),
						 0);
				for (size_t i = 0;
				     i < SIZE(act->args) && act->args[i].name; i++)
					assert_non_null(variable(def->scpd,
								 act->args[i].variable));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_document_is_well_formed),
		cmocka_unit_test(root_documents_are_small),
		cmocka_unit_test(faces_have_their_versions_and_no_others),
		cmocka_unit_test(identities_are_stable_and_distinct),
		cmocka_unit_test(every_path_leads_to_its_service),
		cmocka_unit_test(documents_list_what_is_answered),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
