# SPDX-License-Identifier: GPL-2.0-or-later
"""bash completion, as bash runs it."""
import os
import re
import subprocess

import gateway
import net
import pcp

TOP = gateway.Programs().top
SCRIPT = f"{TOP}/cli/completion/portreeve"


def complete(gw, *words):
    """What bash offers for the last word."""
    line = ("portreeve", "--runtime-dir", gw.runtime, *words)
    done = subprocess.run(
        ["bash", "-c", f'source {SCRIPT}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
         '_portreeve; printf "%s\\n" "${COMPREPLY[@]}"', "bash", *line],
        capture_output=True, text=True, timeout=10,
        env=dict(os.environ, PATH=f"{os.path.dirname(gw.programs.cli)}:{os.environ['PATH']}"))
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_options_and_ports(lab, gw, port):
    p = port()
    with pcp.Client(lab.console) as console:
        console.map(pcp.UDP, p, p)
    assert complete(gw, "he") == ["help"]
    assert complete(gw, "--json", "h") == ["help", "history"]
    assert complete(gw, "list", "--js") == ["--json"]
    for command in ("explain", "show", "delete"):
        assert complete(gw, command, "") == [f"udp/{p}"]
    assert complete(gw, "history", "--host", "192.") == [net.CONSOLE]
    assert complete(gw, "nat-type", "") == [net.CONSOLE]


def test_it_knows_every_command_and_option(gw):
    text = gw.cli("help").stdout
    commands = set(re.findall(r"^  ([a-z][a-z-]*)(?: [A-Z\[\]]+)*(?:  |$)", text, re.M))
    assert set(complete(gw, "")) == commands
    options = set(re.findall(r"^  (--[a-z-]+)", text, re.M)) | {"--version"}
    assert set(complete(gw, "--")) == options
