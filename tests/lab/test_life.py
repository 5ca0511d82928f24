# SPDX-License-Identifier: GPL-2.0-or-later
"""How leases end, and what they survive; also with the kernel of Debian 12."""
import time

import pytest

import gateway
import natpmp
import net
import pcp
import upnp


@pytest.fixture
def lab(kernel_lab):
    return kernel_lab


@pytest.fixture
def gw(kernel_lab):
    g = kernel_lab.gateway
    if not (g.process and g.process.running()):  # the test before has failed on its way
        g.start()
    return g


@pytest.fixture
def console(lab):
    with pcp.Client(lab.console) as c:
        yield c


class Short:
    """One lease of 5 s by each protocol, probed from the internet until it has ended."""

    def __init__(self, lab, port):
        self.lab, self.began, self.socks = lab, {}, {}
        with natpmp.Client(lab.console) as c:
            self._asked(port(), lambda p: c.map(natpmp.UDP, p, p, 5))
        with pcp.Client(lab.console) as c:
            self._asked(port(), lambda p: c.map(pcp.UDP, p, p, 5))
        igd = upnp.Igd(lab.console, version=2)
        self._asked(port(), lambda p: igd.add("UDP", p, lease=5))
        self.probe = net.Prober(lab.inet, self.socks)
        self.probe.start()

    def _asked(self, p, ask):
        self.socks[p] = self.lab.console.udp(p)
        asked = time.monotonic()
        reply = ask(p)
        self.began[p] = asked, time.monotonic()
        assert getattr(reply, "external", p) == p and getattr(reply, "lifetime", 5) == 5

    def end(self):
        """Waits for it and asks that each one was on time."""
        def over():
            now = time.monotonic()
            return len(self.probe.first_lost) == len(self.socks) and all(
                now - t > 0.7 for t in self.probe.first_lost.values()) or self.probe.failure
        net.wait_for(over, 9, f"the end of the leases; lost so far: {self.probe.first_lost}")
        self.probe.finish()
        for sock in self.socks.values():
            sock.close()
        for p, (asked, answered) in self.began.items():
            assert self.probe.last[p] - answered >= 4.5, "closed too early"
            assert self.probe.first_lost[p] - asked <= 5.5, "closed too late"


def test_a_lease_of_5_s_ends_between_4_5_and_5_5(lab, gw, port):
    Short(lab, port).end()
    assert gw.list() == []


def test_a_lease_ends_on_time_with_nobody_home(lab, gw, port):
    """All processes killed by -9 before the end"""
    short = Short(lab, port)
    time.sleep(1)
    gw.kill()
    try:
        short.end()
    finally:
        gw.start()
    assert gw.list() == []


def test_after_a_kill_every_lease_is_back(lab, gw, console, port):
    """Kill -9 of everything: the remaining time, the claims and the nonce come back from the
    kernel, and no packet of a running flow is lost"""
    a, b, c, flowing = port(), port(), port(), port()
    console.get(pcp.UDP, a, lifetime=600)
    console.get(pcp.TCP, b, lifetime=1200)
    igd = upnp.Igd(lab.console, version=2)
    igd.add("UDP", a, lease=300, description="a game")
    with natpmp.Client(lab.console2) as pmp:
        pmp.map(natpmp.UDP, c, c, 900)
    console.get(pcp.UDP, flowing, lifetime=1800)
    with lab.console.udp(flowing) as s:
        flow = net.Flow(lab.inet, s, flowing)
        flow.start()
        # As a router's state: not only what a client may see.
        before, taken = gw.list(), time.monotonic()
        gw.kill()
        time.sleep(1.2)
        gw.start()
        after, passed = gw.list(), time.monotonic() - taken
        sent, lost = flow.finish()
    assert lost == 0, f"{lost} of {2 * sent} packets lost"
    assert sent > 100
    assert len(after) == len(before) == 4
    for old, new in zip(before, after):
        for lease in old, new:
            del lease["traffic"]
        left, age = old["remaining_s"] - passed, old["age_s"] + passed
        assert abs(new["remaining_s"] - left) <= 1, (old, new)
        assert abs(new["age_s"] - age) <= 1.5, (old, new)
        assert {k: v for k, v in new.items() if k not in ("remaining_s", "age_s")} == \
            {k: v for k, v in old.items() if k not in ("remaining_s", "age_s")}
    # The nonce, too: a stranger's is refused, the owner's renews and deletes.
    assert console.map(pcp.UDP, a, a, nonce=b"a stranger's").result == pcp.NOT_AUTHORIZED
    renewed = console.map(pcp.UDP, a, a, 700)
    assert (renewed.result, renewed.external, renewed.lifetime) == (pcp.SUCCESS, a, 700)
    assert 698 <= gw.lease("udp", a)["remaining_s"] <= 700
    assert console.delete(pcp.TCP, b).result == pcp.SUCCESS
    assert gw.lease("tcp", b) is None
    assert console.delete(pcp.UDP, a).result == pcp.SUCCESS
    assert gw.lease("udp", a)["claims"] == ["upnp"]
    upnp.Igd(lab.console, version=2).delete("UDP", a)
    assert gw.lease("udp", a) is None


