"""Train a model for use, or find it in the store: what the command line and the app both call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import psutil
import torch

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, SplitSetting, hold_out, later_item, leave_last
from recengine.errors import BadInput
from recengine.experiments.store import ArtefactStore, Origin, Trained, artefact_name
from recengine.files import Json, JsonObject
from recengine.models.base import Recommender
from recengine.models.registry import configure, fit_final, model_class, what_fits
from recengine.training.config import Config, RunConfig, Settings
from recengine.training.progress import OnEpoch

ALWAYS, A_ROW = 150_000_000, 200
"""Bytes that any training takes, and that each rating adds, as measured."""
CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux gives a container's memory."""


@dataclass(frozen=True, eq=False)
class TrainingRequest:
    """What is trained on what: all of `dataset`, or what `split` allows.

    settings : fields of the model's config or of `RunConfig`, as values or as texts
    positive : the rating from which on one is a positive, where no split sets it

    Raises BadInput for an unknown name or a setting out of range.
    """

    dataset: Dataset
    model: str
    settings: Settings = field(default_factory=dict)
    run: RunConfig = RunConfig()  # noqa: RUF009 - frozen
    positive: float = 4.0
    split: Split | None = None
    config: Config = field(init=False)

    def __post_init__(self) -> None:
        config, run = configure(self.model, dict(self.settings), self.run)
        object.__setattr__(self, "run", run)
        object.__setattr__(self, "config", config)

    @property
    def kind(self) -> type[Recommender]:
        """Return the class of the model."""
        return model_class(self.model)

    @property
    def learns_from(self) -> str:
        """Return what the model learns from with these settings: `positives` or `ratings`."""
        return self.kind(self.config).learns_from

    @cached_property
    def name(self) -> str:
        """Return the name of the artefact that the store keeps for this request."""
        return artefact_name(self.model, self.config, self.dataset.fingerprint, self.learned_from, self.run)

    @property
    def folder(self) -> Path:
        """Return where the default store finds the model or puts it."""
        return ArtefactStore().root / self.name

    @property
    def origin(self) -> Origin:
        """Return the origin that the artefact's manifest records."""
        return Origin(
            dataset=self.dataset.name,
            data=self.dataset.fingerprint,
            split=self.learned_from,
            seed=self.run.seed,
            device=str(self.run.torch_device()),
            model_version=self.kind.version,
        )

    @property
    def learned_from(self) -> Mapping[str, SplitSetting]:
        """Return what identifies the rows learned from; a model of ratings is the same at any threshold."""
        if self.split is not None:
            return self.split.learned_from
        if self.learns_from == "ratings":
            return {"split": "all", "learns_from": "ratings"}
        return {"split": "all", "positive": self.positive}


def obtain(
    request: TrainingRequest,
    *,
    force: bool = False,
    on_epoch: OnEpoch | None = None,
    store: ArtefactStore | None = None,
) -> Trained:
    """Return the trained model, from the store if it is there and nothing forces a training.

    Most models learn from the positives: the last one of each user chooses the epoch, then the model is fitted on
    everything. A model of ratings learns from all of them, whatever `positive` is, and a random share chooses.
    """
    origin = request.origin  # a device that is not there is bad input before anything is looked for
    store = store or ArtefactStore()

    def train() -> Recommender:
        dataset = request.dataset
        memory_needed(dataset, request.kind(request.config))
        training, validation = learning_rows(request)
        return fit_final(
            request.kind,
            request.config,
            training,
            validation,
            items=dataset.items,
            users=dataset.user_table,
            run=request.run,
            on_epoch=on_epoch,
        )

    return store.obtain(store.root / request.name, train, origin, force=force)


