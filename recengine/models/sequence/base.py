"""What models share that read a user's events in order: memory of the events, scoring, and training on the next item.

A new network is a `SequenceNetwork` with its layers and `encode`, a config if it adds options, and a `SequenceModel`
that names them.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.data.sequences import Sequences, past_rows, past_tensors
from recengine.errors import BadInput
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.metadata import TERM_COLUMNS, without_metadata
from recengine.models.options import shared
from recengine.models.sequence import sitting
from recengine.training.catalogue_softmax import BLOCK_LOGITS, catalogue_softmax_loss
from recengine.training.config import Config, Range
from recengine.training.loop import Batches, Score, Validate, one_thread, seeded
from recengine.training.loop import train as train_loop

USERS_AT_ONCE = 512
"""Users whose events are read at once when they are scored."""
SHARE_EPOCHS = 10
"""Epochs of targets that are sampled to count how often each item follows others."""


class ReadsSequences(ABC):
    """Scores users by reading their events; there is no table of users. It stands before `Recommender` among the bases.

    The events of the training data are remembered and saved with the weights; new users bring theirs.
    """

    n_users: int
    n_items: int
    network: nn.Module
    past: Interactions
    sequences: Sequences

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the untrained network."""

    @abstractmethod
    def score_sequences(self, sequences: Sequences, users: ArrayLike) -> Tensor:
        """Return (B, n_items) scores of few users (B,) after the last of their events."""

    def remember(self, past: Interactions) -> None:
        """Score the users of the data from these rows from now on."""
        self.past, self.sequences = past, Sequences(past)

    def score(self, user_idx: ArrayLike) -> Tensor:
        return self._score(self.sequences, user_idx)

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of users known only by these rows."""
        return self._score(Sequences(histories), np.arange(histories.n_users))

    @torch.no_grad()
    def _score(self, sequences: Sequences, user_idx: ArrayLike) -> Tensor:
        users = as_indices(user_idx)
        starts = range(0, len(users), USERS_AT_ONCE)
        return torch.cat([self.score_sequences(sequences, users[s : s + USERS_AT_ONCE]).cpu() for s in starts])

    def state(self) -> dict[str, Tensor]:
        return {**self.network.state_dict(), **past_tensors(self.past)}

    def restore(self, state: dict[str, Tensor]) -> None:
        past, learned = past_rows(state, self.n_users, self.n_items)
        self.remember(past)
        self.network = self.build()
        self.network.load_state_dict(learned)
        self.network.eval()


def adamw(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, object]], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return AdamW for parameters or groups of them."""
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)


@dataclass(frozen=True)
class SequenceConfig(Config):
    """Options of every model that predicts the next item."""

    embedding_dim: int = shared("embedding_dim", 64, search=Range(32, 128, log=True))
    dropout: float = shared("dropout", 0.3, search=Range(0, 0.6))
    learning_rate: float = shared("learning_rate", 0.003, search=Range(0.0005, 0.01, log=True))
    weight_decay: float = shared("weight_decay", 0.01, search=Range(0.001, 0.3, log=True))
    batch_size: int = shared("batch_size", 64, note="an example is a sequence", search=(32, 64, 128))
    schedule: Literal["none", "plateau", "cosine"] = shared("schedule", "none", search=("none", "cosine"))
    max_length: int = shared("max_length", 200, low=2)
    negatives: int = shared("negatives", 0)
    horizon: Literal["next", "later", "sitting"] = shared("horizon", "next")


class SequenceNetwork(nn.Module, ABC):
    """Items and ratings in, one state after each event out; the state is scored against the item vectors.

    A subclass makes its layers and `project`, the last one, in `__init__`, and reads the events in `encode`.
    """

    scale: Tensor
    project: nn.Linear

    def __init__(self, n_items: int, config: SequenceConfig) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(n_items + 1, config.embedding_dim, padding_idx=n_items)
        self.rating_weight = nn.Parameter(torch.zeros(config.embedding_dim))
        self.item_bias = nn.Parameter(torch.zeros(n_items))
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("scale", torch.tensor(1.0))
        """The highest rating, which stands as 1."""

    @abstractmethod
    def encode(self, inputs: Tensor) -> Tensor:
        """Return states (B, L, H) after each of the events (B, L, D), none of which sees a later one."""

    def forward(self, items: Tensor, ratings: Tensor) -> Tensor:
        """Return the projected states (B, L, D) after each of the events (B, L), padded at the end."""
        known = items < len(self.item_bias)
        inputs = self.item_embedding(items) + (ratings / self.scale * known)[:, :, None] * self.rating_weight
        return self.project(self.dropout(self.encode(self.dropout(inputs))))

    def score_all(self, states: Tensor) -> Tensor:
        """Return (..., n_items) scores of states (..., D)."""
        return states @ self.items().T + self.item_bias

    def items(self) -> Tensor:
        """Return (n_items, D) vectors of the items, without the padding's."""
        return self.item_embedding.weight[:-1]


