# SPDX-License-Identifier: GPL-2.0-or-later
"""Static forwards: prior-art.md 2 (last rows but one), 3 and 5; design 4, 5 and 7. Judged by the
packets that arrive and by what clients are told."""

import pytest

import clients
import gateway
import net

FORWARDS = """
forward "web" { port = "tcp/8080"  to = "192.168.77.20:80" }
forward "game" { port = { "udp/20000-29999", "3074" }  to = "192.168.77.20" }
forward "some" { port = "udp/5000"  to = "192.168.77.30"  from = { "11.0.0.0/24", "11.0.9.9" } }
forward "back" { port = "tcp/8081"  to = "192.168.77.30:80"  return-via-router = true }
forward "vpn" { port = { "tcp/9000", "udp/9000-9002" }  to = "10.8.0.2"  return-via-router = true }
"""
CONFIG = gateway.CONFIG + FORWARDS
VPN_HOST = "10.8.0.2"


@pytest.fixture(scope="module")
def gw(lab):
    """A daemon with forwards; 10.8.0.2 stands behind an interface that is no LAN and has no
    route but to its own network."""
    lab.gw.ip(f"link add tap0 type veth peer name eth1 netns {lab.guest.ns}\n"
              "link set tap0 up\naddress add 10.8.0.1/24 dev tap0\n")
    lab.guest.ip(f"link set eth1 up\naddress add {VPN_HOST}/24 dev eth1\n")
    with gateway.Gateway(lab, CONFIG) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def tcp_through(lab, server, inside_port, port, address=net.WAN, bind="0.0.0.0"):
    """Connects from the internet; who the inside host saw, or None."""
    with server.listen(inside_port, bind) as s:
        try:
            c = lab.inet.connect(address, port, timeout=1)
        except OSError:
            return None
        with c:
            there, peer = s.accept()
            with there:
                there.sendall(b"hello")
                assert c.recv(16) == b"hello"
                return peer[0]


def test_another_inside_port(lab, gw):
    """prior-art.md 3, 5: DNAT for a service, on another port inside; the source stays."""
    assert tcp_through(lab, lab.console, 80, 8080) == net.REMOTE1


def test_every_port_of_a_range_keeps_its_number(lab, gw):
    """prior-art.md 3, ranges; a range of 10,000 ports is one element of the kernel's map."""
    for port in (20000, 23456, 29999):
        with lab.console.udp(port) as s:
            assert net.arrives(lab.inet, s, port), port
    for port in (19999, 30000):
        with lab.console.udp(port) as s:
            assert not net.arrives(lab.inet, s, port, timeout=0.3), port
    listed = lab.gw.run("nft", "list", "map", "inet", "portreeve", "forward_ranges").stdout
    assert listed.count("20000") == 1, listed


def test_both_protocols(lab, gw):
    """prior-art 2.8: static forwards for tcp and udp."""
    with lab.console.udp(3074) as s:
        assert net.arrives(lab.inet, s, 3074)
    assert tcp_through(lab, lab.console, 3074, 3074) == net.REMOTE1


def test_only_the_networks_named_come_in(lab, gw):
    """Several WAN-side source prefixes: 11.0.0.2 is in one, 12.0.0.2 in none."""
    with lab.pc.udp(5000) as s:
        assert net.arrives(lab.inet, s, 5000, source=net.REMOTE1)
        assert not net.arrives(lab.inet, s, 5000, timeout=0.3, source=net.REMOTE2)


def test_return_via_router(lab, gw):
    """prior-art.md 3: the inside host sees the router, so that replies come back through it
    although its default route is elsewhere."""
    assert tcp_through(lab, lab.pc, 80, 8081) == net.LAN
    lab.pc.ip("route del default\n")
    try:
        assert tcp_through(lab, lab.pc, 80, 8081) == net.LAN
    finally:
        lab.pc.ip(f"route add default via {net.LAN}\n")


def test_a_target_behind_a_vpn(lab, gw):
    """prior-art.md 3: anywhere the router has a route."""
    assert tcp_through(lab, lab.guest, 9000, 9000, bind=VPN_HOST) == "10.8.0.1"
    with lab.guest.udp(9001, VPN_HOST) as s, net.fresh_udp(lab.inet) as c:
        c.sendto(b"ping", (net.WAN, 9001))
        data, peer = s.recvfrom(64)
        assert (data, peer[0]) == (b"ping", "10.8.0.1")
        s.sendto(b"pong", peer)
        assert c.recvfrom(64) == (b"pong", (net.WAN, 9001))


def test_the_host_leaves_from_its_forwarded_port(lab, gw):
    """Both directions, as of a lease: udp/3074 as it is, tcp/80 as 8080; another host's flow from
    a forwarded port is moved, not rejected (prior-art 2.7, port stealing)."""
    with lab.console.udp(3074) as s:
        for remote in (net.REMOTE1, net.REMOTE2):
            assert net.source_seen(s, lab.inet, remote) == (net.WAN, 3074)
    with lab.console2.udp(3074) as s:
        there = net.source_seen(s, lab.inet)
        assert there[0] == net.WAN and there[1] != 3074
    with lab.inet.listen(0, net.REMOTE1) as server:
        with lab.console.connect(*server.getsockname(), sport=80):
            s, peer = server.accept()
            s.close()
            assert peer == (net.WAN, 8080)


def test_hairpin(lab, gw):
    """A LAN host and the router itself reach a forward by the external address."""
    for host in (lab.pc, lab.gw):
        with lab.console.listen(80) as s, host.connect(net.WAN, 8080) as c:
            there, _ = s.accept()
            with there:
                there.sendall(b"x")
                assert c.recv(4) == b"x"


