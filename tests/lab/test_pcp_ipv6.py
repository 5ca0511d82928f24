# SPDX-License-Identifier: GPL-2.0-or-later
"""PCP over IPv6: a MAP is a pinhole in whatever filters there, judged by packets."""
import socket
import struct

import pytest

import gateway
import natpmp
import net
import pcp
from pcp import TCP, UDP


@pytest.fixture(scope="module")
def lab():
    with net.Net(ipv6=True) as n:
        yield n


@pytest.fixture
def client(lab, gw):
    with pcp.Client(lab.console, source=net.CONSOLE6) as c:
        yield c


def pinhole(gw, protocol, port, addr=net.CONSOLE6):
    found = [l for l in gw.list() if l.get("family") == "ipv6" and l["protocol"] == protocol
             and l["external_port"] == port and l["internal_address"] == same(addr)]
    return found[0] if found else None


def same(addr):
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, addr))


def comes(lab, sock, port, addr=net.CONSOLE6, source=net.REMOTE6, sport=0, timeout=5.0):
    with (lab.inet.udp(sport, source) if sport else net.fresh_udp(lab.inet, source)) as s:
        return bool(net.comes_through(s, sock, port, addr, timeout, source))


def link_local(host, iface="eth0"):
    with host.inside(), open("/proc/net/if_inet6", encoding="ascii") as f:
        for line in f:
            word = line.split()
            if word[5] == iface and word[3] == "20":
                return same(":".join(word[0][i:i + 4] for i in range(0, 32, 4))), int(word[1], 16)
    raise net.LabError(f"{host.name} has no link-local address")


class LinkLocal(pcp.Client):
    """A client that knows its router by the link-local address, as hosts do."""

    def __init__(self, host, router, iface):
        addr, index = link_local(host)
        self.host, self.addr, self.nonce = host, addr, bytes(range(12))
        self.sock = host.socket(socket.AF_INET6)
        self.sock.bind((addr, 0, 0, index))
        self.sock.connect((link_local(router, iface)[0], natpmp.PORT, 0, index))


def test_a_pinhole_lets_in_what_was_filtered(lab, gw, client, port):
    """C27: the external address and port are the host's own; N21"""
    p = port()
    with lab.console.udp(p, net.CONSOLE6) as s:
        assert not comes(lab, s, p, timeout=0.25)
        data = client.ask(client.request(UDP, p, 0, 3600, address="::"))
        reply = pcp.parse_map(data)
        assert data[:4] == b"\2\x81\0\0" and len(data) == 60
        assert (reply.lifetime, reply.internal, reply.external) == (3600, p, p)
        assert reply.address == net.CONSOLE6 and reply.nonce == client.nonce
        for source in (net.REMOTE6, net.REMOTE6_2):
            assert comes(lab, s, p, source=source)
    lease = pinhole(gw, "udp", p)
    assert lease["claims"] == ["pcp"] and 3590 <= lease["remaining_s"] <= 3600
    assert lease["internal_port"] == p
    with lab.console.udp(p + 1, net.CONSOLE6) as s:
        assert not comes(lab, s, p + 1, timeout=0.25)
    assert client.delete(UDP, p).result == pcp.SUCCESS
    assert gw.list() == []
    with lab.console.udp(p, net.CONSOLE6) as s:
        assert not comes(lab, s, p, timeout=0.25)


def test_a_pinhole_of_tcp(lab, gw, client, port):
    """C27"""
    p = port()
    with lab.console.listen(p, net.CONSOLE6) as listener:
        with pytest.raises(OSError):
            lab.inet.connect(net.CONSOLE6, p, timeout=0.3)
        assert client.map(TCP, p, p).result == pcp.SUCCESS
        with lab.inet.connect(net.CONSOLE6, p) as c, listener.accept()[0] as a:
            assert a.getpeername()[:2] == c.getsockname()[:2]
            c.sendall(b"in")
            assert a.recv(8) == b"in"
            a.sendall(b"out")
            assert c.recv(8) == b"out"
    with lab.console.udp(p, net.CONSOLE6) as s:  # and no UDP
        assert not comes(lab, s, p, timeout=0.25)


