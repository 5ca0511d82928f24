# SPDX-License-Identifier: GPL-2.0-or-later
"""UPnP as the programs people have ask for it: each is judged by what it says itself and by the
packets that arrive. Those that come from npm, and qbittorrent-nox, run in check-full only."""
import pytest

import clients
import net
import page
import upnp

FULL = pytest.mark.full


def connects(lab, port):
    """Does the program that asked for the TCP port answer somebody on the internet?"""
    try:
        lab.inet.connect(net.WAN, port, timeout=2).close()
        return True
    except OSError:
        return False


# The order in which Xbox and Windows ask (clients' page, section 2): they read the SCPD before
# they map, and go no further with one of the second version.


class Windows:
    AGENT = "User-Agent: Microsoft-Windows/10.0 UPnP/1.0"

    def __init__(self, host):
        self.host = host
        found = upnp.search(host, upnp.IGD1, enough=1, mx="2")
        found += upnp.search(host, upnp.IGD1, enough=1, mx="2", to=net.LAN)
        assert len({f.headers["location"] for f in found}) == 1 and len(found) == 2
        self.base = found[0].headers["location"].rpartition("/")[0]
        self.stream = host.connect(net.LAN, int(self.base.rpartition(":")[2]))

    def exchange(self, head, body=b""):
        """One connection for all: it is kept alive."""
        self.stream.sendall("\r\n".join([*head, "", ""]).encode() + body)
        return upnp.read_answer(self.stream)

    def get(self, path):
        host = self.base.removeprefix("http://")
        answer = self.exchange([f"GET {path} HTTP/1.1", "Cache-Control: no-cache",
                                "Connection: Keep-Alive", "Pragma: no-cache", "Accept: text/xml",
                                self.AGENT, f"Host: {host}"])
        assert answer.status == 200
        return answer.body

    def call(self, path, action, *args):
        inner = "".join(f'<{k} xmlns:dt="urn:schemas-microsoft-com:datatypes" dt:dt="{t}">{v}</{k}>'
                        for k, t, v in args)
        body = ('<?xml version="1.0"?>\r\n<SOAP-ENV:Envelope '
                'xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" '
                'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
                f'<SOAP-ENV:Body><m:{action} xmlns:m="{upnp.IP1}">{inner}</m:{action}>'
                "</SOAP-ENV:Body></SOAP-ENV:Envelope>\r\n").encode()
        host = self.base.removeprefix("http://")
        answer = self.exchange([f"POST {path} HTTP/1.1", "Cache-Control: no-cache",
                                "Connection: Keep-Alive", "Pragma: no-cache",
                                'Content-Type: text/xml; charset="utf-8"', self.AGENT,
                                f'SOAPAction: "{upnp.IP1}#{action}"',
                                f"Content-Length: {len(body)}", f"Host: {host}"], body)
        return answer.status, answer.body.decode()


@pytest.mark.parametrize("protocol,number", [("UDP", 3074), ("TCP", 3074), ("UDP", 50018)])
def test_the_order_of_xbox_and_windows(lab, gw, protocol, number):
    """U9, W2, W9, W10: on one connection, with dt:dt types and lease 0"""
    box = Windows(lab.console)
    services, root = upnp.parse_description(box.get("/rootDesc.xml"), box.base)
    assert all(e.text.endswith(":1") for e in root.iter() if upnp.local(e.tag) == "deviceType")
    service = services[upnp.IP1]
    control = "/" + service["controlURL"].partition("//")[2].partition("/")[2]
    scpd = box.get("/" + service["SCPDURL"].partition("//")[2].partition("/")[2])
    assert b"AddPortMapping" in scpd and b"AddAnyPortMapping" not in scpd
    status, body = box.call(control, "GetExternalIPAddress")
    assert status == 200 and f"<NewExternalIPAddress>{net.WAN}<" in body
    key = [("NewRemoteHost", "string", ""), ("NewExternalPort", "ui2", number),
           ("NewProtocol", "string", protocol)]
    status, body = box.call(control, "GetSpecificPortMappingEntry", *key)
    assert status == 500 and "<errorCode>714<" in body
    status, body = box.call(control, "AddPortMapping", *key, ("NewInternalPort", "ui2", number),
                            ("NewInternalClient", "string", net.CONSOLE),
                            ("NewEnabled", "boolean", 1),
                            ("NewPortMappingDescription", "string", "Teredo"),
                            ("NewLeaseDuration", "ui4", 0))
    assert status == 200 and "AddPortMappingResponse" in body
    status, body = box.call(control, "GetSpecificPortMappingEntry", *key)
    assert status == 200 and f"<NewInternalClient>{net.CONSOLE}<" in body
    assert "<NewLeaseDuration>0<" in body
    if protocol == "UDP":
        with lab.console.udp(number, lab.console.addr) as s:
            assert net.arrives(lab.inet, s, number)
            assert net.source_seen(s, lab.inet)[:2] == (net.WAN, number)
    else:
        with lab.console.listen(number, net.CONSOLE):
            assert connects(lab, number)
    status, body = box.call(control, "DeletePortMapping", *key)
    assert status == 200 and gw.lease(protocol.lower(), number) is None
    box.stream.close()


