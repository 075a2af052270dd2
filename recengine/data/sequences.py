"""Histories as padded tensors, oldest first: what sequence models read."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions

Ints = NDArray[np.int64]


class Sequences:
    """Every user's rows in time order, ready to be cut into batches, padded at the end.

    Padding is the index `n_items`, which is no item.
    """

    def __init__(self, interactions: Interactions) -> None:
        rows = interactions.chronological()
        self.padding = interactions.n_items
        self.counts = interactions.user_counts
        self.ends = np.cumsum(self.counts)
        # One row of padding at the end, so that an index past the last row is allowed.
        self.items = torch.from_numpy(np.append(interactions.item_idx[rows], self.padding).astype(np.int64))
        self.ratings = torch.from_numpy(np.append(interactions.rating[rows], 0).astype(np.float32))

    def last(self, users: ArrayLike, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return items (B, L), ratings (B, L) and lengths (B,) of each user's last `length` rows; L >= 1."""
        wanted = np.atleast_1d(np.asarray(users, dtype=np.int64))
        return self.windows(self.ends[wanted], np.minimum(self.counts[wanted], length))

    def windows(self, ends: Ints, lengths: Ints) -> tuple[Tensor, Tensor, Tensor]:
        """Return items (B, L), ratings (B, L) and lengths (B,) of the `lengths` rows before each of `ends`."""
        offset = np.arange(max(1, int(lengths.max(initial=1))))
        inside = torch.from_numpy(offset < lengths[:, None])  # (B, L)
        rows = torch.from_numpy((ends - lengths)[:, None] + offset).clamp_(max=len(self.items) - 1)
        items = self.items[rows].masked_fill(~inside, self.padding)
        return items, self.ratings[rows] * inside, torch.from_numpy(lengths)

    def pieces(self, length: int) -> tuple[Ints, Ints]:
        """Return (ends, lengths) of windows of at most `length` rows in which each row but a user's first is predicted
        from the rows before it exactly once; windows of one user overlap by one row."""
        n_pieces = -(-np.maximum(self.counts - 1, 0) // (length - 1))
        users = np.repeat(np.arange(len(self.counts)), n_pieces)
        which = np.arange(len(users)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
        skipped = which * (length - 1)
        return self.ends[users] - skipped, np.minimum(self.counts[users] - skipped, length)

    def starts(self, length: int) -> tuple[Ints, Ints]:
        """Return (ends, lengths) of the first `length` rows of each user with at least two, or all if fewer."""
        users = (self.counts > 1).nonzero()[0]
        lengths = np.minimum(self.counts[users], length)
        return self.ends[users] - self.counts[users] + lengths, lengths

    def draw_later(self, ends: Ints, lengths: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return (row, after, item), (T,) each: items that follow, soon or late, event `after` of window `row`.

        ends, lengths : (B,) of windows of `starts`. For each of the user's rows an event of the window is drawn, and
        dropped if it does not precede the row, so that every pair of an event and a later row is equally likely.
        """
        users = torch.from_numpy(np.searchsorted(self.ends, ends - 1, side="right"))
        counts = torch.from_numpy(self.counts)[users]
        row = torch.repeat_interleave(counts)  # (T,)
        position = torch.arange(len(row)) - (counts.cumsum(0) - counts)[row]  # 0, 1, ... in each user
        after = (torch.rand(len(row), generator=draws, dtype=torch.float64) * lengths[row]).long()
        item = self.items[(torch.from_numpy(self.ends)[users] - counts)[row] + position]
        kept = after < position
        return row[kept], after[kept], item[kept]


def past_tensors(rows: Interactions) -> dict[str, Tensor]:
    """Return users, items and ratings in the order of time, as a model that serves from sequences stores them."""
    kept = rows.select(rows.chronological())
    columns = {"past_user": kept.user_idx, "past_item": kept.item_idx, "past_rating": kept.rating}
    return {name: torch.from_numpy(column.copy()) for name, column in columns.items()}


def past_rows(state: dict[str, Tensor], n_users: int, n_items: int) -> tuple[Interactions, dict[str, Tensor]]:
    """Return the rows of `past_tensors`, and what else is in the state."""
    user, item, rating = (state[name].numpy() for name in ("past_user", "past_item", "past_rating"))
    rows = Interactions.from_pairs(user, item, rating=rating, n_users=n_users, n_items=n_items)
    return rows, {name: tensor for name, tensor in state.items() if not name.startswith("past_")}
