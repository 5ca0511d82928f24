# SPDX-License-Identifier: GPL-2.0-or-later
"""What outlives a reboot, and what the disk may do to us. A reboot is played: the daemon ends,
its table goes, and CLOCK_BOOTTIME begins anew in a time namespace."""
import contextlib
import os
import shutil
import signal
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import pytest

import gateway
import natpmp
import net
import pcp
import upnp

pytestmark = pytest.mark.dirty  # each test ends its daemon itself

# Moves itself into a time namespace of its own, then becomes the daemon.
REBOOTED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
NEWTIME = 0x80
def check(result):
    if result:
        raise OSError(ctypes.get_errno(), "time namespace")
check(libc.unshare(NEWTIME))
uptime = float(sys.argv[1])
with open("/proc/self/timens_offsets", "w") as f:
    f.write(f"boottime {int(uptime - __import__('time').clock_gettime(7))} 0")
fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
check(libc.setns(fd, NEWTIME))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Router(gateway.Gateway):
    """A gateway that can be rebooted."""
    uptime = None

    def argv(self, *args):
        plain = super().argv(*args)
        if self.uptime is None:
            return plain
        return [sys.executable, "-c", REBOOTED, str(self.uptime), *plain]

    def power_off(self, orderly=True):
        self.stop() if orderly else self.kill()
        self.host.run("nft", "delete", "table", "inet", "portreeve")

    def reboot(self, orderly=True, uptime=5):
        self.power_off(orderly)
        self.uptime = uptime
        self.start()

    def kept(self):
        """How many leases the file holds; from a copy, as the store has it for itself."""
        copy = self.net.tempdir("copy")
        for name in ("store.db", "store.db-wal"):
            with contextlib.suppress(FileNotFoundError):  # it goes when its process ends
                shutil.copy(f"{self.state}/{name}", copy)
        try:
            with contextlib.closing(sqlite3.connect(f"{copy}/store.db")) as db:
                return db.execute("SELECT count(*) FROM lease").fetchone()[0]
        except sqlite3.DatabaseError:  # caught in the middle of a change
            return None
        finally:
            shutil.rmtree(copy)

    def wait_kept(self, n, timeout=net.PATIENCE):
        net.wait_for(lambda: self.kept() == n, timeout, f"{n} leases in the store", 0.1)


@pytest.fixture
def router():
    with net.Net() as lab:
        g = Router(lab)
        g.start()
        yield g
        if g.process:
            g.stop()
        assert not gateway.problems(g.log(), worst=2)


@pytest.fixture
def console(router):
    with pcp.Client(router.net.console) as c:
        yield c


@contextlib.contextmanager
def small_disk(router):
    """Its state lies on one of 256 kB, from its next start on."""
    router.stop()
    owner = os.stat(router.state)
    net.sh(["mount", "-t", "tmpfs", "-o",
            f"size=256k,mode=0700,uid={owner.st_uid},gid={owner.st_gid}", "none", router.state])
    try:
        yield f"{router.state}/filler"
        if router.process:
            router.stop()
    finally:
        subprocess.run(["umount", "-l", router.state], check=False)


def fill_up(path):
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 4096)


def stable(leases):
    return [{k: v for k, v in l.items() if k not in ("age_s", "remaining_s")} for l in leases]


def test_leases_survive_a_reboot(router, console, port):
    """With the time that was left, nonces, claims and descriptions; packets arrive"""
    a, b, c = port(), port(), port()
    console.get(pcp.UDP, a, lifetime=600)
    igd = upnp.Igd(router.net.console, version=2)
    igd.add("UDP", a, lease=300, description="a game")
    igd.add("TCP", b, lease=0, description="for a week")
    with natpmp.Client(router.net.console2) as pmp:
        pmp.map(natpmp.UDP, c, c, 900)
    before, taken, epoch = router.list(), time.time(), console.address().epoch
    router.reboot(uptime=5)
    after, passed = router.list(), time.time() - taken
    assert stable(after) == stable(before)
    for old, new in zip(before, after):
        # It was off for less than it says it is up, so that is what is counted.
        assert -9 <= new["remaining_s"] - old["remaining_s"] <= -5 + 1
        assert 4 <= new["age_s"] - old["age_s"] <= 9 + passed
    # RFC 6887 8.5: nothing was lost, so the epoch goes on.
    assert 4 <= console.address().epoch - epoch <= 10 + passed
    with router.net.console.udp(a) as s:
        assert net.arrives(router.net.inet, s, a)
    assert console.map(pcp.UDP, a, a, nonce=b"a stranger's").result == pcp.NOT_AUTHORIZED
    assert console.map(pcp.UDP, a, a, 700).lifetime == 700
    assert console.delete(pcp.UDP, a).result == pcp.SUCCESS
    assert router.lease("udp", a)["claims"] == ["upnp"]


