# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said unasked: announcements, mapping updates, and the epoch that goes with them."""
import contextlib
import os
import struct
import time

import pytest

import gateway
import natpmp
import net
import pcp
from pcp import UDP

ALL_HOSTS, ALL_NODES = "224.0.0.1", "ff02::1"
CLIENTS = 5350  # the port that clients listen on
MOVED = "11.0.0.9"
SERIES = [0.25, 0.5, 1, 2, 4]  # the first gaps


@pytest.fixture
def own():
    with net.Net(ipv6=True) as n:
        yield n


@pytest.fixture
def daemon(own):
    g = gateway.Gateway(own)
    yield g
    if g.process:
        g.stop()
        assert not gateway.problems(g.log()), "portreeved logged errors"


class Heard:
    """What one host hears on the clients' port, sorted by kind."""

    def __init__(self, cap, since=0.0):
        found = [p for p in cap.udp(CLIENTS) if p.time >= since and p.sport == natpmp.PORT
                 and not p.outgoing]
        self.natpmp = [p for p in found if p.dst == ALL_HOSTS and p.payload[:1] == b"\0"]
        self.pcp = [p for p in found if p.dst == ALL_HOSTS and p.payload[:1] == b"\2"]
        self.pcp6 = [p for p in found if p.dst == ALL_NODES]
        self.other = [p for p in found if p.dst not in (ALL_HOSTS, ALL_NODES)]


def epoch_of(packet):
    return struct.unpack_from("!I", packet.payload, 4 if packet.payload[0] == 0 else 8)[0]


def is_a_series(packets, count, what):
    """Gaps from 250 ms on, each doubled, and an epoch that is that of its moment."""
    assert len(packets) >= count, f"{what}: {len(packets)} of {count} within the time"
    for i, (a, b) in enumerate(zip(packets[:count], packets[1:count])):
        gap = b.time - a.time
        assert SERIES[i] - 0.002 <= gap <= SERIES[i] + 0.25, f"{what}: gap {i} is {gap:.3f} s"
    first = packets[0]
    for p in packets[:count]:
        drift = epoch_of(p) - epoch_of(first) - (p.time - first.time)
        assert -1.01 <= drift <= 1.01, f"{what}: the epoch is not that of its moment"


def is_announced(heard, count, wan):
    """P18 and C23 in full; count is how many of each."""
    is_a_series(heard.natpmp, count, "NAT-PMP")
    is_a_series(heard.pcp, count, "PCP")
    for p in heard.natpmp:
        assert p.src == net.LAN and len(p.payload) == 12
        assert p.payload[:4] == b"\0\x80\0\0"
        assert p.payload[8:] == net.socket.inet_aton(wan)
    for p in heard.pcp:
        assert p.src == net.LAN
        assert p.payload == b"\2\x80\0\0" + bytes(4) + p.payload[8:12] + bytes(12)
    for src in {p.src for p in heard.pcp6}:
        is_a_series([p for p in heard.pcp6 if p.src == src], count, f"PCP from {src}")
    for p in heard.pcp6:
        assert p.payload == b"\2\x80\0\0" + bytes(4) + p.payload[8:12] + bytes(12)
    # Hosts know their router by its link-local address, clients may by another one.
    assert any(p.src.startswith("fe80:") for p in heard.pcp6)
    assert any(p.src == net.LAN6 for p in heard.pcp6)


def hear(count, *caps, since=0.0):
    """Waits until all of these have heard so many of each series."""
    def whole():
        for h in (Heard(cap, since) for cap in caps):
            series = [h.natpmp, h.pcp] + [[p for p in h.pcp6 if p.src == src]
                                          for src in {p.src for p in h.pcp6}]
            if min(map(len, series)) < count:
                return False
        return True
    net.wait_for(whole, what=f"{count} announcements of each kind")


