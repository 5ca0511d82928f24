# SPDX-License-Identifier: GPL-2.0-or-later
"""Router mode: a bare machine with two interfaces is a home router and firewall. prior-art.md 2
(last row but one), 4 and 5, each row; design 7. Judged by packets."""
import contextlib
import errno
import itertools
import socket
import struct

import pytest

import clients
import gateway
import net

CONFIG = gateway.CONFIG.replace('lan "br-guest" {}', 'lan "br-guest" { trusted = false }')
ROUTER = CONFIG + 'router { wan-allow = { "tcp/2222", "udp/5005" } }\n'
_ids = itertools.count(1)
CONSOLE6 = net.CONSOLE6, net.CONSOLE6_2
SYSCTLS = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/wan0/accept_ra"


def sysctl(host, key, value=None):
    with host.inside(), open(f"/proc/sys/{key}", "r" if value is None else "w",
                             encoding="ascii") as f:
        return f.read().strip() if value is None else f.write(value)


@pytest.fixture(scope="module")
def lab():
    """No masquerade, no filter, no forwarding: nothing but interfaces and routes."""
    with net.Net(masquerade=False, ipv6=True) as n:
        n.gw.nft("delete table ip6 filter")
        for key in SYSCTLS[:2]:
            sysctl(n.gw, key, "0")
        n.gw.ip("address add 2a01:78::1/64 dev br-guest nodad\n")
        n.guest.ip("address add 2a01:78::40/64 dev eth0 nodad\nroute add default via 2a01:78::1\n")
        n.inet.ip(f"route add 2a01:78::/64 via {net.WAN6}\n")
        n.route_lans_in()
        yield n


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, ROUTER) as g:
        net.wait_for(lambda: [sysctl(lab.gw, k) for k in SYSCTLS[:2]] == ["1", "1"],
                     what="forwarding")
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def reaches(host, there, addr, port=0, bind="0.0.0.0", timeout=5.0):
    """Does a TCP connection of that host get an answer there? The address it came from."""
    with there.listen(port, bind) as s:
        try:
            c = host.connect(addr, s.getsockname()[1], timeout=timeout)
        except OSError:
            return None
        with c:
            a, peer = s.accept()
            a.close()
            return peer[0]


def ping(host, addr):
    """Is an echo request answered?"""
    v6 = ":" in addr
    kind, proto = (128, socket.IPPROTO_ICMPV6) if v6 else (8, socket.IPPROTO_ICMP)
    ident = next(_ids)
    echo = struct.pack("!BBHHH", kind, 0, 0, ident, 1)
    if not v6:  # the kernel fills in ICMPv6's checksum
        echo = struct.pack("!BBHHH", kind, 0, ~(kind << 8) - ident - 1 & 0xffff, ident, 1)
    with host.socket(net.family_of(addr), socket.SOCK_RAW, proto, timeout=0.1) as s:
        for _ in range(5):
            s.sendto(echo, (addr, 0))
            with contextlib.suppress(socket.timeout):
                while True:
                    data, peer = s.recvfrom(2048)
                    data = data if v6 else data[20:]
                    if peer[0] == addr and data[0] == (129 if v6 else 0) and data[4:6] == echo[4:6]:
                        return True
    return False


def test_the_lan_goes_out(lab, gw):
    """prior-art.md 5: masquerade LAN to WAN; TCP, UDP, ICMP, low source ports and IPv6."""
    assert reaches(lab.console, lab.inet, net.REMOTE1) == net.WAN
    assert reaches(lab.guest, lab.inet, net.REMOTE1) == net.WAN
    with lab.console.udp(0) as s:
        assert net.source_seen(s, lab.inet)[0] == net.WAN
    with lab.console.udp(123) as s:
        assert net.source_seen(s, lab.inet)[0] == net.WAN
    assert ping(lab.console, net.REMOTE1) and ping(lab.guest, net.REMOTE1)
    assert reaches(lab.console, lab.inet, net.REMOTE6, bind="::") in CONSOLE6
    assert ping(lab.console, net.REMOTE6)


def test_the_internet_does_not_come_in(lab, gw):
    """prior-art 2.9 and 5: input and forward are shut, also for who knows the inside
    addresses."""
    assert not reaches(lab.inet, lab.gw, net.WAN, timeout=0.5)
    assert not reaches(lab.inet, lab.gw, net.WAN6, bind="::", timeout=0.5)
    assert not reaches(lab.inet, lab.console, net.CONSOLE, timeout=0.5)
    assert not reaches(lab.inet, lab.console, net.CONSOLE6, bind="::", timeout=0.5)
    assert not reaches(lab.inet, lab.guest, net.GUEST, timeout=0.5)
    with lab.console.udp(7001) as s, lab.console.udp(7001, net.CONSOLE6) as s6:
        for sock, addr in ((s, net.CONSOLE), (s6, net.CONSOLE6)):
            with net.fresh_udp(lab.inet, net.REMOTE6 if ":" in addr else "0.0.0.0") as out:
                out.sendto(b"x", (addr, 7001))
                assert net.silent(sock)
    assert not ping(lab.inet, net.WAN)


