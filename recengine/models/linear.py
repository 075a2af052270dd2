"""Models whose score is a history times an item-item weight matrix: item-kNN and EASE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import coordinates
from recengine.models.base import Recommender
from recengine.training.config import Config, RunConfig, option
from recengine.training.loop import OnEpoch

MEMORY_LIMIT = 8 * 2**30
"""Largest item-item matrix that is attempted, in bytes."""


class ItemItem(Recommender):
    """Base: score(u, i) = sum over u's history h of weight[h, i]; subclasses fill the weights.

    The score splits over the history by construction, so these models fold new people in and explain exactly.
    """

    family = "collaborative"

    def weights(self, gram: Tensor) -> Tensor:
        """Return the (n_items, n_items) weights from the co-occurrence counts, X'X."""
        raise TypeError(f"{type(self).__name__} must define weights")

    def fit(
        self,
        train: Interactions,
        *,
        valid: Interactions | None = None,
        items: pd.DataFrame | None = None,
        run: RunConfig = RunConfig(),  # noqa: B008 - frozen
        on_epoch: OnEpoch | None = None,
    ) -> Self:
        self.n_users, self.n_items = train.n_users, train.n_items
        needed = 4 * self.n_items**2
        if needed > MEMORY_LIMIT:
            raise BadInput(
                f"model {self.name!r} needs {needed / 2**30:.1f} GiB for its {self.n_items:,} x {self.n_items:,} "
                "weights, more than the limit of 8 GiB; choose 'mf', or drop rare items with --min-item"
            )
        self.history_rows = train
        self.item_weights = self.weights(_gram(train, run.torch_device())).cpu()
        return self

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = np.atleast_1d(np.asarray(user_idx, dtype=np.int64))
        return history_matrix(self.history_rows, users) @ self.item_weights

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of people known only by these rows."""
        return history_matrix(histories, np.arange(histories.n_users)) @ self.item_weights

    def explain(self, history: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each history item adds to each target's score."""
        past = torch.as_tensor(np.asarray(history, dtype=np.int64))
        return self.item_weights[past][:, torch.as_tensor(np.asarray(item_idx, dtype=np.int64))].T

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return the weights that each seed gives to all items."""
        return self.item_weights[item_idx]

    def state(self) -> dict[str, Tensor]:
        rows = self.history_rows
        return {
            "item_weights": self.item_weights,
            "history_user": torch.from_numpy(rows.user_idx.copy()),
            "history_item": torch.from_numpy(rows.item_idx.copy()),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        self.item_weights = state["item_weights"]
        self.history_rows = Interactions.from_pairs(
            state["history_user"].numpy(),
            state["history_item"].numpy(),
            n_users=self.n_users,
            n_items=self.n_items,
        )


@dataclass(frozen=True)
class ItemKNNConfig(Config):
    """Settings of `item-knn`."""

    neighbours: int = option(50, "nearest items kept for each item", low=1, high=100_000)
    shrink: float = option(3.0, "added to the denominator, so that rare pairs count less", low=0, high=10_000)


class ItemKNN(ItemItem):
    """Nearest neighbours by the shrunk cosine of who liked both (Deshpande & Karypis, TOIS 2004)."""

    name = "item-knn"
    summary = "Films liked by the same people, by shrunk cosine."
    reference = "Deshpande & Karypis, Item-based top-N recommendation algorithms, TOIS 2004"
    Config = ItemKNNConfig

    def weights(self, gram: Tensor) -> Tensor:
        norm = gram.diagonal().sqrt()
        cosine = gram / (norm[:, None] * norm[None, :] + self.config.shrink).clamp(min=1e-12)
        cosine.fill_diagonal_(0)
        k = min(self.config.neighbours, self.n_items)
        best = cosine.topk(k, dim=1)
        kept = torch.zeros_like(cosine).scatter_(1, best.indices, best.values)
        return kept.T.contiguous()  # column i holds the neighbours of i, so history @ weights scores i


@dataclass(frozen=True)
class EASEConfig(Config):
    """Settings of `ease`."""

    l2: float = option(
        200.0, "ridge penalty on the weights; larger trusts the data less", low=0, high=1e7, open_low=True
    )


class EASE(ItemItem):
    """Embarrassingly shallow autoencoder: ridge regression of each item on all others, in closed form.

    B = I - P / diag(P) with P = (X'X + l2 I)^-1 and a zero diagonal (Steck, WWW 2019).
    """

    name = "ease"
    summary = "Predicts each film from all others by ridge regression; exact reasons, seconds to fit."
    reference = "Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019"
    Config = EASEConfig

    def weights(self, gram: Tensor) -> Tensor:
        gram.diagonal().add_(self.config.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse / -inverse.diagonal()
        weights.fill_diagonal_(0)
        return weights


def history_matrix(histories: Interactions, users: ArrayLike) -> Tensor:
    """Return (B, n_items) float32 with a 1 where a user has an interaction."""
    place, item = coordinates(histories, users)
    matrix = torch.zeros(len(np.atleast_1d(np.asarray(users))), histories.n_items)
    matrix[place, item] = 1.0
    return matrix


def _gram(interactions: Interactions, device: torch.device, batch: int = 4096) -> Tensor:
    """Return X'X (n_items, n_items) float32, users taken in batches so that X is never dense as a whole."""
    gram = torch.zeros(interactions.n_items, interactions.n_items, device=device)
    for users in np.array_split(np.arange(interactions.n_users), max(1, -(-interactions.n_users // batch))):
        rows = history_matrix(interactions, users).to(device)
        gram.addmm_(rows.T, rows)
    return gram
