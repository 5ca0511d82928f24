# SPDX-License-Identifier: GPL-2.0-or-later
"""PCP's options (RFC 6887 section 13, RFC 7220, RFC 7753), and what packets make of them."""
import pytest

import gateway
import natpmp
import net
import pcp
from pcp import TCP, UDP

THIRD_PARTY_CONFIG = gateway.CONFIG.replace(
    'lan "br-lan" {}', 'lan "br-lan" { third-party = { "192.168.77.20" } }')


@pytest.fixture
def client(lab, gw):
    with pcp.Client(lab.console) as c:
        yield c


@pytest.fixture
def other(lab, gw):
    with pcp.Client(lab.console2) as c:
        yield c


def passes(lab, sock, port, source, sport=0, timeout=5.0):
    """Does a datagram from there come through?"""
    with (lab.inet.udp(sport, source) if sport else net.fresh_udp(lab.inet, source)) as s:
        return bool(net.comes_through(s, sock, port, timeout=timeout, source=source))


def connects(lab, listener, port, source, timeout=5.0):
    with lab.inet.socket(kind=net.socket.SOCK_STREAM, timeout=timeout) as s:
        s.bind((source, 0))
        try:
            s.connect((net.WAN, port))
        except OSError:
            return False
        with listener.accept()[0] as a:
            assert a.getpeername()[0] == source
        return True


# FILTER


def test_a_filter_lets_in_only_that_peer_and_port(lab, gw, client, port):
    """C20, L5: and a prefix length of 0 lets everybody in again"""
    p, a, b = port(), port(), port()
    reply = client.map(UDP, p, p, options=pcp.filter_of(net.REMOTE1, a))
    assert (reply.result, reply.external) == (pcp.SUCCESS, p)
    assert reply.raw[60:] == pcp.filter_of(net.REMOTE1, a)
    lease = gw.lease("udp", p)
    assert lease["filters"] == [{"remote": net.REMOTE1, "port": a}]
    with lab.console.udp(p) as s:
        assert not passes(lab, s, p, net.REMOTE1, b, timeout=0.25)
        assert not passes(lab, s, p, net.REMOTE2, a, timeout=0.25)
        assert not passes(lab, s, p, net.REMOTE2, timeout=0.25)
        assert passes(lab, s, p, net.REMOTE1, a)
        reply = client.map(UDP, p, p, options=pcp.no_filter())
        assert reply.result == pcp.SUCCESS and reply.raw[60:] == pcp.no_filter()
        assert "filters" not in gw.lease("udp", p)
        for source in (net.REMOTE1, net.REMOTE2):
            assert passes(lab, s, p, source)


def test_a_filter_of_tcp(lab, gw, client, port):
    """C20, L5"""
    p = port()
    assert client.result(TCP, p, p, options=pcp.filter_of(net.REMOTE2)) == pcp.SUCCESS
    with lab.console.listen(p) as listener:
        assert not connects(lab, listener, p, net.REMOTE1, timeout=0.4)
        assert connects(lab, listener, p, net.REMOTE2)


def test_filters_add_up(lab, gw, client, port):
    """C20: of one request and of later ones; port 0 is all ports; a renewal changes none"""
    p, a = port(), port()
    both = pcp.filter_of(net.REMOTE1, a) + pcp.filter_of("99.0.0.0", 0, 96 + 8)
    reply = client.map(UDP, p, p, options=both)
    assert reply.result == pcp.SUCCESS and reply.raw[60:] == both
    with lab.console.udp(p) as s:
        assert not passes(lab, s, p, net.REMOTE2, timeout=0.25)
        assert client.result(UDP, p, p, options=pcp.filter_of(net.REMOTE2)) == pcp.SUCCESS
        assert len(gw.lease("udp", p)["filters"]) == 3
        assert client.result(UDP, p, p, 3600) == pcp.SUCCESS  # without any
        assert len(gw.lease("udp", p)["filters"]) == 3
        assert gw.lease("udp", p)["remaining_s"] <= 3600
        assert passes(lab, s, p, net.REMOTE2)
        assert passes(lab, s, p, net.REMOTE1, a)
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)


def test_a_filter_closes_an_open_mapping(lab, gw, client, port):
    """C20, L5: to new peers"""
    p = port()
    assert client.get(UDP, p) == p
    with lab.console.udp(p) as s:
        assert passes(lab, s, p, net.REMOTE1)
        assert client.result(UDP, p, p, options=pcp.filter_of(net.REMOTE2)) == pcp.SUCCESS
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)
        assert passes(lab, s, p, net.REMOTE2)


