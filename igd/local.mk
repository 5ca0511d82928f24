# SPDX-License-Identifier: GPL-2.0-or-later

# What turns bytes into meaning; no sockets, no libupnp.
noinst_LIBRARIES += libigd.a
libigd_a_SOURCES = \
	igd/action.h \
	igd/actions.c igd/actions.h \
	igd/args.c igd/args.h \
	igd/connection.c \
	igd/description.c igd/description.h \
	igd/events.c igd/events.h \
	igd/firewall.c \
	igd/gateway.c \
	igd/gena.c igd/gena.h \
	igd/http.c igd/http.h \
	igd/listing.c igd/listing.h \
	igd/mapping.c igd/mapping.h \
	igd/page.c igd/page.h igd/page_parts.c \
	igd/rate.c igd/rate.h \
	igd/scpd.c igd/scpd.h \
	igd/soap.c igd/soap.h \
	igd/ssdp.c igd/ssdp.h \
	igd/text.c igd/text.h

check_LIBRARIES += libigd_san.a
if SANITIZED
libigd_san_a_SOURCES =
libigd_san_a_LIBADD = $(libigd_a_OBJECTS)
else
libigd_san_a_SOURCES = $(libigd_a_SOURCES)
endif
libigd_san_a_CFLAGS = $(UNIT_CFLAGS)

# Alone linked to libupnp and libxml2. It defines bind, select and others for libupnp, so
# they must stay visible: no -Bsymbolic, no hidden visibility.
pkglibexec_PROGRAMS += portreeve-igd
portreeve_igd_SOURCES = \
	daemon/igd_main.c \
	daemon/role.c daemon/role.h \
	daemon/sandbox.c daemon/sandbox.h \
	igd/engine.c igd/engine.h \
	igd/front.c igd/front.h \
	igd/front_conn.c igd/front_inside.h \
	igd/hooks.c igd/hooks.h \
	igd/notify.c igd/notify.h \
	igd/requests.c igd/requests.h \
	igd/status.c igd/status.h \
	igd/worker.c igd/worker.h
portreeve_igd_LDADD = libigd.a libbase.a \
	$(UPNP_LIBS) $(XML2_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS) -ldl -lpthread

# What tests/lab/test_attacks.py attacks the front with.
noinst_PROGRAMS += tests/lab/storm
tests_lab_storm_SOURCES = tests/lab/storm.c

check_PROGRAMS += \
	tests/unit/test_http tests/unit/test_soap tests/unit/test_ssdp \
	tests/unit/test_description tests/unit/test_actions tests/unit/test_gena \
	tests/unit/test_page tests/unit/test_listing
tests_unit_test_http_SOURCES = tests/unit/test_http.c
tests_unit_test_http_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_http_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_soap_SOURCES = tests/unit/test_soap.c
tests_unit_test_soap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_soap_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_ssdp_SOURCES = tests/unit/test_ssdp.c
tests_unit_test_ssdp_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ssdp_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_description_SOURCES = tests/unit/test_description.c
tests_unit_test_description_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_description_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_actions_SOURCES = tests/unit/test_actions.c
tests_unit_test_actions_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_actions_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_listing_SOURCES = tests/unit/test_listing.c
tests_unit_test_listing_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_listing_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_gena_SOURCES = tests/unit/test_gena.c
tests_unit_test_gena_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_gena_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
tests_unit_test_page_SOURCES = tests/unit/test_page.c
tests_unit_test_page_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_page_LDADD = libigd_san.a libbase_san.a $(XML2_LIBS) $(UNIT_LIBS)
