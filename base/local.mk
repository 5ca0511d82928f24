# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	base/addr.c base/addr.h \
	base/channel.c base/channel.h \
	base/clock.h \
	base/duration.c base/duration.h \
	base/journal.c base/journal.h \
	base/log.c base/log.h \
	base/nat.c base/nat.h \
	base/portset.c base/portset.h \
	base/record.c base/record.h \
	base/room.h \
	base/scoped.h \
	base/wire.h

check_LIBRARIES += libbase_san.a
if SANITIZED
libbase_san_a_SOURCES =
libbase_san_a_LIBADD = $(libbase_a_OBJECTS)
else
libbase_san_a_SOURCES = $(libbase_a_SOURCES)
endif
libbase_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_base_LDADD = libbase_san.a $(EVENT_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_channel
tests_unit_test_channel_SOURCES = tests/unit/test_channel.c
tests_unit_test_channel_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_channel_LDADD = libbase_san.a $(EVENT_LIBS) $(UNIT_LIBS)