def test_a_filter_of_a_prefix(lab, gw, client, port):
    """C20: 96 and more bits"""
    p = port()
    options = pcp.filter_of("12.0.0.77", 0, 96 + 24)
    assert client.result(UDP, p, p, options=options) == pcp.SUCCESS
    with lab.console.udp(p) as s:
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)
        assert passes(lab, s, p, net.REMOTE2)
    assert gw.lease("udp", p)["filters"] == [{"remote": "12.0.0.0/24", "port": 0}]


def test_a_filter_of_everybodys_ipv4_and_one_port(lab, gw, client, port):
    """C20: 96 bits, not 0"""
    p, a = port(), port()
    assert client.result(UDP, p, p, options=pcp.filter_of("0.0.0.0", a, 96)) == pcp.SUCCESS
    with lab.console.udp(p) as s:
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)
        assert passes(lab, s, p, net.REMOTE1, a)
        assert passes(lab, s, p, net.REMOTE2, a)


def test_the_filters_own_packets_still_leave_from_the_port(lab, gw, client, port):
    """C20, C54: the mapping is bidirectional"""
    p, x = port(), port()
    assert client.map(UDP, p, x, options=pcp.filter_of(net.REMOTE1)).external == x
    with lab.console.udp(p) as s:
        for remote in (net.REMOTE1, net.REMOTE2):
            assert net.source_seen(s, lab.inet, remote) == (net.WAN, x)


def test_filters_are_taken_in_their_order(lab, gw, client, port):
    """C20: what comes before a prefix length of 0 is gone"""
    p = port()
    options = pcp.filter_of(net.REMOTE1) + pcp.no_filter() + pcp.filter_of(net.REMOTE2)
    reply = client.map(UDP, p, p, options=options)
    assert reply.result == pcp.SUCCESS
    assert gw.lease("udp", p)["filters"] == [{"remote": net.REMOTE2, "port": 0}]
    with lab.console.udp(p) as s:
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)
        assert passes(lab, s, p, net.REMOTE2)
    # Removal is of any family.
    assert client.result(UDP, p, p, options=pcp.no_filter("::")) == pcp.SUCCESS
    assert "filters" not in gw.lease("udp", p)


def test_filters_that_are_wrong(gw, client, port):
    """C20: malformed ones are refused and nothing is mapped"""
    p = port()
    wrong = [pcp.filter_of(net.REMOTE1, 0, n) for n in (1, 32, 95, 129, 200, 255)]
    wrong += [pcp.option(3, bytes(n)) for n in (0, 4, 16, 19, 24)]
    wrong += [pcp.filter_of(net.REMOTE1) + pcp.filter_of(net.REMOTE1, 0, 200)]
    for options in wrong:
        assert client.result(UDP, p, p, options=options) == pcp.MALFORMED_OPTION, options
    assert client.result(UDP, p, p, options=pcp.filter_of("2a01::1")) != pcp.SUCCESS
    assert gw.list() == []


def test_too_many_filters(gw, client, port):
    """C20, C50: 13, and nothing changed"""
    p, n = port(), 0
    while client.result(UDP, p, p, 600, options=pcp.filter_of(f"99.0.0.{n + 1}")) == 0:
        n += 1
        assert n < 100
    assert n >= 1
    options = pcp.filter_of("98.0.0.1")
    assert client.result(UDP, p, p, 3000, options=options) == pcp.EXCESSIVE_REMOTE_PEERS
    lease = gw.lease("udp", p)
    assert len(lease["filters"]) == n and lease["remaining_s"] <= 600
    q = port()
    options = b"".join(pcp.filter_of(f"99.0.1.{i}") for i in range(1, n + 2))
    assert client.result(UDP, q, q, options=options) == pcp.EXCESSIVE_REMOTE_PEERS
    assert gw.lease("udp", q) is None
    # And over and over one: at most one place is used.
    assert client.result(UDP, p, p, options=pcp.no_filter()) == pcp.SUCCESS
    for _ in range(2 * n):
        assert client.result(UDP, p, p, options=pcp.filter_of("99.0.0.1")) == pcp.SUCCESS


