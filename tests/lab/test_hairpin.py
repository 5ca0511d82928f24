# SPDX-License-Identifier: GPL-2.0-or-later
"""From inside to the external address (L22, N3), with bridge netfilter off and on, and what a
lease never gets: ports of the router itself and of the admin's own rules. By packets."""
import contextlib
import os
import time

import pytest

import natpmp
import net
import pcp
import upnp


@pytest.fixture(params=[0, 1], ids=["plain-bridge", "bridge-nf"])
def bridge(lab, request):
    """net.bridge.bridge-nf-call-iptables"""
    key = "net.bridge.bridge-nf-call-iptables"
    done = lab.gw.run("sysctl", "-qw", f"{key}={request.param}")
    if request.param and done.returncode:
        pytest.skip("no bridge netfilter in this kernel")
    yield request.param
    lab.gw.run("sysctl", "-qw", f"{key}=0")


@pytest.fixture
def console(lab, gw):
    with pcp.Client(lab.console) as c:
        yield c


@pytest.fixture
def console2(lab, gw):
    with pcp.Client(lab.console2) as c:
        yield c


def test_two_consoles_meet_by_their_external_ports(lab, bridge, console, console2, port):
    """N3: each sees the other's external address and port"""
    p, q = port(), port()
    x, y = console.get(pcp.UDP, p), console2.get(pcp.UDP, q)
    with lab.console.udp(p) as one, lab.console2.udp(q) as two:
        two.sendto(b"hello", (net.WAN, x))
        assert one.recvfrom(64) == (b"hello", (net.WAN, y))
        one.sendto(b"yes", (net.WAN, y))
        assert two.recvfrom(64) == (b"yes", (net.WAN, x))


def opened(lab, host, port):
    """A socket whose port is open because it has spoken to two remotes (issue 6), and its port
    outside, as they have told it."""
    sock = host.udp(port)
    seen = {net.source_seen(sock, lab.inet, remote)[1] for remote in (net.REMOTE1, net.REMOTE2)}
    outside = seen.pop()
    assert not seen
    net.wait_for(lambda: net.arrives(lab.inet, sock, outside, timeout=0.05), what="the opening")
    return sock, outside


def test_two_consoles_meet_that_asked_for_nothing(lab, gw, bridge, port):
    """opennat 3, row 10: with the same source port, each at the external address and port that
    the other has learnt. And a host that has nothing open."""
    p = port()
    one, x = opened(lab, lab.console, p)
    two, y = opened(lab, lab.console2, p)
    with one, two, lab.pc.udp() as other:
        assert x != y
        one.sendto(b"to two", (net.WAN, y))
        assert two.recvfrom(64) == (b"to two", (net.WAN, x))
        two.sendto(b"to one", (net.WAN, x))
        assert one.recvfrom(64) == (b"to one", (net.WAN, y))
        other.sendto(b"hello", (net.WAN, y))
        data, peer = two.recvfrom(64)
        two.sendto(data, peer)
        assert other.recvfrom(64) == (b"hello", (net.WAN, y))


def test_two_consoles_that_both_begin(lab, gw, bridge, port):
    """opennat 3, row 10: at the same moment, from two processes; nothing is lost"""
    pairs = []
    with contextlib.ExitStack() as stack:
        for p in (port() for _ in range(8)):
            pairs.append((*opened(lab, lab.console, p), *opened(lab, lab.console2, p)))
            stack.enter_context(pairs[-1][0])
            stack.enter_context(pairs[-1][2])
        begin = time.monotonic() + 0.05

        def send(which, payload):
            for n, (one, x, two, y) in enumerate(pairs):
                while time.monotonic() < begin + n * 0.005:
                    pass
                sock, to = ((one, y), (two, x))[which]
                sock.sendto(payload, (net.WAN, to))
        child = os.fork()
        if not child:
            try:
                send(1, b"to one")
            finally:
                os._exit(0)
        send(0, b"to two")
        os.waitpid(child, 0)
        for one, x, two, y in pairs:
            assert one.recvfrom(64) == (b"to one", (net.WAN, y))
            assert two.recvfrom(64) == (b"to two", (net.WAN, x))


