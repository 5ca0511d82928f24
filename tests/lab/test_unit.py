# SPDX-License-Identifier: GPL-2.0-or-later
"""The systemd unit: what systemd thinks of it, and the daemon under its restrictions, as far as
they can be had without systemd as process 1 (tests/lab/unit.py). Issue 7, item 9."""
import os
import re
import shutil
import signal
import subprocess

import pytest

import gateway
import natpmp
import net
import test_router
import unit

PREFIX = os.path.dirname(os.path.dirname(gateway.Programs().daemon))
UNIT = f"{PREFIX}/lib/systemd/system/portreeve.service"
DROPIN = f"{unit.TOP}/conf/router.conf"
pytestmark = pytest.mark.skipif(not os.path.exists(UNIT), reason="needs make install")
WATCHDOG_MS = 4000


@pytest.fixture(scope="module", params=[(), (DROPIN,)], ids=["unit", "with-router.conf"])
def files(request, tmp_path_factory):
    """The unit as installed, alone and with the drop-in."""
    folder = tmp_path_factory.mktemp("unit")
    shutil.copy(UNIT, folder)
    for path in request.param:
        os.mkdir(folder / "portreeve.service.d")
        shutil.copy(path, folder / "portreeve.service.d")
    return folder / "portreeve.service"


def analyze(*args):
    return subprocess.run(["systemd-analyze", *map(str, args)], capture_output=True, text=True,
                          timeout=30, env=dict(os.environ, SYSTEMD_COLORS="0"))


def test_systemd_finds_nothing_wrong(files):
    done = analyze("verify", "--man=no", files)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_exposure_is_2_2_at_most(files):
    limit = 22 if not (files.parent / "portreeve.service.d").exists() else 24
    done = analyze("security", "--offline=true", "--no-pager", f"--threshold={limit}", files)
    assert done.returncode == 0, done.stdout


def test_the_manuals_that_it_names_are_there():
    with open(UNIT, encoding="utf-8") as f:
        pages = re.findall(r"man:(\S+)\((\d)\)", f.read())
    assert pages
    for name, section in pages:
        assert os.path.exists(f"{PREFIX}/share/man/man{section}/{name}.{section}"), name


def test_users_directories_and_preset_are_installed():
    def lines(path):
        with open(f"{PREFIX}/lib/{path}", encoding="utf-8") as f:
            return [l.split() for l in f if l.strip() and not l.startswith("#")]
    users = {(l[0], l[1]) for l in lines("sysusers.d/portreeve.conf")}
    assert {("u", "portreeve"), ("u", "portreeve-net"), ("g", "portreeve")} <= users
    state = lines("tmpfiles.d/portreeve.conf")
    assert ["d", "/var/lib/portreeve", "0700", "portreeve", "portreeve", "-"] in state
    assert unit.Unit(UNIT).one("ReadWritePaths").split() == [l[1] for l in state]
    assert lines("systemd/system-preset/80-portreeve.preset") == [["enable", "portreeve.service"]]


def test_every_restriction_is_applied_here():
    """A directive that this lab does not know would be tested by nobody."""
    assert unit.Unit(UNIT, DROPIN).unknown() == set()


@pytest.fixture(scope="module")
def gw(lab):
    with unit.UnitGateway(lab, unit.Unit(UNIT), gateway.CONFIG, WATCHDOG_MS * 1000) as g:
        yield g
    assert not gateway.problems(g.log(), worst=2), "portreeved logged worse than errors"


def mapped(lab, p):
    """Asks for the port and sends through it."""
    with natpmp.Client(lab.console) as c, lab.console.udp(p) as s:
        assert c.map(natpmp.UDP, p, p, 60).result == 0
        return net.arrives(lab.inet, s, p)


def test_it_serves_under_the_unit(lab, gw, port):
    assert mapped(lab, port())
    status = gateway.proc_status(gw.process_id("parent"))
    net_admin, setgid, setuid, setpcap = 12, 6, 7, 8
    assert int(status["CapBnd"], 16) == sum(1 << c for c in (net_admin, setgid, setuid, setpcap))
    assert (status["CapPrm"], status["NoNewPrivs"]) == (status["CapBnd"], "1")
    assert int(status["Seccomp_filters"]) >= 7
    control = os.stat(f"{gw.runtime}/control")
    assert (control.st_uid, control.st_gid) == (0, gateway.grp.getgrnam("portreeve").gr_gid)
    assert control.st_mode & 0o7777 == 0o660
    net.wait_for(lambda: os.path.exists(f"{gw.state}/store.db"), what="the store's file")
    assert gw.senders == {gw.process.pid} == {gw.process_id("parent")}  # NotifyAccess=main


def test_its_reload_is_told(lab, gw, port):
    p = port()
    assert mapped(lab, p)
    for text, status in ((gateway.CONFIG + "# again\n", 0), ("wan {\n", 78)):
        gw.configure(text)
        assert gw.reload_by_unit().returncode == status
        reloading = gw.hear("RELOADING")
        assert int(reloading["MONOTONIC_USEC"]) > 0
        gw.hear("READY")
    assert gw.lease("udp", p)
    gw.configure(gateway.CONFIG)


def test_a_core_that_hangs_is_replaced(lab, gw, port):
    """The parent goes on telling the manager that it is there; the leases stay."""
    p = port()
    assert mapped(lab, p)
    core = gw.process_id("core")
    gw.hear("WATCHDOG", WATCHDOG_MS / 1000)
    os.kill(core, signal.SIGSTOP)
    gw.hear("READY", 10)
    assert gw.process_id("core") != core
    assert "the core does not answer" in gw.log()
    assert gw.lease("udp", p) and mapped(lab, p)
    for _ in range(3):
        gw.hear("WATCHDOG", WATCHDOG_MS / 1000)


def test_it_sees_and_writes_what_the_unit_lets_it(lab, gw):
    view = f"/proc/{gw.process_id('parent')}/root"
    for path, writable in (("usr", False), ("etc", False), ("proc/sys/kernel", False),
                           ("var/lib", False), ("var/lib/portreeve", True),
                           ("run/portreeve", True), ("tmp", True)):
        flags = os.statvfs(f"{view}/{path}").f_flag
        assert bool(flags & os.ST_RDONLY) != writable, path
    assert set(os.listdir(f"{view}/dev")) == set(unit.DEVICES)


def test_its_end_is_told(lab, gw, port):
    """And the leases are there again."""
    p = port()
    assert mapped(lab, p)
    os.kill(gw.process.pid, signal.SIGTERM)
    gw.hear("STOPPING")
    gw.stop()
    gw.start()
    assert gw.lease("udp", p)


@pytest.mark.parametrize("dropins, forwarding", [((), "0"), ((DROPIN,), "1")],
                         ids=["unit", "with-router.conf"])
def test_router_mode_needs_the_drop_in(dropins, forwarding):
    """Only with router.conf may forwarding be switched on; without it, the log says so."""
    with net.Net(masquerade=False) as lab:
        test_router.sysctl(lab.gw, "net/ipv4/ip_forward", "0")
        with unit.UnitGateway(lab, unit.Unit(UNIT, *dropins), test_router.ROUTER) as gw:
            says = f"ip_forward {'is 1 now' if dropins else 'cannot be set'}"
            net.wait_for(lambda: says in gw.log(), what=says)
            assert test_router.sysctl(lab.gw, "net/ipv4/ip_forward") == forwarding
            assert ("drop-in router.conf" in gw.log()) != bool(dropins)
