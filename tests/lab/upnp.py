# SPDX-License-Identifier: GPL-2.0-or-later
"""A UPnP control point, small enough to see what goes over the wire."""
import collections
import re
import socket
import time
import xml.etree.ElementTree as ET
from urllib.parse import urljoin, urlsplit
from xml.sax.saxutils import escape

import net

GROUP, PORT = "239.255.255.250", 1900
DEVICE = "urn:schemas-upnp-org:device:"
SERVICE = "urn:schemas-upnp-org:service:"
IGD1 = DEVICE + "InternetGatewayDevice:1"
IGD2 = DEVICE + "InternetGatewayDevice:2"
IP1 = SERVICE + "WANIPConnection:1"
IP2 = SERVICE + "WANIPConnection:2"
COMMON = SERVICE + "WANCommonInterfaceConfig:1"

Answer = collections.namedtuple("Answer", "status headers body")
Found = collections.namedtuple("Found", "peer seconds headers")


class Fault(Exception):
    """The UPnP error of an action."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text


def parse_headers(text):
    """Lower-case names; the first line is under the empty name."""
    lines = text.split("\r\n")
    headers = {"": lines[0]}
    for line in lines[1:]:
        name, sep, value = line.partition(":")
        if sep:
            headers[name.strip().lower()] = value.strip()
    return headers


def search_text(target, mx="1", man='"ssdp:discover"', host=f"{GROUP}:{PORT}"):
    lines = ["M-SEARCH * HTTP/1.1", f"HOST: {host}", f"ST: {target}"]
    if man is not None:
        lines.append(f"MAN: {man}")
    if mx is not None:
        lines.append(f"MX: {mx}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answers(s, began, window, least, longest):
    """All within the window, or longer until there are `least`."""
    found = []
    while True:
        left = began + (window if len(found) >= least else longest) - time.monotonic()
        if left <= 0:
            return found
        s.settimeout(left)
        try:
            data, peer = s.recvfrom(8192)
        except (socket.timeout, ConnectionRefusedError):
            continue
        found.append(Found(peer, time.monotonic() - began, parse_headers(data.decode("latin-1"))))


def search6(host, target, index, to="ff02::c", window=0.6, least=0):
    """The same over IPv6; index is the number of the host's interface."""
    with host.socket(socket.AF_INET6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        began = time.monotonic()
        scope = index if to.startswith(("ff02", "fe80")) else 0
        s.sendto(search_text(target, host=f"[{to}]:{PORT}"), (to, PORT, 0, scope))
        return answers(s, began, window, least, net.PATIENCE)


def search(host, target, window=None, to=GROUP, least=0, enough=0, **kwargs):
    """All answers within 0.6 s, and longer until there are `least`; with `enough`, returns as
    soon as there are so many. With a window it returns then, in any case."""
    with host.udp() as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host.addr))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
        began = time.monotonic()
        s.sendto(search_text(target, **kwargs), (to, PORT))
        return answers(s, began, 0 if enough else window or 0.6, least or enough,
                       window or net.PATIENCE)


