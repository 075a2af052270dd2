"""Small CSVs about a data set: pairs of user and item, and one person's ratings by id or by title."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recengine.data.dataset import Dataset, build_dataset
from recengine.data.readers.history import read_history, read_pairs
from recengine.errors import BadInput


@pytest.fixture(scope="module")
def films() -> Dataset:
    items = pd.DataFrame(
        {
            "item_id": [1, 2, 3, 4, 5],
            "title": ["The Matrix", "Heat", "Heat", "Amélie", "Se7en"],
            "year": pd.array([1999, 1995, 1986, 2001, None], dtype="Int64"),
        }
    )
    ratings = pd.DataFrame({"user_id": [7, 7, 8], "item_id": [1, 2, 3], "rating": [0.5, 5.0, 3.0], "timestamp": 1})
    return build_dataset("films", ratings, items)


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_pairs_keep_their_rows_and_their_other_columns(tmp_path: Path, films: Dataset) -> None:
    path = file(tmp_path, 'note,user_id,item_id\n"a, b",8,3\n,7,1\n,8,3\n')
    header, rows, users, items = read_pairs(path, films)
    assert header == ["note", "user_id", "item_id"]
    assert rows == [["a, b", "8", "3"], ["", "7", "1"], ["", "8", "3"]]
    assert films.user_ids[users].tolist() == [8, 7, 8]
    assert films.item_ids[items].tolist() == [3, 1, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user_id,film\n7,1\n8,99\n", "item 99 is not in 'films'"),
        ("user_id,item_id\n9,1\n", "user 9 is not in 'films'"),
        ("user_id,item_id\nx,1\n", "user x"),
        ("user_id,item_id\n1e99,1\n", "user 1e99"),
        ("user_id,item_id\n99999999999999999999,1\n", "user 99999999999999999999"),
        ("user_id,item_id\n", "header but no pairs"),
        ("user_id,rating\n7,3\n", "add the column item_id"),
        ("", "is empty"),
        ("user_id,item_id\n7,1,5\n", "line 2"),
        ("user_id,item_id\n7,\0\n", "NUL"),
        (b"\x81\x8d", "not text"),
    ],
)
def test_pairs_that_cannot_be_used_are_bad_input(tmp_path: Path, films: Dataset, text: str | bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as fault:
        read_pairs(file(tmp_path, text), films)
    assert "\n" not in str(fault.value)


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
def test_a_persons_ratings_are_read_by_id_or_by_title(tmp_path: Path, films: Dataset, text: str) -> None:
    rows, notes = read_history(file(tmp_path, text), films)
    assert films.item_ids[rows.item_idx].tolist() == [1, 4]
    assert rows.rating.tolist() == [5.0, 0.5]
    assert (rows.n_users, rows.n_items) == (1, 5)
    assert notes == []


def test_a_shared_title_needs_its_year(tmp_path: Path, films: Dataset) -> None:
    rows, notes = read_history(file(tmp_path, "title,rating\nHeat (1986),4\nHeat,5\nSe7en,4\n"), films)
    assert films.item_ids[rows.item_idx].tolist() == [3, 5]
    assert notes == ["2 ratings matched, 1 not: Heat"]


def test_what_is_not_in_the_catalogue_is_said(tmp_path: Path, films: Dataset) -> None:
    _, notes = read_history(file(tmp_path, "item_id,rating\n1,4\n99,5\nabc,3\n"), films)
    assert notes == ["1 ratings matched, 2 not: 99, abc"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("item_id,rating\n1,6\n", "line 2 of mine.csv has the rating '6'; expected 0.5 to 5"),
        ("item_id,rating\n1,nan\n", "'nan'"),
        ("item_id,rating\n1,inf\n", "'inf'"),
        ("item_id,rating\n1,good\n", "has the rating 'good'; expected a number from 0.5 to 5"),
        ("item_id,rating\n1,\n", "has the rating ''"),
        ("item_id,rating\n98,4\n99,4\n", "names no film of 'films'"),
        ("item_id,rating\n", "names no film|no ratings"),
        ("item_id\n1\n", "expected item_id or title, and rating"),
        ("item_id,rating\n1,4,4\n", "line 2"),
        ("", "is empty"),
    ],
)
def test_ratings_that_cannot_be_used_are_bad_input(tmp_path: Path, films: Dataset, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as fault:
        read_history(file(tmp_path, text), films)
    assert "\n" not in str(fault.value)


def test_a_film_rated_twice_counts_once_with_its_last_rating(tmp_path: Path, films: Dataset) -> None:
    rows, notes = read_history(file(tmp_path, "item_id,rating\n1,5\n2,4\n1,1\n"), films)
    assert dict(zip(films.item_ids[rows.item_idx].tolist(), rows.rating.tolist(), strict=True)) == {1: 1.0, 2: 4.0}
    assert len(rows) == 2
    assert notes == ["1 ratings are replaced by a later one of the same film."]


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path, films: Dataset) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read_history(path, films)
        with pytest.raises(BadInput, match="cannot be read"):
            read_pairs(path, films)


def test_the_rows_stand_for_time(tmp_path: Path, films: Dataset) -> None:
    rows, _ = read_history(file(tmp_path, "item_id,rating\n4,5\n1,4\n"), films)
    assert np.array_equal(rows.timestamp, [0, 1])
