"""What a process draws its batches from and learns by: a network trained on pairs, or one that reads sequences.

Each shard of the process draws its own part of a batch, from a generator of its own, so that the batches of all
processes together are the same however the shards are dealt out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.experiments.parallel.world import World
from recengine.models.base import FitContext, Recommender
from recengine.models.pair.base import PairConfig, PairModel
from recengine.models.sequence.base import SequenceModel
from recengine.training.loop import Batches, seeded

Batch = tuple[Tensor | None, ...]
ModelT = TypeVar("ModelT", PairModel[PairConfig], SequenceModel)


class Learner(ABC, Generic[ModelT]):
    """The model of one process, whose users are those of its shards, one shard after another.

    Where a network has rows for users, it has them for these alone; all else is the same in every process.
    """

    of_users: ClassVar[Sequence[str]] = ()
    """Parameters with a row for each user."""
    of_items: ClassVar[Sequence[str]] = ()
    """Parameters with a row for each item that may be dealt out like the users; none where a batch needs them all."""

    def __init__(self, model: ModelT, train: Interactions, context: FitContext, world: World) -> None:
        self.model: ModelT = model
        self.world, self.seed = world, context.run.seed
        self.rows = train.of_users(world.own_users(train.n_users))
        self.generators = {shard: torch.Generator(world.device) for shard in world.own}
        self.epochs: dict[int, Callable[[], Iterator[Batch]]] = {}

    def draw(self, epoch: int) -> list[tuple[int, Iterator[Batch]]]:
        """Return an iterator over the batches of each own shard, by its number: the same for the same epoch."""
        drawn = []
        for shard, generator in self.generators.items():
            generator.manual_seed(_seed(self.seed, epoch, shard))
            drawn.append((shard, iter(self.epochs[shard]())))
        return drawn

    def small(self, shard: int) -> ModelT:
        """Return an untrained model of one shard's users, whose batches are its part of a whole batch."""
        config = self.model.config
        part = type(self.model)(replace(config, batch_size=max(1, config.batch_size // self.world.shards)))
        part.n_users, part.n_items = len(self.world.users(shard, self.model.n_users)), self.model.n_items
        return part

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch's examples."""
        return self.model.loss(*batch)  # type: ignore[arg-type]  # the model itself has drawn them

    @abstractmethod
    def examples(self, batch: Batch) -> int:
        """Return the number of examples that the loss is the mean of."""

    @abstractmethod
    def items(self, batch: Batch) -> Sequence[Tensor]:
        """Return the tensors of item indices whose rows a batch reads."""

    @abstractmethod
    def with_items(self, batch: Batch, items: Sequence[Tensor]) -> Batch:
        """Return the batch with other indices in the place of `items`."""

    @abstractmethod
    def finish(self, train: Interactions, tables: dict[str, Tensor]) -> None:
        """Make `model` serve all users of `train`, whose rows are in `tables`."""


class PairLearner(Learner[PairModel[PairConfig]]):
    """A network with a row for each user and each item, such as `mf`."""

    of_users = ("user_embedding.weight", "user_bias")
    of_items = ("item_embedding.weight", "item_bias")

    def __init__(self, model: PairModel[PairConfig], train: Interactions, context: FitContext, world: World) -> None:
        super().__init__(model, train, context, world)
        if model.config.sampling not in ("exact", "approximate"):
            raise BadInput(
                "sampling", model.config.sampling, "exact or approximate", problem="counts all users' positives"
            )
        self.n_users = model.n_users
        model.n_users = 0  # so that what all processes share is drawn alike
        with seeded(world.device, self.seed):
            model.start(train, context, world.device)
        first, tables = 0, []
        for shard in world.own:
            part, rows = self.small(shard), train.of_users(world.users(shard, self.n_users))
            with seeded(world.device, _seed(self.seed, -1, shard)):
                part.start(rows, context, world.device)
            tables.append([part.network.get_parameter(name) for name in self._of_users()])
            self.epochs[shard] = self._shifted(part.batches(rows, world.device, self.generators[shard]), first)
            first += part.n_users
        for name, parts in zip(self._of_users(), zip(*tables, strict=True), strict=True):
            set_parameter(model.network, name, torch.cat([part.detach() for part in parts]))
        model.n_users = self.n_users

    def _of_users(self) -> list[str]:
        return [name for name, _ in self.model.network.named_parameters() if name in self.of_users]

    def _shifted(self, batches: Batches, first: int) -> Callable[[], Iterator[Batch]]:
        """Return the batches with the users counted from `first`."""

        def shifted() -> Iterator[Batch]:
            for user, *others in batches():
                assert user is not None
                yield user + first, *others

        return shifted

    def small(self, shard: int) -> PairModel[PairConfig]:
        part = super().small(shard)
        part.n_users = len(self.world.users(shard, self.n_users))
        return part

    def examples(self, batch: Batch) -> int:
        return len(_present(batch[0]))

    def items(self, batch: Batch) -> Sequence[Tensor]:
        return [_present(batch[1]), _present(batch[2])]

    def with_items(self, batch: Batch, items: Sequence[Tensor]) -> Batch:
        return batch[0], *items, batch[3]

    def finish(self, train: Interactions, tables: dict[str, Tensor]) -> None:
        for name, table in tables.items():
            set_parameter(self.model.network, name, table)
        self.model.finish(train, self.world.device)


class SequenceLearner(Learner[SequenceModel]):
    """A network that reads a user's events, such as `gru`: there is no row for a user, and all items are shared."""

    def __init__(self, model: SequenceModel, train: Interactions, context: FitContext, world: World) -> None:
        super().__init__(model, train, context, world)
        if model.in_sitting:
            raise BadInput("horizon", "sitting", "next or later", problem="is learned by one process alone")
        model.remember(train)
        with seeded(world.device, self.seed):
            model.start(train)
            if model.config.horizon == "later":
                model.start_from_shares(model.batches(world.device, torch.Generator().manual_seed(self.seed)))
        model.network.to(world.device)
        for shard in world.own:
            part = self.small(shard)
            part.remember(train.of_users(world.users(shard, train.n_users)))
            self.generators[shard] = torch.Generator()  # sequences are drawn on the CPU
            self.epochs[shard] = part.batches(world.device, self.generators[shard])
        model.remember(self.rows)

    def examples(self, batch: Batch) -> int:
        return len(_present(batch[3]))

    def items(self, batch: Batch) -> Sequence[Tensor]:
        return ()

    def with_items(self, batch: Batch, items: Sequence[Tensor]) -> Batch:
        return batch

    def finish(self, train: Interactions, tables: dict[str, Tensor]) -> None:
        self.model.remember(train)


def learner_of(model: Recommender, train: Interactions, context: FitContext, world: World) -> Learner:
    """Return what trains a model in parallel; BadInput for a model that one process has to train."""
    if isinstance(model, PairModel) and not model.reads() and len(model.phases(2)) == 1:
        return PairLearner(model, train, context, world)
    if isinstance(model, SequenceModel):
        return SequenceLearner(model, train, context, world)
    raise BadInput("model", model.name, "ials, mf, gru or sasrec", problem="is trained by one process alone")


def set_parameter(network: nn.Module, name: str, value: Tensor) -> nn.Parameter:
    """Put a tensor in the place of a parameter of any number of rows, and return it as one that learns."""
    module, _, last = name.rpartition(".")
    parameter = nn.Parameter(value)
    setattr(network.get_submodule(module), last, parameter)
    return parameter


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


def _seed(seed: int, epoch: int, shard: int) -> int:
    """Return a seed of its own for each epoch of each shard."""
    return (seed * 1_000_003 + epoch + 2) * 65_537 + shard
