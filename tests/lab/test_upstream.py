# SPDX-License-Identifier: GPL-2.0-or-later
"""Behind another router: check says which one, and what it answers when it is asked."""
import contextlib
import json
import socket
import struct
import threading

import pytest

import gateway
import natpmp
import net
from test_check import Check

INSIDE, NEXT, OUTSIDE = "10.9.0.2", "10.9.0.1", "12.34.56.78"


class NextGateway:
    """A NAT-PMP server at the internet's end of the WAN; counts what it is asked."""

    def __init__(self, lab, result=0, external=OUTSIDE):
        self.sock = lab.inet.udp(5351, timeout=0.1)
        self.reply = struct.pack("!BBHI4s", 0, 128, result, 1000, socket.inet_aton(external))
        self.asked = []
        self.over = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.over:
            with contextlib.suppress(TimeoutError):
                data, peer = self.sock.recvfrom(100)
                self.asked.append((data, peer[0]))
                self.sock.sendto(self.reply, peer)

    def stop(self):
        self.over = True
        self.thread.join()
        self.sock.close()


@pytest.fixture
def server(lab, request):
    """It answers before the WAN leads to it."""
    s = NextGateway(lab, *getattr(request, "param", ()))
    yield s
    s.stop()


@pytest.fixture
def behind(lab, gw):
    """The WAN has a private address, its default route leads to NEXT."""
    lab.inet.ip(f"addr add {NEXT}/24 dev eth0")
    lab.gw.ip(f"addr add {INSIDE}/24 dev wan0\naddr del {net.WAN}/24 dev wan0\n"
              f"route replace default via {NEXT}")
    yield
    lab.gw.ip(f"addr add {net.WAN}/24 dev wan0\naddr del {INSIDE}/24 dev wan0\n"
              f"route replace default via {net.REMOTE1}")
    lab.inet.ip(f"addr del {NEXT}/24 dev eth0")
    net.wait_for(lambda: not gw.processes("upstream"), what="the end of the upstream worker")
    natpmp.told(lab.console)


def double_nat(gw, words, timeout=net.PATIENCE):
    def text():
        found = json.loads(gw.cli("check", "--json").stdout)["findings"]
        said = [f["text"] for f in found if f["id"] == "double-nat"]
        return said[0] if said and words in said[0] else None
    return net.wait_for(text, timeout=timeout, what=f"'{words}' in what check says")


def test_nobody_asks_while_the_wan_address_is_public(gw):
    assert gw.processes("upstream") == []


def test_the_next_gateway_tells_its_address(gw, server, behind):
    said = double_nat(gw, OUTSIDE)
    assert INSIDE in said and NEXT in said and "answers NAT-PMP" in said
    assert (b"\0\0", INSIDE) in server.asked
    [process] = gw.processes("upstream")
    assert process["user"] == "portreeve-net"
    status = gateway.proc_status(process["pid"])
    assert int(status["CapEff"], 16) == 0 and status["Seccomp"] == "2"


@pytest.mark.parametrize("server", [(3, "0.0.0.0")], indirect=True, ids=["result 3"])
def test_a_gateway_without_an_address_of_its_own(gw, server, behind):
    """It speaks the protocol and has no address now"""
    double_nat(gw, "has no external address")


def test_a_gateway_that_refuses(gw, behind):
    """Nobody listens there: the error that comes back ends the wait"""
    double_nat(gw, "does not answer NAT-PMP")


def test_a_gateway_that_is_silent(lab, gw, behind):
    lab.inet.nft("table ip quiet {\n chain in {\n type filter hook input priority 0;\n"
                 " udp dport 5351 drop\n }\n}")
    try:
        double_nat(gw, "does not answer NAT-PMP")
    finally:
        lab.inet.nft("delete table ip quiet")


def test_its_answers_are_only_taken_from_it(lab, gw, behind):
    """Another host's datagram to the same port is no answer"""
    lab.inet.nft("table ip quiet {\n chain in {\n type filter hook input priority 0;\n"
                 " udp dport 5351 drop\n }\n}")
    try:
        net.wait_for(lambda: gw.processes("upstream"), what="the upstream worker")
        with lab.inet.udp(5351, net.REMOTE1) as s:
            for port in range(1024, 1100):
                s.sendto(struct.pack("!BBHI4s", 0, 128, 0, 1, b"\x08\x08\x08\x08"),
                         (INSIDE, port))
        assert "8.8.8.8" not in double_nat(gw, "does not answer NAT-PMP")
    finally:
        lab.inet.nft("delete table ip quiet")


def test_a_killed_worker_is_replaced(gw, server, behind):
    double_nat(gw, OUTSIDE)
    before = gw.process_id("upstream")
    gateway.kill(before)
    net.wait_for(lambda: [p for p in gw.processes("upstream") if p["pid"] != before],
                 what="another one")
    net.wait_for(lambda: len(server.asked) > 1, what="another question")
    double_nat(gw, OUTSIDE)


def test_check_when_nothing_is_behind(gw):
    check = Check(gw)
    check.until(lambda f: "double-nat" not in f)