def test_announcements_at_the_start_and_at_a_new_address(own, daemon):
    """P18, C23, C24, P17: a series each, and a new address begins a new epoch"""
    with own.console.capture() as cap, own.guest.capture() as guests, \
            own.inet.capture() as outside:
        daemon.start()
        hear(5, cap, guests)
        is_announced(Heard(cap), 5, net.WAN)
        assert {p.src for p in Heard(guests).pcp} == {net.GUEST_LAN}
        moved = time.monotonic()
        own.wan_moves(net.WAN, MOVED)

        def news():
            return [p for p in Heard(cap, moved).natpmp
                    if p.payload[8:] == net.socket.inet_aton(MOVED)]
        news = net.wait_for(news, what="the new address")
        assert news[0].time - moved < 1
        hear(6, cap, since=news[0].time - 0.01)
        heard = Heard(cap, news[0].time - 0.01)
        is_announced(heard, 6, MOVED)
        for packets in (heard.natpmp, heard.pcp, heard.pcp6):
            assert epoch_of(packets[0]) <= 1
        # A client that heard nothing of it finds out by its next question.
        with natpmp.Client(own.console) as c:
            reply = c.address()
        assert reply.address == MOVED
        assert reply.epoch <= time.monotonic() - moved + 1
        wan = [p for p in outside.read() if natpmp.PORT in (p.sport, p.dport)]
        assert not wan, f"towards the WAN: {wan}"


@pytest.mark.parametrize("gap", [0, 1], ids=["at-once", "after-a-gap"])
def test_another_address_of_the_wan_begins_a_new_epoch(own, daemon, port, gap):
    """C24, C25, P17: whether there was none in between or not; a client sees it, and the
    lease is still there"""
    daemon.start()
    p = port()
    with natpmp.Client(own.pc) as c, pcp.Client(own.console) as owner:
        owner.get(UDP, p)
        time.sleep(4)
        old, at = c.address().epoch, time.monotonic()
        if gap:
            own.gw.ip(f"address del {net.WAN}/24 dev wan0\n")
            time.sleep(gap)
            own.wan_up(MOVED)
        else:
            own.gw.ip(f"address add {MOVED}/25 dev wan0\naddress del {net.WAN}/24 dev wan0\n"
                      f"route replace default via {net.REMOTE1} dev wan0\n")
        net.wait_for(lambda: c.address().address == MOVED, what="the new address", pause=0.02)
        new, elapsed = c.address().epoch, time.monotonic() - at
        assert new <= 1
        assert pcp.state_lost(old, new, elapsed) and natpmp.lost_mappings(old, new, elapsed)
    assert daemon.lease("udp", p)


def test_the_same_address_again_is_no_new_epoch(own, daemon, port):
    """C24, C25, P18: nothing was lost and nothing moved; NAT-PMP says that there is one"""
    daemon.start()
    with natpmp.Client(own.console) as c, own.console.capture() as cap:
        c.get(natpmp.UDP, port())
        time.sleep(3)
        old, at = c.address().epoch, time.monotonic()
        own.gw.ip(f"address del {net.WAN}/24 dev wan0\n")
        net.wait_for(lambda: c.address().result == 3, what="no address", pause=0.02)
        back = time.monotonic()
        own.wan_up()
        net.wait_for(lambda: c.address().result == 0, what="the address", pause=0.02)
        new, elapsed = c.address().epoch, time.monotonic() - at
        assert not pcp.state_lost(old, new, elapsed)
        assert not natpmp.lost_mappings(old, new, elapsed)
        net.wait_for(lambda: Heard(cap, back).natpmp, what="NAT-PMP's announcement", pause=0.02)


def test_any_client_that_listens_hears_it(own, daemon):
    """P18, C23: a socket on port 5350, as libplum and mDNSResponder have"""
    with own.pc.udp(CLIENTS) as s:
        daemon.start()
        first, peer = s.recvfrom(64)
        second, _ = s.recvfrom(64)
        assert {len(first), len(second)} == {12, 24}
        assert peer == (net.LAN, natpmp.PORT)


def test_nothing_is_announced_to_clients_without_a_protocol(own):
    """P28, P18, C23: NAT-PMP alone, PCP alone"""
    for switched, here, gone in (('pcp = false nat-pmp = true', "natpmp", "pcp"),
                                 ('pcp = true nat-pmp = false', "pcp", "natpmp")):
        config = gateway.CONFIG.replace('"br-lan" {}', f'"br-lan" {{ {switched} }}')
        with own.console.capture() as cap, gateway.Gateway(own, config):
            net.wait_for(lambda: len(vars(Heard(cap))[here]) > 1, what="announcements")
            heard = vars(Heard(cap))
            assert not heard[gone], switched
            if gone == "pcp":
                assert not heard["pcp6"]
        own.gw.nft("delete table inet portreeve\n")


def test_without_a_wan_address_there_is_nothing_to_announce(own, daemon):
    """P18: once there is one, it is"""
    own.gw.ip(f"address del {net.WAN}/24 dev wan0\n")
    with own.console.capture() as cap:
        daemon.start()
        time.sleep(0.5)
        assert not Heard(cap).natpmp
        own.wan_up()
        net.wait_for(lambda: Heard(cap).natpmp, what="NAT-PMP's announcement", pause=0.05)
        assert Heard(cap).natpmp[0].payload[8:] == net.socket.inet_aton(net.WAN)


