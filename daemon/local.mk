# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libdaemon.a
libdaemon_a_SOURCES = \
	daemon/check.c daemon/check.h daemon/check_inside.h \
	daemon/check_rules.c \
	daemon/control.c daemon/control.h daemon/control_inside.h \
	daemon/control_add.c \
	daemon/control_delete.c \
	daemon/control_deny.c \
	daemon/control_explain.c \
	daemon/control_history.c \
	daemon/control_lease.c \
	daemon/control_list.c \
	daemon/control_watch.c \
	daemon/control_nat.c \
	daemon/core.c daemon/core.h daemon/core_inside.h \
	daemon/core_admin.c \
	daemon/core_check.c \
	daemon/core_config.c \
	daemon/core_deny.c \
	daemon/core_explain.c \
	daemon/core_holders.c \
	daemon/core_history.c daemon/core_history.h \
	daemon/core_keep.c \
	daemon/core_mac.c \
	daemon/core_nat.c \
	daemon/core_network.c \
	daemon/core_own.c \
	daemon/core_rules.c \
	daemon/core_serve.c \
	daemon/core_upstream.c daemon/core_upstream.h \
	daemon/core_store.c daemon/core_store.h daemon/core_store_inside.h \
	daemon/core_tell.c \
	daemon/core_trigger.c daemon/core_trigger.h \
	daemon/core_unasked.c \
	daemon/denials.c daemon/denials.h \
	daemon/dirty.c daemon/dirty.h \
	daemon/cut.c daemon/cut.h \
	daemon/epoch.c daemon/epoch.h \
	daemon/explain.c daemon/explain.h \
	daemon/heal.c daemon/heal.h \
	daemon/identity.c daemon/identity.h \
	daemon/ledger.c daemon/ledger.h daemon/ledger_inside.h \
	daemon/ledger_start.c \
	daemon/lease_log.c daemon/lease_log.h \
	daemon/listen.c daemon/listen.h \
	daemon/nat_type.c daemon/nat_type.h \
	daemon/notify.c daemon/notify.h \
	daemon/options.c daemon/options.h \
	daemon/pace.c daemon/pace.h \
	daemon/parent.c daemon/parent.h \
	daemon/preflight.c daemon/preflight.h \
	daemon/privileges.c daemon/privileges.h \
	daemon/role.c daemon/role.h \
	daemon/sandbox.c daemon/sandbox.h \
	daemon/setup.c daemon/setup.h \
	daemon/spawn.c daemon/spawn.h \
	daemon/sysctl.c daemon/sysctl.h \
	daemon/store_role.c daemon/store_role.h \
	daemon/topology.c daemon/topology.h \
	daemon/traffic.c daemon/traffic.h \
	daemon/varlink.c daemon/varlink.h \
	daemon/watchdog.c daemon/watchdog.h \
	daemon/workers.c daemon/workers.h

sbin_PROGRAMS += portreeved
portreeved_SOURCES = daemon/main.c
portreeved_LDADD = libdaemon.a libpcp.a libtrigger.a libupstream.a libfirewall.a libconf.a liblease.a libbase.a \
	$(NFTNL_LIBS) $(MNL_LIBS) $(EVENT_LIBS) $(CONFUSE_LIBS) $(JANSSON_LIBS) \
	$(NATPMP_LIBS) $(SECCOMP_LIBS) $(CAP_LIBS) $(SQLITE_LIBS)

check_LIBRARIES += libdaemon_san.a
if SANITIZED
libdaemon_san_a_SOURCES =
libdaemon_san_a_LIBADD = $(libdaemon_a_OBJECTS)
else
libdaemon_san_a_SOURCES = $(libdaemon_a_SOURCES)
endif
libdaemon_san_a_CFLAGS = $(UNIT_CFLAGS)

# The interface as a C string, which GetInterfaceDescription answers with.
EXTRA_DIST += daemon/org.portreeve.varlink
BUILT_SOURCES += daemon/org.portreeve.varlink.inc
CLEANFILES += daemon/org.portreeve.varlink.inc
daemon/org.portreeve.varlink.inc: daemon/org.portreeve.varlink
	$(AM_V_GEN)$(MKDIR_P) daemon && $(SED) -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' \
		-e 's/$$/\\n"/' $(srcdir)/daemon/org.portreeve.varlink >$@

check_PROGRAMS += tests/unit/test_hostile
tests_unit_test_hostile_SOURCES = tests/unit/test_hostile.c tests/unit/fake_firewall.c \
	tests/unit/fake_firewall.h
