"""Small files that went wrong, and their kind: each as it reaches the command line."""

from pathlib import Path

import pytest

from tests.cli.conftest import json_of, write

FILMS = [(1, "Alien (1979)"), (2, "Aliens (1986)"), (3, "Heat (1986)"), (4, "Heat (1995)")]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Return a folder of four films, of which two share a title."""
    folder = tmp_path / "films"
    folder.mkdir()
    write(
        folder / "ratings.csv",
        ["userId", "movieId", "rating"],
        [(u, i, 3 + (u + i) % 3) for u in (1, 2) for i in range(1, 5)],
    )
    write(folder / "movies.csv", ["movieId", "title", "genres"], [(*film, "Drama") for film in FILMS])
    return folder


@pytest.mark.parametrize("year", ["2003", "2003.0", "2003.00", " 2003.0 "])
def test_c16_a_year_with_a_point_is_that_year_and_no_other_film_is_taken_for_it(run, films: Path, year: str) -> None:
    rows = [("Alien", year, 5), ("Heat", year, 4), ("Aliens", "1986.0", 5), ("Heat", "1995.0", 2)]
    path = write(films.parent / "mine.csv", ["title", "year", "rating"], rows)
    report = json_of(run("import", path, "--dataset", films, "--json"))
    outcomes = [(row["line"], row["outcome"], row["item_id"]) for row in report["rows"]]
    assert outcomes == [(2, "unmatched", None), (3, "unmatched", None), (4, "matched", 2), (5, "matched", 4)]


OLD = (
    '"position","const","created","modified","description","Title","Directors","Title type","IMDb Rating","Year",'
    '"You rated"'
)
OLDER = '"const","You rated","Title","Title type","Year"'


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (OLD, '"1","tt1","Sat May 1 00:00:00 2010","","","{}","x","{}","8.4","1979","9"'),
        (OLDER, '"tt1","9","{}","{}","1979"'),
        (OLDER.lower().replace("you rated", "your rating"), '"tt1","9","{}","{}","1979"'),
    ],
)
@pytest.mark.parametrize("kind", ["Feature Film", "TV Movie", "Short Film", "Documentary"])
def test_c25_an_export_of_imdb_from_before_2017_is_read_whatever_its_columns(
    run, films: Path, header: str, row: str, kind: str
) -> None:
    path = films.parent / "ratings.csv"
    path.write_text("\n".join([header, row.format("Alien", kind), row.format("Alien", "TV Series")]) + "\n")
    report = json_of(run("import", path, "--dataset", films, "--json"))
    assert [(row["outcome"], row["line"]) for row in report["rows"]] == [("matched", 2), ("rejected", 3)]
    assert report["rows"][0]["stars"] == 4.5
    assert "its type is TV Series" in report["rows"][1]["reason"]


@pytest.mark.parametrize(
    "names", [("Ratings.csv", "Movies.csv"), ("RATINGS.CSV", "MOVIES.CSV"), ("ratings.Csv", "mOvIeS.csv")]
)
def test_c27_file_names_in_other_capitals_are_read(run, films: Path, names: tuple[str, str]) -> None:
    for old, new in zip(("ratings.csv", "movies.csv"), names, strict=True):
        (films / old).rename(films / new)
    command = ["recommend", "--dataset", films, "--model", "popularity", "--user", 1, "--include-seen", "-k", 4]
    titles = {row["title"] for row in json_of(run(*command, "--json"))["recommendations"]}
    assert titles == {"Alien", "Aliens", "Heat"}


@pytest.mark.parametrize("model", ["gru", "sasrec", "gru-rating"])
@pytest.mark.parametrize(
    "rows",
    [
        [(user, user % 7, 5) for user in range(15)],
        [(user, 0, 5) for user in range(30)],
        [(f"u{user}", f"i{user}", 4 + user % 2) for user in range(15)],
    ],
    ids=["few items", "one item", "all apart"],
)
def test_c33_a_model_of_sequences_needs_users_with_two_events_and_tells_so(
    run, tmp_path: Path, rows, model: str
) -> None:
    data = write(tmp_path / "r.csv", ["userId", "movieId", "rating"], rows)
    status, output, noted = run("train", model, "--dataset", data, "--quiet")
    assert (status, output) == (2, "")
    assert "learns from users with at least" in noted.splitlines()[-1]
    assert "nan" not in noted
    assert "learning_rate" not in noted


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_c31_a_handful_of_test_users_get_no_verdict(run, tmp_path: Path, share: float) -> None:
    rows = [(user, (user * 3 + n) % 9, 4 + n % 2, n) for user in range(6) for n in range(5)]
    data = write(tmp_path / "r.csv", ["userId", "movieId", "rating", "timestamp"], rows)
    command = ["evaluate", "popularity", "ease", "--dataset", data, "--split", "random", "--test-share", share, "-k", 3]
    result = json_of(run(*command, "--json"))
    assert result["users"] <= 6
    for figures in result["results"].values():
        assert figures["ndcg@3"]["low"] is figures["ndcg@3"]["high"] is None
    _, text, _ = run(*command)
    assert "are too few for an interval or a test" in text
    assert "more than chance" not in text


@pytest.mark.parametrize("negatives", [9, 100, 1_000_000_000])
def test_c14_more_negatives_than_unseen_items_are_refused_at_once(run, tmp_path: Path, negatives: int) -> None:
    rows = [(user, (user + n) % 10, 5, n) for user in range(9) for n in range(4)]
    data = write(tmp_path / "r.csv", ["userId", "movieId", "rating", "timestamp"], rows)
    command = ["evaluate", "popularity", "--dataset", data, "--split", "leave-last", "-k", 3, "--negatives", negatives]
    status, _, noted = run(*command)
    assert status == 2
    assert f"--negatives={negatives} are too many to sample; expected at most 6" in noted
