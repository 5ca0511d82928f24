# SPDX-License-Identifier: GPL-2.0-or-later
"""The OpenWrt package without OpenWrt: its scripts in a plain shell over stand-ins for what they
call (openwrt.sh); the configuration is judged by portreeved itself. Issue 7, item 10."""
import os
import re
import subprocess

import pytest

import gateway

PROGRAMS = gateway.Programs()
FILES = f"{PROGRAMS.top}/packaging/openwrt/files"
STANDIN = f"{PROGRAMS.top}/tests/lab/openwrt.sh"
DEVICES = "wan=pppoe-wan lan=br-lan guest=br-guest"


class Box:
    """A router's files, and its init script run with them."""

    def __init__(self, folder, uci=None, devices=DEVICES):
        self.conf, self.uci, self.devices = folder / "portreeve.conf", folder / "uci", devices
        with open(f"{FILES}/portreeve.config", encoding="utf-8") as f:
            self.uci.write_text(uci if uci is not None else f.read())
        (folder / "network.sh").write_text("")
        self.env = {"PATH": os.environ["PATH"], "UCI_FILE": str(self.uci), "DEVICES": devices,
                    "PROG": PROGRAMS.daemon, "SHARE": FILES, "CONF": str(self.conf),
                    "LIBS": str(folder)}

    def call(self, function, **env):
        return subprocess.run(
            ["sh", "-c", f". {STANDIN}; . {FILES}/portreeve.init; {function}"], text=True,
            capture_output=True, env=self.env | {k: str(v) for k, v in env.items()}, timeout=10)

    def text(self):
        return self.conf.read_text()


def check(text, folder):
    path = folder / "check.conf"
    path.write_text(text)
    return subprocess.run([PROGRAMS.daemon, "--check-config", "--config", path], text=True,
                          capture_output=True, timeout=10)


def test_the_shipped_configuration_starts_it(tmp_path):
    box = Box(tmp_path)
    done = box.call("start_service")
    assert done.returncode == 0, done.stderr
    command = next(l for l in done.stdout.splitlines() if l.startswith("command "))
    assert command.split()[1:] == [
        PROGRAMS.daemon, "--foreground", "--config", str(box.conf), "--state-dir",
        "/var/lib/portreeve", "--runtime-dir", "/var/run/portreeve"]
    assert box.text().split() == ('wan "pppoe-wan" { } lan "br-lan" { } '
                                  'limits { per-host = "64" }').split()


EVERYTHING = """
config portreeve 'config'
	option min_lifetime '3m'
	option cut_expired '0'
	list reserved 'tcp/8100-8200'
	list reserved 'udp/3074'
	list allow_reserved '5555'
config wan
	option device 'eth1'
config lan 'home'
	option interface 'lan'
	list also '10.20.0.0/16'
	list third_party '192.168.1.10'
	option http_port '5431'
	option nat_pmp 'off'
config lan
	option interface 'guest'
	option trusted '0'
config open_nat
	option udp_remotes '3'
	list quiet '53'
	list quiet 'udp/3478-3479'
config access 'tv'
	list address '192.168.1.40'
	option open_nat '0'
config trigger
	option name 'battle.net'
	option when 'tcp/6112'
	list open 'tcp/6112'
	list open 'udp/6112'
	option idle '15m'
config forward 'web'
	option port 'tcp/8080'
	option to '192.168.1.10:80'
	option return_via_router '1'
config forward 'off'
	option enabled '0'
	option port 'nonsense'
config history
	option days '7'
config router
	list wan_allow 'tcp/22'
	list wan_allow 'icmp'
	option log 'yes'
"""
EXPECTED = """min-lifetime = "3m"
cut-expired = false
reserved = { "tcp/8100-8200", "udp/3074" }
allow-reserved = { "5555" }
wan "eth1" { }
lan "br-lan" {
also = { "10.20.0.0/16" }
third-party = { "192.168.1.10" }
http-port = "5431"
nat-pmp = false
}
lan "br-guest" {
trusted = false
}
open-nat {
udp-remotes = "3"
quiet = { "53", "udp/3478-3479" }
}
access "tv" {
address = { "192.168.1.40" }
open-nat = false
}
trigger "battle.net" {
when = "tcp/6112"
open = { "tcp/6112", "udp/6112" }
idle = "15m"
}
forward "web" {
port = "tcp/8080"
to = "192.168.1.10:80"
return-via-router = true
}
history {
days = "7"
}
router {
wan-allow = { "tcp/22", "icmp" }
log = true
}
"""


