# SPDX-License-Identifier: GPL-2.0-or-later
"""firewall/ against a real kernel, without a daemon: fwtool runs its functions on the lab's
gateway, packets and `nft` are the judges. Everything runs once as this kernel is and once
with what Linux 6.1 has. "Trap" names the traps of nf_tables that a test stands for."""
import json
import os
import re
import subprocess
import threading
import time

import pytest

import net
from net import CONSOLE, CONSOLE2, REMOTE1, REMOTE2, WAN, LabError, arrives, silent, source_seen

# Of the console. Global unicast: a unique local address gets no pinhole.
PIN6, LAN6, WAN6, REMOTE6, REMOTE6_2 = (
    "2a01:db8:1::20", "2a01:db8:1::1", "2a02:db8::1", "2a02:db8::2", "2a02:db8::3")

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def fwtool():
    build = os.path.abspath(os.environ.get("PORTREEVE_BUILD") or TOP)
    for path in (os.environ.get("FWTOOL"), f"{build}/tests/lab/fwtool"):
        if path and os.access(path, os.X_OK):
            return path
    if os.path.exists(f"{build}/Makefile"):
        net.sh(["make", "-s", "-C", build, "tests/lab/fwtool"], timeout=300)
        return f"{build}/tests/lab/fwtool"
    pytest.skip("tests/lab/fwtool is not built: make check")


