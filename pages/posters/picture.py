"""A picture of a list to show around: ten posters in one SVG, of the size that previews of links have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pages.posters.lettering import Line, clean, draw, fit, width
from pages.posters.poster import poster_svg, tile_svg
from pages.ui.palette import THEME

WIDTH, HEIGHT = 1200, 630
COLUMNS, MOST = 5, 10
_LEFT, _TOP, _GAP, _POSTER = 266, 59, 14, 166
"""Where the posters begin, the space between two, and how wide one is."""
_ID = re.compile(r'(\bid="|url\(#|href="#)')
_TAG = re.compile(r"<[^>]*>")


class Pictured(NamedTuple):
    """What a poster shows; what is no film has a plain tile."""

    title: str
    year: int | None = None
    genres: str = ""
    is_film: bool = True


def picture_svg(films: Sequence[Pictured], heading: str, note: str) -> str:
    """Return the picture of at most ten films, best first, as an SVG document that needs no font and no other file.

    heading : a few short words, one under the other; note : one line below, such as what the list was made from
    """
    paper, ink, soft, accent = (THEME[name].dark for name in ("paper", "ink", "soft", "accent"))
    words = "".join(draw(Line(word, 92), 48, 168 + 86 * i) for i, word in enumerate(clean(heading).split(" ")))
    notes = "".join(draw(line, 48, 470 + 30 * i) for i, line in enumerate(fit(note, _LEFT - 48 - 24, (27, 24), 2)))
    posters = "".join(_ranked(rank, film) for rank, film in enumerate(films[:MOST], start=1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{paper}"/><rect x="48" y="60" width="56" height="6" '
        f'fill="{accent}"/><g fill="{ink}">{words}</g><g fill="{soft}">{notes}</g>'
        f'<g fill="{accent}">{draw(Line("RecEngine", 30), 48, 569)}</g>{posters}</svg>'
    )


def _ranked(rank: int, film: Pictured) -> str:
    """Return one poster where its rank is, rounded off, with the number at its corner."""
    row, column = divmod(rank - 1, COLUMNS)
    x, y = _LEFT + column * (_POSTER + _GAP), _TOP + row * (_POSTER * 1.5 + _GAP)
    svg = poster_svg(film.title, film.year, film.genres) if film.is_film else tile_svg(film.title)
    inner = svg[svg.index(">") + 1 : -len("</svg>")]
    number, accent, dark = str(rank), THEME["accent"].dark, THEME["on-accent"].dark
    label = draw(Line(number, 44), 10 - width(number, 44) / 2, 26)
    drawn = (
        f'<g clip-path="url(#clip)">{inner}</g>'
        f'<circle cx="10" cy="10" r="30" fill="{accent}"/><g fill="{dark}">{label}</g>'
    )
    # All posters are in one document, where their names must differ; what is in no tag is text.
    drawn = _TAG.sub(lambda tag: _ID.sub(rf"\g<1>p{rank}-", tag[0]), drawn)
    return (
        f'<clipPath id="p{rank}-clip"><rect width="300" height="450" rx="18"/></clipPath>'
        f'<g transform="translate({x:g} {y:g}) scale({_POSTER / 300:.4f})">{drawn}</g>'
    )
