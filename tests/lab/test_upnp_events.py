# SPDX-License-Identifier: GPL-2.0-or-later
"""UPnP events: subscriptions, what is told and when, and subscribers who do not listen. U rows:
the protocol pages' section 3."""
import contextlib
import socket
import threading
import time

import pytest

import natpmp
import net
import upnp
from upnp import COMMON, IP1, IP2


@pytest.fixture
def igd1(lab, gw):
    return upnp.Igd(lab.console)


@pytest.fixture
def igd2(lab, gw):
    igd = upnp.Igd(lab.console, version=2)
    knows(igd, 0)
    return igd


def knows(igd, entries):
    """Waits until the worker has heard of so many leases: the end of those of an earlier test would
    be one more event."""
    def heard():
        with upnp.Subscriber(igd.host, igd.services[igd.service]["eventSubURL"]) as sub:
            return sub.event()[1]["PortMappingNumberOfEntries"] == str(entries)
    net.wait_for(heard, what=f"an event of {entries} entries")


# Subscriptions


def test_a_subscription_begins_with_all_variables_and_follows_changes(igd2, lab, port):
    """U19, U23: SystemUpdateID and the number of entries in the same NOTIFY"""
    with upnp.Subscriber(lab.console, igd2.services[IP2]["eventSubURL"]) as sub:
        assert sub.answer.status == 200 and sub.sid.startswith("uuid:")
        assert int(sub.answer.headers["timeout"].removeprefix("Second-")) >= 1800
        seq, values, peer = sub.event()
        assert seq == 0 and peer[0] == net.LAN
        assert values["ExternalIPAddress"] == net.WAN
        assert values["ConnectionStatus"] == "Connected"
        assert values["PossibleConnectionTypes"] == "IP_Routed"
        entries, update = (int(values[k]) for k in
                           ("PortMappingNumberOfEntries", "SystemUpdateID"))
        p = port()
        igd2.add("UDP", p)
        seq, values, _ = sub.event()
        assert seq == 1
        assert int(values["PortMappingNumberOfEntries"]) == entries + 1
        assert int(values["SystemUpdateID"]) > update
        igd2.delete("UDP", p)
        seq, values, _ = sub.event()
        assert seq == 2 and int(values["PortMappingNumberOfEntries"]) == entries


def test_subscriptions_of_the_first_version_have_no_update_id(igd1, lab):
    with upnp.Subscriber(lab.console, igd1.services[IP1]["eventSubURL"]) as sub:
        _, values, _ = sub.event()
        assert "SystemUpdateID" not in values and "PortMappingNumberOfEntries" in values


def test_wrong_subscriptions_are_refused(igd2, lab):
    """U20, U21: a callback to somewhere else most of all"""
    url = igd2.services[IP2]["eventSubURL"]

    def subscribe(*headers, method="SUBSCRIBE"):
        return upnp.request(lab.console, method, url, headers).status
    here = ("CALLBACK", f"<http://{net.CONSOLE}:5000/>")
    event = ("NT", "upnp:event")
    assert subscribe(event) == 412
    assert subscribe(here) == 412
    assert subscribe(here, ("NT", "upnp:other")) == 412
    assert subscribe(("SID", "uuid:1"), here) == 400
    assert subscribe(("SID", "uuid:00000000-0000-0000-0000-000000000000")) == 412
    assert subscribe(("SID", "uuid:1"), method="UNSUBSCRIBE") == 412
    for elsewhere in (net.REMOTE1, net.WAN, "127.0.0.1", net.GUEST, "evil.example"):
        assert subscribe(("CALLBACK", f"<http://{elsewhere}:5000/>"), event) == 412, elsewhere


def subscribe(host, url, port, addr=None, **headers):
    """The SID, or the status of a refusal."""
    addr = addr or host.addr
    literal = f"[{addr}]" if ":" in addr else addr
    answer = upnp.request(host, "SUBSCRIBE", url,
                          [("CALLBACK", f"<http://{literal}:{port}/lab>"), ("NT", "upnp:event")],
                          **headers)
    return answer.headers["sid"] if answer.status == 200 else answer.status


def evented(host, url):
    """The names that an SCPD says are evented."""
    scpd = upnp.ET.fromstring(upnp.get(host, url).body)
    return {e.find("{*}name").text for e in scpd.iter()
            if upnp.local(e.tag) == "stateVariable" and e.get("sendEvents") == "yes"}


@pytest.mark.parametrize("version", [1, 2])
def test_the_first_event_of_each_service_has_all_evented_variables(lab, gw, version):
    """U19, U23: those that its SCPD names"""
    igd = upnp.Igd(lab.console, version=version)
    for service, urls in igd.services.items():
        wanted = evented(lab.console, urls["SCPDURL"])
        if not wanted:
            continue
        with upnp.Subscriber(lab.console, urls["eventSubURL"]) as sub:
            seq, values, _ = sub.event()
            assert seq == 0 and set(values) == wanted, service


