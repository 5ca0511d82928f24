# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets what, and how much of it: nonces, quotas, rates, switches, and ports in use."""
import collections
import json
import os
import socket
import struct
import time

import pytest

import gateway
import natpmp
import net
import pcp
import upnp
from pcp import TCP, UDP
from test_schema import valid

# What an admin gets who sets nothing.
DEFAULTS = 'wan "wan0" {}\nlan "br-lan" {}\nlan "br-guest" {}\n'


@pytest.fixture(scope="module")
def bare():
    """A lab without a daemon."""
    with net.Net() as n:
        yield n


@pytest.fixture
def daemon(bare):
    """Starts a daemon with a configuration of the test's own."""
    started = []

    def start(config):
        started.append(gateway.Gateway(bare, config))
        started[-1].start()
        return started[-1]
    yield start
    for g in started:
        g.stop()
        bare.gw.nft("delete table inet portreeve\n")
        assert not gateway.problems(g.log()), "portreeved logged errors"


# Nonces


def test_a_takeover_by_another_nonce(lab, gw, port):
    """C9, L6: neither that nor the owner's delete fails afterwards"""
    p = port()
    with pcp.Client(lab.console) as c, pcp.Client(lab.console) as thief:
        c.get(UDP, p, lifetime=600)
        for lifetime in (3600, 0):
            assert thief.map(UDP, p, p, lifetime).result == pcp.NOT_AUTHORIZED
        assert c.map(UDP, p, p, 1200).lifetime == 1200
        assert c.delete(UDP, p).result == pcp.SUCCESS
    assert gw.list() == []


def test_a_new_nonce_each_time_in_strict_mode(lab, gw, port):
    """C9: Tailscale's habit; NAT-PMP, which it takes first, renews all the same"""
    p = port()
    with pcp.Client(lab.console) as c, natpmp.Client(lab.console) as pmp:
        assert c.map(UDP, p, p, nonce=os.urandom(12)).external == p
        assert c.map(UDP, p, p, nonce=os.urandom(12)).result == pcp.NOT_AUTHORIZED
        assert pmp.map(natpmp.UDP, p, p).external == p
    assert gw.lease("udp", p)["claims"] == ["pcp", "nat-pmp"]


def test_a_new_nonce_each_time_from_the_same_source(bare, daemon, port):
    """C9: pcp-nonce = "same-source"; for the host itself only"""
    gw = daemon(gateway.CONFIG + 'pcp-nonce = "same-source"\n')
    p = port()
    with pcp.Client(bare.console) as c, pcp.Client(bare.console2) as other:
        for lifetime in (7200, 3600):
            nonce = os.urandom(12)
            reply = c.map(UDP, p, p, lifetime, nonce=nonce)
            assert (reply.result, reply.external, reply.nonce) == (pcp.SUCCESS, p, nonce)
            assert reply.lifetime == lifetime
        assert len(gw.list()) == 1
        assert other.map(UDP, p, p).external != p
        assert other.delete(UDP, p).result == pcp.SUCCESS
        assert gw.lease("udp", p)["internal_address"] == net.CONSOLE
        assert c.map(UDP, p, 0, 0, nonce=os.urandom(12)).result == pcp.SUCCESS
        assert gw.lease("udp", p) is None


def test_the_nonce_policy_has_two_words(lab):
    """C9: any other one is refused with a line that says so"""
    g = gateway.Gateway(lab, gateway.CONFIG + 'pcp-nonce = "lax"\n')
    done = g.run("--check-config")
    assert done.returncode != 0
    assert "pcp-nonce" in done.stderr and "same-source" in done.stderr


# Quotas


def test_one_hosts_quota(bare, daemon, port):
    """C40, N9, L26: over it 10; NAT-PMP 4; renewals and deletes are served, others too"""
    gw = daemon(gateway.CONFIG.replace("per-host = 4096", "per-host = 6"))
    with pcp.Client(bare.console) as c, natpmp.Client(bare.console) as pmp, \
            pcp.Client(bare.console2) as other:
        ports = [port() for _ in range(6)]
        for p in ports:
            assert c.get(UDP, p) == p
        q = port()
        reply = c.map(UDP, q, q)
        assert reply.result == pcp.USER_EX_QUOTA and reply.lifetime == 30
        reply = pmp.map(natpmp.TCP, q, q)
        assert (reply.result, reply.external, reply.lifetime) == (4, 0, 0)
        for p in ports:
            assert c.map(UDP, p, p, 600).lifetime == 600
            assert pmp.map(natpmp.UDP, p, p).result == 0  # a claim more is no lease more
        assert other.get(UDP, q) == q
        with pytest.raises(upnp.Fault) as fault:
            upnp.Igd(bare.console, version=2).add("TCP", port())
        assert fault.value.code == 728
        assert pmp.delete(natpmp.UDP, ports[0]).result == 0
        assert c.delete(UDP, ports[0]).result == pcp.SUCCESS
        p = port()
        assert c.get(TCP, p) == p
        assert c.map(TCP, port()).result == pcp.USER_EX_QUOTA
    assert len(gw.leases_of(bare.console)) == 6


