"""Negative sampling: items that a user has not chosen, for many users at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recengine.data.interactions import Interactions

BITMAP_LIMIT = 2**28
"""Up to this many (user, item) cells are kept as a table of bytes; above it, pairs are searched."""


class KnownPairs:
    """Tells for many (user, item) pairs at once whether they are known positives.

    A byte table answers by one look-up; where it would be too large, one binary search over sorted pairs does.
    """

    def __init__(self, positives: Interactions, device: torch.device | str = "cpu") -> None:
        self.n_items = positives.n_items
        keys = torch.from_numpy(np.unique(positives.user_idx.astype(np.int64) * self.n_items + positives.item_idx))
        self.table: Tensor | None = None
        if positives.n_users * self.n_items <= BITMAP_LIMIT:
            self.table = torch.zeros(positives.n_users * self.n_items, dtype=torch.bool)
            self.table[keys] = True
            self.table = self.table.to(device)
        else:
            self.keys = keys.to(device)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Return (B, K) bool for users (B,) and items (G, K), each row of which is that of B / G users."""
        kind = torch.int64 if self.table is None else torch.int32  # of half the width where the table is small enough
        groups, k = items.shape
        wanted = users.to(kind).view(groups, -1, 1) * self.n_items + items.to(kind)[:, None]
        wanted = wanted.view(len(users), k)
        if self.table is not None:
            return self.table.index_select(0, wanted.flatten()).view(wanted.shape)  # half the time of [wanted]
        position = torch.searchsorted(self.keys, wanted).clamp_(max=len(self.keys) - 1)
        return self.keys[position] == wanted


class ItemSampler:
    """Draws items in proportion to their number of positives to the `power`, users aside; 0 draws uniformly."""

    def __init__(self, positives: Interactions, device: torch.device | str = "cpu", power: float = 0.0) -> None:
        self.n_items, self.device = positives.n_items, device
        weight = torch.from_numpy(positives.item_counts.astype(np.float64)) ** power
        self.reach = (weight.cumsum(0) / weight.sum()).float().to(device) if power else None

    def draw(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Return int64 item indices of that shape."""
        if self.reach is None:
            return torch.randint(self.n_items, tuple(shape), generator=generator, device=self.device)
        position = torch.rand(tuple(shape), generator=generator, device=self.device)
        return torch.searchsorted(self.reach, position, right=True).clamp_(max=self.n_items - 1)


class NegativeSampler:
    """Draws items uniformly from those that are not a user's known positives.

    No draw is rejected. With the positives p_0 < p_1 < ... of a user, the r-th item that is none of them is r plus
    the number of j with p_j - j <= r; one binary search over all users' (p_j - j) counts them.
    """

    def __init__(self, positives: Interactions) -> None:
        self.n_items = positives.n_items
        pairs = np.unique(positives.user_idx.astype(np.int64) * self.n_items + positives.item_idx)
        user, item = np.divmod(pairs, self.n_items)
        counts = np.bincount(user, minlength=positives.n_users)
        self.starts = np.cumsum(counts) - counts
        self.free = self.n_items - counts
        self.keys = user * (self.n_items + 1) + item - (np.arange(len(pairs)) - self.starts[user])

    def draw(self, users: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (B, n) item indices, drawn with replacement; -1 throughout for a user who has every item."""
        users = np.asarray(users, dtype=np.int64)  # 32 bits would not hold the keys of a large index space
        free = self.free[users][:, None]
        rank = (rng.random((len(users), n)) * free).astype(np.int64)  # which of the free items
        key = users[:, None] * (self.n_items + 1) + rank
        skipped = np.searchsorted(self.keys, key, side="right") - self.starts[users][:, None]
        return np.where(free > 0, rank + skipped, -1)