class Tool:
    """fwtool on the gateway; a method call is one command."""

    def __init__(self, host, kernel, prefix=()):
        self.host, self.kernel = host, kernel
        self.popen = subprocess.Popen(
            host.argv(*prefix, fwtool(), *([kernel] if kernel else [])), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __call__(self, line):
        """The answer's lines; raises when the last one is an error."""
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        answer = []
        while True:
            text = self.popen.stdout.readline().strip()
            if not text:
                raise LabError(f"fwtool died: {line}: {self.popen.stderr.read()}")
            if text == "ok":
                return answer
            if text.startswith("error "):
                raise LabError(text)
            answer.append(text)

    def up(self, leases=131072):
        self("open")
        self(f"install {leases}")
        self(f"wan wan0 {WAN}")
        self("lan br-lan 192.168.77.0/24")

    def map(self, line):
        self(f"map {line}")
        return self.commit()

    def unmap(self, line):
        self(f"unmap {line}")
        return self.commit()

    def commit(self):
        """{index: error} of the steps that failed."""
        answer = self("commit")
        failed = {int(a.split()[1]): a.split()[2] for a in answer if a.startswith("step")}
        assert answer[-1] == f"failed {len(failed)}"
        return failed

    def adopt(self):
        answer = self("adopt")
        report = dict(p.split("=") for p in answer.pop().split()[1:])
        leases = {}
        for a in answer:
            word = a.split()
            leases[word[1], int(word[2])] = {
                "to": word[3], "left": word[4], **dict(p.split("=", 1) for p in word[5:])}
        return leases, {k: float(v) for k, v in report.items()}

    def count(self, name):
        return int(self(f"count {name}")[0].split()[1])

    def close(self):
        self.popen.stdin.close()
        self.popen.wait(10)
        err = self.popen.stderr.read()
        self.popen.stdout.close()
        self.popen.stderr.close()
        return err

    def kill(self):
        self.popen.kill()
        self.close()

    # What nft sees

    def elements(self, kind, name):
        done = self.host.run("nft", "-j", "list", kind, "inet", "portreeve", name, check=True)
        for item in json.loads(done.stdout)["nftables"]:
            if kind in item:
                return item[kind].get("elem", [])
        return []

    def text(self, kind, name):
        return self.host.run("nft", "list", kind, "inet", "portreeve", name, check=True).stdout


@pytest.fixture(scope="module")
def home():
    with net.Net() as n:
        yield n


@pytest.fixture(params=[None, "6.1"], ids=["kernel", "kernel-6.1"])
def fw(home, request):
    tool = Tool(home.gw, request.param)
    tool.up()
    yield tool
    home.gw.run("nft", "delete", "table", "inet", "portreeve")
    home.gw.run("conntrack", "-F")
    if tool.popen.poll() is None:
        assert "Sanitizer" not in tool.close()


def opened_or_not(home, port, host=None, source=None):
    with (host or home.console).udp(port) as s:
        return arrives(home.inet, s, port, timeout=0.4, source=source)


# The table

def test_probes_find_what_the_kernel_has_and_leave_nothing(home, fw):
    answer = fw("open")
    release = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
    new = fw.kernel is None
    assert answer == [f"in_place {int(new and release >= (6, 12))} "
                      f"destroy {int(new and release >= (6, 3))}"]
    tables = home.gw.run("nft", "list", "tables").stdout
    assert tables.split("\n")[:-1] == ["table ip nat", "table inet portreeve"]


def test_table_reads_well_and_nft_takes_it_back(home, fw):
    fw('map udp 3074 192.168.77.20:3074 60000 twin by=2 text=xbox')
    fw('map tcp 8080 192.168.77.20:80 60000 by=5 remote=11.0.0.0/24 text=a"b')
    fw('map udp 3075 192.168.77.20:3075 60000 off by=0 text=\x1b[2J\xff')
    fw('map udp 4000 192.168.77.20:4000 60000 filter=12.0.0.2@5000')
    fw(f'map udp 5000 [{PIN6}]:5000 60000 text=pin')
    fw(f'map tcp 5000 [{PIN6}]:5000 60000 filter=2a02:db8::/32')
    assert fw.commit() == {}
    text = home.gw.run("nft", "list", "ruleset", check=True).stdout
    for wanted in ('comment "upnp xbox" : 192.168.77.20 . 3074', "11.0.0.0/24 . 0-65535 . tcp . 8080",
                   "12.0.0.2 . 5000 . udp . 4000", f"{PIN6} . udp . 5000",
                   f"2a02:db8::/32 . 0-65535 . {PIN6} . tcp . 5000", 'comment "pcp pin"',
                   "hook forward priority filter - 5; policy accept",
                   "ct mark set ct mark | 0x00010000",
                   'comment "static a\'b"', 'elements = { "wan0" }', "udp . 5353",
                   "type inet_proto . inet_service : ipv4_addr . inet_service",
                   "hook prerouting priority dstnat + 5; policy accept"):
        assert wanted in text, wanted
    assert text.isprintable() or "\x1b" not in text
    assert home.gw.run("nft", "-c", "-f", "-", input=text).stderr == ""


def test_every_rule_names_its_family(home, fw):
    raw = home.gw.run("nft", "--debug=netlink", "list", "table", "inet", "portreeve").stdout
    rules = [r for r in raw.split("inet portreeve ") if "[ meta load nfproto" in r or "=> reg" in r]
    assert len(rules) > 15
    # learn lets nothing but IPv4 by, to the rules and chains behind that; by a name alone no
    # more is decided than which rules are next.
    behind = ("learn ", "out ", "leased ", "touch ")
    assert any("[ meta load nfproto" in r for r in rules if r.startswith("learn "))
    assert all("[ meta load nfproto" in r for r in rules if not r.startswith(behind)
               and ("[ payload" in r or "[ lookup" in r or "[ nat" in r or "[ masq" in r))


def test_install_again_keeps_leases_and_their_time(home, fw):
    fw.map("udp 3074 192.168.77.20:3074 600000 twin by=2 text=xbox")
    rules = fw.host.ruleset()
    before = fw.elements("map", "leases")[0][0]["elem"]
    for _ in range(3):
        fw("install 131072")
    assert fw.host.ruleset() == rules
    after = fw.elements("map", "leases")[0][0]["elem"]
    assert before["expires"] - 2 <= after["expires"] <= before["expires"]
    assert fw.count("wan") == fw.count("lan") == 1


def test_install_mends_chains_and_sets_of_another_version(home, fw):
    fw.map("udp 3074 192.168.77.20:3074 600000 twin")
    rules = fw.host.ruleset()
    home.gw.nft("""flush chain inet portreeve learn
        flush chain inet portreeve src
        delete chain inet portreeve src
        delete chain inet portreeve learn
        add chain inet portreeve src { type nat hook postrouting priority 5; }
        add rule inet portreeve src accept
        add chain inet portreeve learn
        delete set inet portreeve claimrate
        """.replace("delete set inet portreeve claimrate",
                    "flush chain inet portreeve outsrc\ndelete set inet portreeve claimrate\n"
                    "add set inet portreeve claimrate { type ipv4_addr; size 5; }"))
    fw("install 131072")

    def lines(text):
        return sorted(text.split("\n"))
    assert lines(fw.host.ruleset()) == lines(rules)
    assert fw.count("leases") == 1


def test_install_leaves_a_lease_map_of_another_form_alone(home, fw):
    home.gw.nft("""delete table inet portreeve
        table inet portreeve {
            map leases {
                type inet_service : ipv4_addr
                elements = { 80 : 192.168.77.20 }
            }
        }
        """)
    before = fw.host.ruleset()
    with pytest.raises(LabError, match="EEXIST"):
        fw("install 131072")
    assert fw.host.ruleset() == before


def test_install_replaces_an_empty_lease_map_of_another_form(home, fw):
    rules = fw.host.ruleset()
    home.gw.nft("""delete table inet portreeve
        table inet portreeve {
            map leases_from {
                type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
                flags interval,timeout
            }
            chain pre {
                type nat hook prerouting priority dstnat + 5; policy accept;
                meta nfproto ipv4 meta l4proto udp dnat ip to ip saddr . meta l4proto . th dport map @leases_from
            }
        }
        """)
    fw("install 131072")
    fw(f"wan wan0 {WAN}")
    fw("lan br-lan 192.168.77.0/24")
    assert sorted(fw.host.ruleset().split("\n")) == sorted(rules.split("\n"))


def test_names_and_networks_are_replaced_not_added(home, fw):
    fw("wan ppp0 wan1 11.0.0.9 12.0.0.9")
    fw("lan br-lan br-guest 192.168.77.0/24 10.0.0.0/8 10.2.0.0/16 192.168.78.0/24 0.0.0.0/32")
    assert sorted(fw.elements("set", "wan")) == ["ppp0", "wan1"]
    assert sorted(fw.elements("set", "wan4")) == ["11.0.0.9", "12.0.0.9"]
    text = " ".join(fw.text("set", "lan4").split())
    assert "elements = { 0.0.0.0, 10.0.0.0/8, 192.168.77.0/24, 192.168.78.0/24 }" in text
    fw("wan")
    assert fw.elements("set", "wan") == fw.elements("set", "wan4") == []
    fw("lan br-lan 0.0.0.0/0")
    assert "0.0.0.0/0" in fw.text("set", "lan4")
    fw("lan br-lan 192.168.77.1/24 fe80::1/64 2a01:77::1/64 2a01:77::1 fe80::2/64 ffff::/16")
    text = " ".join(fw.text("set", "reach4").split())
    assert "elements = { 192.168.77.0/24, 224.0.0.1, 239.255.255.250 }" in text
    text = " ".join(fw.text("set", "reach6").split())
    assert "elements = { 2a01:77::/64, fe80::/64, ff02::1, ff02::c, ffff::/16 }" in text
    with pytest.raises(LabError, match="EINVAL"):
        fw("lan a-name-that-is-too-long")


def chain(fw, name):
    return fw.host.run("nft", "list", "chain", "inet", "portreeve", name).stdout


def test_only_leases_with_filters_and_pinholes_cost_a_lookup(home, fw, port):
    """The rules that look for them come with the first of them, and go at a start without any"""
    p, q = port(), port()
    assert "leases_from" not in chain(fw, "arrive") and not chain(fw, "forward")
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 filter={REMOTE2}") == {}
    assert "leases_from" in chain(fw, "arrive") and not chain(fw, "forward")
    assert opened_or_not(home, p) is None
    assert opened_or_not(home, p, source=REMOTE2) is not None
    assert fw.map(f"udp {q} [{PIN6}]:{q} 60000") == {}
    assert "pin6" in chain(fw, "forward") and "leases_from" in chain(fw, "arrive")
    fw("install 131072")
    assert "pin6" in chain(fw, "forward") and "leases_from" in chain(fw, "arrive")
    assert fw.unmap(f"udp {p} {CONSOLE}:{p} 60000 filter={REMOTE2}") == {}
    assert fw.unmap(f"udp {q} [{PIN6}]:{q} 60000") == {}
    fw("install 131072")
    assert "leases_from" not in chain(fw, "arrive") and not chain(fw, "forward")


def test_a_start_leaves_no_gap_before_the_wan_is_told(home, fw, port):
    p = port()
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin") == {}
    other = Tool(home.gw, fw.kernel)
    other("open")
    other("install 131072")
    assert 'iifname "wan0"' in chain(fw, "pre")
    assert opened_or_not(home, p) is not None
    other("wan ppp0")
    assert opened_or_not(home, p) is None and "wan0" not in chain(fw, "pre")
    other(f"wan ppp0 wan0 {WAN}")
    assert opened_or_not(home, p) is not None
    assert "Sanitizer" not in other.close()


def test_epoch_is_kept_with_the_table(home, fw):
    fw("epoch 123456789012 11.0.0.9")
    fw("install 131072")
    epoch, _, wan = fw("epoch")[0].split()[1::2]
    assert (epoch, wan) == ("123456789012", "11.0.0.9")
    fw("remove")
    fw("remove")
    fw("install 131072")
    epoch, now, wan = fw("epoch")[0].split()[1::2]
    assert int(now) - 2000 < int(epoch) <= int(now) and wan == "::"


def test_without_the_capability_it_says_so(home, fw):
    tool = Tool(home.gw, None, prefix=("setpriv", "--bounding-set", "-net_admin",
                                       "--inh-caps", "-net_admin", "--reuid", "65534",
                                       "--clear-groups", "--"))
    with pytest.raises(LabError, match="EPERM"):
        tool("open")
    tool.close()


# Packets

def test_a_lease_opens_and_closes_a_port(home, fw, port):
    p = port()
    assert opened_or_not(home, p) is None
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin") == {}
    for remote in (REMOTE1, REMOTE2):
        assert opened_or_not(home, p, source=remote)[0] == remote
    assert fw.unmap(f"udp {p} {CONSOLE}:{p} 0") == {}
    assert opened_or_not(home, p) is None


def test_tcp_arrives_with_its_source_address(home, fw, port):
    p = port()
    fw.map(f"tcp {p} {CONSOLE}:80 60000")
    with home.console.listen(80) as listener, home.inet.connect(WAN, p):
        listener.accept()[1][0] == REMOTE1


def test_the_twin_leaves_from_the_mapped_port(home, fw, port):
    p, inside = port(), port()
    fw.map(f"udp {p} {CONSOLE}:{inside} 60000 twin")
    with home.console.udp(inside) as s:
        assert source_seen(s, home.inet, REMOTE1) == (WAN, p)
        assert source_seen(s, home.inet, REMOTE2) == (WAN, p)
    with home.console2.udp(inside) as s:  # another host's is not touched
        assert source_seen(s, home.inet) == (WAN, inside)


def test_nobody_else_sits_on_a_leased_port(home, fw, port):
    """prior-art 2.7: moved instead of rejected"""
    p = port()
    fw.map(f"udp {p} {CONSOLE}:{p + 1} 60000")
    with home.console2.udp(p) as s:
        a, b = source_seen(s, home.inet, REMOTE1), source_seen(s, home.inet, REMOTE2)
        assert a == b and a[0] == WAN and a[1] >= 49152


@pytest.mark.parametrize("foreign", ["masquerade", "masquerade random", "masquerade fully-random"])
def test_two_hosts_with_one_source_port_keep_a_port_each(home, fw, port, foreign):
    """Whoever comes first, and whatever rule the admin has: claims."""
    home.gw.nft("flush chain ip nat postrouting\n"
                f'add rule ip nat postrouting oifname "wan0" {foreign}\n')
    for p in (port(), 50000, 40000):  # 50000 lies in the first range of moved flows
        with home.console.udp(p) as one, home.console2.udp(p) as two:
            seen = [source_seen(s, home.inet, r) for s, r in (
                (one, REMOTE1), (two, REMOTE2), (one, REMOTE2), (two, REMOTE1))]
        assert seen[0] == seen[2] == (WAN, p)
        assert seen[1] == seen[3] != (WAN, p)
        home.gw.run("conntrack", "-F")
    home.gw.nft('flush chain ip nat postrouting\n'
                'add rule ip nat postrouting oifname "wan0" masquerade\n')


def test_a_claim_lives_while_it_is_used_by_its_host(home, fw, port):
    p = port()
    with home.console.udp(p) as one:
        source_seen(one, home.inet)
        home.gw.nft(f"""delete element inet portreeve mine {{ udp . {p} . {CONSOLE} }}
            add element inet portreeve mine {{ udp . {p} . {CONSOLE} timeout 30s : {REMOTE1} }}
            delete element inet portreeve taken {{ udp . {p} }}
            add element inet portreeve taken {{ udp . {p} timeout 30s }}""")
        source_seen(one, home.inet)
    left = [e["elem"]["expires"] for e in
            [m[0] for m in fw.elements("map", "mine")] + fw.elements("set", "taken")
            if p in e["elem"]["val"]["concat"]]
    assert len(left) == 2 and min(left) >= 118


def test_one_hosts_port_scan_takes_no_other_hosts_ports(home, fw):
    with home.pc.inside():
        import socket
        for p in range(20000, 22000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.bind(("0.0.0.0", p))
                s.sendto(b"x", (REMOTE1, 9))
    assert 512 <= fw.count("mine") <= 700
    with home.console.udp(21999) as s:
        assert source_seen(s, home.inet) == (WAN, 21999)


@pytest.mark.parametrize("bridge_nf", [0, 1])
def test_hairpin_shows_the_external_address(home, fw, port, bridge_nf):
    """RFC 4787 REQ-9a. Trap: with bridge-nf-call-iptables the rules see other interfaces; a
    host then reaches all others by the external address, but not itself."""
    p, q = port(), port()
    done = home.gw.run("sysctl", "-w", f"net.bridge.bridge-nf-call-iptables={bridge_nf}")
    if bridge_nf and done.returncode:
        pytest.skip("no bridge netfilter in this kernel")
    fw(f"map udp {p} {CONSOLE}:{p} 60000 twin")
    fw(f"map udp {q} {CONSOLE2}:{q} 60000 twin")
    fw.commit()
    with home.console.udp(p) as one, home.console2.udp(q) as two, home.pc.udp() as three:
        two.sendto(b"hello", (WAN, p))
        assert one.recvfrom(64) == (b"hello", (WAN, q))
        one.sendto(b"yes", (WAN, q))
        assert two.recvfrom(64) == (b"yes", (WAN, p))
        three.sendto(b"hello", (WAN, p))  # a host without a lease
        data, peer = one.recvfrom(64)
        one.sendto(data, peer)
        assert three.recvfrom(64) == (b"hello", (WAN, p))
        if not bridge_nf:
            with home.console.udp() as self:
                self.sendto(b"me", (WAN, p))
                data, peer = one.recvfrom(64)
                one.sendto(data, peer)
                assert self.recvfrom(64) == (b"me", (WAN, p))


def test_only_the_allowed_remote_gets_in(home, fw, port):
    p = port()
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 remote=12.0.0.0/24") == {}
    assert opened_or_not(home, p, source=REMOTE1) is None
    assert opened_or_not(home, p, source=REMOTE2)[0] == REMOTE2
    # Others of the same owner beside it; `held` stays until the last one goes.
    assert fw.map(f"udp {p} {CONSOLE}:{p} 30000 remote=11.0.0.2") == {}
    assert opened_or_not(home, p, source=REMOTE1)[0] == REMOTE1
    assert fw.count("held") == 1
    assert fw.elements("set", "held")[0]["elem"]["timeout"] >= 60
    fw.unmap(f"udp {p} {CONSOLE}:{p} 0 remote=12.0.0.0/24")
    assert fw.count("held") == 1
    assert opened_or_not(home, p, source=REMOTE2) is None
    fw.unmap(f"udp {p} {CONSOLE}:{p} 0 remote=11.0.0.2")
    assert fw.count("held") == fw.count("leases_from") == 0


def test_remotes_that_overlap_fail_alone(home, fw, port):
    p = port()
    fw.map(f"udp {p} {CONSOLE}:{p} 60000 remote=11.0.0.0/8")
    fw(f"map udp {p} {CONSOLE}:{p} 60000 remote=11.0.0.0/24")
    fw(f"map udp {p + 1} {CONSOLE}:{p} 60000")
    assert list(fw.commit()) == [0]
    assert fw.count("held") == 2 and fw.count("leases") == 1


# Filters, RFC 6887 section 13.3 (C20)

def from_port(home, port, remote, source_port):
    """Does a datagram from there arrive?"""
    with home.console.udp(port) as s, home.inet.udp(source_port, remote) as out:
        out.sendto(b"x", (WAN, port))
        return not silent(s, 0.2)


def test_a_filter_lets_in_that_address_and_port_only(home, fw, port):
    p = port()
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin filter=11.0.0.2@5001") == {}
    assert from_port(home, p, REMOTE1, 5001)
    assert not from_port(home, p, REMOTE1, 5002)
    assert not from_port(home, p, REMOTE2, 5001)
    # A second one; the first stays. Its own twin and `held` are there as ever.
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin filter=11.0.0.2@5001 "
                  "filter=12.0.0.0/24") == {}
    assert [fw.count(n) for n in ("leases", "leases_from", "rev", "held")] == [0, 2, 1, 1]
    assert from_port(home, p, REMOTE1, 5001) and from_port(home, p, REMOTE2, 5003)
    assert not from_port(home, p, REMOTE1, 5004)
    # The first goes, the second stays.
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin filter=12.0.0.0/24") == {}
    home.gw.run("conntrack", "-F")
    assert not from_port(home, p, REMOTE1, 5001) and from_port(home, p, REMOTE2, 5005)
    # None: everybody.
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin") == {}
    assert from_port(home, p, REMOTE1, 5006) and from_port(home, p, REMOTE2, 5007)
    assert [fw.count(n) for n in ("leases", "leases_from", "rev", "held")] == [1, 0, 1, 1]
    assert fw.map(f"udp {p} {CONSOLE}:{p} 60000 off filter=12.0.0.0/24 filter=11.0.0.2") == {}
    assert [fw.count(n) for n in ("leases", "leases_from", "disabled_from")] == [0, 0, 2]
    assert fw.unmap(f"udp {p} {CONSOLE}:{p} 0") == {}
    assert [fw.count(n) for n in ("disabled_from", "held")] == [0, 0]


def test_filters_stand_beside_others_of_the_port(home, fw, port):
    """A lease for one remote and one with filters, of the same port and host."""
    p = port()
    fw(f"map udp {p} {CONSOLE}:{p} 60000 filter=11.0.0.2@5001")
    fw(f"map udp {p} {CONSOLE}:{p + 1} 60000 remote=12.0.0.2")
    assert fw.commit() == {}
    assert from_port(home, p, REMOTE1, 5001) and not from_port(home, p, REMOTE1, 5002)
    with home.console.udp(p + 1) as s:
        assert arrives(home.inet, s, p, source=REMOTE2)
    # What overlaps is refused, alone and whole.
    fw(f"map udp {p + 2} {CONSOLE}:{p} 60000")
    home.gw.nft(f"add element inet portreeve leases_from {{ 11.0.0.0/24 . 0-65535 . udp . {p + 4}"
                f" : {CONSOLE} . {p} }}")
    fw(f"map udp {p + 4} {CONSOLE}:{p} 60000 filter=12.0.0.2 filter=11.0.0.2@5001")
    assert list(fw.commit()) == [1]
    assert [fw.count(n) for n in ("leases", "leases_from", "held")] == [1, 3, 2]


FORMS = {"a-filter-comes-and-goes": ("filter=11.0.0.2", "filter=11.0.0.2 filter=12.0.0.2@9"),
         "the-text-changes": ("filter=11.0.0.2 text=a", "filter=11.0.0.2 text=b"),
         "open-and-filtered": ("", "filter=11.0.0.2")}


@pytest.mark.parametrize("form", FORMS)
def test_changing_filters_loses_no_packet_of_the_allowed(home, fw, port, form):
    """Every datagram is a new flow, while the lease is changed without a pause."""
    p, (one, two) = port(), FORMS[form]
    line = f"udp {p} {CONSOLE}:{p} 60000 twin"
    fw.map(f"{line} {one}")
    swings, sent, got, done = [0], 0, 0, threading.Event()

    def swing():
        while not done.is_set():
            assert fw(f"swing 50 {line} {one} / {line} {two}") == ["failed 0"]
            swings[0] += 100
    thread = threading.Thread(target=swing)
    thread.start()
    import socket
    try:
        with home.console.udp(p) as s:
            s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
            while sent < 3000 or swings[0] <= 1000:
                with home.inet.udp(0, REMOTE1) as out:
                    out.sendto(b"x", (WAN, p))
                sent += 1
            s.settimeout(0.5)
            while not silent(s, 0.5):
                got += 1
    finally:
        done.set()
        thread.join()
    assert got == sent


# Pinholes (C27)

FILTER6 = """table inet foreign
delete table inet foreign
table inet foreign {
    chain forward {
        type filter hook forward priority filter; policy accept;
        meta nfproto != ipv6 accept
        ct state established,related accept
        iifname "br-lan" accept
        ct mark & 0x00010000 == 0x00010000 accept
        meta l4proto { tcp, udp } drop
    }
}
"""


@pytest.fixture
def ipv6(home, fw):
    home.gw.ip(f"address replace {LAN6}/64 dev br-lan nodad\n"
               f"address replace {WAN6}/64 dev wan0 nodad\n")
    home.console.ip(f"address replace {PIN6}/64 dev eth0 nodad\n"
                    f"route replace default via {LAN6}\n")
    home.inet.ip(f"address replace {REMOTE6}/64 dev eth0 nodad\n"
                 f"address replace {REMOTE6_2}/64 dev eth0 nodad\n"
                 f"route replace 2a01:db8:1::/64 via {WAN6}\n")
    home.gw.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", check=True)
    home.gw.nft(FILTER6)
    yield
    home.gw.nft("delete table inet foreign")


def reaches(home, port, source=REMOTE6, source_port=0):
    import socket
    with home.console.socket(socket.AF_INET6) as s, home.inet.socket(socket.AF_INET6) as out:
        s.bind((PIN6, port))
        out.bind((source, source_port))
        out.sendto(b"x", (PIN6, port))
        if silent(s, 0.2):
            return False
        s.sendto(b"y", out.getsockname()[:2])
        out.settimeout(2)
        return out.recv(9) == b"y"


def test_a_pinhole_passes_a_filter_that_accepts_our_mark(home, fw, ipv6, port):
    p = port()
    assert not reaches(home, p)
    assert fw.map(f"udp {p} [{PIN6}]:{p} 60000 text=bitcoin") == {}
    assert reaches(home, p) and reaches(home, p, REMOTE6_2)
    assert not reaches(home, p + 1)
    assert fw.map(f"udp {p} [{PIN6}]:{p} 90000 text=core") == {}
    assert [fw.count(n) for n in ("pin6", "pin6_from", "held", "rev")] == [1, 0, 0, 0]
    assert reaches(home, p)
    assert fw.unmap(f"udp {p} [{PIN6}]:{p} 0") == {}
    home.gw.run("conntrack", "-F")
    assert not reaches(home, p)


def test_the_mark_leaves_other_bits_alone(home, fw, ipv6, port):
    p = port()
    fw.map(f"udp {p} [{PIN6}]:{p} 60000")
    home.gw.nft("""table inet foreign {
        chain marks {
            type filter hook prerouting priority mangle; policy accept;
            ct state new ct mark set 0x00000101
        }
    }""")
    assert reaches(home, p)
    assert "mark=65793" in home.gw.run("conntrack", "-L", "-f", "ipv6").stdout  # 0x10101


def test_a_pinhole_for_some_remotes(home, fw, ipv6, port):
    p = port()
    assert fw.map(f"udp {p} [{PIN6}]:{p} 60000 filter={REMOTE6}@6000") == {}
    assert reaches(home, p, REMOTE6, 6000)
    assert not reaches(home, p, REMOTE6, 6001) and not reaches(home, p, REMOTE6_2, 6000)
    assert fw.map(f"udp {p} [{PIN6}]:{p} 60000 filter={REMOTE6}@6000 "
                  f"filter={REMOTE6_2}") == {}
    assert reaches(home, p, REMOTE6, 6000) and reaches(home, p, REMOTE6_2, 6002)
    assert [fw.count(n) for n in ("pin6", "pin6_from")] == [0, 2]
    assert fw.map(f"udp {p} [{PIN6}]:{p} 60000 filter=2a02:db8::/64") == {}
    assert reaches(home, p, REMOTE6, 6003) and reaches(home, p, REMOTE6_2, 6003)
    assert fw.map(f"udp {p} [{PIN6}]:{p} 60000") == {}
    assert [fw.count(n) for n in ("pin6", "pin6_from")] == [1, 0]


def test_a_pinhole_beside_a_lease_of_the_same_port(home, fw, ipv6, port):
    """Neither takes the other's place among the users of a port."""
    p = port()
    fw(f"map udp {p} {CONSOLE}:{p} 60000 twin")
    fw(f"map udp {p} [{PIN6}]:{p} 60000")
    fw(f"map udp {p} [2a01:db8:1::21]:{p} 60000")
    assert fw.commit() == {}
    assert [fw.count(n) for n in ("leases", "pin6", "held")] == [1, 2, 1]
    fw.unmap(f"udp {p} [{PIN6}]:{p} 0")
    assert [fw.count(n) for n in ("leases", "pin6", "held")] == [1, 1, 1]
    fw.unmap(f"udp {p} {CONSOLE}:{p} 0")
    assert [fw.count(n) for n in ("leases", "pin6", "held")] == [0, 1, 0]


def test_who_has_claimed_a_port(home, fw, port):
    p = port()

    def claimed(host, protocol="udp"):
        return int(fw(f"claimed {protocol} {p} {host}")[0].split()[1])
    assert claimed(CONSOLE) == claimed(CONSOLE2) == 0
    with home.console.udp(p) as s:
        source_seen(s, home.inet)
    assert claimed(CONSOLE) == 0 and claimed(CONSOLE2) == 1
    assert claimed(CONSOLE2, "tcp") == 0
    fw("remove")
    assert claimed(CONSOLE2) <= 0


def test_a_disabled_lease_is_kept_and_forwards_nothing(home, fw, port):
    p = port()
    line = f"udp {p} {CONSOLE}:{p} 60000"
    assert fw.map(line + " off") == {}
    assert opened_or_not(home, p) is None
    assert fw.count("disabled") == fw.count("held") == 1
    assert fw.map(line) == {}
    assert opened_or_not(home, p)
    assert fw.map(line + " off") == {}
    assert fw.count("leases") == 0
    assert opened_or_not(home, p) is None


def test_crafted_ipv6_matches_no_rule(home, fw, port):
    """Bytes 12-15 of this IPv6 header are a console's IPv4 address."""
    p = port()
    fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin")
    v6 = "fd00:0:c0a8:4d14::20"
    home.console.ip(f"address replace {v6}/64 dev eth0 nodad\n"
                    "route replace default via fd00:0:c0a8:4d14::1\n")
    home.gw.ip("address replace fd00:0:c0a8:4d14::1/64 dev br-lan nodad\n"
               "address replace fd01::1/64 dev wan0 nodad\n")
    home.inet.ip("address replace fd01::2/64 dev eth0 nodad\n"
                 "route replace fd00::/16 via fd01::1\n")
    home.gw.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", check=True)
    import socket
    with home.console.socket(socket.AF_INET6) as s, home.inet.socket(socket.AF_INET6) as r:
        s.bind(("::", p))
        r.bind(("::", 7000))
        s.sendto(b"out", ("fd01::2", 7000))
        data, peer = r.recvfrom(64)
        assert (data, peer[:2]) == (b"out", (v6, p))
        r.sendto(b"in", ("fd01::1", p))  # the router's own address, a leased port
        assert silent(s)
    assert fw.count("mine") == fw.count("taken") == fw.count("claimrate") == 0


# Times

def left_of(fw, name="leases", kind="map"):
    e = fw.elements(kind, name)[0]
    return (e[0] if kind == "map" else e)["elem"]["expires"]


@pytest.mark.parametrize("by", ["2", "0,2"])
@pytest.mark.parametrize("remote", ["", "remote=11.0.0.0/24", "filter=11.0.0.2@7"])
def test_a_renewal_reaches_the_kernel(home, fw, by, remote):
    """Trap: before 6.12 an add of the same element answers OK and renews nothing; from then on
    one with the same timeout does."""
    line = f"udp 3074 {CONSOLE}:3074 %s twin by={by} text=xbox {remote}"
    main = "leases_from" if remote else "leases"
    for ms in (10000, 3600000, 20000):
        assert fw.map(line % ms) == {}
        assert fw.count(main) == 1
        for name, kind in ((main, "map"), ("rev", "map"), ("held", "set")):
            assert abs(left_of(fw, name, kind) - ms / 1000) < 2, name
    net.wait_for(lambda: left_of(fw, main) <= 18, what="two seconds to pass", pause=0.1)
    assert fw.map(line % ms) == {}
    for name, kind in ((main, "map"), ("rev", "map"), ("held", "set")):
        assert left_of(fw, name, kind) >= 19, name


def test_every_clocked_element_has_a_timeout(home, fw):
    """Trap: an add without the attribute makes an element permanent."""
    for line in ("60000 twin", "60000 twin by=2", "50000 twin by=2 text=new", "60000 off", "9000"):
        assert fw.map(f"udp 3074 {CONSOLE}:3074 {line}") == {}
    text = home.gw.run("nft", "-s", "list", "table", "inet", "portreeve").stdout
    assert "3074" in text
    for name, kind in (("leases", "map"), ("held", "set")):
        assert left_of(fw, name, kind) <= 10
    fw.map(f"udp 3074 {CONSOLE}:3074 - by=5")
    assert "expires" not in fw.text("map", "leases") + fw.text("set", "held")
    fw.map(f"udp 3074 {CONSOLE}:3074 5000 by=5")
    assert left_of(fw) <= 6


def test_the_kernel_ends_a_lease_200_ms_after_its_time(home, fw):
    start = time.monotonic()
    fw.map(f"udp 3074 {CONSOLE}:3074 500 twin")
    for name in ("leases", "rev", "held"):
        net.wait_for(lambda n=name: fw.count(n) == 0, 3, "the end", pause=0.005)
    assert 0.69 < time.monotonic() - start < 0.9


def test_a_changed_text_is_a_new_element(home, fw):
    """Trap: userdata cannot be changed where it stands."""
    fw.map(f"udp 3074 {CONSOLE}:3074 60000 twin by=2 text=xbox")
    fw.map(f"udp 3074 {CONSOLE}:3074 60000 twin by=2 text=zune")
    assert 'comment "upnp zune"' in fw.text("map", "leases")
    assert fw.count("leases") == fw.count("rev") == fw.count("held") == 1


def test_a_new_host_and_port_behind_the_same_lease(home, fw, port):
    p = port()
    fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin")
    fw.map(f"udp {p} {CONSOLE2}:{p} 60000 twin")
    assert opened_or_not(home, p, home.console2)
    assert fw.count("rev") == fw.count("leases") == 1


def test_a_twin_moves_between_two_leases_in_one_commit(home, fw, port):
    """In either order of the steps."""
    p, inside = port(), port()
    for first, second in ((p, p + 1), (p + 1, p)):
        fw.map(f"udp {first} {CONSOLE}:{inside} 60000 twin")
        fw.map(f"udp {second} {CONSOLE}:{inside} 60000")
        fw(f"map udp {second} {CONSOLE}:{inside} 60000 twin")
        fw(f"map udp {first} {CONSOLE}:{inside} 60000")
        assert fw.commit() == {}
        with home.console.udp(inside) as s:
            assert source_seen(s, home.inet, REMOTE1) == (WAN, second)
        home.gw.run("conntrack", "-F")
        fw(f"unmap udp {second} {CONSOLE}:{inside} 0")
        fw(f"map udp {first} {CONSOLE}:{inside} 60000 twin")
        assert fw.commit() == {}
        with home.console.udp(inside) as s:
            assert source_seen(s, home.inet, REMOTE1) == (WAN, first)
        home.gw.run("conntrack", "-F")
        fw.unmap(f"udp {first} {CONSOLE}:{inside} 0")
        assert fw.count("rev") == fw.count("held") == 0


@pytest.mark.parametrize("by", ["2", "0,2"], ids=["one-claim", "two-claims"])
def test_renewing_loses_no_packet(home, fw, port, by):
    """Every datagram is a new flow, while the lease is renewed without a pause."""
    p = port()
    fw.map(f"udp {p} {CONSOLE}:{p} 60000 twin by={by}")
    done, renewals = threading.Event(), [0]

    def renew():
        while not done.is_set():
            renewals[0] += not fw.map(f"udp {p} {CONSOLE}:{p} {60000 + renewals[0]} twin by={by}")
    thread = threading.Thread(target=renew)
    thread.start()
    sent, got = 2000, 0
    import socket
    try:
        with home.console.udp(p) as s:
            s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
            for _ in range(sent):
                with home.inet.udp() as out:
                    out.sendto(b"x", (WAN, p))
            s.settimeout(0.5)
            while not silent(s, 0.5):
                got += 1
    finally:
        done.set()
        thread.join()
    assert renewals[0] > 100
    assert got == sent


# What goes wrong

def test_an_expired_key_is_free_at_once(home, fw):
    """Trap: it holds its slot until the kernel collects it, but not its key."""
    for owner in (CONSOLE, CONSOLE2, CONSOLE):
        fw.map(f"udp 3074 {owner}:3074 1 twin")
        net.wait_for(lambda: fw.count("leases") == 0, 2, "the end", pause=0.001)
        fw(f"unmap udp 3074 {owner}:3074 0")
        fw(f"map udp 3074 {CONSOLE2}:3074 60000 twin")
        assert fw.commit() == {}
        fw.unmap(f"udp 3074 {CONSOLE2}:3074 0")


def test_deleting_the_expired_stops_nobody_else(home, fw):
    """Trap: ENOENT of one delete aborts a whole transaction."""
    for p in range(4000, 4100):
        fw(f"map udp {p} {CONSOLE}:{p} {1 if p % 2 else 60000} twin")
    fw(f"map udp 3000 {CONSOLE}:3000 1 twin by=2")
    assert fw.commit() == {}
    net.wait_for(lambda: fw.count("leases") == 50, 2, "the end")
    for p in range(4000, 4100):
        fw(f"unmap udp {p} {CONSOLE}:{p} 0")
    fw(f"map udp 5000 {CONSOLE}:5000 60000 twin")
    fw(f"map udp 3000 {CONSOLE}:3000 60000 twin by=2")  # a renewal that comes too late
    assert fw.commit() == {}
    assert fw.count("leases") == fw.count("rev") == fw.count("held") == 2


def test_an_element_of_the_admins_fails_one_step(home, fw):
    home.gw.nft("add element inet portreeve leases { udp . 3074 : 192.168.77.30 . 9 }")
    home.gw.nft("add element inet portreeve rev { 192.168.77.20 . udp . 6000 : 9 }")
    for p in (3073, 3074, 3075, 6000, 6001):
        fw(f"map udp {p} {CONSOLE}:{p} 60000 twin")
    assert fw.commit() == {1: "EEXIST", 3: "EEXIST"}
    assert fw.count("leases") == 4 and fw.count("rev") == 4 and fw.count("held") == 3


def test_a_held_port_left_over_is_taken_over(home, fw):
    home.gw.nft("add element inet portreeve held { udp . 3074 timeout 5s }")
    assert fw.map(f"udp 3074 {CONSOLE}:3074 60000 twin") == {}
    assert left_of(fw, "held", "set") > 50


def test_a_full_map_refuses_only_what_does_not_fit(home, fw):
    """Trap: ENFILE means that a set is full."""
    fw("remove")
    fw("install 1")
    answer = fw("bulk add 5000 60000")
    assert answer == [f"failed {5000 - 4097} ENFILE"]
    assert fw.count("leases") == fw.count("rev") == fw.count("held") == 4097


def test_an_interval_map_has_no_size_and_never_jams(home, fw):
    """Trap: a full interval map is not emptied by the expiry of its elements."""
    assert "size" not in fw.text("map", "leases_from")
    for _ in range(4):
        for p in range(4000, 4064):
            fw(f"map udp {p} {CONSOLE}:{p} 1 remote=11.0.0.0/24")
        assert fw.commit() == {}
        net.wait_for(lambda: fw.count("leases_from") == 0, 2, "the end")
        for p in range(4000, 4064):
            fw(f"unmap udp {p} {CONSOLE}:{p} 0 remote=11.0.0.0/24")
        assert fw.commit() == {}


@pytest.mark.parametrize("n", [1000, 60000])
@pytest.mark.seconds(120)
def test_a_large_commit_arrives_completely(home, fw, n):
    """Trap: a list of more than 64 KB is cut short and answered with OK. 128 bytes of text."""
    assert fw(f"bulk add {n} 600000") == ["failed 0 -"]
    assert [fw.count(s) for s in ("leases", "rev", "held")] == [n] * 3
    fw("open")
    report = fw("adopt quiet")[0]
    assert report.startswith(f"adopted leases={n} foreign=0 repaired=0 orphans=0 ")
    assert fw(f"bulk del {n} 0") == ["failed 0 -"]
    assert [fw.count(s) for s in ("leases", "rev", "held")] == [0] * 3


def test_leases_that_end_together_leave_nothing(home, fw):
    """Half of them are gone already when the deletes come."""
    fw("bulk add 20000 300")
    time.sleep(0.45)
    assert fw("bulk del 20000 0") == ["failed 0 -"]
    assert [fw.count(s) for s in ("leases", "rev", "held")] == [0] * 3


def test_without_the_table_steps_fail_and_nothing_worse(home, fw):
    fw.map(f"udp 3074 {CONSOLE}:3074 60000 twin")
    home.gw.nft("flush ruleset")
    home.gw.nft(net.MASQUERADE)
    assert fw.map(f"udp 3075 {CONSOLE}:3075 60000 twin") == {0: "ENOENT"}
    fw.up()
    assert fw.map(f"udp 3075 {CONSOLE}:3075 60000 twin") == {}


# A new daemon

def test_all_leases_come_back_after_a_kill(home, fw):
    lines = {("udp", 3074): f"udp 3074 {CONSOLE}:3074 60000 twin by=2 text=xbox",
             ("tcp", 8080): f"tcp 8080 {CONSOLE}:80 - by=5 text=web",
             ("udp", 4000): f"udp 4000 {CONSOLE}:4000 90000 by=0,2 nonce text=both",
             ("udp", 4001): f"udp 4001 {CONSOLE}:4001 30000 off by=1",
             ("udp", 4002): f"udp 4002 {CONSOLE}:4002 30000 remote=11.0.0.0/24 text=a\"b",
             ("udp", 4003): f"udp 4003 {CONSOLE}:4003 30000 twin filter=11.0.0.2@5 filter=12.0.0.0/24"
                            " filter=11.0.0.9 by=2,0 nonce text=filtered",
             ("tcp", 4004): f"tcp 4004 {CONSOLE}:4004 30000 off filter=11.0.0.2",
             ("udp", 4005): f"udp 4005 [{PIN6}]:4005 30000 nonce text=pin",
             ("udp", 4006): f"udp 4006 [{PIN6}]:4006 30000 filter=2a02:db8::/64@77 "
                            "filter=2a02:db8:1::1",
             ("udp", 4007): f"udp 4007 [{PIN6}]:4007 30000 remote=2a02:db8::/64"}
    for line in lines.values():
        fw(f"map {line}")
    assert fw.commit() == {}
    fw.kill()
    new = Tool(home.gw, fw.kernel)
    new("open")
    new("install 131072")
    leases, report = new.adopt()
    assert set(leases) == set(lines)
    assert (report["foreign"], report["repaired"], report["orphans"]) == (0, 0, 0)
    assert leases["udp", 3074]["twin"] == "1" and leases["udp", 3074]["text"] == "xbox"
    assert leases["tcp", 8080]["left"] == "-"
    assert leases["udp", 4000]["claims"] == "5" and leases["udp", 4000]["nonce"] == "1"
    assert leases["udp", 4001]["enabled"] == "0" and leases["udp", 4001]["origin"] == "1"
    assert leases["udp", 4002]["remote"] == "11.0.0.0/120"
    assert leases["udp", 4002]["text"] == 'a"b'
    assert leases["udp", 4003]["filters"] == "11.0.0.2@5,11.0.0.9@0,12.0.0.0/24@0"
    assert leases["udp", 4003]["claims"] == "5" and leases["udp", 4003]["twin"] == "1"
    assert leases["udp", 4003]["remote"] == "::/0" and leases["udp", 4003]["text"] == "filtered"
    assert leases["tcp", 4004]["enabled"] == "0"
    assert leases["tcp", 4004]["filters"] == "11.0.0.2@0"
    assert leases["udp", 4005]["to"] == f"[{PIN6}]:4005" and leases["udp", 4005]["nonce"] == "1"
    assert leases["udp", 4006]["filters"] == "2a02:db8::/64@77,2a02:db8:1::1@0"
    assert leases["udp", 4007]["remote"] == "2a02:db8::/64"
    assert leases["udp", 4007]["filters"] == ""
    for key, line in lines.items():
        ms = line.split()[3]
        if ms != "-":
            assert int(ms) - 1500 < int(leases[key]["left"]) <= int(ms)
    # They can be renewed and deleted as if nothing had happened.
    for line in lines.values():
        new(f"map {line}")
    assert new.commit() == {}
    for line in lines.values():
        new(f"unmap {line}")
    assert new.commit() == {}
    for name in ("leases", "leases_from", "disabled", "disabled_from", "pin6", "pin6_from",
                 "rev", "held"):
        assert new.count(name) == 0
    new.close()


def test_adoption_puts_right_what_does_not_fit(home, fw):
    for p in (3074, 3075, 3076):
        fw(f"map udp {p} {CONSOLE}:{p} 60000 twin by=2")
    fw.commit()
    home.gw.nft("""delete element inet portreeve held { udp . 3074 }
        delete element inet portreeve rev { 192.168.77.20 . udp . 3075 }
        delete element inet portreeve leases { udp . 3076 }
        add element inet portreeve held { udp . 4000 timeout 1h }
        add element inet portreeve held { udp . 51820 }
        add element inet portreeve leases { udp . 5000 timeout 1h comment "by hand" : 192.168.77.30 . 9 }
        """)
    fw("open")
    leases, report = fw.adopt()
    assert set(leases) == {("udp", 3074), ("udp", 3075)}
    assert (report["repaired"], report["orphans"], report["foreign"]) == (2, 3, 2)
    held = [e.get("elem", {}).get("val", e)["concat"][1] if "elem" in e else e["concat"][1]
            for e in fw.elements("set", "held")]
    assert sorted(held) == [3074, 3075, 51820]
    assert fw.count("rev") == 2 and fw.count("leases") == 3
    assert 55 < left_of(fw, "rev") < 61


def test_of_a_lease_that_was_killed_between_two_maps_the_filters_stay(home, fw):
    """Its first filter comes in one transaction, the open element goes in the next."""
    line = f"udp 3074 {CONSOLE}:3074 60000 twin by=2"
    fw.map(line)
    fw(f"map udp 3075 {CONSOLE}:3075 60000 by=2")
    fw(f"map udp 3074 [{PIN6}]:3074 60000")
    assert fw.commit() == {}
    other = Tool(home.gw, fw.kernel)
    other("open")
    other(f"map {line} filter=11.0.0.2 filter=12.0.0.2")  # knows of no open one, so no twin
    other(f"map udp 3074 [{PIN6}]:3074 60000 filter={REMOTE6}")
    assert other.commit() == {0: "EEXIST"}
    assert other.map(f"{line.replace(' twin', '')} filter=11.0.0.2 filter=12.0.0.2") == {}
    other.close()
    assert [fw.count(n) for n in ("leases", "leases_from", "pin6", "pin6_from")] == [2, 2, 1, 1]
    fw("open")
    leases, report = fw.adopt()
    assert leases["udp", 3074]["filters"] and leases["udp", 3075]["filters"] == ""
    assert report["leases"] == 3
    assert [fw.count(n) for n in ("leases", "leases_from", "pin6", "pin6_from", "held")] == [
        1, 2, 0, 1, 2]


# Links

def test_links_are_followed(home, fw):
    def links(*words):
        answer = fw(" ".join(("links", *words)))
        return {a.split()[1]: a for a in answer if a.startswith("link ")}, answer[-1], answer[0]
    every, default, _ = links()
    assert default == "default wan0"
    assert f"{WAN}/24" in every["wan0"] and "up=1 running=1" in every["wan0"]
    assert "192.168.77.1/24" in every["br-lan"]
    links("read")
    assert links("read")[2] == "changed 0"
    home.gw.ip("address add 192.168.99.1/24 dev br-guest\nlink add dummy9 type bridge\n")
    every, _, changed = links("read")
    assert changed == "changed 1" and "192.168.99.1/24" in every["br-guest"]
    assert "up=0" in every["dummy9"]
    home.gw.ip("address del 192.168.99.1/24 dev br-guest\nlink del dummy9\n"
               f"route del default\nroute add default via {REMOTE1} dev wan0 metric 50\n"
               "route add default via 192.168.78.9 dev br-guest metric 40\n")
    every, default, changed = links("read")
    assert changed == "changed 1" and "dummy9" not in every and default == "default br-guest"
    home.gw.ip("route del default via 192.168.78.9 dev br-guest metric 40\n"
               f"route del default metric 50\n")
    assert links("read")[1] == "default -"
    home.gw.ip(f"route add default via {REMOTE1} dev wan0\n")
    assert links("read")[1] == "default wan0"
    before = int(fw("links counters wan0")[0].split()[1])
    with home.inet.udp() as s:
        s.sendto(b"x", (WAN, 9))
    assert int(fw("links counters wan0")[0].split()[1]) > before
    with pytest.raises(LabError, match="ENODEV"):
        fw("links counters nosuch")
