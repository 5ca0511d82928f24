# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed systemd unit, read and obeyed without systemd: portreeved with the unit's own
command, directories, capabilities, mounts and system call filters."""
import os
import re
import shlex
import socket
import struct
import subprocess
import time

import gateway
import net

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What concerns the manager itself: how it waits, stops and starts again.
MANAGER = {"Type", "NotifyAccess", "ExecStart", "ExecReload", "WatchdogSec", "KillMode",
           "TimeoutStopSec", "Restart", "RestartSec", "RestartPreventExitStatus",
           "RuntimeDirectoryMode", "RuntimeDirectoryPreserve"}
# What adds nothing here: a mount namespace is made anyway; the others are about calls and files
# that the bounding set and the list of calls deny already.
IMPLIED = {"PrivateMounts", "ProtectClock", "ProtectHostname", "ProtectKernelModules"}
FILTERS = {"MemoryDenyWriteExecute": "no-exec-memory", "RestrictNamespaces": "no-namespaces",
           "RestrictRealtime": "no-realtime", "RestrictSUIDSGID": "no-suid-files",
           "LockPersonality": "no-personality"}
DEVICES = "null", "zero", "full", "random", "urandom", "tty"


def parse(*texts):
    """{directive: [values]} of [Service]; of a drop-in's the last counts, an empty one resets."""
    found, section = {}, None
    for line in "\n".join(texts).splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
            if not value:
                found[key] = []
    return found


def calls(words):
    """The system calls of a SystemCallFilter= line, its groups written out by systemd."""
    names = set()
    for word in words:
        if word.startswith("@"):
            text = subprocess.run(["systemd-analyze", "syscall-filter", word], text=True,
                                  capture_output=True, check=True).stdout
            names |= calls(re.findall(r"^    ([@\w-]+)$", text, re.M))
        else:
            names.add(word)
    return names


class Unit:
    """A unit file, with drop-ins."""

    def __init__(self, path, *dropins):
        texts = []
        for p in (path, *dropins):
            with open(p, encoding="utf-8") as f:
                texts.append(f.read())
        self.path, self.values = path, parse(*texts)

    def one(self, key, default=""):
        return self.values.get(key, [default])[-1]

    def on(self, key):
        return self.one(key) == "yes"

    def unknown(self):
        """Directives that nothing here applies."""
        applied = {"CapabilityBoundingSet", "NoNewPrivileges", "RuntimeDirectory",
                   "ReadWritePaths", "UMask", "ProtectSystem", "ProtectHome", "ProtectProc",
                   "PrivateTmp", "PrivateDevices", "ProtectControlGroups", "ProtectKernelLogs",
                   "ProtectKernelTunables", "RestrictAddressFamilies",
                   "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber"}
        return set(self.values) - applied - MANAGER - IMPLIED - set(FILTERS)

    def filters(self):
        """The lines for tests/lab/shut_in."""
        allowed = set()
        for value in self.values["SystemCallFilter"]:
            if value.startswith("~"):
                allowed -= calls(value[1:].split())
            else:
                allowed |= calls(value.split())
        families = [int(getattr(socket, f)) for f in self.one("RestrictAddressFamilies").split()]
        lines = [f"families {' '.join(map(str, families))}",
                 *(line for key, line in FILTERS.items() if self.on(key)),
                 f"calls {' '.join(sorted(allowed))}"]
        return "\n".join(lines) + "\n"

    def mounts(self, keep, runtime, state):
        """A shell script that makes the unit's view of the files; keep: what has to be seen
        even if it lies where the unit shows nothing, as a build in /tmp does."""
        def hide(path, options):
            return f"mount -t tmpfs -o {options} tmpfs {path}"
        lines = ["set -eu", "mount --make-rprivate /", "mkdir -p $KEEP",
                 "mount -t tmpfs -o mode=755 tmpfs $KEEP"]
        for n, path in enumerate(keep):
            lines += [f"mkdir $KEEP/{n}", f"mount --rbind {path} $KEEP/{n}"]
        if self.on("PrivateDevices"):
            lines += ["mkdir $KEEP/dev"]
            lines += [f"touch $KEEP/dev/{d}; mount --bind /dev/{d} $KEEP/dev/{d}" for d in DEVICES]
        lines += [f"mkdir $KEEP/run $KEEP/state; mount --bind {runtime} $KEEP/run",
                  f"mount --bind {state} $KEEP/state"]
        if self.one("ProtectProc") == "invisible":
            lines += ["mount -t proc -o nosuid,nodev,noexec,hidepid=invisible proc /proc"]
        if self.on("PrivateTmp"):
            lines += [hide(p, "mode=1777") for p in ("/tmp", "/var/tmp")]
        if self.on("ProtectHome"):
            # 755, not 000: the build may lie in there.
            lines += [hide(p, "mode=755") for p in ("/home", "/root")]
        if self.on("PrivateDevices"):
            lines += ["mount --rbind $KEEP/dev /dev"]
        lines += [hide(p, "mode=755") for p in ("/run", "/var/lib")]
        for n, path in enumerate(keep):
            lines += [f"mkdir -p {path}", f"mount --rbind $KEEP/{n} {path}"]
        lines += [f"mkdir -p /run/systemd /run/{self.one('RuntimeDirectory')} /var/lib/portreeve",
                  f"mount --bind $KEEP/run /run/{self.one('RuntimeDirectory')}",
                  "mount --bind $KEEP/state /var/lib/portreeve"]
        if self.one("ProtectSystem") == "strict":
            writable = ["/proc", "/sys", "/dev", "/tmp", "/var/tmp",
                        f"/run/{self.one('RuntimeDirectory')}",
                        *self.one("ReadWritePaths").split()]
            # All mounts at once, then those back that may be written.
            lines += ["mount -o remount,bind,ro /",
                      "cut -d' ' -f2 /proc/self/mounts | sort -u | while read -r m; do",
                      f"case $m in {'|'.join(f'{w}|{w}/*' for w in writable)}) ;;",
                      "*) mount -o remount,bind,ro \"$m\" 2>/dev/null || :;; esac; done"]
        for key, paths in (("ProtectKernelTunables", ("/proc/sys", "/sys")),
                           ("ProtectControlGroups", ("/sys/fs/cgroup",))):
            if self.on(key):
                lines += [f"mount --rbind {p} {p}; mount -o remount,bind,ro {p}" for p in paths]
        if self.on("ProtectKernelLogs"):
            lines += ["mount --bind /dev/null /proc/kmsg"]
        return "\n".join(lines) + "\n"


