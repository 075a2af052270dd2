"""Data sets and models as the pages get them: loaded once, shared by all sessions, never changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from pages.ui.jobs import jobs, visible, visitor
from pages.ui.people import Persona, profile
from pages.ui.people import personas as find_personas
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.models.base import Recommender
from recengine.models.registry import MODELS, model_class
from recengine.serving.jobs import HERE, Job
from recengine.serving.search import TitleIndex, UserIndex
from recengine.serving.store import ArtefactStore, Trained
from recengine.serving.training import artefact_folder, obtain
from recengine.training.config import RunConfig

DEFAULT_MODEL = "ease"
_NAMES = {
    "cml": "CML",
    "deepfm": "DeepFM",
    "ease": "EASE",
    "gru": "GRU",
    "ials": "iALS",
    "knn": "KNN",
    "mf": "MF",
    "mlp": "MLP",
    "neumf": "NeuMF",
    "slim": "SLIM",
}
"""Words of models' names that are not written as they stand."""
_MODELS_KEPT = 6
QUICK_ITEMS, QUICK_ROWS = 2_000, 200_000
"""Up to this many items and ratings a closed form takes about a second."""


@st.cache_resource(max_entries=3, show_spinner=False)
def shared_dataset(name: str) -> Dataset:
    """Return a registered data set, the same object for every session."""
    return load_dataset(name)


class Shelf:
    """The last few trained models, by the name of their folder in the store and when it was written."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], Trained] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int]) -> Trained | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, int], trained: Trained) -> Trained:
        with self._lock:
            self._kept[key] = trained
            while len(self._kept) > _MODELS_KEPT:
                self._kept.popitem(last=False)
        return trained


@st.cache_resource(show_spinner=False)
def shelf() -> Shelf:
    """Return the one shelf of this process."""
    return Shelf()


def positive_threshold(dataset: Dataset) -> float:
    """Return the rating from which on a film counts as liked: 4 of 5 stars, or as high in another scale."""
    low, high = dataset.rating_range
    if low == high:
        return 0.0  # no scale at all: having rated it is the sign
    return 4.0 if 4 < high <= 5 else float(np.round(low + 0.75 * (high - low), 2))


class Recipe(NamedTuple):
    """What makes a model on some data: its registered name, the settings that are not the presets, the seed."""

    model: str
    settings: Mapping[str, str] = {}
    seed: int = 0

    @property
    def is_preset(self) -> bool:
        return not self.settings and not self.seed


def recipe(choice: str) -> Recipe:
    """Return what a choice of the sidebar means: a registered model with its presets, or a run of the Train page."""
    job = None if choice in MODELS else jobs().get(choice)
    if job is None:
        return Recipe(choice)
    return Recipe(job.about["model"], job.about["settings"], job.about["seed"])


def runs_on(data: str, dataset: Dataset | None = None) -> dict[str, Job]:
    """Return the finished runs on a data set that the presets do not make already, by id, the latest first.

    data : its name, or that of the visitor's own, which is `dataset`
    """
    done = [job for job in visible("train") if job.state == "done" and is_of(job, data, dataset)]
    latest = {job.key: job for job in reversed(done) if not recipe(job.id).is_preset}
    return {job.id: job for job in reversed(latest.values())}


def is_of(job: Job, data: str, dataset: Dataset | None) -> bool:
    """Tell whether a job is on that data set, named as in `runs_on`."""
    own = dataset is not None and job.about["fingerprint"] == dataset.fingerprint
    return own if job.owner else dataset is None and job.about["data"] == data


def _how(dataset: Dataset, wanted: Recipe, device: str) -> dict[str, Any]:
    """Return the arguments that `obtain` and its kin share."""
    run = RunConfig(device=device, seed=wanted.seed)  # type: ignore[arg-type]  # it checks
    return {"settings": dict(wanted.settings), "run": run, "positive": positive_threshold(dataset)}


def known_model(dataset: Dataset, choice: str, device: str) -> Trained | None:
    """Return the model if it is in memory or in the store; nothing is trained."""
    wanted = recipe(choice)
    folder = artefact_folder(dataset, wanted.model, **_how(dataset, wanted, device))
    key = _written(folder)
    found = key and (shelf().get(key) or ArtefactStore().find(folder))
    return shelf().put(key, found) if key and found else None


def _written(folder: Path) -> tuple[str, int] | None:
    """Return the folder's name and when it was last written, or None where nothing is."""
    try:
        return folder.name, (folder / "manifest.json").stat().st_mtime_ns
    except OSError:
        return None


def find_model(dataset: Dataset, choice: str, device: str) -> Trained | Job:
    """Return the trained model, or the job that is training it, or the last one if that failed or was cancelled.

    A model that takes a moment is trained at once, in this process: a process of its own would only start meanwhile.
    Raises BadInput for an unknown name, and for data that a quick model cannot learn from.
    """
    known = known_model(dataset, choice, device)
    if known:
        return known
    wanted = recipe(choice)
    how = _how(dataset, wanted, device)
    if is_quick(dataset, wanted.model):
        trained = obtain(dataset, wanted.model, **how)
        key = _written(trained.folder)
        return shelf().put(key, trained) if key else trained
    last = jobs().latest(_job_key(dataset, wanted, device))
    if last is None or last.state == "done":  # it may have ended just now, or the store has made room since
        return known_model(dataset, choice, device) or train(dataset, wanted, device)
    return last


