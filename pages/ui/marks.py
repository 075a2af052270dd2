"""Films that a visitor has put aside: the watchlist, what they have seen, and what does not interest them."""

from __future__ import annotations

import uuid

import streamlit as st

from pages.ui import board, cards, messages, own_ratings, visitor_ratings
from pages.ui.board import Square
from pages.ui.import_export import put_aside_csv
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.serving.event_log import Event

LABELS = {"watchlist": "Watchlist", "seen": "Seen, not rated", "pass": "Not interested"}
"""Kinds of acts that put a film aside, and what the app calls them."""
BOARD = "board-aside"
EMPTY = {
    "watchlist": "Nothing on your watchlist yet. Find a film above to add it.",
    "seen": "No film is marked as seen without stars. Find one above: it then stays out of your list.",
    "pass": "You have not hidden a film yet. Those you are not interested in stay out of your list.",
}
FILES = {"watchlist": "watchlist.csv", "seen": "watched.csv", "pass": "not-interested.csv"}
"""Names of the files to download, by which the first two are known when they come back."""


@messages.toast_errors
def add(dataset: Dataset, item: int, kind: str) -> None:
    """Put a film aside. For callbacks."""
    event = Event(kind, cards.film(dataset, item).item_id, event_id=uuid.uuid4().hex)
    visitor_ratings.append(dataset, [event])


def draw_kind(dataset: Dataset, mine: VisitorRatings, kind: str) -> None:
    """Draw the films of a kind, the latest first; each can be rated or removed, and others added by a search."""
    words, films = words_of(dataset), mine.marked(kind)
    with st.container(key="aside-add"):
        for item in own_ratings.find_films(dataset, words.say("Add a film"), f"aside {kind}"):
            is_there = item in films or item in mine.stars  # stars say more than a mark, which would replace them
            st.button(
                own_ratings.named(dataset, item) + (" · rated" if item in mine.stars else ""),
                on_click=add,
                args=(dataset, item, kind),
                disabled=is_there,
                icon=":material/check:" if is_there else ":material/add:",
                key=f"aside add {kind} {item}",
            )
    if not films:
        st.caption(words.say(EMPTY[kind]))
        return
    shown = films[: st.session_state.setdefault("mine shown", own_ratings.PAGE)]
    board.draw(
        dataset,
        [Square(item, mark=kind) for item in shown],
        key=BOARD,
        acknowledged=mine.acknowledged,
        fades=False,
        passing=False,
        label=LABELS[kind],
    )
    with st.container(horizontal=True, vertical_alignment="center", key="aside-more"):
        if len(films) > len(shown):
            own_ratings.show_more(len(films) - len(shown))
        st.download_button(
            f"Download {words.say('these films')} (Letterboxd format)",
            put_aside_csv(dataset, films),
            FILES[kind],
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            key=f"aside data {kind}",
        )
