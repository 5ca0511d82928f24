# SPDX-License-Identifier: GPL-2.0-or-later
"""Another configuration without a restart: design 2 and 7, issue 5 item 10. Judged by packets and
by what clients are told."""
import os
import signal

import pytest

import clients
import gateway
import net

CONFIG = gateway.CONFIG


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab) as g:
        yield g
    # A file that is wrong is an error in the log.
    assert not gateway.problems(g.log(), worst=2), "portreeved logged worse than errors"


@pytest.fixture(autouse=True)
def as_before(gw):
    """Each test begins and ends with the lab's own configuration."""
    yield
    gw.reload(CONFIG)


def natpmp_port(host, port):
    return clients.natpmpc_port(
        clients.natpmpc(host, "-a", str(port), str(port), "udp", "600").stdout)


def pids(gw):
    return {(p["role"], p["lan"]): p["pid"] for p in gw.processes()}


def test_the_same_file_changes_nothing(lab, gw, port):
    """No lease, flow or process notices."""
    p = port()
    natpmp_port(lab.console, p)
    before, rules = pids(gw), lab.gw.ruleset()
    with lab.console.udp(p) as s:
        flow = net.Flow(lab.inet, s, p)
        flow.start()
        for _ in range(3):
            assert gw.reload() == 0
        sent, lost = flow.finish()
        assert sent and not lost, f"{lost} of {sent}"
    assert pids(gw) == before
    assert lab.gw.ruleset() == rules
    assert gw.lease("udp", p)["claims"] == ["nat-pmp"]


def test_sighup_is_a_reload(lab, gw, port):
    p = port()
    natpmp_port(lab.console, p)
    gw.configure(CONFIG + f'reserved = {{ "udp/{p}" }}\n')
    os.kill(gw.process_id("parent"), signal.SIGHUP)
    net.wait_for(lambda: not gw.lease("udp", p), what="the end of the lease")


def test_what_is_not_allowed_ends_with_its_reason(lab, gw, port):
    """By packets; what stays allowed keeps its flow."""
    gone, stays = port(), port()
    natpmp_port(lab.console, gone)
    natpmp_port(lab.console, stays)
    mark = len(gw.log())
    assert gw.reload(CONFIG + f'reserved = {{ "udp/{gone}" }}\n') == 1
    log = gw.log()[mark:]
    assert f"udp/{gone}" in log and "reserved" in log and f"udp/{stays}" not in log, log
    with lab.console.udp(gone) as a, lab.console.udp(stays) as b:
        assert not net.arrives(lab.inet, a, gone, timeout=0.3)
        assert net.arrives(lab.inet, b, stays)


def test_too_many_leases_lose_the_youngest(lab, gw, port):
    """per-host: who came first stays."""
    ports = [port() for _ in range(5)]
    for p in ports:
        natpmp_port(lab.pc, p)
    assert gw.reload(CONFIG.replace("per-host = 4096", "per-host = 3")) == 2
    assert sorted(l["external_port"] for l in gw.leases_of(lab.pc)) == sorted(ports[:3])


@pytest.mark.parametrize("text, line", [
    ("foo = 1\n", 6), ("limits { per-host = 0 }\n", 6), ('lan "br-lan" {\n', 6),
    ('forward "f" { port = "tcp/80" }\n', 6)])
def test_a_broken_file_changes_nothing(lab, gw, port, text, line):
    """The command prints file, line and key, and says so by its exit status."""
    p = port()
    natpmp_port(lab.console, p)
    before, rules = pids(gw), lab.gw.ruleset()
    gw.configure(CONFIG + text)
    done = gw.cli("reload")
    assert done.returncode == 78
    assert f"{gw.config}:{line}: " in done.stderr and "nothing has changed" in done.stderr
    assert pids(gw) == before and lab.gw.ruleset() == rules
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)


def test_a_missing_file_changes_nothing(gw):
    before = pids(gw)
    os.unlink(gw.config)
    done = gw.cli("reload")
    assert done.returncode == 78 and "No such file" in done.stderr
    assert pids(gw) == before


def test_only_root_may(gw):
    done = gw.cli("reload", user="portreeve")
    assert done.returncode == 77, done.stderr


def test_features_follow(lab, gw, port):
    """upnp off: that worker goes and UPnP is silent; PCP's process is another one, NAT-PMP goes
    on. On again, it answers."""
    before = pids(gw)
    gw.reload(CONFIG.replace('lan "br-lan" {}', 'lan "br-lan" { upnp = false }'))
    net.wait_for(lambda: ("igd", "br-lan") not in pids(gw), what="the end of the worker")
    assert clients.upnpc(lab.console, "-l", check=False).returncode
    net.wait_for(lambda: ("pcp", "br-lan") in pids(gw), what="the PCP worker")
    natpmp_port(lab.console, port())
    after = pids(gw)
    for who in (("core", None), ("parent", None), ("igd", "br-guest"), ("pcp", "br-guest")):
        assert after[who] == before[who], who
    gw.reload(CONFIG)
    net.wait_for(lambda: ("igd", "br-lan") in pids(gw), what="the worker")
    net.wait_for(lambda: "Found valid IGD" in clients.upnpc(lab.console, "-s", check=False).stdout,
                 10, "UPnP", 0.2)