def test_a_second_reboot_and_a_lease_that_ran_out(router, console, port):
    a, b = port(), port()
    console.get(pcp.UDP, a, lifetime=600)
    console.map(pcp.UDP, b, b, 4)
    router.reboot(uptime=6)
    assert [l["external_port"] for l in router.list()] == [a]
    router.reboot(uptime=3)
    assert [l["external_port"] for l in router.list()] == [a]
    with router.net.console.udp(b) as s:
        assert not net.arrives(router.net.inet, s, b, timeout=0.3)


def test_a_power_cut_loses_two_seconds_at_most(router, console, port):
    """kill -9 of all; by a new epoch clients see that something may be lost"""
    a, gone = port(), port()
    console.get(pcp.UDP, gone, lifetime=600)
    console.get(pcp.UDP, a, lifetime=600)
    console.delete(pcp.UDP, gone)
    time.sleep(2.2)
    router.reboot(orderly=False, uptime=20)
    at = time.monotonic()
    assert [l["external_port"] for l in router.list()] == [a]
    assert console.address().epoch <= time.monotonic() - at + 3


@pytest.mark.parametrize("full", [False, True], ids=["", "full disk"])
def test_a_power_cut_after_an_orderly_restart(router, console, port, full):
    """What the restarted one has granted, and its store has not written, is lost: a new epoch"""
    a, lost = port(), port()
    with small_disk(router) as filler:
        router.start()
        console.get(pcp.UDP, a, lifetime=600)
        router.wait_kept(1)
        router.stop()
        if full:
            fill_up(filler)
        router.start()
        console.get(pcp.UDP, lost, lifetime=600)
        if full:
            net.wait_for(lambda: "will not survive" in router.log(), 8, "the log's word", 0.1)
        router.power_off(orderly=False)
        if full:
            os.unlink(filler)
        router.uptime = 20
        router.start()
        at = time.monotonic()
        assert [l["external_port"] for l in router.list()] == [a]
        assert console.address().epoch <= time.monotonic() - at + 3


def test_the_kernel_wins_over_the_store(router, console, port):
    """A lease that ended while nobody wrote does not come back when the table is there"""
    a, b = port(), port()
    console.get(pcp.UDP, a, lifetime=600)
    console.get(pcp.UDP, b, lifetime=600)
    router.wait_kept(2)
    gateway.kill(router.process_id("store"), signal.SIGSTOP)
    console.delete(pcp.UDP, a)
    router.kill()
    router.start()
    assert [l["external_port"] for l in router.list()] == [b]
    router.wait_kept(1)


def epoch_of(host):
    return struct.unpack_from("!I", natpmp.served(host), 4)[0]


def test_a_lease_that_somebody_deletes_while_no_core_watches(router, console, port):
    """It has ended, and by a new epoch its host sees that (RFC 6887 8.5); what ended as it should
    begins none"""
    host, a, b, c = router.net.console, port(), port(), port()

    def next_core(deed):
        core = router.process_id("core")
        gateway.kill(core, signal.SIGSTOP)
        router.host.nft(deed)
        gateway.kill(core)
        assert router.cli("status").returncode == 0
        natpmp.served(host)

    console.get(pcp.UDP, a, lifetime=600)
    console.get(pcp.TCP, b, lifetime=600)
    console.get(pcp.UDP, b, lifetime=600)
    router.wait_kept(3)
    console.delete(pcp.TCP, b)
    router.wait_kept(2)
    net.wait_for(lambda: epoch_of(host) >= 4, 6, "an epoch of some age")
    epoch, at = epoch_of(host), time.monotonic()
    next_core("")
    with pcp.Client(host) as again:
        again.get(pcp.UDP, c, lifetime=600)
    router.wait_kept(3)  # it knows what is kept
    assert not pcp.state_lost(epoch, epoch_of(host), time.monotonic() - at)
    next_core(f"delete element inet portreeve leases {{ udp . {a} }}\n")
    net.wait_for(lambda: pcp.state_lost(epoch, epoch_of(host), time.monotonic() - at), 10,
                 "a new epoch", 0.1)
    assert sorted(l["external_port"] for l in router.list()) == sorted([b, c])


def test_remove_ends_what_is_kept(router, console, port):
    console.get(pcp.UDP, port(), lifetime=600)
    router.stop()
    assert router.run("--remove").returncode == 0
    router.start()
    assert router.list() == []


