# SPDX-License-Identifier: GPL-2.0-or-later
"""What known clients send on port 5351, byte for byte, and what each makes of the answer: the
client's own checks (sizes, nonce, result) stand here as it has them. Then what the gateway says
unasked. P, C and S rows: the protocol pages' sections 0 to 2."""
import os
import select
import socket
import struct
import time

import pytest

import gateway
import natpmp
import net
import pcp

# Of the global unicast space: addresses of the LAN alone are not mapped.
LAN6, CONSOLE6, CONSOLE6_B = "2a0c:77::1", "2a0c:77::20", "2a0c:77::aa"
ANYBODY = "::ffff:0.0.0.0"
SO_TIMESTAMPNS = 35


@pytest.fixture(scope="module")
def lab():
    """With IPv6 on the LAN, before the daemon looks at it."""
    with net.Net() as n:
        n.gw.ip(f"address add {LAN6}/64 dev br-lan nodad\n")
        n.console.ip(f"address add {CONSOLE6}/64 dev eth0 nodad\n"
                     f"address add {CONSOLE6_B}/64 dev eth0 nodad\n")
        yield n


def ip16(addr):
    return socket.inet_pton(socket.AF_INET6, addr if ":" in addr else f"::ffff:{addr}")


class Talker:
    """A UDP socket of the console, connected as most clients do: other senders are not heard."""

    def __init__(self, lab, to=net.LAN, bind=None):
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        self.sock = lab.console.socket(family)
        if bind:
            self.sock.bind((bind, 0))
        scope = 0
        if to.startswith("fe80"):
            with lab.console.inside():
                scope = socket.if_nametoindex("eth0")
        self.sock.connect((to, natpmp.PORT, 0, scope) if scope else (to, natpmp.PORT))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def ask(self, packet):
        self.sock.send(packet)
        return net.answer_of(self.sock)


def epoch_holds(first, second, seconds):
    """The check of RFC 6887 8.5 (C25), as mDNSResponder and libplum make it, and RFC 6886 3.6's."""
    server, client = second - first, int(seconds)
    if second < first - 1 or client + 2 < server - server // 16 or server + 2 < client - client // 16:
        return False
    return second + 2 >= first + 7 * seconds // 8


# ---- Tailscale: net/portmapper ----

def tailscale_pcp(addr, port, previous=0, external=ANYBODY, lifetime=7200, nonce=None):
    """pcp.go buildPCPRequestMappingPacket: a new nonce each time."""
    return (b"\2\1\0\0" + struct.pack("!I", lifetime) + ip16(addr)
            + (nonce or os.urandom(12)) + b"\x11\0\0\0" + struct.pack("!HH", port, previous)
            + ip16(external))


def tailscale_parse_pcp_map(data):
    """parsePCPMapResponse: the external address and port, or why not."""
    if len(data) < 60:
        return "short"
    if data[0] != 2 or data[1] != 0x81:
        return "not a MAP response"
    if data[3] != 0:
        return f"PCP result {data[3]}"
    port, = struct.unpack_from("!H", data, 42)
    return socket.inet_ntoa(data[56:60]), port, struct.unpack_from("!I", data, 4)[0]


def test_tailscale_finds_both_protocols_within_its_window(lab, gw):
    """C22, P1, P31: one socket, three probes at once, 250 ms in all"""
    with lab.console.udp(timeout=0.25) as s:
        started = time.monotonic()
        s.sendto(b"\0\0", (net.LAN, 5351))
        s.sendto(b"\2\0\0\0\0\0\0\0" + ip16(net.CONSOLE), (net.LAN, 5351))
        found = {}
        while len(found) < 2:
            data, peer = s.recvfrom(1500)
            assert peer == (net.LAN, 5351)
            if data[0] == 0:
                # pmp.go parsePMPResponse
                assert len(data) >= 12 and data[1] == 0x80 and data[2:4] == b"\0\0"
                found["pmp"] = socket.inet_ntoa(data[8:12])
            elif data[0] == 2:
                # pcp.go parsePCPResponse; 2 and 12 would be "exists but useless"
                assert len(data) >= 24 and data[1] == 0x80 and data[3] == 0
                found["pcp"] = True
        assert time.monotonic() - started < 0.25
    assert found == {"pmp": net.WAN, "pcp": True}


