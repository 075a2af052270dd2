"""Models whose score is a history times an item-item weight matrix: item-kNN and EASE."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import embedding_bag

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import coordinates
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.item_item.sparse import (
    HEAD_LINKS,
    STATE,
    TAIL_LINKS,
    Links,
    approximate_ridge,
    footprint,
    is_large,
    nearest_by_cosine,
)
from recengine.models.options import shared
from recengine.models.recency import TwoSidedConfig, TwoSidedConfigT, TwoSidedModel
from recengine.training.config import Range, option
from recengine.training.progress import OnStep, no_step, within

PRODUCTS, LEAST_USERS, MOST_USERS = 10**11, 512, 4096
"""Users of a batch whose items are multiplied with each other: as many as make that many products, a second or so."""
COUNTED_FROM, SPARSER = 2**35, 400
"""Products, about a second's, from which on pairs are counted instead if each stands for that many products."""
MEMORY_LIMIT = 8 * 2**30
"""Largest item-item matrix that is attempted, in bytes."""


class ItemItem(TwoSidedModel[TwoSidedConfigT], Recommender[TwoSidedConfigT]):
    """Base: score(u, i) = sum over u's history h of recency(h) * weight[h, i]; subclasses fill the weights.

    A dislike of a new user is subtracted, times `dislike_weight`.

    The score splits over the history by construction, so these models serve new users and explain exactly.
    """

    family = "collaborative"
    abilities = ("similar", "fold-in", "explain")
    matrices: ClassVar[int] = 4
    """Item-item matrices that are held at once while the weights are computed."""
    item_weights: Tensor | Links

    @abstractmethod
    def weights(self, train: Interactions, context: FitContext) -> Tensor:
        """Return the (n_items, n_items) weights learned from the interactions, or from the item table."""

    def links(self, train: Interactions, on_step: OnStep) -> Links | None:
        """Return the weights of a large catalogue, few for each item; None where they are learned in full alone."""
        return None

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        return {"": 4 * self.matrices * n_items**2}

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.take_scale(train)
        self.serve_from(train)
        links = self.links(train, context.on_step) if is_large(self.n_items) else None
        if links is None:
            check_square(self.name, train)
            weights = self.weights(train, context).cpu().contiguous()
        self.item_weights = weights if links is None else links

    def serve_from(self, rows: Interactions) -> None:
        self.past = rows.select(rows.chronological())

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.score_history(self.past.of_users(user_idx))

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items): the sum of each user's rows of the weights, times their recency."""
        rows = histories.select(histories.chronological())
        item = torch.from_numpy(rows.item_idx.astype(np.int64))
        starts = torch.from_numpy(np.cumsum(rows.user_counts) - rows.user_counts)
        return weighted_sums(self.item_weights, item, starts, torch.from_numpy(self.signed_weights(rows)))

    def explain(self, history: Interactions, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each row of a user's history adds to each score."""
        past = torch.from_numpy(history.item_idx.astype(np.int64))
        weights = rows_of(self.item_weights, past)[:, torch.as_tensor(as_indices(item_idx))]
        return weights.T * torch.from_numpy(self.signed_weights(history))

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return the weights that each seed gives to all items."""
        return rows_of(self.item_weights, item_idx)

    def state(self) -> dict[str, Tensor]:
        return {
            **state_of("item_weights", self.item_weights),
            "past_user": torch.from_numpy(self.past.user_idx.copy()),
            "past_item": torch.from_numpy(self.past.item_idx.copy()),
            "past_rating": torch.from_numpy(self.past.rating.copy()),
            "scale": self.scale,
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        self.item_weights, self.scale = restored("item_weights", state), state["scale"]
        self.past = Interactions.from_pairs(
            *(state[name].numpy() for name in ("past_user", "past_item")),
            rating=state["past_rating"].numpy(),
            n_users=self.n_users,
            n_items=self.n_items,
        )


@dataclass(frozen=True)
class ItemKNNConfig(TwoSidedConfig):
    """Settings of `item-knn`."""

    neighbours: int = option(
        50, "nearest items kept for each item", low=1, high=100_000, search=Range(10, 500, log=True), primary=1
    )
    cosine_shrinkage: float = option(
        3.0,
        "added to the denominator of every cosine, so that rare pairs count less",
        low=0,
        high=10_000,
        search=Range(0.5, 200, log=True),
        primary=1,
    )


class ItemKNN(ItemItem[ItemKNNConfig]):
    """Nearest neighbours by the shrunk cosine of who liked both (Deshpande & Karypis, TOIS 2004)."""

    name = "item-knn"
    title = "Item-KNN"
    version = 3
    summary = "Recommends films liked by the same viewers as yours, by cosine similarity."
    reference = "Deshpande & Karypis, Item-based top-N recommendation algorithms, TOIS 2004"
    Config = ItemKNNConfig

    def weights(self, train: Interactions, context: FitContext) -> Tensor:
        gram = gram_matrix(train, context.run.torch_device(), within(context.on_step, 0, 0.8))
        norm = gram.diagonal().sqrt()
        cosine = gram / (norm[:, None] * norm[None, :] + self.config.cosine_shrinkage).clamp(min=1e-12)
        cosine.fill_diagonal_(0)
        k = min(self.config.neighbours, self.n_items)
        best = cosine.topk(k, dim=1)
        kept = torch.zeros_like(cosine).scatter_(1, best.indices, best.values)
        return kept.T  # column i holds the neighbours of i, so that a history's rows add up to the score of i

    def links(self, train: Interactions, on_step: OnStep) -> Links:
        return nearest_by_cosine(train, self.config.neighbours, self.config.cosine_shrinkage, on_step)

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        if not is_large(n_items):
            return super().footprint(n_users, n_items, n_rows)
        return {"neighbours": footprint(n_items, n_rows, self.config.neighbours)}

    def item_similarity(self, item_idx: Tensor) -> Tensor:
        """Return each seed's shrunk cosine with its nearest neighbours, 0 for all others."""
        weights = self.item_weights
        return rows_of(weights.transposed if isinstance(weights, Links) else weights.T, item_idx)


@dataclass(frozen=True)
class EASEConfig(TwoSidedConfig):
    """Settings of `ease`."""

    l2: float = shared("l2", 100.0, open_low=True, search=Range(10, 2000, log=True))


class EASE(ItemItem[EASEConfig]):
    """Embarrassingly shallow autoencoder: ridge regression of each item on all others, in closed form.

    B = I - P / diag(P) with P = (X'X + l2 I)^-1 and a zero diagonal (Steck, WWW 2019). Of a large catalogue, the head
    alone is solved like this: `sparse.approximate_ridge`.
    """

    name = "ease"
    title = "EASE"
    version = 2
    summary = "Learns which films are liked together. Fast, and its reasons are exact."
    reference = "Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019"
    Config = EASEConfig

    def weights(self, train: Interactions, context: FitContext) -> Tensor:
        return full_ridge(train, self.config.l2, context.run.torch_device(), context.on_step)

    def links(self, train: Interactions, on_step: OnStep) -> Links:
        return approximate_ridge(train, self.config.l2, on_step)

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        if not is_large(n_items):
            return super().footprint(n_users, n_items, n_rows)
        return {"": footprint(n_items, n_rows, HEAD_LINKS // 10 + TAIL_LINKS, self.matrices)}


def rows_of(weights: Tensor | Links, rows: Tensor) -> Tensor:
    """Return some rows of the weights in full, (B, n_items)."""
    return weights.dense(rows) if isinstance(weights, Links) else weights[rows]


def state_of(name: str, weights: Tensor | Links) -> dict[str, Tensor]:
    """Return the tensors that hold the weights, under this name where they are one."""
    return weights.state() if isinstance(weights, Links) else {name: weights}


def restored(name: str, state: dict[str, Tensor]) -> Tensor | Links:
    """Return the weights from what `state_of` returned."""
    return Links.restore(state) if STATE[0] in state else state[name]


def weighted_sums(weights: Tensor | Links, rows: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
    """Return (B, n_items): for each of B bags the sum of its rows (m,), times their weights (m,).

    starts : (B,) where each bag begins. Histories are short compared with the catalogue, so that this is far cheaper
    than a dense product.
    """
    if isinstance(weights, Links):
        return weights.sums(rows, starts, weight)
    return embedding_bag(rows, weights, starts, mode="sum", per_sample_weights=weight)


def check_square(model: str, train: Interactions, offers: Sequence[str] | None = None) -> None:
    """Raise BadInput, with the first of the `offers` that fits, where an item-item matrix takes over `MEMORY_LIMIT`."""
    from recengine.models.registry import SMALL_FIRST, what_fits  # the registry imports this module

    needed, n_items = 4 * train.n_items**2, train.n_items
    if needed > MEMORY_LIMIT:
        size = f"{needed / 2**30:.1f} GiB for a matrix of {n_items:,} x {n_items:,} items"
        raise BadInput(
            "model",
            model,
            remedy=what_fits(train.n_users, n_items, len(train), MEMORY_LIMIT, offers or SMALL_FIRST),
            problem=f"needs {size}, more than the limit of {MEMORY_LIMIT >> 30} GiB",
        )


def ridge_weights(gram: Tensor, l2: float, on_step: OnStep = no_step) -> Tensor:
    """Return EASE's weights (n_items, n_items), with a zero diagonal, from X'X, whose diagonal is changed in place."""
    gram.diagonal().add_(l2)
    factor = torch.linalg.cholesky(gram)
    on_step(1, 3)  # n^3 / 3 of n^3 products
    inverse = torch.cholesky_inverse(factor)
    on_step(3, 3)
    weights = inverse / -inverse.diagonal()
    return weights.fill_diagonal_(0)


def ridge_or_links(train: Interactions, l2: float, device: torch.device, on_step: OnStep) -> Tensor | Links:
    """Return EASE's weights, or where the catalogue is too large for a square matrix few that come near them."""
    if is_large(train.n_items):
        return approximate_ridge(train, l2, on_step)
    return full_ridge(train, l2, device, on_step).cpu().contiguous()


def full_ridge(train: Interactions, l2: float, device: torch.device, on_step: OnStep) -> Tensor:
    """Return EASE's weights (n_items, n_items)."""
    products = 2 * train.n_users / max(2 * train.n_users + train.n_items, 1)  # share of all that X'X takes
    gram = gram_matrix(train, device, within(on_step, 0, products))
    return ridge_weights(gram, l2, within(on_step, products, 1))


def gram_matrix(interactions: Interactions, device: torch.device, on_step: OnStep = no_step) -> Tensor:
    """Return X'X (n_items, n_items) float32: its pairs counted, if they are many times fewer than a product's terms.

    A product takes users in batches, so that X is never dense as a whole.
    """
    pairs = float((interactions.user_counts.astype(np.float64) ** 2).sum())
    products = float(interactions.n_users) * interactions.n_items**2
    if device.type == "cpu" and products > max(COUNTED_FROM, SPARSER * pairs):
        return counted_pairs(interactions, on_step)
    gram = torch.zeros(interactions.n_items, interactions.n_items, device=device)
    batch = min(max(PRODUCTS // max(interactions.n_items, 1) ** 2, LEAST_USERS), MOST_USERS)
    parts = np.array_split(np.arange(interactions.n_users), max(1, -(-interactions.n_users // batch)))
    for n, users in enumerate(parts):
        on_step(n, len(parts))
        rows = torch.zeros(len(users), interactions.n_items, device=device)
        rows[coordinates(interactions, users)] = 1.0
        gram.addmm_(rows.T, rows)
    return gram


def counted_pairs(interactions: Interactions, on_step: OnStep = no_step) -> Tensor:
    """Return what `gram_matrix` does, by counting the pairs of each user's items one by one."""
    from recengine.models.item_item.sparse_kernel import count_pairs, mirror

    n_users, n_items = interactions.n_users, interactions.n_items
    cells = np.unique(interactions.user_idx.astype(np.int64) * n_items + interactions.item_idx)
    starts, items = np.searchsorted(cells, np.arange(n_users + 1) * n_items), cells % n_items
    counts = np.zeros((n_items, n_items), np.float32)
    bounds = np.append(np.arange(0, n_users, MOST_USERS), n_users)
    for n, (first, last) in enumerate(pairwise(bounds.tolist())):
        on_step(n, len(bounds) - 1)
        count_pairs(starts[first : last + 1], items, counts)
    mirror(counts)
    return torch.from_numpy(counts)
