# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs people have: upnpc, natpmpc, python3-miniupnpc, libtorrent, transmission-daemon,
qbittorrent-nox, and what JavaScript programs use."""
import json
import os
import re
import sys

import net

# libtorrent asks by PCP first and falls back to NAT-PMP; with upnp it does both at once. It
# prints one JSON line per alert and, told to end, deletes what it mapped.
LIBTORRENT = r"""
import json, signal, sys, time
import libtorrent as lt
addr, port, natpmp, upnp = sys.argv[1], sys.argv[2], sys.argv[3] == "1", sys.argv[4] == "1"
s = lt.session({
    "listen_interfaces": addr + ":" + port, "enable_dht": False, "enable_lsd": False,
    "enable_natpmp": natpmp, "enable_upnp": upnp, "dht_bootstrap_nodes": "",
    "alert_mask": lt.alert.category_t.port_mapping_notification
                  | lt.alert.category_t.port_mapping_log_notification
                  | lt.alert.category_t.error_notification})
end = []
signal.signal(signal.SIGTERM, lambda *a: end.append(1))
def show():
    for a in s.pop_alerts():
        line = {"what": a.what(), "text": a.message()}
        if isinstance(a, lt.portmap_alert):
            line["port"] = a.external_port
            line["protocol"] = "TCP" in a.message() and "tcp" or "udp"
        print(json.dumps(line), flush=True)
while not end:
    s.wait_for_alert(50)
    show()
s.apply_settings({"enable_natpmp": False, "enable_upnp": False})
deadline = time.time() + 2
while time.time() < deadline:
    s.wait_for_alert(50)
    show()
"""


class Libtorrent:
    def __init__(self, host, port, natpmp=True, upnp=False):
        self.begin = lambda: host.start(sys.executable, "-c", LIBTORRENT, host.addr, str(port),
                                        str(int(natpmp)), str(int(upnp)))
        self.process = self.begin()
        self.awake()

    def awake(self):
        """On a busy machine 2.0.8 now and then hangs in its own start: it has then not even
        said that it searches. Such a one is replaced; one that speaks never is."""
        for _ in range(3):
            try:
                net.wait_for(self.process.output, 5, "a word of libtorrent", 0.05)
                return
            except net.LabError:
                self.process.kill()
                self.process = self.begin()

    def alerts(self):
        return [json.loads(line) for line in self.process.output().splitlines()
                if line.startswith("{") and line.endswith("}")]

    def mapped(self, count, timeout=15):
        """The alerts of the first mappings, once there are so many."""
        def enough():
            done = [a for a in self.alerts() if a["what"] == "portmap"]
            return done if len(done) >= count else None
        try:
            return net.wait_for(enough, timeout, f"{count} mappings of libtorrent", 0.05)
        except net.LabError as e:
            text = "\n".join(a["text"] for a in self.alerts())
            raise net.LabError(f"{e}\n{text}\n{self.process.errors()}") from None

    def stop(self):
        return self.process.stop(timeout=10)


def upnpc(host, *args, check=True, timeout=20):
    """upnpc asks on the interface of that host only; its output is the answer's stdout."""
    return host.run("upnpc", "-m", host.addr, *args, check=check, timeout=timeout)


def natpmpc(host, *args, check=True, timeout=20):
    return host.run("natpmpc", "-g", net.LAN, *args, check=check, timeout=timeout)


def natpmpc_port(output):
    """The external port that natpmpc got."""
    m = re.search(r"Mapped public port (\d+) protocol (\w+) to local port (\d+)", output)
    if not m:
        raise net.LabError(f"natpmpc mapped nothing:\n{output}")
    return int(m[1])


class Transmission:
    """transmission-daemon with its own port forwarding, and nothing else."""

    def __init__(self, host, port):
        folder = host.net.tempdir("transmission")
        with open(f"{folder}/settings.json", "w", encoding="utf-8") as f:
            json.dump({"port-forwarding-enabled": True, "peer-port": port,
                       "peer-port-random-on-start": False, "dht-enabled": False,
                       "lpd-enabled": False, "pex-enabled": False, "utp-enabled": True,
                       "rpc-enabled": False, "download-dir": folder,
                       "bind-address-ipv4": host.addr}, f)
        self.process = host.start("transmission-daemon", "--foreground", "--config-dir", folder,
                                  "--log-debug")

    def stop(self):
        return self.process.stop(timeout=10)


class Qbittorrent:
    """qbittorrent-nox with port forwarding, and nothing else that talks."""

    def __init__(self, host, port):
        folder = host.net.tempdir("qbittorrent")
        conf = f"{folder}/qBittorrent/config"
        os.makedirs(conf)
        with open(f"{conf}/qBittorrent.conf", "w", encoding="utf-8") as f:
            f.write(f"""[BitTorrent]
Session\\Port={port}
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
[LegalNotice]
Accepted=true
[Network]
PortForwardingEnabled=true
[Preferences]
WebUI\\Enabled=false
WebUI\\UseUPnP=false
""")
        self.process = host.start("qbittorrent-nox", f"--profile={folder}",
                                  env=dict(os.environ, HOME=folder, LC_ALL="C.UTF-8"))

    def stop(self):
        return self.process.stop(timeout=20)


def node(host, script, *args, timeout=40):
    """One of tests/node, where check-full has installed them; its last line is JSON."""
    done = host.run("node", f"{node_dir()}/{script}", *args, timeout=timeout, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def node_dir():
    try:
        return os.environ["PORTREEVE_NODE"]
    except KeyError:
        raise net.LabError("PORTREEVE_NODE is where tests/node was installed") from None


class Browser:
    """Chromium with one page open, driven line by line: see tests/node/page.js."""

    def __init__(self, host, url, script=True):
        read, self.pipe = os.pipe()
        args = [] if script else ["no-script"]
        self.process = host.start("node", f"{node_dir()}/page.js", url, "/usr/bin/chromium", *args,
                                  stdin=read)
        os.close(read)
        self.answers = 0
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.write(self.pipe, b"end\n")
        os.close(self.pipe)
        self.process.wait(10)

    def answer(self):
        def look():
            lines = self.process.output().splitlines(keepends=True)
            if len(lines) > self.answers and lines[self.answers].endswith("\n"):
                return lines[self.answers]
            if not self.process.running():
                raise net.LabError(f"the browser ended: {self.process.errors()}")
            return None
        line = net.wait_for(look, 30, "the browser", 0.05)
        self.answers += 1
        return json.loads(line)

    def ask(self, *words):
        os.write(self.pipe, (" ".join(map(str, words)) + "\n").encode())
        return self.answer()
