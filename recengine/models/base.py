"""The contract of every recommender: `fit`, `score`, `recommend`, `similar_items`, `save`, `load`."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Self, TypedDict, TypeVar, cast, final

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.metrics import Ranking, mask_scores, tie_salts, top_k
from recengine.models.abilities import ABILITIES
from recengine.models.recency import training_scorer
from recengine.training.config import Config as BaseConfig
from recengine.training.config import RunConfig
from recengine.training.loop import Score, Validate, best_epoch, ranking_validator
from recengine.training.progress import EpochResult, OnEpoch, OnStep, Stage, no_step, steps_of

ConfigT = TypeVar("ConfigT", bound=BaseConfig)

FAMILIES = {
    "collaborative": "Learns from ratings alone: films liked by the same viewers belong together "
    "(Goldberg et al., Using collaborative filtering to weave an information tapestry, CACM 1992).",
    "content-based": "Films like those you liked, by genre, keywords and director; other viewers play no part "
    "(Pazzani & Billsus, Content-based recommendation systems, The Adaptive Web 2007).",
    "demographic": "What viewers of the same age, gender or occupation like; none of your ratings is needed "
    "(Pazzani, A framework for collaborative, content-based and demographic filtering, AI Review 1999).",
    "contextual": "What is watched at this time, the same for every viewer "
    "(Adomavicius & Tuzhilin, Context-aware recommender systems, Recommender Systems Handbook 2011).",
    "hybrid": "Learns from ratings and from what is known about the films "
    "(Burke, Hybrid recommender systems, UMUAI 2002).",
    "baseline": "The same list for everyone, or plain averages: what every other model has to beat "
    "(Ferrari Dacrema, Cremonesi & Jannach, Are we really making much progress?, RecSys 2019).",
    "custom": "A custom function: how it ranks is known only to its author.",
}
"""What a model learns from, a sentence on each family."""
NEED_NO_RATINGS = ("baseline", "demographic", "contextual")
"""Families that can rank for a user without a single rating."""


_READ_ONLY = re.compile("read-only|not write?able")
"""What NumPy, Cython and Python's buffers call an array that cannot be written to."""


class LoopOptions(TypedDict):
    """What a model hands on to the training loop."""

    epochs: int
    patience: int
    validate: Validate | None
    criterion: str
    on_epoch: OnEpoch | None


class FitContext(NamedTuple):
    """What a model may use in addition to the training rows; `valid` is None rather than empty."""

    valid: Interactions | None
    items: pd.DataFrame | None
    users: pd.DataFrame | None
    run: RunConfig
    on_epoch: OnEpoch | None
    on_step: OnStep = no_step
    """Called by a model without epochs."""

    def loop_options(self, model: Recommender, train: Interactions) -> LoopOptions:
        """Return the loop's options for `model`: its epochs and patience, which the run may set, and its validation."""
        valid = self.valid
        return {
            "epochs": self.run.epochs or model.preset_epochs or 1,
            "patience": self.run.patience or model.preset_patience,
            "validate": None if valid is None else model.validator(train, valid, training_scorer(model, train)),
            "criterion": model.criterion,
            "on_epoch": self.on_epoch,
        }


