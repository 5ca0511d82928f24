# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports that open to who plays with others and asks nobody: from the packet that opens one to
the silence that ends it, beside PCP and UPnP. Idle is 2 s here."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

import pytest

import gateway
import net
import pcp
import upnp

SO_RCVBUFFORCE = 33  # asm-generic/socket.h
IDLE = 2.0
OPEN_NAT = """
open-nat {
	window = "1s"
	idle = "2s"
}
"""


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, gateway.CONFIG + OPEN_NAT) as g:
        yield g
    assert not gateway.problems(g.log(), worst=2), "portreeved logged worse than errors"


@pytest.fixture
def own_lab():
    """For daemons that are killed, or configured in another way."""
    with net.Net() as n:
        yield n


@pytest.fixture
def ports(port):
    """Ports that the kernel has seen nothing of: the lab's own ones are even."""
    return lambda: port() + 1


def plays(sock, *remotes, port=5000):
    """Sends to so many remotes, from one port."""
    for remote in remotes or (net.REMOTE1, net.REMOTE2):
        sock.sendto(b"play", (remote, port))


def opened(gw, port, protocol="udp"):
    return net.wait_for(lambda: gw.lease(protocol, port), what=f"{protocol}/{port} to open")


@contextlib.contextmanager
def going_on(sock):
    """It sends on, whatever else takes its time."""
    over = threading.Event()

    def send():
        while not over.wait(0.05):
            plays(sock, net.REMOTE1)
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def passes(lab, sock, port, timeout=0.3):
    """Does a stranger's datagram reach the socket? Nobody answers it: that would count."""
    token = os.urandom(8)
    with net.fresh_udp(lab.inet) as stranger:
        stranger.sendto(token, (net.WAN, port))
        return received(sock, token, timeout)


def received(sock, token, timeout=0.3):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        if net.answer_of(sock) == token:
            return True
    return False


def shut(gw, port, protocol="udp", timeout=IDLE + 1):
    net.wait_for(lambda: not gw.lease(protocol, port), timeout, f"{protocol}/{port} to end")


def test_the_second_remote_opens_the_port_to_everybody(lab, gw, ports):
    """T9: endpoint-independent filtering (RFC 4787 REQ-8); listed with its origin"""
    p = ports()
    with lab.console.udp(p) as s:
        plays(s, net.REMOTE1)
        assert not net.arrives(lab.inet, s, p, timeout=0.2)
        plays(s, net.REMOTE1, port=5001)  # another port of the same
        assert not net.arrives(lab.inet, s, p, timeout=0.2)
        plays(s, net.REMOTE2)
        lease = opened(gw, p)
        assert (lease["origin"], lease["claims"]) == ("open-nat", ["open-nat"])
        assert (lease["internal_address"], lease["internal_port"]) == (net.CONSOLE, p)
        assert net.arrives(lab.inet, s, p) and net.arrives(lab.inet, s, p, source=net.REMOTE2)
        assert net.source_seen(s, lab.inet)[1] == p


def test_names_that_are_looked_up_hold_up_no_game(lab, gw, ports):
    """T9, opennat 6: what opens nothing does not count for what is told of one host at once"""
    p = ports()
    with contextlib.ExitStack() as stack:
        # Not where hosts that have to move go: those ports are this host's for a while.
        sockets = [stack.enter_context(lab.console2.udp(31001 + i)) for i in range(600)]
        game = stack.enter_context(lab.console2.udp(p))
        for s in sockets:
            s.sendto(b"name", (net.REMOTE1, 53))
        plays(game)  # once
        opened(gw, p)


def test_a_test_of_the_network_is_opened_to_at_once(lab, gw, ports):
    """T9: the instant ports, of which the console's test asks one remote only"""
    for remote_port in (10025, 3478):
        p = ports()
        with lab.console.udp(p) as s:
            plays(s, net.REMOTE1, port=remote_port)
            opened(gw, p)
            assert net.arrives(lab.inet, s, p, source=net.REMOTE2)


