# SPDX-License-Identifier: GPL-2.0-or-later
"""UPnP: ranges and lists of mappings, remote hosts, WANPPPConnection, and who may do what. W
rows."""
import re
import xml.etree.ElementTree as ET

import pytest

import clients
import net
import pcp
import upnp
from upnp import COMMON, IP1, IP2, SERVICE

PPP = SERVICE + "WANPPPConnection:1"
LAYER3 = SERVICE + "Layer3Forwarding:1"
SPACE = "{urn:schemas-upnp-org:gw:WANIPConnection}"


@pytest.fixture
def igd1(lab, gw):
    return upnp.Igd(lab.console)


@pytest.fixture
def igd2(lab, gw):
    return upnp.Igd(lab.console, version=2)


def code(call, *args, **kwargs):
    with pytest.raises(upnp.Fault) as fault:
        call(*args, **kwargs)
    return fault.value.code


def listing(igd, first, last, protocol="UDP", manage=0, number=0):
    """GetListOfPortMappings as dicts, with the names that its document has."""
    text = igd.call("GetListOfPortMappings", NewStartPort=first, NewEndPort=last,
                    NewProtocol=protocol, NewManage=manage,
                    NewNumberOfPorts=number)["NewPortListing"]
    root = ET.fromstring(text)
    assert root.tag == SPACE + "PortMappingList"
    assert all(e.tag == SPACE + "PortMappingEntry" for e in root)
    return [{upnp.local(c.tag): c.text or "" for c in e} for e in root]


def ports(entries):
    return [int(e["NewExternalPort"]) for e in entries]


def subscribed(igd, service, entries):
    """A subscription that begins when the worker has heard of so many entries."""
    def begin():
        s = upnp.Subscriber(igd.host, igd.services[service]["eventSubURL"])
        told = s.event()[1]
        if told["PortMappingNumberOfEntries"] == str(entries):
            return s, told
        s.__exit__()
        return None
    return net.wait_for(begin, what=f"an event of {entries} entries", pause=0.05)


def end_range(igd, first, last, protocol="UDP", manage=0):
    return igd.call("DeletePortMappingRange", NewStartPort=first, NewEndPort=last,
                    NewProtocol=protocol, NewManage=manage)


# Lists and ranges


def test_a_list_of_ones_own_mappings(lab, gw, igd2, port):
    """W16, X4: names and namespace of the standard, in order, escaped; NewManage shows no more"""
    p = port()
    other = upnp.Igd(lab.console2, version=2)
    for n in (3, 0, 1):
        igd2.add("UDP", p + n, 9000 + n, description=f'<a&b "{n}">]]>', lease=1000)
    other.add("UDP", p + 2)
    igd2.add("TCP", p + 4)
    with pcp.Client(lab.console) as c:
        assert c.map(pcp.UDP, p + 5, p + 5).external == p + 5
    entries = listing(igd2, p, p + 9)
    assert ports(entries) == [p, p + 1, p + 3, p + 5]
    assert list(entries[0]) == ["NewRemoteHost", "NewExternalPort", "NewProtocol",
                                "NewInternalPort", "NewInternalClient", "NewEnabled",
                                "NewDescription", "NewLeaseTime"]
    lease = entries[0].pop("NewLeaseTime")
    assert 990 <= int(lease) <= 1000
    assert entries[0] == {"NewRemoteHost": "", "NewExternalPort": str(p), "NewProtocol": "UDP",
                          "NewInternalPort": "9000", "NewInternalClient": net.CONSOLE,
                          "NewEnabled": "1", "NewDescription": '<a&b "0">]]>'}
    assert ports(listing(igd2, p, p + 9, manage=1)) == [p, p + 1, p + 3, p + 5]
    assert ports(listing(igd2, p, p + 9, number=2)) == [p, p + 1]
    assert ports(listing(igd2, 0, 65535, "tcp")) == [p + 4]
    assert ports(listing(other, 0, 65535)) == [p + 2]
    assert code(listing, igd2, p + 6, p + 9) == 730
    assert code(listing, igd2, p + 9, p) == 733
    for wrong in ("", "x", -1):
        assert code(listing, igd2, wrong, p) == 402
    assert code(listing, igd2, 0, 65536) in (402, 601)
    assert code(listing, igd2, 0, 1, protocol="ICMP") == 601
    assert code(listing, igd2, 0, 1, manage="maybe") == 402
    assert code(listing, igd2, 0, 1, number="x") == 402