def test_a_renewal_keeps_the_subscription_and_its_count(igd2, lab, port):
    """U19, U20"""
    url = igd2.services[IP2]["eventSubURL"]
    with upnp.Subscriber(lab.console, url) as sub:
        assert sub.event()[0] == 0
        answer = upnp.request(lab.console, "SUBSCRIBE", url, [("SID", sub.sid),
                                                              ("TIMEOUT", "Second-1800")])
        assert answer.status == 200 and answer.headers["sid"] == sub.sid
        assert answer.headers["timeout"] == "Second-1800"
        # Nobody else may do that.
        assert upnp.request(lab.pc, "SUBSCRIBE", url, [("SID", sub.sid)]).status == 412
        assert upnp.request(lab.pc, "UNSUBSCRIBE", url, [("SID", sub.sid)]).status == 412
        igd2.add("UDP", port())
        assert sub.event()[0] == 1
        assert upnp.request(lab.console, "UNSUBSCRIBE", url, [("SID", sub.sid)]).status == 200
        assert upnp.request(lab.console, "UNSUBSCRIBE", url, [("SID", sub.sid)]).status == 412
        sub.sid = None


# What is told


def counters(values):
    return int(values["PortMappingNumberOfEntries"]), int(values["SystemUpdateID"])


def settled(sub, gw):
    """The counters, once the end of an earlier test's leases has been told."""
    while True:
        entries, update = counters(sub.event()[1])
        if entries == len(gw.list()):
            return entries, update


def test_changes_by_any_protocol_and_by_time_are_told(igd2, lab, gw, port):
    """U23: the number of entries and SystemUpdateID, together, whoever made the change"""
    with upnp.Subscriber(lab.console, igd2.services[IP2]["eventSubURL"]) as sub:
        entries, update = settled(sub, gw)

        def told(change):
            nonlocal entries, update
            entries += change
            while True:
                now, number = counters(sub.event()[1])
                assert number > update
                update = number
                if now == entries:
                    return
        with natpmp.Client(lab.console2) as c:
            p = c.get(natpmp.UDP, port())
            told(+1)
        assert gw.cli("delete", f"udp/{p}").returncode == 0
        told(-1)
        upnp.Igd(lab.pc, version=1).add("TCP", port(), lease=1)
        told(+1)
        told(-1)  # by itself
        p = port()
        igd2.add("UDP", p, lease=600)
        told(+1)
        igd2.add("UDP", p, lease=700)
        told(0)  # a renewal changes the lease, not the number
        igd2.delete("UDP", p)
        told(-1)


def test_events_come_five_times_a_second_at_most(igd2, lab, gw, port):
    """U23: and the last one tells the end"""
    with upnp.Subscriber(lab.console, igd2.services[IP2]["eventSubURL"]) as sub, \
            natpmp.Client(lab.console2) as c:
        entries, _ = settled(sub, gw)
        seen, began = [], time.monotonic()

        def listen():
            while not seen or seen[-1] != entries + 60:
                seen.append(counters(sub.event()[1])[0])
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        for _ in range(60):
            c.get(natpmp.UDP, port())
            time.sleep(0.02)
        listener.join(net.PATIENCE)
        took = time.monotonic() - began
        assert seen[-1] == entries + 60
        assert 4 <= len(seen) <= 5 * took + 1, (seen, took)


def test_the_wan_is_told(lab, gw):
    """U23: another address, none, and the link"""
    igd = upnp.Igd(lab.console)
    with upnp.Subscriber(lab.console, igd.services[IP1]["eventSubURL"]) as sub, \
            upnp.Subscriber(lab.console, igd.services[COMMON]["eventSubURL"]) as link:
        assert sub.event()[1]["ExternalIPAddress"] == net.WAN
        assert link.event()[1]["PhysicalLinkStatus"] == "Up"

        def told(status, address):
            seen = {}
            while (seen.get("ConnectionStatus"), seen.get("ExternalIPAddress")) != \
                    (status, address):
                seen.update(sub.event()[1])
        try:
            lab.gw.ip(f"address del {net.WAN}/24 dev wan0\n")
            told("Disconnected", "")
            assert link.event()[1] == {"PhysicalLinkStatus": "Down"}
            lab.wan_up("11.0.0.7")
            told("Connected", "11.0.0.7")
            assert link.event()[1] == {"PhysicalLinkStatus": "Up"}
        finally:
            lab.gw.ip("address flush dev wan0\n")
            lab.wan_up()
            while sub.event()[1].get("ExternalIPAddress") != net.WAN:
                pass


# Those who do not listen