def test_what_does_not_count_opens_nothing(lab, gw, ports):
    """Quiet remote ports, reserved ports of the host, fewer TCP remotes than four"""
    p, q = ports(), ports()
    with lab.console.udp(p) as s, lab.console.udp(5353) as mdns, lab.console.udp(q) as last:
        plays(s, port=53)
        plays(s, port=443)
        plays(mdns)
        plays(last)
        opened(gw, q)  # it came last and was seen
        assert [l["external_port"] for l in gw.list()] == [q]


def test_what_went_to_a_quiet_port_is_no_remote_of_a_port(lab, gw, ports):
    """The first one neither, of which the kernel tells nobody whatever it was"""
    p, q = ports(), ports()
    with lab.console.udp(p) as s, lab.console.udp(q) as last:
        plays(s, net.REMOTE1, port=53)
        plays(s, net.REMOTE2)
        plays(last)
        opened(gw, q)
        assert not gw.lease("udp", p)
        plays(s, net.REMOTE2, "12.0.0.9")
        opened(gw, p)


def test_a_remote_counts_for_as_long_as_the_window(lab, gw, ports):
    """Also the first of a port, and one that comes again is not two"""
    p, q = ports(), ports()
    with lab.console.udp(p) as s, lab.console.udp(q) as last:
        plays(s, net.REMOTE1)
        time.sleep(1.2)
        plays(s, net.REMOTE2)
        time.sleep(1.2)
        for _ in range(3):
            plays(s, net.REMOTE1)
            time.sleep(0.4)
        plays(last)
        opened(gw, q)
        assert not gw.lease("udp", p)
        plays(s)
        opened(gw, p)


# Prints the length of each packet that the log tells of.
READER = """
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
attr = (struct.pack("=HHBxxx", 5, 1, 1) + struct.pack("=HH", 10, 2) +
        struct.pack("!LBB", 64, 2, 0) + bytes(2) + struct.pack("=HH", 8, 5) + struct.pack("!L", 1))
body = struct.pack("!BBH", 0, 0, 5351) + attr
s.send(struct.pack("=LHHLL", 16 + len(body), 4 << 8 | 1, 5, 1, 0) + body)
print("bound", struct.unpack_from("=i", s.recv(4096), 16)[0], flush=True)
while True:
    print("told", len(s.recv(4096)), flush=True)
"""


@pytest.mark.parametrize("window", ["60s", "2m"])
def test_a_ports_only_remote_wakes_nobody(own_lab, window):
    """Most ports have one all their life. Where the kernel remembers pairs for less than the
    window it is told of all the same."""
    with gateway.Gateway(own_lab, gateway.CONFIG + f'open-nat {{ window = "{window}" }}\n') as g:
        g.kill()  # the rules stay
        reader = own_lab.gw.start("python3", "-c", READER)
        try:
            def told():
                return reader.output().count("told ")
            net.wait_for(lambda: "bound 0" in reader.output(), what="the group")
            silent = window == "60s"
            with own_lab.console.udp(40001) as s, own_lab.console.udp(40003) as test:
                plays(s, net.REMOTE1, net.REMOTE1)
                plays(s, net.REMOTE2)
                net.wait_for(lambda: told() == 2 - silent, what="what is told of")
                plays(test, net.REMOTE1, port=10025)  # a console's test of the network
                net.wait_for(lambda: told() == 3 - silent, what="the test to be told of")
        finally:
            reader.stop()


def test_tcp_opens_at_the_fourth_remote(lab, gw, ports):
    """BitTorrent's way: it listens and connects from one port"""
    p = ports()
    addrs = [f"12.0.0.{n}" for n in (10, 11, 12)]
    lab.inet.ip("\n".join(f"addr add {a}/32 dev eth0" for a in addrs))
    with contextlib.ExitStack() as stack:
        stack.callback(lab.inet.ip, "\n".join(f"addr del {a}/32 dev eth0" for a in addrs))
        listener = stack.enter_context(lab.console.socket(kind=1))
        listener.setsockopt(1, 2, 1), listener.setsockopt(1, 15, 1)  # SO_REUSEADDR, _REUSEPORT
        listener.bind(("0.0.0.0", p))
        listener.listen()
        server = stack.enter_context(lab.inet.listen(7000))
        for n, a in enumerate([net.REMOTE1, *addrs]):
            c = stack.enter_context(lab.console.socket(kind=1))
            c.setsockopt(1, 2, 1), c.setsockopt(1, 15, 1)
            c.bind(("0.0.0.0", p))
            assert n == 0 or not gw.lease("tcp", p)
            c.connect((a, 7000))
            stack.enter_context(server.accept()[0])
        opened(gw, p, "tcp")
        with lab.inet.connect(net.WAN, p) as c, listener.accept()[0] as a:
            assert a.getpeername() == c.getsockname()