def test_tailscale_maps_by_nat_pmp(lab, gw, port):
    """P8, P9: its first choice; renewed at half of the lease with the port that it got"""
    p = port()
    with Talker(lab) as t:
        for previous in (0, p):
            data = t.ask(struct.pack("!BBHHHI", 0, 1, 0, p, previous, 7200))
            assert len(data) >= 16 and data[:4] == b"\0\x81\0\0"
            internal, external, lifetime = struct.unpack_from("!HHI", data, 8)
            assert (internal, external, lifetime) == (p, p, 7200)
        assert t.ask(struct.pack("!BBHHHI", 0, 1, 0, p, 0, 0))[:4] == b"\0\x81\0\0"
    assert gw.list() == []


def test_tailscale_is_refused_its_new_nonce(lab, gw, port):
    """C9, L6: strict is the default; the lifetime says when it may try again"""
    p = port()
    with Talker(lab) as t:
        first = tailscale_parse_pcp_map(t.ask(tailscale_pcp(net.CONSOLE, p)))
        assert first == (net.WAN, p, 7200)
        data = t.ask(tailscale_pcp(net.CONSOLE, p, p, net.WAN))
        assert tailscale_parse_pcp_map(data) == "PCP result 2"
        assert 7190 <= struct.unpack_from("!I", data, 4)[0] <= 7200
    assert gw.lease("udp", p)["remaining_s"] <= 7200


# ---- Bitcoin Core: src/common/pcp.cpp ----

def bitcoin_pcp(addr, nonce, port, any_address):
    return (b"\2\1\0\0" + struct.pack("!I", 2400) + ip16(addr) + nonce + b"\x06\0\0\0"
            + struct.pack("!HH", port, port) + ip16(any_address))


def bitcoin_parse(data, nonce, port):
    """PCPRequestPortMap: "ignored" is no answer to it; else what it logs or returns."""
    if len(data) == 8 and data[0] == 0 and data[3] == 1:
        return "unsupported version"
    if len(data) < 24 or data[0] != 2 or data[1] != 0x81:
        return "ignored"
    if len(data) < 60 or data[24:36] != nonce or data[36] != 6:
        return "ignored"
    if struct.unpack_from("!H", data, 40)[0] != port:
        return "ignored"
    if data[3]:
        return f"error {data[3]}"
    lifetime, = struct.unpack_from("!I", data, 4)
    external, = struct.unpack_from("!H", data, 42)
    return data[44:60], external, lifetime


def test_bitcoin_core_maps_its_port(lab, gw, port):
    """C7, C8: one nonce per run, 2400 s, renewed between 1/2 and 5/8"""
    p, nonce = port(), os.urandom(12)
    with Talker(lab) as t:
        for _ in range(2):
            got = bitcoin_parse(t.ask(bitcoin_pcp(net.CONSOLE, nonce, p, "0.0.0.0")), nonce, p)
            assert got == (ip16(net.WAN), p, 2400)
    assert gw.lease("tcp", p)["claims"] == ["pcp"]
    assert len(gw.list()) == 1


def router_link_local(lab):
    text = lab.gw.run("ip", "-6", "-o", "addr", "show", "dev", "br-lan", "scope", "link").stdout
    return text.split()[3].split("/")[0]


