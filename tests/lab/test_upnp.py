# SPDX-License-Identifier: GPL-2.0-or-later
"""UPnP: descriptions and actions. U and W rows: the protocol pages' sections 3 and 4. Discovery
and events have files of their own."""
import contextlib
import re

import pytest

import clients
import net
import upnp
from upnp import COMMON, DEVICE, IP1, IP2

ROOT1, ROOT2 = (f"http://{net.LAN}:49152/rootDesc{n}.xml" for n in ("", "2"))


@pytest.fixture
def igd1(lab, gw):
    return upnp.Igd(lab.console)


@pytest.fixture
def igd2(lab, gw):
    return upnp.Igd(lab.console, version=2)


@pytest.fixture(params=[1, 2], ids=["IGD:1", "IGD:2"])
def igd(request, lab, gw):
    return upnp.Igd(lab.console, version=request.param)


def code(call, *args, **kwargs):
    with pytest.raises(upnp.Fault) as fault:
        call(*args, **kwargs)
    return fault.value.code


# Descriptions


def test_the_descriptions_are_exact_trees(igd, lab):
    """U9, U10, U11: the same version on every device, relative addresses, UDNs of their own"""
    answer = upnp.get(lab.console, igd.url)
    assert answer.headers["content-type"].startswith("text/xml")
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert len(answer.body) < 8192
    types = [e.text for e in igd.root.iter() if upnp.local(e.tag) == "deviceType"]
    v = igd.version
    assert types == [f"{DEVICE}{n}:{v}" for n in
                     ("InternetGatewayDevice", "WANDevice", "WANConnectionDevice")]
    assert igd.service in igd.services and COMMON in igd.services
    other = IP2 if v == 1 else IP1
    assert other not in igd.services
    udns = [e.text for e in igd.root.iter() if upnp.local(e.tag) == "UDN"]
    assert len(set(udns)) == 3 and all(u.startswith("uuid:") for u in udns)
    for e in igd.root.iter():
        if upnp.local(e.tag) in ("controlURL", "eventSubURL", "SCPDURL"):
            assert e.text.startswith("/"), e.text
        assert upnp.local(e.tag) != "URLBase"


def test_the_two_descriptions_share_no_udn(igd1, igd2):
    """U10, U12"""
    udns = [{e.text for e in i.root.iter() if upnp.local(e.tag) == "UDN"} for i in (igd1, igd2)]
    assert not udns[0] & udns[1]


def test_the_first_description_has_nothing_of_the_second_version(igd1, igd2, lab):
    """U12, U13: Windows and the Xbox stop at an SCPD of version 2"""
    first = upnp.get(lab.console, igd1.services[IP1]["SCPDURL"])
    second = upnp.get(lab.console, igd2.services[IP2]["SCPDURL"])
    assert first.status == second.status == 200
    for name in (b"AddAnyPortMapping", b"SystemUpdateID", b"GetListOfPortMappings"):
        assert name not in first.body
    assert b"AddAnyPortMapping" in second.body and b"SystemUpdateID" in second.body
    for answer in (first, second):
        for name in (b"AddPortMapping", b"GetNATRSIPStatus", b"GetStatusInfo"):
            assert name in answer.body


def test_http_heads_hosts_and_wrong_paths(igd1, lab):
    """U9: HEAD is served; a name as Host is refused (DNS rebinding)"""
    head = upnp.request(lab.console, "HEAD", igd1.url)
    assert head.status == 200 and head.body == b""
    assert upnp.get(lab.console, f"http://{net.LAN}:49152/nothing").status == 404
    for host in (b"evil.example", b"evil.example:49152", b"192.168.77.1.evil.example"):
        answer = upnp.http(lab.console, net.LAN, 49152, b"GET /rootDesc.xml HTTP/1.1\r\nHost: "
                           + host + b"\r\nConnection: close\r\n\r\n")
        assert answer.status in (400, 403, 404)
    old = upnp.http(lab.console, net.LAN, 49152, b"GET /rootDesc.xml HTTP/1.0\r\n\r\n")
    assert old.status == 200


# Actions