def test_it_lasts_while_the_host_sends_and_ends_within_a_second(lab, gw, ports):
    """T10, T11; prior-art 2.5; opennat 3, row 6: remotes that go on do not hold it, the flow of
    one is cut, activity reopens"""
    p = ports()
    with lab.console.udp(p) as s, lab.inet.udp() as stranger:
        plays(s)
        opened(gw, p)
        began = time.monotonic()
        while time.monotonic() < began + IDLE + 1.5:
            plays(s, net.REMOTE1)
            time.sleep(0.1)
        last = time.monotonic()
        assert gw.lease("udp", p)
        while time.monotonic() < last + IDLE + 1:
            stranger.sendto(b"hello", (net.WAN, p))
            if time.monotonic() < last + IDLE - 0.2:
                assert passes(lab, s, p), "it ended too soon"
            time.sleep(0.02)
        assert not gw.lease("udp", p)
        assert not passes(lab, s, p)
        stranger.sendto(b"the flow goes on", (net.WAN, p))
        assert not received(s, b"the flow goes on")
        plays(s)
        opened(gw, p)
        assert net.arrives(lab.inet, s, p)


def test_answers_to_others_keep_it_too(lab, gw, ports):
    """A host that everybody comes to and that begins nothing itself"""
    p = ports()
    with lab.console.udp(p) as s, lab.inet.udp() as peer:
        plays(s)
        opened(gw, p)
        began = time.monotonic()
        while time.monotonic() < began + IDLE + 1.5:
            assert net.comes_through(peer, s, p), "it ended while the host answered"
            time.sleep(0.1)
        assert net.arrives(lab.inet, s, p)


def test_the_kernel_ends_it_if_all_are_killed(own_lab, ports):
    """kill -9 of everything leaves nothing open after the idle time; what still runs is adopted
    with its origin and ends in its time"""
    p, q = ports(), ports()
    with gateway.Gateway(own_lab, gateway.CONFIG + OPEN_NAT) as g, own_lab.console.udp(p) as s, \
            own_lab.console.udp(q) as t:
        plays(s)
        plays(t)
        opened(g, p), opened(g, q)
        with going_on(t):
            g.kill()
            time.sleep(IDLE / 2)
            g.start()
            assert g.lease("udp", q)["origin"] == "open-nat"
        g.kill()
        killed = time.monotonic()
        net.wait_for(lambda: not passes(own_lab, s, p, 0.05) and not passes(own_lab, t, q, 0.05),
                     IDLE + 2, "the end")
        assert time.monotonic() - killed < IDLE + 1.5
        g.start()
        assert g.list() == []


def test_made_up_sources_open_nothing(lab, gw, ports):
    """A source that is in no LAN, and one that no neighbour has"""
    p, q, r = ports(), ports(), ports()
    for source, port in (("10.99.0.9", p), ("192.168.77.99", q)):
        for remote in (net.REMOTE1, net.REMOTE2):
            lab.console.send_raw(source, port, remote, 5000, b"made up")
    with lab.console.udp(r) as s:
        plays(s)
        opened(gw, r)
    assert [l["external_port"] for l in gw.list()] == [r]


