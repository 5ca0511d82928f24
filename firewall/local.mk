# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libfirewall.a
libfirewall_a_SOURCES = \
	firewall/adopt.c \
	firewall/commit.c \
	firewall/conntrack.c firewall/conntrack.h firewall/conntrack_inside.h \
	firewall/conntrack_read.c \
	firewall/contents.c \
	firewall/element.c firewall/element.h \
	firewall/expr.c firewall/expr.h firewall/expr_inside.h \
	firewall/expr_do.c \
	firewall/expr_match.c \
	firewall/firewall.h \
	firewall/foreign.c firewall/foreign.h \
	firewall/form.c firewall/form.h \
	firewall/forwards.c \
	firewall/guard.c \
	firewall/holders.c \
	firewall/flows.c firewall/flows.h \
	firewall/kernel.c firewall/kernel.h \
	firewall/learn.c \
	firewall/links.c firewall/links.h \
	firewall/neighbours.c firewall/neighbours.h \
	firewall/netlink.c firewall/netlink.h \
	firewall/nflog.c firewall/nflog.h \
	firewall/offload.c firewall/offload.h \
	firewall/probe.c \
	firewall/router.c \
	firewall/rules.c firewall/rules.h \
	firewall/ruleset.c \
	firewall/shadows.c firewall/shadows.h \
	firewall/sockets.c firewall/sockets.h \
	firewall/stage.c firewall/staged.h \
	firewall/sweep.c firewall/sweep.h \
	firewall/walk.c firewall/walk.h \
	firewall/walk_eval.c firewall/walk_eval.h \
	firewall/walk_xt.c \
	firewall/watched.c firewall/watch.c firewall/watch.h

check_LIBRARIES += libfirewall_san.a
if SANITIZED
libfirewall_san_a_SOURCES =
libfirewall_san_a_LIBADD = $(libfirewall_a_OBJECTS)
else
libfirewall_san_a_SOURCES = $(libfirewall_a_SOURCES)
endif
libfirewall_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_element
tests_unit_test_element_SOURCES = tests/unit/test_element.c
tests_unit_test_element_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_element_LDADD = libfirewall_san.a libbase_san.a $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_adopt tests/unit/test_netlink
tests_unit_test_adopt_SOURCES = tests/unit/test_adopt.c
tests_unit_test_adopt_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_adopt_LDADD = libfirewall_san.a liblease_san.a libbase_san.a $(NFTNL_LIBS) \
	$(MNL_LIBS) $(UNIT_LIBS)
tests_unit_test_netlink_SOURCES = tests/unit/test_netlink.c
tests_unit_test_netlink_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_netlink_LDADD = libfirewall_san.a libbase_san.a $(NFTNL_LIBS) $(MNL_LIBS) \
	$(UNIT_LIBS)

# Not a test by itself: tests/lab/test_nft.py drives it.
noinst_PROGRAMS += tests/lab/fwtool
tests_lab_fwtool_SOURCES = tests/lab/fwtool.c
tests_lab_fwtool_LDADD = libfirewall.a liblease.a libbase.a $(NFTNL_LIBS) $(MNL_LIBS)

check_PROGRAMS += tests/unit/test_watch
tests_unit_test_watch_SOURCES = tests/unit/test_watch.c
tests_unit_test_watch_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_watch_LDADD = libfirewall_san.a libbase_san.a $(NFTNL_LIBS) $(MNL_LIBS) \
	$(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_offload
tests_unit_test_offload_SOURCES = tests/unit/test_offload.c
tests_unit_test_offload_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_offload_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=nl_query -Wl,--wrap=conntrack_lease
tests_unit_test_offload_LDADD = libfirewall_san.a liblease_san.a libbase_san.a $(NFTNL_LIBS) \
	$(MNL_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_flows
tests_unit_test_flows_SOURCES = tests/unit/test_flows.c
tests_unit_test_flows_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_flows_LDADD = libfirewall_san.a liblease_san.a libbase_san.a $(UNIT_LIBS)