@pytest.mark.alone
def test_the_default_quota_stops_who_asks_for_all(bare, daemon):
    """L26, N11: 60,000 ports; nobody's lease goes for it, and others notice nothing"""
    gw = daemon(DEFAULTS + "limits { requests-per-second = 100000 }\n")
    with natpmp.Client(bare.console2) as other, bare.console.udp() as flood:
        assert other.get(natpmp.UDP, 9000) == 9000
        flood.connect((net.LAN, natpmp.PORT))
        slowest = 0.0
        for first in range(1100, 61100, 1000):
            for p in range(first, first + 1000):
                flood.send(natpmp.map_request(natpmp.UDP, p, p))
            began = time.monotonic()
            assert other.map(natpmp.UDP, 9000, 9000).external == 9000
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 0.5
    assert len(gw.leases_of(bare.console)) == 64
    assert gw.lease("udp", 9000)["internal_address"] == net.CONSOLE2


def test_the_quota_of_the_table(bare, daemon, port):
    """C28, N9: full is 8 and 4, for a short time"""
    gw = daemon(gateway.CONFIG.replace("limits {", "limits { leases = 5 "))
    with pcp.Client(bare.console) as c, natpmp.Client(bare.console2) as pmp:
        p = port()
        c.get(UDP, p)
        for _ in range(4):
            c.get(UDP, port())
        q = port()
        with pcp.Client(bare.console2) as other:
            reply = other.map(UDP, q, q)
        assert reply.result == pcp.NO_RESOURCES and reply.lifetime == 30
        assert pmp.map(natpmp.UDP, q, q).result == 4
        assert c.map(UDP, p, p, 600).lifetime == 600
        c.delete(UDP, p)
        assert pmp.map(natpmp.UDP, q, q).result == 0
    assert len(gw.list()) == 5


# Rates


def test_twenty_requests_a_second_are_never_too_many(bare, daemon, port):
    """S3: Deluge's pace, with the limits that nobody set; every request is answered"""
    daemon(DEFAULTS)
    ports = [port() for _ in range(20)]
    with natpmp.Client(bare.console) as c:
        began = time.monotonic()
        for i in range(100):
            time.sleep(max(began + i / 20 - time.monotonic(), 0))
            p = ports[i % 20]
            assert c.ask(natpmp.map_request(natpmp.UDP, p, p)), f"the {i}. request"
        # And all that a program asks for at its start, at once.
        for p in ports:
            c.sock.send(natpmp.map_request(natpmp.TCP, p, p))
        for _ in ports:
            assert natpmp.parse_map(c.sock.recv(64)).result == 0


@pytest.mark.alone
def test_a_flood_is_too_much(bare, daemon, port):
    """S3, C49: no answers over the limit; others are served, and so is that host afterwards"""
    daemon(DEFAULTS)
    p = port()
    with bare.console.udp() as flood, natpmp.Client(bare.console2) as other:
        flood.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        flood.connect((net.LAN, natpmp.PORT))
        began, sent, served = time.monotonic(), 0, 0
        while time.monotonic() - began < 1.5:
            for _ in range(100):
                flood.send(natpmp.map_request(natpmp.UDP, p, p))
                sent += 1
            if time.monotonic() - began > served / 20:  # an honest pace
                assert other.address().result == 0
                served += 1
        elapsed = time.monotonic() - began
        time.sleep(0.3)
        flood.setblocking(False)
        answers = 0
        while True:
            try:
                flood.recv(64)
                answers += 1
            except BlockingIOError:
                break
        assert sent > 2000 and served > 10
        assert answers <= 200 * (elapsed + 0.3) + 400 + 50
        assert answers >= 200
        time.sleep(1)
        with natpmp.Client(bare.console) as c:
            assert c.map(natpmp.UDP, p, p).external == p