def test_a_port_scan_shows_nothing(lab, gw):
    """Not even closed ports: no answer of any kind to 2,000 ports and to stealth scans."""
    with lab.inet.capture() as seen, \
            lab.inet.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP) as raw:
        for flags in (2, 0, 1, 16, 41, 3, 6, 18):  # SYN NULL FIN ACK XMAS SYN+FIN SYN+RST SYN+ACK
            for port in range(1, 2000, 8):
                raw.sendto(tcp(net.REMOTE1, net.WAN, 4000 + flags, port, flags), (net.WAN, 0))
        with lab.inet.udp() as u:
            for port in range(1, 2000):
                u.sendto(b"x", (net.WAN, port))
                if port % 200 == 0:
                    net.time.sleep(0.01)
        net.time.sleep(0.5)
        answers = [p for p in seen.read() if p.src == net.WAN and not p.outgoing]
        assert not answers, answers[:5]


def tcp(src, dst, sport, dport, flags):
    """A TCP header with its checksum."""
    head = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, flags, 1024, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, 6, len(head))
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


def test_stealth_scans_reach_no_host_either(lab, gw, port):
    """prior-art.md 4: through an open port comes a SYN, and none of no flags, FIN, SYN+FIN,
    SYN+RST, ACK or all of them."""
    p = port()
    clients.natpmpc(lab.console, "-a", str(p), str(p), "tcp", "600")
    with lab.console.capture() as seen, \
            lab.inet.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_TCP) as raw:
        for i, flags in enumerate((0, 1, 3, 6, 16, 41, 63, 2)):
            raw.sendto(tcp(net.REMOTE1, net.WAN, 4100 + i, p, flags), (net.WAN, 0))
        net.wait_for(lambda: [x for x in seen.tcp(p) if x.dport == p], what="the SYN")
        assert {x.sport for x in seen.tcp(p) if x.dport == p} == {4107}


def test_leases_come_in(lab, gw, port):
    """Leases of all protocols, filtered ones too, and nothing else."""
    p, q = port(), port()
    clients.natpmpc(lab.console, "-a", str(p), str(p), "udp", "600")
    clients.upnpc(lab.pc, "-a", net.PC, str(q), str(q), "TCP")
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
    assert reaches_port(lab.inet, lab.pc, net.WAN, q)
    gw.cli("delete", f"udp/{p}")
    with lab.console.udp(p) as s:
        assert not net.arrives(lab.inet, s, p, timeout=0.3)


def reaches_port(host, there, addr, port, timeout=5.0):
    with there.listen(port) as s:
        try:
            with host.connect(addr, port, timeout=timeout):
                s.accept()[0].close()
                return True
        except OSError:
            return False


def test_wan_allow(lab, gw):
    """prior-art.md 4: what the admin names, and nothing beside it."""
    assert reaches_port(lab.inet, lab.gw, net.WAN, 2222)
    assert not reaches_port(lab.inet, lab.gw, net.WAN, 2223, timeout=0.5)
    for port, open_ in ((5005, True), (5006, False)):
        with lab.gw.udp(port, net.WAN) as s, net.fresh_udp(lab.inet) as out:
            out.sendto(b"x", (net.WAN, port))
            assert net.silent(s, 5 if open_ else 0.3) != open_


def test_an_untrusted_lan(lab, gw):
    """design 7, prior-art.md 5: the WAN, DHCP and DNS of the router, no other LAN."""
    assert not reaches(lab.guest, lab.console, net.CONSOLE, timeout=0.5)
    assert not reaches(lab.guest, lab.gw, net.GUEST_LAN, timeout=0.5)
    assert not reaches(lab.guest, lab.gw, net.LAN, timeout=0.5)
    assert not reaches(lab.guest, lab.console, net.CONSOLE6, bind="::", timeout=0.5)
    assert reaches_port(lab.guest, lab.gw, net.GUEST_LAN, 53)
    for port, open_ in ((53, True), (67, True), (69, False)):
        with lab.gw.udp(port) as s, lab.guest.udp() as out:
            out.sendto(b"x", (net.GUEST_LAN, port))
            assert net.silent(s, 5 if open_ else 0.3) != open_, port
    assert lab.guest.run("natpmpc", "-g", net.GUEST_LAN).returncode == 0, "pcp is on there"
    assert ping(lab.guest, net.GUEST_LAN)
    # And the trusted one goes everywhere.
    assert reaches(lab.console, lab.guest, net.GUEST) == net.CONSOLE
    assert reaches(lab.console, lab.gw, net.LAN) == net.CONSOLE


