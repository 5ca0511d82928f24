# SPDX-License-Identifier: GPL-2.0-or-later
"""Who does the harm in the chaos test: to processes, the ruleset, the network and the disk."""
import collections
import json
import os
import signal
import subprocess
import time

import gateway
import net

CONFIG = gateway.CONFIG + "history { rows = 2000 }\n"
TABLE = "inet portreeve"
DEAD = 15  # seconds that a core stays dead at most, killed often, until it knows its leases
LAN_OTHER = "192.168.77.254"


def value_of(e):
    """Of an element, as nft prints it: its key, or key and data."""
    if isinstance(e, list):
        return [value_of(x) for x in e]
    if isinstance(e, dict) and "elem" in e:
        return value_of(e["elem"]["val"])
    return e["concat"] if isinstance(e, dict) else e


class Actor:
    """Each deed is followed by others while its harm lasts; calm() undoes all of it."""

    def __init__(self, lab, gw, rng):
        self.lab, self.gw, self.random = lab, gw, rng
        self.wan, self.index = net.WAN, 0
        self.undo = {}  # what has to be put right, by name
        self.deeds = collections.Counter()
        self.log = []
        self.killed, self.gone = [], []  # when the core died, when something went from the table
        self.store_harmed = -1e9
        self.by_hand = set()  # elements, and sets, that went while the core was perhaps dead
        self.pids = {}

    def note(self, what):
        self.log.append(f"{time.monotonic() - self.began:7.2f} {what}")

    began = time.monotonic()

    def act(self):
        deeds = {self.kill_core: 4, self.kill_worker: 4, self.kill_store: 1, self.stop_store: 1,
                 self.flush_ruleset: 3, self.delete_table: 2, self.flush_set: 3,
                 self.delete_elements: 4, self.delete_rule: 2, self.wan_down: 1, self.wan_moves: 2,
                 self.redial: 1, self.lan_moves: 1, self.fill_disk: 1, self.reload: 1,
                 self.restart: 1, self.power_cut: 1, self.flush_dead: 1}
        deed = self.random.choices(list(deeds), deeds.values())[0]
        self.note(deed.__name__)
        self.deeds[deed.__name__.replace("_", " ")] += 1
        deed()

    def calm(self):
        for name in list(self.undo):
            self.undo.pop(name)()

    # Processes

    def processes(self):
        try:
            self.pids = {(p["role"], p["lan"]): p["pid"] for p in self.gw.processes()}
        except (net.LabError, subprocess.TimeoutExpired, json.JSONDecodeError, KeyError):
            pass  # the core is away: those of before
        return self.pids

    def kill(self, role):
        found = [k for k in self.processes() if k[0] == role]
        if found:
            pid = self.pids[self.random.choice(sorted(found, key=str))]
            if pid in self.gw.pids():
                gateway.kill(pid)

    def kill_core(self):
        self.killed.append(time.monotonic())
        self.kill("core")

    def kill_worker(self):
        self.kill(self.random.choice(("pcp", "igd")))

    def kill_store(self):
        self.store_harmed = time.monotonic()
        self.kill("store")

    def stop_store(self):
        self.store_harmed = time.monotonic()
        pid = self.processes().get(("store", None))
        if not pid or pid not in self.gw.pids():
            return
        gateway.kill(pid, signal.SIGSTOP)

        def go_on():
            self.store_harmed = time.monotonic()
            gateway.kill(pid, signal.SIGCONT)
        self.undo["store"] = go_on

    def reload(self):
        self.gw.configure(CONFIG.replace("2000", str(self.random.randrange(1000, 3000))))
        os.kill(self.gw.process.pid, signal.SIGHUP)

    def restart(self):
        self.wake_store()
        self.killed.append(time.monotonic())
        self.gw.stop(timeout=10)
        self.gw.start()

    def wake_store(self):
        if "store" in self.undo:
            self.undo.pop("store")()

    def power_cut(self):
        self.wake_store()
        self.gw.kill()
        self.killed.append(time.monotonic())
        self.gone.append(time.monotonic())
        self.lab.gw.run("nft", "delete", "table", *TABLE.split())
        self.lab.gw.run("conntrack", "-F")
        self.gw.start()

    # The ruleset

    def nft(self, *argv):
        self.gone.append(time.monotonic())
        return self.lab.gw.run("nft", *argv).stdout

    def flush_ruleset(self):
        self.gone.append(time.monotonic())
        self.lab.gw.nft("flush ruleset\n" + net.MASQUERADE + net.FILTER6)

    def delete_table(self):
        self.nft("delete", "table", *TABLE.split())

    def flush_dead(self):
        """Between the core's death and its next life."""
        self.kill_core()
        self.flush_ruleset()

    def sets(self):
        text = self.lab.gw.run("nft", "list", "sets").stdout + \
            self.lab.gw.run("nft", "list", "maps").stdout
        return [("map" if l.split()[0] == "map" else "set", l.split()[1])
                for l in text.splitlines() if l.startswith("\t") and not l.startswith("\t\t")
                and l.split()[0] in ("map", "set")]

    def flush_set(self):
        sets = self.sets()
        if sets:
            kind, name = self.random.choice(sorted(sets))
            self.note(f"  {name}")
            self.take((name,))
            self.nft("flush", kind, *TABLE.split(), name)

    def delete_elements(self):
        name = self.random.choice(("leases", "rev", "held", "pin6"))
        kind = "map" if name in ("leases", "rev") else "set"
        text = self.lab.gw.run("nft", "-j", "list", kind, *TABLE.split(), name).stdout
        if not text:
            return
        elements = next((i[kind].get("elem", []) for i in json.loads(text)["nftables"]
                         if kind in i), [])
        for e in self.random.sample(elements, min(len(elements), self.random.randrange(1, 6))):
            key = value_of(e)
            key = key[0] if kind == "map" else key
            self.take((name, *key))
            self.nft("delete", "element", *TABLE.split(), name,
                     "{ " + " . ".join(map(str, key)) + " }")

    def take(self, what):
        if self.killed and time.monotonic() - self.killed[-1] < DEAD:
            self.by_hand.add(what)

    def taken(self, o):
        """One who deletes a lease from the kernel while no core watches has ended it."""
        if ":" in o.address:
            mine = {("pin6",), ("pin6", o.address, o.protocol, o.internal)}
        else:
            mine = {("leases",), ("leases", o.protocol, o.external)}
        return bool(mine & self.by_hand)

    def delete_rule(self):
        text = self.lab.gw.run("nft", "-a", "list", "table", *TABLE.split()).stdout
        rules, chain = [], ""
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["chain"]:
                chain = words[1]
            elif line.startswith("\t\t") and "# handle" in line and chain:
                rules.append((chain, words[-1]))
        if rules:
            chain, handle = self.random.choice(rules)
            self.nft("delete", "rule", *TABLE.split(), chain, "handle", handle)

    # The network

    def wan_down(self):
        if "wan" in self.undo:
            return
        self.lab.gw.ip("link set wan0 down\n")

        def up():
            self.lab.gw.ip(f"link set wan0 up\nroute replace default via {net.REMOTE1} dev wan0\n"
                           f"address replace {net.WAN6}/64 dev wan0 nodad\n"
                           f"route replace default via {net.REMOTE6} dev wan0\n")
        self.undo["wan"] = up

    def other_wan(self):
        return self.random.choice([a for a in ("11.0.0.1", "11.0.0.9", "11.0.0.17")
                                   if a != self.wan])

    def wan_moves(self):
        if "wan" in self.undo:
            self.undo.pop("wan")()
        before, self.wan = self.wan, self.other_wan()
        self.note(f"  {self.wan}")
        self.lab.wan_moves(before, self.wan)
        self.inet_routes()

    def inet_routes(self):
        self.lab.inet.ip(f"route replace 2a01:77::/64 via {net.WAN6}\n")

    def redial(self):
        """As PPPoE: the interface goes and another one of its name comes."""
        self.undo.pop("wan", None)
        self.index += 1
        self.wan = self.other_wan()
        self.note(f"  {self.wan}")
        self.lab.gw.ip("link del wan0\n")
        self.lab.gw.ip(f"link add filler{self.index} type bridge\n")
        time.sleep(self.random.random() * 0.5)
        net.sh(["ip", "-batch", "-"], f"link add wan0 netns {self.lab.gw.ns} type veth peer name "
               f"eth0 netns {self.lab.inet.ns}\n")
        self.lab.inet.ip(f"address add {net.REMOTE1}/24 dev eth0\n"
                         f"address add {net.REMOTE6}/64 dev eth0 nodad\nlink set eth0 up\n")
        self.lab.gw.ip("link set wan0 up\n")
        self.lab.wan_up(self.wan)
        self.lab.gw.ip(f"address add {net.WAN6}/64 dev wan0 nodad\n"
                       f"route add default via {net.REMOTE6} dev wan0\n")
        self.inet_routes()

    def lan_moves(self):
        """The router has another address in the LAN for a while."""
        if "lan" in self.undo:
            return
        self.lab.gw.ip(f"address del {net.LAN}/24 dev br-lan\n"
                       f"address add {LAN_OTHER}/24 dev br-lan\n")

        def back():
            self.lab.gw.ip(f"address del {LAN_OTHER}/24 dev br-lan\n"
                           f"address add {net.LAN}/24 dev br-lan\n")
        self.undo["lan"] = back

    # The disk

    def fill_disk(self):
        if "disk" in self.undo:
            return
        self.store_harmed = time.monotonic()
        path = f"{self.gw.state}/filler"
        try:
            with open(path, "wb", buffering=0) as f:
                while True:
                    f.write(b"x" * 4096)
        except OSError:
            pass

        def empty():
            self.store_harmed = time.monotonic()
            os.unlink(path)
        self.undo["disk"] = empty
