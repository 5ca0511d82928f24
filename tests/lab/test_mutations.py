# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutated HTTP, SOAP, GENA and SSDP messages against the running daemon. PORTREEVE_MUTATIONS says
how many (check-full: 50,000), PORTREEVE_SEED which. Nobody else notices, no lease is lost or
invented, and nothing grows."""
import collections
import contextlib
import json
import os
import random
import socket
import threading
import time

import pytest

import gateway
import net
import upnp
from upnp import COMMON, IGD1, IGD2, IP1, IP2
from test_attacks import BARE, PORT, Storm, memory_kb

COUNT = int(os.environ.get("PORTREEVE_MUTATIONS") or 6000)
SEED = int(os.environ.get("PORTREEVE_SEED") or 1)
PER_SECOND = 1500
AWAY_US = 1000000
THREADS = 3  # of each attacker
# Each source may search 20 times a second, so there are many.
SOURCES = [f"192.168.77.{n}" for n in range(100, 220)]
HOST = f"{net.LAN}:{PORT}"


@pytest.fixture(scope="module")
def gw(lab):
    """Without a rate: each message is to be read."""
    lab.pc.ip("".join(f"address add {a}/24 dev eth0\n" for a in SOURCES))
    with gateway.Gateway(lab, BARE) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def soap(path, service, action, args, soapaction=None, prefix="u", extra=""):
    body = upnp.envelope(service, action, args).decode()
    if prefix != "u":
        body = body.replace("u:", f"{prefix}:").replace("xmlns:u", f"xmlns:{prefix}")
    body = body.encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n"
            f"{soapaction or 'SOAPAction'}: \"{service}#{action}\"\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


def mapping(client, external):
    return dict(NewRemoteHost="", NewExternalPort=external, NewProtocol="UDP",
                NewInternalPort=external, NewInternalClient=client, NewEnabled=1,
                NewPortMappingDescription="game <3", NewLeaseDuration=3600)


def soap_seeds(igd1, igd2, taken):
    """What clients send; about leases that are another host's, or that the sender may have."""
    key = dict(NewRemoteHost="", NewExternalPort=taken, NewProtocol="UDP")
    for igd, service in ((igd1, IP1), (igd2, IP2)):
        path = upnp.urlsplit(igd.control()).path
        for client in (net.CONSOLE, net.CONSOLE2, net.PC):
            yield soap(path, service, "AddPortMapping", mapping(client, taken))
            yield soap(path, service, "AddAnyPortMapping", mapping(client, taken))
        yield soap(path, service, "DeletePortMapping", key)
        yield soap(path, service, "DeletePortMappingRange", dict(
            NewStartPort=1024, NewEndPort=65535, NewProtocol="UDP", NewManage=1))
        yield soap(path, service, "GetListOfPortMappings", dict(
            NewStartPort=1, NewEndPort=65535, NewProtocol="UDP", NewManage=1, NewNumberOfPorts=0))
        yield soap(path, service, "GetSpecificPortMappingEntry", key, "Soapaction")
        yield soap(path, service, "GetGenericPortMappingEntry", {"NewPortMappingIndex": 0})
        for action in ("GetExternalIPAddress", "GetStatusInfo", "GetNATRSIPStatus",
                       "ForceTermination"):
            yield soap(path, service, action, {}, prefix="m",
                       extra="Connection: keep-alive\r\nExpect: 100-continue\r\n")
        unquoted = soap(path, service, "GetExternalIPAddress", {})
        yield unquoted.replace(f'"{service}#GetExternalIPAddress"'.encode(),
                               f"{service}#GetExternalIPAddress".encode())
        yield soap(path, service, "AddPortMapping", mapping(net.PC, taken)).replace(
            b"<NewExternalPort>", b'<NewExternalPort dt:dt="ui2" xmlns:dt="urn:x">')
        common = upnp.urlsplit(igd.control(COMMON)).path
        yield soap(common, COMMON, "GetTotalBytesSent", {})
        query = "urn:schemas-upnp-org:control-1-0"
        yield soap(path, query, "QueryStateVariable", {"varName": "x"}).replace(
            b"<varName>", b"x<varName>")


def http_seeds(igd1, igd2):
    for path in ("/rootDesc.xml", "/rootDesc2.xml", "/", "/nothing",
                 upnp.urlsplit(igd1.services[IP1]["SCPDURL"]).path):
        yield f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: x\r\n\r\n".encode()
    yield b"HEAD /rootDesc.xml HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    yield (f"GET http://{HOST}/rootDesc.xml HTTP/1.1\r\nHost: {HOST}\r\n"
           "Connection: keep-alive\r\n\r\n").encode() * 3
    body = upnp.envelope(IP2, "GetExternalIPAddress", {})
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(body[i:i + 50]), body[i:i + 50])
                      for i in range(0, len(body), 50))
    yield (f"POST {upnp.urlsplit(igd2.control()).path} HTTP/1.1\r\nHost: {HOST}\r\n"
           f'SOAPAction: "{IP2}#GetExternalIPAddress"\r\nTransfer-Encoding: chunked\r\n'
           "\r\n").encode() + chunks + b"0\r\nX: y\r\n\r\n"