def test_one_pinhole_for_each_address(lab, gw, client, port):
    """C27: as Bitcoin Core asks, from each of its addresses with one nonce"""
    p = port()
    assert client.map(TCP, p, p, 2400).address == net.CONSOLE6
    with pcp.Client(lab.console, source=net.CONSOLE6_2) as second:
        second.nonce = client.nonce
        assert pinhole(gw, "tcp", p, net.CONSOLE6_2) is None
        reply = second.map(TCP, p, p, 2400)
        assert (reply.result, reply.external) == (pcp.SUCCESS, p)
        assert reply.address == same(net.CONSOLE6_2)
        assert pinhole(gw, "tcp", p) and pinhole(gw, "tcp", p, net.CONSOLE6_2)
        assert client.delete(TCP, p).result == pcp.SUCCESS
        assert not pinhole(gw, "tcp", p) and pinhole(gw, "tcp", p, net.CONSOLE6_2)
        assert second.delete(TCP, p).result == pcp.SUCCESS


def test_two_hosts_have_the_same_port(lab, gw, client, port):
    """C27: and beside an IPv4 lease of it"""
    p = port()
    with pcp.Client(lab.console2, source=net.CONSOLE2_6) as other, pcp.Client(lab.pc) as v4:
        for c in (client, other, v4):
            reply = c.map(UDP, p, p)
            assert (reply.result, reply.external) == (pcp.SUCCESS, p)
    assert len(gw.list()) == 3
    assert sum(l.get("family") == "ipv6" for l in gw.list()) == 2
    with lab.console2.udp(p, net.CONSOLE2_6) as s:
        assert comes(lab, s, p, net.CONSOLE2_6)


def test_a_pinhole_is_renewed_and_runs_out(lab, gw, client, port):
    """C8, C13, C27"""
    p, q = port(), port()
    assert client.map(UDP, p, p, 600).lifetime == 600
    assert client.map(UDP, p, q, 1200).external == p
    assert gw.list()[0]["remaining_s"] > 1190 and len(gw.list()) == 1
    assert client.map(UDP, q, q, 1).lifetime == 1
    net.wait_for(lambda: not pinhole(gw, "udp", q), what="the end of a pinhole of 1 s")
    with lab.console.udp(q, net.CONSOLE6) as s:
        assert not comes(lab, s, q, timeout=0.25)


def test_a_pinhole_has_its_nonce(gw, client, port):
    """C9"""
    p = port()
    client.map(UDP, p, p, 600)
    for lifetime in (3600, 0):
        reply = client.map(UDP, p, p, lifetime, nonce=b"a stranger's")
        assert reply.result == pcp.NOT_AUTHORIZED and 590 <= reply.lifetime <= 600
    assert pinhole(gw, "udp", p)


def test_a_pinhole_with_a_filter(lab, gw, client, port):
    """C20, C27, L5: packets of other peers and ports do not come in"""
    p, a = port(), port()
    options = pcp.filter_of(net.REMOTE6, a)
    reply = client.map(UDP, p, p, options=options)
    assert reply.result == pcp.SUCCESS and reply.raw[60:] == options
    with lab.console.udp(p, net.CONSOLE6) as s:
        assert not comes(lab, s, p, timeout=0.25)
        assert not comes(lab, s, p, source=net.REMOTE6_2, sport=a, timeout=0.25)
        assert comes(lab, s, p, sport=a)
        assert client.result(UDP, p, p, options=pcp.filter_of("2a01:11::", 0, 64)) == \
            pcp.SUCCESS
        assert comes(lab, s, p, source=net.REMOTE6_2)
        assert client.result(UDP, p, p, options=pcp.no_filter("::")) == pcp.SUCCESS
        assert "filters" not in pinhole(gw, "udp", p)
    for n in (129, 255):
        assert client.result(UDP, p, p, options=pcp.filter_of(net.REMOTE6, 0, n)) == \
            pcp.MALFORMED_OPTION
    # One of IPv4 lets nobody in; it must not open the pinhole to everybody.
    q = port()
    assert client.result(UDP, q, q, options=pcp.filter_of(net.REMOTE1)) != pcp.SUCCESS
    assert not pinhole(gw, "udp", q)


