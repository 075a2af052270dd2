"""A recurrent network in place of the user vector: whoever has rated a few films can be served at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences, past_rows, past_tensors
from recengine.models.base import FitContext, Recommender
from recengine.training.catalogue_softmax import CELLS, catalogue_softmax_loss
from recengine.training.config import Config, Range, option
from recengine.training.loop import seeded
from recengine.training.loop import train as train_loop

SHARE_DRAWS = 10
"""Epochs that are drawn to count how often each item follows others."""
Batches = Callable[[], Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]]


@dataclass(frozen=True)
class GRUConfig(Config):
    """Settings of `gru`."""

    embedding_dim: int = option(
        64, "length of an item's vector", low=1, high=4096, search=Range(32, 128, log=True), primary=True
    )
    hidden_dim: int = option(
        128,
        "length of the state that stands for the person",
        low=1,
        high=4096,
        search=Range(64, 256, log=True),
        primary=True,
    )
    dropout: float = option(
        0.3, "share of inputs and outputs dropped in training", low=0, high=0.95, search=Range(0, 0.6), primary=True
    )
    learning_rate: float = option(
        0.003, "step size of AdamW", low=0, high=10, open_low=True, search=Range(0.0005, 0.01, log=True), primary=True
    )
    weight_decay: float = option(
        0.01, "decay of AdamW", low=0, high=10, search=Range(0.001, 0.3, log=True), primary=True
    )
    batch_size: int = option(64, "sequences in one step", low=1, high=100_000, search=(32, 64, 128))
    schedule: Literal["none", "plateau", "cosine"] = option(
        "none", "how the step size falls as epochs pass", search=("none", "cosine")
    )
    max_length: int = option(200, "latest events that are read", low=2, high=100_000)
    negatives: int = option(
        0, "items drawn for a sampled softmax; 0: over the whole catalogue", low=0, high=10_000_000, primary=True
    )
    horizon: Literal["next", "later"] = option(
        "next", "what each event predicts: the next item, or any later one, from the start of the person's events"
    )


class GRUNetwork(nn.Module):
    """Items and ratings in, one state after each event out; the state is scored against the item vectors."""

    def __init__(self, n_items: int, config: GRUConfig) -> None:
        super().__init__()
        dim = config.embedding_dim
        self.item_embedding = nn.Embedding(n_items + 1, dim, padding_idx=n_items)
        self.rating_weight = nn.Parameter(torch.zeros(dim))
        self.gru = nn.GRU(dim, config.hidden_dim, batch_first=True)
        self.project = nn.Linear(config.hidden_dim, dim)
        self.item_bias = nn.Parameter(torch.zeros(n_items))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, items: Tensor, ratings: Tensor) -> Tensor:
        """Return the projected states (B, L, D) after each of the events (B, L), padded at the end."""
        inputs = self.item_embedding(items)  # (B, L, D)
        inputs = inputs + (ratings * (items < len(self.item_bias)))[:, :, None] * self.rating_weight
        states, _ = self.gru(self.dropout(inputs))
        return self.project(self.dropout(states))

    def score_all(self, states: Tensor) -> Tensor:
        """Return (..., n_items) scores of states (..., D)."""
        return states @ self.items().T + self.item_bias

    def items(self) -> Tensor:
        """Return (n_items, D) vectors of the items, without the padding's."""
        return self.item_embedding.weight[:-1]


