"""`train --out DIR` and `--model-folder DIR`: a model serves without the data it was trained on, and newer data."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recengine.data.sources import load_dataset
from recengine.experiments.model_folder import open_folder
from tests.cli.conftest import json_of, read, write


@pytest.fixture
def ease(run, folder: Path, tmp_path: Path, fresh_home: Path) -> Path:
    """Return a model folder of EASE, trained on the data set of the test."""
    made = tmp_path / "ease-folder"
    assert json_of(run("train", "ease", "--dataset", folder, "--out", made, "--json"))["folder"] == str(made)
    return made


def listed(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(row["user_id"], row["rank"], row["item_id"], row["score"]) for row in result["recommendations"]]


def test_m24_a_row_appended_to_the_data_needs_no_training(run, folder: Path, ease: Path, newer: Path) -> None:
    before = json_of(run("recommend", "--dataset", folder, "--model", "ease", "--all-users", "-k", 40, "--json"))
    out = run("recommend", "--dataset", newer, "--model-folder", ease, "--all-users", "-k", 40, "--json")
    after = json_of(out)
    assert "Trained" not in out[2]
    assert "1 of 42 items are unknown to the model" in out[2]
    assert "1 of 62 users are new to the model" in out[2]
    assert after["popularity_fallback"] == before["popularity_fallback"] == [61]
    rows = [row for row in listed(before) if row[0] != 61 and (row[0], row[2]) != (1, 108)]
    kept = [row for row in listed(after) if row[0] not in (61, 777)]
    assert [(user, item, score) for user, _, item, score in kept] == [(u, i, s) for u, _, i, s in rows]
    new = {row[2] for row in listed(after) if row[0] == 777}
    assert new.isdisjoint({101, 102, 999})
    assert len(new) == 39


def test_m24_a_folder_serves_alone(run, folder: Path, ease: Path, fresh_home: Path, monkeypatch, tmp_path) -> None:
    named = ["--dataset", folder, "--model", "ease"]
    commands = [
        ["recommend", "--all-users", "-k", 40],
        ["recommend", "--user", 61],
        ["recommend", "--ratings", write(tmp_path / "mine.csv", ["item_id", "rating"], [(101, 5), (104, 4)])],
        ["similar", "--item", 103],
    ]
    expected = [json_of(run(*command, *named, "--json")) for command in commands]
    moved = tmp_path / "elsewhere" / "model"
    moved.parent.mkdir()
    ease.rename(moved)
    monkeypatch.setenv("RECENGINE_HOME", str(tmp_path / "empty"))
    assert [json_of(run(*command, "--model-folder", moved, "--json")) for command in commands] == expected
    assert not (tmp_path / "empty").exists()
    pairs = write(tmp_path / "pairs.csv", ["user_id", "item_id"], [(5, 103), (61, 141)])
    for source, out in ((named, tmp_path / "a.csv"), (["--model-folder", moved], tmp_path / "b.csv")):
        monkeypatch.undo() if source is named else None
        assert run("score", *source, "--pairs", pairs, "--out", out)[0] == 0
    assert read(tmp_path / "a.csv") == read(tmp_path / "b.csv")


def test_m24_a_model_of_users_knows_those_it_learned_and_answers_the_others_with_a_label(
    run, folder: Path, newer: Path, tmp_path: Path, fresh_home: Path
) -> None:
    made = tmp_path / "mlp"
    assert run("train", "mlp", "--set", "epochs=1", "--dataset", folder, "--out", made)[0] == 0
    whole = json_of(run("recommend", "--dataset", newer, "--model-folder", made, "--all-users", "--json"))
    assert whole["popularity_fallback"] == [61, 777]
    assert {row["user_id"] for row in whole["recommendations"]} == {*range(1, 62), 777}
    one = json_of(run("recommend", "--dataset", newer, "--model-folder", made, "--user", 777, "--json"))
    assert [row["item_id"] for row in one["recommendations"]] == [
        row["item_id"] for row in whole["recommendations"] if row["user_id"] == 777
    ]


def test_m24_ratings_are_predicted_from_a_folder(run, folder: Path, ease: Path, tmp_path: Path) -> None:
    made = tmp_path / "bias"
    assert run("train", "bias", "--dataset", folder, "--out", made)[0] == 0
    assert run("estimates", "--dataset", folder, "--model", "bias", "--out", tmp_path / "a.csv")[0] == 0
    assert run("estimates", "--model-folder", made, "--out", tmp_path / "b.csv")[0] == 0
    assert read(tmp_path / "a.csv") == read(tmp_path / "b.csv")
    status, _, noted = run("estimates", "--model-folder", ease, "--out", tmp_path / "c.csv")
    assert (status, "predicts no ratings" in noted) == (2, True)


def test_m24_the_folder_holds_ids_titles_threshold_and_policy(folder: Path, ease: Path) -> None:
    opened, data = open_folder(ease), load_dataset(folder)
    assert opened.dataset.fingerprint == data.fingerprint == opened.manifest.origin.data
    assert (opened.positive, opened.policy.mask, opened.model.name) == (4.0, "seen", "ease")
    assert opened.dataset.reading == data.reading


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--model", "mf"], "--model"),
        (["--set", "l2=3"], "--set"),
        (["--seed", "3"], "--seed"),
        (["--positive", "3"], "--positive"),
        (["--columns", "user=a"], "--columns"),
    ],
)
def test_what_a_folder_has_settled_is_refused(run, ease: Path, more: list[str], named: str) -> None:
    status, _, noted = run("recommend", "--model-folder", ease, "--user", 1, *more)
    assert (status, noted.count("\n")) == (2, 1)
    assert named in noted


def test_what_is_no_model_folder_is_refused(run, folder: Path, ease: Path, tmp_path: Path) -> None:
    stored = json_of(run("train", "ease", "--dataset", folder, "--json"))["folder"]
    other = tmp_path / "other.csv"
    write(other, ["userId", "movieId", "rating"], [("u", f"x{i}", 1 + i % 5) for i in range(9)])
    damaged = tmp_path / "damaged"
    shutil.copytree(ease, damaged)
    content = bytearray((damaged / "users.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "users.parquet").write_bytes(content)
    for arguments, problem in (
        (["--model-folder", tmp_path / "none"], "is no model folder"),
        (["--model-folder", stored], "holds a model without its ids"),
        (["--model-folder", damaged], "users.parquet does not have its recorded sha256"),
        (["--model-folder", ease, "--dataset", other], "has none of the 41 items"),
    ):
        status, _, noted = run("recommend", "--user", 1, *arguments)
        assert (status, noted.splitlines()[-1:]) == (2, [noted.splitlines()[-1]])
        assert problem in noted, noted
    assert damaged.is_dir()


def test_nothing_of_anybody_s_is_replaced_by_a_model_folder(run, folder: Path, ease: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "thesis.txt").write_text("years of work")
    file = tmp_path / "file"
    file.write_text("x")
    for target in (keep, file, tmp_path / "no" / "where"):
        status, _, noted = run("train", "ease", "--dataset", folder, "--out", target)
        assert (status, "--out" in noted) == (2, True)
    assert (keep / "thesis.txt").read_text() == "years of work"
    assert run("train", "popularity", "--dataset", folder, "--out", ease)[0] == 0
    assert open_folder(ease).model.name == "popularity"


def test_m59_a_model_without_epochs_is_validated_when_asked(run, folder: Path, fresh_home: Path) -> None:
    plain = json_of(run("train", "ease", "--dataset", folder, "--json"))
    assert plain["metrics"] == {}
    asked = json_of(run("train", "ease", "--dataset", folder, "--validate", "--json"))
    assert asked["folder"] == plain["folder"]
    assert 0 < asked["metrics"]["valid_ndcg@10"] < asked["metrics"]["valid_hr@10"] <= 1
    mf = json_of(run("train", "mf", "--set", "epochs=2", "--dataset", folder, "--validate", "--json"))
    assert (
        json.loads((Path(mf["folder"]) / "manifest.json").read_text())["metrics"]["valid_ndcg@10"]
        == (mf["metrics"]["valid_ndcg@10"])
    )