class UnitGateway(gateway.Gateway):
    """A daemon that runs as the unit says. Its notifications are read by messages()."""

    def __init__(self, lab, unit, config, watchdog_usec=None):
        super().__init__(lab, config)
        self.unit, self.usec = unit, watchdog_usec
        self.said, self.senders = [], set()
        self.notify_dir = lab.tempdir("notify")

    def start(self, ready=True, timeout=15):
        build = os.path.abspath(os.environ.get("PORTREEVE_BUILD") or TOP)
        start = shlex.split(self.unit.one("ExecStart"))
        config = start[start.index("--config") + 1]
        base = f"{self.notify_dir}.unit"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        path = f"{self.notify_dir}/notify"
        if os.path.exists(path):
            os.unlink(path)
        self.notify.bind(path)
        os.chmod(path, 0o666)
        with open(f"{base}.filters", "w", encoding="utf-8") as f:
            f.write(self.unit.filters())
        os.makedirs(os.path.dirname(config), exist_ok=True)
        if not os.path.exists(config):
            raise net.LabError(f"{config} is not installed")
        keep = [build, self.notify_dir, os.path.dirname(self.config)]
        caps = "".join(f",+{c.removeprefix('CAP_').lower()}"
                       for c in self.unit.one("CapabilityBoundingSet").split())
        env = {"NOTIFY_SOCKET": "/run/systemd/notify", "JOURNAL_STREAM": "0:0"}
        if self.usec:
            env["WATCHDOG_USEC"] = str(self.usec)
        if os.environ.get("ASAN_OPTIONS"):
            env["ASAN_OPTIONS"] = os.environ["ASAN_OPTIONS"]
        script = (self.unit.mounts(keep, self.runtime, self.state).replace("$KEEP", "/mnt")
                  .replace("mkdir -p /run/systemd ",
                           "mkdir -p /run/systemd; mount --bind "
                           f"{self.notify_dir} /run/systemd; mkdir -p ", 1)
                  .replace("mount -o remount,bind,ro /\n",
                           f"mount --bind {self.config} {config}\nmount -o remount,bind,ro /\n", 1)
                  + f"umask {self.unit.one('UMask')}; cd /\n"
                  + "exec env -i " + " ".join(f"{k}={v}" for k, v in env.items())
                  + f" setpriv --bounding-set -all{caps} --inh-caps -all"
                  + (" --no-new-privs" if self.unit.on("NoNewPrivileges") else "")
                  + f" {build}/tests/lab/shut_in {base}.filters {shlex.join(start)}\n")
        with open(f"{base}.sh", "w", encoding="utf-8") as f:
            f.write(script)
        self.process = self.host.start("unshare", "--mount", "sh", f"{base}.sh")
        gateway.Gateway.alive.append(self)
        if ready:
            self.wait_ready(timeout)

    def argv(self, *args):
        raise NotImplementedError("the unit says how")

    def message(self, seconds):
        """The next notification, a dict; None if there is none in that time."""
        self.notify.settimeout(max(seconds, 0.001))
        try:
            data, control, _, _ = self.notify.recvmsg(4096, 256)
        except socket.timeout:
            return None
        for level, kind, raw in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self.senders.add(struct.unpack("iII", raw[:12])[0])
        message = dict(line.partition("=")[::2] for line in data.decode().splitlines())
        self.said.append(message)
        return message

    def hear(self, key, timeout=5.0):
        """Waits for a notification that has the key, and returns it."""
        return net.wait_for(lambda: (lambda m: m and key in m and m)(self.message(0.1)), timeout,
                            f"{key} (heard {self.said})\n{self.log()[-2000:]}")

    def ready(self, timeout=0.0):
        deadline = time.monotonic() + timeout
        while True:
            message = self.message(min(0.1, timeout))
            if message and "READY" in message:
                return True
            if time.monotonic() >= deadline or not self.process.running():
                return False

    def reload_by_unit(self):
        """The unit's ExecReload, with the lab's runtime directory in place of the unit's."""
        argv = [self.runtime if a == f"/run/{self.unit.one('RuntimeDirectory')}" else a
                for a in shlex.split(self.unit.one("ExecReload"))]
        return subprocess.run(argv, capture_output=True, text=True, timeout=10)
