"""The app without a browser: `pages/main.py` in AppTest, and readers of what it shows."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui import jobs as ui_jobs
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.jobs.job import Job
from recengine.jobs.jobs import Jobs
from recengine.models.registry import DEFAULT

ROOT = Path(__file__).resolve().parents[2]
Open = Callable[..., AppTest]


@pytest.fixture(scope="session")
def default_model(recengine_home: Path) -> Path:
    """Return the folder of the default model, trained once."""
    return obtain(TrainingRequest(load_dataset("sample"), DEFAULT)).folder


@pytest.fixture
def warm_home(fresh_home: Path, default_model: Path) -> Path:
    """Give one test a separate home with nothing but the default model, which every first page would train."""
    shutil.copytree(default_model, fresh_home / "models" / default_model.name)
    return fresh_home


@pytest.fixture
def open_app() -> Open:
    """Return a function that opens a page file in a new session, with these query parameters."""

    def start(page: str = "viewers.py", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
        for name, value in params.items():
            app.query_params[name] = value
        if page != "home.py":
            app.run()
            app.switch_page(page)
            for name, value in params.items():
                app.query_params[name] = value
        return settle(app)

    return start


class Worker:
    """Stands in for `python -m recengine` in jobs: a real process that writes lines, waits, and writes a result."""

    def __init__(self, folder: Path) -> None:
        self.gate = folder / "gate"
        self._script = folder / "worker.py"
        self.does()
        self.jobs = Jobs(folder / "jobs", (sys.executable, "-S", str(self._script)))

    def does(self, *lines: dict[str, Any], last: str = "", result: dict[str, Any] | None = None, code: int = 0) -> None:
        """Set what the next process writes before the gate opens, and what it writes afterwards."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self._script.write_text(
            f"import sys, time, pathlib\nsys.stderr.write({text!r}); sys.stderr.flush()\n"
            f"while not pathlib.Path({str(self.gate)!r}).exists(): time.sleep(0.01)\n"
            f"sys.stderr.write({last!r}); print({json.dumps(result or {})!r}); sys.exit({code})\n"
        )
        self.gate.unlink(missing_ok=True)

    def ends(self) -> None:
        """Open the gate and wait until no job is running."""
        self.gate.touch()
        for _ in range(2_000):
            if not any(job.active for job in self.jobs.all()):
                return
            time.sleep(0.01)
        raise TimeoutError("the job did not end")

    def after(self, lines: int) -> Job:
        """Wait until the latest job has written that many lines, and return it."""
        for _ in range(2_000):
            job = self.jobs.all()[0]
            if len(self.jobs.events(job.id)) >= lines and job.state != "queued":
                return job
            time.sleep(0.01)
        raise TimeoutError("the job did not start")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Let the jobs of the app run the worker, in a separate folder."""
    made = Worker(tmp_path)
    monkeypatch.setattr(ui_jobs, "_jobs", lambda root: made.jobs)
    yield made
    for job in made.jobs.all():
        made.jobs.cancel(job.id)


def epoch(number: int, *, epochs: int = 60, **more: float) -> dict[str, Any]:
    """Return the progress line of one epoch."""
    return {
        "event": "epoch",
        "model": "mf",
        "epoch": float(number),
        "epochs": float(epochs),
        "loss": 4.0 / (number + 1),
        "valid_ndcg@10": 0.01 * number,
        "valid_hr@10": 0.02 * number,
        "seconds": 0.5 * number,
        "examples_per_second": 118_000.0,
        "memory_mb": 512.0,
        **more,
    }


def press(app: AppTest, label: str, index: int = 0) -> None:
    """Press the button with this label; `index` tells several of them apart."""
    [button for button in app.button if button.label == label][index].click()
    app.run()
    assert not app.exception, app.exception


def settle(app: AppTest) -> AppTest:
    """Run, and again while a model trains; the page must show something and no error."""
    app.run()
    for _ in range(100):
        if not app.get("progress") or any(button.label == "Resume" for button in app.button):  # a paused job stays
            break
        time.sleep(0.2)
        app.run()
    assert not app.exception, app.exception
    assert app.html, "the page is empty"
    return app


def markup(app: AppTest) -> str:
    """Return all HTML on the page, without the style sheet."""
    return "\n".join(str(element.value) for element in app.html if "<style" not in str(element.value))


def cards(app: AppTest, kind: str) -> list[str]:
    """Return the HTML of the cards `film-<kind>-<number>` in page order."""
    boxes = [box for box in app.get("container") if re.fullmatch(rf"film-{kind}-\d+", box.key or "")]
    return ["".join(str(element.value) for element in box.html) for box in boxes]


def text_of(card: str, kind: str) -> str:
    """Return the text of one part of a card (name, meta, note, rank, badge), or ""."""
    match = re.search(rf'<(\w+) class="{kind}"[^>]*>(.*?)</\1>', card)
    return html.unescape(re.sub(r"<[^>]*>", "", match[2])) if match else ""


def names(app: AppTest, kind: str) -> list[str]:
    """Return the titles of the cards of a kind."""
    return [text_of(card, "name") for card in cards(app, kind)]


def links(app: AppTest) -> dict[str, str]:
    """Return label -> query string of the links on the page."""
    return {link.proto.label: link.proto.query_string for link in app.page_link}
