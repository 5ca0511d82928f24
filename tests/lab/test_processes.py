# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel says of the processes' power: /proc, not our own word."""
import os
import pwd
import signal
import sys
import time

import pytest

import gateway
import natpmp
import net
import upnp

CAP_NET_ADMIN = 1 << 12
WORKERS = [("igd", "br-lan"), ("igd", "br-guest"), ("pcp", "br-lan"), ("pcp", "br-guest"),
           ("trigger", None)]


def uids(status):
    return {int(u) for u in status["Uid"].split()}


def powers(status):
    return {k: int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@pytest.mark.parametrize("role,lan", WORKERS)
def test_a_worker_has_no_power(gw, role, lan):
    status = gateway.proc_status(gw.process_id(role, lan))
    assert uids(status) == {pwd.getpwnam("portreeve-net").pw_uid}
    assert set(powers(status).values()) == {0}
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"


def test_the_core_has_only_net_admin(gw):
    status = gateway.proc_status(gw.process_id("core"))
    assert uids(status) == {pwd.getpwnam("portreeve").pw_uid}
    caps = powers(status)
    assert caps["CapEff"] == CAP_NET_ADMIN
    assert caps["CapPrm"] == CAP_NET_ADMIN
    assert caps["CapBnd"] in (0, CAP_NET_ADMIN)
    assert caps["CapInh"] in (0, CAP_NET_ADMIN) and caps["CapAmb"] in (0, CAP_NET_ADMIN)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"


def test_nobody_but_the_parent_is_root(gw):
    parent = gw.process_id("parent")
    assert parent == gw.process.pid
    for pid in gw.pids():
        status = gateway.proc_status(pid)
        if pid != parent:
            assert 0 not in uids(status), status["Name"]
            assert "0" not in status["Groups"].split(), status["Name"]


def test_status_names_every_process_and_its_user(gw):
    """prior-art 4.5"""
    listed = gw.processes()
    assert {p["pid"] for p in listed} == set(gw.pids())
    for p in listed:
        uid = int(gateway.proc_status(p["pid"])["Uid"].split()[0])
        assert p["user"] == pwd.getpwuid(uid).pw_name
    roles = [(p["role"], p["lan"]) for p in listed]
    assert {("parent", None), ("core", None), *WORKERS} <= set(roles)
    assert len(listed) <= 4 + 2 * 2


def test_workers_hold_no_socket_but_their_own(gw, lab):
    """Nobody but the core has a netlink socket, but for the packet log that trigger reads; the
    control socket is not a worker's"""
    with open(f"/proc/{gw.process_id('core')}/net/netlink", encoding="utf-8") as f:
        netlink = {line.split()[-1] for line in f}
    for role, lan in WORKERS:
        pid = gw.process_id(role, lan)
        targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        theirs = [t for t in targets if t.startswith("socket:[") and t[8:-1] in netlink]
        assert len(theirs) == (role == "trigger"), (role, theirs)


def test_a_netlink_socket_gives_its_holder_no_power(gw, lab):
    """The packet log's was opened with CAP_NET_ADMIN; whoever sends by it needs that himself"""
    code = ("import os, socket, struct\n"
            "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)\n"
            "s.bind((0, 0))\n"
            "def ask():\n"
            "  body = struct.pack('!BBH', 1, 0, 0)\n"
            "  s.send(struct.pack('=LHHLL', 20, 10 << 8 | 16, 1, 1, 0) + body)\n"  # GETGEN
            "  return struct.unpack_from('=iHHIIi', s.recv(4096))\n"
            "def refused():\n"
            "  answer = ask()\n"
            "  return answer[1] == 2 and answer[5] == -1\n"  # NLMSG_ERROR, EPERM
            "before = refused()\n"
            "os.setresuid(65534, 65534, 65534)\n"
            "print(before, refused())\n")
    assert lab.gw.run("python3", "-c", code, check=True).stdout == "False True\n"


def test_the_directories_are_their_owners(gw):
    state, runtime = os.stat(gw.state), os.stat(gw.runtime)
    assert state.st_uid == pwd.getpwnam("portreeve").pw_uid and state.st_mode & 0o777 == 0o700
    assert runtime.st_uid == 0 and not runtime.st_mode & 0o022
    control = os.stat(f"{gw.runtime}/control")
    assert control.st_mode & 0o777 == 0o660
    assert control.st_gid == pwd.getpwnam("portreeve").pw_gid
    with open(f"{gw.runtime}/portreeved.pid", encoding="utf-8") as f:
        assert int(f.read()) == gw.process.pid


def test_only_root_changes_anything(gw, lab, port):
    """The group may read; a change needs uid 0"""
    with natpmp.Client(lab.console) as c:
        p = c.get(natpmp.UDP, port())
    def demote():
        os.setgroups([])
        os.setgid(pwd.getpwnam("portreeve").pw_gid)
        os.setuid(65534)
    assert gw.cli("list", preexec_fn=demote).returncode == 0
    done = gw.cli("delete", f"udp/{p}", preexec_fn=demote)
    assert done.returncode == 77 and done.stderr.count("\n") == 1
    assert gw.lease("udp", p)
    def nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    assert gw.cli("list", preexec_fn=nobody).returncode in (69, 77)


def test_a_stopped_worker_is_replaced(lab, gw):
    """The watchdog: a worker that lives and does nothing"""
    old = gw.process_id("pcp", "br-lan")
    gateway.kill(old, signal.SIGSTOP)
    natpmp.served(lab.console, timeout=40)
    assert gw.process_id("pcp", "br-lan") != old
    assert not os.path.exists(f"/proc/{old}")


HOLD = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
for tid in map(int, sys.argv[1:]):
    for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT
        if libc.ptrace(request, tid, 0, 0):
            sys.exit(os.strerror(ctypes.get_errno()))
print("held", flush=True)
while True:
    try:
        os.waitpid(-1, 0x40000000)  # __WALL: they are ours to reap
    except ChildProcessError:
        break
"""


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def stopped(task):
    return gateway.proc_status(task)["State"][0] in "Tt"


def hangs(host, pid):
    """Holds all threads of a process but its first one."""
    others = [t for t in threads(pid) if int(t) != pid]
    assert others
    holder = host.start(sys.executable, "-c", HOLD, *others)
    net.wait_for(lambda: "held" in holder.output() or not holder.running(), what="the threads")
    assert holder.running(), holder.errors()
    net.wait_for(lambda: all(stopped(f"{pid}/task/{t}") for t in others), what="them to stop")


@pytest.mark.seconds(90)
@pytest.mark.parametrize("what", ["the worker", "only libupnp"])
def test_an_igd_worker_that_hangs_is_replaced(lab, gw, what):
    """The watchdog: SIGSTOP, or libupnp's threads stand still while our own goes on"""
    old = gw.process_id("igd", "br-lan")
    others = {p["pid"] for p in gw.processes()} - {old}
    if what == "the worker":
        gateway.kill(old, signal.SIGSTOP)
        net.wait_for(lambda: all(stopped(f"{old}/task/{t}") for t in threads(old)),
                     what="all its threads to stop")
    else:
        hangs(lab.gw, old)
        assert upnp.Igd(lab.console).call("GetExternalIPAddress")
    assert upnp.search(lab.console, upnp.IGD1, window=0.3) == []
    began = time.monotonic()
    net.wait_for(lambda: upnp.search(lab.console, upnp.IGD1, window=0.3, enough=1), 40,
                 "a new worker's answer", 0.1)
    print(time.monotonic() - began)
    assert gw.process_id("igd", "br-lan") != old
    net.wait_for(lambda: not os.path.exists(f"/proc/{old}"), what="its end")
    assert others <= {p["pid"] for p in gw.processes()}
    assert upnp.Igd(lab.console).call("GetExternalIPAddress")


def test_a_worker_that_only_waits_is_left_alone(lab, gw):
    """Nobody asks, and libupnp answers the watchdog's own search: nothing of that is sent"""
    pids = {p["pid"] for p in gw.processes()}
    with lab.console.capture() as cap, lab.guest.capture() as guest:
        time.sleep(12)  # more than two rounds of the watchdog
        assert not [p for p in cap.udp(upnp.PORT) + guest.udp(upnp.PORT)
                    if not p.payload.startswith(b"NOTIFY")]
    assert {p["pid"] for p in gw.processes()} == pids


def test_ctrl_c_says_byebye():
    """A terminal sends SIGINT to the whole group, not to the parent alone"""
    with net.Net() as own, own.console.capture() as cap:
        g = gateway.Gateway(own)
        g.start()
        g.process.kill(signal.SIGINT)
        g.process.wait(5)
        net.wait_for(lambda: not g.pids(), what="the end of all processes")
        g.ended()
        targets = {p.payload.split(b"NT: ")[1].split(b"\r\n")[0].decode()
                   for p in cap.udp(upnp.PORT) if b"ssdp:byebye" in p.payload}
        assert {upnp.IGD1, upnp.IGD2} <= targets


@pytest.mark.dirty
def test_when_the_parent_dies_all_end_and_the_leases_stay(lab, port):
    with net.Net() as own:
        g = gateway.Gateway(own)
        g.start()
        with natpmp.Client(own.console) as c:
            p = c.get(natpmp.UDP, port())
        gateway.kill(g.process.pid)
        net.wait_for(lambda: not g.pids(), what="the end of all processes")
        g.ended()
        with own.console.udp(p) as s:
            assert net.arrives(own.inet, s, p)
