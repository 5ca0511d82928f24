# SPDX-License-Identifier: GPL-2.0-or-later
"""portreeved on the lab's gateway, with directories of its own. PORTREEVE_BUILD is where it was
built, or a prefix under which it was installed."""
import functools
import grp
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import time

import net

# More than the defaults, because one console of the lab asks for what a thousand would.
CONFIG = """wan "wan0" {}
lan "br-lan" {}
lan "br-guest" {}
limits { per-host = 4096  requests-per-second = 100000 }
min-lifetime = "1s"
"""
NAMES = {"portreeved", "portreeve-igd"}


class Programs:
    """Where the three programs are, and what an uninstalled daemon has to be told."""

    def __init__(self):
        self.top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        build = os.path.abspath(os.environ.get("PORTREEVE_BUILD") or self.top)
        for root in (build, f"{build}/root"):  # installed there
            if os.path.exists(f"{root}/sbin/portreeved"):
                self.daemon, self.cli = f"{root}/sbin/portreeved", f"{root}/bin/portreeve"
                self.igd, self.args = f"{root}/libexec/portreeve/portreeve-igd", []
                return
        self.daemon, self.cli = f"{build}/portreeved", f"{build}/portreeve"
        self.igd, self.args = f"{build}/portreeve-igd", ["--libexec-dir", build]

    def missing(self):
        return [p for p in (self.daemon, self.cli, self.igd) if not os.access(p, os.X_OK)]


@functools.cache
def sanitized():
    """Built with ASan: slower by an unknown factor."""
    with open(Programs().daemon, "rb") as f:
        return b"__asan_init" in f.read()


def add_users():
    """The two users and the group, where make install has not been."""
    for name in ("portreeve", "portreeve-net"):
        try:
            pwd.getpwnam(name)
            continue
        except KeyError:
            pass
        try:
            grp.getgrnam(name)
            group = ["--gid", name]
        except KeyError:
            group = ["--user-group"]
        net.sh(["useradd", "--system", *group, "--no-create-home", "--home-dir", "/nonexistent",
                "--shell", "/usr/sbin/nologin", name])


