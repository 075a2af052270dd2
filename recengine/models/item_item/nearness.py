"""How near other items are to a dislike: 1 for the nearest and for its whole series, and soon 0."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recengine.models.item_item.linear import rows_of
from recengine.models.item_item.sparse import Links

LEAST_STRENGTH = 0.02
"""Weights between items that are smaller are not blown up to full size."""
POWER = 2.0
"""Of the nearness to a dislike: what is only a little like it hardly loses."""
NUMBERS_AT_ONCE = 2**25
"""Numbers of the nearness to all items that are held at once."""


class Nearness:
    """near(h, i) = (max(B[h, i], 0) / max_j B[h, j])^2 of item-item weights B, and 1 within a series.

    weights : (n, n), dense or sparse; what is near in sparse weights is as sparse, and so made once
    series  : (n,) the number of each item's series, -1 where it stands alone
    """

    def __init__(self, weights: Tensor | Links, series: Tensor) -> None:
        self.series = series
        self.table = _of_links(weights, series) if isinstance(weights, Links) else weights

    def rows(self, row: Tensor) -> Tensor:
        """Return (B, n): how near each item is to those of some rows of the weights."""
        if isinstance(self.table, Links):
            return self.table.dense(row)
        weights = rows_of(self.table, row).clamp(min=0)
        near = (weights / weights.amax(1, keepdim=True).clamp(min=LEAST_STRENGTH)) ** POWER
        series = self.series[row][:, None]
        return torch.where((series == self.series) & (series >= 0), 1.0, near)

    def sums(self, row: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
        """Return (B, n): for each of B bags the sum of its rows (m,), times their weights (m,), many of which are 0.

        starts : (B,) where each bag begins
        """
        if isinstance(self.table, Links):
            return self.table.sums(row, starts, weight)
        total = torch.zeros(len(starts), len(self.series))
        bag = torch.repeat_interleave(torch.diff(starts, append=torch.tensor([len(row)])))
        for some in weight.nonzero()[:, 0].split(max(1, NUMBERS_AT_ONCE // max(1, len(self.series)))):
            total.index_add_(0, bag[some], self.rows(row[some]) * weight[some, None])
        return total


def _of_links(weights: Links, series: Tensor) -> Links:
    row, column = weights.row, weights.columns.long()
    value = weights.values.clamp(min=0)
    largest = torch.zeros(weights.n).scatter_reduce_(0, row, value, "amax").clamp(min=LEAST_STRENGTH)
    near = (value / largest[row]) ** POWER
    kept = (near > 0) & ((series[row] != series[column]) | (series[row] < 0))
    first, second = _pairs(series.numpy())
    return Links.of(
        np.concatenate([row[kept].numpy(), first]),
        np.concatenate([column[kept].numpy(), second]),
        np.concatenate([near[kept].numpy(), np.ones(len(first), np.float32)]),
        weights.n,
    )


def _pairs(series: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both items, (m,) each, of all ordered pairs of one series, an item with itself included."""
    order = np.argsort(series, kind="stable")
    order = order[series[order] >= 0]
    members = np.split(order, np.flatnonzero(np.diff(series[order])) + 1)
    first, second = (np.concatenate([way(m, len(m)) for m in members]) for way in (np.repeat, np.tile))
    return first, second