# Switches


def test_natpmp_alone(bare, daemon, port):
    """P6, P28: other versions get the eight bytes that make Bitcoin Core fall back"""
    daemon(gateway.CONFIG.replace('"br-lan" {}', '"br-lan" { pcp = false  nat-pmp = true }'))
    p = port()
    with pcp.Client(bare.console) as c:
        epoch = c.address().epoch
        for request in (c.request(UDP, p), pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE), b"\2\0",
                        b"\1\1", b"\xff\0" + bytes(22)):
            reply = c.ask(request)
            assert len(reply) == 8 and reply[:4] == b"\0\0\0\1", request
            assert 0 <= struct.unpack_from("!I", reply, 4)[0] - epoch <= 2
        assert c.silent(b"\2\x81" + bytes(58), 0.2)
    with natpmp.Client(bare.console) as pmp:
        assert pmp.get(natpmp.UDP, p) == p


def test_pcp_alone(bare, daemon, port):
    """P28: NAT-PMP gets PCP's version error (RFC 6887 appendix A)"""
    daemon(gateway.CONFIG.replace('"br-lan" {}', '"br-lan" { pcp = true  nat-pmp = false }'))
    p = port()
    with pcp.Client(bare.console) as c:
        assert c.ask(b"\0\0")[:4] == b"\2\x80\0\1"
        reply = c.ask(natpmp.map_request(natpmp.UDP, p, p))
        assert reply[:4] == b"\2\x81\0\1"
        assert c.get(UDP, p) == p


def test_neither(bare, daemon):
    """P28, C48: no socket, so the kernel says so; the other LAN is served"""
    daemon(gateway.CONFIG.replace('"br-lan" {}', '"br-lan" { pcp = false }'))
    with bare.console.udp(timeout=1) as s:
        s.connect((net.LAN, natpmp.PORT))
        for packet in (b"\0\0", pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE)):
            s.send(packet)
            with pytest.raises(ConnectionRefusedError):
                s.recv(64)
    with natpmp.Client(bare.guest) as c:
        assert c.address().result == 0


# Ports in use


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_port_of_the_router_itself(lab, gw, port, protocol):
    """C35: it listens there on all addresses, or on the WAN's; UPnP is refused, too"""
    number = {"udp": UDP, "tcp": TCP}[protocol]
    for addr in ("0.0.0.0", net.WAN):
        p = port()
        with (lab.gw.udp if protocol == "udp" else lab.gw.listen)(p, addr):
            time.sleep(1.1)  # the daemon looks once a second
            with pcp.Client(lab.console) as c, natpmp.Client(lab.console2) as pmp:
                assert c.result(number, p, p, options=pcp.prefer_failure()) == \
                    pcp.CANNOT_PROVIDE_EXTERNAL
                reply = c.map(number, p, p)
                assert reply.result == pcp.SUCCESS and reply.external not in (0, p)
                op = natpmp.UDP if protocol == "udp" else natpmp.TCP
                assert pmp.get(op, p) != p
                with pytest.raises(upnp.Fault):
                    upnp.Igd(lab.console).add(protocol.upper(), p)
            assert gw.lease(protocol, p) is None


def test_a_released_port_is_held_for_its_owner(lab, gw, port):
    """C37, N10: to nobody else, by any protocol; its owner has it back"""
    p = port()
    with pcp.Client(lab.console) as c, pcp.Client(lab.console2) as b, \
            natpmp.Client(lab.pc) as pmp:
        c.get(UDP, p)
        c.delete(UDP, p)
        assert b.map(UDP, p, p).external != p
        assert b.result(UDP, port(), p, options=pcp.prefer_failure()) == \
            pcp.CANNOT_PROVIDE_EXTERNAL
        assert pmp.map(natpmp.UDP, p, p).external != p
        assert c.get(UDP, p) == p


def test_an_expired_port_is_held_for_its_owner(lab, gw, port):
    """C37: also when it ran out"""
    p = port()
    with pcp.Client(lab.console) as c, pcp.Client(lab.console2) as b:
        assert c.map(UDP, p, p, 1).external == p
        net.wait_for(lambda: gw.lease("udp", p) is None, what="its end")
        assert b.map(UDP, p, p).external != p
        assert c.map(UDP, p, p).external == p


