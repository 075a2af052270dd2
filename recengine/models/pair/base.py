"""What all models trained on sampled negatives share: options, batches, training, full ranking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler, KnownPairs
from recengine.errors import BadInput
from recengine.models.base import FitContext, Recommender, as_indices
from recengine.models.metadata import count_unknown, credit_table, metadata_table, parse_credit
from recengine.models.options import shared
from recengine.models.pair.compiled_steps import COMPILED_FROM, CompiledSteps, whole_groups
from recengine.models.pair.loss import pair_loss
from recengine.models.pair.networks import PairNetwork
from recengine.models.recency import HistoryModel, RecencyOptions
from recengine.training.config import Config as BaseConfig
from recengine.training.config import Range, option
from recengine.training.loop import Batches, most_ranked, one_thread, seeded
from recengine.training.loop import train as train_loop
from recengine.training.optimizers import make_optimizer

TABLES = ("user_embedding", "item_embedding", "value_embedding", "value_bias")
"""Parameters of which a step touches few rows; the others are layers."""


@dataclass(frozen=True)
class PairConfig(BaseConfig):
    """Options of every model that is trained on sampled negatives."""

    embedding_dim: int = shared("embedding_dim", 64, search=Range(16, 128, log=True))
    loss: Literal["softmax", "bpr", "hinge", "adaptive-hinge", "warp", "logistic", "squared"] = shared(
        "loss", "softmax", note="each compares a positive with its negative samples"
    )
    negatives: int = shared("negatives", 64, high=10_000, search=Range(16, 256, log=True))
    shared_by: int = option(32, "positives of different users that share one set of negative samples", low=1, high=1024)
    sampling: Literal["exact", "approximate", "popularity"] = option(
        "exact",
        "exact never takes a user's positive for a negative; approximate does not look; "
        "popularity is exact and draws popular items more often (count^0.75)",
    )
    optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"] = shared("optimizer", "adam")
    learning_rate: float = shared("learning_rate", 0.015, search=Range(0.002, 0.1, log=True))
    bias_optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"] | None = option(
        None, "optimiser of the biases; empty: the same"
    )
    bias_learning_rate: float | None = option(
        None,
        "step size of the biases; a smaller one leaves more of popularity to the vectors; empty: the same",
        low=0,
        high=1000,
    )
    schedule: Literal["none", "plateau", "cosine"] = shared("schedule", "none")
    clip: float = option(0.0, "largest norm of a step's gradient; 0: no limit", low=0, high=1e6)
    l2: float = shared(
        "l2", 0.04, note="of the vectors in a step, each as often as it is used", search=Range(0.001, 0.3, log=True)
    )
    dropout: float = shared("dropout", 0.0, search=Range(0, 0.5))
    item_bias: bool = shared("item_bias", True)
    user_bias: bool = option(
        False, "learn a bias of each user; it changes the logistic and squared losses, but no ranking"
    )
    partial_credit: str = option(
        "",
        "columns that a negative may share with the positive, and how much that narrows the margin, as in genres:0.4",
    )
    batch_size: int = shared("batch_size", 2048)
    y_range: tuple[float, float] | None = option(
        None, "low,high: a sigmoid maps every score into this range; empty: a score is any number"
    )
    initialiser: Literal["normal", "truncated", "uniform", "xavier"] = option(
        "normal", "what the vectors start as; truncated: no further than two standard deviations from 0"
    )
    init_std: float = shared("init_std", 0.1)
    mixed_precision: bool = option(False, "compute products in bfloat16, on CUDA alone")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_credit(self.partial_credit)
        if self.y_range is not None and self.y_range[0] >= self.y_range[1]:
            low, high = self.y_range
            raise BadInput("y_range", f"{low:g},{high:g}", "its low end below its high one", problem="is empty")


PairConfigT = TypeVar("PairConfigT", bound=PairConfig)


class FoldIn(Protocol):
    """Fits the vectors of users to their rows; everything else of the network stays."""

    def vectors(self, network: PairNetwork, config: PairConfig, rows: Interactions, weight: Tensor | None) -> Tensor:
        """Return (rows.n_users, D) vectors; each row counts `weight` (n,), None counts all alike."""
        ...

    def keep_prior(self, network: PairNetwork) -> None:
        """Remember what is needed of the trained users' vectors, which are about to be replaced."""
        ...

    def state(self, network: PairNetwork) -> dict[str, Tensor]:
        """Return the tensors to save in addition to the network's."""
        ...

    def restore(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take the tensors of `state` back, and return what else there is, the network's."""
        ...


class TrainingPhase(NamedTuple):
    """A training phase: its epochs, the factor of the config's learning rates, the frozen parameters."""

    epochs: int
    learning_rate_factor: float = 1.0
    frozen: Sequence[str] = ()


class PairModel(Recommender[PairConfigT]):
    """A `PairNetwork` trained by the one loop. A subclass names its network and its config.

    tables : starting values of the network's tables by name, such as {"item_embedding.weight": (n_items, D)}
    frozen : names of tables that stay as they start, such as ["item_embedding"]

    Small groups of positives share one set of negative samples, so that a step is a batched matrix product instead of
    a gather of (batch, negatives, dim) vectors: several times faster for the same accuracy.
    """

    family = "collaborative"
    abilities: ClassVar[tuple[str, ...]] = ("similar",)
    Config: ClassVar[type[BaseConfig]] = PairConfig
    network_class: ClassVar[type[PairNetwork]] = PairNetwork
    fold_in_class: ClassVar[type[FoldIn] | None] = None
    """What fits the vectors of new users; such a model is `ServesNewUsers` as well."""
    metadata: ClassVar[Sequence[str]] = ()
    """Columns of the item table that the network reads."""
    any_metadata_do: ClassVar[bool] = False
    """Whether one of these columns is enough."""
    network: PairNetwork
    credit: Tensor | None = None

    def __init__(
        self,
        config: PairConfigT | None = None,
        *,
        tables: Mapping[str, Tensor] | None = None,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__(config)
        self.tables, self.frozen = tables or {}, frozen
        self.fold_in = self.fold_in_class() if self.fold_in_class else None

    def learn(self, train: Interactions, context: FitContext) -> None:
        device = context.run.torch_device()
        if self.reads():
            self.n_unknown = self._count_unknown(context.items, self.n_items)
        self.fold_in = self.fold_in_class() if self.fold_in_class else None
        with seeded(device, context.run.seed), one_thread(device):
            self.start(train, context, device)
            self._train(train, context, device)
        self.finish(train, device)

    def finish(self, train: Interactions, device: torch.device) -> None:
        """Make a network that has learned from `train` ready to serve."""
        self.network.requires_grad_(False).zero_grad()  # the last step's gradients are not kept
        self.credit = None  # only training asks for it
        with torch.no_grad():  # a user without positives has no taste, not the noise that the vector started from
            self.network.user_embedding.weight[torch.from_numpy(train.user_counts == 0).to(device)] = 0
        if isinstance(self, HistoryModel) and isinstance(self.config, RecencyOptions) and self.config.weighs:
            self.serve_from(train)

    def check(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is not None and self.reads():
            self._count_unknown(items, len(items))

    def _count_unknown(self, items: pd.DataFrame | None, n_items: int) -> int:
        return count_unknown(self.name, items, self.reads(), n_items, any_do=self.any_metadata_do)

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config, rows = self.config, min(self.config.batch_size, n_rows)
        dim, hidden = config.embedding_dim, sum(getattr(config, "layers", ()))
        sampled = config.negatives or n_items
        groups = -(-rows // config.shared_by) if config.negatives else 1
        # weights, gradients, two moments and the best epoch's copy; a step's vectors, then its scores, each with what
        # their gradients need; the layers above them are held once for each pair of a user and an item
        return {
            "embedding_dim": 4 * 6 * (n_users + n_items) * dim,
            "batch_size": 4 * (3 * dim * (2 * rows + groups * sampled) + rows * sampled * (8 + 3 * hidden)),
            "": 4 * 4 * min(n_users, most_ranked(n_items)) * n_items,
        }

    def columns(self) -> Sequence[str]:
        """Return the columns of the item table that the network reads."""
        return self.metadata

    def reads(self) -> Sequence[str]:
        return list(dict.fromkeys([*self.columns(), *parse_credit(self.config.partial_credit)]))

    def phases(self, epochs: int) -> list[TrainingPhase]:
        """Return the phases in which `epochs` are spent."""
        return [TrainingPhase(epochs)]

    def start(self, train: Interactions, context: FitContext, device: torch.device) -> None:
        """Make the untrained network, with the tables that were given, and what else training reads."""
        network = self._build(metadata_table(context.items, self.columns(), self.n_items) if self.columns() else None)
        network.initialise(self.config.init_std, train)
        network.load_state_dict({**network.state_dict(), **self.tables})
        self.network = network.to(device)
        weights = parse_credit(self.config.partial_credit)
        self.credit = credit_table(context.items, weights, self.n_items).to(device) if weights else None

    def _build(self, features: Tensor | None) -> PairNetwork:
        return self.network_class(self.n_users, self.n_items, self.config, features)

    def _train(self, train: Interactions, context: FitContext, device: torch.device) -> None:
        """Run the phases one after another, each from the best weights of the one before."""
        options = context.loop_options(self, train)
        generator = torch.Generator(device).manual_seed(context.run.seed)
        batches = self.batches(train, device, generator)
        phases = self.phases(options["epochs"])
        patience = options["patience"]
        self.training_log = []
        for phase in phases:
            for name, weight in self.network.named_parameters():
                weight.requires_grad_(not name.startswith((*self.frozen, *phase.frozen)))
            options["epochs"] = phase.epochs
            # A phase before the last has a fixed length, so that a refit without validation trains for the same.
            options["patience"] = patience if phase is phases[-1] else phase.epochs + 1
            optimizers = self.optimizers(phase.learning_rate_factor)
            self.training_log = train_loop(
                self.network,
                batches=batches,
                loss=self.loss,
                optimizers=optimizers,
                steps=self.compiled_steps(train, optimizers, generator) if len(train) >= COMPILED_FROM else None,
                schedule=self.config.schedule,
                clip=self.config.clip,
                mixed_precision=self.config.mixed_precision,
                earlier=self.training_log,
                **options,
            )

    def optimizers(self, factor: float = 1.0) -> list[torch.optim.Optimizer]:
        """Return one optimiser for each kind and learning rate that the config names, times the factor."""
        config = self.config
        free = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        # A step touches few rows of a table, which therefore takes larger steps than layers, where there are any.
        layer_rate = getattr(config, "layer_learning_rate", config.learning_rate)
        groups: dict[tuple[str, float], list[Tensor]] = {}
        for name, weight in free.items():
            kind, rate = config.optimizer, config.learning_rate
            if name in ("item_bias", "user_bias"):
                kind = config.bias_optimizer or kind
                rate = rate if config.bias_learning_rate is None else config.bias_learning_rate
            elif name.split(".")[0] not in TABLES:
                rate = layer_rate
            groups.setdefault((kind, rate), []).append(weight)
        return [make_optimizer(kind, weights, factor * rate) for (kind, rate), weights in groups.items()]

    def compiled_steps(
        self, train: Interactions, optimizers: list[torch.optim.Optimizer], generator: torch.Generator
    ) -> CompiledSteps | None:
        """Return what takes the same steps without autograd, where the config asks for no more than it does."""
        config, network = self.config, self.network
        plain = type(network) is PairNetwork and network.user_bias is None and network.y_range is None
        other = config.dropout or config.clip or self.credit is not None
        adagrad = all(isinstance(optimizer, torch.optim.Adagrad) for optimizer in optimizers)
        learned = all(weight.requires_grad for weight in network.parameters())
        sampled = config.negatives and config.loss == "softmax"
        if not (plain and adagrad and learned and sampled) or other or generator.device.type != "cpu":
            return None
        share = min(config.shared_by, len(train))
        return CompiledSteps(
            network,
            train,
            optimizers,
            generator,
            negatives=config.negatives,
            share=share,
            per_step=max(1, config.batch_size // share) * share,
            l2=config.l2,
            sampler=self.sampler(train, generator.device),
            known=None if config.sampling == "approximate" else train,
        )

    def sampler(self, train: Interactions, device: torch.device) -> ItemSampler:
        """Return what draws the negative samples."""
        return ItemSampler(train, device, power=0.75 if self.config.sampling == "popularity" else 0.0)

    def batches(self, train: Interactions, device: torch.device, generator: torch.Generator) -> Batches:
        """Return the batches of an epoch: users (B,), items (B,), negatives (B / S, K), taken (B, K).

        `taken` marks the negatives that are positives of the user; it is None for approximate sampling.
        """
        users = torch.from_numpy(train.user_idx.astype(np.int64)).to(device)
        items = torch.from_numpy(train.item_idx.astype(np.int64)).to(device)
        whole = self.config.negatives == 0
        shared_by = min(self.config.shared_by, len(users))
        exact = self.config.sampling != "approximate"
        known = cache(lambda: KnownPairs(train, device))  # compiled steps need none
        sampler = self.sampler(train, device)
        size = max(1, self.config.batch_size // shared_by) * shared_by

        def batches() -> Iterator[tuple[Tensor | None, ...]]:
            for rows in whole_groups(len(users), shared_by, generator).split(size):
                user, item = users[rows], items[rows]
                if whole:
                    negative = torch.arange(train.n_items, device=device)[None]
                else:
                    negative = sampler.draw((len(rows) // shared_by, self.config.negatives), generator)
                taken = None
                if exact:
                    taken = known()(user, negative)  # (B, K)
                elif whole:
                    taken = negative == item[:, None]
                yield user, item, negative, taken

        return Batches(batches, -(-len(users) // size))  # the few rows that stand there twice aside

    def loss(self, user: Tensor, item: Tensor, negative: Tensor, taken: Tensor | None) -> Tensor:
        return pair_loss(self.network, self.config, user, item, negative, taken, credit=self.credit)

    @torch.no_grad()
    def score(self, user_idx: ArrayLike) -> Tensor:
        return self.network.score_all(torch.as_tensor(as_indices(user_idx)))

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        return self.network.item_space(self.network.item_vectors(None))

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict() | (self.fold_in.state(self.network) if self.fold_in else {})

    def restore(self, state: dict[str, Tensor]) -> None:
        if self.fold_in is not None:
            state = self.fold_in.restore(state)
        self.network = self._build(state.get("features"))
        self.network.load_state_dict(state)
        self.network.eval().requires_grad_(False)
