# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon and the command say when something is in the way: one line, with a remedy."""
import ctypes
import os
import struct
import subprocess
import sys
import time

import pytest

import gateway
import natpmp
import net
import upnp

ANY_PORT = 28000


@pytest.fixture
def own():
    """A lab without a daemon."""
    with net.Net() as n:
        yield n


@pytest.fixture
def daemon(own):
    return gateway.Gateway(own)


def one_line(done, *words):
    """An exit status that is not 0, nothing on stdout, one line on stderr with these words."""
    assert done.returncode != 0, done
    assert done.stdout == ""
    lines = [l for l in done.stderr.splitlines() if l]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], done.stderr
    return lines[0]


def demote():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def tables(lab):
    return lab.gw.run("nft", "list", "tables").stdout


# Before anything is touched


def test_not_root(daemon):
    argv = daemon.argv()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10,
                                  preexec_fn=demote)
    one_line(done, "root")


@pytest.mark.parametrize("option", ["--nonsense", "-Z", "word"])
def test_unknown_options_of_the_daemon(daemon, option):
    done = daemon.run(option)
    assert done.returncode == 64
    assert option.lstrip("-") in done.stderr and "--help" in done.stderr


def test_unknown_words_of_the_command(daemon):
    for argv in (["--nonsense"], ["nonsense"], ["list", "--nonsense"], ["delete"],
                 ["delete", "udp/0"], ["delete", "udp/65536"], ["delete", "sctp/9"]):
        done = daemon.cli(*argv)
        assert done.returncode == 64, argv
        assert done.stdout == "" and done.stderr


def test_the_command_without_a_daemon(daemon):
    done = daemon.cli("list")
    assert done.returncode == 69
    one_line(done, "portreeved")


@pytest.mark.parametrize("text,line,words", [
    ('wan "wan0" {}\nlan "br-lan" {}\nnonsense = 1\n', 3, ["nonsense"]),
    ('wan "wan0" {}\nlan "br-lan" { upnp = perhaps }\n', 2, ["upnp"]),
    ('limits {\n per-host = 0\n}\n', 2, ["per-host", "65535"]),
    ('limits { leases = 131073 }\n', 1, ["leases", "131072"]),
    ('limits { requests-per-second = 1000001 }\n', 1, ["requests-per-second", "1000000"]),
    ('min-lifetime = "soon"\n', 1, ["min-lifetime"]),
    ('wan "wan0" {\n', None, []),
    ('lan "a-name-of-an-interface-too-long" {}\n', 1, ["lan"]),
])
def test_configuration_errors_name_file_and_line(daemon, text, line, words):
    daemon.configure(text)
    for args in (["--check-config"], []):
        done = daemon.run(*args)
        where = f"{daemon.config}:{line}:" if line else f"{daemon.config}:"
        one_line(done, where, *words)
    assert "portreeve" not in tables(daemon.net)


def test_a_configuration_file_that_is_not_there(daemon):
    os.unlink(daemon.config)
    one_line(daemon.run(), daemon.config)


def test_check_config_of_a_good_file(daemon):
    done = daemon.run("--check-config")
    assert done.returncode == 0
    assert "portreeve" not in tables(daemon.net)


# Somebody else is there


@pytest.mark.parametrize("busy", [5351, 1900])
def test_a_busy_port_names_who_has_it(daemon, own, busy):
    code = ("import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
            f"s.bind(('0.0.0.0', {busy})); print('bound', flush=True); time.sleep(60)")
    other = own.gw.start(sys.executable, "-c", code)
    net.wait_for(lambda: "bound" in other.output(), what="the other program")
    done = daemon.run()
    line = one_line(done, str(busy), str(other.pid))
    assert os.path.basename(os.path.realpath(sys.executable))[:15] in line or "python3" in line
    assert "portreeve" not in tables(own)