def test_every_section_is_converted(tmp_path):
    box = Box(tmp_path, EVERYTHING)
    done = box.call("write_conf")
    assert done.returncode == 0, done.stderr
    assert box.text().split() == EXPECTED.split()
    assert check(EXPECTED, tmp_path).returncode == 0  # it is what we take it for


@pytest.mark.parametrize("name", ['a "quoted" one', "back\\slash", "$(reboot)", "`reboot`", "# no"])
def test_no_text_of_uci_becomes_syntax(tmp_path, name):
    box = Box(tmp_path, "config forward\n\toption name '" + name + "'\n\toption port 'tcp/81'\n"
              "\toption to '192.168.1.10:80'\n")
    box.call("write_conf")
    written = box.text() if box.conf.exists() else box.call("""
        . "$SHARE/uci.sh"; portreeve_conf""").stdout
    quoted = re.sub(r'([\\"])', r"\\\1", name)
    assert written.splitlines()[0] == f'forward "{quoted}" {{'


def test_what_is_wrong_leaves_the_file_before(tmp_path):
    box = Box(tmp_path)
    assert box.call("write_conf").returncode == 0
    before = box.text()
    for uci, says in (("config limits\n\toption per_hosts '3'\n", "per-hosts"),
                      ("config wan\n\toption interface 'nowhere'\n", "'nowhere' has no device")):
        box.uci.write_text(uci)
        done = box.call("reload_service", RUNNING=1)
        assert done.returncode and says in done.stderr and "signal" not in done.stdout
        assert box.text() == before and not os.path.exists(f"{box.conf}.new")


def test_reload_signals_or_starts(tmp_path):
    box = Box(tmp_path)
    assert "signal portreeve * HUP" in box.call("reload_service", RUNNING=1).stdout
    assert "command " in box.call("reload_service").stdout
    assert box.call("service_triggers").stdout == "trigger portreeve network\n"


def test_switched_off_it_does_not_start(tmp_path):
    box = Box(tmp_path, "config portreeve 'config'\n\toption enabled '0'\n")
    done = box.call("start_service")
    assert (done.returncode, done.stdout) == (0, "") and not box.conf.exists()


@pytest.mark.parametrize("action, calls", [("ifup", 2), ("ifdown", 2), ("ifupdate", 0)])
def test_hotplug_reloads(tmp_path, action, calls):
    said = tmp_path / "said"
    init = tmp_path / "init"
    init.write_text(f"#!/bin/sh\necho $1 >>{said}\n")
    init.chmod(0o755)
    with open(f"{FILES}/portreeve.hotplug", encoding="utf-8") as f:
        script = f.read().replace("/etc/init.d/portreeve", str(init))
    subprocess.run(["sh", "-c", script], env={"ACTION": action, "PATH": os.environ["PATH"]})
    assert (said.read_text().split() if calls else []) == ["enabled", "reload"][:calls]


def test_the_package_is_of_this_version_and_installs_every_file():
    with open(f"{FILES}/../Makefile", encoding="utf-8") as f:
        makefile = f.read()
    with open(f"{PROGRAMS.top}/configure.ac", encoding="utf-8") as f:
        version = re.search(r"AC_INIT\(\[portreeve\], \[(.*?)\]\)", f.read())[1]
    assert f"PKG_VERSION:={version}\n" in makefile
    assert set(os.listdir(FILES)) == set(re.findall(r"\./files/(\S+)", makefile))
