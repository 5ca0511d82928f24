# SPDX-License-Identifier: GPL-2.0-or-later
"""PCP (RFC 6887), byte by byte. C rows: the protocol pages' section 2."""
import struct

import pytest

import clients
import natpmp
import net
import pcp
from pcp import TCP, UDP


@pytest.fixture
def client(lab, gw):
    with pcp.Client(lab.console) as c:
        yield c


@pytest.fixture
def other(lab, gw):
    with pcp.Client(lab.console2) as c:
        yield c


def result(reply):
    return reply[3] if reply else None


def is_error_copy(reply, request, code, op):
    """C6: everything of the request comes back, but version, R, result, lifetime, epoch."""
    padded = request + b"\0" * (-len(request) % 4)
    lifetime, = struct.unpack_from("!I", reply, 4)
    return (reply[:2] == bytes((2, 0x80 | op)) and reply[3] == code and lifetime > 0
            and len(reply) == len(padded) and reply[24:] == padded[24:])


def test_replies_and_single_bytes_are_dropped(client):
    """C1: R set is silence for a known and an unknown version"""
    r = bytearray(client.request(UDP, 4000))
    r[1] |= 0x80
    for packet in (b"\2", bytes(r), b"\3\x81" + bytes(r[2:])):
        assert client.silent(packet, 0.3), packet
    assert client.address().result == 0


def test_an_unknown_version_is_answered_with_ours(client, port):
    """C2: before any other check, two bytes are enough"""
    p = port()
    request = b"\3" + client.request(UDP, p)[1:]
    reply = client.ask(request)
    assert is_error_copy(reply, request, pcp.UNSUPP_VERSION, pcp.MAP)
    short = client.ask(b"\3\1")
    assert short[:2] == b"\2\x81" and short[3] == pcp.UNSUPP_VERSION


def test_less_than_a_header_is_dropped(client):
    """C3"""
    whole = client.request(UDP, 4000)
    for size in (2, 4, 20, 23):
        assert client.silent(whole[:size], 0.2), size


def test_wrong_sizes_are_malformed(client, gw):
    """C3, C6: short for the opcode, not a multiple of 4, above 1100"""
    whole = client.request(UDP, 4000)
    for size in (24, 28, 56, 59):
        assert is_error_copy(client.ask(whole[:size]), whole[:size], pcp.MALFORMED_REQUEST,
                             pcp.MAP), size
    for extra in (1, 2, 3):
        request = whole + b"\0" * extra
        assert is_error_copy(client.ask(request), request, pcp.MALFORMED_REQUEST, pcp.MAP)
    long = whole + pcp.option(200, b"x" * 1040)
    assert len(long) == 1104
    reply = client.ask(long)
    assert len(reply) == 1100
    assert reply[:2] == b"\2\x81" and result(reply) == pcp.MALFORMED_REQUEST
    assert reply[24:] == long[24:1100]
    assert gw.list() == []


def test_unknown_opcodes_are_copied_back(client):
    """C4"""
    for op in (3, 99, 127):
        request = pcp.header(op, 100, net.CONSOLE) + bytes(range(40))
        assert is_error_copy(client.ask(request), request, pcp.UNSUPP_OPCODE, op)


def test_the_header_must_name_the_sender(client, gw, port):
    """C5, C51: also in ANNOUNCE, and on all 96 bits"""
    p = port()
    for addr in (net.CONSOLE2, "0.0.0.0"):
        request = pcp.header(pcp.MAP, 600, addr) + pcp.map_body(client.nonce, UDP, p, p)
        assert is_error_copy(client.ask(request), request, pcp.ADDRESS_MISMATCH, pcp.MAP)
    request = pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE2)
    assert is_error_copy(client.ask(request), request, pcp.ADDRESS_MISMATCH, pcp.ANNOUNCE)
    for at, value in ((8, 1), (17, 0x80), (18, 0)):
        request = bytearray(client.request(UDP, p))
        request[at] = value
        assert result(client.ask(bytes(request))) == pcp.ADDRESS_MISMATCH
    assert gw.list() == []


def test_success_is_60_bytes_and_echoes_what_it_must(client, gw, port):
    """C7, C33"""
    p = port()
    request = (pcp.header(pcp.MAP, 3600, net.CONSOLE, reserved=0xffff)
               + pcp.map_body(client.nonce, UDP, p, p, reserved=b"\xff\xff\xff"))
    reply = client.ask(request)
    epoch = reply[8:12]
    assert reply == (b"\2\x81\0\0" + struct.pack("!I", 3600) + epoch + bytes(12) + client.nonce
                     + b"\x11\0\0\0" + struct.pack("!HH", p, p) + pcp.mapped(net.WAN))
    assert gw.lease("udp", p)["claims"] == ["pcp"]


