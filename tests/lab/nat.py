# SPDX-License-Identifier: GPL-2.0-or-later
"""What a NAT looks like from both sides (RFC 4787): mapping and filtering, asked through plain
sockets, through coturn as RFC 5780 server, and in the way of Nintendo's NAT check. Knows nothing
of portreeve."""
import contextlib
import os
import re
import select
import socket
import struct
import threading
import time

import net

REMOTE3 = "12.0.1.2"  # nobody on the LAN ever sends to this address
STUN_PORT = 3478
LOST = 4  # so many datagrams of a flow that has to move, at most, each for so many seconds
LOST_S = 0.2


def more_addresses(inet):
    """REMOTE3, and 300 servers from server(0) on."""
    inet.ip(f"address add {REMOTE3}/32 dev lo\nroute add local 12.1.0.0/16 dev lo\n")


def server(n):
    return f"12.1.{n >> 8}.{n & 255}"


# Mapping and filtering


class Remotes:
    """Sockets of the internet that tell from where they see what is sent to them: A, B and C in
    the tests' notation, each at an address of its own."""
    ADDRESSES = {"A": net.REMOTE1, "B": net.REMOTE2, "C": server(3)}

    def __init__(self, inet, timeout=5.0):
        self.socks = {name: inet.udp(addr=addr, timeout=timeout)
                      for name, addr in self.ADDRESSES.items()}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for s in self.socks.values():
            s.close()

    def sees(self, name, sock, may_lose=LOST):
        """Sends there and back: the external port that this remote sees. What leaves from another
        port than its own may have lost some datagrams."""
        remote, token, lost = self.socks[name], os.urandom(8), 0
        while True:
            sock.sendto(token, remote.getsockname())
            if lost == may_lose or select.select([remote], [], [], LOST_S)[0]:
                break
            lost += 1
        data, peer = remote.recvfrom(64)
        if lost and peer[1] == sock.getsockname()[1]:
            raise net.LabError(f"{name} received only at the attempt {lost + 1}")
        if data != token or peer[0] != net.WAN:
            raise net.LabError(f"{name} received {data!r} from {peer}")
        remote.sendto(b"back" + token, peer)
        data, via = sock.recvfrom(64)
        if data != b"back" + token or via != remote.getsockname():
            raise net.LabError(f"the answer of {name} came from {via}: {data!r}")
        return peer[1]


def unsolicited(inet, sock, port, patience=net.PATIENCE):
    """Does a datagram from an address and port never contacted arrive, with its source, and does
    the answer come back from the mapped port? Asked again for so long: an opening may take its
    time. Each question is a flow of its own."""
    deadline = time.monotonic() + patience
    while True:
        if net.arrives(inet, sock, port, timeout=0.03, source=REMOTE3):
            return True
        if time.monotonic() > deadline:
            return False


def behaviour(inet, sock, warm=True, patience=net.PATIENCE):
    """(mapping, filtering) of one socket of the LAN in RFC 4787's words, as a peer finds them.
    `warm`: it has spoken to two remotes before filtering is asked, else to one; and for so long
    it may take to open."""
    with Remotes(inet) as remotes:
        ports = [remotes.sees(name, sock) for name in ("AB" if warm else "A")]
        filtering = "EIF" if unsolicited(inet, sock, ports[-1], patience) else "APDF"
        if filtering == "APDF" and comes_from_other_port(remotes.socks["A"], inet, sock, ports[0]):
            filtering = "ADF"
        ports += [remotes.sees(name, sock) for name in "BC"]
    return "EIM" if len(set(ports)) == 1 else "not EIM", filtering


def comes_from_other_port(remote, inet, sock, port):
    """Of an address that was contacted, but not of that port."""
    return net.arrives(inet, sock, port, timeout=0.1, source=remote.getsockname()[0])


# RFC 5780


class Stun:
    """coturn with two addresses and two ports, in the internet."""

    def __init__(self, lab):
        d = lab.tempdir("turn")
        self.process = lab.inet.start(
            "turnserver", "-n", "-L", net.REMOTE1, "-L", net.REMOTE2, "-p", STUN_PORT, "--no-tls",
            "--no-dtls", "--no-tcp", "--no-cli", "--no-auth", "--relay-threads=1",
            "--min-port=60000", "--max-port=60010", "--no-stdout-log", f"--log-file={d}/log",
            "--simple-log", f"--pidfile={d}/pid", f"--userdb={d}/db", cwd=d)
        net.wait_for(lambda: self._answers(lab.inet), 10, "coturn", 0.05)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()

    @staticmethod
    def _answers(inet):
        for addr in (net.REMOTE1, net.REMOTE2):
            for port in (STUN_PORT, STUN_PORT + 1):
                with inet.udp(timeout=0.1) as s:
                    s.sendto(struct.pack("!HHI", 1, 0, 0x2112a442) + os.urandom(12), (addr, port))
                    if not net.answer_of(s):
                        return False
        return True


