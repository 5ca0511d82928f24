# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: a home network in network namespaces.

    inet 11.0.0.2, 12.0.0.2 --- wan0 11.0.0.1  gw  br-lan   192.168.77.1 --- console, console2, pc
                                                   br-guest 192.168.78.1 --- guest

A test talks from any host through ordinary sockets: Host.udp() and its sisters create the
socket inside the host's namespace and use it from this process. Knows nothing of portreeve.
"""
import atexit
import contextlib
import ctypes
import errno
import itertools
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

PREFIX = "portreeve-lab-"
NETNS = "/run/netns"
CLONE_NEWNET = 0x40000000
# Seconds that a busy machine may take for what comes, but in no time that anybody promised.
PATIENCE = 15.0
SO_TIMESTAMPNS = 35
WAN = "11.0.0.1"
REMOTE1 = "11.0.0.2"
REMOTE2 = "12.0.0.2"
LAN = "192.168.77.1"
GUEST_LAN = "192.168.78.1"
CONSOLE = "192.168.77.20"
CONSOLE2 = "192.168.77.21"
PC = "192.168.77.30"
GUEST = "192.168.78.40"
# With Net(ipv6=True). They look global: a unique local address gets no pinhole.
WAN6 = "2a01:11::1"
REMOTE6 = "2a01:11::2"
REMOTE6_2 = "2a01:11::3"
LAN6 = "2a01:77::1"
CONSOLE6 = "2a01:77::20"
CONSOLE6_2 = "2a01:77::a:20"  # another one of the same console
CONSOLE2_6 = "2a01:77::21"
CONSOLE_ULA = "fd00:77::20"

# What an ordinary router's firewall does already: the daemon has to live beside it.
MASQUERADE = """table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" masquerade
	}
}
"""

# And what it does about IPv6: nothing comes in that was not asked for, but for our mark.
FILTER6 = """table ip6 filter {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname "br-lan" accept
		ct mark & 0x00010000 == 0x00010000 accept
		meta l4proto { tcp, udp } drop
	}
}
"""

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()
# Source ports of the internet host's probes. The kernel's own choice may hit one that a flow of
# the seconds before has had: its packets would come in by that flow and not by the lease.
_fresh = itertools.cycle(range(1025, 32000))
_nets = []


class LabError(Exception):
    """Something of the lab itself failed; the text says what."""


def wait_for(condition, timeout=PATIENCE, what="the condition", pause=0.01):
    """Calls condition until its answer is true and returns that answer."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(pause)


def sh(argv, stdin=None, timeout=20):
    """A command of the lab itself, which has to succeed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}\n{stdin or ''}")
    return done.stdout


def when(notes):
    """When the kernel saw a packet, by time.monotonic(), of what recvmsg() tells beside it."""
    for _, kind, data in notes:
        if kind == SO_TIMESTAMPNS:
            seconds, ns = struct.unpack("qq", data)
            return seconds + ns / 1e9 - time.time() + time.monotonic()
    raise LabError("a packet without a time")


def stamp(sock):
    """From now on stamped() tells when the kernel received a datagram."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def stamped(sock):
    """The next datagram: when the kernel received it, and its bytes."""
    data, notes, _, _ = sock.recvmsg(2048, 64)
    return when(notes), data


