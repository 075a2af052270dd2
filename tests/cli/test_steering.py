"""The command `steering` and the knobs of `recommend`."""

import json
from pathlib import Path

import pytest

from recengine.cli import main
from recengine.data.sources import load_dataset
from recengine.serving.steering_cost import curve_file


@pytest.fixture
def ratings(tmp_path: Path) -> str:
    path = tmp_path / "mine.csv"
    path.write_text("title,year,rating\nThe Godfather,1972,5\nChinatown,1974,5\nAlien,1979,4\n")
    return str(path)


def test_a_list_is_steered_and_its_price_is_told_once_it_is_measured(
    ratings: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--dataset", "sample", "--model", "item-knn", "--json"]

    def listed(*knobs: str) -> tuple[dict, str]:
        assert main(["recommend", "--ratings", ratings, *data, *knobs]) == 0
        out, noted = capsys.readouterr()
        return json.loads(out), noted

    plain, noted = listed()
    assert plain["steering"] == []
    assert "costs" not in noted
    steered, noted = listed("--obscure", "0.5", "--mood", "dark")
    assert "What this steering costs is not known: the command `steering` measures it." in noted
    assert [row["item_id"] for row in steered["recommendations"]] != [
        row["item_id"] for row in plain["recommendations"]
    ]
    again, _ = listed("--obscure", "0", "--new", "-0")
    assert again["recommendations"] == plain["recommendations"]
    assert main(["steering", *data]) == 0
    curve = json.loads(capsys.readouterr().out)
    assert curve["users"] > 1000
    assert ("obscure", 0.5) in [(price["knob"], price["position"]) for price in curve["prices"]]
    priced, noted = listed("--obscure", "0.5", "--mood", "dark")
    assert [price["knob"] for price in priced["steering"]] == ["obscure", "dark"]
    assert "obscure 0.5 costs about" in noted
    curve_file(load_dataset("sample"), "item-knn", 4.0).unlink()


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        (["--obscure", "3"], "--obscure=3.0 is out of range; expected -1 to 1"),
        (["--mood", "sad"], "sad"),
    ],
)
def test_knobs_out_of_range_are_refused(
    ratings: str, capsys: pytest.CaptureFixture[str], knobs: list[str], words: str
) -> None:
    assert main(["recommend", "--ratings", ratings, "--dataset", "sample", "--model", "item-knn", *knobs]) == 2
    assert words in capsys.readouterr().err


def test_prices_are_those_of_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["steering", "--dataset", "sample", "--model", "ease", "--set", "l2=5"]) == 2
    assert "--set does not apply here: prices are those of the presets" in capsys.readouterr().err
