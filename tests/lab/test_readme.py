# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md shows what the programs print: each session is made anew and compared, but for times
and for ports by chance. Mend it with tests/lab/sessions --write. Issue 7, item 11."""
import importlib.machinery
import importlib.util
import os
import re

import pytest

import gateway

_path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sessions")
_loader = importlib.machinery.SourceFileLoader("sessions", _path)
sessions = importlib.util.module_from_spec(importlib.util.spec_from_loader("sessions", _loader))
_loader.exec_module(sessions)


def test_every_session_is_shown():
    assert set(sessions.shown()) == set(sessions.SESSIONS)


@pytest.mark.parametrize("name", sessions.SESSIONS)
@pytest.mark.skipif(gateway.sanitized(), reason="the same programs; once is enough")
def test_what_is_shown_is_what_is_printed(name):
    assert sessions.shape(sessions.SESSIONS[name]()) == sessions.shape(sessions.shown()[name])


def test_the_files_that_it_names_are_there():
    with open(sessions.README, encoding="utf-8") as f:
        text = f.read()
    paths = re.findall(r"\]\(((?!http)[\w./-]+)\)|`((?:doc|tests|conf|packaging)/[\w./-]+)`", text)
    assert paths
    for link, name in paths:
        assert os.path.exists(os.path.join(sessions.TOP, link or name)), link or name