def test_a_killed_store_is_back_and_has_all(router, console, port):
    a, b, c = port(), port(), port()
    console.get(pcp.UDP, a, lifetime=600)
    time.sleep(1.5)
    for p in (b, c):
        old = router.process_id("store")
        gateway.kill(old)
        console.get(pcp.UDP, p, lifetime=600)
        net.wait_for(lambda: any(x["pid"] != old for x in router.processes("store")),
                     what="another store", pause=0.05)
    router.wait_kept(3)
    router.reboot(orderly=False)
    assert sorted(l["external_port"] for l in router.list()) == sorted([a, b, c])


@contextlib.contextmanager
def slow_disk(pid, seconds):
    """Each fsync of that process takes so long. Yields what tells of them: the last line is not
    at its end while one runs."""
    calls = "fsync,fdatasync"
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as trace, subprocess.Popen(
            ["strace", "-qf", "-o", trace.name, "-p", str(pid), "-e", f"trace={calls}",
             "-e", f"inject={calls}:delay_enter={seconds}000000"]) as tracer:
        def tell():
            trace.seek(0)
            return trace.read()
        try:
            net.wait_for(lambda: gateway.proc_status(pid)["TracerPid"] == str(tracer.pid), 5,
                         "strace")
            yield tell
        finally:
            tracer.terminate()


def test_an_fsync_of_five_seconds(router, console, port):
    """Issue 5: everybody is served while one lasts; a core that is killed then is back as ever,
    with its epoch, and nothing is lost"""
    before, a, b = port(), port(), port()
    console.get(pcp.UDP, before, lifetime=600)
    router.wait_kept(1)
    with natpmp.Client(router.net.console2) as pmp:
        with slow_disk(router.process_id("store"), 5) as fsyncs:
            console.get(pcp.UDP, a, lifetime=600)
            net.wait_for(lambda: fsyncs() and fsyncs()[-1] != "\n", 5, "an fsync", 0.01)
            this, answers = fsyncs(), 0
            while fsyncs() == this and answers < 60:
                assert pmp.map(natpmp.TCP, b, b, 600).external == b
                assert console.map(pcp.UDP, a, a, 600).external == a
                answers += 2
            assert answers > 10, "none comes before it ends"
            epoch = pmp.address().epoch
            gateway.kill(router.process_id("core"))
            natpmp.served(router.net.console2)
            assert {l["external_port"] for l in router.list()} == {before, a, b}
    router.wait_kept(3, 15)
    assert epoch_of(router.net.console2) >= epoch
    router.reboot(orderly=False)
    assert {l["external_port"] for l in router.list()} == {before, a, b}


def test_a_store_that_stands_still_holds_nobody_up(router, console, port):
    """As by an fsync that takes seconds: answers come as before, and nothing is lost"""
    first, then = ([port() for _ in range(5)] for _ in range(2))

    def slowest(ports):
        """How long all but two of 200 took at most."""
        took = []
        for n in range(200):
            began = time.monotonic()
            assert console.map(pcp.UDP, ports[n % 5], ports[n % 5], 600).result == pcp.SUCCESS
            took.append(time.monotonic() - began)
        return statistics.quantiles(took, n=100)[98]
    before = slowest(first)
    gateway.kill(router.process_id("store"), signal.SIGSTOP)
    assert slowest(then) < before + 0.1
    time.sleep(3)
    console.delete(pcp.UDP, then[0])
    gateway.kill(router.process_id("store"), signal.SIGCONT)
    router.wait_kept(9)
    router.reboot(orderly=False)
    assert sorted(l["external_port"] for l in router.list()) == sorted(first + then[1:])


@pytest.mark.parametrize("damage", ["garbage", "short", "schema"])
def test_a_damaged_file_costs_what_was_in_it(router, console, port, damage):
    path = f"{router.state}/store.db"
    console.get(pcp.UDP, port(), lifetime=600)
    router.power_off()
    if damage == "schema":
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("ALTER TABLE lease RENAME TO release")
        owner = os.stat(router.state)
        for name in os.listdir(router.state):
            os.chown(f"{router.state}/{name}", owner.st_uid, owner.st_gid)
    else:
        with open(path, "r+b") as f:
            f.truncate(6000)
            if damage == "garbage":
                f.write(b"?" * 8000)
    router.start()
    assert os.path.exists(path + ".damaged")
    assert "moved" in router.log()
    p = port()
    console.get(pcp.UDP, p, lifetime=600)
    router.reboot()
    assert [l["external_port"] for l in router.list()] == [p]


