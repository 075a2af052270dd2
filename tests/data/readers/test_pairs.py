"""Pairs of user and item: rows in their order, and a sentence for what cannot be used."""

from pathlib import Path

import pandas as pd
import pytest

from recengine.data.dataset import Dataset, build_dataset
from recengine.data.readers.pairs import read_pairs
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
        ("user_id,film\n7,1\n8,99\n", "item '99' is not in 'films'"),
        ("user_id,item_id\n9,1\n", "user '9' is not in 'films'"),
        ("user_id,item_id\nx,1\n", "user 'x'"),
        ("user_id,item_id\n1e99,1\n", "user '1e99'"),
        ("user_id,item_id\n99999999999999999999,1\n", "user '99999999999999999999'"),
        ("user_id,item_id\n", "header but no pairs"),
        ("user_id,rating\n7,3\n", "add the column item_id"),
        ("", "is empty"),
        ("user_id,item_id\n7,1,5\n", "line 2"),
        ("user_id,item_id\n7,\0\n", "NUL"),
        (b"\x81\x8d", "not text"),
    ],
)
def test_pairs_that_cannot_be_used_are_bad_input(tmp_path: Path, films: Dataset, text: str | bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as error:
        read_pairs(file(tmp_path, text), films)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path, films: Dataset) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read_pairs(path, films)