SILENT, CLOSED, DEAF = "answers no SYN", "refuses", "reads nothing"
HOSTS = [f"192.168.77.{n}" for n in range(100, 110)]


@contextlib.contextmanager
def many_addresses(lab):
    """The PC as so many hosts."""
    lab.pc.ip("".join(f"address add {a}/24 dev eth0\n" for a in HOSTS))
    try:
        yield
    finally:
        lab.pc.ip("".join(f"address del {a}/24 dev eth0\n" for a in HOSTS))


def ask_from(host, addr, text):
    """An HTTP request from one of a host's addresses."""
    with host.socket(kind=socket.SOCK_STREAM, timeout=5) as s:
        s.bind((addr, 0))
        s.connect((net.LAN, 49152))
        s.sendall(text)
        return upnp.read_answer(s)


def subscribe_from(lab, addr, url, port):
    return ask_from(lab.pc, addr, (
        f"SUBSCRIBE {upnp.urlsplit(url).path} HTTP/1.1\r\nHost: {net.LAN}:49152\r\n"
        f"CALLBACK: <http://{addr}:{port}/>\r\nNT: upnp:event\r\n"
        "Connection: close\r\n\r\n").encode())


@contextlib.contextmanager
def dead_subscribers(lab, url, kinds, n):
    """So many of them, eight at an address; they took the first event or not, as they are."""
    with many_addresses(lab), lab.pc.listen(5001) as deaf:
        lab.pc.nft("table inet deadlab {\nchain in {\ntype filter hook input priority 0;\n"
                   "tcp dport 5002 drop\n}\n}\n")
        ports = {DEAF: 5001, SILENT: 5002, CLOSED: 5003}
        deaf.listen(256)
        sids = []
        try:
            for i in range(n):
                addr = HOSTS[i // 8]
                answer = subscribe_from(lab, addr, url, ports[kinds[i % len(kinds)]])
                assert answer.status == 200, (i, answer)
                sids.append((addr, answer.headers["sid"]))
            yield
        finally:
            for addr, sid in sids:
                ask_from(lab.pc, addr, (
                    f"UNSUBSCRIBE {upnp.urlsplit(url).path} HTTP/1.1\r\nHost: {net.LAN}:49152"
                    f"\r\nSID: {sid}\r\nConnection: close\r\n\r\n").encode())
            lab.pc.nft("delete table inet deadlab")


@pytest.mark.parametrize("kinds", [[SILENT], [CLOSED], [DEAF], [SILENT, CLOSED, DEAF]],
                         ids=["silent", "closed", "deaf", "all"])
def test_forty_dead_subscribers_delay_nobody(igd2, lab, gw, port, kinds):
    """U22: a live one has its first event, and those of changes, within a second"""
    url = igd2.services[IP2]["eventSubURL"]
    took = []
    with dead_subscribers(lab, url, kinds, 40):
        began = time.monotonic()
        with upnp.Subscriber(lab.console, url) as sub:
            assert sub.event()[0] == 0
            took.append(time.monotonic() - began)
            for _ in range(4):
                began = time.monotonic()
                igd2.add("UDP", port())
                sub.event()
                took.append(time.monotonic() - began)
                time.sleep(0.25)
    print(took)
    assert max(took) < 1, took
    assert not [l for l in gw.log().splitlines() if "event" in l]


def test_dead_subscribers_make_room(igd2, lab, gw, port):
    """U22: when all places are taken, by hosts that do not listen, a new one gets in"""
    url = igd2.services[IP2]["eventSubURL"]
    with dead_subscribers(lab, url, [CLOSED], 64):
        with upnp.Subscriber(lab.console, url) as sub:
            assert sub.answer.status == 200
            assert sub.event()[0] == 0


def test_a_host_that_comes_back_again_and_again_is_taken(igd2, lab):
    """U22: a console that was switched off without a word; its newest subscriptions count"""
    url = igd2.services[IP2]["eventSubURL"]
    with contextlib.ExitStack() as stack:
        subs = [stack.enter_context(upnp.Subscriber(lab.console, url)) for _ in range(20)]
        assert all(s.answer.status == 200 for s in subs)
        assert subs[-1].event()[0] == 0
        gone = [upnp.request(lab.console, "SUBSCRIBE", url, [("SID", s.sid)]).status
                for s in subs]
        assert gone == [412] * 12 + [200] * 8


def test_an_event_that_is_lost_does_not_end_the_subscription(igd2, lab, port):
    """U22: the next one comes, with the next number"""
    url = igd2.services[IP2]["eventSubURL"]
    sub = upnp.Subscriber(lab.console, url)
    assert sub.event()[0] == 0
    at = sub.listener.getsockname()[1]
    sub.listener.close()
    with lab.console.capture() as cap:
        igd2.add("UDP", port())
        net.wait_for(lambda: cap.tcp(at), what="the event that nobody takes")
    time.sleep(0.3)
    sub.listener = lab.console.listen(at, net.CONSOLE)
    p = port()
    igd2.add("UDP", p)
    with sub:
        seq, values, _ = sub.event()
        assert seq == 2 and "PortMappingNumberOfEntries" in values


def test_who_does_not_know_his_subscription_is_told_no_more(igd2, lab, port):
    """A program that was started anew on the port of another: it answers 412"""
    url = igd2.services[IP2]["eventSubURL"]
    with lab.console.listen(0, net.CONSOLE) as listener:
        sid = subscribe(lab.console, url, listener.getsockname()[1])
        with listener.accept()[0] as s:
            s.recv(65536)
            s.sendall(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n")
        net.wait_for(lambda: upnp.request(lab.console, "SUBSCRIBE", url,
                                          [("SID", sid)]).status == 412, what="its end")


# IPv6


@pytest.fixture(scope="module")
def lab6():
    import gateway
    with net.Net(ipv6=True) as n:
        with gateway.Gateway(n) as g:
            n.gateway = g
            yield n
        assert not gateway.problems(g.log()), "portreeved logged errors"


def link_local(host, iface):
    """The address, and its number of interface."""
    text = host.run("ip", "-6", "-o", "address", "show", "dev", iface, "scope", "link",
                    check=True).stdout
    with host.inside():
        return text.split()[3].partition("/")[0], socket.if_nametoindex(iface)


def connect6(host, addr, scope=0):
    s = host.socket(socket.AF_INET6, socket.SOCK_STREAM, timeout=2)
    s.connect((addr, 49152, 0, scope))
    return s


@pytest.mark.parametrize("kind", ["global", "link-local"])
def test_requests_and_events_over_ipv6(lab6, port, kind):
    """F3, U19, U21: by its global and by its link-local address"""
    igd = upnp.Igd(lab6.console, version=2)
    knows(igd, 0)
    router, scope = (net.LAN6, 0) if kind == "global" else \
        (link_local(lab6.gw, "br-lan")[0], link_local(lab6.console, "eth0")[1])
    own = net.CONSOLE6 if kind == "global" else link_local(lab6.console, "eth0")[0]
    path = upnp.urlsplit(igd.services[IP2]["eventSubURL"]).path
    listener = lab6.console.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with listener:
        listener.bind(("::", 0))
        listener.listen(4)
        here = listener.getsockname()[1]

        def ask(host=f"[{router}]:49152", to=own):
            with connect6(lab6.console, router, scope) as s:
                client = s.getsockname()[0].partition("%")[0]
                s.sendall((f"SUBSCRIBE {path} HTTP/1.1\r\nHost: {host}\r\nNT: upnp:event\r\n"
                           f"CALLBACK: <http://[{to or client}]:{here}/x>\r\n"
                           "Connection: close\r\n\r\n").encode())
                return upnp.read_answer(s), client
        assert ask(host="evil.example")[0].status == 403
        assert ask(host=f"[{net.WAN6}]")[0].status == 403
        for elsewhere in (net.REMOTE6, net.CONSOLE2_6, net.LAN6, "::1"):
            assert ask(to=elsewhere)[0].status == 412
        answer, client = ask(to=None)
        assert answer.status == 200
        with listener.accept()[0] as s:
            assert s.getpeername()[0].partition("%")[0] != client
            text = s.recv(65536).decode()
            assert text.startswith("NOTIFY /x ") and f"HOST: [{client}]:{here}" in text
            assert f"SID: {answer.headers['sid']}" in text and "SEQ: 0" in text
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        igd.add("UDP", port())
        with listener.accept()[0] as s:
            assert "SEQ: 1" in s.recv(65536).decode()
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_nobody_asks_over_ipv6_from_elsewhere(lab6):
    """S1: neither the WAN, at no address of ours, nor a host that is in no network of the LAN"""
    for addr in (net.LAN6, net.WAN6, "fd00:77::1"):
        with pytest.raises(OSError):
            lab6.inet.connect(addr, 49152, timeout=0.4)
    lab6.console.ip("address add 2a01:99::20/128 dev eth0 nodad\n")
    lab6.gw.ip("route add 2a01:99::/64 dev br-lan\n")
    try:
        with lab6.console.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(("2a01:99::20", 0))
            with pytest.raises((OSError, net.LabError)):
                s.connect((net.LAN6, 49152))
                s.sendall(f"GET /rootDesc.xml HTTP/1.1\r\nHost: [{net.LAN6}]\r\n\r\n".encode())
                upnp.read_answer(s)
    finally:
        lab6.gw.ip("route del 2a01:99::/64 dev br-lan\n")
        lab6.console.ip("address del 2a01:99::20/128 dev eth0\n")