def family_of(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def without_traces(text):
    """What nft lists, without what packets and leases leave in sets, some of it a little later."""
    sets = "taken|mine|drawn|claimrate|(ssdp|syn)rate6?|hosts6?"
    return re.sub(rf"((?:set|map) ({sets}) {{[^{{}}]*?)\t\telements = {{[^}}]*}}\n", r"\1", text)


def processes_in(ns):
    """The ids of all processes in that namespace, ours excepted."""
    done = subprocess.run(["ip", "netns", "pids", ns], capture_output=True, text=True)
    return [int(p) for p in done.stdout.split() if int(p) != os.getpid()]


def _remove_namespace(ns):
    for _ in range(50):
        pids = processes_in(ns)
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    subprocess.run(["ip", "netns", "del", ns], capture_output=True)


def _dead(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def remove_leftovers():
    """Removes what runs that were killed have left: theirs only, by the process id in the name."""
    temp = tempfile.gettempdir()
    for folder, remove in ((NETNS, _remove_namespace),
                           (temp, lambda n: shutil.rmtree(f"{temp}/{n}", ignore_errors=True))):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            m = re.match(re.escape(PREFIX) + r"(\d+)-", name)
            if m and _dead(int(m[1])):
                remove(name)


class Process:
    """A program in a host, in a session of its own; its output goes to files."""

    def __init__(self, argv, out, err, **kwargs):
        self.argv, self.out, self.err = argv, out, err
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        with open(out, "ab") as o, open(err, "ab") as e:
            self.popen = subprocess.Popen(argv, stdout=o, stderr=e, start_new_session=True,
                                          **kwargs)
        self.pid = self.popen.pid

    def output(self):
        return _read(self.out)

    def errors(self):
        return _read(self.err)

    def running(self):
        return self.popen.poll() is None

    def wait(self, timeout=10):
        return self.popen.wait(timeout)

    def kill(self, sig=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, sig)

    def stop(self, timeout=5):
        """SIGTERM, to this process only; then after the timeout SIGKILL to its whole session. The
        exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.popen.wait(5)


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def udp_packet(src, sport, dst, dport, payload):
    """With its IPv4 header, for a raw socket."""
    udp = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head + udp + payload


class Host:
    """One machine of the lab."""

    def __init__(self, net, name, addr=None):
        self.net, self.name, self.addr = net, name, addr
        self.ns = f"{net.prefix}-{name}"
        self.fd = -1

    def open(self):
        self.fd = os.open(f"{NETNS}/{self.ns}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the host's namespace for as long as the block lasts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self.fd)
            yield self
        finally:
            _setns(home)
            os.close(home)

    # Programs

    def argv(self, *argv):
        return ["ip", "netns", "exec", self.ns, *map(str, argv)]

    def run(self, *argv, timeout=20, check=False, **kwargs):
        """Runs a program to its end; the answer has returncode, stdout and stderr."""
        try:
            done = subprocess.run(self.argv(*argv), capture_output=True, text=True,
                                  stdin=None if "input" in kwargs else subprocess.DEVNULL,
                                  timeout=timeout, **kwargs)
        except subprocess.TimeoutExpired as e:
            raise LabError(f"{self.name}: {' '.join(map(str, argv))}: no end after {timeout} s\n"
                           f"{e.stdout or ''}{e.stderr or ''}") from None
        if check and done.returncode:
            raise LabError(f"{self.name}: {' '.join(map(str, argv))}: exit {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
        return done

    def start(self, *argv, **kwargs):
        """Starts a program that goes on; the lab ends it, if the test does not."""
        n = next(_numbers)
        base = f"{self.net.dir}/{n}-{self.name}-{os.path.basename(str(argv[0]))}"
        p = Process(self.argv(*argv), base + ".out", base + ".err", **kwargs)
        self.net.processes.append(p)
        return p

    def ip(self, batch):
        """Lines for ip -batch."""
        sh(["ip", "-n", self.ns, "-batch", "-"], batch)

    def nft(self, text):
        sh(self.argv("nft", "-f", "-"), text)

    def ruleset(self):
        """The kernel's tables without counters, times and traces, to be compared."""
        text = sh(self.argv("nft", "-s", "list", "ruleset"))
        text = without_traces(text)
        return re.sub(r" (expires|timeout) [0-9dhms]+", "", text)

    # Sockets

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM, proto=0, timeout=5.0):
        with self.inside():
            s = socket.socket(family, kind, proto)
        s.settimeout(timeout)
        return s

    def udp(self, port=0, addr="0.0.0.0", timeout=5.0):
        s = self.socket(family_of(addr), timeout=timeout)
        s.bind((addr, port))
        return s

    def listen(self, port=0, addr="0.0.0.0", timeout=5.0):
        s = self.socket(family_of(addr), socket.SOCK_STREAM, timeout=timeout)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((addr, port))
        s.listen(64)
        return s

    def connect(self, addr, port, sport=0, timeout=5.0):
        s = self.socket(family_of(addr), socket.SOCK_STREAM, timeout=timeout)
        try:
            if sport:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("::" if ":" in addr else "0.0.0.0", sport))
            s.connect((addr, port))
        except BaseException:
            s.close()
            raise
        return s

    def capture(self, iface="eth0"):
        return Capture(self, iface)

    def send_raw(self, src, sport, dst, dport, payload):
        """A UDP datagram with any source address."""
        with self.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_RAW) as s:
            s.sendto(udp_packet(src, sport, dst, dport, payload), (dst, 0))


