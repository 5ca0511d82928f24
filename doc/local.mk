# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += doc/protocols.md doc/upnp.md doc/status-page.png
