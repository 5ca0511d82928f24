# SPDX-License-Identifier: GPL-2.0-or-later
"""IGD:1 lease 0: an opening lasts until its host has left the LAN, judged by packets. W3, X5."""
import time

import pytest

import gateway
import net
import upnp

SILENCE = 10  # seconds: the least that may be set


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, gateway.CONFIG + f'gone-after = "{SILENCE}s"\n') as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def leave(host):
    """The cable is pulled: the host answers nothing any more."""
    host.ip("link set eth0 down\n")


def come_back(host):
    host.ip(f"link set eth0 up\nroute replace default via {net.LAN}\n")


def state(lab, addr):
    return lab.gw.run("ip", "neighbour", "show", "to", addr, "dev", "br-lan").stdout


@pytest.mark.seconds(90)
def test_a_lease_of_0_ends_when_its_host_has_left_and_not_before(lab, gw, port):
    """W3: hosts that say nothing by themselves stay as long as they answer; others are closed
    after the silence, also to those who come in"""
    p, q, r = port(), port(), port()
    there, away = upnp.Igd(lab.console), upnp.Igd(lab.console2)
    with lab.console.udp(p) as a, lab.console2.udp(q) as b:
        there.add("UDP", p, lease=0)
        away.add("UDP", q, lease=0)
        away.add("UDP", r, lease=3600)  # a lease with a clock is none of it
        began = time.monotonic()
        assert there.specific("UDP", p)["NewLeaseDuration"] == "0"
        assert gw.lease("udp", p)["remaining_s"] is None
        assert net.arrives(lab.inet, a, p) and net.arrives(lab.inet, b, q)
        leave(lab.console2)
        try:
            # Nobody asks the hosts for anything now but the kernel.
            net.wait_for(lambda: not gw.lease("udp", q), 2.5 * SILENCE, "the end of its lease",
                         0.2)
            gone = time.monotonic() - began
            assert gone >= SILENCE - 1, f"it was gone after {gone:.1f} s"
            assert gw.lease("udp", p) and gw.lease("udp", r)
        finally:
            come_back(lab.console2)
        assert f"port=udp/{q}" in gw.log() and "reason=gone" in gw.log()
        assert net.arrives(lab.inet, a, p)
        assert not net.arrives(lab.inet, b, q, timeout=0.5)
        # Three times the silence, and it is still there: it answers.
        while time.monotonic() < began + 3 * SILENCE:
            time.sleep(0.5)
            assert gw.lease("udp", p), f"gone after {time.monotonic() - began:.1f} s"
        net.wait_for(lambda: net.arrives(lab.inet, a, p, timeout=1), what="its packets")
        assert there.specific("UDP", p)["NewLeaseDuration"] == "0"


@pytest.mark.seconds(60)
def test_a_host_that_is_back_in_time_keeps_its_opening(lab, gw, port):
    """W3: a short absence costs nothing"""
    p = port()
    upnp.Igd(lab.console2).add("UDP", p, lease=0)
    leave(lab.console2)
    time.sleep(SILENCE * 0.6)
    come_back(lab.console2)
    deadline = time.monotonic() + 1.2 * SILENCE
    while time.monotonic() < deadline:
        time.sleep(0.5)
        assert gw.lease("udp", p), state(lab, net.CONSOLE2)
    with lab.console2.udp(p) as s:
        assert net.arrives(lab.inet, s, p)


@pytest.mark.seconds(60)
def test_the_silence_goes_on_while_the_daemon_is_down(lab, gw, port):
    """W3, X6: a restart gives nobody another full silence"""
    p = port()
    upnp.Igd(lab.console2).add("UDP", p, lease=0)
    began = time.monotonic()
    leave(lab.console2)
    try:
        gw.stop()
        time.sleep(SILENCE / 2)
        gw.start()
        assert gw.lease("udp", p)
        net.wait_for(lambda: not gw.lease("udp", p), SILENCE, "the end of its lease", 0.2)
        assert SILENCE - 1 <= time.monotonic() - began <= SILENCE + 4
    finally:
        come_back(lab.console2)


def test_an_entry_that_the_admin_made_is_left_alone(lab, gw, port):
    """A permanent neighbour is never asked, so it is believed"""
    p = port()
    mac = lab.console2.run("cat", "/sys/class/net/eth0/address").stdout.strip()
    upnp.Igd(lab.console2).add("UDP", p, lease=0)
    lab.gw.run("ip", "neighbour", "replace", net.CONSOLE2, "lladdr", mac, "dev", "br-lan", "nud",
               "permanent", check=True)
    try:
        began = time.monotonic()
        while time.monotonic() < began + 1.3 * SILENCE:
            time.sleep(0.5)
            assert gw.lease("udp", p)
        assert "PERMANENT" in state(lab, net.CONSOLE2)
    finally:
        lab.gw.run("ip", "neighbour", "del", net.CONSOLE2, "dev", "br-lan")