@pytest.mark.seconds(90)
def test_a_long_list_is_cut_and_goes_on_where_it_ended(gw, igd2):
    """W16: at most 64 KB an answer"""
    first, last = 20000, 20400
    for p in range(first, last):
        igd2.add("UDP", p, description="&" * 120)
    entries, answers = [], 0
    while first < last:
        part = ports(listing(igd2, first, last - 1))
        entries += part
        first, answers = part[-1] + 1, answers + 1
    assert entries == list(range(20000, 20400)) and 3 <= answers <= 10
    assert end_range(igd2, 20000, 20399) == {}
    assert gw.list() == []


def test_a_range_ends_ones_own_at_once(lab, gw, igd2, port):
    """W15, W4: others are passed over, nothing there is 730, and it is one event"""
    p = port()
    other = upnp.Igd(lab.console2, version=2)
    for n in (0, 1, 2, 5):
        igd2.add("UDP", p + n)
    other.add("UDP", p + 3)
    igd2.add("TCP", p + 1)
    events, first = subscribed(igd2, IP2, 6)
    with lab.console.udp(p + 1) as s, events:
        assert net.arrives(lab.inet, s, p + 1)
        assert end_range(igd2, p + 1, p + 4, manage=1) == {}
        told = first
        while told.items() <= first.items():  # one that was due already
            told = events.event()[1]
        assert told == {
            "PortMappingNumberOfEntries": str(int(first["PortMappingNumberOfEntries"]) - 2),
            "SystemUpdateID": str(int(first["SystemUpdateID"]) + 1)}
        assert not net.arrives(lab.inet, s, p + 1, timeout=0.3)
    assert sorted((l["protocol"], l["external_port"]) for l in gw.list()) == [
        ("tcp", p + 1), ("udp", p), ("udp", p + 3), ("udp", p + 5)]
    assert code(end_range, igd2, p + 1, p + 4) == 730
    assert code(end_range, igd2, p + 4, p) == 733
    assert code(end_range, igd2, "x", p) == 402
    assert code(end_range, igd2, p, p, protocol="ICMP") == 601
    assert end_range(other, 0, 65535) == {}
    assert end_range(igd2, 0, 65535) == {}
    assert end_range(igd2, 0, 65535, "TCP") == {}
    assert gw.list() == []


def test_ranges_are_not_in_the_first_version(lab, igd1, igd2, port):
    """U12, U17: nor by the first version's name at the second's address"""
    for action in ("DeletePortMappingRange", "GetListOfPortMappings", "AddAnyPortMapping"):
        assert code(igd1.call, action) == 401
        igd2.services[IP1] = igd2.services[IP2]
        assert code(igd2.call, action, IP1) == 401


def test_the_second_version_shows_a_host_its_own(lab, gw, igd1, igd2, port):
    """W17, W18: 606 for the entries of others; the first version lists all"""
    p, q = port(), port()
    igd2.add("UDP", p)
    other = upnp.Igd(lab.console2, version=2)
    other.add("UDP", q)
    assert ports(igd2.generic()) == [p] and ports(other.generic()) == [q]
    assert sorted(ports(igd1.generic())) == sorted([p, q])
    assert code(other.specific, "UDP", p) == 606
    assert other.specific("UDP", q)["NewInternalClient"] == net.CONSOLE2
    assert igd1.specific("UDP", q)["NewInternalClient"] == net.CONSOLE2
    assert code(other.specific, "UDP", port()) == 714


# Remote hosts


