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
ROUNDS, SAMPLE = 40, 6_000
"""Rounds of k-means, and points that it looks at; the others belong to the centre that is nearest."""
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
    """One island: its name, which is text from data, its items, and where its middle is.

    Where no term distinguishes it, it is named after its best-known item.

    examples : the items that have the first term of the name; both they and the items are sorted, best known first
    """

    name: str
    items: NDArray[np.int64]
    centre: tuple[float, float]
    examples: NDArray[np.int64]


def islands(here: ItemMap, dataset: Dataset) -> list[Island]:
    """Return the islands of a map, the largest first."""
    known = here.known
    points = here.positions[known].astype(np.float64)
    k = int(np.clip(len(known) // PER_ISLAND, FEWEST, MOST))
    member = kmeans(points, min(k, len(np.unique(points, axis=0))))
    order = np.argsort(-np.bincount(member), kind="stable")
    terms = _Terms.of(dataset.items.iloc[known])
    named = names(terms, member)
    by_fame = np.argsort(-dataset.ratings.item_counts[known], kind="stable")
    groups = []
    for island in order:
        inside = by_fame[member[by_fame] == island]
        centre = np.median(points[inside], axis=0)
        typical = inside
        if named[island]:
            name = " · ".join([terms.names[named[island][0]], *(terms.names[i].lower() for i in named[island][1:])])
            name, typical = name[:1].upper() + name[1:], inside[np.isin(inside, terms.rows_of(named[island][0]))]
        else:
            name = f"Around {dataset.films[known[inside[0]]][1]}"
        groups.append(Island(name, known[inside], (float(centre[0]), float(centre[1])), known[typical]))
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

    Lloyd's algorithm from the seeds of k-means++ (Arthur & Vassilvitskii, SODA 2007), on a sample of many points.
    """
    random = np.random.default_rng(seed)
    sample = points if len(points) <= SAMPLE else points[random.choice(len(points), SAMPLE, replace=False)]
    centres = sample[random.integers(len(sample))][None]
    while len(centres) < k:
        distance = _squares(sample, centres).min(1)
        total = distance.sum()
        chosen = random.choice(len(sample), p=distance / total) if total > 0 else random.integers(len(sample))
        centres = np.vstack([centres, sample[chosen]])
    member = np.full(len(sample), -1)
    for _ in range(ROUNDS):
        before, member = member, _squares(sample, centres).argmin(1)
        if (before == member).all():
            break
        count = np.bincount(member, minlength=k)
        sums = np.stack([np.bincount(member, column, minlength=k) for column in sample.T], 1)
        centres = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], centres)
    return _squares(points, centres).argmin(1)


def _squares(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, k) squared distances."""
    return np.stack([np.square(points - centre).sum(1) for centre in centres], 1)


def names(terms: _Terms, member: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Return which one or two terms name each group of items, `member` (n,): those over-represented in it the most.

    The evidence is the log-odds of an item of the group having the term against all other items, with an informative
    prior, in standard errors (Monroe, Colaresi & Quinn, Fightin' words, Political Analysis 2008). A name is given once,
    to the group with the most evidence for it; where nothing stands out there is none.
    """
    size = np.bincount(member)
    chosen: list[tuple[int, ...]] = [()] * len(size)
    if not terms.names:
        return chosen
    width = len(terms.names)
    pairs = member[terms.row] * width + terms.term
    has = np.bincount(pairs, minlength=len(size) * width).reshape(len(size), width).astype(np.float64)
    evidence = log_odds(has, size)
    evidence[has < COMMON * size[:, None]] = -np.inf
    evidence[:, has.sum(0) < RARE] = -np.inf
    for group in np.argsort(-evidence.max(1), kind="stable"):
        best = [i for i in np.argsort(-evidence[group], kind="stable")[:6].tolist() if evidence[group, i] > SURE]
        strong = [i for i in best[1:] if evidence[group, i] > SECOND * evidence[group, best[0]]]
        options: list[tuple[int, ...]] = [] if not best or strong else [(best[0],)]
        options += [(best[0], second) for second in (strong or best[1:])]
        taken = [set(name) for name in chosen]
        chosen[group] = next((option for option in options if set(option) not in taken), ())
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


class _Terms(NamedTuple):
    """What is known of some items: the terms, and each pair of a row and a term that it has, as two arrays."""

    names: list[str]
    row: NDArray[np.int64]
    term: NDArray[np.int64]

    @classmethod
    def of(cls, items: pd.DataFrame) -> _Terms:
        """Return the terms of an item table."""
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
        return cls(list(index), table[:, 0], table[:, 1])

    def rows_of(self, term: int) -> NDArray[np.int64]:
        """Return the rows that have a term."""
        return self.row[self.term == term]