# Mapping updates


@pytest.fixture
def running(own, daemon):
    daemon.start()
    return daemon


def updates(sock, seconds, least=0):
    """All that comes unasked in so many seconds, or longer until there are `least`, each with its
    time."""
    found, began = [], time.monotonic()
    while True:
        left = began + (seconds if len(found) >= least else net.PATIENCE) - time.monotonic()
        if left <= 0:
            sock.settimeout(5)
            return found
        sock.settimeout(left)
        with contextlib.suppress(net.socket.timeout):
            found.append(net.stamped(sock))


def test_a_lease_that_moved_is_told_to_its_client(own, running, port):
    """C24: three times, to where its last reply went, with its nonce and its filters"""
    p, x, q = port(), port(), port()
    options = pcp.description("not told") + pcp.filter_of(net.REMOTE1, 77)
    with pcp.Client(own.console) as c, pcp.Client(own.pc) as d:
        assert c.map(UDP, p, x, 600, options=options).external == x
        assert d.map(UDP, q, q, 3000).external == q
        net.stamp(c.sock), net.stamp(d.sock)
        own.wan_moves(net.WAN, MOVED)
        began = time.monotonic()
        found = updates(c.sock, 1.5, 3)
        assert len(found) == 3
        for _, data in found:
            reply = pcp.parse_map(data)
            assert (reply.result, reply.nonce, reply.protocol) == (pcp.SUCCESS, c.nonce, UDP)
            assert (reply.internal, reply.external, reply.address) == (p, x, MOVED)
            assert 590 <= reply.lifetime <= 600 and reply.epoch <= 2
            assert data[60:] == pcp.filter_of(net.REMOTE1, 77)
        assert found[0][0] - began < 1
        assert 0.245 <= found[1][0] - found[0][0] <= 0.6
        assert 0.495 <= found[2][0] - found[1][0] <= 0.9
        assert len(updates(d.sock, 0.1, 3)) == 3
        # And it is true.
        with own.pc.udp(q) as s:
            assert net.arrives(own.inet, s, q, addr=MOVED)
        assert c.map(UDP, p, x, 600).address == MOVED


def test_a_client_that_renewed_is_told_no_more(own, running, port):
    """C24"""
    p = port()
    with pcp.Client(own.console) as c:
        assert c.get(UDP, p) == p
        own.wan_moves(net.WAN, MOVED)
        assert net.answer_of(c.sock)
        assert pcp.parse_map(c.ask(c.request(UDP, p, p, 900))).address == MOVED
        assert updates(c.sock, 1.5) == []


@pytest.mark.parametrize("by", ["client", "admin"])
def test_a_lease_that_ended_is_not_told_of(own, running, port, by):
    """C24: deleted by its client, or by the admin"""
    p = port()
    with pcp.Client(own.console) as c:
        c.get(UDP, p)
        if by == "client":
            c.delete(UDP, p)
        else:
            assert running.cli("delete", f"udp/{p}").returncode == 0
        own.wan_moves(net.WAN, MOVED)
        assert updates(c.sock, 1.2) == []


def test_a_client_that_wanted_that_address_or_none(own, running, port):
    """C24: made with PREFER_FAILURE for the address that is gone: 11"""
    p = port()
    with pcp.Client(own.console) as c:
        assert c.map(UDP, p, p, 600, address=net.WAN,
                     options=pcp.prefer_failure()).result == pcp.SUCCESS
        own.wan_moves(net.WAN, MOVED)
        reply = pcp.parse_map(net.answer_of(c.sock))
        assert reply.result == pcp.CANNOT_PROVIDE_EXTERNAL
        assert (reply.nonce, reply.internal) == (c.nonce, p)


# The epoch


