# SPDX-License-Identifier: GPL-2.0-or-later
"""PCP (RFC 6887) as raw packets."""
import collections
import os
import socket
import struct

import natpmp
import net

ANNOUNCE, MAP, PEER = 0, 1, 2
UDP, TCP = 17, 6
(SUCCESS, UNSUPP_VERSION, NOT_AUTHORIZED, MALFORMED_REQUEST, UNSUPP_OPCODE, UNSUPP_OPTION,
 MALFORMED_OPTION, NETWORK_FAILURE, NO_RESOURCES, UNSUPP_PROTOCOL, USER_EX_QUOTA,
 CANNOT_PROVIDE_EXTERNAL, ADDRESS_MISMATCH, EXCESSIVE_REMOTE_PEERS) = range(14)

Mapping = collections.namedtuple(
    "Mapping", "result lifetime epoch nonce protocol internal external address raw")


def mapped(addr):
    """An address as PCP carries it."""
    if ":" in addr:
        return socket.inet_pton(socket.AF_INET6, addr)
    return b"\0" * 10 + b"\xff\xff" + socket.inet_aton(addr)


def unmapped(data):
    if data[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntoa(data[12:])
    return socket.inet_ntop(socket.AF_INET6, data)


def header(op, lifetime, client, version=2, reserved=0):
    return struct.pack("!BBHI", version, op, reserved, lifetime) + mapped(client)


def map_body(nonce, protocol, internal, external=0, address="0.0.0.0", reserved=b"\0\0\0"):
    return (nonce + bytes([protocol]) + reserved + struct.pack("!HH", internal, external)
            + mapped(address))


def option(code, data=b"", length=None):
    padded = data + b"\0" * (-len(data) % 4)
    return struct.pack("!BBH", code, 0, len(data) if length is None else length) + padded


def third_party(addr):
    return option(1, mapped(addr))


def prefer_failure():
    return option(2)


def filter_of(addr, port=0, length=None):
    """FILTER for one address, or for a prefix of so many of 128 bits."""
    return option(3, struct.pack("!BBH", 0, 128 if length is None else length, port)
                  + mapped(addr))


def no_filter(addr="0.0.0.0"):
    return filter_of(addr, 0, 0)


def description(text):
    return option(128, text if isinstance(text, bytes) else text.encode())


def port_set(size, first, parity=0):
    return option(130, struct.pack("!HHB", size, first, parity))


def options_of(data):
    """The options behind a MAP, as pairs of code and data."""
    found, at = [], 60
    while at < len(data):
        code, reserved, length = struct.unpack_from("!BBH", data, at)
        body = data[at + 4:at + 4 + length]
        if reserved or len(body) != length or any(data[at + 4 + length:at + 4 + length
                                                       + -length % 4]):
            raise AssertionError(f"no options: {data[60:]!r}")
        found.append((code, body))
        at += 4 + length + -length % 4
    if at != len(data):
        raise AssertionError(f"the padding is missing: {data[60:]!r}")
    return found


def state_lost(old, new, elapsed):
    """What a client concludes from two epochs so far apart (RFC 6887 section 8.5)."""
    client, server = int(elapsed), new - old
    return (new < old - 1 or client + 2 < server - server // 16
            or server + 2 < client - client // 16)


def parse_map(data):
    if data is None or len(data) < 60 or data[:2] != b"\x02\x81":
        raise AssertionError(f"not a PCP MAP reply: {data!r}")
    _, _, _, result, lifetime, epoch = struct.unpack_from("!BBBBII", data)
    internal, external = struct.unpack_from("!HH", data, 40)
    return Mapping(result, lifetime, epoch, data[24:36], data[36], internal, external,
                   unmapped(data[44:60]), data)


class Client(natpmp.Client):
    """The nonce is kept as a client keeps it: one for all its requests."""

    def __init__(self, host, gateway=None, timeout=5.0, source=None, sport=0):
        if source and ":" in source:
            gateway = gateway or net.LAN6
        super().__init__(host, gateway, timeout, source or "0.0.0.0", sport)
        self.addr = source or host.addr
        self.nonce = os.urandom(12)

    def request(self, protocol, internal, external=0, lifetime=7200, nonce=None, options=b"",
                **body):
        return (header(MAP, lifetime, self.addr)
                + map_body(nonce or self.nonce, protocol, internal, external, **body) + options)

    def map(self, protocol, internal, external=0, lifetime=7200, nonce=None, **body):
        reply = parse_map(self.ask(self.request(protocol, internal, external, lifetime, nonce,
                                                **body)))
        if reply.nonce != (nonce or self.nonce) or reply.protocol != protocol:
            raise AssertionError(f"the reply is for another request: {reply}")
        return reply

    def get(self, protocol, internal, external=0, lifetime=7200, nonce=None):
        """The external port of a mapping that has to be granted."""
        reply = self.map(protocol, internal, external or internal, lifetime, nonce)
        if reply.result or not reply.external or reply.internal != internal:
            raise AssertionError(f"not granted: {reply}")
        return reply.external

    def result(self, protocol, internal, external=0, lifetime=7200, nonce=None, **body):
        """Only the result of a request, whatever else comes back."""
        reply = self.ask(self.request(protocol, internal, external, lifetime, nonce, **body))
        if reply is None or len(reply) < 24 or reply[:2] != b"\x02\x81":
            raise AssertionError(f"no PCP MAP reply: {reply!r}")
        return reply[3]

    def delete(self, protocol, internal, nonce=None):
        return self.map(protocol, internal, 0, 0, nonce)
