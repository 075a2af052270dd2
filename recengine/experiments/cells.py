"""The cells of an experiment: one training of one model on one task, measured once and kept in a file.

A cell's key is a hash of all that its figures depend on: the data's content, the split, the policy, the model with its
settings, the seed, the device and the versions of what computes. A file holds what was measured of each user, so that
models can be compared with paired tests later; it is written atomically, and a damaged one is measured again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from recengine import settings
from recengine.data.dataset import Dataset
from recengine.experiments.compare import ComparisonRequest, Observer, measure_seed, tasks_of, versions
from recengine.experiments.measured import Arrays, to_arrays
from recengine.experiments.replay import StreamRequest, replay_one
from recengine.files import Json, JsonObject, atomic_file
from recengine.models.registry import configure, model_class

FORMAT = 1
Request = ComparisonRequest | StreamRequest
Contents = tuple[Arrays, JsonObject]
"""What a cell's file holds: arrays, and what is no array."""
_OF_ALL = {"models", "kinds", "run", "seeds", "force"}
"""Fields of a request that say what else is measured, or that a cell's key has in another form."""
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Cell:
    """One model of a request, trained with one seed, on all folds and tasks of its split.

    task : what the experiment calls the split
    name : what the request calls the model
    """

    dataset: Dataset
    task: str
    request: Request
    name: str
    seed: int

    @property
    def title(self) -> str:
        """Return what is measured, in words."""
        return f"{self.dataset.name}, {self.task}, {self.name}, seed {self.seed}"

    @cached_property
    def key(self) -> str:
        """Return the name of the cell's file. Raises BadInput for a setting out of range, or a device not here."""
        model = self.request.kind(self.name)
        config, run = configure(model, dict(self.request.models[self.name]), replace(self.request.run, seed=self.seed))
        of_all = [f.name for f in fields(self.request) if f.name not in _OF_ALL]
        row = {
            "format": FORMAT,
            "versions": versions(),
            "data": self.dataset.fingerprint,
            "task": type(self.request).__name__,
            **{name: getattr(self.request, name) for name in of_all},
            "split_seed": self.request.run.seed,
            "model": model,
            "model_version": model_class(model).version,
            "config": config,
            "run": run.to_dict() | {"device": str(run.torch_device())},
        }
        text = json.dumps(row, sort_keys=True, default=_plain)
        return f"{model}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def measure(self, observer: Observer) -> Contents:
        """Train and evaluate; return what the cell's file is to hold."""
        request = self.request
        if isinstance(request, StreamRequest):
            return replay_one(self.dataset, request, self.name, observer.training(self.name))
        folds = tasks_of(request.splits(self.dataset), request)
        return to_arrays(measure_seed(self.dataset, request, self.name, self.seed, folds, observer))


def _plain(value: Any) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    raise TypeError(f"{value!r} has no place in a key")


class CellStore:
    """The cells that were measured, one file each. root : default: `experiments` in the home."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or settings.home() / "experiments") / "cells"

    def put(self, key: str, arrays: Arrays, rest: JsonObject) -> None:
        """Keep what was measured, atomically."""
        self.root.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path(key)) as file:
            np.savez_compressed(file, allow_pickle=False, rest=np.array(json.dumps(rest)), **arrays)

    def find(self, key: str) -> Contents | None:
        """Return what was measured, or None, also for a file that is damaged: each array has a checksum."""
        try:
            with np.load(self._path(key), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return arrays, json.loads(str(arrays.pop("rest")))
        except _UNREADABLE:
            return None

    def _path(self, key: str) -> Path:
        return self.root / f"{key}.npz"
