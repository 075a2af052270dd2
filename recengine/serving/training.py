"""Train a model for use, or find it in the store: what the command line and the app both call."""

from __future__ import annotations

from typing import Any

import numpy as np

from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.data.splits import Split, hold_out, leave_last
from recengine.models.base import Recommender
from recengine.models.registry import configure, fit_final, model_class
from recengine.serving.store import ArtefactStore, Trained
from recengine.training.config import RunConfig
from recengine.training.loop import OnEpoch


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
        train_rows, valid_rows = learning_rows(dataset, name, split, positive=positive, seed=run.seed)
        return fit_final(
            name,
            config,
            train_rows,
            valid_rows,
            items=dataset.items,
            users=dataset.users,
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


def is_stored(
    dataset: Dataset,
    name: str,
    *,
    settings: dict[str, Any] | None = None,
    run: RunConfig = RunConfig(),  # noqa: B008 - frozen
    positive: float = 4.0,
) -> bool:
    """Tell whether `obtain` with the same arguments would find the model without training."""
    config, run = configure(name, settings or {}, run)
    folder = ArtefactStore().folder(name, config, dataset.fingerprint, _whole(name, positive), run)
    return (folder / "manifest.json").is_file()


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
