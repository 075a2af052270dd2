"""What can be taken along: a trained model, its vectors, the command that makes it again, a data set.

A file is made when it is asked for and held until the next one is; only then is there something to download.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import streamlit as st

from pages.ui import messages
from pages.ui.training_form import training_form
from pages.ui.words import words_of
from recengine.data.dataset import Dataset
from recengine.data.readers.movielens import KEPT
from recengine.data.writing import dataset_zip
from recengine.errors import BadInput
from recengine.experiments.model_folder import save_folder
from recengine.experiments.store import ArtefactStore, Trained
from recengine.experiments.train import TrainingReport
from recengine.files import zip_of
from recengine.jobs.job import Job
from recengine.models.registry import MODELS
from recengine.serving.vectors import check_vectors, vectors_of, write_vectors
from recengine.settings import hosted

MADE = "made file"


class Made(NamedTuple):
    """A file that was made: of what, and its content."""

    of: tuple[str, str]
    content: bytes


class Choice(NamedTuple):
    """A file that can be made: its name, what is in it, and what makes it."""

    file: str
    text: str
    make: Callable[[], bytes]


def draw_model(job: Job, report: TrainingReport, dataset: Dataset, again: messages.Action) -> None:
    """Draw what can be taken along of a finished training; `again` offers to train once more what is gone."""
    name, folder = job.task.model, report.folder
    served = "A folder with ids and titles, from which RecEngine serves the model anywhere."
    choices: dict[str, Choice] = {}
    if _may_be_handed_on(dataset):
        choices["Model"] = Choice(f"{name}-model.zip", served, partial(model_zip, folder, dataset))
    with suppress(BadInput):
        check_vectors(MODELS[name])
        arrays = "NumPy arrays with raw ids: of items, and of users where a product of two is the score."
        choices["Vectors"] = Choice(f"{name}-vectors.npz", arrays, partial(vectors_file, folder, dataset, "npz"))
        tables = "Two tables for [Embedding Projector](https://projector.tensorflow.org)."
        make = partial(vectors_file, folder, dataset, "projector")
        choices["Projector"] = Choice(f"{name}-projector.zip", tables, make)
    with st.expander("Export", icon=":material/ios_share:"):
        if choices:
            _files(job.id, choices, again)
        st.caption("The same model on the command line:")
        st.code(training_form(dataset, name).command_line(job.task), language="bash", wrap_lines=True)


def draw_dataset(dataset: Dataset) -> None:
    """Draw what can be taken along of a data set, if its terms allow that."""
    if not _may_be_handed_on(dataset):
        return
    words = words_of(dataset)
    what = f"All {words.ratings}, {words.items} and {words.viewers}"
    texts = {"csv": f"{what}, in files that can be uploaded here again.", "parquet": f"{what}, typed, for pandas."}
    labels = {"csv": "CSV", "parquet": "Parquet"}
    choices = {
        labels[kind]: Choice(f"data-{kind}.zip", text, partial(dataset_zip, dataset, kind))
        for kind, text in texts.items()
    }
    with st.expander("Export this data set", icon=":material/ios_share:"):
        _files(dataset.fingerprint, choices, messages.start_again_link)


def _may_be_handed_on(dataset: Dataset) -> bool:
    """Tell whether visitors may have the ratings: not those of a hosted app that must not be redistributed."""
    return not (hosted() and dataset.licence == KEPT)


@st.fragment
def _files(of: str, choices: Mapping[str, Choice], way_on: messages.Action) -> None:
    """Draw a choice of files, the button that makes one, and when it is made, the one that downloads it."""
    chosen, *others = choices
    if others:
        chosen = st.segmented_control(
            "File", list(choices), default=chosen, required=True, key=f"export {of}", label_visibility="collapsed"
        )
    choice = choices[chosen]
    st.caption(choice.text)
    slot = st.empty()
    made: Made | None = st.session_state.get(MADE)
    if (made is None or made.of != (of, chosen)) and slot.button(
        "Make the file", icon=":material/inventory_2:", key=f"make {of}"
    ):
        with messages.catch_bad_input(way_on), slot, st.spinner("Packing"):
            made = st.session_state[MADE] = Made((of, chosen), choice.make())
    if made is not None and made.of == (of, chosen):
        slot.download_button(
            f"Download {choice.file} · {_size(len(made.content))}",
            made.content,
            choice.file,
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key=f"download {of}",
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.0f} KB"


def model_zip(folder: Path, dataset: Dataset) -> bytes:
    """Return a model folder as a zip. Raises BadInput where the model is no longer stored."""
    trained = _stored(folder)
    positive = trained.manifest.origin.split.get("positive")
    with TemporaryDirectory() as scratch:
        target = Path(scratch) / "model"
        like = float(positive) if isinstance(positive, int | float) else dataset.like_threshold
        save_folder(target, trained, dataset, positive=like)
        return zip_of(target)


def vectors_file(folder: Path, dataset: Dataset, kind: str) -> bytes:
    """Return vectors as one file: an npz, or a zip of a folder. Raises BadInput for a model that has none."""
    vectors = vectors_of(_stored(folder).model, dataset)
    with TemporaryDirectory() as scratch:
        target = Path(scratch) / ("vectors.npz" if kind == "npz" else "vectors")
        write_vectors(vectors, dataset, kind, target)
        return target.read_bytes() if kind == "npz" else zip_of(target)


def _stored(folder: Path) -> Trained:
    trained = ArtefactStore().find(folder)
    if trained is None:
        raise BadInput("model", remedy="train it again", problem="is no longer stored")
    return trained