def test_miniupnpd_is_named(daemon, own):
    with open(f"{own.dir}/miniupnpd.conf", "w", encoding="utf-8") as f:
        f.write("ext_ifname=wan0\nlistening_ip=br-lan\nenable_natpmp=yes\nenable_upnp=yes\n"
                "uuid=00000000-0000-4000-8000-000000000001\n")
    if not os.path.exists("/usr/sbin/miniupnpd"):
        pytest.skip("miniupnpd-nftables is not installed")
    peer = own.gw.start("miniupnpd", "-f", f"{own.dir}/miniupnpd.conf", "-d",
                        "-P", f"{own.dir}/miniupnpd.pid")
    net.wait_for(lambda: ":5351" in own.gw.run("ss", "-lnu").stdout, what="miniupnpd")
    one_line(daemon.run(), "miniupnpd", str(peer.pid))


@pytest.mark.parametrize("other_dirs", [False, True], ids=["same-dir", "other-dir"])
def test_a_second_portreeved_is_refused_and_the_first_loses_nothing(daemon, own, other_dirs):
    with daemon, natpmp.Client(own.console) as c, own.console.udp(ANY_PORT) as s:
        assert c.get(natpmp.UDP, ANY_PORT) == ANY_PORT
        flow = net.Flow(own.inet, s, ANY_PORT)
        flow.start()
        rules, pids = own.gw.ruleset(), set(daemon.pids())
        second = gateway.Gateway(own) if other_dirs else daemon
        began = time.monotonic()
        one_line(second.run(), "portreeved")
        assert time.monotonic() - began < 5
        assert own.gw.ruleset() == rules
        assert set(daemon.pids()) == pids
        sent, lost = flow.finish()
        assert lost == 0, f"{lost} of {2 * sent}"
        assert c.map(natpmp.UDP, ANY_PORT, ANY_PORT, 300).lifetime == 300
        assert daemon.lease("udp", ANY_PORT)
        assert net.arrives(own.inet, s, ANY_PORT)


def test_a_pid_file_that_was_left_behind_is_no_obstacle(daemon, own):
    daemon.start()
    daemon.kill()
    assert os.path.exists(f"{daemon.runtime}/portreeved.pid")
    with daemon:
        assert daemon.list() == []


# The kernel cannot


