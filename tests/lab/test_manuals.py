# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages and the installed configuration against the programs. Issue 7, item 8."""
import glob
import os
import re
import subprocess

import pytest

import gateway

PROGRAMS = gateway.Programs()
TOP = PROGRAMS.top
PAGES = sorted(glob.glob(f"{TOP}/doc/*.[1-8]"))


def read(path):
    with open(f"{TOP}/{path}", encoding="utf-8") as f:
        return f.read()


def text_of(page):
    """As a reader sees it, wide, without bold and underline."""
    done = subprocess.run(["mandoc", "-Tutf8", "-Owidth=200", f"{TOP}/doc/{page}"], text=True,
                          capture_output=True, check=True)
    return re.sub(".\b", "", done.stdout)


@pytest.mark.parametrize("page", PAGES, ids=os.path.basename)
def test_mandoc_finds_no_error_or_warning(page):
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


# Configuration


def parser_keys():
    """{(block or None, key)} of the parser's tables, with (block, None) for each block."""
    tables = {}
    for path in glob.glob(f"{TOP}/conf/*.c"):
        with open(path, encoding="utf-8") as f:
            source = f.read()
        for name, body in re.findall(r"cfg_opt_t (\w+)\[\] = \{(.*?)\n?\};", source, re.S):
            if os.path.basename(path) != "profiles.c":
                tables[name] = body
    found = set(re.findall(r'KEYS?\("([\w-]+)"', tables["top_keys"]))
    keys = {(None, k) for k in found}
    for block, table in re.findall(r'CFG_SEC\("([\w-]+)", (\w+)', tables["top_keys"]):
        keys.add((block, None))
        keys |= {(block, k) for k in re.findall(r'KEYS?\("([\w-]+)"', tables[table])}
    return keys


def manual_keys():
    keys, block = set(), None
    for line in read("doc/portreeve.conf.5").splitlines():
        m = re.match(r"\.It Ic ([\w-]+)(?: Ar \w+)? No \{", line)
        if m:
            block = m[1]
            keys.add((block, None))
        elif line == ".El":
            block = None
        else:
            m = re.match(r"\.It Ic (.+) No = ", line)
            if m:
                keys |= {(block, k) for k in m[1].split(" , ")}
    return keys


def shown_keys(text):
    keys, block = set(), None
    for line in text.splitlines():
        m = re.match(r'([\w-]+)(?: "[^"]*")? \{(.*)$', line)
        if m:
            block = m[1]
            keys.add((block, None))
            keys |= {(block, k) for k in re.findall(r"([\w-]+) = ", m[2])}
            block = None if m[2].endswith("}") else block
        elif line.startswith("}"):
            block = None
        else:
            m = re.match(r"\s*([\w-]+) = ", line)
            if m:
                keys.add((block, m[1]))
    return keys


def uncommented():
    """The installed file with all that it shows switched on."""
    lines = read("conf/portreeve.conf").splitlines()
    return "\n".join(re.sub(r"^#(?=[a-z}\t])", "", l) for l in lines
                     if not re.match(r"#\tportreeved", l)) + "\n"


def test_the_parser_is_read_rightly():
    keys = parser_keys()
    assert {("limits", "per-host"), (None, "reserved"), ("router", "wan-allow"), ("wan", None),
            ("trigger", "when"), ("open-nat", "quiet")} <= keys and len(keys) > 55


def test_each_key_is_in_the_manual_and_no_other():
    assert manual_keys() == parser_keys()


def test_each_key_is_in_the_installed_file_and_no_other():
    assert shown_keys(uncommented()) == parser_keys()


def test_what_the_installed_file_shows_is_right(tmp_path):
    path = tmp_path / "all.conf"
    text = uncommented().replace('"/usr/share/portreeve', f'"{tmp_path}')
    (tmp_path / "reserved.conf").write_text("0-1023\n")
    (tmp_path / "profiles.d").mkdir()
    for profile in glob.glob(f"{TOP}/conf/profiles.d/*.conf"):
        (tmp_path / "profiles.d" / os.path.basename(profile)).write_text(read(profile[len(TOP):]))
    path.write_text(text)
    done = subprocess.run([PROGRAMS.daemon, "--check-config", "--config", path], text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr


# Programs


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


@pytest.mark.parametrize("program, page", [(PROGRAMS.daemon, "portreeved.8"),
                                           (PROGRAMS.cli, "portreeve.1")])
def test_each_option_is_in_the_manual_and_no_other(program, page):
    usage = subprocess.run([program, "--help"], text=True, capture_output=True).stdout
    manual = text_of(page)
    others = options_in(usage) | options_in(text_of("portreeved.8"))
    tags = options_in("\n".join(l for l in manual.splitlines() if re.match(r"\s+-", l)))
    assert options_in(usage) - options_in(manual) == set()
    assert tags - options_in(usage) == set() and options_in(manual) - others == set()


def test_each_command_is_in_the_manual_and_no_other():
    usage = subprocess.run([PROGRAMS.cli, "--help"], text=True, capture_output=True).stdout
    commands = set(re.findall(r"^  ([a-z][a-z-]*)", usage.split("options,")[0], re.M))
    manual = read("doc/portreeve.1").split(".Ss Options")[0]
    assert set(re.findall(r"^\.It Cm ([a-z][a-z-]*)", manual, re.M)) == commands


def test_each_finding_of_check_is_in_the_manual():
    source = "".join(read(f"daemon/{p}") for p in os.listdir(f"{TOP}/daemon")
                     if p.startswith("check"))
    ids = set(re.findall(r'"((?:no|wan|cgnat|double|ip6?|forward|shadowed|input|bridge|rules|'
                         r'conntrack|udp|tcp)(?:-[a-z]+)+)"', source))
    assert len(ids) > 10
    manual = text_of("portreeve.1")
    assert {i for i in ids if i not in manual} == set()


@pytest.mark.parametrize("page, header, pattern", [
    ("portreeved.8", "daemon/setup.h", r"#define EXIT_\w+ (\d+)"),
    ("portreeve.1", "cli/cli.h", r"CLI_[A-Z_]+ = (\d+),")])
def test_each_exit_status_is_in_the_manual_and_no_other(page, header, pattern):
    part = re.search(r"\nEXIT STATUS\n(.*?)\n[A-Z]", text_of(page), re.S)[1]
    codes = {int(n) for n in re.findall(pattern, read(header))}
    assert len(codes) > 2
    assert {int(n) for n in re.findall(r"^\s+(\d+)\s", part, re.M)} == codes | {0, 1}


def test_each_command_is_in_the_readme():
    usage = subprocess.run([PROGRAMS.cli, "--help"], text=True, capture_output=True).stdout
    commands = set(re.findall(r"^  ([a-z][a-z-]*)", usage.split("options,")[0], re.M)) - {"help"}
    assert set(re.findall(r"^    portreeve ([a-z-]+)", read("README.md"), re.M)) == commands