def test_spoofed_sources(lab, gw, port):
    """prior-art.md 4: packets from outside with our own, the LAN's or loopback addresses, and
    packets of the LAN with addresses of elsewhere."""
    p = port()
    clients.natpmpc(lab.console, "-a", str(p), str(p), "udp", "600")
    lab.inet.ip(f"neigh replace {net.WAN} lladdr {mac(lab.gw, 'wan0')} dev eth0\n")
    with lab.console.capture() as seen:
        for src in (net.PC, net.LAN, net.WAN, net.GUEST):
            lab.inet.send_raw(src, 999, net.WAN, p, b"spoofed")
        lab.inet.send_raw(net.REMOTE2, 999, net.WAN, p, b"honest")
        net.wait_for(lambda: seen.udp(p), what="the honest one")
        assert {x.payload for x in seen.udp(p)} == {b"honest"}
    with lab.inet.capture() as seen:
        for src in ("8.8.8.8", net.GUEST, net.REMOTE2):
            lab.console.send_raw(src, 999, net.REMOTE1, 7100, b"spoofed")
        lab.console.send_raw(net.CONSOLE, 999, net.REMOTE1, 7100, b"honest")
        net.wait_for(lambda: seen.udp(7100), what="the honest one")
        assert {x.payload for x in seen.udp(7100)} == {b"honest"}


def mac(host, iface):
    with host.inside(), open("/proc/self/net/dev", encoding="ascii"):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        s.bind((iface, 0))
        with s:
            return ":".join(f"{b:02x}" for b in s.getsockname()[4])


def test_dhcp_on_the_wan(lab, gw):
    """The router stays a DHCP client: an offer to it, broadcast or not, arrives; also of DHCPv6.
    No other port does."""
    for sport, dport, open_ in ((67, 68, True), (66, 68, False), (67, 69, False)):
        with lab.gw.udp(dport) as s, lab.inet.udp(sport) as out:
            out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for to in (net.WAN, "11.0.0.255"):
                out.sendto(b"offer", (to, dport))
                assert net.silent(s, 5 if open_ else 0.3) != open_, (sport, dport, to)
    with lab.gw.udp(546, "::") as s, lab.inet.udp(547, net.REMOTE6) as out:
        out.sendto(b"reply", (net.WAN6, 546))
        assert not net.silent(s, 5)


def sends_whole(host, addr, size):
    """May a datagram of that size go to that address unfragmented, after what routers have said
    about a first one?"""
    level, discover = (41, 23) if ":" in addr else (0, 10)  # IP_MTU_DISCOVER
    with host.udp(0, "::" if ":" in addr else "0.0.0.0") as s:
        s.setsockopt(level, discover, 2)
        try:
            for _ in range(20):
                s.sendto(b"x" * size, (addr, 7200))
                net.time.sleep(0.02)
        except OSError as e:
            assert e.errno == errno.EMSGSIZE, e
            return False
    return True


def test_too_big_comes_back(lab, gw):
    """The ICMP that must pass: path MTU discovery of a LAN host works when the WAN's MTU is
    smaller, and when that of a router on the way is, by IPv4 and IPv6."""
    for remote in (net.REMOTE1, net.REMOTE6):
        assert sends_whole(lab.console, remote, 1400)
    lab.gw.ip("link set wan0 mtu 1300\n")
    try:
        for remote in (net.REMOTE1, net.REMOTE6):
            assert not sends_whole(lab.console, remote, 1400), remote
    finally:
        lab.gw.ip("link set wan0 mtu 1500\n")
        for family in "-4", "-6":
            lab.console.run("ip", family, "route", "flush", "cache")


def test_errors_about_flows_come_in_and_no_others(lab, gw):
    """From a router in the internet: too big about a flow of the LAN's arrives there; the same
    about no flow does not."""
    with lab.console.udp(7300) as s, lab.inet.udp(7301) as there, \
            lab.inet.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_ICMP) as raw:
        s.setsockopt(0, 10, 2)
        s.connect((net.REMOTE1, 7301))
        s.send(b"x" * 1000)
        data, (src, sport) = there.recvfrom(2048)
        for port in (sport + 1, sport):
            raw.sendto(too_big(src, port, net.REMOTE1, 7301, 900), (net.WAN, 0))
            net.time.sleep(0.2)
            try:
                s.send(b"x" * 1000)
                assert port != sport, "the error did not arrive"
            except OSError as e:
                assert (e.errno, port) == (errno.EMSGSIZE, sport)
    lab.console.run("ip", "route", "flush", "cache")