def test_the_same_nonce_renews_and_a_suggestion_moves_nothing(client, gw, port):
    """C8"""
    p, q = port(), port()
    assert client.map(UDP, p, p, 600).external == p
    again = client.map(UDP, p, q, 1200)
    assert (again.result, again.external, again.lifetime) == (pcp.SUCCESS, p, 1200)
    assert len(gw.list()) == 1
    assert gw.lease("udp", p)["remaining_s"] > 1190


def test_another_nonce_changes_nothing(client, gw, port):
    """C9: neither renewal nor deletion; the lifetime says how long the other still holds it"""
    p = port()
    client.get(UDP, p, lifetime=600)
    stranger = bytes(range(1, 13))
    for lifetime in (7200, 0):
        reply = client.map(UDP, p, p, lifetime, nonce=stranger)
        assert reply.result == pcp.NOT_AUTHORIZED
        assert 590 <= reply.lifetime <= 600
    lease = gw.lease("udp", p)
    assert 590 <= lease["remaining_s"] <= 600
    assert client.delete(UDP, p).result == pcp.SUCCESS
    assert gw.list() == []


def test_protocol_0_with_a_port_is_malformed(client):
    """C10: with lifetime 0 too"""
    for lifetime in (600, 0):
        assert client.map(0, 4000, 0, lifetime).result == pcp.MALFORMED_REQUEST


def test_all_ports_and_other_protocols_are_unsupported_and_at_once(client, gw):
    """C11, C12, S3"""
    for protocol, internal in ((UDP, 0), (TCP, 0), (0, 0), (1, 0), (1, 4000), (132, 4000),
                               (33, 4000), (47, 4000), (255, 4000)):
        assert client.map(protocol, internal, 0, 600).result == pcp.UNSUPP_PROTOCOL, protocol
    assert gw.list() == []


def test_a_long_lifetime_is_clamped(client, port):
    """C13"""
    reply = client.map(UDP, port(), 0, 0xffffffff)
    assert reply.result == pcp.SUCCESS and 3600 <= reply.lifetime <= 86400


def test_lifetime_0_deletes_and_repeating_it_is_no_error(client, gw, port):
    """C14"""
    p = port()
    client.get(UDP, p)
    for _ in range(2):
        reply = client.delete(UDP, p)
        assert (reply.result, reply.lifetime) == (pcp.SUCCESS, 0)
        assert gw.list() == []
    assert client.delete(TCP, port())[:2] == (pcp.SUCCESS, 0)


def test_a_delete_copies_the_suggestion_back(client, port):
    """C34"""
    p = port()
    client.get(UDP, p)
    request = client.request(UDP, p, 4242, 0, address="9.9.9.9")
    reply = client.ask(request)
    assert result(reply) == pcp.SUCCESS
    assert reply[24:60] == request[24:60]


def test_an_address_that_is_not_ours_is_only_a_hint(client, port):
    """C17: also ::, and a LAN address"""
    for address in ("99.9.9.9", "127.0.0.1", net.CONSOLE, "0.0.0.0"):
        p = port()
        reply = client.map(UDP, p, p, address=address)
        assert (reply.result, reply.external, reply.address) == (pcp.SUCCESS, p, net.WAN)
    p = port()
    request = client.request(UDP, p, p)[:44] + bytes(16)
    reply = pcp.parse_map(client.ask(request))
    assert (reply.result, reply.address) == (pcp.SUCCESS, net.WAN)


def test_a_taken_port_is_answered_with_another_one(client, other, port):
    """C50, X1"""
    p = port()
    assert client.get(UDP, p) == p
    second = other.map(UDP, p, p)
    assert second.result == pcp.SUCCESS and second.external not in (0, p)


def test_ports_that_nobody_may_have(client, port):
    """C35, C50"""
    for wanted in (80, 5350, 5351, 1900, 3389):
        reply = client.map(UDP, port(), wanted)
        assert reply.result == pcp.SUCCESS
        assert reply.external >= 1024 and reply.external != wanted


