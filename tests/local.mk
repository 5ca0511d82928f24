# SPDX-License-Identifier: GPL-2.0-or-later
TESTS = $(check_PROGRAMS)

# A test that lost its sanitizers would pass in silence.
if HAVE_SANITIZERS
check-local: $(check_PROGRAMS)
	@for t in $(check_PROGRAMS); do \
		$(NM) $$t | grep -q __asan_init && continue; \
		echo "$$t is built without ASan: see the head of Makefile.am" >&2; exit 1; \
	done
endif

# Read by people and by the lab, never built here.
dist-hook:
	@for d in tests/lab tests/bench tests/fuzz tests/node tests/varlink tests/debian13 tests/deb tests/chroot.sh; do \
		test -e $(srcdir)/$$d || continue; \
		$(MKDIR_P) $(distdir)/tests && cp -pR $(srcdir)/$$d $(distdir)/tests/ && \
		find $(distdir)/$$d -name __pycache__ -prune -exec rm -rf {} +; \
	done
	@for f in README.md CONTRIBUTING.md; do \
		test ! -e $(srcdir)/$$f || cp -p $(srcdir)/$$f $(distdir)/; \
	done
