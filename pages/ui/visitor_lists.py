"""What a model lists for a visitor, after any number of their ratings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.ui.steering import chosen_steering
from pages.ui.visitor_ratings import VisitorRatings
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.metrics import top_k
from recengine.models.abilities import SupportsSession
from recengine.models.base import Recommender
from recengine.serving.event_log import Event
from recengine.serving.recommend import most_popular, recommend_new
from recengine.serving.steering import Steering

SHOWN = 10
"""Films of a list."""


def lists(
    model: Recommender,
    dataset: Dataset,
    mine: VisitorRatings,
    lengths: Sequence[int],
    positive: float,
    k: int = SHOWN,
    steering: Steering | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (len(lengths), k) items after the first ratings, and which lists are popularity (nothing liked yet)."""
    k = min(k, dataset.n_items)
    passed, seen = mine.marked("pass"), mine.marked("seen")
    if isinstance(model, SupportsSession):
        return _session_lists(model, dataset, mine.events, lengths, positive, k, passed, seen, steering)
    histories = as_histories(dataset, mine.events, lengths, positive)
    aside = marks_of(passed, histories), marks_of(seen, histories)
    listing = recommend_new(
        model, dataset, histories, k=k, positive=positive, passed=aside[0], seen=aside[1], steering=steering
    )
    return listing.ranking.items.numpy(), listing.fallback


def steered_lists(
    model: Recommender, dataset: Dataset, mine: VisitorRatings, lengths: Sequence[int], positive: float, k: int = SHOWN
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what `lists` does, as the visitor steers it."""
    return lists(model, dataset, mine, lengths, positive, k, chosen_steering(dataset, positive))


def marks_of(items: Sequence[int], histories: Interactions) -> Interactions:
    """Return these items as rows of each user of `histories`."""
    n_users, n_items = histories.n_users, histories.n_items
    users = np.repeat(np.arange(n_users), len(items))
    return Interactions.from_pairs(users, list(items) * n_users, n_users=n_users, n_items=n_items)


def as_histories(
    dataset: Dataset, events: Sequence[Event], lengths: Sequence[int], positive: float = 0.0
) -> Interactions:
    """Return the first ratings of a visitor as the histories of users 0, 1, ...: one user for each length.

    They have no times: in what order films are rated or imported says nothing about when they were watched.
    """
    order = np.concatenate([np.arange(n) for n in lengths]).astype(np.int64)
    return Interactions.from_pairs(
        np.repeat(np.arange(len(lengths)), lengths),
        np.array([event.item_idx for event in events], np.int64)[order],
        n_users=len(lengths),
        n_items=dataset.n_items,
        rating=np.array([dataset.in_scale(event.stars or 0.0, positive) for event in events], np.float64)[order],
        timestamp=np.zeros(len(order)),
    )


def _session_lists(
    model: SupportsSession,
    dataset: Dataset,
    events: Sequence[Event],
    lengths: Sequence[int],
    positive: float,
    k: int,
    passed: Sequence[int],
    seen: Sequence[int],
    steering: Steering | None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what `lists` does, from a session that learns from one rating after the other.

    The visitor's session goes on from where it was, as long as nothing is taken back.
    """
    from recengine.serving.sessions import OnlineSession  # brings a compiler

    session = st.session_state.get("rate session")
    is_current = list(lengths) == [len(events)]
    if not is_current or session is None or session.model is not model or session.positive != positive:
        session = OnlineSession(model, positive=positive, in_scale=partial(dataset.in_scale, positive=positive))
    if is_current:
        st.session_state["rate session"] = session
    liked = np.array([dataset.in_scale(event.stars or 0.0, positive) >= positive for event in events], bool)
    fallback = np.array([not liked[:length].any() for length in lengths])
    histories = as_histories(dataset, events, lengths, positive)
    unseen = np.setdiff1d(np.arange(dataset.n_items), seen) if seen else None
    gone = histories.concat(marks_of(passed, histories))
    popular = most_popular(dataset, gone, k=k, positive=positive, among=unseen)
    items = popular.ranking.items.numpy().copy()
    for row in np.flatnonzero(~fallback).tolist():
        session.follow(events[: lengths[row]])
        if steering is None:
            items[row] = session.top(k, among=unseen, passed=passed).items[0].numpy()
        else:
            likes = histories.of_users([row]).at_least(positive)
            items[row] = top_k(steering.rerank(session.scores(among=unseen, passed=passed), likes), k).items[0].numpy()
    return items, fallback
