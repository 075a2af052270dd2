"""Models whose score is a history times an item-item weight matrix: item-kNN and EASE."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import coordinates
from recengine.models.base import Given, Recommender
from recengine.training.config import Config, Range, option

MEMORY_LIMIT = 8 * 2**30
"""Largest item-item matrix that is attempted, in bytes."""


@dataclass(frozen=True)
class HistoryConfig(Config):
    """Settings of every model that scores from a history."""

    recency_half_life: float | None = option(
        None,
        "events of the person's own after which a past item counts half as much more; empty: all count the same",
        low=0,
        high=10_000,
        open_low=True,
        search=(None, 1, 2, 3, 5, 10, 20),
    )
    recency_floor: float = option(
        0.15,
        "weight that even the oldest item keeps, beside 1 for recency",
        low=0,
        high=10,
        search=Range(0.02, 0.5, log=True),
    )


def recency_of_age(age: NDArray[np.int64], half_life: float | None, floor: float) -> NDArray[np.float32]:
    """Return floor + 2^(-age / half_life), the weight of an event that `age` later ones of the person follow."""
    if half_life is None:
        return np.ones(len(age), np.float32)
    return (floor + 0.5 ** (age / half_life)).astype(np.float32)


def recency_weights(histories: Interactions, half_life: float | None, floor: float) -> NDArray[np.float32]:
    """Return the weight of each row (n,), by how many events of the same person came later."""
    if half_life is None:
        return np.ones(len(histories), np.float32)
    order = histories.chronological()
    age = np.empty(len(order), np.int64)
    age[order] = np.cumsum(histories.user_counts)[histories.user_idx[order]] - 1 - np.arange(len(order))
    return recency_of_age(age, half_life, floor)


class ItemItem(Recommender):
    """Base: score(u, i) = sum over u's history h of recency(h) * weight[h, i]; subclasses fill the weights.

    The score splits over the history by construction, so these models fold new people in and explain exactly.
    """

    family = "collaborative"

    @abstractmethod
    def weights(self, train: Interactions, items: pd.DataFrame | None, device: torch.device) -> Tensor:
        """Return the (n_items, n_items) weights learned from the interactions, or from the item table."""

    def learn(self, train: Interactions, given: Given) -> None:
        needed = 4 * self.n_items**2
        if needed > MEMORY_LIMIT:
            raise BadInput(
                f"model {self.name!r} needs {needed / 2**30:.1f} GiB for its {self.n_items:,} x {self.n_items:,} "
                "weights, more than the limit of 8 GiB; choose 'mf', or drop rare items with --min-item"
            )
        self.past = train.select(train.chronological())
        self.item_weights = self.weights(train, given.items, given.run.torch_device()).cpu().contiguous()

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self._scores(self.past, user_idx)

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of people known only by these rows."""
        return self._scores(histories, np.arange(histories.n_users))

    def explain(self, history: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each item of a history, oldest first, adds to each score."""
        past = torch.as_tensor(np.asarray(history, dtype=np.int64))
        age = np.arange(len(past))[::-1]
        weights = self.item_weights[past][:, torch.as_tensor(np.asarray(item_idx, dtype=np.int64))]
        recency = recency_of_age(age, self.config.recency_half_life, self.config.recency_floor)
        return (weights * torch.from_numpy(recency)[:, None]).T

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return the weights that each seed gives to all items."""
        return self.item_weights[item_idx]

    def _scores(self, histories: Interactions, users: ArrayLike) -> Tensor:
        """Return (B, n_items): each user's rows of the weights, times their recency, added up.

        Histories are short beside the catalogue: adding up their rows costs a small part of a dense product.
        """
        config = self.config
        place, rows = histories.rows_of(users)
        recency = recency_weights(histories, config.recency_half_life, config.recency_floor)
        n_users = len(np.atleast_1d(np.asarray(users)))
        starts = np.searchsorted(place, np.arange(n_users))
        return embedding_bag(
            torch.from_numpy(histories.item_idx[rows].astype(np.int64)),
            self.item_weights,
            torch.from_numpy(starts),
            mode="sum",
            per_sample_weights=torch.from_numpy(recency[rows]),
        )

    def state(self) -> dict[str, Tensor]:
        return {
            "item_weights": self.item_weights,
            "past_user": torch.from_numpy(self.past.user_idx.copy()),
            "past_item": torch.from_numpy(self.past.item_idx.copy()),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        self.item_weights = state["item_weights"]
        self.past = Interactions.from_pairs(
            state["past_user"].numpy(), state["past_item"].numpy(), n_users=self.n_users, n_items=self.n_items
        )


@dataclass(frozen=True)
class ItemKNNConfig(HistoryConfig):
    """Settings of `item-knn`."""

    neighbours: int = option(
        50, "nearest items kept for each item", low=1, high=100_000, search=Range(10, 500, log=True)
    )
    shrink: float = option(
        3.0,
        "added to the denominator, so that rare pairs count less",
        low=0,
        high=10_000,
        search=Range(0.5, 200, log=True),
    )


class ItemKNN(ItemItem):
    """Nearest neighbours by the shrunk cosine of who liked both (Deshpande & Karypis, TOIS 2004)."""

    name = "item-knn"
    summary = "Films liked by the same people, by shrunk cosine."
    reference = "Deshpande & Karypis, Item-based top-N recommendation algorithms, TOIS 2004"
    Config = ItemKNNConfig

    def weights(self, train: Interactions, items: pd.DataFrame | None, device: torch.device) -> Tensor:
        gram = gram_matrix(train, device)
        norm = gram.diagonal().sqrt()
        cosine = gram / (norm[:, None] * norm[None, :] + self.config.shrink).clamp(min=1e-12)
        cosine.fill_diagonal_(0)
        k = min(self.config.neighbours, self.n_items)
        best = cosine.topk(k, dim=1)
        kept = torch.zeros_like(cosine).scatter_(1, best.indices, best.values)
        return kept.T  # column i holds the neighbours of i, so that a history's rows add up to the score of i

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return each seed's shrunk cosine to its own neighbours, 0 to all others."""
        return self.item_weights.T[item_idx]


@dataclass(frozen=True)
class EASEConfig(HistoryConfig):
    """Settings of `ease`."""

    l2: float = option(
        100.0,
        "ridge penalty on the weights; larger trusts the data less",
        low=0,
        high=1e7,
        open_low=True,
        search=Range(10, 2000, log=True),
    )


class EASE(ItemItem):
    """Embarrassingly shallow autoencoder: ridge regression of each item on all others, in closed form.

    B = I - P / diag(P) with P = (X'X + l2 I)^-1 and a zero diagonal (Steck, WWW 2019).
    """

    name = "ease"
    summary = "Predicts each film from all others by ridge regression; exact reasons, seconds to fit."
    reference = "Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019"
    Config = EASEConfig

    def weights(self, train: Interactions, items: pd.DataFrame | None, device: torch.device) -> Tensor:
        gram = gram_matrix(train, device)
        gram.diagonal().add_(self.config.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = inverse / -inverse.diagonal()
        weights.fill_diagonal_(0)
        return weights


@dataclass(frozen=True)
class SLIMConfig(HistoryConfig):
    """Settings of `slim`."""

    l2: float = option(
        100.0, "ridge penalty on the weights", low=0, high=1e7, open_low=True, search=Range(10, 2000, log=True)
    )
    l1: float = option(
        1.0, "penalty that sets small weights to zero", low=0, high=1e6, search=Range(0.05, 20, log=True)
    )
    iterations: int = option(30, "rounds of the alternating solution", low=1, high=1000)


class SLIM(ItemItem):
    """Sparse, non-negative item-item weights: EASE's ridge with an L1 penalty, solved by ADMM.

    min |X - XB|^2 / 2 + l2 |B|^2 / 2 + l1 |B|_1 with B >= 0 and a zero diagonal (Ning & Karypis, ICDM 2011;
    the alternation of Steck, Dimakopoulou, Riabov & Jebara, WSDM 2020).
    """

    name = "slim"
    summary = "Like EASE, but few and non-negative weights: reasons that are easy to read."
    reference = "Steck et al., ADMM SLIM: sparse recommendations for many users, WSDM 2020"
    Config = SLIMConfig

    def weights(self, train: Interactions, items: pd.DataFrame | None, device: torch.device) -> Tensor:
        config = self.config
        gram = gram_matrix(train, device)
        step = float(gram.diagonal().mean()) + config.l2  # the penalty on B != C; its size only sets the speed
        regular = gram.clone()
        regular.diagonal().add_(config.l2 + step)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(regular))
        start = inverse @ gram
        sparse = torch.zeros_like(gram)
        dual = torch.zeros_like(gram)
        for _ in range(config.iterations):
            dense = torch.addmm(start, inverse, step * sparse - dual)
            dense -= inverse * (dense.diagonal() / inverse.diagonal())  # a zero diagonal, exactly
            sparse = (dense + dual / step - config.l1 / step).clamp_(min=0)
            dual += step * (dense - sparse)
        return sparse.fill_diagonal_(0)


def gram_matrix(interactions: Interactions, device: torch.device, batch: int = 4096) -> Tensor:
    """Return X'X (n_items, n_items) float32, users taken in batches so that X is never dense as a whole."""
    gram = torch.zeros(interactions.n_items, interactions.n_items, device=device)
    for users in np.array_split(np.arange(interactions.n_users), max(1, -(-interactions.n_users // batch))):
        rows = torch.zeros(len(users), interactions.n_items, device=device)
        rows[coordinates(interactions, users)] = 1.0
        gram.addmm_(rows.T, rows)
    return gram
