"""The command `import`: what each row of a file of ratings means in a data set."""

import json
import zipfile
from pathlib import Path

import pytest

from recengine.cli import main
from tests.support.archives import zipped
from tests.support.letterboxd import letterboxd_zip

EXPORT = """Date,Name,Year,Letterboxd URI,Rating
2024-05-31,The Matrix,1999,https://boxd.it/1,5
2024-06-02,Rocky 4,1985,https://boxd.it/3,3
2024-06-03,A Film Nobody Made,2001,https://boxd.it/4,3
2024-06-04,Heat,1995,https://boxd.it/5,
2024-06-05,The Matrix,1999,https://boxd.it/1,4
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(EXPORT)
    return path


def test_every_row_is_reported_in_the_order_of_the_file(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(export), "--dataset", "sample", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["dataset"], value["source"]) == ("sample", "letterboxd")
    rows = value["rows"]
    assert [(row["line"], row["outcome"], row["film"]) for row in rows] == [
        (2, "replaced by a later row", "The Matrix (1999)"),
        (3, "to confirm", "Rocky IV (1985)"),
        (4, "unmatched", None),
        (5, "rejected", None),
        (6, "matched", "The Matrix (1999)"),
    ]
    assert rows[4] == {
        "line": 6,
        "title": "The Matrix",
        "year": 1999,
        "stars": 4.0,
        "outcome": "matched",
        "reason": "title and year",
        "item_id": 839,
        "film": "The Matrix (1999)",
        "mark": "rated",
        "file": "",
    }
    assert rows[3]["reason"] == "it has no rating"
    assert value["counts"]["matched"] == value["counts"]["unmatched"] == 1


def test_the_table_gives_reasons_and_counts_the_matches(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(export), "--dataset", "sample"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Rocky 4 (1985)" in lines[3]
    assert lines[3].endswith("a title much alike")
    assert lines[-1].startswith("letterboxd: 1 replaced by a later row, 1 to confirm")


def test_the_scale_of_a_plain_csv_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("title,year,rating\nThe Matrix,1999,9\n")
    for more, outcome in (([], "rejected"), (["--out-of", "10"], "matched")):
        assert main(["import", str(path), "--dataset", "sample", "--json", *more]) == 0
        assert json.loads(capsys.readouterr().out)["rows"][0]["outcome"] == outcome


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "is empty"), (b"colour,size\nred,3\n", "has the columns")],
)
def test_a_file_that_cannot_be_used_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    assert main(["import", str(path), "--dataset", "sample", "--json"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert words in error


def test_recommend_takes_the_csv_and_the_zip_of_letterboxd(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = export.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(export, "ratings.csv")
    lists = []
    for path in (export, packed):
        arguments = ["recommend", "--dataset", "sample", "--model", "ease", "--ratings", str(path), "-k", "3", "--json"]
        assert main(arguments) == 0
        out, noted = capsys.readouterr()
        lists.append([row["item_id"] for row in json.loads(out)["recommendations"]])
        assert "1 rating matched, 2 not: Rocky 4, A Film Nobody Made" in noted
    assert lists[0] == lists[1]
    assert len(lists[0]) == 3


@pytest.fixture
def account(tmp_path: Path) -> Path:
    path = tmp_path / "letterboxd-ann.zip"
    path.write_bytes(
        letterboxd_zip(
            {("The Matrix", 1999): 5.0, ("Heat", 1995): 2.0, ("A Film of Tomorrow", 2098): 4.0},
            liked=[("The Matrix", 1999), ("Alien", 1979)],
            seen=[("Jaws", 1975)],
            watchlist=[("Psycho", 1960), ("Heat", 1995)],
        )
    )
    return path


def test_each_file_of_letterboxd_s_zip_is_reported(account: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(account), "--dataset", "sample", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [tuple(file.values()) for file in value["files"]] == [
        ("ratings.csv", "rated", 3, 0, 2, 0),
        ("likes/films.csv", "liked", 2, 1, 1, 0),
        ("watched.csv", "seen", 5, 4, 1, 0),
        ("watchlist.csv", "watchlist", 2, 1, 1, 0),
    ]
    rows = {row["title"]: (row["file"], row["mark"], row["stars"], row["outcome"]) for row in value["rows"]}
    assert rows == {
        "The Matrix": ("ratings.csv", "rated", 5.0, "matched"),
        "Heat": ("ratings.csv", "rated", 2.0, "matched"),
        "A Film of Tomorrow": ("ratings.csv", "rated", 4.0, "unmatched"),
        "Alien": ("likes/films.csv", "liked", 4.5, "matched"),
        "Jaws": ("watched.csv", "seen", None, "matched"),
        "Psycho": ("watchlist.csv", "watchlist", None, "matched"),
    }
    assert any(note.startswith("This catalogue ends in 20") for note in value["notes"])
    assert main(["import", str(account), "--dataset", "sample"]) == 0
    assert "likes/films.csv: 2 liked, 1 of them in a file above, 1 matched, 0 rejected." in capsys.readouterr().out


def test_likes_count_and_what_was_seen_is_left_out(account: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--dataset", "sample", "--model", "ease", "-k", "1200", "--json"]
    assert main(["recommend", "--ratings", str(account), *more]) == 0
    out, noted = capsys.readouterr()
    listed = {row["title"] for row in json.loads(out)["recommendations"]}
    assert not listed & {"The Matrix", "Heat", "Alien", "Jaws"}
    assert "Psycho" in listed  # on the watchlist: not seen yet
    assert "Of the ratings 1 came as likes without stars, which count as 4.5 of 5" in noted
    assert "Seen, though not rated, and so left out of the list: 1 film" in noted
    assert "This catalogue ends in 20" in noted


def test_an_empty_zip_is_called_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("photo.zip", "photo.csv"):
        path = tmp_path / name
        path.write_bytes(zipped({}))
        assert main(["import", str(path), "--dataset", "sample"]) == 2
        assert "This zip is empty" in capsys.readouterr().err
