"""`step`: matrix factorisation that learns from one event at a time, its updates written out."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.base import FitContext
from recengine.models.streaming.base import Incremental, Log, Ranks
from recengine.training.config import Config as BaseConfig
from recengine.training.config import Range, option
from recengine.training.loop import ranking_validator, run_epochs

ROUNDS = 10
"""Passes over the ratings of a newcomer, whose vector alone is learned."""


@dataclass(frozen=True)
class StepConfig(BaseConfig):
    """Settings of `step`."""

    embedding_dim: int = option(
        64, "length of a user's and of an item's vector", low=1, high=4096, search=Range(16, 128, log=True)
    )
    objective: Literal["squared", "logistic", "bpr", "softmax", "linear"] = option(
        "bpr",
        "what an event teaches; squared without negatives is ISGD; linear, whose gradient never shrinks, diverges "
        "and is here for comparison",
    )
    negatives: int = option(
        16, "other items that an event is set against; linear takes none", low=0, high=10_000, search=Range(4, 32)
    )
    negatives_from: Literal["known", "any", "oldest"] = option(
        "known",
        "known: drawn evenly from the items that anybody has had; any: from all items; oldest: those that have not "
        "come for longest (recency-based negative feedback)",
    )
    passes: int = option(8, "steps on each event, with fresh negatives", low=1, high=1000, search=Range(1, 12))
    replay: int = option(8, "steps on events of the past that follow each event", low=0, high=1000)
    learning_rate: float = option(0.2, "step size", low=0, high=1000, open_low=True, search=Range(0.02, 1, log=True))
    regularisation: float = option(
        0.012, "penalty on the squares of the vectors in a step", low=0, high=100, search=Range(0.0005, 0.1, log=True)
    )
    optimizer: Literal["sgd", "adagrad", "adam"] = option("adagrad", "how a step follows from the gradient")
    item_bias: bool = option(True, "learn how well liked each item is, whoever asks")
    confidence: float = option(0.0, "an event weighs 1 + confidence x rating", low=0, high=1000)
    sigmoid: bool = option(False, "scores are squashed to 0..1; squared and linear then compare these")
    init_std: float = option(0.03, "spread of the vectors that items start from", low=0, high=10)
    user_init_std: float = option(0.1, "spread of the vectors that users start from", low=0, high=10)
    freeze_users: bool = option(False, "leave the users' vectors as they start, such as pretrained ones")
    freeze_items: bool = option(False, "leave the items' vectors as they start; biases are learned all the same")
    batch_size: int = option(1, "events in one step of the bootstrap; later events come alone", low=1, high=1_000_000)


class Step(Incremental):
    """Incremental collaborative filtering by gradient steps on one event at a time.

    score(u, i) = u . v_i + b_i. With `objective=squared`, no negatives and one pass it is ISGD (Vinagre, Jorge & Gama,
    Fast incremental matrix factorization for recommendation with positive-only feedback, UMAP 2014), but that both
    vectors move by the gradient before either has. The others set the event against sampled items that the person
    has not had: BPR (Rendle et al., UAI 2009), logistic, softmax over the sample. `negatives_from=oldest` takes those
    that have not come for longest (Vinagre, Jorge & Gama, Collaborative filtering with recency-based negative
    feedback, SAC 2015; here they learn too). `linear` is what 1 - score as the whole loss does: it diverges.

    Events are taken on the CPU, one after another, in a compiled loop; with CUDA, batches of users are scored there.
    """

    name = "step"
    summary = "Learns from one rating at a time: every event moves the person and the film."
    reference = "Vinagre, Jorge & Gama, Fast incremental matrix factorization for recommendation, UMAP 2014"
    Config = StepConfig
    preset_epochs = 20

    def __init__(self, config: BaseConfig | None = None) -> None:
        super().__init__(config)
        self.device = torch.device("cpu")
        self.pretrained: dict[str, Tensor] = {}
        self._served: tuple[Tensor, Tensor] | None = None

    def start_from(self, *, users: Tensor | None = None, items: Tensor | None = None) -> Self:
        """Let `fit` start from given vectors, users (n_users, embedding_dim) and items (n_items, embedding_dim)."""
        given = {"users": users, "items": items}
        self.pretrained = {name: table.detach() for name, table in given.items() if table is not None}
        return self

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.device = context.run.torch_device()
        rows = train.select(np.argsort(train.timestamp, kind="stable"))
        self.log = Log.of(rows.user_idx, rows.item_idx, self.weigh(rows.rating), self.n_users)
        self.network = _Tables(self.config, self.n_users, self.n_items, context.run.seed)
        for name, table in self.pretrained.items():
            own = getattr(self.network, name)
            if table.shape != own.shape:
                raise BadInput(f"pretrained {name} have the shape {tuple(table.shape)}, expected {tuple(own.shape)}")
            own.copy_(table)
        self._prepare()

        def epoch(moving: bool = True) -> float:
            self._served = None
            kernel, config = _kernel(), self.config
            tables, rule, sampler, scratch = self.arrays()
            if not moving:
                sampler = sampler._replace(state=sampler.state.copy())
            return float(
                kernel.pass_over(tables, rule, sampler, self.log, scratch, self._negatives, config.batch_size, moving)
            )

        self.training_log = run_epochs(
            self.network,
            epoch=epoch,
            untrained_loss=lambda: epoch(moving=False),
            epochs=context.run.epochs or self.preset_epochs,
            patience=context.run.patience or self.preset_patience,
            validate=ranking_validator(self.score, train, context.valid) if context.valid is not None else None,
            on_epoch=context.on_epoch,
        )
        self._served = None

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config = self.config
        tables = 2 + _moments(config.optimizer)  # those in use, and the best epoch's
        rows = config.batch_size * (2 + config.negatives)
        return {"embedding_dim": 4 * config.embedding_dim * (tables * (n_users + n_items) + rows)}

    def weigh(self, rating: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how much events of these ratings weigh."""
        return (1 + self.config.confidence * rating).astype(np.float32)

    def grow(self, n_users: int, n_items: int) -> None:
        self.network.grow(n_users, n_items, self.config)
        self._prepare()

    def forget_from(self, n_users: int) -> Self:
        super().forget_from(n_users)
        self.network.users = self.network.users[:n_users].clone()
        self.network.user_moments = self.network.user_moments[:, :n_users].clone()
        self._prepare()
        return self

    def advance(
        self,
        events: Interactions,
        *,
        ranked: bool,
        learns: bool = True,
        masked: bool = True,
        limit: int = 0,
        lists: NDArray[np.int32] | None = None,
    ) -> Ranks:
        """Take the events as the base says; `lists` (n, k) int32, if given, is filled with the top k before each."""
        tables, rule, sampler, scratch = self.arrays()
        ranks = np.zeros(len(events) if ranked else 0, np.int32)
        _kernel().advance(
            tables,
            rule,
            sampler,
            self.log,
            scratch,
            (events.user_idx, events.item_idx, self.weigh(events.rating)),
            self._negatives,
            self.config.passes,
            self.config.replay,
            learns,
            masked,
            limit,
            ranks,
            np.zeros((0, 0), np.int32) if lists is None else lists,
        )
        self._served = None
        return ranks

    def take(self, user: int, item: int, rating: float) -> None:
        self.advance(self._one(user, item, rating), ranked=False)

    def remember(self, user: int, item: int, rating: float) -> None:
        self.advance(self._one(user, item, rating), ranked=False, learns=False)

    def _one(self, user: int, item: int, rating: float) -> Interactions:
        return Interactions.from_pairs([user], [item], rating=[rating], n_users=self.n_users, n_items=self.n_items)

    def scores_of(self, user: int) -> NDArray[np.float32]:
        return self.score(user)[0].cpu().numpy()

    @torch.inference_mode()
    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(np.atleast_1d(np.asarray(user_idx, dtype=np.int64)))
        return self._scores(self.network.users[users])

    @torch.inference_mode()
    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items): each newcomer's vector is learned, from zero, all else left alone."""
        rows = histories.select(histories.chronological()[::-1])  # the links run backwards, the steps forwards
        log = Log.of(rows.user_idx, rows.item_idx, self.weigh(rows.rating), histories.n_users)
        tables, rule, sampler, _ = self.arrays()
        moments = _moments(self.config.optimizer)
        own = torch.zeros(histories.n_users, self.config.embedding_dim)
        _kernel().fold_in(
            tables._replace(
                users=own.numpy(),
                user_moments=np.zeros((moments, *own.shape), np.float32),
                updates=np.zeros(1, np.int64),
            ),
            rule._replace(learns_users=True, learns_items=False, learns_bias=False),
            sampler._replace(**{n: getattr(sampler, n).copy() for n in ("state", "mark", "stamp", "older", "newer")}),
            log,
            _kernel().Scratch.for_batches(len(own), self.n_items, own.shape[1], 1, self._negatives),
            self._negatives,
            ROUNDS,
            np.uint64(1),
        )
        return self._scores(own)

    def item_vectors(self) -> Tensor:
        return self.network.items

    def state(self) -> dict[str, Tensor]:
        return {**self.network.state_dict(), **self.log.state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.network = _Tables(self.config, self.n_users, self.n_items, 0)
        self.network.load_state_dict({n: t for n, t in state.items() if not n.startswith("log_")})
        self.log = Log.from_state(state, self.n_users)
        self._prepare()

    @property
    def _negatives(self) -> int:
        return 0 if self.config.objective == "linear" else self.config.negatives

    def _prepare(self) -> None:
        """Make the working arrays, which hold nothing between two calls that the log does not tell."""
        kernel, config = _kernel(), self.config
        self._served = None
        n_users, n_items = len(self.network.users), len(self.network.items)
        self._mark, self._stamp = np.zeros(n_items, np.int64), np.zeros(1, np.int64)
        items, first = np.unique(self.log.item[: self.log.size[0]], return_index=True)
        self._came = np.zeros(n_items, np.bool_), np.zeros(n_items, np.int32), np.array([len(items)])
        self._came[0][items] = True
        self._came[1][: len(items)] = items[np.argsort(first)]
        self._scratch = kernel.Scratch.for_batches(
            n_users, n_items, config.embedding_dim, config.batch_size, self._negatives
        )

    def arrays(self) -> tuple[Any, Any, Any, Any]:
        """Return tables, rule, sampler and scratch over the memory of the tensors."""
        kernel, config, net = _kernel(), self.config, self.network
        tables = kernel.Tables(
            *(
                getattr(net, name).numpy()
                for name in ("users", "items", "bias", "user_moments", "item_moments", "bias_moments", "updates")
            )
        )
        rule = kernel.Rule(
            kernel.OBJECTIVES.index(config.objective),
            kernel.OPTIMIZERS.index(config.optimizer),
            config.learning_rate,
            config.regularisation,
            config.sigmoid,
            not config.freeze_users,
            not config.freeze_items,
            config.item_bias,
        )
        sampler = kernel.Sampler(
            net.random.numpy().view(np.uint64),
            self._mark,
            self._stamp,
            net.older.numpy(),
            net.newer.numpy(),
            *self._came,
            kernel.SOURCES.index(config.negatives_from),
        )
        return tables, rule, sampler, self._scratch

    def _scores(self, vectors: Tensor) -> Tensor:
        if self._served is None:
            self._served = self.network.items.to(self.device), self.network.bias.to(self.device)
        items, bias = self._served  # on the CPU these are the tables themselves
        scores = vectors.to(self.device) @ items.T + bias[:, 0]
        return scores.sigmoid() if self.config.sigmoid else scores


class _Tables(nn.Module):
    """The vectors, the biases, what the optimiser remembers, and the state of the draws, all changed in place."""

    users: Tensor
    items: Tensor
    bias: Tensor
    user_moments: Tensor
    newer: Tensor
    older: Tensor
    random: Tensor

    def __init__(self, config: StepConfig, n_users: int, n_items: int, seed: int) -> None:
        super().__init__()
        moments, dim = _moments(config.optimizer), config.embedding_dim
        shapes = {"users": (0, dim), "items": (0, dim), "bias": (0, 1)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        for name, shape in zip(("user_moments", "item_moments", "bias_moments"), shapes.values(), strict=True):
            self.register_buffer(name, torch.zeros(moments, *shape))
        self.register_buffer("updates", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("random", torch.tensor([seed], dtype=torch.int64))
        self.register_buffer("older", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("newer", torch.zeros(1, dtype=torch.int32))
        self.grow(n_users, n_items, config)

    def grow(self, n_users: int, n_items: int, config: StepConfig) -> None:
        """Add rows for new users and items, and put the new items where the oldest are."""
        old_users, old_items = len(self.users), len(self.items)
        draws = torch.Generator().manual_seed((int(self.random) ^ (old_users << 20) ^ old_items) % 2**63)
        for owner, rows, spread in (("user", n_users, config.user_init_std), ("item", n_items, config.init_std)):
            table = getattr(self, f"{owner}s")
            new = torch.empty(rows - len(table), table.shape[1]).normal_(0, spread, generator=draws)
            setattr(self, f"{owner}s", torch.cat([table, new]))
            _widen(self, f"{owner}_moments", rows)
        self.bias = torch.cat([self.bias, torch.zeros(n_items - old_items, 1)])
        _widen(self, "bias_moments", n_items)
        if n_items > old_items:
            places = torch.arange(old_items + 1, n_items + 1, dtype=torch.int32)
            oldest = self.newer[0].clone()
            self.newer = torch.cat([self.newer, places + 1])
            self.older = torch.cat([self.older, places - 1])
            self.newer[0], self.older[old_items + 1] = old_items + 1, 0
            self.newer[n_items], self.older[oldest] = oldest, n_items


def _widen(network: nn.Module, name: str, rows: int) -> None:
    table = getattr(network, name)
    setattr(network, name, torch.cat([table, torch.zeros(len(table), rows - table.shape[1], table.shape[2])], dim=1))


def _moments(optimizer: str) -> int:
    """Return how many numbers an optimiser remembers of each weight."""
    return {"sgd": 0, "adagrad": 1, "adam": 2}[optimizer]


def _kernel() -> ModuleType:
    """Return the compiled functions; numba takes half a second to import, which those who do not step are spared."""
    from recengine.models.streaming import step_kernel

    return step_kernel
