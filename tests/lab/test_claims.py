# SPDX-License-Identifier: GPL-2.0-or-later
"""One host, one port, several protocols: one lease that ends with its last claim."""
import pytest

import clients
import natpmp
import net
import pcp
import upnp


@pytest.fixture
def console(lab, gw):
    with pcp.Client(lab.console) as c:
        yield c


def test_pcp_and_upnp_by_both_descriptions_are_one_lease(lab, gw, console, port):
    """X2, U12"""
    p = port()
    assert console.get(pcp.UDP, p) == p
    igds = [upnp.Igd(lab.console, version=v) for v in (1, 2)]
    for igd in igds:
        igd.add("UDP", p)
    leases = gw.list()
    assert len(leases) == 1
    assert sorted(leases[0]["claims"]) == ["pcp", "upnp"]
    assert leases[0]["origin"] == "pcp"
    assert console.delete(pcp.UDP, p).result == pcp.SUCCESS
    assert gw.lease("udp", p)["claims"] == ["upnp"]
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
        igds[0].delete("UDP", p)
        assert gw.list() == []
        with pytest.raises(upnp.Fault) as fault:
            igds[1].delete("UDP", p)
        assert fault.value.code == 714
        assert not net.arrives(lab.inet, s, p, timeout=0.3)


def test_the_other_way_round(lab, gw, console, port):
    """X2"""
    p, igd = port(), upnp.Igd(lab.console, version=2)
    igd.add("UDP", p)
    assert console.get(pcp.UDP, p) == p
    igd.delete("UDP", p)
    assert gw.lease("udp", p)["claims"] == ["pcp"]
    console.delete(pcp.UDP, p)
    assert gw.list() == []


def test_the_later_deadline_holds(lab, gw, console, port):
    """X2: a claim that runs out takes only itself"""
    p, igd = port(), upnp.Igd(lab.console, version=2)
    igd.add("UDP", p, lease=600)
    console.get(pcp.UDP, p, lifetime=2)
    assert sorted(gw.lease("udp", p)["claims"]) == ["pcp", "upnp"]
    assert gw.lease("udp", p)["remaining_s"] > 500
    net.wait_for(lambda: gw.lease("udp", p)["claims"] == ["upnp"], what="the end of PCP's claim")
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)


def test_a_port_of_any_protocol_is_taken_for_all(lab, gw, console, port):
    """X1"""
    p = port()
    console.get(pcp.UDP, p)
    with pytest.raises(upnp.Fault) as fault:
        upnp.Igd(lab.console2).add("UDP", p)
    assert fault.value.code == 718
    with natpmp.Client(lab.console2) as c:
        assert c.get(natpmp.UDP, p) != p


def test_lists_show_the_leases_of_all_protocols(lab, gw, console, port):
    """X4, W17"""
    p, q, r = port(), port(), port()
    console.get(pcp.UDP, p)
    with natpmp.Client(lab.pc) as c:
        c.get(natpmp.TCP, q)
    upnp.Igd(lab.console2).add("UDP", r)
    listed = {(e["NewProtocol"], int(e["NewExternalPort"])) for e in upnp.Igd(lab.pc).generic()}
    assert listed == {("UDP", p), ("TCP", q), ("UDP", r)}
    keys = [(l["protocol"], l["external_port"]) for l in gw.list()]
    assert keys == sorted(keys)
    text = gw.cli("list").stdout
    assert all(str(n) in text for n in (p, q, r))
    assert all(len(line) <= 80 for line in text.splitlines())


def test_two_external_ports_for_one_internal_port(lab, gw, port):
    """X2: Syncthing asks so, by NAT-PMP and UPnP; both must work"""
    p, x, y = port(), port(), port()
    with natpmp.Client(lab.console) as c:
        assert c.map(natpmp.TCP, p, x).external == x
    upnp.Igd(lab.console).add("TCP", y, p)
    with lab.console.listen(p) as listener:
        for external in (x, y):
            with lab.inet.connect(net.WAN, external) as c:
                with listener.accept()[0] as a:
                    assert a.getpeername() == c.getsockname()


def test_libtorrent_maps_by_pcp_and_upnp_at_once(lab, gw, port):
    """X2: and deletes both at its end"""
    p = port()
    torrent = clients.Libtorrent(lab.console, p, natpmp=True, upnp=True)
    net.wait_for(lambda: sorted(sorted(l["claims"]) for l in gw.list())
                 == [["pcp", "upnp"], ["pcp", "upnp"]], 15, "two leases with two claims", 0.1)
    torrent.stop()
    net.wait_for(lambda: not gw.list(), 10, "libtorrent's deletes", 0.1)


def test_the_admin_deletes_a_lease_with_all_its_claims(lab, gw, console, port):
    p = port()
    console.get(pcp.UDP, p)
    upnp.Igd(lab.console).add("UDP", p)
    console.get(pcp.TCP, p)
    assert gw.cli("delete", f"{p}/udp").returncode == 0
    assert gw.lease("udp", p) is None and gw.lease("tcp", p)
    assert gw.cli("delete", f"tcp/{p}").returncode == 0
    assert gw.list() == []
    assert gw.cli("delete", f"tcp/{p}").returncode != 0
