"""The files that commands write: text that a spreadsheet would run, ids as they are, formats, and all or nothing."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis.strategies import text

from recengine import export
from recengine.export import csv_text, write_csv, write_json, write_table
from tests.cli.conftest import json_of, read, write


def test_text_that_a_spreadsheet_would_run_is_prefixed(tmp_path: Path) -> None:
    cells = ["=1", "+1+1", "-1-", "@a", "\tx", "\rx", "plain", "a=b", ""]
    write_csv(tmp_path / "f.csv", ["=head", "n", "item_id"], [(cell, -1.5, cell) for cell in cells])
    header, *rows = read(tmp_path / "f.csv")
    assert header == ["'=head", "n", "item_id"]
    assert [row[0] for row in rows] == ["'=1", "'+1+1", "'-1-", "'@a", "'\tx", "'\rx", "plain", "a=b", ""]
    assert {row[1] for row in rows} == {"-1.5"}  # a number is not text
    assert [row[2] for row in rows] == cells  # an id is read back


@pytest.mark.parametrize("number", ["-0.37", "+1", "-1", "-.5", "+1e-3", "-12."])
def test_c07_plain_numbers_stay_as_they_are(number: str) -> None:
    assert csv_text(["note"], [(number,)]).splitlines() == ["note", number]


@given(text(min_size=1).filter(lambda cell: "\r" not in cell and "\n" not in cell))
@example("-1")
@example("=1+1")
@example("'=1")
def test_c07_ids_of_any_text_come_back(id: str) -> None:
    header, row = csv.reader(io.StringIO(csv_text(["user_id", "title"], [(id, "x")]), newline=""))
    assert (header, row) == (["user_id", "title"], [id, "x"])


@pytest.mark.parametrize("id", ["-1", "-0.37", "+1", "=1+1", "@a", "-30-", "\tx", "00123"])
def test_c7_ids_and_numbers_are_written_as_they_are(tmp_path: Path, id: str) -> None:
    columns = ["user_id", "movieId", "Item ID", "user"]
    write_csv(tmp_path / "f.csv", [*columns, "old_score"], [(id, id, id, id, "-0.37"), ("a", "b", "c", "d", "+1.5e3")])
    assert read(tmp_path / "f.csv")[1:] == [[id, id, id, id, "-0.37"], ["a", "b", "c", "d", "+1.5e3"]]


def test_c7_what_score_writes_can_be_scored_again(run, tmp_path: Path) -> None:
    ratings = [(-user, -item, (user * item) % 5 + 1) for user in range(1, 9) for item in range(1, 9) if user != item]
    data = write(tmp_path / "r.csv", ["userId", "movieId", "rating"], ratings)
    pairs = write(tmp_path / "p.csv", ["userId", "movieId", "old"], [(-1, -1, "-0.37"), (-2, -4, "+1.5")])
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    for source, out in ((pairs, first), (first, again)):
        json_of(run("score", "--dataset", data, "--model", "ease", "--pairs", source, "--out", out, "--json"))
    assert [row[:3] for row in read(again)[1:]] == [["-1", "-1", "-0.37"], ["-2", "-4", "+1.5"]]
    assert [row[3] for row in read(again)[1:]] == [row[4] for row in read(again)[1:]]


def test_a_hostile_title_is_prefixed_in_an_export(run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.csv"
    json_of(
        run("recommend", "--dataset", folder, "--model", "popularity", "--user", 1, "-k", 41, "--out", out, "--json")
    )
    assert "'=1+1" in [row[3] for row in read(out)]


def test_a_file_is_written_atomically(tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    out.write_text("old")

    def rows():
        yield ("a",)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_csv(out, ["x"], rows())
    with pytest.raises(TypeError):
        write_json(out, {"x": object()})
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.csv"]
    write_json(out, {"nan": float("nan"), "n": np.float32(0.5), "title": "Amélie"})
    assert json.loads(out.read_text("utf-8")) == {"nan": None, "n": 0.5, "title": "Amélie"}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table in any format that is written."""
    if path.suffix == ".csv":
        return pd.read_csv(path, float_precision="round_trip").to_dict("records")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pd.read_parquet(path).to_dict("records")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_m25_a_table_is_written_in_the_format_that_the_ending_of_out_names(
    run, folder: Path, tmp_path: Path, ending: str
) -> None:
    recommend = ["recommend", "--dataset", folder, "--model", "popularity", "--all-users", "-k", 3]
    shown = json_of(run(*recommend, "--json"))["recommendations"]
    out = tmp_path / f"lists{ending}"
    assert run(*recommend, "--out", out)[0] == 0
    assert rows_of(out) == shown
    similar = ["similar", "--dataset", folder, "--model", "item-knn", "--item", 105, "-k", 4]
    assert run(*similar, "--out", out)[0] == 0
    assert rows_of(out) == json_of(run(*similar, "--json"))["similar"]
    pairs = write(tmp_path / "pairs.csv", ["user_id", "item_id"], [(1, 101), (2, 105)])
    assert run("score", "--dataset", folder, "--model", "ease", "--pairs", pairs, "--out", out)[0] == 0
    assert [(str(row["user_id"]), str(row["item_id"])) for row in rows_of(out)] == [("1", "101"), ("2", "105")]
    assert all(isinstance(row["score"], float) for row in rows_of(out))
    assert run("estimates", "--dataset", folder, "--model", "bias", "--out", out)[0] == 0
    assert len(rows_of(out)) == 61
    mix = write(tmp_path / "mine.csv", ["item_id", "rating"], [(101, 5), (105, 5), (107, 5)])
    stream = ["stream", "--dataset", folder, "--positive", 4, "--model", "stream-popularity", "--mix", mix]
    assert run(*stream, "--out", out)[0] == 0
    assert {str(row["user_id"]) for row in rows_of(out)} >= {"guest", "17"}
    assert {row["hit"] for row in rows_of(out)} == {0, 1}


