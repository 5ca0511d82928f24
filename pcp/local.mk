# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libpcp.a
libpcp_a_SOURCES = \
	pcp/announce.c pcp/announce.h \
	pcp/epoch.h \
	pcp/natpmp.c pcp/natpmp.h \
	pcp/pcp.c pcp/pcp.h \
	pcp/peer.h \
	pcp/rate.c pcp/rate.h \
	pcp/serve.h pcp/serve_natpmp.c pcp/serve_pcp.c \
	pcp/server.c pcp/server.h \
	pcp/updates.c pcp/updates.h \
	pcp/worker.c pcp/worker.h

check_LIBRARIES += libpcp_san.a
if SANITIZED
libpcp_san_a_SOURCES =
libpcp_san_a_LIBADD = $(libpcp_a_OBJECTS)
else
libpcp_san_a_SOURCES = $(libpcp_a_SOURCES)
endif
libpcp_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_natpmp tests/unit/test_pcp tests/unit/test_pcp_announce \
	tests/unit/test_pcp_server tests/unit/test_pcp_updates
tests_unit_test_natpmp_SOURCES = tests/unit/test_natpmp.c
tests_unit_test_natpmp_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_natpmp_LDADD = libpcp_san.a libbase_san.a $(UNIT_LIBS)
tests_unit_test_pcp_SOURCES = tests/unit/test_pcp.c
tests_unit_test_pcp_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pcp_LDADD = libpcp_san.a libbase_san.a $(UNIT_LIBS)
tests_unit_test_pcp_server_SOURCES = tests/unit/test_pcp_server.c
tests_unit_test_pcp_server_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pcp_server_LDADD = libpcp_san.a libbase_san.a $(UNIT_LIBS)
tests_unit_test_pcp_announce_SOURCES = tests/unit/test_pcp_announce.c
tests_unit_test_pcp_announce_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pcp_announce_LDADD = libpcp_san.a libbase_san.a $(UNIT_LIBS)
tests_unit_test_pcp_updates_SOURCES = tests/unit/test_pcp_updates.c
tests_unit_test_pcp_updates_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pcp_updates_LDADD = libpcp_san.a libbase_san.a $(UNIT_LIBS)
