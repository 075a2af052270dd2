"""Data sets and models as the pages get them: loaded once, shared by all sessions, never changed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import streamlit as st

from pages.ui.datasets import shared_dataset
from pages.ui.jobs import jobs
from pages.ui.recipes import asked, request, task_of
from pages.ui.training_form import training_form
from pages.ui.words import Words
from recengine import settings
from recengine.data.dataset import Dataset
from recengine.experiments.store import ArtefactStore, Trained
from recengine.experiments.train import TrainingRequest, obtain
from recengine.jobs.job import Job, JobState, Task
from recengine.jobs.process import environment, lower_priority
from recengine.models.abilities import BlendsLikeness
from recengine.models.base import Recommender
from recengine.models.compiled import COMPLETE, kernel_folder
from recengine.models.recency import RecencyOptions
from recengine.models.registry import DEFAULT, model_class
from recengine.serving.promotion import served_folder
from recengine.serving.search import TitleSearch, UserIndex
from recengine.serving.viewers import Persona, profile
from recengine.serving.viewers import personas as find_personas
from recengine.testing import Finding, check

DEFAULT_MODEL = DEFAULT
_MODELS_KEPT = 6
QUICK_ITEMS, QUICK_ROWS = 2_000, 200_000
"""Up to this many items and ratings a closed form takes a few seconds, recency chosen among them."""


class Shelf:
    """The last few trained models, by their folder in the store and when it was written."""

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


@st.cache_data(max_entries=32, show_spinner="Checking the model against the contract …")
def findings(name: str, version: int, fingerprint: str, _dataset: Dataset) -> list[Finding]:
    """Return the findings of the contract's checks of a custom model on this data."""
    return check(model_class(name), _dataset)


def recency_text(model: Recommender, task: Task, an_item: str) -> str:
    """Return how much recent likes count, in plain words; "" where all count the same. `an_item` is a noun."""
    if not isinstance(model.config, RecencyOptions) or not model.config.weighs:
        return ""
    half_life = model.config.recency_half_life
    chosen = " (chosen on validation)" if asked(task).get("recency_half_life") == "auto" else ""
    likes = "one like" if half_life == 1 else f"{half_life:g} likes"
    return f"Recent likes count more: {likes} later, {an_item} counts half{chosen}."


def known_model(dataset: Dataset, choice: str, device: str) -> Trained | None:
    """Return the model, or the snapshot promoted in its place, if it is in memory or stored; nothing is trained."""
    return _known(request(dataset, task_of(choice, device)))


def _known(training: TrainingRequest) -> Trained | None:
    folder = served_folder(training.folder)
    key = _written(folder)
    trained = key and (shelf().get(key) or ArtefactStore().find(folder))
    return shelf().put(key, trained) if key and trained else None


def _written(folder: Path) -> tuple[str, int] | None:
    """Return the folder and when it was last written, or None where nothing is."""
    try:
        return str(folder), (folder / "manifest.json").stat().st_mtime_ns
    except OSError:
        return None


def find_model(dataset: Dataset, choice: str, device: str) -> Trained | Job:
    """Return the trained model, or the job that is training it, or the last one if that failed or was cancelled.

    A model that takes a moment is trained at once, in this process: a separate process would take as long to start.
    Raises BadInput for an unknown name, and for data that a quick model cannot learn from.
    """
    wanted = task_of(choice, device)
    training = request(dataset, wanted)
    known = _known(training)
    if known:
        return known
    if is_quick(dataset, wanted.model):
        trained = obtain(training)
        return_memory()
        key = _written(trained.folder)
        return shelf().put(key, trained) if key else trained
    form = training_form(dataset, wanted.model)
    last = form.find(wanted)
    if last is None or last.state is JobState.DONE:  # it may have ended just now, or the store has made room since
        return _known(training) or form.start(wanted)
    return last


def is_quick(dataset: Dataset, name: str) -> bool:
    """Tell whether a training takes a few seconds: a closed form over few items."""
    kind = model_class(name)
    closed = kind.preset_epochs is None and not kind.is_slow
    return closed and dataset.n_items <= QUICK_ITEMS and len(dataset.ratings) <= QUICK_ROWS


def similarity_text(model: Recommender, words: Words) -> str:
    """Return what a model's similarity measures, in plain words."""
    if isinstance(model, BlendsLikeness):
        return words.say(
            "By the viewers who rated and liked both films, as far as enough of them rated this one, and by what both "
            "are: genres, keywords, director, series and year. 1 is the same, 0 is unrelated; bars and words mean the "
            "same for every film."
        )
    if model.item_vectors() is not None:
        measure = "The angle between the two films' vectors, as a cosine: 1 is the same direction, 0 is unrelated"
    else:
        measure = "How much liking this film raises the other one's score"
    return words.say(
        f"{measure}. Bars and words are relative to the most similar film. "
        "What two films share (director, keywords, genres) plays no part in it."
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _title_search(fingerprint: str, _dataset: Dataset) -> TitleSearch:
    return TitleSearch.of(_dataset)


def title_search(dataset: Dataset) -> TitleSearch:
    """Return the search over the data set's titles."""
    return _title_search(dataset.fingerprint, dataset)


@st.cache_resource(max_entries=4, show_spinner=False)
def _user_index(fingerprint: str, _dataset: Dataset) -> UserIndex:
    known = _dataset.users is not None
    return UserIndex(_dataset.user_ids, [profile(_dataset, u) for u in range(_dataset.n_users)] if known else None)


def user_index(dataset: Dataset) -> UserIndex:
    """Return the search over the data set's viewers."""
    return _user_index(dataset.fingerprint, dataset)


@st.cache_resource(max_entries=8, show_spinner=False)
def _personas(fingerprint: str, positive: float, _dataset: Dataset) -> list[Persona]:
    return find_personas(_dataset, positive)


def personas(dataset: Dataset, positive: float) -> list[Persona]:
    """Return the data set's ready personas."""
    return _personas(dataset.fingerprint, positive, dataset)


def warm_up() -> None:
    """Load the default data set and model, and compile what others need; called before the first visit."""
    jobs()  # what an earlier run of the app left waiting goes on
    dataset = shared_dataset(settings.default_dataset())
    find_model(dataset, DEFAULT_MODEL, settings.default_device())
    title_search(dataset)
    return_memory()
    compile_loops()


def return_memory() -> None:
    """Return to the system what a training has freed: on the sample 100 MB of 600, which glibc would keep."""
    with suppress(OSError, AttributeError):  # another system, another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def compile_loops() -> subprocess.Popen[bytes] | None:
    """Start a process that compiles what sessions and some models need, unless it is on disk already.

    It takes 15 seconds once per installation. Compiled here, it would hold 200 MB of the app for good, whether or not
    any visitor chooses those models.
    """
    folder = kernel_folder()
    if not folder or (Path(folder) / COMPLETE).exists():
        return None
    program = "from recengine.serving.sessions import compile_loops; compile_loops()"
    child = subprocess.Popen(
        [sys.executable, "-c", program], env=environment(), stdin=subprocess.DEVNULL, start_new_session=True
    )
    lower_priority(child.pid)
    threading.Thread(target=child.wait, daemon=True).start()
    return child
