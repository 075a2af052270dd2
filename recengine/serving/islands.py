"""Islands: groups of items that lie together on a map, named by what distinguishes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine.data.dataset import Dataset
from recengine.serving.item_map import ItemMap

COLUMNS = ("genres", "keywords", "tags", "director")
"""Columns of the item table that names are taken from, each a list joined by `|`; and the decade."""
HEADER = ("item_id", "title", "x", "y", "island")
PER_ISLAND, FEWEST, MOST = 90, 2, 14
"""Items per island as far as there are neither fewer nor more islands than this."""
ROUNDS = 40
RARE = 4
"""Items that a term needs before an island can be named by it."""
PRIOR = 10.0
"""Items that are added to each island with the terms that all items have, so that few items prove little."""
SURE = 3.0
"""Standard errors by which a name must be more common on its island than elsewhere."""
SECOND = 0.4
"""Share of the first term's evidence that a second one needs to stand in the name too."""
COMMON = 1 / 3
"""Share of an island's items that must have a term before it is named by it."""


class Island(NamedTuple):
    """One island: its items, best known first, where its middle is, and its name, which is text from data.

    Where no term distinguishes it, it is named after its best-known item.
    """

    name: str
    items: NDArray[np.int64]
    centre: tuple[float, float]


def islands(here: ItemMap, dataset: Dataset) -> list[Island]:
    """Return the islands of a map, the largest first."""
    known = here.known
    points = here.positions[known].astype(np.float64)
    k = int(np.clip(len(known) // PER_ISLAND, FEWEST, MOST))
    member = kmeans(points, min(k, len(np.unique(points, axis=0))))
    order = np.argsort(-np.bincount(member), kind="stable")
    named = names(dataset.items.iloc[known], member)
    popularity = dataset.ratings.item_counts
    groups = []
    for island in order:
        items = known[member == island]
        centre = np.median(here.positions[items], axis=0)
        items = items[np.argsort(-popularity[items], kind="stable")]
        name = named[island] or f"Around {dataset.films[items[0]][1]}"
        groups.append(Island(name, items, (float(centre[0]), float(centre[1]))))
    return groups


def rows(here: ItemMap, groups: Sequence[Island], dataset: Dataset) -> list[tuple[str, str, float, float, str]]:
    """Return the items of a map in the columns of `HEADER`, in the order of their ids."""
    of_item = {int(item): island.name for island in groups for item in island.items}
    positions = here.positions.astype(np.float64).round(4).tolist()
    return [
        (str(dataset.item_ids[item]), dataset.films[item][1], *positions[item], of_item[item])
        for item in here.known.tolist()
    ]


def kmeans(points: NDArray[np.float64], k: int, seed: int = 0) -> NDArray[np.int64]:
    """Return (n,) to which of k groups each of the points (n, D) belongs.

    Lloyd's algorithm from the seeds of k-means++ (Arthur & Vassilvitskii, SODA 2007): n k D for each round.
    """
    random = np.random.default_rng(seed)
    centres = points[random.integers(len(points))][None]
    while len(centres) < k:
        distance = _squares(points, centres).min(1)
        total = distance.sum()
        chosen = random.choice(len(points), p=distance / total) if total > 0 else random.integers(len(points))
        centres = np.vstack([centres, points[chosen]])
    member = np.full(len(points), -1)
    for _ in range(ROUNDS):
        before, member = member, _squares(points, centres).argmin(1)
        if (before == member).all():
            break
        count = np.bincount(member, minlength=k)
        total = np.stack([np.bincount(member, column, minlength=k) for column in points.T], 1)
        centres = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], centres)
    return member


def _squares(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, k) squared distances."""
    return np.stack([np.square(points - centre).sum(1) for centre in centres], 1)


def names(items: pd.DataFrame, member: NDArray[np.int64]) -> list[str]:
    """Return a name for each group of items, `member` (n,): the terms that are most over-represented in it.

    The evidence is the log-odds of an item of the group having the term against all other items, with an informative
    prior, in standard errors (Monroe, Colaresi & Quinn, Fightin' words, Political Analysis 2008). A name is given once,
    to the group with the most evidence for it; where nothing stands out it is "".
    """
    size = np.bincount(member)
    terms, row, term = _terms(items)
    if not terms:
        return [""] * len(size)
    pairs = member[row] * len(terms) + term
    has = np.bincount(pairs, minlength=len(size) * len(terms)).reshape(len(size), -1).astype(np.float64)
    evidence = log_odds(has, size)
    evidence[has < COMMON * size[:, None]] = -np.inf
    evidence[:, has.sum(0) < RARE] = -np.inf
    chosen = [""] * len(size)
    taken: set[str] = set()
    for group in np.argsort(-evidence.max(1), kind="stable"):
        best = [index for index in np.argsort(-evidence[group], kind="stable")[:6] if evidence[group, index] > SURE]
        if not best:
            continue
        first, rest = best[0], [i for i in best[1:] if evidence[group, i] > SECOND * evidence[group, best[0]]]
        options = [terms[first]] if not rest else []
        options += [f"{terms[first]} · {terms[second].lower()}" for second in (rest or best[1:])]
        name = next((option for option in options if option not in taken), None)
        if name is not None:
            taken.add(name)
            chosen[group] = name[:1].upper() + name[1:]
    return chosen


def log_odds(has: NDArray[np.float64], size: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (k, T) how surely a term is more common in a group than outside it, in standard errors.

    has : (k, T) items of each group that have each term; size : (k,) items of each group
    """
    of_all = has.sum(0) / size.sum()
    inside, outside = has + PRIOR * of_all, has.sum(0) - has + PRIOR * of_all
    without_inside = size[:, None] + PRIOR - inside
    without_outside = (size.sum() - size)[:, None] + PRIOR - outside
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(inside / without_inside) - np.log(outside / without_outside)
        z = ratio / np.sqrt(1 / inside + 1 / outside)
    return np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)


def _terms(items: pd.DataFrame) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the terms of some items, and each pair of a row and a term that it has, as two arrays of indices."""
    index: dict[str, int] = {}
    pairs: set[tuple[int, int]] = set()
    for column in (name for name in COLUMNS if name in items):
        for row, text in enumerate(items[column].fillna("").astype(str)):
            for word in filter(None, text.split("|")):
                pairs.add((row, index.setdefault(word, len(index))))
    years = items["year"].to_numpy(np.float64, na_value=np.nan)
    for row, year in enumerate(years.tolist()):
        if year == year:
            pairs.add((row, index.setdefault(f"{int(year) // 10 * 10}s", len(index))))
    table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return list(index), table[:, 0], table[:, 1]
