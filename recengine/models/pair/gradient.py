"""What all models trained on sampled negatives share: settings, batches, loss, full ranking, newcomers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.data.sampling import ItemSampler, KnownPairs
from recengine.errors import BadInput
from recengine.models.base import FitContext, Recommender
from recengine.models.metadata import count_unknown, credit_table, metadata_table, parse_credit
from recengine.models.pair.networks import PairNetwork
from recengine.training.config import Config as BaseConfig
from recengine.training.config import Range, option
from recengine.training.loop import one_thread, ranking_validator
from recengine.training.loop import train as train_loop
from recengine.training.losses import LOSSES, MARGINS
from recengine.training.optimizers import make_optimizer

TABLES = ("user_embedding", "item_embedding", "value_embedding", "value_bias")
CELLS = 2**22
"""Numbers that a network may hold while it ranks a batch of users: bounds the memory of `score`."""


@dataclass(frozen=True)
class GradientConfig(BaseConfig):
    """Settings of every model that is trained on sampled negatives."""

    embedding_dim: int = option(
        64, "length of a user's and of an item's vector", low=1, high=4096, search=Range(16, 128, log=True)
    )
    loss: Literal["softmax", "bpr", "hinge", "adaptive-hinge", "warp", "logistic", "squared"] = option(
        "softmax", "how a positive is set against its negatives"
    )
    negatives: int = option(
        64,
        "negatives that each positive is set against in each epoch; 0: every other item",
        low=0,
        high=10_000,
        search=Range(16, 256, log=True),
    )
    shared_by: int = option(32, "positives of different users that share one draw of negatives", low=1, high=1024)
    sampling: Literal["exact", "approximate", "popularity"] = option(
        "exact",
        "exact never sets a known positive against another; approximate does not look; "
        "popularity is exact and draws well-known items more often (count^0.75)",
    )
    optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"] = option(
        "adam", "how a step follows from the gradient"
    )
    learning_rate: float = option(
        0.015, "step size", low=0, high=1000, open_low=True, search=Range(0.002, 0.1, log=True)
    )
    bias_optimizer: Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"] | None = option(
        None, "optimiser of the biases; empty: the same"
    )
    bias_learning_rate: float | None = option(
        None, "step size of the biases, so that they do not take all of popularity; empty: the same", low=0, high=1000
    )
    schedule: Literal["none", "plateau", "cosine"] = option("none", "how the step sizes fall as epochs pass")
    clip: float = option(0.0, "largest norm of a step's gradient; 0: no limit", low=0, high=1e6)
    weight_decay: float = option(
        0.04,
        "L2 penalty of the vectors of a step, each as often as it is used",
        low=0,
        high=10,
        search=Range(0.001, 0.3, log=True),
    )
    dropout: float = option(
        0.0, "share of each vector that is dropped in training", low=0, high=0.95, search=Range(0, 0.5)
    )
    item_bias: bool = option(True, "learn a bias of each item")
    user_bias: bool = option(False, "learn a bias of each user; no ranking changes, logistic and squared losses do")
    partial_credit: str = option(
        "", "what a negative may share with the positive, and how much that narrows the gap, as in genres:0.4"
    )
    batch_size: int = option(2048, "positives in one step", low=1, high=10_000_000)
    y_range: tuple[float, float] | None = option(
        None, "low,high: a sigmoid maps every score into this range; empty: a score is any number"
    )
    initialiser: Literal["normal", "truncated", "uniform", "xavier"] = option(
        "normal", "what the vectors start as; truncated: no further than two standard deviations from 0"
    )
    init_std: float = option(0.1, "standard deviation of the starting vectors", low=0, high=10, open_low=True)
    mixed_precision: bool = option(False, "compute products in bfloat16, on CUDA alone")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_credit(self.partial_credit)
        if self.y_range is not None and self.y_range[0] >= self.y_range[1]:
            low, high = self.y_range
            raise BadInput(f"y_range={low:g},{high:g} is empty; expected its low end below its high one")


class Phase(NamedTuple):
    """One stretch of training: its epochs, its step sizes beside the config's, the tables that stand still."""

    epochs: int
    rate: float = 1.0
    frozen: Sequence[str] = ()