def without_nfnetlink():
    """As on a kernel without nfnetlink: socket(AF_NETLINK, .., NETLINK_NETFILTER) fails with
    EPROTONOSUPPORT, by a seccomp filter that the daemon inherits."""
    def op(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    numbers = {"x86_64": 41, "aarch64": 198}
    nr = numbers.get(os.uname().machine)
    if nr is None:
        pytest.skip("the number of socket() is not known here")
    low = 0 if sys.byteorder == "little" else 4
    program = (op(0x20, 0, 0, 0) + op(0x15, 0, 5, nr)  # the call's number
               + op(0x20, 0, 0, 16 + low) + op(0x15, 0, 3, 16)  # AF_NETLINK
               + op(0x20, 0, 0, 32 + low) + op(0x15, 0, 1, 12)  # NETLINK_NETFILTER
               + op(0x06, 0, 0, 0x00050000 | 93)  # errno EPROTONOSUPPORT
               + op(0x06, 0, 0, 0x7fff0000))  # allow
    buf = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    prog = Program(len(program) // 8, ctypes.addressof(buf))
    libc = ctypes.CDLL(None, use_errno=True)

    def install():
        if libc.prctl(22, 2, ctypes.byref(prog), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
            raise OSError(ctypes.get_errno(), "seccomp")
        assert buf is not None
    return install


def test_no_nf_tables(daemon, own):
    one_line(daemon.run(preexec_fn=without_nfnetlink()), "nf_tables")


def test_no_right_to_change_the_table(daemon, own):
    """root, as in a container, without CAP_NET_ADMIN"""
    done = own.gw.run("setpriv", "--bounding-set=-net_admin", "--", *daemon.argv(), timeout=10)
    one_line(done, "CAP_NET_ADMIN")


def test_missing_users_are_named_with_the_command_that_makes_them(daemon, own):
    """/etc/passwd without them, in a mount namespace of its own"""
    copy = f"{own.dir}/passwd"
    with open("/etc/passwd", encoding="utf-8") as f, open(copy, "w", encoding="utf-8") as out:
        out.writelines(l for l in f if not l.startswith("portreeve"))
    done = own.gw.run("sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', copy,
                      *daemon.argv(), timeout=10)
    line = one_line(done, "portreeve")
    assert "sysusers" in line or "useradd" in line or "create-users" in line


# Not yet there


def says(daemon, *words):
    return any(all(w in l for w in words) for l in daemon.log().splitlines())


def test_no_wan_address_yet():
    """P2, W19: it starts, says so, and works when the address appears"""
    with net.Net(wan_address=False) as lab, gateway.Gateway(lab) as gw:
        net.wait_for(lambda: says(gw, "wan0"), what="a line that names wan0")
        with natpmp.Client(lab.console) as c:
            assert c.address()[0::2] == (3, "0.0.0.0")
            reply = c.map(natpmp.UDP, ANY_PORT, ANY_PORT)
            assert (reply.result, reply.external, reply.lifetime) == (3, 0, 0)
            igd = upnp.Igd(lab.console)
            assert igd.call("GetExternalIPAddress") == {"NewExternalIPAddress": ""}
            assert igd.call("GetStatusInfo")["NewConnectionStatus"] != "Connected"
            lab.wan_up()
            net.wait_for(lambda: c.address().result == 0, what="the external address")
            assert c.get(natpmp.UDP, ANY_PORT) == ANY_PORT
            net.wait_for(lambda: igd.call("GetStatusInfo")["NewConnectionStatus"] == "Connected",
                         what="Connected")
            assert igd.call("GetExternalIPAddress") == {"NewExternalIPAddress": net.WAN}
        with lab.console.udp(ANY_PORT) as s:
            assert net.arrives(lab.inet, s, ANY_PORT)


def test_no_wan_interface_yet():
    with net.Net() as lab:
        lab.gw.ip("link set wan0 down\nlink set wan0 name later0\n")
        with gateway.Gateway(lab) as gw:
            net.wait_for(lambda: says(gw, "wan0"), what="a line that names wan0")
            lab.gw.ip(f"link set later0 name wan0\nlink set wan0 up\n"
                      f"address replace {net.WAN}/24 dev wan0\n"
                      f"route replace default via {net.REMOTE1} dev wan0\n")
            with natpmp.Client(lab.console) as c, lab.console.udp(ANY_PORT) as s:
                net.wait_for(lambda: c.address().result == 0, what="the external address")
                assert c.get(natpmp.UDP, ANY_PORT) == ANY_PORT
                assert net.arrives(lab.inet, s, ANY_PORT)


def test_no_lan_address_yet():
    """It starts, says so, and serves when the address appears"""
    with net.Net(lan_address=False) as lab, gateway.Gateway(lab) as gw:
        net.wait_for(lambda: says(gw, "br-lan"), what="a line that names br-lan")
        lab.lan_up()
        natpmp.served(lab.console)
        with natpmp.Client(lab.console) as c:
            assert c.get(natpmp.UDP, ANY_PORT) == ANY_PORT
        net.wait_for(lambda: upnp.search(lab.console, upnp.IGD1, window=0.3, enough=1),
                     what="an answer to a search")
        upnp.Igd(lab.console).add("UDP", ANY_PORT)
        natpmp.served(lab.guest)


def test_no_lan_interface_yet():
    with net.Net() as lab:
        lab.gw.ip("link set br-guest down\nlink set br-guest name later0\n")
        with gateway.Gateway(lab) as gw:
            net.wait_for(lambda: says(gw, "br-guest"), what="a line that names br-guest")
            with natpmp.Client(lab.console) as c:
                assert c.get(natpmp.UDP, ANY_PORT) == ANY_PORT
            lab.gw.ip("link set later0 name br-guest\nlink set br-guest up\n")
            natpmp.served(lab.guest)


def test_it_runs_with_no_file_at_all():
    """WAN: the default route's interface; LAN: the others with a private address"""
    with net.Net() as lab:
        gw = gateway.Gateway(lab)
        os.unlink(gw.config)
        if os.path.exists("/etc/portreeve/portreeve.conf"):
            pytest.skip("this machine has a configuration")
        at = gw.argv().index("--config")
        argv = gw.argv()
        del argv[at:at + 2]
        gw.argv = lambda *args: argv + list(args)
        with gw, natpmp.Client(lab.console) as c, natpmp.Client(lab.guest) as g:
            assert c.get(natpmp.UDP, ANY_PORT) == ANY_PORT
            assert g.get(natpmp.UDP, ANY_PORT + 2) == ANY_PORT + 2