def test_the_admin_sees_them(lab, gw):
    """Listed with origin static, without an end, a range once."""
    listed = {(l["protocol"], l["external_port"]): l for l in gw.list() if l["origin"] == "static"}
    game = listed["udp", 20000]
    assert (game["external_port_last"], game["remaining_s"]) == (29999, None)
    assert (game["claims"], game["internal_address"]) == (["static"], net.CONSOLE)
    assert listed["tcp", 8080]["internal_port"] == 80
    assert "external_port_last" not in listed["tcp", 8080]
    remotes = sorted(l["remote"] for l in gw.list() if l["external_port"] == 5000)
    assert remotes == ["11.0.0.0/24", "11.0.9.9"]
    assert "udp/20000-29999" in gw.cli("list").stdout
    done = gw.cli("delete", "tcp/8080")
    assert done.returncode == 70 and "static" in done.stderr, done.stderr
    assert gw.lease("tcp", 8080)


def test_upnp_clients_see_them_and_cannot_touch_them(lab, gw):
    """IGD listings show them; 718 for who wants the port, and it is not deleted."""
    listed = clients.upnpc(lab.console, "-l").stdout
    assert "8080->192.168.77.20:80" in listed, listed
    assert "20000->192.168.77.20:20000" in listed and "game 20000-29999" in listed, listed
    for port in ("8080", "3074"):
        done = clients.upnpc(lab.pc, "-a", net.PC, port, port, "TCP", check=False).stdout
        assert "718" in done, done
        done = clients.upnpc(lab.console, "-d", port, "TCP", check=False)
        assert "failed" in (done.stdout + done.stderr).lower(), done.stdout
    assert tcp_through(lab, lab.console, 80, 8080) == net.REMOTE1


def test_natpmp_and_pcp_are_told_of_the_forward(lab, gw):
    """RFC 6887 11.3: who asks for an inside port that has a forward gets that; others get
    another port."""
    out = clients.natpmpc(lab.console, "-a", "3074", "3074", "udp", "600").stdout
    assert clients.natpmpc_port(out) == 3074
    out = clients.natpmpc(lab.console2, "-a", "3074", "3074", "udp", "600").stdout
    assert clients.natpmpc_port(out) != 3074
    clients.natpmpc(lab.console, "-a", "3074", "3074", "udp", "0", check=False)
    with lab.console.udp(3074) as s:
        assert net.arrives(lab.inet, s, 3074)


def test_a_client_gets_no_port_of_a_range(lab, gw):
    """Neither the one it wants nor one that the server chooses."""
    for wanted in (20000, 25000, 29998):
        out = clients.natpmpc(lab.pc, "-a", str(wanted), "7777", "udp", "600").stdout
        assert not 20000 <= clients.natpmpc_port(out) <= 29999


def test_a_restart_finds_them_once(lab, gw):
    """Neither doubled nor lost, whether it was stopped or killed."""
    before = gw.list()
    for end in (gw.stop, gw.kill):
        with lab.console.udp(3074) as s:
            end()
            assert net.arrives(lab.inet, s, 3074), "a forward needs no daemon"
            gw.start()
            assert net.arrives(lab.inet, s, 3074)
        assert len(gw.list()) == len(before)


def test_they_are_put_back_when_somebody_flushes(lab, gw):
    lab.gw.nft("flush ruleset")
    lab.gw.nft(net.MASQUERADE)
    with lab.console.udp(3074) as s:
        net.wait_for(lambda: net.arrives(lab.inet, s, 3074, timeout=0.1), what="the forward")


def test_nft_takes_back_what_it_lists(lab, gw):
    """An admin who keeps his ruleset in a file finds ours in it."""
    listed = lab.gw.run("nft", "list", "table", "inet", "portreeve").stdout
    done = lab.gw.run("nft", "-c", "-f", "-", input=listed)
    assert done.returncode == 0, done.stderr


def test_a_reload_changes_them(lab, gw):
    """One goes, one leads elsewhere, one comes; a lease gives way to it, others stay."""
    clients.natpmpc(lab.pc, "-a", "6000", "6500", "udp", "600")
    clients.natpmpc(lab.pc, "-a", "6600", "6600", "udp", "600")
    taken = next(l for l in gw.leases_of(lab.pc) if l["internal_port"] == 6500)["external_port"]
    try:
        ended = gw.reload(CONFIG.replace('forward "web" { port = "tcp/8080"',
                                         'forward "web" { port = "tcp/8090"')
                          .replace('"11.0.0.0/24", "11.0.9.9"', '"12.0.0.0/24"')
                          + f'forward "new" {{ port = "udp/{taken}" to = "192.168.77.21" }}\n')
        assert ended == 1
        assert f"udp/{taken}" in gw.log() and "reason=policy" in gw.log()
        assert gw.lease("udp", taken)["origin"] == "static"
        assert gw.lease("udp", 6600)["claims"] == ["nat-pmp"]
        assert tcp_through(lab, lab.console, 80, 8080) is None
        assert tcp_through(lab, lab.console, 80, 8090) == net.REMOTE1
        with lab.pc.udp(5000) as s:
            assert net.arrives(lab.inet, s, 5000, source=net.REMOTE2)
            assert not net.arrives(lab.inet, s, 5000, timeout=0.3, source=net.REMOTE1)
        with lab.console2.udp(taken) as s:
            assert net.arrives(lab.inet, s, taken)
    finally:
        gw.reload(CONFIG)
    assert tcp_through(lab, lab.console, 80, 8080) == net.REMOTE1
