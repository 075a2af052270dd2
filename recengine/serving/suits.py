"""Which model suits one user: each ranks ratings of theirs that were hidden from it, and all are compared on the same.

The user's ratings are dealt into five folds, again and again; each fold is hidden once while a model is given the rest,
as a new user's. Two figures follow: how often a liked item comes back among the first ten, and of a liked and another
item that were hidden together, how often the liked one scores higher, which is the area under the ROC curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.evaluation.intervals import (
    LEAST_USERS,
    SHARE,
    Interval,
    difference_interval,
    mean_interval,
    pairs_interval,
    student,
)
from recengine.metrics import top_k
from recengine.models.base import Recommender
from recengine.serving.recommend import scored_new

FOLDS, REPEATS = 5, 8
LEAST_OF_A_KIND = 5
"""Liked items, and others, that it takes to compare models by pairs of them."""


class Trial(NamedTuple):
    """What a model did with the ratings that were hidden from it: m liked items, n others.

    hits     : (m,) in what share of the repeats the first ten held the liked item
    order    : (m, n) in what share of the repeats that hid both the liked item scored higher, ties half; NaN for a pair
               that no repeat hid together
    fallback : in what share of the lists popularity stood in
    """

    hits: NDArray[np.float64]
    order: NDArray[np.float64]
    fallback: float

    @property
    def hit_rate(self) -> Interval:
        """Return the mean of `hits`; fewer than `LEAST_USERS` liked items have no interval."""
        return mean_interval(self.hits, within=SHARE)

    @property
    def pairs(self) -> Interval:
        """Return the mean of `order` with its interval; NaN where too few items are of a kind."""
        m, n = self.order.shape
        if min(m, n) < LEAST_OF_A_KIND:
            return Interval(math.nan)
        return pairs_interval(float(np.nanmean(self.order)), m, n)

    def value(self, figure: str) -> float:
        """Return one of the two figures."""
        return self.pairs.value if figure == "pairs" else self.hit_rate.value


class Verdict(NamedTuple):
    """Which model did best, by which figure (`pairs` or `hits`), and whether it is better than every other for sure."""

    best: str
    figure: str
    is_sure: bool
    rivals: tuple[str, ...]
    """Models that may be as good."""


def deal(liked: NDArray[np.bool_], *, folds: int = FOLDS, repeats: int = REPEATS, seed: int = 0) -> NDArray[np.int64]:
    """Return (repeats, n) folds of a user's n ratings, of which liked and other ones are dealt evenly, each apart."""
    rng = np.random.default_rng(seed)
    dealt = np.empty((repeats, len(liked)), np.int64)
    for row in dealt:
        for kind in (liked, ~liked):
            row[kind] = rng.permutation(np.arange(kind.sum()) + rng.integers(folds)) % folds
    return dealt


def try_out(
    model: Recommender,
    dataset: Dataset,
    history: Interactions,
    *,
    positive: float,
    passed: Interactions | None = None,
    seen: Interactions | None = None,
    k: int = 10,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Trial:
    """Return how a model ranks hidden ratings of a new user, whose others it is given.

    history : all that the user rated, as user 0; `passed` and `seen` as `recommend_new` takes them, of user 0
    """
    items, liked = history.item_idx, history.rating >= positive
    hits = np.zeros(int(liked.sum()))
    won, met = np.zeros((2, int(liked.sum()), int((~liked).sum())))
    fell_back = 0
    everything = _copies(history, folds)
    aside = [None if rows is None else _copies(rows, folds) for rows in (passed, seen)]
    for dealt in deal(liked, folds=folds, repeats=repeats, seed=seed):
        given = everything.select(np.concatenate([dealt != fold for fold in range(folds)]))
        scored = scored_new(model, dataset, given, positive=positive, passed=aside[0], seen=aside[1])
        lists = top_k(scored.scores, min(k, dataset.n_items), scored.salts).items.numpy()
        fell_back += int(scored.fallback.sum())
        for fold in range(folds):
            hidden = dealt == fold
            mine, others = hidden[liked], hidden[~liked]
            hits[mine] += np.isin(items[hidden & liked], lists[fold])
            high = scored.scores[fold][torch.from_numpy(items[hidden & liked].astype(np.int64))][:, None]
            low = scored.scores[fold][torch.from_numpy(items[hidden & ~liked].astype(np.int64))]
            cells = np.ix_(mine, others)
            won[cells] += ((high > low).double() + (high == low).double() / 2).numpy()
            met[cells] += 1
    with np.errstate(invalid="ignore"):
        return Trial(hits / repeats, np.where(met > 0, won / met, np.nan), fell_back / (folds * repeats))


def can_tell(liked: int, others: int) -> bool:
    """Return whether ratings suffice to compare models at all."""
    return min(liked, others) >= LEAST_OF_A_KIND or liked >= LEAST_USERS


def pairs_difference(one: Trial, other: Trial, level: float = 0.95) -> Interval:
    """Return how much more often `one` orders a pair rightly, with the interval for two areas of the same items.

    The variance is DeLong's (Biometrics 1988): that of the rows' means by m, and of the columns' means by n. Student's
    factor at the smaller of the two keeps few items from looking like many.
    """
    difference = one.order - other.order
    m, n = difference.shape
    rows, columns = np.nanmean(difference, axis=1), np.nanmean(difference, axis=0)
    error = math.sqrt(float(rows.var(ddof=1)) / m + float(columns.var(ddof=1)) / n)
    mean, half = float(np.nanmean(difference)), student(level, min(m, n) - 1) * error
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half))


def verdict(trials: Mapping[str, Trial]) -> Verdict | None:
    """Return which model did best; None where the ratings are too few to compare them, or there is nothing to compare.

    The best is sure where its interval against each of the others leaves zero out, by pairs or by hits, whichever there
    are ratings enough for; with both, each interval is the wider one that keeps the two together at 95 %. Of equal
    models, chance makes one stand out like this in at most 5 % of the cases.
    """
    m, n = next(iter(trials.values())).order.shape if trials else (0, 0)
    figures = [*(["pairs"] if min(m, n) >= LEAST_OF_A_KIND else []), *(["hits"] if m >= LEAST_USERS else [])]
    if len(trials) < 2 or not figures:
        return None
    verdicts = [_by(trials, figure, 1 - 0.05 / len(figures)) for figure in figures]
    return next((one for one in verdicts if one.is_sure), verdicts[0])


def _by(trials: Mapping[str, Trial], figure: str, level: float) -> Verdict:
    """Return the verdict by one figure."""
    best = max(trials, key=lambda name: trials[name].value(figure))
    one, rivals = trials[best], []
    for name, other in trials.items():
        if figure == "pairs":
            difference = pairs_difference(one, other, level)
        else:
            difference = difference_interval(one.hits - other.hits, level)
        if name != best and not difference.low > 0:
            rivals.append(name)
    return Verdict(best, figure, not rivals, tuple(rivals))


def _copies(rows: Interactions, n_users: int) -> Interactions:
    """Return the rows of user 0 once for each of some users, one user after the other."""
    return Interactions.from_pairs(
        np.repeat(np.arange(n_users), len(rows)),
        np.tile(rows.item_idx, n_users),
        n_users=n_users,
        n_items=rows.n_items,
        rating=np.tile(rows.rating, n_users),
        timestamp=np.tile(rows.timestamp, n_users),
    )
