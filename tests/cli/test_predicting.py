"""The commands that predict ratings: predict and estimates, and the errors that evaluate reports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recengine.cli import main
from recengine.data.dataset import Dataset
from recengine.data.sources import load_dataset
from recengine.data.splits import make_split
from recengine.experiments.train import TrainingRequest, obtain
from recengine.models.ratings.bias import Bias
from tests.cli.conftest import read, write
from tests.support.raters import RATERS, fitted, rmse


@pytest.fixture(scope="module")
def folder(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `tiny` as ratings.csv, and nothing else."""
    directory = tmp_path_factory.mktemp("ratings")
    r = tiny.ratings
    columns = (tiny.user_ids[r.user_idx], tiny.item_ids[r.item_idx], r.rating, r.timestamp)
    write(directory / "ratings.csv", ["userId", "movieId", "rating", "timestamp"], zip(*columns, strict=True))
    return directory


def test_predict_adds_a_column_and_keeps_the_order(folder: Path, tmp_path: Path, capsys) -> None:
    pairs = [("b", 5, 103), ("a", 1, 140), ("b", 5, 101)]
    asked, out = write(tmp_path / "pairs.csv", ["note", "user_id", "item_id"], pairs), tmp_path / "out.csv"
    command = ["predict", "--dataset", folder, "--model", "bias", "--pairs", asked, "--out", out, "--json"]
    assert main([str(a) for a in command]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(out), "rows": 3}
    header, *rows = read(out)
    assert header == ["note", "user_id", "item_id", "rating"]
    assert [tuple(row[:3]) for row in rows] == [tuple(map(str, row)) for row in pairs]
    data = load_dataset(str(folder))
    model: Any = obtain(TrainingRequest(data, "bias")).model
    expected = model.predict(data.user_index([5, 1, 5]), data.item_index([103, 140, 101])).tolist()
    assert [float(row[3]) for row in rows] == pytest.approx(expected)
    given = write(tmp_path / "given.csv", ["user_id", "item_id", "rating"], [(5, 103, 2.5)])
    assert main(["predict", "--dataset", str(folder), "--model", "bias", "--pairs", str(given), "--out", str(out)]) == 0
    assert read(out)[0] == ["user_id", "item_id", "rating", "predicted_rating"]


IDS = {"negative": "-{}", "signed": "+{}", "formula": "={}+1", "at": "@{}"}


@pytest.mark.parametrize("command", ["score", "predict"])
@pytest.mark.parametrize("form", IDS.values(), ids=IDS)
def test_c07_what_is_written_can_be_read_again(form: str, command: str, tiny: Dataset, tmp_path: Path, capsys) -> None:
    def named(number: int) -> str:
        return form.format(number)

    r = tiny.ratings
    users, items = map(named, tiny.user_ids[r.user_idx]), map(named, tiny.item_ids[r.item_idx])
    table = zip(users, items, r.rating, strict=True)
    data = write(tmp_path / "ratings.csv", ["userId", "movieId", "rating"], table)
    pairs = [(named(1), named(101), "-0.37", "-30-"), (named(2), named(102), "+1.5", "plain")]
    asked = write(tmp_path / "pairs.csv", ["userId", "movieId", "old_score", "note"], pairs)
    for name in ("first.csv", "second.csv"):
        out = tmp_path / name
        arguments = [command, "--dataset", data, "--model", "bias", "--pairs", asked, "--out", out, "--quiet"]
        assert main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
        asked = out
    _, *rows = read(out)
    assert [tuple(row[:3]) for row in rows] == [pair[:3] for pair in pairs]
    assert [row[3] for row in rows] == ["'-30-", "plain"]  # what a spreadsheet would run
    assert [row[4] for row in rows] == [row[5] for row in rows]


def test_estimates_are_the_whole_matrix_of_predictions(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("recengine.cli.predicting.BATCH", 7)
    out = tmp_path / "all.csv"
    assert main(["estimates", "--dataset", str(folder), "--model", "bias", "--out", str(out)]) == 0
    data = load_dataset(str(folder))
    header, *rows = read(out)
    assert header == ["user_id", *map(str, data.item_ids)]
    assert [row[0] for row in rows] == [str(u) for u in data.user_ids]
    model: Any = obtain(TrainingRequest(data, "bias")).model
    user, item = np.divmod(np.arange(60 * 40), 40)
    result = np.array([row[1:] for row in rows], float)
    assert np.allclose(result.ravel(), model.predict(user, item).numpy(), atol=1e-4)


def test_estimates_that_fail_on_the_way_leave_what_was_there(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "all.csv"
    out.write_text("before")
    monkeypatch.setattr("recengine.cli.predicting.BATCH", 7)
    wanted = Bias.estimates

    def breaks(self: Bias, user_idx: Any) -> torch.Tensor:
        if 20 in user_idx:
            raise RuntimeError("on the way")
        return wanted(self, user_idx)

    monkeypatch.setattr(Bias, "estimates", breaks)
    assert main(["estimates", "--dataset", str(folder), "--model", "bias", "--out", str(out)]) == 1
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("command", ["predict", "estimates"])
def test_a_model_that_predicts_no_ratings_is_bad_input_that_names_those_that_do(command: str, tmp_path, capsys) -> None:
    pairs = ["--pairs", str(tmp_path / "pairs.csv")] if command == "predict" else []
    assert main([command, "--dataset", "nowhere", "--model", "ease", *pairs, "--out", str(tmp_path / "o.csv")]) == 2
    message = capsys.readouterr().err
    assert "'ease' predicts no ratings; expected one of:" in message
    assert all(name in message for name in RATERS)


def test_evaluate_reports_rating_errors_and_the_ranking(folder: Path, capsys) -> None:
    command = ["evaluate", "bias", "popularity", "--dataset", str(folder), "--split", "random", "--positive", "0"]
    assert main([*command, "--json", "--quiet"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    for key in ("rmse", "mae", "within_half"):
        assert key not in results["popularity"]
        assert results["bias"][key]["low"] < results["bias"][key]["value"] < results["bias"][key]["high"]
    split = make_split(load_dataset(str(folder)), "random", positive=0)
    assert results["bias"]["rmse"]["value"] == pytest.approx(rmse(fitted("bias", split.fit), split.test))
    assert "ndcg@10" in results["bias"]
    assert main([*command, "--quiet"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()[1:]
    assert head.split()[-3:] == ["rmse", "mae", "within_half"]
    assert next(row.split()[-1] for row in rows if row.startswith("popularity")) == "-"


def test_nothing_is_predicted_of_events_which_are_no_ratings(tiny: Dataset, tmp_path: Path, capsys) -> None:
    rows, out = tiny.ratings, tmp_path / "out.csv"
    clicks = write(tmp_path / "clicks.csv", ["user", "item"], zip(rows.user_idx, rows.item_idx, strict=True))
    data = ["--dataset", str(clicks)]
    assert main(["evaluate", "taste", "bias", *data, "--split", "random", "--json"]) == 0
    for metrics in json.loads(capsys.readouterr().out)["results"].values():
        assert "ndcg@10" in metrics
        assert "rmse" not in metrics
    assert main(["why", "7", "--user", "3", *data, "--json"]) == 0
    assert "stars" not in json.loads(capsys.readouterr().out)
    assert main(["estimates", "--model", "bias", *data, "--out", str(out)]) == 2
    assert "has events, and no ratings; ask for scores instead" in capsys.readouterr().err
    assert not out.exists()