def test_bitcoin_core_maps_each_ipv6_address_from_that_address(lab, gw, port):
    """C27, S2: to the router's link-local address, which is its default gateway; connected, so
    that an answer from another address would be lost"""
    p, nonce = port(), os.urandom(12)
    router = router_link_local(lab)
    for addr in (CONSOLE6, CONSOLE6_B):
        with Talker(lab, router, bind=addr) as t:
            got = bitcoin_parse(t.ask(bitcoin_pcp(addr, nonce, p, "::")), nonce, p)
            assert got == (ip16(addr), p, 2400)
    leases = [l for l in gw.list() if l.get("family") == "ipv6"]
    assert {l["internal_address"] for l in leases} == {CONSOLE6, CONSOLE6_B}
    for addr in (CONSOLE6, CONSOLE6_B):
        with Talker(lab, LAN6, bind=addr) as t:  # C56: another address of ours, the same nonce
            request = bytearray(bitcoin_pcp(addr, nonce, p, "::"))
            request[4:8] = bytes(4)
            data = t.ask(bytes(request))
            assert len(data) == 60 and data[3] == 0 and data[4:8] == bytes(4)
    assert gw.list() == []


def test_ipv6_hosts_may_ask_for_the_epoch_from_their_link_local_address(lab, gw):
    """C22, C27, S4: but not for a mapping; and NAT-PMP is of IPv4"""
    with lab.console.inside():
        text = lab.console.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope",
                               "link").stdout
    own = text.split()[3].split("/")[0]
    with Talker(lab, router_link_local(lab)) as t:
        assert t.sock.getsockname()[0].split("%")[0] == own
        data = t.ask(b"\2\0\0\0\0\0\0\0" + ip16(own))
        assert len(data) == 24 and data[:4] == b"\2\x80\0\0"
        data = t.ask(bitcoin_pcp(own, b"n" * 12, 8333, "::"))
        assert data[3] == pcp.NOT_AUTHORIZED and data[24:36] == b"n" * 12
        assert t.ask(b"\0\0")[:4] == b"\2\x80\0\1"
    assert gw.list() == []


# ---- mDNSResponder: uDNS.c ----

def mdns_pcp(addr, nonce, protocol, port, lifetime=7200, external=0):
    return (b"\2\1\0\0" + struct.pack("!I", lifetime) + ip16(addr) + nonce
            + bytes((protocol, 0, 0, 0)) + struct.pack("!HH", port, external) + ip16(ANYBODY))


def test_mdnsresponder_asks_by_both_at_once(lab, gw, port):
    """P1, C7: the external address by NAT-PMP while PCP maps"""
    p, nonce = port(), os.urandom(12)
    with Talker(lab) as t:
        t.sock.send(b"\0\0")
        t.sock.send(mdns_pcp(net.CONSOLE, nonce, 6, p))
        answers = {}
        for _ in range(2):
            data = t.sock.recv(1500)
            answers[data[0]] = data
        address, mapping = answers[0], answers[2]
        # uDNS_ReceiveNATPacket: natTraversalHandleAddressReply wants NATAddrReply's size
        assert len(address) >= 12 and address[1] == 0x80 and address[2:4] == b"\0\0"
        assert socket.inet_ntoa(address[8:12]) == net.WAN
        # natTraversalHandlePCPReply: sizeof(PCPMapReply), the nonce, then the address is IPv4
        assert len(mapping) >= 60 and mapping[1] == 0x81 and mapping[3] == 0
        assert mapping[24:36] == nonce and mapping[36] == 6
        assert struct.unpack_from("!HH", mapping, 40) == (p, p)
        assert mapping[44:56] == bytes(10) + b"\xff\xff"
        assert epoch_holds(struct.unpack_from("!I", address, 4)[0],
                           struct.unpack_from("!I", mapping, 8)[0], 0)
        gone = t.ask(mdns_pcp(net.CONSOLE, nonce, 6, p, 0, p))
        assert gone[3] == 0 and gone[4:8] == bytes(4)
    assert gw.list() == []


# ---- libplum: pcp.c ----

