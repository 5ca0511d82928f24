# SPDX-License-Identifier: GPL-2.0-or-later
"""WANIPv6FirewallControl: pinholes as UPnP opens them, judged by packets. F rows."""
import re
import socket

import pytest

import clients
import gateway
import net
import upnp

TCP, UDP = 6, 17
FIREWALL = upnp.SERVICE + "WANIPv6FirewallControl:1"
URL6 = f"http://[{net.LAN6}]:49152/rootDesc2.xml"


class From:
    """A host that connects from that one of its addresses."""

    def __init__(self, host, addr):
        self.host, self.addr = host, addr

    def connect(self, addr, port, timeout=2.0):
        s = self.host.socket(net.family_of(addr), socket.SOCK_STREAM, timeout=timeout)
        try:
            s.bind((self.addr, 0))
            s.connect((addr, port))
        except BaseException:
            s.close()
            raise
        return s


class Firewall(upnp.Igd):
    """The service, asked from that address."""

    def __init__(self, host, addr):
        self.addr = addr
        super().__init__(From(host, addr), 2, gateway=net.LAN6 if ":" in addr else net.LAN)

    def ends(self, port, protocol=UDP, client=None, remote="", remote_port=0):
        return dict(RemoteHost=remote, RemotePort=remote_port,
                    InternalClient=self.addr if client is None else client, InternalPort=port,
                    Protocol=protocol)

    def ask(self, action, **args):
        return self.call(action, FIREWALL, **args)

    def open(self, port, lease=600, **kwargs):
        return int(self.ask("AddPinhole", **self.ends(port, **kwargs), LeaseTime=lease)["UniqueID"])

    def packets(self, number):
        return int(self.ask("GetPinholePackets", UniqueID=number)["PinholePackets"])


def code(call, *args, **kwargs):
    with pytest.raises(upnp.Fault) as fault:
        call(*args, **kwargs)
    return fault.value.code


@pytest.fixture(scope="module")
def lab():
    with net.Net(ipv6=True) as n:
        yield n


@pytest.fixture
def fc(lab, gw):
    return Firewall(lab.console, net.CONSOLE6)


def same(addr):
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, addr))


def pinholes(gw):
    return [l for l in gw.list() if l.get("family") == "ipv6"]


def comes(lab, sock, port, addr=net.CONSOLE6, source=net.REMOTE6, sport=0, timeout=5.0):
    with (lab.inet.udp(sport, source) if sport else net.fresh_udp(lab.inet, source)) as s:
        return bool(net.comes_through(s, sock, port, addr, timeout, source))


def test_it_belongs_to_the_second_version_and_is_found(lab, gw):
    """U6, U11, U13: and WANPPPConnection to the first"""
    for target, location in ((FIREWALL, "rootDesc2.xml"),
                             (upnp.SERVICE + "WANPPPConnection:1", "rootDesc.xml")):
        found = upnp.search(lab.console, target, least=1)
        assert [f.headers["location"] for f in found] == [f"http://{net.LAN}:49152/{location}"]
        assert found[0].headers["st"] == target and found[0].headers["usn"].endswith(target)
    first, second = upnp.Igd(lab.console), upnp.Igd(lab.console, version=2)
    assert FIREWALL not in first.services and FIREWALL in second.services
    scpd = upnp.get(lab.console, second.services[FIREWALL]["SCPDURL"]).body
    for action in ("GetFirewallStatus", "GetOutboundPinholeTimeout", "AddPinhole",
                   "UpdatePinhole", "DeletePinhole", "GetPinholePackets", "CheckPinholeWorking"):
        assert f"<name>{action}</name>".encode() in scpd


def test_a_pinhole_from_add_to_delete(lab, gw, fc, port):
    """F1, F5: it opens and closes, for that port and protocol"""
    p = port()
    assert fc.ask("GetFirewallStatus") == {"FirewallEnabled": "1", "InboundPinholeAllowed": "1"}
    with lab.console.udp(p, net.CONSOLE6) as s, lab.console.udp(p + 1, net.CONSOLE6) as other:
        assert not comes(lab, s, p, timeout=0.25)
        number = fc.open(p)
        assert 1 <= number <= 65535
        for source in (net.REMOTE6, net.REMOTE6_2):
            assert comes(lab, s, p, source=source)
        assert not comes(lab, other, p + 1, timeout=0.25)
        assert fc.open(p, lease=1200) == number
        assert [(l["remaining_s"] > 1190, l["claims"]) for l in pinholes(gw)] == [(True, ["upnp"])]
        assert fc.ask("DeletePinhole", UniqueID=number) == {}
        assert not comes(lab, s, p, timeout=0.25)
    assert code(fc.ask, "DeletePinhole", UniqueID=number) == 704
    assert pinholes(gw) == []
    with lab.console.listen(p, net.CONSOLE6) as listener:
        fc.open(p, protocol=TCP)
        with lab.inet.connect(net.CONSOLE6, p) as c, listener.accept()[0] as a:
            c.sendall(b"in")
            assert a.recv(8) == b"in"