def test_no_theft_of_a_port_in_use(lab, gw, port):
    """C55: sent out through the mapping, deleted: another host does not get the port"""
    p, x = port(), port()
    with pcp.Client(lab.console) as c, pcp.Client(lab.console2) as b, lab.console.udp(p) as s:
        assert c.map(UDP, p, x).external == x
        assert net.source_seen(s, lab.inet) == (net.WAN, x)
        gone = c.delete(UDP, p)
        assert gone.result == pcp.SUCCESS
        assert 110 <= gone.lifetime <= 120  # of two minutes since that packet
        assert not net.arrives(lab.inet, s, x, timeout=0.2)
        assert b.map(UDP, x, x).external != x
        assert b.result(UDP, port(), x, options=pcp.prefer_failure()) == \
            pcp.CANNOT_PROVIDE_EXTERNAL
        assert c.delete(UDP, p).lifetime == 0  # there is none any more
        # Its flow goes on, and so does its claim on the port.
        assert net.source_seen(s, lab.inet) == (net.WAN, x)
        claims = net.sh(lab.gw.argv("nft", "list", "map", "inet", "portreeve", "mine"))
        assert f"udp . {x} . {net.CONSOLE} " in claims


def test_a_delete_without_packets_leaves_nothing(lab, gw, port):
    """C55, C34: nothing was sent through the mapping, so nothing keeps it; NAT-PMP's delete
    answers 0 in any case"""
    p, q = port(), port()
    with pcp.Client(lab.console) as c, natpmp.Client(lab.pc) as pmp, lab.pc.udp(q) as s:
        c.get(UDP, p)
        assert c.delete(UDP, p).lifetime == 0
        pmp.get(natpmp.UDP, q)
        assert net.source_seen(s, lab.inet) == (net.WAN, q)
        gone = pmp.map(natpmp.UDP, q, 0, 0)
        assert (gone.result, gone.lifetime) == (0, 0)


def test_a_port_from_which_another_host_sends(lab, gw, port):
    """P20, C37: its flow is not taken away (for a port that was only wanted)"""
    p, q = port(), port()
    with lab.console2.udp(p) as s, lab.inet.udp(0, net.REMOTE1) as remote:
        s.sendto(b"hello", remote.getsockname())
        _, seen = remote.recvfrom(64)
        assert seen == (net.WAN, p)  # the router's masquerade keeps the port
        with pcp.Client(lab.console) as c, natpmp.Client(lab.pc) as pmp:
            assert c.result(UDP, q, p, options=pcp.prefer_failure()) == \
                pcp.CANNOT_PROVIDE_EXTERNAL
            assert c.map(UDP, p, p).external not in (0, p)
            assert pmp.map(natpmp.UDP, p, p).external not in (0, p)
        for _ in range(3):
            remote.sendto(b"to console2", seen)
            assert s.recv(64) == b"to console2"
            s.sendto(b"back", remote.getsockname())
            assert remote.recvfrom(64) == (b"back", seen)


def test_the_hosts_own_flow_is_no_hindrance(lab, gw, port):
    """C46, P20: it has the port outside already and keeps it"""
    p = port()
    with lab.console.udp(p) as s:
        assert net.source_seen(s, lab.inet) == (net.WAN, p)
        with pcp.Client(lab.console) as c:
            assert c.map(UDP, p, p).external == p
        assert net.source_seen(s, lab.inet) == (net.WAN, p)


def test_the_port_that_a_flow_has_outside_is_kept(lab, gw, port):
    """C46, P20: what is there comes before what is suggested"""
    p, y = port(), port()
    with lab.console.udp(p) as s, natpmp.Client(lab.console) as c:
        assert net.source_seen(s, lab.inet) == (net.WAN, p)
        assert c.map(natpmp.UDP, p, y).external == p


def test_the_companion_port_by_other_protocols(lab, gw, port):
    """P16: PCP holds TCP; NAT-PMP of another host gets another port for UDP"""
    p = port()
    with pcp.Client(lab.console) as c, natpmp.Client(lab.console2) as b:
        assert c.get(TCP, p) == p
        assert b.get(natpmp.UDP, p) != p
        assert c.get(UDP, p) == p


# What comes and goes through a lease