def plum_check(data, nonce, port):
    """pcp_map: version, R bit, result, and the nonce of a MAP response."""
    if len(data) < 24 or data[0] != 2 or not data[1] & 0x80:
        return None
    if data[3]:
        return f"result {data[3]}"
    if data[1] == 0x80:
        return "announce"
    if len(data) < 60 or data[24:36] != nonce or data[36] != 17:
        return None
    if struct.unpack_from("!H", data, 40)[0] != port:
        return None
    return struct.unpack_from("!H", data, 42)[0], ip16(net.WAN) == data[44:60]


def test_libplum_probes_maps_and_renews_with_its_nonce(lab, gw, port):
    """C8, C22"""
    p, nonce = port(), os.urandom(12)
    with Talker(lab) as t:
        assert plum_check(t.ask(b"\2\0\0\0\0\0\0\0" + ip16(net.CONSOLE)), nonce, p) == "announce"
        for suggested in (p, 0, p + 1):
            request = (b"\2\1\0\0" + struct.pack("!I", 7200) + ip16(net.CONSOLE) + nonce
                       + b"\x11\0\0\0" + struct.pack("!HH", p, suggested) + ip16(ANYBODY))
            assert plum_check(t.ask(request), nonce, p) == (p, True)
        request = request[:4] + bytes(4) + request[8:]
        data = t.ask(request)
        assert data[3] == 0 and data[24:36] == nonce
    assert gw.list() == []


# ---- go-nat-pmp: natpmp.go; libnatpmp: natpmp.c ----

def go_rpc(talker, packet, size):
    """rpc(): the size to the byte, then version, opcode and result."""
    data = talker.ask(packet)
    if len(data) != size:
        return f"unexpected result size {len(data)}, expected {size}"
    if data[0] != 0:
        return f"unknown protocol version {data[0]}"
    if data[1] != (packet[1] | 0x80):
        return f"unexpected opcode {data[1]}"
    result, = struct.unpack_from("!H", data, 2)
    return f"non-zero result code {result}" if result else data


def test_go_nat_pmp(lab, gw, port):
    """P1, P8, P13: any size but 12 and 16 is an error to it"""
    p = port()
    with Talker(lab) as t:
        data = go_rpc(t, b"\0\0", 12)
        assert socket.inet_ntoa(data[8:12]) == net.WAN
        for op, name in ((1, "udp"), (2, "tcp")):
            data = go_rpc(t, struct.pack("!BBHHHI", 0, op, 0, p, p, 3600), 16)
            assert struct.unpack_from("!HHI", data, 8) == (p, p, 3600)
            assert gw.lease(name, p)
            data = go_rpc(t, struct.pack("!BBHHHI", 0, op, 0, p, 0, 0), 16)
            assert struct.unpack_from("!HHI", data, 8) == (p, 0, 0)
        assert go_rpc(t, struct.pack("!BBHHHI", 0, 1, 0, 0, p, 60), 16) == "non-zero result code 2"
    assert gw.list() == []


def test_libnatpmp(lab, gw, port):
    """P8, S2: readnatpmpresponse() has 16 bytes and takes the gateway's address only"""
    p = port()
    with lab.console.udp() as s:
        for packet in (b"\0\0", struct.pack("!BBHHHI", 0, 2, 0, p, 0, 3600),
                       struct.pack("!BBHHHI", 0, 2, 0, p, 0, 0)):
            s.sendto(packet, (net.LAN, 5351))
            data, peer = s.recvfrom(16)
            assert peer == (net.LAN, 5351)
            assert data[0] == 0 and data[1] == packet[1] + 128 and data[2:4] == b"\0\0"
    assert gw.list() == []


# ---- Fault rows that need a packet of their own ----

def test_a_port_set_is_not_echoed(lab, gw, port):
    """C30, L14: ignored, so that no client believes to hold more than one port"""
    p, nonce = port(), os.urandom(12)
    with Talker(lab) as t:
        for data in (struct.pack("!HHB", 4, p, 0), struct.pack("!HHBB", 4, p, 1, 0), b""):
            reply = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p) + pcp.option(130, data))
            assert len(reply) == 60 and reply[3] == 0
    assert len(gw.list()) == 1


