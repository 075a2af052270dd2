"""Typographic posters of a film's title, year and genres alone, without any picture."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from pages.posters.art import GLYPHS, TEXTURES
from pages.posters.lettering import Line, clean, draw, fit, width
from pages.ui.palette import CATEGORIES
from recengine.data.titles import LONGEST_TITLE

HUES = {
    "Film-Noir": "slate",
    "Western": "amber",
    "War": "vermilion",
    "Documentary": "teal",
    "Musical": "pink",
    "Animation": "amber",
    "Horror": "vermilion",
    "Sci-Fi": "sky",
    "Fantasy": "violet",
    "Mystery": "violet",
    "Children": "lime",
    "Crime": "slate",
    "Romance": "pink",
    "Adventure": "amber",
    "Action": "vermilion",
    "Thriller": "sky",
    "Comedy": "lime",
    "Drama": "teal",
}
"""Genre -> hue, from the most characteristic genre to the least, the rare before the common."""

_INK, _PAPER = "#0c0e14", "#ffffff"
_MARGIN, _WIDTH, _HEIGHT = 24, 300, 450


class Look(NamedTuple):
    """What the layouts draw with."""

    title: str
    year: str
    genres: tuple[str, ...]
    glyph: str
    texture: str
    main: str
    other: str
    turn: float
    layout: int


def poster_svg(title: str, year: int | None = None, genres: str = "") -> str:
    """Return a 2:3 poster as an SVG document; the same film always gets the same one.

    genres : joined by `|`. Nothing in the arguments can reach the markup unescaped.
    """
    look = look_of(title, year, genres)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">'
        f"{_LAYOUTS[look.layout](look)}</svg>"
    )


def look_of(title: str, year: int | None, genres: str) -> Look:
    """Return what a film's poster is drawn with; genres are joined by `|`."""
    title = clean(title[:LONGEST_TITLE]) or "Untitled"
    names = tuple(clean(name[:40]) for name in genres[:LONGEST_TITLE].split("|") if clean(name[:40]))
    by_rarity = sorted(names, key=lambda name: list(HUES).index(name) if name in HUES else len(HUES))
    lead = by_rarity[0] if by_rarity else ""
    digest = hashlib.blake2b(f"{title}\x1f{year}".encode(), digest_size=4).digest()
    turn = (digest[0] / 255 - 0.5) * 0.05
    hues = [CATEGORIES[HUES.get(name, "slate")].dark for name in by_rarity[:2]] or [CATEGORIES["slate"].dark]
    decade = min(max(year or 2020, 1920), 2029) // 10 * 10
    return Look(
        title=title,
        year=str(year) if year else "",
        genres=names[:2],
        glyph=GLYPHS.get(lead, GLYPHS[""]),
        texture=TEXTURES[decade],
        main=_shift(hues[0], turn),
        other=_shift(hues[-1], turn + (0.06 if len(set(hues)) == 1 else 0)),
        turn=turn,
        layout=digest[1] % len(_LAYOUTS),
    )


def tile_svg(title: str) -> str:
    """Return a plain tile of the size of a poster for what is no film: its title on one quiet colour."""
    title = clean(title[:LONGEST_TITLE]) or "Untitled"
    hues = list(CATEGORIES.values())
    hue = hues[hashlib.blake2b(title.encode(), digest_size=1).digest()[0] % len(hues)].dark
    lines = fit(title, _WIDTH - 2 * _MARGIN, (38, 34, 30, 27, 24), 6)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}">'
        f'<rect width="300" height="450" fill="{shade(hue, 0.2)}"/>'
        f'<rect y="438" width="300" height="12" fill="{shade(hue, 0.5)}"/>{_title_above(lines, 404, _PAPER)}</svg>'
    )


def _beam(look: Look) -> str:
    """Draw a diagonal gradient, the glyph large and cropped at the top right, the title at the bottom left."""
    top, deep = shade(look.main, 0.46), shade(look.other, 0.09)
    lines = fit(look.title, _WIDTH - 2 * _MARGIN, (46, 42, 38, 34, 30, 27, 24), 5)
    return (
        _gradient("b", ((0, top), (0.62, shade(look.main, 0.2)), (1, deep)), diagonal=True)
        + f'<rect width="300" height="450" fill="url(#b)"/>{look.texture}'
        + f'<g color="{shade(look.main, 0.72)}" fill="currentColor" opacity=".5" '
        f'transform="translate(96 -26) rotate({look.turn * 400:.0f} 120 120) scale(2.5)">{look.glyph}</g>'
        + _veil(deep)
        + _title_above(lines, 396, _PAPER)
        + _foot(look, _PAPER)
    )


def _disc(look: Look) -> str:
    """Draw a bright disc with the glyph cut out of it, over a dark ground, the title below."""
    ground = shade(look.main, 0.11)
    lines = fit(look.title, _WIDTH - 2 * _MARGIN, (42, 38, 34, 30, 27, 24), 4)
    rim = 396 - len(lines) * lines[0].size * 1.02
    radius = min(104, (rim - 40) / 2)
    cy = 22 + radius
    return (
        _gradient("d", ((0, shade(look.main, 0.66)), (1, shade(look.other, 0.42))), diagonal=True)
        + f'<rect width="300" height="450" fill="{ground}"/>{look.texture}'
        + f'<circle cx="150" cy="{cy:.0f}" r="{radius:.0f}" fill="url(#d)"/>'
        + f'<g color="{ground}" fill="currentColor" opacity=".88" '
        f'transform="translate({150 - radius * 0.6:.0f} {cy - radius * 0.6:.0f}) scale({radius * 0.012:.2f})">'
        f"{look.glyph}</g>" + _veil(ground) + _title_above(lines, 396, _PAPER) + _foot(look, _PAPER)
    )


