"""The command `map`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from recengine.cli import main
from recengine.data.sources import load_dataset
from recengine.experiments.train import TrainingRequest, obtain
from recengine.serving.item_map import obtain_map

DATA = ("--dataset", "sample", "--model", "ease")


def test_the_file_has_the_positions_that_the_package_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "map.csv"
    assert main(["map", *DATA, "--json", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    sample = load_dataset("sample")
    here = obtain_map(obtain(TrainingRequest(sample, "ease")), sample, 4.0)
    assert result["items"] == len(here.known)
    assert result["explained"] == list(here.explained or ())
    assert sum(island["items"] for island in result["islands"]) == len(here.known)
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["item_id"] for row in rows] == sample.item_ids[here.known].astype(str).tolist()
    np.testing.assert_allclose(
        [[float(row["x"]), float(row["y"])] for row in rows], here.positions[here.known], atol=1e-4
    )
    assert {row["island"] for row in rows} == {island["name"] for island in result["islands"]}


def test_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", *DATA]) == 0
    out = capsys.readouterr().out
    assert "items on the map, whose two axes show" in out
    assert main(["map", "--dataset", "sample", "--model", "popularity"]) == 2
    assert "--model 'popularity' does not compare items" in capsys.readouterr().err
