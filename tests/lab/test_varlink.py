# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket, by a varlink client that knows nothing of us but the interface definition
that the daemon describes itself with. Issue 7, row 3."""
import json
import os
import shutil
import subprocess

import pytest

import gateway
import net
import pcp

pytestmark = [pytest.mark.full, pytest.mark.seconds(180)]
GOCODE = "/usr/share/gocode"
TOP = gateway.Programs().top
DEFINITION = f"{TOP}/daemon/org.portreeve.varlink"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Built from Debian's library and the code that its generator makes of our definition."""
    top = tmp_path_factory.mktemp("go")
    package = top / "src/orgportreeve"
    package.mkdir(parents=True)
    shutil.copy(DEFINITION, package)
    subprocess.run(["varlink-go-interface-generator", "org.portreeve.varlink"], cwd=package,
                   check=True)
    env = dict(os.environ, GO111MODULE="off", GOPATH=f"{top}:{GOCODE}", GOCACHE=f"{top}/cache",
               CGO_ENABLED="0")
    subprocess.run(["go", "build", "-o", top / "client", f"{TOP}/tests/varlink/client.go"],
                   env=env, check=True, timeout=150)
    return top / "client"


def test_a_stock_client_reads_and_changes(lab, gw, port, client):
    p = port()
    with pcp.Client(lab.console) as console:
        console.map(pcp.UDP, p, p)
    done = subprocess.run([client, f"unix:{gw.runtime}/control", str(p)], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["Product"] == "portreeved"
    assert said["Interfaces"] == ["org.varlink.service", "org.portreeve"]
    with open(DEFINITION, encoding="utf-8") as f:
        assert said["Description"].strip() == f.read().strip()
    [lease] = said["Leases"]
    assert (lease["external_port"], lease["internal_address"]) == (p, net.CONSOLE)
    assert said["Version"] == gw.json("status")["version"]
    assert (said["Verdict"], said["Deleted"]) == ("open", 1)
    assert said["Error"] == "*orgportreeve.NotFound"
    assert gw.list() == []