class GRU(Recommender[GRUConfig]):
    """Predict the next item from the sequence of (item, rating) so far, by softmax over the catalogue.

    The network has no user table: a person is their sequence, so newcomers are served like everybody else. After
    Hidasi et al. (ICLR 2016), with the full cross entropy that Klenitskiy & Vasilev (RecSys 2023) and Petrov &
    Macdonald (RecSys 2023) found to decide the accuracy of sequence models.

    With `horizon` "later" it learns from each person's first `max_length` events alone, and is asked after each of
    them for items drawn from all that follow, soon or late: a list for people of whom little is known. It starts as
    how often each item follows others, which stands in the items' biases, then free of decay.
    """

    name = "gru"
    title = "GRU"
    abilities = ("similar", "fold-in")
    family = "collaborative"
    summary = (
        "A recurrent network reads what a person rated, in order, and guesses what comes next; needs no retraining."
    )
    reference = "Hidasi et al., Session-based recommendations with recurrent neural networks, ICLR 2016"
    is_order_sensitive = True
    Config = GRUConfig
    preset_epochs = 80
    preset_patience = 12

    def learn(self, train: Interactions, context: FitContext) -> None:
        device = context.run.torch_device()
        self.scale = torch.tensor(max(float(train.rating.max(initial=0)), 1e-6))
        self._remember(train)
        with seeded(device, context.run.seed):
            self.network = GRUNetwork(self.n_items, self.config)
            nn.init.normal_(self.network.item_embedding.weight[:-1].data, std=0.05)
            batches = self._batches(device, torch.Generator().manual_seed(context.run.seed))
            later = self.config.horizon == "later"
            if later:
                self._start_from_shares(batches)
            self.network.to(device)
            weights = [weight for weight in self.network.parameters() if weight is not self.network.item_bias]
            groups: list[dict[str, Any]] = [{"params": weights}, {"params": [self.network.item_bias]}]
            if later:
                groups[1]["weight_decay"] = 0.0
            self.training_log = train_loop(
                self.network,
                batches=batches,
                loss=self._loss,
                optimizers=[
                    torch.optim.AdamW(
                        groups,
                        lr=self.config.learning_rate,
                        weight_decay=self.config.weight_decay,
                        fused=True,
                    )
                ],
                **context.loop_options(self, train),
                schedule=self.config.schedule,
            )
        self.network.to("cpu")

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config = self.config
        events = min(config.batch_size * config.max_length, n_rows)
        weights = n_items * config.embedding_dim + 3 * config.hidden_dim * (config.embedding_dim + config.hidden_dim)
        return {
            "embedding_dim": 4 * 6 * weights,
            "batch_size": 4 * (10 * events * config.hidden_dim + 2 * CELLS["cpu"]),
            "": 4 * 4 * min(2048, n_users) * n_items,
        }

    def _remember(self, past: Interactions) -> None:
        self.past = past
        self.sequences = Sequences(past)

    @torch.no_grad()
    def _start_from_shares(self, batches: Batches) -> None:
        """Set the network to predict the share of each item among the targets, whatever the history."""
        counts = torch.ones(self.n_items)
        for *_, targets in itertools.chain(*(batches() for _ in range(SHARE_DRAWS))):
            counts += torch.bincount(targets.cpu(), minlength=self.n_items)
        self.network.item_bias.copy_((counts / counts.mean()).log())
        for weight in self.network.project.parameters():
            nn.init.zeros_(weight)

    def _batches(self, device: torch.device, draws: torch.Generator) -> Batches:
        """Return a function that draws one epoch of the arguments of `_loss`, sequences of like length together."""
        config, sequences = self.config, self.sequences
        later = config.horizon == "later"
        ends, lengths = (sequences.starts if later else sequences.pieces)(config.max_length)

        def batches() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
            # Sorting by length with a random tenth of it keeps padding low and the batches different each epoch.
            blur = torch.rand(len(ends), generator=draws).numpy()
            order = np.argsort(lengths * (0.9 + 0.2 * blur), kind="stable")
            starts = np.arange(0, len(ends), config.batch_size)
            for start in starts[torch.randperm(len(starts), generator=draws).numpy()]:
                rows = order[start : start + config.batch_size]
                items, ratings, length = sequences.windows(ends[rows], lengths[rows])
                if later:
                    row, after, targets = sequences.draw_later(ends[rows], length, draws)
                    at = row * items.shape[1] + after
                else:
                    following = items[:, 1:].flatten()
                    items, ratings = items[:, :-1], ratings[:, :-1]
                    at = (following < self.n_items).nonzero()[:, 0]
                    targets = following[at]
                yield items.to(device), ratings.to(device), at.to(device), targets.to(device)

        return batches

    def _loss(self, items: Tensor, ratings: Tensor, at: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy of the targets (T,), each from the state after event `at` (T,) of B x L."""
        states = self.network(items, ratings / self.scale).flatten(0, 1)  # (B L, D)
        states = self.network.dropout(states[at])  # (T, D)
        drawn = self.config.negatives
        against = torch.randint(self.n_items, (drawn,), device=items.device) if drawn else None
        return catalogue_softmax_loss(states, targets, self.network.items(), self.network.item_bias, against)

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self._score(self.sequences, user_idx)

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of people known only by these rows."""
        return self._score(Sequences(histories), np.arange(histories.n_users))

    @torch.no_grad()
    def _score(self, sequences: Sequences, users: ArrayLike, batch: int = 512) -> Tensor:
        device = self.network.item_bias.device
        everyone = np.atleast_1d(np.asarray(users, dtype=np.int64))
        parts = []
        for start in range(0, len(everyone), batch):
            items, ratings, lengths = sequences.last(everyone[start : start + batch], self.config.max_length)
            states = self.network(items.to(device), ratings.to(device) / self.scale)  # (B, L, D)
            after = states[torch.arange(len(lengths)), (lengths - 1).clamp(min=0)]  # (B, D): after the last event
            parts.append(self.network.score_all(after).cpu())
        return torch.cat(parts)

    def item_vectors(self) -> Tensor:
        return self.network.items().detach()

    def state(self) -> dict[str, Tensor]:
        return {**self.network.state_dict(), "scale": self.scale, **past_tensors(self.past)}

    def restore(self, state: dict[str, Tensor]) -> None:
        past, learned = past_rows(state, self.n_users, self.n_items)
        self._remember(past)
        self.scale = learned.pop("scale")
        self.network = GRUNetwork(self.n_items, self.config)
        self.network.load_state_dict(learned)
        self.network.eval()
