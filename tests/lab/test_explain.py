# SPDX-License-Identifier: GPL-2.0-or-later
"""portreeve explain: why a port is not open, in eight broken situations and when it is.

Packets say whether it is open; the verdict has to say the same, and why. Issue 7, row 2.
"""
import json
import time

import pytest

import gateway
import natpmp
import net
import pcp
import upnp
from test_check import PLAIN, nft
from test_gone import come_back, leave
from test_upstream import behind  # noqa: F401 - a fixture

QUOTA = 3


@pytest.fixture(scope="module")
def gw(lab):
    config = gateway.CONFIG.replace("per-host = 4096", f"per-host = {QUOTA}")
    with gateway.Gateway(lab, config) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


class Explain:
    """The command, on the gateway itself: it tries the host from there."""

    def __init__(self, gw):
        self.gw = gw

    def run(self, *args):
        return self.gw.host.run(self.gw.programs.cli, "--runtime-dir", self.gw.runtime, "explain",
                                *args)

    def __call__(self, key):
        done = self.run(key, "--json")
        assert done.stderr == ""
        [port] = json.loads(done.stdout)["ports"]
        assert done.returncode == (0 if port["open"] else 1)
        port["facts"] = {f["id"]: f for f in port["facts"]}
        return port


@pytest.fixture
def explain(gw):
    return Explain(gw)


@pytest.fixture
def opened(lab, port):
    """A lease and the socket that it leads to: (external port, socket)."""
    p, x = port(), port()
    with pcp.Client(lab.console) as console:
        assert console.map(pcp.UDP, p, x).external == x
        with lab.console.udp(p) as s:
            yield x, s


def test_an_open_port_is_called_open(lab, explain, opened):
    external, s = opened
    assert net.arrives(lab.inet, s, external)
    port = explain(f"udp/{external}")
    assert port["open"] and port["verdict"] == "open" and port["fix"] is None
    for known in ("lease", "kernel", "wan", "rules", "host", "flows"):
        assert port["facts"][known]["state"] == "good", port["facts"]
    assert "connected now: 1 from outside" in port["facts"]["flows"]["text"]


def test_a_foreign_chain_drops(lab, gw, explain, opened):
    external, s = opened
    with nft(gw.net, PLAIN):
        assert net.arrives(lab.inet, s, external, timeout=0.3) is None
        port = explain(f"udp/{external}")
        assert port["verdict"] == "forward-drop" and not port["open"]
        assert "policy of the chain inet filter forward" in port["text"]
        lab.gw.run("sh", "-c", port["fix"], check=True)
        assert net.arrives(lab.inet, s, external)
        assert explain(f"udp/{external}")["verdict"] == "open"


def test_nobody_has_asked(explain, port):
    x = port()
    said = explain(f"udp/{x}")
    assert said["verdict"] == "no-lease" and said["reason"] is None
    assert f"nobody has asked for udp/{x}" in said["text"] and "forward" in said["fix"]


def test_people_are_told_the_verdict_first(lab, gw, explain, opened):
    external, s = opened
    with nft(gw.net, PLAIN):
        text = explain.run(f"udp/{external}").stdout
    lines = text.splitlines()
    assert lines[0].startswith("✗ the policy of the chain inet filter forward drops what comes in")
    assert "  → nft insert rule inet filter forward ct status dnat accept" in lines
    assert max(map(len, lines)) <= 80
    words = " ".join(text.split())
    for fact in (f"✓ udp/{external} leads to {net.CONSOLE}:", "✓ the kernel has it, for ",
                 f"✓ the WAN wan0 has the address {net.WAN}", f"✓ {net.CONSOLE} is in the LAN"):
        assert fact in words


def test_a_port_without_a_protocol(lab, explain, opened):
    """Only udp was asked for: that tcp is not open is told, and does not count"""
    done = explain.run(str(opened[0]), "--json")
    assert done.returncode == 0
    assert [(p["protocol"], p["verdict"]) for p in json.loads(done.stdout)["ports"]] == [
        ("tcp", "no-lease"), ("udp", "open")]


def test_a_reserved_port(lab, gw, explain):
    """Before and after somebody has asked for it"""
    said = explain("tcp/5900")
    assert (said["verdict"], said["reason"]) == ("refused", "reserved")
    assert "5900" in said["fix"] and "allow-reserved" in said["fix"]
    with pytest.raises(upnp.Fault):
        upnp.Igd(lab.console).add("TCP", 5900)
    said = explain("tcp/5900")
    assert (said["verdict"], said["reason"]) == ("refused", "reserved")
    assert f"{net.CONSOLE} asked for tcp/5900 by upnp" in said["text"]
    # Once in the log, however often it asks (style.md, logging).
    for _ in range(30):
        with pytest.raises(upnp.Fault):
            upnp.Igd(lab.console).add("TCP", 5900)
    line = f"lease refused port=tcp/5900 to={net.CONSOLE}:5900 by=upnp reason=reserved"
    assert gw.log().count(line) == 1