def is_quick(dataset: Dataset, name: str) -> bool:
    """Tell whether a training takes about a second: a closed form over few items (`slim` repeats itself)."""
    closed = model_class(name).preset_epochs is None and name != "slim"
    return closed and dataset.n_items <= QUICK_ITEMS and len(dataset.ratings) <= QUICK_ROWS


def train(dataset: Dataset, wanted: Recipe, device: str, *, force: bool = False) -> Job:
    """Queue a training; the job that is doing it already, if there is one.

    A visitor's own data is written beside the job for as long as it runs, and the job is theirs alone.
    """
    return start_on(
        dataset,
        ["train", wanted.model],
        [*flags(dataset, wanted, device), *(["--force"] if force else [])],
        title=describe(wanted),
        key=_job_key(dataset, wanted, device),
        about={**wanted._asdict(), "device": device},
    )


def search(dataset: Dataset, wanted: Recipe, device: str, trials: int) -> Job:
    """Queue a search of the settings that `wanted` does not fix."""
    return start_on(
        dataset,
        ["tune", wanted.model],
        [*flags(dataset, wanted, device), "--trials", str(trials)],
        title=f"Search {describe(wanted)} · {trials} trials",
        key=f"{_job_key(dataset, wanted, device)} {trials}",
        about={**wanted._asdict(), "device": device, "trials": trials},
    )


def flags(dataset: Dataset, wanted: Recipe, device: str) -> list[str]:
    """Return the arguments of the command line for a recipe, but for the data set."""
    chosen = [part for key, value in wanted.settings.items() for part in ("--set", f"{key}={value}")]
    return ["--positive", str(positive_threshold(dataset)), "--seed", str(wanted.seed), "--device", device, *chosen]


def start_on(
    dataset: Dataset, command: list[str], arguments: list[str], *, title: str, key: str, about: dict[str, Any]
) -> Job:
    """Queue a command that reads a data set: by its name, or for a visitor's own from a copy beside the job."""
    own = dataset is st.session_state.get("uploaded")
    name = f"ratings{st.session_state['uploaded_suffix']}" if own else dataset.name
    return jobs().start(
        [*command, "--dataset", f"{HERE}/{name}" if own else name, *arguments],
        kind=command[0],
        title=title,
        key=key,
        owner=visitor() if own else "",
        about={**about, "data": dataset.name, "fingerprint": dataset.fingerprint},
        files={name: st.session_state["uploaded_bytes"]} if own else None,
    )


def _job_key(dataset: Dataset, wanted: Recipe, device: str) -> str:
    folder = artefact_folder(dataset, wanted.model, **_how(dataset, wanted, device))
    return f"train {folder.name} {device}"


def describe(wanted: Recipe) -> str:
    """Return a title for a run: the model and what is not its preset."""
    said = [f"{key.replace('_', ' ')} {value}" for key, value in wanted.settings.items()]
    said += [f"seed {wanted.seed}"] if wanted.seed else []
    return " · ".join([label(wanted.model), ", ".join(said)] if said else [label(wanted.model)])[:80]


def label(choice: str) -> str:
    """Return a model's name as people write it, or the title of a run, which is theirs to choose."""
    job = None if choice in MODELS else jobs().get(choice)
    if job is not None:
        return job.title
    first, *rest = choice.split("-")
    return "-".join([_NAMES.get(first, first.capitalize()), *(_NAMES.get(word, word) for word in rest)])


def similarity_said(model: Recommender) -> str:
    """Return what a model's similarity is, in plain words."""
    if model.item_vectors() is not None:
        measure = "the cosine between the vectors of two films: 1 is the same direction, 0 is nothing in common"
    else:
        measure = "the weight that the seed film has when the model scores the other one"
    return (
        f"It is {measure}. The bars are drawn against the nearest film. What two films have in common on paper is told "
        "beside it and plays no part in it."
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _title_index(fingerprint: str, _dataset: Dataset) -> TitleIndex:
    items = _dataset.items
    return TitleIndex(
        items["title"].tolist(),
        years=items["year"].to_numpy(np.float64, na_value=np.nan),
        weight=_dataset.ratings.item_counts,
        others=items["other_title"].tolist() if "other_title" in items else None,
    )


def title_index(dataset: Dataset) -> TitleIndex:
    """Return the data set's index of titles."""
    return _title_index(dataset.fingerprint, dataset)


@st.cache_resource(max_entries=4, show_spinner=False)
def _user_index(fingerprint: str, _dataset: Dataset) -> UserIndex:
    known = _dataset.users is not None
    return UserIndex(_dataset.user_ids, [profile(_dataset, u) for u in range(_dataset.n_users)] if known else None)


def user_index(dataset: Dataset) -> UserIndex:
    """Return the data set's index of people."""
    return _user_index(dataset.fingerprint, dataset)


@st.cache_resource(max_entries=8, show_spinner=False)
def _personas(fingerprint: str, positive: float, _dataset: Dataset) -> list[Persona]:
    return find_personas(_dataset, positive)


def personas(dataset: Dataset, positive: float) -> list[Persona]:
    """Return the data set's ready personas."""
    return _personas(dataset.fingerprint, positive, dataset)


def warm_up() -> None:
    """Load the default data set and model; called before anyone has come."""
    jobs()  # what an earlier run of the app left waiting goes on
    dataset = shared_dataset(settings.default_dataset())
    find_model(dataset, DEFAULT_MODEL, settings.default_device())
    title_index(dataset)
