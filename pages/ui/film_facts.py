"""What is known of a film elsewhere: plot, cast, trailer and services from TMDB, and links by its numbers."""

from __future__ import annotations

from urllib.parse import quote

from pages.posters.tmdb import NOTICE, Facts, service
from pages.ui.cards import Film, html_attribute, number_of
from pages.ui.escape import html, plain
from recengine import settings
from recengine.data.dataset import Dataset


def facts_html(dataset: Dataset, item_idx: int, it: Film) -> str:
    """Return what TMDB knows by now, if there is a key, and links to the film's pages, as HTML."""
    tmdb = service(settings.tmdb_key(), settings.home())
    facts = tmdb.facts(it.tmdb_id) if tmdb is not None and it.tmdb_id else None
    links = _links(number_of(dataset, item_idx, "imdb_id"), number_of(dataset, item_idx, "tmdb_id"), plain(it.title))
    if facts is None:
        return _line(links)
    return _facts_html(facts) + _line([*_more(facts), *links]) + f'<p class="legend">{html(NOTICE)}</p>'


def _facts_html(facts: Facts) -> str:
    parts = [f"{facts.runtime} min"] if facts.runtime else []
    parts += [f"With {', '.join(facts.cast)}"] if facts.cast else []
    parts += [f"Streams on {', '.join(facts.watch)} (US, by JustWatch)"] if facts.watch else []
    plot = f'<p class="plot">{html(facts.plot)}</p>' if facts.plot else ""
    return plot + "".join(f'<p class="meta">{html(part)}</p>' for part in parts)


def _more(facts: Facts) -> list[tuple[str, str]]:
    both = [("Trailer", facts.trailer), ("Where to watch", facts.more)]
    return [(label, address) for label, address in both if address]


def _links(imdb_id: int, tmdb_id: int, title: str) -> list[tuple[str, str]]:
    """Return (label, address) of the film's pages, by its numbers alone; without any, none: a title may mislead."""
    links = []
    if tmdb_id:
        links.append(("Letterboxd", f"https://letterboxd.com/tmdb/{tmdb_id}"))
    if imdb_id:
        links.append(("IMDb", f"https://www.imdb.com/title/tt{imdb_id:07}/"))
    if tmdb_id:
        links.append(("TMDB", f"https://www.themoviedb.org/movie/{tmdb_id}"))
    if links:
        links.append(("JustWatch", f"https://www.justwatch.com/us/search?q={quote(title[:100], safe='')}"))
    return links


def _line(links: list[tuple[str, str]]) -> str:
    anchors = " · ".join(
        f'<a href="{html_attribute(address)}" target="_blank" rel="noopener noreferrer">{html(label)}</a>'
        for label, address in links
    )
    return f'<p class="meta elsewhere">{anchors}</p>' if anchors else ""
