# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's guard before the workers: how much one host may send them, and where they may send
to. Judged by what passes the kernel and by what a program of the workers' user can reach."""
import json
import socket
import struct
import sys
import time

import pytest

import gateway
import natpmp
import net
import upnp

DEFAULTS = 'wan "wan0" {}\nlan "br-lan" {}\nlan "br-guest" {}\n'
SSDP_BURST, SYN_BURST, SYN_RATE = 40, 400, 200


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, DEFAULTS) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def eavesdrop(lab):
    """A socket beside the worker's in SSDP's group: it hears what the kernel lets through."""
    s = lab.gw.socket(timeout=0.3)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((upnp.GROUP, 1900))
    with lab.gw.inside():
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                     struct.pack("4s4si", socket.inet_aton(upnp.GROUP), b"\0" * 4,
                                 socket.if_nametoindex("br-lan")))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return s


def test_searches_of_one_host_pass_40_at_once_then_20_a_second(lab, gw):
    with eavesdrop(lab) as ear, lab.console.udp() as s, lab.pc.udp() as other:
        for sock, host in ((s, lab.console), (other, lab.pc)):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                            socket.inet_aton(host.addr))
        began = time.monotonic()
        for _ in range(300):
            s.sendto(b"from the console", (upnp.GROUP, 1900))
        took = time.monotonic() - began
        for _ in range(30):
            other.sendto(b"from the PC", (upnp.GROUP, 1900))
        heard = {}
        while (data := net.answer_of(ear)):
            heard[data] = heard.get(data, 0) + 1
        assert heard.get(b"from the PC") == 30
        assert SSDP_BURST <= heard[b"from the console"] <= SSDP_BURST + 20 * took + 2


def dial(host, n):
    """So many connections at once, as fast as can be."""
    socks = []
    for _ in range(n):
        s = host.socket(kind=socket.SOCK_STREAM)
        s.setblocking(False)
        s.connect_ex((net.LAN, 49152))
        socks.append(s)
    time.sleep(0.5)  # less than the second after which a SYN that was dropped is sent again
    for s in socks:
        s.close()


def passed_syns(cap):
    """How many connections the gateway has taken, by its answers to them."""
    return len({p.dport for p in cap.tcp(49152) if not p.outgoing and p.sport == 49152})


def test_connections_of_one_host_pass_400_at_once_then_200_a_second(lab, gw):
    """Its rate is that of its requests, the burst twice that; nobody else pays"""
    with lab.pc.capture() as cap:
        began = time.monotonic()
        dial(lab.pc, 800)
        took = time.monotonic() - began
        passed = passed_syns(cap)
    answer = upnp.get(lab.console, f"http://{net.LAN}:49152/rootDesc.xml")
    assert answer.status == 200
    assert SYN_BURST <= passed <= SYN_BURST + SYN_RATE * took + 2, (passed, took)


def test_from_10000_requests_a_second_on_connections_are_free(lab):
    with net.Net() as own, gateway.Gateway(
            own, DEFAULTS + "limits { requests-per-second = 10000 }\n"):
        with own.pc.capture() as cap:
            dial(own.pc, 800)
            assert passed_syns(cap) == 800


# Where the workers' user can send to

PROBE = """
import json, socket, sys
got = {}
for kind, addr, port in json.loads(sys.argv[1]):
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(0.5)
    try:
        if kind == "tcp":
            s.connect((addr, port))
        else:
            s.sendto(b"x", (addr, port))
        got[f"{kind} {addr} {port}"] = "sent"
    except ConnectionRefusedError:
        got[f"{kind} {addr} {port}"] = "sent"
    except PermissionError:
        got[f"{kind} {addr} {port}"] = "refused"
    except socket.timeout:
        got[f"{kind} {addr} {port}"] = "refused"
    except OSError as e:
        got[f"{kind} {addr} {port}"] = f"{e}"
print(json.dumps(got))
"""


def reach(lab, user, targets):
    done = lab.gw.run("setpriv", "--reuid", user, "--regid", user, "--clear-groups",
                      sys.executable, "-c", PROBE, json.dumps(targets), check=True, timeout=30)
    return list(json.loads(done.stdout).values())


@pytest.fixture(scope="module")
def lab6():
    with net.Net(ipv6=True) as n, gateway.Gateway(n, DEFAULTS) as g:
        n.gateway = g
        yield n


