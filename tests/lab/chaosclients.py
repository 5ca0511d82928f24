# SPDX-License-Identifier: GPL-2.0-or-later
"""The clients of the chaos test: each asks at random by every protocol, one request at a time,
again and again until it is answered, and knows what it holds by the answers alone."""
import collections
import contextlib
import random
import socket
import struct
import threading
import time

import natpmp
import net
import pcp
import upnp

POOL = range(21000, 21600)  # external ports that all of them want
PROTOCOLS = {natpmp.UDP: "udp", natpmp.TCP: "tcp"}
NUMBERS = {"udp": pcp.UDP, "tcp": pcp.TCP}
KEYS = 6  # inside ports of each client and protocol
PATIENCE = 40  # seconds without an answer to one request
CUT = 2.5  # seconds within which the flows of what has ended are cut, and a probe
GRACE = 1.0  # an end may be seen that much before, or later

# What is open: protocol, external port, inside address and port; a pinhole's external port is
# the inside one.
Opening = collections.namedtuple("Opening", "protocol external address internal")


class Stuck(Exception):
    """No answer for so long that no client would wait."""


class Lease:
    """What a client believes to hold."""

    def __init__(self, opening, lifetime, asked):
        self.opening, self.granted = opening, time.monotonic()
        self.renewed(lifetime, asked)

    def renewed(self, lifetime, asked):
        """It was done at some time between the question and the answer."""
        self.asked, self.changed = asked, time.monotonic()
        self.sure, self.until = asked + lifetime, self.changed + lifetime