def test_icmp_errors_are_translated(lab, gw, port):
    """C54, N14: both ways; and they end nothing"""
    p, x = port(), port()
    with pcp.Client(lab.console) as c:
        assert c.map(UDP, p, x).external == x
    with lab.console.udp(p, timeout=1) as s:
        s.connect((net.REMOTE1, 9))  # nobody listens there
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(64)
    with net.fresh_udp(lab.inet) as s:  # nor at the console now
        s.settimeout(1)
        s.connect((net.WAN, x))
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(64)
    assert gw.lease("udp", x)
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, x)


def test_the_end_of_a_connection_ends_no_lease(lab, gw, port):
    """C38: neither FIN nor RST"""
    p = port()
    with pcp.Client(lab.console) as c:
        assert c.map(TCP, p, p, 3600).external == p
    with lab.console.listen(p) as listener:
        for linger in (None, struct.pack("ii", 1, 0)):  # the second one resets
            c = lab.inet.connect(net.WAN, p)
            if linger:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            a = listener.accept()[0]
            c.close()
            a.close()
        time.sleep(0.2)
        assert gw.lease("tcp", p)["remaining_s"] > 3590
        with lab.inet.connect(net.WAN, p), listener.accept()[0]:
            pass


def test_no_request_that_failed_changed_anything(lab, gw, port):
    """C41: whatever the reason"""
    p, x = port(), port()
    with pcp.Client(lab.console) as c:
        assert c.map(UDP, p, x, 300, options=pcp.description("as it was")).external == x
        before = gw.lease("udp", x)
        for lifetime in (3000, 0):
            for options in (pcp.option(60), pcp.option(2, b"abcd"), pcp.filter_of("1.1.1.1", 0, 9),
                            pcp.option(200, b"abcd", length=99), 2 * pcp.description("b"),
                            pcp.third_party(net.CONSOLE2)):
                assert c.result(UDP, p, p, lifetime, options=options) != pcp.SUCCESS
            request = pcp.header(pcp.MAP, lifetime, net.PC) + pcp.map_body(c.nonce, UDP, p, p)
            assert c.ask(request)[3] == pcp.ADDRESS_MISMATCH
            assert c.ask(c.request(UDP, p, p, lifetime) + b"\0\0")[3] == pcp.MALFORMED_REQUEST
        after = gw.lease("udp", x)
        assert 0 <= before.pop("remaining_s") - after.pop("remaining_s") <= 3
        assert after.pop("age_s") - before.pop("age_s") <= 3
        assert after == before


def test_the_lans_are_apart(lab, gw, port):
    """C47: with the nonce and all, a guest does nothing to a lease of the LAN"""
    p = port()
    with pcp.Client(lab.console) as c, pcp.Client(lab.guest) as g:
        g.nonce = c.nonce
        assert c.get(UDP, p) == p
        assert g.delete(UDP, p).result == pcp.SUCCESS  # of its own, which is none
        assert g.map(UDP, p, p).external not in (0, p)
        request = pcp.header(pcp.MAP, 0, net.CONSOLE) + pcp.map_body(c.nonce, UDP, p)
        assert g.ask(request)[3] == pcp.ADDRESS_MISMATCH
        assert gw.lease("udp", p)["internal_address"] == net.CONSOLE


def test_one_nonce_at_every_address_of_the_router(lab, gw, port):
    """C56, RFC 7488: a host may use the guests' address, too, by its own LAN"""
    lab.gw.ip("address add 192.168.77.250/24 dev br-lan\n")
    try:
        natpmp.served(lab.console, "192.168.77.250")
        with pcp.Client(lab.console, "192.168.77.250") as second, \
                pcp.Client(lab.console) as first:
            second.nonce = first.nonce
            p, q = port(), port()
            assert second.get(UDP, p) == p
            assert first.map(UDP, p, q).external == p
            assert second.map(UDP, p, 0, 0).result == pcp.SUCCESS
            assert gw.list() == []
    finally:
        lab.gw.ip("address del 192.168.77.250/24 dev br-lan\n")


