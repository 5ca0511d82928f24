# SPDX-License-Identifier: GPL-2.0-or-later
"""NAT-PMP (RFC 6886), byte by byte. P rows: the protocol pages' section 1."""
import struct

import pytest

import clients
import natpmp
import net
import pcp
from natpmp import TCP, UDP


@pytest.fixture
def client(lab, gw):
    with natpmp.Client(lab.console) as c:
        yield c


@pytest.fixture
def other(lab, gw):
    with natpmp.Client(lab.console2) as c:
        yield c


def test_the_external_address_is_that_of_the_wan(client):
    """P1"""
    reply = client.ask(b"\0\0")
    assert len(reply) == 12
    assert reply[:4] == b"\0\x80\0\0"
    assert reply[8:] == bytes((11, 0, 0, 1))


def test_opcodes_from_128_on_are_dropped(client):
    """P3"""
    for packet in (b"\0\x80", b"\0\x81" + bytes(10), b"\0\xff" + bytes(14)):
        assert client.silent(packet, 0.3), packet
    assert client.address().result == 0


def test_short_packets_are_never_granted(client, gw, port):
    """P4"""
    whole = natpmp.map_request(UDP, port(), port())
    for cut in (0, 1, 2, 3, 7, 11):
        client.sock.send(whole[:cut])
    client.address()  # all of them have been read by now, in order
    assert gw.list() == []


def test_what_follows_a_request_is_ignored(client, port):
    """P4"""
    p = port()
    reply = natpmp.parse_map(client.ask(natpmp.map_request(UDP, p, p) + b"\xff" * 20))
    assert (reply.result, reply.internal, reply.external) == (0, p, p)
    assert client.ask(b"\0\0\1\2\3")[:4] == b"\0\x80\0\0"


def test_unknown_opcodes_come_back_with_result_5(client):
    """P5"""
    packet = bytes((0, 3)) + bytes(range(2, 12))
    reply = client.ask(packet)
    assert len(reply) == 12
    assert reply[:4] == b"\0\x83\0\5"
    assert reply[8:] == packet[8:]
    short = client.ask(b"\0\7")
    assert len(short) >= 8 and short[:4] == b"\0\x87\0\5"
    epoch = client.address().epoch
    assert epoch - 2 <= struct.unpack_from("!I", reply, 4)[0] <= epoch


def test_the_reserved_field_is_ignored(client, port):
    """P7"""
    p = port()
    assert client.map(UDP, p, p, reserved=0xffff)[1:2] == (0,)


def test_a_reply_is_exactly_16_bytes_and_says_what_was_granted(client, gw, port):
    """P7, P10: a client's buffer is 16 bytes"""
    p = port()
    data = client.ask(natpmp.map_request(TCP, p, p, 1800))
    reply = natpmp.parse_map(data)
    assert data[:4] == b"\0\x82\0\0"
    assert (reply.internal, reply.external, reply.lifetime) == (p, p, 1800)
    assert gw.lease("tcp", p)["claims"] == ["nat-pmp"]


def test_a_taken_port_is_answered_with_another_one(client, other, gw, port):
    """P8"""
    p = port()
    assert client.get(UDP, p) == p
    second = other.map(UDP, p, p)
    assert second.result == 0
    assert second.external not in (0, p)
    assert gw.lease("udp", second.external)["internal_address"] == net.CONSOLE2


def test_no_suggestion_gets_the_internal_port_if_it_is_free(client, port):
    """P8"""
    p = port()
    assert client.map(UDP, p, 0).external == p


def test_a_port_that_nobody_may_have_is_answered_with_another_one(client, port):
    """P8: privileged and reserved ports"""
    for wanted in (80, 5351, 5350, 3389):
        reply = client.map(TCP, port(), wanted)
        assert reply.result == 0
        assert reply.external >= 1024 and reply.external != wanted


def test_another_suggestion_does_not_move_a_mapping(client, gw, port):
    """P9"""
    p, q = port(), port()
    assert client.get(UDP, p) == p
    again = client.map(UDP, p, q)
    assert (again.result, again.external) == (0, p)
    assert len(gw.list()) == 1


def test_the_lifetime_is_never_above_what_was_asked(client, port):
    """P10: and an overlong one is clamped to a day"""
    assert client.map(UDP, port(), 0, 30).lifetime <= 30
    reply = client.map(UDP, port(), 0, 0xffffffff)
    assert reply.result == 0 and 3600 <= reply.lifetime <= 86400