def test_prefer_failure_over_ipv6(gw, client, port):
    """C18, C27: there is but one port, and one address"""
    p, q = port(), port()
    assert client.result(UDP, p, q, options=pcp.prefer_failure()) == \
        pcp.CANNOT_PROVIDE_EXTERNAL
    assert client.result(UDP, p, p, address=net.CONSOLE2_6, options=pcp.prefer_failure()) == \
        pcp.CANNOT_PROVIDE_EXTERNAL
    assert gw.list() == []
    assert client.result(UDP, p, p, address=net.CONSOLE6, options=pcp.prefer_failure()) == \
        pcp.SUCCESS


def test_a_unique_local_address_gets_no_pinhole(lab, gw, port):
    """N22"""
    with pcp.Client(lab.console, source=net.CONSOLE_ULA, gateway="fd00:77::1") as c:
        assert c.result(UDP, port(), 0) == pcp.NOT_AUTHORIZED
    assert gw.list() == []


def test_a_link_local_address_gets_no_pinhole_but_answers(lab, gw, port):
    """C22, C27: hosts know their router by such an address"""
    with LinkLocal(lab.console, lab.gw, "br-lan") as c:
        reply = c.ask(pcp.header(pcp.ANNOUNCE, 0, c.addr))
        assert len(reply) == 24 and reply[:4] == b"\2\x80\0\0"
        assert c.result(UDP, port(), 0) not in (pcp.SUCCESS, None)
    assert gw.list() == []


def test_the_header_must_name_the_sender(lab, gw, client, port):
    """C5, C51: neither another address of the same host nor the mapped form"""
    p = port()
    for addr in (net.CONSOLE6_2, net.CONSOLE2_6, net.CONSOLE, "::"):
        request = pcp.header(pcp.MAP, 600, addr) + pcp.map_body(client.nonce, UDP, p, p)
        assert client.ask(request)[3] == pcp.ADDRESS_MISMATCH, addr
    assert gw.list() == []


def test_the_reply_comes_from_where_the_request_went(lab, gw, client):
    """S2: the socket is connected, so that others are lost"""
    request = pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE6)
    for router in (net.LAN6, "fd00:77::1"):
        with pcp.Client(lab.console, source=net.CONSOLE6, gateway=router) as c:
            assert c.ask(request)


def test_low_and_reserved_ports(gw, client):
    """C27: as over IPv4"""
    for p in (22, 80, 3389, 5351):
        assert client.result(TCP, p, p) == pcp.NOT_AUTHORIZED
    assert gw.list() == []


def test_natpmp_is_not_spoken_over_ipv6(gw, client, port):
    """P21: its replies carry IPv4 addresses"""
    p = port()
    for request in (b"\0\0", natpmp.map_request(natpmp.UDP, p, p)):
        reply = client.ask(request)
        assert reply is None or reply[:4] in (b"\2\x80\0\1", b"\2\x81\0\1"), reply
    assert gw.list() == []


def test_silence_towards_the_wan(lab, gw, port):
    """S1, N21: to the WAN's address, and to the LAN's"""
    for addr in (net.WAN6, net.LAN6):
        with lab.inet.udp(0, net.REMOTE6) as s:
            for request in (pcp.header(pcp.ANNOUNCE, 0, net.REMOTE6),
                            pcp.header(pcp.MAP, 600, net.REMOTE6)
                            + pcp.map_body(bytes(12), UDP, port())):
                s.sendto(request, (addr, natpmp.PORT))
            assert net.silent(s, 0.4)
    assert gw.list() == []


