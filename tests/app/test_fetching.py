"""Fetching a data set and training a model from the pages: progress, cancelling, failure, and asking again."""

import json
import os
import shutil
import signal

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import caches
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from tests.app.conftest import ROOT, Open, Worker, cards, epoch, markup, press

MODEL = "contextual"


def fetch(app: AppTest, name: str = "ml-20m") -> None:
    app.button(key=f"fetch_{name}").click()
    app.run()
    assert not app.exception


def test_offline_is_one_sentence_with_the_remedy_and_a_button(open_app: Open, worker: Worker) -> None:
    app = open_app("data.py")
    error = {"event": "error", "text": "ml-20m could not be fetched (no address answers); set RECENGINE_MIRROR"}
    worker.does(last=json.dumps(error) + "\n", code=2)
    fetch(app)
    worker.ends()
    app.run()
    assert "no address answers" in app.error[0].value
    assert "recengine" not in app.error[0].value
    worker.does(result={"dataset": "ml-20m"})
    press(app, "Try again")
    worker.ends()
    app.run()
    assert any("is ready to use" in success.value for success in app.success)
    assert [job.command[:3] for job in worker.jobs.all()] == [("datasets", "fetch", "ml-20m")] * 2


def test_a_fetch_shows_in_every_session_and_is_cancelled(open_app: Open, worker: Worker) -> None:
    app, other = open_app("data.py"), open_app("data.py")
    worker.does({"event": "bytes", "what": "ml-20m", "done": 25_000_000, "total": 100_000_000})
    fetch(app)
    job = worker.after(1)
    for session in (app, other):
        session.run()
        assert "25.0 of 100.0 MB" in session.get("progress")[0].proto.text.replace("\\", "")
    press(app, "Cancel")  # the worker would wait for ever
    assert worker.jobs.get(job.id).state == "cancelled"  # type: ignore[union-attr]
    app.run()
    other.run()
    assert any("was cancelled" in info.value for info in app.info)
    assert not other.info  # shown only where it was asked for


@pytest.fixture
def slow_model(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Return a session whose model is being trained by a process, which has reported its third epoch."""
    app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
    app.run()
    monkeypatch.setattr(caches, "QUICK_ITEMS", 0)
    shutil.rmtree(TrainingRequest(load_dataset("sample"), MODEL).folder, ignore_errors=True)
    worker.does({"event": "step", "text": "training"}, epoch(0), epoch(3))
    app.switch_page("viewers.py")
    app.query_params["model"] = MODEL
    app.run()
    worker.after(3)
    app.run()
    assert not app.exception
    return app


def test_a_long_training_shows_progress_then_can_be_cancelled_and_asked_for_again(
    slow_model: AppTest, worker: Worker
) -> None:
    app = slow_model
    assert app.get("progress")[0].proto.text.startswith("Training Contextual · epoch 3 of at most 60")
    assert "training now" in markup(app)
    assert worker.jobs.all()[0].command[:4] == ("train", MODEL, "--dataset", "sample")
    press(app, "Cancel")
    app.run()
    assert "was cancelled" in app.info[0].value
    assert [job.state for job in worker.jobs.all()] == ["cancelled"]  # and it does not start again by itself
    worker.does({"event": "step", "text": "training"}, result={})
    press(app, "Train it")
    assert app.get("progress")[0].proto.text in ("Contextual · starting", "Training Contextual")
    obtain(TrainingRequest(load_dataset("sample"), MODEL))  # what the process would have done
    worker.ends()
    app.run()
    assert len(cards(app, "top")) == 10


def test_a_training_that_dies_is_reported_and_does_not_start_again_by_itself(
    slow_model: AppTest, worker: Worker
) -> None:
    os.kill(worker.jobs.all()[0].pid or 0, signal.SIGKILL)
    worker.ends()
    for _ in range(2):
        slow_model.run()
        assert "its last message was “epoch 3 of at most 60”" in slow_model.error[0].value
        assert "not trained" in markup(slow_model)
    assert len(worker.jobs.all()) == 1


def test_a_quick_model_is_trained_without_a_process(open_app: Open, worker: Worker) -> None:
    app = open_app(model="item-knn")
    assert len(cards(app, "top")) == 10
    assert worker.jobs.all() == []