WORDS = {"Endpoint Independent": "EI", "Address Dependent": "AD",
         "Address and Port Dependent": "APD"}


def natdiscovery(host, *options):
    """What coturn's client concludes, as "EIM" or "APDF": one word for each question asked."""
    out = host.run("turnutils_natdiscovery", *options, net.REMOTE1, check=True).stdout
    return [WORDS[words] + what[0] for words, what in
            re.findall(r"NAT with ([A-Z][A-Za-z ]+?) (Mapping|Filtering)!", out)]


# Nintendo's NAT check

NNCS_PORTS = 10025, 10125
NNCS_WAY_S = 0.02  # there and back: nobody lives much nearer to it
NNCS = struct.Struct("!III4s")  # message type, external port and address, server's own address


class Nncs(threading.Thread):
    """The two servers of the check. Message 2 is answered from the other address and port, 3
    from the other port, the rest from where it was sent to."""

    def __init__(self, inet, way_s=NNCS_WAY_S):
        super().__init__(daemon=True)
        self.way_s = way_s
        self.socks = {(addr, port): inet.udp(port, addr) for addr in (net.REMOTE1, net.REMOTE2)
                      for port in NNCS_PORTS}
        self.wake, self.end = socket.socketpair()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.end.close()
        self.join(5)
        for s in (*self.socks.values(), self.wake):
            s.close()

    def run(self):
        while True:
            ready, _, _ = select.select([self.wake, *self.socks.values()], [], [])
            if self.wake in ready:
                return
            for s in ready:
                data, peer = s.recvfrom(64)
                if len(data) == NNCS.size:
                    time.sleep(self.way_s)
                    self._answer(s.getsockname(), NNCS.unpack(data)[0], peer)

    def _answer(self, at, kind, peer):
        addr, port = at
        if kind == 2:
            addr = net.REMOTE2 if addr == net.REMOTE1 else net.REMOTE1
        if kind in (2, 3):
            port = sum(NNCS_PORTS) - port
        self.socks[addr, port].sendto(
            NNCS.pack(kind, peer[1], int.from_bytes(socket.inet_aton(peer[0]), "big"),
                      socket.inet_aton(addr)), peer)


def _nncs_ask(sock, kind, addr, port, timeout):
    """The external port in the answer to one message, or None."""
    sock.sendto(NNCS.pack(kind, 0, 0, b""), (addr, port))
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        with contextlib.suppress(socket.timeout):
            answer = NNCS.unpack(sock.recv(64))
            if answer[0] == kind:
                return answer[1]
    return None


def nncs_grade(sock, patience=5, first_patience=5):
    """What a Switch shows: A: endpoint-independent mapping, and filtering at most by address; B:
    by address and port; C: mapping differs, by a step; D: without one; F: no UDP; and the
    filtering. That is asked when one address and port has been contacted; mapping where none of
    the answers to that came from: a router without a filter remembers those."""
    first = _nncs_ask(sock, 1, net.REMOTE1, NNCS_PORTS[0], first_patience)
    if first is None:
        return "F", None
    other_address = _nncs_ask(sock, 2, net.REMOTE1, NNCS_PORTS[0], patience)
    other_port = _nncs_ask(sock, 3, net.REMOTE1, NNCS_PORTS[0], patience)
    ports = [first, _nncs_ask(sock, 4, net.REMOTE1, NNCS_PORTS[0], 5),
             _nncs_ask(sock, 5, net.REMOTE2, NNCS_PORTS[0], 5)]
    if None in ports:
        return "F", None
    filtering = "EIF" if other_address else "ADF" if other_port else "APDF"
    steps = {b - a for a, b in zip(ports, ports[1:])}
    if steps == {0}:
        return "B" if filtering == "APDF" else "A", filtering
    return "C" if len(steps) == 1 and abs(steps.pop()) < 16 else "D", filtering
