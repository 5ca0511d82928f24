# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new flow costs on its way in through a lease: ours, a plain rule with an nft map, and
miniupnpd, in turns within one run."""
import json
import os

import net

HERE = os.path.dirname(os.path.abspath(__file__))
FLOWS, ROUNDS = 6400, 20
TABLE = """table inet plain {
	map leases { type inet_proto . inet_service : ipv4_addr . inet_service; size 131072; }
	chain pre {
		type nat hook prerouting priority dstnat;
		iifname "wan0" dnat ip to meta l4proto . th dport map @leases
	}
}
"""


class Plain:
    """The least that does the job: one rule, one map."""
    name = "plain map"

    def __init__(self, lab):
        self.lab = lab
        lab.gw.nft(TABLE)

    def fill(self, first, count):
        elements = ", ".join(f"udp . {p} : {self.lab.pc.addr} . {p}"
                             for p in range(first, first + count))
        self.lab.gw.nft(f"add element inet plain leases {{ {elements} }}")
        return first + count - 1, first + count - 1

    def stop(self):
        self.lab.gw.nft("delete table inet plain")


def build(folder, name):
    """The program of that name, compiled here once."""
    program = os.path.join(folder, name)
    if not os.access(program, os.X_OK):
        net.sh(["cc", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-o", program,
                os.path.join(HERE, name + ".c")], timeout=60)
    return program


def undisturbed(us):
    """What most of them would have taken on a machine that does nothing else."""
    return sorted(us)[len(us) // 10]


def one(name, lab, program, external, internal):
    """Microseconds for each of many new flows through that port to the PC, batch by batch."""
    lab.gw.run("conntrack", "-F")
    out = net.sh([program, f"{net.NETNS}/{lab.inet.ns}", f"{net.NETNS}/{lab.pc.ns}", net.REMOTE1,
                   net.WAN, str(external), str(internal), str(FLOWS)], timeout=60)
    r = json.loads(out)
    if r["arrived"] != r["sent"]:
        raise net.LabError(f"{name}: {r['arrived']} of {r['sent']} new flows arrived")
    return r["us"]


def measure(sides, counts, rounds):
    """sides: (name, lab, fill to so many leases, most). fill returns the ports of the last lease,
    outside and inside. The sides take turns, as the machine's speed changes.
    {name: {count: us}}"""
    found = {name: {} for name, *_ in sides}
    for count in counts:
        took, ports = {}, {}
        for name, _, fill, most in sides:
            if count <= most:
                ports[name], took[name] = fill(count), []
        for _ in range(max(rounds, ROUNDS)):
            for name, lab, _, most in sides:
                if count <= most:
                    took[name] += one(name, lab, build(lab.dir, "flows"), *ports[name])
        for name, values in took.items():
            found[name][count] = undisturbed(values)
    return found


def show(found, counts):
    print(f"\n{'new flow through the last lease, us':36}"
          + "".join(f"{name:>12}" for name in found) + f"{'of plain':>10}")
    for count in counts:
        cells = "".join(f"{found[n][count]:12.2f}" if count in found[n] else f"{'-':>12}"
                        for n in found)
        ratio = found["plain map"][count] / found["portreeve"][count]
        print(f"{count:>20} leases         {cells}{ratio:10.2f}")