def test_the_workers_user_reaches_the_lans_and_nothing_else(lab6):
    """CVE-2020-12695, and whatever a worker that was taken over would try"""
    lans = [["tcp", net.CONSOLE, 5555], ["tcp", net.GUEST, 5555], ["udp", net.PC, 5555],
            ["tcp", net.CONSOLE6, 5555], ["udp", net.CONSOLE6, 5555], ["tcp", net.LAN, 49152]]
    elsewhere = [["tcp", net.REMOTE1, 80], ["udp", net.REMOTE1, 53], ["udp", net.REMOTE2, 1900],
                 ["tcp", net.REMOTE6, 80], ["udp", net.REMOTE6, 53],
                 ["tcp", "127.0.0.1", 5556], ["udp", "127.0.0.1", 5556], ["tcp", "::1", 5556],
                 ["tcp", net.LAN, 5556], ["tcp", net.WAN, 5556], ["tcp", net.LAN6, 5556]]
    with lab6.gw.listen(5556), lab6.gw.listen(5556, "::1"):
        assert reach(lab6, "portreeve-net", lans) == ["sent"] * len(lans)
        assert reach(lab6, "portreeve-net", elsewhere) == ["refused"] * len(elsewhere)
        # Nobody else is touched.
        assert reach(lab6, "daemon", lans + elsewhere) == ["sent"] * len(lans + elsewhere)


def test_answers_and_announcements_still_leave(lab6):
    """To both LANs, from both ports, and to programs of the router itself"""
    for host in (lab6.console, lab6.guest):
        with natpmp.Client(host) as c:
            assert c.address().result == 0
        assert upnp.search(host, upnp.IGD1, enough=1)
        assert upnp.Igd(host).call("GetExternalIPAddress") == {"NewExternalIPAddress": net.WAN}
    answer = upnp.get(lab6.gw, f"http://{net.LAN}:49152/rootDesc.xml")
    assert answer.status == 200


# The table


def rules(host):
    """The guard's chains and sets, as nft lists them."""
    text = host.ruleset()
    return [l for l in text.split("\n") if any(w in l for w in (
        "worker", "guard", "ssdprate", "synrate", "reach4", "reach6", "@http"))]


def test_a_table_from_before_the_guard_gets_it_and_keeps_its_leases(lab, port):
    with net.Net() as own:
        g = gateway.Gateway(own, DEFAULTS)
        with g:
            with natpmp.Client(own.console) as c:
                p = c.get(natpmp.UDP, port())
            before = rules(own.gw)
            assert len(before) > 10
        own.gw.nft("".join(f"flush chain inet portreeve {c}\n" for c in
                           ("guard", "outguard", "worker"))
                   + "".join(f"delete chain inet portreeve {c}\n" for c in
                             ("guard", "outguard", "worker"))
                   + "".join(f"delete set inet portreeve {s}\n" for s in (
                       "ssdprate", "ssdprate6", "synrate", "synrate6", "reach4", "reach6",
                       "http")))
        assert rules(own.gw) == []
        with g:
            assert sorted(rules(own.gw)) == sorted(before)
            assert g.lease("udp", p)
            with own.console.udp(p) as s:
                assert net.arrives(own.inet, s, p)


def test_without_the_guard_the_wan_hears_nothing_either(lab):
    """S1, U1: the sockets are the LAN's; nft is not needed for that"""
    with net.Net() as own, gateway.Gateway(own, DEFAULTS), own.inet.capture() as wan:
        own.route_lans_in()

        def bare():
            own.gw.nft("".join(f"flush chain inet portreeve {c}\n" for c in
                               ("guard", "outguard", "worker")))
        for addr in (net.WAN, net.LAN, net.GUEST_LAN):
            for target in (upnp.IGD1, "ssdp:all"):
                bare()
                with own.inet.udp() as s:
                    s.sendto(upnp.search_text(target), (addr, 1900))
                    assert net.silent(s, 0.3)
            for tcp in (49152, 49153):
                bare()
                with pytest.raises(OSError):
                    own.inet.connect(addr, tcp, timeout=0.3)
        bare()
        upnp.search(own.console, "ssdp:all")
        assert not [p for p in wan.udp(1900) if not p.outgoing]