def test_wrong_values_are_told_apart(gw, fc, port):
    """F1, F2"""
    p = port()
    for lease in (0, 86401, "abc", ""):
        assert code(fc.open, p, lease=lease) == 402
    assert code(fc.open, 0) == 706
    for wrong in (65536, "x", ""):
        assert code(fc.open, wrong) == 402
    assert code(fc.open, p, protocol=65535) == 707
    for protocol in (1, 0, 58, 132):
        assert code(fc.open, p, protocol=protocol) == 705
    assert code(fc.open, p, protocol=65536) == 402
    assert code(fc.open, p, client="") == 708
    for wrong in ("console.lan", net.CONSOLE, "fe80::1%eth0"):
        assert code(fc.open, p, client=wrong) == 402
    for wrong in ("remote.example", net.REMOTE1):
        assert code(fc.open, p, remote=wrong) == 402
    assert code(fc.open, p, remote_port=65536) == 402
    args = fc.ends(p)
    assert code(fc.ask, "AddPinhole", **args) == 402  # without LeaseTime
    del args["RemoteHost"]
    assert code(fc.ask, "AddPinhole", **args, LeaseTime=60) == 402
    assert pinholes(gw) == []


def test_a_host_opens_only_towards_the_address_it_asks_from(lab, gw, fc, port):
    """F3: nor below 1024, nor a reserved port, nor over IPv4, which proves nothing"""
    p = port()
    for addr in (net.CONSOLE2_6, net.CONSOLE6_2, net.REMOTE6, net.LAN6):
        assert code(fc.open, p, client=addr) == 606
    assert code(fc.open, 1023) == 606
    assert code(fc.open, 5351) == 606
    assert code(Firewall(lab.console, net.CONSOLE).open, p, client=net.CONSOLE6) == 606
    ula = Firewall.__new__(Firewall)
    ula.addr, ula.host = net.CONSOLE_ULA, From(lab.console, net.CONSOLE_ULA)
    ula.services, ula.service = fc.services, fc.service
    assert code(ula.open, p) == 606
    assert pinholes(gw) == []
    # What is of IPv4 is nobody's over IPv6.
    assert code(fc.add, "UDP", p) == 402
    assert code(fc.add, "UDP", p, client=net.CONSOLE) == 606
    upnp.Igd(lab.console).add("UDP", p)
    assert code(fc.delete, "UDP", p) == 606


def test_nobody_else_renews_reads_or_ends_it(lab, gw, fc, port):
    """F4, F5, F6, F7: 606 for others, 704 for what is not there"""
    p = port()
    number = fc.open(p)
    for other in (Firewall(lab.console2, net.CONSOLE2_6), Firewall(lab.console, net.CONSOLE6_2),
                  Firewall(lab.console, net.CONSOLE)):
        for action in ("DeletePinhole", "GetPinholePackets", "CheckPinholeWorking"):
            assert code(other.ask, action, UniqueID=number) == 606
        assert code(other.ask, "UpdatePinhole", UniqueID=number, NewLeaseTime=60) == 606
    none = number % 65535 + 1
    for action in ("DeletePinhole", "GetPinholePackets", "CheckPinholeWorking"):
        assert code(fc.ask, action, UniqueID=none) == 704
        assert code(fc.ask, action, UniqueID=0) == 704
        for wrong in (65536, "x", ""):
            assert code(fc.ask, action, UniqueID=wrong) == 402
    assert code(fc.ask, "UpdatePinhole", UniqueID=none, NewLeaseTime=60) == 704
    for lease in (0, 86401, "x"):
        assert code(fc.ask, "UpdatePinhole", UniqueID=number, NewLeaseTime=lease) == 402
    assert fc.ask("UpdatePinhole", UniqueID=number, NewLeaseTime=7200) == {}
    assert 7190 <= pinholes(gw)[0]["remaining_s"] <= 7200