class GradientModel(Recommender):
    """A `PairNetwork` trained by the one loop. A subclass names its network and its settings.

    tables : starting values of the network's tables by name, such as {"item_embedding.weight": (n_items, D)}
    frozen : names of tables that stay as they start, such as ["item_embedding"]

    Small groups of positives share one draw of negatives, so that a step is a batched matrix product instead of a
    gather of (batch, negatives, dim) vectors: several times faster for the same accuracy.
    """

    family = "collaborative"
    Config: ClassVar[type[BaseConfig]] = GradientConfig
    network_class: ClassVar[type[PairNetwork]] = PairNetwork
    metadata: ClassVar[Sequence[str]] = ()
    """Columns of the item table that the network reads."""
    network: PairNetwork
    credit: Tensor | None = None

    def __init__(
        self,
        config: BaseConfig | None = None,
        *,
        tables: Mapping[str, Tensor] | None = None,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__(config)
        self.tables, self.frozen = tables or {}, frozen

    def learn(self, train: Interactions, context: FitContext) -> None:
        device = context.run.torch_device()
        weights = parse_credit(self.config.partial_credit)
        if self.reads():
            self.n_unknown = count_unknown(self.name, context.items, self.reads(), self.n_items)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), one_thread(device):
            torch.manual_seed(context.run.seed)  # dropout and the layers' own initialisation take no generator
            self.network = self._start(train, context).to(device)
            self.credit = credit_table(context.items, weights, self.n_items).to(device) if weights else None
            self._train(train, context, device)
        self.network.to("cpu")
        self.credit = None  # only training asks for it
        with torch.no_grad():  # a person without positives has no taste, not the noise that the vector started from
            self.network.user_embedding.weight[torch.from_numpy(train.user_counts == 0)] = 0

    def check(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is not None and self.reads():
            count_unknown(self.name, items, self.reads(), len(items))

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config, rows = self.config, min(self.config.batch_size, n_rows)
        dim, hidden = config.embedding_dim, sum(getattr(config, "layers", ()))
        drawn = config.negatives or n_items
        groups = -(-rows // config.shared_by) if config.negatives else 1
        # weights, gradients, two moments and the best epoch's copy; a step's vectors, then its scores, each with what
        # their gradients need; layers between them stand once for each user and item that meet
        return {
            "embedding_dim": 4 * 6 * (n_users + n_items) * dim,
            "batch_size": 4 * (3 * dim * (2 * rows + groups * drawn) + rows * drawn * (8 + 3 * hidden)),
            "": 4 * 4 * min(2048, n_users) * n_items,
        }

    def columns(self) -> Sequence[str]:
        """Return the columns of the item table that the network reads."""
        return self.metadata

    def reads(self) -> Sequence[str]:
        return list(dict.fromkeys([*self.columns(), *parse_credit(self.config.partial_credit)]))

    def phases(self, epochs: int) -> list[Phase]:
        """Return how `epochs` are spent."""
        return [Phase(epochs)]

    def _start(self, train: Interactions, context: FitContext) -> PairNetwork:
        """Return the untrained network, with the tables that were given."""
        network = self._build(metadata_table(context.items, self.columns(), self.n_items) if self.columns() else None)
        network.initialise(self.config.init_std, train)
        network.load_state_dict({**network.state_dict(), **self.tables})
        return network

    def _build(self, features: Tensor | None) -> PairNetwork:
        return self.network_class(self.n_users, self.n_items, self.config, features)

    def _train(self, train: Interactions, context: FitContext, device: torch.device) -> None:
        """Run the phases one after another, each from the best weights of the one before."""
        batches = self._batches(train, device, torch.Generator(device).manual_seed(context.run.seed))
        validate = ranking_validator(self.scorer(train), train, context.valid) if context.valid is not None else None
        phases = self.phases(context.run.epochs or self.preset_epochs or 1)
        self.training_log = []
        for phase in phases:
            for name, weight in self.network.named_parameters():
                weight.requires_grad_(not name.startswith((*self.frozen, *phase.frozen)))
            self.training_log = train_loop(
                self.network,
                batches=batches,
                loss=self._loss,
                optimizers=self._optimizers(phase.rate),
                epochs=phase.epochs,
                # A phase before the last has a fixed length, so that a refit without validation spends the same.
                patience=phase.epochs + 1 if phase is not phases[-1] else context.run.patience or self.preset_patience,
                validate=validate,
                on_epoch=context.on_epoch,
                schedule=self.config.schedule,
                clip=self.config.clip,
                mixed_precision=self.config.mixed_precision,
                earlier=self.training_log,
            )
        self.network.requires_grad_(True)

    def _optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return one optimiser for each optimiser and step size that the settings name."""
        config = self.config
        free = {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}
        # Tables meet few of a step's rows and take larger steps than layers, where a model has layers.
        slow = getattr(config, "layer_learning_rate", config.learning_rate)
        groups: dict[tuple[str, float], list[Tensor]] = {}
        for name, weight in free.items():
            kind, step = config.optimizer, config.learning_rate
            if name in ("item_bias", "user_bias"):
                kind = config.bias_optimizer or kind
                step = step if config.bias_learning_rate is None else config.bias_learning_rate
            elif name.split(".")[0] not in TABLES:
                step = slow
            groups.setdefault((kind, step), []).append(weight)
        return [make_optimizer(kind, weights, rate * step) for (kind, step), weights in groups.items()]

    def _batches(
        self, train: Interactions, device: torch.device, draws: torch.Generator
    ) -> Callable[[], Iterator[tuple[Tensor | None, ...]]]:
        """Return a function that draws one epoch: users (B,), items (B,), negatives (B / S, K), taken (B, K).

        `taken` marks the negatives that are the user's own positives; it is None where nobody looks.
        """
        users = torch.from_numpy(train.user_idx.astype(np.int64)).to(device)
        items = torch.from_numpy(train.item_idx.astype(np.int64)).to(device)
        whole = self.config.negatives == 0
        shared_by = min(self.config.shared_by, len(users))
        known = KnownPairs(train, device) if self.config.sampling != "approximate" else None
        sampler = ItemSampler(train, device, power=0.75 if self.config.sampling == "popularity" else 0.0)
        size = max(1, self.config.batch_size // shared_by) * shared_by

        def batches() -> Iterator[tuple[Tensor | None, ...]]:
            order = torch.randperm(len(users), generator=draws, device=device)
            order = torch.cat([order, order[: -len(order) % shared_by]])  # whole groups only
            for rows in order.split(size):
                user, item = users[rows], items[rows]
                if whole:
                    negative = torch.arange(train.n_items, device=device)[None]
                else:
                    negative = sampler.draw((len(rows) // shared_by, self.config.negatives), draws)
                taken = None
                if known is not None:
                    taken = known(user, negative)  # (B, K)
                elif whole:
                    taken = negative == item[:, None]
                yield user, item, negative, taken

        return batches

    def _loss(self, user: Tensor, item: Tensor, negative: Tensor, taken: Tensor | None) -> Tensor:
        """Return the loss of one step: users and items (B,), negatives (G, K) that B / G users share each."""
        network, (groups, k) = self.network, negative.shape
        u, u_squared = with_squares(network.users(user))  # (B, D)
        v, v_squared = with_squares(network.items(item))  # (B, D)
        n, n_squared = with_squares(network.items(negative))  # (G, K, D)
        positive = self._meet(user[:, None], u[:, None], v[:, None], network.bias(item[:, None]))[:, 0, 0]  # (B,)
        grouped = u.view(groups, -1, u.shape[1])
        scores = self._meet(user.view(groups, -1), grouped, n, network.bias(negative)).view(-1, k)  # (B, K)
        if taken is not None:
            scores = scores + torch.where(taken, -torch.inf, 0.0)  # nothing to do on the way back, unlike masked_fill
        margin: Tensor | float = MARGINS[self.config.loss]
        if self.credit is not None:  # what the two share narrows the gap, by 1 at most
            shared = self.credit[item].view(groups, -1, self.credit.shape[1]) @ self.credit[negative].mT
            margin = margin - shared.clamp(max=1).view(-1, k)
        loss = LOSSES[self.config.loss](positive, scores, margin)
        if self.config.weight_decay:
            squares = u_squared + v_squared + n_squared * (len(user) / negative.numel())
            loss = loss + self.config.weight_decay * squares / len(user)
        return loss

    def _meet(self, user: Tensor, u: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        """Return scores (G, S, K) of users (G, S) with vectors (G, S, D), in `y_range` if there is one."""
        scores = self.network.meet(u, v, bias)
        if self.network.user_bias is not None:
            scores = scores + self.network.user_bias[user][..., None]
        if self.config.y_range is None:
            return scores
        low, high = self.config.y_range
        return low + (high - low) * torch.sigmoid(scores)

    def scorer(self, train: Interactions) -> Callable[[ArrayLike], Tensor]:
        """Return what scores the users of `train` while training is on."""
        return self.score

    @torch.no_grad()
    def score(self, user_idx: ArrayLike) -> Tensor:
        return self._rank(torch.as_tensor(np.atleast_1d(np.asarray(user_idx, dtype=np.int64))))

    def _rank(self, users: Tensor) -> Tensor:
        """Return (B, n_items) scores, few enough users at a time."""
        network = self.network
        items, bias = network.items(None)[None], network.bias(None)  # (1, n_items, D)
        some = max(1, CELLS // (self.n_items * network.width))
        parts = users.to(items.device).split(some)
        return torch.cat([self._meet(part[None], network.users(part)[None], items, bias)[0] for part in parts])

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        return self.network.item_space(self.network.items(None))

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.network = self._build(state.get("features"))
        self.network.load_state_dict(state)
        self.network.eval()


def with_squares(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the vectors and the sum of their squares; the gradients of both come back in one pass."""
    return _WithSquares.apply(vectors)


class _WithSquares(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(vectors)
        flat = vectors.flatten()
        return vectors.view_as(vectors), flat @ flat

    @staticmethod
    def backward(ctx: Any, grown: Tensor, squares_grown: Tensor) -> Tensor:
        (vectors,) = ctx.saved_tensors
        return torch.addcmul(grown, vectors, 2 * squares_grown)
