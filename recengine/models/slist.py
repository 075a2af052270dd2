"""SLIST: an item-item model that learns what is chosen next from what came before, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.models.linear import EASEConfig, ItemItem, gram_matrix
from recengine.training.config import option, preset

LONGEST = 4096
"""Latest rows of a person that are learned from: bounds the weights between any two of them, (LONGEST, LONGEST)."""


@dataclass(frozen=True)
class SLISTConfig(EASEConfig):
    """Settings of `slist`."""

    l2: float = preset(EASEConfig, "l2", 300.0)
    recency_half_life: float | Literal["auto"] | None = preset(EASEConfig, "recency_half_life", 2.0)
    set_weight: float = option(
        0.1, "share of the whole set, order aside, beside that of what came next; 1 is EASE", low=0, high=1
    )


class SLIST(ItemItem):
    """Session-aware linear item-item model: ridge regression of the next item on the history before it.

    min (1 - a) |Y - HB|^2 + a |X - XB|^2 + l2 |B|^2 with a zero diagonal, where each row of Y is one event, the same
    row of H the weights by recency of all events of the person before it, X the people's whole sets, and `a` the
    `set_weight`. Learning weighs a history as serving does (Choi, Kim, Lee, Shim & Lee, WWW 2021, who decay by the
    distance of two events and cap the diagonal; here the diagonal is zero, as in EASE, and the target is one event).
    """

    name = "slist"
    summary = "Like EASE, but learned in order: predicts what is chosen next from the latest films; exact reasons."
    reference = "Choi et al., Session-aware linear item-item models for session-based recommendation, WWW 2021"
    Config = SLISTConfig
    ordered = True
    matrices = 6

    def weights(self, train: Interactions, items: pd.DataFrame | None, device: torch.device) -> Tensor:
        config = self.config
        left, right = (part.to(device) * (1 - config.set_weight) for part in self._transitions(train))
        whole = config.set_weight * gram_matrix(train, device)
        left += whole
        right += whole
        left.diagonal().add_(config.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(left))
        weights = inverse @ right
        weights -= inverse * (weights.diagonal() / inverse.diagonal())
        return weights.fill_diagonal_(0)

    def _transitions(self, train: Interactions) -> tuple[Tensor, Tensor]:
        """Return (H'H, H'Y), each (n_items, n_items): sums over the people of their items' weights for each other.

        Two items of a person meet with a weight that only their ages decide, so that H, with its row for each
        event, is never written down: everybody takes the first rows and columns of the same two tables.
        """
        rows = train.chronological()
        longest = min(LONGEST, int(train.user_counts.max(initial=0)))
        ages = np.arange(longest)
        ahead = ages[:, None] - 1 - ages[None, :]  # age of an event when another, of a lesser age, is next
        recency = self.config.recency(ahead.clip(min=0))
        before_next = torch.from_numpy(np.where(ahead >= 0, recency, 0).astype(np.float32))
        together = before_next @ before_next.T
        left, right = torch.zeros(2, self.n_items**2)
        item = torch.from_numpy(train.item_idx[rows].astype(np.int64))
        for end, count in zip(np.cumsum(train.user_counts), train.user_counts, strict=True):
            n = min(int(count), longest)
            latest = item[end - n : end].flip(0)
            place = (latest[:, None] * self.n_items + latest).view(-1)
            left.scatter_add_(0, place, together[:n, :n].reshape(-1))
            right.scatter_add_(0, place, before_next[:n, :n].reshape(-1))
        return left.view(self.n_items, -1), right.view(self.n_items, -1)