def test_a_filter_with_lifetime_0_deletes_nothing(gw, client, port):
    """C43"""
    p = port()
    client.get(UDP, p)
    for options in (pcp.filter_of(net.REMOTE1), pcp.no_filter()):
        assert client.result(UDP, p, 0, 0, options=options) == pcp.MALFORMED_OPTION
    assert gw.lease("udp", p)


def test_options_of_map_with_other_opcodes(gw, client, port):
    """C59: with ANNOUNCE 5 or 6, with PEER an error"""
    for option in (pcp.prefer_failure(), pcp.filter_of(net.REMOTE1),
                   pcp.third_party(net.CONSOLE2)):
        reply = client.ask(pcp.header(pcp.ANNOUNCE, 0, net.CONSOLE) + option)
        assert reply[1] == 0x80
        assert reply[3] in (pcp.UNSUPP_OPTION, pcp.MALFORMED_OPTION)
        assert client.ask(peer_request(client, port(), option))[3] != pcp.SUCCESS
    assert gw.list() == []


def test_filters_outlive_a_crash(lab, gw, client, port):
    """C20: they come back from the kernel"""
    p = port()
    options = pcp.filter_of(net.REMOTE1, 7000) + pcp.filter_of("12.0.0.0", 0, 96 + 24)
    assert client.result(UDP, p, p, options=options) == pcp.SUCCESS
    before = gw.lease("udp", p)
    gw.kill()
    with lab.console.udp(p) as s:
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)
        gw.start()
        assert not passes(lab, s, p, net.REMOTE1, timeout=0.25)
        assert passes(lab, s, p, net.REMOTE2)
    after = gw.lease("udp", p)
    assert after["filters"] == before["filters"] and after["claims"] == before["claims"]
    assert client.map(UDP, p, p, 3000).result == pcp.SUCCESS
    assert client.delete(UDP, p).result == pcp.SUCCESS
    assert gw.list() == []


# PREFER_FAILURE


def test_prefer_failure_gives_that_port(gw, client, port):
    """C18: and comes back"""
    for address in ("0.0.0.0", net.WAN):
        p, x = port(), port()
        reply = client.map(UDP, p, x, address=address, options=pcp.prefer_failure())
        assert (reply.result, reply.external, reply.address) == (pcp.SUCCESS, x, net.WAN)
        assert reply.raw[60:] == pcp.prefer_failure()
        assert client.map(UDP, p, x, address=address,
                          options=pcp.prefer_failure()).result == pcp.SUCCESS
    assert len(gw.list()) == 2


def test_prefer_failure_or_nothing(gw, client, other, port):
    """C18, C35, L19: a held, a reserved, a low port, one of the router, a foreign address"""
    held = port()
    other.get(UDP, held)
    for wanted in (held, 3389, 80, 5350, 5351):
        request = client.request(UDP, port(), wanted, options=pcp.prefer_failure())
        reply = client.ask(request)
        assert reply[3] == pcp.CANNOT_PROVIDE_EXTERNAL, wanted
        assert pcp.parse_map(reply).lifetime > 0
        assert reply[24:] == request[24:]
    for address in ("99.9.9.9", net.CONSOLE):
        p = port()
        assert client.result(UDP, p, p, address=address, options=pcp.prefer_failure()) == \
            pcp.CANNOT_PROVIDE_EXTERNAL
    assert [l["external_port"] for l in gw.list()] == [held]


def test_prefer_failure_that_is_wrong(gw, client, port):
    """C18, C42: with data, twice, without a port, with lifetime 0: nothing is deleted"""
    p = port()
    for options in (pcp.option(2, b"abcd"), pcp.option(2, b"a"), 2 * pcp.prefer_failure()):
        assert client.result(UDP, p, p, options=options) == pcp.MALFORMED_OPTION
    assert client.result(UDP, p, 0, options=pcp.prefer_failure()) == pcp.MALFORMED_OPTION
    assert gw.list() == []
    client.get(UDP, p)
    for external in (0, p):
        assert client.result(UDP, p, external, 0, options=pcp.prefer_failure()) == \
            pcp.MALFORMED_OPTION
    assert gw.lease("udp", p)