class Packet:
    """One captured TCP or UDP packet over IPv4, or UDP over IPv6. `first`: a SYN that opens a
    connection."""
    __slots__ = ("time", "src", "sport", "dst", "dport", "proto", "payload", "outgoing", "first")

    def __init__(self, src, sport, dst, dport, proto, payload, outgoing, first):
        self.time, self.src, self.sport = 0.0, src, sport
        self.dst, self.dport, self.proto = dst, dport, proto
        self.payload, self.outgoing, self.first = payload, outgoing, first

    def __repr__(self):
        return (f"<{self.proto} {self.src}:{self.sport} > {self.dst}:{self.dport} "
                f"{self.payload[:60]!r}>")


class Capture:
    """All packets that pass one interface, from the moment on that this object is made."""

    def __init__(self, host, iface):
        self.sock = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        stamp(self.sock)
        self.sock.bind((iface, 3))
        self.sock.setblocking(False)
        self.packets = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def read(self):
        """Everything so far."""
        while True:
            try:
                data, notes, _, (_, proto, kind, _, _) = self.sock.recvmsg(65535, 64)
            except BlockingIOError:
                return self.packets
            p = self._parse(data, proto, kind == 4)  # PACKET_OUTGOING
            if p:
                p.time = when(notes)
                self.packets.append(p)

    def udp(self, port):
        return [p for p in self.read() if p.proto == "udp" and port in (p.sport, p.dport)]

    def tcp(self, port):
        return [p for p in self.read() if p.proto == "tcp" and port in (p.sport, p.dport)]

    @staticmethod
    def _parse(data, proto, outgoing):
        if proto == 0x0800 and len(data) >= 28:
            l4 = (data[0] & 15) * 4
            number, family = data[9], socket.AF_INET
            src, dst = data[12:16], data[16:20]
        elif proto == 0x86dd and len(data) >= 48:
            l4, number, family = 40, data[6], socket.AF_INET6
            src, dst = data[8:24], data[24:40]
        else:
            return None
        first = False
        if number == 17:
            body, name = data[l4 + 8:], "udp"
        elif number == 6 and len(data) >= l4 + 20:
            body, name = data[l4 + (data[l4 + 12] >> 4) * 4:], "tcp"
            first = data[l4 + 13] & 0x12 == 0x02
        else:
            return None
        sport, dport = struct.unpack_from("!HH", data, l4)
        return Packet(socket.inet_ntop(family, src), sport, socket.inet_ntop(family, dst),
                      dport, name, body, outgoing, first)


