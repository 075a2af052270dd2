"""`tune` as scripts rely on it: its settings are those that `train` and `evaluate` take."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from recengine.cli import main
from recengine.cli.arguments import add_split_options
from recengine.cli.parser import build_parser
from recengine.data.dataset import Dataset
from recengine.data.interactions import Interactions
from recengine.errors import BadInput
from recengine.experiments.compare import ComparisonRequest
from recengine.experiments.tune import TuneReport
from recengine.models.registry import MODELS
from tests.cli.conftest import json_of


def test_the_trainings_of_an_evaluation_and_the_trials_of_a_search_are_counted(run, folder: Path, fresh_home) -> None:
    options = ("--dataset", folder, "--split", "leave-last", "--progress", "jsonl", "--json")

    def steps(*command: object) -> list[tuple[str, int, int]]:
        status, _, noted = run(*command, *options)
        assert status == 0
        rows = [json.loads(line) for line in noted.splitlines()]
        return [(row["text"], row["done"], row["of"]) for row in rows if row["event"] == "step" and "of" in row]

    assert steps("evaluate", "random", "popularity", "--seeds", "2") == [
        ("random, seed 0", 0, 4),
        ("random, seed 1", 1, 4),
        ("popularity, seed 0", 2, 4),
        ("popularity, seed 1", 3, 4),
    ]
    assert steps("tune", "ease", "--trials", "2") == [("presets", 0, 2)]


def test_tune_prints_settings_that_train_and_evaluate_take(run, folder: Path, tmp_path: Path, fresh_home: Path) -> None:
    arguments = ["tune", "ease", "--dataset", folder, "--trials", 5, "--search", "l2=1:50:log", "--set"]
    arguments += ["recency_floor=0.3", "--split", "stratified", "--min-item", 2]
    result = json_of(run(*arguments, "--out", tmp_path / "trials.json", "--json"))
    written = json.loads((tmp_path / "trials.json").read_text())
    assert (
        written.keys()
        == result.keys()
        == {
            *("dataset", "split", "model", "criterion", "seeds", "trials", "best", "preset", "set"),
            *("seed", "device", "search", "policy", "settings", "fingerprint", "versions"),
        }
    )
    assert len(result["fingerprint"]) == 32
    assert result["policy"]["mask"] == "positives"
    assert result["search"]["l2"] == {"low": 1.0, "high": 50.0, "log": True}
    assert result["search"]["recency_half_life"][0] in (None, "none", "auto")
    assert result["settings"]["ease"].items() >= {**result["best"]["settings"], "seed": 0}.items()
    assert (result["model"], result["criterion"], result["split"]["split"]) == ("ease", "valid_ndcg@10", "stratified")
    assert result["split"]["min_item"] == 2
    for number, trial in enumerate(result["trials"]):
        assert trial.keys() == {"number", "settings", "value", "seconds", "state", "reason"}
        assert trial["settings"].keys() == {"l2", "recency_floor", "recency_half_life"}
        assert (trial["number"], trial["state"], trial["settings"]["recency_floor"]) == (number, "complete", 0.3)
        assert number == 0 or 1 <= trial["settings"]["l2"] <= 50
    assert result["trials"][0]["settings"]["l2"] == 100.0
    assert result["preset"] == result["trials"][0]["value"]
    assert result["best"]["value"] == max(trial["value"] for trial in result["trials"])
    assert {"number", "settings", "value"} == result["best"].keys()
    assert TuneReport.from_dict(result).to_dict() == result
    status, output, _ = run(*arguments)
    lines = output.splitlines()
    assert (status, lines[lines.index("for train:") + 1]) == (0, result["set"])
    for_evaluate = shlex.split(lines[lines.index("for evaluate:") + 1])
    assert run("train", "ease", "--dataset", folder, *shlex.split(result["set"]))[0] == 0
    assert run("evaluate", "ease", "--dataset", folder, "--split", "stratified", *for_evaluate)[0] == 0


SHAPES = [
    ["--split", "leave-last", "--ties", "random"],
    ["--split", "leave-last", "--min-user", "3", "--min-item", "5"],
    ["--split", "random", "--test-share", "0.3"],
    ["--split", "stratified", "--test-share", "0.2", "--seed", "3"],
    ["--split", "time", "--test-share", "0.25", "--positive", "3"],
    ["--split", "cold-user", "--given", "2,5", "--targets-after", "6", "--test-share", "0.3"],
]


@pytest.mark.parametrize("shape", SHAPES, ids=" ".join)
@pytest.mark.parametrize("model", ["ease", "bias"])
def test_c38_tune_sees_no_row_that_evaluate_tests_with_the_same_options(
    folder: Path, shape: list[str], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[Interactions] = []
    searched: list[Interactions] = []

    def observed(dataset: Dataset, request: ComparisonRequest, *_: object) -> None:
        tested.extend(split.test for split in request.splits(dataset))
        raise BadInput("model", problem="is not evaluated here")

    def fit(self: Any, train: Interactions, *, valid: Interactions, **_: object) -> None:
        searched.extend((train, valid))
        raise BadInput("model", problem="is not trained here")

    monkeypatch.setattr("recengine.cli.evaluation.compare", observed)
    monkeypatch.setattr(MODELS[model], "fit", fit)
    common = ["--dataset", str(folder), *shape, "--quiet"]
    assert main(["evaluate", model, *common]) == 2
    assert main(["tune", model, "--trials", "1", *common]) == 2
    learned, held_out = pairs_of(*searched), pairs_of(*tested)
    assert len(searched) == 2
    assert min(len(rows) for rows in (*searched, *tested)) > 0
    assert not learned & held_out


def pairs_of(*parts: Interactions) -> set[tuple[int, int]]:
    return {pair for rows in parts for pair in zip(rows.user_idx.tolist(), rows.item_idx.tolist(), strict=True)}


def test_c38_tune_takes_every_option_of_evaluate_that_shapes_the_split(run) -> None:
    command = argparse.ArgumentParser()
    add_split_options(command, "leave-last")
    shaping = {action.dest for action in command._actions} - {"help"}
    for name in ("evaluate", "tune"):
        parsed = build_parser().parse_args([name, "ease", "--split", "random"])
        assert shaping <= vars(parsed).keys()
    status, _, noted = run("tune", "ease", "--dataset", "sample", "--split", "cold-user", "--folds", "3")
    assert status == 2
    assert "--folds=3 tests every user in turn, so that no row is left to choose settings on; leave it out" in noted


def test_tune_reports_each_trial_and_its_epochs_as_lines_of_json(run, folder: Path) -> None:
    few = ["--set", "epochs=2", "--set", "embedding_dim=4", "--trials", 2]
    status, _, noted = run("tune", "mf", "--dataset", folder, *few, "--progress", "jsonl", "--json")
    assert status == 0
    rows = [json.loads(line) for line in noted.splitlines()]
    trials = [row for row in rows if row["event"] == "trial"]
    assert [(row["model"], row["number"], row["trials"]) for row in trials] == [("mf", 0, 2), ("mf", 1, 2)]
    assert all({"settings", "value", "seconds", "state", "best"} <= row.keys() for row in trials)
    assert [row["epoch"] for row in rows[: rows.index(trials[0])] if row["event"] == "epoch"] == [0, 1, 2]


def test_tune_names_the_package_to_install_before_it_loads_anything(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recengine.cli.common.load_dataset", lambda *a, **k: pytest.fail("it loads the data first"))
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, output, noted = run("tune", "ease")
    assert (status, output) == (2, "")
    assert noted == "recengine: tune needs optuna, which is not installed; run `pip install optuna==5.0.0`\n"


def test_an_interrupted_search_prints_the_best_so_far(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = iter(range(9))

    def fit(self: Any, *arguments_of_fit: Any) -> Any:
        if next(fits) == 3:
            raise KeyboardInterrupt
        return torch.eye(41)

    monkeypatch.setattr(MODELS["ease"], "weights", fit)
    status, output, noted = run("tune", "ease", "--dataset", folder, "--trials", 9, "--json")
    assert status == 0
    assert len(json.loads(output)["trials"]) == 3
    assert "Stopped after 3 of 9 trials." in noted
