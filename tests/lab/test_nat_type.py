# SPDX-License-Identifier: GPL-2.0-or-later
"""portreeve nat-type says what a game finds by its own tests; --stun measures what is on the WAN
(issue 6, item 8)."""
import json

import pytest

import gateway
import nat
import net

CONFIG = gateway.CONFIG.replace('lan "br-guest" {}', 'lan "br-guest" { trusted = false }')


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, CONFIG) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def verdict(gw, *host):
    return gw.json("nat-type", *host)["verdicts"]


def grades(v):
    return v["xbox"], v["playstation"], v["nintendo"]


def test_it_says_what_the_console_finds(lab, gw):
    """Open, 2 and A, which Nintendo's check and a mapping test from the console confirm"""
    [v] = verdict(gw, net.CONSOLE)
    assert (v["lan"], v["mapping"], v["filtering"]) == (
        "br-lan", "endpoint-independent", "endpoint-independent")
    assert grades(v) == ("Open", "Type 2", "A") and not v["at_best"]
    with nat.Nncs(lab.inet), lab.console.udp() as s:
        assert {net.source_seen(s, lab.inet, r)[1] for r in (net.REMOTE1, net.REMOTE2)} == {
            s.getsockname()[1]}
        net.wait_for(lambda: net.arrives(lab.inet, s, s.getsockname()[1], timeout=0.05),
                     what="the opening")
        assert nat.nncs_grade(s)[0] == v["nintendo"]


def test_guests_see_less_and_why_is_said(lab, gw):
    """Off for guests: B, with what would change it; the general verdict of each LAN"""
    home, guests = verdict(gw)
    assert (home["lan"], grades(home)[2]) == ("br-lan", "A")
    assert (guests["lan"], grades(guests)) == ("br-guest", ("Moderate", "Type 2", "B"))
    [why] = [r for r in guests["reasons"] if r["id"] == "open-nat-off"]
    assert why["fix"] == "open-nat = true in the lan block"
    with nat.Nncs(lab.inet), lab.guest.udp() as s:
        assert nat.nncs_grade(s, 0.3)[0] == "B"
    done = gw.cli("nat-type", "11.0.0.9")
    assert done.returncode == 1 and "is in no LAN" in done.stderr


def test_other_settings_change_the_verdict(lab, gw):
    """own-masquerade off, an access rule, and a filter of somebody else"""
    try:
        gw.reload(CONFIG + "own-masquerade = false\n")
        [v] = verdict(gw, net.CONSOLE)
        assert v["mapping"] == "unknown" and v["at_best"] and grades(v)[0] == "Moderate"
        gw.reload(CONFIG + f'access "tv" {{ address = "{net.CONSOLE2}"  open-nat = false }}\n')
        assert grades(verdict(gw, net.CONSOLE2)[0])[2] == "B"
        assert grades(verdict(gw, net.CONSOLE)[0])[2] == "A"
    finally:
        gw.reload(CONFIG)
    lab.gw.nft('table inet other { chain f { type filter hook forward priority 0; policy drop;\n'
               'ct state established,related accept\niifname "br-lan" accept\n}\n}\n')
    try:
        v = net.wait_for(lambda: [v for v in verdict(gw, net.CONSOLE) if grades(v)[2] == "B"],
                         what="the filter to be seen")[0]
        assert "forward-drop" in [r["id"] for r in v["reasons"]]
    finally:
        lab.gw.run("nft", "delete", "table", "inet", "other", check=True)


def test_stun_measures_the_wan(lab, gw):
    """RFC 5780 with coturn: nothing is in the way; then another NAT and a filter are"""
    with nat.Stun(lab):
        done = lab.gw.run(*cli(gw, "--stun", net.REMOTE1), check=True)
        m = json.loads(done.stdout)["measured"]
        assert (m["mapping"], m["filtering"]) == ("endpoint-independent", "endpoint-independent")
        assert m["local"] == m["mapped"] and m["local"].startswith(net.WAN + ":")
        assert not m["translated"]
        lab.gw.nft('table inet other { chain i { type filter hook input priority 0;\n'
                   'iifname "wan0" ct state new drop\n}\n}\n')
        try:
            done = lab.gw.run(*cli(gw, "--stun", f"{net.REMOTE1}:3478"), check=True)
            assert json.loads(done.stdout)["measured"]["filtering"] == (
                "address-and-port-dependent")
        finally:
            lab.gw.run("nft", "delete", "table", "inet", "other", check=True)
    done = lab.gw.run(*cli(gw, "--stun", net.REMOTE1))
    assert done.returncode == 70 and "no answer" in done.stderr, done.stderr


def cli(gw, *args):
    return [gw.programs.cli, "--runtime-dir", gw.runtime, "--json", "nat-type", *args]