def too_big(src, sport, dst, dport, mtu):
    """ICMP 3/4 about a datagram."""
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1028, 0, 0x4000, 60, 17, 0,
                        socket.inet_aton(src), socket.inet_aton(dst))
    inner = inner[:10] + struct.pack("!H", checksum(inner)) + inner[12:]
    body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + inner + struct.pack("!HHHH", sport, dport,
                                                                        1008, 0)
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def mss(packet_socket, port):
    """The MSS option of the first SYN to that port that the socket sees."""
    while True:
        data = packet_socket.recv(200)
        at = (data[0] & 15) * 4
        if data[9] == 6 and struct.unpack_from("!H", data, at + 2)[0] == port:
            options = data[at + 20:at + (data[at + 12] >> 4) * 4]
            assert options[0] == 2
            return struct.unpack_from("!H", options, 2)[0]


def test_mss_is_clamped(lab, gw):
    """prior-art.md 5: to the MTU of a PPPoE WAN."""
    lab.gw.ip("link set wan0 mtu 1492\n")
    try:
        with lab.inet.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800)) as seen, \
                lab.inet.listen(0) as s:
            port = s.getsockname()[1]
            lab.console.connect(net.REMOTE1, port).close()
            assert mss(seen, port) == 1452
    finally:
        lab.gw.ip("link set wan0 mtu 1500\n")


def test_neighbours_are_found(lab, gw):
    """ICMPv6 that must pass: neighbour discovery on both sides."""
    for host, addr in ((lab.inet, net.WAN6), (lab.console, net.LAN6)):
        host.run("ip", "-6", "neigh", "flush", "dev", "eth0")
    assert reaches(lab.console, lab.inet, net.REMOTE6, bind="::") in CONSOLE6


def test_pinholes(lab, gw, port):
    """IPv6: what PCP opens comes in, the neighbour's port does not, and it ends."""
    p = port()
    with lab.console.udp(p, net.CONSOLE6) as s:
        assert not net.arrives(lab.inet, s, p, addr=net.CONSOLE6, timeout=0.3)
        open_pinhole(lab.console, p, 600)
        assert net.arrives(lab.inet, s, p, addr=net.CONSOLE6)
        open_pinhole(lab.console, p, 0)
        assert not net.arrives(lab.inet, s, p, addr=net.CONSOLE6, timeout=0.3)


def open_pinhole(host, port, lifetime, source=net.CONSOLE6):
    nonce = b"\x07" * 12
    body = nonce + struct.pack("!B3xHH", 17, port, port) + b"\0" * 16
    packet = struct.pack("!BBHI", 2, 1, 0, lifetime) + socket.inet_pton(socket.AF_INET6, source)
    with host.udp(0, source) as s:
        s.sendto(packet + body, (net.LAN6, 5351))
        data = s.recv(1100)
    assert data[3] == 0, f"PCP result {data[3]}"


@pytest.mark.parametrize("gap", [False, True], ids=["at-once", "later"])
def test_pinholes_follow_the_prefix(lab, gw, port, gap):
    """The provider gives another prefix: what was open to a host is open at the same interface
    identifier there, and nowhere else."""
    p, there = port(), "2a01:79::20"
    open_pinhole(lab.console, p, 600)
    old = f"address del {net.LAN6}/64 dev br-lan\n"
    new = "address add 2a01:79::1/64 dev br-lan nodad\n"
    lab.console.ip(f"address add {there}/64 dev eth0 nodad\n"
                   "route replace default via 2a01:79::1\n")
    lab.inet.ip(f"route add 2a01:79::/64 via {net.WAN6}\n")
    try:
        lab.gw.ip(old if gap else new)
        if gap:
            net.time.sleep(0.3)
        lab.gw.ip(new if gap else old)
        with lab.console.udp(p, there) as s, lab.console.udp(p + 1, there) as t:
            net.wait_for(lambda: net.arrives(lab.inet, s, p, addr=there, timeout=0.1),
                         what="the pinhole")
            assert not net.arrives(lab.inet, t, p + 1, addr=there, timeout=0.3)
        assert [l["internal_address"] for l in gw.list() if l.get("family")] == [there]
        assert gw.lease("udp", p)["remaining_s"] > 500
    finally:
        lab.gw.ip(f"address add {net.LAN6}/64 dev br-lan nodad\n"
                  "address del 2a01:79::1/64 dev br-lan\n")
        lab.console.ip(f"address del {there}/64 dev eth0\n"
                       f"route replace default via {net.LAN6}\n")
        lab.inet.ip("route del 2a01:79::/64\n")
    net.wait_for(lambda: [l["internal_address"] for l in gw.list() if l.get("family")]
                 == [net.CONSOLE6], what="the way back")
    net.wait_for(lambda: gw.processes("pcp", "br-lan"), what="the PCP worker")