def test_a_second_xbox_gets_the_next_port(lab, gw):
    """W11: 718 for the first one's port; Call of Duty then asks for another"""
    upnp.Igd(lab.console).add("UDP", 3074, lease=0)
    second = upnp.Igd(lab.console2)
    with pytest.raises(upnp.Fault) as fault:
        second.add("UDP", 3074, lease=0)
    assert fault.value.code == 718
    second.add("UDP", 3076, 3074, lease=0)
    for host, outside in ((lab.console, 3074), (lab.console2, 3076)):
        with host.udp(3074, host.addr) as s:
            assert net.arrives(lab.inet, s, outside)
            assert net.source_seen(s, lab.inet)[:2] == (net.WAN, outside)


def test_upnpc_redirects_and_finds_the_page(lab, gw, port):
    """-r, for the host that asks, and -P: the address is that of the status page"""
    a, b = port(), port()
    done = clients.upnpc(lab.console, "-r", a, "udp", b, "tcp")
    assert f"external {net.WAN}:{a} UDP is redirected to internal {net.CONSOLE}:{a}" in done.stdout
    assert f"external {net.WAN}:{b} TCP is redirected to internal {net.CONSOLE}:{b}" in done.stdout
    with lab.console.udp(a, lab.console.addr) as s:
        assert net.arrives(lab.inet, s, a)
    with lab.console.listen(b, net.CONSOLE):
        assert connects(lab, b)
    done = clients.upnpc(lab.console, "-P")
    assert page.URL in done.stdout
    assert page.get(lab.console).rows


def test_transmission_is_reached(lab, gw, port):
    """prior-art 4.1: inbound peers reach a BitTorrent client that asked, by TCP and UDP"""
    p = port()
    daemon = clients.Transmission(lab.pc, p)
    net.wait_for(lambda: gw.lease("tcp", p) and gw.lease("udp", p), 20,
                 "transmission-daemon's mappings", 0.2)
    net.wait_for(lambda: connects(lab, p), 10, "an answer of transmission-daemon", 0.2)
    daemon.stop()
    net.wait_for(lambda: not connects(lab, p), 10, "the end of its ports", 0.2)


@FULL
@pytest.mark.seconds(90)
def test_qbittorrent_maps_by_both_protocols_and_deletes(lab, gw, port):
    """X2: one lease for each protocol, with two claims"""
    p = port()
    program = clients.Qbittorrent(lab.pc, p)

    def claimed():
        found = {l["protocol"]: set(l["claims"]) for l in gw.leases_of(lab.pc)
                 if l["external_port"] == p}
        return found == {"tcp": {"pcp", "upnp"}, "udp": {"pcp", "upnp"}}
    net.wait_for(claimed, 40, "qbittorrent-nox's mappings", 0.3)
    assert len(gw.leases_of(lab.pc)) == 2
    net.wait_for(lambda: connects(lab, p), 10, "an answer of qbittorrent-nox", 0.2)
    program.stop()
    net.wait_for(lambda: not gw.list(), 20, "qbittorrent-nox's deletes", 0.3)
    assert not connects(lab, p)


@FULL
def test_nat_upnp_maps_and_unmaps(lab, gw, port):
    """U12: npm nat-upnp knows IGD:1 only"""
    p = port()
    said = clients.node(lab.console, "nat-upnp.js", "map", str(p))
    assert said["address"] == net.WAN
    mapping, = said["mappings"]
    assert mapping["public"]["port"] == p and mapping["local"] and mapping["protocol"] == "udp"
    assert mapping["private"] == {"host": net.CONSOLE, "port": p}
    with lab.console.udp(p, lab.console.addr) as s:
        assert net.arrives(lab.inet, s, p)
        assert clients.node(lab.console, "nat-upnp.js", "unmap", str(p))["mappings"] == []
        assert not net.arrives(lab.inet, s, p, timeout=0.5)


@FULL
def test_nat_port_mapper_maps(lab, gw, port):
    """U12: npm @achingbrain/nat-port-mapper knows IGD:2 only, and asks by AddAnyPortMapping. Its
    unmap names no protocol, so that its mappings end by their time."""
    p = port()
    upnp.Igd(lab.pc).add("UDP", p)  # it is told another one
    said = clients.node(lab.console, "nat-port-mapper.js", str(p), net.CONSOLE)
    assert said["address"] == said["mapping"]["externalHost"] == net.WAN
    outside = said["mapping"]["externalPort"]
    assert outside != p and gw.lease("udp", outside)["internal_port"] == p
    with lab.console.udp(p, lab.console.addr) as s:
        assert net.arrives(lab.inet, s, outside)
