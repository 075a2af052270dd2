"""Train a model for use, or find it in the store: what the command line and the app both call."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, hold_out, leave_last
from recengine.errors import BadInput
from recengine.experiments.store import ArtefactStore, Trained
from recengine.models.base import Recommender
from recengine.models.registry import configure, fit_final, model_class
from recengine.training.config import RunConfig
from recengine.training.loop import OnEpoch

ALWAYS, A_ROW = 150_000_000, 400
"""Bytes that any training takes, and that each rating adds, as measured."""
CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux tells a container's memory."""


def obtain(
    dataset: Dataset,
    name: str,
    *,
    settings: dict[str, Any] | None = None,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    positive: float = 4.0,
    split: Split | None = None,
    force: bool = False,
    on_epoch: OnEpoch | None = None,
    store: ArtefactStore | None = None,
) -> Trained:
    """Return the model trained on all of `dataset`, or on what `split` allows; from the store if it can.

    Most models learn from the positives: the last one of each user chooses the epoch, then the model is fitted on
    everything. A model of ratings learns from all of them, whatever `positive` is, and a random share chooses.
    `settings` are fields of the model's config or of `RunConfig`.
    Raises BadInput for an unknown name or a setting out of range.
    """
    config, run = configure(name, settings or {}, run)
    device = str(run.torch_device())
    about = split.learned_from if split is not None else _whole(name, positive)
    store = store or ArtefactStore()
    folder = store.folder(name, config, dataset.fingerprint, about, run)

    def train() -> Any:
        memory_needed(dataset, model_class(name)(config))
        train_rows, valid_rows = learning_rows(dataset, name, split, positive=positive, seed=run.seed)
        return fit_final(
            name,
            config,
            train_rows,
            valid_rows,
            items=dataset.items,
            users=dataset.people,
            run=run,
            on_epoch=on_epoch,
        )

    description = {
        "dataset": dataset.name,
        "data": dataset.fingerprint,
        "split": about,
        "seed": run.seed,
        "device": device,
        "model_version": model_class(name).version,
    }
    return store.obtain(folder, train, description, force=force)


def artefact_folder(
    dataset: Dataset,
    name: str,
    *,
    settings: dict[str, Any] | None = None,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    positive: float = 4.0,
) -> Path:
    """Return where `obtain` with the same arguments finds the model or puts it."""
    config, run = configure(name, settings or {}, run)
    return ArtefactStore().folder(name, config, dataset.fingerprint, _whole(name, positive), run)


def memory_needed(dataset: Dataset, model: Recommender) -> int:
    """Return about how many bytes training takes beside the data.

    Raises BadInput when that is more than this machine has left, and names the setting that takes most.
    """
    parts = model.footprint(dataset.n_users, dataset.n_items, len(dataset.ratings))
    parts[""] = parts.get("", 0) + ALWAYS + A_ROW * len(dataset.ratings)
    needed, free = sum(parts.values()), available_memory()
    if needed > free:
        most = max(parts, key=lambda part: parts[part])
        cause = f"{most}={getattr(model.config, most)} needs" if most else "training needs"
        raise BadInput(
            f"{cause} about {needed / 1e9:,.1f} GB of memory for {model.name!r} on this data, "
            f"and {free / 1e9:,.1f} GB are free; "
            + (f"lower {most}" if most else "choose another model, or drop rare items")
        )
    return needed


def available_memory() -> int:
    """Return the bytes that this process may still take: the machine's, or its container's if that is less."""
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit, used = (int((CONTAINER / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, max(0, limit - used))
    return free


def _whole(name: str, positive: float) -> dict[str, Any]:
    """Return what identifies a training on all of a data set; a model of ratings is the same at any threshold."""
    if model_class(name).learns_from == "ratings":
        return {"split": "all", "learns_from": "ratings"}
    return {"split": "all", "positive": positive}


def learning_rows(
    dataset: Dataset, name: str, split: Split | None, *, positive: float = 4.0, seed: int = 0
) -> tuple[Interactions, Interactions]:
    """Return (training, validation) rows of the kind that the model learns from: a split's own, or of everything."""
    if model_class(name).learns_from == "ratings":
        return split.ratings() if split else hold_out(dataset.ratings, rng=np.random.default_rng(seed))
    parts = split or leave_last(dataset.positives(positive), least=2, test=False)
    return parts.train, parts.valid


def unknown_items(model: Recommender) -> str | None:
    """Return a sentence on how many items a model that reads metadata knows nothing of; None if there are none."""
    if not model.n_unknown:
        return None
    *most, last = model.reads()
    columns = " or ".join(filter(None, (", ".join(most), last)))
    return f"{model.n_unknown:,} of {model.n_items:,} items have no {columns}; {model.name} treats them as unknown."