def test_the_gates_in_front_of_every_mapping(igd):
    """W19, W20: address, status, NAT"""
    assert igd.call("GetExternalIPAddress") == {"NewExternalIPAddress": net.WAN}
    status = igd.call("GetStatusInfo")
    assert list(status) == ["NewConnectionStatus", "NewLastConnectionError", "NewUptime"]
    assert status["NewConnectionStatus"] == "Connected"
    assert status["NewLastConnectionError"] == "ERROR_NONE"
    assert int(status["NewUptime"]) >= 0
    assert igd.call("GetNATRSIPStatus") == {"NewRSIPAvailable": "0", "NewNATEnabled": "1"}
    assert igd.call("GetConnectionTypeInfo") == {"NewConnectionType": "IP_Routed",
                                                 "NewPossibleConnectionTypes": "IP_Routed"}


def test_a_mapping_from_add_to_delete(igd, gw, port):
    """W1, W14, W17, W18"""
    p, q = port(), port()
    assert code(igd.specific, "UDP", p) == 714
    assert igd.add("UDP", p, q, lease=3600, description="Halo <3 & more") == {}
    entry = igd.specific("UDP", p)
    assert list(entry) == ["NewInternalPort", "NewInternalClient", "NewEnabled",
                           "NewPortMappingDescription", "NewLeaseDuration"]
    assert entry["NewInternalPort"] == str(q)
    assert entry["NewInternalClient"] == net.CONSOLE
    assert entry["NewEnabled"] == "1"
    assert entry["NewPortMappingDescription"] == "Halo <3 & more"
    assert 3590 <= int(entry["NewLeaseDuration"]) <= 3600
    lease = gw.lease("udp", p)
    assert (lease["internal_port"], lease["claims"], lease["origin"]) == (q, ["upnp"], "upnp")
    assert code(igd.specific, "TCP", p) == 714
    listed = igd.generic()
    assert len(listed) == 1
    assert list(listed[0]) == ["NewRemoteHost", "NewExternalPort", "NewProtocol",
                               "NewInternalPort", "NewInternalClient", "NewEnabled",
                               "NewPortMappingDescription", "NewLeaseDuration"]
    assert (listed[0]["NewExternalPort"], listed[0]["NewProtocol"]) == (str(p), "UDP")
    assert igd.delete("UDP", p) == {}
    assert code(igd.delete, "UDP", p) == 714
    assert gw.list() == []


def test_the_same_host_overwrites_and_another_is_refused(igd, lab, gw, port):
    """W2, U12: twice, also through the other description, is a refresh"""
    p, q = port(), port()
    igd.add("UDP", p, p)
    igd.add("UDP", p, p, lease=1200)
    upnp.Igd(lab.console, version=3 - igd.version).add("UDP", p, p, lease=1800)
    assert len(gw.list()) == 1
    assert 1790 <= int(igd.specific("UDP", p)["NewLeaseDuration"]) <= 1800
    assert code(upnp.Igd(lab.console2, version=igd.version).add, "UDP", p) == 718
    igd.add("UDP", p, q)
    assert igd.specific("UDP", p)["NewInternalPort"] == str(q)
    igd.add("TCP", p)
    assert len(gw.list()) == 2


def test_lease_0(igd1, igd2, lab, gw, port):
    """W3: a week on IGD:2; on IGD:1 it has no clock and is reported as 0"""
    a, b = port(), port()
    igd2.add("UDP", a, lease=0)
    assert 604790 <= int(igd2.specific("UDP", a)["NewLeaseDuration"]) <= 604800
    igd1.add("UDP", b, lease=0)
    assert igd1.specific("UDP", b)["NewLeaseDuration"] == "0"
    assert gw.lease("udp", b)["remaining_s"] is None


def test_wrong_values_are_told_apart(igd, gw, port):
    """W3, W5, W6, W7, L24"""
    p = port()
    good = igd.mapping("UDP", p)

    def add(**changes):
        args = {k: v for k, v in dict(good, **changes).items() if v is not None}
        return code(igd.call, "AddPortMapping", **args)
    assert add(NewLeaseDuration=None) == 402
    assert add(NewProtocol="") in (402, 601)
    assert add(NewProtocol="ICMP") in (402, 600, 601)
    assert add(NewLeaseDuration="-1") in (402, 601)
    assert add(NewLeaseDuration="abc") in (402, 601)
    assert add(NewExternalPort="65536") in (402, 601)
    assert add(NewExternalPort="0") in (402, 601, 716)
    assert add(NewInternalPort="0") in (402, 601, 732)
    assert add(NewInternalClient="") in (402, 715)
    assert add(NewInternalClient="somebody.example") == 402
    assert gw.list() == []


