"""What this visitor has rated here: every act is kept before anything is drawn, and the rest follows from the acts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from pages.ui.board import Act
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions


class Visit(NamedTuple):
    """The state of a visitor on a data set.

    ratings : item index -> stars, in the order in which they were given; a film that is rated again moves to the end
    passed  : films put aside
    """

    ratings: dict[int, float]
    passed: set[int]


def replay(acts: Sequence[Act]) -> Visit:
    """Return the state that acts lead to; an undo takes back the last act on its film that still stands."""
    standing: list[Act] = []
    for act in acts:
        if act.kind != "undo":
            standing.append(act)
            continue
        last = next(
            (place for place in range(len(standing) - 1, -1, -1) if standing[place].item_idx == act.item_idx), None
        )
        if last is not None:
            del standing[last]
    ratings: dict[int, float] = {}
    passed: set[int] = set()
    for act in standing:
        ratings.pop(act.item_idx, None)
        passed.discard(act.item_idx)
        if act.kind == "rate":
            ratings[act.item_idx] = act.stars
        else:
            passed.add(act.item_idx)
    return Visit(ratings, passed)


def act(kind: str, item_idx: int, stars: float = 0.0) -> Act:
    """Return an act of our own making."""
    return Act(uuid.uuid4().hex, kind, item_idx, stars)


def now(dataset: Dataset) -> Visit:
    """Return the state of this visitor on a data set."""
    return replay(acts(dataset))


def acts(dataset: Dataset) -> list[Act]:
    """Return all that this visitor did on a data set, oldest first."""
    return st.session_state.setdefault(f"acts {dataset.fingerprint}", [])


def take(dataset: Dataset, done: Sequence[Act]) -> None:
    """Keep acts; one that is kept already changes nothing."""
    kept = acts(dataset)
    known = {act.id for act in kept}
    kept += [act for act in done if act.id not in known]


def in_scale(dataset: Dataset, stars: float) -> float:
    """Return stars from 0.5 to 5 in the scale of the data."""
    low, high = dataset.rating_range
    if high <= 5:
        return float(np.clip(stars, low, high))
    return low + (stars - 0.5) / 4.5 * (high - low)


def histories(dataset: Dataset, ratings: dict[int, float], lengths: Sequence[int]) -> Interactions:
    """Return the first ratings of the visitor as those of people 0, 1, ...: one for each length."""
    items, stars = list(ratings), [in_scale(dataset, value) for value in ratings.values()]
    person = np.repeat(np.arange(len(lengths)), lengths)
    place = np.concatenate([np.arange(n) for n in lengths]).astype(np.int64) if lengths else np.empty(0, np.int64)
    return Interactions.from_pairs(
        person,
        np.asarray(items, np.int64)[place],
        n_users=len(lengths),
        n_items=dataset.n_items,
        rating=np.asarray(stars, np.float64)[place],
        timestamp=place,
    )
