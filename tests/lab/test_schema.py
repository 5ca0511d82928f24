# SPDX-License-Identifier: GPL-2.0-or-later
"""What --json writes is what doc/schema.json says, member by member; and so does the interface
that varlink clients read. Issue 7: schema tests for every --json."""
import json
import os
import re

import jsonschema
import pytest

import gateway
import net
import pcp
import upnp

TOP = gateway.Programs().top
FORWARD = f'forward "range" {{ port = "udp/27000-27010"  to = "{net.PC}" }}\n'


def schema():
    with open(f"{TOP}/doc/schema.json", encoding="utf-8") as f:
        return json.load(f)


def valid(what, command):
    """Checked as strictly as the schema says: members that it does not name are wrong."""
    jsonschema.Draft202012Validator({**schema(), "$ref": f"#/$defs/{command}"}).validate(what)
    return what


@pytest.fixture(scope="module")
def lab():
    with net.Net(ipv6=True) as n:
        yield n


@pytest.fixture(scope="module")
def gw(lab, tmp_path_factory):
    """With one lease of each kind, connections, a refusal, and names of devices."""
    leases = tmp_path_factory.mktemp("dhcp") / "leases"
    leases.write_text(f"1795262580 a4:c0:e1:00:00:01 {net.CONSOLE} xbox *\n")
    os.environ["PORTREEVE_DHCP_LEASES"] = str(leases)
    with gateway.Gateway(lab, gateway.CONFIG + FORWARD) as g:
        with pcp.Client(lab.console) as console:
            console.map(pcp.UDP, 20000, 20000, options=pcp.description("a \"game\""))
            console.map(pcp.UDP, 20010, 20010, options=pcp.filter_of("11.0.0.0", 0, 120))
        upnp.Igd(lab.console).add("TCP", 20020, lease=0)
        upnp.Igd(lab.console, version=2).add("TCP", 20030, lease=3600)
        with pytest.raises(upnp.Fault):
            upnp.Igd(lab.console).add("TCP", 5900)
        for name in ("acct", "timestamp"):
            lab.gw.run("sysctl", "-qw", f"net.netfilter.nf_conntrack_{name}=1", check=True)
        with lab.console.udp(20000) as s:
            assert net.arrives(lab.inet, s, 20000)
            yield g
    del os.environ["PORTREEVE_DHCP_LEASES"]
    assert not gateway.problems(g.log())


@pytest.fixture(autouse=True)
def clean():
    """The leases stay from test to test."""


def test_list(gw):
    leases = valid(gw.json("list"), "list")["leases"]
    assert {l["origin"] for l in leases} == {"pcp", "upnp", "static"}
    for there in ("filters", "external_port_last", "device_name", "device_mac"):
        assert any(there in l for l in leases), there


@pytest.mark.parametrize("command", ["status", "check", "history", "nat-type", "profiles"])
def test_commands_without_an_argument(gw, command):
    done = gw.cli(command, "--json")
    said = valid(json.loads(done.stdout), command)
    if command == "history":
        assert {e["event"] for e in said["events"]} >= {"granted", "refused"}


@pytest.mark.parametrize("port", ["20000", "tcp/20020", "tcp/5900", "tcp/9", "udp/27005"])
def test_explain(gw, port):
    valid(json.loads(gw.cli("explain", port, "--json").stdout), "explain")


def test_show(gw):
    [port] = valid(gw.json("show", "udp/20000"), "show")["ports"]
    assert port["flows"] and port["flows"][0]["bytes_in"] > 0


def traffic(gw, port, internal=net.CONSOLE):
    """What list says of that lease, and show too."""
    [listed] = [l["traffic"] for l in valid(gw.json("list"), "list")["leases"]
                if l["external_port"] <= port <= l.get("external_port_last", l["external_port"])
                and l["internal_address"] == internal]
    [shown] = valid(gw.json("show", f"udp/{port}"), "show")["ports"]
    return listed, shown["lease"]["traffic"]