class Client(threading.Thread):
    """One address of a LAN host, and a pinhole's one."""

    def __init__(self, host, number, seed, urls):
        super().__init__(daemon=True, name=f"client {number}")
        self.host, self.number, self.urls = host, number, urls
        self.addr, self.addr6 = f"192.168.77.{100 + number}", f"2a01:77::1:{number:x}"
        self.random = random.Random(f"{seed}/{number}")
        self.nonce = bytes(self.random.randrange(256) for _ in range(12))
        self.held = {}  # (kind, protocol, inside port) -> Lease; for UPnP the external port
        self.unclear = set()  # keys of requests that an answer was lost of and that then failed
        self.ended = {}  # Opening -> when this client gave it back
        self.counts = collections.Counter()
        self.failure = None
        self.go, self.parked = threading.Event(), threading.Event()
        self.over = False
        self.asking = None  # what it waits for an answer to
        self.sockets = {}
        self.told = collections.deque(maxlen=300)  # requests and their answers, the last ones

    def run(self):
        net._setns(self.host.fd)  # for as long as the thread lasts
        try:
            while not self.over:
                if not self.go.is_set():
                    self.settle()
                    self.parked.set()
                    self.go.wait()
                    self.parked.clear()
                    continue
                self.act()
                time.sleep(self.random.random() * 0.08)
        except Exception as e:  # shown by the main thread
            self.failure = e
            self.parked.set()

    # What it does

    def act(self):
        what = self.random.random()
        kind = self.random.choice(("natpmp", "pcp", "pinhole", "upnp", "upnp"))
        name = self.random.choice(("udp", "tcp"))
        mine = [k for k in self.held if k[:2] == (kind, name)]
        if what < 0.3 and mine:
            self.delete(self.random.choice(mine))
        elif what < 0.9:
            key = (kind, name, self.port_of(kind, mine))
            self.map(key, self.random.choice((3, 6, 20, 60, 300, 600)))
        else:
            self.look()

    def port_of(self, kind, mine):
        if kind != "upnp":
            base = {"natpmp": 30000, "pcp": 30100, "pinhole": 30200}[kind]
            return base + self.random.randrange(KEYS)
        if len(mine) >= KEYS:
            return self.random.choice(mine)[2]
        # Not one that it has by another protocol: it would mean that one.
        others = {l.opening.external for l in self.held.values()}
        return self.random.choice([p for p in POOL if p not in others])

    def map(self, key, lifetime):
        kind, name, port = key
        before, wanted = self.held.get(key), self.random.choice(POOL)
        if before:
            wanted = before.opening.external
        asked = time.monotonic()
        good, again = self.ask(key, lifetime, wanted)
        if not good:
            self.counts["refused"] += 1
            if again:
                self.unclear.add(key)
            return
        external, lifetime = good
        self.unclear.discard(key)
        opening = (Opening(name, port, self.addr6, port) if kind == "pinhole"
                   else Opening(name, external, self.addr, port))
        self.counts["granted" if not before or before.opening != opening else "renewed"] += 1
        if before and before.opening == opening:
            before.renewed(lifetime, asked)
            return
        if before:
            self.ended[before.opening] = time.monotonic()
        self.ended.pop(opening, None)
        self.held[key] = Lease(opening, lifetime, asked)

    def delete(self, key):
        good, again = self.ask(key, 0, 0)
        lease = self.held.get(key)
        if good:
            self.unclear.discard(key)
            self.held.pop(key, None)
            if lease:
                self.ended[lease.opening] = time.monotonic()
            self.counts["deleted"] += 1
        elif again:
            self.unclear.add(key)

    def look(self):
        """A question that changes nothing."""
        kind = self.random.choice(("natpmp", "pcp", "upnp"))
        if kind == "natpmp":
            self.datagram("natpmp", b"\0\0", lambda r: len(r) == 12 and r[:2] == b"\0\x80")
        elif kind == "pcp":
            self.datagram("pcp", pcp.header(pcp.ANNOUNCE, 0, self.addr),
                          lambda r: len(r) == 24 and r[:2] == b"\2\x80")
        else:
            self.soap("GetExternalIPAddress", {})
        self.counts["questions"] += 1

    def settle(self):
        """Makes up its mind about what it may hold or not."""
        while self.unclear:
            key = next(iter(self.unclear))
            self.delete(key)
            if key in self.unclear:
                time.sleep(0.1)

    def again(self):
        """After a new epoch: asks for all that it holds, as RFC 6886 3.6 and RFC 6887 8.5 say."""
        for key, lease in list(self.held.items()):
            if lease.until - time.monotonic() < 1:
                self.delete(key)  # it may have come back with an end of before
                continue
            asked = time.monotonic()
            good, _ = self.ask(key, int(lease.until - time.monotonic()) + 1,
                               lease.opening.external)
            if good:
                self.held[key] = Lease(lease.opening._replace(external=good[0]), good[1], asked)
            else:
                del self.held[key]

    def closing(self):
        """What has ended so lately that its flows may still go on."""
        now = time.monotonic()
        return {o for o, when in self.ended.items() if now - when < CUT}

    def holds(self):
        """What it has for certain, and what may be ending now."""
        now = time.monotonic()
        sure, maybe = set(), set()
        for key, lease in list(self.held.items()):
            if lease.until < now - GRACE:
                del self.held[key]
                self.ended[lease.opening] = lease.until
                self.counts["ran out"] += 1
            else:
                (maybe if lease.sure < now + GRACE else sure).add(lease.opening)
        return sure, maybe

    # The protocols. put() tells what was granted, or None, and whether it had to ask again.

    def ask(self, key, lifetime, wanted):
        asked = time.monotonic()
        good, again = self.put(key, lifetime, wanted)
        self.told.append((asked, time.monotonic(), key, lifetime, good, again))
        return good, again

    def put(self, key, lifetime, wanted):
        kind, name, port = key
        if kind == "natpmp":
            return self.ask_natpmp(name, port, lifetime, wanted)
        if kind == "upnp":
            return self.ask_upnp(name, port, lifetime)
        return self.ask_pcp(kind, name, port, lifetime, wanted)

    def ask_natpmp(self, name, port, lifetime, wanted):
        op = natpmp.UDP if name == "udp" else natpmp.TCP

        def mine(r):
            return (len(r) == 16 and r[:2] == bytes([0, 128 + op])
                    and struct.unpack_from("!H", r, 8)[0] == port)
        reply, again = self.datagram("natpmp", natpmp.map_request(op, port, wanted, lifetime), mine)
        m = natpmp.parse_map(reply)
        self.counts["natpmp"] += 1
        return (None if m.result else (m.external, m.lifetime)), again

    def ask_pcp(self, kind, name, port, lifetime, wanted):
        addr = self.addr6 if kind == "pinhole" else self.addr
        any_of = "::" if kind == "pinhole" else "0.0.0.0"
        request = pcp.header(pcp.MAP, lifetime, addr) + pcp.map_body(
            self.nonce, NUMBERS[name], port, port if kind == "pinhole" else wanted, any_of)

        def mine(r):
            # What is told unasked in the meantime (14.2) has the time that is left.
            return (len(r) >= 60 and r[:2] == b"\2\x81" and r[24:36] == self.nonce
                    and (r[3] or struct.unpack_from("!I", r, 4)[0] == lifetime)
                    and r[36] == NUMBERS[name]
                    and struct.unpack_from("!H", r, 40)[0] == port)
        reply, again = self.datagram(kind, request, mine)
        m = pcp.parse_map(reply)
        self.counts[kind] += 1
        return (None if m.result else (m.external, m.lifetime)), again

    def ask_upnp(self, name, port, lifetime):
        entry = dict(NewRemoteHost="", NewExternalPort=port, NewProtocol=name.upper())
        if lifetime:
            code, again = self.soap("AddPortMapping", dict(
                entry, NewInternalPort=port, NewInternalClient=self.addr, NewEnabled=1,
                NewPortMappingDescription=self.name, NewLeaseDuration=lifetime))
        else:
            code, again = self.soap("DeletePortMapping", entry)
            if code in (606, 714) and (again or ("upnp", name, port) in self.unclear):
                code = 0  # gone, or it never was ours
        self.counts["upnp"] += 1
        return (None if code else (port, lifetime)), again

    def datagram(self, kind, request, mine):
        """The answer, and whether it had to be asked for more than once."""
        wait, began, tries = 0.3, time.monotonic(), 0
        self.asking = kind
        s = self.socket(kind)
        s.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                s.recv(2048)  # what was told unasked (RFC 6887 14.2) is no answer to what follows
        while True:
            tries += 1
            try:
                s.send(request)
                deadline = time.monotonic() + wait
                while (left := deadline - time.monotonic()) > 0:
                    s.settimeout(left)
                    reply = s.recv(2048)
                    if mine(reply):
                        self.answered(kind, tries)
                        return reply, tries > 1
            except socket.timeout:
                pass
            except OSError:  # nobody listens there now, or there is no route
                time.sleep(wait / 2)
            wait = min(wait * 1.5, 2)
            self.patient(began, kind)

    def socket(self, kind):
        s = self.sockets.get(kind)
        if s is None:
            v6 = kind == "pinhole"
            s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((self.addr6 if v6 else self.addr, 0))
            s.connect((net.LAN6 if v6 else net.LAN, natpmp.PORT))
            self.sockets[kind] = s
        return s

    def answered(self, kind, tries):
        self.asking = None
        if tries > 1:
            self.counts["asked again"] += tries - 1
            self.sockets.pop(kind).close()  # answers to the others are none to the next request

    def soap(self, action, args):
        """0 or the error, and whether it had to be asked for more than once."""
        url = upnp.urlsplit(self.urls[self.random.random() < 0.5])
        service = upnp.IP2 if url.path.endswith("2") else upnp.IP1
        service = self.urls_service(url)
        body = upnp.envelope(service, action, args)
        head = (f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n"
                f'Content-Type: text/xml; charset="utf-8"\r\n'
                f'SOAPAction: "{service}#{action}"\r\n'
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        began, tries = time.monotonic(), 0
        self.asking = action
        while True:
            tries += 1
            try:
                with socket.socket() as s:
                    s.settimeout(2)
                    s.bind((self.addr, 0))
                    s.connect((url.hostname, url.port))
                    s.sendall(head + body)
                    answer = upnp.read_answer(s)
                if answer.status == 200:
                    code = 0
                elif answer.status == 500 and b"errorCode>" in answer.body:
                    code = int(answer.body.split(b"errorCode>")[1].split(b"<")[0])
                else:
                    raise net.LabError(f"HTTP {answer.status}")
                self.asking = None
                self.counts["asked again"] += tries - 1
                return code, tries > 1
            except (OSError, net.LabError, IndexError, ValueError):
                time.sleep(0.05)
            self.patient(began, action)

    def urls_service(self, url):
        return upnp.IP1 if url.geturl() == self.urls[0] else upnp.IP2

    def patient(self, began, what):
        if self.over:
            raise Stuck("the test is over")
        if time.monotonic() - began > PATIENCE:
            raise Stuck(f"{self.name}, {self.addr}: no answer to {what} for {PATIENCE} s")


def control_urls(host):
    """Of the two descriptions: where their WANIPConnection is told what to do."""
    return [upnp.Igd(host, version=v).control() for v in (1, 2)]


def add_addresses(hosts, n):
    """Client i lives on host i modulo the number of hosts."""
    for h, host in enumerate(hosts):
        host.ip("".join(f"address add 192.168.77.{100 + i}/24 dev eth0\n"
                        f"address add 2a01:77::1:{i:x}/64 dev eth0 nodad\n"
                        for i in range(h, n, len(hosts))))
        if host.run("ip", "-6", "route", "show", "default").stdout == "":
            host.ip(f"route add default via {net.LAN6}\n")
