"""Films to rate: six well-known ones of different kinds, or the matches of a search; and tastes to borrow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.ui import board, caches, messages, visitor_ratings
from pages.ui.board import Square
from pages.ui.visitor_ratings import VisitorRatings
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.serving import viewers
from recengine.serving.event_log import Event, rated

BOARD = "board-hand"
DEALT = 6
"""Films offered to rate at once."""
WELL_KNOWN = 60
"""Most-rated films among which those to rate are chosen."""
MORE = 18
"""Matches of a search that are shown once more are asked for."""
PERSONAS = 5


def dealt(dataset: Dataset, acted: set[int], gone: set[int], hand: Sequence[int] = ()) -> list[int]:
    """Return a full hand: films to rate in place of those of `hand` that were acted on, the well-known first.

    Each genre comes once before any comes twice; what is in `gone` does not come in.
    """
    counts = np.argsort(-dataset.ratings.item_counts, kind="stable")
    known = [int(item) for item in counts if int(item) not in {*acted, *gone, *hand}][:WELL_KNOWN]
    kind = {item: dataset.films[item][3].partition("|")[0] for item in (*known, *hand)}
    full = [item if item not in acted else -1 for item in hand] or [-1] * DEALT
    for index, item in enumerate(full):
        if item < 0 and known:
            there = {kind[other] for other in full if other >= 0}
            full[index] = next((film for film in known if kind[film] not in there), known[0])
            known.remove(full[index])
    return [item for item in full if item >= 0]


def _offer(dataset: Dataset, mine: VisitorRatings) -> list[int]:
    """Return the films that are offered: those of last time, with others for those acted on since."""
    state = st.session_state
    acted = {event.item_idx for event in mine.standing}
    hand: list[int] = state.get("rate hand", [])
    if not hand or acted & set(hand):
        offered: set[int] = state.setdefault("rate offered", set())
        gone = offered | set(state.get("rate shown", []))
        state["rate hand"] = hand = dealt(dataset, acted, gone, hand)
        offered.update(hand)
    return hand


def show_others() -> None:
    """Offer other films, and not the matches of a search. For callbacks."""
    state = st.session_state
    state["rate query"] = ""
    state.setdefault("rate hands", []).append(state.pop("rate hand"))


def show_earlier() -> None:
    """Offer the films again that were offered before. For callbacks."""
    st.session_state["rate hand"] = st.session_state["rate hands"].pop()


def clear_search(events: Sequence[Event]) -> None:
    """Empty the search after a rating, so that the next title can be typed at once; before the search is drawn."""
    if any(event.kind == "rate" for event in events) and st.session_state.get("rate query"):
        st.session_state["rate query"] = ""


def draw(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the search, and its matches or the films that are offered."""
    words, state = words_of(dataset), st.session_state
    title = "Mark what you like" if words.is_implicit else "Rate more" if mine.stars else words.say("Rate a few films")
    hand = _offer(dataset, mine)
    with st.container(horizontal=True, vertical_alignment="center", key="rate-head", gap="xsmall"):
        st.html(f'<h2 class="row-title">{title}</h2>', width="stretch")
        if state.get("rate hands"):
            st.button("Back", on_click=show_earlier, icon=":material/arrow_back:", key="rate-back")
        st.button("Show others", on_click=show_others, icon=":material/casino:", key="rate-deal")
    query = st.text_input(
        words.say("Find a film to rate"),
        type="search",
        live="200ms",
        placeholder="A title, as you remember it",
        key="rate query",
        label_visibility="collapsed",
    )
    more = 0
    if query:
        limit = MORE if state.get("rate more") == query else DEALT
        matches = caches.title_search(dataset).find(query, limit=limit)
        hand, more = matches.films, 0 if matches.nearest else min(MORE, matches.total) - len(matches.films)
        messages.search_note(query, matches)
    aside = {event.item_idx: event.kind for event in mine.standing if event.kind != "rate"}
    squares = [Square(item, stars=mine.stars.get(item, 0.0), mark=aside.get(item, "")) for item in hand]
    board.draw(
        dataset,
        squares,
        key=BOARD,
        acknowledged=mine.acknowledged,
        passing=bool(query),
        label="Films to rate",
        layout="hand",
    )
    if more:
        st.button(
            f"Show {more} more",
            on_click=lambda: state.update({"rate more": query}),
            icon=":material/expand_more:",
            key="rate-more",
        )


@messages.toast_errors
def start_as(dataset: Dataset, persona: viewers.Persona) -> None:
    """Add what a persona liked and disliked most to the visitor's ratings. For callbacks."""
    past = viewers.sitting_of(dataset, persona.user_idx)
    low, high = dataset.rating_range
    stars = past.ratings if high <= 5 else 0.5 + 4.5 * (past.ratings - low) / (high - low)
    chosen = list(zip(dataset.item_ids[past.items].tolist(), stars.tolist(), strict=True))
    events = [rated(str(item), round(2 * value) / 2, source="persona") for item, value in reversed(chosen)]
    visitor_ratings.append(dataset, events)


def draw_personas(dataset: Dataset, positive: float) -> None:
    """Offer personas to a visitor without ratings."""
    words = words_of(dataset)
    st.html('<h2 class="row-title">Or borrow a taste</h2>')
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="viewers"):
        for persona in caches.personas(dataset, positive)[:PERSONAS]:
            count = len(viewers.sitting_of(dataset, persona.user_idx).items)
            st.button(
                persona.title,
                on_click=start_as,
                args=(dataset, persona),
                help=f"Adds {count} {words.ratings} from this {words.viewer}: {persona.why}",
                key=f"persona {persona.user_idx}",
            )
