# SPDX-License-Identifier: GPL-2.0-or-later
dist_man_MANS += doc/portreeved.8
dist_pkgdata_DATA += doc/schema.json
EXTRA_DIST += doc/architecture.md doc/protocols.md doc/upnp.md doc/status-page.png