@pytest.mark.parametrize("version", [1, 2])
def test_a_remote_host_is_enforced_and_renewable(lab, gw, port, version):
    """W2, W10, L4: by packets; renewed by its owner, 718 for others"""
    igd, other = (upnp.Igd(h, version) for h in (lab.console, lab.console2))
    p = port()
    with lab.console.udp(p) as s:
        igd.add("UDP", p, remote=net.REMOTE1)
        assert net.arrives(lab.inet, s, p, source=net.REMOTE1)
        assert not net.arrives(lab.inet, s, p, source=net.REMOTE2, timeout=0.3)
        for _ in range(2):  # clients renew
            igd.add("UDP", p, remote=net.REMOTE1, lease=7200)
        assert gw.lease("udp", p)["remaining_s"] > 7190
        assert code(other.add, "UDP", p, remote=net.REMOTE1) == 718
        assert code(other.add, "UDP", p, remote=net.REMOTE2) == 718
        igd.add("UDP", p, remote=net.REMOTE2)  # another one of the same host
        assert net.arrives(lab.inet, s, p, source=net.REMOTE2)
        key = dict(NewExternalPort=p, NewProtocol="UDP")
        entry = igd.call("GetSpecificPortMappingEntry", NewRemoteHost=net.REMOTE1, **key)
        assert entry["NewInternalClient"] == net.CONSOLE
        assert code(igd.specific, "UDP", p) == 714  # nobody asked for everybody
        igd.call("DeletePortMapping", NewRemoteHost=net.REMOTE1, **key)
        assert not net.arrives(lab.inet, s, p, source=net.REMOTE1, timeout=0.3)
        assert net.arrives(lab.inet, s, p, source=net.REMOTE2)
    for wrong in ("remote.example", "11.0.0.0/24", "2a01::1"):
        assert code(igd.add, "UDP", port(), remote=wrong) == 402


def test_broadcast_and_others_are_refused(lab, gw, igd1, igd2, port):
    """W8, W9, X3, X8: 606 in the second version, 718 in the first"""
    for client in ("255.255.255.255", net.PC, net.LAN, net.REMOTE1):
        assert code(igd1.add, "UDP", port(), client=client) == 718
        assert code(igd2.add, "UDP", port(), client=client) == 606
    assert gw.list() == []


# WANPPPConnection


def test_wanpppconnection_is_the_same_connection(lab, gw, igd1, port):
    """Old clients ask for this name only"""
    p = port()
    args = igd1.mapping("UDP", p)
    assert igd1.services[PPP]["controlURL"] != igd1.services[IP1]["controlURL"]
    # Those that take the first that they know take the other.
    assert list(igd1.services).index(IP1) < list(igd1.services).index(PPP)
    assert igd1.call("GetStatusInfo", PPP)["NewConnectionStatus"] == "Connected"
    assert igd1.call("GetExternalIPAddress", PPP) == {"NewExternalIPAddress": net.WAN}
    assert list(igd1.call("GetLinkLayerMaxBitRates", PPP)) == [
        "NewUpstreamMaxBitRate", "NewDownstreamMaxBitRate"]
    assert igd1.call("AddPortMapping", PPP, **args) == {}
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
    assert igd1.specific("UDP", p)["NewInternalClient"] == net.CONSOLE
    assert igd1.add("UDP", p) == {}  # the same one by the other name
    assert len(gw.list()) == 1
    key = dict(NewRemoteHost="", NewExternalPort=p, NewProtocol="UDP")
    assert igd1.call("DeletePortMapping", PPP, **key) == {}
    assert code(igd1.call, "DeletePortMapping", PPP, **key) == 714
    assert code(igd1.call, "GetListOfPortMappings", PPP) == 401
    assert code(igd1.call, "GetUserName", PPP) == 602
    scpd = upnp.get(lab.console, igd1.services[PPP]["SCPDURL"]).body.decode()
    assert "GetLinkLayerMaxBitRates" in scpd and "AddAnyPortMapping" not in scpd
    events, told = subscribed(igd1, PPP, 0)
    with events:
        assert told == {
            "PossibleConnectionTypes": "IP_Routed", "ConnectionStatus": "Connected",
            "ExternalIPAddress": net.WAN, "PortMappingNumberOfEntries": "0"}


# The rest of the actions


