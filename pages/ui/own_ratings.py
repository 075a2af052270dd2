"""The visitor's ratings as posters: sorted, searched, edited and removed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from pages.ui import board, caches, cards, messages
from pages.ui.address import recall, record
from pages.ui.board import Square
from pages.ui.escape import markdown
from pages.ui.import_export import FROM
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.data.titles import normalise
from recengine.export import counted
from recengine.serving.event_log import Event

BOARD = "board-mine"
PAGE = 24
"""Films shown at first, and added by each press of *Show more*."""
SORTS = {
    "newest": "Newest",
    "oldest": "Oldest",
    "stars": "My stars",
    "title": "Title",
    "year": "Year",
    "rarity": "Rarity",
}
"""Order -> its name."""


def in_order(dataset: Dataset, mine: VisitorRatings, order: str) -> list[int]:
    """Return the films rated, in an order of `SORTS`: the latest films, the highest stars, the rarest films first."""
    newest = [event.item_idx for event in sorted(mine.events, key=_moment)][::-1]
    titles, counts = dataset.films, dataset.ratings.item_counts
    keys: dict[str, Callable[[int], float | str]] = {
        "stars": lambda item: -mine.stars[item],
        "title": lambda item: normalise(titles[item][1]),
        "year": lambda item: -(titles[item][2] or 0),
        "rarity": lambda item: float(counts[item]),
    }
    if order in keys:
        return sorted(newest, key=keys[order])
    return newest[::-1] if order == "oldest" else newest


def _moment(event: Event) -> int:
    return event.timestamp


def draw(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the films rated. Each stays where it is until another order is asked for, also when it is removed."""
    words = words_of(dataset)
    with st.container(horizontal=True, vertical_alignment="bottom", key="mine-head"):
        query = st.text_input(
            words.say("Search your films"),
            type="search",
            live="200ms",
            placeholder="Title, director, genre or year",
            key="mine query",
        )
        recall("sort", "newest", lambda text: text if text in SORTS else None)
        st.selectbox(
            "Sort by", list(SORTS), format_func=SORTS.__getitem__, key="sort", on_change=record, args=("sort", "newest")
        )
        record("sort", "newest")
    order = st.session_state["sort"]
    kept: tuple[str, str, list[int]] | None = st.session_state.get("mine order")
    if kept is None or kept[:2] != (dataset.fingerprint, order):
        kept = dataset.fingerprint, order, in_order(dataset, mine, order)
        st.session_state["mine order"] = kept
    films = kept[2]
    if query:
        result = caches.title_search(dataset).find(query, limit=dataset.n_items)
        matching = set() if result.nearest else set(result.films)
        films = [item for item in films if item in matching]
        if not films:
            st.caption(f"None of your {len(kept[2]):,} {words.items} matches “{markdown(query)}”.")
    shown = st.session_state.setdefault("mine shown", PAGE)
    notes = {event.item_idx: note(event) for event in mine.events}
    squares = [
        Square(
            item,
            stars=mine.stars.get(item, 0.0),
            note=(notes.get(item) or "Removed from your ratings", "", ""),
        )
        for item in films[:shown]
    ]
    board.draw(
        dataset,
        squares,
        key=BOARD,
        acknowledged=mine.acknowledged,
        fades=False,
        passing=False,
        label="Films that you rated",
    )
    if len(films) > shown:
        show_more(len(films) - shown)
        st.caption(f"{shown:,} of {counted(len(films), words.items)}")


def show_more(left: int) -> None:
    """Draw the button that shows more of the films that are left."""
    st.button(f"Show {min(PAGE, left)} more", on_click=_more, icon=":material/expand_more:", key="mine-more")


def note(event: Event) -> str:
    """Return when a film was rated, and where the rating comes from."""
    day = f"{datetime.fromtimestamp(event.timestamp, UTC):%d %b %Y}".lstrip("0") if event.timestamp else ""
    return " · ".join(filter(None, (day, FROM.get(event.source, ""), "borrowed" * (event.source == "persona"))))


def _more() -> None:
    st.session_state["mine shown"] += PAGE


def start_over() -> None:
    """Sort again, as when the page is opened."""
    st.session_state.pop("mine order", None)


def find_films(dataset: Dataset, label: str, key: str) -> list[int]:
    """Draw a search for films of the catalogue, and return its matches."""
    query = st.text_input(
        label, type="search", live="200ms", placeholder="A title, as you remember it", key=f"{key} query"
    )
    if not query:
        return []
    matches = caches.title_search(dataset).find(query)
    messages.search_note(query, matches)
    return matches.films


def named(dataset: Dataset, item: int) -> str:
    """Return "Title (year)" as Markdown."""
    return markdown(cards.named(cards.film(dataset, item)))
