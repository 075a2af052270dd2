"""What the app hands out: made when it is asked for, a model folder that opens, a command that makes the same model."""

from __future__ import annotations

import io
import shlex
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pages.ui import exports, sidebar
from recengine.data.readers.movielens import KEPT
from recengine.data.sources import load_dataset, load_upload
from recengine.experiments.model_folder import open_folder
from recengine.experiments.store import ArtefactStore
from recengine.experiments.train import TrainingReport, TrainingRequest, obtain
from recengine.jobs.job import Job, JobKind, Task
from tests.app.conftest import Open, Worker, markup, press
from tests.app.test_train import run_of_ease

__all__ = ["run_of_ease"]


def downloads(app: AppTest) -> list[str]:
    return [button.proto.label for button in app.get("download_button")]


def test_a_trained_model_is_packed_when_asked_for_and_serves_elsewhere(
    open_app: Open, run_of_ease: Job, worker: Worker, tmp_path: Path
) -> None:
    app = open_app("train.py")
    assert exports.MADE not in app.session_state
    assert downloads(app) == []
    press(app, "Make the file")
    made = app.session_state[exports.MADE]
    assert downloads(app) == [f"Download ease-model.zip · {len(made.content) / 1e6:,.1f} MB"]
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(tmp_path / "model")
    opened = open_folder(tmp_path / "model")
    result = worker.jobs.result(run_of_ease.id, TrainingReport.from_dict)
    assert result is not None
    stored = ArtefactStore().find(result.folder)
    assert stored is not None
    assert torch.equal(opened.model.score([0, 7]), stored.model.score([0, 7]))
    assert opened.positive == 4.0
    words = shlex.split(app.code[-1].value)
    assert words[3:7] == ["train", "ease", "--dataset", "sample"]
    assert "l2=50.0" in words


def test_vectors_are_offered_where_there_are_some(open_app: Open, worker: Worker) -> None:
    sample = load_dataset("sample")
    settings = {"embedding_dim": "8", "epochs": "1"}
    stored = obtain(TrainingRequest(sample, "ials", settings=dict(settings)))
    worker.does(result=TrainingReport.of(stored, sample).to_dict())
    task = Task(("ials",), settings, data="sample", fingerprint=sample.fingerprint)
    worker.jobs.start(["train", "ials"], kind=JobKind.TRAIN, title="iALS", key="k", task=task)
    worker.ends()
    app = open_app("train.py")
    (control,) = [group for group in app.get("button_group") if (group.key or "").startswith("export ")]
    assert control.options == ["Model", "Vectors", "Projector"]
    control.set_value("Vectors").run()
    press(app, "Make the file")
    with np.load(io.BytesIO(app.session_state[exports.MADE].content)) as read:
        products = read["user_vectors"] @ read["item_vectors"].T
    np.testing.assert_allclose(products, stored.model.score(range(2000)), atol=1e-5)


def test_a_model_that_is_no_longer_stored_is_a_sentence(open_app: Open, run_of_ease: Job, worker: Worker) -> None:
    result = worker.jobs.result(run_of_ease.id, TrainingReport.from_dict)
    assert result is not None
    app = open_app("train.py")
    shutil.rmtree(result.folder)
    press(app, "Make the file")
    assert [error.value for error in app.error] == [r"Model is no longer stored; train it again\."]
    assert downloads(app) == []
    assert "Run it again" in [button.label for button in app.button]


def test_the_data_set_in_use_is_packed_and_can_be_uploaded_again(open_app: Open) -> None:
    app = open_app("data.py")
    press(app, "Make the file")
    sample = load_dataset("sample")
    again = load_upload("data.zip", app.session_state[exports.MADE].content)
    assert (again.ratings.rating == sample.ratings.rating).all()
    assert [label for label in downloads(app) if label.startswith("Download data-csv.zip · ")]


def test_a_hosted_app_keeps_what_must_not_be_redistributed(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "hosted", lambda: True)
    kept = replace(load_dataset("sample"), licence=KEPT)
    monkeypatch.setattr(sidebar, "dataset", lambda: kept)
    app = open_app("data.py")
    assert "not to be redistributed" in markup(app)
    assert not [button for button in app.button if button.label == "Make the file"]