def test_announce_is_answered_with_the_epoch(client):
    """C22: whatever lifetime it asks for"""
    for lifetime in (0, 4711):
        reply = client.ask(pcp.header(pcp.ANNOUNCE, lifetime, net.CONSOLE))
        epoch = client.address().epoch
        assert len(reply) == 24
        assert reply[:8] == b"\2\x80\0\0\0\0\0\0"
        assert reply[12:] == bytes(12)
        assert epoch - 1 <= struct.unpack_from("!I", reply, 8)[0] <= epoch


def test_an_announce_tolerates_optional_options(client):
    """C22"""
    reply = client.ask(pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE) + pcp.option(200, b"abc"))
    assert len(reply) == 24 and result(reply) == pcp.SUCCESS


def test_an_error_carries_a_lifetime_that_keeps_clients_calm(client):
    """C36"""
    reply = client.map(255, 4000, 0, 600)
    assert reply.result == pcp.UNSUPP_PROTOCOL and reply.lifetime == 1800


def test_unknown_options(client, gw, port):
    """C21, C41: mandatory ones refuse the request and change nothing, optional ones are
    ignored, not echoed, and padded"""
    p = port()
    client.get(UDP, p, lifetime=300)
    for lifetime in (3000, 0):
        request = client.request(UDP, p, p, lifetime, options=pcp.option(60))
        assert is_error_copy(client.ask(request), request, pcp.UNSUPP_OPTION, pcp.MAP)
    assert 290 <= gw.lease("udp", p)["remaining_s"] <= 300
    for data in (b"", b"a", b"ab", b"abc", b"abcd"):
        reply = client.ask(client.request(UDP, p, p, options=pcp.option(200, data)))
        assert result(reply) == pcp.SUCCESS and len(reply) == 60


def test_an_option_that_runs_past_the_packet_is_malformed(client, gw):
    """C21: even behind an unknown one"""
    past = pcp.option(200, b"abcd", length=8)
    for options in (past, pcp.option(60) + past):
        request = client.request(UDP, 4000, options=options)
        assert result(client.ask(request)) == pcp.MALFORMED_OPTION
    assert gw.list() == []


def test_third_party_is_off(client, gw):
    """C19"""
    for options in (pcp.option(1, pcp.mapped(net.CONSOLE2)),):
        reply = client.ask(client.request(UDP, 4000, options=options))
        assert result(reply) == pcp.UNSUPP_OPTION
    assert gw.list() == []


def test_a_change_of_protocol_keeps_the_port(lab, client, gw, port):
    """C32: NAT-PMP first, then PCP, and back"""
    p, x, y = port(), port(), port()
    with natpmp.Client(lab.console) as pmp:
        assert pmp.map(natpmp.UDP, p, x).external == x
        assert client.map(UDP, p, y).external == x
        assert pmp.map(natpmp.UDP, p, y).external == x
        assert len(gw.list()) == 1


def test_the_same_request_gets_the_same_answer(client, port):
    """C53"""
    request = client.request(UDP, port(), 0, 7200)
    first, second = client.ask(request), client.ask(request)
    assert first[:8] == second[:8] and first[12:] == second[12:]


def test_a_nonce_of_zeros_is_legal(client, gw, port):
    """C57: and counts as a nonce"""
    p = port()
    client.nonce = bytes(12)
    assert client.get(UDP, p) == p
    assert client.map(UDP, p, p, nonce=b"x" * 12).result == pcp.NOT_AUTHORIZED
    assert client.delete(UDP, p).result == pcp.SUCCESS
    assert gw.list() == []


def test_the_gateways_second_address_serves_the_same_mapping(lab, gw, client, port):
    """C56"""
    lab.gw.ip("address add 192.168.77.253/24 dev br-lan\n")
    try:
        natpmp.served(lab.console, "192.168.77.253")
        with pcp.Client(lab.console, "192.168.77.253") as second:
            second.nonce = client.nonce
            p, q = port(), port()
            assert second.get(UDP, p) == p
            assert client.map(UDP, p, q).external == p
    finally:
        lab.gw.ip("address del 192.168.77.253/24 dev br-lan\n")


def test_libtorrent_maps_by_pcp(lab, gw, port):
    p = port()
    torrent = clients.Libtorrent(lab.console2, p)
    done = torrent.mapped(2)
    assert {(a["protocol"], a["port"]) for a in done} == {("tcp", p), ("udp", p)}
    assert all("transport: NAT-PMP" not in a["text"] for a in torrent.alerts())
    assert [l["claims"] for l in gw.list()] == [["pcp"], ["pcp"]]
    torrent.stop()
    net.wait_for(lambda: not gw.list(), what="libtorrent's deletes")
