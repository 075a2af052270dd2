"""Compare: its states, its figures to the last digit, what is chance, and what can be taken away."""

import csv
import io
import json
import math
import re
from typing import Any

import pandas as pd
import pytest

from pages.ui import leaderboard
from pages.ui.words import Words
from recengine.cli.evaluation import to_list
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.evaluation import glossary
from recengine.evaluation.report import EvaluationReport, EvaluationSettings, Interval, TaskResults
from recengine.evaluation.significance import Paired
from recengine.experiments.compare import ComparisonRequest, compare
from recengine.export import csv_text, json_ready
from recengine.jobs.job import JOB_DIR
from recengine.jobs.records import KEPT_FILES
from recengine.models.base import FAMILIES
from recengine.models.registry import MODELS
from tests.app.conftest import Open, Worker, markup, press

PAGE = "compare.py"
FILMS = Words(is_film=True, has_stars=True, is_implicit=False)
QUICK = {"models": "popularity,ease", "at": "5"}


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


@pytest.fixture(scope="module")
def result(sample: Dataset) -> dict[str, Any]:
    """Return what `evaluate popularity ease bias --json` prints on the sample."""
    models: dict[str, dict[str, Any]] = {"popularity": {}, "ease": {}, "bias": {}}
    report = compare(sample, ComparisonRequest(models, "leave-last", k=5, negatives=20))
    return json.loads(json.dumps(json_ready(report.to_dict())))


@pytest.fixture(scope="module")
def report(result: dict[str, Any]) -> EvaluationReport:
    return EvaluationReport.from_dict(result)


def cells(app: Any) -> dict[str, list[str]]:
    """Return model -> the whole figures of the table on the page."""
    rows = re.findall(r"<tr[^>]*><th><b>\d+</b>(.*?)</th>(.*?)</tr>", markup(app))
    return {name: re.findall(r'<td[^>]* title="([^"]*)"', row) for name, row in rows}


def test_nothing_compared_yet_offers_one_thing_to_do(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    assert "Not compared yet" in markup(app)
    press(app, "Compare Popularity, EASE, MF")
    command = worker.jobs.all()[0].command
    assert command[:6] == ("evaluate", "popularity", "ease", "mf", "--dataset", "sample")
    assert command[command.index("--split") + 1] == "leave-last"


def test_figures_are_those_of_evaluate_to_the_last_digit(
    open_app: Open, worker: Worker, result: dict[str, Any]
) -> None:
    worker.does(result=result)
    app = open_app(PAGE, models="popularity,ease,bias", at="5")
    press(app, "Compare")
    worker.ends()
    app.run()
    assert not app.exception
    assert "<b>EASE</b> leads with NDCG@5" in markup(app)
    for group in glossary.GROUPS:
        app.segmented_control(key="group").set_value(group).run()
        keys = [key for key in leaderboard.columns(EvaluationReport.from_dict(result), group) if "_sampled" not in key]
        assert keys
        for name, label in (("popularity", "Popularity"), ("ease", "EASE"), ("bias", "Bias")):
            held = [result["results"][name].get(key, {}).get("value") for key in keys]
            assert cells(app)[label] == [str(value) for value in held]


def test_a_result_is_kept_by_what_was_asked(open_app: Open, worker: Worker, result: dict[str, Any]) -> None:
    worker.does(result=result)
    app = open_app(PAGE, **QUICK)
    press(app, "Compare")
    worker.ends()
    assert "leads with" in markup(open_app(PAGE, **QUICK))
    assert "leads with" not in markup(open_app(PAGE, **QUICK | {"seeds": "2"}))
    assert "leads with" not in markup(open_app(PAGE, **QUICK | {"models": "popularity,bias"}))


def test_what_runs_shows_what_is_known_so_far_and_what_fails_gives_its_reason(open_app: Open, worker: Worker) -> None:
    worker.does(
        {"event": "step", "text": "popularity, seed 0", "done": 0, "of": 2},
        {"event": "note", "text": "popularity: 0.0123", "model": "popularity", "metrics": {"ndcg@5": [0.0123]}},
        last='{"event": "error", "text": "MemoryError: too much"}\n',
        code=1,
    )
    app = open_app(PAGE, **QUICK)
    press(app, "Compare")
    worker.after(2)
    app.run()
    assert "<b>Popularity</b> NDCG@5 0.0123" in markup(app)
    assert app.get("progress")[0].proto.text.startswith("Compare Popularity, EASE · Popularity, seed 0")
    assert app.button(key="compare").disabled
    worker.ends()
    app.run()
    assert not app.button(key="compare").disabled
    assert any("MemoryError" in error.value for error in app.error)
    press(app, "Run it again")
    assert len(worker.jobs.all()) == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"models": "ease"}, "Choose at least two models"),
        (
            {"models": "ease,bias,mf-explicit,neumf", "split": "cold-user"},
            "NeuMF can only serve viewers it was trained on",
        ),
    ],
)
def test_what_cannot_be_compared_is_explained_at_the_form(open_app: Open, params: dict[str, str], message: str) -> None:
    app = open_app(PAGE, **params)
    assert message in markup(app)
    assert app.button(key="compare").disabled


