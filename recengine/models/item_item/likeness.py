"""What the item table says of items, and how alike two are: from 0 to 1, on one scale for all items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recengine.data.interactions import Interactions
from recengine.data.titles import foreign, series_of
from recengine.models.metadata import (
    COLUMNS,
    dense_rows,
    metadata_table,
    regressed,
    shortened,
    sparse_rows,
    term_matrix,
)

SHARES = {"genres": 0.25, "keywords": 0.7, "tags": 0.3, "director": 0.3}
"""What the cosine of a column counts, before all are divided by their sum: keywords are chosen, tags happen."""
FEW_TERMS = 50.0
"""Added to the squared length of the tags of an item, so that a film with one tag is not taken for all that has it."""
YEARS, YEARS_APART = 0.2, 30.0
"""What being of one year counts with them, and the years apart at which it counts e times less."""
SERIES = 0.7
"""What being of one series adds."""
HALF_EVIDENCE, MOST_EVIDENCE = 8.0, 0.5
"""Ratings of an item at which its users count half as much as they can; and the most that they count."""
SHRINK, CHANCE, SPREAD = 2.0, 0.3, 0.8
"""Users: what is added to the denominator of a cosine; the part of what chance would give that is taken off; and the
power that spreads what is left over the scale."""
MOST_USERS = 4096
"""Users of an item whose ratings are counted: a film that 80,000 have rated is as like another by these."""


class Traits(NamedTuple):
    """What is known of items, as vectors whose products compare them.

    genres  : (n_items, G) unit vectors of the genres
    content : (n_items, F): the product of h and i is what a ridge regression of a user's likes on what the items are
              says of i where only h is liked, and 0 for an average item
    shared  : (n_items, D), sparse: what two items share but for their years and series, from 0 to 1
    year    : (n_items,), NaN where unknown; year_weight : () what the same year counts
    series  : (n_items,) its number, -1 where an item stands alone
    abroad  : (n_items, 1 + G) unit vectors of items whose titles show that they come from abroad: half of it that they
              do, half their genres; 0 for all others
    """

    genres: Tensor
    content: Tensor
    shared: Tensor
    year: Tensor
    year_weight: Tensor
    series: Tensor
    abroad: Tensor

    @classmethod
    def of(cls, items: pd.DataFrame | None, n_items: int, rated: Tensor) -> Traits:
        """Read the item table; the regression learns from the `rated` items, (n_items,) bool."""
        items = pd.DataFrame(index=range(n_items)) if items is None else items
        titles = items["title"].astype(str).tolist() if "title" in items else [""] * n_items
        others = items["other_title"].fillna("").astype(str).tolist() if "other_title" in items else [""] * n_items
        series = torch.from_numpy(series_of(titles, others))
        terms = {name: term_matrix(items[[name]]) for name in SHARES if name in items}
        total = sum(SHARES[name] for name in terms) + YEARS
        blocks = [_shortened(name, vectors) * (SHARES[name] / total) ** 0.5 for name, vectors in terms.items()]
        none = sparse_rows(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (n_items, 1))
        genres = normalize(terms.get("genres", none).to_dense(), dim=1, eps=1e-12)
        abroad = torch.from_numpy(foreign(titles, others))[:, None].float()
        year = np.full(n_items, np.nan) if "year" not in items else items["year"].to_numpy(np.float64, na_value=np.nan)
        return cls(
            genres=genres,
            content=regressed(metadata_table(items, COLUMNS, n_items), rated),
            shared=torch.cat([*blocks, none], dim=1).coalesce(),
            year=torch.from_numpy(year.astype(np.float32)),
            year_weight=torch.tensor(YEARS / total),
            series=series,
            abroad=normalize(torch.cat([abroad, abroad * genres], dim=1), dim=1, eps=1e-12),
        )

    def likeness(self, item_idx: Tensor) -> Tensor:
        """Return (B, n_items) from 0 to 1: how much of what is known of the given items each other one shares."""
        apart = (self.year[item_idx][:, None] - self.year).abs()
        near = torch.exp(-apart / YEARS_APART).nan_to_num(0.0)
        series = self.series[item_idx][:, None]
        of_series = SERIES * ((series == self.series) & (series >= 0))
        shared = torch.sparse.mm(self.shared, dense_rows(self.shared, item_idx).T).T
        return (shared + of_series + self.year_weight * near).clamp(0, 1)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors by name, of which none is sparse."""
        dense = {name: table for name, table in self._asdict().items() if name != "shared"}
        return dense | {"shared_at": self.shared.indices(), "shared": self.shared.values()}

    @classmethod
    def restore(cls, state: dict[str, Tensor]) -> Traits:
        """Take the tensors of `state` back."""
        at, values = state["shared_at"], state["shared"]
        shape = len(state["series"]), int(at[1].max()) + 1 if len(values) else 1
        tables = {name: state[name] for name in cls._fields}
        return cls(**tables | {"shared": sparse_rows(at, values, shape)})


def _shortened(name: str, terms: Tensor) -> Tensor:
    """Return the terms (n_items, D) of a column as vectors of at most unit length; of genres all weigh the same."""
    if name == "genres":
        return shortened(sparse_rows(terms.indices(), (terms.values() > 0).float(), tuple(terms.shape)))
    return shortened(terms, FEW_TERMS if name == "tags" else 1e-9)


def likeness_by_users(ratings: Interactions, like: float, liked: Tensor, item_idx: Tensor) -> Tensor:
    """Return (B, n_items) from 0 to 1, by who rated and who liked both: by how much of a cosine is no chance.

    like : least rating of a like; liked : (n_items,) how many like each item. Of the users of an item, `MOST_USERS`
    spread over all of them stand for the others.
    """
    rated = torch.from_numpy(ratings.item_counts.astype(np.float32))
    alike = torch.zeros(len(item_idx), ratings.n_items)
    for row, item in enumerate(item_idx.tolist()):
        rows = np.flatnonzero(ratings.item_idx == item)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_USERS)).astype(np.int64)]
        theirs, likes = ratings.of_users(ratings.user_idx[rows]), ratings.rating[rows] >= like
        both_like = theirs.select(likes[theirs.user_idx] & (theirs.rating >= like))
        for both, counts, n in ((theirs, rated, len(rows)), (both_like, liked, int(likes.sum()))):
            common = torch.from_numpy(both.item_counts.astype(np.float32)) * (counts[item] / max(1, n))
            product = counts[item] * counts
            beyond_chance = common - CHANCE * product / max(1, ratings.n_users)
            alike[row] += (beyond_chance / (product.sqrt() + SHRINK)).clamp(min=0)
    return (alike / 2) ** SPREAD


def trust(n_ratings: Tensor) -> Tensor:
    """Return how much of a likeness is by users, from 0 to 1, where what items are counts the rest."""
    return MOST_EVIDENCE * n_ratings / (n_ratings + HALF_EVIDENCE)
