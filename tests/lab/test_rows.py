# SPDX-License-Identifier: GPL-2.0-or-later
"""Each row of the protocol checklist has a test that names it, or a line in doc/protocols.md or
doc/upnp.md; and so has what a home-made setup for consoles can do (prior-art 1, 2)."""
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROWS = [f"S{n}" for n in range(1, 6)] + [f"P{n}" for n in range(1, 32)] + \
       [f"C{n}" for n in range(1, 61) if n != 31] + [f"X{n}" for n in range(1, 9)] + \
       [f"U{n}" for n in range(1, 24)] + [f"W{n}" for n in range(1, 26)] + \
       [f"F{n}" for n in range(1, 11)] + [f"prior-art 2.{n}" for n in range(1, 11)] + \
       [f"prior-art 1.{n}" for n in range(1, 8)]


def named():
    """Every row that a test or the document names; "C9-C12" names four."""
    found = set()
    places = [os.path.join(TOP, "doc", f) for f in ("protocols.md", "upnp.md")]
    for folder in ("tests/lab", "tests/unit"):
        path = os.path.join(TOP, folder)
        places += [os.path.join(path, f) for f in os.listdir(path) if f.startswith("test_")]
    for place in places:
        if place == os.path.abspath(__file__):
            continue
        with open(place, encoding="utf-8") as f:
            text = f.read()
        found.update(re.findall(r"\b[SPCXUWF]\d{1,2}\b", text))
        found.update(f"prior-art {row}" for line in re.findall(r"prior-art ([\d., and]+)", text)
                     for row in re.findall(r"\d\.\d+", line))
        for kind, first, last in re.findall(r"\b([SPCXUWF])(\d{1,2})-[SPCXUWF]?(\d{1,2})\b", text):
            found.update(f"{kind}{n}" for n in range(int(first), int(last) + 1))
    return found


def test_every_row_is_named():
    found = named()
    assert [row for row in ROWS if row not in found] == []
