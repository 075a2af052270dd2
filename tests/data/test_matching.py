"""Which film a user means: certain by id or by title and year, asked about when much alike, else not at all."""

import csv
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.matching import Matcher, MatchReport
from recengine.data.readers.export_rows import RatedTitle
from recengine.data.readers.exports import read_export
from recengine.data.readers.tabular import item_table
from recengine.data.sources import load_dataset
from recengine.export import csv_text

TITLES = [
    "Matrix, The (1999)",
    "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
    "Seven (a.k.a. Se7en) (1995)",
    "WALL·E (2008)",
    "千と千尋の神隠し (2001)",
    "Rocky II (1979)",
    "Rocky III (1982)",
    "Heat (1995)",
    "Heat (1986)",
    "Babylon 5",
    "The Shawshank Redemption (1994)",
    "Death Note (2006–2007)",
    "Twin Peaks Returns (1990)",
    "Twin Peaks Return (1991)",
    "King Lear (1987)",
    "King Lear (1987)",
    "Harry Potter and the Deathly Hallows: Part 2 (2011)",
]


def catalogue(name: str = "films") -> Dataset:
    items = item_table([10 * (n + 1) for n in range(len(TITLES))], TITLES, [""] * len(TITLES))
    items["imdb_id"] = pd.array([133093, 112682, None, *[None] * (len(TITLES) - 3)], dtype="Int64")
    items["tmdb_id"] = pd.array([603, None, 807, *[None] * (len(TITLES) - 3)], dtype="Int64")
    ratings = pd.DataFrame({"user_id": [1, 2, 3], "item_id": [10, 160, 80], "rating": 4.0, "timestamp": 1})
    return build_dataset(name, ratings, items)


MATCHER = Matcher(catalogue())


def report(text: str, matcher: Matcher = MATCHER) -> MatchReport:
    return matcher.report(read_export("mine.csv", text.encode()))


def part_of(title: str, year: str) -> tuple[str, int]:
    """Return the part of the report of one row, and the position of its film."""
    outcome = report(f'title,year,rating\n"{title}",{year},4\n')
    for part in ("matched", "to_confirm", "unmatched"):
        for match in getattr(outcome, part):
            return part, match.item_idx
    raise AssertionError(outcome)


@pytest.mark.parametrize(
    ("title", "year", "expected"),
    [
        ("Matrix, The (1999)", "", ("matched", 0)),
        ("the matrix", "1999", ("matched", 0)),
        ("The Matrix", "1998", ("matched", 0)),  # a year apart, and the only one
        ("The Matrix", "1997", ("unmatched", -1)),
        ("The Matrix", "", ("matched", 0)),
        ("City of Lost Children, The (Cité des enfants perdus, La) (1995)", "", ("matched", 1)),
        ("La Cité des Enfants Perdus", "1995", ("matched", 1)),
        ("The City of Lost Children", "1995", ("matched", 1)),
        ("Seven", "1995", ("matched", 2)),
        ("Se7en", "1995", ("matched", 2)),
        ("Seven (a.k.a. Se7en)", "1995", ("matched", 2)),
        ("WALL-E", "2008", ("matched", 3)),
        ("WALL·E", "2008", ("matched", 3)),
        ("千と千尋の神隠し", "2001", ("matched", 4)),
        ("Rocky II", "1979", ("matched", 5)),
        ("rocky 3", "1982", ("to_confirm", 6)),
        ("Rocky Three", "1981", ("to_confirm", 6)),
        ("rocky 3", "1979", ("unmatched", -1)),  # it is not Rocky II
        ("rocky 3", "", ("unmatched", -1)),
        ("Rocky IV", "1982", ("unmatched", -1)),
        ("Heat", "1986", ("matched", 8)),
        ("Heat", "1990", ("unmatched", -1)),
        ("Heat", "", ("to_confirm", 7)),  # the better known
        ("Babylon 5", "1994", ("to_confirm", 9)),
        ("Babylon 5", "", ("matched", 9)),
        ("The Shawshank Redemtion", "1994", ("to_confirm", 10)),
        ("The Shawshank Redemtion", "1990", ("unmatched", -1)),
        ("The Shawshenk Redemption", "1994", ("to_confirm", 10)),  # 95
        ("The Shawshenk Redamption", "1994", ("unmatched", -1)),  # 90
        ("Harry Potter and the Deathly Hallows: Part Two", "2011", ("to_confirm", 16)),
        ("Harry Potter and the Deathly Hallows: Part One", "2010", ("unmatched", -1)),  # much alike, but another
        ("Harry Potter and the Deathly Hallows: Part I", "2010", ("unmatched", -1)),
        ("Death Note", "2006", ("matched", 11)),
        ("Twin Peaks Returned", "1990", ("unmatched", -1)),  # two are as much alike
        ("King Lear", "1987", ("to_confirm", 15)),
        ("A Film Nobody Made", "1999", ("unmatched", -1)),
    ],
)
def test_titles_and_years(title: str, year: str, expected: tuple[str, int]) -> None:
    assert part_of(title, year) == expected