class Gateway:
    """One daemon. A context manager: start() on the way in, an orderly stop on the way out."""
    alive = []

    def __init__(self, lab, config=CONFIG, args=(), kernel=None):
        self.net, self.host, self.programs = lab, lab.gw, Programs()
        self.state, self.runtime = lab.tempdir("state"), lab.tempdir("run")
        owner = pwd.getpwnam("portreeve")
        os.chown(self.state, owner.pw_uid, owner.pw_gid)
        os.chmod(self.state, 0o700)
        self.config = f"{self.runtime}.conf"
        self.configure(config)
        self.args = list(args) + ([f"--assume-kernel={kernel}"] if kernel else [])
        self.process = None
        self.log_mark = 0
        self.earlier = ""  # what the processes before a restart have logged

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def configure(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def argv(self, *args):
        return [self.programs.daemon, "--foreground", "--config", self.config, "--state-dir",
                self.state, "--runtime-dir", self.runtime, *self.programs.args, *self.args, *args]

    def run(self, *args, timeout=net.PATIENCE, **kwargs):
        """Runs the daemon to its end: for what has to fail, or --check-config."""
        env = {k: v for k, v in os.environ.items() if k not in ("JOURNAL_STREAM", "NOTIFY_SOCKET")}
        return self.host.run(*self.argv(*args), timeout=timeout, env=env, **kwargs)

    def start(self, ready=True, timeout=2 * net.PATIENCE):
        path = f"{self.runtime}.notify"
        if os.path.exists(path):
            os.unlink(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        os.chmod(path, 0o666)
        # As under systemd: each line of the log begins with its level.
        env = dict(os.environ, NOTIFY_SOCKET=path, JOURNAL_STREAM="0:0")
        self.process = self.host.start(*self.argv(), env=env)
        Gateway.alive.append(self)
        if ready:
            self.wait_ready(timeout)

    def ready(self, timeout=0.0):
        """Has the daemon said READY=1 by now, or within the timeout?"""
        deadline = time.monotonic() + timeout
        while True:
            self.notify.settimeout(max(min(deadline - time.monotonic(), 0.1), 0.001))
            try:
                if b"READY=1" in self.notify.recv(4096):
                    return True
            except socket.timeout:
                pass
            if time.monotonic() >= deadline or not self.process.running():
                return False

    def wait_ready(self, timeout=2 * net.PATIENCE):
        if not self.ready(timeout):
            running = self.process.running()
            log = self.process.errors()
            self.kill()
            raise net.LabError(f"portreeved {'is not ready' if running else 'ended'}:\n{log}")

    def pids(self):
        """All its processes, by what they run: also those that status does not name."""
        found = []
        for pid in net.processes_in(self.host.ns):
            try:
                exe = os.readlink(f"/proc/{pid}/exe")
            except OSError:
                continue
            if os.path.basename(exe.removesuffix(" (deleted)")) in NAMES:
                found.append(pid)
        return found

    def kill(self):
        """SIGKILL to every process at once. Table and leases stay in the kernel."""
        killed, found = [], ([self.process.pid] if self.process else []) + self.pids()
        while found:  # stopped first, else some would hear of the end of others, and say good-bye
            for pid in found:
                kill(pid, signal.SIGSTOP)
            killed += found
            found = [pid for pid in self.pids() if pid not in killed]  # perhaps just started
        for pid in killed:
            kill(pid)
        net.wait_for(lambda: not self.pids() and all(map(closed, killed)),
                     what="the end of all portreeve processes")
        self.ended()

    def stop(self, timeout=net.PATIENCE):
        """An orderly end; nobody may be left over. Table and leases stay in the kernel."""
        if not self.process:
            return None
        status = self.process.stop(timeout)
        left = self.pids()
        for pid in left:
            kill(pid)
        log = self.process.errors()
        self.ended()
        if left:
            raise AssertionError(f"{len(left)} processes outlived their parent\n{log}")
        if status:
            raise AssertionError(f"portreeved ended with {status}\n{log}")
        return status

    def ended(self):
        """Tidies up after a process that is no more."""
        self.process.popen.wait(5)
        self.earlier += self.process.errors()
        self.process = None
        self.notify.close()
        if self in Gateway.alive:
            Gateway.alive.remove(self)

    def log(self):
        return self.earlier + (self.process.errors() if self.process else "")

    def reload(self, text=None):
        """Applies another configuration, or the file as it is: how many leases that ended."""
        if text is not None:
            self.configure(text)
        return self.json("reload")["ended"]

    # The command

    def cli(self, *args, timeout=net.PATIENCE, **kwargs):
        return subprocess.run([self.programs.cli, "--runtime-dir", self.runtime, *args],
                              capture_output=True, text=True, timeout=timeout, **kwargs)

    def json(self, *args):
        done = self.cli(*args, "--json")
        if done.returncode:
            raise net.LabError(f"portreeve {' '.join(args)}: exit {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)

    def list(self):
        return self.json("list")["leases"]

    def lease(self, protocol, port):
        """The lease of that external port, or None."""
        for lease in self.list():
            if (lease["protocol"], lease["external_port"]) == (protocol, port):
                return lease
        return None

    def leases_of(self, host):
        return [l for l in self.list() if l["internal_address"] == host.addr]

    def clear(self):
        """Ends every lease, for the test that comes next; static forwards are no leases."""
        for key in {f"{l['protocol']}/{l['external_port']}" for l in self.list()
                    if l["origin"] != "static"}:
            done = self.cli("delete", key)
            if done.returncode and "no lease on" not in done.stderr:  # it ran out meanwhile
                raise net.LabError(f"portreeve delete: {done.stderr}")

    def processes(self, role=None, lan=None):
        return [p for p in self.json("status")["processes"]
                if role in (None, p["role"]) and lan in (None, p["lan"])]

    def process_id(self, role, lan=None):
        return self.processes(role, lan)[0]["pid"]


def kill(pid, sig=signal.SIGKILL):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def closed(pid):
    """Has that process ended, its descriptors too? It has no program long before, and its first
    thread may end ahead of others."""
    try:
        return all(proc_status(f"{pid}/task/{tid}")["State"][0] in "ZX"
                   for tid in os.listdir(f"/proc/{pid}/task"))
    except (OSError, KeyError):
        return not os.path.exists(f"/proc/{pid}")


def proc_status(pid):
    """/proc/PID/status as a dict of strings."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return {k: v.strip() for k, _, v in (line.partition(":") for line in f)}


def problems(log, worst=3):
    """Lines that a sanitizer has left, or a log level up to that one (3: error)."""
    return [l for l in log.splitlines()
            if re.search(rf"runtime error:|ERROR: \w+Sanitizer|^<[0-{worst}]>", l)]