def test_a_full_disk_costs_persistence_only(router, console, port):
    a, b = port(), port()
    with small_disk(router) as filler:
        router.start()
        console.get(pcp.UDP, a, lifetime=600)
        router.wait_kept(1)
        fill_up(filler)
        console.get(pcp.UDP, b, lifetime=600)
        net.wait_for(lambda: "will not survive a reboot" in router.log(), 8, "the log's word", 0.1)
        assert console.map(pcp.UDP, b, b, 500).result == pcp.SUCCESS
        assert len(router.list()) == 2
        os.unlink(filler)
        router.wait_kept(2, 40)


def test_what_the_disk_gives_late_is_put_beside_what_there_is(router, console, port):
    """The file is locked at the start: hosts are served at once, leases come when they can, but
    not one that its host has given up by then"""
    a, b, ended = port(), port(), port()
    for p in (a, b, ended):
        console.get(pcp.UDP, p, lifetime=600)
    router.power_off()
    lock = sqlite3.connect(f"{router.state}/store.db", isolation_level=None)
    try:
        lock.execute("PRAGMA locking_mode = EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        router.start()
        assert time.monotonic() - began < 3 + 3 * gateway.sanitized()
        assert router.list() == []
        with natpmp.Client(router.net.console2) as other:  # takes what another one had
            assert other.map(natpmp.UDP, b, b, 600).external == b
        with pcp.Client(router.net.console) as other:
            other.delete(pcp.UDP, a, b"a stranger's")
        assert console.delete(pcp.UDP, ended).result == pcp.SUCCESS
    finally:
        lock.close()
    net.wait_for(lambda: router.lease("udp", a), 20, "the lease that was kept", 0.1)
    assert router.lease("udp", b)["internal_address"] == net.CONSOLE2
    assert router.lease("udp", ended) is None
    with router.net.console.udp(a) as s:
        assert net.arrives(router.net.inet, s, a)


def test_the_history_tells_what_happened_and_why(router, console, port):
    a = port()
    console.get(pcp.UDP, a, lifetime=600)
    console.delete(pcp.UDP, a)
    for _ in range(3):
        assert console.map(pcp.UDP, 22, 22).result != pcp.SUCCESS
    with natpmp.Client(router.net.console2) as other:
        b = port()
        other.map(natpmp.TCP, b, b, 900)
    events = router.json("history")["events"]
    assert [(e["event"], e["external_port"], e["reason"]) for e in events] == [
        ("granted", a, None), ("ended", a, "deleted"), ("refused", 22, "access"),
        ("granted", b, None)]
    assert all(abs(e["time"] - time.time()) < 30 for e in events)
    assert [e["external_port"] for e in router.json(
        "history", "--host", net.CONSOLE2)["events"]] == [b]
    assert len(router.json("history", "--port", f"udp/{a}", "--since", "1h")["events"]) == 2
    assert router.json("history", "--port", f"tcp/{a}")["events"] == []
    assert "refused" in router.cli("history").stdout
    router.reboot()
    events = router.json("history")["events"]
    assert [e["event"] for e in events][-2:] == ["granted", "restored"] or \
        events[-1]["event"] == "restored"
    assert events[-1]["times"] == 1


def test_a_long_history_comes_in_pages(router, console, port):
    p = port()
    for _ in range(100):
        console.get(pcp.UDP, p, lifetime=600)
        console.delete(pcp.UDP, p)
    events = router.json("history")["events"]
    assert [e["event"] for e in events] == ["granted", "ended"] * 100
    assert len({e["id"] for e in events}) == 200


@pytest.mark.seconds(150)
@pytest.mark.alone
def test_ten_thousand_leases_are_back_in_half_a_second(router):
    router.stop()
    router.configure(gateway.CONFIG.replace("per-host = 4096", "per-host = 20000"))
    router.start()
    with natpmp.Client(router.net.console) as c:
        for p in range(20000, 30000):
            assert c.map(natpmp.UDP, p, p, 3600).result == 0

    def back():
        router.power_off()
        began = time.monotonic()
        router.start()
        took = time.monotonic() - began
        assert len(router.list()) == 10000
        return took * 1000

    def next_core():
        """A core that dies finds them all in the kernel again."""
        with natpmp.Client(router.net.console, timeout=0.01) as c:
            gateway.kill(router.process_id("core"))
            began = time.monotonic()
            net.wait_for(lambda: c.ask(natpmp.map_request(natpmp.UDP, 20000, 20000)),
                         what="an answer of the next core", pause=0)
            took = time.monotonic() - began
        assert len(router.list()) == 10000
        return took * 1000
    # Of three: what else the machine does can only add to it.
    ready, answer = zip(*((back(), next_core()) for _ in range(3)))
    print("with 10,000 leases, ms: ready after", *map(round, ready),
          "and the next core's first answer after", *map(round, answer))
    assert (min(ready) < 500 and min(answer) < 150) or gateway.sanitized()
