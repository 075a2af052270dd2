"""A preview shows the columns and the first rows of any upload, and what it would be read as."""

import gzip

import pandas as pd
import pytest

from recengine.data.preview import SHOWN_ROWS, preview
from recengine.data.reading import Reading
from tests.support.archives import zipped

EVENTS = b"customer,product,kind\nu 1,p 1,view\nu 1,p 2,buy\n"


def test_what_is_unclear_is_shown_with_its_rows_until_it_is_stated() -> None:
    unclear = preview("x.csv", b"kunde,ware,wert\na,b,3\nb,b,4\n")
    assert (unclear.names, unclear.rows) == (["kunde", "ware", "wert"], [["a", "b", "3"], ["b", "b", "4"]])
    assert unclear.dataset is None
    assert "may be read in several ways" in str(unclear.problem)
    clear = preview("x.csv", b"kunde,ware,wert\na,b,3\nb,b,4\n", Reading(user="kunde", item="ware", rating="wert"))
    assert clear.problem is None
    assert clear.dataset is not None
    assert len(clear.dataset.ratings) == 2
    assert clear.inferences == clear.dataset.inferences != ()


def test_a_bad_row_leaves_the_columns_that_their_names_tell() -> None:
    shown = preview("x.csv", b"userId,movieId,rating\n1,2,good\n")
    assert "good" in str(shown.problem)
    assert shown.reading == Reading(user="userId", item="movieId", rating="rating")
    two = preview("x.csv", b"timestamp,time,userId,movieId\n1,2,3\n")
    assert two.reading == Reading(user="userId", item="movieId", time="timestamp")
    assert preview("x.csv", b"date,datetime,userId,movieId\n1,2,3\n").reading.time is None


def test_columns_without_a_header_have_numbers() -> None:
    first = preview("x.csv", b"1,3,5\n2,4,4\n")
    assert str(first.problem).startswith("header is missing")
    stated = preview("x.csv", b"1,3,5\n2,4,4\n", Reading(header=False))
    assert (stated.names, stated.rows) == (["1", "2", "3"], [["1", "3", "5"], ["2", "4", "4"]])
    assert stated.reading.columns == {"user": "1", "item": "2", "rating": "3", "time": None, "event": None}


def test_every_kind_of_upload_has_a_preview() -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4]})
    kinds = {
        "x.parquet": frame.to_parquet(),
        "x.jsonl": frame.to_json(orient="records", lines=True).encode(),
        "x.csv.gz": gzip.compress(frame.to_csv(index=False).encode()),
        "x.zip": zipped({"ratings.csv": "user,item\n1,3\n2,4\n"}),
        "x.txt": b"sep=;\nuser;item\n1;3\n2;4\n",
    }
    for name, content in kinds.items():
        shown = preview(name, content)
        assert (shown.names, shown.rows, shown.problem) == (["user", "item"], [["1", "3"], ["2", "4"]], None), name
    long = preview("x.csv", b"user,item\n" + b"".join(b"%d,1\n" % row for row in range(99)))
    assert len(long.rows) == SHOWN_ROWS


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no more", b"\x1f\x8b no more", b"PAR1", b"\x81\x8d", b'"\n'])
def test_nothing_raises(content: bytes) -> None:
    for name in ("x.csv", "x.zip", "x.parquet", "x.jsonl"):
        shown = preview(name, content)
        assert shown.problem is not None
        assert shown.dataset is None