def test_peer_is_told_to_be_unknown(lab, gw):
    """C26, L9: the whole request comes back"""
    request = (b"\2\2\0\0" + struct.pack("!I", 600) + ip16(net.CONSOLE) + b"n" * 12
               + b"\x11\0\0\0" + struct.pack("!HH", 5000, 0) + ip16(ANYBODY)
               + struct.pack("!HH", 80, 0) + ip16(net.REMOTE1))
    with Talker(lab) as t:
        reply = t.ask(request)
    assert len(reply) == 80 and reply[:4] == b"\2\x82\0\4" and reply[24:] == request[24:]


def filter_option(addr, length, port=0):
    return pcp.option(3, struct.pack("!BBH", 0, length, port) + ip16(addr))


def test_filters_come_back_as_asked(lab, gw, port):
    """C20, C43: in their order, and one too many changes nothing"""
    p, nonce = port(), os.urandom(12)
    asked = filter_option("::", 0) + filter_option(net.REMOTE1, 128) + filter_option(
        "12.0.0.0", 120, 4000)
    with Talker(lab) as t:
        reply = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p) + asked)
        assert reply[3] == 0 and reply[60:] == asked
        assert len(gw.lease("udp", p)["filters"]) == 2
        reply = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p)
                      + b"".join(filter_option(f"13.0.0.{n}", 128) for n in range(3)))
        assert reply[3] == pcp.EXCESSIVE_REMOTE_PEERS
        assert len(gw.lease("udp", p)["filters"]) == 2
        reply = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p, 0) + filter_option("::", 0))
        assert reply[3] == pcp.MALFORMED_OPTION
        reply = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p) + filter_option("1.2.3.4", 0))
        assert reply[3] == 0
        assert not gw.lease("udp", p).get("filters")


# ---- Unasked ----

class Listener:
    """A client's socket on 5350, bound to the group as RFC 6886 3.2.1 advises."""

    def __init__(self, host, group):
        v6 = ":" in group
        self.sock = host.socket(socket.AF_INET6 if v6 else socket.AF_INET)
        with host.inside():
            index = socket.if_nametoindex("eth0")
        if v6:
            self.sock.bind((group, 5350, 0, index))
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                 ip16(group) + struct.pack("@I", index))
        else:
            self.sock.bind((group, 5350))
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack(
                "!4s4si", socket.inet_aton(group), socket.inet_aton(host.addr), 0))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setblocking(False)
        self.heard = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def read(self):
        while select.select([self.sock], [], [], 0)[0]:
            data, control, _, peer = self.sock.recvmsg(2048, 64)
            seconds, ns = struct.unpack("@qq", control[0][2])
            self.heard.append((seconds + ns / 1e9, data, peer[:2]))
        return self.heard

    def of(self, version):
        return [h for h in self.read() if h[1][0] == version]


def gaps(heard):
    return [b[0] - a[0] for a, b in zip(heard, heard[1:])]


