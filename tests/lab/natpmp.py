# SPDX-License-Identifier: GPL-2.0-or-later
"""NAT-PMP (RFC 6886) as raw packets."""
import collections
import socket
import struct

import net

PORT = 5351
UDP, TCP = 1, 2

Address = collections.namedtuple("Address", "result epoch address")
Mapping = collections.namedtuple("Mapping", "op result epoch internal external lifetime")


def map_request(op, internal, external=0, lifetime=7200, reserved=0):
    return struct.pack("!BBHHHI", 0, op, reserved, internal, external, lifetime)


def parse_map(data):
    if data is None or len(data) != 16 or data[0] != 0 or not data[1] & 0x80:
        raise AssertionError(f"not a NAT-PMP mapping reply: {data!r}")
    _, op, result, epoch, internal, external, lifetime = struct.unpack("!BBHIHHI", data)
    return Mapping(op & 0x7f, result, epoch, internal, external, lifetime)


def lost_mappings(old, new, elapsed):
    """What a client concludes from two epochs so far apart (RFC 6886 section 3.6)."""
    return new + 2 < old + elapsed * 7 / 8


def served(host, gateway=None, packet=b"\0\0", source="0.0.0.0", timeout=net.PATIENCE):
    """Waits for an answer. Each question has a socket of its own: a late answer is none to a later
    question."""
    patience = 0.1

    def ask():
        nonlocal patience
        patience = min(2 * patience, 2)
        try:
            with Client(host, gateway, patience, source) as c:
                return c.ask(packet)
        except OSError:
            return None
    return net.wait_for(ask, timeout, f"an answer to {host.name}", 0.02)


def told(host, address=net.WAN):
    """Waits until that is the external address that the worker tells: the kernel has it before."""
    with Client(host) as c:
        net.wait_for(lambda: c.address().address == address, what=f"{address} to be told")


class Client:
    """A connected socket, as libnatpmp and Bitcoin Core have: replies from elsewhere are lost."""

    def __init__(self, host, gateway=None, timeout=5.0, source="0.0.0.0", sport=0):
        self.host = host
        self.sock = host.udp(sport, source, timeout)
        self.sock.connect((gateway or (net.GUEST_LAN if host.addr == net.GUEST else net.LAN), PORT))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def ask(self, packet):
        """The reply's bytes, or None."""
        try:
            self.sock.send(packet)
        except ConnectionRefusedError:  # of the packet before this one
            self.sock.send(packet)
        return net.answer_of(self.sock)

    def silent(self, packet, seconds=0.4):
        timeout = self.sock.gettimeout()
        self.sock.send(packet)
        try:
            return net.silent(self.sock, seconds)
        finally:
            self.sock.settimeout(timeout)

    def address(self):
        data = self.ask(b"\0\0")
        if data is None or len(data) != 12 or data[:2] != b"\0\x80":
            raise AssertionError(f"not a NAT-PMP address reply: {data!r}")
        result, epoch = struct.unpack_from("!HI", data, 2)
        return Address(result, epoch, socket.inet_ntoa(data[8:]))

    def map(self, op, internal, external=0, lifetime=7200, reserved=0):
        reply = parse_map(self.ask(map_request(op, internal, external, lifetime, reserved)))
        if reply.op != op:
            raise AssertionError(f"the reply is for another opcode: {reply}")
        return reply

    def get(self, op, internal, external=0, lifetime=7200):
        """The external port of a mapping that has to be granted."""
        reply = self.map(op, internal, external or internal, lifetime)
        if reply.result or not reply.external or reply.internal != internal:
            raise AssertionError(f"not granted: {reply}")
        return reply.external

    def delete(self, op, internal):
        return self.map(op, internal, 0, 0)