def test_a_host_without_a_lease_is_answered(lab, bridge, console, port):
    p = port()
    console.get(pcp.UDP, p)
    with lab.console.udp(p) as s, lab.pc.udp() as other:
        other.sendto(b"hello", (net.WAN, p))
        data, peer = s.recvfrom(64)
        s.sendto(data, peer)
        assert other.recvfrom(64) == (b"hello", (net.WAN, p))


def test_tcp_by_the_external_address(lab, bridge, console, port):
    p = port()
    console.get(pcp.TCP, p)
    with lab.console.listen(p) as listener, lab.pc.connect(net.WAN, p) as c:
        with listener.accept()[0] as a:
            c.sendall(b"there")
            assert a.recv(64) == b"there"
            a.sendall(b"back")
            assert c.recv(64) == b"back"


def test_the_other_lan_reaches_it_too(lab, bridge, console, port):
    p = port()
    console.get(pcp.UDP, p)
    with lab.console.udp(p) as s, lab.guest.udp() as other:
        other.sendto(b"hello", (net.WAN, p))
        data, peer = s.recvfrom(64)
        s.sendto(data, peer)
        assert other.recvfrom(64) == (b"hello", (net.WAN, p))


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_the_router_itself_reaches_it(lab, bridge, console, port, protocol):
    """By its own external address, from a program that runs there"""
    p, x = port(), port()
    if protocol == "udp":
        assert console.map(pcp.UDP, p, x).external == x
        with lab.console.udp(p) as s, lab.gw.udp() as own:
            own.sendto(b"hello", (net.WAN, x))
            data, peer = s.recvfrom(64)
            s.sendto(data, peer)
            assert own.recvfrom(64) == (b"hello", (net.WAN, x))
        return
    assert console.map(pcp.TCP, p, x).external == x
    with lab.console.listen(p) as listener, lab.gw.connect(net.WAN, x) as c:
        with listener.accept()[0] as a:
            c.sendall(b"there")
            assert a.recv(64) == b"there"


def test_a_filter_holds_inside_too(lab, bridge, console, port):
    """C20: a mapping for one remote is not open to the LAN by the external address"""
    p = port()
    assert console.map(pcp.UDP, p, p, options=pcp.filter_of(net.REMOTE1)).result == pcp.SUCCESS
    with lab.console.udp(p) as s, lab.pc.udp() as other, lab.gw.udp() as own:
        for sender in (other, own):
            sender.sendto(b"hello", (net.WAN, p))
        assert net.silent(s)
        assert net.arrives(lab.inet, s, p)


def test_a_host_reaches_itself(lab, bridge, console, port):
    """Trap: with bridge netfilter the bridge does not send a frame back to where it came from,
    unless the port is in hairpin mode"""
    p = port()
    console.get(pcp.UDP, p)
    if bridge:
        lab.gw.ip("link set port0 type bridge_slave hairpin on\n")
    try:
        with lab.console.udp(p) as s, lab.console.udp() as own:
            own.sendto(b"me", (net.WAN, p))
            data, peer = s.recvfrom(64)
            s.sendto(data, peer)
            assert own.recvfrom(64) == (b"me", (net.WAN, p))
    finally:
        if bridge:
            lab.gw.ip("link set port0 type bridge_slave hairpin off\n")


# Ports in use


@contextlib.contextmanager
def rules(lab, text):
    """The admin's own table."""
    lab.gw.nft("table ip admin {\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; "
               "policy accept;\n" + text + "\n\t}\n}\n")
    try:
        yield
    finally:
        lab.gw.nft("delete table ip admin\n")


