"""Sections as Markdown and as a page that opens offline; what a user wrote stays text."""

import html.parser
import re

import pytest
from matplotlib.figure import Figure

from ganfp_tf.reports.render.page import Picture, Section, as_html, as_markdown

EVIL = '<script>alert("x")</script> & [a](b) | `c`'


@pytest.fixture
def sections():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    return [
        Section("First", text=("One.", EVIL), headers=("a", "b"), rows=(("x", EVIL), ("y", "2"))),
        Section("Second", notes=("A note.",), picture=Picture(figure, "figures/f.png", EVIL)),
    ]


class Page(html.parser.HTMLParser):
    """Collects the tags with their attributes, and the text of the cells."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.cells, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data
        elif self.open and self.open[-1] == "p":
            self.texts.append(data)


def test_html_is_whole_and_keeps_text_text(sections):
    page = Page(as_html(EVIL, sections))
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert "link" not in names
    assert "a" not in names
    assert page.cells == ["a", "b", "x", EVIL, "y", "2"]
    assert EVIL in page.texts
    # A long cell is broken into lines.
    assert [attributes for tag, attributes in page.tags if tag == "td"] == [{"class": "long"}, {}]
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image["src"].startswith("data:image/png;base64,iVBOR")
    assert image["alt"] == EVIL


def test_html_asks_for_nothing(sections):
    text = as_html("Title", sections)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_control_characters_become_blanks(sections):
    section = Section("a\x00b\u202ec", headers=("h",), rows=(("\ud800x",),))
    text = as_html("t", [section])
    assert "a b c" in text
    assert "> x<" in text
    text.encode("utf-8")


def test_markdown(sections):
    text = as_markdown("Title", sections)
    assert text.startswith("# Title\n\n## First\n\nOne.\n")
    assert "<script" not in text
    assert "| a | b |\n| --- | --- |\n| x | &lt;script>" in text
    assert r"\| \`c\` |" in text
    assert "](figures/f.png)" in text
    assert text.endswith("A note.\n")
