# SPDX-License-Identifier: GPL-2.0-or-later
"""portreeve check: what it finds in the way stops packets, and what it advises lets them in."""
import contextlib
import json
import subprocess

import pytest

import gateway
import natpmp
import net
import pcp

PLAIN = """table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		iifname "br-lan" accept
	}
}
"""
IPTABLES = ("-P FORWARD DROP", "-A FORWARD -i br-lan -j ACCEPT",
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
DOCKER = ("-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-I FORWARD -j DOCKER-USER")
# The chains of ufw, as it makes them when it is enabled.
UFW = ("-P FORWARD DROP", "-N ufw-before-forward",
       "-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
       "-A FORWARD -j ufw-before-forward", "-A FORWARD -i br-lan -j ACCEPT")
FW4 = """table inet fw4 {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state vmap { established : accept, related : accept }
		iifname "br-lan" jump forward_lan
		iifname "wan0" jump forward_wan
		jump handle_reject
	}
	chain handle_reject {
		meta l4proto tcp reject with tcp reset
		reject
	}
	chain forward_lan {
		oifname "wan0" counter accept
	}
	chain reject_to_lan {
		oifname "br-lan" counter goto handle_reject
	}
	chain forward_wan {
		jump reject_to_lan
	}
}
"""


@contextlib.contextmanager
def nft(lab, text):
    """Rules of somebody else, for as long as this lasts."""
    family, table = text.split()[1:3]
    lab.gw.nft(text)
    try:
        yield
    finally:
        lab.gw.nft(f"delete table {family} {table}")


@contextlib.contextmanager
def iptables(lab, lines):
    try:
        for line in lines:
            lab.gw.run("iptables-nft", *line.split(), check=True)
        yield
    finally:
        lab.gw.nft("delete table ip filter")


class Check:
    """What the command says, at least a tenth of a second after the last time."""

    def __init__(self, gw):
        self.gw = gw

    def __call__(self):
        done = self.gw.cli("check", "--json")
        self.code = done.returncode
        return {f["id"]: f for f in json.loads(done.stdout)["findings"]}

    def until(self, condition):
        """Until it says so: the last answer holds for a tenth of a second."""
        net.wait_for(lambda: condition(self()), what="what check should find")
        return self()


@pytest.fixture
def check(gw):
    return Check(gw)


@pytest.fixture
def opened(lab, gw, port):
    """A lease and the socket that it leads to: (external port, socket)."""
    p, x = port(), port()
    with pcp.Client(lab.console) as console:
        assert console.map(pcp.UDP, p, x).external == x
        with lab.console.udp(p) as s:
            yield x, s


def test_nothing_in_the_way(check, gw, lab, opened):
    found = check.until(lambda f: set(f) == {"not-counted"})
    assert check.code == 0
    lab.gw.run("sh", "-c", found["not-counted"]["fix"], check=True)
    assert check.until(lambda f: not f) == {} and check.code == 0
    assert net.arrives(lab.inet, opened[1], opened[0])
    text = gw.cli("check")
    assert text.returncode == 0 and "nothing stands in the way" in text.stdout


def advice_helps(lab, gw, check, opened, ident="forward-drop"):
    """What is found does stop packets; after the advised command they arrive."""
    external, s = opened
    assert net.arrives(lab.inet, s, external, timeout=0.3) is None
    found = check.until(lambda f: ident in f)
    assert check.code == 2 and found[ident]["severity"] == "block"
    text = gw.cli("check")
    assert text.returncode == 2 and text.stdout.startswith("✗ blocked")
    assert f"→ {found[ident]['fix']}" in text.stdout
    lab.gw.run("sh", "-c", found[ident]["fix"].replace("iptables ", "iptables-nft "), check=True)
    assert net.arrives(lab.inet, s, external)
    check.until(lambda f: ident not in f)
    return found[ident]


def test_a_plain_forward_chain_that_drops(lab, gw, check, opened):
    with nft(lab, PLAIN):
        found = advice_helps(lab, gw, check, opened)
    assert "policy of the chain inet filter forward" in found["text"]


def test_a_rule_that_drops_is_named_by_its_handle(lab, gw, check, opened):
    text = PLAIN.replace("policy drop", "policy accept").replace(
        'iifname "br-lan" accept', 'iifname "wan0" counter drop')
    with nft(lab, text):
        found = advice_helps(lab, gw, check, opened)
        chain = lab.gw.run("nft", "-a", "list", "chain", "inet", "filter", "forward").stdout
        handle = next(l.split()[-1] for l in chain.splitlines() if "drop" in l and "wan0" in l)
    assert f"handle {handle} " in found["text"]


def test_iptables(lab, gw, check, opened):
    with iptables(lab, IPTABLES):
        assert advice_helps(lab, gw, check, opened)["fix"].startswith("iptables -I FORWARD ")


def test_docker(lab, gw, check, opened):
    with iptables(lab, IPTABLES + DOCKER):
        assert advice_helps(lab, gw, check, opened)["fix"].startswith("iptables -I DOCKER-USER ")


def test_ufws_chains(lab, gw, check, opened):
    """The advice is about its file; its line does what the file would"""
    external, s = opened
    with iptables(lab, UFW):
        assert net.arrives(lab.inet, s, external, timeout=0.3) is None
        fix = check.until(lambda f: "forward-drop" in f)["forward-drop"]["fix"]
        assert "/etc/ufw/before.rules" in fix and "ufw reload" in fix
        line = fix.split("COMMIT: ")[1].split(";")[0]
        lab.gw.run("iptables-nft", *line.replace("-A ", "-I ", 1).split(), check=True)
        assert net.arrives(lab.inet, s, external)
        check.until(lambda f: "forward-drop" not in f)


def test_fw4s_chains(lab, gw, check, opened):
    external, s = opened
    with nft(lab, FW4):
        assert net.arrives(lab.inet, s, external, timeout=0.3) is None
        found = check.until(lambda f: "forward-drop" in f)["forward-drop"]
        assert "inet fw4 handle_reject" in found["text"]
        assert "/usr/share/nftables.d/chain-pre/forward/portreeve.nft" in found["fix"]
        lab.gw.nft("insert rule inet fw4 forward " + found["fix"].split("'")[1])
        assert net.arrives(lab.inet, s, external)
        check.until(lambda f: "forward-drop" not in f)


def test_chains_that_let_leases_pass_are_no_finding(lab, check, opened):
    """By interface, by a set, by a map of verdicts, by another table's name"""
    external, s = opened
    text = """table inet filter {
        set wans { type ifname; elements = { "wan0" } }
        set hosts { type ipv4_addr; flags interval; elements = { 192.168.77.0/24 } }
        chain forward {
            type filter hook forward priority 0; policy drop;
            ct state vmap { invalid : drop, established : accept, related : accept }
            iifname vmap { "br-lan" : accept, "wan0" : jump from_wan }
        }
        chain from_wan {
            iifname @wans ip daddr @hosts meta l4proto { tcp, udp } jump hosts
        }
        chain hosts {
            th dport 1024-65535 accept
        }
    }"""
    with nft(lab, text):
        assert net.arrives(lab.inet, s, external)
        assert check.until(lambda f: not f) == {}
        lab.gw.nft("delete element inet filter hosts { 192.168.77.0/24 }")
        assert net.arrives(lab.inet, s, external, timeout=0.3) is None
        check.until(lambda f: "forward-drop" in f)


def test_what_cannot_be_known_is_a_warning(lab, gw, check, opened):
    text = PLAIN.replace("policy drop", "policy accept").replace(
        'iifname "br-lan" accept', 'iifname "wan0" limit rate over 1000/second drop')
    with nft(lab, text):
        assert net.arrives(lab.inet, opened[1], opened[0])
        found = check.until(lambda f: "forward-maybe" in f)
        assert check.code == 1 and found["forward-maybe"]["severity"] == "warning"
        text = gw.cli("check")
        assert text.returncode == 1 and "may stand in the way" in text.stdout


def test_a_dnat_of_the_admins_own_shadows_a_lease(lab, gw, check, opened):
    external, s = opened
    with nft(lab, f"""table ip nat {{ chain pre {{
            type nat hook prerouting priority dstnat;
            iifname "wan0" udp dport {external} dnat to 192.168.77.99
        }}
    }}"""):
        assert net.arrives(lab.inet, s, external, timeout=0.3) is None
        found = check.until(lambda f: "shadowed" in f)["shadowed"]
        assert check.code == 2 and f"udp/{external}" in found["text"]


def test_an_input_chain_that_keeps_clients_from_asking(lab, gw, check, port):
    text = """table inet filter { chain input {
            type filter hook input priority 0; policy drop;
            ct state established,related accept
        }
    }"""
    with nft(lab, text), pcp.Client(lab.console, timeout=0.3, sport=port()) as console:
        found = check.until(lambda f: "input-drop" in f)
        fixes = [f["fix"] for f in json.loads(gw.cli("check", "--json").stdout)["findings"]
                 if f["id"] == "input-drop" and '"br-lan"' in f["fix"]]
        assert len(fixes) == 3 and check.code == 2 and found  # 5351, 1900 and HTTP
        assert console.ask(console.request(pcp.UDP, port(), port())) is None
        for fix in fixes:
            lab.gw.run("sh", "-c", fix, check=True)
        with pcp.Client(lab.console) as client:
            x = port()
            assert client.map(pcp.UDP, port(), x).external == x


def test_a_machine_that_does_not_route(lab, gw, check, opened):
    """prior-art 2.10"""
    external, s = opened
    lab.gw.run("sysctl", "-qw", "net.ipv4.ip_forward=0", check=True)
    try:
        advice_helps(lab, gw, check, opened, "ip-forward")
    finally:
        lab.gw.run("sysctl", "-qw", "net.ipv4.ip_forward=1", check=True)


def test_short_timeouts_of_conntrack(lab, check):
    """RFC 4787 REQ-5, RFC 5382 REQ-5; prior-art 2.10"""
    names = {"udp-timeout": "nf_conntrack_udp_timeout_stream",
             "tcp-timeout": "nf_conntrack_tcp_timeout_established"}
    for ident, name in names.items():
        before = lab.gw.run("sysctl", "-n", f"net.netfilter.{name}").stdout.strip()
        lab.gw.run("sysctl", "-qw", f"net.netfilter.{name}=30", check=True)
        found = check.until(lambda f, i=ident: i in f)[ident]
        assert found["severity"] == "warning"
        lab.gw.run("sh", "-c", found["fix"], check=True)
        check.until(lambda f, i=ident: i not in f)
        lab.gw.run("sysctl", "-qw", f"net.netfilter.{name}={before}", check=True)


def test_bridge_netfilter(lab, gw, check, opened):
    """prior-art 2.10: two hosts of the LAN do not reach each other, and after what is advised
    they do"""
    key = "net.bridge.bridge-nf-call-iptables"
    if lab.gw.run("sysctl", "-qw", f"{key}=1").returncode:
        pytest.skip("no bridge netfilter in this kernel")
    text = """table inet filter { chain forward {
            type filter hook forward priority 0; policy drop;
            ct state established,related accept
            ct status dnat accept
            iifname "br-lan" oifname "wan0" accept
        }
    }"""
    try:
        with nft(lab, text), lab.pc.udp() as s:
            with lab.console.udp() as other:
                other.sendto(b"hello", (net.PC, s.getsockname()[1]))
                assert net.silent(s, 0.2)
                found = check.until(lambda f: "bridge-drop" in f)["bridge-drop"]
                assert check.code == 1 and found["severity"] == "warning"
                lab.gw.run("sh", "-c", found["fix"].partition(",")[0], check=True)
                other.sendto(b"hello", (net.PC, s.getsockname()[1]))
                s.settimeout(2)
                assert s.recv(16) == b"hello"
                check.until(lambda f: "bridge-drop" not in f)
    finally:
        lab.gw.run("sysctl", "-qw", f"{key}=0")


@pytest.mark.parametrize("address, ident, code", [("10.0.0.2", "double-nat", 1),
                                                  ("192.168.1.7", "double-nat", 1),
                                                  ("100.64.3.4", "cgnat", 2)])
def test_a_wan_address_that_the_internet_does_not_reach(lab, gw, check, address, ident, code):
    lab.gw.ip(f"addr add {address}/24 dev wan0\naddr del {net.WAN}/24 dev wan0")
    try:
        found = check.until(lambda f: ident in f)
        assert check.code == code and address in found[ident]["text"]
    finally:
        lab.gw.ip(f"addr add {net.WAN}/24 dev wan0\naddr del {address}/24 dev wan0\n"
                  f"route replace default via {net.REMOTE1}")
    check.until(lambda f: not f)
    natpmp.told(lab.console)


def test_no_wan(lab, gw, check):
    lab.gw.ip("link set wan0 down")
    try:
        check.until(lambda f: "wan-down" in f)
        assert check.code == 2
    finally:
        lab.gw.ip(f"link set wan0 up\nroute replace default via {net.REMOTE1}")
    check.until(lambda f: not f)
    natpmp.told(lab.console)


def test_usage(gw):
    assert gw.cli("check", "now").returncode == 64
    assert subprocess.run([gateway.Programs().cli, "--runtime-dir", "/nonexistent", "check"],
                          capture_output=True, check=False).returncode == 69
