"""One user's ratings read for a data set: plain files by id or by title, and the exports of other sites."""

from pathlib import Path

import pandas as pd
import pytest

from recengine.data.build import build_dataset
from recengine.data.dataset import Dataset
from recengine.data.histories import read_ratings
from recengine.errors import BadInput
from tests.support.archives import written, zipped


@pytest.mark.parametrize(
    "text",
    [
        "item_id,rating\n1,5\n4,0.5\n",
        "title,rating\nThe Matrix,5\nAmélie,0.5\n",
        'title,rating\n"Matrix, The (1999)",5\nAmelie (2001),0.5\n',
        "rating;title\n5;the matrix\n0,5;AMÉLIE\n",
        "Title,Year,Rating\nThe Matrix,2000,5.0\nAmélie,2001,.5\n",
        "\ufeffmovieId,rating\n1,5\n4,0.5\n",
    ],
    ids=["ids", "titles", "articles", "semicolons", "year-off-by-one", "mark"],
)
def test_a_users_ratings_are_read_by_id_or_by_title(tmp_path: Path, films: Dataset, text: str) -> None:
    rows, notes = read_ratings(written(tmp_path, text), films)
    assert films.item_ids[rows.item_idx].tolist() == [1, 4]
    assert rows.rating.tolist() == [5.0, 0.5]
    assert (rows.n_users, rows.n_items) == (1, 5)
    assert notes == []


def test_a_shared_title_needs_its_year(tmp_path: Path, films: Dataset) -> None:
    rows, notes = read_ratings(written(tmp_path, "title,rating\nHeat (1986),4\nHeat,5\nSe7en,4\n"), films)
    assert films.item_ids[rows.item_idx].tolist() == [3, 5]
    assert notes == ["2 ratings matched, 1 not: Heat"]


def test_what_is_not_in_the_catalogue_is_noted(tmp_path: Path, films: Dataset) -> None:
    _, notes = read_ratings(written(tmp_path, "item_id,rating\n1,4\n99,5\nabc,3\n"), films)
    assert notes == ["1 rating matched, 2 not: 99, abc"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "item_id,rating\n1,6\n",
            "rating '6' in line 2 of mine.csv cannot be used; expected a number from 0.5 to 5, the range",
        ),
        ("item_id,rating\n1,nan\n", "'nan'"),
        ("item_id,rating\n1,inf\n", "'inf'"),
        ("item_id,rating\n1,good\n", "rating 'good' in line 2"),
        ("item_id,rating\n1,\n", "rating '' in line 2"),
        ("item_id,rating\n98,4\n99,4\n", "names no film of 'films'"),
        ("item_id,rating\n", "names no film|no ratings"),
        ("item_id,mark\n1,4\n", "title, year and rating, or item_id and rating"),
        ("item_id,rating\n1,4,4\n", "line 2"),
        ("", "is empty"),
    ],
)
def test_ratings_that_cannot_be_used_are_bad_input(tmp_path: Path, films: Dataset, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        read_ratings(written(tmp_path, text), films)
    assert "\n" not in str(error.value)


def test_a_film_rated_twice_counts_once_with_its_last_rating(tmp_path: Path, films: Dataset) -> None:
    rows, notes = read_ratings(written(tmp_path, "item_id,rating\n1,5\n2,4\n1,1\n"), films)
    assert dict(zip(films.item_ids[rows.item_idx].tolist(), rows.rating.tolist(), strict=True)) == {1: 1.0, 2: 4.0}
    assert len(rows) == 2
    assert notes == ["1 rating is replaced by a later one of the same film."]


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path, films: Dataset) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read_ratings(path, films)


def test_only_the_dates_of_a_plain_file_are_times(tmp_path: Path, films: Dataset) -> None:
    for text, times in (
        ("item_id,rating\n4,5\n1,4\n", [0, 0]),
        ("item_id,rating,timestamp\n4,5,1717113600\n1,4,1717113601\n", [1717113600, 1717113601]),
        ("item_id,rating,timestamp\n4,5,1717113600\n1,4,\n", [0, 0]),
        (LETTERBOXD, [0, 0]),  # days of rating
    ):
        rows, _ = read_ratings(written(tmp_path, text), films)
        assert rows.timestamp.tolist() == times


LETTERBOXD = (
    "Date,Name,Year,Letterboxd URI,Rating\n2024-06-01,Amélie,2001,https://boxd.it/1,4.5\n"
    "2024-05-31,The Matrix,1999,https://boxd.it/2,5\n2024-05-31,Heat,1995,https://boxd.it/3,\n"
    "2024-05-30,A Film Nobody Made,1999,https://boxd.it/4,3\n"
)


@pytest.mark.parametrize("content", [LETTERBOXD, zipped({"ratings.csv": LETTERBOXD})], ids=["csv", "zip"])
def test_the_csv_and_the_zip_of_letterboxd_are_read_in_the_order_of_their_dates(
    tmp_path: Path, films: Dataset, content: str | bytes
) -> None:
    rows, notes = read_ratings(written(tmp_path, content), films)
    assert films.item_ids[rows.item_idx].tolist() == [1, 4]
    assert rows.rating.tolist() == [5.0, 4.5]
    assert notes[-2:] == [
        "2 ratings matched, 1 not: A Film Nobody Made",
        "1 row cannot be used, the first in line 4: it has no rating.",
    ]


def test_stars_of_an_export_are_put_in_the_scale_of_the_data(tmp_path: Path) -> None:
    ratings = pd.DataFrame({"user_id": [7, 7], "item_id": [1, 2], "rating": [1.0, 10.0], "timestamp": 1})
    items = pd.DataFrame({"item_id": [1, 2], "title": ["Heat", "Jaws"], "year": pd.array([1995, 1975], dtype="Int64")})
    data = build_dataset("of ten", ratings, items)
    text = "Const,Your Rating,Title,Title Type,Year\ntt1,10,Heat,Movie,1995\ntt2,1,Jaws,Movie,1975\n"
    rows, _ = read_ratings(written(tmp_path, text), data)
    assert rows.rating.tolist() == [10.0, 1.0]


def test_a_title_that_contradicts_a_movielens_number_wins(tmp_path: Path, films: Dataset) -> None:
    rows, _ = read_ratings(written(tmp_path, "movieId,title,rating\n1,Amélie (2001),4\n2,Heat,3\n"), films)
    assert films.item_ids[rows.item_idx].tolist() == [4, 2]


def test_c03_an_id_with_spaces_is_found_to_the_byte_and_one_written_with_spaces_too(tmp_path: Path) -> None:
    ratings = pd.DataFrame({"user_id": "a", "item_id": ["0", "0 ", "x y", " z"], "rating": [1.0, 5.0, 4.0, 3.0]})
    data = build_dataset("d", ratings)
    path = tmp_path / "mine.csv"
    path.write_text("item_id,rating\n0 ,5\n0,1\n x y ,4\n z,3\n")
    rows, _ = read_ratings(path, data)
    assert {str(data.item_ids[i]): r for i, r in zip(rows.item_idx, rows.rating.tolist(), strict=True)} == {
        "0 ": 5.0, "0": 1.0, "x y": 4.0, " z": 3.0
    }  # fmt: skip
