# SPDX-License-Identifier: GPL-2.0-or-later
# Not in the top level: a folder debian/ there would clutter it, and be in the way of
# Debian's own.
PACKAGING_DEBIAN = packaging/debian/changelog packaging/debian/control \
	packaging/debian/copyright packaging/debian/portreeve.postrm \
	packaging/debian/portreeve.prerm packaging/debian/rules packaging/debian/source/format
PACKAGING_OPENWRT = packaging/openwrt/Makefile packaging/openwrt/files/portreeve.config \
	packaging/openwrt/files/portreeve.hotplug packaging/openwrt/files/portreeve.init \
	packaging/openwrt/files/uci.sh
EXTRA_DIST += $(PACKAGING_DEBIAN) $(PACKAGING_OPENWRT)

# A Debian package of this release, in deb/ of the build directory.
.PHONY: deb
deb: dist
	@grep -q '^portreeve ($(VERSION)-' $(srcdir)/packaging/debian/changelog || { \
		echo "packaging/debian/changelog is not of $(VERSION)" >&2; exit 1; }
	rm -rf deb
	$(MKDIR_P) deb
	tar -C deb -xf $(distdir).tar.xz
	mv deb/$(distdir)/packaging/debian deb/$(distdir)/debian
	cd deb/$(distdir) && DEB_BUILD_OPTIONS="$(DEB_BUILD_OPTIONS)" dpkg-buildpackage -b -us -uc
	rm -rf deb/$(distdir)
	@ls deb/*.deb

clean-local:
	rm -rf deb
