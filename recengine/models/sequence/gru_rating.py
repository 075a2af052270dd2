"""A recurrent network that predicts ratings: a user is a sequence of (item, rating) pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences
from recengine.errors import BadInput
from recengine.models.base import FitContext
from recengine.models.options import shared
from recengine.models.ratings.base import RatingModel, rating_range
from recengine.models.ratings.bias import Bias, BiasConfig
from recengine.models.sequence.base import ReadsSequences, adamw
from recengine.training.config import Config, Range, option, preset
from recengine.training.loop import Batches, one_thread, seeded
from recengine.training.loop import train as train_loop

HIDDEN_CELLS = 2**24
"""Numbers of the hidden layer that are held while all items are predicted."""


@dataclass(frozen=True)
class GRURatingConfig(Config):
    """Options of `gru-rating`: of the network, and of the offsets that it corrects."""

    embedding_dim: int = shared("embedding_dim", 16, search=Range(4, 64, log=True))
    hidden_dim: int = shared("hidden_dim", 32, search=Range(8, 128, log=True))
    dropout: float = shared("dropout", 0.5, search=Range(0.2, 0.7))
    loss: Literal["absolute", "squared"] = shared(
        "loss", "absolute", note="the absolute error aims at the median of the ratings to come, the squared at the mean"
    )
    learning_rate: float = shared("learning_rate", 0.002, search=Range(0.0005, 0.01, log=True))
    weight_decay: float = shared("weight_decay", 0.1, search=Range(0.01, 1, log=True))
    batch_size: int = shared("batch_size", 32, note="an example is a sequence", search=(16, 32, 64))
    schedule: Literal["none", "plateau", "cosine"] = shared("schedule", "cosine")
    max_length: int = shared("max_length", 100)
    event_targets: int = option(8, "later ratings that are predicted after each event", low=1, high=1000)
    item_shrink: float = preset(BiasConfig, "item_shrink", 2.0)
    user_shrink: float = preset(BiasConfig, "user_shrink", 10.0)


class GRURatingNetwork(nn.Module):
    """(item, residual) pairs in, a state of the user before and after each of them out; `head` joins it to an item.

    A residual is a rating less the mean and the item's offset, which stand here as what is learned in closed form.
    """

    bounds: Tensor
    mean: Tensor
    item_offset: Tensor

    def __init__(self, n_items: int, config: GRURatingConfig) -> None:
        super().__init__()
        dim, hidden = config.embedding_dim, config.hidden_dim
        self.item_embedding = nn.Embedding(n_items + 1, dim, padding_idx=n_items)
        self.gru = nn.GRU(dim + 1, hidden, batch_first=True)
        self.from_state = nn.Linear(hidden, hidden)  # of the joined pair, in two parts: each is computed once
        self.from_item = nn.Linear(dim, hidden, bias=False)
        self.output = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("bounds", torch.tensor([0.0, 1.0]))
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("item_offset", torch.zeros(n_items + 1))
        for zeroed in (self.output.weight, self.output.bias):  # it starts as the offsets alone
            nn.init.zeros_(zeroed)

    def forward(self, items: Tensor, residuals: Tensor) -> Tensor:
        """Return the states (B, L + 1, H) after the first 0, 1, ... L events (B, L), padded at the end."""
        inputs = torch.cat([self.dropout(self.item_embedding(items)), residuals[:, :, None]], dim=2)  # (B, L, D + 1)
        states, _ = self.gru(inputs)
        return nn.functional.pad(states, (0, 0, 1, 0))  # a GRU's state before the first event is zero

    def head(self, states: Tensor, items: Tensor) -> Tensor:
        """Return what is added to the offsets, for states (..., H) and items (...) that broadcast."""
        hidden = self.from_state(self.dropout(states)) + self.from_item(self.dropout(self.item_embedding(items)))
        return self.output(self.dropout(torch.relu(hidden)))[..., 0]

    def base(self, items: Tensor) -> Tensor:
        """Return the mean plus the items' offsets, of the same shape; the padding's offset is 0."""
        return self.mean + self.item_offset[items]


class GRURating(ReadsSequences, RatingModel[GRURatingConfig]):
    """rating = mean + item's offset + user's offset + what a GRU over the (item, rating) pairs so far adds.

    There is no table of users: offset and state are computed from the pairs, so new users are served like all others.
    In training, each epoch samples a sequence of each user, and each of its events predicts ratings sampled from those
    that follow it. The item's offset is then computed without the rating that is predicted, as it is for a new user:
    otherwise it would contain part of the answer.
    """

    name = "gru-rating"
    title = "GRU-rating"
    abilities = ("fold-in", "ratings")
    family = "collaborative"
    summary = (
        "Predicts ratings: a recurrent network reads yours in order and corrects Bias. New viewers need no retraining."
    )
    reference = "Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014 (the GRU)"
    is_order_sensitive = True
    criterion = "valid_mae"
    Config = GRURatingConfig
    version = 2
    preset_epochs = 10
    preset_patience = 10
    network: GRURatingNetwork

    def build(self) -> GRURatingNetwork:
        return GRURatingNetwork(self.n_items, self.config)

    def learn(self, train: Interactions, context: FitContext) -> None:
        config, device = self.config, context.run.torch_device()
        if not (train.user_counts > 1).any():
            raise BadInput(
                "model",
                self.name,
                remedy="choose another model, such as bias",
                problem=f"learns from users with at least 2 ratings, and none of {train.n_users:,} has that many",
            )
        self.remember(train)
        offsets = Bias(BiasConfig(item_shrink=config.item_shrink, user_shrink=config.user_shrink)).fit(train)
        residuals = leave_one_out_residuals(train, offsets)
        with seeded(device, context.run.seed), one_thread(device):
            network = self.network = self.build()
            nn.init.normal_(network.item_embedding.weight, std=0.05)
            network.item_embedding.weight.data[np.append(train.item_counts == 0, True)] = 0
            network.bounds.copy_(rating_range(train))
            network.mean.copy_(offsets.mean)
            network.item_offset[:-1] = offsets.items
            network.to(device)
            self.training_log = train_loop(
                network,
                batches=self._batches(residuals, device, torch.Generator().manual_seed(context.run.seed)),
                loss=self._loss,
                optimizers=[adamw(network.parameters(), config.learning_rate, config.weight_decay)],
                schedule=config.schedule,
                **context.loop_options(self, train),
            )

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config = self.config
        events = min(config.batch_size * (config.max_length + 1), n_rows)
        return {
            "embedding_dim": 4 * 6 * n_items * config.embedding_dim,
            "event_targets": 4 * 3 * events * config.event_targets * (config.embedding_dim + 2 * config.hidden_dim),
            "batch_size": 4 * 10 * events * config.hidden_dim,
            "": 4 * (4 * n_rows + 3 * HIDDEN_CELLS),
        }

    def _batches(self, residuals: Tensor, device: torch.device, generator: torch.Generator) -> Batches:
        """Return the arguments of `_loss` for each batch of an epoch, one sequence of each user."""
        config, rows = self.config, self.sequences
        counts, ends = torch.from_numpy(rows.counts), torch.from_numpy(rows.ends)
        users = (counts > 1).nonzero()[:, 0]
        residuals = torch.cat([residuals, torch.zeros(1)])  # of the padding

        def draw(below: Tensor) -> Tensor:
            return (torch.rand(below.shape, generator=generator, dtype=torch.float64) * below).long()

        def batches() -> Iterator[tuple[Tensor, ...]]:
            for batch in users[torch.randperm(len(users), generator=generator)].split(config.batch_size):
                length = 1 + draw((counts[batch] - 1).clamp(max=config.max_length))  # (B,), at least one row is left
                first = ends[batch] - counts[batch] + draw(counts[batch] - length)
                row = first[:, None] + torch.arange(int(length.max()) + 1)  # (B, L + 1): the row after each state
                used = row <= (first + length)[:, None]  # as many states as events, and the one before the first
                left = (ends[batch, None] - row).clamp(min=1)
                target = row[:, :, None] + draw(left[:, :, None].expand(-1, -1, config.event_targets))  # (B, L + 1, T)
                target, event = (x.clamp(max=len(rows.items) - 1) for x in (target, row[:, :-1]))
                read = used[:, 1:]
                items = rows.items[event].masked_fill(~read, rows.padding)
                parts = (items, residuals[event] * read, rows.items[target], residuals[target], used)
                yield tuple(part.to(device, non_blocking=True) for part in parts)

        return Batches(batches, -(-len(users) // config.batch_size))

    def _loss(self, items: Tensor, residuals: Tensor, targets: Tensor, wanted: Tensor, used: Tensor) -> Tensor:
        """Return the mean over the sequences of each one's mean error over its events' targets.

        items, residuals : (B, L), the sequences
        targets, wanted  : (B, L + 1, T), items and their residuals, to predict from the first 0, 1, ... L events
        used             : (B, L + 1), which of these count
        """
        offset = nn.functional.pad(residuals.cumsum(1), (1, 0)) / (
            torch.arange(used.shape[1], device=used.device) + self.config.user_shrink
        ).clamp(min=1e-9)
        states = self.network(items, residuals)[used]  # (S, H)
        error = self.network.head(states[:, None], targets[used]) + offset[used][:, None] - wanted[used]  # (S, T)
        each = (error.abs() if self.config.loss == "absolute" else error.square()).mean(1)
        share = (used / used.sum(1, keepdim=True))[used]  # so that a long sequence weighs no more than a short one
        return (each * share).sum() / len(used)

    def _read(self, sequences: Sequences, users: ArrayLike) -> tuple[Tensor, Tensor]:
        """Return the states (B, H) and offsets (B,) of users after the last of their events."""
        network, device = self.network, self.network.mean.device
        items, ratings, lengths = (x.to(device) for x in sequences.last(users, self.config.max_length))
        residuals = (ratings - network.base(items)) * (items < self.n_items)
        states = network(items, residuals)[torch.arange(len(lengths), device=device), lengths]
        return states, residuals.sum(1) / (lengths + self.config.user_shrink).clamp(min=1e-9)

    @property
    def scale(self) -> tuple[float, float]:
        return float(self.network.bounds[0]), float(self.network.bounds[1])

    @torch.no_grad()
    def score_pairs(self, user: Tensor, item: Tensor) -> Tensor:
        users, position = user.unique(return_inverse=True)
        device = self.network.mean.device
        states, offset = self._read(self.sequences, users.numpy())
        position, item = position.to(device), item.to(device)
        return self.network.base(item) + offset[position] + self.network.head(states[position], item)

    def score_sequences(self, sequences: Sequences, users: ArrayLike) -> Tensor:
        items = torch.arange(self.n_items, device=self.network.mean.device)
        at_once = max(1, HIDDEN_CELLS // (self.n_items * self.config.hidden_dim))
        states, offset = self._read(sequences, users)
        added = torch.cat([self.network.head(part[:, None], items) for part in states.split(at_once)])
        return self.network.base(items) + offset[:, None] + added


def leave_one_out_residuals(train: Interactions, offsets: Bias) -> Tensor:
    """Return (n,) ratings less the mean and the item's offset as it is without the row, in order of user and time.

    The offset of item i is (the sum of its n residuals) / (n + shrink); the row's part is subtracted from both.
    """
    rows = train.select(train.chronological())
    user, item = (torch.from_numpy(x.astype(np.int64)) for x in (rows.user_idx, rows.item_idx))
    shrink, count = offsets.config.item_shrink, torch.from_numpy(train.item_counts)[item]
    left = torch.from_numpy(rows.rating.copy()) - offsets.mean
    total = offsets.items[item] * (count + shrink) - (left - offsets.users[user])
    others = count - 1 + shrink
    return left - torch.where(others > 0, total / others.clamp(min=1e-9), 0.0)