def _block(look: Look) -> str:
    """Draw a flat block of colour, the title in capitals at the top, the glyph in the space that is left."""
    bright = _luminance(look.main) > 0.3
    ground = shade(look.main, 0.68 if bright else _deepest(look.main))
    ink = _INK if bright else _PAPER
    lines = fit(look.title.upper(), _WIDTH - 2 * _MARGIN, (54, 48, 42, 38, 34, 30, 27, 24), 5)
    size = lines[0].size
    under = 38 + size * len(lines) + 16
    scale = min(2.3, (404 - under) / 100)
    mark = shade(look.main, 0.46 if bright else 0.13)
    title = "".join(draw(line, _MARGIN, 40 + size * (0.74 + i)) for i, line in enumerate(lines))
    return (
        f'<rect width="300" height="450" fill="{ground}"/>{look.texture}'
        f'<rect x="{_MARGIN}" y="26" width="44" height="5" fill="{ink}"/>'
        f'<g color="{mark}" fill="currentColor" transform="translate({286 - 100 * scale:.0f} '
        f'{404 - 100 * scale:.0f}) scale({scale:.2f})">{look.glyph}</g>'
        f'<g fill="{ink}">{title}</g>{_foot(look, ink)}'
    )


def _tiles(look: Look) -> str:
    """Draw the glyph as a wallpaper, one tile lit, over a dark band with the title."""
    ground, paper = shade(look.main, 0.13), shade(look.main, 0.24)
    lines = fit(look.title, _WIDTH - 2 * _MARGIN, (46, 42, 38, 34, 30, 27, 24), 4)
    free = 6 if len(lines) < 4 else 3  # tiles that the title does not cover
    lit = int((look.turn + 0.025) * 20 * free * 0.999)
    tiles = []
    for i in range(9):
        fill = shade(look.other, 0.68) if i == lit else shade(look.main, 0.36)
        tiles.append(
            f'<use href="#t" color="{fill}" transform="translate({24 + i % 3 * 88} {26 + i // 3 * 88}) scale(.76)"/>'
        )
    return (
        f'<rect width="300" height="450" fill="{paper}"/>{look.texture}'
        f'<defs><g id="t" fill="currentColor">{look.glyph}</g></defs>{"".join(tiles)}'
        f"{_veil(ground)}{_title_above(lines, 396, _PAPER)}{_foot(look, _PAPER)}"
    )


_LAYOUTS: tuple[Callable[[Look], str], ...] = (_beam, _disc, _block, _tiles)


def _title_above(lines: list[Line], bottom: float, fill: str) -> str:
    step = lines[0].size * 1.0
    first = bottom - step * (len(lines) - 1)
    text = "".join(draw(line, _MARGIN, first + step * i) for i, line in enumerate(lines))
    return f'<g fill="{fill}">{text}</g>'


def _foot(look: Look, fill: str) -> str:
    """Draw year and genres in one line at the bottom."""
    text = " · ".join(part for part in (look.year, *look.genres) if part)
    while width(text, 19) > _WIDTH - 2 * _MARGIN and " · " in text:
        text = text.rpartition(" · ")[0]
    if not text:
        return ""
    return f'<g fill="{fill}" opacity=".78">{draw(fit(text, _WIDTH - 2 * _MARGIN, (19,), 1)[0], _MARGIN, 426)}</g>'


def _veil(colour: str) -> str:
    """Darken the part under the text."""
    return (
        f'<linearGradient id="v" x2="0" y2="1"><stop offset=".35" stop-color="{colour}" stop-opacity="0"/>'
        f'<stop offset=".72" stop-color="{colour}" stop-opacity=".86"/><stop offset="1" stop-color="{colour}"/>'
        f'</linearGradient><rect width="300" height="450" fill="url(#v)"/>'
    )


def _gradient(name: str, stops: tuple[tuple[float, str], ...], *, diagonal: bool) -> str:
    inner = "".join(f'<stop offset="{at:g}" stop-color="{colour}"/>' for at, colour in stops)
    return f'<linearGradient id="{name}" x2="{int(diagonal)}" y2="1">{inner}</linearGradient>'


def _rgb(colour: str) -> tuple[float, float, float]:
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return r, g, b


def _hex(r: float, g: float, b: float) -> str:
    return "#" + "".join(f"{round(255 * min(max(v, 0), 1)):02x}" for v in (r, g, b))


def _shift(colour: str, turn: float) -> str:
    """Turn the hue by a share of the circle."""
    h, lightness, s = colorsys.rgb_to_hls(*_rgb(colour))
    return _hex(*colorsys.hls_to_rgb((h + turn) % 1, lightness, s))


def shade(colour: str, lightness: float) -> str:
    """Set the lightness, keeping hue and most of the saturation."""
    h, _, s = colorsys.rgb_to_hls(*_rgb(colour))
    return _hex(*colorsys.hls_to_rgb(h, lightness, min(s, 0.78)))


def _deepest(colour: str) -> float:
    """Return the lightness at which white text on the colour has a contrast of 5 to 1."""
    return next(step / 100 for step in range(44, 10, -2) if _luminance(shade(colour, step / 100)) < 0.16)


def _luminance(colour: str) -> float:
    """Return WCAG's relative luminance."""
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in _rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