def test_pinholes_outlive_a_crash(lab, gw, client, port):
    """C27, C25: with their filters, nonce and time"""
    p, q, a = port(), port(), port()
    client.map(UDP, p, p, 900)
    assert client.result(UDP, q, q, 900, options=pcp.filter_of(net.REMOTE6, a)) == pcp.SUCCESS
    before = gw.list()
    gw.kill()
    with lab.console.udp(p, net.CONSOLE6) as s:
        assert comes(lab, s, p)
        gw.start()
        assert comes(lab, s, p)
    after = gw.list()
    for old, new in zip(before, after, strict=True):
        assert abs(new.pop("remaining_s") - old.pop("remaining_s")) <= 5
        assert abs(new.pop("age_s") - old.pop("age_s")) <= 5
        del old["traffic"], new["traffic"]
        assert new == old
    assert client.map(UDP, p, p, nonce=b"a stranger's").result == pcp.NOT_AUTHORIZED
    assert client.delete(UDP, p).result == pcp.SUCCESS
    with lab.console.udp(q, net.CONSOLE6) as s:
        assert not comes(lab, s, q, timeout=0.25)
        assert comes(lab, s, q, sport=a)


def test_ipv4_leases_open_nothing_over_ipv6(lab, gw, port):
    """L16: a crafted source never passes"""
    p = port()
    with pcp.Client(lab.console) as v4:
        assert v4.get(UDP, p) == p
    with lab.console.udp(p, "::") as s:
        assert not comes(lab, s, p, timeout=0.25)
        assert not comes(lab, s, p, net.CONSOLE6_2, timeout=0.25)


def test_without_an_ipv4_address_of_the_wan(lab, gw, client, port):
    """C28: that is no matter to a pinhole"""
    p = port()
    lab.gw.ip(f"address del {net.WAN}/24 dev wan0\n")
    try:
        with pcp.Client(lab.pc) as v4:
            net.wait_for(lambda: v4.result(UDP, p, p) == pcp.NETWORK_FAILURE,
                         what="NETWORK_FAILURE", pause=0.05)
        assert client.map(UDP, p, p).result == pcp.SUCCESS
        with lab.console.udp(p, net.CONSOLE6) as s:
            assert comes(lab, s, p)
    finally:
        lab.wan_up()
        natpmp.told(lab.pc)


def test_the_list_shows_pinholes(gw, client, port):
    """X4: and the command ends one"""
    p = port()
    client.map(UDP, p, p, options=pcp.description("a node"))
    text = gw.cli("list").stdout
    assert net.CONSOLE6 in text and str(p) in text
    assert pinhole(gw, "udp", p)["description"] == "a node"
    assert gw.cli("delete", f"udp/{p}").returncode == 0
    assert gw.list() == []


def test_the_command_ends_the_pinhole_of_one_host(lab, gw, client, port):
    """Issue 7, row 1: of the hosts that have one of the same port, named as the list does; what
    has another remote stays"""
    p = port()
    with pcp.Client(lab.console2, source=net.CONSOLE2_6) as other, \
            lab.console2.udp(p, net.CONSOLE2_6) as s2, lab.console.udp(p, net.CONSOLE6) as s:
        assert client.map(UDP, p, p).result == other.map(UDP, p, p).result == pcp.SUCCESS
        said = gw.json("delete", f"udp/{p}", f"[{net.CONSOLE2_6}]:{p}")
        assert [l["internal_address"] for l in said["leases"]] == [net.CONSOLE2_6]
        assert net.arrives(lab.inet, s, p, net.CONSOLE6)
        assert not net.arrives(lab.inet, s2, p, net.CONSOLE2_6, timeout=0.3)
        assert gw.cli("delete", f"udp/{p}", net.CONSOLE2_6).returncode == 1
        assert gw.cli("delete", f"udp/{p}", net.CONSOLE6).returncode == 0
    assert gw.list() == []


def test_an_address_that_comes_later_is_served(port):
    """C27: the LAN gets its prefix while the daemon runs; IPv4 goes on"""
    p = port()
    with net.Net() as lab, gateway.Gateway(lab) as gw:
        with pcp.Client(lab.pc) as v4:
            assert v4.get(UDP, p) == p
            lab.ipv6_up()
            announce = pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE6)
            natpmp.served(lab.console, net.LAN6, announce, net.CONSOLE6)
            with pcp.Client(lab.console, source=net.CONSOLE6) as c:
                assert c.map(UDP, p, p).result == pcp.SUCCESS
            assert v4.map(UDP, p, p, 600).lifetime == 600
        assert len(gw.list()) == 2
