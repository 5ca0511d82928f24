# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that was taken over tries what design 2 denies it."""
import os
import signal
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(os.environ.get("PORTREEVE_BUILD") or TOP, "tests/lab/sandbox_try")


def attempt(role, action):
    return subprocess.run([TOOL, role, action], capture_output=True, text=True, timeout=10)


def sanitized():
    with open(TOOL, "rb") as f:
        return b"__asan_init" in f.read()


@pytest.mark.parametrize("role", ["core", "pcp", "igd", "trigger"])
def test_what_is_allowed_works_in_the_sandbox(role):
    r = attempt(role, "nothing")
    assert (r.returncode, r.stdout) == (0, "done\n"), r.stderr


@pytest.mark.parametrize("role", ["core", "pcp", "igd", "trigger"])
@pytest.mark.parametrize("action", ["kill", "trace", "exec", "fork", "root"])
def test_no_process_signals_traces_or_starts_another(role, action):
    r = attempt(role, action)
    assert "done" not in r.stdout
    assert r.returncode == -signal.SIGSYS or (role == "igd" and r.returncode == 1), r


@pytest.mark.parametrize("role", ["core", "pcp", "igd", "trigger"])
@pytest.mark.parametrize("action", ["open", "write"])
def test_no_process_opens_files_that_are_not_its_own(role, action):
    r = attempt(role, action)
    assert "done" not in r.stdout
    assert r.returncode in (1, -signal.SIGSYS), r


@pytest.mark.parametrize("role", ["core", "pcp", "igd", "trigger"])
@pytest.mark.parametrize("action", ["raw", "unix"])
def test_no_process_opens_sockets_of_another_kind(role, action):
    r = attempt(role, action)
    assert "done" not in r.stdout
    assert r.returncode in (1, -signal.SIGSYS), r


@pytest.mark.skipif(sanitized() if os.path.exists(TOOL) else False,
                    reason="a sanitizer build's sandbox is wider")
@pytest.mark.parametrize("role", ["core", "pcp", "igd", "trigger"])
def test_memory_never_becomes_code(role):
    assert attempt(role, "code").returncode == -signal.SIGSYS


