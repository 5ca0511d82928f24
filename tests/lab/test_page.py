# SPDX-License-Identifier: GPL-2.0-or-later
"""The status page: what it shows, to whom, and that nothing a client says is more than text."""
import base64
import hashlib
import os
import time

import pytest

import gateway
import natpmp
import net
import page
import pcp
import upnp


@pytest.fixture
def igd(lab, gw):
    return upnp.Igd(lab.console)


def test_both_descriptions_lead_to_it(lab, gw):
    """U9: presentationURL, after the embedded devices (UDA 1.0 section 2.1)"""
    for version in (1, 2):
        igd = upnp.Igd(lab.console, version=version)
        found = [e.text for e in igd.root.iter() if upnp.local(e.tag) == "presentationURL"]
        assert found == ["/"]
        device = [e for e in igd.root if upnp.local(e.tag) == "device"][0]
        assert upnp.local(list(device)[-1].tag) == "presentationURL"


def test_it_is_a_page_that_nobody_keeps_or_frames(lab, gw):
    answer = upnp.get(lab.pc, page.URL)
    headers = answer.headers
    assert answer.status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert int(headers["content-length"]) == len(answer.body)
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(p.strip().split(" ", 1) for p in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    head = upnp.request(lab.pc, "HEAD", page.URL)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == headers["content-length"]


def test_its_script_and_style_are_those_of_the_policy(lab, gw):
    answer = upnp.get(lab.pc, page.URL)
    seen = page.Page(answer.body.decode())
    for kind, text in (("script", seen.script), ("style", seen.style)):
        right = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{right}'" in answer.headers["content-security-policy"], \
            f"page_headers needs sha256-{right} for the {kind}"


def test_it_loads_nothing_and_changes_nothing(lab, gw):
    seen = page.get(lab.pc)
    names = {name for name, _ in seen.tags}
    assert not names & {"form", "input", "button", "a", "img", "iframe", "object", "base"}
    for name, attrs in seen.tags:
        assert not set(attrs) & {"src", "style", "onclick", "onload", "onerror"}, (name, attrs)
        assert attrs.get("href", "data:,") == "data:,"
    assert upnp.request(lab.pc, "POST", page.URL, body=b"x").status in (404, 405)
    for path in ("index.html", "status", "..", "//"):
        assert upnp.get(lab.pc, page.URL + path).status == 404


def test_a_foreign_name_or_host_gets_none(lab, gw):
    """L24: DNS rebinding, and the internet"""
    for host in (b"evil.example", b"portreeve", b"192.168.77.2:49152"):
        answer = upnp.http(lab.pc, net.LAN, 49152, b"GET / HTTP/1.1\r\nHost: " + host
                           + b"\r\nConnection: close\r\n\r\n")
        assert answer.status == 403 and b"Open ports" not in answer.body
    with pytest.raises(OSError):
        upnp.http(lab.inet, net.WAN, 49152, b"GET / HTTP/1.0\r\n\r\n", timeout=1)


def test_it_shows_the_internet_side(lab, gw):
    def verdict(text):
        return lambda p: text in p.wan

    def move(before, now):
        lab.gw.ip(f"address del {before}/24 dev wan0\naddress add {now}/24 dev wan0\n")
    page.shows(lab.pc, verdict("Public address"), "the public address")
    try:
        for before, now, text in ((net.WAN, "100.64.3.4", "Behind the provider's NAT"),
                                  ("100.64.3.4", "10.9.8.7", "Behind another router")):
            move(before, now)
            seen = page.shows(lab.pc, verdict(text), text)
            assert now in seen.wan
        lab.gw.ip("address del 10.9.8.7/24 dev wan0\n")
        seen = page.shows(lab.pc, verdict("Not connected"), "the end of the connection")
        assert "10.9.8.7" not in seen.wan
    finally:
        lab.gw.ip(f"address replace {net.WAN}/24 dev wan0\n"
                  f"route replace default via {net.REMOTE1} dev wan0\n")
    seen = page.shows(lab.pc, verdict("Public address"), "the public address again")
    assert net.WAN in seen.wan and "Connected for" in seen.wan
    natpmp.told(lab.pc)


def test_a_lease_comes_and_goes(lab, igd, port):
    a, b = port(), port()
    igd.add("UDP", a, a + 1, description="Game one", lease=3600)
    with natpmp.Client(lab.console2) as client:
        client.get(natpmp.TCP, b, lifetime=600)
    seen = page.shows(lab.pc, lambda p: len(p.rows) == 2, "two leases")
    first, second = seen.rows
    assert first.port == f"{a} UDP" and second.port == f"{b} TCP"
    assert first.device == f"{net.CONSOLE} | its port {a + 1}" and second.device == net.CONSOLE2
    assert first.what == "Game one" and (first.by, second.by) == ("UPnP", "NAT-PMP")
    assert first.end.startswith(("in 1 h 00 min", "in 59 min")) and "open for" in first.end
    assert second.end.startswith(("in 10 min 00 s", "in 9 min"))
    igd.delete("UDP", a)
    seen = page.shows(lab.pc, lambda p: len(p.rows) == 1, "one lease")
    assert seen.rows[0].port == f"{b} TCP"


def test_what_ends_by_itself_goes_by_itself(lab, gw, port):
    with natpmp.Client(lab.console2) as client:
        client.get(natpmp.UDP, port(), lifetime=4)
    page.shows(lab.pc, lambda p: len(p.rows) == 1, "the lease")
    page.shows(lab.pc, lambda p: not p.rows and "None." in p.text, "its end")


def test_lease_0_and_a_restriction_are_told(lab, igd, port):
    """W10: the restriction is shown"""
    igd.add("TCP", port(), lease=0)
    igd.add("TCP", port(), remote=net.REMOTE1)
    seen = page.shows(lab.pc, lambda p: len(p.rows) == 2, "two leases")
    assert seen.rows[0].end.startswith("when the device leaves")
    assert f"only from {net.REMOTE1}" in seen.rows[1].port


def test_a_lan_sees_its_own_hosts_only(lab, igd, port):
    a, b = port(), port()
    igd.add("UDP", a)
    upnp.Igd(lab.guest).add("UDP", b)
    for host, number, url in ((lab.pc, a, page.URL), (lab.guest, b, page.GUEST_URL)):
        page.shows(host, lambda p: [r.port for r in p.rows] == [f"{number} UDP"],
                   "the lease of that LAN alone", url)


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</td></tr></table></main><h1>gone",
    "<!--", "]]>", "&lt;b&gt;&#60;", "\u202egnp.exe", "\u2028x", "<" * 128, '"' * 128,
]