def test_nobody_maps_for_another_host_or_below_1024(igd, gw, port):
    """W8, W9"""
    for client in (net.CONSOLE2, net.REMOTE1, "127.0.0.1", net.LAN, "255.255.255.255"):
        got = code(igd.add, "UDP", port(), client=client)
        assert got in ((606, 718) if igd.version == 1 else (606,)), client
    for external in (80, 1023):
        assert code(igd.add, "TCP", external, port()) in (606, 718, 729)
    assert code(igd.add, "TCP", 3389, port()) in (718, 729)
    assert gw.list() == []


def test_nobody_deletes_what_is_anothers(igd, lab, gw, port):
    """W14"""
    p = port()
    igd.add("UDP", p)
    assert code(upnp.Igd(lab.console2, version=igd.version).delete, "UDP", p) in (606, 714)
    assert gw.lease("udp", p)


def test_add_any(igd2, lab, gw, port):
    """W13: another port when it is taken, the same one again"""
    p = port()
    assert igd2.add_any("UDP", p) == p
    assert igd2.add_any("UDP", p) == p
    other = upnp.Igd(lab.console2, version=2)
    q = other.add_any("UDP", p)
    assert q not in (0, p)
    assert gw.lease("udp", q)["internal_address"] == net.CONSOLE2
    assert igd2.add_any("TCP", 0, port()) >= 1024


def test_add_any_is_not_in_the_first_version(igd1, port):
    """U17"""
    assert code(igd1.call, "AddAnyPortMapping", **igd1.mapping("UDP", port())) == 401


def test_unknown_actions_and_broken_requests(igd, lab, gw):
    """U14, U16, U17, U18, L24"""
    assert code(igd.call, "NoSuchAction") == 401
    answer = igd.post("NoSuchAction", {})
    assert answer.status == 500 and b"<s:Fault>" in answer.body and b"UPnPError" in answer.body
    assert "/xml" in answer.headers["content-type"]
    good = upnp.envelope(igd.service, "GetExternalIPAddress", {})
    action = f'"{igd.service}#GetExternalIPAddress"'

    def post(body, soapaction=action, kind="text/xml"):
        headers = [("Content-Type", kind)] if kind else []
        if soapaction:
            headers.append(("SOAPAction", soapaction))
        return upnp.request(lab.console, "POST", igd.control(), headers, body)
    assert post(good, soapaction=None).status in (400, 500)
    assert post(good[:-30]).status in (400, 500)
    assert post(b"rubbish").status in (400, 500)
    bomb = b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "b">]>' + good.partition(b"?>")[2]
    assert post(bomb).status in (400, 500)
    with contextlib.suppress(ConnectionError):  # it need not read all of that
        assert post(b" " * (1 << 20) + good).status in (400, 413, 500)
    assert post(good, kind="application/json").status in (400, 415)
    assert post(good).status == 200


