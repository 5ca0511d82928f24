# SPDX-License-Identifier: GPL-2.0-or-later
"""The status page as a reader of HTML sees it."""
import collections
from html.parser import HTMLParser

import net
import upnp

URL = f"http://{net.LAN}:49152/"
GUEST_URL = f"http://{net.GUEST_LAN}:49153/"
VOID = {"meta", "link", "br", "img", "input"}

Row = collections.namedtuple("Row", "port device what by end")


class Page(HTMLParser):
    """What it says: rows, headings, the texts of <style> and <script>, every tag's name."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.rows, self.text = [], [], [], ""
        self.style, self.script, self.cell, self.wan = "", "", None, ""
        self.feed(text)
        self.close()
        if self.open:
            raise AssertionError(f"never closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in VOID:
            return
        self.open.append((tag, dict(attrs).get("id")))
        if tag == "tr":
            self.cell = []
        elif tag == "td":
            self.cell.append("")
        elif tag == "small" and self.cell:
            self.cell[-1] += " | "

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            raise AssertionError(f"</{tag}> inside {self.open}")
        self.open.pop()
        if tag == "tr" and self.cell:
            self.rows.append(Row(*self.cell))

    def handle_data(self, data):
        inside = [name for name, _ in self.open]
        if "style" in inside:
            self.style += data
        elif "script" in inside:
            self.script += data
        else:
            self.text += data
            if "td" in inside:
                self.cell[-1] += data
            if ("section", "wan") in self.open:
                self.wan += data


def get(host, url=URL):
    answer = upnp.get(host, url)
    if answer.status != 200:
        raise AssertionError(f"{url}: HTTP {answer.status}")
    return Page(answer.body.decode("utf-8"))


def shows(host, condition, what, url=URL):
    """The page, once it is as wanted: what the gateway answers may be a second old."""
    def look():
        page = get(host, url)
        return page if condition(page) else None
    return net.wait_for(look, what=what, pause=0.1)
