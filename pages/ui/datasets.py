"""Data sets as the pages load them: registered ones, the one that the app starts with, and a visitor's uploads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.hosting import uploads
from pages.hosting.limits import hosted, unpacked_limit
from pages.hosting.visitor import visitor_id
from pages.ui.address import recall, record
from pages.ui.words import words_of
from recengine.cli.arguments import reading_flags
from recengine.data.dataset import Dataset
from recengine.data.reading import Reading
from recengine.data.sources import SOURCES, load_dataset, load_upload
from recengine.errors import BadInput
from recengine.experiments.store import ArtefactStore
from recengine.export import counted


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from, so that a job or a command loads the same.

    name  : what the sidebar and the address call it; path : what the command line does
    owner : the visitor whose upload it is, or ""
    """

    name: str
    path: str
    reading: Reading = field(default_factory=Reading)
    owner: str = ""

    def arguments(self) -> list[str]:
        """Return the arguments with which a command of this machine loads it."""
        return ["--dataset", self.path, *(reading_flags(self.reading) if self.owner else ())]

    def shown_arguments(self) -> list[str]:
        """Return the arguments to show: an upload of a hosted app is a file that its visitor has, not the server's."""
        path = Path(self.path).name if self.owner and hosted() else self.path
        return ["--dataset", path, *self.arguments()[2:]]


_ORIGINS: WeakKeyDictionary[Dataset, Origin] = WeakKeyDictionary()


def origin_of(dataset: Dataset) -> Origin:
    """Return where a data set that a page shows comes from."""
    return _ORIGINS.get(dataset) or Origin(dataset.name, dataset.name)


@st.cache_resource(max_entries=3, show_spinner=False)
def shared_dataset(name: str) -> Dataset:
    """Return a data set by its registered name or its path, the same object for every session."""
    dataset = load_dataset(name)
    here = name not in SOURCES and Path(name).expanduser().exists()
    _ORIGINS[dataset] = Origin(name, str(Path(name).expanduser().resolve()) if here else name)
    return dataset


@st.cache_resource(max_entries=3, show_spinner=False)
def _uploaded(path: str, texts: Mapping[str, str], _upload: uploads.Upload, _owner: str) -> Dataset:
    content, name = _upload.path.read_bytes(), _upload.path.name
    return adopt(load_upload(name, content, reading=_upload.reading, unpacked_limit=unpacked_limit()), _upload, _owner)


def adopt(dataset: Dataset, upload: uploads.Upload, owner: str) -> Dataset:
    """Note that a data set is what a visitor's upload was read as."""
    _ORIGINS[dataset] = Origin(upload.id, str(upload.path), upload.reading, owner)
    return dataset


def is_upload(name: str) -> bool:
    """Tell whether a choice of the sidebar is a visitor's upload."""
    return name.startswith(uploads.PREFIX)


def my_uploads() -> dict[str, str]:
    """Return the file's name of each upload of this visitor, by id, the latest first."""
    return {upload.id: upload.label for upload in uploads.all_of(visitor_id())}


def label(name: str) -> str:
    """Return what the app calls a choice of the sidebar: the file's name of an upload, the folder's of a path."""
    if is_upload(name):
        upload = uploads.find(visitor_id(), name)
        return upload.label if upload else "your data"
    return name if name in SOURCES else Path(name).name or name


def load(name: str) -> Dataset:
    """Return the data set of a choice in the sidebar. Raises BadInput where it cannot be loaded."""
    if not is_upload(name):
        return shared_dataset(name)
    upload = uploads.find(visitor_id(), name)
    if upload is None:
        raise BadInput("upload", problem="is no longer here", remedy="upload the file again on the page Data")
    return _uploaded(str(upload.path), upload.reading.texts(), upload, visitor_id())


def liked_from(dataset: Dataset) -> float:
    """Return the rating from which an item counts as liked: the visitor's choice, else the data set's default."""
    if get_script_run_ctx() is None:  # before the first visitor
        return dataset.like_threshold
    recall("liked", "", lambda text: text if _threshold(text, dataset) is not None else None, of_dataset=True)
    chosen = _threshold(st.session_state["liked"], dataset)
    return dataset.like_threshold if chosen is None else chosen


def set_liked(positive: float) -> None:
    """Choose the rating from which an item counts as liked. For callbacks."""
    st.session_state["liked"] = f"{positive:.6g}"
    record("liked", "")


def forget(name: str) -> None:
    """Delete an upload of this visitor. For callbacks."""
    uploads.forget(visitor_id(), name)


def erase() -> None:
    """Delete all uploads of this visitor, with the models that learned from them. For callbacks."""
    for id in uploads.erase(visitor_id()):
        ArtefactStore().remove_models_of(id.removeprefix(uploads.PREFIX))
    _uploaded.clear()


def _threshold(text: str, dataset: Dataset) -> float | None:
    """Return the number that a text of the address stands for, if the page lets one choose it."""
    low, high = limits(dataset)
    try:
        value = float(text)
    except ValueError:
        return None
    return value if low <= value <= high else None


def limits(dataset: Dataset) -> tuple[float, float]:
    """Return the least and the largest number from which an item may count as liked."""
    low, high = dataset.rating_range
    return min(0.0, low), max(high, 0.0)


def liked_text(dataset: Dataset, positive: float) -> str:
    """Return how many ratings count as liked, in a sentence."""
    r = dataset.ratings
    liked = r.rating >= positive if positive else r.rating == r.rating
    count, users = int(liked.sum()), len(set(r.user_idx[liked].tolist()))
    share = count / max(len(r), 1)
    words = words_of(dataset)
    of = f"{count:,} of {counted(len(r), words.ratings)} ({share:.0%})"
    return f"{of} count as liked, by {users:,} of {counted(dataset.n_users, words.viewers)}."
