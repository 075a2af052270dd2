"""Decoration of posters: a glyph for each genre and a texture for each decade, as SVG fragments.

Glyphs live in a 100 x 100 box and take `currentColor`. Textures cover the 300 x 450 poster in white.
"""

from __future__ import annotations

import math

_LINE = 'fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round" stroke-width='


def _star(points: int, outer: float, inner: float) -> str:
    """Return the path of a star round (50, 50)."""
    corners = []
    for i in range(2 * points):
        radius, angle = (outer, inner)[i % 2], math.pi * (i / points - 0.5)
        corners.append(f"{50 + radius * math.cos(angle):.1f} {50 + radius * math.sin(angle):.1f}")
    return f"M{'L'.join(corners)}Z"


def _spiral(turns: float, radius: float) -> str:
    """Return a spiral round (50, 50) that ends at `radius`."""
    steps = int(turns * 24)
    points = []
    for i in range(steps + 1):
        r, angle = radius * i / steps, 2 * math.pi * turns * i / steps
        points.append(f"{50 + r * math.cos(angle):.1f} {50 + r * math.sin(angle):.1f}")
    return f"M{'L'.join(points)}"


GLYPHS: dict[str, str] = {
    "Action": '<path d="M60 2 16 56h26L32 98l52-60H56z"/>',
    "Adventure": '<path d="M2 88 36 30l16 26 10-16 36 48z"/><circle cx="74" cy="22" r="11"/>',
    "Animation": f'<circle {_LINE}"5" cx="26" cy="74" r="20" opacity=".4"/>'
    f'<circle {_LINE}"5" cx="38" cy="60" r="21" opacity=".6"/><circle {_LINE}"5" cx="51" cy="46" r="22" opacity=".8"/>'
    '<circle cx="68" cy="30" r="26"/>',
    "Children": '<path d="M50 4c22 0 34 16 34 33 0 20-20 33-34 33S16 57 16 37C16 20 28 4 50 4z"/>'
    f'<path {_LINE}"4" d="M50 72c-8 8 8 12 0 24"/>',
    "Comedy": f'<circle {_LINE}"7" cx="50" cy="50" r="44"/><path {_LINE}"7" d="M26 56c6 26 42 26 48 0z"/>'
    '<circle cx="34" cy="38" r="6"/><circle cx="66" cy="38" r="6"/>',
    "Crime": f'<path {_LINE}"6" d="M16 60a34 34 0 0 1 68 0v10M28 88V60a22 22 0 0 1 44 0v28M40 94V60a10 10 0 0 1 '
    '20 0v34M50 60v36M8 44a46 46 0 0 1 84 0"/>',
    "Documentary": f'<circle {_LINE}"6" cx="50" cy="50" r="44"/>'
    f'<path {_LINE}"6" d="M50 6 70 50M88 28 54 66M88 72 38 69M50 94 30 50M12 72 46 34M12 28 62 31"/>',
    "Drama": '<path d="M4 4h92v10H4zM6 18h30c2 34-8 56-30 68zM94 18H64c-2 34 8 56 30 68z"/>'
    '<path d="M44 18h12v8H44z"/><path d="M8 92h84v5H8z"/>',
    "Fantasy": '<path d="M62 6A46 46 0 1 0 94 70 38 38 0 0 1 62 6z"/>'
    f'<path transform="translate(52 8) scale(.42)" d="{_star(4, 48, 14)}"/>',
    "Film-Noir": '<path d="M4 8h92v8H4zM4 24h92v8H4zM4 40h92v8H4zM4 56h70l-6 8H4zM4 72h58l-6 8H4zM4 88h46l-6 8H4z"/>',
    "Horror": '<path d="M26 2c10 34 8 66-8 96 0-34-4-66 8-96zM52 2c10 34 8 66-8 96 0-34-4-66 8-96zM78 2c10 34 8 66-8 '
    '96 0-34-4-66 8-96z"/>',
    "Musical": '<path d="M36 16 88 4v66a13 11 0 1 1-9-10V28l-34 8v46a13 11 0 1 1-9-10z"/>',
    "Mystery": '<path d="M50 4a27 27 0 0 1 14 50l12 42H24l12-42A27 27 0 0 1 50 4z"/>',
    "Romance": '<path d="M50 94C18 70 4 50 4 32A24 24 0 0 1 50 22 24 24 0 0 1 96 32c0 18-14 38-46 62z"/>',
    "Sci-Fi": f'<circle cx="50" cy="50" r="25"/><path {_LINE}"6" d="M29 63C10 76 2 84 6 88c6 6 36-12 60-36S98 14 92 '
    '10c-4-4-14 2-30 14"/>',
    "Thriller": f'<path {_LINE}"7" d="{_spiral(3.6, 46)}"/>',
    "War": f'<path d="{_star(5, 48, 19)}"/>',
    "Western": '<path d="M42 96V66H30C20 66 14 58 14 48V34c0-9 13-9 13 0v14c0 4 2 5 5 5h10V18c0-18 17-18 17 0v50h9c3 0 '
    '5-1 5-5V48c0-9 13-9 13 0v16c0 10-6 17-16 17H59v15z"/>',
    "": f'<circle {_LINE}"6" cx="50" cy="50" r="44"/><circle cx="50" cy="24" r="10"/><circle cx="50" cy="76" r="10"/>'
    '<circle cx="24" cy="50" r="10"/><circle cx="76" cy="50" r="10"/><circle cx="50" cy="50" r="5"/>',
}
"""By MovieLens's genre names; "" stands for any other."""


