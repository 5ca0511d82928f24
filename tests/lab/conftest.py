# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: a lab and a daemon per test file, and what a failure shows."""
import os
import signal
import sys

sys.dont_write_bytecode = True

import pytest

import gateway
import net

# Ports that no other test of the run has used: a port that was given back stays held for its
# former owner for two minutes, and so do those nearby that others got instead. Even, above the
# reserved ones, below the ephemeral range.
_ports = iter(range(10240, 32000, 16))


def interrupted(*_):
    raise KeyboardInterrupt


def pytest_sessionstart(session):
    if os.geteuid():
        pytest.exit("the lab makes network namespaces: run it as root", 1)
    missing = gateway.Programs().missing()
    if missing and not session.config.option.collectonly:
        pytest.exit(f"build first, or set PORTREEVE_BUILD: no {', '.join(missing)}", 1)
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, interrupted)  # the lab is removed on the way out
    net.remove_leftovers()
    gateway.add_users()


# What takes long, the longest first: several run at a time, and none of these is to be the last.
LONG = ("test_nft", "test_repair", "test_announce", "test_gone", "test_processes", "test_life",
        "test_page", "test_conntrack", "test_store", "test_triggers", "test_upnp_discovery",
        "test_open_nat", "test_nat_behaviour", "test_policy", "test_router", "test_upnp_ipv6")


def pytest_collection_modifyitems(items):
    place = {name: n for n, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "setup":
        for g in gateway.Gateway.alive:
            g.log_mark = len(g.log())
    elif report.failed:
        for g in gateway.Gateway.alive:
            report.sections.append(("portreeved's log during the test",
                                    g.log()[g.log_mark:] or "(nothing)"))


@pytest.fixture(autouse=True)
def end_of_patience(request):
    """A test that hangs fails, with a trace of where."""
    def late(*_):
        raise TimeoutError("the test took too long")
    seconds = request.node.get_closest_marker("seconds")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds.args[0] if seconds else 60)
    yield
    signal.alarm(0)


@pytest.fixture(scope="module")
def lab():
    with net.Net() as n:
        yield n


@pytest.fixture(scope="module")
def gw(lab):
    """One daemon for all tests of the file."""
    with gateway.Gateway(lab) as g:
        yield g
    assert not gateway.problems(g.log()), "portreeved logged errors"


@pytest.fixture(scope="module", params=[None, "6.1"], ids=["kernel", "kernel-6.1"])
def kernel_lab(request):
    """A lab and a daemon for this kernel, and then another for what Debian 12's has."""
    with net.Net() as n, gateway.Gateway(n, kernel=request.param) as g:
        n.gateway = g
        yield n
    # Processes are killed here: that may be an error to the log, but not a critical one.
    assert not gateway.problems(g.log(), worst=2), "portreeved logged worse than errors"


@pytest.fixture
def port():
    """A port of the test's own; call it for each one more."""
    return lambda: next(_ports)


@pytest.fixture(autouse=True)
def clean(request):
    """Leases of one test are not there in the next one."""
    yield
    for g in list(gateway.Gateway.alive):
        if g.process and g.process.running() and not request.node.get_closest_marker("dirty"):
            g.clear()
