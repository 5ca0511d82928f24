# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libconf.a
libconf_a_SOURCES = conf/blocks.c conf/config.c conf/config.h conf/read.c conf/read.h \
	conf/profiles.c conf/profiles.h \
	conf/reserved.c conf/reserved.h conf/triggers.c

check_LIBRARIES += libconf_san.a
if SANITIZED
libconf_san_a_SOURCES =
libconf_san_a_LIBADD = $(libconf_a_OBJECTS)
else
libconf_san_a_SOURCES = $(libconf_a_SOURCES)
endif
libconf_san_a_CFLAGS = $(UNIT_CFLAGS)

check_PROGRAMS += tests/unit/test_conf
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c tests/unit/conf_text.h
tests_unit_test_conf_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_LDADD = libconf_san.a liblease_san.a libbase_san.a $(CONFUSE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_conf_blocks
tests_unit_test_conf_blocks_SOURCES = tests/unit/test_conf_blocks.c tests/unit/conf_text.h
tests_unit_test_conf_blocks_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_blocks_LDADD = libconf_san.a liblease_san.a libbase_san.a $(CONFUSE_LIBS) \
	$(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_conf_triggers
tests_unit_test_conf_triggers_SOURCES = tests/unit/test_conf_triggers.c tests/unit/conf_text.h
tests_unit_test_conf_triggers_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_conf_triggers_LDADD = libconf_san.a liblease_san.a libbase_san.a $(CONFUSE_LIBS) \
	$(UNIT_LIBS)

dist_pkgdata_DATA = conf/reserved.conf
profilesdir = $(pkgdatadir)/profiles.d
dist_profiles_DATA = conf/profiles.d/battle-net.conf conf/profiles.d/nintendo-switch.conf \
	conf/profiles.d/playstation.conf conf/profiles.d/source-games.conf \
	conf/profiles.d/starcraft.conf conf/profiles.d/xbox.conf
exampledir = $(docdir)/examples
dist_example_DATA = conf/portreeve.conf conf/router.conf conf/geo-block.nft conf/qos.nft
systemdsystemunit_DATA = conf/portreeve.service
sysusers_DATA = conf/sysusers/portreeve.conf
tmpfiles_DATA = conf/tmpfiles/portreeve.conf
systemdpreset_DATA = conf/80-portreeve.preset
EXTRA_DIST += conf/portreeve.service.in conf/portreeve.sysusers conf/portreeve.tmpfiles \
	conf/portreeve.preset conf/create-users
CLEANFILES += conf/portreeve.service conf/sysusers/portreeve.conf conf/tmpfiles/portreeve.conf \
	conf/80-portreeve.preset

conf/portreeve.service: conf/portreeve.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) conf && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' \
		-e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' $(srcdir)/conf/portreeve.service.in >$@

conf/sysusers/portreeve.conf: conf/portreeve.sysusers
	$(AM_V_GEN)$(MKDIR_P) conf/sysusers && cp $(srcdir)/conf/portreeve.sysusers $@

conf/tmpfiles/portreeve.conf: conf/portreeve.tmpfiles
	$(AM_V_GEN)$(MKDIR_P) conf/tmpfiles && cp $(srcdir)/conf/portreeve.tmpfiles $@

conf/80-portreeve.preset: conf/portreeve.preset
	$(AM_V_GEN)$(MKDIR_P) conf && cp $(srcdir)/conf/portreeve.preset $@

# What the admin has written is never overwritten, and removed only if nothing was.
confdir = $(sysconfdir)/portreeve
CONF_FILE = $(DESTDIR)$(confdir)/portreeve.conf

install-data-local:
	@$(MKDIR_P) '$(DESTDIR)$(confdir)'
	@if test -e '$(CONF_FILE)'; then \
		echo "kept $(CONF_FILE) (the default is in $(exampledir))"; \
	else \
		$(INSTALL_DATA) $(srcdir)/conf/portreeve.conf '$(CONF_FILE)'; \
	fi

uninstall-local:
	@if cmp -s $(srcdir)/conf/portreeve.conf '$(CONF_FILE)'; then \
		rm -f '$(CONF_FILE)'; rmdir '$(DESTDIR)$(confdir)' 2>/dev/null || :; \
	fi

# The users are the machine's, not the prefix's: they are created only by a real install
# (root, no DESTDIR, prefix /usr or /usr/local) or if PORTREEVE_USERS=yes asks for it.
# PORTREEVE_USERS=no never creates them. The state directory is made with them, where
# systemd-tmpfiles is there to do it at each boot too.
install-data-hook:
	@case "$${PORTREEVE_USERS-}:$(DESTDIR):`id -u`:$(prefix)" in \
	yes:* | ::0:/usr | ::0:/usr/local) \
		sh $(srcdir)/conf/create-users '$(DESTDIR)$(sysusersdir)/portreeve.conf' ;; \
	esac
	@case "$(DESTDIR):`id -u`:$(prefix)" in \
	:0:/usr | :0:/usr/local) \
		! command -v systemd-tmpfiles >/dev/null 2>&1 || \
			systemd-tmpfiles --create '$(tmpfilesdir)/portreeve.conf' ;; \
	esac