@pytest.mark.seconds(90)
def test_a_restart_is_announced_with_doubling_gaps(lab, gw):
    """P18, C23, C25, P17: to both groups, from the addresses that are asked; the epoch is that of
    before, as the leases are"""
    with Talker(lab) as t:
        before = struct.unpack_from("!I", t.ask(b"\0\0"), 4)[0]
        asked = time.time()
    gw.stop()
    with Listener(lab.console, "224.0.0.1") as v4, Listener(lab.console, "ff02::1") as v6:
        gw.start()
        net.wait_for(lambda: len(v4.of(0)) >= 5, what="five announcements")
        net.wait_for(lambda: len(v4.of(2)) >= 5, what="PCP's, too")
        link_local = router_link_local(lab)
        net.wait_for(lambda: len([h for h in v6.read() if h[2][0].startswith("fe80")]) >= 5,
                     what="those over IPv6")
    for version in (0, 2):
        heard = [h for h in v4.heard if h[1][0] == version]
        assert {h[2] for h in heard} == {(net.LAN, 5351)}
        for gap, want in zip(gaps(heard), (0.25, 0.5, 1, 2)):
            assert want - 0.01 <= gap <= want + 0.4, gaps(heard)
        for when, data, _ in heard:
            at = 4 if version == 0 else 8
            epoch, = struct.unpack_from("!I", data, at)
            assert epoch_holds(before, epoch, when - asked)
            if version == 0:
                assert data == b"\0\x80\0\0" + struct.pack("!I", epoch) + socket.inet_aton(net.WAN)
            else:
                assert data == b"\2\x80\0\0\0\0\0\0" + struct.pack("!I", epoch) + bytes(12)
    heard = [h for h in v6.heard if h[2][0].startswith("fe80")]
    assert {(h[2][0].split("%")[0], h[2][1]) for h in heard} == {(link_local, 5351)}
    assert all(h[1][:4] == b"\2\x80\0\0" and len(h[1]) == 24 for h in heard)
    assert all(gap > 0.24 for gap in gaps(heard)), gaps(heard)
    assert {h[2][0] for h in v6.heard} >= {LAN6}


def epoch_if(talker, least):
    """The epoch, once it is as high as that."""
    epoch, = struct.unpack_from("!I", talker.ask(b"\0\0"), 4)
    return epoch if epoch >= least else None


def move_wan(lab, old, new):
    """As a redial does it: the old address goes first."""
    lab.gw.ip(f"""address del {old}/24 dev wan0
        address add {new}/24 dev wan0
        route replace default via {net.REMOTE1} dev wan0
        """)


def test_a_new_wan_address_is_told_to_everybody(lab, gw, port):
    """P18, C24, C25, L3: announced, the epoch anew; and each PCP client gets its updated mapping
    three times on the socket that asked, until it renews"""
    p, q, nonce = port(), port(), os.urandom(12)
    new = "11.0.0.9"
    with Talker(lab) as t, Talker(lab) as other, Listener(lab.console, "224.0.0.1") as group:
        t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p) + pcp.option(128, b"a game")
              + filter_option(net.REMOTE1, 128))
        other.ask(mdns_pcp(net.CONSOLE, nonce, 6, q))
        # The new epoch is to differ by more than its tolerance.
        before = net.wait_for(lambda: epoch_if(t, 4), what="an epoch of 4 s", pause=0.1)
        net.stamp(t.sock)
        asked = time.monotonic()
        move_wan(lab, net.WAN, new)
        try:
            told = []
            first = other.sock.recv(2048)
            other.ask(mdns_pcp(net.CONSOLE, nonce, 6, q))  # it renews: no more is to come
            while len(told) < 3:
                told.append(net.stamped(t.sock))
            assert struct.unpack_from("!HH", first, 40) == (q, q) and first[56:60] == bytes(
                (11, 0, 0, 9))
            for _, data in told:
                assert data[:4] == b"\2\x81\0\0" and data[24:36] == nonce
                assert struct.unpack_from("!HH", data, 40) == (p, p)
                assert data[44:60] == ip16(new)
                assert data[60:] == filter_option(net.REMOTE1, 128)  # no description
                assert struct.unpack_from("!I", data, 8)[0] <= 5
            between = gaps(told)
            assert 0.24 <= between[0] <= 0.6 and 0.48 <= between[1] <= 0.9, between
            assert net.silent(other.sock, 0.4)
            epoch, = struct.unpack_from("!I", t.ask(b"\0\0"), 4)
            assert epoch <= 5
            assert not epoch_holds(before, epoch, time.monotonic() - asked)
            net.wait_for(lambda: [h for h in group.of(0) if h[1][8:] == bytes((11, 0, 0, 9))],
                         what="the announcement")
        finally:
            move_wan(lab, new, net.WAN)
            with Talker(lab) as again:
                net.wait_for(lambda: again.ask(b"\0\0")[8:] == socket.inet_aton(net.WAN),
                             what="the former address")


