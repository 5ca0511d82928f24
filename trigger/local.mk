# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libtrigger.a
libtrigger_a_SOURCES = \
	trigger/count.c trigger/count.h \
	trigger/packet.c trigger/packet.h \
	trigger/turns.c trigger/turns.h \
	trigger/worker.c trigger/worker.h

check_LIBRARIES += libtrigger_san.a
if SANITIZED
libtrigger_san_a_SOURCES =
libtrigger_san_a_LIBADD = $(libtrigger_a_OBJECTS)
else
libtrigger_san_a_SOURCES = $(libtrigger_a_SOURCES)
endif
libtrigger_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_trigger
tests_unit_test_trigger_SOURCES = tests/unit/test_trigger.c
tests_unit_test_trigger_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_trigger_LDADD = libtrigger_san.a libbase_san.a $(MNL_LIBS) $(EVENT_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_turns
tests_unit_test_turns_SOURCES = tests/unit/test_turns.c
tests_unit_test_turns_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_turns_LDADD = libtrigger_san.a libbase_san.a $(EVENT_LIBS) $(UNIT_LIBS)