def test_a_pinhole_for_one_remote_host_and_port(lab, gw, fc, port):
    """F1: enforced by the kernel; each has a number of its own"""
    p, a = port(), port()
    with lab.console.udp(p, net.CONSOLE6) as s:
        one = fc.open(p, remote=net.REMOTE6, remote_port=a)
        assert comes(lab, s, p, sport=a)
        assert not comes(lab, s, p, timeout=0.25)
        assert not comes(lab, s, p, source=net.REMOTE6_2, sport=a, timeout=0.25)
        two = fc.open(p, remote=net.REMOTE6_2)
        assert two != one and comes(lab, s, p, source=net.REMOTE6_2)
        assert fc.open(p, remote=net.REMOTE6, remote_port=a) == one
        # From any host: that would lie across the one of REMOTE6_2, which the kernel refuses.
        assert code(fc.open, p, remote_port=a + 1) == 701
        assert sorted((l["remote"], l.get("remote_port")) for l in pinholes(gw)) == \
            [(same(net.REMOTE6), a), (same(net.REMOTE6_2), None)]
        fc.ask("DeletePinhole", UniqueID=one)
        fc.open(p, remote=net.REMOTE6, remote_port=a + 2)
        done = gw.cli("delete", f"udp/{p}", net.CONSOLE6, "--remote", net.REMOTE6)
        assert done.returncode == 0, done.stderr
        assert not comes(lab, s, p, sport=a + 2, timeout=0.25)
        assert comes(lab, s, p, source=net.REMOTE6_2)
        fc.ask("DeletePinhole", UniqueID=two)
        three = fc.open(p, remote_port=a + 1)
        for source in (net.REMOTE6, net.REMOTE6_2):
            assert comes(lab, s, p, source=source, sport=a + 1)
            assert not comes(lab, s, p, source=source, sport=a + 3, timeout=0.25)
        fc.ask("DeletePinhole", UniqueID=three)
    assert pinholes(gw) == []


def test_it_ends_on_time(lab, gw, fc, port):
    """F10: expiry frees the number; the next one is another"""
    p = port()
    number = fc.open(p, lease=1)
    net.wait_for(lambda: not pinholes(gw), what="the end of a pinhole of 1 s")
    assert code(fc.ask, "UpdatePinhole", UniqueID=number, NewLeaseTime=60) == 704
    with lab.console.udp(p, net.CONSOLE6) as s:
        assert not comes(lab, s, p, timeout=0.25)
    assert fc.open(p) != number


@pytest.mark.seconds(60)
def test_pinholes_of_a_former_prefix_end(port):
    """F10: they go with their hosts, number and all, or end where there is no other prefix; what
    is of the LAN's other addresses stays"""
    with net.Net(ipv6=True) as lab, gateway.Gateway(lab) as gw:
        p = port()
        number = Firewall(lab.console, net.CONSOLE6).open(p)
        upnp.Igd(lab.console).add("UDP", p)
        with lab.console.udp(p, net.CONSOLE6) as s:
            assert comes(lab, s, p)
            lab.gw.ip(f"address del {net.LAN6}/64 dev br-lan\n"
                      "address add 2a01:78::1/64 dev br-lan nodad\n")
            net.wait_for(lambda: [l["internal_address"] for l in pinholes(gw)] ==
                         ["2a01:78::20"], 20, "the pinhole in the other prefix", 0.2)
            lab.gw.ip("route add 2a01:77::/64 dev br-lan\n")
            assert not comes(lab, s, p, timeout=0.25)
        lab.console.ip("address add 2a01:78::20/64 dev eth0 nodad\n")
        again = Firewall.__new__(Firewall)
        again.addr = "2a01:78::20"
        upnp.Igd.__init__(again, From(lab.console, again.addr), 2, gateway="2a01:78::1")
        assert again.open(p) == number
        lab.gw.ip("address del 2a01:78::1/64 dev br-lan\n")
        net.wait_for(lambda: not pinholes(gw), 20, "the end of the pinhole", 0.2)
        assert gw.lease("udp", p) and "reason=policy" in gw.log()


def test_the_outbound_timeout_is_the_kernels(lab, gw, fc, port):
    """F8"""
    with lab.gw.inside():
        def sysctl(name):
            with open(f"/proc/sys/net/netfilter/nf_conntrack_{name}", encoding="ascii") as f:
                return f.read().strip()
        expected = {UDP: sysctl("udp_timeout"), TCP: sysctl("tcp_timeout_established")}
    for protocol, seconds in expected.items():
        reply = fc.ask("GetOutboundPinholeTimeout", **fc.ends(port(), protocol=protocol))
        assert reply == {"OutboundPinholeTimeout": seconds}
    assert code(fc.ask, "GetOutboundPinholeTimeout", **fc.ends(port(), protocol=1)) == 705


