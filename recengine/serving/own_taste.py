"""A user's taste by genre, decade and director, compared with what all users of the data like and how they rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recengine.data.dataset import Dataset

KINDS = ("genres", "decade", "director")
COMMON = 0.01
"""The share of all likes from which a label is compared also where the user has rated nothing of it."""


class Labels(NamedTuple):
    """Which items have which label: m pairs of an item and a position in `names`."""

    names: list[str]
    item_idx: NDArray[np.int64]
    label: NDArray[np.int64]


class Usual(NamedTuple):
    """What all users do: (n_items,) how many like each item, and its mean rating, NaN where nobody rated it."""

    likes: NDArray[np.int64]
    means: NDArray[np.float64]


class Group(NamedTuple):
    """What a user makes of the items of one label, and what all users do.

    items       : how many of them the user rated; `liked` and `disliked` of these
    share       : of all that the user likes, the share that has the label; `usual_share` of all users' likes
    mean        : the user's mean rating of them; `usual_mean` is that of all users on the same items; NaN without any
    """

    name: str
    items: int
    liked: int
    disliked: int
    share: float
    usual_share: float
    mean: float
    usual_mean: float


def labels_of(dataset: Dataset, kind: str) -> Labels:
    """Return the labels of all items, of a kind in `KINDS`; there are none where the data does not know them."""
    if kind == "decade":
        years = dataset.items["year"].to_numpy(np.float64, na_value=np.nan)
        texts = ["" if np.isnan(year) else f"{year // 10 * 10:.0f}s" for year in years]
    elif kind in dataset.items:
        texts = dataset.items[kind].fillna("").astype(str).tolist()
    else:
        texts = []
    rows = [(item, name) for item, text in enumerate(texts) for name in dict.fromkeys(text.split("|")) if name]
    names = sorted({name for _, name in rows})
    position = {name: number for number, name in enumerate(names)}
    pairs = np.array([(item, position[name]) for item, name in rows], np.int64).reshape(-1, 2)
    return Labels(names, pairs[:, 0], pairs[:, 1])


def usual_of(dataset: Dataset, positive: float) -> Usual:
    """Return what all users of the data do."""
    counts = dataset.ratings.item_counts
    total = np.bincount(dataset.ratings.item_idx, weights=dataset.ratings.rating, minlength=dataset.n_items)
    with np.errstate(invalid="ignore"):
        return Usual(dataset.liked_counts(positive), np.where(counts > 0, total / counts, np.nan))


def compare(
    labels: Labels,
    usual: Usual,
    item_idx: NDArray[np.int64],
    ratings: NDArray[np.float64],
    *,
    positive: float,
    negative: float,
) -> list[Group]:
    """Return a group for each label of which the user rated an item, or that is `COMMON`, in the order of the labels.

    item_idx, ratings : (n,) what the user rated, in the scale of the data
    positive, negative : the rating from which an item is liked, and the one below which it is disliked
    """
    given = np.full(len(usual.likes), np.nan)
    given[item_idx] = ratings
    rated, liked = ~np.isnan(given), given >= positive
    both = rated & ~np.isnan(usual.means)

    def sums(values: NDArray[Any]) -> NDArray[np.float64]:
        weights = values[labels.item_idx].astype(np.float64)
        return np.bincount(labels.label, weights=weights, minlength=len(labels.names)).astype(np.float64)

    with np.errstate(invalid="ignore"):
        parts = [
            sums(rated),
            sums(liked),
            sums(given < negative),
            sums(liked) / max(1, int(liked.sum())),
            sums(usual.likes) / max(1, int(usual.likes.sum())),
            sums(np.where(rated, given, 0.0)) / sums(rated),
            sums(np.where(both, usual.means, 0.0)) / sums(both),
        ]
    table = np.array(parts).T
    chosen = np.flatnonzero((table[:, 0] > 0) | (table[:, 4] >= COMMON)).tolist()
    return [Group(labels.names[row], *map(int, table[row, :3]), *table[row, 3:].tolist()) for row in chosen]
