"""What a model lists for a visitor, after any number of their ratings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray

from pages.ui import only_from
from pages.ui.steering import chosen_steering
from pages.ui.visitor_ratings import VisitorRatings
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.evaluation.policy import Scored
from recengine.metrics import mask_scores, tie_salts, top_k
from recengine.models.abilities import SupportsSession
from recengine.models.base import Recommender
from recengine.serving.event_log import Event
from recengine.serving.recommend import scored_new
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
    result = scored(model, dataset, mine, lengths, positive)
    return ranked(result, as_histories(dataset, mine.events, lengths, positive), positive, k, steering), result.fallback


def steered_lists(
    model: Recommender, dataset: Dataset, mine: VisitorRatings, lengths: Sequence[int], positive: float, k: int = SHOWN
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what `lists` does, as the visitor steers it, of the films that they hold it to."""
    among, histories = only_from.chosen(dataset, mine), as_histories(dataset, mine.events, lengths, positive)
    result = scored(model, dataset, mine, lengths, positive, among)
    return ranked(result, histories, positive, k, chosen_steering(dataset, positive)), result.fallback


def scored(
    model: Recommender,
    dataset: Dataset,
    mine: VisitorRatings,
    lengths: Sequence[int],
    positive: float,
    among: NDArray[np.int64] | None = None,
) -> Scored:
    """Return the scores (len(lengths), n_items) after the first ratings; films that are rated or put aside have none.

    among : the only films that are ranked
    """
    histories = as_histories(dataset, mine.events, lengths, positive)
    passed, seen = (marks_of(mine.marked(kind), histories) for kind in ("pass", "seen"))
    if isinstance(model, SupportsSession):
        hidden = histories.concat(passed).concat(seen)
        return _session_scores(model, dataset, mine, lengths, positive, hidden, among)
    return scored_new(model, dataset, histories, positive=positive, among=among, passed=passed, seen=seen)


def ranked(
    result: Scored, histories: Interactions, positive: float, k: int, steering: Steering | None
) -> NDArray[np.int64]:
    """Return the best k items of each row, (rows, k), steered if asked, and -1 where fewer are left."""
    scores = result.scores if steering is None else steering.rerank(result.scores, histories.at_least(positive))
    return top_k(scores, min(k, scores.shape[1]), result.salts).items.numpy()


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


def _session_scores(
    model: SupportsSession,
    dataset: Dataset,
    mine: VisitorRatings,
    lengths: Sequence[int],
    positive: float,
    hidden: Interactions,
    among: NDArray[np.int64] | None,
) -> Scored:
    """Return what `scored` does, from a session that learns from one rating after the other.

    The visitor's session goes on from where it was, as long as nothing is taken back.
    """
    from recengine.serving.sessions import OnlineSession  # brings a compiler

    events, session = mine.events, st.session_state.get("rate session")
    is_current = list(lengths) == [len(events)]
    if not is_current or session is None or session.model is not model or session.positive != positive:
        session = OnlineSession(model, positive=positive, in_scale=partial(dataset.in_scale, positive=positive))
    if is_current:
        st.session_state["rate session"] = session
    liked = np.array([dataset.in_scale(event.stars or 0.0, positive) >= positive for event in events], bool)
    fallback = np.array([not liked[:length].any() for length in lengths])
    scores = torch.from_numpy(dataset.liked_counts(positive).astype(np.float32)).repeat(len(lengths), 1)
    for row in np.flatnonzero(~fallback).tolist():
        session.follow(events[: lengths[row]])
        scores[row] = session.scores(passed=mine.marked("pass"))[0]
    users = np.arange(len(lengths))
    return Scored(mask_scores(scores, users, seen=hidden, among=among), fallback, tie_salts(hidden, users))
