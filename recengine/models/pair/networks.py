"""Small networks that score a grid of users and items, all with the same four methods.

Shapes throughout: G groups of S users, each group beside its own K items; D the length of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions

INITIALISERS: Mapping[str, Callable[[Tensor, float], object]] = {
    "normal": lambda table, std: nn.init.normal_(table, std=std),
    "truncated": lambda table, std: nn.init.trunc_normal_(table, std=std, a=-2 * std, b=2 * std),
    "uniform": lambda table, std: nn.init.uniform_(table, -std * 3**0.5, std * 3**0.5),
    "xavier": lambda table, std: nn.init.xavier_normal_(table),
}
"""How a table starts, given the standard deviation asked for; xavier's follows from the table's shape."""


class Table(nn.Embedding):
    """An embedding whose gradient is added up row by row, in half the time of PyTorch's own on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        return _LookUp.apply(input, self.weight) if self.weight.device.type == "cpu" else super().forward(input)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(weight)
        return weight.index_select(0, index.flatten()).view(*index.shape, -1)

    @staticmethod
    def backward(ctx: Any, grown: Tensor) -> tuple[None, Tensor]:
        (index,) = ctx.saved_tensors
        dim = grown.shape[-1]
        gradient = torch.zeros(ctx.rows, dim, dtype=grown.dtype)
        return None, gradient.index_add_(0, index.flatten(), grown.reshape(-1, dim))


class PairNetwork(nn.Module):
    """Matrix factorisation: score(u, i) = user vector . item vector + item bias; the others change a part of it.

    features : (n_items, F) metadata, or None
    """

    features: Tensor | None

    def __init__(self, n_users: int, n_items: int, config: Any, features: Tensor | None = None) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.user_embedding = Table(n_users, dim, _weight=torch.empty(n_users, dim))
        self.item_embedding = Table(n_items, dim, _weight=torch.empty(n_items, dim))
        self.item_bias = nn.Parameter(torch.zeros(n_items)) if config.item_bias else None
        self.user_bias = nn.Parameter(torch.zeros(n_users)) if config.user_bias else None
        self.draw = INITIALISERS[config.initialiser]
        self.register_buffer("features", features)
        self.dropout = nn.Dropout(config.dropout)
        self.width = 1
        """Numbers held for one user and one item while they meet."""
        self.add_layers(config)

    def add_layers(self, config: Any) -> None:
        """Make what a subclass needs beside the tables."""

    def initialise(self, std: float, train: Interactions) -> None:
        """Draw both tables as the settings say; `train` is there for networks that ask what is known."""
        for table in (self.user_embedding, self.item_embedding):
            self.draw(table.weight, std)

    def users(self, user: Tensor) -> Tensor:
        """Return the vectors (..., D) of users (...)."""
        return self.dropout(self.user_embedding(user))

    def items(self, item: Tensor | None) -> Tensor:
        """Return the vectors (..., D) of items (...), or of all items for None."""
        return self.dropout(look_up(self.item_embedding, item))

    def bias(self, item: Tensor | None) -> Tensor | None:
        """Return the biases of items (G, K), or (1, n_items) of all for None."""
        if self.item_bias is None:
            return None
        return self.item_bias[None] if item is None else self.item_bias[item]

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Return scores (G, S, K) of users (G, S, D) and items (G, K, D) with biases (G, K)."""
        return dot(u, v, bias)

    def item_space(self, v: Tensor) -> Tensor:
        """Return the vectors (n_items, D) whose cosine says how alike items are."""
        return v


class MetricNetwork(PairNetwork):
    """score = -(distance of user and item)^2, both within the unit ball."""

    def users(self, user: Tensor) -> Tensor:
        return into_ball(super().users(user))

    def items(self, item: Tensor | None) -> Tensor:
        return into_ball(super().items(item))

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        beyond = -v.square().sum(-1) if bias is None else bias - v.square().sum(-1)  # (G, K)
        return 2 * dot(u, v, None) + beyond[:, None] - u.square().sum(-1)[..., None]


class TwoTowers(PairNetwork):
    """Each side's vector passes layers of its own before they meet in a dot product."""

    def add_layers(self, config: Any) -> None:
        dim = config.embedding_dim
        self.user_tower, self.item_tower = (layers([dim, *config.layers, dim], config.dropout) for _ in range(2))

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        return dot(u + self.user_tower(u), self.item_space(v), bias)

    def item_space(self, v: Tensor) -> Tensor:
        return v + self.item_tower(v)


class JoinedNetwork(PairNetwork):
    """The two vectors joined pass layers that narrow to one score.

    The first layer of a joined vector is a sum of one product per side, so each side's is computed once.
    """

    def add_layers(self, config: Any) -> None:
        self.add_tower(config, config.embedding_dim, config.embedding_dim)

    def add_tower(self, config: Any, user_dim: int, item_dim: int) -> None:
        """Make the layers above a user's and an item's vector."""
        first, *rest = config.layers
        self.width = first
        self.user_first, self.item_first = nn.Linear(user_dim, first), nn.Linear(item_dim, first, bias=False)
        self.upper = nn.Sequential(nn.ReLU(), nn.Dropout(config.dropout), layers([first, *rest], config.dropout, True))
        self.last = nn.Linear(config.layers[-1], 1, bias=False)

    def tower(self, u: Tensor, v: Tensor) -> Tensor:
        """Return (G, S, K) scores of the layers alone."""
        first = self.user_first(u)[:, :, None] + self.item_first(v)[:, None]  # (G, S, K, H)
        return self.last(self.upper(first))[..., 0]

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        scores = self.tower(u, v)
        return scores if bias is None else scores + bias[:, None]