def gena_seeds(igd1, igd2):
    sid = "uuid:11111111-2222-3333-4444-555555555555"
    for url in (igd1.services[IP1]["eventSubURL"], igd2.services[IP2]["eventSubURL"]):
        path = upnp.urlsplit(url).path
        for addr in (net.CONSOLE2, net.PC):
            yield (f"SUBSCRIBE {path} HTTP/1.1\r\nHOST: {HOST}\r\nCALLBACK: "
                   f"<http://{addr}:9/x><http://{net.CONSOLE}:9/y>\r\nNT: upnp:event\r\n"
                   "TIMEOUT: Second-1800\r\n\r\n").encode()
        for method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            yield f"{method} {path} HTTP/1.1\r\nHOST: {HOST}\r\nSID: {sid}\r\n\r\n".encode()
            yield f"{method} http://{HOST} HTTP/1.1\r\nHOST: {HOST}\r\nSID: {sid}\r\n\r\n".encode()


def ssdp_seeds():
    for target in (IGD1, IGD2, IP1, IP2, "ssdp:all", "upnp:rootdevice",
                   "uuid:11111111-2222-3333-4444-555555555555"):
        for kwargs in ({}, {"mx": None}, {"mx": "120"}, {"man": "ssdp:discover"},
                       {"host": net.LAN}):
            yield upnp.search_text(target, **kwargs)
    yield (b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: upnp:rootdevice\r\n"
           b"NTS: ssdp:byebye\r\nUSN: uuid:x\r\n\r\n")


WORDS = [b"\r\n", b"\r\n\r\n", b"\n", b"\0", b":", b"<", b">", b"&", b"&lt;", b"&#x0;", b"&#65;",
         b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<!DOCTYPE x>", b"<?x?>", b"</s:Body>", b"0",
         b"-1",
         b"65536", b"4294967296", b"99999999999999999999", b"%", b"%s%n", b"..", b"//", b"\xff\xfe",
         b"\xc0\x80", b"chunked", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
         b"Expect: 100-continue\r\n", b"Connection: keep-alive\r\n", b"Host: x\r\n", b"HTTP/1.0",
         b"xmlns=\"\"", b"urn:schemas-upnp-org:service:WANIPConnection:2", b"a" * 300]


def mutated(rng, seeds):
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(data) + 1)
        upto = min(len(data), at + rng.choice((1, 1, 2, 8, 40, 200)))
        kind = rng.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at:upto]
        elif kind == 3:
            data[at:at] = rng.choice(WORDS)
        elif kind == 4:
            data[at:upto] = rng.choice(WORDS)
        elif kind == 5:
            data[at:at] = data[at:upto] * rng.choice((1, 2, 20))
        elif kind == 6:
            other = rng.choice(seeds)
            cut = rng.randrange(len(other))
            data[at:upto] = other[cut:cut + rng.choice((4, 30, 300))]
        elif kind == 7:
            del data[at:]
        del data[30000:]
    return bytes(data)


class Attacker(threading.Thread):
    """Sends its share of the messages, from one host."""

    def __init__(self, host, number, seeds, searches, count):
        super().__init__(daemon=True)
        self.host, self.number, self.seeds, self.searches = host, number, seeds, searches
        self.count, self.per_second = count // (2 * THREADS), PER_SECOND / (2 * THREADS)
        self.sent, self.answered, self.failure = 0, 0, None
        self.last = collections.deque(maxlen=20)  # for a failure to be tried again

    def run(self):
        try:
            with self.host.inside(), contextlib.ExitStack() as stack:
                self.udp = []
                for source in SOURCES if self.host.addr == net.PC else [self.host.addr]:
                    s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    s.bind((source, 0))
                    self.udp.append(s)
                self.attack()
        except Exception as e:
            self.failure = e

    def attack(self):
        rng = random.Random(SEED * 1000 + self.number)
        began = time.monotonic()
        for i in range(self.count):
            if rng.randrange(6) == 0 and self.host.addr == net.PC:
                message = mutated(rng, self.searches)
                rng.choice(self.udp).sendto(message[:8000], (net.LAN, 1900))
            else:
                message = mutated(rng, self.seeds)
                self.say(message)
            self.last.append(message)
            self.sent += 1
            ahead = i / self.per_second - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)

    def say(self, message):
        with socket.socket() as s:
            s.settimeout(5)
            try:
                s.connect((net.LAN, PORT))
                s.sendall(message)
                s.shutdown(socket.SHUT_WR)
                self.answered += s.recv(100)[:5] == b"HTTP/"
                while s.recv(65536):
                    pass
            except OSError:
                pass  # refused or cut off: that is the server's good right