def test_what_clients_say_is_text(lab, igd, port):
    """Descriptions as XML carries them: no tag is added, and the text is what was said."""
    plain = {name for name, _ in page.get(lab.pc).tags}
    wanted = {}
    for text in HOSTILE:
        number = port()
        igd.add("UDP", number, description=text)
        wanted[f"{number} UDP"] = text
    seen = page.shows(lab.pc, lambda p: len(p.rows) == len(HOSTILE), "all leases")
    assert {r.port: r.what for r in seen.rows} == wanted
    assert {name for name, _ in seen.tags} - plain <= {"table", "thead", "tbody", "tr", "th", "td",
                                                       "b", "bdi", "small"}
    assert [name for name, _ in seen.tags].count("script") == 1


BYTES = [b"\x00after", b"\x01\x1b[31mred\r\n", b"\xff\xfe\xc0\xaf<b>", b"\xed\xa0\x80\xf5x",
         b"<script>" * 16, b"\xc3" * 128, "ö".encode() * 64]


def test_what_pcp_clients_say_is_text_too(lab, gw, port):
    """DESCRIPTION (RFC 7220) may hold any bytes."""
    with pcp.Client(lab.console) as client:
        for text in BYTES:
            client.map(pcp.UDP, port(), options=pcp.option(128, text))
    count = len(gw.list())
    seen = page.shows(lab.pc, lambda p: len(p.rows) == count, "all leases")
    assert count >= 3
    for row in seen.rows:
        assert all(c.isprintable() or c == "\ufffd" for c in row.what), row
    assert [name for name, _ in seen.tags].count("script") == 1