class Recommender(ABC, Generic[ConfigT]):
    """A model that scores every item for a user. Subclasses fill the class attributes and three methods.

    After `fit` a model holds `n_users`, `n_items`, `training_log`, one result per epoch (empty for closed forms), and
    `n_unknown`, the items of which the columns that it `reads` say nothing (None if it reads none).
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    """The usual spelling of the name; by default the name with a capital."""
    family: ClassVar[str]
    summary: ClassVar[str]
    abilities: ClassVar[tuple[str, ...]] = ()
    """What the model can do beyond ranking: keys of `ABILITIES`, which names the methods that each asks for."""
    reference: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Raised by hand when the algorithm changes, so that stored artefacts of the old one are not reused."""
    Config: ClassVar[type[BaseConfig]] = BaseConfig
    preset_epochs: ClassVar[int | None] = None
    """Epochs when the run does not say; None marks a closed form, which has no epochs."""
    preset_patience: ClassVar[int] = 5
    criterion: ClassVar[str] = "valid_ndcg@10"
    """The validation metric that chooses the epoch; of errors (`valid_rmse`) the least is best."""
    is_order_sensitive: ClassVar[bool] = False
    """Whether the times of the ratings matter, as they also do for every model with `recency_half_life` set."""
    is_slow: ClassVar[bool] = False
    """Whether fitting takes long although the model has no epochs."""
    is_personalised: ClassVar[bool] = True
    """Whether a user's list depends on what that user chose."""
    is_reference: ClassVar[bool] = False
    """Whether comparisons show every other model's lead over this one."""
    reason: ClassVar[Literal["popular", "alike", "moment"] | None] = None
    """Why anything is listed by a model that no single item of the user's history speaks for."""
    learns_from: str = "positives"
    """`positives`, or `ratings`: all of them, also those below the threshold of a positive."""
    hears_dislikes: bool = False
    """Whether a new user's low ratings count against the items that are like those rated low."""

    config: ConfigT

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls) and "title" not in vars(cls):
            cls.title = str(cls.name).capitalize()

    def __init__(self, config: ConfigT | None = None) -> None:
        self.config = cast(ConfigT, self.Config()) if config is None else config
        self.n_users = 0
        self.n_items = 0
        self.training_log: list[EpochResult] = []
        self.n_unknown: int | None = None

    @final
    def fit(
        self,
        train: Interactions,
        *,
        valid: Interactions | None = None,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        run: RunConfig = RunConfig(),  # noqa: B008 - frozen
        on_epoch: OnEpoch | None = None,
    ) -> Self:
        """Learn from `train`, in which every row is a positive unless the model predicts ratings.

        `valid` chooses the epoch (full-ranking NDCG@10, `train` masked); without it the model trains for
        `run.epochs`. `items` and `users` are the data set's tables, one row per index.
        """
        self.n_users, self.n_items = train.n_users, train.n_items
        report = None if on_epoch is None else _reporter(on_epoch, self.name, len(train))
        valid = valid if valid is not None and len(valid) else None
        on_step = no_step if self.preset_epochs else steps_of(report)
        try:
            on_step(0, 1)
            self.learn(train, FitContext(valid, items, users, run, report, on_step))
            on_step(1, 1)
        except (ValueError, TypeError) as error:
            if not _READ_ONLY.search(str(error)):
                raise
            problem = f"asks for arrays that it may write to ({error})"
            remedy = "give it copies of the training rows, such as train.user_idx.copy()"
            raise BadInput("model", self.name, remedy=remedy, problem=problem) from error
        return self

    @abstractmethod
    def learn(self, train: Interactions, context: FitContext) -> None:
        """Do the work of `fit`, which has set `n_users` and `n_items`."""

    def check(self, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        """Raise BadInput when the item or user table lacks what this model learns from."""

    def footprint(self, n_users: int, n_items: int, n_rows: int) -> dict[str, int]:
        """Return roughly the bytes that training takes in addition to the data, by the setting that they grow with.

        What grows with the data alone stands under "". An estimate, true within a factor of two where it is large.
        """
        return {}

    @abstractmethod
    def score(self, user_idx: ArrayLike) -> Tensor:
        """Return (B, n_items) float32 scores of all items for user indices (B,): one row, expanded, if all agree."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return the learned tensors by name: what `save` writes and `restore` takes."""

    @abstractmethod
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the tensors of `state` back; `n_users` and `n_items` are set before."""

    def validator(self, train: Interactions, valid: Interactions, score: Score | None = None) -> Validate:
        """Return a function that measures the model on `valid`, with `score` instead of its method if given."""
        return ranking_validator(score or self.score, train, valid)

    def reads(self) -> Sequence[str]:
        """Return the columns of the item table that the model learns from."""
        return ()

    def item_vectors(self) -> Tensor | None:
        """Return (n_items, D) vectors whose cosine is the item-item similarity, or None if there are none."""
        return None

    def item_similarity(self, item_idx: Tensor) -> Tensor | None:
        """Return (B, n_items) similarities; cosine of the item vectors unless a model knows better."""
        vectors = self.item_vectors()
        if vectors is None:
            return None
        unit = torch.nn.functional.normalize(vectors, dim=1, eps=1e-12)  # a zero vector stays zero
        return unit[item_idx] @ unit.T

    @property
    def best_epoch(self) -> int | None:
        """Return the epoch (counted from 1) that validation chose, or None if there was no validation."""
        best = best_epoch(self.training_log, self.criterion)
        return None if best is None else best.epoch

    def arrange(self, scores: Tensor) -> Tensor:
        """Return what scores (B, n_items) are ranked by, -inf where hidden: they themselves, or changed in place.

        For what is asked of a list rather than of an item, such as how many items of a kind it holds.
        """
        return scores

    @final
    @torch.inference_mode()
    def top_k(
        self,
        user_idx: ArrayLike,
        *,
        k: int = 10,
        seen: Interactions | None,
        among: ArrayLike | None = None,
    ) -> Ranking:
        """Return the top k items of each user, without those in `seen` (None keeps all), only from `among`."""
        users = as_indices(user_idx)
        check_k(k, self.n_items)
        scores = self.score(users).to("cpu", torch.float32, copy=True)  # (B, n_items)
        return top_k(self.arrange(mask_scores(scores, users, seen=seen, among=among)), k, tie_salts(seen, users))

    @final
    @torch.inference_mode()
    def similar_items(self, item_idx: ArrayLike, *, k: int = 10) -> Ranking:
        """Return the k items nearest to each given item, which is itself left out.

        Raises BadInput for a model without item vectors.
        """
        seeds = torch.as_tensor(as_indices(item_idx))
        if self.n_items == 1:
            raise BadInput("item", expected="data of two items or more", problem="is the only one, and like no other")
        check_k(k, self.n_items - 1)
        similarity = self.item_similarity(seeds) if "similar" in self.abilities else None
        if similarity is None:
            raise BadInput(
                "model",
                self.name,
                "a model with the ability 'similar'",
                problem="has no item vectors, so it knows no similar items",
            )
        similarity = similarity.to("cpu", torch.float32, copy=True)
        similarity[torch.arange(len(seeds)), seeds] = -torch.inf
        return top_k(similarity, k)

    def save(self, folder: Path | str) -> None:
        """Write `model.safetensors` and `model.json` (name, config, sizes, counts, history) into an existing folder."""
        folder = Path(folder)
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.state().items()}
        save_file(tensors, folder / "model.safetensors")
        header = {
            "model": self.name,
            "version": self.version,
            "config": self.config.to_dict(),
            "n_users": self.n_users,
            "n_items": self.n_items,
            "n_unknown": self.n_unknown,
            "history": [result.to_dict() for result in self.training_log],
        }
        (folder / "model.json").write_text(json.dumps(header, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote. Raises ValueError when it is another model's or another version's."""
        folder = Path(folder)
        header = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if (header["model"], header["version"]) != (cls.name, cls.version):
            raise ValueError(
                f"{folder} holds {header['model']!r} version {header['version']}, "
                f"expected {cls.name!r} version {cls.version}; train it again"
            )
        model = cls(cast(ConfigT, cls.Config.from_dict(header["config"])))
        model.n_users, model.n_items = header["n_users"], header["n_items"]
        model.n_unknown = header.get("n_unknown")
        model.training_log = [EpochResult.from_dict(row) for row in header["history"]]
        model.restore(load_file(folder / "model.safetensors"))
        return model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_users:,} users, {self.n_items:,} items, {self.config})"