class Net:
    """The whole lab; a context manager. Everything is gone afterwards, whatever happened."""

    def __init__(self, masquerade=True, wan_address=True, lan_address=True, ipv6=False):
        self.prefix = f"{PREFIX}{os.getpid()}-{next(_numbers)}"
        self.options = masquerade, wan_address, lan_address, ipv6
        self.processes = []
        self.hosts = []
        self.dir = None
        self.inet = Host(self, "inet", REMOTE1)
        self.gw = Host(self, "gw", LAN)
        self.console = Host(self, "console", CONSOLE)
        self.console2 = Host(self, "console2", CONSOLE2)
        self.pc = Host(self, "pc", PC)
        self.guest = Host(self, "guest", GUEST)

    def __enter__(self):
        _nets.append(self)
        try:
            self._up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def _up(self):
        masquerade, wan_address, lan_address, ipv6 = self.options
        self.dir = tempfile.mkdtemp(prefix=self.prefix + "-")
        os.chmod(self.dir, 0o755)  # the daemon's users pass through
        everyone = [self.inet, self.gw, self.console, self.console2, self.pc, self.guest]
        self.hosts = everyone
        sh(["ip", "-batch", "-"], "".join(f"netns add {h.ns}\n" for h in everyone))
        for h in everyone:
            h.open()
            # No waiting for duplicate addresses, no choice of the machine's that leaks in here.
            with h.inside():
                for key, value in (("ipv6/conf/all/accept_dad", 0),
                                   ("ipv6/conf/default/accept_dad", 0),
                                   ("ipv4/conf/all/rp_filter", 0),
                                   ("ipv4/conf/default/rp_filter", 0),
                                   ("ipv4/conf/all/accept_redirects", 0),
                                   ("ipv4/conf/default/accept_redirects", 0),
                                   ("ipv4/ip_forward", int(h is self.gw))):
                    with contextlib.suppress(FileNotFoundError):
                        with open(f"/proc/sys/net/{key}", "w") as f:
                            f.write(str(value))
        batch = f"link add wan0 netns {self.gw.ns} type veth peer name eth0 netns {self.inet.ns}\n"
        for i, h in enumerate((self.console, self.console2, self.pc, self.guest)):
            batch += f"link add port{i} netns {self.gw.ns} type veth peer name eth0 netns {h.ns}\n"
        sh(["ip", "-batch", "-"], batch)
        self.inet.ip(f"""link set lo up
            address add {REMOTE1}/24 dev eth0
            address add {REMOTE2}/32 dev lo
            link set eth0 up
            """)
        self.gw.ip("""link set lo up
            link add br-lan type bridge forward_delay 0 mcast_snooping 0
            link add br-guest type bridge forward_delay 0 mcast_snooping 0
            link set port0 master br-lan up
            link set port1 master br-lan up
            link set port2 master br-lan up
            link set port3 master br-guest up
            link set br-lan up
            link set br-guest up
            link set wan0 up
            """)
        if wan_address:
            self.wan_up()
        if lan_address:
            self.lan_up()
        for h in (self.console, self.console2, self.pc, self.guest):
            self.host_up(h)
        if masquerade:
            self.gw.nft(MASQUERADE)
        if ipv6:
            self.ipv6_up()

    def wan_up(self, addr=WAN):
        self.gw.ip(f"address add {addr}/24 dev wan0\nroute add default via {REMOTE1} dev wan0\n")

    def wan_moves(self, before, now):
        """Another address, as after a redial."""
        self.gw.ip(f"address del {before}/24 dev wan0\n")
        self.wan_up(now)

    def lan_up(self):
        self.gw.ip(f"address add {LAN}/24 dev br-lan\naddress add {GUEST_LAN}/24 dev br-guest\n")

    def ipv6_up(self):
        self.gw.ip(f"address add {LAN6}/64 dev br-lan nodad\n"
                   f"address add fd00:77::1/64 dev br-lan nodad\n"
                   f"address add {WAN6}/64 dev wan0 nodad\n"
                   f"route add default via {REMOTE6} dev wan0\n")
        for h, addrs in ((self.console, (CONSOLE6, CONSOLE6_2, CONSOLE_ULA)),
                         (self.console2, (CONSOLE2_6,))):
            h.ip("".join(f"address add {a}/64 dev eth0 nodad\n" for a in addrs)
                 + f"route add default via {LAN6}\n")
        self.inet.ip(f"address add {REMOTE6}/64 dev eth0 nodad\n"
                     f"address add {REMOTE6_2}/64 dev eth0 nodad\n"
                     f"route add 2a01:77::/64 via {WAN6}\n"
                     f"route add fd00:77::/64 via {WAN6}\n")
        with self.gw.inside(), open("/proc/sys/net/ipv6/conf/all/forwarding", "w",
                                    encoding="ascii") as f:
            f.write("1")
        self.gw.nft(FILTER6)

    def host_up(self, h):
        router = GUEST_LAN if h.addr == GUEST else LAN
        h.ip(f"""link set lo up
            address add {h.addr}/24 dev eth0
            link set eth0 up
            route add default via {router}
            """)

    def route_lans_in(self):
        """The internet host now reaches the LAN addresses through the gateway, as a neighbour
        on the provider's segment may."""
        self.inet.ip(f"route replace 192.168.77.0/24 via {WAN}\n"
                     f"route replace 192.168.78.0/24 via {WAN}\n")

    def tempdir(self, name):
        path = f"{self.dir}/{name}-{next(_numbers)}"
        os.mkdir(path, 0o755)
        return path

    def close(self):
        if self not in _nets:
            return
        _nets.remove(self)
        for p in self.processes:
            if p.running():
                p.kill()
        for h in self.hosts:
            h.close()
            _remove_namespace(h.ns)
        for p in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.popen.wait(2)
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)


@atexit.register
def _close_all():
    for net in list(_nets):
        net.close()


# What packets prove


def answer_of(sock, size=2048):
    """The next datagram, or None when there is none in the socket's time."""
    try:
        return sock.recv(size)
    except (socket.timeout, ConnectionRefusedError):
        return None


def silent(sock, seconds=0.4):
    """True if nothing arrives for so long."""
    sock.settimeout(seconds)
    try:
        sock.recvfrom(2048)
    except (socket.timeout, ConnectionRefusedError):
        return True
    return False


def fresh_udp(inet, addr="0.0.0.0", timeout=5.0):
    """A socket of the internet host whose port no recent flow has used."""
    while True:
        try:
            return inet.udp(next(_fresh), addr, timeout)
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise


def arrives(inet, sock, port, addr=WAN, timeout=5.0, source=None):
    """Does a datagram that the internet host sends to the gateway's port reach the socket on
    the LAN? The address it came from there, or None. It has to have kept its source, and the
    answer has to come back from where it went."""
    source = source or (REMOTE6 if ":" in addr else None)
    with fresh_udp(inet, source or "0.0.0.0", timeout) as s:
        return comes_through(s, sock, port, addr, timeout, source)


def comes_through(s, sock, port, addr=WAN, timeout=5.0, source=None):
    """The same for a socket that the internet host has already."""
    token = os.urandom(8)
    s.sendto(token, (addr, port))
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data, peer = sock.recvfrom(2048)
        except socket.timeout:
            return None
        if data != token:
            continue  # of an earlier question
        if peer[:2] != (source or REMOTE1, s.getsockname()[1]):
            raise LabError(f"it arrived from {peer}, sent from {s.getsockname()}")
        sock.sendto(b"back " + token, peer)
        s.settimeout(5)
        back, via = s.recvfrom(2048)
        if back != b"back " + token or via[:2] != (addr, port):
            raise LabError(f"the answer came back from {via}: {back!r}")
        return peer[:2]
    return None


def source_seen(sock, inet, remote=REMOTE1):
    """The address and port from which the internet host sees what the LAN socket sends."""
    token = os.urandom(8)
    with inet.udp(addr=remote) as s:
        sock.sendto(token, s.getsockname())
        data, peer = s.recvfrom(2048)
        if data != token:
            raise LabError(f"the internet host received {data!r}")
        return peer


class Prober(threading.Thread):
    """Sends numbered datagrams from the internet host to the gateway's ports, each from a port
    of its own (a new flow), and notes when the last one of each port came through."""

    def __init__(self, inet, targets, interval=0.02):
        super().__init__(daemon=True)
        self.inet, self.interval = inet, interval
        self.targets = targets  # external port -> socket on the LAN
        for sock in targets.values():
            sock.setblocking(False)
        self.last = {}  # port -> when the last one that arrived was sent
        self.first_lost = {}  # port -> when the first one after that was sent
        self.failure = None
        self.done = threading.Event()

    def run(self):
        try:
            while not self.done.is_set():
                self._round()
                self.done.wait(self.interval)
        except Exception as e:  # shown by finish(), in the test's own thread
            self.failure = e

    def _round(self):
        sent = {}
        for port in self.targets:
            with fresh_udp(self.inet) as s:
                token = os.urandom(8)
                sent[port] = token, time.monotonic()
                s.sendto(token, (WAN, port))
        time.sleep(0.005)  # the way through the gateway takes far less
        for port, (token, when) in sent.items():
            if self._received(self.targets[port], token):
                self.last[port] = when
                self.first_lost.pop(port, None)
            else:
                self.first_lost.setdefault(port, when)

    @staticmethod
    def _received(sock, token):
        found = False
        while True:
            try:
                found |= sock.recv(2048) == token
            except BlockingIOError:
                return found

    def finish(self):
        self.done.set()
        self.join(5)
        if self.failure:
            raise self.failure


class Flow(threading.Thread):
    """A running flow, numbered datagrams in both directions, through one port of the gateway."""

    def __init__(self, inet, sock, port, interval=0.005):
        super().__init__(daemon=True)
        self.lan, self.interval = sock, interval
        self.remote = inet.udp(timeout=2)
        self.remote.sendto(b"hello", (WAN, port))
        sock.settimeout(2)
        data, self.peer = sock.recvfrom(64)
        if data != b"hello":
            raise LabError(f"the flow does not begin: {data!r}")
        self.remote.setblocking(False)
        sock.setblocking(False)
        self.port, self.sent = port, 0
        self.inward, self.outward = set(), set()
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(self.interval):
            number = struct.pack("!I", self.sent)
            self.remote.sendto(number, (WAN, self.port))
            self.lan.sendto(number, self.peer)
            self.sent += 1
            self._drain()

    def _drain(self):
        for sock, seen in ((self.lan, self.inward), (self.remote, self.outward)):
            while True:
                try:
                    seen.add(sock.recv(64))
                except BlockingIOError:
                    break

    def finish(self):
        """How many datagrams were sent each way, and how many of them got lost."""
        def whole():
            self._drain()
            return len(self.inward) == len(self.outward) == self.sent
        self.done.set()
        self.join(5)
        with contextlib.suppress(LabError):
            wait_for(whole, 2)
        self.remote.close()
        self.lan.settimeout(2)
        return self.sent, 2 * self.sent - len(self.inward) - len(self.outward)