def test_dialects_of_real_clients(igd, lab):
    """U14, U15: unquoted action, other prefixes, other cases, types, no content type"""
    service = igd.service
    body = ('<?xml version="1.0"?><SOAP-ENV:Envelope '
            'xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Body>'
            f'<m:GetExternalIPAddress xmlns:m="{service}" xmlns:dt="urn:x"><NewX dt:dt="ui4">1'
            "</NewX></m:GetExternalIPAddress></SOAP-ENV:Body></SOAP-ENV:Envelope>").encode()
    for header in (f'SOAPAction: "{service}#GetExternalIPAddress"',
                   f"Soapaction: {service}#GetExternalIPAddress",
                   f"SOAPACTION:{service}#GetExternalIPAddress"):
        for kind in ("Content-Type: text/xml\r\n", 'content-type:text/xml; charset="utf-8"\r\n',
                     ""):
            path = igd.control().split("49152", 1)[1]
            head = (f"POST {path} HTTP/1.1\r\nHost: {net.LAN}:49152\r\n{header}\r\n{kind}"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode()
            with lab.console.connect(net.LAN, 49152) as s:
                s.sendall(head)  # head and body in two segments
                s.sendall(body)
                answer = upnp.read_answer(s)
            assert answer.status == 200 and net.WAN.encode() in answer.body, (header, kind)


def test_the_counters_count_what_passes_the_wan(igd, lab):
    """W24"""
    def counters():
        got = {}
        for what in ("BytesSent", "BytesReceived", "PacketsSent", "PacketsReceived"):
            reply = igd.call(f"GetTotal{what}", service=COMMON)
            got[what] = int(reply[f"NewTotal{what}"])
        return got
    before = counters()
    with lab.console.udp() as s, lab.inet.udp(addr=net.REMOTE1) as r:
        for _ in range(50):
            s.sendto(b"x" * 1000, r.getsockname())
            _, peer = r.recvfrom(2048)
            r.sendto(b"y" * 500, peer)
    def counted():
        now = counters()
        d = {k: now[k] - before[k] for k in now}
        return (d["BytesSent"] >= 50000 and d["BytesReceived"] >= 25000
                and d["PacketsSent"] >= 50 and d["PacketsReceived"] >= 50)
    net.wait_for(counted, what="the counters", pause=0.2)


def test_the_link_properties(igd):
    """W24"""
    reply = igd.call("GetCommonLinkProperties", service=COMMON)
    assert list(reply) == ["NewWANAccessType", "NewLayer1UpstreamMaxBitRate",
                           "NewLayer1DownstreamMaxBitRate", "NewPhysicalLinkStatus"]
    assert reply["NewPhysicalLinkStatus"] == "Up"


# Programs


def test_upnpc_maps_lists_and_deletes(lab, gw, port):
    p = port()
    done = clients.upnpc(lab.console, "-s")
    assert "Status : Connected" in done.stdout and f"ExternalIPAddress = {net.WAN}" in done.stdout
    done = clients.upnpc(lab.console, "-e", "my game", "-a", net.CONSOLE, p, p, "udp", "3600")
    assert f"is redirected to internal {net.CONSOLE}:{p}" in done.stdout
    done = clients.upnpc(lab.console, "-l")
    assert re.search(rf"UDP\s+{p}->{net.CONSOLE}:{p}\s+'my game' '' 3[56]\d\d", done.stdout)
    assert gw.lease("udp", p)["description"] == "my game"
    done = clients.upnpc(lab.console, "-d", p, "udp")
    assert "returned : 0" in done.stdout
    assert gw.list() == []


@pytest.mark.parametrize("url", [ROOT1, ROOT2])
def test_upnpc_works_with_both_descriptions(lab, gw, port, url):
    p = port()
    done = clients.upnpc(lab.console, "-u", url, "-a", net.CONSOLE, p, p, "tcp", "0")
    assert f"is redirected to internal {net.CONSOLE}:{p}" in done.stdout
    assert gw.lease("tcp", p)
    assert "returned : 0" in clients.upnpc(lab.console, "-u", url, "-d", p, "tcp").stdout


def test_transmission_maps_and_deletes(lab, gw, port):
    p = port()
    daemon = clients.Transmission(lab.pc, p)
    net.wait_for(lambda: gw.lease("tcp", p) and gw.lease("udp", p), 20,
                 "transmission-daemon's mappings", 0.2)
    assert all("upnp" in l["claims"] for l in gw.leases_of(lab.pc) if l["protocol"] == "udp")
    assert daemon.stop() == 0
    net.wait_for(lambda: not gw.list(), 10, "transmission-daemon's deletes", 0.2)


def test_libtorrent_maps_by_upnp_through_both_descriptions(lab, gw, port):
    """U12: no error, one lease per protocol"""
    p = port()
    torrent = clients.Libtorrent(lab.console, p, natpmp=False, upnp=True)
    torrent.mapped(4)
    assert {(l["protocol"], l["external_port"]) for l in gw.list()} == {("tcp", p), ("udp", p)}
    assert not [a for a in torrent.alerts() if a["what"] == "portmap_error"]
    torrent.stop()


# Guests


def test_a_guest_maps_for_itself_only(lab, gw, port):
    guests = upnp.Igd(lab.guest)
    assert code(guests.add, "UDP", port(), client=net.CONSOLE) in (606, 718)
    p = port()
    guests.add("UDP", p)
    with lab.guest.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
    assert code(upnp.Igd(lab.console).add, "UDP", p) == 718
