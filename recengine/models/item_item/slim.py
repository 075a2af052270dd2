"""SLIM: sparse, non-negative item-item weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.base import FitContext
from recengine.models.item_item.linear import ItemItem
from recengine.models.item_item.sparse import Links, footprint, in_threads, is_large
from recengine.models.options import shared
from recengine.models.recency import TwoSidedConfig
from recengine.training.config import Range, option
from recengine.training.progress import OnStep

CHUNK = 2**18
"""Room for the weights of the columns that a thread fits in one call, so that no column depends on the chunk."""
LINKS = 200
"""Weights that an item of a large catalogue has on average, as far as memory is concerned."""


@dataclass(frozen=True)
class SLIMConfig(TwoSidedConfig):
    """Settings of `slim`."""

    l2: float = shared("l2", 100.0, open_low=True, search=Range(10, 2000, log=True))
    l1: float = option(
        1.0, "penalty that sets small weights to zero", low=0, high=1e6, search=Range(0.05, 20, log=True), primary=1
    )


class SLIM(ItemItem[SLIMConfig]):
    """Sparse, non-negative item-item weights: EASE's ridge with an L1 penalty.

    min |X - XB|^2 / 2 + l2 |B|^2 / 2 + l1 |B|_1 with B >= 0 and a zero diagonal (Ning & Karypis, ICDM 2011), by
    coordinate descent (Friedman, Hastie & Tibshirani, JSS 2010). The columns of B do not depend on each other: as
    many threads as torch uses fit them, and the weights are the same with any number.
    """

    name = "slim"
    title = "SLIM"
    version = 3
    summary = "Like EASE, but with few links between films, all positive: reasons that are easy to read."
    reference = "Ning & Karypis, SLIM: sparse linear methods for top-N recommender systems, ICDM 2011"
    Config = SLIMConfig
    matrices = 2

    def weights(self, train: Interactions, context: FitContext) -> Tensor:
        return self.links(train, context.on_step).dense(torch.arange(self.n_items))

    def links(self, train: Interactions, on_step: OnStep) -> Links:
        from recengine.models.item_item.slim_kernel import fit_columns  # importing numba takes half a second

        n = self.n_items
        pairs = np.unique(train.user_idx.astype(np.int64) * n + train.item_idx)
        user, item = (part.astype(np.int32) for part in np.divmod(pairs, n))
        by_item = np.argsort(item, kind="stable")
        matrix = _ends(item, n), user[by_item], _ends(user, train.n_users), item

        def fit(columns: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
            ends, room = np.zeros(len(columns), np.int64), len(columns) * n
            rows, values = np.empty(room, np.int32), np.empty(room, np.float32)
            fit_columns(*matrix, float(self.config.l2), float(self.config.l1), columns, ends, rows, values)
            size = ends[-1] if len(ends) else 0
            column = np.repeat(columns.astype(np.int32), np.diff(ends, prepend=0))
            return column, rows[:size].copy(), values[:size].copy()

        chunks = np.array_split(np.arange(n), max(1, -(-n * n // CHUNK)))
        fitted = in_threads(fit, chunks, on_step)
        column, row, value = (np.concatenate(parts) for parts in zip(*fitted, strict=True))
        return Links.of(row, column, value, n)

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        if not is_large(n_items):
            return super().footprint(n_users, n_items, n_rows)
        return {"": footprint(n_items, n_rows, LINKS)}


def _ends(index: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Return (n + 1,): where the rows of each index below n begin, and after them where the last ones end."""
    return np.append(0, np.bincount(index, minlength=n).cumsum())
