# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lease does, judged by the packets that arrive; also with the kernel of Debian 12."""
import time

import pytest

import natpmp
import net
import pcp
import upnp


@pytest.fixture
def lab(kernel_lab):
    return kernel_lab


@pytest.fixture
def gw(kernel_lab):
    return kernel_lab.gateway


@pytest.fixture
def console(lab):
    with pcp.Client(lab.console) as c:
        yield c


@pytest.fixture
def console2(lab):
    with pcp.Client(lab.console2) as c:
        yield c


def test_two_consoles_ask_for_3074_by_pcp(lab, console, console2):
    """L1, P19: each is told a port, and its own packets leave from there"""
    told = console.get(pcp.UDP, 3074), console2.get(pcp.UDP, 3074)
    assert told[0] == 3074 and told[1] != 3074
    both_leave_from(lab, 3074, told)


def test_two_consoles_ask_for_3074_by_natpmp(lab, gw):
    with natpmp.Client(lab.console) as a, natpmp.Client(lab.console2) as b:
        told = a.get(natpmp.UDP, 3074), b.get(natpmp.UDP, 3074)
    assert told[0] == 3074 and told[1] != 3074
    both_leave_from(lab, 3074, told)


def test_two_consoles_ask_for_3074_by_upnp(lab, gw):
    """The second is told 718, and then gets another port by AddAnyPortMapping"""
    upnp.Igd(lab.console).add("UDP", 3074)
    with pytest.raises(upnp.Fault) as fault:
        upnp.Igd(lab.console2).add("UDP", 3074)
    assert fault.value.code == 718
    told = upnp.Igd(lab.console2, version=2).add_any("UDP", 3074)
    assert told not in (0, 3074)
    both_leave_from(lab, 3074, (3074, told))


def both_leave_from(lab, internal, told):
    with lab.console.udp(internal) as a, lab.console2.udp(internal) as b:
        for _ in range(2):
            for sock, external in ((a, told[0]), (b, told[1])):
                for remote in (net.REMOTE1, net.REMOTE2):
                    assert net.source_seen(sock, lab.inet, remote) == (net.WAN, external)
        for sock, external in ((a, told[0]), (b, told[1])):
            assert net.arrives(lab.inet, sock, external)


def test_udp_arrives_with_its_source_and_the_answer_goes_back(lab, console, port):
    p, x = port(), port()
    assert console.map(pcp.UDP, p, x).external == x
    with lab.console.udp(p) as s:
        for source in (net.REMOTE1, net.REMOTE2):
            assert net.arrives(lab.inet, s, x, source=source)[0] == source


def test_tcp_arrives_with_its_source_and_data_flow_both_ways(lab, console, port):
    p, x = port(), port()
    assert console.map(pcp.TCP, p, x).external == x
    with lab.console.listen(p) as listener, lab.inet.connect(net.WAN, x) as c:
        with listener.accept()[0] as a:
            assert a.getpeername() == c.getsockname()
            c.sendall(b"to the console")
            assert a.recv(64) == b"to the console"
            a.sendall(b"and back")
            assert c.recv(64) == b"and back"


def test_outgoing_packets_leave_from_the_mapped_port(lab, console, port):
    """P19, C54: to two remotes, UDP and TCP"""
    p, x = port(), port()
    assert console.map(pcp.UDP, p, x).external == x
    assert console.map(pcp.TCP, p, x).external == x
    with lab.console.udp(p) as s:
        for remote in (net.REMOTE1, net.REMOTE2):
            assert net.source_seen(s, lab.inet, remote) == (net.WAN, x)
    for remote in (net.REMOTE1, net.REMOTE2):
        with lab.inet.listen(addr=remote) as listener:
            with lab.console.connect(*listener.getsockname(), sport=p) as c:
                with listener.accept()[0] as a:
                    assert a.getpeername() == (net.WAN, x)
                c.recv(1)  # their end first: ours is free for the next connection


