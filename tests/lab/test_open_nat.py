# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports that open to who plays with others and asks nobody: from the packet that opens one to
the silence that ends it, beside PCP and UPnP. Idle is 2 s here."""
import contextlib
import os
import signal
import time

import pytest

import gateway
import net
import pcp
import upnp

IDLE = 2.0
OPEN_NAT = """
open-nat {
	window = "1s"
	idle = "2s"
}
"""


@pytest.fixture(scope="module")
def gw(lab):
    with gateway.Gateway(lab, gateway.CONFIG + OPEN_NAT) as g:
        yield g
    assert not gateway.problems(g.log(), worst=2), "portreeved logged worse than errors"


@pytest.fixture
def ports(port):
    """Ports that the kernel has seen nothing of: the lab's own ones are even."""
    return lambda: port() + 1


def plays(sock, *remotes, port=5000):
    """Sends to so many remotes, from one port."""
    for remote in remotes or (net.REMOTE1, net.REMOTE2):
        sock.sendto(b"play", (remote, port))


def opened(gw, port, protocol="udp", timeout=1.0):
    return net.wait_for(lambda: gw.lease(protocol, port), timeout, f"{protocol}/{port} to open")


def shut(gw, port, protocol="udp", timeout=IDLE + 1):
    net.wait_for(lambda: not gw.lease(protocol, port), timeout, f"{protocol}/{port} to end")


def test_the_second_remote_opens_the_port_to_everybody(lab, gw, ports):
    """T9: endpoint-independent filtering (RFC 4787 REQ-8); listed with its origin"""
    p = ports()
    with lab.console.udp(p) as s:
        plays(s, net.REMOTE1)
        assert not net.arrives(lab.inet, s, p, timeout=0.2)
        plays(s, net.REMOTE1, port=5001)  # another port of the same
        assert not net.arrives(lab.inet, s, p, timeout=0.2)
        plays(s, net.REMOTE2)
        lease = opened(gw, p)
        assert (lease["origin"], lease["claims"]) == ("open-nat", ["open-nat"])
        assert (lease["internal_address"], lease["internal_port"]) == (net.CONSOLE, p)
        assert net.arrives(lab.inet, s, p) and net.arrives(lab.inet, s, p, source=net.REMOTE2)
        assert net.source_seen(s, lab.inet)[1] == p