def test_what_a_client_concludes_from_the_epoch(own, running, port):
    """C25, P17, X6: nothing is lost while the daemon runs, nor by its end and a new start
    that finds its leases; all is lost when its table was removed"""
    with pcp.Client(own.console) as c:
        c.get(UDP, port(), lifetime=7200)

        def sample():
            return c.address().epoch, time.monotonic()

        def judged(old, new):
            elapsed = new[1] - old[1]
            answers = {pcp.state_lost(old[0], new[0], elapsed),
                       natpmp.lost_mappings(old[0], new[0], elapsed)}
            assert len(answers) == 1, f"the two protocols disagree: {old}, {new}"
            return answers.pop()

        first = sample()
        time.sleep(4)
        second = sample()
        assert not judged(first, second)
        running.stop()
        time.sleep(2)
        running.start()
        third = sample()
        assert not judged(second, third) and not judged(first, third)
        assert running.list()
        running.kill()
        time.sleep(1)
        running.start()
        fourth = sample()
        assert not judged(first, fourth) and not judged(third, fourth)
        running.stop()
        done = running.run("--remove")
        assert done.returncode == 0, done.stderr
        running.start()
        fifth = sample()
        assert judged(fourth, fifth) and fifth[0] <= 3
        assert running.list() == []
        # Errors carry it, too.
        reply = c.ask(c.request(255, 4000))
        assert 0 <= struct.unpack_from("!I", reply, 8)[0] - fifth[0] <= 2


@pytest.mark.parametrize("late", [False, True], ids=["at-the-start", "later"])
@pytest.mark.parametrize("wan", [MOVED, net.WAN], ids=["another", "the-same"])
def test_the_address_after_a_restart_is_held_against_the_one_before(own, running, port, wan,
                                                                    late):
    """C24, C25, P17, P18: an address that came while the daemon was down begins a new epoch,
    once; the one that there was begins none. The leases stay in either case"""
    p = port()
    with natpmp.Client(own.pc) as c, pcp.Client(own.console) as owner:
        owner.get(UDP, p)
        time.sleep(4)
        old, at = c.address().epoch, time.monotonic()
        running.stop()
        own.gw.ip(f"address del {net.WAN}/24 dev wan0\n")
        if not late:
            own.wan_up(wan)
        with own.console.capture() as cap:
            running.start()
            if late:
                assert c.address().result == 3
                own.wan_up(wan)
            net.wait_for(lambda: c.address().address == wan, what="the address", pause=0.02)
            came = time.monotonic()
            new, elapsed = c.address().epoch, time.monotonic() - at
            lost = {pcp.state_lost(old, new, elapsed),
                    natpmp.lost_mappings(old, new, elapsed)}
            assert lost == {wan == MOVED}
            assert wan == net.WAN or new <= 1
            said = net.wait_for(lambda: Heard(cap).natpmp, what="NAT-PMP's announcement", pause=0.02)
            assert said[0].payload[8:] == net.socket.inet_aton(wan)
            assert abs(epoch_of(said[0]) - new) <= 1
        assert running.lease("udp", p)
        running.stop()
        running.start()
        again, elapsed = c.address().epoch, time.monotonic() - came
        assert not pcp.state_lost(new, again, elapsed)
        assert not natpmp.lost_mappings(new, again, elapsed)


@pytest.mark.parametrize("lost", ["nothing", "the-last-moment", "all"])
def test_a_new_epoch_when_leases_may_be_lost(own, running, port, lost):
    """P17, P27, C23, C25: the table was deleted while the daemon was away. The store has every
    lease after an orderly end, may lack the last ones after another, or is gone itself"""
    p = port()
    with pcp.Client(own.console) as c:
        c.get(UDP, p)
        time.sleep(3.5)  # so that a client can tell, and the store has it
        old, at = c.address().epoch, time.monotonic()
        running.kill() if lost == "the-last-moment" else running.stop()
        own.gw.nft("delete table inet portreeve\n")
        if lost == "all":
            for name in os.listdir(running.state):
                os.unlink(f"{running.state}/{name}")
        with own.console.capture() as cap:
            running.start()
            new, elapsed = c.address().epoch, time.monotonic() - at
            assert pcp.state_lost(old, new, elapsed) == (lost != "nothing")
            assert natpmp.lost_mappings(old, new, elapsed) == (lost != "nothing")
            net.wait_for(lambda: Heard(cap).natpmp and Heard(cap).pcp, what="announcements")
            assert abs(epoch_of(Heard(cap).natpmp[0]) - new) <= 1
        assert bool(running.lease("udp", p)) == (lost != "all")


def test_one_counter_for_all(own, running, port):
    """C25: both protocols, both LANs, both families"""
    time.sleep(1)
    with natpmp.Client(own.console) as a, natpmp.Client(own.guest) as b, \
            pcp.Client(own.console, source=net.CONSOLE6) as c:
        epochs = [a.address().epoch, b.address().epoch, c.map(UDP, port(), 0, 60).epoch]
    assert max(epochs) - min(epochs) <= 1