def test_the_quota_of_the_host(lab, explain, port):
    with pcp.Client(lab.console) as console:
        for p in [port() for _ in range(QUOTA)]:
            assert console.map(pcp.UDP, p, p).result == 0
        p = port()
        assert console.result(pcp.UDP, p, p) != 0
    said = explain(f"udp/{p}")
    assert (said["verdict"], said["reason"]) == ("refused", "quota-host")
    assert f"{net.CONSOLE} asked for udp/{p} by pcp" in said["text"] and "per-host" in said["fix"]


def test_it_has_run_out(lab, gw, explain, port):
    p = port()
    with pcp.Client(lab.console) as console, lab.console.udp(p) as s:
        assert console.map(pcp.UDP, p, p, lifetime=2).result == 0
        assert net.arrives(lab.inet, s, p)
        net.wait_for(lambda: not gw.lease("udp", p), what="the end of the lease")
        assert net.arrives(lab.inet, s, p, timeout=0.3) is None
        said = explain(f"udp/{p}")
    assert (said["verdict"], said["reason"]) == ("ended", "expired")
    assert f"{net.CONSOLE}:{p}" in said["text"]


def test_the_host_has_left(lab, gw, explain, port):
    p = port()
    with pcp.Client(lab.console2) as console, lab.console2.udp(p) as s:
        assert console.map(pcp.UDP, p, p).result == 0
        assert net.arrives(lab.inet, s, p)
        leave(lab.console2)
        time.sleep(1)  # what was heard of a host a second ago is believed
        try:
            said = explain(f"udp/{p}")
        finally:
            come_back(lab.console2)
        assert said["verdict"] == "host-gone" and net.CONSOLE2 in said["text"]
        assert net.wait_for(lambda: net.arrives(lab.inet, s, p), what="the host's return")
        assert explain(f"udp/{p}")["verdict"] == "open"


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_nobody_listens_on_the_client(lab, explain, port, protocol):
    p = port()
    with pcp.Client(lab.console) as console:
        number = pcp.UDP if protocol == "udp" else pcp.TCP
        assert console.map(number, p, p).result == 0
        said = explain(f"{protocol}/{p}")
        assert said["verdict"] == "no-listener" and not said["open"]
        assert f"{protocol}/{p} of {net.CONSOLE}" in said["text"]
        with lab.console.udp(p) if protocol == "udp" else lab.console.listen(p):
            said = explain(f"{protocol}/{p}")
            assert said["verdict"] == "open"
            assert said["facts"]["listener"]["state"] == (
                "unknown" if protocol == "udp" else "good")


def test_elsewhere_than_on_the_router_nobody_is_tried(lab, gw, port):
    """The address that it would go out from is not there: nothing is sent"""
    p = port()
    with pcp.Client(lab.console) as console:
        assert console.map(pcp.UDP, p, p).result == 0
        [said] = gw.json("explain", f"udp/{p}")["ports"]
    assert said["verdict"] == "open"
    assert "not tried" in said["facts"][-1]["text"]


def test_double_nat(lab, gw, explain, port, behind):  # noqa: F811
    p = port()
    natpmp.told(lab.console, "10.9.0.2")
    with pcp.Client(lab.console) as console, lab.console.udp(p):
        assert console.map(pcp.UDP, p, p).result == 0
        said = explain(f"udp/{p}")
    assert said["verdict"] == "double-nat" and not said["open"]
    assert "10.9.0.2 is private" in said["text"] and "10.9.0.2" in said["fix"]


def test_show_tells_who_is_connected(lab, gw, opened):
    """Prior-art 1, last row: remote address, bytes, age of each connection"""
    external, s = opened
    for name in ("acct", "timestamp"):
        lab.gw.run("sysctl", "-qw", f"net.netfilter.nf_conntrack_{name}=1", check=True)
    with lab.inet.udp() as remote:
        remote.sendto(b"x" * 72, (net.WAN, external))
        data, peer = s.recvfrom(100)
        s.sendto(b"y" * 172, peer)
        assert remote.recv(200) == b"y" * 172
        [port] = gw.json("show", f"udp/{external}")["ports"]
        [flow] = port["flows"]
        assert (flow["remote_address"], flow["remote_port"]) == peer
        assert flow["inbound"] and flow["answered"] and flow["packets"] == 2
        assert (flow["bytes_in"], flow["bytes_out"]) == (100, 200)  # with their headers
        assert 0 <= flow["age_s"] <= 5 and 0 <= flow["idle_s"] <= flow["age_s"] + 1 and port["lease"]["external_port"] == external
        text = gw.cli("show", str(external)).stdout
    assert f"{peer[0]}:{peer[1]}" in text and "100 B" in text and "200 B" in text
    assert "1 connection, 2 packets, 100 B in, 200 B out, last used " in text
    nothing = gw.cli("show", "tcp/1")
    assert nothing.returncode == 1 and "portreeve explain tcp/1" in nothing.stderr