@dataclass(frozen=True)
class TrainingReport:
    """The result of `train`: written as JSON by the command line, read by the app.

    fresh   : whether it was trained just now; seconds : the duration of the training, whenever it was
    epochs  : the epoch that validation chose; metrics : its values, or those of a model without epochs
    """

    folder: Path
    model: str
    dataset: str
    fresh: bool
    seconds: float
    epochs: int | None
    n_unknown: int | None
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, trained: Trained, dataset: Dataset, validation: Mapping[str, float] = MappingProxyType({})) -> Self:
        """Return the report of a model trained on `dataset`; `validation` is what `validate` returned, if asked."""
        manifest = trained.manifest
        metrics = {
            name: value
            for name, value in manifest.metrics.items()
            if name.startswith("valid_") and isinstance(value, float)
        }
        return cls(
            trained.folder,
            manifest.model,
            dataset.name,
            trained.fresh,
            manifest.seconds,
            manifest.epochs,
            trained.model.n_unknown,
            {**validation, **metrics},
        )

    def to_dict(self) -> dict[str, Json]:
        """Return what `train --json` prints."""
        return {**vars(self), "folder": str(self.folder)}

    @classmethod
    def from_dict(cls, row: JsonObject) -> Self:
        """Read what `to_dict` wrote. Raises KeyError or TypeError for what is not a report."""
        return cls(**{**{f.name: row[f.name] for f in fields(cls)}, "folder": Path(row["folder"])})


def validate(model: Recommender, request: TrainingRequest) -> dict[str, float]:
    """Return what a model without epochs reaches on validation when it has learned from the training rows alone.

    model : the finished one, whose config is fitted again. One with epochs was validated in each of them: {}.
    """
    training, validation = learning_rows(request)
    if model.preset_epochs is not None or not len(validation):
        return {}
    dataset = request.dataset
    fitted = request.kind(model.config).fit(training, items=dataset.items, users=dataset.user_table, run=request.run)
    with torch.inference_mode():
        return fitted.validator(training, validation)()


def memory_needed(dataset: Dataset, model: Recommender) -> int:
    """Return an estimate of the bytes that training takes on top of the data.

    Raises BadInput when that is more than this machine has left, and names the setting that takes most.
    """
    sizes, always = (dataset.n_users, dataset.n_items, len(dataset.ratings)), ALWAYS + A_ROW * len(dataset.ratings)
    parts, free = model.footprint(*sizes), available_memory()
    parts[""] = parts.get("", 0) + always
    needed = sum(parts.values())
    if needed > free:
        most = max(parts, key=lambda part: parts[part])
        whose = f" for {model.name!r}" if most else ""
        raise BadInput(
            most or "model",
            getattr(model.config, most) if most else model.name,
            remedy=f"lower `{most}`" if most else what_fits(*sizes, free, always=always),
            problem=f"needs about {needed / 1e9:,.1f} GB of memory{whose} on this data, "
            f"and {free / 1e9:,.1f} GB are free",
        )
    return needed


def available_memory() -> int:
    """Return the bytes that this process may still take: the machine's, or its container's if that is less."""
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit, used = (int((CONTAINER / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, max(0, limit - used))
    return free


def learning_rows(request: TrainingRequest) -> tuple[Interactions, Interactions]:
    """Return (training, validation) rows of the kind that the model learns from: those of a split, or of everything."""
    if request.split is None:
        return rows_of_all(request.dataset, request.learns_from, request.positive, request.run.seed)
    return rows_of_split(request.split, request.learns_from)


def rows_of_split(split: Split, learns_from: str) -> tuple[Interactions, Interactions]:
    """Return the (training, validation) rows of a split for a model that learns from `positives` or `ratings`."""
    return split.ratings() if learns_from == "ratings" else (split.train, split.valid)


def rows_of_all(dataset: Dataset, learns_from: str, positive: float, seed: int) -> tuple[Interactions, Interactions]:
    """Return the (training, validation) rows of everything, for a model that learns from `positives` or `ratings`."""
    if learns_from == "ratings":
        return hold_out(dataset.ratings, rng=np.random.default_rng(seed))
    positives = dataset.positives(positive)
    split = leave_last(positives, least=2, later=later_item(dataset, positives), test=False)
    return split.train, split.valid


def unknown_items(model: Recommender) -> str | None:
    """Return a sentence that counts the items without the metadata that a model reads; None if there are none."""
    if not model.n_unknown:
        return None
    *most, last = model.reads()
    columns = " or ".join(filter(None, (", ".join(most), last)))
    return f"{model.n_unknown:,} of {model.n_items:,} items have no {columns}; {model.name} treats them as unknown."
