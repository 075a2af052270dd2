"""How the pages describe jobs."""

import pytest

from pages.ui.jobs import duration, reason
from recengine.jobs.job import Job, JobKind
from tests.app.conftest import Open, Worker, press


def job(**more: object) -> Job:
    return Job(id="a", kind=JobKind.TRAIN, title="t", command=(), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (61, "61 s"), (119, "119 s"), (150, "2.5 min"), (9000, "2.5 h")],
)
def test_times_have_as_many_digits_as_they_deserve(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_reason_for_a_failure_is_its_error_or_else_the_last_line() -> None:
    bad = job(last_line="epoch 3 of 9", error="epochs=0 is out of range; expected at least 1", returncode=2)
    assert reason(bad) == "epochs=0 is out of range; expected at least 1"
    assert reason(job(last_line="epoch 3 of 9")) == "its process ended; its last message was “epoch 3 of 9”"
    assert reason(job(last_line="training mf")) == "its process ended; its last message was “training MF”"
    assert reason(job()) == "its process ended without a message"


def test_a_hosted_app_tells_a_visitor_who_asks_for_too_much(
    open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECENGINE_HOSTED", "1")
    app = open_app("train.py")
    for epochs in (1, 2, 3):
        app.number_input(key="mf.epochs").set_value(epochs).run()
        press(app, "Train")
    assert any("more than 2 trainings and comparisons at once" in toast.value for toast in app.toast)
    assert len(worker.jobs.all()) == 2