@pytest.mark.parametrize("version", [1, 2])
def test_nobody_on_the_lan_changes_the_connection(lab, gw, version):
    """W21, W24, U17: 606 for its end, 602 for what is optional and not there, 731 or 501"""
    igd = upnp.Igd(lab.console, version)
    for action in ("RequestTermination", "ForceTermination"):
        assert code(igd.call, action) == 606
    assert igd.call("RequestConnection") == {}
    assert code(igd.call, "SetConnectionType", NewConnectionType="IP_Bridged") == \
        (501 if version == 1 else 731)
    for action in ("SetAutoDisconnectTime", "GetIdleDisconnectTime"):
        assert code(igd.call, action) == 602
    for action in ("SetEnabledForInternet", "GetActiveConnection"):
        assert code(igd.call, action, COMMON) == 602
    assert igd.call("GetStatusInfo")["NewConnectionStatus"] == "Connected"
    ours = igd.call("GetDefaultConnectionService", LAYER3)["NewDefaultConnectionService"]
    uuid, _, rest = ours.partition(":WANConnectionDevice")

    def choose(value):
        return igd.call("SetDefaultConnectionService", LAYER3, NewDefaultConnectionService=value)
    assert choose(ours) == {}
    assert code(choose, f"{uuid}:WANConnectionDevice{rest}x") == 721
    assert code(choose, f"uuid:0{uuid[6:]}x:WANConnectionDevice{rest}") == 720
    assert igd.call("GetDefaultConnectionService", LAYER3)["NewDefaultConnectionService"] == ours


def test_no_code_that_the_second_version_took_away(lab, gw, igd2, port):
    """W3, section 4: never 724 to 727, whatever is asked; 725 not in the first either"""
    p = port()
    igd1 = upnp.Igd(lab.console)
    seen = set()
    for igd in (igd1, igd2):
        for args in (dict(external=p, internal=p + 1), dict(external=p, lease=0),
                     dict(external=p, lease=604801), dict(external=0, internal=p),
                     dict(external=80), dict(external=p, remote="255.255.255.255"),
                     dict(external=5351), dict(external=p, lease=4294967295)):
            try:
                igd.add("UDP", **args)
            except upnp.Fault as f:
                seen.add((igd.version, f.code))
    assert {(1, 716), (1, 718), (2, 606), (2, 716), (2, 729)} <= seen
    assert not {c for _, c in seen} & {724, 725, 727}
    assert (2, 726) not in seen


# Real clients


def test_upnpc_with_its_verbs_of_the_second_version(lab, gw, port):
    """-n (any port), -L (the list), -N (a range), -d of miniupnpc"""
    p = port()
    url = f"http://{net.LAN}:49152/rootDesc2.xml"

    def run(*args):
        return clients.upnpc(lab.console, "-u", url, *args, check=False).stdout
    upnp.Igd(lab.console2, version=2).add("UDP", p)
    done = run("-e", "any port", "-n", net.CONSOLE, str(p), str(p), "udp", "600")
    assert gw.leases_of(lab.console), done
    lease = gw.leases_of(lab.console)[0]
    assert lease["external_port"] != p and str(lease["external_port"]) in done
    run("-a", net.CONSOLE, str(p + 1), str(p + 1), "udp", "600")
    done = run("-L")
    assert re.search(rf"UDP +{p + 1}->{net.CONSOLE}:{p + 1}", done), done
    assert f"UDP {lease['external_port']:5}->{net.CONSOLE}:{p}" in done
    assert net.CONSOLE2 not in done
    assert "0" in run("-N", "1024", "65535", "udp")
    assert gw.leases_of(lab.console) == [] and len(gw.list()) == 1


def test_python_miniupnpc(lab, gw, port):
    """The binding that Python programs use"""
    p = port()
    script = f"""
import miniupnpc
u = miniupnpc.UPnP("{net.CONSOLE}", None, 500)
assert u.discover() >= 1
u.selectigd()
assert u.externalipaddress() == "{net.WAN}", u.externalipaddress()
assert u.statusinfo()[0] == "Connected"
assert u.addportmapping({p}, "UDP", u.lanaddr, {p}, "py", "")
assert u.getspecificportmapping({p}, "UDP")[:2] == ("{net.CONSOLE}", {p})
assert u.getgenericportmapping(0)[0] == {p}
assert u.getgenericportmapping(1) is None
assert u.deleteportmapping({p}, "UDP")
assert u.getspecificportmapping({p}, "UDP") is None
print("good")
"""
    done = lab.console.run("/usr/bin/python3", "-c", script, timeout=20)
    assert done.stdout == "good\n", done.stderr
    assert gw.list() == []