def test_guests_get_nothing_and_sixteen_is_enough(own_lab, ports):
    """prior-art 2.6: off on LANs that are not trusted; quota; one host may be let in or left out"""
    config = gateway.CONFIG.replace('lan "br-guest" {', 'lan "br-guest" {\n\topen-nat = false')
    with gateway.Gateway(own_lab, config + OPEN_NAT.replace("idle", "per-host = 3\n\tidle")) as g, \
            contextlib.ExitStack() as stack:
        mine = [ports() for _ in range(5)]
        for p in mine:
            plays(stack.enter_context(own_lab.console.udp(p)))
        guests = ports()
        plays(stack.enter_context(own_lab.guest.udp(guests)))
        other = ports()
        plays(stack.enter_context(own_lab.console2.udp(other)))
        opened(g, other)
        assert [l["external_port"] for l in g.list()] == mine[:3] + [other]


def test_its_own_request_adopts_the_port(lab, gw, ports):
    """opennat 7d: PCP by the host itself gets the port that its flows have; it ends when both
    have ended; listings show it only while it was asked for"""
    p = ports()
    igd = upnp.Igd(lab.pc)
    with lab.console.udp(p) as s, lab.console2.udp(p) as other, pcp.Client(lab.console2) as c:
        plays(other)
        plays(s)
        opened(gw, p)
        moved = net.source_seen(s, lab.inet)[1]
        assert moved != p and net.source_seen(other, lab.inet)[1] == p
        opened(gw, moved)
        assert igd.generic() == []
        assert c.get(pcp.UDP, p, p + 1, lifetime=2) == p
        assert sorted(gw.lease("udp", p)["claims"]) == ["open-nat", "pcp"]
        assert gw.lease("udp", p)["origin"] == "open-nat"
        assert [int(e["NewExternalPort"]) for e in igd.generic()] == [p]
        with pcp.Client(lab.console) as first:
            assert first.get(pcp.UDP, p) == moved
            assert net.arrives(lab.inet, s, moved)
        began = time.monotonic()
        while time.monotonic() < began + IDLE + 1:
            plays(other, net.REMOTE1)
            time.sleep(0.1)
        assert gw.lease("udp", p)["claims"] == ["open-nat"] and igd.generic() != []
        assert net.arrives(lab.inet, other, p)
        shut(gw, p)


def test_it_takes_nobodys_port_and_gives_none_away(lab, gw, ports):
    """opennat 7a and 7b: another host's request gets another port (UPnP: 718); a host whose
    port another has asked for is moved, and opened there"""
    p, q = ports(), ports()
    with lab.console.udp(p) as s, lab.console2.udp(p) as t, pcp.Client(lab.console2) as c:
        plays(s)
        opened(gw, p)
        given = c.get(pcp.UDP, p, p)
        assert given != p
        with pytest.raises(upnp.Fault) as fault:
            upnp.Igd(lab.console2).add("UDP", p)
        assert fault.value.code == 718
        assert net.arrives(lab.inet, s, p) and net.arrives(lab.inet, t, given)
        assert net.source_seen(t, lab.inet)[1] == given
        assert net.source_seen(s, lab.inet)[1] == p
    with lab.console.udp(q) as s, lab.console2.udp(q) as t, pcp.Client(lab.console2) as c:
        assert c.get(pcp.UDP, q, q) == q
        plays(s)
        moved = net.source_seen(s, lab.inet)[1]
        assert moved != q
        opened(gw, moved)
        assert net.arrives(lab.inet, s, moved) and net.arrives(lab.inet, t, q)
        assert net.source_seen(s, lab.inet, net.REMOTE2)[1] == moved


def test_an_explicit_lease_cuts_who_used_its_port(lab, gw, ports):
    """opennat 7c: UPnP names the port; another host has one flow there"""
    p = ports()
    with lab.console.udp(p) as s, lab.console2.udp(p) as t:
        assert net.source_seen(s, lab.inet)[1] == p
        with pcp.Client(lab.console2) as c:
            assert c.get(pcp.UDP, p, p) != p  # live, so in use
            assert c.delete(pcp.UDP, p).result == pcp.SUCCESS
        upnp.Igd(lab.console2).add("UDP", p)
        net.wait_for(lambda: net.source_seen(s, lab.inet)[1] != p, what="the other host to move")
        assert net.source_seen(t, lab.inet)[1] == p
        assert net.source_seen(t, lab.inet, net.REMOTE2)[1] == p
        assert net.arrives(lab.inet, t, p)


