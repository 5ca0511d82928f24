# SPDX-License-Identifier: GPL-2.0-or-later
"""What games and consoles find when they test the NAT (RFC 4787 REQ-1, REQ-8; issue 6): hosts
that ask for nothing have endpoint-independent mapping, two or three of them with the same source
port, in every start order, whatever masquerade rule the admin has. By packets."""
import contextlib
import itertools

import pytest

import gateway
import nat
import net

FOREIGN = ["masquerade", "masquerade random", "masquerade fully-random"]
PORTS = [3074, 40000, 50000]  # below, in the second and in the first range of moved flows
TWO = list(itertools.permutations(["1A", "1B", "2A", "2B"]))
THREE = [[f"{h}{r}" for h, r in zip(hosts * 2, remotes)]
         for hosts in itertools.permutations("123") for remotes in ("AAABBB", "ABCBCA")]


def network(foreign):
    lab = net.Net(masquerade=False)
    lab.__enter__()
    lab.gw.nft(net.MASQUERADE.replace("masquerade", foreign))
    nat.more_addresses(lab.inet)
    return lab


@pytest.fixture(scope="module", params=FOREIGN, ids=["plain", "random", "fully-random"])
def lab(request):
    """A lab with each form of the admin's own masquerade."""
    lab = network(request.param)
    with contextlib.closing(lab):
        yield lab


@pytest.fixture(scope="module")
def plain():
    lab = network("masquerade")
    with contextlib.closing(lab):
        yield lab


@pytest.fixture(scope="module")
def early(lab):
    """What a console has sent before the daemon was there: the socket, and its port outside."""
    sock = lab.console.udp(3072)
    with nat.Remotes(lab.inet) as remotes, sock:
        yield sock, remotes.sees("A", sock)


@pytest.fixture(scope="module")
def gw(lab, early):
    with gateway.Gateway(lab) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


def start(lab, remotes, order, port):
    """The hosts' first packets in that order, as {host: (its socket, the ports seen)}."""
    hosts = {"1": lab.console, "2": lab.console2, "3": lab.pc}
    seen = {}
    for host, remote in order:
        if host not in seen:
            seen[host] = hosts[host].udp(port), []
        seen[host][1].append(remotes.sees(remote, seen[host][0]))
    return seen


def wrong(lab, order, port):
    """What is not endpoint-independent after that start, or None."""
    with nat.Remotes(lab.inet) as remotes:
        seen = start(lab, remotes, order, port)
        try:
            for sock, ports in seen.values():
                ports += [remotes.sees(r, sock) for r in "CAB"]
            if any(len(set(ports)) > 1 for _, ports in seen.values()):
                return f"mapping: { {h: ports for h, (_, ports) in seen.items()} }"
            if len({ports[0] for _, ports in seen.values()}) < len(seen):
                return "two hosts have one port"
            if port < 32768 and seen[order[0][0]][1][0] != port:
                return f"who came first left from {seen[order[0][0]][1][0]}"
        finally:
            for sock, _ in seen.values():
                sock.close()
    return None


def all_wrong(lab, orders, first):
    """Each order has a port of its own, so that none finds what another has left."""
    faults = {f"{' '.join(order)} from {first + i}": wrong(lab, order, first + i)
              for i, order in enumerate(orders)}
    return {k: v for k, v in faults.items() if v}


@pytest.mark.parametrize("port", PORTS)
def test_two_hosts_with_one_source_port_in_every_start_order(lab, gw, port):
    """opennat 3, rows 2, 4 and 5; prior-art 2.4"""
    assert not all_wrong(lab, TWO, port)


@pytest.mark.parametrize("port", PORTS)
def test_three_hosts_with_one_source_port(lab, gw, port):
    """opennat 3, rows 3 and 4"""
    assert not all_wrong(lab, THREE, port + 64)


def test_a_host_that_was_there_before_the_daemon(lab, gw, early):
    """opennat 3, row 5: what the first remote was told stays true, also under `random`"""
    sock, port = early
    with nat.Remotes(lab.inet) as remotes:
        assert remotes.sees("B", sock) == port
        assert remotes.sees("C", sock) == port


# Without us


def test_plain_masquerade_is_not_like_that(plain):
    """What these instruments say of it"""
    for n, order in enumerate(("1A 2B 1B 2A", "1B 2A 2B 1A")):
        assert wrong(plain, order.split(), 3074 + n)
    with plain.console.udp(3200) as s:
        assert nat.behaviour(plain.inet, s) == ("EIM", "APDF")
    with nat.Nncs(plain.inet), plain.console.udp(3210) as s:
        assert nat.nncs_grade(s, 0.1) == "B"
    with plain.pc.udp(3211) as s:
        assert nat.nncs_grade(s, 0.1, 0.1) == "F"  # nobody answers
    plain.gw.nft('flush chain ip nat postrouting\n'
                 'add rule ip nat postrouting oifname "wan0" masquerade fully-random\n')
    with nat.Nncs(plain.inet), plain.console.udp(3212) as s:
        assert nat.nncs_grade(s, 0.1) == "D"
    with nat.Stun(plain):
        assert nat.natdiscovery(plain.console, "-m")[0] != "EIM"