def _reporter(on_epoch: OnEpoch, name: str, examples: int) -> OnEpoch:
    """Return the callback with the number of examples filled in; BadInput for what is not an EpochResult."""

    def report(result: object) -> None:
        if not isinstance(result, EpochResult):
            problem = f"of {name!r} is called with a {type(result).__name__}"
            raise BadInput("on_epoch", expected="EpochResult(epoch, epochs, loss, seconds)", problem=problem)
        on_epoch(result if Stage.STEPS in result.stages else replace(result, examples=examples))

    return report


def as_indices(indices: ArrayLike) -> NDArray[np.int64]:
    """Return an index or several as (n,) int64."""
    return np.atleast_1d(np.asarray(indices, dtype=np.int64))


def implemented(kind: type[Recommender]) -> tuple[str, ...]:
    """Return the abilities whose methods a class has, in the order of `ABILITIES`: what it ought to declare."""
    inherited = Recommender.item_vectors, Recommender.item_similarity
    is_similar = (kind.item_vectors, kind.item_similarity) != inherited
    methods = {
        name: [m for m in vars(protocol) if not m.startswith("_") and m not in Recommender.__annotations__]
        for name, protocol in ABILITIES.items()
    }
    complete = [name for name, needed in methods.items() if all(hasattr(kind, method) for method in needed)]
    return tuple(name for name in complete if name != "similar" or is_similar)


def readable(model: Recommender, rows: Interactions, positive: float) -> Interactions:
    """Return the rows that a model reads of those given to it: all, or the positives."""
    return rows if model.learns_from == "ratings" else rows.at_least(positive)


def heard(model: Recommender, rows: Interactions, positive: float) -> Interactions:
    """Return the rows that a model scores a new user from, of those given to it: all, or the positives."""
    return rows if model.hears_dislikes else readable(model, rows, positive)


def check_k(k: int, limit: int) -> None:
    """Raise BadInput unless 1 <= k <= limit."""
    if not 1 <= k <= limit:
        raise BadInput("k", k, f"1 to {limit:,}, the items that can be listed", problem="is out of range")
