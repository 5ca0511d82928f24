# SPDX-License-Identifier: GPL-2.0-or-later
"""portreeve watch and metrics: what happens is told as it happens, and counted. Issue 7, rows 1, 6."""
import json
import os
import pty
import shutil
import signal
import subprocess

import pytest
from prometheus_client.openmetrics import parser

import net
import pcp
import upnp
from test_schema import valid


def watch(gw, *args, **kwargs):
    return subprocess.Popen([gw.programs.cli, "--runtime-dir", gw.runtime, "watch", *args],
                            stderr=subprocess.PIPE, text=True, **kwargs)


@pytest.fixture
def lines(gw):
    """Lines of watch --json, from now on."""
    process = watch(gw, "--json", stdout=subprocess.PIPE)
    assert gw.list() == []  # asked after it, answered after it
    yield process.stdout
    process.kill()
    process.wait()


def event(lines, what):
    """The next event, which is one of that kind."""
    got = json.loads(lines.readline())
    assert valid(got, "watch")["event"] == what, got
    return got


def test_events_come_as_lines_of_json(lab, gw, port, lines):
    p = port()
    with pcp.Client(lab.console) as console:
        console.map(pcp.UDP, p, p, lifetime=60, nonce=b"n" * 12)
        got = event(lines, "granted")
        assert (got["protocol"], got["external_port"]) == ("udp", p)
        assert (got["internal_address"], got["by"], got["seconds"]) == (net.CONSOLE, "pcp", 60)
        console.map(pcp.UDP, p, p, lifetime=120, nonce=b"n" * 12)
        assert event(lines, "renewed")["external_port"] == p
    gw.cli("delete", f"udp/{p}")
    assert event(lines, "ended")["reason"] == "deleted"
    with pytest.raises(upnp.Fault):
        upnp.Igd(lab.console).add("TCP", 5900)
    got = event(lines, "refused")
    assert (got["reason"], got["external_port"]) == ("reserved", 5900)


def test_who_does_not_read_holds_nobody(lab, gw, port, lines):
    """Eight may watch, stopped ones too; the ninth is told; one that goes makes room"""
    others = [watch(gw, "--json", stdout=subprocess.PIPE) for _ in range(7)]
    try:
        gw.list()
        assert gw.cli("add", f"udp/{port()}", net.PC, "--for", "60s").returncode == 0
        for o in others:
            o.stdout.readline()  # it watches
            o.send_signal(signal.SIGSTOP)
        gw.clear()
        ninth = gw.cli("watch", "--json")
        assert ninth.returncode == 70 and "too many watch" in ninth.stderr
        with pcp.Client(lab.console) as console:
            for _ in range(300):  # each a grant and an end
                p = port() if _ == 0 else p
                assert console.map(pcp.UDP, p, p, nonce=b"n" * 12).result == 0
                console.delete(pcp.UDP, p, nonce=b"n" * 12)
        assert json.loads(lines.readline())["event"] == "granted"
        assert gw.json("status")["leases"]["count"] == 0
        others[0].kill()
        others[0].wait()
        others[0] = watch(gw, "--json", stdout=subprocess.PIPE)
        gw.list()
        assert others[0].poll() is None
    finally:
        for o in others:
            o.kill()
            o.wait()


def test_a_terminal_gets_a_screen(lab, gw, port):
    p = port()
    ours, theirs = pty.openpty()
    process = watch(gw, stdout=theirs, env=dict(os.environ, TERM="xterm", COLUMNS="80"))
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = ""

    def shows(words):
        nonlocal seen
        try:
            seen += os.read(ours, 65536).decode()
        except BlockingIOError:
            pass
        screen = seen.rpartition("\033[H\033[J")[2]
        return words in screen and screen

    try:
        net.wait_for(lambda: shows("No leases."), what="an empty screen")
        with pcp.Client(lab.console) as console:
            console.map(pcp.UDP, p, p)
        screen = net.wait_for(lambda: shows("granted"), what="the event")
        assert f"udp/{p}" in screen and f"{net.CONSOLE}:{p}" in screen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def numbers(gw):
    """The samples: {(name, labels): value}. The parser refuses what is no OpenMetrics."""
    done = gw.cli("metrics")
    assert done.returncode == 0 and done.stderr == ""
    return {(s.name, tuple(sorted(s.labels.items()))): s.value
            for family in parser.text_string_to_metric_families(done.stdout)
            for s in family.samples}


def test_metrics_count(lab, gw, port):
    p = port()
    before = numbers(gw)
    with pcp.Client(lab.console) as console:
        console.map(pcp.UDP, p, p, nonce=b"n" * 12)
        now = numbers(gw)
        assert now["portreeve_leases", (("origin", "pcp"), ("protocol", "udp"))] == 1
        console.delete(pcp.UDP, p, nonce=b"n" * 12)
    with pytest.raises(upnp.Fault):
        upnp.Igd(lab.console).add("TCP", 5900)
    now = numbers(gw)
    grown = {k: v - before[k] for k, v in now.items() if k[0].endswith("_total") and v != before[k]}
    assert grown == {
        ("portreeve_leases_granted_total", (("origin", "pcp"),)): 1,
        ("portreeve_leases_ended_total", (("reason", "deleted"),)): 1,
        ("portreeve_requests_refused_total", (("reason", "reserved"),)): 1}
    assert now["portreeve_leases", (("origin", "pcp"), ("protocol", "udp"))] == 0
    assert now["portreeve_wan_up", ()] == 1
    assert now["portreeve_processes", (("role", "igd"),)] == 2


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool")
def test_promtool_takes_the_text(gw):
    done = subprocess.run(["promtool", "check", "metrics"], input=gw.cli("metrics").stdout,
                          text=True, capture_output=True, timeout=20)
    # Its parser is of the older format, in which the help of a counter stands elsewhere.
    assert done.returncode in (0, 3)
    assert all(l.endswith("_total no help text") for l in done.stderr.splitlines()), done.stderr
