"""A deep network that predicts the rating."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.models.base import FitContext, as_indices
from recengine.models.options import shared
from recengine.models.ratings.base import PAIRS_AT_ONCE, RatingModel, rating_range, rows_of, shuffled
from recengine.training.config import Config, Range, option
from recengine.training.loop import one_thread, seeded
from recengine.training.loop import train as train_loop


@dataclass(frozen=True)
class RecommenderNetConfig(Config):
    """Options of `recommender-net`."""

    embedding_dim: int = shared("embedding_dim", 50, search=Range(16, 128, log=True))
    layers: tuple[int, ...] = shared("layers", (128, 256, 128), search=((64,), (128, 64), (128, 256, 128)))
    embedding_dropout: float = option(
        0.5, "share of the vectors' numbers that a training step drops", low=0, high=0.95, search=Range(0, 0.7)
    )
    dropout: float = shared("dropout", 0.5, note="the vectors have `embedding_dropout` instead", search=Range(0, 0.7))
    learning_rate: float = shared("learning_rate", 0.001, note="at the start", search=Range(0.0003, 0.01, log=True))
    schedule_factor: float = option(
        0.3, "what the step size is multiplied by on a plateau", low=0, high=1, open_low=True
    )
    schedule_patience: int = option(2, "validations without a gain that make a plateau", low=0, high=1000)
    l2: float = shared(
        "l2", 0.01, note="of the vectors in a step, each as often as it is used", search=Range(0.001, 0.1, log=True)
    )
    batch_size: int = shared("batch_size", 512)
    init_std: float = shared("init_std", 0.03)


class RecommenderNetwork(nn.Module):
    """rating = low + (high - low) * sigmoid(MLP([user vector, item vector])).

    The vector of a user or an item without rows is zero, so that only the other's half counts.
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
    """A perceptron over the two vectors predicts the rating; trained on the squared error.

    The learning rate is reduced when the validation error stays, or without validation the epoch's mean loss.
    """

    name = "recommender-net"
    abilities = ("similar", "ratings")
    family = "collaborative"
    summary = "Predicts ratings with a deep network over a viewer's and a film's vector."
    reference = "He et al., Neural collaborative filtering, WWW 2017 (its perceptron, on ratings)"
    Config = RecommenderNetConfig
    preset_epochs = 30
    preset_patience = 6

    def learn(self, train: Interactions, context: FitContext) -> None:
        config, device = self.config, context.run.torch_device()
        generator = torch.Generator(device).manual_seed(context.run.seed)
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
                optimizer, factor=config.schedule_factor, patience=config.schedule_patience
            )
            self.training_log = train_loop(
                network,
                batches=shuffled(rows_of(train, device), config.batch_size, generator),
                loss=self._loss,
                optimizers=[optimizer],
                schedule=lambda result: plateau.step(result.metrics.get(self.criterion, result.loss)),
                **context.loop_options(self, train),
            )

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config, rows = self.config, min(self.config.batch_size, n_rows)
        widths = (2 * config.embedding_dim, *config.layers)
        return {
            "embedding_dim": 4 * 6 * (n_users + n_items) * config.embedding_dim,
            "layers": 4 * 6 * sum(a * b for a, b in pairwise(widths)),
            "batch_size": 4 * 4 * max(rows, PAIRS_AT_ONCE) * sum(widths),
        }

    def _loss(self, user: Tensor, item: Tensor, rating: Tensor) -> Tensor:
        network = self.network
        u, v = network.user_embedding[user], network.item_embedding[item]
        error = (network(u, v) - rating).square().mean()
        return error + self.config.l2 * (u.square().sum() + v.square().sum()) / len(user)

    @property
    def scale(self) -> tuple[float, float]:
        return float(self.network.bounds[0]), float(self.network.bounds[1])

    def score_pairs(self, user: Tensor, item: Tensor) -> Tensor:
        network = self.network
        device = network.bounds.device
        return network(network.user_embedding[user.to(device)], network.item_embedding[item.to(device)]).detach()

    @torch.no_grad()
    def score(self, user_idx: ArrayLike) -> Tensor:
        items = torch.arange(self.n_items, device=self.network.bounds.device)
        users = as_indices(user_idx).tolist()
        return torch.stack([self.score_pairs(torch.full_like(items, u), items) for u in users])

    def item_vectors(self) -> Tensor:
        return self.network.item_embedding.detach()

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.network = RecommenderNetwork(self.n_users, self.n_items, self.config)
        self.network.load_state_dict(state)
        self.network.eval()
