# SPDX-License-Identifier: GPL-2.0-or-later
"""How the UPnP front speaks HTTP, on the wire: connections that are kept, requests in pieces or
several at once, bodies in chunks, clients that read slowly. U9, U14 and U18."""
import socket
import time

import pytest

import net
import upnp
from upnp import IP1

HOST = f"Host: {net.LAN}:49152\r\n"
KEEP = "Connection: keep-alive\r\n"
GET = f"GET /rootDesc.xml HTTP/1.1\r\n{HOST}"


@pytest.fixture
def path(lab, gw):
    return upnp.urlsplit(upnp.Igd(lab.console).control()).path


@pytest.fixture
def conn(lab, gw):
    with lab.console.connect(net.LAN, 49152, timeout=5) as s:
        yield s


def post(path, body, *headers):
    """A request for the external address, which keeps the connection; bytes."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {net.LAN}:49152", "Connection: keep-alive",
             "Content-Type: text/xml", f'SOAPAction: "{IP1}#GetExternalIPAddress"', *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def address_body():
    return upnp.envelope(IP1, "GetExternalIPAddress", {})


def ends(s):
    """Did the other side end the connection?"""
    try:
        return s.recv(1) == b""
    except ConnectionError:
        return True


def test_a_connection_ends_unless_the_client_wants_to_keep_it(conn):
    """U9: some read to the end of file without saying so"""
    conn.sendall((GET + "\r\n").encode())
    answer = upnp.read_answer(conn)
    assert answer.status == 200 and answer.headers["connection"] == "close"
    assert ends(conn)


def test_a_kept_connection_takes_one_request_after_the_other(conn, path):
    """U9: gupnp does"""
    for _ in range(3):
        conn.sendall((GET + KEEP + "\r\n").encode())
        answer = upnp.read_answer(conn)
        assert answer.status == 200 and answer.headers["connection"] == "keep-alive"
        body = address_body()
        conn.sendall(post(path, body, f"Content-Length: {len(body)}"))
        assert net.WAN.encode() in upnp.read_answer(conn).body
    conn.sendall((GET + "\r\n").encode())
    assert upnp.read_answer(conn).status == 200
    assert ends(conn)


def answers(data):
    """(status, body) of all answers in a stream."""
    found = []
    while data:
        head, sep, rest = data.partition(b"\r\n\r\n")
        assert sep, data
        headers = upnp.parse_headers(head.decode("latin-1"))
        n = int(headers["content-length"])
        assert len(rest) >= n, "an answer was cut"
        found.append((int(headers[""].split()[1]), rest[:n]))
        data = rest[n:]
    return found


def read_all(s):
    data = b""
    while part := s.recv(65536):
        data += part
    return data


@pytest.mark.parametrize("half_closed", [False, True])
def test_requests_that_come_at_once_are_answered_in_turn(conn, path, half_closed):
    """Also those that wait for the core, and by a client that says no more after them"""
    body = upnp.envelope(IP1, "GetSpecificPortMappingEntry",
                         {"NewRemoteHost": "", "NewExternalPort": 9, "NewProtocol": "UDP"})
    asks = post(path, body, f"Content-Length: {len(body)}").replace(
        b"GetExternalIPAddress", b"GetSpecificPortMappingEntry")
    conn.sendall((GET + KEEP + "\r\n").encode() + asks + (GET + KEEP + "\r\n").encode() + asks
                 + (GET + "\r\n").encode())
    if half_closed:
        conn.shutdown(socket.SHUT_WR)
    found = answers(read_all(conn))
    assert [status for status, _ in found] == [200, 500, 200, 500, 200]
    assert all(b"<errorCode>714<" in b for status, b in found if status == 500)


def test_one_request_and_no_more_to_say(conn):
    """A client may close its side before it has read the answer"""
    conn.sendall((GET + "\r\n").encode())
    conn.shutdown(socket.SHUT_WR)
    assert [status for status, _ in answers(read_all(conn))] == [200]


def test_a_request_in_any_pieces(lab, path):
    """U14: head and body in two segments, or byte by byte"""
    body = address_body()
    text = post(path, body, f"Content-Length: {len(body)}")
    head = text.index(b"\r\n\r\n") + 4
    for cut in (1, head - 1, head, head + 1, len(text) - 1):
        with lab.console.connect(net.LAN, 49152) as s:
            s.sendall(text[:cut])
            time.sleep(0.02)
            s.sendall(text[cut:])
            assert net.WAN.encode() in upnp.read_answer(s).body, cut
    with lab.console.connect(net.LAN, 49152) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in text:
            s.sendall(bytes([byte]))
        assert net.WAN.encode() in upnp.read_answer(s).body


@pytest.mark.parametrize("size", [7, 100, 4096])
def test_a_body_in_chunks_and_a_request_behind_it(conn, path, size):
    body = address_body()
    chunks = b"".join(b"%x; x=y\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size])
                      for i in range(0, len(body), size))
    text = post(path, chunks + b"0\r\nTrailer: x\r\n\r\n", "Transfer-Encoding: chunked")
    conn.sendall(text[:-3])
    conn.sendall(text[-3:] + (GET + "\r\n").encode())
    found = answers(read_all(conn))
    assert [status for status, _ in found] == [200, 200]
    assert net.WAN.encode() in found[0][1]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_asks_before_it_sends_a_body(conn, path, chunked):
    """RFC 9110 10.1.1"""
    body = address_body()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    conn.sendall(post(path, b"", length, "Expect: 100-continue"))
    assert conn.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    conn.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
    assert net.WAN.encode() in upnp.read_answer(conn).body


def test_a_client_that_asks_whether_it_may_send_too_much(conn, path):
    conn.sendall(post(path, b"", "Content-Length: 1000000", "Expect: 100-continue"))
    assert upnp.read_answer(conn).status == 413
    assert ends(conn)


def test_head_keeps_the_connection_and_the_length(conn, lab):
    """U9"""
    full = upnp.get(lab.console, f"http://{net.LAN}:49152/rootDesc.xml")
    conn.sendall(f"HEAD /rootDesc.xml HTTP/1.1\r\n{HOST}{KEEP}\r\n".encode())
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += conn.recv(4096)
    assert int(upnp.parse_headers(data.decode())["content-length"]) == len(full.body)
    conn.sendall((GET + "\r\n").encode())
    assert upnp.read_answer(conn).body == full.body


def test_a_client_that_reads_slowly_gets_all_of_it(lab, gw):
    """Each answer whole, though the kernel does not take it at once"""
    s = lab.console.socket(kind=socket.SOCK_STREAM, timeout=5)
    with s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect((net.LAN, 49152))
        scpd = upnp.urlsplit(upnp.Igd(lab.console).services[IP1]["SCPDURL"]).path
        get = f"GET {scpd} HTTP/1.1\r\n{HOST}"
        s.sendall((get + KEEP + "\r\n").encode() * 80 + (get + "\r\n").encode())
        time.sleep(0.5)
        data = b""
        while part := s.recv(2000):
            data += part
        found = answers(data)
    assert len(found) == 81 and {status for status, _ in found} == {200}
    assert len({body for _, body in found}) == 1


def test_what_no_request_is(lab):
    """U18: refused, and the reason arrives though more was sent than read"""
    for text, status in ((b"\r\n\r\n", 400), (b"GET\r\n\r\n", 400),
                         (b"\0" * 100 + b"\r\n\r\n", 400),
                         (b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 50000, 501),
                         (b"GET / HTTP/2.0\r\n\r\n", 505),
                         (b"POST /ctl HTTP/1.1\r\nHost: x\r\n\r\n", 411)):
        with lab.console.connect(net.LAN, 49152) as s:
            s.sendall(text)
            assert upnp.read_answer(s).status == status, text[:40]