def test_an_address_with_nonsense_is_the_default(open_app: Open) -> None:
    app = open_app(PAGE, models="<script>,nope", split="x", at="9" * 5_000, seeds="²", sampled="maybe")
    assert not app.exception
    assert app.multiselect(key="models").value == ["popularity", "ease", "mf"]
    assert app.number_input(key="at").value == 10


def test_every_model_stands_in_its_family_with_a_reference(open_app: Open) -> None:
    page = markup(open_app(PAGE))
    for family, text in FAMILIES.items():
        if any(kind.family == family for kind in MODELS.values()):
            assert f"<h3>{family.capitalize()}</h3>" in page
            assert re.search(r"\d{4}", text), "no source"
    assert page.count("<li><b>") >= len(MODELS)


# What is drawn, by itself ---------------------------------------------------------------------------------------


def test_csv_holds_every_figure_whole(report: EvaluationReport, result: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(leaderboard.to_csv(report, "python -m recengine evaluate x"))))
    held = {(name, key): cell["value"] for name, metrics in result["results"].items() for key, cell in metrics.items()}
    assert {(row["model"], row["metric"]): float(row["value"]) for row in rows} == held


def test_markdown_has_what_was_measured_and_how(report: EvaluationReport) -> None:
    text = leaderboard.to_markdown(report, "python -m recengine evaluate x", FILMS)
    assert text.startswith("sample, leave-last, liked from 4: 2,000 viewers, 1,229 films, 1 seed;")
    assert "films that a viewer had rated before the test, high or low, are not ranked for them" in text
    assert "`python -m recengine evaluate x`" in text
    assert text.index("| ease |") < text.index("| popularity |") < text.index("| bias |")


def made_of(task: TaskResults) -> EvaluationReport:
    settings = EvaluationSettings("made up", {"split": "leave-last"}, k=10, seeds=1)
    return EvaluationReport(settings, users=1, left_out=0, items=3, tasks=(task,))


def test_too_few_viewers_are_called_too_few() -> None:
    (row,) = leaderboard.against_leader(made_of(TaskResults({}, "ease", {"mf": Paired(0.01, *[math.nan] * 3)}, {}, {})))
    assert row.text == "0.0100 NDCG@10 behind EASE; too few viewers to say more"
    assert not row.beyond_chance


def test_m51_a_fifth_is_a_fifth(open_app: Open, worker: Worker) -> None:
    for split, share in (("random", "0.2"), ("time", "0.2"), ("stratified", "0.2"), ("leave-last", None)):
        line = open_app(PAGE, split=split).code[0].value.split()
        assert line[line.index("--split") + 1] == split
        assert (line[line.index("--test-share") + 1] if "--test-share" in line else None) == share


def test_chance_is_distinguished_from_more_than_chance() -> None:
    behind = {"mf": Paired(0.01, -0.001, 0.021, 0.07), "slim": Paired(0.01, 0.002, 0.021, 0.0004)}
    made = made_of(TaskResults({}, "ease", behind, {}, {}))
    rows = {row.model: row for row in leaderboard.against_leader(made)}
    assert rows["mf"].text.endswith("(p = 0.070 after Holm): no difference beyond chance")
    assert rows["slim"].text.endswith("(p < .001 after Holm): more than chance")
    assert (rows["mf"].beyond_chance, rows["slim"].beyond_chance) == (False, True)


def test_models_are_ranked_by_what_is_better_and_those_without_a_figure_come_last(report: EvaluationReport) -> None:
    made = made_of(TaskResults({"a": {"rmse": Interval(2.0)}, "b": {"rmse": Interval(1.0)}, "c": {}}, "a", {}, {}, {}))
    assert leaderboard.ranked(made, "rmse") == ["b", "a", "c"]
    assert leaderboard.ranked(report, "ndcg@5")[0] == "ease"


def test_every_metric_of_an_evaluation_has_an_entry(result: dict[str, Any]) -> None:
    for metrics in result["results"].values():
        for key in metrics:
            assert glossary.entry(key).group in glossary.GROUPS
    assert glossary.title("hr@10_sampled99") == "Hit rate@10 of 100"
    assert glossary.title("auc") == "AUC"


def test_c47_viewers_are_read_as_they_were_written() -> None:
    ids = ["red shoe", "4", 'a "b", c', "Käse & Brot"]
    rows = [("ease", "=1+1", 0.5, to_list(ids)), ("mf", "u2", math.nan, to_list([]))]
    table = leaderboard.read_viewers(csv_text(("model", "user_id", "ndcg@5", "list"), rows))
    assert table["list"].tolist() == [ids, []]
    assert table["ndcg@5"].tolist()[0] == 0.5
    assert pd.isna(table["ndcg@5"].tolist()[1])


def test_the_files_that_a_comparison_writes_outlive_it(open_app: Open, worker: Worker) -> None:
    app = open_app(PAGE)
    app.button(key="compare").click().run()
    written = [part.removeprefix(f"{JOB_DIR}/") for part in worker.jobs.all()[0].command if part.startswith(JOB_DIR)]
    assert written
    assert set(written) <= set(KEPT_FILES)