@pytest.mark.parametrize("name", ["lists.xlsx", "lists.json", "lists", "lists.csv.gz", "lists.parquet.txt"])
def test_m25_another_ending_is_refused_before_anything_is_done(run, folder: Path, tmp_path: Path, name: str) -> None:
    recommend = ["recommend", "--dataset", "nowhere", "--model", "popularity", "--all-users", "--out", tmp_path / name]
    status, _, noted = run(*recommend)
    assert (status, noted.count("\n")) == (2, 1)
    assert "ends in .csv, .jsonl or .parquet" in noted
    assert not list(tmp_path.iterdir())
    evaluate = ["evaluate", "popularity", "--dataset", folder, "--split", "random"]
    assert run(*evaluate, "--out", tmp_path / "report.csv")[0] == 2
    assert run(*evaluate, "--users", tmp_path / name)[0] == 2


def test_m25_text_that_a_spreadsheet_would_run_is_as_it_is_where_no_spreadsheet_reads(tmp_path: Path) -> None:
    rows = [("=1+1", -0.5), ("-0.37", math.nan), ("Amélie, ‘x’", 2.0)]
    for ending in (".jsonl", ".parquet"):
        write_table(tmp_path / f"t{ending}", ("title", "score"), iter(rows))
        assert [row["title"] for row in rows_of(tmp_path / f"t{ending}")] == [title for title, _ in rows]


def test_m25_parquet_keeps_its_types_over_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CELLS_AT_ONCE", 6)
    rows = [(n, None if n < 4 else n, f"u{n}") for n in range(9)]
    write_table(tmp_path / "t.parquet", ("event", "rank", "user_id"), iter(rows))
    written = pd.read_parquet(tmp_path / "t.parquet")
    assert written["event"].tolist() == list(range(9))
    assert written["rank"].isna().sum() == 4
    assert written["rank"].tolist()[4:] == [4, 5, 6, 7, 8]
    assert written["user_id"].tolist() == [f"u{n}" for n in range(9)]
