"""Films that a visitor has put aside: the watchlist, what they have seen, and what does not interest them."""

from __future__ import annotations

import streamlit as st

from pages.ui import cards, messages, visitor_ratings
from pages.ui.escape import markdown
from pages.ui.visitor_ratings import VisitorRatings
from recengine.data.dataset import Dataset

LABELS = {"watchlist": "Watchlist", "seen": "Seen, not rated", "pass": "Not interested"}
"""Kinds of acts that put a film aside, and what the app calls them."""
LISTED = 100
"""Films shown of a kind, the latest first."""


@messages.toast_errors
def remove(dataset: Dataset, mine: VisitorRatings, kind: str) -> None:
    """Take back the marks of the films that are chosen. For callbacks."""
    chosen = set(st.session_state.get(f"rate marks {kind}") or [])
    visitor_ratings.take_back(dataset, [e for e in mine.standing if e.item_idx in chosen and e.kind == kind])


def draw(dataset: Dataset, mine: VisitorRatings) -> None:
    """Draw the films put aside, each of which can be removed; nothing where there are none."""
    films = {kind: mine.marked(kind) for kind in LABELS}
    counts = {kind: len(items) for kind, items in films.items() if items}
    if not counts:
        return
    title = " · ".join(f"{LABELS[kind]} {count:,}" for kind, count in counts.items())
    with st.expander(title, icon=":material/bookmark:", key="marks"):
        kind = next(iter(counts))
        if len(counts) > 1:
            kind = st.segmented_control(
                "Films put aside",
                list(counts),
                format_func=LABELS.__getitem__,
                default=kind,
                required=True,
                label_visibility="collapsed",
                key="rate marks",
            )
        shown = films[kind][:LISTED]
        st.pills(
            "Choose films to remove from it",
            shown,
            format_func=lambda item: markdown(cards.named(cards.film(dataset, item))),
            selection_mode="multi",
            key=f"rate marks {kind}",
        )
        st.button(
            "Remove",
            on_click=remove,
            args=(dataset, mine, kind),
            disabled=not st.session_state.get(f"rate marks {kind}"),
            icon=":material/bookmark_remove:",
            key="marks-remove",
        )
        if counts[kind] > LISTED:
            st.caption(f"The latest {LISTED} of {counts[kind]:,}.")