def test_ids_of_imdb_and_tmdb_go_before_titles() -> None:
    outcome = report(
        "imdb_id,tmdb_id,title,rating\ntt0133093,,Whatever,4\n0112682,,,4\n,807,Sieben,4\ntt9,9,Nothing,4\n"
    )
    assert [(m.item_idx, m.reason) for m in outcome.matched] == [(0, "IMDb's id"), (1, "IMDb's id"), (2, "TMDB's id")]
    assert [m.reason for m in outcome.unmatched] == ["no film here has its title"]


def test_a_number_of_movielens_is_certain_only_where_films_have_those_numbers() -> None:
    text = "userId,movieId,rating\n1,10,4\n1,99,4\n"
    report_of_movielens = report(text, Matcher(catalogue("ml-1m")))
    assert [(m.item_idx, m.reason) for m in report_of_movielens.matched] == [(0, "MovieLens's id")]
    other = report(text)
    assert other.matched == []
    assert [m.item_idx for m in other.by_number] == [0]
    assert [m.reason for m in other.unmatched] == ["no film here has its id"]


def test_an_id_that_its_title_contradicts_does_not_count() -> None:
    text = 'movieId,title,rating\n10,"Seven (a.k.a. Se7en) (1995)",4\n20,Nothing (1950),4\n10,"Matrix, The (1999)",3\n'
    outcome = report(text, Matcher(catalogue("ml-25m")))
    assert [(m.item_idx, m.reason) for m in outcome.matched] == [(2, "title and year"), (0, "MovieLens's id")]
    assert len(outcome.unmatched) == 1


def test_this_data_set_s_own_ids_are_certain() -> None:
    assert [m.item_idx for m in report("item_id,rating\n30,4\n").matched] == [2]


def test_of_a_film_that_is_rated_twice_the_latest_counts_and_the_other_is_reported() -> None:
    outcome = report(
        "title,year,rating,date\nSe7en,1995,5,2024-02-02\nSeven,1995,1,2024-01-01\nHeat,1995,3,2020-01-01\n"
    )
    assert [(m.row.line, m.row.stars) for m in outcome.matched] == [(2, 5.0), (4, 3.0)]
    assert [m.row.line for m in outcome.replaced] == [3]


def test_every_row_is_in_exactly_one_part_of_the_report() -> None:
    titles = [*TITLES, "rocky 3", "Nothing", "Heat", ""]
    text = "title,rating,date\n" + "".join(f'"{t}",{n % 7},2024-01-0{n % 9 + 1}\n' for n, t in enumerate(titles))
    outcome = report(text)
    parts = (outcome.matched, outcome.by_number, outcome.to_confirm, outcome.unmatched, outcome.replaced)
    lines = [m.row.line for part in parts for m in part] + [row.line for row in outcome.refused]
    assert sorted(lines) == list(range(2, len(titles) + 2))
    assert [row.line for row in outcome.outcomes()] == sorted(lines)


@given(st.text(max_size=30), st.integers(1900, 2030) | st.none())
def test_any_title_has_an_answer(title: str, year: int | None) -> None:
    for position in MATCHER.titled([title], year):
        assert year is None or abs(int(MATCHER.titles.years[position]) - year) <= 1


@pytest.mark.real
def test_the_titles_of_movielens_find_their_own_films(mirror: Path) -> None:
    dataset = load_dataset(mirror / "ml-latest-small.zip")
    with zipfile.ZipFile(mirror / "ml-latest-small.zip") as archive:
        text = archive.read("ml-latest-small/movies.csv").decode()
    films = list(csv.reader(text.splitlines()))[1:]
    outcome = report(csv_text(("title", "rating"), [(film[1], 4) for film in films]), Matcher(dataset))
    expected = {n: int(film[0]) for n, film in enumerate(films, start=2)}
    assert all(dataset.item_ids[m.item_idx] == expected[m.row.line] for m in outcome.matched)
    assert len(outcome.matched) > 0.998 * len(films)
    assert len(outcome.to_confirm) + len(outcome.matched) + len(outcome.unmatched) == len(films)


def test_c15_a_longer_title_of_that_year_is_asked_about() -> None:
    titles = ["Star Wars: Episode IV - A New Hope", "Star Wars: Episode V - The Empire Strikes Back", "Alien", "Aliens",
              "Die Hard", "Die Hard 2", "Live and Let Die Hard"]  # fmt: skip
    years = [1977, 1980, 1979, 1986, 1988, 1990, 1990]
    items = pd.DataFrame({"item_id": range(7), "title": titles, "year": pd.array(years, dtype="Int64")})
    ratings = pd.DataFrame({"user_id": 1, "item_id": range(7), "rating": 4.0})
    matcher = Matcher(build_dataset("films", ratings, items))

    def of(title: str, year: int) -> tuple[str, int]:
        part, match = matcher.find(RatedTitle(2, title, (title,), year, 4.0))
        return part, match.item_idx

    assert of("Star Wars", 1977) == ("to_confirm", 0)
    assert of("The Empire Strikes Back", 1980) == ("to_confirm", 1)
    assert of("Star Wars", 1983) == ("unmatched", -1)  # not that year
    assert of("Wars", 1977) == ("to_confirm", 0)
    assert of("Ali", 1979) == ("unmatched", -1)  # part of a word
    assert of("Let Die", 1990) == ("to_confirm", 6)
    assert of("Die", 1990) == ("unmatched", -1)  # too short
    assert of("Hard", 1990) == ("unmatched", -1)  # two films hold it
