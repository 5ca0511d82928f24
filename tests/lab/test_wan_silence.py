# SPDX-License-Identifier: GPL-2.0-or-later
"""From the WAN there is nobody: at no port, at neither address, with no source address."""
import socket
import time

import pytest

import natpmp
import net
import pcp
import upnp

ADDRESSES = [net.WAN, net.LAN, net.GUEST_LAN]


@pytest.fixture(autouse=True)
def routed_in(lab, gw):
    lab.route_lans_in()


def questions(port):
    """What a LAN host gets an answer to, by port."""
    request = pcp.header(pcp.MAP, 600, net.REMOTE1) + pcp.map_body(b"n" * 12, pcp.UDP, port, port)
    return {5351: [b"\0\0", natpmp.map_request(natpmp.UDP, port, port), request,
                   pcp.header(pcp.ANNOUNCE, 0, net.REMOTE1), b"\3\1"],
            1900: [upnp.search_text(t) for t in (upnp.IGD1, upnp.IGD2, "ssdp:all")]}


def test_the_same_questions_are_answered_on_the_lan(lab, gw):
    """So that the silence below means something"""
    with lab.console.udp() as s:
        s.sendto(b"\0\0", (net.LAN, 5351))
        assert s.recv(64)
        s.sendto(upnp.search_text(upnp.IGD1), (net.LAN, 1900))
        assert s.recv(2048)
    assert upnp.get(lab.console, f"http://{net.LAN}:49152/rootDesc.xml").status == 200


@pytest.mark.parametrize("addr", ADDRESSES)
def test_udp_is_silent(lab, gw, port, addr):
    """S1"""
    p = port()
    for dport, packets in questions(p).items():
        with lab.inet.udp() as s:
            for packet in packets:
                s.sendto(packet, (addr, dport))
            assert net.silent(s, 0.5), (addr, dport)
    assert gw.list() == []


@pytest.mark.parametrize("addr", ADDRESSES)
def test_http_is_closed(lab, gw, addr):
    for tcp_port in (49152, 49153, 5351, 1900):
        with pytest.raises(OSError):
            lab.inet.connect(addr, tcp_port, timeout=0.4)


def test_multicast_from_the_wan_is_not_heard(lab, gw):
    for group in ("239.255.255.250", "224.0.0.1", "224.0.0.22"):
        for dport, packets in questions(9000).items():
            with lab.inet.udp() as s:
                s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                             socket.inet_aton(net.REMOTE1))
                for packet in packets:
                    s.sendto(packet, (group, dport))
                assert net.silent(s, 0.2), (group, dport)


def test_a_lan_address_that_comes_from_the_wan_gets_no_lease(lab, gw, port):
    """S1: the packet's interface counts, not its source address"""
    p = port()
    request = (pcp.header(pcp.MAP, 600, net.CONSOLE)
               + pcp.map_body(b"n" * 12, pcp.UDP, p, p))
    with lab.console.capture() as cap:
        for addr in ADDRESSES:
            lab.inet.send_raw(net.CONSOLE, 5555, addr, 5351,
                              natpmp.map_request(natpmp.UDP, p, p))
            lab.inet.send_raw(net.CONSOLE, 5555, addr, 5351, request)
            lab.inet.send_raw(net.CONSOLE, 5555, addr, 1900, upnp.search_text(upnp.IGD1))
        with natpmp.Client(lab.console) as c:
            c.address()  # whatever was taken in has been read by now
        time.sleep(0.3)
        assert gw.list() == []
        assert not [k for k in cap.read() if k.dport == 5555]


def test_a_guest_asks_for_himself_wherever_he_asks(lab, gw, port):
    """At the other LAN's address too; at the WAN's port 5351 is silent"""
    p = port()
    with lab.guest.udp() as s:
        for packet in questions(p)[5351]:
            s.sendto(packet, (net.WAN, 5351))
        assert net.silent(s, 0.5)
        assert gw.list() == []
        for dport, packets in questions(p).items():
            for packet in packets:
                s.sendto(packet, (net.LAN, dport))
        net.silent(s, 0.3)
    assert {l["internal_address"] for l in gw.list()} <= {net.GUEST}


def test_natpmp_at_the_external_address_is_silent_even_on_the_lan(lab, gw):
    """S1, RFC 6886 3.3"""
    with lab.console.udp() as s:
        s.sendto(b"\0\0", (net.WAN, 5351))
        assert net.silent(s, 0.4)