def test_a_short_lease_ends_on_time_across_a_restart(lab, gw, port):
    short = Short(lab, port)
    time.sleep(0.5)
    gw.kill()
    gw.start()
    assert len(gw.list()) == 3
    short.end()
    assert gw.list() == []


def test_an_orderly_restart_keeps_table_and_leases(lab, gw, console, port):
    p = port()
    console.get(pcp.UDP, p)
    with lab.console.udp(p) as s:
        flow = net.Flow(lab.inet, s, p)
        flow.start()
        gw.stop()
        assert net.silent(console.sock, 0.05)
        gw.start()
        sent, lost = flow.finish()
        assert lost == 0, f"{lost} of {2 * sent} packets lost"
        assert gw.lease("udp", p)
        assert net.arrives(lab.inet, s, p)


def test_the_epoch_tells_that_nothing_was_lost(lab, gw, console, port):
    """C25, P17: leases came back from the kernel, so clients need not ask again"""
    console.get(pcp.UDP, port())
    first, at = console.address().epoch, time.monotonic()
    gw.kill()
    time.sleep(1)
    gw.start()
    passed = time.monotonic() - at
    assert abs(console.address().epoch - first - passed) <= 2


def test_a_killed_core_finds_its_leases_again(lab, gw, console, port):
    p = port()
    console.get(pcp.UDP, p, lifetime=600)
    with lab.console.udp(p) as s:
        flow = net.Flow(lab.inet, s, p)
        flow.start()
        old = gw.process_id("core")
        gateway.kill(old)
        natpmp.served(lab.console)

        def listed():
            done = gw.cli("list", "--json")
            return done.returncode == 0 and gw.process_id("core") != old and gw.lease("udp", p)
        lease = net.wait_for(listed, what="the lease after the core's death", pause=0.05)
        assert 590 <= lease["remaining_s"] <= 600
        sent, lost = flow.finish()
        assert lost == 0, f"{lost} of {2 * sent} packets lost"
    assert console.map(pcp.UDP, p, p, 900).lifetime == 900
    assert console.delete(pcp.UDP, p).result == pcp.SUCCESS


@pytest.mark.parametrize("role", ["pcp", "igd"])
def test_a_killed_worker_is_back_within_a_second(lab, gw, console, port, role):
    """And its death costs no lease, nor anybody else an answer"""
    p = port()
    console.get(pcp.UDP, p, lifetime=600)
    old = gw.process_id(role, "br-lan")
    others = {x["pid"] for x in gw.processes()} - {old}
    gateway.kill(old)
    killed = time.monotonic()

    def answered():
        if role == "pcp":
            with natpmp.Client(lab.console, timeout=0.05) as c:
                return c.ask(b"\0\0")
        try:
            return (upnp.search(lab.console, upnp.IGD1, window=0.2, enough=1)
                    and upnp.Igd(lab.console).call("GetExternalIPAddress"))
        except (OSError, net.LabError):
            return None
    net.wait_for(answered, what=f"the {role} worker")
    assert time.monotonic() - killed < 1.0
    assert 595 <= gw.lease("udp", p)["remaining_s"] <= 600
    now = {x["pid"] for x in gw.processes()}
    assert others <= now and old not in now
    q = port()
    if role == "pcp":
        assert console.get(pcp.UDP, q) == q
        assert console.map(pcp.UDP, p, p, 500).result == pcp.SUCCESS
    else:
        upnp.Igd(lab.console).add("UDP", q)


def test_a_worker_that_keeps_dying_is_started_again_and_again(lab, gw, console):
    for _ in range(2):
        old = gw.process_id("pcp", "br-guest")
        gateway.kill(old)
        net.wait_for(lambda: any(x["pid"] != old for x in gw.processes("pcp", "br-guest")),
                     what="the guests' worker")
    assert console.address().result == 0
    natpmp.served(lab.guest)


def test_a_lease_that_ended_is_not_there_after_a_restart(lab, gw, port):
    """L18"""
    p = port()
    with natpmp.Client(lab.console) as c:
        c.map(natpmp.UDP, p, p, 2)
    gw.kill()
    time.sleep(2.5)
    gw.start()
    assert gw.list() == []
    with lab.console.udp(p) as s:
        assert not net.arrives(lab.inet, s, p, timeout=0.3)
