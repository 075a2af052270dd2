"""Film cards: a poster with title, year, genres and a note; the whole card links to the page of the film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

import pandas as pd
import streamlit as st

from pages.posters.tmdb import service
from pages.ui.address import link
from pages.ui.escape import html, markdown, plain
from pages.ui.words import words_of
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.titles import LONGEST_TITLE


class Film(NamedTuple):
    """What a card shows of an item; what is no film has a plain tile for a poster."""

    item_id: str
    title: str
    year: int | None
    genres: str
    is_film: bool = True
    tmdb_id: int = 0
    """TMDB's number where its poster may stand in for the drawn one, else 0."""


def film(dataset: Dataset, item_idx: int) -> Film:
    """Return the film at an item index; with a key for TMDB, its poster is asked for."""
    it = Film(*dataset.films[item_idx], is_film=words_of(dataset).is_film)
    tmdb = service(settings.tmdb_key(), settings.home())
    if tmdb is None or not (tmdb_id := number_of(dataset, item_idx, "tmdb_id")):
        return it
    tmdb.facts(tmdb_id)
    return it._replace(tmdb_id=tmdb_id)


def number_of(dataset: Dataset, item_idx: int, column: str) -> int:
    """Return the number that a film has elsewhere (`imdb_id`, `tmdb_id`), 0 where the data do not know it."""
    value = dataset.items[column].iloc[item_idx] if column in dataset.items else None
    return 0 if value is None or pd.isna(value) else int(value)


def named(it: Film) -> str:
    """Return "Title (year)", not escaped."""
    return f"{plain(it.title)} ({it.year})" if it.year else plain(it.title)


def poster_address(it: Film) -> str:
    """Return the address of the film's poster, relative to any page of the app."""
    title, genres = plain(it.title)[:LONGEST_TITLE], plain(it.genres)[:LONGEST_TITLE]
    if not it.is_film:
        return f"poster/v1.svg?t={quote(title, safe='')}&tile=yes"
    photo = f"&m={it.tmdb_id}" if it.tmdb_id else ""
    return f"poster/v1.svg?t={quote(title, safe='')}&y={it.year or ''}&g={quote(genres, safe='')}{photo}"


def poster_html(it: Film) -> str:
    """Return the poster as an image tag."""
    return (
        f'<img src="{html_attribute(poster_address(it))}" alt="{"Poster of " if it.is_film else ""}{html(named(it))}" '
        'loading="lazy" decoding="async" width="300" height="450">'
    )


def html_attribute(address: str) -> str:
    """Return an address that is percent-encoded already for a quoted attribute."""
    return address.replace("&", "&amp;").replace('"', "%22")


def card(
    it: Film,
    *,
    key: str,
    rank: int | None = None,
    badge: str = "",
    note: str = "",
    bar: float | None = None,
    small: bool = False,
) -> None:
    """Draw one card in the current cell. `badge` and `note` are HTML whose data has been escaped; `bar` is a share."""
    number = f'<span class="rank">{rank}</span>' if rank is not None else ""
    badge_html = f'<span class="badge">{badge}</span>' if badge else ""
    genres = [part for part in it.genres.split("|") if part]
    meta, whole = (  # two genres fit on the line
        html(" · ".join(filter(None, (str(it.year or ""), ", ".join(some))))) or "&nbsp;"
        for some in (genres[:2], genres)
    )
    meter = f'<div class="bar"><i style="width:{100 * min(max(bar, 0), 1):.0f}%"></i></div>' if bar is not None else ""
    note_html = f'<p class="note">{note}</p>' if note else ""
    with st.container(key=f"film-{key}", gap=None):
        st.html(
            f'<div class="{"film small" if small else "film"}"><div class="poster">{poster_html(it)}</div>'
            f'<div class="line">{number}<p class="name" title="{html(it.title)}">{html(it.title)}</p>{badge_html}</div>'
            f'{meter}<p class="meta" title="{whole}">{meta}</p>{note_html}</div>'
        )
        link("film.py", markdown(named(it)), item=it.item_id)


def shelf(films: Sequence[Film], badges: Sequence[str], *, key: str) -> None:
    """Draw a row of small cards that scrolls sideways within itself."""
    with st.container(horizontal=True, wrap=False, key=f"shelf-{key}", gap="small"):
        for position, (it, badge) in enumerate(zip(films, badges, strict=True)):
            card(it, key=f"{key}-{position}", badge=badge, small=True)
