"""`datasets`, `models` and `train` as scripts rely on them; progress on standard error alone."""

import json
from pathlib import Path

import pytest

from recengine.experiments.train import TrainingReport
from recengine.models.registry import MODELS
from tests.cli.conftest import json_of


def test_datasets_lists_what_is_registered(run) -> None:
    result = json_of(run("datasets", "--json"))["datasets"]
    names = [row["name"] for row in result]
    assert names[0] == "sample"
    assert {"ml-latest-small", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m"} <= set(names)
    assert all(row["licence"] and isinstance(row["present"], bool) and "size" in row for row in result)
    status, text, _ = run("datasets")
    assert status == 0
    assert len(text.splitlines()) == len(result) + 2
    assert json_of(run("datasets", "fetch", "sample", "--json"))["dataset"] == "sample"


def test_models_lists_the_registry(run) -> None:
    result = json_of(run("models", "--json"))["models"]
    assert [row["name"] for row in result] == list(MODELS)
    assert all({"name", "family", "abilities", "summary"} <= row.keys() for row in result)
    assert "ease" in run("models")[1]


def test_train_trains_once_and_prints_the_folder(run, folder: Path, fresh_home: Path) -> None:
    first = json_of(run("train", "ease", "--dataset", folder, "--json"))
    assert first["fresh"]
    assert (Path(first["folder"]) / "manifest.json").is_file()
    assert Path(first["folder"]).is_relative_to(fresh_home)
    assert TrainingReport.from_dict(first).to_dict() == first
    status, output, noted = run("train", "ease", "--dataset", folder)
    assert (status, output.strip()) == (0, first["folder"])
    assert "Trained" not in noted
    assert "Trained ease" in run("train", "ease", "--dataset", folder, "--force")[2]
    other = json_of(run("train", "ease", "--dataset", folder, "--set", "l2=7", "--json"))
    assert other["fresh"]
    assert other["folder"] != first["folder"]


def test_progress_as_lines_of_json_is_all_that_stands_on_standard_error(run, folder: Path, fresh_home: Path) -> None:
    status, output, noted = run(
        "train",
        "mf",
        "--dataset",
        folder,
        "--set",
        "epochs=3",
        "--set",
        "embedding_dim=4",
        "--progress",
        "jsonl",
        "--json",
    )
    assert status == 0
    assert json.loads(output)["model"] == "mf"
    rows = [json.loads(line) for line in noted.splitlines()]
    epochs = [row for row in rows if row["event"] == "epoch"]
    assert [row["epoch"] for row in epochs if not row.get("stages")] == [0, 1, 2, 3]
    assert all({"model", "epochs", "loss", "seconds"} <= row.keys() for row in epochs)
    assert all(row["memory_mb"] > 10 for row in epochs)
    assert [row["text"] for row in rows if row["event"] == "step"] == [f"reading {folder}", "training mf"]
    whole = [row for row in epochs if row.get("stages") == ["refit"]]
    for row, since in ((epochs[1], epochs[0]["seconds"]), (whole[0], 0.0)):  # the refit's clock starts again
        assert row["examples_per_second"] == pytest.approx(row["examples"] / (row["seconds"] - since), rel=1e-3)
    assert "examples_per_second" not in epochs[0]
    assert whole[0]["examples"] > epochs[0]["examples"]  # validation is learned from too
    assert any(row["event"] == "note" and "Trained mf" in row["text"] for row in rows)


def test_quiet_writes_nothing_to_standard_error(run, folder: Path, fresh_home: Path) -> None:
    for progress in ([], ["--progress", "jsonl"]):
        status, output, noted = run(
            "train", "mf", "--dataset", folder, "--set", "epochs=1", "--quiet", "--force", *progress
        )
        assert (status, noted) == (0, "")
        assert Path(output.strip()).is_dir()


def test_train_goes_on_from_a_checkpoint_and_writes_a_model_folder(run, folder: Path, tmp_path: Path) -> None:
    command = ["train", "ials", "--dataset", folder, "--checkpoint", tmp_path / "checkpoints", "--json"]
    status, _, noted = run(*command)
    assert (status, "--out" in noted) == (2, True)
    command += ["--out", tmp_path / "model"]
    assert json_of(run(*command, "--set", "epochs=2"))["folder"] == str(tmp_path / "model")
    assert json_of(run("recommend", "--model-folder", tmp_path / "model", "--all-users", "-k", "2", "--json"))
    status, _, noted = run(*command, "--set", "epochs=2")
    assert (status, "holds a training already" in noted) == (2, True)
    assert json_of(run(*command, "--set", "epochs=3", "--resume"))["fresh"]