def kernel_leases(lab):
    """{(protocol, external port): internal address} of the kernel's map."""
    listed = json.loads(lab.gw.run("nft", "-j", "list", "map", "inet", "portreeve", "leases",
                                   check=True).stdout)
    found = {}
    for entry in listed["nftables"]:
        for key, value in entry.get("map", {}).get("elem", ()):
            key = key["elem"]["val"] if "elem" in key else key
            protocol, port = key["concat"]
            found[str(protocol), int(port)] = value["concat"][0]
    return found


def views(lab, gw):
    """The leases as the daemon, the kernel and a client see them."""
    daemon = {(l["protocol"], l["external_port"]): l["internal_address"] for l in gw.list()}
    client = {(e["NewProtocol"].lower(), int(e["NewExternalPort"])): e["NewInternalClient"]
              for e in upnp.Igd(lab.console).generic()}
    return daemon, kernel_leases(lab), client


@pytest.mark.seconds(600)
@pytest.mark.parametrize("count, timed", [
    pytest.param(COUNT, False, id="all"),
    pytest.param(3000, True, id="in-time", marks=pytest.mark.alone)])
def test_mutations(lab, gw, count, timed):
    """U8, U14, U18: the service is never away for a second, and the processes are the same"""
    igd1, igd2 = upnp.Igd(lab.console), upnp.Igd(lab.console, version=2)
    ports = range(20000, 20040, 2)
    for port in ports:
        igd1.add("UDP", port)
    before = views(lab, gw)
    assert before[0] == before[1] == before[2] and len(before[0]) == len(ports)
    processes = {p["pid"] for p in gw.processes()}
    pids = [gw.process_id("igd", "br-lan"), gw.process_id("core")]
    memory = [memory_kb(pid) for pid in pids]

    seeds = [*http_seeds(igd1, igd2), *gena_seeds(igd1, igd2)] * 2
    seeds += soap_seeds(igd1, igd2, ports[0])
    seconds = count / PER_SECOND
    body = f"{lab.dir}/probe.xml"
    with open(body, "wb") as f:
        f.write(upnp.envelope(IP1, "GetSpecificPortMappingEntry", {
            "NewRemoteHost": "", "NewExternalPort": ports[0], "NewProtocol": "UDP"}))
    attackers = [Attacker(host, 10 * n + i, seeds, list(ssdp_seeds()), count)
                 for n, host in enumerate((lab.console2, lab.pc)) for i in range(THREADS)]
    began = time.monotonic()
    for a in attackers:
        a.start()
    searches = failed = 0
    worst = 0
    while any(a.is_alive() for a in attackers):
        probe = Storm(lab.console, "probe", net.CONSOLE, net.LAN, PORT, 20, 2,
                      upnp.urlsplit(igd1.control()).path, body,
                      f'"{IP1}#GetSpecificPortMappingEntry"')
        assert upnp.search(lab.console, IGD1, enough=1), "searches are not answered"
        searches += 1
        seen = probe.end()
        failed, worst = failed + seen["failed"], max(worst, seen["max_us"])
    took = time.monotonic() - began
    sent, answered = sum(a.sent for a in attackers), sum(a.answered for a in attackers)
    now = [memory_kb(pid) for pid in pids if os.path.exists(f"/proc/{pid}")]
    print(f"{sent} messages in {took:.1f} s (at least {seconds:.0f}), {answered} answered; "
          f"others: {searches} searches, {failed} requests failed, slowest {worst} us; "
          f"memory {memory} -> {now} KB")
    last = [a.last for a in attackers]
    assert [a.failure for a in attackers if a.failure] == []
    assert sent >= count - 2 * THREADS and answered > sent / 4
    assert {p["pid"] for p in gw.processes()} == processes, last
    assert failed == 0 and (worst < AWAY_US or not timed), (failed, worst)
    if not gateway.sanitized():
        assert all(n - b < 8192 for n, b in zip(now, memory)), (memory, now)

    after = views(lab, gw)
    assert after[0] == after[1] == after[2]
    # Attackers may have opened ports to themselves: some mutations are good requests.
    own = {k: v for k, v in after[0].items() if v not in (net.CONSOLE2, net.PC)}
    assert own == before[0]
    with lab.console.udp(ports[0]) as s:
        assert net.arrives(lab.inet, s, ports[0])
