"""The picture of a list as PNG, drawn here: those who show previews of links read no SVG.

It has the layout of `picture_svg`, and posters of the same colours, without their glyphs. Letters that the fonts lack
are left out: no font of this machine is used, so that the picture is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pages.posters.lettering import Line, clean, fit, width
from pages.posters.picture import COLUMNS, HEIGHT, MOST, WIDTH, Pictured
from pages.posters.poster import Look, look_of, shade
from pages.ui.palette import THEME

_FONTS = Path(__file__).parents[1] / "static" / "fonts"
_FILES = ("barlow-condensed-bold-latin.woff2", "barlow-condensed-bold-latin-ext.woff2")
_LEFT, _TOP, _GAP, _POSTER, _TALL = 266, 59, 14, 166, 249
"""Where the posters begin, the space between two, and how wide and tall one is."""
_MARGIN = 13


def preview_png(films: Sequence[Pictured], heading: str, note: str) -> bytes:
    """Return the picture of at most ten films, best first, as PNG.

    heading : a few short words, one under the other; note : one line below, such as what the list was made from
    """
    paper, ink, soft, accent = (THEME[name].dark for name in ("paper", "ink", "soft", "accent"))
    image = Image.new("RGB", (WIDTH, HEIGHT), paper)
    pen = ImageDraw.Draw(image)
    pen.rectangle((48, 60, 103, 65), fill=accent)
    for i, word in enumerate(clean(heading).split(" ")):
        _write(pen, Line(word, 92), 48, 168 + 86 * i, ink)
    for i, line in enumerate(fit(note, _LEFT - 48 - 24, (27, 24), 2)):
        _write(pen, line, 48, 470 + 30 * i, soft)
    _write(pen, Line("RecEngine", 30), 48, 569, accent)
    for rank, film in enumerate(films[:MOST], start=1):
        row, column = divmod(rank - 1, COLUMNS)
        x, y = _LEFT + column * (_POSTER + _GAP), _TOP + row * (_TALL + _GAP)
        image.paste(_poster(look_of(film.title, film.year, film.genres)), (x, y), _rounded())
        pen.ellipse((x - 11, y - 11, x + 23, y + 23), fill=accent)
        number = Line(str(rank), 24)
        _write(pen, number, x + 6 - width(number.text, number.size) / 2, y + 14.5, THEME["on-accent"].dark)
    file = BytesIO()
    image.save(file, "PNG", compress_level=6)
    return file.getvalue()


def _poster(look: Look) -> Image.Image:
    """Return one poster: two hues of its genres from top to bottom, a disc, the title and the line below it."""
    size = _POSTER, _TALL
    top, deep = Image.new("RGB", size, shade(look.main, 0.4)), Image.new("RGB", size, shade(look.other, 0.1))
    image = Image.composite(deep, top, Image.linear_gradient("L").resize(size))
    pen = ImageDraw.Draw(image)
    pen.ellipse((84, -34, 204, 86), fill=shade(look.main, 0.5))
    lines = fit(look.title, _POSTER - 2 * _MARGIN, (26, 23, 21, 19, 17), 5)
    for i, line in enumerate(lines):
        _write(pen, line, _MARGIN, 219 - line.size * (len(lines) - 1 - i), "#ffffff")
    foot = " · ".join(part for part in (look.year, *look.genres[:1]) if part)
    if foot:
        _write(pen, fit(foot, _POSTER - 2 * _MARGIN, (13,), 1)[0], _MARGIN, 236, "#d0d0d0")
    return image


@cache
def _rounded() -> Image.Image:
    """Return the mask of a poster, whose corners are round; drawn larger, for smooth edges."""
    large = Image.new("L", (4 * _POSTER, 4 * _TALL))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 4 * _POSTER - 1, 4 * _TALL - 1), 40, fill=255)
    return large.resize((_POSTER, _TALL), Image.Resampling.LANCZOS)


def _write(pen: ImageDraw.ImageDraw, line: Line, x: float, y: float, fill: str) -> None:
    """Write a line whose baseline starts at (x, y), as far as the fonts have its letters."""
    for letter in line.text:
        font = _font(letter, line.size)
        if font is not None:
            pen.text((x, y), letter, fill, font, anchor="ls")
        x += width(letter, line.size)


@lru_cache(maxsize=4096)
def _font(letter: str, size: float) -> ImageFont.FreeTypeFont | None:
    """Return a font that has the letter: what one lacks, it draws as the sign of a letter that no font has."""
    fonts = (_opened(name, size) for name in _FILES)
    return next((font for font in fonts if bytes(font.getmask(letter)) != _lacking(font)), None)


@cache
def _opened(name: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS / name, size)


@cache
def _lacking(font: ImageFont.FreeTypeFont) -> bytes:
    return bytes(font.getmask("\uffff"))
