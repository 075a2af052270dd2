"""Text from data is hostile: it reaches a page only through these functions."""

from __future__ import annotations

import html as _html
import re
import unicodedata

LONGEST = 300
"""Characters of a text from data that are shown."""

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:@&=^'\"/])")
_PARSED_LATER = re.compile(r"(:)(?=\S)|(www)(?=\.)|(@)|([-<>=~])(?=[-<>=])", re.IGNORECASE)
_JOINER = "\u2060"


def plain(text: object) -> str:
    """Return the text as one line without control and direction marks, cut at `LONGEST` characters."""
    line = " ".join(str(text).split())
    line = "".join(c for c in line if unicodedata.category(c)[0] != "C")
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def html(text: object) -> str:
    """Return the text for HTML, in content and in quoted attributes."""
    return _html.escape(plain(text), quote=True)


def markdown(text: object) -> str:
    """Return the text for Markdown in labels, captions and messages: every character is literal.

    A word joiner, which has no width, breaks what Streamlit looks for after parsing: addresses, :codes: and arrows.
    """
    line = _PARSED_LATER.sub(lambda match: match[0] + _JOINER, plain(text))
    return _MARKS.sub(r"\\\1", line)
