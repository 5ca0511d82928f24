# SPDX-License-Identifier: GPL-2.0-or-later
"""The admin's own rules on what is open: the two examples that are installed, by packets. Issue 7,
item 7. They live in our table, since nftables sets serve the rules of their own table only."""
import json
import os
import re

import pytest

import gateway
import natpmp
import net
import pcp

CONF = os.path.join(gateway.Programs().top, "conf")
AF41 = 34 << 2


def example(name, **defines):
    with open(f"{CONF}/{name}.nft", encoding="utf-8") as f:
        text = f.read()
    for key, value in defines.items():
        text, n = re.subn(rf"^define {key} = .*$", f"define {key} = {{ {value} }}", text,
                          flags=re.M)
        assert n == 1
    return text


GEO = example("geo-block", blocked="12.0.0.0/24", blocked6=f"{net.REMOTE6_2}/128")
QOS = example("qos")


@pytest.fixture(scope="module")
def lab():
    with net.Net(ipv6=True) as n:
        yield n


@pytest.fixture(scope="module")
def gw(lab):
    """The admin's files are there before the daemon is, as at a boot."""
    lab.gw.nft(GEO + QOS)
    with gateway.Gateway(lab) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


@pytest.fixture(autouse=True)
def lease(lab, gw, port):
    """A lease of the console, and a socket at its inside port."""
    p = port()
    with natpmp.Client(lab.console) as c, lab.console.udp(p) as s:
        assert c.map(natpmp.UDP, p, p, 600).result == 0
        yield p, s


def blocked(lab, lease):
    """Does the port work for one remote, and not for the other?"""
    p, s = lease
    return bool(net.arrives(lab.inet, s, p, source=net.REMOTE1)) and not net.arrives(
        lab.inet, s, p, source=net.REMOTE2, timeout=0.3)


def tos_outside(lab, sock):
    """The TOS byte that the internet host sees."""
    with lab.inet.udp() as there:
        there.setsockopt(net.socket.IPPROTO_IP, net.socket.IP_RECVTOS, 1)
        sock.sendto(b"play", there.getsockname()[:2] if there.getsockname()[0] != "0.0.0.0"
                    else (net.REMOTE1, there.getsockname()[1]))
        _, control, _, _ = there.recvmsg(64, 256)
        return control[0][2][0]


def gamers(lab):
    return net.CONSOLE in lab.gw.run("nft", "list", "set", "inet", "portreeve", "my_gamers").stdout


def test_geo_block(lab, lease):
    assert blocked(lab, lease)


def test_geo_block_leaves_the_routers_other_ports_alone(lab):
    with lab.gw.udp(5999) as s, net.fresh_udp(lab.inet, net.REMOTE2) as there:
        there.sendto(b"x", (net.WAN, 5999))
        assert s.recv(10) == b"x"


def test_geo_block_of_pinholes(lab, gw, port):
    p = port()
    with pcp.Client(lab.console, source=net.CONSOLE6) as c, \
            lab.console.udp(p, net.CONSOLE6) as s:
        assert c.map(pcp.UDP, p, p, 600).result == 0
        assert net.arrives(lab.inet, s, p, net.CONSOLE6, source=net.REMOTE6)
        assert not net.arrives(lab.inet, s, p, net.CONSOLE6, 0.3, net.REMOTE6_2)


def test_qos_marks_what_leaves_from_open_ports_alone(lab, lease):
    assert tos_outside(lab, lease[1]) == AF41
    assert gamers(lab)
    with lab.console.udp() as other:
        assert tos_outside(lab, other) == 0


HOSTS = """table inet portreeve {
	set hosts { type ipv4_addr; size 32768; flags timeout; }
	set hosts6 { type ipv6_addr; size 32768; flags timeout; }
	chain my_hosts {
		type filter hook forward priority mangle; policy accept;
		iifname "br-lan" ip saddr @hosts udp dport 5998 drop
		iifname "br-lan" ip6 saddr @hosts6 udp dport 5998 drop
	}
}
"""


def known(lab, host, source="0.0.0.0", remote=net.REMOTE1):
    """Is that host in the set, by what its packets meet?"""
    with lab.inet.udp(5998, remote if ":" in remote else "0.0.0.0") as there, \
            net.fresh_udp(host, source) as s:
        there.settimeout(0.3)
        s.sendto(b"x", (remote, 5998))
        try:
            return there.recv(10) != b"x"
        except TimeoutError:
            return True


