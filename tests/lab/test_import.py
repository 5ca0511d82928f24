# SPDX-License-Identifier: GPL-2.0-or-later
"""portreeve import: portreeved takes what it writes, and packets arrive by it. Prior-art 3."""
import subprocess

import pytest

import gateway
import net

MINIUPNPD = """ext_ifname=wan0
listening_ip=br-lan
http_port=0
enable_pcp_pmp=yes
enable_upnp=yes
min_lifetime=120
max_lifetime=86400
lease_file=/var/log/upnp.leases
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000000
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
UCI = """config upnpd 'config'
	option enabled '1'
	option internal_iface 'lan'
	option external_iface 'wan'
	option port '5000'
config perm_rule
	option action 'allow'
	option ext_ports '1024-65535'
	option int_addr '192.168.77.0/24'
	option int_ports '1024-65535'
"""
TABLE = f"""# the old script's table
udp/8080 {net.CONSOLE} 80
27000-27010 {net.PC}   # a range keeps its ports
"""


def imported(text):
    done = subprocess.run([gateway.Programs().cli, "import", "-"], input=text, text=True,
                          capture_output=True, timeout=10)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("text", [MINIUPNPD, UCI, TABLE], ids=["miniupnpd", "uci", "table"])
def test_what_it_writes_is_a_configuration(tmp_path, text):
    path = tmp_path / "portreeve.conf"
    path.write_text(imported(text))
    done = subprocess.run([gateway.Programs().daemon, "--check-config", "--config", path],
                          capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr


def test_a_table_forwards_packets(lab):
    config = 'wan "wan0" {}\nlan "br-lan" {}\n' + imported(TABLE)
    with gateway.Gateway(lab, config), lab.console.udp(80) as web, lab.pc.udp(27005) as game:
        assert net.arrives(lab.inet, web, 8080)
        assert net.arrives(lab.inet, game, 27005)
        assert not net.arrives(lab.inet, game, 27011, timeout=0.3)


def test_errors_name_file_and_line(tmp_path):
    path = tmp_path / "table"
    path.write_text("80 here\n")
    for file, code, said in ((path, 78, f"{path}:1: "), ("/nonexistent", 66, "No such file")):
        done = subprocess.run([gateway.Programs().cli, "import", file], capture_output=True,
                              text=True, timeout=10)
        assert done.returncode == code and said in done.stderr and done.stdout == ""
