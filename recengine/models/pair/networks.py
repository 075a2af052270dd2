"""Small networks that score grids of users and items.

A new one is a subclass of `PairNetwork` with layers in `__init__` and a `score_grid`; it may also compute vectors and
biases in another way. Shapes throughout: G groups of S users, each group with K items; D the length of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.models.abilities import Product, no_product
from recengine.models.pair.parts import Table, dot, into_ball, layers, look_up

if TYPE_CHECKING:  # they name these networks
    from recengine.models.pair.base import PairConfig
    from recengine.models.pair.hybrid import HybridJointConfig
    from recengine.models.pair.neural import ColdStartConfig, LayeredConfig

INITIALISERS: Mapping[str, Callable[[Tensor, float], object]] = {
    "normal": lambda table, std: nn.init.normal_(table, std=std),
    "truncated": lambda table, std: nn.init.trunc_normal_(table, std=std, a=-2 * std, b=2 * std),
    "uniform": lambda table, std: nn.init.uniform_(table, -std * 3**0.5, std * 3**0.5),
    "xavier": lambda table, std: nn.init.xavier_normal_(table),
}
"""How a table starts, given the standard deviation asked for; xavier's follows from the table's shape."""


MOST_CELLS = 2**22
"""Numbers that a network may hold while it scores a batch of users for all items: bounds the memory of `score_all`."""


class PairNetwork(nn.Module):
    """Matrix factorisation: score(u, i) = user vector . item vector + item bias; subclasses change a part of it.

    features : (n_items, F) metadata, or None
    """

    features: Tensor | None

    def __init__(self, n_users: int, n_items: int, config: PairConfig, features: Tensor | None = None) -> None:
        super().__init__()
        self.embedding_dim: int = config.embedding_dim
        self.user_embedding = Table(n_users, self.embedding_dim, _weight=torch.empty(n_users, self.embedding_dim))
        self.item_embedding = Table(n_items, self.embedding_dim, _weight=torch.empty(n_items, self.embedding_dim))
        self.item_bias = nn.Parameter(torch.zeros(n_items)) if config.item_bias else None
        self.user_bias = nn.Parameter(torch.zeros(n_users)) if config.user_bias else None
        self.initialiser = INITIALISERS[config.initialiser]
        self.y_range: tuple[float, float] | None = config.y_range
        self.register_buffer("features", features)
        self.dropout = nn.Dropout(config.dropout)
        self.cells_per_pair = 1
        """Numbers held for one user and one item while they are scored."""

    def initialise(self, std: float, train: Interactions) -> None:
        """Initialise both tables by the config; `train` is for networks that count the positives of an item."""
        for table in (self.user_embedding, self.item_embedding):
            self.initialiser(table.weight, std)

    def forward(self, user: Tensor, item: Tensor | None) -> Tensor:
        """Return scores (G, S, K) of users (G, S) and items (G, K); None: all items, for one group."""
        items = self.item_vectors(item)
        return self.score_vectors(
            user, self.user_vectors(user), items[None] if item is None else items, self.item_biases(item)
        )

    def user_vectors(self, user: Tensor) -> Tensor:
        """Return the vectors (..., D) of users (...)."""
        return self.dropout(self.user_embedding(user))

    def item_vectors(self, item: Tensor | None) -> Tensor:
        """Return the vectors (..., D) of items (...), or of all items for None."""
        return self.dropout(look_up(self.item_embedding, item))

    def item_biases(self, item: Tensor | None) -> Tensor | None:
        """Return the biases of items (G, K), or (1, n_items) of all for None."""
        if self.item_bias is None:
            return None
        return self.item_bias[None] if item is None else self.item_bias[item]

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Return scores (G, S, K) of user vectors (G, S, D) and item vectors (G, K, D) with item biases (G, K)."""
        return dot(u, v, bias)

    def item_space(self, v: Tensor) -> Tensor:
        """Return the vectors (n_items, D) whose cosine is the similarity of items."""
        return v

    def score_vectors(self, user: Tensor, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Return the scores of `score_grid` with the biases of the users (G, S), in `y_range` if there is one."""
        scores = self.score_grid(u, v, bias)
        if self.user_bias is not None:
            scores = scores + self.user_bias[user][..., None]
        if self.y_range is None:
            return scores
        low, high = self.y_range
        return low + (high - low) * torch.sigmoid(scores)

    def score_all(self, users: Tensor) -> Tensor:
        """Return scores (B, n_items) of users (B,), few enough users at a time."""
        items, bias = self.item_vectors(None)[None], self.item_biases(None)  # (1, n_items, D), (1, n_items)
        at_once = max(1, MOST_CELLS // (items.shape[1] * self.cells_per_pair))
        parts = users.to(self.device).split(at_once)
        return torch.cat([self.score_vectors(p[None], self.user_vectors(p)[None], items, bias)[0] for p in parts])

    def product(self) -> Product:
        """Return the vectors and biases whose products are the scores of this network, which has no other part.

        Raises BadInput where `y_range` bends the products.
        """
        if self.y_range is not None:
            low, high = self.y_range
            raise no_product("y_range", f"{low:g},{high:g}", "leave it empty")
        users = torch.arange(self.user_embedding.num_embeddings, device=self.device)
        bias = self.item_biases(None)
        return Product(
            self.user_vectors(users), self.item_vectors(None), self.user_bias, None if bias is None else bias[0]
        )

    def with_users(self, vectors: Tensor) -> Self:
        """Return a network that shares everything with this one but its users, who have these vectors (n, D)."""
        other = object.__new__(type(self))  # `copy.copy` takes a tenth of a new user's answer
        other.__dict__ = self.__dict__.copy()
        other._modules = self._modules | {"user_embedding": self.user_embedding.holding(vectors)}
        if self.user_bias is not None:
            no_bias = nn.Parameter(vectors.new_zeros(len(vectors)), requires_grad=False)
            other._parameters = self._parameters | {"user_bias": no_bias}
        return other

    @property
    def device(self) -> torch.device:
        return self.item_embedding.weight.device


class MetricNetwork(PairNetwork):
    """score = -(distance of user and item)^2, both within the unit ball."""

    def user_vectors(self, user: Tensor) -> Tensor:
        return into_ball(super().user_vectors(user))

    def item_vectors(self, item: Tensor | None) -> Tensor:
        return into_ball(super().item_vectors(item))

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        of_items = -v.square().sum(-1) if bias is None else bias - v.square().sum(-1)  # (G, K)
        return 2 * dot(u, v, None) + of_items[:, None] - u.square().sum(-1)[..., None]

    def product(self) -> Product:
        users, items, user_bias, item_bias = super().product()
        of_users, of_items = (-vectors.square().sum(-1) for vectors in (users, items))
        of_users = of_users if user_bias is None else of_users + user_bias
        return Product(2 * users, items, of_users, of_items if item_bias is None else of_items + item_bias)


class TwoTowers(PairNetwork):
    """Each side's vector passes through separate layers before the dot product."""

    def __init__(self, n_users: int, n_items: int, config: LayeredConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        sizes = [config.embedding_dim, *config.layers, config.embedding_dim]
        self.user_tower, self.item_tower = (layers(sizes, config.dropout) for _ in range(2))

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        return dot(u + self.user_tower(u), self.item_space(v), bias)

    def item_space(self, v: Tensor) -> Tensor:
        return v + self.item_tower(v)

    def product(self) -> Product:
        users, items, *biases = super().product()
        return Product(users + self.user_tower(users), self.item_space(items), *biases)


class JoinedTower(nn.Module):
    """Layers over the joined vectors of a user and an item that narrow to one score.

    The first layer of a joined vector is a sum of one product per side, so each side's is computed once.
    """

    def __init__(self, user_dim: int, item_dim: int, config: LayeredConfig) -> None:
        super().__init__()
        first, *rest = config.layers
        self.user_first, self.item_first = nn.Linear(user_dim, first), nn.Linear(item_dim, first, bias=False)
        self.upper = nn.Sequential(nn.ReLU(), nn.Dropout(config.dropout), layers([first, *rest], config.dropout, True))
        self.last = nn.Linear(config.layers[-1], 1, bias=False)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Return scores (G, S, K) of vectors (G, S, D) and (G, K, E)."""
        first = self.user_first(u)[:, :, None] + self.item_first(v)[:, None]  # (G, S, K, H)
        return self.last(self.upper(first))[..., 0]


class JoinedNetwork(PairNetwork):
    """Layers over the two vectors, joined."""

    def __init__(self, n_users: int, n_items: int, config: LayeredConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        self.cells_per_pair = config.layers[0]
        self.tower = JoinedTower(config.embedding_dim, config.embedding_dim, config)

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        scores = self.tower(u, v)
        return scores if bias is None else scores + bias[:, None]


class ResidualNetwork(PairNetwork):
    """The dot product of the two vectors, plus layers over both that start at zero."""

    def __init__(self, n_users: int, n_items: int, config: LayeredConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        self.cells_per_pair = config.layers[0]
        self.tower = JoinedTower(config.embedding_dim, config.embedding_dim, config)

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        nn.init.zeros_(self.tower.last.weight)

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        return dot(u, v, bias) + self.tower(u, v)


class NeuMFNetwork(PairNetwork):
    """A weighted product of one half of the vectors plus layers over the other half."""

    def __init__(self, n_users: int, n_items: int, config: LayeredConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        self.cells_per_pair = config.layers[0]
        self.product_dim = config.embedding_dim // 2
        tower_dim = config.embedding_dim - self.product_dim
        self.tower = JoinedTower(tower_dim, tower_dim, config)
        self.product_weight = nn.Parameter(torch.ones(self.product_dim))

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        product = dot(u[..., : self.product_dim] * self.product_weight, v[..., : self.product_dim], bias)
        return product + self.tower(u[..., self.product_dim :], v[..., self.product_dim :])


class HybridNetwork(PairNetwork):
    """The dot product of the two embeddings, plus layers over both and over the metadata, encoded by other layers.

    An item's vector is its embedding joined with its metadata's and, last, with how much the layers count for it: 1,
    and 0 where training has not shown them its vector. The upper layers start at zero.
    """

    layers_count: Tensor

    def __init__(self, n_users: int, n_items: int, config: HybridJointConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        self.cells_per_pair = config.layers[0]
        self.metadata_tower = layers([features_of(self).shape[1], *config.metadata_layers], config.dropout, True)
        self.tower = JoinedTower(config.embedding_dim, config.embedding_dim + config.metadata_layers[-1], config)
        self.register_buffer("layers_count", torch.ones(n_items, 1))

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        nn.init.zeros_(self.tower.last.weight)

    def item_vectors(self, item: Tensor | None) -> Tensor:
        metadata = self.metadata_tower(look_up(features_of(self), item))
        return torch.cat([super().item_vectors(item), metadata, look_up(self.layers_count, item)], dim=-1)

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        return dot(u, self.item_space(v), bias) + self.tower(u, v[..., :-1]) * v[..., -1][..., None, :]

    def item_space(self, v: Tensor) -> Tensor:
        return v[..., : self.embedding_dim]


class DeepFMNetwork(PairNetwork):
    """Factorisation machine and layers over three fields: user, item, and the mean vector of the item's metadata."""

    def __init__(self, n_users: int, n_items: int, config: LayeredConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        self.cells_per_pair = config.layers[0]
        n_values = features_of(self).shape[1]
        self.value_embedding = nn.Parameter(torch.zeros(n_values, config.embedding_dim))
        self.value_bias = nn.Parameter(torch.zeros(n_values))
        self.tower = JoinedTower(config.embedding_dim, 2 * config.embedding_dim, config)

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        self.initialiser(self.value_embedding, std)
        nn.init.zeros_(self.tower.last.weight)

    def item_vectors(self, item: Tensor | None) -> Tensor:
        return torch.cat([super().item_vectors(item), value_shares(self, item) @ self.value_embedding], dim=-1)

    def item_biases(self, item: Tensor | None) -> Tensor:
        of_values, of_item = value_shares(self, item) @ self.value_bias, super().item_biases(item)
        of_values = of_values[None] if item is None else of_values
        return of_values if of_item is None else of_values + of_item

    def score_grid(self, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        item, metadata = v.chunk(2, dim=-1)
        within = (item * metadata).sum(-1)  # (G, K): the item with its metadata
        return dot(u, item + metadata, within if bias is None else within + bias) + self.tower(u, v)

    def item_space(self, v: Tensor) -> Tensor:
        item, metadata = v.chunk(2, dim=-1)
        return item + metadata


class BucketNetwork(PairNetwork):
    """An item's vector and bias are its bucket's, plus a part of the item if it has enough positives.

    The bucket is the mean over the item's metadata values, so a rare combination is known by its parts.
    """

    known: Tensor

    def __init__(self, n_users: int, n_items: int, config: ColdStartConfig, features: Tensor | None = None) -> None:
        super().__init__(n_users, n_items, config, features)
        n_values = features_of(self).shape[1]
        self.value_embedding = nn.Parameter(torch.zeros(n_values, config.embedding_dim))
        self.value_bias = nn.Parameter(torch.zeros(n_values))
        self.register_buffer("known", torch.ones(n_items))
        self.min_positives = config.min_positives

    def initialise(self, std: float, train: Interactions) -> None:
        super().initialise(std, train)
        self.initialiser(self.value_embedding, std)
        nn.init.zeros_(self.item_embedding.weight)
        self.known.copy_(torch.from_numpy(train.item_counts >= self.min_positives))

    def item_vectors(self, item: Tensor | None) -> Tensor:
        item_part = look_up(self.item_embedding, item) * look_up(self.known, item)[..., None]
        return self.dropout(value_shares(self, item) @ self.value_embedding + item_part)

    def item_biases(self, item: Tensor | None) -> Tensor:
        bucket, item_part = value_shares(self, item) @ self.value_bias, super().item_biases(item)
        bucket = bucket[None] if item is None else bucket
        return bucket if item_part is None else bucket + item_part * look_up(self.known, item)


def value_shares(network: PairNetwork, item: Tensor | None) -> Tensor:
    """Return (..., F) the weights of a mean over each item's metadata values; zeros where nothing is known."""
    has = look_up(features_of(network), item)
    return has / has.sum(-1, keepdim=True).clamp(min=1)


def features_of(network: PairNetwork) -> Tensor:
    """Return the metadata of a network that needs it; ValueError if it has none."""
    if network.features is None:
        raise ValueError(f"{type(network).__name__} needs a table of metadata, (n_items, F)")
    return network.features
