"""`Model`: a recommender of the registry, or one of your own, that speaks raw ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recengine import settings as environment
from recengine.api.errors import own_words
from recengine.api.histories import History, history_rows
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Labels, Split, SplitSetting, hold_out
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.model_folder import check_folder, save_folder
from recengine.experiments.store import Manifest, Origin, Trained
from recengine.experiments.train import memory_needed, rows_of_all, rows_of_split
from recengine.models.base import Recommender
from recengine.models.registry import configure_kind, fit_final
from recengine.serving.onnx_graph import write_onnx
from recengine.serving.recommend import Listing, recommend, recommend_new, similar
from recengine.serving.vectors import FORMATS, vectors_of, write_vectors
from recengine.training.config import RunConfig, Setting
from recengine.training.progress import EpochResult, OnEpoch

Id: TypeAlias = str | int


class Model:
    """A recommender with its settings and, once fitted, the ids and titles that it speaks.

    recommender : the model inside, which speaks indices (`score`, `top_k`, `training_log`, ...)
    data        : what it was fitted on, with all that users had rated before a test: what lists leave out
    positive    : the rating from which on an item counts as liked
    policy      : how lists are made, in serving and in evaluation alike; may be replaced
    """

    kind: ClassVar[type[Recommender[Any]]]

    @own_words
    def __init__(self, **settings: Setting) -> None:
        """Take settings of the model and of its training (`epochs`, `patience`, `seed`, `device`) as keywords."""
        run = RunConfig.from_dict({"device": environment.default_device()})
        self.config, self.run = configure_kind(self.kind, settings, run)
        self.policy = EvaluationPolicy()
        self._fitted: Recommender[Any] | None = None
        self._origin = Origin()
        self._seconds = 0.0

    @own_words
    def fit(
        self,
        data: Interactions | Split | Dataset,
        *,
        valid: Interactions | None = None,
        positive: float | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Self:
        """Learn, and return the model itself.

        data : one of
               `split.train`, these rows alone; `valid`, such as `split.valid`, chooses the epoch if it is given
               a split: its validation part chooses the epoch, and then training plus validation is learned, as
               `recengine evaluate` does
               a data set: the same with all of it, for use rather than for a test
               bare `Interactions`: the ids that the model speaks are then their indices
        positive : with a data set, the rating from which on an item counts as liked; by default 4 of 5 stars
        on_epoch : called with an `EpochResult` after each epoch; what it raises stops the training

        Models of ratings learn from low ratings too, as far as the split holds them to be known.
        """
        if valid is not None and not isinstance(data, Interactions):
            raise BadInput("valid", problem="is for rows such as split.train", remedy="leave it out")
        if positive is not None and not isinstance(data, Dataset):
            raise BadInput("positive", positive, remedy="give it to split", problem="is for a data set")
        started = time.perf_counter()
        learns_from = self.kind(self.config).learns_from
        if isinstance(data, Dataset):
            self.data = data
            self.positive = data.like_threshold if positive is None else float(positive)
            self._check_memory()
            rows = rows_of_all(data, learns_from, self.positive, self.run.seed)
            self._fitted = self._fit_final(*rows, on_epoch)
            everything: dict[str, SplitSetting] = {"split": "all", "positive": self.positive}
            self._origin = Origin(data.name, data.fingerprint, everything, self.run.seed)
        elif isinstance(data, Split):
            self._take(data.train)
            self._fitted = self._fit_final(*rows_of_split(data, learns_from), on_epoch)
        elif isinstance(data, Interactions):
            self._take(data)
            train, valid = self._with_low_ratings(data, valid) if learns_from == "ratings" else (data, valid)
            self._fitted = self.kind(self.config).fit(
                train,
                valid=valid,
                items=self.data.items,
                users=self.data.user_table,
                run=self.run,
                on_epoch=on_epoch,
            )
        else:
            expected = "the train of a split, a split or a data set, which load, from_pandas and from_sparse make"
            raise BadInput("data", type(data).__name__, expected, problem="is nothing to learn from")
        self._seconds = time.perf_counter() - started
        return self

    def _take(self, rows: Interactions) -> None:
        """Take over what rows carry of their data set; of bare rows make one whose ids are the indices."""
        labels = rows.labels
        if labels is None:
            self.data, self.positive = _bare(rows), 0.0
            self._origin = Origin(dataset=self.data.name, seed=self.run.seed)
        else:
            self.data = replace(labels.dataset, ratings=labels.split.known)
            self.positive = labels.split.positive
            self._origin = replace(origin_of(labels), seed=self.run.seed)
        self._check_memory()

    def _check_memory(self) -> None:
        memory_needed(self.data, self.kind(self.config))

    def _with_low_ratings(
        self, train: Interactions, valid: Interactions | None
    ) -> tuple[Interactions, Interactions | None]:
        """Return the rows with the low ratings that their split set aside; validation then is a share of them all."""
        rest = None if train.labels is None else train.labels.split.rest
        if rest is None or not len(rest):
            return train, valid
        if valid is None:
            return train.concat(rest), None
        return hold_out(train.concat(valid).concat(rest), rng=np.random.default_rng(self.run.seed))

    def _fit_final(self, train: Interactions, valid: Interactions, on_epoch: OnEpoch | None) -> Recommender[Any]:
        return fit_final(
            self.kind,
            self.config,
            train,
            valid,
            items=self.data.items,
            users=self.data.user_table,
            run=self.run,
            on_epoch=on_epoch,
        )

    @property
    def recommender(self) -> Recommender[Any]:
        """Return the model inside, which speaks indices; BadInput before `fit`."""
        if self._fitted is None:
            raise BadInput("model", self.kind.name, remedy="fit it first", problem="is not fitted")
        return self._fitted

    @property
    def origin(self) -> Origin:
        """Return what it was fitted on."""
        return self._origin

    @property
    def training_log(self) -> Sequence[EpochResult]:
        """Return one result per epoch; empty for closed forms."""
        return self.recommender.training_log

    @property
    def seconds(self) -> float:
        """Return the duration of the training."""
        return self._seconds

    @own_words
    def recommend(
        self,
        users: Sequence[Id] | NDArray[Any],
        k: int = 10,
        *,
        include_seen: bool = False,
        among: Sequence[Id] | NDArray[Any] | None = None,
    ) -> pd.DataFrame:
        """Return the top k of users by their raw ids: user_id, rank, item_id, title, score, fallback.

        include_seen : list what they have rated, too
        among        : the only items that may be listed

        `fallback` marks lists of popular items, for users of whom the model knows nothing. Raises BadInput for an
        unknown id.
        """
        model, users = self.recommender, _several("users", users)
        indices = self.data.user_index(users)
        serve = partial(recommend, model, self.data, indices, k=k, include_seen=include_seen)
        return self._lists(serve, self.data.user_ids[indices], among)

    @own_words
    def recommend_new(
        self,
        histories: Sequence[History],
        k: int = 10,
        *,
        include_seen: bool = False,
        among: Sequence[Id] | NDArray[Any] | None = None,
    ) -> pd.DataFrame:
        """Return the top k of users who are not in the data, from what they rated; nothing is trained again.

        histories : one for each new user: {item id: rating} in the scale of the data, low ratings included, or item
                    ids alone, which count as liked. Neither order nor time counts

        The columns are those of `recommend`; `user_id` is the position in `histories`. Raises BadInput for an unknown
        item, a rating out of range, and a model without fold-in.
        """
        model = self.recommender
        rows = history_rows(histories, self.data, self.positive)
        serve = partial(recommend_new, model, self.data, rows, k=k, include_seen=include_seen)
        return self._lists(serve, np.arange(rows.n_users), among)

    @own_words
    def similar(self, items: Sequence[Id] | NDArray[Any], k: int = 10) -> pd.DataFrame:
        """Return the k items nearest to each given one: seed_id, rank, item_id, title, score, fallback.

        The score is the similarity. `fallback` marks popular items in place of those like an item of which the model
        knows nothing. Raises BadInput for an unknown id, and for a model without item vectors.
        """
        model, items = self.recommender, _several("items", items)
        seeds = self.data.item_index(items)
        parts = [
            self._frame(
                "seed_id",
                self.data.item_ids[[seed]],
                similar(model, self.data, int(seed), k=k, positive=self.positive),
            )
            for seed in seeds
        ]
        return pd.concat(parts, ignore_index=True) if parts else self._empty("seed_id")

    @own_words
    def save(self, folder: str | Path) -> None:
        """Write a model folder, atomically: all that it takes to serve the model elsewhere, by `load_model`.

        It holds the model, the ids and titles, what users had rated, the threshold, the policy and a sha256 of each
        file. A model folder of the same name is replaced; BadInput for a folder that holds anything else.
        """
        target = Path(folder).expanduser()
        check_folder(target)
        manifest = Manifest.of(self.recommender, self._origin, self._seconds)
        trained = Trained(self.recommender, target, manifest, fresh=True)
        save_folder(target, trained, self.data, positive=self.positive, policy=self.policy)

    @own_words
    def export(self, folder: str | Path, to: str) -> None:
        """Write what other software reads: vectors with raw ids, or a graph that scores. See the guide to exports.

        to : "npz" or "onnx", and `folder` is a file; "parquet", "projector" or "faiss", and it is a folder
        """
        target = Path(folder).expanduser()
        if to == "onnx":
            write_onnx(self.recommender, self.data, target)
        elif to in FORMATS:
            write_vectors(vectors_of(self.recommender, self.data), self.data, to, target)
        else:
            raise BadInput("to", to, f"one of: {', '.join(FORMATS)}, onnx", problem="is unknown")

    def _lists(
        self, serve: Callable[..., Listing], ids: NDArray[Any], among: Sequence[Id] | NDArray[Any] | None
    ) -> pd.DataFrame:
        """Return the lists of users, by their ids (B,), that `serve` makes as the model is served."""
        some_items = None if among is None else self.data.item_index(_several("among", among))
        if not len(ids):
            return self._empty("user_id")
        return self._frame("user_id", ids, serve(positive=self.positive, among=some_items, policy=self.policy))

    def _frame(self, key: str, ids: NDArray[Any], listing: Listing) -> pd.DataFrame:
        """Return lists (B, k) as one frame, without what pads them."""
        items, scores = (part.numpy() for part in listing.ranking)
        row, rank = np.nonzero(items >= 0)
        item = items[row, rank]
        return pd.DataFrame(
            {
                key: ids[row],
                "rank": rank + 1,
                "item_id": self.data.item_ids[item],
                "title": self.data.items["title"].to_numpy()[item],
                "score": scores[row, rank],
                "fallback": listing.fallback[row],
            }
        )

    def _empty(self, key: str) -> pd.DataFrame:
        return pd.DataFrame(columns=[key, "rank", "item_id", "title", "score", "fallback"])

    def __repr__(self) -> str:
        given = ", ".join(
            f"{f.name}={getattr(self.config, f.name)!r}"
            for f in fields(self.config)
            if getattr(self.config, f.name) != f.default
        )
        fitted = "not fitted" if self._fitted is None else f"fitted on {self.data!r}"
        return f"<{type(self).__name__}({given}), {fitted}>"


def _several(name: str, ids: Sequence[Id] | NDArray[Any]) -> Sequence[Id] | NDArray[Any]:
    """Return ids; BadInput for a single one, whose letters would be taken for ids."""
    if isinstance(ids, str | int):
        raise BadInput(name, str(ids), "a list of ids", f"write [{ids!r}]", problem="is one id")
    return ids


def _bare(rows: Interactions) -> Dataset:
    """Return rows as a data set whose raw ids are their indices."""
    items = np.arange(rows.n_items)
    titles = [f"Item {item}" for item in items]
    table = pd.DataFrame({"item_id": items, "title": titles, "year": pd.array([pd.NA] * len(items), "Int64")})
    return Dataset("interactions", rows, np.arange(rows.n_users), items, table.assign(genres=""))


def origin_of(labels: Labels) -> Origin:
    """Return what a model was made of that learned from rows with these labels."""
    return Origin(labels.dataset.name, labels.dataset.fingerprint, labels.split.learned_from)
