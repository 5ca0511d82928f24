# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kinds of traffic open a port to a host that asks for none, and which must not (issue 6,
opennat 6): 20 kinds, each sent by sockets as its programs use them. Judged by packets: of all
ports from which the internet saw the host send, how many let in a datagram from an address that
the host never sent to. The numbers are a tenth to a third of the table's, so that the limit of new
flows that are looked at (200/s of a host, 400 at once) passes nothing over; nothing waits between
them, which is the worst case for a window."""
import contextlib
import itertools
import socket

import pytest

import gateway
import nat
import net

# A scanner asks for SNMP: udp/161 is quiet here, and so it must not count.
CONFIG = gateway.CONFIG + """open-nat {
	per-host = 1000
	quiet = { "53", "123", "443", "853", "udp/161" }
}
"""


@pytest.fixture(scope="module")
def lab():
    with net.Net() as n:
        nat.more_addresses(n.inet)
        # Nobody listens there, and nobody shall say so.
        n.inet.nft("table ip silent { chain out { type filter hook output priority 0; "
                   "icmp type destination-unreachable drop; }; }\n")
        with n.inet.listen(8443) as listener:
            listener.listen(1000)
            yield n


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, CONFIG) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


class Program:
    """Whose sockets stay open until its end."""

    def __init__(self):
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def socket(self, port=0):
        s = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        s.bind(("0.0.0.0", port))
        return s

    def each(self, sockets, port, servers):
        """From every socket to every one of these servers."""
        for s in sockets:
            for n in servers:
                s.sendto(b"query", (nat.server(n), port))

    def sockets(self, n):
        return [self.socket() for _ in range(n)]

    def connect(self, addr, to, port=0):
        s = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        if port:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("0.0.0.0", port))
        s.settimeout(2)
        s.connect((addr, to))


# The 20 kinds. Each is called inside the host's namespace.


def dns_stub(u):
    """A socket a query, one resolver"""
    u.each(u.sockets(100), 53, [1])


def dns_musl(u):
    """A socket a query, three resolvers at once"""
    u.each(u.sockets(80), 53, [1, 2, 3])


def dns_glibc(u):
    """A socket a resolver and a query; the kernel may give one port again"""
    for n in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((nat.server(n % 3), 53))
            s.send(b"query")


def dns_recursive(u):
    """A resolver in the LAN: few ports, many servers"""
    socks = u.sockets(20)
    for n in range(100):
        u.each([socks[n % 20]], 53, [n])


def ntpd(u):
    u.each([u.socket(123)], 123, range(4))


def sntp(u):
    u.each(u.sockets(1), 123, range(4))


def quic(u):
    for n, s in enumerate(u.sockets(60)):
        u.each([s], 443, [n])


def quic_migration(u):
    """The client goes on from another port"""
    u.each(u.sockets(20), 443, [1])


def quic_preferred_address(u):
    """The server goes on from another address"""
    u.each(u.sockets(20), 443, [1, 2])


def webrtc(u):
    """Three STUN servers and a peer"""
    for n, s in enumerate(u.sockets(5)):
        u.each([s], 19302, [1, 2, 3])
        u.each([s], 50000 + n, [10 + n])


def dht(u):
    """150 nodes"""
    s = u.socket()
    for n in range(150):
        u.each([s], 6881 + n, [n])


def scan_from_one_port(u):
    """Two hosts, port after port"""
    s = u.socket()
    for port in range(5000, 5200):
        u.each([s], port, [1, 2])


def scan_from_many_ports(u):
    u.each(u.sockets(100), 161, [1, 2])


def mdns(u):
    u.socket(5353).sendto(b"query", ("224.0.0.251", 5353))
    u.sockets(1)[0].sendto(b"query", ("224.0.0.251", 5353))


def ssdp(u):
    for group in ("239.255.255.250", "239.255.255.246"):
        u.socket().sendto(b"M-SEARCH", (group, 1900))


def wireguard(u):
    s = u.socket(51820)
    for _ in range(20):
        u.each([s], 51820, [1])


def tailscale(u):
    """Five STUN servers, five peers"""
    s = u.socket(41641)
    u.each([s], 3478, range(5))
    u.each([s], 41641, range(10, 15))


def sip(u):
    """Registrar and STUN server"""
    s = u.socket(5060)
    u.each([s], 5060, [1])
    u.each([s], 19302, [2])


def game(u):
    u.each([u.socket(3074)], 3074, range(8))


def browser(u):
    """TCP; the kernel chooses the ports, also one for several servers. And what that comes to at
    worst: each of 30 ports for three servers."""
    for n in range(200):
        u.connect(nat.server(n), 8443)
    for port in range(20000, 20030):
        for n in range(3):
            u.connect(nat.server(n), 8443, port)


# What each of them opens, and from how many ports at least the host must have been seen.
KINDS = [(dns_stub, 0, 100), (dns_musl, 0, 80), (dns_glibc, 0, 50), (dns_recursive, 0, 20),
         (ntpd, 0, 1), (sntp, 0, 1), (quic, 0, 60), (quic_migration, 0, 20),
         (quic_preferred_address, 0, 20), (webrtc, 5, 5), (dht, 1, 1),
         (scan_from_one_port, 1, 1), (scan_from_many_ports, 0, 100), (mdns, 0, 0), (ssdp, 0, 0),
         (wireguard, 0, 1), (tailscale, 1, 1), (sip, 1, 1), (game, 1, 1), (browser, 0, 150)]


@pytest.fixture(scope="module")
def hosts(lab):
    """One after the other, as each may send so much only."""
    return itertools.cycle([lab.console, lab.console2, lab.pc])


def seen_outside(capture):
    return {(p.proto, p.sport) for p in capture.read() if p.outgoing and p.src == net.WAN}


def opened(lab, host, ports, control):
    """To which of these (protocol, port) a stranger's packets reach the host. The last one goes to
    the port of the control, which has to be open."""
    with host.capture() as capture, contextlib.ExitStack() as stack:
        stranger = stack.enter_context(lab.inet.udp(addr=nat.REMOTE3))
        for protocol, port in sorted(ports):
            if protocol == "udp":
                stranger.sendto(b"probe", (net.WAN, port))
                continue
            s = stack.enter_context(lab.inet.socket(kind=socket.SOCK_STREAM, timeout=0))
            s.bind((nat.REMOTE3, 0))
            with contextlib.suppress(BlockingIOError):
                s.connect((net.WAN, port))
        stranger.sendto(b"probe", (net.WAN, control))

        def arrived():
            return {(p.proto, p.dport) for p in capture.read()
                    if p.src == nat.REMOTE3 and not p.outgoing}
        net.wait_for(lambda: ("udp", control) in arrived(), what="the control's packet")
        return arrived() - {("udp", control)}


@pytest.mark.parametrize("kind, expected, at_least", KINDS,
                         ids=[k.__name__.replace("_", "-") for k, _, _ in KINDS])
def test_what_it_opens(lab, gw, hosts, port, kind, expected, at_least):
    """opennat 6, last column"""
    host, control = next(hosts), port()
    with lab.gw.capture("wan0") as capture, Program() as u:
        with host.inside():
            kind(u)
            ports = seen_outside(capture)
            u.each([s := u.socket(control)], control, [1, 2])  # passed over if anything was
        assert nat.unsolicited(lab.inet, s, control)
        assert len(ports) >= at_least
        assert len(opened(lab, host, ports, control)) == expected