def free_again(lab, port):
    """When the rule is gone: how often the rules are read again has a limit."""
    def got():
        with pcp.Client(lab.console2) as c:
            if c.get(pcp.UDP, port + 8, port) == port:
                return True
            return c.delete(pcp.UDP, port + 8) and False
    net.wait_for(got, what="the port", pause=0.1)


DNATS = {
    "plain": 'iifname "wan0" udp dport {p} dnat to 192.168.77.30:{q}',
    "by-address": "ip daddr 11.0.0.1 udp dport {p} dnat to 192.168.77.30",
    "set": 'iifname "wan0" meta l4proto {{ tcp, udp }} th dport {{ {p}, 9999 }} '
           "dnat to 192.168.77.30",
    "range": "udp dport {p}-{r} dnat to 192.168.77.30",
    "map": 'iifname "wan0" dnat to udp dport map {{ {p} : 192.168.77.30 }}',
    "redirect": 'iifname "wan0" udp dport {p} redirect to :{q}',
}


@pytest.mark.parametrize("form", DNATS)
def test_a_port_of_the_admins_own_rule_is_not_given_away(lab, gw, console, port, form):
    p, q = port(), port()
    with rules(lab, DNATS[form].format(p=p, q=q, r=p + 1)):
        with lab.pc.udp(q if form == "plain" else p) as server:
            if form != "redirect":
                assert net.arrives(lab.inet, server, p)
            got = console.get(pcp.UDP, p)
            assert got not in (p, p + 1) or (got == p + 1 and form != "range")
            with natpmp.Client(lab.console2) as c:
                assert c.get(natpmp.UDP, p + 4096, p) != p
            with pytest.raises(upnp.Fault) as fault:
                upnp.Igd(lab.console2, version=2).add("UDP", p)
            assert fault.value.code == 729
            reply = console.map(pcp.UDP, q + 1, p, options=pcp.option(2))
            assert reply.result == pcp.CANNOT_PROVIDE_EXTERNAL
            if form != "redirect":
                assert net.arrives(lab.inet, server, p)
            with lab.console.udp(p) as s:
                assert net.arrives(lab.inet, s, got)
    free_again(lab, p)


@pytest.mark.parametrize("match", ["-p udp --dport {p}", "-p udp -m multiport --dports {p},9999",
                                   "-d 11.0.0.1 -p udp -m udp --dport {p}"])
def test_a_port_of_a_rule_of_iptables_is_not_given_away(lab, gw, console, port, match):
    """Whose target, and some of whose matches, are extensions of iptables"""
    p = port()
    lab.gw.run("iptables-nft", "-t", "nat", "-A", "PREROUTING", "-i", "wan0",
               *match.format(p=p).split(), "-j", "DNAT", "--to-destination", net.PC, check=True)
    try:
        with lab.pc.udp(p) as server:
            assert net.arrives(lab.inet, server, p)
            assert console.get(pcp.UDP, p) != p
            assert net.arrives(lab.inet, server, p)
    finally:
        lab.gw.run("iptables-nft", "-t", "nat", "-F", "PREROUTING", check=True)
    free_again(lab, p)


OTHERS = {
    "from-the-lan": 'iifname "br-lan" udp dport {p} dnat to 192.168.77.30',
    "other-protocol": 'iifname "wan0" tcp dport {p} dnat to 192.168.77.30',
    "other-address": "ip daddr 11.0.0.77 udp dport {p} dnat to 192.168.77.30",
    "no-nat": 'iifname "wan0" udp dport {p} accept',
}


@pytest.mark.parametrize("form", OTHERS)
def test_other_rules_take_no_port(lab, gw, console, port, form):
    p = port()
    with rules(lab, OTHERS[form].format(p=p)):
        assert console.get(pcp.UDP, p) == p


def test_a_host_that_gets_everything_takes_no_port_in_particular(lab, gw, console, port):
    """A DMZ host: else nobody would get any port at all"""
    p = port()
    with rules(lab, 'iifname "wan0" meta l4proto { tcp, udp } dnat to 192.168.77.30'):
        assert console.get(pcp.UDP, p) == p