# ---- Modes: the daemon of the file is at rest meanwhile ----

@pytest.fixture
def configured(lab, gw):
    """A daemon with a configuration of its own."""
    gw.stop()
    started = []

    def start(config):
        g = gateway.Gateway(lab, config=config)
        g.start()
        started.append(g)
        return g
    yield start
    for g in started:
        g.clear()
        g.stop()
    gw.start()


def test_same_source_lets_tailscale_renew(lab, configured, port):
    """C9, note A of the clients' page: a host's own new nonce takes its mapping over"""
    configured(gateway.CONFIG + 'pcp-nonce = "same-source"\n')
    p = port()
    with Talker(lab) as t:
        for previous in (0, p, p):
            data = t.ask(tailscale_pcp(net.CONSOLE, p, previous))
            assert tailscale_parse_pcp_map(data) == (net.WAN, p, 7200)
    with pcp.Client(lab.console2) as c:
        assert c.get(pcp.UDP, p) != p


def test_nat_pmp_alone_is_what_bitcoin_core_falls_back_to(lab, configured, port):
    """P6: exactly 8 bytes, then its NAT-PMP requests"""
    configured(gateway.CONFIG.replace('lan "br-lan" {}', 'lan "br-lan" { pcp = false  nat-pmp = true }'))
    p, nonce = port(), os.urandom(12)
    with Talker(lab) as t:
        data = t.ask(bitcoin_pcp(net.CONSOLE, nonce, p, "0.0.0.0"))
        assert bitcoin_parse(data, nonce, p) == "unsupported version"
        data = t.ask(b"\0\0")
        assert len(data) == 12 and socket.inet_ntoa(data[8:]) == net.WAN
        data = t.ask(struct.pack("!BBHHHI", 0, 2, 0, p, p, 2400))
        assert len(data) == 16 and data[:4] == b"\0\x82\0\0"
        assert struct.unpack_from("!HHI", data, 8) == (p, p, 2400)


def test_pcp_alone_tells_nat_pmp_clients_its_version(lab, configured, port):
    """P28"""
    configured(gateway.CONFIG.replace('lan "br-lan" {}', 'lan "br-lan" { nat-pmp = false }'))
    with Talker(lab) as t:
        assert t.ask(b"\0\0") == b"\2\x80\0\1"
        p, nonce = port(), os.urandom(12)
        got = bitcoin_parse(t.ask(bitcoin_pcp(net.CONSOLE, nonce, p, "0.0.0.0")), nonce, p)
        assert got == (ip16(net.WAN), p, 2400)


def test_third_party_is_for_whom_the_admin_names(lab, configured, port):
    """C19: on for one host; others are told the option is unknown"""
    configured(gateway.CONFIG.replace(
        'lan "br-lan" {}', f'lan "br-lan" {{ third-party = {{ "{net.CONSOLE}" }} }}'))
    p, nonce = port(), os.urandom(12)
    option = pcp.option(1, ip16(net.PC))
    with Talker(lab) as t:
        reply = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p) + option)
        assert reply[3] == 0 and reply[60:] == option
        self = t.ask(mdns_pcp(net.CONSOLE, nonce, 17, p) + pcp.option(1, ip16(net.CONSOLE)))
        assert self[3] == pcp.MALFORMED_REQUEST
    with pcp.Client(lab.console2) as c:
        reply = c.ask(mdns_pcp(net.CONSOLE2, nonce, 17, p) + option)
        assert reply[3] == pcp.UNSUPP_OPTION
    g = gateway.Gateway.alive[-1]
    assert g.lease("udp", p)["internal_address"] == net.PC
