# SPDX-License-Identifier: GPL-2.0-or-later
"""PCP (RFC 6887) as raw packets."""
import collections
import os
import socket
import struct

import natpmp

ANNOUNCE, MAP, PEER = 0, 1, 2
UDP, TCP = 17, 6
(SUCCESS, UNSUPP_VERSION, NOT_AUTHORIZED, MALFORMED_REQUEST, UNSUPP_OPCODE, UNSUPP_OPTION,
 MALFORMED_OPTION, NETWORK_FAILURE, NO_RESOURCES, UNSUPP_PROTOCOL, USER_EX_QUOTA,
 CANNOT_PROVIDE_EXTERNAL, ADDRESS_MISMATCH, EXCESSIVE_REMOTE_PEERS) = range(14)

Mapping = collections.namedtuple(
    "Mapping", "result lifetime epoch nonce protocol internal external address raw")


def mapped(addr):
    """An IPv4 address as PCP carries it."""
    return b"\0" * 10 + b"\xff\xff" + socket.inet_aton(addr)


def header(op, lifetime, client, version=2, reserved=0):
    return struct.pack("!BBHI", version, op, reserved, lifetime) + mapped(client)


def map_body(nonce, protocol, internal, external=0, address="0.0.0.0", reserved=b"\0\0\0"):
    return (nonce + bytes([protocol]) + reserved + struct.pack("!HH", internal, external)
            + mapped(address))


def option(code, data=b"", length=None):
    padded = data + b"\0" * (-len(data) % 4)
    return struct.pack("!BBH", code, 0, len(data) if length is None else length) + padded


def parse_map(data):
    if data is None or len(data) < 60 or data[:2] != b"\x02\x81":
        raise AssertionError(f"not a PCP MAP reply: {data!r}")
    _, _, _, result, lifetime, epoch = struct.unpack_from("!BBBBII", data)
    internal, external = struct.unpack_from("!HH", data, 40)
    if data[44:56] != b"\0" * 10 + b"\xff\xff":
        raise AssertionError(f"the address is none of IPv4: {data!r}")
    return Mapping(result, lifetime, epoch, data[24:36], data[36], internal, external,
                   socket.inet_ntoa(data[56:60]), data)


class Client(natpmp.Client):
    """The nonce is kept as a client keeps it: one for all its requests."""

    def __init__(self, host, gateway=None, timeout=1.0):
        super().__init__(host, gateway, timeout)
        self.addr = host.addr
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

    def delete(self, protocol, internal, nonce=None):
        return self.map(protocol, internal, 0, 0, nonce)
