"""The page that a link opens: a list and ratings, read-only, as plain HTML without a script or a session."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from pages.posters.picture import Pictured
from pages.posters.preview import preview_png
from pages.ui import cards
from pages.ui.escape import html
from pages.ui.palette import THEME
from pages.ui.words import Words
from recengine.export import counted
from recengine.serving.event_log import Link
from recengine.serving.share import Shared, SharedFilm

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; font-src 'self'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
"""No copy is kept, so that a link that was taken back is dead at once; the address is given to nobody."""
PICTURE = "shared.png"
"""Path of the picture in a link's preview."""
_STYLE = (Path(__file__).parent / "shared_page.css").read_text(encoding="utf-8")
_VARIABLES = ":root { " + " ".join(f"--{name}: {colour.css};" for name, colour in THEME.items()) + " }"


def page(link: Link | None, picture: str) -> tuple[str, int]:
    """Return the page of a link, and its status; one that was taken back looks like one that never was.

    picture : whole address of what a preview of the link shows: of one that was taken back, the app's own
    """
    if link is None:
        return _gone(picture), 404
    shared = Shared.from_bytes(link.content)
    words = Words(is_film=shared.is_film, has_stars=True, is_implicit=False)
    count = counted(shared.n_rated, "ratings")
    title = f"{counted(len(shared.films), words.items)}, picked from {count}"
    lead = f"Someone shared this with you: their list and their ratings as they were on {_day(link.timestamp)}."
    made = f"{html(shared.model)} made it from the ratings below, on the data set {html(shared.dataset)}."
    cards_html = "".join(_card(rank, film, shared) for rank, film in enumerate(shared.films, start=1))
    rest = shared.n_rated - len(shared.rated)
    more = f'<p class="soft">and {rest:,} more</p>' if rest else ""
    body = (
        f"<header><h1>{title}</h1><p>{lead}</p></header><main>"
        f'<section aria-labelledby="list"><h2 id="list">The list</h2><p class="soft">{made}</p>'
        f'<ol class="films">{cards_html}</ol>'
        f'</section><section aria-labelledby="rated"><h2 id="rated">{count}</h2>{_by_stars(shared)}{more}</section>'
        f'</main><footer><a class="action" href="./">Make a list of your own</a></footer>'
    )
    return _document(title, body, picture), 200


@lru_cache(maxsize=64)
def picture(content: bytes) -> bytes:
    """Return the picture of what a link shows, as PNG; what a link shows never changes."""
    shared = Shared.from_bytes(content)
    films = [Pictured(film.title, film.year, film.genres) for film in shared.films]
    return preview_png(films, f"My top {len(films)}", f"from {counted(shared.n_rated, 'ratings')}")


def _gone(picture: str) -> str:
    return _document(
        "This link is not active",
        "<header><h1>This link is not active</h1><p>Whoever shared it may have taken it back, or part of the address "
        "is missing. Ask them for a new one.</p></header>"
        '<footer><a class="action" href="./">Make a list of your own</a></footer>',
        picture,
    )


def _document(title: str, body: str, picture: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow"><meta name="referrer" content="no-referrer">'
        '<meta name="color-scheme" content="dark light">'
        f'<title>{title} · RecEngine</title><meta property="og:title" content="{title}">'
        '<meta property="og:description" content="A list and the ratings behind it, made with RecEngine.">'
        f'<meta property="og:image" content="{html(picture)}">'
        '<meta property="og:image:width" content="1200"><meta property="og:image:height" content="630">'
        '<meta name="twitter:card" content="summary_large_image">'
        f"<style>{_VARIABLES}\n{_STYLE}</style></head><body>{body}</body></html>"
    )


def _card(rank: int, shared: SharedFilm, of: Shared) -> str:
    film = cards.Film("", shared.title, shared.year, shared.genres, is_film=of.is_film)
    genres = ", ".join(part for part in film.genres.split("|") if part)
    meta = html(" · ".join(part for part in (str(film.year or ""), genres) if part))
    start, titles, end = map(html, shared.because)
    because = f'<p class="note">{start} <b>{titles}</b> {end}</p>' if titles else ""
    return (
        f'<li>{cards.poster_html(film)}<h3><span class="rank">{rank}</span> {html(film.title)}</h3>'
        f'<p class="soft">{meta}</p>{because}</li>'
    )


def _by_stars(shared: Shared) -> str:
    """Return the ratings as HTML, those of the same stars together."""
    parts = []
    for stars, films in groupby(shared.rated, key=lambda film: film.stars):
        named = "".join(f"<li>{html(cards.named(cards.Film('', it.title, it.year, it.genres)))}</li>" for it in films)
        parts.append(f'<h3 class="stars">{stars:g} ★</h3><ul class="rated">{named}</ul>')
    return "".join(parts)


def _day(timestamp: int) -> str:
    moment = datetime.fromtimestamp(timestamp, UTC)
    return f"{moment.day} {moment:%B %Y}"
