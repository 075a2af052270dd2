"""What a visitor's own data come to: a comparison with its drill-down, a command that runs, and all of it kept."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.hosting import identity, uploads
from pages.ui import datasets, visitor_ratings
from pages.ui import jobs as ui_jobs
from recengine.cli import main
from recengine.experiments.store import ArtefactStore
from recengine.experiments.train import TrainingRequest, obtain
from recengine.jobs.jobs import Jobs
from tests.app.conftest import ROOT, Open, Worker, markup, press, settle
from tests.app.test_data import upload, use
from tests.app.test_identity import ANN, provider
from tests.app.test_own_data import EVENTS

__all__ = ["provider"]


def reopened(app: AppTest) -> AppTest:
    """Return the same address in a new session of the same browser, as after a reload."""
    again = AppTest.from_file(str(ROOT / "pages" / "main.py"), default_timeout=60)
    again.session_state["visitor"] = app.session_state["visitor"]
    again.session_state["visitor returns"] = True
    again.run()
    again.switch_page("compare.py")
    for name, values in app.query_params.items():
        again.query_params[name] = values
    return settle(again)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_home")
def test_c48_m50_m55_ids_with_spaces_have_lists_the_command_runs_as_printed_and_a_reload_keeps_all(
    open_app: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Jobs(tmp_path / "jobs")
    monkeypatch.setattr(ui_jobs, "_jobs", lambda root: made)
    app = upload(open_app("data.py"), "my shop.csv", EVENTS.encode())
    id = use(app)
    app.switch_page("compare.py")
    app.query_params["models"], app.query_params["at"] = "popularity,item-knn", "5"
    settle(app)
    press(app, "Compare")
    for _ in range(600):
        if not any(job.active for job in made.all()):
            break
        time.sleep(0.2)
    settle(app)
    page = markup(app)
    assert "leads with NDCG@5" in page
    assert "Kundin_" in page
    assert "SKU 3 Käse &amp; Brot" in page  # one of the lists of a user
    assert [button.label for button in app.get("download_button")]

    words = shlex.split(app.code[-1].value)
    assert words[:3] == ["python", "-m", "recengine"]
    capsys.readouterr()
    assert main([*words[3:], "--json", "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)["results"]
    kept = made.result(made.all()[0].id, dict)
    assert kept is not None
    assert printed["item-knn"]["ndcg@5"] == kept["results"]["item-knn"]["ndcg@5"]

    again = reopened(app)
    assert again.selectbox(key="data").value == id
    assert "leads with NDCG@5" in markup(again)
    assert "SKU 3 Käse &amp; Brot" in markup(again)


@pytest.mark.usefixtures("provider", "fresh_home")
def test_uploads_and_runs_move_to_the_account_and_are_erased_with_everything(
    open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = upload(open_app("data.py"), "my shop.csv", EVENTS.encode())
    id = use(app)
    browser = app.session_state["visitor"]
    app.switch_page("compare.py")
    app.query_params["at"] = "5"
    settle(app)
    press(app, "Compare")
    (job,) = worker.jobs.all()
    assert (job.owner, job.key.endswith(browser)) == (browser, True)
    monkeypatch.setattr(st, "user", ANN)
    account = identity.account("https://id.example", "17")
    app.switch_page("data.py").run()
    press(app, "Add what you uploaded (1) before signing in")
    assert uploads.all_of(browser) == []
    (mine,) = uploads.all_of(account)
    assert (mine.id, mine.label) == (id, "my shop.csv")
    (job,) = worker.jobs.all()
    assert (job.owner, job.key.endswith(account)) == (account, True)
    assert job.command[job.command.index("--dataset") + 1] == str(mine.path)
    assert id in app.selectbox(key="data").options or "my shop.csv" in app.selectbox(key="data").options

    obtain(TrainingRequest(datasets.load(id), "popularity", positive=0.0))
    others = obtain(TrainingRequest(datasets.load("sample"), "popularity"))
    uploads.keep("another owner", "their.csv", EVENTS.encode(), datasets.load(id))
    visitor_ratings.erase()
    assert uploads.all_of(account) == []
    assert worker.jobs.all() == []
    assert len(uploads.all_of("another owner")) == 1
    assert [folder.name for folder in ArtefactStore().root.glob("popularity-*")] == [others.folder.name]
