# SPDX-License-Identifier: GPL-2.0-or-later
"""What opens no port to a host that asks for none (issue 6). By packets: a socket that has spoken
to two addresses is reached by a stranger or not; another one of another host, which did the same
later, always is."""
import contextlib
import json

import pytest

import gateway
import nat
import natpmp
import net
import pcp
import upnp

IDLE = 2.0
CONFIG = """wan "wan0" {}
lan "br-lan" {}
lan "br-guest" { trusted = false }
open-nat { window = "2s"  idle = "2s"  per-host = 4 }
access "never" { address = "192.168.77.30"  open-nat = false }
reserved = { "udp/17000-17001" }
allow-reserved = { "udp/5900" }
"""
ROOT = f"http://{net.LAN}:49152/rootDesc.xml"


@pytest.fixture(scope="module")
def lab():
    with net.Net() as n:
        nat.more_addresses(n.inet)
        yield n


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, CONFIG) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


@pytest.fixture
def remotes(lab):
    with nat.Remotes(lab.inet) as r:
        yield r


@contextlib.contextmanager
def playing(host, remotes, *ports):
    """Sockets that have each spoken to two addresses, with the ports that were seen outside."""
    with contextlib.ExitStack() as stack:
        found = []
        for port in ports:
            s = stack.enter_context(host.udp(port))
            seen = {remotes.sees(r, s) for r in "AB"}
            assert len(seen) == 1
            found.append((s, seen.pop()))
        yield found


def reached(lab, sock, port):
    """Now, not after a while."""
    return bool(net.arrives(lab.inet, sock, port, timeout=0.2, source=nat.REMOTE3))


@pytest.fixture
def all_seen(lab, remotes, port):
    """Call it to wait until what was sent before must have been judged: what console2 sends then
    opens a port, and events keep their order."""
    def wait():
        with playing(lab.console2, remotes, port()) as [(s, outside)]:
            assert nat.unsolicited(lab.inet, s, outside)
    return wait


def test_reserved_ports_are_not_opened(lab, gw, remotes, all_seen):
    """prior-art 2.2: those of the list, and those that the admin adds; not those that he allows"""
    with playing(lab.console, remotes, 5938, 17000, 5900) as found:
        all_seen()
        assert [reached(lab, *f) for f in found] == [False, False, True]


def test_a_reserved_port_that_was_moved_is_not_opened(lab, gw, remotes, all_seen):
    """prior-art 2.2: also where another host has it outside"""
    with playing(lab.console2, remotes, 17001), playing(lab.console, remotes, 17001) as [f]:
        assert f[1] > 32767
        all_seen()
        assert not reached(lab, *f)


def test_the_admins_rule_goes_first(lab, gw, remotes, all_seen, port):
    """prior-art 2.3: and so does a flow that runs already"""
    p = port()
    with playing(lab.console, remotes, p) as [(s, outside)], lab.pc.udp(p) as target:
        assert outside == p and nat.unsolicited(lab.inet, s, p)
        lab.gw.nft("table ip admin { chain pre { type nat hook prerouting priority dstnat;\n"
                   f'iifname "wan0" udp dport {p} dnat to {net.PC}\n}}; }}\n')
        try:
            assert net.arrives(lab.inet, target, p, source=nat.REMOTE3)
            remotes.socks["A"].sendto(b"on", (net.WAN, p))
            assert s.recvfrom(8) == (b"on", remotes.socks["A"].getsockname())
        finally:
            lab.gw.nft("delete table ip admin\n")


def test_the_quota_of_a_host(lab, gw, remotes, all_seen, port):
    """prior-art 2.6: four here; another host has its own, and the next port is opened when one
    has ended"""
    ports = [port() for _ in range(6)]
    with playing(lab.console, remotes, *ports) as found:
        all_seen()
        assert [reached(lab, *f) for f in found] == [True] * 4 + [False] * 2
    with playing(lab.console, remotes, port()) as [f]:
        s, outside = f
        net.wait_for(lambda: remotes.sees("A", s) and remotes.sees("B", s)
                     and reached(lab, s, outside), what="the next opening", pause=0.2)


def test_a_switch_for_each_host_and_lan(lab, gw, remotes, all_seen, port):
    """prior-art 2.6: denied to the pc by a rule, to guests by default; both go out as before"""
    with playing(lab.pc, remotes, port()) as [denied], \
            playing(lab.guest, remotes, port()) as [guest]:
        all_seen()
        assert not reached(lab, *denied) and not reached(lab, *guest)


@pytest.fixture
def more_of_the_console(lab):
    """Another address of it, and one that it would be a router for."""
    lab.console.ip("address add 192.168.77.25/24 dev eth0\naddress add 10.20.0.5/32 dev lo\n")
    lab.gw.ip(f"route add 10.20.0.0/16 via {net.CONSOLE}\n")
    yield "192.168.77.25", "10.20.0.5"
    lab.gw.ip("route del 10.20.0.0/16\n")
    lab.console.ip("address del 192.168.77.25/24 dev eth0\naddress del 10.20.0.5/32 dev lo\n")