class SequenceModel(ReadsSequences, Recommender[SequenceConfig]):
    """Predict the next item from the sequence of (item, rating) so far, by softmax over the catalogue.

    The full cross entropy decides the accuracy of sequence models (Klenitskiy & Vasilev, RecSys 2023; Petrov &
    Macdonald, RecSys 2023).

    With `horizon` "later" it learns from each user's first `max_length` events alone, and predicts after each of them
    items sampled from all that follow, soon or late: a list for users of whom little is known. The items' biases start
    as the logarithm of how often each item follows others, and do not decay.

    With `horizon` "sitting" order means nothing, dislikes count, and metadata are read: see `sitting`.
    """

    family = "collaborative"
    abilities = ("similar", "fold-in")
    is_order_sensitive = True
    Config = SequenceConfig
    network_class: ClassVar[type[SequenceNetwork]]
    network: SequenceNetwork
    version = 2
    preset_epochs = 80
    preset_patience = 12

    def __init__(self, config: SequenceConfig | None = None) -> None:
        super().__init__(config)
        self.hears_dislikes = self.in_sitting
        self.learns_from = "ratings" if self.in_sitting else "positives"

    @property
    def in_sitting(self) -> bool:
        """Return whether users are known by ratings in no order."""
        return self.config.horizon == "sitting"

    def reads(self) -> Sequence[str]:
        return TERM_COLUMNS if self.in_sitting else ()

    def build(self) -> SequenceNetwork:
        return self.network_class(self.n_items, self.config)

    def remember(self, past: Interactions) -> None:
        super().remember(past)
        self.scale = sitting.Scale.of(past)

    def validator(self, train: Interactions, valid: Interactions, score: Score | None = None) -> Validate:
        liked = valid.at_least(self.scale.like) if self.in_sitting else valid
        return super().validator(train, liked if len(liked) else valid, score)

    def learn(self, train: Interactions, context: FitContext) -> None:
        if train.user_counts.max(initial=0) < 2:
            raise BadInput(
                "model",
                self.name,
                remedy="choose another model, such as 'popularity'",
                problem="learns from users with at least two events, and no user has as many here",
            )
        device = context.run.torch_device()
        self.remember(train)
        with seeded(device, context.run.seed), one_thread(device):
            self.start(train)
            network = self.network
            generator = torch.Generator().manual_seed(context.run.seed)
            batches, loss = self.batches(device, generator), self.loss
            if self.in_sitting:
                batches, loss = self._sitting(train, context.items, device, generator)
            elif self.config.horizon == "later":
                self.start_from_shares(batches)
            network.to(device)
            self.training_log = train_loop(
                network,
                batches=batches,
                loss=loss,
                optimizers=self.optimizers(),
                schedule=self.config.schedule,
                **context.loop_options(self, train),
            )

    def start(self, train: Interactions) -> None:
        """Make the untrained network, on the CPU."""
        self.network = self.build()
        self.network.scale.fill_(max(float(train.rating.max(initial=0)), 1e-6))
        nn.init.normal_(self.network.items().data, std=0.05)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Return AdamW for what is learned, in which biases that start from shares do not decay."""
        config, bias = self.config, self.network.item_bias
        weights = [weight for weight in self.network.parameters() if weight.requires_grad and weight is not bias]
        groups: list[dict[str, object]] = [{"params": weights}]
        if bias.requires_grad:
            groups.append({"params": [bias], "weight_decay": 0.0 if config.horizon == "later" else config.weight_decay})
        return [adamw(groups, config.learning_rate, config.weight_decay)]

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config = self.config
        events = min(config.batch_size * config.max_length, n_rows)
        with torch.device("meta"):
            network = self.network_class(n_items, config)
        return {
            "embedding_dim": 4 * 6 * sum(weight.numel() for weight in network.parameters()),
            "batch_size": 4 * (10 * events * network.project.in_features + 2 * BLOCK_LOGITS["cpu"]),
            "": 4 * 4 * min(2048, n_users) * n_items,
        }

    @torch.no_grad()
    def start_from_shares(self, batches: Batches) -> None:
        """Set the network to predict the share of each item among the targets, whatever the history."""
        counts = torch.ones(self.n_items)
        for *_, targets in itertools.chain(*(batches() for _ in range(SHARE_EPOCHS))):
            assert targets is not None
            counts += torch.bincount(targets.cpu(), minlength=self.n_items)
        self.network.item_bias.copy_((counts / counts.mean()).log())
        for weight in self.network.project.parameters():
            nn.init.zeros_(weight)

    def _sitting(
        self, train: Interactions, items: pd.DataFrame | None, device: torch.device, generator: torch.Generator
    ) -> tuple[Batches, Callable[..., Tensor]]:
        """Set the items to what they keep, let each like count alike, and return the batches and the loss."""
        config, network, longest = self.config, self.network, min(self.config.max_length, sitting.EVENTS)
        self.n_unknown = int(without_metadata(items, TERM_COLUMNS, self.n_items).sum())
        start = sitting.start(train, items, config.embedding_dim)
        network.items().data.copy_(start.vectors)
        network.item_bias.data.copy_(start.bias)
        for kept in (network.item_embedding.weight, network.item_bias):
            kept.requires_grad_(False)
        for weight in network.project.parameters():
            nn.init.zeros_(weight)
        start = sitting.Start(*(part.to(device) for part in start))

        def batches() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
            for batch in sitting.batches(train, self.scale, longest, config.batch_size, generator):
                items, ratings, at, targets = (part.to(device, non_blocking=True) for part in batch)
                yield items, ratings, at, targets

        users = int((train.user_counts > 1).sum())

        def loss(items: Tensor, ratings: Tensor, at: Tensor, targets: Tensor) -> Tensor:
            states = sitting.states(network, items, ratings, self.scale).flatten(0, 1)[at]  # (T, D)
            return sitting.loss(network, start, states, targets, config.negatives)

        return Batches(batches, -(-users // config.batch_size)), loss

    def batches(self, device: torch.device, generator: torch.Generator) -> Batches:
        """Return the arguments of `_loss` for each batch of an epoch, sequences of like length together."""
        config, sequences = self.config, self.sequences
        later = config.horizon == "later"
        ends, lengths = (sequences.starts if later else sequences.pieces)(config.max_length)

        def batches() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
            # Sorting by length with a random tenth of it keeps padding low and the batches different each epoch.
            blur = torch.rand(len(ends), generator=generator).numpy()
            order = np.argsort(lengths * (0.9 + 0.2 * blur), kind="stable")
            starts = np.arange(0, len(ends), config.batch_size)
            for start in starts[torch.randperm(len(starts), generator=generator).numpy()]:
                rows = order[start : start + config.batch_size]
                items, ratings, length = sequences.windows(ends[rows], lengths[rows])
                if later:
                    row, after, targets = sequences.draw_later(ends[rows], length, generator)
                    at = row * items.shape[1] + after
                else:
                    following = items[:, 1:].flatten()
                    items, ratings = items[:, :-1], ratings[:, :-1]
                    at = (following < self.n_items).nonzero()[:, 0]
                    targets = following[at]
                # else the host would wait, batch by batch, until the device has caught up
                items, ratings, at, targets = (
                    part.to(device, non_blocking=True) for part in (items, ratings, at, targets)
                )
                yield items, ratings, at, targets

        return Batches(batches, -(-len(ends) // config.batch_size))

    def loss(self, items: Tensor, ratings: Tensor, at: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy of the targets (T,), each from the state after event `at` (T,) of B x L."""
        network, n_negatives = self.network, self.config.negatives
        states = network(items, ratings).flatten(0, 1)  # (B L, D)
        states = network.dropout(states[at])  # (T, D)
        negatives = torch.randint(self.n_items, (n_negatives,), device=items.device) if n_negatives else None
        return catalogue_softmax_loss(states, targets, network.items(), network.item_bias, negatives)

    def score_sequences(self, sequences: Sequences, users: ArrayLike) -> Tensor:
        if self.in_sitting:
            longest = min(self.config.max_length, sitting.EVENTS)
            orders = sitting.served_orders(sequences, as_indices(users), longest)
            state = torch.stack([self._last_state(*order) for order in orders]).mean(0)
            items, ratings, _ = sequences.last(users, int(sequences.counts.max(initial=1)))
            items, ratings = items.to(state.device), ratings.to(state.device)
            taken = sitting.taken(self.network.items(), items, ratings, self.scale)
            return self.network.score_all(state).sub_(taken)
        return self.network.score_all(self._last_state(*sequences.last(users, self.config.max_length)))

    def _last_state(self, items: Tensor, ratings: Tensor, lengths: Tensor) -> Tensor:
        """Return states (B, D) after the last of the events (B, L)."""
        network, device = self.network, self.network.item_bias.device
        items, ratings = items.to(device), ratings.to(device)
        states = sitting.states(network, items, ratings, self.scale) if self.in_sitting else network(items, ratings)
        return states[torch.arange(len(lengths)), (lengths - 1).clamp(min=0)]

    def item_vectors(self) -> Tensor:
        return self.network.items().detach()