def read_answer(sock):
    """One HTTP answer; to the end of file, or as many bytes as it says."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            raise net.LabError(f"the connection ended after {data!r}")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    headers = parse_headers(head.decode("latin-1"))
    length = headers.get("content-length")
    while length is None or len(body) < int(length):
        part = sock.recv(65536)
        if not part:
            break
        body += part
    return Answer(int(headers[""].split()[1]), headers, body)


def http(host, addr, port, data, timeout=5.0):
    with host.connect(addr, port, timeout=timeout) as s:
        s.sendall(data)
        return read_answer(s)


def request(host, method, url, headers=(), body=b"", timeout=5.0):
    u = urlsplit(url)
    port = u.port or 80
    name = f"[{u.hostname}]" if ":" in u.hostname else u.hostname
    lines = [f"{method} {u.path or '/'} HTTP/1.1", f"Host: {name}:{port}",
             "Connection: close", *(f"{k}: {v}" for k, v in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return http(host, u.hostname, port, ("\r\n".join(lines) + "\r\n\r\n").encode() + body, timeout)


def get(host, url):
    return request(host, "GET", url)


def envelope(service, action, args):
    inner = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in args.items())
    return ('<?xml version="1.0"?>\r\n<s:Envelope '
            'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
            's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
            f'<u:{action} xmlns:u="{service}">{inner}</u:{action}>'
            "</s:Body></s:Envelope>\r\n").encode()


def local(tag):
    return tag.rpartition("}")[2]


def parse_description(text, base):
    """{service type: {controlURL, eventSubURL, SCPDURL}} with absolute addresses, and the root
    element."""
    root = ET.fromstring(text)
    services = {}
    for e in root.iter():
        if local(e.tag) == "service":
            values = {local(c.tag): (c.text or "").strip() for c in e}
            services[values["serviceType"]] = {
                k: urljoin(base, values[k]) for k in ("controlURL", "eventSubURL", "SCPDURL")}
    return services, root


class Igd:
    """The gateway as one of its two descriptions shows it."""

    def __init__(self, host, version=1, port=None, gateway=None):
        self.host, self.version = host, version
        gateway = gateway or (net.GUEST_LAN if host.addr == net.GUEST else net.LAN)
        port = port or (49153 if gateway == net.GUEST_LAN else 49152)
        gateway = f"[{gateway}]" if ":" in gateway else gateway
        self.url = f"http://{gateway}:{port}/rootDesc{'' if version == 1 else '2'}.xml"
        answer = get(host, self.url)
        if answer.status != 200:
            raise net.LabError(f"{self.url}: HTTP {answer.status}")
        self.services, self.root = parse_description(answer.body, self.url)
        self.service = IP1 if version == 1 else IP2

    def control(self, service=None):
        return self.services[service or self.service]["controlURL"]

    def post(self, action, args, service=None):
        service = service or self.service
        return request(self.host, "POST", self.control(service),
                       [("Content-Type", 'text/xml; charset="utf-8"'),
                        ("SOAPAction", f'"{service}#{action}"')],
                       envelope(service, action, args))

    def call(self, action, service=None, **args):
        """The answer's arguments in order; Fault for a UPnP error."""
        service = service or self.service
        answer = self.post(action, args, service)
        root = ET.fromstring(answer.body)
        if answer.status == 500:
            code = root.find(".//{urn:schemas-upnp-org:control-1-0}errorCode")
            text = root.find(".//{urn:schemas-upnp-org:control-1-0}errorDescription")
            raise Fault(int(code.text), text.text if text is not None else "")
        if answer.status != 200:
            raise net.LabError(f"{action}: HTTP {answer.status} {answer.body!r}")
        reply = root.find(f".//{{{service}}}{action}Response")
        if reply is None:
            raise AssertionError(f"{action}: no answer of {service} in {answer.body!r}")
        return {local(e.tag): e.text or "" for e in reply}

    def mapping(self, protocol, external, internal=None, client=None, lease=3600,
                description="lab", remote=""):
        return dict(NewRemoteHost=remote, NewExternalPort=external, NewProtocol=protocol,
                    NewInternalPort=internal or external,
                    NewInternalClient=client or self.host.addr, NewEnabled=1,
                    NewPortMappingDescription=description, NewLeaseDuration=lease)

    def add(self, protocol, external, internal=None, **kwargs):
        return self.call("AddPortMapping", **self.mapping(protocol, external, internal, **kwargs))

    def add_any(self, protocol, external, internal=None, **kwargs):
        reply = self.call("AddAnyPortMapping",
                          **self.mapping(protocol, external, internal, **kwargs))
        return int(reply["NewReservedPort"])

    def specific(self, protocol, external):
        return self.call("GetSpecificPortMappingEntry", NewRemoteHost="",
                         NewExternalPort=external, NewProtocol=protocol)

    def generic(self):
        """The whole list, as clients read it: by index, up to error 713."""
        entries = []
        while True:
            try:
                entries.append(self.call("GetGenericPortMappingEntry",
                                         NewPortMappingIndex=len(entries)))
            except Fault as f:
                if f.code != 713:
                    raise
                return entries

    def delete(self, protocol, external):
        return self.call("DeletePortMapping", NewRemoteHost="", NewExternalPort=external,
                         NewProtocol=protocol)


def served(*args, **kwargs):
    """The gateway, once it is there: a change of the LAN may start the worker more than once."""
    def found():
        try:
            return Igd(*args, **kwargs)
        except (OSError, net.LabError):
            return None
    return net.wait_for(found, what="UPnP", pause=0.1)


class Subscriber:
    """Subscribes to a service's events and takes the NOTIFYs."""

    def __init__(self, host, event_url, timeout="Second-1800"):
        self.host, self.url = host, event_url
        self.listener = host.listen(addr=host.addr)
        port = self.listener.getsockname()[1]
        self.answer = request(host, "SUBSCRIBE", event_url,
                              [("CALLBACK", f"<http://{host.addr}:{port}/lab>"),
                               ("NT", "upnp:event"), ("TIMEOUT", timeout)])
        self.sid = self.answer.headers.get("sid")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.sid:
            request(self.host, "UNSUBSCRIBE", self.url, [("SID", self.sid)])
        self.listener.close()

    def event(self, timeout=net.PATIENCE):
        """(SEQ, {variable: value}, peer address) of the next NOTIFY."""
        self.listener.settimeout(timeout)
        with self.listener.accept()[0] as s:
            peer = s.getpeername()
            s.settimeout(timeout)
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            headers = parse_headers(head.decode("latin-1"))
            if "content-length" in headers:
                while len(body) < int(headers["content-length"]):
                    body += s.recv(65536)
            elif "chunked" in headers.get("transfer-encoding", ""):
                while not body.endswith(b"0\r\n\r\n"):
                    body += s.recv(65536)
                body = unchunk(body)
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        if not headers[""].startswith("NOTIFY ") or headers.get("sid") != self.sid:
            raise AssertionError(f"no NOTIFY of ours: {headers}")
        values = {}
        for prop in ET.fromstring(body):
            for e in prop:
                values[local(e.tag)] = e.text or ""
        return int(headers["seq"]), values, peer


def unchunk(body):
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        n = int(size.split(b";")[0], 16)
        if not n:
            break
        out, body = out + body[:n], body[n + 2:]
    return out


def urn_version(urn):
    return int(re.search(r":(\d+)$", urn)[1])
