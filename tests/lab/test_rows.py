# SPDX-License-Identifier: GPL-2.0-or-later
"""Each row of the protocol checklist has a test that names it, or a line in doc/protocols.md."""
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROWS = [f"S{n}" for n in range(1, 6)] + [f"P{n}" for n in range(1, 32)] + \
       [f"C{n}" for n in range(1, 61) if n != 31] + [f"X{n}" for n in range(1, 9)]


def named():
    """Every row that a test or the document names; "C9-C12" names four."""
    found = set()
    places = [os.path.join(TOP, "doc", "protocols.md")]
    for folder in ("tests/lab", "tests/unit"):
        path = os.path.join(TOP, folder)
        places += [os.path.join(path, f) for f in os.listdir(path) if f.startswith("test_")]
    for place in places:
        if place == os.path.abspath(__file__):
            continue
        with open(place, encoding="utf-8") as f:
            text = f.read()
        found.update(re.findall(r"\b[SPCX]\d{1,2}\b", text))
        for kind, first, last in re.findall(r"\b([SPCX])(\d{1,2})-[SPCX]?(\d{1,2})\b", text):
            found.update(f"{kind}{n}" for n in range(int(first), int(last) + 1))
    return found


def test_every_row_is_named():
    found = named()
    assert [row for row in ROWS if row not in found] == []
