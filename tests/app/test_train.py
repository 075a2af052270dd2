"""The Train page: its form, a run in each of its states, runs compared, and their models on the other pages."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from pages.ui import recipes, training_form
from pages.ui.curves import smoothed
from recengine.cli import main
from recengine.data.sources import load_dataset
from recengine.experiments import train as training
from recengine.experiments import tune
from recengine.experiments.train import TrainingReport, TrainingRequest, obtain
from recengine.experiments.tune import Trial, TuneReport
from recengine.jobs.job import Job, JobKind, Task
from recengine.models.registry import MODELS, configure
from recengine.training.config import RunConfig
from tests.app.conftest import Open, Worker, cards, epoch, links, markup, press
from tests.app.test_data import ratings_csv, upload

PAGE = "train.py"
QUICK = {"l2": "50.0"}
"""Settings of `ease` that are not its presets; fitted in a moment."""


def train(app: AppTest) -> AppTest:
    app.button(key="train").click()
    return app.run()


def field_errors(app: AppTest) -> list[str]:
    return [str(part.value) for part in app.html if 'class="field-error"' in str(part.value)]


def curves(app: AppTest) -> dict[str, list[dict[str, Any]]]:
    """Return heading -> the series of the chart under it."""
    heads = [str(part.value) for part in app.html if "chart-head curve" in str(part.value)]
    charts = app.get("echarts_chart")
    assert len(heads) == len(charts)
    names = [head.split("<h3>")[1].split("<")[0] for head in heads]
    return {name: json.loads(chart.proto.spec)["series"] for name, chart in zip(names, charts, strict=True)}


@pytest.fixture
def run_of_ease(worker: Worker) -> Job:
    """Return a finished run of `ease` with `QUICK` settings; its model is in the store."""
    sample = load_dataset("sample")
    stored = obtain(TrainingRequest(sample, "ease", settings=dict(QUICK)))
    worker.does(result=TrainingReport.of(stored, sample).to_dict() | {"fresh": True, "seconds": 0.4})
    job = worker.jobs.start(
        ["train", "ease"],
        kind=JobKind.TRAIN,
        title="EASE that trusts the data",
        key="k",
        task=Task(("ease",), QUICK, data="sample", fingerprint=sample.fingerprint),
    )
    worker.ends()
    return job


def test_every_model_has_a_form_whose_untouched_fields_are_its_presets(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    for name, kind in MODELS.items():
        app.selectbox(key="train_model").select(name).run()
        assert not app.exception
        assert field_errors(app) == [], name
        fields = [*app.number_input, *app.selectbox, *app.text_input, *app.checkbox]
        fields = [widget.key for widget in fields if (widget.key or "").startswith(f"{name}.")]
        assert len(fields) == len(training_form.settings_of(kind)), name
        assert f"train {name} --dataset sample --positive 4.0 --seed 0 --device auto" in app.code[0].value
        by_app = [f"{key}={value}" for key, value in recipes.presets(name).items()]
        assert re.findall(r"--set (\S+)", app.code[0].value) == by_app, name


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_every_preset_can_be_trained(name: str) -> None:
    sample = load_dataset("sample")
    rows = sample.ratings.select(sample.ratings.user_idx < 60)
    for settings in training_form.presets(MODELS[name]).values():
        config, run = configure(name, dict(settings), RunConfig())
        model = MODELS[name](config)
        model.fit(rows, items=sample.items, users=sample.user_table, run=replace(run, epochs=1))
        assert torch.isfinite(model.score([0, 1])).all()


def test_an_empty_page_offers_one_training_to_start(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    assert "Nothing trained yet" in markup(app)
    press(app, "Train MF")
    job = worker.jobs.all()[0]
    assert job.command[:4] == ("train", "mf", "--dataset", "sample")
    assert "--force" in job.command


def test_a_job_makes_the_model_that_the_pages_look_for(
    open_app: Open, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    app = open_app(PAGE)
    app.selectbox(key="train_model").select("item-knn").run()
    train(app)
    job = worker.jobs.all()[0]
    assert job.task.settings == {}  # the preset of the sidebar
    assert main([*job.command, "--json", "--progress", "jsonl"]) == 0
    made = json.loads(capsys.readouterr().out)["folder"]
    wanted = recipes.asked(recipes.task_of("item-knn"))
    assert wanted == {"recency_half_life": "auto"}
    assert made == str(TrainingRequest(load_dataset("sample"), "item-knn", settings=wanted).folder)


def test_errors_are_shown_next_to_their_fields_and_nothing_starts(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    app.number_input(key="mf.embedding_dim").set_value(0)
    app.number_input(key="mf.learning_rate").set_value(None)
    app.text_input(key="mf.partial_credit").set_value("actors:1")
    app.number_input(key="mf.seed").set_value(-1)
    app.run()
    errors = " ".join(field_errors(app))
    assert "Embedding dim: 0 is out of range; expected at least 1 and at most 4096." in errors
    assert "Learning rate is empty; expected more than 0 and at most 1000." in errors
    assert "Seed: -1 is out of range; expected at least 0" in errors
    assert app.button(key="train").disabled
    app.number_input(key="mf.seed").set_value(0).run()
    assert "is not item metadata" in " ".join(field_errors(app))  # checked once the rest is valid
    press(app, "Tuned")
    assert field_errors(app) == []
    assert not app.button(key="train").disabled


def test_valid_fields_are_in_the_address_and_others_are_not(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE, train_model="gru", **{"gru.epochs": "7", "gru.seed": "3", "gru.dropout": "9", "trials": "50"})
    assert app.selectbox(key="train_model").value == "gru"
    assert "train gru --dataset sample --positive 4.0 --seed 3" in app.code[0].value
    assert "--set epochs=7" in app.code[0].value
    assert "dropout" not in app.code[0].value
    assert "--trials 50" in app.code[1].value
    app.number_input(key="gru.epochs").set_value(8).run()
    assert app.query_params["gru.epochs"] == "8"
    app.number_input(key="gru.epochs").set_value(0).run()
    assert "Epochs: 0 is out of range" in field_errors(app)[0]
    assert "gru.epochs" not in app.query_params
    press(app, "Tuned")
    assert field_errors(app) == []
    assert not [name for name in app.query_params if name.startswith("gru.")]


def test_a_training_too_large_for_memory_is_refused_with_the_figure(
    open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "available_memory", lambda: 2_000_000_000)
    app = open_app(PAGE)
    assert field_errors(app) == []
    app.number_input(key="mf.embedding_dim").set_value(4096)
    app.number_input(key="mf.batch_size").set_value(100_000).run()
    assert "2.0 GB are free; lower batch size" in field_errors(app)[0]
    assert app.button(key="train").disabled


def test_data_that_a_model_cannot_learn_from_is_reported_next_to_the_model(open_app: Open, worker: Worker) -> None:
    app = open_app("data.py")
    upload(app, "mine.csv", ratings_csv().encode())
    press(app, "Use it")
    app.switch_page(PAGE).run()
    app.selectbox(key="train_model").select("demographic").run()
    assert "needs age, gender or occupation in a user table" in field_errors(app)[0]
    app.selectbox(key="train_model").select("hybrid").run()
    assert "reads genres and year of the items, and this data set has none" in field_errors(app)[0]
    app.selectbox(key="train_model").select("mf").run()
    assert field_errors(app) == []
    app = open_app("data.py")
    timeless = "\n".join(line.rpartition(",")[0] for line in ratings_csv().splitlines())
    upload(app, "mine.csv", timeless.encode())
    press(app, "Use it")
    app.switch_page(PAGE).run()
    for name in ("sasrec", "ease"):
        app.selectbox(key="train_model").select(name).run()
        assert any("no timestamps" in caption.value for caption in app.caption)
    app.text_input(key="ease.recency_half_life").set_value("").run()
    assert "--set recency_half_life=none" in app.code[0].value
    assert not any("no timestamps" in caption.value for caption in app.caption)


def test_a_running_training_shows_its_figures_and_both_curves_from_epoch_0(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    app.number_input(key="mf.epochs").set_value(20)
    worker.does({"event": "step", "text": "training mf"}, *(epoch(n, epochs=20) for n in range(4)))
    train(app)
    job = worker.after(5)
    app.run()
    text = markup(app)
    assert job.task.settings == {"epochs": "20"}
    assert ("--set", "epochs=20") in pairwise(job.command)
    assert job.command[-2:] == ("--force", "--validate")
    for figure in ("3 / 20", "≤ 8.5 s", "118 k/s", "512 MB", "MF · epochs 20"):
        assert figure in text, figure
    charts = curves(app)
    assert list(charts) == ["Loss", "NDCG@10", "HR@10"]
    raw, smooth, best = (series["data"] for series in charts["NDCG@10"])
    assert raw == [[0.0, 0.0], [1.0, 0.01], [2.0, 0.02], [3.0, 0.03]]
    assert [point[0] for point in smooth] == [0.0, 1.0, 2.0, 3.0]
    assert best == [[3.0, 0.03]]
    assert charts["Loss"][0]["data"][0] == [0.0, 4.0]
    assert "epoch 3 of at most 20" in app.get("progress")[0].proto.text
    other = open_app()  # another browser sees it too
    other.switch_page(PAGE).run()
    assert "3 / 20" in markup(other)


def test_a_refit_is_no_epoch_and_what_is_validated_has_its_usual_name(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    refit = epoch(1, epochs=4, stages=["refit"])
    worker.does(epoch(1), refit, {"event": "step", "text": "validating mf"})
    train(app)
    worker.after(2)
    app.run()
    assert "<dt>Refit</dt><dd>25%</dd>" in markup(app)
    assert "<dt>Epoch</dt>" not in markup(app)
    worker.after(3)
    app.run()
    assert app.get("progress")[0].proto.text == "validating MF"


def test_a_finished_run_is_used_renamed_compared_and_deleted(open_app: Open, worker: Worker, run_of_ease: Job) -> None:
    app = open_app(PAGE)
    assert "You can pick it on every page" in app.success[0].value
    assert f"model={run_of_ease.id}" in links(app)["See what it recommends"]
    assert "EASE that trusts the data" in str(app.selectbox(key="model").options)
    used = open_app(model=run_of_ease.id)
    assert len(cards(used, "top")) == 10
    assert "EASE that trusts the data · sample · trained" in markup(used)
    worker.jobs.rename(run_of_ease.id, "![x](http://192.0.2.9/a.png) <b>")
    app.run()
    assert "&lt;b&gt;" in markup(app)
    assert "<b>" not in markup(app).replace("<b>Collaborative", "").replace("<b>Hybrid", "")
    worker.jobs.delete(run_of_ease.id)
    app.run()
    assert "Nothing trained yet" in markup(app)
    used = open_app(model=run_of_ease.id)
    assert used.warning
    assert len(cards(used, "top")) == 10


def test_runs_are_overlaid_and_compared(open_app: Open, worker: Worker) -> None:
    sample = load_dataset("sample")
    ids = []
    for n_run, settings in enumerate(({}, {"loss": "bpr"}, {"loss": "hinge"})):
        worker.does(*(epoch(n) for n in range(4 + n_run)), code=1)
        task = Task(("mf",), settings, data="sample", fingerprint=sample.fingerprint)
        job = worker.jobs.start(["train"], kind=JobKind.TRAIN, title=f"run {n_run}", task=task)
        worker.after(4 + n_run)
        worker.ends()
        ids.append(job.id)
    app = open_app(PAGE, runs=f"{ids[1]},{ids[0]}")
    text = markup(app)
    assert "Side by side" in text
    assert text.index("run 1</td><td>") < text.index("run 0</td><td>")
    assert "<td>bpr</td>" in text
    assert "<td>preset</td>" in text
    assert '<i class="swatch c0">' in text
    assert '<i class="swatch c1">' in text
    toggles = {toggle.key.split()[1]: toggle for toggle in app.toggle if toggle.key.startswith("curves")}
    assert [toggles[id].value for id in ids] == [True, True, False]
    toggles[ids[2]].set_value(True).run()
    assert app.query_params["runs"] == ",".join([ids[1], ids[0], ids[2]])
    assert "<td>hinge</td>" in markup(app)


def test_m59_models_without_epochs_stand_side_by_side_with_those_that_have_some(
    open_app: Open, worker: Worker, run_of_ease: Job
) -> None:
    sample = load_dataset("sample")
    stored = obtain(TrainingRequest(sample, "ease", settings=dict(QUICK)))
    reached = {"valid_ndcg@10": 0.1357, "valid_hr@10": 0.2468}
    worker.does(result=TrainingReport.of(stored, sample, reached).to_dict())
    task = Task(("ease",), QUICK, data="sample", fingerprint=sample.fingerprint)
    closed = worker.jobs.start(["train", "ease"], kind=JobKind.TRAIN, title="closed form", task=task)
    worker.ends()
    worker.does(*(epoch(n) for n in range(4)), code=1)
    task = Task(("mf",), data="sample", fingerprint=sample.fingerprint)
    learned = worker.jobs.start(["train"], kind=JobKind.TRAIN, title="in epochs", task=task)
    worker.after(4)
    worker.ends()
    text = markup(open_app(PAGE, runs=f"{closed.id},{learned.id},{run_of_ease.id}"))
    rows = [re.findall(r"<td>([^<]*)</td>", row) for row in text.split("<tr>") if "swatch" in row]
    figures = {row[0]: row[1:4] for row in rows if len(row) > 3}
    assert figures == {
        "closed form": ["0.1357", "0.2468", "–"],
        "in epochs": ["0.0300", "0.0600", "3"],
        "EASE that trusts the data": ["–", "–", "–"],
    }


def test_a_training_killed_from_outside_is_reported_and_run_again(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    worker.does({"event": "step", "text": "training mf"}, *(epoch(n) for n in range(3)))
    train(app)
    os.kill(worker.after(4).pid or 0, signal.SIGKILL)
    worker.ends()
    app.run()
    assert "its last message was “epoch 2 of at most 60”" in app.error[0].value
    assert list(curves(app)) == ["Loss", "NDCG@10", "HR@10"]
    worker.does({"event": "step", "text": "training mf"})
    press(app, "Run it again")
    assert [job.state for job in worker.jobs.all()].count("failed") == 1
    assert len(worker.jobs.all()) == 2


def test_the_best_epoch_is_the_best_by_the_model_s_criterion(open_app: Open, worker: Worker) -> None:
    assert MODELS["gru-rating"].criterion == "valid_mae"
    errors = [(1.00, 0.80), (0.95, 0.70), (0.90, 0.75)]  # by RMSE the last, by MAE the second
    rows = [epoch(n, **{"valid_rmse": rmse, "valid_mae": mae}) for n, (rmse, mae) in enumerate(errors)]
    worker.does(
        *({key: row[key] for key in row if key not in ("valid_ndcg@10", "valid_hr@10")} for row in rows), code=1
    )
    app = open_app(PAGE)
    app.selectbox(key="train_model").select("gru-rating").run()
    train(app)
    worker.after(3)
    worker.ends()
    app.run()
    assert curves(app)["MAE"][2]["data"] == [[1, 0.70]]
    assert curves(app)["RMSE"][2]["data"] == [[1, 0.95]]
    assert "1 of 2" in markup(app)


def test_without_optuna_the_search_names_what_it_needs(
    open_app: Open, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "can_tune", lambda: False)
    app = open_app(PAGE)
    assert [button.disabled for button in app.button if button.label == "Search"] == [True]
    assert any("Searching needs optuna" in caption.value for caption in app.caption)
    assert not app.button(key="train").disabled


def test_a_search_shows_its_trials_and_puts_the_best_into_the_form(open_app: Open, worker: Worker) -> None:
    trials = [
        {"number": 0, "settings": {"embedding_dim": 64, "learning_rate": 0.015}, "value": 0.17, "best": 0.17},
        {
            "number": 1,
            "settings": {"embedding_dim": 32, "learning_rate": 0.03, "recency_half_life": None},
            "value": 0.18,
            "best": 0.18,
        },
        {"number": 2, "settings": {"embedding_dim": 16, "learning_rate": 0.05}, "value": None, "best": 0.18},
    ]
    rows = [{"event": "trial", "model": "mf", "state": "complete", "trials": 5, "seconds": 1.0, **t} for t in trials]
    tried = [Trial.from_dict(row) for row in rows]
    report = TuneReport("sample", {}, "mf", "valid_ndcg@10", 1, tried, tried[1], 0.17, "--set embedding_dim=32")
    worker.does({"event": "step", "text": "reading sample"}, *rows, result=report.to_dict())
    app = open_app(PAGE)
    app.number_input(key="mf.epochs").set_value(7)
    app.slider(key="trials").set_value(5)
    app.run()
    press(app, "Search")
    job = worker.after(4)
    assert (job.kind, job.command[0], job.command[-2:]) == (JobKind.TUNE, "tune", ("--trials", "5"))
    assert job.command[-4:-2] == ("--set", "epochs=7")
    app.run()
    text = markup(app)
    assert "3 of 5" in text
    assert "0.1800" in text
    assert text.index("<td>32</td>") < text.index("<td>64</td>")
    worker.ends()
    app.run()
    press(app, "Use the best settings")
    assert app.number_input(key="mf.embedding_dim").value == 32
    assert app.number_input(key="mf.learning_rate").value == 0.03
    assert app.text_input(key="mf.recency_half_life").value == ""  # the best trial has none, whatever the app's preset


def test_an_upload_is_trained_on_by_the_visitor_s_job_alone(open_app: Open, worker: Worker) -> None:
    app = open_app("data.py")
    content = ratings_csv().encode()
    upload(app, "mine.csv", content)
    press(app, "Use it")
    app.switch_page(PAGE).run()
    train(app)
    job = worker.after(0)
    given = Path(job.command[job.command.index("--dataset") + 1])
    assert given.read_bytes() == content
    assert "--scale=2.0,5.0" in job.command
    assert job.owner
    other = open_app(PAGE)
    assert "Nothing trained yet" in markup(other)
    app.switch_page("data.py").run()
    app.button(key="forget upload").click().run()
    assert not given.exists()
    assert app.selectbox(key="data").value == "sample"


def test_the_same_data_by_upload_and_by_path_share_one_model(tmp_path: Path) -> None:
    from recengine.data.sources import load_upload
    from tests.app.test_data import hostile_zip

    forms = {
        "ratings.csv": ratings_csv().encode(),
        "wide.csv": b"user,1,2,3\n1,5,,3\n2,,4,1\n3,2,2,\n",
        "utf16.csv": ratings_csv().encode("utf-16"),
        "archive.zip": hostile_zip(),
    }
    for name, content in forms.items():
        path = tmp_path / name
        path.write_bytes(content)
        uploaded = load_upload(name, content)
        loaded = load_dataset(str(path))
        assert uploaded.fingerprint == loaded.fingerprint, name
        assert TrainingRequest(uploaded, "ease").folder == TrainingRequest(loaded, "ease").folder


def test_smoothing_keeps_level_ends_and_length() -> None:
    flat = smoothed([0.5] * 40)
    assert flat == pytest.approx([0.5] * 40)
    assert smoothed([]) == []
    assert smoothed([3.0]) == [3.0]
    zigzag = smoothed([0.0, 1.0] * 50)
    assert max(zigzag[5:-5]) - min(zigzag[5:-5]) < 0.05  # 100 epochs: over 2.5 epochs to each side
    short = smoothed([0.0, 1.0, 0.0])
    assert short[1] == pytest.approx(1 / (1 + 2 * math.exp(-2)))  # half an epoch: neighbours weigh exp(-2)
