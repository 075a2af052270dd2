"""Fetching a data set and training a model from the page: progress, cancelling, failing. The far end is replaced."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import models
from pages.ui.jobs import jobs
from recengine.data import sources
from recengine.errors import BadInput
from tests.app.conftest import Open, cards, markup, settle


@pytest.fixture(autouse=True)
def no_old_jobs() -> Iterator[None]:
    yield
    jobs().drop("fetch ml-20m")


def press(app: AppTest, label: str, place: int = 0) -> None:
    [button for button in app.button if button.label == label][place].click()
    app.run()


def fetch(app: AppTest, name: str = "ml-20m") -> None:
    app.button(key=f"fetch_{name}").click()
    app.run()
    assert not app.exception


def test_offline_is_one_sentence_with_the_remedy(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, on_progress: object) -> None:
        raise BadInput("ml-20m cannot be fetched: no address answers; set RECENGINE_MIRROR")

    monkeypatch.setattr(sources, "fetch", offline)
    app = open_app("data.py")
    fetch(app)
    time.sleep(0.1)
    app.run()
    assert "no address answers" in app.error[0].value


def test_progress_is_shown_and_cancelling_ends_it(open_app: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(name: str, on_progress: Callable[[int, int], None]) -> None:
        for done in range(10_000):
            on_progress(done * 10_000, 100_000_000)
            time.sleep(0.002)

    monkeypatch.setattr(sources, "fetch", slow)
    app = open_app("data.py")
    app.button(key="fetch_ml-20m").click()
    app.run()
    assert "of 100.0 MB" in app.get("progress")[0].proto.text
    press(app, "Cancel")
    job = jobs().get("fetch ml-20m")
    assert job is not None
    assert job.wait(2)
    app.run()
    assert any("was cancelled" in info.value for info in app.info)


def test_a_data_set_that_has_come_says_so(open_app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "fetch", lambda name, on_progress: tmp_path)
    app = open_app("data.py")
    fetch(app)
    time.sleep(0.1)
    app.run()
    assert any("is here" in success.value for success in app.success)


def test_a_long_training_shows_progress_then_can_be_cancelled_and_asked_for_again(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, real = threading.Event(), models.obtain

    def slow(dataset, name, *, on_epoch=None, **settings):  # type: ignore[no-untyped-def]
        for epoch in range(1, 2_000):
            if on_epoch is None or gate.is_set():
                break
            on_epoch({"epoch": float(epoch), "epochs": 2_000.0, "loss": 0.5})
            time.sleep(0.005)
        return real(dataset, name, **settings)

    monkeypatch.setattr(models, "obtain", slow)
    monkeypatch.setattr(models, "_PATIENCE", 0.1)
    app = AppTest.from_file("../../pages/main.py", default_timeout=60)
    app.query_params["model"] = "random"
    app.run()
    assert "epoch" in app.get("progress")[0].proto.text
    assert "training now" in markup(app)
    press(app, "Cancel")
    assert "Training was cancelled" in markup(app)
    gate.set()
    press(app, "Train it")
    settle(app)
    assert len(cards(app, "top")) == 10


def test_a_training_that_fails_says_why_once_and_is_tried_again(
    open_app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BadInput("the data is too small for this model; bring more")

    with monkeypatch.context() as patch:
        patch.setattr(models, "obtain", broken)
        patch.setattr(models, "known_model", lambda *_: None)
        app = settle(AppTest.from_file("../../pages/main.py", default_timeout=60))
        assert "too small" in app.error[0].value
    settle(app)
    assert not app.error
    assert cards(app, "top")
