"""Histories as padded tensors, oldest first: what sequence models read."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions


class Sequences:
    """Every user's rows in time order, ready to be cut into padded batches. Padding is `n_items`, which is no item."""

    def __init__(self, interactions: Interactions) -> None:
        rows = interactions.chronological()
        self.padding = interactions.n_items
        self.counts = interactions.user_counts
        self.ends = np.cumsum(self.counts)
        self.items = torch.from_numpy(interactions.item_idx[rows].astype(np.int64))
        self.ratings = torch.from_numpy(interactions.rating[rows].copy())

    def last(self, users: ArrayLike, length: int) -> tuple[Tensor, Tensor]:
        """Return items (B, L) and ratings (B, L) of each user's last `length` rows, padded on the left."""
        users = np.atleast_1d(np.asarray(users, dtype=np.int64))
        return self.windows(users, self.ends[users], length)

    def windows(self, users: np.ndarray, ends: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """Return items and ratings (B, L) of the rows before `ends`, no further back than the user's first row."""
        length = max(1, int(min(length, self.counts[users].max(initial=1))))
        rows = torch.from_numpy(ends[:, None] - length + np.arange(length))
        inside = rows >= torch.from_numpy(self.ends[users] - self.counts[users])[:, None]
        rows = rows.clamp(min=0)
        if not len(self.items):
            return torch.full(rows.shape, self.padding), torch.zeros(rows.shape)
        return self.items[rows].masked_fill(~inside, self.padding), self.ratings[rows] * inside

    def pieces(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (users, ends) of windows that cover every row of everyone once as a target; none is of one row."""
        n_pieces = -(-np.maximum(self.counts - 1, 0) // (length - 1))
        users = np.repeat(np.arange(len(self.counts)), n_pieces)
        which = np.arange(len(users)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
        return users, self.ends[users] - which * (length - 1)
