"""Pairs of user and item: rows in their order, and a sentence for what cannot be used."""

from pathlib import Path

import pytest

from recengine.data.dataset import Dataset
from recengine.data.readers.pairs import read_pairs
from recengine.errors import BadInput
from tests.support.archives import written


def test_pairs_keep_their_rows_and_their_other_columns(tmp_path: Path, films: Dataset) -> None:
    path = written(tmp_path, 'note,user_id,item_id\n"a, b",8,3\n,7,1\n,8,3\n')
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
        read_pairs(written(tmp_path, text), films)
    assert "\n" not in str(error.value)
