"""Models that predict ratings: what they share, and the two that are simple to say: offsets and a deep network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.models.base import ConfigT, FitContext, PredictsRatings, Recommender
from recengine.models.recency import HistoryConfig, HistoryModel, recency_weights
from recengine.training.config import Config, Range, option
from recengine.training.loop import EpochResult, Score, Validate, one_thread, seeded
from recengine.training.loop import train as train_loop

CHUNK = 4096
"""Pairs that are predicted at once."""


class RatingModel(Recommender[ConfigT]):
    """Base of what learns from all ratings and predicts them, clipped to the range of the training ratings.

    `score` is the prediction before clipping, so that a ranking has no ties at the top. Whoever has no training row,
    user or item, gets what remains of the prediction without them: the mean and the other's part.
    """

    learns_from = "ratings"
    criterion = "valid_rmse"

    @abstractmethod
    def raw(self, user: Tensor, item: Tensor) -> Tensor:
        """Return (n,) predictions before clipping."""

    def validator(self, train: Interactions, valid: Interactions, score: Score | None = None) -> Validate:
        return rating_validator(self, valid)

    @property
    @abstractmethod
    def scale(self) -> tuple[float, float]:
        """Return the least and the most that is predicted."""

    @torch.inference_mode()
    def predict(self, user_idx: ArrayLike, item_idx: ArrayLike) -> Tensor:
        """Return (n,) predicted ratings of aligned users and items, in the data's scale."""
        user, item = (torch.as_tensor(np.atleast_1d(np.asarray(x, dtype=np.int64))) for x in (user_idx, item_idx))
        parts = [self.raw(u, i).cpu() for u, i in zip(user.split(CHUNK), item.split(CHUNK), strict=True)]
        return torch.cat(parts).clamp(*self.scale)

    @torch.inference_mode()
    def estimates(self, user_idx: ArrayLike) -> Tensor:
        """Return (B, n_items) predicted ratings of all items, in the data's scale."""
        return self.score(user_idx).cpu().clamp(*self.scale)


def rating_range(train: Interactions) -> Tensor:
    """Return (2,) the least and the most of the ratings; 0 and 1 when there are none."""
    if not len(train):
        return torch.tensor([0.0, 1.0])
    return torch.tensor([float(train.rating.min()), float(train.rating.max())])


def rating_validator(model: PredictsRatings, valid: Interactions) -> Validate:
    """Return a function that predicts the rows of `valid`: root mean squared and mean absolute error."""
    actual = torch.from_numpy(valid.rating.copy())

    def validate() -> dict[str, float]:
        error = model.predict(valid.user_idx, valid.item_idx) - actual
        return {"valid_rmse": float(error.square().mean().sqrt()), "valid_mae": float(error.abs().mean())}

    return validate


