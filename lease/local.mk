# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += liblease.a
liblease_a_SOURCES = \
	lease/access.c lease/access.h \
	lease/allocator.c lease/allocator.h \
	lease/ask.c lease/ask.h \
	lease/book.c lease/book.h \
	lease/claims.c lease/claims.h \
	lease/deadlines.c lease/deadlines.h \
	lease/denial.c lease/denial.h \
	lease/filters.c lease/filters.h \
	lease/follow.c \
	lease/forward.c lease/forward.h \
	lease/forwarded.c \
	lease/hash.h \
	lease/hosts.c lease/hosts.h \
	lease/kept.c lease/kept.h \
	lease/lease.c lease/lease.h \
	lease/lookup.c \
	lease/numbered.c \
	lease/pending.c lease/pending.h \
	lease/policy.c lease/policy.h \
	lease/registry.c lease/registry.h \
	lease/released.c lease/released.h \
	lease/restrict.c lease/restrict.h \
	lease/store.c lease/store.h lease/store_inside.h \
	lease/store_history.c \
	lease/store_row.c lease/store_row.h \
	lease/table.c lease/table.h \
	lease/trigger.h \
	lease/unmap.c

check_LIBRARIES += liblease_san.a
if SANITIZED
liblease_san_a_SOURCES =
liblease_san_a_LIBADD = $(liblease_a_OBJECTS)
else
liblease_san_a_SOURCES = $(liblease_a_SOURCES)
endif
liblease_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_table
tests_unit_test_table_SOURCES = tests/unit/test_table.c
tests_unit_test_table_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_table_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_allocator
tests_unit_test_allocator_SOURCES = tests/unit/test_allocator.c
tests_unit_test_allocator_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_allocator_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_policy
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c
tests_unit_test_policy_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_deadlines
tests_unit_test_deadlines_SOURCES = tests/unit/test_deadlines.c
tests_unit_test_deadlines_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_deadlines_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_registry
tests_unit_test_registry_SOURCES = tests/unit/test_registry.c tests/unit/registry_rig.h
tests_unit_test_registry_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_registry_upnp
tests_unit_test_registry_upnp_SOURCES = tests/unit/test_registry_upnp.c tests/unit/registry_rig.h
tests_unit_test_registry_upnp_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_upnp_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_registry_steps
tests_unit_test_registry_steps_SOURCES = tests/unit/test_registry_steps.c tests/unit/registry_rig.h
tests_unit_test_registry_steps_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_steps_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_registry_model
tests_unit_test_registry_model_SOURCES = tests/unit/test_registry_model.c tests/unit/registry_rig.h
tests_unit_test_registry_model_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_registry_model_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_filters
tests_unit_test_filters_SOURCES = tests/unit/test_filters.c tests/unit/registry_rig.h
tests_unit_test_filters_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_filters_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_pinholes
tests_unit_test_pinholes_SOURCES = tests/unit/test_pinholes.c tests/unit/registry_rig.h
tests_unit_test_pinholes_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pinholes_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_ranges
tests_unit_test_ranges_SOURCES = tests/unit/test_ranges.c tests/unit/registry_rig.h
tests_unit_test_ranges_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ranges_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_numbered
tests_unit_test_numbered_SOURCES = tests/unit/test_numbered.c tests/unit/registry_rig.h
tests_unit_test_numbered_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_numbered_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_gone
tests_unit_test_gone_SOURCES = tests/unit/test_gone.c tests/unit/registry_rig.h
tests_unit_test_gone_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_gone_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_store
tests_unit_test_store_SOURCES = tests/unit/test_store.c
tests_unit_test_store_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_store_LDADD = liblease_san.a libbase_san.a $(SQLITE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_forward
tests_unit_test_forward_SOURCES = tests/unit/test_forward.c tests/unit/registry_rig.h
tests_unit_test_forward_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_forward_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_unasked
tests_unit_test_unasked_SOURCES = tests/unit/test_unasked.c tests/unit/registry_rig.h
tests_unit_test_unasked_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_unasked_LDADD = liblease_san.a libbase_san.a $(UNIT_LIBS)
