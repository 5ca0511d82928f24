# SPDX-License-Identifier: GPL-2.0-or-later
"""The status page in a browser: Chromium as a host of the LAN."""
import os

import pytest

import clients
import natpmp
import net
import page
import pcp
import upnp

pytestmark = [pytest.mark.full, pytest.mark.seconds(120)]


def rows_become(browser, condition, what, timeout=12):
    def look():
        rows = browser.ask("rows")
        return [rows] if condition(rows) else None
    return net.wait_for(look, timeout, what, 0.2)[0]


def test_it_follows_the_leases_by_itself(lab, gw, port):
    """No error, no violation of its policy, nobody else asked"""
    igd, a, b = upnp.Igd(lab.console), port(), port()
    igd.add("UDP", a, description="<b>first</b>")
    page.shows(lab.pc, lambda p: len(p.rows) == 1, "the lease")
    with clients.Browser(lab.pc, page.URL) as browser:
        rows = browser.ask("rows")
        assert len(rows) == 1 and str(a) in rows[0] and "<b>first</b>" in rows[0]
        assert net.WAN in browser.ask("text")
        igd.add("TCP", b)
        rows_become(browser, lambda r: len(r) == 2 and str(b) in r[1], "the second lease")
        igd.delete("UDP", a)
        rows_become(browser, lambda r: len(r) == 1 and str(b) in r[0], "the end of the first")
        assert browser.ask("problems") == []
        assert set(browser.ask("asked")) <= {f"GET {page.URL}", "GET data:,"}


def test_it_works_without_script(lab, gw, port):
    igd, a = upnp.Igd(lab.console), port()
    page.shows(lab.pc, lambda p: not p.rows, "no lease")
    with clients.Browser(lab.pc, page.URL, script=False) as browser:
        assert browser.ask("rows") == []
        igd.add("UDP", a)
        rows_become(browser, lambda r: len(r) == 1 and str(a) in r[0], "the lease", 20)
        assert browser.ask("problems") == []


def test_it_says_when_the_router_is_gone(lab, gw, port):
    page.shows(lab.pc, lambda p: not p.rows, "no lease")
    with clients.Browser(lab.pc, page.URL) as browser:
        assert "does not answer" not in browser.ask("text")
        lab.pc.ip("link set eth0 down\n")
        try:
            net.wait_for(lambda: "does not answer" in browser.ask("text"), 20, "the notice", 0.2)
        finally:
            lab.pc.ip(f"link set eth0 up\nroute add default via {net.LAN}\n")
        net.wait_for(lambda: "does not answer" not in browser.ask("text"), 20, "its end", 0.2)


def test_it_fits_a_phone_whatever_is_said(lab, gw, port):
    igd = upnp.Igd(lab.console)
    for text in ("W" * 128, "ö" * 64, "two words", ""):
        igd.add("UDP", port(), description=text, remote=net.REMOTE1)
    page.shows(lab.pc, lambda p: len(p.rows) == 4, "the leases")
    with clients.Browser(lab.pc, page.URL) as browser:
        for width in (320, 390, 768, 1600):
            assert browser.ask("fits", width), f"wider than {width} pixels"
        assert browser.ask("problems") == []


def test_a_picture_for_the_readme(lab, gw):
    """PORTREEVE_SHOT is where to put it: doc/status-page.png is made so."""
    shot = os.environ.get("PORTREEVE_SHOT") or f"{lab.tempdir('shot')}/page.png"
    xbox, desk = upnp.Igd(lab.console), upnp.Igd(lab.pc)
    xbox.add("UDP", 3074, description="Xbox Live", lease=0)
    upnp.Igd(lab.console2).add("UDP", 3076, 3074, description="Call of Duty", lease=0)
    desk.add("TCP", 51413, description="Transmission at 51413", lease=0)
    desk.add("TCP", 48010, description="Sunshine - RTSP")
    with natpmp.Client(lab.pc) as client:
        client.get(natpmp.TCP, 51413, lifetime=3600)
    with pcp.Client(lab.pc) as client:
        client.get(pcp.UDP, 41641, lifetime=7200)
    page.shows(lab.pc, lambda p: len(p.rows) == 5, "the leases")
    with clients.Browser(lab.pc, page.URL) as browser:
        browser.ask("shot", shot, 860)
        assert browser.ask("problems") == []
    with open(shot, "rb") as f:
        assert f.read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.path.getsize(shot) < 150000
