"""What is known of a film: in the data, and elsewhere: plot, cast, trailer and services from TMDB, and links."""

from __future__ import annotations

from urllib.parse import quote

from pages.posters.tmdb import NOTICE, Facts, service
from pages.ui.cards import Film, film, html_attribute, number_of
from pages.ui.escape import html, plain
from pages.ui.reason_words import parts_of
from pages.ui.words import Words, words_of
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.export import nouns

TAGS = 8
"""Keywords or tags that are shown."""


def film_html(dataset: Dataset, item: int) -> str:
    """Return what is known of a film as HTML: year, genres, makers, how it was rated, and what it is about."""
    it, words = film(dataset, item), words_of(dataset)
    ratings = dataset.ratings.rating[dataset.ratings.item_idx == item]
    genres = ", ".join(part for part in it.genres.split("|") if part)
    director = ", ".join(parts_of(dataset, item, "director"))
    tags = (parts_of(dataset, item, "keywords") or parts_of(dataset, item, "tags"))[:TAGS]
    lines = [html(" · ".join(part for part in (str(it.year or ""), genres) if part))]
    lines += [f"Directed by <b>{html(director)}</b>"] if director else []
    rated = f"No {words.ratings} yet"
    if len(ratings):
        rated = _rated_by(words, len(ratings), float(ratings.mean())) + (" (simulated)" if dataset.simulated else "")
    meta = "".join(f'<p class="meta">{line}</p>' for line in [*lines, rated] if line)
    chips = "".join(f"<span>{html(word)}</span>" for word in tags)
    chips = f'<div class="words">{chips}</div>' if chips else ""
    return (
        f'<section class="seed"><div class="facts"><h2>{html(it.title)}</h2>{meta}{chips}'
        f"{facts_html(dataset, item, it)}</div></section>"
    )


def _rated_by(words: Words, count: int, mean: float) -> str:
    """Return how many rated an item and how, as HTML."""
    by = f"<b>{count:,}</b> {nouns(count, words.viewers)}"
    return f"Chosen by {by}" if words.is_implicit else f"Rated by {by}, <b>{words.amount(mean, '.1f')}</b> on average"


def backdrop_html(dataset: Dataset, item: int) -> str:
    """Return the wide picture of a film as HTML, "" until TMDB's is here."""
    tmdb, tmdb_id = service(settings.tmdb_key(), settings.home()), film(dataset, item).tmdb_id
    if tmdb is None or not tmdb_id or not tmdb.has_backdrop(tmdb_id):
        return ""
    return f'<img class="backdrop" src="poster/v1.svg?m={tmdb_id}&amp;wide" alt="" width="780" height="439">'


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