def test_lans_come_and_go(lab, gw, port):
    """Without br-guest its leases end and its workers go; br-lan does not notice. Back again, it
    is served."""
    p, q = port(), port()
    natpmp_port(lab.console, p)
    out = lab.guest.run("natpmpc", "-g", net.GUEST_LAN, "-a", str(q), str(q), "udp", "600",
                        check=True).stdout
    assert clients.natpmpc_port(out) == q
    before = pids(gw)
    assert gw.reload(CONFIG.replace('lan "br-guest" {}\n', "")) == 1
    net.wait_for(lambda: not any(lan == "br-guest" for _, lan in pids(gw)), what="their end")
    assert not gw.lease("udp", q)
    with lab.console.udp(p) as s:
        assert net.arrives(lab.inet, s, p)
    assert all(pids(gw)[who] == pid for who, pid in before.items() if who[1] != "br-guest")
    gw.reload(CONFIG)
    net.wait_for(lambda: lab.guest.run("natpmpc", "-g", net.GUEST_LAN, "-a", str(q), str(q), "udp",
                                       "600").returncode == 0, 10, "NAT-PMP on br-guest", 0.2)


def test_a_lan_takes_the_place_of_another(lab, gw, port):
    """Renamed in the file: the number of the one is free for the other at once."""
    gw.reload(CONFIG.replace("br-guest", "br-none"))
    assert [l["name"] for l in gw.json("status")["lans"]] == ["br-lan", "br-none"]
    gw.reload(CONFIG)
    assert [l["name"] for l in gw.json("status")["lans"]] == ["br-lan", "br-guest"]
    q = port()
    net.wait_for(lambda: lab.guest.run("natpmpc", "-g", net.GUEST_LAN, "-a", str(q), str(q), "udp",
                                       "600").returncode == 0, 10, "NAT-PMP on br-guest", 0.2)


def test_another_wan(lab, gw, port):
    """The leases lead in from the new WAN, no longer from the old one."""
    p = port()
    natpmp_port(lab.console, p)
    lab.gw.ip("link add wan9 type veth peer name wan9p\nlink set wan9p up\n"
              "link set wan9 up\naddress add 11.0.1.1/24 dev wan9\n")
    try:
        assert gw.reload(CONFIG.replace("wan0", "wan9")) == 0
        assert gw.json("status")["wan"]["interface"] == "wan9"
        with lab.console.udp(p) as s:
            assert not net.arrives(lab.inet, s, p, timeout=0.3)
            gw.reload(CONFIG)
            assert net.arrives(lab.inet, s, p)
    finally:
        lab.gw.ip("link del wan9\n")


def test_a_core_that_dies_has_the_new_one(lab, gw, port):
    """What the parent hands to the next core is what was applied last."""
    p = port()
    gw.reload(CONFIG + f'reserved = {{ "udp/{p}" }}\n')
    gateway.kill(gw.process_id("core"))
    net.wait_for(lambda: gw.cli("status").returncode == 0, what="the core")
    net.wait_for(lambda: lab.console.run("natpmpc", "-g", net.LAN).returncode == 0, 10, "NAT-PMP")
    out = clients.natpmpc(lab.console, "-a", str(p), str(p), "udp", "600").stdout
    assert clients.natpmpc_port(out) != p


def test_access_rules(lab, gw, port):
    """Design 7: ports, number and nothing at all, by address."""
    mine, other = port(), port()
    gw.reload(CONFIG + f'''
access "console" {{ address = "{net.CONSOLE}"  ports = {{ "{mine}-{mine + 3}" }}  leases = 2 }}
access "pc" {{ address = "{net.PC}"  leases = 0 }}
''')
    assert natpmp_port(lab.console, mine) == mine
    assert mine < natpmp_port(lab.console, other) <= mine + 3
    done = clients.natpmpc(lab.console, "-a", str(mine + 2), str(mine + 2), "udp", "600",
                           check=False)
    assert "Mapped" not in done.stdout
    assert "Mapped" not in clients.natpmpc(lab.pc, "-a", str(other), str(other), "udp", "600",
                                           check=False).stdout
    assert natpmp_port(lab.console2, other) == other
    done = clients.upnpc(lab.console, "-a", net.CONSOLE, "9999", "9999", "UDP", check=False).stdout
    assert "failed" in done
    assert gw.reload(CONFIG + f'access "none" {{ address = "{net.CONSOLE}" leases = 0 }}\n') == 2


def test_own_masquerade(lab, gw, port):
    """Off, an admin's snat to a chosen address holds; on, ours comes first. Leases lead in either
    way."""
    lab.gw.ip("address add 11.0.0.9/32 dev wan0\n")
    lab.gw.nft("""table ip chosen {
        chain post {
            type nat hook postrouting priority srcnat - 1;
            oifname "wan0" snat to 11.0.0.9
        }
    }""")
    p = port()
    try:
        gw.reload(CONFIG + "own-masquerade = false\n")
        natpmp_port(lab.console, p)
        with lab.console2.udp(port()) as s, lab.console.udp(p) as t:
            assert net.source_seen(s, lab.inet)[0] == "11.0.0.9"
            assert net.arrives(lab.inet, t, p)
        gw.reload(CONFIG)
        with lab.console2.udp(port()) as s, lab.console.udp(p) as t:
            assert net.source_seen(s, lab.inet)[0] == net.WAN
            assert net.arrives(lab.inet, t, p)
    finally:
        lab.gw.nft("delete table ip chosen")
        lab.gw.ip("address del 11.0.0.9/32 dev wan0\n")