def test_an_error_carries_no_port_and_no_lifetime(client):
    """P11, P12"""
    reply = client.map(UDP, 0, 9000, 600)
    assert reply.result == 2
    assert (reply.internal, reply.external, reply.lifetime) == (0, 0, 0)


def test_internal_port_0_maps_nothing(client, gw, port):
    """P12"""
    assert client.map(UDP, 0, port(), 600).result == 2
    assert client.map(TCP, 0, 0, 600).result == 2
    assert gw.list() == []


def test_lifetime_0_deletes_and_repeating_it_is_no_error(client, gw, port):
    """P13"""
    p = port()
    client.get(UDP, p)
    for external in (p, 0, 12345):
        reply = client.map(UDP, p, external, 0)
        assert (reply.result, reply.internal, reply.external, reply.lifetime) == (0, p, 0, 0)
        assert gw.list() == []
    reply = client.map(TCP, port(), 0, 0)
    assert (reply.result, reply.external, reply.lifetime) == (0, 0, 0)


def test_delete_all_takes_one_client_and_one_protocol(client, other, gw, port):
    """P14"""
    a, b, t, o = port(), port(), port(), port()
    client.get(UDP, a)
    client.get(UDP, b)
    client.get(TCP, t)
    other.get(UDP, o)
    reply = client.map(UDP, 0, 777, 0)
    assert (reply.result, reply.internal, reply.external, reply.lifetime) == (0, 0, 0, 0)
    left = {(l["protocol"], l["external_port"]) for l in gw.list()}
    assert left == {("tcp", t), ("udp", o)}


def test_the_companion_port_goes_to_nobody_else(client, other, port):
    """P16"""
    p = port()
    assert client.get(TCP, p) == p
    assert other.map(UDP, p, p).external != p
    assert client.get(UDP, p) == p


def test_only_the_sender_is_ever_mapped(client, other, gw, port):
    """P21: and nobody deletes what is another's"""
    p = port()
    client.get(UDP, p)
    assert gw.lease("udp", p)["internal_address"] == net.CONSOLE
    assert other.delete(UDP, p).result == 0
    assert other.map(UDP, 0, 0, 0).result == 0
    assert gw.lease("udp", p)


def test_udp_maps_no_tcp_and_tcp_no_udp(client, gw, port):
    """P22"""
    p, x, y = port(), port(), port()
    assert client.map(UDP, p, x).external == x
    assert gw.lease("tcp", x) is None
    assert client.map(TCP, p, y).external == y
    client.delete(UDP, p)
    assert gw.lease("tcp", y) and not gw.lease("udp", x)


def test_a_mapping_that_is_not_renewed_is_gone(client, gw, port):
    """P23"""
    p = port()
    assert client.map(UDP, p, p, 1).lifetime == 1
    net.wait_for(lambda: not gw.list(), what="the end of a lease of 1 s")


def test_the_epoch_counts_seconds(client, port):
    """P17, C25: one counter for both protocols"""
    first = client.address().epoch
    second = client.map(UDP, port(), 0, 60).epoch
    with pcp.Client(client.host) as c:
        third = c.map(pcp.UDP, port()).epoch
    assert first <= second <= third <= first + 2


def test_other_versions_are_answered_as_pcp(client):
    """S4"""
    for version in (1, 3, 255):
        packet = bytes((version, 1)) + bytes(58)
        reply = client.ask(packet)
        assert reply[:4] == b"\2\x81\0\1", version
        assert len(reply) == 60


def test_natpmpc_maps_and_deletes(lab, gw, port):
    p = port()
    done = clients.natpmpc(lab.pc, "-a", p, p, "udp", "600")
    assert f"Public IP address : {net.WAN}" in done.stdout
    assert clients.natpmpc_port(done.stdout) == p
    assert gw.lease("udp", p)["internal_address"] == net.PC
    clients.natpmpc(lab.pc, "-a", "0", p, "udp", "0")
    assert gw.list() == []


def test_the_reply_comes_from_where_the_request_went(lab, gw, port):
    """S2: a second address of the LAN"""
    lab.gw.ip("address add 192.168.77.254/24 dev br-lan\n")
    try:
        with lab.pc.udp() as s:
            natpmp.served(lab.pc, "192.168.77.254")
            s.sendto(b"\0\0", ("192.168.77.254", natpmp.PORT))
            data, peer = s.recvfrom(64)
        assert peer == ("192.168.77.254", natpmp.PORT) and data[1] == 0x80
    finally:
        lab.gw.ip("address del 192.168.77.254/24 dev br-lan\n")