def test_nobody_else_leaves_from_a_leased_port(lab, console, port):
    """A host whose own packets have that source port gets another one outside"""
    p, x = port(), port()
    assert console.map(pcp.UDP, p, x).external == x
    with lab.console2.udp(x) as s:
        assert net.source_seen(s, lab.inet)[1] != x
    with lab.console.udp(p) as s:
        assert net.source_seen(s, lab.inet) == (net.WAN, x)


def test_a_port_without_a_lease_is_closed(lab, console, port):
    p = port()
    with lab.console.udp(p) as s, lab.console.listen(p):
        assert not net.arrives(lab.inet, s, p, timeout=0.3)
        with pytest.raises(OSError):
            lab.inet.connect(net.WAN, p, timeout=0.3)


def test_udp_opens_no_tcp(lab, console, port):
    p = port()
    console.get(pcp.UDP, p)
    with lab.console.listen(p), lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
        with pytest.raises(OSError):
            lab.inet.connect(net.WAN, p, timeout=0.3)


def test_a_delete_closes_the_port(lab, console, port):
    p = port()
    console.get(pcp.UDP, p)
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
        assert console.delete(pcp.UDP, p).result == pcp.SUCCESS
        assert not net.arrives(lab.inet, s, p, timeout=0.3)


def test_a_renewal_loses_no_packet(lab, console, port):
    p = port()
    console.get(pcp.UDP, p)
    with lab.console.udp(p) as s:
        flow = net.Flow(lab.inet, s, p)
        flow.start()
        for lifetime in range(600, 700):
            assert console.map(pcp.UDP, p, p, lifetime).lifetime == lifetime
        net.wait_for(lambda: flow.sent > 100, what="100 packets")
        sent, lost = flow.finish()
        assert lost == 0, f"{lost} of {2 * sent} lost"


@pytest.mark.parametrize("by", ["pcp", "natpmp", "upnp"])
def test_a_lease_that_is_renewed_for_the_same_time_goes_on(lab, gw, console, port, by):
    """As most clients renew; past its first end, and the second one's"""
    p, seconds = port(), 2
    igd = upnp.Igd(lab.console)

    def renew():
        if by == "pcp":
            assert console.map(pcp.UDP, p, p, seconds).lifetime == seconds
        elif by == "natpmp":
            with natpmp.Client(lab.console) as c:
                assert c.map(natpmp.UDP, p, p, seconds).lifetime == seconds
        else:
            igd.add("UDP", p, lease=seconds)
        return time.monotonic()
    with lab.console.udp(p) as s:
        began = renewed = renew()
        while time.monotonic() < began + 3 * seconds:
            assert net.arrives(lab.inet, s, p, timeout=0.3), time.monotonic() - began
            if time.monotonic() > renewed + seconds / 2:
                renewed = renew()
        net.wait_for(lambda: not net.arrives(lab.inet, s, p, timeout=0.05), 3, "its end")


def test_a_disabled_mapping_is_listed_and_forwards_nothing(lab, gw, port):
    """W11"""
    p, igd = port(), upnp.Igd(lab.console)
    args = igd.mapping("UDP", p)
    igd.call("AddPortMapping", **dict(args, NewEnabled=0))
    assert gw.lease("udp", p)["enabled"] is False
    assert igd.specific("UDP", p)["NewEnabled"] == "0"
    with lab.console.udp(p) as s:
        assert not net.arrives(lab.inet, s, p, timeout=0.3)
        igd.call("AddPortMapping", **args)
        assert net.arrives(lab.inet, s, p)


def test_the_kernels_table_tells_people_who_holds_what(lab, console, port):
    p = port()
    console.get(pcp.UDP, p)
    text = lab.gw.run("nft", "list", "map", "inet", "portreeve", "leases", check=True).stdout
    line = [l for l in text.splitlines() if f"udp . {p}" in l]
    assert line and f"{net.CONSOLE} . {p}" in line[0] and "comment" in line[0]