def test_list_tells_what_goes_by_each_lease(lab, gw):
    """Issue 7, row 1: packets, bytes and last use, whoever began, of a range and a pinhole too;
    as many as were sent: 8 bytes in and 13 back, with IP and UDP headers"""
    nobody = {"connections": 0, "packets": None, "bytes_in": None, "bytes_out": None,
              "idle_s": None}
    with pcp.Client(lab.console) as console, pcp.Client(lab.console, source=net.CONSOLE6) as six, \
            lab.console.udp(20060) as s, lab.pc.udp(27003) as ranged, \
            lab.console.udp(20062, net.CONSOLE6) as s6, lab.inet.udp(20063) as far:
        assert console.map(pcp.UDP, 20060, 20061).external == 20061
        assert six.map(pcp.UDP, 20062, 20062, address="::").result == 0
        for port, host in (20061, net.CONSOLE), (27003, net.PC), (20062, net.CONSOLE6):
            assert [t for t in traffic(gw, port, host) if t] == [nobody] * 2
        for sock, port, to in (s, 20061, net.WAN), (ranged, 27003, net.WAN), \
                (s6, 20062, net.CONSOLE6):
            assert net.arrives(lab.inet, sock, port, to)
        s.sendto(b"twelve bytes", (net.REMOTE1, 20063))
        assert far.recvfrom(99) == (b"twelve bytes", (net.WAN, 20061))
        for port, host, want in (20061, net.CONSOLE, (2, 3, 36, 41 + 40)), \
                (27003, net.PC, (1, 2, 36, 41)), (20062, net.CONSOLE6, (1, 2, 56, 61)):
            for told in traffic(gw, port, host):
                assert tuple(told[k] for k in ("connections", "packets", "bytes_in",
                                               "bytes_out")) == want, (port, told)
                assert 0 <= told["idle_s"] < 30
    gw.cli("delete", "20061")
    gw.cli("delete", "20062")


def test_what_the_kernel_does_not_count_is_not_told(lab, gw):
    """null, not 0; check says so"""
    with lab.console.udp(20070) as s, pcp.Client(lab.console) as console:
        assert console.map(pcp.UDP, 20070, 20070).external == 20070
        lab.gw.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0", check=True)
        try:
            assert net.arrives(lab.inet, s, 20070)
            for told in traffic(gw, 20070):
                assert told["connections"] == 1 and told["idle_s"] is not None
                assert told["packets"] is told["bytes_in"] is told["bytes_out"] is None
            net.wait_for(lambda: any(f["id"] == "not-counted" and f["severity"] == "note"
                                     for f in json.loads(gw.cli("check", "--json").stdout)
                                     ["findings"]), what="check says so")
        finally:
            lab.gw.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1", check=True)
    gw.cli("delete", "20070")


def test_a_pinhole_is_explained_and_shown(lab, gw):
    """IPv6: no translation, packets are counted by the kernel"""
    with pcp.Client(lab.console, source=net.CONSOLE6) as console, \
            lab.console.udp(20050, net.CONSOLE6) as s:
        assert console.map(pcp.UDP, 20050, 20050, address="::").result == 0
        [said] = valid(gw.json("explain", "udp/20050"), "explain")["ports"]
        facts = {f["id"]: f["text"] for f in said["facts"]}
        assert said["verdict"] == "open" and facts["kernel"].endswith("0 packets have come in")
        assert net.comes_through(net.fresh_udp(lab.inet, net.REMOTE6), s, 20050, net.CONSOLE6, 1,
                                 net.REMOTE6)
        [said] = valid(gw.json("explain", "udp/20050"), "explain")["ports"]
        facts = {f["id"]: f["text"] for f in said["facts"]}
        assert facts["kernel"].endswith("1 packets have come in")
        assert "connected now: 1 from outside" in facts["flows"]
        [port] = valid(gw.json("show", "udp/20050"), "show")["ports"]
        assert [f["remote_address"] for f in port["flows"]] == [net.REMOTE6]


def test_a_profile(gw):
    names = [p["name"] for p in gw.json("profiles")["profiles"]]
    if not names:
        pytest.skip("not installed")
    valid(gw.json("profiles", names[0]), "profile")


def test_add_delete_and_reload(gw):
    assert len(valid(gw.json("add", "20040", net.CONSOLE), "add")["leases"]) == 2
    assert valid(gw.json("delete", "tcp/20030"), "delete")["deleted"] == 1
    valid(gw.json("reload"), "reload")


def test_the_schema_itself_is_one():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_command_with_json_has_a_schema_and_is_in_the_manual(gw):
    """None is forgotten: what help lists, less what has no JSON"""
    text = gw.cli("help").stdout
    commands = set(re.findall(r"^  ([a-z][a-z-]*)(?: [A-Z\[\]]+)*(?:  |$)", text, re.M))
    assert {"list", "explain", "watch"} <= commands
    assert commands - {"help", "metrics", "import"} <= set(schema()["$defs"])
    with open(f"{TOP}/doc/portreeve.1", encoding="utf-8") as f:
        manual = f.read()
    for command in commands:
        assert re.search(rf"^\.(It )?Cm (\S+ \| )*{command}\b", manual, re.M), command