def test_pcp_and_upnp_share_a_pinhole(lab, gw, fc, port):
    """X2 over IPv6"""
    import pcp
    p = port()
    with pcp.Client(lab.console, source=net.CONSOLE6) as c, \
            lab.console.udp(p, net.CONSOLE6) as s:
        assert c.map(pcp.UDP, p, p).result == pcp.SUCCESS
        number = fc.open(p)
        assert sorted(pinholes(gw)[0]["claims"]) == ["pcp", "upnp"] and len(pinholes(gw)) == 1
        fc.ask("DeletePinhole", UniqueID=number)
        assert pinholes(gw)[0]["claims"] == ["pcp"]
        assert comes(lab, s, p)
        assert code(fc.ask, "DeletePinhole", UniqueID=number) == 704
        c.delete(pcp.UDP, p)
        assert not comes(lab, s, p, timeout=0.25)


@pytest.mark.parametrize("kernel", [None, "6.1"])
def test_packets_are_counted_and_numbers_survive(kernel, port):
    """F6, F7, X6: through renewals, the worker's end and the core's"""
    with net.Net(ipv6=True) as lab, gateway.Gateway(lab, kernel=kernel) as gw:
        fc = Firewall(lab.console, net.CONSOLE6)
        p, q = port(), port()
        number, filtered = fc.open(p), fc.open(q, remote=net.REMOTE6)
        assert fc.packets(number) == 0
        assert code(fc.ask, "CheckPinholeWorking", UniqueID=number) == 709
        with lab.console.udp(p, net.CONSOLE6) as s, lab.inet.udp(0, net.REMOTE6) as remote:
            for i in range(5):
                remote.sendto(b"%d" % i, (net.CONSOLE6, p))
                data, peer = s.recvfrom(16)
                if i == 2:
                    s.sendto(b"back", peer)  # from here on it is an established flow
            assert fc.packets(number) == 5
            assert fc.ask("CheckPinholeWorking", UniqueID=number) == {"IsWorking": "1"}
            fc.ask("UpdatePinhole", UniqueID=number, NewLeaseTime=900)
            remote.sendto(b"x", (net.CONSOLE6, p))
            s.recvfrom(16)
            assert fc.packets(number) == 6
            assert fc.packets(filtered) == 0
            with lab.console.udp(q, net.CONSOLE6) as t:
                assert comes(lab, t, q)
            assert fc.packets(filtered) >= 1
            worker = gw.process_id("igd", "br-lan")
            gateway.kill(worker)
            net.wait_for(lambda: [x for x in gw.processes("igd", "br-lan") if x["pid"] != worker],
                         what="another worker")

            def again():
                try:
                    return Firewall(lab.console, net.CONSOLE6)
                except (OSError, net.LabError):
                    return None
            fc = net.wait_for(again, what="UPnP")
            assert fc.packets(number) == 6
            gw.kill()
            gw.start()
            fc = Firewall(lab.console, net.CONSOLE6)
            assert fc.packets(number) == 6
            assert fc.open(p) == number and fc.open(q, remote=net.REMOTE6) == filtered
            remote.sendto(b"y", (net.CONSOLE6, p))
            s.recvfrom(16)
            assert fc.packets(number) == 7
            assert fc.open(port()) not in (number, filtered)


def test_upnpc_with_all_its_verbs_for_pinholes(lab, gw, port):
    """-S -G -A -U -C -K -D of miniupnpc, over IPv6"""
    p = str(port())
    host, addr = lab.console2, net.CONSOLE2_6

    def run(*args):
        return host.run("upnpc", "-u", URL6, *args, timeout=20).stdout
    assert "FirewallEnabled: 1" in run("-S")
    assert re.search(r"timeout|Timeout", run("-G", "", "0", addr, p, "17"))
    done = run("-A", "", "0", addr, p, "17", "600")
    number = re.search(r"Pinhole ID:? *(\d+)|ID *= *(\d+)", done)
    assert number, done
    number = number[1] or number[2]
    assert [l["external_port"] for l in pinholes(gw)] == [int(p)]
    with host.udp(int(p), addr) as s:
        assert comes(lab, s, int(p), addr)
    assert "error" not in run("-U", number, "1200").lower()
    assert pinholes(gw)[0]["remaining_s"] > 1190
    assert "error" not in run("-C", number).lower()
    assert re.search(r"[1-9]", run("-K", number).rsplit("\n", 2)[-2])
    run("-D", number)
    assert pinholes(gw) == []
