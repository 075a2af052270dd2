"""Frames, parquet, JSON lines and what is packed with gzip."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from recengine.data.build import build_dataset
from recengine.data.readers import typed
from recengine.data.reading import Reading
from recengine.data.sources import UPLOAD_SUFFIXES, from_frame, load_upload
from recengine.errors import BadInput
from tests.data.readers.forms import refusal, rows, up


def test_m9_m11_parquet_json_lines_tabs_and_gzip_are_read() -> None:
    frame = pd.DataFrame({"user": ["a", "b"], "item": [7, 8], "rating": [3.0, 4.5], "time": [10, 20]})
    packed = io.BytesIO()
    frame.to_parquet(packed)
    text = frame.to_csv(index=False).encode()
    lines = frame.to_json(orient="records", lines=True).encode()
    kinds = {
        "x.parquet": packed.getvalue(),
        "x.jsonl": lines,
        "x.json": frame.to_json(orient="records").encode(),
        "x.csv": text,
        "x.tsv": text.replace(b",", b"\t"),
        "x.csv.gz": gzip.compress(text),
        "x.json.gz": gzip.compress(lines),
        "two.csv.gz": gzip.compress(text[:9]) + gzip.compress(text[9:]),
    }
    loaded = [up(content, name) for name, content in kinds.items()]
    assert len({data.fingerprint for data in loaded}) == 1
    assert {name.rsplit(".", 1)[1] for name in kinds} <= set(UPLOAD_SUFFIXES)
    assert rows(loaded[0]) == [("a", 7, 3.0), ("b", 8, 4.5)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.parquet", b"PAR1 and no more", "is not a whole parquet file"),
        ("x.jsonl", b'{"user": 1, "item": 2}\n{"user": 1\n', "line 2 of x.jsonl is not JSON"),
        ("x.jsonl", b'{"user": 1, "item": 2}\n[1, 2]\n', "row 2 of x.jsonl is something else; expected a JSON object"),
        ("x.jsonl", b'{"a": 1}\n', "without one for user and item"),
        ("x.jsonl", b'{"user": 1, "item": 2, "rating": "good"}\n', "row 1 of x.jsonl has the rating 'good'"),
        ("x.json", b"", "is empty"),
        ("x.csv.gz", gzip.compress(b"user,item\na,b\n" * 9, mtime=0)[:-9], "is damaged (it ends early)"),
        ("x.csv.gz", b"\x1f\x8b and no more", "is damaged"),
    ],
)
def test_m9_what_cannot_be_unpacked_is_refused_in_one_sentence(name: str, content: bytes, words: str) -> None:
    assert words in refusal(lambda: up(content, name))


def test_objects_may_lack_names_that_others_have_and_events_may_be_missing() -> None:
    lines = '{"user": "a", "item": 1, "event": "view"}\n\n{"item": 2, "user": "b", "price": 3, "event": null}\n'
    data = up(lines, "x.jsonl")
    assert rows(data) == [("a", 1, 1.0), ("b", 2, 1.0)]
    assert "row 2 of x.jsonl has the event '', which has no weight" in refusal(
        lambda: up(lines, "x.jsonl", weights="view=1")
    )


def test_a_parquet_file_of_too_many_cells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pd.DataFrame({"user": range(9), "item": range(9), "rating": 3.0}).to_parquet()
    monkeypatch.setattr(typed, "MOST_CELLS", 26)
    assert "has 9 rows of 3 columns; expected up to 26 cells" in refusal(lambda: up(content, "x.parquet"))


def test_a_gzip_bomb_is_stopped() -> None:
    with pytest.raises(BadInput, match="beyond what is allowed"):
        load_upload("x.csv.gz", gzip.compress(b"0" * (1 << 22)), unpacked_limit=1 << 20)


def test_m15_a_frame_by_other_names_or_without_ratings_is_one_sentence() -> None:
    for frame, words in (
        ({"user": [1], "item": [2]}, "without user_id and item_id and rating"),
        ({"user_id": [1], "item_id": [2]}, "without rating"),
        ({"user_id": [1], "item_id": [2], "rating": [3], "timestamp": ["soon"]}, "has the timestamp 'soon'"),
    ):
        assert words in refusal(lambda frame=frame: build_dataset("x", pd.DataFrame(frame)))  # type: ignore[misc]
    assert rows(from_frame(pd.DataFrame({"user": [1], "item": [2]}))) == [(1, 2, 1.0)]


def test_a_frame_with_a_column_per_item_is_read_when_that_is_stated() -> None:
    frame = pd.DataFrame({"who": ["a", "b"], 10: [4.0, np.nan], 20: [np.nan, 2.0]})
    data = from_frame(frame, reading=Reading(layout="wide"))
    assert sorted(rows(data)) == [("a", 10, 4.0), ("b", 20, 2.0)]
    assert "without one for user and item" in refusal(lambda: from_frame(frame))
