"""Lettering for posters: text measured, wrapped and set as outlines, so that it looks the same everywhere.

An SVG shown as an image cannot load a font. Titles are therefore set in stored outlines of Barlow Condensed
Bold; letters beyond them (Japanese, Cyrillic, emoji, ...) are in a font of the viewer's machine.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

_OUTLINES = Path(__file__).parent / "letters" / "barlow-condensed-bold.json"
_WIDE, _NARROW = 1.0, 0.66
"""Advances, in em, that letters without an outline are given: East Asian ones and emoji, and the others."""


class Line(NamedTuple):
    """One line of text at a size in user units."""

    text: str
    size: float


@cache
def _letters() -> dict[str, tuple[int, str]]:
    """Return letter -> (advance, path) at 1000 units per em, y down, baseline at 0."""
    stored = json.loads(_OUTLINES.read_text(encoding="utf-8"))["letters"]
    return {letter: (advance, path) for letter, (advance, path) in stored.items()}


def clean(text: str) -> str:
    """Return the text without control and formatting characters (direction marks too), spaces collapsed."""
    kept = (" " if c.isspace() else c for c in unicodedata.normalize("NFC", text))
    return " ".join("".join(c for c in kept if unicodedata.category(c)[0] != "C").split())


def width(text: str, size: float) -> float:
    """Return the width of a line in user units."""
    letters = _letters()
    total = 0.0
    for c in text:
        if c in letters:
            total += letters[c][0] / 1000
        elif not unicodedata.combining(c):
            total += _WIDE if unicodedata.east_asian_width(c) in "WF" else _NARROW
    return total * size


def fit(text: str, box: float, sizes: tuple[float, ...], max_lines: int) -> list[Line]:
    """Return the lines of `text` at the first of `sizes` (large to small) at which it fits.

    box : the width to stay within. At the last size words are broken and the text ends in an ellipsis if it must.
    """
    text = clean(text)
    for size in sizes:
        words = text.split(" ")
        if all(width(word, size) <= box for word in words):
            lines = _wrap(words, box, size)
            if len(lines) <= max_lines:
                return [Line(line, size) for line in lines]
    size = sizes[-1]
    lines = _wrap([piece for word in text.split(" ") for piece in _broken(word, box, size)], box, size)
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and width(last + "…", size) > box:
            last = last[:-1].rstrip()
        lines = [*lines[: max_lines - 1], last + "…"]
    return [Line(line, size) for line in lines]


def _wrap(words: list[str], box: float, size: float) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".lstrip()
        if width(longer, size) <= box:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]


def _broken(word: str, box: float, size: float) -> list[str]:
    """Return a word in pieces that fit; a word that fits is one piece."""
    pieces = [""]
    for c in word:
        if pieces[-1] and width(pieces[-1] + c, size) > box:
            pieces.append("")
        pieces[-1] += c
    return pieces


def draw(line: Line, x: float, y: float) -> str:
    """Return the SVG of a line whose baseline starts at (x, y); it takes the fill of what surrounds it.

    Letters without an outline are set in a font of the viewer's machine, squeezed into the width that was measured.
    """
    pen, parts = x, []
    for has_outline, run in groupby(line.text, _letters().__contains__):
        text = "".join(run)
        parts.append((_outlines if has_outline else _set)(text, line.size, pen, y))
        pen += width(text, line.size)
    return "".join(parts)


def _set(text: str, size: float, x: float, y: float) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="700" font-family="sans-serif" '
        f'textLength="{width(text, size):g}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )


def _outlines(text: str, size: float, x: float, y: float) -> str:
    letters, pen, paths = _letters(), 0, []
    first: dict[str, str] = {}
    for c in text:
        advance, path = letters[c]
        if c in first:  # a repeated letter refers to the first one
            paths.append(f'<use href="#{first[c]}" x="{pen - int(first[c].rpartition("-")[2])}"/>')
        elif path:
            first[c] = f"{x:.0f}-{y:.0f}-{pen}"
            paths.append(f'<path id="{first[c]}" transform="translate({pen})" d="{path}"/>')
        pen += advance
    return f'<g transform="translate({x:g} {y:g}) scale({size / 1000:g})">{"".join(paths)}</g>'