def test_prefer_failure_for_a_mapping_on_another_port(gw, client, port):
    """C44, C41: 11, and it stays as it was"""
    p, x, y = port(), port(), port()
    assert client.map(UDP, p, x, 600).external == x
    assert client.result(UDP, p, y, 3000, options=pcp.prefer_failure()) == \
        pcp.CANNOT_PROVIDE_EXTERNAL
    assert gw.lease("udp", y) is None and gw.lease("udp", x)["remaining_s"] <= 600
    assert client.result(UDP, p, x, 3000, options=pcp.prefer_failure()) == pcp.SUCCESS


def test_prefer_failure_for_a_port_shared_by_nobody(gw, client, port):
    """C18: another inside port of the same host has it"""
    p, q, x = port(), port(), port()
    assert client.map(UDP, p, x).external == x
    assert client.result(UDP, q, x, options=pcp.prefer_failure()) == \
        pcp.CANNOT_PROVIDE_EXTERNAL
    assert len(gw.list()) == 1


# DESCRIPTION


def test_a_description_is_stored_and_returned(gw, client, port):
    """C29, C21: with any padding; not asked for, it is not in the reply"""
    p = port()
    for text in ("a", "ab", "abc", "abcd", "Käse für Zoë ☃"):
        reply = client.map(UDP, p, p, options=pcp.description(text))
        assert reply.result == pcp.SUCCESS
        assert reply.raw[60:] == pcp.description(text)
        assert gw.lease("udp", p)["description"] == text
    reply = client.map(UDP, p, p)
    assert len(reply.raw) == 60 and gw.lease("udp", p)["description"] == "Käse für Zoë ☃"
    reply = client.map(UDP, p, p, options=pcp.description(""))
    assert reply.raw[60:] == pcp.description("") and gw.lease("udp", p)["description"] == ""


def test_a_long_description_is_cut_at_a_character(gw, client, port):
    """C29: at least 128 bytes are kept, and what is returned is what is stored"""
    for text in ("x" * 128, "x" * 129, "é" * 100, "x" + "☃" * 100, "ab" + "\U0001f3ae" * 200):
        p = port()
        reply = client.map(UDP, p, p, options=pcp.description(text))
        assert reply.result == pcp.SUCCESS
        (code, stored), = pcp.options_of(reply.raw)
        stored = stored.decode()
        assert code == 128 and text.startswith(stored)
        assert stored == text or len(stored.encode()) > 124
        assert gw.lease("udp", p)["description"] == stored
    text = "y" * 1016
    p = port()
    (_, stored), = pcp.options_of(client.map(UDP, p, p, options=pcp.description(text)).raw)
    assert text.startswith(stored.decode()) and len(stored) >= 128