def test_the_filter_stays_shut(lab, gw):
    """Over a stop, a crash of everything, and a new start: LAN out works, WAN in does not."""
    for end in (gw.stop, gw.kill):
        end()
        assert reaches(lab.console, lab.inet, net.REMOTE1) == net.WAN
        assert not reaches(lab.inet, lab.gw, net.WAN, timeout=0.5)
        assert not reaches(lab.inet, lab.console, net.CONSOLE6, bind="::", timeout=0.5)
        gw.start()
        assert reaches(lab.console, lab.inet, net.REMOTE1) == net.WAN
        assert not reaches(lab.inet, lab.gw, net.WAN, timeout=0.5)


def test_it_is_put_back_when_somebody_flushes(lab, gw):
    lab.gw.nft("flush ruleset")
    net.wait_for(lambda: not reaches(lab.inet, lab.gw, net.WAN, timeout=0.5), what="the filter")
    assert reaches(lab.console, lab.inet, net.REMOTE1) == net.WAN


def test_what_is_dropped_is_logged_with_a_limit(lab, gw):
    """prior-art 4.4: the rule has both; the kernel writes no log of other network namespaces."""
    rules = lab.gw.run("nft", "list", "chain", "inet", "portreeve", "refuse").stdout
    assert 'limit rate 10/minute' in rules and 'log prefix "portreeve refuses: "' in rules
    gw.reload(ROUTER.replace("router {", "router { log = false "))
    assert "log" not in lab.gw.run("nft", "list", "chain", "inet", "portreeve", "refuse").stdout
    gw.reload(ROUTER)


def test_pings_are_answered_where_that_is_allowed(lab, gw):
    gw.reload(ROUTER.replace('"tcp/2222"', '"icmp"'))
    assert ping(lab.inet, net.WAN) and ping(lab.inet, net.WAN6)
    gw.reload(ROUTER)
    assert not ping(lab.inet, net.WAN) and not ping(lab.inet, net.WAN6)


def test_taken_out_it_is_over(lab, gw):
    """The chains are gone, and the sysctls what they were."""
    gw.reload(CONFIG)
    assert [sysctl(lab.gw, k) for k in SYSCTLS] == ["0", "0", "1"]
    assert reaches(lab.inet, lab.gw, net.WAN), "nobody filters now"
    table = lab.gw.run("nft", "list", "table", "inet", "portreeve").stdout
    assert "policy drop" not in table and "router_" not in table
    gw.reload(ROUTER)
    net.wait_for(lambda: [sysctl(lab.gw, k) for k in SYSCTLS] == ["1", "1", "2"],
                 what="the sysctls")
    assert not reaches(lab.inet, lab.gw, net.WAN, timeout=0.5)


def test_a_drop_of_the_admins_own_is_never_overruled(lab, gw):
    """prior-art 4.7, as portreeved(8) shows it: what a host may send out"""
    lab.gw.nft(f"""table inet mine {{
        chain forward {{
            type filter hook forward priority filter; policy accept;
            ct state established,related accept
            ip saddr {net.PC} tcp dport != {{ 80, 443, 6881-65535 }} drop
        }}
    }}
    """)
    try:
        assert reaches(lab.pc, lab.inet, net.REMOTE1, port=443)
        assert not reaches(lab.pc, lab.inet, net.REMOTE1, port=2222, timeout=0.5)
        assert reaches(lab.console, lab.inet, net.REMOTE1, port=2222)
    finally:
        lab.gw.nft("delete table inet mine\n")


def test_remove_ends_it_too(lab, gw):
    """prior-art 5.6: portreeved --remove: no table, the sysctls as before; router mode sets them
    again."""
    gw.stop()
    done = gw.run("--remove")
    assert done.returncode == 0, done.stderr
    assert [sysctl(lab.gw, k) for k in SYSCTLS] == ["0", "0", "1"]
    assert "portreeve" not in lab.gw.run("nft", "list", "tables").stdout
    gw.start()
    net.wait_for(lambda: sysctl(lab.gw, SYSCTLS[0]) == "1", what="ip_forward")
