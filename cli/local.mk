# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libcli.a
libcli_a_SOURCES = \
	cli/add.c \
	cli/check.c \
	cli/cli.c cli/cli.h \
	cli/client.c cli/client.h \
	cli/delete.c \
	cli/deny.c \
	cli/explain.c \
	cli/history.c \
	cli/import.c cli/import.h cli/import_inside.h \
	cli/import_command.c \
	cli/import_upnpd.c \
	cli/list.c \
	cli/metrics.c \
	cli/names.c cli/names.h \
	cli/nat_type.c \
	cli/probe.c cli/probe.h \
	cli/profiles.c \
	cli/reload.c \
	cli/say.c \
	cli/show.c \
	cli/status.c \
	cli/stun.c cli/stun.h \
	cli/table.c cli/table.h \
	cli/vendor.c cli/vendor.h \
	cli/watch.c

bin_PROGRAMS += portreeve
portreeve_SOURCES = cli/main.c
portreeve_LDADD = libcli.a libbase.a $(JANSSON_LIBS)

check_LIBRARIES += libcli_san.a
if SANITIZED
libcli_san_a_SOURCES =
libcli_san_a_LIBADD = $(libcli_a_OBJECTS)
else
libcli_san_a_SOURCES = $(libcli_a_SOURCES)
endif
libcli_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_cli_table tests/unit/test_cli
tests_unit_test_cli_table_SOURCES = tests/unit/test_cli_table.c
tests_unit_test_cli_table_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_cli_table_LDADD = libcli_san.a libbase_san.a $(JANSSON_LIBS) $(UNIT_LIBS)
tests_unit_test_cli_SOURCES = tests/unit/test_cli.c
tests_unit_test_cli_CFLAGS = $(UNIT_CFLAGS)
check_PROGRAMS += tests/unit/test_stun
tests_unit_test_stun_SOURCES = tests/unit/test_stun.c
tests_unit_test_stun_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_stun_LDADD = libcli_san.a libbase_san.a $(JANSSON_LIBS) $(UNIT_LIBS)
tests_unit_test_cli_LDADD = libcli_san.a libbase_san.a $(JANSSON_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_import
tests_unit_test_import_SOURCES = tests/unit/test_import.c
tests_unit_test_import_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_import_LDADD = libcli_san.a libbase_san.a $(JANSSON_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_names
tests_unit_test_names_SOURCES = tests/unit/test_names.c
tests_unit_test_names_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_names_LDADD = libcli_san.a libbase_san.a $(JANSSON_LIBS) $(UNIT_LIBS)

# bash looks it up by the name of the command.
completionsdir = $(datadir)/bash-completion/completions
dist_completions_DATA = cli/completion/portreeve

dist_man_MANS += doc/portreeve.1 doc/portreeve.conf.5 doc/portreeve-profiles.5
