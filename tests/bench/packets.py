# SPDX-License-Identifier: GPL-2.0-or-later
"""What a packet of a LAN host costs on its way out: without our table, with it, and with the
daemon that reads of new flows; and how soon a port opens to who plays."""
import json
import statistics

import flows
import gateway
import net

ESTABLISHED, NEW, PACED, ROUNDS = 100000, 50000, 64000, 8
HOSTS = 200  # so that none of them reaches its limits
FIRST_HOST, DISCARD = "192.168.77.40", 9
CONFIG = gateway.CONFIG + """
limits { per-host = 65535 }
open-nat { per-host = 65535 }
"""
# The kernel remembers pairs of port and remote for less than that, so it is told of each.
ALL_TOLD = CONFIG.replace("open-nat {", 'open-nat { window = "2m" ')
# What leaves is counted and goes no further.
SINK = f"""table netdev sink {{
	counter arrived {{ }}
	chain in {{
		type filter hook ingress device eth0 priority 0; policy accept;
		udp dport {DISCARD} counter name arrived drop
	}}
}}
"""


def arrived(lab):
    out = lab.inet.run("nft", "-j", "list", "counters", check=True).stdout
    return next(x["counter"]["packets"] for x in json.loads(out)["nftables"] if "counter" in x)


def flood(lab, count, new, hosts=HOSTS, sport=3074, rate=0, first=FIRST_HOST):
    """Microseconds for each of so many packets, new flows or all of one, batch by batch."""
    if new:
        lab.gw.run("conntrack", "-F")
    link = json.loads(lab.gw.run("ip", "-j", "link", "show", "br-lan", check=True).stdout)
    before = arrived(lab)
    r = json.loads(net.sh([flows.build(lab.dir, "packets"), "flood",
                           f"{net.NETNS}/{lab.console.ns}",
                           link[0]["address"], first,
                           str(hosts), str(sport), net.REMOTE1, str(DISCARD), str(count),
                           str(int(new)), str(rate)], timeout=120))
    # Of two flows at once that want one port one may lose its first packet.
    net.wait_for(lambda: arrived(lab) - before > count * 0.9999, 3,
                 f"{count} packets, of which {arrived(lab) - before} came")
    return r["us"]


def lost_events(lab):
    """What the kernel could not tell the sockets of netfilter's netlink there."""
    lines = lab.gw.run("cat", "/proc/net/netlink", check=True).stdout.splitlines()[1:]
    return sum(int(f[8]) for f in map(str.split, lines) if f[1] == "12")


def in_set(lab, name):
    out = lab.gw.run("nft", "-j", "list", "set", "inet", "portreeve", name, check=True,
                     timeout=60).stdout
    return len(json.loads(out)["nftables"][1]["set"].get("elem", []))


def latency(lab, ports=300):
    out = net.sh([flows.build(lab.dir, "packets"), "latency", f"{net.NETNS}/{lab.console.ns}",
                  f"{net.NETNS}/{lab.inet.ns}", net.WAN, net.REMOTE1, net.REMOTE2, "20001",
                  str(ports)], timeout=120)
    return json.loads(out)


def measure(rounds):
    kinds = ("no table", "rules", "daemon")
    took = {what: {kind: [] for kind in kinds} for what in ("established", "new")}
    with net.Net() as lab:
        lab.inet.nft(SINK)
        g = gateway.Gateway(lab, config=CONFIG)

        def removed():
            g.run("--remove")  # and with it who claims which port
            lab.gw.run("conntrack", "-F")

        def round_of(kind):
            lab.gw.run("conntrack", "-F")  # a flow that is there claims its port at the start
            if kind != "no table":
                g.start()
            if kind == "rules":
                g.kill()
            flood(lab, 1000, False, 1)
            took["established"][kind] += flood(lab, ESTABLISHED, False, 1)
            took["new"][kind] += flood(lab, NEW, True)
            if kind == "daemon":
                g.stop()
            if kind != "no table":
                removed()
        for _ in range(max(rounds, ROUNDS)):
            for kind in kinds:
                round_of(kind)
        found = {what: {kind: flows.undisturbed(us) for kind, us in by.items()}
                 for what, by in took.items()}
        g.start()
        try:
            with lab.console.udp(3074) as s:
                for remote in (net.REMOTE1, net.REMOTE2):
                    s.sendto(b"play", (remote, 5000))
                net.wait_for(lambda: g.lease("udp", 3074), what="udp/3074 to open")
            found["leased"] = flows.undisturbed(
                [us for _ in range(max(rounds, ROUNDS))
                 for us in flood(lab, ESTABLISHED, False, 1, first=lab.console.addr)])
            found["latency"] = latency(lab)
        finally:
            g.stop()
            removed()
        g.configure(ALL_TOLD)
        g.start()
        try:
            before = lost_events(lab)
            flood(lab, PACED, True, rate=50000)
            found["told"] = in_set(lab, "seen")
            found["lost"] = lost_events(lab) - before
        finally:
            g.stop()
            removed()
        g.configure(CONFIG)
        g.start()
        try:
            found["flooder"] = flows.undisturbed(flood(lab, NEW, True, hosts=1))
            found["noted"] = in_set(lab, "seen")
        finally:
            g.stop()
    return found


def percentiles(us):
    return f"p50 {statistics.median(us):.0f} us, p99 {us[int(len(us) * 0.99)]:.0f} us"


def show(found):
    print(f"\n{'a packet on its way out, us':36}" + "".join(
        f"{n:>12}" for n in ("no table", "rules", "daemon")) + f"{'costs':>10}")
    for what, text in (("established", "of a flow that is there"), ("new", "the first of a flow")):
        row = found[what]
        cells = "".join(f"{us:12.2f}" for us in row.values())
        print(f"   {text:33}{cells}{row['daemon'] - row['no table']:+10.2f}")
    print(f"   {'of a port that is open unasked':33}{'':24}{found['leased']:12.2f}"
          f"{found['leased'] - found['established']['no table']:+10.2f}")
    shut, us = (found["latency"][x] for x in ("shut", "us"))
    print(f"   a port is open after {percentiles(us)}; {shut} of {len(us) + shut} stayed shut")
    print(f"   a process that is woken meanwhile runs after {percentiles(found['latency']['wake_us'])}")
    print(f"   at 50,000 new flows a second, each of them told of, {found['lost']} events of "
          f"{found['told']} were lost")
    print(f"   of {NEW} new flows of one host {found['noted']} were noted, "
          f"{found['flooder']:.2f} us each")