def test_who_takes_the_address_of_another_opens_nothing_for_it(lab, gw, ports):
    """T9: the 16 openings of a host that is there are its own, whoever sends in its name"""
    with lab.pc.udp(0) as s:
        net.source_seen(s, lab.inet)  # it is known
    taken = [ports() for _ in range(20)]
    for p in taken:
        for remote in (net.REMOTE1, net.REMOTE2):
            lab.console.send_raw(lab.pc.addr, p, remote, 5000, b"play")
    q = ports()
    with lab.pc.udp(q) as s:
        plays(s)
        opened(gw, q)
    assert not [p for p in taken if gw.lease("udp", p)]


def test_two_hosts_that_begin_at_once_never_get_one_port(own_lab):
    """opennat 3: their first packets from one source port are on two processors at once; each has
    a port of its own towards everybody"""
    program, at = f"{own_lab.dir}/at_once", os.path.dirname(os.path.abspath(__file__))
    net.sh(["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-pthread", "-o", program,
            f"{at}/at_once.c"], timeout=60)
    count = 400  # of 512 that a host may claim at once
    with gateway.Gateway(own_lab), own_lab.inet.udp(7000) as s:
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        net.sh([program, *(f"{net.NETNS}/{h.ns}" for h in (own_lab.console, own_lab.console2)),
                net.REMOTE1, net.REMOTE2, "7000", "20001", str(count)], timeout=60)
        seen = {}
        for _ in range(4 * count):
            data, peer = s.recvfrom(64)
            seen.setdefault(data, set()).add(peer[1])
    assert len(seen) == 2 * count
    assert [d for d, ports in seen.items() if len(ports) > 1] == []
    assert len(set.union(*seen.values())) == 2 * count


@pytest.mark.seconds(120)
def test_a_host_that_sends_from_every_port_changes_nothing_for_others(lab, gw, ports):
    """64,512 source ports; the other host keeps its own one towards everybody"""
    p = ports()
    with lab.console2.udp(p) as s:
        assert net.source_seen(s, lab.inet)[1] == p
        code = ("import socket\n"
                "for p in range(1024, 65536):\n"
                "  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
                "    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                "    try: s.bind(('', p))\n"
                "    except OSError: continue\n"
                f"    for a in ('{net.REMOTE1}', '{net.REMOTE2}'): s.sendto(b'', (a, 6001))\n")
        lab.console.run("python3", "-c", code, check=True, timeout=90)
        assert net.source_seen(s, lab.inet)[1] == p
        assert net.source_seen(s, lab.inet, net.REMOTE2)[1] == p
        net.wait_for(lambda: plays(s) or gw.lease("udp", p), 5, f"udp/{p} to open", 0.05)
        net.wait_for(lambda: plays(s) or net.arrives(lab.inet, s, p), 5, "a stranger's datagram")
        assert len(gw.leases_of(lab.console)) <= 16


def test_a_worker_that_dies_is_replaced_and_sees_what_it_missed(lab, gw, ports):
    """T9 after a restart: what was told to the dead one is told again"""
    p = ports()
    with lab.console.udp(p) as s:
        plays(s, net.REMOTE1)
        old = gw.process_id("trigger")
        gateway.kill(old, signal.SIGKILL)
        net.wait_for(lambda: [x for x in gw.processes("trigger") if x["pid"] != old],
                     what="another worker")

        def again():
            plays(s)
            return gw.lease("udp", p)
        net.wait_for(again, what=f"udp/{p} to open", pause=0.05)


def test_a_second_reader_of_the_packet_log_is_named(own_lab, ports):
    """The error says what is wrong, and the rest goes on"""
    holder = own_lab.gw.start("python3", "-c", HOLDER)
    try:
        net.wait_for(lambda: b"bound" in holder.output().encode(), what="the other reader")
        with gateway.Gateway(own_lab) as g:
            net.wait_for(lambda: "another process reads the packet log" in g.log(), what="the error")
            found = {f["id"]: f["severity"] for f in
                     json.loads(g.cli("check", "--json").stdout)["findings"]}
            assert found["packet-log"] == "warning"
            with pcp.Client(own_lab.console) as c:
                assert c.get(pcp.UDP, 4000) == 4000
            holder.stop()
            p = ports()
            with own_lab.console.udp(p) as s:
                def opens():
                    plays(s)
                    return g.lease("udp", p)
                net.wait_for(opens, 30, "the log to be read", 0.5)
    finally:
        holder.stop()


