"""The filters of a list of films. Each is kept in the address, so that a filtered view is a link."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui.address import forget, recall, record
from pages.ui.words import Words, words_of
from recengine.data.dataset import Dataset
from recengine.serving import viewers

LENGTHS = (10, 20, 50)
POPULARITY = ("any", "well known", "lesser known")
_NARROWING = ("genres", "years", "popularity")
_PLAIN = re.compile(r"[\w '&-]{1,40}")  # a genre that is anything else could be Markdown, and is not offered


class Chosen(NamedTuple):
    """Values of the controls. `among` holds the items that pass, or None when nothing is filtered."""

    k: int
    unseen: bool
    among: NDArray[np.int64] | None


def hide_label(words: Words) -> str:
    """Return the label of the switch that leaves out what is in the history."""
    return f"Hide {'chosen' if words.is_implicit else 'rated'} {words.items}"


def draw(dataset: Dataset) -> Chosen:
    """Draw the heading of the list with its controls, and return their values."""
    with st.container(horizontal=True, vertical_alignment="center", key="list-head"):
        st.html('<h2 class="row-title">Recommended</h2>', width="stretch")
        recall("unseen", True, lambda text: {"yes": True, "no": False}.get(text))
        write = {True: "yes", False: "no"}.__getitem__
        st.toggle(hide_label(words_of(dataset)), key="unseen", on_change=record, args=("unseen", True, write))
        record("unseen", True, write)
        recall("k", LENGTHS[0], lambda text: next((n for n in LENGTHS if str(n) == text), None))
        st.segmented_control(
            words_of(dataset).say("Number of films"),
            LENGTHS,
            required=True,
            key="k",
            label_visibility="collapsed",
            on_change=record,
            args=("k", LENGTHS[0]),
        )
        record("k", LENGTHS[0])
    active = sum(name in st.query_params for name in _NARROWING)
    title = f"Filters · {active} on" if active else "Filters"
    with st.expander(title, icon=":material/tune:", key="filters"), st.grid(3, min_column_width=220, gap="medium"):
        keep = _by_genre(dataset) & _by_year(dataset) & _by_popularity(dataset)
    return Chosen(st.session_state["k"], st.session_state["unseen"], None if keep.all() else np.flatnonzero(keep))


def _by_genre(dataset: Dataset) -> NDArray[np.bool_]:
    names = [name for name in viewers.genre_names(dataset) if _PLAIN.fullmatch(name)]
    keep = np.ones(dataset.n_items, dtype=bool)
    if not names:
        return keep
    recall("genres", [], lambda text: [name for name in text.split("|") if name in names] or None, of_dataset=True)
    wanted = st.multiselect(
        "Genres",
        names,
        key="genres",
        placeholder="All genres",
        on_change=record,
        args=("genres", [], "|".join),
    )
    record("genres", [], "|".join)
    return np.logical_or.reduce([viewers.has_genre(dataset, name) for name in wanted]) if wanted else keep


def _by_year(dataset: Dataset) -> NDArray[np.bool_]:
    years = dataset.items["year"].to_numpy(np.float64, na_value=np.nan)
    keep = np.ones(dataset.n_items, dtype=bool)
    known = years[np.isfinite(years)]
    if not len(known) or known.min() == known.max():
        return keep
    span = (int(known.min()), int(known.max()))

    def read(text: str) -> tuple[int, int] | None:
        match = re.fullmatch(r"(\d{1,4})-(\d{1,4})", text)
        ends = (int(match[1]), int(match[2])) if match else None
        return ends if ends and span[0] <= ends[0] <= ends[1] <= span[1] else None

    def write(ends: tuple[int, int]) -> str:
        return f"{ends[0]}-{ends[1]}"

    recall("years", span, read, of_dataset=True)
    st.slider("Years", *span, key="years", on_change=record, args=("years", span, write))
    record("years", span, write)
    low, high = st.session_state["years"]
    return keep if (low, high) == span else (years >= low) & (years <= high)


def _by_popularity(dataset: Dataset) -> NDArray[np.bool_]:
    recall("popularity", POPULARITY[0], lambda text: text if text in POPULARITY else None)
    wanted = st.segmented_control(
        "Popularity",
        POPULARITY,
        required=True,
        key="popularity",
        format_func=str.capitalize,
        on_change=record,
        args=("popularity", POPULARITY[0]),
        help=words_of(dataset).say(
            "Well known: the fifth of films with the most ratings. Lesser known: the half with the fewest."
        ),
    )
    record("popularity", POPULARITY[0])
    counts = dataset.ratings.item_counts
    if wanted == "well known":
        return counts >= np.quantile(counts, 0.8)
    return counts <= np.median(counts) if wanted == "lesser known" else np.ones(dataset.n_items, dtype=bool)


def clear_button() -> None:
    """Offer to clear the filters."""
    st.button(
        "Clear filters",
        on_click=forget,
        args=(*_NARROWING, "unseen"),
        icon=":material/filter_alt_off:",
        type="primary",
    )