def test_hosts_with_leases(lab, gw, lease, port):
    """The set of hosts: those with a lease, or a pinhole, are in it, nobody else, also after it
    was flushed, a flush of everything, and a restart; not after the last lease"""
    lab.gw.nft(HOSTS)
    try:
        net.wait_for(lambda: known(lab, lab.console), what="the host with a lease")
        assert not known(lab, lab.console2)
        p = port()
        with pcp.Client(lab.console2, source=net.CONSOLE2_6) as c:
            assert c.map(pcp.UDP, p, p, 600).result == 0
        net.wait_for(lambda: known(lab, lab.console2, net.CONSOLE2_6, net.REMOTE6),
                     what="the host with a pinhole")
        assert not known(lab, lab.console, net.CONSOLE6, net.REMOTE6)
        lab.gw.nft("flush set inet portreeve hosts")
        net.wait_for(lambda: known(lab, lab.console), what="repair")
        lab.gw.nft("flush ruleset\n" + net.MASQUERADE + HOSTS)
        net.wait_for(lambda: known(lab, lab.console), 3, "repair of everything")
        net.wait_for(lambda: known(lab, lab.console2, net.CONSOLE2_6, net.REMOTE6), 3, "of both")
        gw.stop()
        gw.start()
        assert known(lab, lab.console) and not known(lab, lab.console2)
        gw.clear()
        net.wait_for(lambda: not known(lab, lab.console), 3, "its end")
        net.wait_for(lambda: not known(lab, lab.console2, net.CONSOLE2_6, net.REMOTE6), 3, "both")
    finally:
        lab.gw.nft("flush chain inet portreeve my_hosts\n"
                   "delete chain inet portreeve my_hosts\n")
        lab.gw.nft(GEO + QOS)


def test_check_sees_the_admins_chains(lab, gw, lease):
    """The examples stand in nobody's way; a chain that drops does, also in our table."""
    def dropping():
        findings = json.loads(gw.cli("check", "--json").stdout)["findings"]
        return [f for f in findings if f["id"] == "forward-drop"]
    assert not dropping()
    lab.gw.nft("table inet portreeve { chain my_filter {\n"
               "type filter hook forward priority filter; policy drop; }; }")
    try:
        found = net.wait_for(dropping, what="the finding")[0]
        assert "inet portreeve my_filter" in found["text"]
        assert not net.arrives(lab.inet, lease[1], lease[0], timeout=0.3)
        lab.gw.nft(found["fix"].removeprefix("nft ") + "\n")
        assert net.arrives(lab.inet, lease[1], lease[0])
        net.wait_for(lambda: not dropping(), what="its end")
    finally:
        lab.gw.nft("flush chain inet portreeve my_filter\ndelete chain inet portreeve my_filter")


@pytest.mark.parametrize("change", ["reload", "restart", "flush", "flush and both files"])
def test_they_stay(lab, gw, lease, change):
    """After a reload and a restart of the daemon; and a firewall's own reload, which flushes
    everything and loads its files in one go, leaves them in force with every lease."""
    if change == "reload":
        gw.reload()
    elif change == "restart":
        gw.stop()
        gw.start()
    elif change == "flush":  # the files are loaded a while later
        lab.gw.nft("flush ruleset\n" + net.MASQUERADE)
        net.wait_for(lambda: net.arrives(lab.inet, lease[1], lease[0], timeout=0.2), what="repair")
        lab.gw.nft(GEO + QOS)
    else:
        lab.gw.nft("flush ruleset\n" + net.MASQUERADE + GEO + QOS)
        net.wait_for(lambda: net.arrives(lab.inet, lease[1], lease[0], timeout=0.2), what="repair")
    net.wait_for(lambda: blocked(lab, lease), what="the block")
    assert tos_outside(lab, lease[1]) == AF41
    assert gw.lease("udp", lease[0])


def test_when_the_lease_ends_so_does_the_rest(lab, gw, lease):
    p, _ = lease
    gw.clear()
    with lab.gw.udp(p) as s:  # the router's own service now: nothing is blocked
        with net.fresh_udp(lab.inet, net.REMOTE2) as there:
            there.sendto(b"x", (net.WAN, p))
            assert s.recv(10) == b"x"


@pytest.mark.dirty
def test_remove_takes_them_too(lab, gw):
    gw.stop()
    assert gw.run("--remove").returncode == 0
    assert "inet portreeve" not in lab.gw.run("nft", "list", "tables").stdout
    gw.start()
