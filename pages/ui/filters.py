"""The filters of a list of films. Each is kept in the address, so that a filtered view is a link."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import people
from pages.ui.text import markdown
from recengine.data.dataset import Dataset

POPULARITY = ("Any", "Well known", "Lesser known")
_KEYS = ("genres", "years", "popularity")


class Chosen(NamedTuple):
    """What the controls say. `among` holds the items that pass, or None when nothing is filtered."""

    k: int
    unseen: bool
    among: NDArray[np.int64] | None


def draw(dataset: Dataset) -> Chosen:
    """Draw the heading of the list with its controls, and return what they say."""
    with st.container(horizontal=True, vertical_alignment="center", key="list-head"):
        st.html('<h2 class="row-title">Recommended</h2>', width="stretch")
        unseen = st.toggle("Hide what they have rated", value=True, key="unseen", bind="query-params")
        k = st.segmented_control(
            "Films", [10, 20, 50], default=10, required=True, key="k", bind="query-params",
            label_visibility="collapsed",
        )
    with st.expander("Filters", icon=":material/tune:", key="filters"):
        keep = _narrow(dataset)
    return Chosen(int(k or 10), bool(unseen), None if keep.all() else np.flatnonzero(keep))


def _narrow(dataset: Dataset) -> NDArray[np.bool_]:
    """Draw genre, year and popularity filters; return which items pass."""
    keep = np.ones(dataset.n_items, dtype=bool)
    names = people.genre_names(dataset)
    years = dataset.items["year"].to_numpy(np.float64, na_value=np.nan)
    with st.grid(3, min_column_width=220, gap="medium"):
        if names:
            wanted = st.multiselect(
                "Genres", names, format_func=markdown, key="genres", bind="query-params", placeholder="All genres"
            )
            if wanted:
                keep &= np.logical_or.reduce([people.has_genre(dataset, name) for name in wanted])
        if np.isfinite(years).any():
            first, last = int(np.nanmin(years)), int(np.nanmax(years))
            if first < last:
                low, high = st.slider("Years", first, last, (first, last), key="years", bind="query-params")
                if (low, high) != (first, last):
                    keep &= (years >= low) & (years <= high)
        fame = st.segmented_control(
            "Popularity", POPULARITY, default="Any", required=True, key="popularity", bind="query-params",
            help="Well known: the fifth of the films with the most ratings. Lesser known: the half with the fewest.",
        )
        counts = dataset.ratings.item_counts
        if fame == "Well known":
            keep &= counts >= np.quantile(counts, 0.8)
        elif fame == "Lesser known":
            keep &= counts <= np.median(counts)
    return keep


def clear_button() -> None:
    """Draw the way out of filters that hide everything."""
    st.button("Clear the filters", on_click=_clear, icon=":material/filter_alt_off:", type="primary")


def _clear() -> None:
    for key in _KEYS:
        st.session_state.pop(key, None)
    st.session_state["unseen"] = True