def described(host):
    try:
        return upnp.get(host, ROOT).status == 200
    except OSError:
        return False


def test_a_rule_by_mac_address(lab, gw, remotes, port, more_of_the_console):
    """Design 7: by each protocol, at each address of that host, and unasked where the LAN has it
    off; nobody else. What it has stays while it cannot be asked who it is."""
    link = json.loads(lab.console.run("ip", "-json", "link", "show", "eth0").stdout)[0]
    lan = CONFIG.replace('lan "br-lan" {}',
                         'lan "br-lan" { open-nat = false  also = { "10.20.0.0/16" } }')
    lan = lan.replace('"udp/5900"', '"udp/700-710"')
    rule = (f'access "console" {{ mac = "{link["address"]}"  open-nat = true\n'
            'ports = { "700-710", "1024-65535" } }\n')
    other, behind = more_of_the_console
    gw.reload(lan + rule)  # which has the LAN served anew
    try:
        net.wait_for(lambda: lab.console.run("natpmpc", "-g", net.LAN).returncode == 0, 10,
                     "NAT-PMP")
        net.wait_for(lambda: described(lab.console), 10, "UPnP")
        with natpmp.Client(lab.console) as a, pcp.Client(lab.console) as b, \
                natpmp.Client(lab.console, source=other) as c, \
                natpmp.Client(lab.console, source=behind) as d, \
                natpmp.Client(lab.console2) as e:
            assert a.map(natpmp.UDP, 700, 700).external == 700
            assert b.get(pcp.UDP, 701, 701) == 701
            upnp.Igd(lab.console).add("UDP", 702)
            assert c.map(natpmp.UDP, 703, 703).external == 703
            assert d.map(natpmp.UDP, 704, 704).result == 2
            assert e.map(natpmp.UDP, 705, 705).result == 2
        with playing(lab.console2, remotes, port()) as [nobody], \
                playing(lab.console, remotes, port()) as [(s, outside)]:
            assert nat.unsolicited(lab.inet, s, outside)
            assert not reached(lab, *nobody)
        lab.console.ip("link set eth0 arp off\n")
        lab.gw.run("ip", "neigh", "flush", "dev", "br-lan", check=True)
        assert gw.reload(lan + rule) == 0
        assert gw.reload(lan + rule.replace("-710", "-701")) == 2
        assert gw.lease("udp", 700) and gw.lease("udp", outside)
    finally:
        lab.console.ip("link set eth0 arp on\n")
        assert gw.reload(CONFIG) == 2


def test_switched_off_while_it_runs(lab, gw, remotes, all_seen, port):
    """prior-art 2.6: what is open ends, also for who comes in already; on again, the port opens
    when its host goes on"""
    off = CONFIG.replace('lan "br-lan" {}', 'lan "br-lan" { open-nat = false }')
    with playing(lab.console, remotes, port()) as [(s, outside)], \
            net.fresh_udp(lab.inet, nat.REMOTE3) as inbound:
        assert nat.unsolicited(lab.inet, s, outside)
        assert net.comes_through(inbound, s, outside, source=nat.REMOTE3)
        try:
            assert gw.reload(off) == 1
            assert not reached(lab, s, outside)
            s.settimeout(0.05)
            net.wait_for(lambda: inbound.sendto(b"on", (net.WAN, outside)) and
                         net.answer_of(s) is None, what="the cut")
            s.settimeout(2)
            assert [remotes.sees(r, s) for r in "AB"] == [outside] * 2
            assert not reached(lab, s, outside)
        finally:
            gw.reload(CONFIG)
        assert [remotes.sees(r, s) for r in "AB"] == [outside] * 2
        assert nat.unsolicited(lab.inet, s, outside)


def test_spoofed_sources(lab, gw, remotes, all_seen, port):
    """prior-art 2.6: addresses of the LAN that no host has, and others. If anything was opened, a
    host that takes that address finds out."""
    p, absent = port(), "192.168.77.99"
    for name in "ABC":
        remote = remotes.socks[name]
        for source in (absent, "10.9.9.9"):
            lab.console.send_raw(source, p, *remote.getsockname(), b"spoofed")
            data, peer = remote.recvfrom(16)
            assert data == b"spoofed" and peer[0] == net.WAN
    all_seen()
    lab.pc.ip(f"address add {absent}/24 dev eth0\n")
    try:
        with lab.pc.udp(p, absent) as s:
            assert not reached(lab, s, p)
            assert all(lease["internal_address"] == net.CONSOLE2 for lease in gw.list())
    finally:
        lab.pc.ip(f"address del {absent}/24 dev eth0\n")
