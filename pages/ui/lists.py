"""What a model lists for a visitor, after any number of their ratings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui import visit
from pages.ui.visit import Visit
from recengine.data.dataset import Dataset
from recengine.models.base import Recommender
from recengine.serving.recommend import recommend_newcomers

SHOWN = 10
"""Films of a list."""


def lists(
    model: Recommender, dataset: Dataset, now: Visit, lengths: Sequence[int], positive: float, k: int = SHOWN
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (len(lengths), k) items after the first ratings, and which lists are popularity (nothing liked yet)."""
    among = None
    if now.passed:
        among = np.setdiff1d(np.arange(dataset.n_items), np.fromiter(now.passed, np.int64))
    if model.name == "step":
        return online_lists(model, dataset, now, lengths, positive, min(k, dataset.n_items), among)
    people_then = visit.histories(dataset, now.ratings, lengths)
    listing = recommend_newcomers(
        model, dataset, people_then, k=min(k, dataset.n_items), positive=positive, among=among
    )
    return listing.ranking.items.numpy(), listing.fallback


def online_lists(
    model: Recommender,
    dataset: Dataset,
    now: Visit,
    lengths: Sequence[int],
    positive: float,
    k: int,
    among: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what `lists` does, from a session that learned from one rating after the other.

    What is not liked is only remembered. The session goes on from where it was, as long as nothing is taken back.
    """
    from recengine.serving.sessions import OnlineSession, Taken  # brings a compiler

    rated = [(item, dataset.in_scale(stars)) for item, stars in now.ratings.items()]
    events = [Taken(item, rating, rating >= positive) for item, rating in rated]
    if list(lengths) == [len(events)]:
        held = st.session_state.get("rate session")
        if held is None or held.model is not model:
            held = st.session_state["rate session"] = OnlineSession(model)  # type: ignore[arg-type]
    else:
        held = OnlineSession(model)  # type: ignore[arg-type]
    found = []
    for length in lengths:
        held.follow(events[:length])
        found.append(held.top(k, among=among).items[0].numpy())
    return np.stack(found), np.array([not any(event.learned for event in events[:n]) for n in lengths])