def test_a_description_that_is_no_text(gw, client, port):
    """C29: granted, without it; the one before stays"""
    p = port()
    client.map(UDP, p, p, options=pcp.description("before"))
    for text in (b"\xff", b"ab\xc3", b"a\0b", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"):
        reply = client.map(UDP, p, p, options=pcp.description(text))
        assert reply.result == pcp.SUCCESS and len(reply.raw) == 60, text
        assert gw.lease("udp", p)["description"] == "before"
    assert client.result(UDP, p, p, options=2 * pcp.description("twice")) == \
        pcp.MALFORMED_OPTION


def test_a_description_is_escaped_where_people_see_it(gw, client, port):
    """C29"""
    p, text = port(), "a\x1b[31mb\nc\x07\u202ed"
    assert client.result(UDP, p, p, options=pcp.description(text)) == pcp.SUCCESS
    assert gw.lease("udp", p)["description"] == text
    shown = gw.cli("list").stdout
    assert str(p) in shown
    assert not any(c in shown for c in "\x1b\x07\u202e")
    assert sum(str(p) in line for line in shown.splitlines()) == 1


# PORT_SET, unknown options, PEER


def test_port_set_is_ignored(lab, gw, client, port):
    """C30, L14: one port, no option in the reply, so that nobody believes to hold more"""
    p = port()
    for options in (pcp.port_set(4, p), pcp.port_set(4, p, 1), pcp.option(130, bytes(5)),
                    pcp.option(130, b"abc")):
        reply = client.map(UDP, p, p, options=options)
        assert (reply.result, reply.external, len(reply.raw)) == (pcp.SUCCESS, p, 60)
    assert len(gw.list()) == 1
    with lab.console.udp(p + 1) as s:
        assert not net.arrives(lab.inet, s, p + 1, timeout=0.2)


def test_options_that_nobody_knows(gw, client, port):
    """C21, C58: mandatory to process: 5; optional: not echoed, also beside others"""
    p = port()
    for code in (0, 4, 12, 13, 60, 100, 127):
        assert client.result(UDP, p, p, options=pcp.option(code, b"abcd")) == \
            pcp.UNSUPP_OPTION, code
    assert gw.list() == []
    for code in (129, 131, 200, 255):
        mixed = (pcp.option(code, b"abc") + pcp.description("x") + pcp.option(code, b"")
                 + pcp.prefer_failure())
        reply = client.map(UDP, p, p, options=mixed)
        assert reply.result == pcp.SUCCESS
        assert sorted(pcp.options_of(reply.raw)) == [(2, b""), (128, b"x")], code


def test_the_reserved_byte_of_an_option_is_ignored(gw, client, port):
    """C21"""
    p = port()
    option = bytearray(pcp.prefer_failure())
    option[1] = 0xff
    reply = client.map(UDP, p, p, options=bytes(option))
    assert reply.result == pcp.SUCCESS and reply.raw[60:] == pcp.prefer_failure()


def test_a_reply_that_would_not_fit(gw, client, port):
    """C60: what comes back would be longer than 1100 bytes, or is not"""
    p = port()
    for n in (30, 37, 38, 42):
        request = client.request(UDP, p, p, options=n * pcp.no_filter() + pcp.description("x"))
        assert len(request) <= 1100
        reply = client.ask(request)
        assert len(reply) <= 1100
        assert reply[3] == pcp.SUCCESS or (n > 37 and reply[3] == pcp.MALFORMED_REQUEST), n


def peer_request(client, internal, options=b""):
    return (pcp.header(pcp.PEER, 600, client.addr)
            + pcp.map_body(client.nonce, UDP, internal, internal)
            + (9000).to_bytes(2, "big") + b"\0\0" + pcp.mapped(net.REMOTE1) + options)


def test_peer_is_not_supported(gw, client, port):
    """C26, C48, L9: 4, with all of the request"""
    request = peer_request(client, port())
    reply = client.ask(request)
    assert reply[:2] == b"\2\x82" and reply[3] == pcp.UNSUPP_OPCODE
    assert len(reply) == 80 and reply[24:] == request[24:]
    assert client.ask(peer_request(client, port(), pcp.prefer_failure()))[3] == \
        pcp.UNSUPP_OPCODE
    assert gw.list() == []


# Faults that others have


def test_icmp_is_no_protocol_to_map(lab, gw, client):
    """L7: no rule either"""
    before = lab.gw.ruleset()
    for internal in (0, 4000):
        assert client.result(1, internal, 4000, 600) == pcp.UNSUPP_PROTOCOL
    assert lab.gw.ruleset() == before


def test_natpmp_with_the_longest_lifetime(lab, gw, port):
    """L8: what is granted is what the reply says, and it is there"""
    p = port()
    with natpmp.Client(lab.console) as c, lab.console.udp(p) as s:
        reply = c.map(natpmp.UDP, p, p, 0xffffffff)
        assert reply.result == 0 and reply.lifetime <= 86400
        assert abs(gw.lease("udp", p)["remaining_s"] - reply.lifetime) <= 1
        assert net.arrives(lab.inet, s, p)


def test_two_suggestions_for_one_inside_port(gw, client, port):
    """L13: one mapping"""
    p, x, y = port(), port(), port()
    assert client.map(UDP, p, x).external == x
    assert client.map(UDP, p, y).external == x
    assert len(gw.list()) == 1


def test_inside_port_0_stalls_nobody(gw, client, other, port):
    """L17: with a dozen leases there, as the fault wanted it"""
    for _ in range(12):
        client.get(UDP, port())
    for lifetime in (600, 0):
        began = net.time.monotonic()
        reply = client.ask(client.request(UDP, 0, 0, lifetime))
        assert net.time.monotonic() - began < 0.25
        assert reply[3] == (pcp.UNSUPP_PROTOCOL if lifetime else pcp.SUCCESS)
        assert other.address().result == 0
    assert len(gw.list()) == 12


def test_errors_are_of_version_2_and_name_their_opcode(gw, client, port):
    """L23: also unpadded options are taken, and what is absent is deleted"""
    reply = client.ask(client.request(UDP, port())[:40])
    assert reply[:2] == b"\2\x81" and reply[3] == pcp.MALFORMED_REQUEST
    assert client.result(UDP, port(), options=pcp.option(200, b"hello")) == pcp.SUCCESS
    assert client.delete(TCP, port())[:2] == (pcp.SUCCESS, 0)


# THIRD_PARTY, with a daemon that allows it to the console


@pytest.fixture(scope="module")
def entitled():
    with net.Net() as lab, gateway.Gateway(lab, THIRD_PARTY_CONFIG) as g:
        lab.gateway = g
        yield lab
    assert not gateway.problems(g.log()), "portreeved logged errors"


@pytest.fixture
def agent(entitled):
    with pcp.Client(entitled.console) as c:
        yield c


def test_third_party_is_off_by_default(gw, client, port):
    """C19, C47: 5, never 2; for oneself 3 or 5"""
    p = port()
    assert client.result(UDP, p, p, options=pcp.third_party(net.CONSOLE2)) == pcp.UNSUPP_OPTION
    assert client.result(UDP, p, p, options=pcp.third_party(net.CONSOLE)) in \
        (pcp.MALFORMED_REQUEST, pcp.UNSUPP_OPTION)
    assert gw.list() == []


def test_third_party_maps_for_another_host(entitled, agent, port):
    """C19: and comes back; the packets reach that host, and the agent renews and deletes"""
    p, lab, gw = port(), entitled, entitled.gateway
    option = pcp.third_party(net.CONSOLE2)
    reply = agent.map(UDP, p, p, options=option)
    assert (reply.result, reply.external) == (pcp.SUCCESS, p)
    assert reply.raw[60:] == option
    assert gw.lease("udp", p)["internal_address"] == net.CONSOLE2
    with lab.console2.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
    assert agent.map(UDP, p, p, 600, options=option).lifetime == 600
    # It is that host's, not the agent's own.
    assert agent.map(UDP, p, 0, 0).result == pcp.SUCCESS
    assert gw.lease("udp", p)
    reply = agent.map(UDP, p, 0, 0, options=option)
    assert (reply.result, reply.lifetime) == (pcp.SUCCESS, 0)
    assert gw.list() == []


def test_third_party_is_for_those_on_the_list(entitled, port):
    """C19: others are told 5, and on the guests' LAN nobody is on it"""
    p, lab = port(), entitled
    for host, addr in ((lab.pc, net.CONSOLE2), (lab.console2, net.CONSOLE),
                       (lab.guest, net.CONSOLE)):
        with pcp.Client(host) as c:
            assert c.result(UDP, p, p, options=pcp.third_party(addr)) == pcp.UNSUPP_OPTION
    assert lab.gateway.list() == []


def test_third_party_stays_within_the_lan(entitled, agent, port):
    """C19, C47: neither the guests' LAN nor the router nor the internet"""
    for addr in (net.GUEST, net.LAN, net.GUEST_LAN, net.WAN, net.REMOTE1, "192.168.77.255",
                 "127.0.0.1", "0.0.0.0", "224.0.0.1"):
        p = port()
        assert agent.result(UDP, p, p, options=pcp.third_party(addr)) not in \
            (pcp.SUCCESS, pcp.NOT_AUTHORIZED), addr
    assert entitled.gateway.list() == []


def test_third_party_that_is_wrong(entitled, agent, port):
    """C19, C21: oneself, another length, twice"""
    p = port()
    assert agent.result(UDP, p, p, options=pcp.third_party(net.CONSOLE)) == \
        pcp.MALFORMED_REQUEST
    for options in (pcp.option(1, bytes(4)), pcp.option(1, bytes(20)), pcp.option(1),
                    2 * pcp.third_party(net.CONSOLE2)):
        assert agent.result(UDP, p, p, options=options) == pcp.MALFORMED_OPTION
    assert entitled.gateway.list() == []


def test_third_party_with_a_nonce_of_its_own(entitled, agent, port):
    """C9: the host itself has no right to what its agent made with another nonce"""
    p, lab = port(), entitled
    assert agent.map(UDP, p, p, options=pcp.third_party(net.CONSOLE2)).result == pcp.SUCCESS
    with pcp.Client(lab.console2) as c:
        assert c.map(UDP, p, p).result == pcp.NOT_AUTHORIZED
        assert c.delete(UDP, p).result == pcp.NOT_AUTHORIZED
    assert lab.gateway.lease("udp", p)