class ResidualNetwork(JoinedNetwork):
    """The dot product of the two vectors plus what layers over both say; the layers start at zero."""

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        nn.init.zeros_(self.last.weight)

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        return dot(u, v[..., : u.shape[-1]], bias) + self.tower(u, v)


class NeuMFNetwork(JoinedNetwork):
    """A weighted product of one half of the vectors plus layers over the other half."""

    def add_layers(self, config: Any) -> None:
        self.product_dim = config.embedding_dim // 2
        self.add_tower(config, config.embedding_dim - self.product_dim, config.embedding_dim - self.product_dim)
        self.product_weight = nn.Parameter(torch.ones(self.product_dim))

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        product = dot(u[..., : self.product_dim] * self.product_weight, v[..., : self.product_dim], bias)
        return product + self.tower(u[..., self.product_dim :], v[..., self.product_dim :])


class HybridNetwork(ResidualNetwork):
    """An item's vector is its embedding joined with what layers of their own make of its metadata."""

    def add_layers(self, config: Any) -> None:
        self.metadata_tower = layers([_table(self).shape[1], *config.metadata_layers], config.dropout, True)
        self.add_tower(config, config.embedding_dim, config.embedding_dim + config.metadata_layers[-1])

    def items(self, item: Tensor | None) -> Tensor:
        about = self.metadata_tower(look_up(_table(self), item))
        return torch.cat([super().items(item), about], dim=-1)

    def item_space(self, v: Tensor) -> Tensor:
        return v[..., : self.user_embedding.embedding_dim]


class DeepFMNetwork(JoinedNetwork):
    """Factorisation machine and layers over three fields: user, item, and the mean vector of the item's metadata."""

    def add_layers(self, config: Any) -> None:
        n_values = _table(self).shape[1]
        self.value_embedding = nn.Parameter(torch.zeros(n_values, config.embedding_dim))
        self.value_bias = nn.Parameter(torch.zeros(n_values))
        self.add_tower(config, config.embedding_dim, 2 * config.embedding_dim)

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        self.draw(self.value_embedding, std)
        nn.init.zeros_(self.last.weight)

    def items(self, item: Tensor | None) -> Tensor:
        return torch.cat([super().items(item), value_shares(self, item) @ self.value_embedding], dim=-1)

    def bias(self, item: Tensor | None) -> Tensor:
        about, own = value_shares(self, item) @ self.value_bias, super().bias(item)
        about = about[None] if item is None else about
        return about if own is None else about + own

    def meet(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        own, about = v.chunk(2, dim=-1)
        within = (own * about).sum(-1)  # (G, K): the item with its own metadata
        return dot(u, own + about, within if bias is None else within + bias) + self.tower(u, v)

    def item_space(self, v: Tensor) -> Tensor:
        own, about = v.chunk(2, dim=-1)
        return own + about


class BucketNetwork(PairNetwork):
    """An item's vector and bias are its bucket's plus its own part; an item with few positives has only the bucket's.

    The bucket is the mean over the item's metadata values, so that a rare combination leans on what it is made of.
    """

    known: Tensor

    def add_layers(self, config: Any) -> None:
        self.value_embedding = nn.Parameter(torch.zeros(_table(self).shape[1], config.embedding_dim))
        self.value_bias = nn.Parameter(torch.zeros(_table(self).shape[1]))
        self.register_buffer("known", torch.ones(len(_table(self))))
        self.least = config.least

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        self.draw(self.value_embedding, std)
        nn.init.zeros_(self.item_embedding.weight)
        self.known.copy_(torch.from_numpy(train.item_counts >= self.least))

    def items(self, item: Tensor | None) -> Tensor:
        own = look_up(self.item_embedding, item) * look_up(self.known, item)[..., None]
        return self.dropout(value_shares(self, item) @ self.value_embedding + own)

    def bias(self, item: Tensor | None) -> Tensor:
        bucket, own = value_shares(self, item) @ self.value_bias, super().bias(item)
        bucket = bucket[None] if item is None else bucket
        return bucket if own is None else bucket + own * look_up(self.known, item)


def dot(u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Return (G, S, K) products of users (G, S, D) and items (G, K, D), plus biases (G, K)."""
    if v.shape[1] == 1:
        product = (u * v).sum(-1, keepdim=True)  # far faster than a batch of one-row matrix products
        return product if bias is None else product + bias[:, None]
    return torch.bmm(u, v.mT) if bias is None else torch.baddbmm(bias[:, None], u, v.mT)


def into_ball(x: Tensor) -> Tensor:
    """Return vectors of a length of at most 1."""
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1)


def look_up(table: nn.Embedding | Tensor, index: Tensor | None) -> Tensor:
    """Return the rows of a table, all of them for None."""
    if isinstance(table, nn.Embedding):
        return table.weight if index is None else table(index)
    return table if index is None else table[index]


def value_shares(network: PairNetwork, item: Tensor | None) -> Tensor:
    """Return (..., F) the weights of a mean over each item's metadata values; zeros where nothing is known."""
    has = look_up(_table(network), item)
    return has / has.sum(-1, keepdim=True).clamp(min=1)


def layers(sizes: Sequence[int], dropout: float, last_active: bool = False) -> nn.Sequential:
    """Return linear layers of these sizes with ReLU and dropout between them, and after the last if `last_active`."""
    made: list[nn.Module] = []
    for place, (n_in, n_out) in enumerate(pairwise(sizes), 2):
        made.append(nn.Linear(n_in, n_out))
        if place < len(sizes) or last_active:
            made += [nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*made)


def _table(network: PairNetwork) -> Tensor:
    if network.features is None:
        raise ValueError(f"{type(network).__name__} needs a table of metadata, (n_items, F)")
    return network.features