def rows_of(train: Interactions, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return users, items and ratings as tensors, each (n,)."""
    user, item = (torch.from_numpy(x.astype(np.int64)).to(device) for x in (train.user_idx, train.item_idx))
    return user, item, torch.from_numpy(train.rating.copy()).to(device)


def shuffled(
    rows: tuple[Tensor, ...], batch_size: int, draws: torch.Generator
) -> Callable[[], Iterator[tuple[Tensor, ...]]]:
    """Return a function that deals all rows in shuffled batches, once."""

    def batches() -> Iterator[tuple[Tensor, ...]]:
        order = torch.randperm(len(rows[0]), generator=draws, device=draws.device)
        for some in order.split(batch_size):
            yield tuple(column[some] for column in rows)

    return batches


@dataclass(frozen=True)
class BiasConfig(HistoryConfig):
    """Settings of `bias`."""

    item_shrink: float = option(
        2.0,
        "an item's offset is shrunk as by this many average ratings",
        low=0,
        high=1e6,
        search=Range(0.1, 50, log=True),
    )
    user_shrink: float = option(
        5.0,
        "a user's offset is shrunk as by this many average ratings",
        low=0,
        high=1e6,
        search=Range(0.1, 50, log=True),
    )
    rounds: int = option(10, "times that both offsets are solved in turn", low=1, high=1000)


class Bias(HistoryModel[BiasConfig], RatingModel[BiasConfig]):
    """rating = mean + the item's offset + the user's offset, both shrunk towards 0, in alternating closed form."""

    name = "bias"
    abilities = ("fold-in", "ratings")
    is_reference = True
    family = "baseline"
    summary = "The mean rating, plus how much better the film and how much kinder the person than average."
    reference = "Koren, Bell & Volinsky, Matrix factorization techniques for recommender systems, Computer 2009"
    Config = BiasConfig

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.bounds = rating_range(train)
        self.mean = torch.tensor([float(train.rating.mean(dtype=np.float64)) if len(train) else 0.0])
        self.users, self.items = torch.zeros(self.n_users), torch.zeros(self.n_items)
        user, item, rating = rows_of(train, torch.device("cpu"))
        for _ in range(self.config.rounds):
            left = rating - self.mean - self.users[user]
            self.items = torch.zeros(self.n_items).index_add_(0, item, left)
            self.items /= (torch.from_numpy(train.item_counts) + self.config.item_shrink).clamp(min=1e-9)
            self.users = self._offsets(train, np.ones(len(train), np.float32))
        self.serve_from(train)

    def serve_from(self, rows: Interactions) -> None:
        self.users = self._offsets(rows, recency_weights(rows, self.config))

    def _offsets(self, rows: Interactions, weight: NDArray[np.float32]) -> Tensor:
        """Return (n_users,) the users' offsets, the items' given, each row with its weight (n,)."""
        user, item, rating = rows_of(rows, torch.device("cpu"))
        trust = torch.from_numpy(weight)
        total = torch.zeros(rows.n_users).index_add_(0, user, trust * (rating - self.mean - self.items[item]))
        weights = torch.zeros(rows.n_users).index_add_(0, user, trust)
        return total / (weights + self.config.user_shrink).clamp(min=1e-9)

    @property
    def scale(self) -> tuple[float, float]:
        return float(self.bounds[0]), float(self.bounds[1])

    def raw(self, user: Tensor, item: Tensor) -> Tensor:
        return self.mean + self.users[user] + self.items[item]

    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(np.atleast_1d(np.asarray(user_idx, dtype=np.int64)))
        return self.mean + self.items + self.users[users][:, None]

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) ratings expected of newcomers, each with an own offset."""
        offsets = self._offsets(histories, recency_weights(histories, self.config))
        return self.mean + self.items + offsets[:, None]

    def state(self) -> dict[str, Tensor]:
        return {"bounds": self.bounds, "mean": self.mean, "users": self.users, "items": self.items}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.bounds, self.mean = state["bounds"], state["mean"]
        self.users, self.items = state["users"], state["items"]


@dataclass(frozen=True)
class RecommenderNetConfig(Config):
    """Settings of `recommender-net`."""

    embedding_dim: int = option(
        50,
        "length of a user's and of an item's vector",
        low=1,
        high=4096,
        search=Range(16, 128, log=True),
        primary=True,
    )
    layers: tuple[int, ...] = option(
        (128, 256, 128),
        "widths of the hidden layers",
        low=1,
        high=65_536,
        search=((64,), (128, 64), (128, 256, 128)),
        primary=True,
    )
    embedding_dropout: float = option(
        0.5, "share of the vectors' numbers that a step leaves out", low=0, high=0.95, search=Range(0, 0.7)
    )
    dropout: float = option(
        0.5, "share of each hidden layer that a step leaves out", low=0, high=0.95, search=Range(0, 0.7), primary=True
    )
    learning_rate: float = option(
        0.001,
        "step size of Adam at the start",
        low=0,
        high=10,
        open_low=True,
        search=Range(0.0003, 0.01, log=True),
        primary=True,
    )
    plateau_factor: float = option(
        0.3, "what the step size is multiplied by on a plateau", low=0, high=1, open_low=True
    )
    plateau_patience: int = option(2, "validations without a gain that make a plateau", low=0, high=1000)
    l2: float = option(
        0.01,
        "penalty of the vectors of a step, each as often as it is used",
        low=0,
        high=10,
        search=Range(0.001, 0.1, log=True),
        primary=True,
    )
    batch_size: int = option(512, "ratings in one step", low=1, high=10_000_000)
    init_std: float = option(0.03, "standard deviation of the starting vectors", low=0, high=10, open_low=True)


class RecommenderNetwork(nn.Module):
    """rating = low + (high - low) * sigmoid(MLP([user vector, item vector])).

    The vector of someone without a row is zero, so that only the other's half speaks.
    """

    bounds: Tensor

    def __init__(self, n_users: int, n_items: int, config: RecommenderNetConfig) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.user_embedding = nn.Parameter(torch.zeros(n_users, dim))
        self.item_embedding = nn.Parameter(torch.zeros(n_items, dim))
        self.register_buffer("bounds", torch.tensor([0.0, 1.0]))
        widths = (2 * dim, *config.layers)
        steps: list[nn.Module] = [nn.Dropout(config.embedding_dropout)]
        for before, after in pairwise(widths):
            steps += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(config.dropout)]
        self.layers = nn.Sequential(*steps, nn.Linear(widths[-1], 1))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return (n,) ratings from vectors, both (n, dim)."""
        low, high = self.bounds
        return low + (high - low) * torch.sigmoid(self.layers(torch.cat([user, item], dim=1))[:, 0])


class RecommenderNet(RatingModel[RecommenderNetConfig]):
    """A perceptron over the two vectors that predicts the rating; trained on the squared error.

    The learning rate is reduced when the validation error stays, or without validation the epoch's mean loss.
    """

    name = "recommender-net"
    abilities = ("similar", "ratings")
    family = "collaborative"
    summary = "A deep network over the vectors of a person and a film that predicts the rating."
    reference = "He et al., Neural collaborative filtering, WWW 2017 (its perceptron, on ratings)"
    Config = RecommenderNetConfig
    preset_epochs = 30
    preset_patience = 6

    def learn(self, train: Interactions, context: FitContext) -> None:
        config, device = self.config, context.run.torch_device()
        draws = torch.Generator(device).manual_seed(context.run.seed)
        with seeded(device, context.run.seed), one_thread(device):
            network = self.network = RecommenderNetwork(self.n_users, self.n_items, config)
            for table, counts in (
                (network.user_embedding, train.user_counts),
                (network.item_embedding, train.item_counts),
            ):
                nn.init.normal_(table, std=config.init_std)
                table.data[torch.from_numpy(counts == 0)] = 0
            network.bounds.copy_(rating_range(train))
            network.to(device)
            optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=config.plateau_factor, patience=config.plateau_patience
            )

            def on_epoch(result: EpochResult) -> None:
                plateau.step(result.metrics.get(self.criterion, result.loss))
                if context.on_epoch is not None:
                    context.on_epoch(result)

            options = context.loop_options(self, train)
            options["on_epoch"] = on_epoch
            self.training_log = train_loop(
                network,
                batches=shuffled(rows_of(train, device), config.batch_size, draws),
                loss=self._loss,
                optimizers=[optimizer],
                **options,
            )
            network.to("cpu")

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config, rows = self.config, min(self.config.batch_size, n_rows)
        widths = (2 * config.embedding_dim, *config.layers)
        return {
            "embedding_dim": 4 * 6 * (n_users + n_items) * config.embedding_dim,
            "layers": 4 * 6 * sum(a * b for a, b in pairwise(widths)),
            "batch_size": 4 * 4 * max(rows, CHUNK) * sum(widths),
        }

    def _loss(self, user: Tensor, item: Tensor, rating: Tensor) -> Tensor:
        network = self.network
        u, v = network.user_embedding[user], network.item_embedding[item]
        error = (network(u, v) - rating).square().mean()
        return error + self.config.l2 * (u.square().sum() + v.square().sum()) / len(user)

    @property
    def scale(self) -> tuple[float, float]:
        return float(self.network.bounds[0]), float(self.network.bounds[1])

    def raw(self, user: Tensor, item: Tensor) -> Tensor:
        network = self.network
        device = network.bounds.device
        return network(network.user_embedding[user.to(device)], network.item_embedding[item.to(device)]).detach()

    @torch.no_grad()
    def score(self, user_idx: ArrayLike) -> Tensor:
        items = torch.arange(self.n_items)
        users = np.atleast_1d(np.asarray(user_idx, dtype=np.int64)).tolist()
        return torch.stack([self.raw(torch.full_like(items, u), items) for u in users])

    def item_vectors(self) -> Tensor:
        return self.network.item_embedding.detach()

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.network = RecommenderNetwork(self.n_users, self.n_items, self.config)
        self.network.load_state_dict(state)
        self.network.eval()