def delete_all(host):
    """By one request, as one command for each takes long."""
    with natpmp.Client(host) as client:
        assert client.delete(natpmp.UDP, 0).result == 0


def cpu_ms(pid):
    """What the process has taken of the CPU so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


@pytest.mark.seconds(120)
def test_many_leases_are_bounded_and_reloading_costs_little(lab, gw, port):
    """1,100 leases show 1,000; 500 loads ask the core once a second"""
    first = port() - port() % 16 + 4096
    with natpmp.Client(lab.console) as client:
        for n in range(1100):
            client.get(natpmp.UDP, first + n)
    seen = page.shows(lab.pc, lambda p: len(p.rows) == 1000, "1,000 leases")
    assert "There are more" in seen.text
    assert sorted(seen.rows, key=lambda r: int(r.port.split()[0])) == seen.rows
    core = gw.process_id("core")
    before, began = cpu_ms(core), time.monotonic()
    for _ in range(500):
        assert upnp.get(lab.pc, page.URL).status == 200
    seconds = time.monotonic() - began
    assert cpu_ms(core) - before <= 100 + 40 * seconds
    delete_all(lab.console)


@pytest.mark.seconds(120)
def test_slow_readers_share_one_page(lab, gw, port):
    """16 connections that do not read cost a page or a few, not 16"""
    first = port() + 8192
    with natpmp.Client(lab.console) as client:
        for n in range(1000):
            client.get(natpmp.UDP, first + n)
    page.shows(lab.pc, lambda p: len(p.rows) == 1000, "1,000 leases")
    worker = gw.process_id("igd", "br-lan")

    def memory():
        return int(gateway.proc_status(worker)["VmRSS"].split()[0])
    before = memory()
    readers = []
    try:
        for _ in range(16):
            s = lab.pc.socket(kind=net.socket.SOCK_STREAM)
            s.setsockopt(net.socket.SOL_SOCKET, net.socket.SO_RCVBUF, 2048)
            s.connect((net.LAN, 49152))
            s.sendall(b"GET / HTTP/1.1\r\nHost: 192.168.77.1\r\n\r\n")
            readers.append(s)
        assert page.get(lab.console2).rows
        assert memory() - before < 3000  # kB; sixteen copies would be more
    finally:
        for s in readers:
            s.close()
    delete_all(lab.console)


def test_ipv6_pinholes_and_ipv6_readers(port):
    """A pinhole is a row of its own; the page is there by IPv6 too"""
    p = port()
    with net.Net(ipv6=True) as lab, gateway.Gateway(lab) as gw:
        with pcp.Client(lab.console, source=net.CONSOLE6) as client:
            reply = pcp.parse_map(client.ask(client.request(pcp.UDP, p, 0, 3600, address="::")))
        assert (reply.result, reply.external) == (0, p)
        seen = page.shows(lab.pc, lambda shown: len(shown.rows) == 1, "the pinhole")
        row, = seen.rows
        assert row.port == f"{p} UDP" and row.by == "PCP"
        assert row.device == "2a01:77::20 | IPv6, without translation"
        answer = upnp.http(lab.console, net.LAN6, 49152,
                           f"GET / HTTP/1.1\r\nHost: [{net.LAN6}]:49152\r\n"
                           "Connection: close\r\n\r\n".encode())
        assert answer.status == 200
        assert [r[:4] for r in page.Page(answer.body.decode()).rows] == [row[:4]]
        assert not gateway.problems(gw.log())