def test_the_admin_opens_a_port(lab, gw, port):
    """portreeve add: a reserved port too, for so long, for some; never somebody else's"""
    p = port()
    with lab.console.udp(p) as s:
        done = gw.cli("add", "udp/5900", f"{net.CONSOLE}:{p}", "--for", "2s", "--description", "x")
        assert (done.returncode, done.stdout) == (
            0, f"added udp/5900 to {net.CONSOLE}:{p} (admin)\n"), done.stderr
        assert net.arrives(lab.inet, s, 5900)
        assert gw.lease("udp", 5900)["description"] == "x"
        taken = gw.cli("add", "udp/5900", net.CONSOLE2)
        assert taken.returncode == 70 and taken.stdout == ""
        net.wait_for(lambda: not gw.lease("udp", 5900), what="the end of the lease")
        assert not net.arrives(lab.inet, s, 5900, timeout=0.3)
    assert gw.cli("add", "udp/5901", "10.1.1.1").returncode == 70  # in no LAN
    gw.cli("add", "5902", net.CONSOLE, "--remote", "12.0.0.0/24")
    assert [gw.lease(q, 5902)["remote"] for q in ("tcp", "udp")] == ["12.0.0.0/24"] * 2
    for wrong in (("udp/5901",), ("udp/5901", "here"), ("udp/5901", net.CONSOLE, "--for", "8d")):
        assert gw.cli("add", *wrong).returncode == 64


# Denials


def denied(gw):
    """How often the history has which port with that reason; a slow disk may keep it for a while."""
    done = gw.cli("history", "--json")
    events = json.loads(done.stdout)["events"] if done.returncode == 0 else []
    return collections.Counter((e["event"], e["external_port"]) for e in events
                               if e.get("reason") == "denied")


def test_what_the_admin_denies(bare, daemon, port):
    """Issue 7, row 1 (deny): leases end and packets stop, every protocol is told no, history and
    explain name the reason, also after a restart; what is taken back is granted again"""
    gw, p, other = daemon(gateway.CONFIG), port(), port()
    [link] = json.loads(bare.console2.run("ip", "-j", "link", "show", "eth0", check=True).stdout)
    mac = link["address"]
    said = gw.json("deny")
    assert valid(said, "deny") == {"denials": []}
    with pcp.Client(bare.console) as c, natpmp.Client(bare.console) as pmp, \
            pcp.Client(bare.console2) as c2, bare.console.udp(p) as s, \
            bare.console2.udp(other) as s2:
        assert c.map(UDP, p, p).external == p
        assert c2.map(UDP, other, other).external == other
        assert net.arrives(bare.inet, s, p) and net.arrives(bare.inet, s2, other)
        said = valid(gw.json("deny", f"udp/{p}"), "deny")
        assert (said["ended"], said["kept"]) == (1, 0)
        said = valid(gw.json("deny", mac), "deny")
        assert (said["ended"], [(d["host"], d["protocol"], d["port"]) for d in said["denials"]]) \
            == (1, [(None, "udp", p), (mac, None, None)])
        assert gw.list() == []
        for sock, ext in (s, p), (s2, other):
            assert net.arrives(bare.inet, sock, ext, timeout=0.3) is None
        gw.stop()
        gw.start()
        assert c.map(UDP, p, p).result == pcp.NOT_AUTHORIZED
        assert pmp.map(natpmp.UDP, p, p, 600).result == 2
        with pytest.raises(upnp.Fault) as fault:
            upnp.Igd(bare.console, version=2).add("UDP", p, lease=600)
        assert fault.value.code == 606
        assert c2.map(UDP, other, other).result == pcp.NOT_AUTHORIZED
        assert c.map(UDP, other, other).external == other
        net.wait_for(lambda: denied(gw) == {("ended", p): 1, ("ended", other): 1,
                                            ("refused", p): 3, ("refused", other): 1},
                     what="all that in the history")
        told = gw.cli("explain", f"udp/{p}", "--json")
        [told] = valid(json.loads(told.stdout), "explain")["ports"]
        assert (told["verdict"], told["reason"]) == ("refused", "denied")
        assert told["fix"] == f"to take that back: portreeve allow udp/{p}"
        said = valid(gw.json("add", f"udp/{p}", net.CONSOLE), "add")
        assert valid(gw.json("deny", f"{p}-{p + 1}"), "deny")["kept"] == 1
        assert net.arrives(bare.inet, s, p), "what the admin opens stays"
        gw.cli("delete", f"udp/{p}")
        for words in (f"udp/{p}",), (f"{p}-{p + 1}",), (mac,):
            assert gw.cli("allow", *words).returncode == 0
        assert gw.cli("allow", mac).returncode == 1
        assert valid(gw.json("deny"), "deny") == {"denials": []}
        assert c.map(UDP, p, p).external == p
        assert c2.map(UDP, other, other).external != other, "console has that one now"
        assert net.arrives(bare.inet, s, p)