tests_unit_test_hostile_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hostile_LDADD = libdaemon_san.a liblease_san.a libbase_san.a $(EVENT_LIBS) \
	$(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_varlink tests/unit/test_control
tests_unit_test_varlink_SOURCES = tests/unit/test_varlink.c
tests_unit_test_varlink_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_varlink_LDADD = libdaemon_san.a libbase_san.a $(EVENT_LIBS) $(JANSSON_LIBS) \
	$(UNIT_LIBS)
tests_unit_test_control_SOURCES = tests/unit/test_control.c
tests_unit_test_control_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_control_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=getsockopt
tests_unit_test_control_LDADD = libdaemon_san.a liblease_san.a libbase_san.a $(EVENT_LIBS) $(JANSSON_LIBS) \
	$(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_epoch
tests_unit_test_epoch_SOURCES = tests/unit/test_epoch.c
tests_unit_test_epoch_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_epoch_LDADD = libdaemon_san.a libfirewall_san.a liblease_san.a libbase_san.a \
	$(NFTNL_LIBS) $(MNL_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_topology
tests_unit_test_topology_SOURCES = tests/unit/test_topology.c
tests_unit_test_topology_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_topology_LDADD = libdaemon_san.a libbase_san.a $(UNIT_LIBS)

# What a process in its sandbox can still do; driven by tests/lab/test_sandbox.py.
noinst_PROGRAMS += tests/lab/sandbox_try
tests_lab_sandbox_try_SOURCES = tests/lab/sandbox_try.c
tests_lab_sandbox_try_LDADD = libdaemon.a libbase.a $(SECCOMP_LIBS) $(CAP_LIBS)

# Runs the daemon as the unit would; see tests/lab/test_unit.py.
noinst_PROGRAMS += tests/lab/shut_in
tests_lab_shut_in_SOURCES = tests/lab/shut_in.c
tests_lab_shut_in_LDADD = $(SECCOMP_LIBS)

check_PROGRAMS += tests/unit/test_watchdog
tests_unit_test_watchdog_SOURCES = tests/unit/test_watchdog.c
tests_unit_test_watchdog_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_watchdog_LDADD = libdaemon_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_explain
tests_unit_test_explain_SOURCES = tests/unit/test_explain.c
tests_unit_test_explain_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_explain_LDADD = libdaemon_san.a liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_lease_log
tests_unit_test_lease_log_SOURCES = tests/unit/test_lease_log.c
tests_unit_test_lease_log_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lease_log_LDADD = libdaemon_san.a liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_nat_type
tests_unit_test_nat_type_SOURCES = tests/unit/test_nat_type.c
tests_unit_test_nat_type_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nat_type_LDADD = libdaemon_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_pace
tests_unit_test_pace_SOURCES = tests/unit/test_pace.c
tests_unit_test_pace_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pace_LDADD = libdaemon_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_check
tests_unit_test_check_SOURCES = tests/unit/test_check.c
tests_unit_test_check_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_check_LDADD = libdaemon_san.a libfirewall_san.a liblease_san.a libbase_san.a \
	$(NFTNL_LIBS) $(MNL_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_dirty
tests_unit_test_dirty_SOURCES = tests/unit/test_dirty.c
tests_unit_test_dirty_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_dirty_LDADD = libdaemon_san.a liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_core_store
tests_unit_test_core_store_SOURCES = tests/unit/test_core_store.c
tests_unit_test_core_store_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_core_store_LDADD = libdaemon_san.a liblease_san.a libbase_san.a \
	$(EVENT_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_denial
tests_unit_test_denial_SOURCES = tests/unit/test_denial.c tests/unit/registry_rig.h
tests_unit_test_denial_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_denial_LDADD = libdaemon_san.a liblease_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_traffic
tests_unit_test_traffic_SOURCES = tests/unit/test_traffic.c tests/unit/registry_rig.h
tests_unit_test_traffic_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_traffic_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=sweep_open -Wl,--wrap=sweep_close \
	-Wl,--wrap=sweep_fd -Wl,--wrap=sweep_read -Wl,--wrap=ledger_book
tests_unit_test_traffic_LDADD = libdaemon_san.a libfirewall_san.a liblease_san.a \
	libbase_san.a $(EVENT_LIBS) $(NFTNL_LIBS) $(MNL_LIBS) $(UNIT_LIBS)
