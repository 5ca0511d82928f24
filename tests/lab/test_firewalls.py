# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside the firewalls that Debian has, as they are installed: what portreeve check says of
them, and that leases work behind them. Skipped where they are not installed."""
import json
import os
import shutil

import pytest

import net
import pcp
from test_check import Check

SERVICES = ((5351, "udp"), (1900, "udp"), (49152, "tcp"))


@pytest.fixture
def check(gw):
    return Check(gw)


def fixes(gw, ident, lan="br-lan"):
    report = json.loads(gw.cli("check", "--json").stdout)
    return [f["fix"] for f in report["findings"] if f["id"] == ident and lan in f["text"]]


def nobody_answers(lab, port):
    with pcp.Client(lab.console, timeout=0.3) as c:
        try:
            return c.ask(c.request(pcp.UDP, port(), port())) is None
        except OSError:  # rejected
            return True


def a_lease_works(lab, port):
    p, x = port(), port()
    with pcp.Client(lab.console) as c, lab.console.udp(p) as s:
        assert c.map(pcp.UDP, p, x).external == x
        return net.arrives(lab.inet, s, x)


@pytest.fixture
def firewalld(lab, gw):
    """The daemon with a message bus and a directory of its own; the function runs commands
    beside it."""
    if not shutil.which("firewalld") or not shutil.which("dbus-daemon"):
        pytest.skip("firewalld is not installed")
    etc = lab.tempdir("firewalld")
    address = f"unix:path={etc}/bus"
    bus = lab.gw.start("dbus-daemon", "--session", "--nofork", "--nopidfile",
                       f"--address={address}")
    env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=address)
    net.wait_for(lambda: os.path.exists(f"{etc}/bus"), what="the message bus")
    daemon = lab.gw.start("firewalld", "--nofork", "--nopid", "--system-config", etc, env=env)

    def run(command):
        return lab.gw.run("sh", "-c", command, env=env, timeout=30)
    try:
        net.wait_for(lambda: run("firewall-cmd --state").returncode == 0, timeout=20,
                     what="firewalld")
        yield run
    finally:
        daemon.stop(20)
        bus.stop()
        lab.gw.run("nft", "delete table inet firewalld")


@pytest.mark.seconds(120)
def test_firewalld(lab, gw, check, firewalld, port):
    """It lets DNATed flows pass, but no requests of the LAN; reloads leave leases alone"""
    for zone, interface in (("external", "wan0"), ("internal", "br-lan")):
        done = firewalld(f"firewall-cmd --permanent --zone={zone} --change-interface={interface}")
        assert done.returncode == 0, done.stderr
    assert firewalld("firewall-cmd --reload").returncode == 0
    check.until(lambda f: "input-drop" in f)
    assert check.code == 2 and nobody_answers(lab, port)
    wanted = fixes(gw, "input-drop")
    assert len(wanted) == len(SERVICES)
    for fix in wanted:
        assert firewalld(fix).returncode == 0
    net.wait_for(lambda: not fixes(gw, "input-drop"), what="the advice to help")
    assert a_lease_works(lab, port)
    assert firewalld("firewall-cmd --reload").returncode == 0
    assert a_lease_works(lab, port)


@pytest.fixture
def ufw(lab, gw):
    """ufw with a copy of its directory; the function runs commands where it is."""
    if not shutil.which("ufw") or not shutil.which("iptables-nft"):
        pytest.skip("ufw is not installed")
    etc = f"{lab.tempdir('ufw')}/ufw"
    shutil.copytree("/etc/ufw", etc)

    def run(command):
        return lab.gw.run("unshare", "--mount", "sh", "-c",
                          f"mount --bind {etc} /etc/ufw && {command}", timeout=30)
    yield run
    run("ufw --force disable")
    for family in ("ip", "ip6"):
        for table in ("filter", "nat", "mangle", "raw"):
            lab.gw.run("nft", f"delete table {family} {table}")


@pytest.mark.seconds(120)
def test_ufw(lab, gw, check, ufw, port):
    """It drops both requests and leases until it is told otherwise"""
    done = ufw("ufw --force enable")
    assert done.returncode == 0, done.stdout + done.stderr
    found = check.until(lambda f: "input-drop" in f and "forward-drop" in f)
    assert check.code == 2 and nobody_answers(lab, port)
    for fix in fixes(gw, "input-drop"):
        done = ufw(fix)
        assert done.returncode == 0, done.stderr
    line = found["forward-drop"]["fix"].split("COMMIT: ")[1].split(";")[0]
    done = ufw(f"sed -i 's/^COMMIT$/{line}\\n&/' /etc/ufw/before.rules && ufw reload")
    assert done.returncode == 0, done.stderr
    net.wait_for(lambda: not fixes(gw, "input-drop") and "forward-drop" not in check(),
                 what="the advice to help")
    assert a_lease_works(lab, port)
