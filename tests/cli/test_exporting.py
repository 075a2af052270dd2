"""`export`: a trained model as files that other software reads."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from recengine.cli import main
from tests.cli.conftest import json_of

IALS = ["--model", "ials", "--set", "embedding_dim=8"]


def test_vectors_are_written_with_raw_ids_and_counted(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.npz"
    result = json_of(run("export", "--dataset", folder, *IALS, "--to", "npz", "--out", out, "--json"))
    assert result == {"out": str(out), "format": "npz", "items": 41, "users": 61, "dimensions": 8}
    with np.load(out) as read:
        assert read["item_ids"].tolist()[-1] == 141
        assert read["user_vectors"].shape == (61, 8)


def test_a_model_folder_is_exported_without_its_data(run, folder: Path, tmp_path: Path) -> None:
    assert run("train", "ials", *IALS[2:], "--dataset", folder, "--out", tmp_path / "m")[0] == 0
    arrays = []
    for source in (["--dataset", folder, *IALS], ["--model-folder", tmp_path / "m"]):
        assert run("export", *source, "--to", "npz", "--out", tmp_path / "v.npz")[0] == 0
        with np.load(tmp_path / "v.npz") as read:
            arrays.append({name: read[name] for name in read.files})
    assert arrays[0].keys() == arrays[1].keys()
    assert all((arrays[0][name] == arrays[1][name]).all() for name in arrays[0])


def test_vectors_of_items_alone_are_named_as_such(run, folder: Path, tmp_path: Path) -> None:
    command = ["export", "--dataset", folder, "--model", "mlp", "--set", "epochs=1", "--to", "parquet"]
    status, output, noted = run(*command, "--out", tmp_path / "v")
    assert (status, output) == (0, f"{tmp_path / 'v'}\n")
    assert "mlp scores by no product, so these are the items' vectors alone" in noted


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "ease", "--to", "npz", "--out", "v.npz"], "--model 'ease' has no vectors; expected one that"),
        ([*IALS, "--to", "npz", "--out", "v.txt"], "v.txt' names no format that is written; expected a name that"),
        ([*IALS, "--to", "npz", "--out", "none/v.npz"], "none, which does not exist; create it or choose another"),
        ([*IALS, "--to", "parquet", "--out", "."], "is a folder that holds something else"),
        ([*IALS, "--to", "csv", "--out", "v.csv"], "argument --to: invalid choice: 'csv'"),
        ([*IALS, "--to", "npz"], "--out"),
        (["--model", "ease", "--to", "onnx", "--out", "m.onnx"], "--model 'ease' is no graph of ONNX's operators"),
        ([*IALS, "--to", "lists", "--out", "l.csv"], "expected a name that ends in .parquet or .jsonl"),
        ([*IALS, "--to", "lists", "--out", "l.jsonl", "-k", "99"], "k=99 is out of range"),
        ([*IALS, "--to", "onnx", "--out", "m.npz"], "expected a name that ends in .onnx"),
        (["--model", "mf", "--set", "y_range=0,5", "--to", "npz", "--out", "v.npz"], "--set y_range '0,5' bends the"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], sentence: str
) -> None:
    (tmp_path / "other").touch()
    monkeypatch.chdir(tmp_path)
    status, output, noted = run("export", "--dataset", folder, *options, "--quiet")
    assert (status, output) == (2, "")
    assert sentence in noted.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]


@pytest.mark.parametrize(
    ("to", "model", "package", "extra"),
    [("faiss", "ials", "faiss", "scale"), ("onnx", "ials", "onnx", "onnx"), ("onnx", "gru", "onnxscript", "onnx")],
)
def test_a_format_whose_package_is_missing_tells_how_to_install_it(
    run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, model: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    command = ["export", "--dataset", folder, "--model", model, "--to", to, "--out", tmp_path / "v.onnx"]
    status, _, noted = run(*command)
    remedy = f"install it with `pip install 'recengine[{extra}]'`"
    assert (status, noted) == (2, f"recengine: --to '{to}' needs {package}, which is not installed; {remedy}\n")


def test_a_graph_is_written_and_counted(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    result = json_of(run("export", "--dataset", folder, *IALS, "--to", "onnx", "--out", out, "--json"))
    assert result == {"out": str(out), "format": "onnx", "items": 41, "users": 61}
    (scores,) = onnxruntime.InferenceSession(out).run(None, {"user_idx": np.array([60, 0])})
    assert scores.shape == (2, 41)


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_everybodys_lists_are_those_that_recommend_prints(
    run, folder: Path, newer: Path, tmp_path: Path, ending: str
) -> None:
    assert run("train", "ease", "--dataset", folder, "--out", tmp_path / "m")[0] == 0
    source = ["--dataset", newer, "--model-folder", tmp_path / "m"]
    out = tmp_path / f"lists{ending}"
    result = json_of(run("export", *source, "--to", "lists", "--out", out, "-k", 40, "--json"))
    expected = json_of(run("recommend", *source, "--all-users", "-k", 40, "--json"))
    wanted = pd.DataFrame(expected["recommendations"])
    read = pd.read_parquet(out) if ending == ".parquet" else pd.read_json(out, lines=True)
    assert list(read) == ["user_id", "rank", "item_id", "title", "score", "fallback"]
    assert set(read["user_id"][read["fallback"]]) == set(expected["popularity_fallback"]) == {61}
    assert wanted.user_id.tolist()[-1] == 777, "a user who is new to the model has a list"
    for column in ("user_id", "rank", "item_id", "title"):
        assert read[column].tolist() == wanted[column].tolist()
    assert (read["score"].astype("float32") == wanted["score"].astype("float32")).all()
    counts = {"items": 41, "users": 62, "rows": len(wanted), "popularity_fallback": 1}
    assert result == {"out": str(out), "format": "lists", **counts}


def test_lists_go_into_a_pipe_as_json_lines_alone(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["export", "--dataset", str(folder), "--model", "popularity", "--to", "lists", "--out", "/dev/stdout"]
    assert main([*command, "-k", "3", "--include-seen"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(rows) == 3 * 61
    assert {(row["user_id"], row["rank"]) for row in rows} == {(u, r) for u in range(1, 62) for r in (1, 2, 3)}
