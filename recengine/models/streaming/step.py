"""`step`: matrix factorisation that learns from one event at a time, with hand-written gradient steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.models.abilities import Product, no_product
from recengine.models.base import FitContext, as_indices
from recengine.models.metadata import TERM_COLUMNS, without_metadata
from recengine.models.options import shared
from recengine.models.recency import TwoSidedOptions, rating_scale
from recengine.models.sequence.sitting import item_vectors
from recengine.models.streaming import new_users
from recengine.models.streaming.base import Incremental, LinkedEvents, Ranks
from recengine.models.streaming.step_arrays import LOSSES, OPTIMIZERS, SOURCES, Rule, Sampler, Scratch, Tables
from recengine.models.streaming.step_blocks import block_size, blocks
from recengine.models.streaming.step_parameters import StepParameters, moments_of
from recengine.training.config import Config as BaseConfig
from recengine.training.config import Range, option, preset
from recengine.training.loop import one_thread, run_epochs, seeded
from recengine.training.progress import OnStep, no_step

STEPS_AT_ONCE = 2**16
"""Steps of an epoch between which its progress can be reported."""


@dataclass(frozen=True)
class StepConfig(BaseConfig):
    """Parameters of `step`."""

    embedding_dim: int = shared("embedding_dim", 64, search=Range(16, 128, log=True))
    loss: Literal["squared", "logistic", "bpr", "softmax", "linear"] = shared(
        "loss",
        "bpr",
        note="squared without negative samples is ISGD; linear never stops growing and is here for comparison",
    )
    event_negatives: int = option(
        16, "negative samples of each event; linear uses none", low=0, high=10_000, search=Range(4, 32), primary=1
    )
    negatives_from: Literal["known", "any", "oldest"] = option(
        "known",
        "known: sampled evenly from the items with an event; any: from all items; oldest: the items whose last event "
        "is longest ago (recency-based negative feedback)",
    )
    passes: int = option(8, "gradient steps per event, with fresh negatives", low=1, high=1000, search=Range(1, 12))
    replay: int = option(8, "gradient steps on earlier events after each event", low=0, high=1000)
    learning_rate: float = shared("learning_rate", 0.2, search=Range(0.02, 1, log=True))
    l2: float = shared("l2", 0.012, note="of the vectors in a step", search=Range(0.0005, 0.1, log=True))
    optimizer: Literal["sgd", "adagrad", "adam"] = shared("optimizer", "adagrad")
    item_bias: bool = shared("item_bias", True)
    confidence: float = option(0.0, "an event weighs 1 + confidence x rating", low=0, high=1000)
    sigmoid: bool = option(False, "squash scores to 0..1; squared and linear then compare these")
    item_init_std: float = option(0.03, "standard deviation of the items' starting vectors", low=0, high=10)
    user_init_std: float = option(0.1, "standard deviation of the users' starting vectors", low=0, high=10)
    freeze_users: bool = option(False, "keep the users' starting vectors, such as pretrained ones")
    freeze_items: bool = option(False, "keep the items' starting vectors; biases are still learned")
    batch_size: int = shared("batch_size", 1, note="after the first training, events are learned one at a time")
    dislike_weight: float = preset(
        TwoSidedOptions, "dislike_weight", 1.5, note="from what is near it", search=Range(0.5, 3)
    )
    vector_weight: float = option(
        0.25,
        "for a new user, weight of the vectors that events move, where that of who likes an item and what it is is 1",
        low=0,
        high=10,
        search=Range(0, 0.6),
        primary=2,
    )
    bias_weight: float = option(
        0.07, "for a new user, weight of the item's bias: how popular it is", low=0, high=10, search=Range(0, 0.2)
    )


class Step(Incremental[StepConfig]):
    """Incremental collaborative filtering by gradient steps on one event at a time.

    score(u, i) = u . v_i + b_i. With `loss=squared`, no negatives and one pass it is ISGD (Vinagre, Jorge & Gama,
    Fast incremental matrix factorization for recommendation with positive-only feedback, UMAP 2014), except that both
    gradients are computed before either vector is updated. The other losses compare the event with sampled items that
    the user has not had: BPR (Rendle et al., UAI 2009), logistic, softmax over the sample. `negatives_from=oldest`
    takes the items whose last event is longest ago (Vinagre, Jorge & Gama, Collaborative filtering with recency-based
    negative feedback, SAC 2015; here they are updated too). `linear` uses 1 - score as the loss: it diverges.

    The vector of a user of the data follows the latest events, which is what a stream asks for. A new user has a few
    ratings in no order, and a vector stepped from zero says little of them: they are scored as `new_users` says, from
    the items near their likes by who likes them and by genres and terms, and by the direction in which events moved
    them, with popularity in the damped bias alone. The order of the ratings changes nothing, and dislikes count.

    Events are learned on the CPU, one after another, in a compiled loop; with CUDA, batches of users are scored there.
    """

    name = "step"
    family = "hybrid"
    abilities = ("similar", "product", "fold-in", "explain", "incremental", "session")
    summary = "Matrix factorisation that learns from every rating the moment it arrives."
    reference = "Vinagre, Jorge & Gama, Fast incremental matrix factorization for recommendation, UMAP 2014"
    hears_dislikes = True
    scores_from_history = False
    Config = StepConfig
    version = 4
    preset_epochs = 20

    def __init__(self, config: StepConfig | None = None) -> None:
        super().__init__(config)
        self.device = torch.device("cpu")
        self.pretrained: dict[str, Tensor] = {}
        self._served: tuple[Tensor, Tensor] | None = None
        self._for_new_users: new_users.Tables | None = None

    def reads(self) -> Sequence[str]:
        return TERM_COLUMNS

    def start_from(self, *, users: Tensor | None = None, items: Tensor | None = None) -> Self:
        """Let `fit` start from given vectors, users (n_users, embedding_dim) and items (n_items, embedding_dim)."""
        tables = {"users": users, "items": items}
        self.pretrained = {name: table.detach() for name, table in tables.items() if table is not None}
        return self

    def learn(self, train: Interactions, context: FitContext) -> None:
        self.device = context.run.torch_device()
        rows = train.select(np.argsort(train.timestamp, kind="stable"))
        self.past = LinkedEvents.of(rows.user_idx, rows.item_idx, self.weigh(rows.rating), self.n_users)
        self.network = StepParameters(self.config, self.n_users, self.n_items, context.run.seed)
        for name, table in self.pretrained.items():
            initial = getattr(self.network, name)
            if table.shape != initial.shape:
                raise BadInput(
                    f"pretrained {name}",
                    expected=str(tuple(initial.shape)),
                    problem=f"have the shape {tuple(table.shape)}",
                )
            initial.copy_(table)
        self._prepare()
        self.scale, self.n_unknown = (
            rating_scale(train),
            int(without_metadata(context.items, TERM_COLUMNS, self.n_items).sum()),
        )
        with seeded(torch.device("cpu"), context.run.seed), one_thread(torch.device("cpu")):
            self.kinds = item_vectors(train, context.items, self.config.embedding_dim)

        def epoch(on_step: OnStep = no_step, update: bool = True) -> float:
            self._forget_served()
            kernel, config = _kernel(), self.config
            tables, rule, sampler, scratch = self.arrays()
            if not update:
                sampler = sampler._replace(state=sampler.state.copy())
            parts = tables, rule, sampler, self.past, scratch, self.negatives, update
            n, at_once = len(rows), STEPS_AT_ONCE * config.batch_size
            total = 0.0
            for first in range(0, n, at_once):
                on_step(first, n)
                some = first, min(first + at_once, n)
                if config.batch_size == 1:
                    total += kernel.train_in_order(*parts, *some)
                else:
                    total += kernel.train_in_batches(*parts, *some, config.batch_size)
            return total / max(n, 1)

        self.training_log = run_epochs(
            self.network,
            epoch=epoch,
            untrained_loss=lambda: epoch(update=False),
            **context.loop_options(self, train),
        )
        self._forget_served()

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        config = self.config
        tables = 2 + moments_of(config.optimizer)  # the current epoch's and the best epoch's
        rows = config.batch_size * (2 + config.event_negatives)
        return {"embedding_dim": 4 * config.embedding_dim * (tables * (n_users + n_items) + n_items + rows)}

    def weigh(self, rating: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weights of events with these ratings."""
        return (1 + self.config.confidence * rating).astype(np.float32)

    def grow(self, n_users: int, n_items: int) -> None:
        self.network.grow(n_users, n_items, self.config)
        self.kinds = torch.cat([self.kinds, torch.zeros(n_items - len(self.kinds), self.kinds.shape[1])])
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
        """Rank and learn as the base class does; `lists` (n, k) int32, if given, takes the top k before each event."""
        kernel, config, parts = _kernel(), self.config, self.arrays()
        ranks = np.zeros(len(events) if ranked else 0, np.int32)
        lists = np.zeros((0, 0), np.int32) if lists is None else lists
        columns = events.user_idx, events.item_idx, self.weigh(events.rating), self.draws(len(events))
        changed = (config.passes + config.replay) * (1 + self.negatives) if learns else 0
        size = block_size(self.n_items, changed) if ranked and not limit else 0
        for part, block in blocks(self.network, events.user_idx, size):
            kernel.advance(
                *(*parts[:3], self.past, parts[3], tuple(column[part] for column in columns)),
                *(self.negatives, config.passes, config.replay, learns, masked, limit, ranks[part], lists[part], block),
            )
        self._forget_served()
        return ranks

    def train_on_event(self, user: int, item: int, rating: float) -> None:
        self.advance(self._one(user, item, rating), ranked=False)

    def record_event(self, user: int, item: int, rating: float) -> None:
        self.advance(self._one(user, item, rating), ranked=False, learns=False)

    def _one(self, user: int, item: int, rating: float) -> Interactions:
        return Interactions.from_pairs([user], [item], rating=[rating], n_users=self.n_users, n_items=self.n_items)

    def score_user(self, user: int) -> NDArray[np.float32]:
        return self.score(user)[0].cpu().numpy()

    @torch.inference_mode()
    def score(self, user_idx: ArrayLike) -> Tensor:
        users = torch.as_tensor(as_indices(user_idx))
        return self._scores(self.network.users[users])

    def score_history(self, histories: Interactions) -> Tensor:
        """Return (histories.n_users, n_items) scores of users known only by these ratings, whatever their order."""
        return self.score_new(histories)

    @torch.no_grad()
    def score_new(self, histories: Interactions, changed: tuple[NDArray[np.int32], Tables] | None = None) -> Tensor:
        """Score new users; `changed` are some items and what their vectors and biases have become since."""
        return new_users.score_new_users(histories, self._new_user_tables(changed), self.config)

    @torch.no_grad()
    def explain(self, history: Interactions, item_idx: ArrayLike) -> Tensor:
        """Return (n_targets, n_history): what each rating of a new user adds to each score; below 0 speaks against."""
        return new_users.explain_new_user(history, item_idx, self._new_user_tables(), self.config)

    def _new_user_tables(self, changed: tuple[NDArray[np.int32], Tables] | None = None) -> new_users.Tables:
        if self._for_new_users is None:
            bias = self.network.bias[:, 0]
            self._for_new_users = new_users.Tables.of(self.kinds, self.network.items, bias, self.scale)
        if changed is None:
            return self._for_new_users
        item, rows = changed
        parts = (torch.from_numpy(part[: len(item)]) for part in (rows.items, rows.bias[:, 0]))
        return self._for_new_users.with_rows(torch.from_numpy(item.astype(np.int64)), *parts)

    def item_vectors(self) -> Tensor:
        return self.network.items

    def product(self) -> Product:
        """Return the vectors and biases whose products are the scores. Raises BadInput where `sigmoid` bends these."""
        if self.config.sigmoid:
            raise no_product("sigmoid", True)
        return Product(self.network.users, self.network.items, None, self.network.bias[:, 0])

    def state(self) -> dict[str, Tensor]:
        return {**self.network.state_dict(), **self.past.state(), "kinds": self.kinds, "scale": self.scale}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.kinds, self.scale = state["kinds"], state["scale"]
        self.network = StepParameters(self.config, self.n_users, self.n_items, 0)
        self.network.load_state_dict({name: state[name] for name in self.network.state_dict()})
        self.past = LinkedEvents.from_state(state, self.n_users)
        self._prepare()

    @property
    def negatives(self) -> int:
        """Return the number of negative samples per event."""
        return 0 if self.config.loss == "linear" else self.config.event_negatives

    def _prepare(self) -> None:
        """Make the working arrays, which hold nothing between two calls that does not follow from the past events."""
        config = self.config
        self._forget_served()
        n_users, n_items = len(self.network.users), len(self.network.items)
        self._mark, self._stamp = np.zeros(n_items, np.int64), np.zeros(1, np.int64)
        items, first = np.unique(self.past.item[: self.past.size[0]], return_index=True)
        self._known = np.zeros(n_items, np.bool_), np.zeros(n_items, np.int32), np.array([len(items)])
        self._known[0][items] = True
        self._known[1][: len(items)] = items[np.argsort(first)]
        self._scratch = Scratch.for_batches(n_users, n_items, config.embedding_dim, config.batch_size, self.negatives)

    def arrays(self) -> tuple[Tables, Rule, Sampler, Scratch]:
        """Return tables, rule, sampler and scratch over the memory of the tensors, which are on the CPU."""
        config, net = self.config, self.network
        tables = Tables(
            *(
                getattr(net, name).numpy()
                for name in ("users", "items", "bias", "user_moments", "item_moments", "bias_moments", "updates")
            )
        )
        rule = Rule(
            LOSSES.index(config.loss),
            OPTIMIZERS.index(config.optimizer),
            config.learning_rate,
            config.l2,
            config.sigmoid,
            not config.freeze_users,
            not config.freeze_items,
            config.item_bias,
        )
        sampler = Sampler(
            net.random.numpy().view(np.uint64),
            self._mark,
            self._stamp,
            net.older.numpy(),
            net.newer.numpy(),
            *self._known,
            SOURCES.index(config.negatives_from),
        )
        return tables, rule, sampler, self._scratch

    def _forget_served(self) -> None:
        """Forget what follows from the tables, which have changed."""
        self._served = self._for_new_users = None

    def _scores(self, vectors: Tensor) -> Tensor:
        if self._served is None:
            self._served = self.network.items.to(self.device), self.network.bias.to(self.device)
        items, bias = self._served  # on the CPU these are the tables themselves
        scores = vectors.to(self.device) @ items.T + bias[:, 0]
        return scores.sigmoid() if self.config.sigmoid else scores


def _kernel() -> ModuleType:
    """Return the compiled functions; imported here, since importing numba takes half a second."""
    from recengine.models.streaming import step_kernel

    return step_kernel
