"""The escaping helpers: no text from data is ever read as HTML or Markdown."""

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from pages.ui.escape import LONGEST, html, markdown, plain

ANY = st.text(max_size=500)
SIGNS = st.text(alphabet="<>&\"'`*_[](){}#!|~$:@=-+./\\ ab\u202e\u200f\n", max_size=60)


class Reader(HTMLParser):
    """Collects the text of a document and counts its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", 0

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags += 1


@given(ANY | SIGNS)
def test_html_reads_back_as_the_plain_text_and_holds_no_tag(text: str) -> None:
    reader = Reader()
    reader.feed(f"<p>{html(text)}</p>")
    reader.close()
    assert reader.text == plain(text)
    assert reader.tags == 1
    assert '"' not in html(text)
    assert "'" not in html(text)


@given(ANY | SIGNS)
def test_every_markdown_character_is_escaped_and_nothing_else_changes(text: str) -> None:
    escaped = markdown(text)
    assert re.sub(r"\\(.)", r"\1", escaped).replace("\u2060", "") == plain(text).replace("\u2060", "")
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\](){}<>#!|~$:]", re.sub(r"\\[^\\]", "", escaped.replace("\\\\", "")))


@given(ANY)
def test_plain_text_is_one_short_line_without_control_marks(text: str) -> None:
    line = plain(text)
    assert len(line) <= LONGEST
    assert not set(line) & set("\n\r\t\u202e\u200f\x00")


def test_addresses_codes_and_arrows_are_broken_up() -> None:
    for live in ("http://x.y", "www.x.y", "a@b.example", ":smile:", "->", "<-", "--", ">="):
        assert live not in markdown(live).replace("\\", "")