# Binds the group, as a second daemon would: NFULNL_CFG_CMD_BIND by hand.
HOLDER = """
import os, socket, struct, sys, time
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
attr = struct.pack("=HHBxxx", 5, 1, 1)
body = struct.pack("!BBH", 0, 0, 5351) + attr
s.send(struct.pack("=LHHLL", 16 + len(body), 4 << 8 | 1, 5, 1, 0) + body)
error = struct.unpack_from("=i", s.recv(4096), 16)[0]
print("bound" if not error else os.strerror(-error), flush=True)
time.sleep(60)
"""


def test_a_port_of_the_routers_own_is_not_left_from(lab, gw, ports):
    """opennat 8.6: WireGuard's 51820 and one below the range for moved flows; the host that has
    it as its source port is moved, the same towards everybody, and opened there"""
    p = ports()
    with lab.gw.udp(p), lab.gw.udp(51820):
        time.sleep(1.1)  # what is known of them is believed for a second
        gw.reload()
        for port in (p, 51820):
            with lab.console.udp(port) as s:
                moved = net.source_seen(s, lab.inet)[1]
                assert moved != port
                assert net.source_seen(s, lab.inet, net.REMOTE2)[1] == moved
                plays(s)
                opened(gw, moved)
                assert net.arrives(lab.inet, s, moved)


def test_other_rules_may_choose_the_ports(own_lab, ports):
    """own-masquerade = false: no claims and no masquerade of ours; check says what it costs; a
    lone host is opened all the same; who leaves from somebody's port loses nothing, as another
    choice would be the same"""
    config = "own-masquerade = false\n" + gateway.CONFIG + OPEN_NAT
    p = ports()
    with gateway.Gateway(own_lab, config) as g, own_lab.console.udp(p) as s:
        plays(s)
        opened(g, p)
        assert net.arrives(own_lab.inet, s, p)
        assert "masquerade" not in own_lab.gw.run("nft", "list", "chain", "inet", "portreeve",
                                                  "src", check=True).stdout
        found = {f["id"]: f["severity"] for f in
                 json.loads(g.cli("check", "--json").stdout)["findings"]}
        assert found["foreign-ports"] == "note"
        assert g.cli("add", "udp/51000", f"{net.CONSOLE2}:{p}").returncode == 0
        with own_lab.console.udp(51000) as t:
            assert net.source_seen(t, own_lab.inet)[1] == 51000


def test_another_configuration_holds_at_once(lab, gw, ports):
    """A reload: another number of remotes, a host that is left out (its port shuts, another's
    stays open), and back again"""
    p, q, r = ports(), ports(), ports()
    with lab.console.udp(p) as s, lab.console2.udp(q) as t, lab.console2.udp(r) as u:
        plays(s)
        plays(t)
        opened(gw, p), opened(gw, q)
        try:
            gw.reload(gateway.CONFIG + OPEN_NAT.replace("idle", "udp-remotes = 1\n\tidle")
                      + f'access "tv" {{ address = "{net.CONSOLE}"  open-nat = false }}\n')
            assert not gw.lease("udp", p) and gw.lease("udp", q)
            assert not passes(lab, s, p) and passes(lab, t, q)

            def first_opens():
                plays(u, net.REMOTE1)
                return gw.lease("udp", r)
            net.wait_for(first_opens, what=f"udp/{r} to open", pause=0.05)
            plays(s)
            plays(t)
            assert not gw.lease("udp", p)
        finally:
            gw.reload(gateway.CONFIG + OPEN_NAT)
        assert gw.lease("udp", r), "a reload ends what it allows"

        def opens_again():
            plays(s)
            return gw.lease("udp", p)
        net.wait_for(opens_again, what=f"udp/{p} to open again", pause=0.05)
