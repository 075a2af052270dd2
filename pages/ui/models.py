"""Data sets and models as the pages get them: loaded once, shared by all sessions, never changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.ui.jobs import Cancelled, Job, Report, Work, jobs
from pages.ui.people import Persona, profile
from pages.ui.people import personas as find_personas
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.models.base import Recommender, abilities
from recengine.models.recency import HistoryModel
from recengine.models.registry import model_class
from recengine.serving.search import TitleIndex, UserIndex
from recengine.serving.store import Trained
from recengine.serving.training import is_stored, obtain
from recengine.training.config import RunConfig
from recengine.training.loop import stage

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
    "slist": "SLIST",
}
"""Words of models' names that are not written as they stand."""
_MODELS_KEPT = 6
_PATIENCE = 1.5
"""Seconds a page waits for a model before it shows progress instead."""


@st.cache_resource(max_entries=3, show_spinner=False)
def shared_dataset(name: str) -> Dataset:
    """Return a registered data set, the same object for every session."""
    return load_dataset(name)


class Shelf:
    """The last few trained models, by data, model, threshold and device."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], Trained] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...]) -> Trained | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, ...], trained: Trained) -> Trained:
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


def _key(dataset: Dataset, name: str, device: str) -> tuple[str, ...]:
    return (dataset.fingerprint, name, f"{positive_threshold(dataset):g}", device)


def _settings(name: str) -> dict[str, str]:
    """Return what the app asks of a model beside its presets: to let recency weigh where it helps on validation.

    Only of models that score a history in closed form: others would need minutes to try.
    """
    kind = model_class(name)
    return {"recency_half_life": "auto"} if issubclass(kind, HistoryModel) and "explain" in abilities(kind) else {}


def recency_said(model: Recommender) -> str:
    """Return how much recent films count, in plain words; nothing where all count the same."""
    if not isinstance(model, HistoryModel) or not model.config.weighs:
        return ""
    half_life = model.config.recency_half_life
    return f"The latest films that a person liked count most, with a half-life of {half_life:g}: validation chose so."


def known_model(dataset: Dataset, name: str, device: str) -> Trained | None:
    """Return the model if it is in memory or in the store; nothing is trained."""
    key = _key(dataset, name, device)
    kept = shelf().get(key)
    run, positive = RunConfig(device=device), positive_threshold(dataset)  # type: ignore[arg-type]  # it checks
    if kept or not is_stored(dataset, name, settings=_settings(name), run=run, positive=positive):
        return kept
    return shelf().put(key, obtain(dataset, name, settings=_settings(name), run=run, positive=positive))


def find_model(dataset: Dataset, name: str, device: str) -> Trained | Job:
    """Return the trained model, or the job that is training it.

    Raises BadInput for an unknown name or data that the model cannot learn from, and what else stopped the training.
    """
    known = known_model(dataset, name, device)
    if known:
        return known
    key = job_key(dataset, name, device)
    last = jobs().get(key)
    if last is None or last.running or isinstance(last.error, Cancelled):
        last = jobs().start(key, f"Training {label(name)} on {dataset.name}", _training(dataset, name, device))
    if not last.wait(_PATIENCE):
        return last
    jobs().drop(key)
    if last.error is not None:
        raise last.error
    return last.result


def job_key(dataset: Dataset, name: str, device: str) -> str:
    """Return the key of the job that trains the model."""
    return " ".join(("train", *_key(dataset, name, device)))


def _training(dataset: Dataset, name: str, device: str) -> Work:
    run, positive = RunConfig(device=device), positive_threshold(dataset)  # type: ignore[arg-type]  # it checks

    def work(report: Report) -> Trained:
        def on_epoch(row: Mapping[str, float]) -> None:
            epochs = max(row.get("epochs", 1.0), 1.0)
            share = 0.0 if row.get("pretraining") else row["epoch"] / epochs
            # choosing the epoch is most of the work; the refit afterwards is the last tenth of the bar
            share = 0.9 + 0.1 * share if row.get("refit") else 0.9 * share
            epoch = f"epoch {row['epoch']:.0f} of at most {epochs:.0f}, loss {row['loss']:.3f}"
            report(share, ", ".join(filter(None, (stage(row), epoch))))

        report(0.0, "reading the ratings")
        trained = obtain(dataset, name, settings=_settings(name), run=run, positive=positive, on_epoch=on_epoch)
        return shelf().put(_key(dataset, name, device), trained)

    return work


def label(name: str) -> str:
    """Return a model's name as people write it."""
    first, *rest = name.split("-")
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
    dataset = shared_dataset(settings.default_dataset())
    find_model(dataset, DEFAULT_MODEL, settings.default_device())
    title_index(dataset)
