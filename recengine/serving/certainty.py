"""How sure: whether an item stays in the list on half of a user's ratings, and what its rating would lie between."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import top_k
from recengine.models.abilities import PredictsStars
from recengine.models.base import Recommender, as_indices, check_k
from recengine.serving.recommend import recommend_new, scored_new

HALVES = 200
"""Random halves that a probability is the share of; its standard error is .035 at most."""
ROWS_AT_ONCE = 2**15
"""Ratings that are scored at once."""


class Sure(NamedTuple):
    """A listed item, and the probability that it would be listed on half of the user's ratings."""

    item_idx: int
    probability: float


class Predicted(NamedTuple):
    """The rating that a user would give an item; four of five such ratings lie between `low` and `high`."""

    item_idx: int
    rating: float
    low: float
    high: float


def predicted_stars(model: Recommender, history: Interactions, items: ArrayLike) -> list[Predicted]:
    """Return what one user, known or new, would rate some items, from all that the user rated.

    It is empty for a model that does not predict ratings with intervals, or learned from events, which are none.
    """
    if not isinstance(model, PredictsStars) or model.scale[0] == model.scale[1]:
        return []
    wanted = as_indices(items)
    columns = (part[0, torch.from_numpy(wanted)].tolist() for part in model.stars(history))
    return [Predicted(*row) for row in zip(wanted.tolist(), *columns, strict=True)]


@torch.inference_mode()
def how_sure(
    model: Recommender,
    dataset: Dataset,
    history: Interactions,
    *,
    k: int = 10,
    positive: float = 4.0,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
    seed: int = 0,
) -> list[Sure]:
    """Return the first k of a new user's list, each with the share of `HALVES` random halves that list it.

    passed, seen : what else the user is not listed, as `recommend_new` takes it; it is no rating, and so never halved

    Raises BadInput for fewer than two ratings, and for a model without fold-in.
    """
    listing = recommend_new(model, dataset, history, k=k, positive=positive, passed=passed, seen=seen)
    listed = listing.ranking.items[0]
    listed = listed[listed >= 0]
    lists = lists_on_halves(
        model, dataset, history, HALVES, k=k, positive=positive, passed=passed, seen=seen, seed=seed
    )
    shares = (lists[:, None] == listed[:, None]).any(2).double().mean(0)  # (HALVES, k, k) before
    return [Sure(item, share) for item, share in zip(listed.tolist(), shares.tolist(), strict=True)]


@torch.inference_mode()
def lists_on_halves(
    model: Recommender,
    dataset: Dataset,
    history: Interactions,
    n: int,
    *,
    k: int = 10,
    positive: float = 4.0,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
    seed: int = 0,
) -> Tensor:
    """Return (n, k) items: the lists of new users who gave a random half of one user's ratings.

    A half has n // 2 of n ratings, drawn without replacement. What the user rated is hidden, whichever half it is in.
    """
    check_k(k, dataset.n_items)
    if len(history) < 2:
        raise BadInput("ratings", len(history), "two or more", problem="cannot be halved")
    rng = np.random.default_rng(seed)
    half = len(history) // 2
    unrated = np.setdiff1d(np.arange(dataset.n_items), history.item_idx)
    lists, at_once = [], max(1, ROWS_AT_ONCE // half)
    for start in range(0, n, at_once):
        size = min(at_once, n - start)
        row = np.concatenate([np.sort(rng.permutation(len(history))[:half]) for _ in range(size)])
        halves = Interactions.from_pairs(
            np.repeat(np.arange(size), half),
            history.item_idx[row],
            rating=history.rating[row],
            timestamp=history.timestamp[row],
            n_users=size,
            n_items=history.n_items,
        )
        everyone = np.zeros(size, np.int64)
        aside = [None if rows is None else rows.of_users(everyone) for rows in (passed, seen)]
        scored = scored_new(model, dataset, halves, positive=positive, among=unrated, passed=aside[0], seen=aside[1])
        lists.append(top_k(scored.scores, k, scored.salts).items)
    return torch.cat(lists)