def _rays(x: float, y: float, count: int) -> str:
    wedges = []
    for i in range(count):
        a, b = 2 * math.pi * i / count, 2 * math.pi * (i + 0.5) / count
        wedges.append(
            f"M{x:g} {y:g}L{x + 700 * math.cos(a):.0f} {y + 700 * math.sin(a):.0f}"
            f"L{x + 700 * math.cos(b):.0f} {y + 700 * math.sin(b):.0f}Z"
        )
    return f'<path fill="#fff" opacity=".06" d="{"".join(wedges)}"/>'


def _lines(path: str, stroke: float, opacity: float) -> str:
    return f'<path fill="none" stroke="#fff" stroke-width="{stroke:g}" opacity="{opacity:g}" d="{path}"/>'


def _dots(step: int, radius: float) -> str:
    """Return rows of dots that shrink downwards, as in a printed halftone."""
    rows = []
    for row in range(300 // step):
        thick = 2 * radius * (1 - row * step / 300)
        rows.append(f'<path stroke-width="{thick:.1f}" d="M{-step / 2 * (row % 2):g} {row * step}H320"/>')
    dashes = f'stroke="#fff" stroke-linecap="round" stroke-dasharray="0 {step}"'
    return f'<g opacity=".1" {dashes}>{"".join(rows)}</g>'


def _film_edge() -> str:
    holes = "".join(f"M10 {y}h10v14h-10zM280 {y}h10v14h-10z" for y in range(8, 450, 30))
    return f'<path fill="#fff" opacity=".14" d="{holes}"/>' + _lines("M92 0V450M214 0V450M216 0V300", 0.7, 0.16)


def _horizon() -> str:
    """Return a perspective grid under a horizon."""
    across = "".join(f"M0 {250 + 200 * (i / 9) ** 2:.0f}H300" for i in range(10))
    along = "".join(f"M{150 + 16 * i} 250L{150 + 130 * i} 450" for i in range(-9, 10))
    return _lines(across + along, 1, 0.16)


def _facets() -> str:
    return (
        '<g fill="#fff"><path opacity=".05" d="M0 0h190L90 180z"/><path opacity=".09" d="M190 0h110v120L90 180z"/>'
        '<path opacity=".03" d="M0 0 90 180 0 300z"/><path opacity=".06" d="M90 180 300 120v190z"/></g>'
    )


TEXTURES: dict[int, str] = {
    1920: _film_edge(),
    1930: _rays(150, 330, 20),
    1940: _lines("".join(f"M0 {y}H300" for y in range(6, 320, 14)), 5, 0.07),
    1950: _rays(300, 0, 28),
    1960: _lines(
        "".join(f"M{150 - r} 160a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0" for r in range(20, 260, 24)), 8, 0.06
    ),
    1970: _lines("M-20 150C80 150 120 40 320 40M-20 176C90 176 136 66 320 66M-20 202C100 202 150 92 320 92", 14, 0.1),
    1980: _horizon(),
    1990: _dots(15, 5.5),
    2000: _lines("".join(f"M{x} -10L{x - 220} 460" for x in range(0, 560, 12)), 1, 0.13),
    2010: _facets(),
    2020: '<g fill="#fff" opacity=".07"><circle cx="40" cy="60" r="110"/><circle cx="280" cy="200" r="150"/>'
    '<circle cx="90" cy="300" r="70"/></g>',
}
"""By the first year of the decade; earlier films share the first."""
